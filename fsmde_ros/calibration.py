"""The rig at run time: K and size from CameraInfo, extrinsics from a rig file or from TF."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo

from fsmde_core.rig import Rig
from fsmde_ros.conversions import MessageError, camera_from_info, transform_from_msg

Extrinsics = Callable[[str, str], np.ndarray]
"""(camera name, optical frame) -> T_ego_cam [4, 4]; MessageError if it is not known (yet)."""


class Calibration:
    """Collects the CameraInfo of every camera and makes a Rig of the latest ones."""

    def __init__(
        self, names: Sequence[str], *, extrinsics: Extrinsics, base_frame: str, rectified: bool
    ):
        self._names = tuple(names)
        self._extrinsics = extrinsics
        self._base_frame = base_frame
        self._rectified = rectified
        self._infos: list[tuple[CameraInfo, str] | None] = [None] * len(self._names)
        self._rig: Rig | None = None

    def update(self, index: int, msg: CameraInfo, topic: str) -> None:
        """Take the CameraInfo of one camera; the rig is made anew only if it changed."""
        known = self._infos[index]
        if known is None or not _same(known[0], msg):
            self._infos[index] = (msg, topic)
            self._rig = None

    def rig(self) -> Rig:
        """The rig of the latest calibration.

        MessageError names the topic or frame that is missing or cannot be used.
        """
        rig = self._rig
        if rig is None:
            infos = list(self._infos)
            missing = [name for name, info in zip(self._names, infos) if info is None]
            if missing:
                raise MessageError(f"no CameraInfo yet from {', '.join(missing)}")
            cameras = []
            for name, (msg, topic) in zip(self._names, infos):
                T_ego_cam = self._extrinsics(name, msg.header.frame_id)
                cameras.append(
                    camera_from_info(
                        msg, topic, name=name, T_ego_cam=T_ego_cam, rectified=self._rectified
                    )
                )
            rig = Rig(tuple(cameras), base_frame=self._base_frame)
            if infos == self._infos:  # nothing newer came in while this one was made
                self._rig = rig
        return rig


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


def _same(a: CameraInfo, b: CameraInfo) -> bool:
    fields = ("width", "height", "distortion_model", "d", "k", "p")
    return a.header.frame_id == b.header.frame_id and all(
        np.array_equal(getattr(a, field), getattr(b, field)) for field in fields
    )
