"""Sets of stamps: which images of a rig belong together. Knows no ROS type."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

QUEUE = 8  # stamps kept a camera while the others lag; more than any rig's cameras drift apart
PERIODS = 16  # recent periods kept a camera; the shortest counts, so that drops do not mislead
JUMP_BACK_NS = 1_000_000_000  # a stamp this far in the past means a new clock, not a late message


@dataclass(frozen=True)
class StampedSet(Generic[Item]):
    """One item of every camera, in the rig's order."""

    stamps_ns: tuple[int, ...]
    items: tuple[Item, ...]

    @property
    def spread_ns(self) -> int:
        return max(self.stamps_ns) - min(self.stamps_ns)


class RigSync(Generic[Item]):
    """Forms sets whose stamps lie within slop_ns of each other, the newest that are complete.

    Cameras that fire one after another leave little room between the spread of a true set and that
    of one mixed from two periods, so a set is held back while the cameras' periods promise a
    clearly tighter one. Every stamp is used at most once and sets go forward in time. Duplicates,
    late messages and zero stamps are dropped and counted; when time goes back by over a second (a
    bag that loops, a clock that was set), everything is forgotten.
    """

    def __init__(self, names: Sequence[str], *, slop_ns: int):
        self.names = tuple(names)
        self.slop_ns = slop_ns
        self.dropped = {"zero stamp": 0, "late or duplicate": 0}
        self.resets = 0
        self._zero_stamps = [False] * len(self.names)
        self._clear()

    def add(self, camera: int, stamp_ns: int, item: Item) -> StampedSet[Item] | None:
        """Take one camera's item; returns the set that it completes, if it does."""
        self._zero_stamps[camera] = stamp_ns <= 0
        if stamp_ns <= 0:
            self.dropped["zero stamp"] += 1
            return None
        newest = self._newest[camera]
        if newest is not None and stamp_ns < newest - JUMP_BACK_NS:
            self._clear()
            self.resets += 1
        elif newest is not None and stamp_ns <= newest:
            self.dropped["late or duplicate"] += 1
            return None
        if newest is not None and stamp_ns > newest:
            self._periods[camera].append(stamp_ns - newest)
        self._newest[camera] = stamp_ns
        self._queues[camera].append((stamp_ns, item))
        return self._match()

    def why_no_set(self) -> str:
        """One sentence on what keeps a set from forming, as far as the stamps tell."""
        for name, zero in zip(self.names, self._zero_stamps):
            if zero:
                return f"stamps of {name} are zero"
        silent = [name for name, newest in zip(self.names, self._newest) if newest is None]
        if silent:
            return f"no image yet from {', '.join(silent)}"
        heads = dict(zip(self.names, self._newest))
        first, last = min(heads, key=heads.get), max(heads, key=heads.get)
        spread_ms = (heads[last] - heads[first]) / 1e6
        if spread_ms > self.slop_ns / 1e6:
            slop_ms = self.slop_ns / 1e6
            return (
                f"newest stamps spread over {spread_ms:.0f} ms, from {first} to {last}, "
                f"and slop is {slop_ms:.0f} ms"
            )
        return "no new images"

    def _match(self) -> StampedSet[Item] | None:
        candidates = [c for c in self._candidates() if c.spread_ns <= self.slop_ns]
        if not candidates:
            return None
        clearly = self._shortest_period() // 8  # a tighter set wins only if it is clearly so
        tightest = min(candidate.spread_ns for candidate in candidates)
        newest = [c for c in candidates if c.spread_ns <= tightest + clearly][-1]
        if self._tighter_is_coming(newest.stamps_ns, clearly):
            return None
        for queue, stamp_ns in zip(self._queues, newest.stamps_ns):
            while queue and queue[0][0] <= stamp_ns:
                queue.popleft()
        return newest

    def _candidates(self) -> Iterator[StampedSet[Item]]:
        """For every waiting image the set that begins with it, the oldest first."""
        for start_ns in sorted(stamp_ns for queue in self._queues for stamp_ns, _ in queue):
            chosen = [
                next((entry for entry in queue if entry[0] >= start_ns), None)
                for queue in self._queues
            ]
            if None in chosen:
                return
            yield StampedSet(*zip(*chosen))

    def _shortest_period(self) -> int:
        return min((period for recent in self._periods for period in recent), default=0)

    def _tighter_is_coming(self, stamps_ns: Sequence[int], clearly: int) -> bool:
        """Whether the oldest members' next images would make a clearly smaller spread."""
        if not all(self._periods):
            return False
        ahead = list(stamps_ns)
        enough = max(ahead) - min(ahead) - clearly
        for _ in ahead[1:]:
            oldest = ahead.index(min(ahead))
            ahead[oldest] += min(self._periods[oldest])
            if max(ahead) - min(ahead) < enough:
                return True
        return False

    def _clear(self) -> None:
        self._periods = [deque(maxlen=PERIODS) for _ in self.names]
        self._queues = [deque(maxlen=QUEUE) for _ in self.names]
        self._newest: list[int | None] = [None] * len(self.names)
