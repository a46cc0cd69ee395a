"""The cameras at run time: K and size from CameraInfo, extrinsics from a rig file or from TF."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo

from fsmde_core.fit import BODY_SHARE, ROUNDING, Fit
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
    """One calibrated camera, and how its images become the network's input."""

    fit: Fit
    """Its source is the pinhole camera of the images once they are rectified."""
    rectifier: Rectifier | None
    """What rectifies them, to the network's input at once; None where they come rectified."""
    enough: tuple[int, int]
    """Width and height of the smallest whole image that loses nothing."""

    @property
    def camera(self) -> Camera:
        """The pinhole camera of the images, at their size, once they are rectified."""
        return self.fit.source

    def image(self, pixels: np.ndarray) -> np.ndarray:
        """The network's input [h, w, 3] of an image as it came, of its own size or reduced."""
        if self.rectifier is None:
            return self.fit.image(pixels)
        return self.rectifier(pixels, scale=pixels.shape[1] / self.camera.width)


class Calibration:
    """Collects the CameraInfo of every camera and makes a View of the latest one.

    fit chooses the network's input for a camera. bodies are masks [H, W] by camera name, True where
    its images as they come show the own vehicle. update() may be called from one thread while
    others read.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        extrinsics: Extrinsics,
        base_frame: str,
        rectified: bool,
        fit: Callable[[Camera], Fit],
        bodies: Mapping[str, np.ndarray] = MappingProxyType({}),
    ):
        self.names, self.base_frame = tuple(names), base_frame
        self._extrinsics = extrinsics
        self._rectified = rectified
        self._fit, self._bodies = fit, bodies
        self._lock = threading.Lock()
        self._infos: list[tuple[CameraInfo, str] | None] = [None] * len(self.names)
        self._views: list[View | None] = [None] * len(self.names)

    def update(self, index: int, msg: CameraInfo, topic: str) -> None:
        """Take the CameraInfo of one camera; nothing is worked out anew unless it changed."""
        known = self._infos[index]
        if known is None or not _same(known[0], msg):
            with self._lock:
                self._infos[index] = (msg, topic)
                self._views[index] = None

    def view(self, index: int) -> View:
        """The calibration of one camera, the same object as long as nothing changes.

        MessageError names what is missing or cannot be used.
        """
        with self._lock:
            if self._views[index] is None:
                self._views[index] = self._make_view(index)
            return self._views[index]

    def _make_view(self, index: int) -> View:
        name = self.names[index]
        if self._infos[index] is None:
            raise MessageError(f"no CameraInfo yet from {name}")
        msg, topic = self._infos[index]
        T_ego_cam = self._extrinsics(name, msg.header.frame_id)
        camera = camera_from_info(
            msg, topic, name=name, T_ego_cam=T_ego_cam, rectified=self._rectified
        )
        body = self._bodies.get(name)
        if body is not None and body.shape != (msg.height, msg.width):
            raise MessageError(
                f"{topic}: camera {name}: its mask is {body.shape[1]}x{body.shape[0]}, "
                f"its images are {msg.width}x{msg.height}"
            )
        if self._rectified or not is_distorted(msg):
            fit = self._fit(replace(camera, body=body))
            return View(fit, None, fit.enough)
        fit = self._fit(camera)
        return _rectified_view(fit, rectifier_from_info(msg, topic, fit.camera), msg, body)


def _rectified_view(fit: Fit, rectifier: Rectifier, msg: CameraInfo, body) -> View:
    """The view of a camera whose images the rectifier brings to fit.camera; body may be None."""
    hidden = ~rectifier.seen
    if body is not None:
        hidden |= rectifier(np.uint8(255) * body) > BODY_SHARE
    # in the middle of the image, where the lens bends nothing, the network sees it at this scale
    shrink = np.diag(fit.camera.K)[:2] / (msg.k[0], msg.k[4])
    width, height = np.ceil(shrink * (msg.width, msg.height) - ROUNDING).astype(int).tolist()
    return View(replace(fit, top=0, hidden=hidden), rectifier, (width, height))


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
