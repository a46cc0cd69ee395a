"""LiDAR as the published evaluations rasterise it, pixel for pixel: not where a point truly falls.

Their code rounds, truncates and overwrites in its own ways. Numbers compare with published ones
only where the same pixels hold the same depths. Facts are from TRI-ML/dgp (camera.py),
SurroundDepth (export_gt_depth_nusc.py), VFDepth (nuscenes_dataset.py) and packnet-sfm
(augmentations.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from fsmde_core.data.batch import Truth
from fsmde_core.data.sample import LidarSweep, Sample, lidar_points_cam
from fsmde_core.evaluate.protocols import Protocol
from fsmde_core.geometry import (
    invert_transform,
    make_transform,
    project,
    quaternion_to_rotation,
    rotation_to_quaternion,
    transform_points,
)
from fsmde_core.rig import K_to_opencv, opencv_to_K

Clouds = Sequence[tuple[LidarSweep, np.ndarray]]


def published_truth(dataset: str, protocol: Protocol) -> Truth:
    """How a protocol's code makes depth images of the LiDAR of "nuscenes" or "ddad".

    Further sweeps, which no published protocol has, are overwritten by the keyframe's own.
    """
    native = dgp_truth
    if dataset == "nuscenes":
        native = partial(nuscenes_truth, outer_half_pixel=protocol.outer_half_pixel)

    def truth(sample: Sample, index: int, clouds: Clouds, size: tuple[int, int]) -> np.ndarray:
        return shrunk(native(sample, index, clouds), size)

    return truth


def dgp_truth(sample: Sample, index: int, clouds: Clouds) -> np.ndarray:
    """Depth [H, W] float32 at the image's own size, as dgp makes it: for DDAD, in all protocols.

    Pixels (centres at integers) are truncated towards zero: half a pixel off, and the outer pixel
    on the left and at the top takes what lies up to a pixel outside. Poses and K go through float32
    first: 500 m from the map's origin, that moves points by up to 0.01 px, 0.5 % of them into the
    next pixel.
    """
    camera, points_cam = sample.rig.cameras[index], []
    T_world_cam = _float32_pose(sample.T_world_ego[index] @ camera.T_ego_cam)
    for sweep, points in reversed(clouds):
        T_cam_lidar = invert_transform(T_world_cam) @ _float32_pose(sweep.T_world_lidar)
        points_cam.append(transform_points(T_cam_lidar, points[:, :3].astype(np.float64)))
    K = opencv_to_K(K_to_opencv(camera.K).astype(np.float32))
    pixels, depth = _in_front(np.concatenate(points_cam), K)
    return _overwritten(np.trunc(pixels), depth, camera.width, camera.height)


def nuscenes_truth(
    sample: Sample, index: int, clouds: Clouds, *, outer_half_pixel: bool
) -> np.ndarray:
    """Depth [H, W] float32 at the image's own size, as SurroundDepth and VFDepth make it.

    Pixels are rounded. outer_half_pixel: whether points count that lie beyond the centres of the
    outermost pixels (SurroundDepth: yes).
    """
    camera = sample.rig.cameras[index]
    points_cam = [
        lidar_points_cam(sample, index, cloud, sweep=sweep) for sweep, cloud in reversed(clouds)
    ]
    pixels, depth = _in_front(np.concatenate(points_cam), camera.K)
    if not outer_half_pixel:
        last = (camera.width - 1, camera.height - 1)
        inside = ((pixels >= 0) & (pixels <= last)).all(axis=-1)
        pixels, depth = pixels[inside], depth[inside]
    return _overwritten(np.rint(pixels), depth, camera.width, camera.height)


def shrunk(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Depth [h, w] at another size (width, height), as packnet-sfm's loader does it.

    Row and column are multiplied and truncated; of several depths in one pixel the last in raster
    order stays, whatever is nearer.
    """
    rows, columns = np.nonzero(depth)
    small = np.zeros(size[::-1], np.float32)
    to_rows, to_columns = (new / old for new, old in zip(small.shape, depth.shape))
    small[(rows * to_rows).astype(np.int64), (columns * to_columns).astype(np.int64)] = depth[
        rows, columns
    ]
    return small


def _float32_pose(T: np.ndarray) -> np.ndarray:
    """A pose [4, 4] whose quaternion and translation went through float32."""
    xyzw = rotation_to_quaternion(T[:3, :3]).astype(np.float32).astype(np.float64)
    return make_transform(quaternion_to_rotation(xyzw), T[:3, 3].astype(np.float32))


def _in_front(points_cam: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [P, 2], their centres at integers, and depths of the points before the camera."""
    pixels, depth = project(points_cam[points_cam[:, 2] > 0], K)
    return pixels - 0.5, depth


def _overwritten(whole: np.ndarray, depth: np.ndarray, width: int, height: int) -> np.ndarray:
    """Depth image of points in whole pixels [P, 2]; of several in one the last one stays."""
    inside = ((whole >= 0) & (whole < (width, height))).all(axis=-1)
    columns, rows = whole[inside].astype(np.int64).T
    image = np.zeros((height, width), np.float32)
    image[rows, columns] = depth[inside]
    return image
