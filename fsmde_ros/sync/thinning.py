"""Fewer sets a second than the cameras send: which ones go on. Knows no ROS type."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from fsmde_ros.sync.rig_sync import RigSync, StampedSet

SLACK = 1 / 2  # of the cameras' period: a set that much too early is the nearest to its turn
MARGIN = 1 / 4  # of the cameras' period: an image that much too early is not decoded at once


class Later:
    """A future whose work begins when it is wanted."""

    def __init__(self, start: Callable):
        self._start, self._future = start, None

    def begin(self) -> None:
        """Start, unless that was done before."""
        if self._future is None:
            self._future = self._start()

    def exception(self) -> BaseException | None:
        """As a Future's."""
        self.begin()
        return self._future.exception()

    def result(self) -> Any:
        """As a Future's."""
        self.begin()
        return self._future.result()


class Thinning:
    """Lets at most rate_hz sets a second go on, evenly by their stamps; 0: all.

    rate_hz may be another one with every call. On average it is kept exactly; of sets at 12 Hz, 5
    a second are every second and every third one. An image that is surely of a set that will not go
    on is not worked on before somebody asks for it.
    """

    def __init__(self, sync: RigSync):
        self._sync = sync
        self._slot_ns: float | None = None
        """The turn of the last set that went on; None before the first."""
        self._last_ns = 0.0

    def item(self, camera: int, stamp_ns: int, start: Callable, *, rate_hz: float) -> Any:
        """The future that start() returns for an image, or one whose work begins later."""
        if not rate_hz:
            return start()
        item, at_ns = Later(start), self._sync.trigger_ns(camera, stamp_ns)
        surely_ns = at_ns + MARGIN * self._sync.pace_ns
        if not self._too_early(surely_ns, 1e9 / rate_hz):
            item.begin()
        return item

    def goes_on(self, stamped: StampedSet, *, rate_hz: float) -> bool:
        """Whether it is the turn of a set; then the work on its images has begun."""
        if not rate_hz:
            self._slot_ns = None
            return True
        step_ns = 1e9 / rate_hz
        at_ns = median(self._sync.trigger_ns(i, stamped.stamps_ns[i]) for i in stamped.present)
        if self._too_early(at_ns, step_ns):
            return False
        due_ns = at_ns if self._slot_ns is None else self._slot_ns + step_ns
        self._slot_ns = due_ns if abs(at_ns - due_ns) < step_ns else at_ns
        self._last_ns = at_ns
        for item in stamped.items:
            if isinstance(item, Later):
                item.begin()
        return True

    def _too_early(self, at_ns: float, step_ns: float) -> bool:
        if self._slot_ns is None or at_ns < self._last_ns - step_ns:  # of before: time went back
            return False
        return at_ns + SLACK * self._sync.pace_ns < self._slot_ns + step_ns
