"""Sets of stamps: which images of a rig belong together. Knows no ROS type."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fsmde_ros.phases import Phases

Item = TypeVar("Item")

QUEUE = 8  # stamps kept a camera while the others lag; more than any rig's cameras drift apart
PERIODS = 16  # recent periods kept a camera; the shortest counts, so that drops do not mislead
JUMP_BACK_NS = 1_000_000_000  # a stamp this far in the past means a new clock, not a late message
BEHIND = 4  # so do more than this many in a row that are behind: a short bag that loops
SILENT_PERIODS = 4  # a camera this many of its periods without an image is no longer waited for
SILENT_NS = 500_000_000  # and at least this long


@dataclass(frozen=True)
class StampedSet(Generic[Item]):
    """The items that belong together, in the rig's order; None where a camera is missing."""

    stamps_ns: tuple[int | None, ...]
    items: tuple[Item | None, ...]

    @property
    def present(self) -> tuple[int, ...]:
        """Indices of the cameras that are in the set."""
        return tuple(i for i, stamp_ns in enumerate(self.stamps_ns) if stamp_ns is not None)

    @property
    def newest_ns(self) -> int:
        return max(stamp_ns for stamp_ns in self.stamps_ns if stamp_ns is not None)

    @property
    def spread_ns(self) -> int:
        return self.newest_ns - min(stamp for stamp in self.stamps_ns if stamp is not None)


