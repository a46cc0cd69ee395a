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
COLOUR_BITS = np.uint32(0x00FFFFFF)
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
    """Fuses depth images of one rig; overlaps are worked out once."""

    def __init__(self, rig: Rig, options: CloudOptions):
        self.rig, self.options = rig, options
        self._every = slice(options.stride // 2, None, options.stride)
        self._owned = [self._owns(i) for i in range(len(rig.cameras))]
        self._rays = self._directions(rig.T_ego_cam)

    def fits(self, rig: Rig, options: CloudOptions) -> bool:
        """Whether this builder was made for these options and a rig of this calibration."""
        return (
            options == self.options
            and rig.names == self.rig.names
            and np.array_equal(rig.K, self.rig.K)
            and np.array_equal(rig.T_ego_cam, self.rig.T_ego_cam)
        )

    def __call__(
        self, prediction: Prediction, valid: np.ndarray, T_now_ego: np.ndarray | None = None
    ) -> np.ndarray:
        """The points of all cameras in the ego frame, [P] of POINT, all finite.

        valid [N, h, w] bool says which pixels may enter. T_now_ego [N, 4, 4] takes the ego frame of
        each camera's moment to that of the cloud; None where the vehicle is not known to move.
        """
        T_ego_cam, rays = self.rig.T_ego_cam, self._rays
        if T_now_ego is not None:
            T_ego_cam = T_now_ego @ T_ego_cam
            rays = self._directions(T_ego_cam)
        depth = np.ascontiguousarray(prediction.depth[:, self._every, self._every])
        planes = [ray * depth for ray in rays]  # numpy is slow on a last axis of 3
        for axis, plane in enumerate(planes):
            plane += T_ego_cam[:, axis, 3, None, None].astype(np.float32)
        planes.append(self._colours(prediction, depth, planes[2]).view("<f4"))
        numbers = cv2.merge([plane.reshape(-1, depth.shape[-1]) for plane in planes])
        points = numbers.view(np.complex128).ravel()  # 16 bytes each, which numpy copies fastest
        keep = self._kept(prediction, valid).ravel()
        points = (points if keep.all() else points[keep]).view(POINT)
        return _one_per_voxel(points, self.options.voxel_m) if self.options.voxel_m else points

    def _directions(self, T_ego_cam: np.ndarray) -> np.ndarray:
        """Rays of the sampled pixels in the ego frame, of depth 1: [3, N, h, w] float32.

        A ray is the sum of a term of its column and one of its row, M [u, v, 1] with
        M = R_ego_cam K^-1.
        """
        M = (T_ego_cam[:, :3, :3] @ np.linalg.inv(self.rig.K)).swapaxes(0, 1)[..., None]
        camera = self.rig.cameras[0]  # a predictor's images are of one size
        columns = M[:, :, 0] * self._centres(camera.width)
        rows = M[:, :, 1] * self._centres(camera.height) + M[:, :, 2]
        return rows.astype(np.float32)[..., None] + columns.astype(np.float32)[..., None, :]

    def _kept(self, prediction: Prediction, valid: np.ndarray) -> np.ndarray:
        """The sampled pixels [N, h, w] bool that enter the cloud."""
        keep = np.ascontiguousarray(valid[:, self._every, self._every])
        for i, owned in enumerate(self._owned):
            if self.options.edge_ratio:
                flying = flying_pixels(prediction.depth[i], self.options.edge_ratio)
                keep[i] &= ~flying[self._every, self._every]
            if owned is not None:
                keep[i] &= owned
        return keep

    def _centres(self, length: int) -> np.ndarray:
        """Coordinates of the sampled pixel centres along one side."""
        return np.arange(length)[self._every] + 0.5

    def _colours(self, prediction: Prediction, depth: np.ndarray, z: np.ndarray) -> np.ndarray:
        """[N, h, w] uint32 0x00RRGGBB of the sampled pixels; depth and height z are theirs."""
        if self.options.colour == "rgb":
            return _packed(prediction.images)[:, self._every, self._every] & COLOUR_BITS
        if self.options.colour == "depth":
            rgb = colour_depth(depth.reshape(-1, depth.shape[-1])).reshape(*depth.shape, 3)
            return _packed(rgb) & COLOUR_BITS
        if self.options.colour == "height":
            low, high = HEIGHT_SPAN_M
            share = np.clip((z - low) / (high - low), 0, 1)
        else:
            share = np.broadcast_to(np.arange(len(z))[:, None, None] / len(z), z.shape)
        return _packed(_RAMP[(255 * share).astype(np.uint8)]) & COLOUR_BITS

    def _owns(self, index: int) -> np.ndarray | None:
        """The sampled pixels [h, w] bool that are this camera's; None if all are."""
        if not self.options.drop_overlap:
            return None
        camera = self.rig.cameras[index]
        pixels = pixel_centres(camera.width, camera.height)[self._every, self._every]
        return _owned(self.rig, index, pixel_rays(camera.K, pixels) @ camera.T_ego_cam[:3, :3].T)


def _packed(rgb: np.ndarray) -> np.ndarray:
    """[N, h, w] uint32 0xFFRRGGBB of images [N, h, w, 3] uint8 RGB."""
    rows = rgb.reshape(-1, *rgb.shape[-2:])
    return cv2.cvtColor(rows, cv2.COLOR_RGB2BGRA).view("<u4").reshape(rgb.shape[:-1])


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
