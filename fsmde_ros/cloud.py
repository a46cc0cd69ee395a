"""One coloured point cloud from the depth images of a rig."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from fsmde_core.geometry import invert_transform, pixel_centres, pixel_rays, project
from fsmde_core.predictor import Prediction
from fsmde_core.rig import Rig
from fsmde_core.visualize import colour_depth

Colour = Literal["rgb", "height", "camera", "depth"]
COLOURS: tuple[Colour, ...] = ("rgb", "height", "camera", "depth")
POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("bgr", "u1", 3), ("unused", "u1")])
"""A point as it stands in a PointCloud2 with the fields x, y, z, rgb: 16 bytes."""
HEIGHT_SPAN_M = (-1.0, 5.0)  # ends of the height colours


@dataclass(frozen=True)
class CloudOptions:
    """What of the depth images enters the cloud."""

    stride: int = 2
    """Every which pixel row and column."""
    edge_ratio: float = 0.0
    """Drop pixels whose 3x3 neighbourhood spans more than this share of its depth; 0 keeps all."""
    drop_overlap: bool = False
    """Keep each direction only from the camera that sees it closest to its image centre."""
    voxel_m: float = 0.0
    """Keep one point in each cube of this size, metres; 0 keeps all."""
    colour: Colour = "rgb"
    """What the points' colour shows."""


class CloudBuilder:
    """Fuses depth images of one rig; rays and overlaps are worked out once."""

    def __init__(self, rig: Rig, options: CloudOptions):
        self.rig, self.options = rig, options
        offset = options.stride // 2
        self._sampled = (slice(offset, None, options.stride), slice(offset, None, options.stride))
        rays, kept = [], []
        for i, camera in enumerate(rig.cameras):
            pixels = pixel_centres(camera.width, camera.height)[self._sampled]
            rays_ego = pixel_rays(camera.K, pixels) @ camera.T_ego_cam[:3, :3].T
            rays.append(rays_ego.astype(np.float32))
            if options.drop_overlap:
                kept.append(_owned(rig, i, rays_ego))
        self._rays = np.stack(rays)
        self._origins = rig.T_ego_cam[:, None, None, :3, 3].astype(np.float32)
        self._owned = np.stack(kept) if kept else None

    def fits(self, rig: Rig, options: CloudOptions) -> bool:
        """Whether this builder was made for these options and a rig of this calibration."""
        return (
            options == self.options
            and rig.names == self.rig.names
            and np.array_equal(rig.K, self.rig.K)
            and np.array_equal(rig.T_ego_cam, self.rig.T_ego_cam)
        )

    def __call__(self, prediction: Prediction, valid: np.ndarray) -> np.ndarray:
        """The points of all cameras in the ego frame, [P] of POINT, all finite.

        valid [N, h, w] bool says which pixels may enter. Points are written in place, in the layout
        of the message: a third of a million of them are copied once, not four times.
        """
        sampled = (slice(None), *self._sampled)
        keep = valid[sampled]
        if self.options.edge_ratio:
            steady = [~flying_pixels(d, self.options.edge_ratio) for d in prediction.depth]
            keep = keep & np.stack(steady)[sampled]
        if self._owned is not None:
            keep = keep & self._owned
        points = np.empty(keep.shape, POINT)
        xyz = points.view(np.float32).reshape(*keep.shape, 4)[..., :3]
        np.multiply(self._rays, prediction.depth[sampled][..., None], out=xyz)
        xyz += self._origins
        points["bgr"] = self._colours(prediction, sampled, xyz[..., 2])[..., ::-1]
        points["unused"] = 0
        points = points.ravel() if keep.all() else points[keep]
        return _one_per_voxel(points, self.options.voxel_m) if self.options.voxel_m else points

    def _colours(self, prediction: Prediction, sampled, z: np.ndarray) -> np.ndarray:
        """RGB [N, h, w, 3] uint8 of the sampled pixels."""
        if self.options.colour == "rgb":
            return prediction.images[sampled]
        if self.options.colour == "depth":
            return np.stack([colour_depth(d) for d in prediction.depth[sampled]])
        if self.options.colour == "height":
            low, high = HEIGHT_SPAN_M
            share = np.clip((z - low) / (high - low), 0, 1)
        else:
            share = np.broadcast_to((np.arange(len(z)) / len(z))[:, None, None], z.shape)
        return _RAMP[(255 * share).astype(np.uint8)]


_LEVELS = np.arange(256, dtype=np.uint8)[None]
_RAMP = cv2.cvtColor(cv2.applyColorMap(_LEVELS, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)[0]


def flying_pixels(depth: np.ndarray, ratio: float) -> np.ndarray:
    """Pixels [h, w] bool on a depth edge, where interpolation puts points in empty space.

    depth [h, w] in metres; an edge is where the 3x3 neighbourhood spans more than ratio times its
    smallest depth.
    """
    window = np.ones((3, 3), np.uint8)
    nearest, farthest = cv2.erode(depth, window), cv2.dilate(depth, window)
    return farthest - nearest > ratio * nearest


def _owned(rig: Rig, index: int, rays_ego: np.ndarray) -> np.ndarray:
    """Rays [h, w] bool that no other camera sees closer to its optical axis.

    Judged far away, where the cameras' positions do not matter; close by a narrow seam remains.
    """
    directions = rays_ego / np.linalg.norm(rays_ego, axis=-1, keepdims=True)
    own_angle = directions @ rig.cameras[index].T_ego_cam[:3, 2]
    owned = np.ones(own_angle.shape, bool)
    for j, other in enumerate(rig.cameras):
        if j == index:
            continue
        seen_from_other = directions @ invert_transform(other.T_ego_cam)[:3, :3].T
        pixels, depth = project(seen_from_other, other.K)
        with np.errstate(invalid="ignore"):
            inside = (depth > 0) & (pixels >= 0).all(-1)
            inside &= (pixels < (other.width, other.height)).all(-1)
        angle = directions @ other.T_ego_cam[:3, 2]
        owned &= ~inside | (own_angle > angle) | ((own_angle == angle) & (index < j))
    return owned


def _one_per_voxel(points: np.ndarray, size_m: float) -> np.ndarray:
    cells = np.floor(xyz_of(points) / size_m).astype(np.int64)
    cells -= cells.min(axis=0, initial=0)
    span = cells.max(axis=0, initial=0) + 1
    keys = (cells[:, 0] * span[1] + cells[:, 1]) * span[2] + cells[:, 2]
    _, first = np.unique(keys, return_index=True)
    return points[first]


def xyz_of(points: np.ndarray) -> np.ndarray:
    """[P, 3] float32, metres, of points [P] of POINT."""
    return np.stack([points["x"], points["y"], points["z"]], axis=-1)


def rgb_of(points: np.ndarray) -> np.ndarray:
    """[P, 3] uint8 of points [P] of POINT."""
    return points["bgr"][:, ::-1]
