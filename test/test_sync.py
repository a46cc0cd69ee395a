import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsmde_ros.sync import RigSync
from fsmde_ros.sync.slower_clock import SlowerClock

MS = 1_000_000
NAMES = tuple("abcdef")
START = 1_700_000_000_000 * MS
# nuScenes: cameras fire one after another while the LiDAR turns
STAGGER_MS = (0, 8, 16, 24, 33, 43)


def feed(sync, arrivals, *, until_ms=0):
    """Sets that come out when (camera, stamp_ns) arrive in this order, each at its stamp.

    The deadline is checked every 10 ms, as the node does, until until_ms after the last.
    """
    sets, tick_ns = [], arrivals[0][1]
    for camera, stamp_ns in [*arrivals, (None, arrivals[-1][1] + until_ms * MS)]:
        while tick_ns + 10 * MS < stamp_ns:
            tick_ns += 10 * MS
            sets.append(sync.poll(now_ns=tick_ns))
        if camera is not None:
            now_ns = max(stamp_ns, tick_ns)
            sets.append(sync.add(camera, stamp_ns, (camera, stamp_ns), now_ns=now_ns))
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
    assert sync.why_no_set(START + 400 * MS) == "spread 43 ms > slop 40 ms, from a to f"


def test_a_silent_camera_is_named():
    sync = RigSync(NAMES, slop_ns=75 * MS)
    feed(sync, drive(3, drop={(frame, 3) for frame in range(3)}))
    assert sync.why_no_set(START + 200 * MS) == "no image yet from d"


def test_a_camera_that_stops_is_named():
    sync = RigSync(NAMES, slop_ns=75 * MS)
    feed(sync, drive(30, drop={(frame, 3) for frame in range(5, 30)}))
    assert sync.why_no_set(START + 30 * 83 * MS) == "camera d silent for 2.1 s"


@pytest.mark.parametrize(("stamp_ns", "word"), [(0, "zero"), (-5 * MS, "negative")])
def test_stamps_of_no_time_are_refused_and_named(stamp_ns, word):
    sync = RigSync(NAMES, slop_ns=75 * MS)
    assert sync.add(0, stamp_ns, "item", now_ns=START) is None
    assert sync.why_no_set(START) == f"stamps of a are {word}"
    assert sync.dropped == {f"{word} stamp": 1}


def test_duplicates_and_late_messages_are_dropped_and_counted():
    sync = RigSync(NAMES, slop_ns=75 * MS)
    once = drive(20)
    late = [*once, once[6 * 12 + 2], once[6 * 13]]  # long after the sets they are of
    twice = [arrival for arrival in late for _ in range(2)]
    assert len(feed(sync, twice)) == 20
    assert sync.dropped["late or duplicate"] == len(once) + 4


def test_a_bag_that_loops_starts_afresh_once():
    sync = RigSync(NAMES, slop_ns=75 * MS)
    assert len(feed(sync, drive(20) + drive(20) + drive(20))) == 60
    assert sync.resets == 2


def test_a_bag_of_half_a_second_that_loops_starts_afresh_too():
    sync = RigSync(NAMES, slop_ns=75 * MS)
    sets = feed(sync, drive(6) * 4)
    assert sync.resets == 3
    assert len(sets) >= 9  # six, then one at least of each loop


def partial_sync():
    return RigSync(NAMES, slop_ns=75 * MS, deadline_ns=100 * MS)


def test_a_lost_image_makes_a_partial_set_after_the_deadline():
    sets = feed(partial_sync(), drive(10, drop={(4, 2)}))
    assert [len(s.present) for s in sets] == [6, 6, 6, 6, 5, 6, 6, 6, 6, 6]
    assert sets[4].stamps_ns[2] is None and sets[4].items[2] is None
    assert sets[4].spread_ns == 43 * MS


def test_two_lost_first_images_do_not_pull_in_the_next_frame():
    sets = feed(partial_sync(), drive(10, drop={(4, 0), (4, 1)}))
    assert [len(s.present) for s in sets] == [6, 6, 6, 6, 4, 6, 6, 6, 6, 6]
    assert sets[4].present == (2, 3, 4, 5)


def test_a_silent_camera_is_left_out_until_it_comes_back():
    sync = partial_sync()
    lost = {(frame, 3) for frame in range(10, 40)}
    sets = feed(sync, drive(50, drop=lost))
    assert len(sets) == 50
    assert {s.present for s in sets[10:40]} == {(0, 1, 2, 4, 5)}
    assert {len(s.present) for s in sets[:10] + sets[40:]} == {6}


def test_a_camera_that_never_came_is_waited_for_half_a_second():
    sync = partial_sync()
    never = {(frame, 5) for frame in range(30)}
    sets = feed(sync, drive(30, drop=never))
    assert {s.present for s in sets} == {(0, 1, 2, 3, 4)}
    assert sync.silent(START + 3000 * MS)[-1] == 5


