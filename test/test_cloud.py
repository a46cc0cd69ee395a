import numpy as np

from fsmde_core.predictor import Prediction
from fsmde_ros.cloud import COLOURS, CloudBuilder, CloudOptions, flying_pixels, rgb_of, xyz_of


def exact(rig, views) -> Prediction:
    depth = np.stack([depth for _, depth in views])
    images = np.stack([image for image, _ in views])
    return Prediction(depth, np.ones_like(depth), images, rig)


def fused_cloud(prediction, valid, **options):
    points = CloudBuilder(prediction.rig, CloudOptions(**options))(prediction, valid)
    return xyz_of(points), rgb_of(points)


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


def test_without_overlaps_every_direction_has_one_camera(rig, views):
    prediction = exact(rig, views)
    valid = prediction.depth > 0
    everything, _ = fused_cloud(prediction, valid, stride=1)
    once, _ = fused_cloud(prediction, valid, stride=1, drop_overlap=True)
    # six views of 70 degrees see 420 degrees; far away each of the 360 remains once
    assert 0.75 < len(once) / len(everything) < 0.95
    azimuths = np.histogram(np.arctan2(once[:, 1], once[:, 0]), bins=36)[0]
    assert azimuths.min() > 0.2 * azimuths.max()


def test_flying_pixels_are_found_at_edges_only():
    depth = np.full((9, 9), 10.0, np.float32)
    depth[:, 5:] = 20.0
    edges = flying_pixels(depth, 0.1)
    assert edges[:, 4:6].all()
    assert not edges[:, :4].any() and not edges[:, 6:].any()


def test_the_edge_filter_empties_the_air_between_block_and_ground(rig, views):
    prediction = exact(rig, views)
    valid = prediction.depth > 0
    with_edges, _ = fused_cloud(prediction, valid, stride=1)
    without, _ = fused_cloud(prediction, valid, stride=1, edge_ratio=0.2)
    assert 0.8 < len(without) / len(with_edges) < 1.0


def test_voxels_hold_one_point_each(rig, views):
    prediction = exact(rig, views)
    xyz, rgb = fused_cloud(prediction, prediction.depth > 0, stride=2, voxel_m=0.5)
    assert len(xyz) == len(rgb)
    cells = np.floor(xyz / 0.5).astype(int)
    assert len(np.unique(cells, axis=0)) == len(cells)


def test_colours_show_what_they_say(rig, views):
    prediction = exact(rig, views)
    valid = prediction.depth > 0
    for colour in COLOURS:
        xyz, rgb = fused_cloud(prediction, valid, stride=4, colour=colour)
        assert rgb.shape == xyz.shape and rgb.dtype == np.uint8
    _, by_camera = fused_cloud(prediction, valid, stride=4, colour="camera")
    assert len(np.unique(by_camera, axis=0)) == len(rig.cameras)
    empty, colours = fused_cloud(prediction, ~valid & False, colour="height", voxel_m=1.0)
    assert len(empty) == len(colours) == 0
