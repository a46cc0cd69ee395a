from dataclasses import replace

import numpy as np
import pytest
from blocks import render_blocks

from fsmde_core.fit import Fit
from fsmde_core.geometry import transform_points
from fsmde_core.rig import Camera, Rig
from fsmde_core.runtime.predictor import Prediction
from fsmde_ros.cloud import COLOURS, CloudBuilder, CloudOptions, flying_pixels, rgb_of, xyz_of


def exact(rig, views) -> Prediction:
    depth = tuple(depth for _, depth in views)
    ones = tuple(np.ones_like(d) for d in depth)
    images = tuple(image for image, _ in views)
    fits = tuple(Fit(camera, camera) for camera in rig.cameras)
    return Prediction(depth=depth, confidence=ones, surface=ones, images=images, fits=fits)


def surfaces(prediction):
    """Depths as they are published: +inf in the sky."""
    return [np.where(depth > 0, depth, np.float32(np.inf)) for depth in prediction.depth]


def fused_cloud(prediction, depths, **options):
    points = CloudBuilder(prediction.rig, CloudOptions(**options))(prediction, depths)
    return xyz_of(points), rgb_of(points)


def test_exact_depth_puts_the_ground_on_the_ground(rig, views):
    prediction = exact(rig, views)
    xyz, rgb = fused_cloud(prediction, surfaces(prediction), stride=1)
    assert len(xyz) == len(rgb) == sum((depth > 0).sum() for depth in prediction.depth)
    assert xyz.dtype == np.float32 and rgb.dtype == np.uint8
    assert xyz[:, 2].min() > -0.01
    near = np.hypot(xyz[:, 0], xyz[:, 1]) < 7  # no block stands there
    assert near.sum() > 1000
    assert np.abs(xyz[near, 2]).max() < 0.01


def test_the_block_ahead_is_where_it_stands(rig, views):
    prediction = exact(rig, views)
    front = [surfaces(prediction)[0], *(np.full_like(d, np.nan) for d in prediction.depth[1:])]
    xyz, _ = fused_cloud(prediction, front, stride=1)
    # the block at x 12, y 3.5 is 4.5 m long: its rear face stands at x = 9.75
    face = (np.abs(xyz[:, 1] - 3.5) < 0.8) & (xyz[:, 2] > 0.1) & (xyz[:, 2] < 1.4)
    assert np.isclose(np.median(xyz[face & (xyz[:, 0] < 11), 0]), 9.75, atol=0.01)


