"""Stamps that jitter: by how much they may, and what is said where it is more."""

import random

import pytest

from fsmde_ros.sync import RigSync
from fsmde_ros.sync.simulation import DEADLINE_NS, MS, NAMES, SLOP_NS, SimulatedRig, replay

PERIOD_MS = 1000 / 12


def problems(off_ms, *, slop_ns=SLOP_NS, frames=120):
    """What is said at the end of a drive in which one camera's stamps are off by off_ms(frame)."""
    sync = RigSync(NAMES, slop_ns=slop_ns, deadline_ns=DEADLINE_NS)
    shots = SimulatedRig(off_ms=lambda f, i: off_ms(f) if i == 3 else 0).shots(frames)
    replay(sync, shots)
    return " ".join(sync.problems(shots[-1].arrived_ns))


def cut_to(step_ms):
    stagger = SimulatedRig().stagger_ms[3]
    return lambda frame: -((frame * PERIOD_MS + stagger) % step_ms)


def drawn(draw, seed=0):
    values = {}
    rng = random.Random(seed)
    return lambda frame: values.setdefault(frame, draw(rng))


@pytest.mark.parametrize(
    "off_ms",
    [
        drawn(lambda rng: rng.expovariate(1 / 60)),
        drawn(lambda rng: rng.uniform(-PERIOD_MS / 2, PERIOD_MS / 2)),
        drawn(lambda rng: rng.gauss(0, 30)),
        cut_to(100),
        cut_to(250),
    ],
    ids=["exponential", "half a period", "normal", "cut to 100 ms", "cut to 250 ms"],
)
def test_stamps_without_a_place_in_the_period_are_named(off_ms):
    said = problems(off_ms)
    assert "of back" in said or "back silent" in said or "back_left" in said, said
    assert "jitter" in said or "rhythm" in said or "duplicates" in said, said


@pytest.mark.parametrize("seed", range(5))
def test_jitter_of_less_than_a_quarter_is_no_problem(seed):
    said = problems(drawn(lambda rng: rng.uniform(-PERIOD_MS / 4, PERIOD_MS / 4) * 0.9, seed))
    assert "jitter" not in said and "rhythm" not in said


def test_where_slop_tells_frames_apart_stamps_may_be_irregular():
    said = problems(drawn(lambda rng: rng.uniform(-30, 30)), slop_ns=40 * MS)
    assert "jitter" not in said
