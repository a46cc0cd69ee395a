"""The camera rig: which cameras look where, read from and written to a YAML file.

In memory pixel centres lie at integer + 0.5 (see geometry). Rig files, CameraInfo messages and the
datasets follow OpenCV, whose top-left pixel centre is (0, 0): opencv_to_K and K_to_opencv are the
only places that shift between the two.

A rig file may name a picture of each camera's own vehicle, `mask: front_mask.png`, beside it or in
a folder below: dark is the vehicle, bright is the world.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import cv2
import numpy as np
import yaml

from fsmde_core.files import write_bytes, write_text
from fsmde_core.geometry import (
    is_rotation,
    make_transform,
    quaternion_to_rotation,
    rotation_to_quaternion,
)
from fsmde_core.yaml_text import YamlError, load_yaml

SAME_WAY_RAD = np.deg2rad(5)  # cameras that turn by less look the same way
RING_GAP_DEG = 10.0  # two views this far from touching still count as neighbours
RIG_KEYS = ("base_frame", "cameras")
CAMERA_KEYS = ("name", "frame_id", "width", "height", "K", "translation_m", "quaternion_xyzw")
MASK_KEY = "mask"  # of a camera, optional
MISSING_K = "MISSING: fx, 0, cx, 0, fy, cy, 0, 0, 1"


class RigError(ValueError):
    """A rig that cannot be used; the message names the file, the camera and the field."""


@dataclass(frozen=True, eq=False)
class Camera:
    """One calibrated, rectified pinhole camera of a rig.

    RigError if K is singular, the size not positive, the rotation not orthonormal, or body of
    another size.
    """

    name: str
    frame_id: str
    """Optical frame (x right, y down, z forward)."""
    width: int
    height: int
    K: np.ndarray
    """[3, 3] in pixels, pixel centres at integer + 0.5."""
    T_ego_cam: np.ndarray
    """[4, 4]: p_ego = T_ego_cam @ p_cam, metres; ego is REP 105 base_link."""
    body: np.ndarray | None = None
    """[height, width] bool, True where the camera sees its own vehicle, in the pixels of its image
    as the camera sends it, before any rectification; None: nowhere."""

    def __post_init__(self):
        for field, shape in (("K", (3, 3)), ("T_ego_cam", (4, 4))):
            value = np.array(getattr(self, field), np.float64)
            if value.shape != shape or not np.isfinite(value).all():
                raise RigError(f"camera {self.name}: {field} is not a finite matrix {shape}")
            value.setflags(write=False)
            object.__setattr__(self, field, value)
        if self.width <= 0 or self.height <= 0:
            raise RigError(f"camera {self.name}: size {self.width}x{self.height} is not positive")
        if self.K[0, 0] <= 0 or self.K[1, 1] <= 0:
            raise RigError(
                f"camera {self.name}: K is singular or negative, "
                f"focal lengths {self.K[0, 0]:g}, {self.K[1, 1]:g} must be positive"
            )
        if np.any(self.K[1:, 0]) or self.K[2, 1] or self.K[2, 2] != 1:
            raise RigError(f"camera {self.name}: K is not of the form [fx s cx; 0 fy cy; 0 0 1]")
        if not is_rotation(self.T_ego_cam[:3, :3]):
            raise RigError(f"camera {self.name}: the rotation of T_ego_cam is not orthonormal")
        if not np.array_equal(self.T_ego_cam[3], (0, 0, 0, 1)):
            raise RigError(f"camera {self.name}: the last row of T_ego_cam is not 0 0 0 1")
        if self.body is not None:
            self._check_body()

    def _check_body(self) -> None:
        body = np.array(self.body, bool)
        if body.shape != (self.height, self.width):
            size = "x".join(map(str, body.shape[::-1]))
            raise RigError(
                f"camera {self.name}: the mask of its vehicle is {size}, "
                f"its images are {self.width}x{self.height}"
            )
        body.setflags(write=False)
        object.__setattr__(self, "body", body)

    @property
    def azimuth_rad(self) -> float:
        """Heading of the optical axis in the ego frame, 0 forward, positive to the left."""
        return float(np.arctan2(self.T_ego_cam[1, 2], self.T_ego_cam[0, 2]))

    @property
    def horizontal_fov_rad(self) -> float:
        """Angle between the left and the right image border."""
        borders = np.arctan((np.array([0, self.width]) - self.K[0, 2]) / self.K[0, 0])
        return float(np.ptp(borders))

    def resized(self, width: int, height: int) -> Camera:
        """The same camera with its image stretched to width x height pixels."""
        scale = np.diag([width / self.width, height / self.height, 1.0])
        body = self.body
        if body is not None:
            size, nearest = (width, height), cv2.INTER_NEAREST
            body = cv2.resize(body.view(np.uint8), size, interpolation=nearest).astype(bool)
        return replace(self, width=width, height=height, K=scale @ self.K, body=body)

    def cropped(self, left: int, top: int, width: int, height: int) -> Camera:
        """The same camera seeing only the given window of its image, in pixels."""
        inside = left >= 0 and top >= 0 and left + width <= self.width
        if not (inside and top + height <= self.height):
            raise RigError(
                f"camera {self.name}: crop {width}x{height} at ({left}, {top}) "
                f"leaves the image {self.width}x{self.height}"
            )
        K = self.K - [[0, 0, left], [0, 0, top], [0, 0, 0]]
        body = self.body
        if body is not None:
            body = body[top : top + height, left : left + width]
        return replace(self, width=width, height=height, K=K, body=body)


@dataclass(frozen=True, eq=False)
class Rig:
    """Cameras rigidly mounted on one vehicle, in the order in which every array stacks them."""

    cameras: tuple[Camera, ...]
    base_frame: str = "base_link"

    def __post_init__(self):
        if not self.cameras:
            raise RigError("a rig needs at least one camera")
        double = next((n for n in self.names if self.names.count(n) > 1), None)
        if double is not None:
            raise RigError(f"two cameras of the rig have the name {double!r}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(camera.name for camera in self.cameras)

    @property
    def K(self) -> np.ndarray:
        """[N, 3, 3] in pixels."""
        return np.stack([camera.K for camera in self.cameras])

    @property
    def T_ego_cam(self) -> np.ndarray:
        """[N, 4, 4] in metres."""
        return np.stack([camera.T_ego_cam for camera in self.cameras])

    def resized(self, width: int, height: int) -> Rig:
        """The same rig with every image stretched to width x height pixels."""
        return replace(self, cameras=tuple(c.resized(width, height) for c in self.cameras))

    def subset(self, indices: Sequence[int]) -> Rig:
        """The same rig with only some of its cameras."""
        return replace(self, cameras=tuple(self.cameras[i] for i in indices))

    def neighbours(self) -> tuple[tuple[int, int], ...]:
        """Pairs (i, j) of cameras next to each other around the vehicle, j left of i.

        Next to each other: with fields of view that overlap or miss each other by at most
        RING_GAP_DEG, and without a third camera between them that does so with both. A full ring of
        N > 2 cameras has N pairs; one that looks where another does, such as a telephoto in front
        of a wide view, adds its own.
        """
        numbers = range(len(self.cameras))
        left = {
            (i, j): self._turn(i, j)
            for i in numbers
            for j in numbers
            if i != j and self._is_left(i, j) and self._touch(i, j)
        }
        return tuple(
            (i, j)
            for i, j in left
            if not any(
                (i, k) in left and (k, j) in left and min(left[i, k], left[k, j]) > SAME_WAY_RAD
                for k in numbers
            )
        )

    def _turn(self, i: int, j: int) -> float:
        """From camera i to the left until camera j, in [0, 2 pi) rad."""
        return (self.cameras[j].azimuth_rad - self.cameras[i].azimuth_rad) % (2 * np.pi)

    def _is_left(self, i: int, j: int) -> bool:
        """Of two that look the same way, or opposite ways, the later in the rig is left."""
        turn, back = self._turn(i, j), self._turn(j, i)
        return i < j if np.isclose(turn % np.pi, back % np.pi) else turn < back

    def _touch(self, i: int, j: int) -> bool:
        a, b = self.cameras[i], self.cameras[j]
        between = min(self._turn(i, j), self._turn(j, i))
        half_views = (a.horizontal_fov_rad + b.horizontal_fov_rad) / 2
        return bool(between <= half_views + np.deg2rad(RING_GAP_DEG))


def opencv_to_K(K_opencv: np.ndarray) -> np.ndarray:
    """K [3, 3] with pixel centres at integer + 0.5 from one with centres at integers."""
    return np.asarray(K_opencv, np.float64) + [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]


def K_to_opencv(K: np.ndarray) -> np.ndarray:
    """K [3, 3] with pixel centres at integers, as CameraInfo and rig files hold it."""
    return K - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]


def load_rig(path: Path | str) -> Rig:
    """Read a rig file and the masks it names.

    RigError names the file and the key for anything missing or unknown, and the mask that is
    missing, no image, not of the camera's size, or outside the rig file's folder.
    """
    path = Path(path)
    document = _read_yaml(path)
    try:
        _check_keys(document, RIG_KEYS, "the rig")
        if not isinstance(document["cameras"], list):
            raise RigError("cameras is not a list")
        entries = enumerate(document["cameras"])
        cameras = tuple(_parse_camera(i, entry, path.parent) for i, entry in entries)
        return Rig(cameras, base_frame=str(document["base_frame"]))
    except RigError as error:
        raise RigError(f"rig file {path}: {error}") from error


def _read_yaml(path: Path) -> Any:
    try:
        return load_yaml(path.read_bytes())
    except OSError as error:
        raise RigError(f"rig file {path.absolute()}: {error.strerror or error}") from error
    except YamlError as error:
        raise RigError(f"rig file {path} {error}") from error


def mask_files(path: Path | str) -> tuple[Path, ...]:
    """The mask images that a rig file names, one that load_rig reads; in their cameras' order."""
    path = Path(path)
    names = (entry.get(MASK_KEY) for entry in _read_yaml(path)["cameras"])
    return tuple(path.parent / name for name in names if name)


