import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsmde_ros.sync import RigSync

MS = 1_000_000
NAMES = tuple("abcdef")
START = 1_700_000_000_000 * MS
# nuScenes: cameras fire one after another while the LiDAR turns
STAGGER_MS = (0, 8, 16, 24, 33, 43)


def feed(sync, arrivals):
    """Sets that come out when (camera, stamp_ns) arrive in this order."""
    sets = (sync.add(camera, stamp_ns, (camera, stamp_ns)) for camera, stamp_ns in arrivals)
    return [s for s in sets if s is not None]


def drive(frames, *, period_ms=83, drop=()):
    """Arrivals of a staggered rig, without the (frame, camera) pairs in drop."""
    return [
        (camera, START + (frame * period_ms + offset_ms) * MS)
        for frame in range(frames)
        for camera, offset_ms in enumerate(STAGGER_MS)
        if (frame, camera) not in drop
    ]


def test_every_frame_of_a_staggered_rig_is_one_set():
    sets = feed(RigSync(NAMES, slop_ns=75 * MS), drive(20))
    assert len(sets) == 20
    assert {s.spread_ns for s in sets} == {43 * MS}
    assert sets[3].items == tuple(zip(range(6), sets[3].stamps_ns))


def test_a_dropped_image_costs_its_own_set_only():
    sets = feed(RigSync(NAMES, slop_ns=75 * MS), drive(10, drop={(4, 2)}))
    assert len(sets) == 9
    assert {s.spread_ns for s in sets} == {43 * MS}


@pytest.mark.parametrize("seed", range(30))
def test_no_set_mixes_two_frames_however_many_images_are_lost(seed):
    rng = np.random.default_rng(seed)
    lost = {(f, c) for f in range(2, 100) for c in range(6) if rng.random() < 0.1}
    sets = feed(RigSync(NAMES, slop_ns=75 * MS), drive(100, drop=lost))
    assert {s.spread_ns for s in sets} == {43 * MS}
    assert len(sets) == 100 - len({frame for frame, _ in lost})


def test_a_camera_at_half_the_rate_halves_the_rate_of_sets():
    halved = {(frame, 1) for frame in range(1, 40, 2)}
    sets = feed(RigSync(NAMES, slop_ns=75 * MS), drive(40, drop=halved))
    assert len(sets) == 20
    assert {s.spread_ns for s in sets} == {43 * MS}


def test_a_spread_beyond_slop_gives_no_set_and_says_so():
    sync = RigSync(NAMES, slop_ns=40 * MS)
    assert feed(sync, drive(5)) == []
    assert sync.why_no_set() == "newest stamps spread over 43 ms, from a to f, and slop is 40 ms"


def test_a_silent_camera_is_named():
    sync = RigSync(NAMES, slop_ns=75 * MS)
    feed(sync, drive(3, drop={(frame, 3) for frame in range(3)}))
    assert sync.why_no_set() == "no image yet from d"


def test_a_camera_that_stops_is_named_through_the_spread():
    sync = RigSync(NAMES, slop_ns=75 * MS)
    feed(sync, drive(30, drop={(frame, 3) for frame in range(5, 30)}))
    assert "from d to f" in sync.why_no_set()


def test_zero_stamps_are_refused_and_named():
    sync = RigSync(NAMES, slop_ns=75 * MS)
    assert feed(sync, [(0, 0)]) == []
    assert sync.why_no_set() == "stamps of a are zero"


def test_duplicates_and_late_messages_are_dropped_and_counted():
    sync = RigSync(("a", "b"), slop_ns=10 * MS)
    stamps = [START, START, START - 5 * MS]
    assert feed(sync, [(0, stamp) for stamp in stamps]) == []
    assert sync.dropped["late or duplicate"] == 2
    assert len(feed(sync, [(1, START)])) == 1
    assert feed(sync, [(1, START)]) == []  # the set is not formed a second time


def test_a_bag_that_loops_starts_afresh_once():
    sync = RigSync(NAMES, slop_ns=75 * MS)
    assert len(feed(sync, drive(20) + drive(20) + drive(20))) == 60
    assert sync.resets == 2


def test_one_camera_is_a_set_of_its_own():
    assert len(feed(RigSync(("a",), slop_ns=0), [(0, START), (0, START + MS)])) == 2


@settings(max_examples=200, deadline=None)
@given(
    cameras=st.integers(1, 8),
    slop_ms=st.integers(0, 100),
    seed=st.integers(0, 2**32 - 1),
    jitter_ms=st.integers(0, 30),
    drop=st.floats(0, 0.5),
    swap=st.floats(0, 0.5),
)
def test_whatever_arrives_sets_are_sound(cameras, slop_ms, seed, jitter_ms, drop, swap):
    """Within slop, one stamp a camera, every stamp used once, time forward, queues bounded."""
    rng = np.random.default_rng(seed)
    stagger = rng.integers(0, 50, cameras)
    arrivals = [
        (camera, int(START + (frame * 83 + stagger[camera] + rng.integers(0, jitter_ms + 1)) * MS))
        for frame in range(25)
        for camera in range(cameras)
        if rng.random() >= drop
    ]
    for i in range(len(arrivals) - 1):
        if rng.random() < swap:
            arrivals[i], arrivals[i + 1] = arrivals[i + 1], arrivals[i]
    sync = RigSync("abcdefgh"[:cameras], slop_ns=slop_ms * MS)
    sets = feed(sync, arrivals)
    for s in sets:
        assert s.spread_ns <= slop_ms * MS
        assert s.items == tuple(enumerate(s.stamps_ns))
    for before, after in zip(sets, sets[1:]):
        assert all(a < b for a, b in zip(before.stamps_ns, after.stamps_ns))
