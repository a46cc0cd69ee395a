"""One look of a whole rig as a dataset stores it: images, calibration, poses, LiDAR sweeps."""

from __future__ import annotations

import json
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

import cv2
import numpy as np

from fsmde_core.geometry import (
    invert_transform,
    make_transform,
    project,
    quaternion_to_rotation,
    transform_points,
)
from fsmde_core.jpeg import START, decode_jpeg
from fsmde_core.rig import Camera, Rig

BROKEN_ARRAYS = (
    OSError, ValueError, TypeError, KeyError, IndexError, EOFError, RuntimeError, MemoryError,
    SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What numpy and zipfile raise for bytes that are not as written."""


class DatasetError(ValueError):
    """A dataset that cannot be read; the message names the file and the field or token."""


@dataclass(frozen=True)
class LidarSweep:
    """A point cloud file and where its sensor was."""

    file: Path
    stamp_ns: int
    T_world_lidar: np.ndarray
    """[4, 4]"""
    T_ego_lidar: np.ndarray
    """[4, 4], where the sensor sits on the vehicle."""


@dataclass(frozen=True)
class Sample:
    """N images that belong together, each with its own stamp and pose, still on disk."""

    scene: str
    token: str
    rig: Rig
    image_files: tuple[Path, ...]
    stamps_ns: tuple[int, ...]
    T_world_ego: np.ndarray
    """[N, 4, 4], the vehicle's pose at each camera's own stamp."""
    lidar: LidarSweep | None
    """The sweep that is the ground truth; None if the dataset has none of this sample."""
    past_sweeps: tuple[LidarSweep, ...] = ()
    """Sweeps before `lidar`, newest first, where the reader was asked for them."""
    no_lidar: str = ""
    """Where `lidar` is None: which LiDAR was looked for, and which others there are."""


class Samples(Sequence):
    """Samples that are put together only when asked for.

    entries are (scene, key) in time order, scene after scene; build makes the Sample of one, and is
    no closure, as processes that read get a copy. What is wrong with a sample is therefore raised
    (DatasetError) when that sample is asked for.
    """

    def __init__(
        self, entries: Sequence[tuple[str, str]], build: Callable[[str, str], Sample]
    ) -> None:
        self._entries, self._build = tuple(entries), build

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Samples(self._entries[index], self._build)
        return self._build(*self._entries[index])

    def label(self, index: int) -> str:
        """Scene and key of a sample, also of one that cannot be built."""
        return " ".join(self._entries[index])

    @property
    def scenes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(scene for scene, _ in self._entries))

    def of_scene(self, scene: str | None) -> Samples:
        """Samples of one scene, the first if None; DatasetError if there is none of that name."""
        known = self.scenes
        scene = known[0] if scene is None and known else scene
        if scene not in known:
            raise DatasetError(f"no scene {scene!r}; known: {', '.join(known) or 'none'}")
        return Samples([entry for entry in self._entries if entry[0] == scene], self._build)


def pose_matrix(xyzw: Sequence[float], translation: Sequence[float]) -> np.ndarray:
    """[4, 4] of a quaternion in ROS order and a translation in metres; ValueError where they are
    not of length one and finite."""
    T = make_transform(quaternion_to_rotation(xyzw), translation)
    if not np.isfinite(T).all():
        raise ValueError(f"translation {list(translation)} is not finite")
    return T


def read_image(path: Path) -> np.ndarray:
    """Decode an image file to RGB uint8 [H, W, 3].

    DatasetError names a file that is missing, does not decode, or is a JPEG cut short.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"image {path}: {error.strerror or error}") from error
    if data.startswith(START):
        try:
            return decode_jpeg(data)[0]
        except ValueError as error:
            raise DatasetError(f"image {path} is a damaged JPEG: {error}") from error
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise DatasetError(f"image {path} does not decode")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def lidar_points_cam(
    sample: Sample, index: int, points_lidar: np.ndarray, *, sweep: LidarSweep | None = None
) -> np.ndarray:
    """Points of a sweep in the frame of camera `index` at that camera's own stamp.

    points_lidar [P, 3] in the frame of the sweep (sample.lidar if None); returns [P, 3], ego motion
    in between compensated.
    """
    sweep = sample.lidar if sweep is None else sweep
    T_world_cam = sample.T_world_ego[index] @ sample.rig.cameras[index].T_ego_cam
    return transform_points(invert_transform(T_world_cam) @ sweep.T_world_lidar, points_lidar)


def scatter_depth(points_cam: np.ndarray, camera: Camera) -> np.ndarray:
    """Depth image [H, W] float32 of points [P, 3] in the camera frame; 0 is empty, nearest wins."""
    pixels, depth = project(points_cam[points_cam[:, 2] > 0], camera.K)
    columns, rows = np.floor(pixels).astype(np.int64).T
    inside = (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    far_first = np.argsort(-depth[inside], kind="stable")
    image = np.zeros((camera.height, camera.width), np.float32)
    image[rows[inside][far_first], columns[inside][far_first]] = depth[inside][far_first]
    return image


def inside_root(root: Path, name: str) -> Path:
    """The path of a file that a table names; DatasetError if it would leave the dataset's root.

    Only the name is judged: absolute ones and `..` are refused. Links on the disk are followed
    wherever they lead, as people link the blobs of a dataset from other disks.
    """
    if not isinstance(name, str) or not name.isprintable():
        raise DatasetError(f"{name!r} is no name of a file in the dataset root {root}")
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        if path.anchor or ".." in path.parts:
            raise DatasetError(f"{name!r} leaves the dataset root {root}")
    return root / name


@contextmanager
def arrays_in(file: Path | BinaryIO, *, what: str) -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays of an .npz file, by name, each read when it is asked for.

    what: the file, in words. DatasetError begins with it, for a file that is missing or no .npz,
    and for whatever is wrong with an array inside the block.
    """
    try:
        with np.lib.npyio.NpzFile(file, allow_pickle=False) as arrays:
            yield arrays
    except DatasetError:
        raise
    except BROKEN_ARRAYS as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DatasetError(f"{what} does not read: {reason}") from error


def load_json(path: Path, *, each_object: Callable[[dict], Any] | None = None) -> Any:
    """What a JSON file of a dataset holds, with or without a byte order mark.

    each_object replaces every object while it is parsed, see json.loads. DatasetError names a file
    that is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_hook=each_object)
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not JSON: {error}") from error
