"""A yard with painted walls: every surface has a texture by which other images know it again."""

from dataclasses import replace

import numpy as np

from fsmde_core.data.drive import DriveWriter
from fsmde_core.geometry import make_transform, pixel_centres, pixel_rays

WALLS = ((0, 14.0), (0, -12.0), (1, 7.0), (1, -6.0), (2, 0.0), (2, 5.0))  # axis, where; metres
RATES = np.array(
    [  # radians a metre along x, y, z: waves of 1.5 m and more
        [1.9, 1.1, 2.3], [-1.3, 2.6, 1.7], [0.7, -1.9, 2.9], [2.7, 0.4, -1.2],
        [-0.6, 1.4, 3.3], [3.1, -2.2, 0.5], [0.3, 0.5, -0.4], [-0.2, 0.6, 0.7],
    ]
)  # fmt: skip


def render(camera, T_world_ego):
    """Image [H, W, 3] uint8 RGB and depth [H, W] of what a camera sees from within the yard."""
    T_world_cam = T_world_ego @ camera.T_ego_cam
    rays = pixel_rays(camera.K, pixel_centres(camera.width, camera.height))
    rays = rays @ T_world_cam[:3, :3].T
    depth = np.full(rays.shape[:2], np.inf)
    for axis, where in WALLS:
        with np.errstate(divide="ignore"):
            hit = (where - T_world_cam[axis, 3]) / rays[..., axis]
        depth = np.where((hit > 0) & (hit < depth), hit, depth)
    points = T_world_cam[:3, 3] + depth[..., None] * rays
    waves = np.sin(points @ RATES.T)
    levels = np.stack([waves[..., i::3].mean(axis=-1) for i in range(3)], axis=-1)
    return np.clip(127 + 110 * levels, 0, 255).astype(np.uint8), depth.astype(np.float32)


def pose(x, *, y=0.0, yaw=0.0):
    """T_world_ego of a vehicle at x, y metres that looks yaw radians to the left."""
    c, s = np.cos(yaw), np.sin(yaw)
    return make_transform(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]), [x, y, 0])


def camera_poses(rig, moment, *, step_m, stagger_m):
    """[N, 4, 4]: a slight bend; camera i takes its image stagger_m further on than camera i - 1."""
    gone = step_m * moment + stagger_m * np.arange(len(rig.cameras))
    return np.stack([pose(x - 3, y=0.02 * x * x, yaw=0.04 * x) for x in gone])


def write_drive(path, rig, *, moments=6, step_m=0.5, stagger_m=0.07, bodies=None, **options):
    """A drive folder through the yard; bodies: [H, W] bool, painted black, of each camera."""
    if bodies is not None:
        cameras = [replace(c, body=body) for c, body in zip(rig.cameras, bodies)]
        rig = replace(rig, cameras=tuple(cameras))
    with DriveWriter(path, rig, **options) as writer:
        for moment in range(moments):
            poses = camera_poses(rig, moment, step_m=step_m, stagger_m=stagger_m)
            images = [render(camera, T)[0] for camera, T in zip(rig.cameras, poses)]
            for image, camera in zip(images, rig.cameras):
                if camera.body is not None:
                    image[camera.body] = 0
            stamps_ns = [10**18 + 10**8 * moment + 10**7 * i for i in range(len(images))]
            writer.add(images, stamps_ns, poses)
    return path
