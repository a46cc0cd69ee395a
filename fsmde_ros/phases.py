"""When in a set each camera fires: learned, and watched. Knows no ROS type."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median

LEARN = 24  # full sets that make the expectation: two seconds at 12 Hz
RECENT = 12  # full sets whose median is compared with it
LEAST_DRIFT_NS = 5_000_000  # what jitters less than this does not drift


class Phases:
    """Each camera's usual place in a set, and how far it has left it."""

    def __init__(self, cameras: int):
        self._learning: list[Sequence[int]] = []
        self._phases: list[int] | None = None
        self._off: list[deque[int]] = [deque(maxlen=RECENT) for _ in range(cameras)]

    def note(self, stamps_ns: Sequence[int]) -> None:
        """Take the stamps of a full set."""
        if self._phases is None:
            self._learning.append([stamp_ns - stamps_ns[0] for stamp_ns in stamps_ns])
            if len(self._learning) == LEARN:
                self._phases = [int(median(offsets)) for offsets in zip(*self._learning)]
                self._learning = []
            return
        starts = [stamp_ns - phase for stamp_ns, phase in zip(stamps_ns, self._phases)]
        start_ns = int(median(starts))  # where most cameras say that the set began
        for off, own_start_ns in zip(self._off, starts):
            off.append(own_start_ns - start_ns)

    def expected_ns(self) -> list[int] | None:
        """Each camera's phase after the earliest one; None before LEARN full sets."""
        return self._phases and [phase - min(self._phases) for phase in self._phases]

    def drifts_ns(self, tolerance_ns: int) -> dict[int, int]:
        """Cameras that have left their phase by more than the tolerance, and by how much."""
        limit_ns = max(tolerance_ns, LEAST_DRIFT_NS)
        drifts = {i: int(median(off)) for i, off in enumerate(self._off) if len(off) == RECENT}
        return {i: drift_ns for i, drift_ns in drifts.items() if abs(drift_ns) > limit_ns}
