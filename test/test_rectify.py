from dataclasses import replace

import cv2
import numpy as np
import pytest

from fsmde_core.geometry import pixel_centres, pixel_rays
from fsmde_core.rectify import Rectifier
from fsmde_core.rig import K_to_opencv

COEFFICIENTS = {"plumb_bob": [-0.25, 0.06, 0.001, -0.001, 0.0], "equidistant": [0.05, 0.01, 0, 0]}


def scene(rays):
    """A smooth picture on the unit sphere: what any camera sees along a ray, uint8 RGB."""
    direction = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    waves = np.sin(12 * direction + [0, 1, 2])
    return (127 + 100 * waves).astype(np.uint8)


def distorted_view(camera, model):
    """What a camera with lens distortion sees of the scene."""
    pixels = (pixel_centres(camera.width, camera.height) - 0.5).reshape(-1, 1, 2)
    undistort = cv2.fisheye.undistortPoints if model == "equidistant" else cv2.undistortPoints
    rays = undistort(pixels, K_to_opencv(camera.K), np.array(COEFFICIENTS[model]))
    rays = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1)
    return scene(rays.reshape(camera.height, camera.width, 3))


def rectifier(camera, target, model, D=None):
    size = (camera.width, camera.height)
    D = COEFFICIENTS[model] if D is None else D
    return Rectifier(target, K_distorted=camera.K, D=D, model=model, size=size)


@pytest.mark.parametrize("model", sorted(COEFFICIENTS))
def test_a_rectified_image_is_what_a_pinhole_camera_would_see(rig, model):
    camera = rig.cameras[0]
    target = camera.resized(160, 96)
    rectify = rectifier(camera, target, model)
    expected = scene(pixel_rays(target.K, pixel_centres(160, 96)))
    seen = rectify(distorted_view(camera, model))
    inside = cv2.erode(rectify.seen.astype(np.uint8), np.ones((3, 3))) > 0  # without its border
    assert inside.mean() > 0.85
    assert np.abs(seen[inside].astype(int) - expected[inside]).mean() < 2
    assert not seen[~rectify.seen].any()


def test_reduced_pixels_give_nearly_the_same(rig):
    camera = rig.cameras[0]
    target = camera.resized(160, 96)
    rectify = rectifier(camera, target, "plumb_bob")
    full = distorted_view(camera, "plumb_bob")
    half = cv2.resize(full, (160, 90), interpolation=cv2.INTER_AREA)
    a, b = rectify(full), rectify(half, scale=0.5)
    assert np.abs(a[rectify.seen].astype(int) - b[rectify.seen]).mean() < 2
    assert not b[~rectify.seen].any()


def test_the_corners_of_a_pincushion_are_beyond_the_image(rig):
    camera = rig.cameras[0]
    rectify = rectifier(camera, camera.resized(160, 96), "plumb_bob", D=[0.3, 0.0, 0.0, 0.0, 0.0])
    assert 0.5 < rectify.seen.mean() < 0.95
    assert not rectify.seen[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    white = rectify(np.full((180, 320), 255, np.uint8))
    assert (white[rectify.seen] > 100).all() and not white[~rectify.seen].any()


def test_an_unknown_model_is_refused(rig):
    with pytest.raises(ValueError, match="distortion model 'fov' is not one of plumb_bob"):
        rectifier(rig.cameras[0], rig.cameras[0], "fov", D=[0.1])


@pytest.mark.parametrize(
    ("model", "D", "shape"),
    [
        ("plumb_bob", [-0.4, 0.0, 0.0, 0.0, 0.0], (320, 180)),  # turns back at 0.91 of depth
        ("plumb_bob", [-0.3, 0.02, 0.0, 0.0, 0.0], (640, 360)),
        ("rational_polynomial", [-0.35, 0.01, 0, 0, 0, 0.02, 0.0, 0.0], (640, 640)),
        ("equidistant", [-0.1, -0.3, 0.0, 0.0], (640, 360)),
    ],
)
def test_what_a_polynomial_folds_back_into_the_image_is_not_seen(rig, model, D, shape):
    """Every row that is seen shows each part of the image once: columns only grow along it."""
    camera = rig.cameras[0]
    wide = np.array([[80.0, 0, shape[0] / 2], [0, 80.0, shape[1] / 2], [0, 0, 1]])
    target = replace(camera, width=shape[0], height=shape[1], K=wide)
    rectify = rectifier(camera, target, model, D=D)
    ramp = np.tile(np.arange(320, dtype=np.float32), (180, 1))
    columns = rectify(ramp)
    row = shape[1] // 2
    (seen,) = np.nonzero(rectify.seen[row])
    assert 100 < len(seen) < shape[0]
    assert np.array_equal(seen, np.arange(seen[0], seen[-1] + 1))  # no second ring
    assert (np.diff(columns[row, seen[1:-1]]) > 0).all()
