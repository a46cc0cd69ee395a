"""Which firing of its cameras an image is of. Knows no ROS type."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Generic, TypeVar

from fsmde_ros.sync.phases import LEARN, Phase, Rhythm, tightest

Item = TypeVar("Item")

QUEUE = 16  # images kept a camera while its rhythm is learnt or its clock is doubted
GUARD = 7 / 16  # of a period: an image farther from its place could be of the next trigger, too
PRIOR = 2  # images that the prediction of a trigger weighs as much as
IN_STEP = 10  # periods over which a prediction holds
CLEARLY = 1 / 8  # of a period: what a spread must shrink by for cameras to be counted anew
FOREIGN = 2  # of the last images of a camera off by the clock: it is not waited for

LATE, DUPLICATE, AHEAD, BEHIND = "late", "duplicate", "ahead", "behind"
ODD, ZERO, NEGATIVE = "odd", "zero", "negative"


@dataclass
class StampedImage(Generic[Item]):
    """One camera's item, its stamp and its arrival."""

    stamp_ns: int
    item: Item
    arrived_ns: int
    cause: str = ""
    """Why it was refused, if it was."""


@dataclass
class Camera:
    """What is known of one camera."""

    rhythm: Rhythm = field(default_factory=Rhythm)
    group: Group | None = None
    """The cameras of its pace; None while that is not known."""
    phase: Phase | None = None
    """When it fires in its group."""
    newest_ns: int | None = None
    """The latest stamp that was of use."""
    used_ns: int = 0
    """The stamp of its image in the latest set; what is older is late."""
    lag_ns: int | None = None
    """How long after its stamp the last image came that was of use."""
    waiting: deque[StampedImage] = field(default_factory=lambda: deque(maxlen=QUEUE))
    """Images that have no trigger yet, or were refused since the last that was not."""
    fates: deque[str] = field(default_factory=lambda: deque(maxlen=8))
    """Why its last images were refused; empty where they were not."""
    doubles: deque[bool] = field(default_factory=lambda: deque(maxlen=24))
    """Which of its last images were duplicates: stamps by a coarse clock repeat now and then."""
    ahead_ns: deque[int] = field(default_factory=lambda: deque(maxlen=9))
    """By how much its stamps were ahead of the others', judged by the arrivals."""
    waits_ns: deque[int] = field(default_factory=lambda: deque(maxlen=32))
    """How long after the first image of their trigger its own came."""
    late_ns: deque[int] = field(default_factory=lambda: deque(maxlen=8))
    """How long after their set was due those came that came too late."""

    @property
    def foreign(self) -> bool:
        """Whether its clock is not that of the others."""
        return self.fates.count(AHEAD) + self.fates.count(BEHIND) >= FOREIGN


@dataclass
class Trigger(Generic[Item]):
    """One firing of a group of cameras."""

    at_ns: int
    """The middle of its images' stamps, as the cameras' phases say."""
    arrived_ns: int
    """When its first image came."""
    images: dict[int, StampedImage[Item]] = field(default_factory=dict)
    """By camera; empty once it is over."""
    seen: set[int] = field(default_factory=set)
    """The cameras that had an image of it."""
    votes: int = 0
    """Images that made at_ns."""
    due_ns: int | None = None
    """When most cameras had come as far: the deadline counts from here."""
    wanted: tuple[int, ...] | None = None
    """The cameras that its set waited for, once it is over; None where no set was made of it."""
    over: bool = False
    lag_ns: int | None = None
    """How long after its stamp an image usually came, once a set was made of it."""