def test_stride_and_mask_thin_the_cloud(rig, views):
    prediction = exact(rig, views)
    xyz, _ = fused_cloud(prediction, prediction.depth, stride=4)
    assert len(xyz) == 6 * (180 // 4) * (320 // 4)
    for nothing in (np.nan, np.inf, -np.inf):
        empty = [np.full_like(depth, nothing) for depth in prediction.depth]
        xyz, rgb = fused_cloud(prediction, empty, stride=4)
        assert xyz.shape == rgb.shape == (0, 3)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(("blind", "stride"), [(0, 3), (7, 1), (50, 4), (179, 2), (180, 4)])
def test_rows_in_which_nothing_is_seen_change_nothing(rig, views, colour, blind, stride):
    prediction, depths = exact(rig, views), []
    seen = [np.arange(180)[:, None].repeat(320, axis=1) >= blind for _ in views]
    for depth, mask in zip(surfaces(prediction), seen):
        depths.append(np.where(mask, depth, np.float32(np.nan)))
    options = CloudOptions(stride=stride, colour=colour)
    known, unknown = (CloudBuilder(rig, options, mask) for mask in (seen, None))
    assert np.array_equal(known(prediction, depths), unknown(prediction, depths))
    alone = [builder.of_camera(prediction, depths, 1) for builder in (known, unknown)]
    assert np.array_equal(*alone)


def test_without_overlaps_every_direction_has_one_camera(rig, views):
    prediction = exact(rig, views)
    depths = surfaces(prediction)
    everything, _ = fused_cloud(prediction, depths, stride=1)
    once, _ = fused_cloud(prediction, depths, stride=1, drop_overlap=True)
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
    depths = surfaces(prediction)
    with_edges, _ = fused_cloud(prediction, depths, stride=1)
    without, _ = fused_cloud(prediction, depths, stride=1, edge_ratio=0.2)
    assert 0.8 < len(without) / len(with_edges) < 1.0


def test_voxels_hold_one_point_each(rig, views):
    prediction = exact(rig, views)
    xyz, rgb = fused_cloud(prediction, surfaces(prediction), stride=2, voxel_m=0.5)
    assert len(xyz) == len(rgb)
    cells = np.floor(xyz / 0.5).astype(int)
    assert len(np.unique(cells, axis=0)) == len(cells)


def test_colours_show_what_they_say(rig, views):
    prediction = exact(rig, views)
    depths = surfaces(prediction)
    for colour in COLOURS:
        xyz, rgb = fused_cloud(prediction, depths, stride=4, colour=colour)
        assert rgb.shape == xyz.shape and rgb.dtype == np.uint8
    _, by_camera = fused_cloud(prediction, depths, stride=4, colour="camera")
    assert len(np.unique(by_camera, axis=0)) == len(rig.cameras)
    nothing = [np.full_like(depth, np.nan) for depth in depths]
    empty, colours = fused_cloud(prediction, nothing, colour="height", voxel_m=1.0)
    assert len(empty) == len(colours) == 0


SHAPES = [(320, 192), (480, 96), (160, 160), (320, 192), (96, 64), (320, 192)]


@pytest.fixture(scope="module")
def mixed(rig):
    """The same world seen by six cameras of four shapes, looking where those of the rig look."""
    cameras = []
    for camera, (width, height) in zip(rig.cameras, SHAPES):
        K = np.array([[width / 1.4, 0, width / 2], [0, width / 1.4, height * 0.4], [0, 0, 1]])
        cameras.append(replace(camera, width=width, height=height, K=K))
    mixed_rig = Rig(tuple(cameras))
    return exact(mixed_rig, [render_blocks(camera) for camera in cameras])


@pytest.mark.parametrize("options", [{}, {"edge_ratio": 0.2}, {"drop_overlap": True}])
def test_cameras_of_different_sizes_make_one_cloud(mixed, options):
    depths = surfaces(mixed)
    xyz, rgb = fused_cloud(mixed, depths, stride=1, **options)
    seen = sum(np.isfinite(depth).sum() for depth in depths)
    assert len(xyz) == len(rgb) and 0.6 * seen < len(xyz) <= seen
    near = np.hypot(xyz[:, 0], xyz[:, 1]) < 7  # no block stands there
    assert near.sum() > 500 and np.abs(xyz[near, 2]).max() < 0.01
    for colour in COLOURS:
        assert len(fused_cloud(mixed, depths, stride=1, colour=colour, **options)[1]) == len(xyz)


def test_what_a_camera_does_not_see_is_the_others(rig, views):
    prediction = exact(rig, views)
    depths, options = surfaces(prediction), CloudOptions(stride=1, drop_overlap=True)
    whole = len(CloudBuilder(rig, options)(prediction, depths))
    seen = [np.ones(depth.shape, bool) for depth in depths]
    seen[1][:, :60] = False  # where the first camera sees, too
    depths[1] = np.where(seen[1], depths[1], np.nan)
    holes = len(CloudBuilder(rig, options)(prediction, depths))
    builder = CloudBuilder(rig, options, seen)
    filled = len(builder(prediction, depths))
    assert filled > holes + 0.5 * (whole - holes)
    assert builder.fits(rig, options, seen)
    assert not builder.fits(rig, options, [mask.copy() for mask in seen])


def test_a_stride_larger_than_an_image_still_leaves_each_camera_a_point():
    camera = Camera("a", "a", 64, 32, [[40.0, 0, 32], [0, 40, 16], [0, 0, 1]], np.eye(4))
    small = exact(
        Rig((camera,)), [(np.zeros((32, 64, 3), np.uint8), np.full((32, 64), 5.0, np.float32))]
    )
    for colour in COLOURS:
        assert len(fused_cloud(small, surfaces(small), stride=64, colour=colour)[0]) == 1


def test_a_cameras_own_points_are_the_clouds_in_its_optical_frame(mixed):
    depths, options = surfaces(mixed), CloudOptions(stride=2, edge_ratio=0.2, colour="height")
    builder = CloudBuilder(mixed.rig, options)
    together = builder(mixed, depths)
    start = 0
    for i, camera in enumerate(mixed.rig.cameras):
        own = builder.of_camera(mixed, depths, i)
        part = together[start : start + len(own)]
        start += len(own)
        assert np.allclose(transform_points(camera.T_ego_cam, xyz_of(own)), xyz_of(part), atol=1e-4)
        assert np.array_equal(rgb_of(own), rgb_of(part))
        assert (own["z"] > 0).all()
    assert start == len(together)
