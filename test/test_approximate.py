"""message_filters' policy: as the node uses it, and as the simulation writes it down."""

import random
from types import SimpleNamespace

import pytest

from fsmde_ros.conversions import ns_to_stamp
from fsmde_ros.sync import approximate
from fsmde_ros.sync.simulation import QUEUE, START_NS, Shot, SimulatedRig
from fsmde_ros.sync.simulation import approximate_time as simulated

MS = 1_000_000
SLOP_NS = 75 * MS


def message(shot):
    header = SimpleNamespace(stamp=ns_to_stamp(shot.stamp_ns))
    return SimpleNamespace(header=header, shot=shot)


def real(shots, cameras, slop_ns):
    pytest.importorskip("message_filters", reason="part of a ROS installation, not on PyPI")
    sets = []
    inputs = approximate.approximate_time(
        cameras, slop_ns / 1e9, lambda *messages: sets.append([m.shot for m in messages])
    )
    for shot in shots:
        inputs[shot.camera](message(shot))
    return sets


def spoilt(rng, cameras, frames=40):
    """A stream with all that happens: lost, doubled, late, and very late images; a loop."""
    rig = SimulatedRig(
        period_ms=rng.choice([1000, 100, 33]),
        stagger_ms=[rng.uniform(0, 80) for _ in range(cameras)],
        jitter_ms=lambda frame, camera: rng.uniform(-20, 20),
        delay_ms=lambda frame, camera: rng.choice([0, 0, 30, 250, 20_000]) * rng.random(),
        lost=lambda frame, camera: rng.random() < 0.1,
    )
    shots = rig.shots(frames)
    again = [Shot(s.camera, s.frame, s.stamp_ns, s.arrived_ns + 5000 * MS) for s in shots]
    shots += again if rng.random() < 0.3 else rng.sample(shots, 5)
    return sorted(shots, key=lambda shot: shot.arrived_ns)


@pytest.mark.parametrize("seed", range(20))
def test_the_simulation_makes_the_sets_that_message_filters_makes(seed):
    rng = random.Random(seed)
    cameras, slop_ns = rng.randint(2, 6), rng.choice([10, 75, 200]) * MS
    shots = spoilt(rng, cameras)
    assert simulated(shots, cameras=cameras, slop_ns=slop_ns) == real(shots, cameras, slop_ns)


@pytest.mark.parametrize("late", [QUEUE, QUEUE + 1, 3 * QUEUE])
def test_an_image_older_than_the_queue_is_in_no_set(late):
    """Camera 1 stopped at first; camera 0 goes on, and its first image comes at last."""
    shots = [Shot(1, 0, START_NS, 0)]
    shots += [Shot(0, k, START_NS + k * 100 * MS, k) for k in range(1, late + 1)]
    shots += [Shot(0, 0, START_NS, late + 1)]
    assert simulated(shots, cameras=2, slop_ns=SLOP_NS) == []


def test_an_error_in_one_set_does_not_stop_the_next():
    pytest.importorskip("message_filters", reason="part of a ROS installation, not on PyPI")
    sets = []

    def once_bad(*messages):
        sets.append([m.shot for m in messages])
        if len(sets) == 1:
            raise RuntimeError("bad")

    inputs = approximate.approximate_time(6, SLOP_NS / 1e9, once_bad)
    errors = 0
    for shot in SimulatedRig().shots(3):
        try:
            inputs[shot.camera](message(shot))
        except RuntimeError:
            errors += 1
    assert (len(sets), errors) == (3, 1)
