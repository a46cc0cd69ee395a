"""Time for deadlines while a bag is replayed. Knows no ROS type."""

from __future__ import annotations

from collections.abc import Callable

JUMP_NS = 1_000_000_000  # ROS time that gets ahead of the wall by this much at once was set anew
STANDING_NS = 2_000_000_000  # ROS time that stands for longer is worth a word
MEANWHILE_NS = 1_000_000_000  # an image that came so long after it stood came while it stood


class SlowerClock:
    """The slower of ROS time and the wall, in nanoseconds since it was made; never goes back.

    In a slow or paused replay nothing is late that comes in time by the bag's clock; in a fast one
    the transport has as long as ever. When ROS time is set (a loop, the first /clock), both are
    compared afresh from there. ROS time that is 0 was never set: the wall counts alone.
    """

    def __init__(self, ros_ns: Callable[[], int], wall_ns: Callable[[], int]):
        self._ros_ns, self._wall_ns = ros_ns, wall_ns
        self._last = self._start = ros_ns(), wall_ns()
        self._start_ns = self._now_ns = 0
        self._made_ns = self._moved_ns = self._last[1]

    def __call__(self) -> int:
        """Now."""
        ros_ns, wall_ns = self._ros_ns(), self._wall_ns()
        step_ns = ros_ns - self._last[0]
        if step_ns:
            self._moved_ns = wall_ns
        if step_ns < 0 or step_ns > wall_ns - self._last[1] + JUMP_NS:
            self._start, self._start_ns = (ros_ns, wall_ns), self._now_ns
        self._last = ros_ns, wall_ns
        elapsed_ns = wall_ns - self._start[1]
        if ros_ns:
            elapsed_ns = min(ros_ns - self._start[0], elapsed_ns)
        self._now_ns = self._start_ns + elapsed_ns
        return self._now_ns

    def problem(self, *, image_ns: int | None) -> str:
        """A sentence if ROS time does not run although images come; else empty.

        image_ns is when the newest image came, by the wall; None before there was one. A replay
        that has not begun, or is over, is none.
        """
        wall_ns = self._wall_ns()
        if image_ns is None:
            return ""
        if not self._ros_ns():
            if wall_ns - self._made_ns < STANDING_NS:
                return ""
            return "use_sim_time is true, but nothing came on /clock: deadlines go by the wall"
        standing_ns = wall_ns - self._moved_ns
        if standing_ns < STANDING_NS or image_ns - self._moved_ns < MEANWHILE_NS:
            return ""
        return (
            f"/clock has stood still for {standing_ns / 1e9:.0f} s while images come: "
            "no deadline passes"
        )
