"""What public bug reports tell of stamps and arrivals: each kind, and two more of it."""

import random
from dataclasses import replace

import pytest

from fsmde_ros.sync import RigSync
from fsmde_ros.sync.simulation import (
    DEADLINE_NS,
    NAMES,
    SLOP_NS,
    Shot,
    SimulatedRig,
    approximate_time,
    is_mixed,
    replay,
)

MS = 1_000_000
SECOND = 1_000 * MS
DAY_MS = 86_400_000.0
YEAR_NS = 31_536_000 * SECOND


def rig_sync(deadline_ns=DEADLINE_NS, **options):
    return RigSync(NAMES, slop_ns=SLOP_NS, deadline_ns=deadline_ns, **options)


def per_camera(sets):
    return [sum(i in s.present for s in sets) for i in range(len(NAMES))]


def of(camera, change):
    """A function of (frame, camera) that is a constant for one camera and 0 for the rest."""
    return lambda frame, i: change if i == camera else 0


@pytest.mark.parametrize("camera", [0, 2, 5])
@pytest.mark.parametrize(
    ("ahead_ms", "text"),
    [
        (500, "500 ms ahead of"),
        (37_000, "37 s ahead of"),
        (DAY_MS, "86400 s ahead of"),
        (-37_000, "37 s behind"),
    ],
)
def test_a_clock_that_is_off_costs_its_own_camera_only(camera, ahead_ms, text):
    sync = rig_sync()
    shots = SimulatedRig(off_ms=of(camera, ahead_ms)).shots(60)
    sets = replay(sync, shots, after_ns=SECOND)
    assert per_camera(sets) == [0 if i == camera else 60 for i in range(6)]
    assert sync.problems(shots[-1].arrived_ns) == [
        f"stamps of {NAMES[camera]} are {text} the others"
    ]
    assert sync.silent(shots[-1].arrived_ns) == ()  # it came, and was refused
    assert sync.dropped["another clock"] == 60 and sync.resets == 0


def test_a_clock_200_ms_ahead_is_named_and_nobody_loses_anything():
    sync = rig_sync()
    shots = SimulatedRig(off_ms=of(0, 200)).shots(60)
    assert min(per_camera(replay(sync, shots))[1:]) == 60
    assert sync.problems(shots[-1].arrived_ns) == ["stamps of front are 200 ms ahead of the others"]


@pytest.mark.parametrize(
    ("off_ms", "named"), [(200, "front"), (500, "front"), (-500, "front_right")]
)
def test_of_two_cameras_the_one_whose_images_come_before_their_stamps_is_named(off_ms, named):
    """Of two clocks that differ, that one is wrong that is more ahead of the arrivals."""
    sync = RigSync(NAMES[:2], slop_ns=SLOP_NS, deadline_ns=DEADLINE_NS)
    shots = SimulatedRig(stagger_ms=(0, 8), off_ms=of(0, off_ms)).shots(60)
    sets = replay(sync, shots, after_ns=SECOND)
    healthy = NAMES[:2].index(named) ^ 1
    assert per_camera(sets)[healthy] == 60
    assert sync.problems(shots[-1].arrived_ns) == [
        f"stamps of {named} are {abs(off_ms)} ms ahead of the others"
    ]


def test_a_clock_that_is_set_while_the_rig_runs_is_that_of_the_others_again_afterwards():
    sync = rig_sync()
    off = {frame: 37_000 for frame in range(30, 60)}
    rig = SimulatedRig(off_ms=lambda frame, i: off.get(frame, 0) if i == 3 else 0)
    sets = replay(sync, rig.shots(120), after_ns=SECOND)
    assert per_camera(sets) == [120, 120, 120, 90, 120, 120]
    assert sync.problems(10 * SECOND) == []