def test_slop_is_cut_to_the_period():
    sync = RigSync(("a", "b"), slop_ns=500 * MS)
    arrivals = [(camera, START + frame * 100 * MS) for frame in range(9) for camera in (0, 1)]
    assert len(feed(sync, arrivals)) == 9
    assert sync.slop_in_use_ns == 90 * MS


def test_time_that_jumps_an_hour_ahead_goes_on():
    sync = partial_sync()
    later = [(camera, stamp_ns + 3600 * 1000 * MS) for camera, stamp_ns in drive(10)]
    sets = feed(sync, drive(10) + later)
    assert [len(s.present) for s in sets] == [6] * 20


def test_phases_are_learned_and_a_camera_that_drifts_is_named():
    sync = RigSync(NAMES, slop_ns=75 * MS)
    feed(sync, drive(30))
    assert sync.summary(0)["camera phases [ms]"] == "a 0, b 8, c 16, d 24, e 33, f 43"
    assert sync.problems(START + 30 * 83 * MS) == []
    later = [  # camera c fires 15 ms later from now on
        (camera, stamp_ns + 30 * 83 * MS + (15 * MS if camera == 2 else 0))
        for camera, stamp_ns in drive(30)
    ]
    assert len(feed(sync, sorted(later, key=lambda arrival: arrival[1]))) == 30
    end_ns = START + 60 * 83 * MS
    assert sync.problems(end_ns) == ["camera c fires 15 ms later in the set than it did"]
    assert sync.problems(end_ns + 5000 * MS) == ["no new images from any camera"]  # it ends


def test_the_slower_clock_of_a_replay():
    times = {"ros": 0, "wall": 0}
    clock = SlowerClock(lambda: times["ros"] * MS, lambda: times["wall"] * MS)

    def after(ros_ms, wall_ms):
        times["ros"] += ros_ms
        times["wall"] += wall_ms
        return clock() // MS

    assert after(1_700_000_000, 10) == 0  # the first /clock sets ROS time
    assert after(10, 100) == 10  # a replay at a tenth of the pace
    assert after(0, 5000) == 10  # paused
    assert after(-3000, 20) == 10  # the bag loops
    assert after(500, 100) == 110  # five times the pace
    assert after(0, 100) == 210  # within what the wall allows


def test_a_clock_that_never_came_and_one_that_stands():
    times = {"ros": 0, "wall": 0}
    clock = SlowerClock(lambda: times["ros"], lambda: times["wall"])
    times["wall"] += 3000 * MS
    assert clock() == 3000 * MS  # deadlines run all the same
    assert clock.problem(image_ns=None) == ""  # the replay has not begun
    said = clock.problem(image_ns=3000 * MS)
    assert said.startswith("use_sim_time is true, but nothing came on /clock")
    times["ros"] = START
    clock()
    assert clock.problem(image_ns=3000 * MS) == ""
    times["wall"] += 5000 * MS
    assert clock() == 3000 * MS
    assert clock.problem(image_ns=3100 * MS) == ""  # a replay that is paused, or over
    said = clock.problem(image_ns=7900 * MS)
    assert said.startswith("/clock has stood still for 5 s while images come")


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
    deadline_ms=st.sampled_from([0, 50, 100, 200]),
)
def test_whatever_arrives_sets_are_sound(
    cameras, slop_ms, seed, jitter_ms, drop, swap, deadline_ms
):
    """Within slop, one stamp a camera, every stamp used once, time forward, queues bounded."""
    rng = np.random.default_rng(seed)
    stagger = rng.integers(0, 50, cameras)
    arrivals = [
        (camera, int(START + (frame * 83 + stagger[camera] + rng.integers(0, jitter_ms + 1)) * MS))
        for frame in range(25)
        for camera in range(cameras)
        if rng.random() >= drop
    ]
    for i in range(0, len(arrivals) - 1, 2):  # pairs: no message comes a second late, a new clock
        if rng.random() < swap:
            arrivals[i], arrivals[i + 1] = arrivals[i + 1], arrivals[i]
    if not arrivals:
        return
    names = "abcdefgh"[:cameras]
    sync = RigSync(names, slop_ns=slop_ms * MS, deadline_ns=deadline_ms * MS)
    last = [0] * cameras
    for s in feed(sync, arrivals, until_ms=300):
        assert s.spread_ns <= slop_ms * MS
        assert len(s.present) == cameras or deadline_ms
        for i in s.present:
            assert s.items[i] == (i, s.stamps_ns[i])
            assert s.stamps_ns[i] > last[i]
            last[i] = s.stamps_ns[i]
    assert sum(sync.dropped.values()) <= len(arrivals)
