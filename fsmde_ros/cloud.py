"""One coloured point cloud from the depth images of a rig."""

from __future__ import annotations

import numpy as np

from fsmde_core.geometry import transform_points, unproject
from fsmde_core.predictor import Prediction


def fused_cloud(
    prediction: Prediction, valid: np.ndarray, *, stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """The points of all cameras in the ego frame.

    valid [N, h, w] bool says which pixels enter; stride takes every which row and column. Returns
    xyz [P, 3] float32 in metres, all finite, and rgb [P, 3] uint8, camera after camera.
    """
    xyz, rgb = [], []
    offset = stride // 2
    sampled = (slice(offset, None, stride), slice(offset, None, stride))
    for i, camera in enumerate(prediction.rig.cameras):
        keep = valid[i][sampled]
        points_cam = unproject(prediction.depth[i], camera.K)[sampled][keep]
        xyz.append(transform_points(camera.T_ego_cam, points_cam).astype(np.float32))
        rgb.append(prediction.images[i][sampled][keep])
    return np.concatenate(xyz), np.concatenate(rgb)