class RigSync(Generic[Item]):
    """Forms sets whose stamps lie within slop_ns of each other, the newest that are complete.

    Cameras that fire one after another leave little room between the spread of a true set and that
    of one mixed from two periods, so a set is held back while the cameras' periods promise a
    clearly tighter one; slop is cut to the shortest period. An image that has waited deadline_ns
    for the rest goes out in a partial set (0: never). A camera that fell silent is not waited for
    until it comes back. Every stamp is used at most once and sets go forward in time. Duplicates,
    late messages and zero stamps are dropped and counted; when time goes back by over a second, or
    for good (a bag that loops, a clock that was set), everything is forgotten.

    now_ns is the time of arrival on any clock that only goes forward.
    """

    def __init__(self, names: Sequence[str], *, slop_ns: int, deadline_ns: int = 0):
        self.names = tuple(names)
        self.slop_ns = slop_ns
        self.deadline_ns = deadline_ns
        self.dropped: Counter[str] = Counter()
        self.resets = 0
        self._zero_stamps = [False] * len(self.names)
        self._arrived: list[int | None] = [None] * len(self.names)
        self._started: int | None = None
        self._clear()

    def add(
        self, camera: int, stamp_ns: int, item: Item, *, now_ns: int
    ) -> StampedSet[Item] | None:
        """Take one camera's item; returns the set that it completes, if it does."""
        self._zero_stamps[camera] = stamp_ns <= 0
        if stamp_ns <= 0:
            self.dropped["zero stamp"] += 1
            return None
        newest = self._newest[camera]
        if newest is not None and self._is_new_clock(camera, newest - stamp_ns):
            self._clear()
            self.resets += 1
        elif stamp_ns <= max(newest or 0, self._used[camera]):
            self.dropped["late or duplicate"] += 1
            return None
        elif newest is not None:
            self._periods[camera].append(stamp_ns - newest)
        self._note_arrival(camera, now_ns)
        self._newest[camera] = stamp_ns
        if len(self._queues[camera]) == QUEUE:
            self.dropped["without a set"] += 1
        self._queues[camera].append((stamp_ns, item, now_ns))
        return self._take(self._complete(now_ns))

    def poll(self, *, now_ns: int) -> StampedSet[Item] | None:
        """The partial set whose first image has waited for its deadline, if there is one."""
        if not self.deadline_ns:
            return None
        waiting = [queue[0] for queue in self._queues if queue]
        if all(now_ns - arrived < self.deadline_ns for _, _, arrived in waiting):
            return None
        window_ns = self.slop_in_use_ns
        if self._usual_spread is not None:  # beyond it lies the next frame
            window_ns = min(window_ns, self._usual_spread + self._shortest_period() // 8)
        return self._take(next(self._candidates(range(len(self.names)), window_ns)))

    @property
    def slop_in_use_ns(self) -> int:
        """slop_ns, or nine tenths of the shortest period if that is less: more would mix frames."""
        period = self._shortest_period()
        return min(self.slop_ns, period * 9 // 10) if period else self.slop_ns

    def silent(self, now_ns: int) -> tuple[int, ...]:
        """Cameras that sent nothing for a while, or never did."""
        return tuple(i for i in range(len(self.names)) if self._is_silent(i, now_ns))

    def summary(self, now_ns: int) -> dict[str, str | int]:
        """Counts and states, by the names that stand in the diagnostics."""
        silent = [self.names[i] for i in self.silent(now_ns)]
        values = {f"image dropped: {cause}": n for cause, n in sorted(self.dropped.items())}
        expected = self._phases.expected_ns()
        if expected is not None:
            phases = [f"{name} {ns / 1e6:.0f}" for name, ns in zip(self.names, expected)]
            values["camera phases [ms]"] = ", ".join(phases)
        return values | {
            "missing cameras": ", ".join(silent) or "none",
            "time resets": self.resets,
        }

    def drifts(self) -> list[str]:
        """A sentence for each camera that has left its learned place in the set."""
        drifts_ns = self._phases.drifts_ns(self._shortest_period() // 8)
        return [
            f"camera {self.names[i]} fires {abs(ns) / 1e6:.0f} ms "
            f"{'later' if ns > 0 else 'earlier'} in the set than it did"
            for i, ns in drifts_ns.items()
        ]

    def why_no_set(self, now_ns: int) -> str:
        """One sentence on what keeps a complete set from forming, as far as the stamps tell."""
        for name, zero in zip(self.names, self._zero_stamps):
            if zero:
                return f"stamps of {name} are zero"
        never = [name for name, at in zip(self.names, self._arrived) if at is None]
        if never:
            return f"no image yet from {', '.join(never)}"
        silent = [
            f"{self.names[i]} silent for {(now_ns - self._arrived[i]) / 1e9:.1f} s"
            for i in self.silent(now_ns)
        ]
        if len(silent) == len(self.names):
            return "no new images from any camera"
        if silent:
            return f"camera {', '.join(silent)}"
        heads = {name: n for name, n in zip(self.names, self._newest) if n is not None}
        first, last = min(heads, key=heads.get), max(heads, key=heads.get)
        spread_ms, slop_ms = (heads[last] - heads[first]) / 1e6, self.slop_in_use_ns / 1e6
        if spread_ms > slop_ms:
            return f"spread {spread_ms:.0f} ms > slop {slop_ms:.0f} ms, from {first} to {last}"
        return "images arrive but do not come together"

    def _complete(self, now_ns: int) -> StampedSet[Item] | None:
        """The newest set of all cameras that are not silent; None if it is not there yet."""
        wanted = [i for i in range(len(self.names)) if not self._left_out(i, now_ns)]
        candidates = [
            c
            for c in self._candidates(wanted, self.slop_in_use_ns)
            if len(c.present) == len(wanted)
        ]
        if not candidates:
            return None
        clearly = self._shortest_period() // 8  # a tighter set wins only if it is clearly so
        tightest = min(candidate.spread_ns for candidate in candidates)
        newest = [c for c in candidates if c.spread_ns <= tightest + clearly][-1]
        if self._tighter_is_coming(newest, clearly):
            return None
        if len(wanted) == len(self.names):
            self._usual_spread = newest.spread_ns
            self._phases.note(newest.stamps_ns)
        return newest

    def _candidates(self, wanted: Sequence[int], window_ns: int) -> Iterator[StampedSet[Item]]:
        """For every waiting image what follows it within window_ns, the oldest first."""
        for start_ns in sorted(entry[0] for i in wanted for entry in self._queues[i]):
            stamps_ns: list[int | None] = [None] * len(self.names)
            items: list[Item | None] = [None] * len(self.names)
            for i in wanted:
                for stamp_ns, item, _ in self._queues[i]:
                    if start_ns <= stamp_ns <= start_ns + window_ns:
                        stamps_ns[i], items[i] = stamp_ns, item
                        break
            yield StampedSet(tuple(stamps_ns), tuple(items))

    def _take(self, chosen: StampedSet[Item] | None) -> StampedSet[Item] | None:
        """Remove a set, and all that is older than it, from the queues."""
        if chosen is None:
            return None
        oldest_ns = chosen.newest_ns - chosen.spread_ns
        for i, queue in enumerate(self._queues):
            used_ns = chosen.stamps_ns[i] if chosen.stamps_ns[i] is not None else oldest_ns - 1
            self._used[i] = max(self._used[i], used_ns)
            while queue and queue[0][0] <= used_ns:
                stamp_ns, _, _ = queue.popleft()
                if stamp_ns != chosen.stamps_ns[i]:
                    self.dropped["without a set"] += 1
        return chosen

    def _tighter_is_coming(self, candidate: StampedSet[Item], clearly: int) -> bool:
        """Whether the oldest members' next images would make a clearly smaller spread."""
        present = candidate.present
        if not all(self._periods[i] for i in present):
            return False
        ahead = [candidate.stamps_ns[i] for i in present]
        enough = candidate.spread_ns - clearly
        for _ in ahead[1:]:
            oldest = ahead.index(min(ahead))
            ahead[oldest] += min(self._periods[present[oldest]])
            if max(ahead) - min(ahead) < enough:
                return True
        return False

    def _is_new_clock(self, camera: int, behind_ns: int) -> bool:
        """Whether a stamp so far behind the camera's newest one is no late message."""
        self._behind[camera] = self._behind[camera] + (behind_ns > 0) if behind_ns >= 0 else 0
        return behind_ns > JUMP_BACK_NS or self._behind[camera] > BEHIND

    def _note_arrival(self, camera: int, now_ns: int) -> None:
        """Keep the time of arrival; a pause of the whole rig makes no camera silent."""
        pause = now_ns - max((at for at in self._arrived if at is not None), default=now_ns)
        if pause > SILENT_NS // 2:
            self._arrived = [None if at is None else at + pause for at in self._arrived]
            self._started += pause
        self._arrived[camera] = now_ns
        self._started = now_ns if self._started is None else self._started

    def _is_silent(self, camera: int, now_ns: int) -> bool:
        arrived = self._arrived[camera]
        if arrived is None:
            return self._started is not None and now_ns - self._started > SILENT_NS
        patience = SILENT_PERIODS * min(self._periods[camera], default=0)
        return now_ns - arrived > max(patience, SILENT_NS)

    def _left_out(self, camera: int, now_ns: int) -> bool:
        """Partial sets wait neither for a silent camera nor for one that never came."""
        return bool(self.deadline_ns) and self._is_silent(camera, now_ns)

    def _shortest_period(self) -> int:
        return min((period for recent in self._periods for period in recent), default=0)

    def _clear(self) -> None:
        self._periods = [deque(maxlen=PERIODS) for _ in self.names]
        self._queues = [deque(maxlen=QUEUE) for _ in self.names]
        self._newest: list[int | None] = [None] * len(self.names)
        self._behind = [0] * len(self.names)
        self._used = [0] * len(self.names)
        self._usual_spread: int | None = None
        self._phases = Phases(len(self.names))
