"""Simulated rigs: our synchronization beside message_filters' on the same streams. No ROS.

`python -m fsmde_ros.sync.simulation` prints the table of docs/synchronization.md. Clocks are made
up, nothing sleeps. message_filters is not needed: its policy is written down here, from what is
published of it, for comparison only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from fsmde_core.tables import table
from fsmde_ros.sync.rig_sync import RigSync, StampedSet

MS = 1_000_000
START_NS = 1_700_000_000_000 * MS
POLL_NS = 20 * MS  # as the node polls
NAMES = ("front", "front_right", "back_right", "back", "back_left", "front_left")
STAGGER_MS = (0, 8, 16, 24, 33, 43)  # nuScenes: cameras fire while the LiDAR turns
SLOP_NS, DEADLINE_NS = 75 * MS, 100 * MS  # the node's defaults
QUEUE = 10  # of the node's approximate_time


@dataclass(frozen=True)
class Shot:
    """One image: of which camera and which of its frames, stamped and arriving when."""

    camera: int
    frame: int
    stamp_ns: int
    arrived_ns: int


@dataclass(frozen=True)
class SimulatedRig:
    """Cameras that fire together; a function of (frame, camera) may spoil each image."""

    period_ms: float = 1000 / 12
    """Between two frames."""
    stagger_ms: Sequence[float] = STAGGER_MS
    """When each camera fires in a frame; as many as there are cameras."""
    off_ms: Callable[[int, int], float] = lambda frame, camera: 0.0
    """What is added to a stamp, but not to the arrival: a clock that is off."""
    jitter_ms: Callable[[int, int], float] = lambda frame, camera: 0.0
    """What is added to both."""
    delay_ms: Callable[[int, int], float] = lambda frame, camera: 0.0
    """From the firing to the arrival."""
    lost: Callable[[int, int], bool] = lambda frame, camera: False

    def shots(self, frames: int, *, first: int = 0) -> list[Shot]:
        """All images of some frames, in the order of their arrival."""
        found = []
        for frame in range(first, first + frames):
            for camera, stagger in enumerate(self.stagger_ms):
                fired = frame * self.period_ms + stagger + self.jitter_ms(frame, camera)
                stamp = START_NS + round((fired + self.off_ms(frame, camera)) * MS)
                arrived = round((fired + self.delay_ms(frame, camera)) * MS)
                if not self.lost(frame, camera):
                    found.append(Shot(camera, frame, stamp, arrived))
        return sorted(found, key=lambda shot: (shot.arrived_ns, shot.camera))


def replay(sync: RigSync, shots: Iterable[Shot], *, after_ns: int = 0) -> list[StampedSet[Shot]]:
    """The sets that come out; polled every POLL_NS, until after_ns after the last arrival."""
    sets, polled_ns, now_ns = [], None, 0
    for shot in shots:
        now_ns = shot.arrived_ns
        polled_ns = now_ns if polled_ns is None else polled_ns
        while polled_ns + POLL_NS <= now_ns:
            polled_ns += POLL_NS
            sets.append(sync.poll(now_ns=polled_ns))
        sets.append(sync.add(shot.camera, shot.stamp_ns, shot, now_ns=now_ns))
    for end_ns in range(now_ns, now_ns + after_ns, POLL_NS):
        sets.append(sync.poll(now_ns=end_ns))
    return [found for found in sets if found is not None]


def approximate_time(
    shots: Iterable[Shot], *, cameras: int, slop_ns: int, queue: int = QUEUE
) -> list[list[Shot]]:
    """The sets that message_filters' ApproximateTimeSynchronizer makes of the same images.

    It keeps the newest `queue` images a camera. With each that comes, it tries all combinations of
    those within slop of it, nearest first, and takes the first that are within slop of each other.
    """
    queues: list[dict[int, Shot]] = [{} for _ in range(cameras)]
    sets = []
    for shot in shots:
        own = queues[shot.camera]
        own[shot.stamp_ns] = shot
        while len(own) > queue:
            del own[min(own)]
        near = [
            sorted(
                (ns for ns in other if abs(ns - shot.stamp_ns) <= slop_ns),
                key=lambda ns: abs(ns - shot.stamp_ns),
            )
            if other is not own
            else [ns for ns in own if ns == shot.stamp_ns]  # gone if it was older than the queue
            for other in queues
        ]
        for stamps in product(*near):
            if max(stamps) - min(stamps) < slop_ns:
                sets.append([other.pop(ns) for other, ns in zip(queues, stamps)])
                break
    return sets


def is_mixed(shots: Iterable[Shot | None]) -> bool:
    """Whether images of several frames are in one set."""
    return len({shot.frame for shot in shots if shot is not None}) > 1


def _scenes(rng: random.Random) -> dict[str, list[Shot]]:
    """Ten seconds of each; names for the table."""
    ten_hz = {"period_ms": 100, "stagger_ms": (0, 9, 18, 27, 36, 45)}
    thirty = [Shot(0, k // 3, START_NS + k * 100 * MS // 3, k * 100 * MS // 3) for k in range(300)]
    five = [shot for shot in SimulatedRig(**ten_hz).shots(100) if shot.camera]
    loop = SimulatedRig().shots(30)
    loops = [
        Shot(s.camera, s.frame, s.stamp_ns, s.arrived_ns + 2500 * n * MS)
        for n in range(4)
        for s in loop
    ]

    def of_front(ms: float) -> Callable[[int, int], float]:
        return lambda frame, camera: 0 if camera else ms

    rigs = {
        "12 Hz, cameras fire over 43 ms": SimulatedRig(),
        "the same over 83 % of the period": SimulatedRig(
            stagger_ms=[i * 1000 / 72 for i in range(6)]
        ),
        "5 % of the images lost": SimulatedRig(lost=lambda f, c: rng.random() < 0.05),
        "front_left comes 80 to 120 ms late": SimulatedRig(
            delay_ms=lambda f, c: rng.uniform(80, 120) if c == 5 else 0
        ),
        "any image up to 250 ms late": SimulatedRig(delay_ms=lambda f, c: rng.uniform(0, 250)),
        "10 Hz, stamps off by up to 20 ms": SimulatedRig(
            **ten_hz, jitter_ms=lambda f, c: rng.uniform(-20, 20)
        ),
        "front's clock is 37 s ahead": SimulatedRig(off_ms=of_front(37_000)),
        "front's clock steps by 0.5 s": SimulatedRig(
            off_ms=lambda f, c: 500 if c == 0 and f % 2 else 0
        ),
        "back stops after 5 s": SimulatedRig(lost=lambda f, c: c == 3 and f >= 60),
    }
    scenes = {name: rig.shots(120 if rig.period_ms < 90 else 100) for name, rig in rigs.items()}
    scenes["front at 30 Hz, the others at 10"] = sorted(
        thirty + five, key=lambda shot: shot.arrived_ns
    )
    return scenes | {"a bag of 2.5 s, played four times": loops}


def comparison(seed: int = 0) -> str:
    """Our sets and message_filters' on the same streams, as Markdown."""
    headings = ("stream", "frames", "full", "partial", "mixed", "message_filters: full", "mixed")
    rows = []
    for name, shots in _scenes(random.Random(seed)).items():
        sync: RigSync[Shot] = RigSync(NAMES, slop_ns=SLOP_NS, deadline_ns=DEADLINE_NS)
        sets = replay(sync, shots, after_ns=1000 * MS)
        theirs = approximate_time(shots, cameras=len(NAMES), slop_ns=SLOP_NS)
        full = sum(len(s.present) == len(NAMES) for s in sets)
        frames = 1 + max(shot.frame for shot in shots)
        frames *= 4 if "four times" in name else 1
        mixed = sum(is_mixed(s.items) for s in sets)
        counts = (frames, full, len(sets) - full, mixed, len(theirs), sum(map(is_mixed, theirs)))
        rows.append([name, *map(str, counts)])
    return table(headings, rows)


if __name__ == "__main__":
    print(comparison())
