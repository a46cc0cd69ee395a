"""Sets of stamps: which images of a rig belong together. Knows no ROS type.

A rig fires again and again: each time is a trigger, and a set is the images of one trigger. Each
camera has a rhythm (its period) and a phase (how long after the trigger it fires). A stamp less the
phase tells its trigger, however far apart the cameras of one trigger and however close two triggers
are; the nearest stamp does not. docs/synchronization.md explains it and measures it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from fsmde_ros.sync import report
from fsmde_ros.sync.attendance import Attendance
from fsmde_ros.sync.rig_clock import RigClock
from fsmde_ros.sync.triggers import Camera, Group, StampedImage, Trigger

Item = TypeVar("Item")

ORDER = 3 / 4  # of a period, after the longest wait of late: only then an image is given up
LATELY = 8  # sets: so long it is worth a word that one was too wide
ALONE = 4  # times the slop: so long nothing else may come, for a set before periods are known


@dataclass(frozen=True)
class StampedSet(Generic[Item]):
    """The items that belong together, in the rig's order; None where a camera is missing."""

    stamps_ns: tuple[int | None, ...]
    items: tuple[Item | None, ...]
    provisional: bool = False
    """Formed before the cameras' periods were known, by what the stamps alone can tell."""
    not_due: tuple[int, ...] = ()
    """Cameras slower than the rate asked for, whose turn it was not."""
    switched_off: tuple[int, ...] = ()
    """Cameras that nobody wants now."""

    @property
    def present(self) -> tuple[int, ...]:
        """Indices of the cameras that are in the set."""
        return tuple(i for i, stamp_ns in enumerate(self.stamps_ns) if stamp_ns is not None)

    @property
    def missing(self) -> tuple[int, ...]:
        """Indices of the cameras that should be in the set and are not."""
        there = {*self.present, *self.not_due, *self.switched_off}
        return tuple(i for i in range(len(self.stamps_ns)) if i not in there)

    @property
    def newest_ns(self) -> int:
        return max(stamp_ns for stamp_ns in self.stamps_ns if stamp_ns is not None)

    @property
    def spread_ns(self) -> int:
        return self.newest_ns - min(stamp for stamp in self.stamps_ns if stamp is not None)


@dataclass
class _Draft:
    """What a set would be made of now."""

    trigger: Trigger
    wanted: tuple[int, ...]
    images: dict[int, StampedImage]
    parts: list[tuple[Group, Trigger]] = field(default_factory=list)
    """Triggers of the groups of another pace."""
    missing: list[int] = field(default_factory=list)
    not_due: list[int] = field(default_factory=list)


def _stamp(image: StampedImage) -> int:
    return image.stamp_ns


