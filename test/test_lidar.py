import numpy as np
import pytest
from blocks import render_blocks

from fsmde_core.data.batch import RigBatch
from fsmde_core.data.lidar import LidarPattern, as_lidar_sees
from fsmde_core.geometry import transform_points, unproject


@pytest.fixture(scope="module")
def item(rig):
    """One dense sample of 640x360 images."""
    rig = rig.resized(640, 360)
    views = [render_blocks(camera) for camera in rig.cameras]
    depth_gt = np.stack([depth for _, depth in views]).astype(np.float32)
    return RigBatch(
        images=np.stack([image for image, _ in views]), K=rig.K, T_ego_cam=rig.T_ego_cam,
        depth_gt=depth_gt, valid=depth_gt > 0, mask=np.zeros(depth_gt.shape, bool),
        stamps_ns=(0,) * len(views), names=rig.names, tokens="blocks",
    )  # fmt: skip


def test_what_is_left_is_exact_sparse_and_in_reach(item):
    seen = as_lidar_sees(item)
    assert np.array_equal(seen.depth_gt > 0, seen.valid)
    assert np.array_equal(seen.depth_gt[seen.valid], item.depth_gt[seen.valid])
    assert 0.005 < seen.valid.mean() < 0.1
    assert seen.images is item.images


def test_points_lie_on_the_beams(item):
    pattern = LidarPattern()
    spacing_deg = (pattern.highest_deg - pattern.lowest_deg) / (pattern.beams - 1)
    seen = as_lidar_sees(item)
    for depth, K, T_ego_cam in zip(seen.depth_gt, item.K, item.T_ego_cam):
        x, y, z = transform_points(T_ego_cam, unproject(depth, K))[depth > 0].T
        z = z - pattern.height_m
        beam = np.rad2deg(np.arctan2(z, np.hypot(x, y))) - pattern.lowest_deg
        assert (np.linalg.norm([x, y, z], axis=0) <= pattern.range_m).all()
        off_deg = np.abs(beam - spacing_deg * np.round(beam / spacing_deg))
        assert off_deg.max() < np.rad2deg(1 / K[1, 1]), "not more than a pixel off"
