"""Random rigs: no set mixes two frames, and nearly all that can be had come out."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsmde_ros.sync import RigSync
from fsmde_ros.sync.phases import Rhythm, tightest
from fsmde_ros.sync.simulation import Shot, is_mixed, replay

MS = 1_000_000
START = 1_700_000_000_000 * MS
FRAMES = 120


def spoil(shots, rng, *, lost, doubled):
    kept = [shot for shot in shots if rng.random() >= lost]
    again = [replace(s, arrived_ns=s.arrived_ns + MS) for s in kept if rng.random() < doubled]
    return sorted(kept + again, key=lambda shot: shot.arrived_ns)


@settings(max_examples=40, deadline=None)
@given(
    cameras=st.integers(2, 8),
    hz=st.floats(1, 60),
    width=st.floats(0, 0.5),
    jitter=st.sampled_from([0, 0.02, 0.1, 0.25]),
    delay=st.floats(0, 3),
    scatter=st.sampled_from([0, 0, 0.3, 1]),
    lost=st.sampled_from([0, 0.02, 0.1]),
    doubled=st.sampled_from([0, 0.1]),
    seed=st.integers(0, 2**16),
)
def test_rigs_of_one_rate(cameras, hz, width, jitter, delay, scatter, lost, doubled, seed):
    """No set mixes frames, and 95 % of the possible sets come out.

    All cameras fire once a period, off by up to a quarter of it, at any place in its first half, or
    less where they jitter (beyond, the frame of an image is a matter of where one begins to count).
    Each camera's images come up to three periods late; with `scatter` each by another part of that,
    so that they overtake one another. Possible is a set whose images all arrived, the first before
    a later set was complete, and whose stamps are within slop (nine tenths of the period), from the
    first that came out on: a camera that jitters by a quarter of its period takes a dozen images
    until its period is known, and what comes before is not asked for. Nor is that one set of the
    last three, which nothing follows.
    """
    rng = random.Random(seed)
    period = 1e9 / hz
    stagger = [rng.uniform(0, width * (1 - 2 * jitter)) * period for _ in range(cameras)]
    usual = [rng.uniform(0, delay * (1 - scatter)) for _ in range(cameras)]
    shots = []
    for camera in range(cameras):
        for frame in range(FRAMES):
            fired = frame * period + stagger[camera] + rng.uniform(-jitter, jitter) * period
            late = (usual[camera] + rng.uniform(0, delay * scatter)) * period
            shots.append(Shot(camera, frame, START + round(fired), round(fired + late)))
    shots = spoil(shots, rng, lost=lost, doubled=doubled)
    sync = RigSync("abcdefgh"[:cameras], slop_ns=round(period))
    sets = replay(sync, shots, after_ns=round(6 * period))
    assert not any(is_mixed(s.items) for s in sets)
    stamps, arrivals = [{} for _ in range(FRAMES)], [{} for _ in range(FRAMES)]
    for shot in shots:
        stamps[shot.frame][shot.camera] = shot.stamp_ns
        arrivals[shot.frame].setdefault(shot.camera, shot.arrived_ns)
    whole = [max(at.values()) if len(at) == cameras else float("inf") for at in arrivals]
    first = next((s.items[0].frame for s in sets), 20)
    assert first <= 20
    possible = [
        frame
        for frame, at in enumerate(stamps[: FRAMES - 3])
        if frame >= first and len(at) == cameras
        and min(arrivals[frame].values()) < min(whole[frame + 1 :])
        and max(at.values()) - min(at.values()) < 0.88 * period
    ]  # fmt: skip
    out = {s.items[0].frame for s in sets}
    assert len(out.intersection(possible)) >= 0.95 * len(possible)


@settings(max_examples=20, deadline=None)
@given(
    rates=st.lists(st.sampled_from([1, 2, 5, 10, 12, 15, 20, 25, 30, 60]), min_size=2, max_size=8),
    jitter=st.sampled_from([0, 0.02, 0.05]),
    seed=st.integers(0, 2**16),
)
def test_rigs_of_several_rates(rates, jitter, seed):
    """Cameras of one rate never mix frames, and every frame of the slowest becomes a set.

    Which image of a faster camera belongs to a slower one's is a matter of nearness: it may be no
    further from it than one of its own periods allows. From the first set of the slowest pace on,
    95 % of the slowest cameras' frames are in a full set.
    """
    rng = random.Random(seed)
    slow = min(rates)
    begins = {rate: rng.uniform(0, 1) / rate for rate in rates}
    stagger = [begins[rate] + rng.uniform(0, 0.3) / rate for rate in rates]
    shots = [
        Shot(camera, frame, START + round(1e9 * fired), round(1e9 * fired))
        for camera, rate in enumerate(rates)
        for frame in range(40 * rate // slow)
        for fired in [frame / rate + stagger[camera] + rng.uniform(-jitter, jitter) / rate]
    ]
    shots.sort(key=lambda shot: shot.arrived_ns)
    sync = RigSync("abcdefgh"[: len(rates)], slop_ns=round(1e9 / slow))
    sets = replay(sync, shots, after_ns=round(3e9 / slow))
    for found in sets:
        for rate in set(rates):
            assert not is_mixed(s for s, r in zip(found.items, rates) if r == rate)
        assert found.spread_ns <= sync.slop_in_use_ns
    slowest = rates.index(slow)
    frames = sorted(found.items[slowest].frame for found in sets)
    assert frames[0] <= 14 and len(frames) >= 0.95 * (39 - frames[0])


@settings(max_examples=40, deadline=None)
@given(
    cameras=st.integers(1, 8),
    slop_ms=st.integers(0, 200),
    deadline_ms=st.sampled_from([0, 50, 200]),
    seed=st.integers(0, 2**16),
)
def test_whatever_arrives_sets_are_sound(cameras, slop_ms, deadline_ms, seed):
    """Noise: within slop, no stamp used twice, sets and cameras go forward, drops add up."""
    rng = random.Random(seed)
    shots = [
        Shot(rng.randrange(cameras), n, START + rng.randrange(-2000, 2000) * MS, n * 7 * MS)
        for n in range(300)
    ]
    sync = RigSync("abcdefgh"[:cameras], slop_ns=slop_ms * MS, deadline_ns=deadline_ms * MS)
    latest, resets, used = [0] * cameras, 0, set()
    for shot in shots:
        added = sync.add(shot.camera, shot.stamp_ns, shot, now_ns=shot.arrived_ns)
        for found in (added, sync.poll(now_ns=shot.arrived_ns)):
            if sync.resets > resets:
                latest, resets = [0] * cameras, sync.resets
            if found is None:
                continue
            assert found.spread_ns <= slop_ms * MS
            assert len(found.present) == cameras or deadline_ms
            for i in found.present:
                assert found.items[i].camera == i and found.items[i].frame not in used
                used.add(found.items[i].frame)
                assert found.stamps_ns[i] > latest[i]
                latest[i] = found.stamps_ns[i]
    assert sum(sync.dropped.values()) + len(used) <= len(shots)


@pytest.mark.parametrize("lost", [0, 0.3])
@pytest.mark.parametrize("jitter_ms", [0, 20])
def test_a_period_whatever_is_lost_doubled_or_late(lost, jitter_ms):
    rng = random.Random(1)
    rhythm = Rhythm()
    stamps = [START + round((100 * k + rng.uniform(-jitter_ms, jitter_ms)) * MS) for k in range(60)]
    stamps = [stamp for stamp in stamps if rng.random() >= lost]
    for i in range(0, len(stamps) - 1, 2):
        stamps[i], stamps[i + 1] = stamps[i + 1], stamps[i]
    for stamp in stamps:
        rhythm.beat(stamp)
    assert rhythm.known
    rhythm.adopt(100 * MS)  # as cameras that fire together agree on it
    assert rhythm.period_ns == pytest.approx(100 * MS, rel=0.015)


def test_a_set_begins_after_the_longest_pause():
    assert tightest([0, 10, 70, 80], 100, clearly_ns=0) == [100, 110, 70, 80]
    assert tightest([0, 10, 45, 55], 100, clearly_ns=0) == [0, 10, 45, 55]
    assert tightest([0, 25, 50, 75], 100, clearly_ns=0) == [0, 25, 50, 75]  # all alike: as listed
    assert tightest([0, 10, 60, 55], 100, clearly_ns=12) == [0, 10, 60, 55]  # not clearly better
