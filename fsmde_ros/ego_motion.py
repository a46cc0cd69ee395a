"""Where the vehicle was when each camera fired, relative to where it is now."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from nav_msgs.msg import Odometry

from fsmde_core.geometry import invert_transform, motion_between, motion_exp, motion_log
from fsmde_ros.conversions import MessageError, stamp_to_ns, transform_from_pose
from fsmde_ros.transforms import Transforms

HISTORY_NS = 2_000_000_000  # kept of the odometry
BACK_NS = 1_000_000_000  # stamps that go back by more are of another drive, else a late message
LATEST_NS = 100_000_000  # an image may be this much newer than the newest pose
STALE = 5  # so many messages in a row that are not newer are no duplicates
GAP_NS = 500_000_000  # between poses further apart than this nobody knows how the vehicle moved
FIT_NS, FIT_POSES = 100_000_000, 3  # what the motion after the last pose is fitted to, and at least
FASTEST_M_S, SLACK_M = 150.0, 0.5  # what moves farther has jumped: a relocalization, a bad message
FASTEST_RAD_S, SLACK_RAD = 5.0, 0.05  # the same of what turns


class EgoMotion(Protocol):
    """A source of the vehicle's motion."""

    source: str
    """Where it comes from, for the status."""

    def between(self, earlier_ns: Sequence[int], now_ns: int) -> np.ndarray:
        """T_now_earlier [N, 4, 4] of the vehicle's frame; MessageError says what is missing."""


class OdometryMotion:
    """Motion from nav_msgs/Odometry: poses between two messages, or shortly after the last.

    Between two poses the vehicle moves at a constant twist, after the last one at that which fits
    the latest poses best: their noise is not carried on. update() may be called from one thread
    while another asks.
    """

    def __init__(self, topic: str, *, base_frame: str):
        self.source = topic
        self._base_frame = base_frame
        self._lock = threading.Lock()
        self._frame = ""
        self._frame_before = ""  # whose poses were forgotten last
        self._poses: deque[tuple[int, np.ndarray]] = deque()
        self._refused = ""  # why the last message was not taken
        self._stale = 0  # messages in a row that were not newer

    def update(self, msg: Odometry) -> None:
        """Take a message. One that is not newer than the last is left out.

        When the stamps go back by more than BACK_NS, or the poses come in another frame, what was
        before is forgotten. MessageError for a message whose child frame is not base_frame, whose
        pose is not finite or whose quaternion is no rotation.
        """
        try:
            pose = stamp_to_ns(msg.header.stamp), self._checked(msg)
        except MessageError as error:
            with self._lock:
                self._refused = str(error)
            raise
        with self._lock:
            newest_ns = self._poses[-1][0] if self._poses else pose[0] - 1
            if pose[0] < newest_ns - BACK_NS or msg.header.frame_id != self._frame:
                self._frame_before = self._frame if self._poses else ""
                self._poses.clear()
            elif pose[0] <= newest_ns:
                self._stale += 1
                if self._stale >= STALE:
                    self._refused = f"{self.source}: odometry whose stamps do not go forward"
                return
            self._frame, self._refused, self._stale = msg.header.frame_id, "", 0
            self._poses.append(pose)
            while self._poses[0][0] < pose[0] - HISTORY_NS:
                self._poses.popleft()

    def _checked(self, msg: Odometry) -> np.ndarray:
        if msg.child_frame_id.lstrip("/") != self._base_frame.lstrip("/"):  # ROS 1's have one
            raise MessageError(
                f"{self.source}: odometry of frame {msg.child_frame_id!r}, not {self._base_frame!r}"
            )
        try:
            return _finite(transform_from_pose(msg.pose.pose))
        except ValueError as error:
            raise MessageError(f"{self.source}: {error}") from error

    def between(self, earlier_ns: Sequence[int], now_ns: int) -> np.ndarray:
        """As EgoMotion.between."""
        with self._lock:
            poses, refused = list(self._poses), self._refused
            frames = self._frame_before, self._frame
        first_ns, last_ns = (poses[0][0], poses[-1][0]) if poses else (0, 0)
        uncovered = min(earlier_ns) < first_ns or now_ns > last_ns + LATEST_NS
        if refused and (uncovered or len(poses) < 2):
            raise MessageError(refused)
        if len(poses) < 2 and all(frames) and frames[0] != frames[1]:
            raise MessageError(f"{self.source}: the frame changes from {frames[0]} to {frames[1]}")
        if len(poses) < 2:
            raise MessageError(f"{self.source}: no odometry yet")
        if uncovered:
            newest_ms, oldest_ms = ((now_ns - ns) / 1e6 for ns in (last_ns, first_ns))
            raise MessageError(
                f"{self.source}: poses {newest_ms:.0f} to {oldest_ms:.0f} ms before the newest "
                f"image do not cover the set"
            )
        try:
            T_now_odom = invert_transform(_pose_at(poses, now_ns))
            found = [T_now_odom @ _pose_at(poses, ns) for ns in earlier_ns]
            return _possible(np.stack(found), earlier_ns, now_ns)
        except ValueError as error:
            raise MessageError(f"{self.source}: {error}") from error