def save_rig(rig: Rig, path: Path | str) -> None:
    """Write a rig file that load_rig reads back, and NAME_mask.png beside it for each camera with
    a body; each file appears whole or not at all, the rig file last.

    RigError for a camera whose name cannot be part of a file's.
    """
    for camera in rig.cameras:
        if camera.body is not None:
            write_body(camera.body, Path(path).parent / mask_name(camera.name))
    _write_document(rig.base_frame, [_dump_camera(camera) for camera in rig.cameras], path)


def save_draft(rig: Rig, path: Path | str) -> None:
    """Write a rig file in which each K is to be filled in; until then load_rig names the first."""
    entries = [{**_dump_camera(camera), "K": MISSING_K} for camera in rig.cameras]
    _write_document(rig.base_frame, entries, path)


def _write_document(base_frame: str, entries: list[dict], path: Path | str) -> None:
    document = {"base_frame": base_frame, "cameras": entries}
    write_text(path, yaml.safe_dump(document, sort_keys=False, default_flow_style=None))


def mask_name(camera: str) -> str:
    """NAME_mask.png of a camera; RigError if its name cannot be part of a file's."""
    if set(camera) & set("/\\\0"):
        raise RigError(f"camera {camera!r}: a name with a slash gives no name for its mask")
    return f"{camera}_mask.png"


