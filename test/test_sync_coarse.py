"""Stamps that stand, repeat or go back, and what is said of images that are lost by that."""

import random
from dataclasses import replace

import pytest

from fsmde_ros.sync import RigSync
from fsmde_ros.sync.simulation import DEADLINE_NS, NAMES, SLOP_NS, SimulatedRig, is_mixed, replay

MS = 1_000_000
SECOND = 1_000 * MS


def rig_sync(names=NAMES, deadline_ns=DEADLINE_NS):
    return RigSync(names, slop_ns=SLOP_NS, deadline_ns=deadline_ns)


def rounded(shots, to_ns):
    return [replace(shot, stamp_ns=shot.stamp_ns // to_ns * to_ns) for shot in shots]


def said(sync, shots):
    return "; ".join(sync.problems(shots[-1].arrived_ns))


@pytest.mark.parametrize("frozen_from", [0, 40])
@pytest.mark.parametrize("cameras", [1, 6])
def test_stamps_that_stand_on_all_cameras_make_no_sets_of_several_frames(frozen_from, cameras):
    period_ms = 80
    rig = SimulatedRig(
        period_ms=period_ms,
        stagger_ms=[7 * i for i in range(cameras)],
        off_ms=lambda f, i: -period_ms * max(0, f - frozen_from),
    )
    sync, shots = rig_sync(NAMES[:cameras]), rig.shots(100)
    sets = replay(sync, shots, after_ns=SECOND)
    assert len(sets) == frozen_from + 1 and not any(is_mixed(s.items) for s in sets)
    assert sync.resets == 0  # no time went back
    assert "8 of the last 8 images of front" in said(sync, shots)


def test_stamps_of_whole_seconds_make_one_set_a_second():
    sync, shots = rig_sync(), rounded(SimulatedRig().shots(120), SECOND)
    sets = replay(sync, shots, after_ns=SECOND)
    assert len(sets) == 10 and not any(is_mixed(s.items) for s in sets)
    assert "are duplicates" in said(sync, shots) and sync.resets == 0


@pytest.mark.parametrize(("tick_ms", "period_ms"), [(100, 1000 / 12), (50, 1000 / 24), (40, 37)])
def test_stamps_by_a_clock_that_ticks_a_little_slower_than_the_cameras_fire(tick_ms, period_ms):
    """They look like a rig of the clock's rate; what tells is a duplicate now and then."""
    rig = SimulatedRig(period_ms=period_ms, stagger_ms=[i * period_ms / 12 for i in range(6)])
    shots = rounded(rig.shots(120), tick_ms * MS)
    for end in range(60, 72):  # at any moment
        sync = rig_sync()
        replay(sync, shots[: 6 * end])
        assert "are duplicates" in said(sync, shots[: 6 * end])


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ({"delay_ms": lambda f, i: 100 if f % 2 == 0 else 0}, 75),
        ({"off_ms": lambda f, i: 37_000 if f % 2 else 0}, 74),
        ({"off_ms": lambda f, i: 0 if f % 4 else -1_030}, 36),
    ],
    ids=["they overtake each other", "two clocks", "a clock that steps back"],
)
def test_of_one_camera_stamps_that_go_back_are_told(change, lost):
    sync = rig_sync(NAMES[:1])
    shots = SimulatedRig(stagger_ms=[0], **change).shots(150)
    sets = replay(sync, shots)
    assert len(sets) <= 150 - lost
    assert "stamps of front go back: its clock steps" in said(sync, shots)
    assert "wrong set" not in said(sync, shots)  # one camera has no other to be mixed with


def test_of_one_camera_in_order_nothing_is_told():
    rng = random.Random(0)
    rig = SimulatedRig(stagger_ms=[0], jitter_ms=lambda f, i: rng.uniform(-30, 30))
    sync, shots = rig_sync(NAMES[:1]), rig.shots(150)
    assert len(replay(sync, shots)) == 150 and said(sync, shots) == ""


def test_sets_that_are_not_complete_are_told_where_only_complete_ones_go_out():
    rng = random.Random(0)
    rig = SimulatedRig(lost=lambda f, i: rng.random() < 0.1)
    for deadline_ns in (0, DEADLINE_NS):
        sync, shots = rig_sync(deadline_ns=deadline_ns), rig.shots(120)
        replay(sync, shots)
        assert ("sets did not go out: deadline_s 0" in said(sync, shots)) == (not deadline_ns)


@pytest.mark.parametrize("hz", [40, 60])
@pytest.mark.parametrize("deadline_ns", [0, DEADLINE_NS])
def test_transports_that_differ_by_200_ms_are_no_other_clock_at_any_rate(hz, deadline_ns):
    rig = SimulatedRig(
        period_ms=1000 / hz, stagger_ms=[0] * 6, delay_ms=lambda f, i: 10 if i == 2 else 210
    )
    sync, shots = rig_sync(deadline_ns=deadline_ns), rig.shots(300)
    sets = replay(sync, shots, after_ns=SECOND)
    assert sum(len(s.present) == 6 for s in sets) >= 285
    assert sync.dropped["another clock"] == 0


@pytest.mark.parametrize("hz", [10, 30])
def test_a_camera_that_drifts_through_the_others_is_never_told_to_be_a_period_off(hz):
    period_ms = 1000 / hz
    rig = SimulatedRig(
        period_ms=period_ms,
        stagger_ms=[0] * 6,
        jitter_ms=lambda f, i: -period_ms * f / 120 if i == 2 else 0,
    )
    sync, told_ms = rig_sync(), []
    for shot in rig.shots(600):
        sync.add(shot.camera, shot.stamp_ns, shot, now_ns=shot.arrived_ns)
        told = [text for text in sync.problems(shot.arrived_ns) if "in the set than it did" in text]
        told_ms += [int(text.split(" fires ")[1].split()[0]) for text in told]
    assert told_ms and max(told_ms) <= period_ms / 2 + 1