@pytest.mark.parametrize(("step_ms", "every"), [(500, 2), (37_000, 2), (-37_000, 3)])
def test_a_clock_that_steps_back_and_forth(step_ms, every):
    sync = rig_sync()
    rig = SimulatedRig(off_ms=lambda f, i: step_ms if i == 0 and f % every == 0 else 0)
    shots = rig.shots(120)
    sets = replay(sync, shots, after_ns=SECOND)
    later = [s for s in sets if s.items[1].frame >= 12]  # at first it may pass for a slow camera
    assert per_camera(later)[1:] == [108] * 5
    assert not any(is_mixed(s.items) for s in sets)
    assert sum(len(s.present) == 6 for s in later) == 108 - 108 // every
    (problem,) = sync.problems(shots[-1].arrived_ns)
    assert "of the last 8 stamps of front are" in problem and "its clock steps" in problem


def test_one_stamp_a_day_ahead_costs_one_image():
    sync = rig_sync()
    rig = SimulatedRig(off_ms=lambda f, i: DAY_MS if (f, i) == (30, 0) else 0)
    assert per_camera(replay(sync, rig.shots(60), after_ns=SECOND)) == [59, 60, 60, 60, 60, 60]
    assert sync.resets == 0


@pytest.mark.parametrize("topics", [range(6), [0]], ids=["all topics", "one topic"])
def test_a_driver_and_a_bag_at_once(topics):
    sync = rig_sync()
    live = SimulatedRig().shots(60)
    bag = [
        replace(shot, stamp_ns=shot.stamp_ns - YEAR_NS, arrived_ns=shot.arrived_ns + 41 * MS)
        for shot in live
        if shot.camera in topics
    ]
    sets = replay(sync, sorted(live + bag, key=lambda shot: shot.arrived_ns), after_ns=SECOND)
    assert per_camera(sets) == [60] * 6
    assert len({s.newest_ns > live[0].stamp_ns - SECOND for s in sets}) == 1  # of one clock
    assert sync.resets == 0
    named = sync.problems(5 * SECOND)
    names = ", ".join(NAMES[i] for i in topics)
    assert named == [
        f"4 of the last 8 stamps of {names} are 31536000 s behind the others: its clock steps, or "
        "two publishers share its topic"
    ]


@pytest.mark.parametrize(
    ("late", "low_ms", "high_ms"),
    [({5}, 80, 120), ({0}, 200, 200), ({1, 4}, 130, 180)],
    ids=["one", "over two periods", "two"],
)
def test_late_images_are_not_taken_for_the_next_frame_and_the_camera_is_named(
    late, low_ms, high_ms
):
    rng = random.Random(0)
    rig = SimulatedRig(delay_ms=lambda f, i: rng.uniform(low_ms, high_ms) if i in late else 0)
    shots = rig.shots(101)
    sync = rig_sync()
    sets = replay(sync, shots, after_ns=SECOND)
    assert {n for i, n in enumerate(per_camera(sets)) if i not in late} == {101}
    assert not any(is_mixed(s.items) for s in sets)
    found = sync.problems(max(shot.arrived_ns for shot in shots if shot.camera not in late))
    assert [p.split(" come ")[0] for p in found] == [f"images of {NAMES[i]}" for i in sorted(late)]
    seconds = max(float(problem.split("deadline_s ")[1].split(" ")[0]) for problem in found)
    asked = round(seconds * SECOND)
    longer = replay(rig_sync(asked + 20 * MS), shots, after_ns=SECOND)  # 20 ms: how often it polls
    assert per_camera(longer) == [101] * 6


@pytest.mark.parametrize("off_ns", [0, 1, 999, 900_000, -1])
@pytest.mark.parametrize("cameras", [{3}, {0, 5}])
def test_images_sent_twice_with_a_rounded_stamp_are_duplicates(off_ns, cameras):
    """Each a second time, half a period later: a bridge that keeps microseconds does it."""
    shots = SimulatedRig().shots(60)
    again = [
        replace(shot, stamp_ns=shot.stamp_ns + off_ns, arrived_ns=shot.arrived_ns + 40 * MS)
        for shot in shots
        if shot.camera in cameras
    ]
    sync = rig_sync()
    sets = replay(sync, sorted([*shots, *again], key=lambda shot: shot.arrived_ns))
    assert sum(len(s.present) == 6 for s in sets) == 60
    names = ", ".join(NAMES[i] for i in sorted(cameras))
    assert sync.problems(5 * SECOND) == [f"4 of the last 8 images of {names} are duplicates"]