def read_body(path: Path) -> np.ndarray:
    """[H, W] bool of a mask image, True where it is dark: the vehicle.

    8 or 16 bits, any number of channels. RigError names a file that is missing or no image, that
    has transparent pixels, as they could mean either, or nothing bright, as one of levels 0 and 1.
    """
    if not os.path.isfile(path):  # Path's own raises where a name is too long
        raise RigError(f"mask {path} is missing")
    image = None
    with suppress(cv2.error):  # of more pixels than OpenCV takes
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise RigError(f"mask {path} does not decode as an image")
    if image.dtype not in (np.uint8, np.uint16):
        raise RigError(f"mask {path} has pixels of {image.dtype}, not of 8 or 16 bits")
    white = np.iinfo(image.dtype).max
    if image.ndim == 3 and image.shape[2] == 4 and image[..., 3].min() < white:
        raise RigError(f"mask {path} has transparent pixels: save it without transparency")
    level = image if image.ndim == 2 else image[..., :3].min(axis=2)
    bright = level > white // 2
    if not bright.any():
        raise RigError(f"mask {path} has no bright pixel: 0 is the vehicle, {white} the world")
    return ~bright


def write_body(body: np.ndarray, path: Path) -> None:
    """Write [H, W] bool as a mask image that read_body reads back, whole or not at all."""
    _, png = cv2.imencode(".png", np.where(body, 0, 255).astype(np.uint8))
    write_bytes(path, png.tobytes())


