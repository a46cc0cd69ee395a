"""What is wrong with the images of a rig, in sentences. Knows no ROS type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from statistics import median
from typing import TYPE_CHECKING

from fsmde_ros.sync.phases import RECENT
from fsmde_ros.sync.triggers import (
    AHEAD,
    BEHIND,
    CLEARLY,
    DUPLICATE,
    FOREIGN,
    LATE,
    NEGATIVE,
    ODD,
    QUEUE,
    ZERO,
    Camera,
)

if TYPE_CHECKING:
    from fsmde_ros.sync.rig_sync import RigSync

ALL_SILENT = "no new images from any camera"
WORTH_NS = 2_000_000_000  # what was wrong with a camera's last images is told for so long
OFTEN = 2  # of a camera's last images: what happened once is no problem yet
LEAST_AHEAD_NS = 150_000_000  # transports differ by less
LEAST_DRIFT_NS = 5_000_000  # what jitters less than this does not drift
DEADLINE_STEP_NS = 10_000_000
NOTABLE = 0.1  # of the last sets
STEADY = 0.45  # agreement of a camera's stamps on its period: 0.64 where they jitter by a quarter


def problems(sync: RigSync, now_ns: int, *, explained: Collection[int] = ()) -> list[str]:
    """As RigSync.problems: what keeps sets from forming first."""
    sending = _sending(sync, now_ns)
    cameras = {sync.names[i]: sync.cameras[i] for i in sending}
    found = _of_whom({name: _no_time(camera) for name, camera in cameras.items()})
    found += absent(sync, now_ns, explained)
    found += _of_whom({name: _clock(sync, camera) for name, camera in cameras.items()})
    found += _of_whom({name: _arrivals(sync, camera) for name, camera in cameras.items()})
    if sync.too_wide is not None and sending:
        spread_ns, first, last = sync.too_wide
        found.append(
            f"spread {spread_ns / 1e6:.0f} ms > slop {sync.slop_in_use_ns / 1e6:.0f} ms, "
            f"from {sync.names[first]} to {sync.names[last]}"
        )
    found += _of_whom({name: _rhythm(sync, camera) for name, camera in cameras.items()})
    if sending and not found:
        found += _incomplete(sync)
    return found + drifts(sync, now_ns)


def why_no_set(sync: RigSync, now_ns: int) -> str:
    """What keeps a complete set from forming, as far as stamps and arrivals tell."""
    found = problems(sync, now_ns)
    if found:
        return found[0]
    never = [sync.names[i] for i in _wanted(sync) if not sync.attendance.came(i)]
    if never:
        return f"no image yet from {', '.join(never)}"
    if not sync.clock.groups:
        unknown = [sync.names[i] for i in _wanted(sync) if not sync.cameras[i].rhythm.known]
        return f"the periods of {', '.join(unknown)} are not known yet"
    return "images arrive but do not come together"


def summary(sync: RigSync, now_ns: int) -> dict[str, str | int]:
    """Counts and states, by the names that stand in the diagnostics."""
    values: dict[str, str | int] = {
        f"image dropped: {cause}": n for cause, n in sorted(sync.dropped.items()) if n
    }
    homes = {
        name: camera.phase.home_ns
        for name, camera in zip(sync.names, sync.cameras)
        if camera.phase is not None and camera.phase.home_ns is not None
    }
    if homes:
        first_ns = min(homes.values())
        phases = [f"{name} {(ns - first_ns) / 1e6:.0f}" for name, ns in homes.items()]
        values["camera phases [ms]"] = ", ".join(phases)
    missing = [sync.names[i] for i in sync.missing(now_ns)]
    rates = [f"{name} {hz:.3g}" for name, hz in sync.rates_hz().items() if hz]
    return values | {
        "camera rates [Hz]": ", ".join(rates) or "not known yet",
        "missing cameras": ", ".join(missing) or "none",
        "time resets": sync.resets,
    }


def drifts(sync: RigSync, now_ns: int) -> list[str]:
    """A sentence for each camera that has left its usual place in the set."""
    cameras = {sync.names[i]: sync.cameras[i] for i in _sending(sync, now_ns)}
    moved = {
        name: camera.phase.left_home_ns
        for name, camera in cameras.items()
        if camera.phase and camera.phase.home_ns is not None
    }
    if not moved:
        return []
    period_ns = sync.clock.pace.period_ns
    common_ns = median(moved.values())  # where most cameras say that the set begins now
    limit_ns = max(CLEARLY * period_ns, LEAST_DRIFT_NS)
    return [
        f"camera {name} fires {abs(ns) / 1e6:.0f} ms "
        f"{'later' if ns > 0 else 'earlier'} in the set than it did"
        for name, ns in ((n, _within(ns - common_ns, period_ns)) for n, ns in moved.items())
        if abs(ns) > limit_ns
    ]


def _within(ns: float, period_ns: float) -> float:
    """Less whole periods: a camera that drifted on is in the next set."""
    return ns - round(ns / period_ns) * period_ns if period_ns else ns


def _wanted(sync: RigSync) -> list[int]:
    """Cameras that are not switched off."""
    return [i for i in range(len(sync.names)) if i not in sync.off]


def _sending(sync: RigSync, now_ns: int) -> list[int]:
    """Cameras with images so new that what is wrong with them is worth a word."""
    return [
        i
        for i in _wanted(sync)
        if sync.attendance.came(i)
        and sync.attendance.without_ns(i, now_ns)
        <= max(WORTH_NS, 3 * sync.cameras[i].rhythm.period_ns)
    ]


def _of_whom(found: Mapping[str, list[str]]) -> list[str]:
    """Sentences by camera, with {} for its name: one for all of which the same is to be said."""
    names = defaultdict(list)
    for name, sentences in found.items():
        for text in sentences:
            names[text].append(name)
    return [text.format(", ".join(who)) for text, who in names.items()]


def _incomplete(sync: RigSync) -> list[str]:
    """Whether many sets do not go out because only complete ones may."""
    lost = sync.ended.count(False)
    if sync.deadline_ns or lost < max(OFTEN, NOTABLE * len(sync.ended)):
        return []
    return [f"{lost} of the last {len(sync.ended)} sets did not go out: deadline_s 0, not complete"]


def _no_time(camera: Camera) -> list[str]:
    """Whether its last stamp says no time."""
    last = camera.fates[-1] if camera.fates else ""
    return [f"stamps of {{}} are {last}"] if last in (ZERO, NEGATIVE) else []


def absent(sync: RigSync, now_ns: int, explained: Collection[int]) -> list[str]:
    """Cameras that never came or fell silent; one sentence if that is all of them."""
    missing = sync.missing(now_ns)
    came = [i for i in _wanted(sync) if sync.attendance.came(i)]
    if came and set(missing) >= set(came):
        return [ALL_SILENT]
    never = [sync.names[i] for i in missing if i not in came and i not in explained]
    found = [f"no image yet from {', '.join(never)}"] if never else []
    fell_silent = [
        f"{sync.names[i]} silent for {sync.attendance.without_ns(i, now_ns) / 1e9:.1f} s"
        for i in missing
        if i in came
    ]
    return found + ([f"camera {', '.join(fell_silent)}"] if fell_silent else [])


def _clock(sync: RigSync, camera: Camera) -> list[str]:
    """Whether a camera's stamps are of another time than the others'."""
    off = [ns for ns in camera.ahead_ns if abs(ns) > max(sync.deadline_ns, LEAST_AHEAD_NS)]
    jumps = camera.fates.count(AHEAD) + camera.fates.count(BEHIND)
    if FOREIGN <= jumps < len(camera.fates) and off:
        return [
            f"{jumps} of the last {len(camera.fates)} stamps of {{}} are {_how_far(off)}: "
            "its clock steps, or two publishers share its topic"
        ]
    if 2 * len(off) <= len(camera.ahead_ns) or (not jumps and median(off) < 0):
        return []  # arrivals that are late without a jump are told by _arrivals
    return [f"stamps of {{}} are {_how_far(off)}"]


def _how_far(ahead_ns: list[int]) -> str:
    ns = median(ahead_ns)
    seconds = abs(ns) / 1e9
    number = f"{1e3 * seconds:.0f} ms" if seconds < 0.995 else f"{seconds:.3g} s"
    if seconds >= 999:
        number = f"{seconds:.0f} s"
    return f"{number} {'ahead of' if ns > 0 else 'behind'} the others"


def _rhythm(sync: RigSync, camera: Camera) -> list[str]:
    """Whether no period can be told of a camera, or its stamps hardly keep it.

    Where slop is much smaller than the period they need not.
    """
    group, rhythm = camera.group, camera.rhythm
    alone = group is None or len(sync.names) == 1
    if not alone and not group.apart_by_stamps and len(rhythm) > RECENT // 2:
        if rhythm.agreement(group.period_ns) < STEADY:
            return [
                "stamps of {} jitter by over a quarter of their period: "
                "some of its images may be in the wrong set"
            ]
    waiting = [image for image in camera.waiting if not image.cause]
    if not sync.clock.groups or camera.group is not None or len(waiting) < QUEUE:
        return []
    return ["stamps of {} have no rhythm: it is in no set"]


def _arrivals(sync: RigSync, camera: Camera) -> list[str]:
    found = []
    late = camera.fates.count(LATE)
    if late >= OFTEN and not camera.late_ns:
        found.append(
            f"{late} of the last {len(camera.fates)} stamps of {{}} go back: its clock steps, two "
            "publishers share its topic, or images overtake each other"
        )
    elif late >= OFTEN:
        late_ns = max(camera.late_ns)
        needed_ns = -(-late_ns // DEADLINE_STEP_NS) * DEADLINE_STEP_NS
        text = f"images of {{}} come {late_ns / 1e6:.0f} ms after their set is due"
        if 0 < sync.deadline_ns < needed_ns:
            text += (
                f": deadline_s {needed_ns / 1e9:g} would hold it, not {sync.deadline_ns / 1e9:g} "
                "(or its clock is behind)"
            )
        found.append(text)
    # a clock that ticks more slowly than a camera fires makes a rhythm of its own, with duplicates
    alone = camera.group is not None and len(camera.group.members) == 1
    often = [  # of the last 8, or of more: stamps by a coarse clock repeat now and then
        f"{doubles} of the last {len(recent)} images of {{}} are duplicates"
        for recent, what in ((camera.fates, DUPLICATE), (camera.doubles, True))
        if (doubles := recent.count(what)) >= (1 if alone else OFTEN)
    ]
    found += often[:1]
    if (odd := camera.fates.count(ODD)) >= OFTEN:
        found.append(f"{odd} of the last {len(camera.fates)} stamps of {{}} are out of rhythm")
    return found
