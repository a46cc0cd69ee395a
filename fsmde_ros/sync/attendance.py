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
        usual = 1.5 * min((period for period in periods_ns if period), default=0)
        gap = now_ns - self._last_ns
        if gap - round(usual) > PAUSE_NS:
            self._arrived = [None if at is None else at + gap for at in self._arrived]
            self._started += gap
            self._last_ns += gap

    def heard_until_ns(self, now_ns: int, periods_ns: Sequence[float]) -> int:
        """Now, or, where nothing came from any camera for half a period, when that was over.

        No camera is silent then that sent something in the rig's last period, even a little early.
        """
        if self._last_ns is None:
            return now_ns
        half = min((period for period in periods_ns if period), default=0) / 2
        return min(now_ns, self._last_ns + round(half))

    def note(self, camera: int, now_ns: int) -> None:
        """Something came."""
        if self._started is None:
            self._started = now_ns
        self._arrived[camera] = self._last_ns = now_ns

    def came(self, camera: int) -> bool:
        """Whether it ever sent anything."""
        return self._arrived[camera] is not None

    def without_ns(self, camera: int, now_ns: int) -> int:
        """How long it has not sent anything, or, if it never did, the rig has been running."""
        since = self._arrived[camera] if self.came(camera) else self._started
        return now_ns - since if since is not None else 0

    def silent(self, camera: int, now_ns: int, period_ns: float) -> bool:
        """Whether it is no longer waited for."""
        return self.without_ns(camera, now_ns) > max(SILENT_NS, SILENT_PERIODS * period_ns)

    def gone(self, camera: int, now_ns: int, period_ns: float) -> bool:
        """Whether it no longer has a say, or never came."""
        return not self.came(camera) or self.without_ns(camera, now_ns) > max(
            SILENT_NS, GONE_PERIODS * period_ns
        )