def _check_keys(
    entry: object, keys: tuple[str, ...], where: str, optional: tuple[str, ...] = ()
) -> None:
    if not isinstance(entry, dict):
        raise RigError(f"{where} is not a mapping with the keys {', '.join(keys)}")
    known = keys + optional
    unknown = [str(key) for key in entry if key not in known]
    missing = [key for key in keys if key not in entry]
    if unknown:
        raise RigError(f"{where} has the unknown key {unknown[0]!r}; known: {', '.join(known)}")
    if missing:
        raise RigError(f"{where} lacks the key {missing[0]!r}")


def _parse_camera(index: int, entry: object, folder: Path) -> Camera:
    """The camera of an entry of a rig file in `folder`."""
    where = f"camera {index}"
    _check_keys(entry, CAMERA_KEYS, where, optional=(MASK_KEY,))
    where = f"camera {entry['name']}"
    K = _numbers(entry, "K", where, count=9).reshape(3, 3)
    translation = _numbers(entry, "translation_m", where, count=3)
    quaternion = _numbers(entry, "quaternion_xyzw", where, count=4)
    width, height = (int(_numbers(entry, key, where, count=1)[0]) for key in ("width", "height"))
    try:
        rotation = quaternion_to_rotation(quaternion)
    except ValueError as error:
        raise RigError(f"{where}: {error}") from error
    camera = Camera(
        name=str(entry["name"]),
        frame_id=str(entry["frame_id"]),
        width=width,
        height=height,
        K=opencv_to_K(K),
        T_ego_cam=make_transform(rotation, translation),
    )
    if MASK_KEY not in entry:
        return camera
    return replace(camera, body=_camera_body(camera, entry[MASK_KEY], folder))


def _numbers(entry: dict, key: str, where: str, *, count: int) -> np.ndarray:
    """[count] of a key, all finite; RigError names it."""
    try:
        return np.asarray_chkfinite(entry[key], np.float64).reshape(count)
    except (TypeError, ValueError) as error:
        wanted = f"{count} numbers" if count > 1 else "a number"
        raise RigError(f"{where}: {key} is not {wanted}: {entry[key]!r}") from error


def _camera_body(camera: Camera, name: object, folder: Path) -> np.ndarray:
    """The body in the file that a mask key names; it may not leave the folder by its name, where
    links lead is not asked."""
    where = f"camera {camera.name}"
    if not isinstance(name, str) or not name:
        raise RigError(f"{where}: mask {name!r} is not the name of a file")
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind(name)
        if path.is_absolute() or path.drive or path.root or ".." in path.parts:
            raise RigError(f"{where}: mask {name!r} leaves the folder of the rig file")
    try:
        body = read_body(folder / name)
    except RigError as error:
        raise RigError(f"{where}: {error}") from error
    if body.shape != (camera.height, camera.width):
        raise RigError(
            f"{where}: mask {folder / name} is {body.shape[1]}x{body.shape[0]}, "
            f"its images are {camera.width}x{camera.height}"
        )
    return body


def _dump_camera(camera: Camera) -> dict:
    entry = {
        "name": camera.name,
        "frame_id": camera.frame_id,
        "width": camera.width,
        "height": camera.height,
        "K": K_to_opencv(camera.K).ravel().tolist(),
        "translation_m": camera.T_ego_cam[:3, 3].tolist(),
        "quaternion_xyzw": rotation_to_quaternion(camera.T_ego_cam[:3, :3]).tolist(),
    }
    if camera.body is not None:
        entry[MASK_KEY] = mask_name(camera.name)
    return entry
