"""How a camera's image becomes the network's input: shape, geometry, and the way back."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from fsmde_core.fit import CELL, fit_camera
from fsmde_core.geometry import pixel_centres, pixel_rays
from fsmde_core.jpeg import decode_jpeg
from fsmde_core.rig import Camera

DEFAULT = 448 * 256
LEVEL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1.0]])


def camera(width, height, focal, focal_y=None):
    K = np.array([[focal, 0, width / 2 + 3], [0, focal_y or focal, height / 2 - 5], [0, 0, 1.0]])
    return Camera("front", "front_optical", width, height, K, LEVEL)


@pytest.mark.parametrize(
    ("source", "size"),
    [
        ((1600, 900, 1266), (448, 256)),  # nuScenes
        ((1242, 375, 720), (640, 192)),  # KITTI
        ((2464, 2056, 3660), (384, 320)),  # Argoverse's stereo pair
        ((1936, 1216, 1050), (416, 256)),  # DDAD
        ((640, 480, 500), (384, 288)),
        ((480, 640, 500), (288, 384)),  # upright
        ((640, 480, 500, 667), (448, 256)),  # OpenCV's P of alpha 0: 16:9 in square pixels
    ],
)
def test_each_camera_gets_its_own_shape(source, size):
    fit = fit_camera(camera(*source), pixels=DEFAULT)
    assert fit.size == size
    assert fit.camera.K[0, 0] == pytest.approx(fit.camera.K[1, 1], rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(200, 4000), aspect=st.floats(0.5, 6), stretch=st.floats(0.6, 1.5),
    budget=st.sampled_from([0.5, 1, 2, 3]),
)  # fmt: skip
def test_pixels_are_square_and_as_many_as_asked_for(width, aspect, stretch, budget):
    source = camera(width, round(width / aspect), 0.7 * width, 0.7 * width * stretch)
    fit = fit_camera(source, pixels=round(budget * DEFAULT))
    w, h = fit.size
    assert w % CELL == h % CELL == 0
    assert fit.camera.K[0, 0] == pytest.approx(fit.camera.K[1, 1], rel=1e-9)
    own = source.width**2 / (source.width / source.height * stretch)
    asked = min(budget * DEFAULT, own)
    if asked > 40_000:  # whole multiples of 32 come near it
        assert 0.7 * asked < w * h <= min(1.3 * asked, 1.08 * budget * DEFAULT)
    lost = source.height * fit.camera.K[1, 1] / source.K[1, 1] - h
    assert lost <= 0.081 * (h + lost)  # rows cropped
    assert -lost <= max(CELL, 0.1 * h)  # rows repeated


@pytest.mark.parametrize("size", [(64, 48), (160, 120), (320, 180), (120, 400), (640, 80)])
def test_a_small_image_is_enlarged_to_what_the_network_knows(size):
    source = camera(*size, size[0])
    w, h = fit_camera(source, pixels=DEFAULT, usual=DEFAULT).size
    assert 0.7 * DEFAULT < w * h <= 1.08 * DEFAULT
    w, h = fit_camera(source, pixels=3 * DEFAULT, usual=DEFAULT).size
    assert w * h <= 1.3 * DEFAULT  # and no further
    w, h = fit_camera(source, pixels=20_000, usual=DEFAULT).size
    assert w * h <= 1.08 * 20_000  # nor beyond what may be spent


@pytest.mark.parametrize(
    "source", [(300, 1000, 400), (720, 2400, 900), (64, 48, 45, 14), (640, 360, 450, 135)]
)
@pytest.mark.parametrize("pixels", [1, 1000, 5000])
def test_however_few_the_pixels_the_view_is_whole(source, pixels):
    fit = fit_camera(camera(*source), pixels=pixels)
    depth = fit.to_source(np.full(fit.seen.shape, 7, np.float32))
    assert np.isnan(depth).mean() < 0.085


@pytest.mark.parametrize(
    "source", [(640, 360, 400), (621, 188, 360), (616, 514, 900), (320, 320, 160, 220)]
)
def test_a_dot_lands_where_the_camera_says(source):
    """The picture and K agree: what both cameras call the same ray shows the same dot."""
    source = camera(*source)
    fit = fit_camera(source, pixels=60_000)
    for u, v in ((0.3, 0.4), (0.7, 0.8), (0.5, 0.6)):
        x, y = u * source.width, v * source.height
        image = np.zeros((source.height, source.width, 3), np.uint8)
        cv2.circle(image, (round((x - 0.5) * 16), round((y - 0.5) * 16)), 96, (255,) * 3, -1, 16, 4)
        weight = fit.image(image)[..., 0].astype(float)
        rows, columns = np.indices(weight.shape) + 0.5
        found = [(columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()]
        ray = np.linalg.solve(source.K, [x, y, 1])
        expected = (fit.camera.K @ ray)[:2]
        np.testing.assert_allclose(found, expected, atol=0.35)


def test_a_jpeg_at_half_its_size_gives_the_same_input():
    source = camera(1280, 720, 900)
    fit = fit_camera(source, pixels=DEFAULT)
    rng = np.random.default_rng(0)
    smooth = cv2.resize(
        rng.integers(0, 256, (18, 32, 3)).astype("u1"), (1280, 720), interpolation=3
    )
    half = cv2.resize(smooth, (640, 360), interpolation=cv2.INTER_AREA)
    assert np.abs(fit.image(smooth).astype(int) - fit.image(half)).mean() < 1.5
    assert fit.enough[0] <= 640 and fit.enough[1] <= 360


@pytest.mark.parametrize("size", [(3841, 2161), (1921, 1081), (1937, 1217), (2049, 1537)])
def test_a_jpeg_of_odd_size_is_not_shifted_when_it_is_reduced(size):
    width, height = size
    fit = fit_camera(camera(width, height, width), pixels=DEFAULT)
    ramp = np.broadcast_to(np.linspace(0, 255, width)[None, :, None], (height, width, 3))
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(ramp.round().astype(np.uint8)))
    reduced, _ = decode_jpeg(jpeg, fit.enough)
    assert reduced.shape[1] < width
    found = fit.image(reduced)[fit.size[1] // 2, :, 0] / 255 * fit.size[0]
    off = found - (np.arange(fit.size[0]) + 0.5)
    assert abs(off[-100:-8].mean()) < 0.3  # pixels, where a stretched image is off by 0.6


def test_rows_are_cropped_or_repeated_at_the_top_alone():
    cropped = fit_camera(camera(1242, 375, 720), pixels=DEFAULT)  # 193.2 rows to 192
    repeated = fit_camera(camera(1600, 900, 1266), pixels=DEFAULT)  # 252 rows to 256
    assert cropped.seen.all()
    assert not repeated.seen[:4].any() and repeated.seen[4:].all()
    ramp = np.broadcast_to(np.arange(900)[:, None, None] // 4, (900, 1600, 3)).astype(np.uint8)
    image = repeated.image(ramp)
    assert (image[:4] == image[4]).all() and image[-1, 0, 0] >= 223
    depth = cropped.to_source(np.full(cropped.seen.shape, 7, np.float32))
    assert np.isnan(depth[0]).all() and (depth[4:] == 7).all()


@pytest.mark.parametrize("pixels", [10_000, 28_672, DEFAULT])
@pytest.mark.parametrize("width", range(600, 4000, 310))
def test_a_few_rows_are_cropped_and_no_more(width, pixels):
    fit = fit_camera(camera(width, 1000, 900), pixels=pixels)
    depth = fit.to_source(np.full(fit.seen.shape, 7, np.float32))
    assert np.isnan(depth).mean() < 0.085
    assert fit.size[0] * fit.size[1] < 1.1 * pixels


@pytest.mark.parametrize("size", [(64, 48), (96, 40), (640, 4), (640, 1), (33, 31)])
def test_a_tiny_image_is_seen_whole(size):
    fit = fit_camera(camera(*size, 50), pixels=DEFAULT)
    assert fit.image(np.zeros((size[1], size[0], 3), np.uint8)).shape == (*fit.size[::-1], 3)
    assert np.isfinite(fit.to_source(np.full(fit.seen.shape, 7, np.float32))).all()


def test_the_way_back_invents_no_depth_between_surfaces():
    """A car at 5 m before the sky, beside a hole: no value in between appears."""
    fit = fit_camera(camera(1600, 900, 1266), pixels=DEFAULT)
    depth = np.full(fit.seen.shape, np.inf, np.float32)
    depth[100:200, 100:200] = 5.0
    depth[100:200, 200:300] = 40.0
    depth[150:160, 150:160] = np.nan
    back = fit.to_source(depth)
    finite = back[np.isfinite(back)]
    assert back.shape == (900, 1600)
    np.testing.assert_allclose(np.unique(finite), [5.0, 40.0], rtol=1e-5)
    assert 0.9 < np.isinf(back).mean() / np.isinf(depth).mean() < 1.1
    assert np.isnan(back).any()


def test_the_way_back_is_smooth_on_a_surface():
    fit = fit_camera(camera(1600, 900, 1266), pixels=DEFAULT)
    rows, columns = np.indices(fit.seen.shape)
    depth = (10 + 0.01 * columns + 0.02 * rows).astype(np.float32)
    back = fit.to_source(depth)[50:-50, 50:-50]
    steps = np.abs(np.diff(back, axis=1))
    assert steps.max() < 0.0035  # the nearest pixel alone would give steps of 0.01


def plane_depth(camera, normal, distance):
    """Depth [h, w] of the plane normal . p_ego = distance, as far as 200 m; else inf."""
    rays = pixel_rays(camera.K, pixel_centres(camera.width, camera.height)) @ LEVEL[:3, :3].T
    with np.errstate(divide="ignore"):
        depth = (distance - normal @ LEVEL[:3, 3]) / (rays @ normal)
    return np.where((depth > 0) & (depth < 200), depth, np.inf).astype(np.float32)


@pytest.mark.parametrize(
    "source", [(1600, 900, 1266), (1242, 375, 720), (1280, 960, 370), (300, 1000, 400)]
)
@pytest.mark.parametrize(("normal", "distance"), [((0, 0, 1), 0), ((0.6, 0.8, 0), 9)])
def test_the_way_back_is_exact_on_any_plane(source, normal, distance):
    """Also on the road far ahead, where one pixel of the network spans metres."""
    source = camera(*source)
    fit = fit_camera(source, pixels=DEFAULT)
    truth = plane_depth(source, np.array(normal), distance)
    found = fit.to_source(plane_depth(fit.camera, np.array(normal), distance))
    both = np.isfinite(truth) & np.isfinite(found)
    off = np.abs(found[both] / truth[both] - 1)
    assert both.mean() > 0.2 and (off < 0.01).mean() > 0.985


@pytest.mark.parametrize("value", [7, 10, 121.30221, 0.317])
def test_a_depth_comes_back_to_the_last_bit(value):
    fit = fit_camera(camera(1600, 900, 1266), pixels=DEFAULT)
    assert (fit.to_source(np.full(fit.seen.shape, value, np.float32)) == np.float32(value)).all()


def test_a_thin_antenna_of_the_mask_is_unseen_at_the_source():
    source = camera(1600, 900, 1266)
    body = np.zeros((900, 1600), bool)
    body[300:, 801:803] = True
    fit = fit_camera(replace(source, body=body), pixels=DEFAULT)
    depth = fit.to_source(np.full(fit.seen.shape, 7, np.float32))
    assert np.array_equal(np.isnan(depth), body)


def test_the_vehicle_s_body_is_not_seen():
    source = camera(1600, 900, 1266)
    body = np.zeros((900, 1600), bool)
    body[700:] = True
    fit = fit_camera(replace(source, body=body), pixels=DEFAULT)
    share = 1 - fit.seen.mean()
    assert 0.2 < share < 0.25
    assert np.isnan(fit.to_source(np.where(fit.seen, np.float32(3), np.float32(np.nan))))[
        705:
    ].all()


def test_a_model_of_one_shape_gets_every_image_stretched_to_it():
    fit = fit_camera(camera(1242, 375, 720), pixels=DEFAULT, size=(448, 256))
    assert fit.size == (448, 256) and fit.seen.all()
    assert fit.image(np.zeros((375, 1242, 3), np.uint8)).shape == (256, 448, 3)
    assert fit.camera.K[0, 0] < fit.camera.K[1, 1]


def test_shrinking_does_not_alias():
    fit = fit_camera(camera(896, 512, 800), pixels=DEFAULT)
    lines = np.zeros((512, 896, 3), np.uint8)
    lines[:, ::2] = 200  # finer than the network sees: grey, and no pattern of its own
    np.testing.assert_array_equal(fit.image(lines), 100)
    fit = fit_camera(camera(560, 320, 500), pixels=DEFAULT)
    ramp = np.tile(np.linspace(0, 250, 560, dtype=np.uint8), (320, 1))
    small = fit.image(np.stack([ramp] * 3, axis=-1))
    assert np.abs(np.diff(small[128, :, 0].astype(int))).max() <= 1