class TfMotion:
    """Motion from TF, of base_frame in a frame that does not move with the vehicle.

    TF comes after the images: shortly after its newest pose it goes on as odometry does.
    """

    def __init__(self, transforms: Transforms, fixed_frame: str, *, base_frame: str):
        self.source = f"/tf, {fixed_frame} <- {base_frame}"
        self._transforms, self._frames = transforms, (fixed_frame, base_frame)
        self._now_ns = 0

    def between(self, earlier_ns: Sequence[int], now_ns: int) -> np.ndarray:
        """As EgoMotion.between. When time goes back by more than BACK_NS, it starts afresh."""
        if now_ns < self._now_ns - BACK_NS:
            self._transforms.forget()
        self._now_ns = now_ns
        try:
            last_ns = self._transforms.newest_ns(*self._frames)  # once: it grows meanwhile
            T_now_fixed = invert_transform(self._pose(now_ns, last_ns))
            found = [T_now_fixed @ self._pose(ns, last_ns) for ns in earlier_ns]
            return _possible(np.stack(found), earlier_ns, now_ns)
        except ValueError as error:
            raise MessageError(f"{self.source}: {error}") from error

    def _pose(self, stamp_ns: int, last_ns: int) -> np.ndarray:
        """T_fixed_ego [4, 4], which TF knows up to last_ns."""
        if not last_ns < stamp_ns <= last_ns + LATEST_NS:
            return self._transforms.lookup(*self._frames, stamp_ns)
        latest_ns = range(last_ns - FIT_NS, last_ns + 1, FIT_NS // (FIT_POSES - 1))
        poses = [(ns, self._transforms.lookup(*self._frames, ns)) for ns in latest_ns]
        return _pose_after(poses, stamp_ns)


def _finite(T: np.ndarray) -> np.ndarray:
    """T [..., 4, 4] as it is; ValueError if it is not finite."""
    if not np.isfinite(T).all():
        raise ValueError("a pose is not finite")
    return T


def _possible(T_now_earlier: np.ndarray, earlier_ns: Sequence[int], now_ns: int) -> np.ndarray:
    """T [N, 4, 4] as it is; ValueError if no vehicle moves like that."""
    with np.errstate(over="ignore", invalid="ignore"):
        metres = np.linalg.norm(T_now_earlier[:, :3, 3], axis=-1)
    seconds = np.abs(now_ns - np.asarray(earlier_ns, np.int64)) / 1e9
    jumps = ~(metres <= FASTEST_M_S * seconds + SLACK_M)  # what is not a number is one, too
    if jumps.any():
        i = int(jumps.argmax())
        raise ValueError(f"the pose jumps by {metres[i]:.3g} m in {1e3 * seconds[i]:.0f} ms")
    cosines = (np.trace(T_now_earlier[:, :3, :3], axis1=1, axis2=2) - 1) / 2
    radians = np.arccos(np.clip(cosines, -1, 1))
    jumps = radians > FASTEST_RAD_S * seconds + SLACK_RAD
    if jumps.any():
        i = int(jumps.argmax())
        degrees, ms = np.rad2deg(radians[i]), 1e3 * seconds[i]
        raise ValueError(f"the pose turns by {degrees:.0f} degrees in {ms:.0f} ms")
    return T_now_earlier


def _pose_at(poses: Sequence[tuple[int, np.ndarray]], stamp_ns: int) -> np.ndarray:
    """T_odom_ego [4, 4] between two of the poses, or after the last; ValueError for a gap."""
    if stamp_ns > poses[-1][0]:
        return _pose_after(poses, stamp_ns)
    after = bisect_left(poses, stamp_ns, lo=1, hi=len(poses) - 1, key=lambda pose: pose[0])
    (start_ns, start), (end_ns, end) = poses[after - 1], poses[after]
    if end_ns - start_ns > GAP_NS:
        raise ValueError(f"no pose for {(end_ns - start_ns) / 1e9:.1f} s around an image")
    share = (stamp_ns - start_ns) / (end_ns - start_ns)
    return motion_between(start, end, share)


def _pose_after(poses: Sequence[tuple[int, np.ndarray]], stamp_ns: int) -> np.ndarray:
    """T_odom_ego [4, 4] after the last of the poses, at the twist that fits the latest ones."""
    last_ns, last = poses[-1]
    latest = [pose for pose in poses[-FIT_POSES:] if pose[0] >= last_ns - GAP_NS]
    for pose in reversed(poses[: -len(latest)]):
        if pose[0] < last_ns - FIT_NS:
            break
        latest.append(pose)
    if len(latest) < 2:
        raise ValueError("too few poses to go on from after a gap")
    seconds = np.array([(ns - last_ns) / 1e9 for ns, _ in latest])
    T_last_odom = invert_transform(last)
    motions = np.stack([motion_log(T_last_odom @ pose) for _, pose in latest])
    line = np.stack([np.ones_like(seconds), seconds], axis=-1)
    (offset, twist), *_ = np.linalg.lstsq(line, motions, rcond=None)
    return last @ motion_exp(offset + twist * (stamp_ns - last_ns) / 1e9)
