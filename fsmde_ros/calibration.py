"""The rig at run time: K and size from CameraInfo, extrinsics from a rig file or from TF."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo

from fsmde_core.rectify import Rectifier
from fsmde_core.rig import Camera, Rig
from fsmde_ros.conversions import (
    MessageError,
    camera_from_info,
    is_distorted,
    rectifier_from_info,
    transform_from_msg,
)

Extrinsics = Callable[[str, str], np.ndarray]
"""(camera name, optical frame) -> T_ego_cam [4, 4]; MessageError if it is not known (yet)."""

FOCAL_TOLERANCE = 0.02  # relative difference of file and CameraInfo that is worth a warning


@dataclass(frozen=True)
class View:
    """One calibrated camera."""

    camera: Camera
    """The pinhole camera of its images once they are rectified."""
    rectifier: Rectifier | None
    """What rectifies them; None where they come rectified."""


class Calibration:
    """Collects the CameraInfo of every camera and makes a Rig of the latest ones.

    size is (width, height) of the network's input, to which distorted images are rectified.
    update() may be called from one thread while others read.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        extrinsics: Extrinsics,
        base_frame: str,
        rectified: bool,
        size: tuple[int, int],
    ):
        self.names = tuple(names)
        self._extrinsics = extrinsics
        self._base_frame = base_frame
        self._rectified = rectified
        self._size = size
        self._lock = threading.Lock()
        self._infos: list[tuple[CameraInfo, str] | None] = [None] * len(self.names)
        self._views: list[View | None] = [None] * len(self.names)
        self._rigs: dict[tuple[int, ...], Rig] = {}

    def update(self, index: int, msg: CameraInfo, topic: str) -> None:
        """Take the CameraInfo of one camera; nothing is worked out anew unless it changed."""
        known = self._infos[index]
        if known is None or not _same(known[0], msg):
            with self._lock:
                self._infos[index] = (msg, topic)
                self._views[index] = None
                self._rigs.clear()

    def view(self, index: int) -> View:
        """The calibration of one camera; MessageError names what is missing or cannot be used."""
        with self._lock:
            if self._views[index] is None:
                self._views[index] = self._make_view(index)
            return self._views[index]

    def rig(self, indices: Sequence[int]) -> Rig:
        """The rig of some cameras, the same object as long as nothing changes; as for view()."""
        indices = tuple(indices)
        views = [self.view(i) for i in indices]
        with self._lock:
            rig = self._rigs.get(indices)
            if rig is None:
                rig = Rig(tuple(view.camera for view in views), base_frame=self._base_frame)
                self._rigs[indices] = rig
        return rig

    def _make_view(self, index: int) -> View:
        name = self.names[index]
        if self._infos[index] is None:
            raise MessageError(f"no CameraInfo yet from {name}")
        msg, topic = self._infos[index]
        T_ego_cam = self._extrinsics(name, msg.header.frame_id)
        camera = camera_from_info(
            msg, topic, name=name, T_ego_cam=T_ego_cam, rectified=self._rectified
        )
        if self._rectified or not is_distorted(msg):
            return View(camera, None)
        return View(camera, rectifier_from_info(msg, topic, camera.resized(*self._size)))


def extrinsics_from_rig(rig: Rig) -> Extrinsics:
    """Extrinsics of a rig file."""
    transforms = {camera.name: camera.T_ego_cam for camera in rig.cameras}
    return lambda name, frame_id: transforms[name]


def extrinsics_from_tf(node: Node, base_frame: str) -> Extrinsics:
    """Extrinsics of the TF tree at the time they are first needed.

    ImportError if tf2_ros is not installed (it is part of a ROS installation, not on PyPI).
    """
    try:
        from tf2_ros import Buffer, TransformException, TransformListener
    except ImportError as error:
        raise ImportError(
            "parameter rig_file is empty and TF needs tf2_ros, which is not installed: "
            "give a rig file, or source a ROS 2 installation"
        ) from error
    buffer = Buffer()
    listener = TransformListener(buffer, node)

    def lookup(name: str, frame_id: str, _listener=listener) -> np.ndarray:
        try:
            found = buffer.lookup_transform(base_frame, frame_id, Time())
            return transform_from_msg(found.transform)
        except (TransformException, ValueError) as error:
            raise MessageError(f"/tf: {base_frame} <- {frame_id} of {name}: {error}") from error

    return lookup


def disagreement(view: View, camera: Camera) -> str | None:
    """One sentence if a rig file's camera contradicts the CameraInfo, which then counts."""
    ours = camera.resized(view.camera.width, view.camera.height).K[0, 0]
    theirs = view.camera.K[0, 0]
    if abs(ours / theirs - 1) > FOCAL_TOLERANCE:
        return (
            f"camera {camera.name}: focal length {theirs:.0f} px in CameraInfo, {ours:.0f} px in "
            f"the rig file; CameraInfo counts"
        )
    if view.camera.frame_id != camera.frame_id:
        return (
            f"camera {camera.name}: frame {view.camera.frame_id!r} in CameraInfo, "
            f"{camera.frame_id!r} in the rig file; the message's counts"
        )
    return None


def _same(a: CameraInfo, b: CameraInfo) -> bool:
    fields = ("width", "height", "distortion_model", "d", "k", "p")
    return a.header.frame_id == b.header.frame_id and all(
        np.array_equal(getattr(a, field), getattr(b, field)) for field in fields
    )
