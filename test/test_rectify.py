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


@pytest.mark.parametrize("model", sorted(COEFFICIENTS))
def test_a_rectified_image_is_what_a_pinhole_camera_would_see(rig, model):
    camera = rig.cameras[0]
    target = camera.resized(160, 96)
    rectify = Rectifier(target, K_distorted=camera.K, D=COEFFICIENTS[model], model=model)
    expected = scene(pixel_rays(target.K, pixel_centres(160, 96)))
    seen = rectify(distorted_view(camera, model))
    inside = (seen > 0).all(axis=-1)
    assert inside.mean() > 0.85  # pincushion corners look past the image
    assert np.abs(seen[inside].astype(int) - expected[inside]).mean() < 2


def test_reduced_pixels_give_nearly_the_same(rig):
    camera = rig.cameras[0]
    target = camera.resized(160, 96)
    rectify = Rectifier(
        target, K_distorted=camera.K, D=COEFFICIENTS["plumb_bob"], model="plumb_bob"
    )
    full = distorted_view(camera, "plumb_bob")
    half = cv2.resize(full, (160, 90), interpolation=cv2.INTER_AREA)
    a, b = rectify(full), rectify(half, scale=0.5)
    both = (a > 0).all(axis=-1) & (b > 0).all(axis=-1)
    assert np.abs(a[both].astype(int) - b[both]).mean() < 2


def test_an_unknown_model_is_refused(rig):
    with pytest.raises(ValueError, match="distortion model 'fov' is not one of plumb_bob"):
        Rectifier(rig.cameras[0], K_distorted=rig.cameras[0].K, D=[0.1], model="fov")
