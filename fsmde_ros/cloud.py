"""One coloured point cloud from the depth images of a rig."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from fsmde_core.geometry import invert_transform, pixel_centres, pixel_rays, project
from fsmde_core.rig import Camera, Rig
from fsmde_core.runtime.predictor import Prediction
from fsmde_core.visualize import TURBO, colour_depth

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
    """Fuses depth images of one rig, whose cameras may differ in size.

    Rays and overlaps are worked out once. seen [h, w] bool of each camera, where it sees the world
    and no vehicle of its own: elsewhere it takes no direction from the others. None: everywhere.
    """

    def __init__(self, rig: Rig, options: CloudOptions, seen: Sequence[np.ndarray] | None = None):
        self.rig, self.options = rig, options
        self._seen = [None] * len(rig.cameras) if seen is None else list(seen)
        smallest = min(side for c in rig.cameras for side in (c.width, c.height))
        every = slice(min(options.stride, smallest) // 2, None, options.stride)
        self._sampled = [(_from_first_seen(every, mask), every) for mask in self._seen]
        cameras = range(len(rig.cameras))
        self._owned = [self._owns(i) for i in cameras]
        self._rays_cam = [self._directions(i, np.eye(3)) for i in cameras]
        self._rays_ego = [self._directions(i, rig.cameras[i].T_ego_cam[:3, :3]) for i in cameras]

    def fits(
        self, rig: Rig, options: CloudOptions, seen: Sequence[np.ndarray] | None = None
    ) -> bool:
        """Whether this builder was made for these options and a rig of this calibration."""
        return (
            options == self.options
            and (seen is None or all(a is b for a, b in zip(seen, self._seen)))
            and rig.names == self.rig.names
            and all(map(_same, rig.cameras, self.rig.cameras))
        )

    def __call__(
        self,
        prediction: Prediction,
        depths: Sequence[np.ndarray],
        T_now_ego: np.ndarray | None = None,
    ) -> np.ndarray:
        """The points of all cameras in the ego frame, [P] of POINT, all finite.

        depths are N x [h, w] as they are published: only what is finite there enters. T_now_ego
        [N, 4, 4] takes the ego frame of each camera's moment to that of the cloud; None where the
        vehicle is not known to move.
        """
        points = np.empty((sum(rays[0].size for rays in self._rays_ego), 4), np.float32)
        end = 0
        for i, camera in enumerate(self.rig.cameras):
            T_ego_cam, rays = camera.T_ego_cam, self._rays_ego[i]
            if T_now_ego is not None:
                T_ego_cam = T_now_ego[i] @ T_ego_cam
                rays = self._directions(i, T_ego_cam[:3, :3])
            end += self._write(points[end:], prediction, depths, i, rays, T_ego_cam[:3, 3])
        return self._finished(points[:end])

    def of_camera(self, prediction: Prediction, depths: Sequence[np.ndarray], i: int) -> np.ndarray:
        """The points of camera i alone, in its optical frame at its own moment; else as above."""
        rays = self._rays_cam[i]
        points = np.empty((rays[0].size, 4), np.float32)
        return self._finished(points[: self._write(points, prediction, depths, i, rays, None)])

    @np.errstate(invalid="ignore")  # of pixels without depth, that are not kept
    def _write(
        self,
        points: np.ndarray,
        prediction: Prediction,
        depths: Sequence[np.ndarray],
        i: int,
        rays: np.ndarray,
        origin: np.ndarray | None,
    ) -> int:
        """Put points of camera i at the head of points [P, 4] float32; how many there are.

        They lie along rays [3, h, w] from an origin [3], or from 0, 0, 0 if None. The fourth number
        holds the colour's bits.
        """
        depth = np.ascontiguousarray(depths[i][self._sampled[i]])
        xyz = [axis * depth for axis in rays]  # numpy is slow on a last axis of 3
        for along, start in zip(xyz, () if origin is None else origin.astype(np.float32)):
            along += start
        room = points[: depth.size]
        colours = self._colours(prediction, i, depth).view("<f4")
        cv2.merge([*xyz, colours], room.reshape(*depth.shape, 4))
        keep = self._kept(prediction, depth, i).ravel()
        if not keep.all():
            whole = room.view(np.complex128)[:, 0]  # what numpy copies fastest of 16 bytes
            kept = whole[keep]
            whole[: len(kept)] = kept
            return len(kept)
        return depth.size

    def _finished(self, points: np.ndarray) -> np.ndarray:
        """Points [P, 4] as [P] of POINT."""
        points = points.view(POINT)[:, 0]
        return _one_per_voxel(points, self.options.voxel_m) if self.options.voxel_m else points

    def _directions(self, i: int, R_to_cam: np.ndarray) -> np.ndarray:
        """Rays of the sampled pixels, turned by R [3, 3], of depth 1: [3, h, w] float32.

        A ray is the sum of a term of its column and one of its row, M [u, v, 1] with M = R K^-1.
        """
        camera, (v, u) = self.rig.cameras[i], self._sampled[i]
        M = (R_to_cam @ np.linalg.inv(camera.K))[..., None]
        columns = M[:, 0] * (np.arange(camera.width)[u] + 0.5)
        rows = M[:, 1] * (np.arange(camera.height)[v] + 0.5) + M[:, 2]
        return rows.astype(np.float32)[..., None] + columns.astype(np.float32)[:, None]

    def _kept(self, prediction: Prediction, depth: np.ndarray, i: int) -> np.ndarray:
        """The sampled pixels [h, w] bool of camera i, of these depths, that enter the cloud."""
        keep = np.isfinite(depth)
        if self.options.edge_ratio:
            flying = flying_pixels(prediction.depth[i], self.options.edge_ratio)
            keep &= ~flying[self._sampled[i]]
        if self._owned[i] is not None:
            keep &= self._owned[i]
        return keep

    def _colours(self, prediction: Prediction, i: int, depth: np.ndarray) -> np.ndarray:
        """[h, w] uint32 0x00RRGGBB of the sampled pixels of camera i, whose depths are given."""
        if self.options.colour == "rgb":  # numpy is slow on a last axis of 3, here too
            rows, columns = self._sampled[i]
            return _packed(prediction.images[i][rows])[:, columns] & COLOUR_BITS
        if self.options.colour == "depth":
            return _packed(colour_depth(depth)) & COLOUR_BITS
        if self.options.colour == "height":
            low, high = HEIGHT_SPAN_M
            z = self._rays_ego[i][2] * depth + self.rig.cameras[i].T_ego_cam[2, 3]
            share = np.clip((z - low) / (high - low), 0, 1)
        else:
            share = np.full(depth.shape, i / len(self.rig.cameras))
        return _packed(TURBO[(255 * share).astype(np.uint8)]) & COLOUR_BITS

    def _owns(self, index: int) -> np.ndarray | None:
        """The sampled pixels [h, w] bool that are this camera's; None if all are."""
        if not self.options.drop_overlap:
            return None
        camera = self.rig.cameras[index]
        pixels = pixel_centres(camera.width, camera.height)[self._sampled[index]]
        rays_ego = pixel_rays(camera.K, pixels) @ camera.T_ego_cam[:3, :3].T
        return _owned(self.rig, index, rays_ego, self._seen)


