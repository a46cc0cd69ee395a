"""A stand-in world of grey blocks on a plane, seen by a six-camera rig, with exact depth.

It lets tests of geometry, bags and the node run fast, without any dataset and without rendering.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from fsmde_core.data.sample import Sample
from fsmde_core.geometry import make_transform, pixel_centres, pixel_rays
from fsmde_core.rig import Camera, Rig

BLOCKS = np.array(
    [  # x, y of the centre; length, width, height; all in metres, ego frame of the first frame
        [12.0, 3.5, 4.5, 1.8, 1.5],
        [22.0, -3.5, 4.5, 1.8, 1.5],
        [-10.0, -3.5, 4.5, 1.8, 1.5],
        [-16.0, 3.5, 9.0, 2.5, 3.0],
        [8.0, -14.0, 12.0, 8.0, 7.0],
        [24.0, -15.0, 14.0, 9.0, 10.0],
        [5.0, 14.0, 20.0, 8.0, 6.0],
        [30.0, 15.0, 16.0, 9.0, 12.0],
        [-14.0, 15.0, 14.0, 8.0, 9.0],
        [-20.0, -15.0, 18.0, 8.0, 5.0],
        [45.0, 0.5, 5.0, 2.2, 2.8],
    ]
)


def blocks_rig(*, width: int = 800, height: int = 450) -> Rig:
    """Six 70 degree cameras around a vehicle, 1.5 m above the ground."""
    cameras = []
    names = ("front", "front_right", "back_right", "back", "back_left", "front_left")
    focal_px = width / 2 / np.tan(np.deg2rad(35))
    for name, azimuth_deg in zip(names, (0, -60, -120, 180, 120, 60)):
        azimuth = np.deg2rad(azimuth_deg)
        forward = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
        down = np.array([0.0, 0.0, -1.0])
        R_ego_cam = np.stack([np.cross(down, forward), down, forward], axis=1)
        K = np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]])
        T_ego_cam = make_transform(R_ego_cam, [0.9, 0, 1.5] + 0.6 * forward)
        cameras.append(Camera(name, f"{name}_optical_frame", width, height, K, T_ego_cam))
    return Rig(tuple(cameras))


def render_blocks(camera: Camera, *, travelled_m: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """What a camera sees after the vehicle went straight on for travelled_m.

    Returns the image [H, W, 3] uint8 RGB and depth [H, W] float32, metres along the optical axis,
    0 where only sky is.
    """
    rays_cam = pixel_rays(camera.K, pixel_centres(camera.width, camera.height))
    rays = rays_cam @ camera.T_ego_cam[:3, :3].T
    origin = camera.T_ego_cam[:3, 3] + [travelled_m, 0, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        ground = np.where(rays[..., 2] < 0, -origin[2] / rays[..., 2], np.inf)
        depth, shade = ground, _ground_shade(origin + ground[..., None] * rays)
        for block in BLOCKS:
            near, face = _hit_block(origin, rays, block)
            closer = near < depth
            depth = np.where(closer, near, depth)
            shade = np.where(closer, 90.0 + 45.0 * face, shade)
    fog = 1 - np.exp(-np.where(np.isfinite(depth), depth, 1e9) / 120.0)
    sky = np.array([190.0, 205.0, 225.0])
    image = shade[..., None] * (1 - fog[..., None]) + sky * fog[..., None]
    return image.astype(np.uint8), np.where(np.isfinite(depth), depth, 0).astype(np.float32)


def write_blocks(folder: Path, *, frames: int) -> list[Sample]:
    """A drive of 2 m a frame at 2 Hz as Samples whose JPEGs lie in folder."""
    rig, samples = blocks_rig(), []
    first_ns = 1_700_000_000_000_000_000
    for frame in range(frames):
        files = []
        for camera in rig.cameras:
            image, _ = render_blocks(camera, travelled_m=2.0 * frame)
            files.append(folder / f"{camera.name}_{frame:03d}.jpg")
            cv2.imwrite(str(files[-1]), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        # staggered by 7 ms, as cameras that a turning LiDAR triggers
        stamps_ns = [first_ns + frame * 500_000_000 + i * 7_000_000 for i in range(len(files))]
        T_world_ego = make_transform(np.eye(3), [2.0 * frame, 0, 0])
        poses = np.repeat(T_world_ego[None], len(files), axis=0)
        token = f"blocks_{frame:03d}"
        samples.append(
            Sample("blocks", token, rig, tuple(files), tuple(stamps_ns), poses, lidar=None)
        )
    return samples


def _ground_shade(points: np.ndarray) -> np.ndarray:
    x, y = (np.nan_to_num(points[..., axis], posinf=0, neginf=0) for axis in (0, 1))
    lane_mark = (np.abs(y) < 0.08) & (x % 6.0 < 3.0)
    pavement = np.abs(y) > 7.0
    slabs = 8.0 * ((np.floor(x) + np.floor(y)) % 2)
    return np.where(lane_mark, 230.0, np.where(pavement, 130.0, 75.0) + slabs)


def _hit_block(origin: np.ndarray, rays: np.ndarray, block: np.ndarray):
    """Ray parameter of the first hit (inf: none) and the axis, 0 to 2, of the face that was hit."""
    x, y, length, width, height = block
    low = np.array([x - length / 2, y - width / 2, 0.0])
    high = np.array([x + length / 2, y + width / 2, height])
    a, b = (low - origin) / rays, (high - origin) / rays
    enter, leave = np.minimum(a, b), np.maximum(a, b)
    near = enter.max(axis=-1)
    hit = (near <= leave.min(axis=-1)) & (near > 0)
    return np.where(hit, near, np.inf), enter.argmax(axis=-1)
