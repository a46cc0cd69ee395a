"""Where the vehicle was when each camera fired, relative to where it is now."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.time import Time

from fsmde_core.geometry import invert_transform
from fsmde_ros.conversions import (
    MessageError,
    stamp_to_ns,
    transform_from_msg,
    transform_from_pose,
)

POSES = 200  # kept of the odometry: two seconds at 100 Hz
LATEST_NS = 100_000_000  # an image may be this much newer than the newest pose


class EgoMotion(Protocol):
    """A source of the vehicle's motion."""

    source: str
    """Where it comes from, for the status."""

    def between(self, earlier_ns: Sequence[int], now_ns: int) -> np.ndarray:
        """T_now_earlier [N, 4, 4] of the vehicle's frame; MessageError says what is missing."""


class OdometryMotion:
    """Motion from nav_msgs/Odometry: poses between two messages, or shortly after the last.

    Both are interpolated at constant velocity. update() may be called from one thread while another
    asks. MessageError for a message whose child frame is not base_frame.
    """

    def __init__(self, topic: str, *, base_frame: str):
        self.source = topic
        self._base_frame = base_frame
        self._lock = threading.Lock()
        self._poses: deque[tuple[int, np.ndarray]] = deque(maxlen=POSES)

    def update(self, msg: Odometry) -> None:
        """Take a message; when its time goes back, those before it are forgotten."""
        if msg.child_frame_id != self._base_frame:
            raise MessageError(
                f"{self.source}: odometry of frame {msg.child_frame_id!r}, not {self._base_frame!r}"
            )
        try:
            pose = stamp_to_ns(msg.header.stamp), transform_from_pose(msg.pose.pose)
        except ValueError as error:
            raise MessageError(f"{self.source}: {error}") from error
        with self._lock:
            if self._poses and pose[0] <= self._poses[-1][0]:
                self._poses.clear()
            self._poses.append(pose)

    def between(self, earlier_ns: Sequence[int], now_ns: int) -> np.ndarray:
        """As EgoMotion.between."""
        with self._lock:
            poses = list(self._poses)
        if len(poses) < 2:
            raise MessageError(f"{self.source}: no odometry yet")
        first_ns, last_ns = poses[0][0], poses[-1][0]
        if min(earlier_ns) < first_ns or now_ns > last_ns + LATEST_NS:
            newest_ms, oldest_ms = ((now_ns - ns) / 1e6 for ns in (last_ns, first_ns))
            raise MessageError(
                f"{self.source}: poses {newest_ms:.0f} to {oldest_ms:.0f} ms before the newest "
                f"image do not cover the set"
            )
        T_now_odom = invert_transform(_pose_at(poses, now_ns))
        return np.stack([T_now_odom @ _pose_at(poses, ns) for ns in earlier_ns])


class TfMotion:
    """Motion from TF, of base_frame in a frame that does not move with the vehicle.

    ImportError if tf2_ros is not installed (it is part of a ROS installation, not on PyPI).
    """

    def __init__(self, node: Node, fixed_frame: str, *, base_frame: str):
        try:
            from tf2_ros import Buffer, TransformException, TransformListener
        except ImportError as error:
            raise ImportError(
                "parameter fixed_frame needs tf2_ros, which is not installed: give "
                "odometry_topic, or source a ROS 2 installation"
            ) from error
        self.source = f"/tf, {fixed_frame} <- {base_frame}"
        self._frames = fixed_frame, base_frame
        self._buffer, self._failure = Buffer(), TransformException
        self._listener = TransformListener(self._buffer, node)

    def between(self, earlier_ns: Sequence[int], now_ns: int) -> np.ndarray:
        """As EgoMotion.between."""
        fixed, base = self._frames
        now = Time(nanoseconds=now_ns)
        try:
            found = [
                self._buffer.lookup_transform_full(base, now, base, Time(nanoseconds=ns), fixed)
                for ns in earlier_ns
            ]
            return np.stack([transform_from_msg(stamped.transform) for stamped in found])
        except (self._failure, ValueError) as error:
            raise MessageError(f"{self.source}: {error}") from error


def _pose_at(poses: Sequence[tuple[int, np.ndarray]], stamp_ns: int) -> np.ndarray:
    """T_odom_ego [4, 4], at constant velocity between or after two of the poses."""
    after = bisect_left(poses, stamp_ns, lo=1, hi=len(poses) - 1, key=lambda pose: pose[0])
    (start_ns, start), (end_ns, end) = poses[after - 1], poses[after]
    share = (stamp_ns - start_ns) / (end_ns - start_ns)
    turn, _ = cv2.Rodrigues(start[:3, :3].T @ end[:3, :3])
    T = np.eye(4)
    T[:3, :3] = start[:3, :3] @ cv2.Rodrigues(share * turn)[0]
    T[:3, 3] = start[:3, 3] + share * (end[:3, 3] - start[:3, 3])
    return T
