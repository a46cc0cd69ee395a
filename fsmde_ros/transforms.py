"""TF at run time: one buffer for all that ask."""

from __future__ import annotations

import numpy as np
from rclpy.node import Node
from rclpy.time import Time

from fsmde_ros.conversions import MessageError, transform_from_msg


class Transforms:
    """The TF tree, as /tf and /tf_static tell it.

    ImportError if tf2_ros is not installed (it is part of a ROS installation, not on PyPI).
    """

    def __init__(self, node: Node):
        try:
            from tf2_ros import Buffer, TransformException, TransformListener
        except ImportError as error:
            raise ImportError(
                "TF needs tf2_ros, which is not installed: give rig_file in place of cameras, "
                "odometry_topic in place of fixed_frame, or source a ROS 2 installation"
            ) from error
        self.buffer, self._failure = Buffer(), TransformException
        self._listener = TransformListener(self.buffer, node)

    def lookup(self, parent: str, child: str, stamp_ns: int = 0) -> np.ndarray:
        """T_parent_child [4, 4] at a stamp, by default the newest; MessageError if not known."""
        time = Time(nanoseconds=stamp_ns)
        try:
            found = self.buffer.lookup_transform(_name(parent), _name(child), time)
            return transform_from_msg(found.transform)
        except (self._failure, ValueError) as error:
            raise MessageError(str(error).strip()) from error

    def newest_ns(self, parent: str, child: str) -> int:
        """The stamp up to which it is known, 0 if it never changes; MessageError if it is not."""
        try:
            return self.buffer.get_latest_common_time(_name(parent), _name(child)).nanoseconds
        except self._failure as error:
            raise MessageError(str(error).strip()) from error

    def forget(self) -> None:
        """Forget all but /tf_static: tf2 takes nothing that is much older than what it has."""
        self.buffer.clear()


def _name(frame: str) -> str:
    """Without the slash that ROS 1 had in front, which tf2 takes off what it hears and refuses in
    what it is asked."""
    return frame.lstrip("/")
