"""The time of a rig: which cameras keep which pace, and whose stamps to believe. No ROS type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Generic, TypeVar

from fsmde_ros.sync.attendance import Attendance
from fsmde_ros.sync.phases import AGREE, LEARN, SAME, agree, groups_of_one_period, mean_phase_ns
from fsmde_ros.sync.triggers import (
    AHEAD,
    BEHIND,
    DUPLICATE,
    LATE,
    NEGATIVE,
    ODD,
    QUEUE,
    ZERO,
    Camera,
    Group,
    StampedImage,
)

Item = TypeVar("Item")

HOLD_PERIODS = 5  # a set is kept so long for its rest; a stamp farther off is of another clock
HOLD_NS = 250_000_000  # and never less: transports differ, whatever the rate
REVIEW = 8  # images of each camera between two looks at who fires together
NEAR_PACE = 0.15  # the share by which a rate asked for may be missed
PATIENCE_NS = 2_000_000_000  # so long the first cameras that are known wait for the rest to be
PATIENCE = 20  # and so many periods of theirs
COUNTED_AS = {
    LATE: "late or duplicate",
    DUPLICATE: "late or duplicate",
    AHEAD: "another clock",
    BEHIND: "another clock",
    ODD: "out of rhythm",
    ZERO: "zero stamp",
    NEGATIVE: "negative stamp",
}
"""Why an image is refused, and under which cause it is counted."""


class RigClock(Generic[Item]):
    """Cameras in groups of one period; `pace` is the group whose triggers are the rig's sets.

    Images wait until the periods are known (`groups` is empty until then). Most cameras say what
    time it is; an image that is far from it is refused. When nothing that comes fits any more,
    time starts afresh.
    """

    def __init__(self, cameras: int, *, slop_ns: int, deadline_ns: int, asked_ns: float):
        self.cameras = [Camera() for _ in range(cameras)]
        self.groups: list[Group[Item]] = []
        """The slowest first."""
        self.pace: Group[Item] | None = None
        """The slowest with a camera that is alive, or a faster one where a rate is asked for."""
        self.useful = Attendance(cameras)
        """Who sent images that were not refused."""
        self.lost: set[int] = set()
        """Cameras that have no say: nothing of use came from them for long, or ever."""
        self.foreign: set[int] = set()
        """Cameras whose clock is not that of the others; of a minority only."""
        self.off: frozenset[int] = frozenset()
        """Cameras that are switched off; they are lost at once."""
        self.dropped: Counter[str] = Counter()
        self.resets = 0
        self._slop_ns, self._deadline_ns, self._asked_ns = slop_ns, deadline_ns, asked_ns
        self._learning_since: int | None = None
        self._received = 0
        self._refused = 0  # images in a row, of any camera
        self._arrived_ns: int | None = None

    @property
    def hold_ns(self) -> float:
        """How long a trigger is kept for the rest of its images, by the stamps."""
        period_ns = max(self.slowest_ns, self.pace.period_ns)
        return max(HOLD_PERIODS * period_ns, self._deadline_ns + 2 * period_ns, HOLD_NS)

    @property
    def slowest_ns(self) -> float:
        """The period of the slowest cameras that are alive; 0 before it is known."""
        return max((g.period_ns for g in self.groups if self._alive(g)), default=0.0)

    @property
    def periods_ns(self) -> list[int]:
        """By camera; 0 where nothing is known."""
        return [camera.rhythm.period_ns for camera in self.cameras]

    def now_ns(self) -> int:
        """The latest stamps, as most cameras say."""
        newest = sorted(
            camera.newest_ns
            for i, camera in enumerate(self.cameras)
            if camera.newest_ns is not None and i not in self.lost
        )
        if newest:
            return newest[(len(newest) - 1) // 2]
        return self.pace.newest_ns

    def _look_round(self) -> None:
        """See who is lost, and with that which group sets the pace."""
        now_ns = self._arrived_ns or 0
        self.lost = self.useful.gone(now_ns, self.periods_ns) | self.off
        foreign = {i for i, camera in enumerate(self.cameras) if camera.foreign}
        self.foreign = foreign if 2 * len(foreign) < len(self.cameras) else set()
        if self.groups:
            alive = [group for group in self.groups if self._alive(group)] or self.groups
            enough = [g for g in alive if g.period_ns <= self._asked_ns * (1 + NEAR_PACE)]
            self.pace = enough[0] if enough else alive[-1 if self._asked_ns else 0]

    def forget(self, i: int) -> None:
        """Leave out the images of a camera that are in no set yet: it was switched off."""
        kept = [t.images for group in self.groups for t in group.pending if i in t.images]
        waiting = [image for image in self.cameras[i].waiting if not image.cause]
        self.dropped["switched off"] += len(kept) + len(waiting)
        for images in kept:
            del images[i]
        self.cameras[i].waiting.clear()

    def receive(self, i: int, image: StampedImage[Item]) -> None:
        """Take an image of camera i; a refused one is counted."""
        camera = self.cameras[i]
        self._arrived_ns = image.arrived_ns
        self.useful.pass_over_pause(image.arrived_ns, self.periods_ns)
        self._look_round()
        if i in self.lost and camera.rhythm.known:
            camera.rhythm.restart()
            if camera.phase:
                camera.phase.leave_home()
        stands = camera.rhythm.stands(image.stamp_ns)
        cause = self._file(i, image)
        camera.fates.append(cause)
        camera.doubles.append(cause == DUPLICATE)
        if cause:
            self._refuse(camera, image, cause)
            if cause not in (ZERO, NEGATIVE) and not stands:  # stamps that stand are no new time
                self._refused += 1
            if self._refused > 2 * len(self.cameras) + 1:
                self._start_over()
        else:
            self._refused = 0
        if cause in ("", LATE):
            self.useful.note(i, image.arrived_ns)
        self._received += 1
        if self._received % (REVIEW * len(self.cameras)) == 0:
            self._review()

    def _file(self, i: int, image: StampedImage) -> str:
        """Returns why an image is refused, or nothing."""
        camera = self.cameras[i]
        if image.stamp_ns <= 0:
            return ZERO if image.stamp_ns == 0 else NEGATIVE
        if image.stamp_ns in camera.rhythm:
            return DUPLICATE
        if not self.groups:
            if image.stamp_ns <= camera.used_ns:
                return LATE
            self._let_wait(camera, image)
            if self._can_start():
                self._regroup()
            return ""
        if camera.group is None and not self.pace.apart_by_stamps:
            self._let_wait(camera, image)
            self._learn(i)
            return ""
        if cause := self._foreign(camera, image):
            return cause
        measured = camera.rhythm.beat(image.stamp_ns)
        cause = self._place(i, image)
        if not cause:
            camera.waiting.clear()
            if measured or camera.group is None:
                self._follow(i)
        elif [*camera.fates, cause][-LEARN:] == [ODD] * LEARN:
            self._learn(i)  # it fires at another time than it did
        return cause

    def _foreign(self, camera: Camera, image: StampedImage) -> str:
        """Whether a stamp is of another clock than most cameras'.

        Ahead is told by the arrivals: the images of most cameras come longer after their stamps.
        Behind is not: a player that was stopped delays all of them, one after another.
        """
        if len(self.cameras) == 1:
            return ""
        lags = sorted(
            camera.lag_ns
            for i, camera in enumerate(self.cameras)
            if camera.lag_ns is not None and i not in self.lost
        )
        usual_ns = lags[len(lags) // 2] if lags else None
        hold_ns = self.hold_ns
        own_ns = image.arrived_ns - image.stamp_ns
        cause = ""
        if usual_ns is not None and usual_ns - own_ns > hold_ns:
            cause = AHEAD
        elif image.stamp_ns - self.now_ns() < -3 * hold_ns:
            cause = BEHIND
        if cause and usual_ns is not None:
            camera.ahead_ns.append(usual_ns - own_ns)
        return cause

    def _place(self, i: int, image: StampedImage) -> str:
        camera = self.cameras[i]
        group = camera.group or self.pace
        cause = group.place(i, camera, image)
        if cause in ("", LATE):
            camera.newest_ns = max(image.stamp_ns, camera.newest_ns or image.stamp_ns)
            camera.lag_ns = image.arrived_ns - image.stamp_ns
        if group.period_ns < self.pace.period_ns:
            group.thin_out(self.pace)
        return cause

    def _let_wait(self, camera: Camera, image: StampedImage) -> None:
        if image.stamp_ns not in camera.rhythm:
            camera.rhythm.beat(image.stamp_ns)
        camera.lag_ns = image.arrived_ns - image.stamp_ns
        self._queue(camera, image)

    def _refuse(self, camera: Camera, image: StampedImage, cause: str) -> None:
        image.cause = cause
        self.dropped[COUNTED_AS[cause]] += 1
        if cause not in (ZERO, NEGATIVE):
            self._queue(camera, image)

    def _queue(self, camera: Camera, image: StampedImage) -> None:
        if len(camera.waiting) == QUEUE and not camera.waiting[0].cause:
            self.dropped["without a set"] += 1
        camera.waiting.append(image)

    def _file_again(self, images: Iterable[tuple[int, StampedImage]], from_ns: int) -> None:
        """Place images again, from a time on outwards: a period learnt so far is a rough one."""
        filed = set()
        for i, image in sorted(images, key=lambda entry: abs(entry[1].stamp_ns - from_ns)):
            camera = self.cameras[i]
            if (i, image.stamp_ns) in filed or image.stamp_ns <= camera.used_ns:
                continue  # a duplicate or late, and counted as such
            filed.add((i, image.stamp_ns))
            if image.cause:
                self.dropped[COUNTED_AS[image.cause]] -= 1
                image.cause = ""
            if not self.groups or camera.group is None and not self.pace.apart_by_stamps:
                self._let_wait(camera, image)
                continue
            cause = self._foreign(camera, image)
            if not cause and image.stamp_ns not in camera.rhythm:
                camera.rhythm.beat(image.stamp_ns)
            if cause := cause or self._place(i, image):
                self._refuse(camera, image, cause)

    # Groups

    def _alive(self, group: Group) -> bool:
        return not group.members.keys() <= self.lost | self.foreign

    def _can_start(self) -> bool:
        """Whether the periods of the cameras that are there are known."""
        if len(self.cameras) == 1:
            return True
        if agree([c.rhythm for i, c in enumerate(self.cameras) if i not in self.off]):
            for camera in self.cameras:
                camera.rhythm.believe()
            return True
        if not any(camera.rhythm.known for camera in self.cameras):
            return False
        now_ns = self._arrived_ns
        if self._learning_since is None:
            self._learning_since = now_ns
        silent = self.useful.silent(now_ns, self.periods_ns) | self.off
        learning = [
            camera
            for i, camera in enumerate(self.cameras)
            if not camera.rhythm.known and i not in silent
        ]
        patience_ns = max((PATIENCE * c.rhythm.period_ns for c in learning), default=0)
        return not learning or now_ns - self._learning_since > max(PATIENCE_NS, patience_ns)

    def _regroup(self) -> None:
        """Learn groups and phases from the latest stamps, and place all images again."""
        images = [(i, im) for g in self.groups for t in g.latest for i, im in t.images.items()]
        images += [(i, image) for i, c in enumerate(self.cameras) for image in c.waiting]
        learnt = self._learnt()
        newest = sorted(c.rhythm.newest_ns for c in learnt.values())
        origin_ns = newest[(len(newest) - 1) // 2]
        for camera in self.cameras:
            camera.waiting.clear()
            camera.group = camera.phase = camera.newest_ns = None
        over_ns = max((g.over_ns for g in self.groups if g.over_ns is not None), default=None)
        self.groups = []
        for period_ns, keys in groups_of_one_period({i: c.rhythm for i, c in learnt.items()}):
            members = {i: learnt[i] for i in keys}
            for camera in members.values():
                camera.rhythm.adopt(period_ns)
            group = Group(members, slop_ns=self._slop_ns, dropped=self.dropped)
            group.origin_ns = origin_ns
            for i, camera in members.items():
                group.take_in(i, camera)
            group.arrange(clearly_ns=0)
            group.over_ns = over_ns
            self.groups.append(group)
        self._look_round()
        self._file_again(images, origin_ns)

    def _learnt(self) -> dict[int, Camera]:
        """The cameras whose period can be told now."""
        return {
            i: camera
            for i, camera in enumerate(self.cameras)
            if len(self.cameras) == 1
            or camera.rhythm.known
            and len(camera.rhythm) >= (LEARN if self.groups else AGREE)
            and i not in self.lost
        }

    def _review(self) -> None:
        """Look again at who fires together, and in which order: the longer the surer."""
        learnt = self._learnt()
        parted = [
            camera.rhythm
            for camera in learnt.values()
            if camera.group is not None and camera.rhythm.contradicts(camera.group.period_ns)
        ]
        for rhythm in parted:
            rhythm.adopt(0)
        met = any(
            mine
            and other is not group
            and all(learnt[i].rhythm.fits(other.period_ns) >= SAME for i in mine)
            for group in self.groups
            for mine in [group.members.keys() & learnt.keys()]
            for other in self.groups
        )
        if parted or met:
            self._regroup()
        for group in self.groups:
            group.arrange()

    def _learn(self, i: int) -> None:
        """Find one camera's group and its place in there, from its latest stamps."""
        camera = self.cameras[i]
        if not camera.rhythm.known or len(camera.rhythm) < LEARN:
            return
        group = min(self.groups, key=lambda g: abs(camera.rhythm.period_ns - g.period_ns))
        if camera.rhythm.fits(group.period_ns) < SAME or len(group.members) == 1:
            self._regroup()
            return
        group.take_in(i, camera)
        group.arrange()
        images = [(i, image) for image in camera.waiting]
        camera.waiting.clear()
        self._file_again(images, camera.rhythm.newest_ns)

    def _follow(self, i: int) -> None:
        """Let the period of a camera's group follow."""
        camera = self.cameras[i]
        if camera.group is None:
            self._learn(i)
        else:
            camera.group.follow()

    # Time

    def _start_over(self) -> None:
        """Nothing fits any more: take the time of what comes now; groups and phases hold."""
        images = [(i, image) for i, c in enumerate(self.cameras) for image in c.waiting]
        pending = [t for g in self.groups for t in g.latest]
        self.dropped["without a set"] += sum(len(t.images) for t in pending)
        stamps = sorted(image.stamp_ns for _, image in images)
        now_ns = stamps[len(stamps) // 2]
        if now_ns <= max(camera.used_ns for camera in self.cameras) or not self.groups:
            self.resets += 1
            for camera in self.cameras:
                camera.used_ns = 0
        for group in self.groups:
            group.forget_time()
            group.origin_ns = now_ns
            times = [
                image.stamp_ns - round(group.members[i].phase.ns)
                for i, image in images
                if i in group.members
            ]
            if times and group.period_ns:
                group.origin_ns += round(mean_phase_ns(times, group.period_ns, now_ns))
        for camera in self.cameras:
            camera.rhythm.restart()
            for recent in (camera.waiting, camera.ahead_ns, camera.late_ns, camera.doubles):
                recent.clear()
            if len(self.cameras) > 1:  # of one alone they say how often its clock steps
                camera.fates.clear()
            camera.newest_ns = camera.lag_ns = None
        self._refused = 0
        self._file_again(images, now_ns)