@pytest.mark.parametrize("apart_ms", [1, 3, 8])
@pytest.mark.parametrize("together", [2, 3])
def test_stamps_in_bursts_cost_their_own_camera_only_and_are_named(apart_ms, together):
    """As of images that are stamped on arrival, over a network that holds them back."""

    def to_the_first(frame, camera):
        n = frame % together
        return -n * (1000 / 12 - apart_ms) if camera == 3 and frame < 60 else 0

    sync = rig_sync()
    shots = SimulatedRig(off_ms=to_the_first).shots(160)
    bad = [shot for shot in shots if shot.frame < 60]
    sets = replay(sync, bad)
    assert not any(is_mixed(s.items) for s in sets)
    healthy = per_camera(sets)
    assert healthy.pop(3) == 0 and min(healthy) >= 45  # not while its period may still be learnt
    named = "stamps of back have no rhythm: it is in no set"
    assert sync.problems(bad[-1].arrived_ns) == [named]
    sets = replay(sync, shots[len(bad) :])
    assert per_camera(sets)[3] >= 85  # once it fires in a rhythm
    assert sync.problems(shots[-1].arrived_ns) == []


@pytest.mark.parametrize("every", [2, 3, 5])
def test_sets_that_are_too_wide_now_and_then_are_told_in_between(every):
    early = of(0, -25)
    rig = SimulatedRig(jitter_ms=lambda f, i: 0 if f % every or f < 30 else early(f, i))
    sync = RigSync(NAMES, slop_ns=50 * MS, deadline_ns=DEADLINE_NS)
    for shot in rig.shots(120):
        replay(sync, [shot])
        if shot.frame >= 40 and shot.camera == 0:
            assert any("ms > slop 50 ms" in text for text in sync.problems(shot.arrived_ns))
    replay(sync, SimulatedRig().shots(30, first=120))
    assert sync.problems(150 * 1000 // 12 * MS) == []


def test_images_late_for_a_while_are_a_problem_for_a_while():
    rig = SimulatedRig(delay_ms=lambda f, i: 200 if i == 5 and 30 <= f < 50 else 0)
    sync = rig_sync()
    shots = rig.shots(100)
    half = [shot for shot in shots if shot.arrived_ns < 45 * 1000 / 12 * MS]
    replay(sync, half)
    assert "images of front_left come" in "".join(sync.problems(half[-1].arrived_ns))
    replay(sync, shots[len(half) :])
    assert sync.problems(shots[-1].arrived_ns) == []


def test_a_front_camera_at_thirty_hertz_with_five_at_ten():
    rig = SimulatedRig(period_ms=100, stagger_ms=(0, 9, 18, 27, 36, 45))
    five = [shot for shot in rig.shots(100) if shot.camera]
    first = five[0].stamp_ns - five[0].arrived_ns
    thirty = [Shot(0, k, first + k * 100 * MS // 3, k * 100 * MS // 3) for k in range(300)]
    shots = sorted(thirty + five, key=lambda shot: shot.arrived_ns)
    sync = rig_sync()
    sets = replay(sync, shots)
    assert len(sets) == 100 and all(len(s.present) == 6 for s in sets)
    assert {s.items[0].frame % 3 for s in sets} == {1}  # 33 ms after the first: nearest to 27
    assert [round(hz) for hz in sync.rates_hz().values()] == [30, 10, 10, 10, 10, 10]
    assert sync.problems(shots[-1].arrived_ns) == []
    asked = replay(rig_sync(rate_hz=30), shots)
    assert len(asked) >= 299 and not any(s.missing for s in asked)
    assert sum(len(s.present) == 6 for s in asked) == 100


def test_a_camera_that_falls_to_half_its_rate_sets_the_pace():
    rig = SimulatedRig(lost=lambda f, i: i == 1 and f >= 60 and f % 2)
    sync = rig_sync()
    sets = replay(sync, rig.shots(240))
    late = [s for s in sets if s.items[2].frame >= 160]
    assert len(late) == 40 and all(len(s.present) == 6 for s in late)
    assert not any(is_mixed(s.items) for s in sets)


@pytest.mark.parametrize("off_ms", [10, 75])
def test_one_image_off_now_and_then_costs_no_other(off_ms):
    rig = SimulatedRig(
        period_ms=100, jitter_ms=lambda f, i: off_ms if i == 3 and f % 10 == 5 else 0
    )
    sync = rig_sync()
    sets = replay(sync, rig.shots(100), after_ns=SECOND)
    assert per_camera(sets)[:3] == [100] * 3
    assert sum(len(s.present) == 6 for s in sets) >= 90


def test_stamps_off_by_20_ms_at_10_hertz():
    rng = random.Random(0)
    rig = SimulatedRig(period_ms=100, jitter_ms=lambda f, i: rng.uniform(-20, 20))
    sets = replay(rig_sync(), rig.shots(300), after_ns=SECOND)
    assert len(sets) == 300 and not any(is_mixed(s.items) for s in sets)
    assert sum(len(s.present) == 6 for s in sets) >= 285  # in the others the spread is over slop


@pytest.mark.parametrize("hz", [1, 2, 12])
def test_a_camera_that_dies_is_named_within_two_of_its_periods(hz):
    rig = SimulatedRig(period_ms=1000 / hz, lost=lambda f, i: i == 3 and f >= 20)
    sync, died_ns = rig_sync(), round(19 / hz * SECOND) + 24 * MS
    patience_ns = max(2 * SECOND // hz, 600 * MS)
    named = {}
    for shot in rig.shots(24 if hz < 12 else 32):
        sync.add(shot.camera, shot.stamp_ns, shot, now_ns=shot.arrived_ns)
        named[shot.arrived_ns] = sync.silent(shot.arrived_ns)
    assert not any(silent for ns, silent in named.items() if ns < died_ns + 500 * MS)
    assert all(silent == (3,) for ns, silent in named.items() if ns > died_ns + patience_ns)


def test_a_frozen_frame_that_is_sent_again_and_again():
    rig = SimulatedRig()
    frozen = [
        replace(s, arrived_ns=s.arrived_ns + n * 83 * MS) for n in range(40) for s in rig.shots(1)
    ]
    sync = rig_sync()
    sets = replay(sync, frozen, after_ns=SECOND)
    assert sets and all(s.provisional and len(s.present) == 6 for s in sets)
    assert "are duplicates" in "".join(sync.problems(frozen[-1].arrived_ns))


@pytest.mark.parametrize("seconds", [0.5, 2.5, 20])
def test_a_bag_that_repeats_exactly(seconds):
    once = SimulatedRig(period_ms=83).shots(round(12 * seconds))
    loop_ns = round(12 * seconds) * 83 * MS
    loops = [replace(s, arrived_ns=s.arrived_ns + n * loop_ns) for n in range(3) for s in once]
    sync = rig_sync()
    sets = replay(sync, loops, after_ns=SECOND)
    assert len(sets) == 3 * round(12 * seconds) and all(len(s.present) == 6 for s in sets)
    assert sync.resets == 2
    assert not any(is_mixed(s.items) for s in sets)


def test_a_camera_that_starts_anew_elsewhere_is_no_drift():
    lost = range(40, 70)
    rig = SimulatedRig(
        jitter_ms=lambda f, i: 25 if i == 2 and f >= 70 else 0,
        lost=lambda f, i: i == 2 and f in lost,
    )
    sync = rig_sync()
    sets = replay(sync, rig.shots(160), after_ns=SECOND)
    assert per_camera(sets) == [160, 160, 130, 160, 160, 160]
    assert sync.problems(160 * SECOND // 12) == []
    phases = dict(entry.split() for entry in sync.summary(0)["camera phases [ms]"].split(", "))
    assert abs(int(phases["back_right"]) - (16 + 25)) <= 3


def test_a_drift_is_not_told_of_a_camera_that_ended():
    rig = SimulatedRig(
        jitter_ms=lambda f, i: 15 if i == 2 and f >= 40 else 0, lost=lambda f, i: i == 2 and f >= 90
    )
    shots = rig.shots(120)
    sync = rig_sync()
    replay(sync, shots[: 6 * 80])
    assert sync.problems(80 * SECOND // 12) == [
        "camera back_right fires 15 ms later in the set than it did"
    ]
    replay(sync, shots[6 * 80 :])
    assert sync.problems(10 * SECOND) == ["camera back_right silent for 2.6 s"]


@pytest.mark.parametrize("shift_ms", [5000, 3333])
def test_a_rig_that_pauses_goes_on_in_step_or_not(shift_ms):
    before = SimulatedRig(period_ms=83).shots(30)
    after = [
        replace(s, stamp_ns=s.stamp_ns + shift_ms * MS, arrived_ns=s.arrived_ns + shift_ms * MS)
        for s in SimulatedRig(period_ms=83).shots(30, first=30)
    ]
    sync = rig_sync()
    sets = replay(sync, before + after, after_ns=SECOND)
    assert len(sets) == 60 and all(len(s.present) == 6 for s in sets)
    assert sync.problems(after[-1].arrived_ns) == []


@pytest.mark.parametrize("hz", [2, 10, 30])
@pytest.mark.parametrize("sent", [1, 2, 3])
@pytest.mark.parametrize("stamps_pause", [True, False])
def test_a_pause_in_the_middle_of_a_set_makes_no_set_of_its_first_images(hz, sent, stamps_pause):
    stagger_ms = [i * 1000 / hz / 12 for i in range(6)]
    shots = SimulatedRig(period_ms=1000 / hz, stagger_ms=stagger_ms).shots(60)
    first, rest = shots[: 6 * 30 + sent], shots[6 * 30 + sent :]
    pause_ns = 3 * SECOND
    stamps_ns = pause_ns if stamps_pause else 0
    rest = [
        replace(s, arrived_ns=s.arrived_ns + pause_ns, stamp_ns=s.stamp_ns + stamps_ns)
        for s in rest
    ]
    sync = RigSync(NAMES, slop_ns=round(0.5e9 / hz), deadline_ns=DEADLINE_NS)
    sets = replay(sync, first + rest, after_ns=SECOND)
    assert not any(is_mixed(s.items) for s in sets)
    assert all(len(s.present) >= 3 for s in sets) and len(sets) >= 59


def test_a_player_that_is_stopped_loses_nothing():
    shots = SimulatedRig().shots(60)
    stopped = [replace(s, arrived_ns=s.arrived_ns + 5 * SECOND * (s.frame >= 30)) for s in shots]
    sync = rig_sync()
    assert per_camera(replay(sync, stopped, after_ns=SECOND)) == [60] * 6
    assert sync.resets == 0


def test_no_set_before_the_periods_are_known_unless_it_says_so():
    assert replay(rig_sync(), SimulatedRig().shots(2), after_ns=SECOND) == []
    first = replay(rig_sync(), SimulatedRig().shots(3))
    assert [s.items[0].frame for s in first] == [0]  # three images that agree are enough
    lost = {(1, 0), (3, 0)}  # but this could be a slower camera
    rig = SimulatedRig(lost=lambda f, i: (f, i) in lost)
    assert replay(rig_sync(), rig.shots(5), after_ns=SECOND) == []
    slow = SimulatedRig(period_ms=500).shots(20)
    sets = replay(rig_sync(), slow, after_ns=SECOND)
    assert [len(s.present) for s in sets] == [6] * 20
    assert sets[0].provisional and not sets[-1].provisional


def test_message_filters_mixes_where_we_do_not():
    """The reason for all this, on one stream: five per cent of the images are lost."""
    rng = random.Random(0)
    lost = {(f, i) for f in range(120) for i in range(6) if rng.random() < 0.05}
    shots = SimulatedRig(lost=lambda f, i: (f, i) in lost).shots(120)
    theirs = approximate_time(shots, cameras=6, slop_ns=SLOP_NS)
    ours = replay(rig_sync(), shots, after_ns=SECOND)
    assert sum(map(is_mixed, theirs)) > 60
    assert not any(is_mixed(s.items) for s in ours)
    assert sum(len(s.present) == 6 for s in ours) == 120 - len({f for f, _ in lost})
