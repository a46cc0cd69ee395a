import numpy as np

from fsmde_core.predictor import Prediction
from fsmde_ros.cloud import fused_cloud


def exact(rig, views) -> Prediction:
    depth = np.stack([depth for _, depth in views])
    images = np.stack([image for image, _ in views])
    return Prediction(depth, np.ones_like(depth), images, rig)


def test_exact_depth_puts_the_ground_on_the_ground(rig, views):
    prediction = exact(rig, views)
    xyz, rgb = fused_cloud(prediction, prediction.depth > 0, stride=1)
    assert len(xyz) == len(rgb) == (prediction.depth > 0).sum()
    assert xyz.dtype == np.float32 and rgb.dtype == np.uint8
    assert xyz[:, 2].min() > -0.01
    near = np.hypot(xyz[:, 0], xyz[:, 1]) < 7  # no block stands there
    assert near.sum() > 1000
    assert np.abs(xyz[near, 2]).max() < 0.01


def test_the_block_ahead_is_where_it_stands(rig, views):
    prediction = exact(rig, views)
    front = np.zeros_like(prediction.depth, bool)
    front[0] = prediction.depth[0] > 0
    xyz, _ = fused_cloud(prediction, front, stride=1)
    # the block at x 12, y 3.5 is 4.5 m long: its rear face stands at x = 9.75
    face = (np.abs(xyz[:, 1] - 3.5) < 0.8) & (xyz[:, 2] > 0.1) & (xyz[:, 2] < 1.4)
    assert np.isclose(np.median(xyz[face & (xyz[:, 0] < 11), 0]), 9.75, atol=0.01)


def test_stride_and_mask_thin_the_cloud(rig, views):
    prediction = exact(rig, views)
    everything = np.ones_like(prediction.depth, bool)
    xyz, _ = fused_cloud(prediction, everything, stride=4)
    assert len(xyz) == 6 * (180 // 4) * (320 // 4)
    xyz, rgb = fused_cloud(prediction, ~everything, stride=4)
    assert xyz.shape == rgb.shape == (0, 3)