class RigSync(Generic[Item]):
    """Forms sets of the images of one trigger, in order.

    A set goes out when all cameras are in, or deadline_ns after most cameras have come as far (0:
    only complete sets). Its spread is at most slop_ns and nine tenths of the period. Sets come at
    the pace of the slowest camera that is alive, or at rate_hz where that is given and faster; of a
    faster camera the image nearest to the trigger is taken, a slower one is waited for when due.

    Nothing goes out before the periods are known, unless no period could make a difference: then
    the set says that it is provisional. A camera that fell silent, or whose clock is not that of
    the majority, is not waited for. Where nothing that comes fits any more (a bag that loops, a
    clock that was set), time starts afresh, and `resets` counts if it went back.

    now_ns is the time of arrival on any clock that only goes forward.
    """

    def __init__(
        self, names: Sequence[str], *, slop_ns: int, deadline_ns: int = 0, rate_hz: float = 0.0
    ):
        self.names = tuple(names)
        self.slop_ns, self.deadline_ns = slop_ns, deadline_ns
        self._rate_is_asked = rate_hz > 0
        asked_ns = 1e9 / rate_hz if rate_hz else 0.0
        self.clock: RigClock[Item] = RigClock(
            len(self.names), slop_ns=slop_ns, deadline_ns=deadline_ns, asked_ns=asked_ns
        )
        self.attendance = Attendance(len(self.names))
        self.too_wide: tuple[int, int, int] | None = None
        """Spread, first and last camera of a set that was wider than allowed lately."""
        self.off: frozenset[int] = frozenset()
        """Cameras that are switched off: nothing of them is added, nothing is waited for."""
        self.ended: deque[bool] = deque(maxlen=24)
        """Of the last triggers, whether a set went out."""
        self._narrow = 0  # sets since

    @property
    def cameras(self) -> Sequence[Camera]:
        """What is known of each camera."""
        return self.clock.cameras

    @property
    def dropped(self) -> Counter[str]:
        """Images without a set, by cause."""
        return self.clock.dropped

    @property
    def resets(self) -> int:
        """How often time went back."""
        return self.clock.resets

    @property
    def pace_ns(self) -> float:
        """The period of the sets; 0 before it is known."""
        return self.clock.pace.period_ns if self.clock.pace else 0.0

    @property
    def slop_in_use_ns(self) -> int:
        """slop_ns, or nine tenths of the slowest cameras' period if that is less."""
        period_ns = int(self.clock.slowest_ns)
        return min(self.slop_ns, period_ns * 9 // 10) if period_ns else self.slop_ns

    def add(
        self, camera: int, stamp_ns: int, item: Item, *, now_ns: int
    ) -> StampedSet[Item] | None:
        """Take one camera's item; returns a set that is ready, if there is one."""
        self.attendance.pass_over_pause(now_ns, self.clock.periods_ns)
        self.attendance.note(camera, now_ns)
        image = StampedImage(stamp_ns, item, now_ns)
        self.clock.receive(camera, image)
        return self._next(now_ns) if self.clock.groups else None

    def poll(self, *, now_ns: int) -> StampedSet[Item] | None:
        """A set that the time makes ready, if there is one."""
        return self._next(now_ns) if self.clock.groups else self._provisional(now_ns)

    def trigger_ns(self, camera: int, stamp_ns: int) -> float:
        """When the rig fired for a camera's image; its own stamp, where that is not known yet."""
        phase = self.cameras[camera].phase
        return stamp_ns - phase.ns if phase else float(stamp_ns)

    def switch(self, off: Collection[int], *, now_ns: int) -> None:
        """Go on without these cameras, and with all others; the sets of those go on as ever.

        One that comes back is one that was silent: it is in the sets again as soon as it sends.
        """
        for i in self.off - set(off):
            self.attendance.expect(i, now_ns)
        for i in set(off) - self.off:
            self.clock.forget(i)
        self.off = self.clock.off = frozenset(off)

    def silent(self, now_ns: int) -> tuple[int, ...]:
        """Cameras that sent nothing for a while, or never did; of use or not."""
        silent = self.attendance.silent(now_ns, self.clock.periods_ns)
        return tuple(sorted(silent - self.off))

    def missing(self, now_ns: int) -> tuple[int, ...]:
        """The silent ones, or, before anything came, all that are not switched off."""
        everyone = [i for i in range(len(self.names)) if i not in self.off]
        if not any(map(self.attendance.came, everyone)):
            return tuple(everyone)
        return self.silent(now_ns)

    def rates_hz(self) -> dict[str, float]:
        """Each camera's rate, by its stamps; 0 where it is not known."""
        periods = [camera.rhythm.period_ns for camera in self.cameras]
        return {name: 1e9 / ns if ns else 0.0 for name, ns in zip(self.names, periods)}

    def summary(self, now_ns: int) -> dict[str, str | int]:
        """Counts and states, by the names that stand in the diagnostics."""
        return report.summary(self, now_ns)

    def problems(self, now_ns: int, *, explained: Collection[int] = ()) -> list[str]:
        """What is wrong with stamps and arrivals, one sentence each.

        Of cameras that are explained it is known why nothing came yet: nothing is said of that.
        """
        return report.problems(self, now_ns, explained=explained)

    def absent(self, now_ns: int, *, explained: Collection[int] = ()) -> list[str]:
        """Those of the problems that say who sends nothing."""
        return report.absent(self, now_ns, explained)

    def why_no_set(self, now_ns: int) -> str:
        """One sentence on what keeps a complete set from forming, as far as the stamps tell."""
        return report.why_no_set(self, now_ns)

    def _next(self, now_ns: int) -> StampedSet[Item] | None:
        """The oldest set that is ready; none while an older one may still become complete."""
        pending = self.clock.pace.pending
        if not pending:
            return None
        wanted = self._wanted(now_ns)
        for trigger in pending:
            self._note_due(trigger, wanted, now_ns)
        for n, trigger in enumerate(pending):
            draft = self._draft(trigger, wanted)
            if draft.missing and not self._is_late(trigger, now_ns):
                later = pending[n + 1 :]
                if not (later and self._is_lost(trigger, draft.missing, now_ns)):
                    return None
                if all(self._draft(t, wanted).missing for t in later):
                    return None
            if formed := self._form(draft):
                return formed
        return None

    def _wanted(self, now_ns: int) -> tuple[int, ...]:
        """The cameras that sets wait for; a pause of the whole rig makes none of them silent."""
        everyone = [i for i in range(len(self.cameras)) if i not in self.off]
        if not self.deadline_ns:
            return tuple(everyone)
        useful, periods_ns = self.clock.useful, self.clock.periods_ns
        silent = useful.silent(useful.heard_until_ns(now_ns, periods_ns), periods_ns)
        return tuple(i for i in everyone if i not in self.clock.foreign and i not in silent)

    def _draft(self, trigger: Trigger, wanted: tuple[int, ...]) -> _Draft:
        """A trigger of the pace and what goes with it of the other groups."""
        pace = self.clock.pace
        draft = _Draft(trigger, wanted, dict(trigger.images))
        for group in self.clock.groups:
            mine = [i for i in wanted if self.cameras[i].group is group]
            part = trigger if group is pace else self._part(group, trigger, pace.period_ns)
            if part is None:  # nothing comes nearer, and nothing is near
                draft.not_due += mine
                continue
            if part is not trigger and not part.over:
                draft.parts.append((group, part))
                draft.images |= part.images
            draft.missing += [i for i in mine if i not in part.images]
        draft.missing += [
            i for i in wanted if self.cameras[i].group is None and i not in trigger.images
        ]
        return draft

    def _part(self, group: Group, trigger: Trigger, pace_ns: float) -> Trigger | None:
        """The trigger of another group nearest to one of the pace, or an empty one to wait for.

        None where a slower group has its turn at another time.
        """
        awaited = Trigger(trigger.at_ns, trigger.arrived_ns)
        near = group.nearest(trigger.at_ns)
        if near is None:
            return awaited
        newest_ns, period_ns = group.newest_ns, group.period_ns
        if newest_ns + period_ns <= trigger.at_ns + min(period_ns, pace_ns) / 2:
            return awaited  # the next one will be nearer
        if period_ns > pace_ns and abs(near.at_ns - trigger.at_ns) > pace_ns / 2:
            return None if self._rate_is_asked else awaited
        return near

    def _note_due(self, trigger: Trigger, wanted: Sequence[int], now_ns: int) -> None:
        """A set is due once most of its cameras have come as far."""
        if trigger.due_ns is None:
            from_ns = trigger.at_ns - self.clock.pace.period_ns / 2
            newest = (self.cameras[i].newest_ns for i in wanted)
            if 2 * sum(ns is not None and ns > from_ns for ns in newest) > len(wanted):
                trigger.due_ns = now_ns

    def _is_late(self, trigger: Trigger, now_ns: int) -> bool:
        """Whether a set was waited for as long as may be."""
        if trigger.at_ns < self.clock.now_ns() - self.clock.hold_ns:
            return True
        due_ns = trigger.due_ns
        return bool(self.deadline_ns and due_ns and now_ns - due_ns >= self.deadline_ns)

    def _is_lost(self, trigger: Trigger, missing: Sequence[int], now_ns: int) -> bool:
        """Whether what is missing has never come that late: it is not just out of order."""
        waited_ns = now_ns - trigger.arrived_ns - ORDER * self.clock.pace.period_ns
        waits = [self.cameras[i].waits_ns for i in missing]
        return all(recent and waited_ns > max(recent) for recent in waits)

    def _form(self, draft: _Draft) -> StampedSet[Item] | None:
        """End a trigger; returns its set, if it makes one."""
        trigger = draft.trigger
        trigger.images = {}
        self.clock.pace.end(trigger, wanted=draft.wanted)
        for group, part in draft.parts:
            part.images = {}
            for passed in [t for t in group.pending if t.at_ns < part.at_ns]:
                group.end(passed)
            group.end(part, wanted=draft.wanted)
        newer = {i: im for i, im in draft.images.items() if im.stamp_ns > self.cameras[i].used_ns}
        kept = self._within_slop(newer)
        whole = not draft.missing and len(kept) == len(draft.images)
        goes = bool(kept and (whole or self.deadline_ns and 2 * len(kept) >= len(draft.wanted)))
        self.ended.append(goes)
        if not goes:
            self.dropped["without a set"] += len(draft.images)
            return None
        self.dropped["without a set"] += len(draft.images) - len(kept)
        lags = {i: image.arrived_ns - image.stamp_ns for i, image in kept.items()}
        trigger.lag_ns = sorted(lags.values())[len(lags) // 2]  # of two, the one that is not ahead
        for i, lag_ns in lags.items():
            self.cameras[i].ahead_ns.append(trigger.lag_ns - lag_ns)
        return self._set(kept, not_due=tuple(draft.not_due))

    def _within_slop(self, images: dict[int, StampedImage]) -> dict[int, StampedImage]:
        """Most of the images whose stamps are within slop of each other."""
        slop_ns = self.slop_in_use_ns
        stamps = sorted((image.stamp_ns, i) for i, image in images.items())
        if not stamps or stamps[-1][0] - stamps[0][0] <= slop_ns:
            self._narrow += 1
            if self._narrow >= LATELY:
                self.too_wide = None
            return images
        self._narrow = 0
        self.too_wide = (stamps[-1][0] - stamps[0][0], stamps[0][1], stamps[-1][1])
        groups = [[i for ns, i in stamps if 0 <= ns - start <= slop_ns] for start, _ in stamps]
        return {i: images[i] for i in max(groups, key=len)}

    def _set(self, images: dict[int, StampedImage], **fields) -> StampedSet[Item]:
        for i, image in images.items():
            self.cameras[i].used_ns = image.stamp_ns
        row = [images.get(i) for i in range(len(self.names))]
        stamps_ns = tuple(image and image.stamp_ns for image in row)
        items = tuple(image and image.item for image in row)
        return StampedSet(stamps_ns, items, switched_off=tuple(self.off), **fields)

    def _provisional(self, now_ns: int) -> StampedSet[Item] | None:
        """A set before periods are known, where slop is too small to mix two frames.

        The images of a camera are over twice the slop apart then, as far as they came; and a camera
        of which only one came had time for the next.
        """
        fresh = [[im for im in camera.waiting if not im.cause] for camera in self.cameras]
        oldest = {i: min(images, key=_stamp) for i, images in enumerate(fresh) if images}
        waiting = [(image.stamp_ns, i) for i, image in oldest.items()]
        if not waiting or any(c.rhythm.shortest_ns < 2 * self.slop_ns for c in self.cameras):
            return None
        end_ns = min(waiting)[0] + self.slop_ns
        images = {i: oldest[i] for ns, i in waiting if ns <= end_ns}
        waited_ns = now_ns - min(image.arrived_ns for image in images.values())
        complete = len(images) == len(self.names) - len(self.off)
        if waited_ns < max(ALONE * self.slop_ns, 0 if complete else self.deadline_ns):
            return None
        if not complete and not self.deadline_ns:
            return None
        for i, image in images.items():
            self.cameras[i].waiting.remove(image)
        if 2 * len(images) < len(self._wanted(now_ns)):
            self.dropped["without a set"] += len(images)
            return None
        return self._set(images, provisional=True)