class Group(Generic[Item]):
    """Cameras of one period, and their latest triggers, the oldest first.

    A stamp less its camera's phase is the time of its trigger. Triggers are a period apart, and an
    image that is farther than GUARD from any is refused, so that none can slip into the next. Where
    twice the slop fits into the period, stamps alone tell triggers apart, and of one camera every
    image is a trigger: then they may be as irregular as they like.
    """

    def __init__(self, members: Mapping[int, Camera], *, slop_ns: int, dropped: Counter[str]):
        self.members = dict(members)
        self.period_ns = 0.0
        self.latest: list[Trigger[Item]] = []
        self.origin_ns = 0
        """A trigger, where none is in `latest`."""
        self._slop_ns, self._dropped = slop_ns, dropped
        self.over_ns: int | None = None
        """The last trigger that a set was waited for of."""
        self.follow()

    @property
    def apart_by_stamps(self) -> bool:
        """Whether triggers are so far apart that slop cannot mix them."""
        return 2 * self._slop_ns <= self.period_ns

    @property
    def pending(self) -> list[Trigger[Item]]:
        """Those that are not over."""
        return [trigger for trigger in self.latest if not trigger.over]

    def follow(self) -> None:
        """Take the period from the members, who may have become surer of it."""
        members = self.members.values()
        ours = [c for c in members if not c.foreign] or members
        self.period_ns = median(c.rhythm.period_ns for c in ours)

    @property
    def newest_ns(self) -> int:
        """The latest trigger."""
        return self.latest[-1].at_ns if self.latest else self.origin_ns

    def take_in(self, i: int, camera: Camera) -> None:
        """Make a camera a member: measure its phase, against a member that is in already if any."""
        rhythm, period_ns, from_ns = camera.rhythm, self.period_ns, self.newest_ns
        ns = rhythm.phase_ns(period_ns, from_ns) if period_ns else 0.0
        others = [c for c in self.members.values() if c.phase and len(c.rhythm) >= LEARN]
        if self.latest and others:
            surest = max(others, key=lambda other: len(other.rhythm))
            ns += surest.phase.ns - surest.rhythm.phase_ns(period_ns, from_ns)
            ns -= round(ns / period_ns) * period_ns
        camera.group, camera.phase = self, Phase(ns, rhythm.newest_ns)
        self.members[i] = camera

    def thin_out(self, pace: Group) -> None:
        """Of a faster group keep QUEUE triggers, those nearest to where the pace may have its."""

        def off(trigger: Trigger) -> float:
            turn = (trigger.at_ns - pace.newest_ns) / pace.period_ns
            return abs(turn - round(turn))

        if len(self.pending) > QUEUE:
            self.end(max(self.pending, key=off))

    def nearest(self, at_ns: int) -> Trigger[Item] | None:
        """The trigger closest to a time: mostly one of the newest, so they are tried first."""
        nearest, least_ns = None, math.inf
        for trigger in reversed(self.latest):
            off_ns = abs(trigger.at_ns - at_ns)
            if off_ns > least_ns:
                break
            nearest, least_ns = trigger, off_ns
        return nearest

    def place(self, i: int, camera: Camera, image: StampedImage[Item]) -> str:
        """Put an image to its trigger; returns why that cannot be, or nothing."""
        period, phase = self.period_ns, camera.phase
        expected = phase.expected_ns(image.stamp_ns, period) if phase else 0.0
        at_ns = image.stamp_ns - round(expected)
        trigger = self.nearest(at_ns)
        near_ns = trigger.at_ns if trigger else self.origin_ns
        if self.members.keys() == {i}:
            new_ns = at_ns
        elif self.apart_by_stamps:  # the first image tells when they fired, the rest is near it
            apart = self._slop_ns if trigger and trigger.votes else period / 2
            new_ns = at_ns if abs(at_ns - near_ns) > apart else near_ns
        else:
            steps = round((at_ns - near_ns) / period)
            new_ns = near_ns + round(steps * period)
            if steps > IN_STEP:
                new_ns = at_ns  # after a pause it need not go on in step
            if abs(at_ns - new_ns) > GUARD * period:
                return ODD
        if trigger is None or new_ns != near_ns:
            if self.over_ns is not None and new_ns <= self.over_ns + period / 4:
                return LATE
            trigger = Trigger(new_ns, image.arrived_ns)
            self.latest.append(trigger)
            self.latest.sort(key=lambda t: t.at_ns)
        camera.waits_ns.append(image.arrived_ns - trigger.arrived_ns)
        if phase:
            off = at_ns - trigger.at_ns
            phase.follow(image.stamp_ns, off, period)
            if not trigger.over:
                trigger.votes += 1
                prior = 0 if self.apart_by_stamps else PRIOR
                trigger.at_ns += round(off / (prior + trigger.votes))
        return self._put(i, camera, image, trigger)

    def _put(self, i: int, camera: Camera, image: StampedImage, trigger: Trigger) -> str:
        """Among the images of a trigger, unless it is over."""
        if i in trigger.seen or trigger.over and trigger.wanted is None:
            self._dropped["between sets"] += 1
            return ""
        if image.stamp_ns <= camera.used_ns and not trigger.over:
            return LATE
        trigger.seen.add(i)
        if trigger.over and i in trigger.wanted:
            camera.late_ns.append(image.arrived_ns - (trigger.due_ns or trigger.arrived_ns))
            if trigger.lag_ns is not None:
                lag_ns = image.arrived_ns - image.stamp_ns
                camera.ahead_ns.append(trigger.lag_ns - lag_ns)
            return LATE
        if trigger.over:  # it comes back, and nobody waited for it: a set of what comes back
            again = [t for t in self.pending if t.at_ns == trigger.at_ns]
            if not again:
                at = self.latest.index(trigger) + 1
                again = [Trigger(trigger.at_ns, image.arrived_ns, due_ns=image.arrived_ns)]
                self.latest[at:at] = again
            trigger = again[0]
        trigger.images[i] = image
        return ""

    def end(self, trigger: Trigger, *, wanted: tuple[int, ...] | None = None) -> None:
        """Wait for a trigger no longer: what still comes of it is late, or, of none, ignored."""
        if wanted is None:
            self._dropped["between sets"] += len(trigger.images)
        else:
            self.over_ns = max(trigger.at_ns, self.over_ns or trigger.at_ns)
        trigger.over, trigger.images, trigger.wanted = True, {}, wanted
        done = [t for t in self.latest if t.over]
        for old in done[: -2 * QUEUE]:
            self.latest.remove(old)

    def arrange(self, *, clearly_ns: float | None = None) -> None:
        """Count the cameras to triggers so that sets are tightest, if that is clearly better."""
        known = [camera for camera in self.members.values() if camera.phase]
        members = [c.phase for c in known if not c.foreign] or [c.phase for c in known]
        if not members or not self.period_ns:
            return
        clearly_ns = CLEARLY * self.period_ns if clearly_ns is None else clearly_ns
        old = [phase.ns for phase in members]
        new = tightest(old, self.period_ns, clearly_ns=clearly_ns)
        centre_ns = round((min(new) + max(new)) / 2)
        for phase, before, after in zip(members, old, new):
            phase.shift(after - before)
        for camera in known:
            camera.phase.shift(-centre_ns)
        for trigger in self.latest:
            trigger.at_ns += centre_ns
        self.origin_ns += centre_ns
        if self.over_ns is not None:
            self.over_ns += centre_ns

    def forget_time(self) -> None:
        """Time was set anew: no trigger is known, the phases hold."""
        self.latest, self.over_ns = [], None
        for camera in self.members.values():
            if camera.phase:
                camera.phase.restart()
