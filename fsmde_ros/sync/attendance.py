"""Who of a rig's cameras has sent something lately. Knows no ROS type."""

from __future__ import annotations

from collections.abc import Sequence

SILENT_NS = 500_000_000  # a camera without an image for less is not silent
SILENT_PERIODS = 1.75  # nor is one that lost one image; named within two of its periods
GONE_PERIODS = 3.0  # this long it still has a say in the pace
PAUSE_NS = 250_000_000  # all cameras silent for longer at once is a pause, of a player say


class Attendance:
    """Arrivals by camera; times are of one clock that only goes forward.

    Whatever comes counts, of use or not.
    """

    def __init__(self, cameras: int):
        self._arrived: list[int | None] = [None] * cameras
        self._started: int | None = None
        self._last_ns: int | None = None

    def pass_over_pause(self, now_ns: int, periods_ns: Sequence[float]) -> None:
        """Before something is noted: a pause of the whole rig makes no camera silent."""
        if self._last_ns is None:
            return
        gap = now_ns - self._last_ns
        if gap <= PAUSE_NS:
            return
        usual = 1.5 * min((period for period in periods_ns if period), default=0)
        if gap - round(usual) > PAUSE_NS:
            self._arrived = [None if at is None else at + gap for at in self._arrived]
            self._started += gap
            self._last_ns += gap

    def heard_until_ns(self, now_ns: int, periods_ns: Sequence[float]) -> int:
        """Now, or, where nothing came from any camera for half a period, when that was over.

        No camera is silent then that sent something in the rig's last period, even a little early.
        """
        if self._last_ns is None or now_ns <= self._last_ns:
            return now_ns
        half = min((period for period in periods_ns if period), default=0) / 2
        return min(now_ns, self._last_ns + round(half))

    def note(self, camera: int, now_ns: int) -> None:
        """Something came."""
        if self._started is None:
            self._started = now_ns
        self._arrived[camera] = self._last_ns = now_ns

    def expect(self, camera: int, now_ns: int) -> None:
        """It was switched on again: only from now on it can be silent."""
        if self._arrived[camera] is not None:
            self._arrived[camera] = now_ns

    def came(self, camera: int) -> bool:
        """Whether it ever sent anything."""
        return self._arrived[camera] is not None

    def without_ns(self, camera: int, now_ns: int) -> int:
        """How long it has not sent anything, or, if it never did, the rig has been running."""
        return now_ns - self._since_ns(now_ns)[camera]

    def silent(self, now_ns: int, periods_ns: Sequence[float]) -> set[int]:
        """The cameras that are no longer waited for."""
        return {
            i
            for i, (since_ns, period_ns) in enumerate(zip(self._since_ns(now_ns), periods_ns))
            if now_ns - since_ns > max(SILENT_NS, SILENT_PERIODS * period_ns)
        }

    def gone(self, now_ns: int, periods_ns: Sequence[float]) -> set[int]:
        """The cameras that no longer have a say, or never came."""
        return {
            i
            for i, (at_ns, period_ns) in enumerate(zip(self._arrived, periods_ns))
            if at_ns is None or now_ns - at_ns > max(SILENT_NS, GONE_PERIODS * period_ns)
        }

    def _since_ns(self, now_ns: int) -> list[int]:
        """When each camera came last, or, if it never did, the rig started."""
        started = now_ns if self._started is None else self._started
        return [started if at is None else at for at in self._arrived]
