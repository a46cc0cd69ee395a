"""The cameras at run time: K and size from CameraInfo, extrinsics from a rig file or from TF."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from fsmde_core.fit import BODY_SHARE, ROUNDING, Fit
from fsmde_core.pose_doubts import pose_doubts
from fsmde_core.rectify import Rectifier
from fsmde_core.rig import Camera, Rig
from fsmde_ros.camera_info import ImageGeometry, read_camera_info
from fsmde_ros.conversions import MessageError, camera_info_msg
from fsmde_ros.doubts import (
    LEAST_SEEN,
    disagreement,
    frame_note,
    image_doubts,
    image_notes,
)
from fsmde_ros.transforms import Transforms

PATIENCE_S = 1.0  # so long a camera's first CameraInfo is waited for
RIG_FILE = "rig file"
SHAKES_M, SHAKES_RAD = 0.005, 0.002  # less is no other place of a camera

Extrinsics = Callable[[str, str], np.ndarray]
"""(camera name, optical frame) -> T_ego_cam [4, 4]; MessageError if it is not known (yet)."""


@dataclass(frozen=True)
class View:
    """One calibrated camera, and how its images become the network's input."""

    fit: Fit
    """Its source is the pinhole camera of the images once they are rectified."""
    rectifier: Rectifier | None
    """What rectifies them, to the network's input at once; None where they come rectified."""
    enough: tuple[int, int]
    """Width and height of the smallest whole image that loses nothing."""
    geometry: ImageGeometry
    """What the CameraInfo says of the images."""
    doubts: tuple[str, ...] = ()
    """What of it is probably wrong, a sentence each."""
    notes: tuple[str, ...] = ()
    """What of it should be known, a sentence each."""

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
    its images show the own vehicle: as they come, or whole, before a CameraInfo's ROI and binning.
    expected is the rig file, which views are compared with. info_from_rig: it takes the place of a
    CameraInfo that does not come, or is of zeros, for PATIENCE_S from a camera's first image on.
    update() may be called from one thread while others read.
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
        expected: Rig | None = None,
        info_from_rig: bool = False,
    ):
        self.names, self.base_frame = tuple(names), base_frame
        self._extrinsics = extrinsics
        self._rectified = rectified
        self._fit, self._bodies = fit, bodies
        cameras = expected.cameras if expected is not None else ()
        self._expected = {camera.name: camera for camera in cameras}
        self._info_from_rig = info_from_rig
        self._awaited_s: dict[int, float] = {}  # since when, by camera
        self._filled_in: set[int] = set()
        self._lock = threading.Lock()
        self._infos: list[tuple[CameraInfo, str] | None] = [None] * len(self.names)
        self._contents: list[tuple | None] = [None] * len(self.names)
        self._views: list[View | None] = [None] * len(self.names)
        self._poses: list[bytes] = [b""] * len(self.names)  # as views have them

    def update(self, index: int, msg: CameraInfo, topic: str) -> None:
        """Take the CameraInfo of one camera; nothing is worked out anew unless it changed."""
        if self._info_from_rig and not any((*msg.k, *msg.p)):
            return  # that of a driver without a calibration, which is none
        content = _content(msg)
        if content != self._contents[index]:
            with self._lock:
                self._infos[index], self._contents[index] = (msg, topic), content
                self._views[index] = None
                self._filled_in.discard(index)

    def with_info(self) -> list[int]:
        """The cameras that a CameraInfo came of."""
        return [index for index, info in enumerate(self._infos) if info is not None]

    def without_info(self) -> list[int]:
        """The cameras that no CameraInfo came of yet, nor anything in its place."""
        missing = (index for index, info in enumerate(self._infos) if info is None)
        return [index for index in missing if index not in self._filled_in]

    def from_rig(self) -> list[str]:
        """The names of the cameras whose CameraInfo is the rig file's."""
        return [self.names[index] for index in sorted(self._filled_in)]

    def view(self, index: int) -> View:
        """The calibration of one camera, the same object as long as nothing changes.

        MessageError names what is missing or cannot be used.
        """
        (view,) = self.views([index])
        if isinstance(view, MessageError):
            raise view
        return view

    def views(self, indices: Sequence[int]) -> list[View | MessageError]:
        """The calibration of several cameras at one moment, or why there is none of one."""
        with self._lock:
            return [self._current(index) for index in indices]

    def _current(self, index: int) -> View | MessageError:
        view = self._views[index]
        if view is None or self._has_moved(index, view):
            self._views[index] = None
            try:
                view = self._views[index] = self._make_view(index)
            except MessageError as error:
                return error
        return view

    def _has_moved(self, index: int, view: View) -> bool:
        """Whether TF puts a camera elsewhere than it did, by more than a mount shakes."""
        camera = view.camera
        try:
            T_ego_cam = self._extrinsics(camera.name, view.geometry.frame_id)
        except MessageError:  # what was known holds
            return False
        if T_ego_cam.tobytes() == self._poses[index]:  # spares numpy, where threads meet
            return False
        off = np.abs(T_ego_cam - camera.T_ego_cam)[:3]
        return bool(off[:, 3].max() > SHAKES_M or off[:, :3].max() > SHAKES_RAD)

    def _make_view(self, index: int) -> View:
        name = self.names[index]
        geometry, topic = self._geometry(index)
        T_ego_cam = self._extrinsics(name, geometry.frame_id)
        self._poses[index] = T_ego_cam.tobytes()
        camera = geometry.camera(name, T_ego_cam, topic)
        expected = self._expected.get(name)
        if expected is not None and not camera.frame_id:
            camera = replace(camera, frame_id=expected.frame_id)
        body = self._body(name, geometry, topic)
        if geometry.rectified:
            fit = self._fit(replace(camera, body=body))
            lens = geometry.rectifier(fit.camera) if geometry.K_raw is not None else None
            view = View(_without_borders(fit, lens), None, fit.enough, geometry)
        else:
            view = _rectified_view(self._fit(camera), geometry, body)
            lens = view.rectifier
            if not lens.seen.any():
                raise MessageError(f"{topic}: by K, D, R and P the rectified image shows nothing")
        return self._judged(view, expected, lens)

    def _geometry(self, index: int) -> tuple[ImageGeometry, str]:
        """What a camera's images are like, and the topic that says it."""
        name, info = self.names[index], self._infos[index]
        if info is not None:
            msg, topic = info
            return read_camera_info(msg, topic, rectified=self._rectified), topic
        expected = self._expected.get(name)
        since_s = self._awaited_s.setdefault(index, time.monotonic())
        if not (self._info_from_rig and expected) or time.monotonic() - since_s < PATIENCE_S:
            raise MessageError(f"no CameraInfo yet from {name}")
        self._filled_in.add(index)
        msg = camera_info_msg(expected, Header(frame_id=expected.frame_id))
        return read_camera_info(msg, RIG_FILE, rectified=True, source=RIG_FILE), RIG_FILE

    def _judged(self, view: View, expected: Camera | None, lens: Rectifier | None) -> View:
        name, geometry = view.camera.name, view.geometry
        doubts = pose_doubts(view.camera, self.base_frame) + image_doubts(name, geometry, lens)
        notes = image_notes(name, geometry, view.rectifier)
        if geometry.source == RIG_FILE:
            notes.append(f"camera {name}: no CameraInfo came, the rig file's K is used")
        elif expected is not None:
            doubts.append(disagreement(view.geometry, expected))
            notes.append(frame_note(view.geometry.frame_id, expected))
        doubts, notes = (tuple(filter(None, found)) for found in (doubts, notes))
        return replace(view, doubts=doubts, notes=notes)

    def _body(self, name: str, geometry: ImageGeometry, topic: str) -> np.ndarray | None:
        """The mask of a camera at the size of its images as they come."""
        body = self._bodies.get(name)
        size = geometry.width, geometry.height
        if body is None or body.shape[::-1] == size:
            return body
        if body.shape[::-1] != geometry.whole:
            raise MessageError(
                f"{topic}: camera {name}: its mask is {body.shape[1]}x{body.shape[0]}, "
                f"its images are {size[0]}x{size[1]}"
            )
        left, top, width, height = geometry.window
        window = body[top : top + height, left : left + width].astype(np.uint8)
        return cv2.resize(window, size, interpolation=cv2.INTER_NEAREST).astype(bool)


