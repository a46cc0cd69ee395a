"""One look of a whole rig as a dataset stores it: images, calibration, poses, a LiDAR sweep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fsmde_core.geometry import invert_transform, project, transform_points
from fsmde_core.rig import Camera, Rig


class DatasetError(ValueError):
    """A dataset that cannot be read; the message names the file and the field or token."""


@dataclass(frozen=True)
class LidarSweep:
    """A point cloud file and where its sensor was."""

    file: Path
    stamp_ns: int
    T_world_lidar: np.ndarray
    """[4, 4]"""


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


def read_image(path: Path) -> np.ndarray:
    """Decode an image file to RGB uint8 [H, W, 3]; DatasetError names a file that does not."""
    try:
        encoded = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DatasetError(f"image {path}: {error.strerror or error}") from error
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if image is None:
        raise DatasetError(f"image {path} does not decode")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def lidar_points_cam(sample: Sample, index: int, points_lidar: np.ndarray) -> np.ndarray:
    """The sweep's points in the frame of camera `index` at that camera's own stamp.

    points_lidar [P, 3] in the sweep's frame; returns [P, 3], ego motion in between compensated.
    """
    T_world_cam = sample.T_world_ego[index] @ sample.rig.cameras[index].T_ego_cam
    T_cam_lidar = invert_transform(T_world_cam) @ sample.lidar.T_world_lidar
    return transform_points(T_cam_lidar, points_lidar)


def scatter_depth(points_cam: np.ndarray, camera: Camera) -> np.ndarray:
    """Depth image [H, W] float32 of points [P, 3] in the camera frame; 0 is empty, nearest wins."""
    pixels, depth = project(points_cam[points_cam[:, 2] > 0], camera.K)
    columns, rows = np.floor(pixels).astype(np.int64).T
    inside = (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    far_first = np.argsort(-depth[inside])
    image = np.zeros((camera.height, camera.width), np.float32)
    image[rows[inside][far_first], columns[inside][far_first]] = depth[inside][far_first]
    return image


def inside_root(root: Path, name: str) -> Path:
    """The path of a file that a table names; DatasetError if it would leave the dataset's root."""
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise DatasetError(f"{name!r} leaves the dataset root {root}")
    return path