def _from_first_seen(every: slice, seen: np.ndarray | None) -> slice:
    """The sampled rows without those at the top in which nothing is seen; at least the last."""
    if seen is None:
        return every
    sampled = range(len(seen))[every]
    blind = itertools.takewhile(lambda row: not seen[row].any(), sampled[:-1])
    return slice(sampled[sum(1 for _ in blind)], None, every.step)


def _same(a: Camera, b: Camera) -> bool:
    size = (a.width, a.height) == (b.width, b.height)
    return a is b or (
        size and np.array_equal(a.K, b.K) and np.array_equal(a.T_ego_cam, b.T_ego_cam)
    )


def _packed(rgb: np.ndarray) -> np.ndarray:
    """[h, w] uint32 0xFFRRGGBB of an image [h, w, 3] uint8 RGB."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA).view("<u4")[..., 0]


def flying_pixels(depth: np.ndarray, ratio: float) -> np.ndarray:
    """Pixels [h, w] bool on a depth edge, where interpolation puts points in empty space.

    depth [h, w] in metres; an edge is where the 3x3 neighbourhood spans more than ratio times its
    smallest depth.
    """
    window = np.ones((3, 3), np.uint8)
    nearest, farthest = cv2.erode(depth, window), cv2.dilate(depth, window)
    return farthest - nearest > ratio * nearest


def _owned(
    rig: Rig, index: int, rays_ego: np.ndarray, seen: Sequence[np.ndarray | None]
) -> np.ndarray:
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
        if seen[j] is not None:
            columns, rows = pixels[inside].astype(int).T
            inside[inside] = seen[j][rows, columns]
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