def _rectified_view(fit: Fit, geometry: ImageGeometry, body: np.ndarray | None) -> View:
    """The view of a camera whose images the rectifier brings to fit.camera; body may be None."""
    rectifier = geometry.rectifier(fit.camera)
    hidden = ~rectifier.seen
    if body is not None:
        hidden |= rectifier(np.uint8(255) * body) > BODY_SHARE
    # in the middle of the image, where the lens bends nothing, the network sees it at this scale
    shrink = np.diag(fit.camera.K)[:2] / np.diag(geometry.K_raw)[:2]
    exact = shrink * (geometry.width, geometry.height) - ROUNDING
    width, height = np.ceil(exact).astype(int).tolist()
    return View(replace(fit, top=0, hidden=hidden), rectifier, (width, height), geometry)


def _without_borders(fit: Fit, lens: Rectifier | None) -> Fit:
    """The fit without the pixels that whoever rectified the images had nothing to fill with.

    lens does what they did; it is not believed where it would leave less than a half.
    """
    if lens is None or lens.seen.all() or lens.seen.mean() < LEAST_SEEN:
        return fit
    return replace(fit, hidden=~lens.seen)


def extrinsics_from_rig(rig: Rig) -> Extrinsics:
    """Extrinsics of a rig file."""
    transforms = {camera.name: camera.T_ego_cam for camera in rig.cameras}
    return lambda name, frame_id: transforms[name]


def extrinsics_from_tf(transforms: Transforms, base_frame: str) -> Extrinsics:
    """Extrinsics of the TF tree, the latest there are."""
    frames: dict[str, str] = {}

    def lookup(name: str, frame_id: str) -> np.ndarray:
        frames[name] = frame_id
        twin = next((n for n, f in frames.items() if f == frame_id and n != name), None)
        if twin is not None:
            raise MessageError(
                f"/tf: {twin} and {name} have the same frame_id {frame_id!r} in CameraInfo: give "
                f"each its own, or give a rig file"
            )
        try:
            return transforms.lookup(base_frame, frame_id)
        except MessageError as error:
            raise MessageError(f"/tf: {base_frame} <- {frame_id} of {name}: {error}") from error

    return lookup


def _content(msg: CameraInfo) -> tuple:
    """All that counts of a CameraInfo, to be compared: not a number is equal to itself here."""
    roi = msg.roi
    window = roi.x_offset, roi.y_offset, roi.width, roi.height
    size = msg.width, msg.height, msg.binning_x, msg.binning_y
    numbers = (np.asarray(values).tobytes() for values in (msg.d, msg.k, msg.r, msg.p))
    return msg.header.frame_id, msg.distortion_model, size, window, *numbers
