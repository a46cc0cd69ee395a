"""CameraInfo, field by field: what each does to the geometry, and what is refused."""

import math

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from fsmde_core.fit import fit_camera
from fsmde_core.geometry import pixel_centres, pixel_rays
from fsmde_core.rig import K_to_opencv
from fsmde_ros.calibration import Calibration
from fsmde_ros.camera_info import read_camera_info
from fsmde_ros.conversions import MessageError, camera_info_msg

NAN, INF = float("nan"), float("inf")
F, W, H = 200.0, 320, 180


def info(**changes) -> CameraInfo:
    """A pinhole of 320x180 pixels, 200 px of focal length."""
    K = [F, 0.0, W / 2 - 0.5, 0.0, F, H / 2 - 0.5, 0.0, 0.0, 1.0]
    P = [*K[:3], 0.0, *K[3:6], 0.0, *K[6:], 0.0]
    msg = CameraInfo(
        header=Header(frame_id="front_optical_frame"), width=W, height=H,
        distortion_model="plumb_bob", d=[0.0] * 5, k=K, r=np.eye(3).ravel().tolist(), p=P,
    )  # fmt: skip
    for field, value in changes.items():
        setattr(msg, field, value)
    return msg


def view_of(msg, *, rectified=False):
    calibration = Calibration(
        ["front"],
        extrinsics=lambda name, frame_id: np.eye(4),
        base_frame="base_link",
        rectified=rectified,
        fit=lambda camera: fit_camera(camera, pixels=W * H),
    )
    calibration.update(0, msg, "/info")
    return calibration.view(0)


def direction(view, column, row):
    """Degrees to the right and down of what an image as it came shows at a pixel, by the view."""
    size = view.geometry.width, view.geometry.height
    centres = pixel_centres(*size).astype(np.float32)
    u, v = np.moveaxis(view.image(centres), -1, 0)
    away = np.where(view.fit.seen, np.hypot(u - column - 0.5, v - row - 0.5), INF)
    at = np.unravel_index(away.argmin(), away.shape)
    assert away[at] < 1.5, "it is not seen"
    x, y, _ = pixel_rays(view.fit.camera.K, np.array(at[::-1]) + 0.5)
    return math.degrees(math.atan(x)), math.degrees(math.atan(y))


def changed(values, **entries):
    """A copy of K, R or P as a list, with some entries by their place."""
    values = list(values)
    for place, value in entries.items():
        values[int(place[1:])] = value
    return values


K, P = info().k.tolist(), info().p.tolist()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"k": [0.0] * 9}, "K is zero: not calibrated"),
        ({"k": [0.0] * 9, "d": [0.1, 0, 0, 0, 0]}, "K is zero: not calibrated"),
        ({"k": changed(K, _0=0.0)}, "K is singular or negative"),
        ({"k": changed(K, _4=-F)}, "K is singular or negative"),
        ({"k": changed(K, _0=-F), "d": [0.1, 0, 0, 0, 0]}, "K is singular or negative"),
        ({"k": changed(K, _2=NAN)}, "K is not finite"),
        ({"k": changed(K, _4=INF)}, "K is not finite"),
        ({"k": np.reshape(K, (3, 3)).T.ravel().tolist()}, "K is not of the form"),  # by columns
        ({"k": changed(K, _8=0.0)}, "K is not of the form"),
        ({"k": np.eye(3).ravel().tolist()}, "K has a focal length of 1 for 320 pixels"),
        ({"k": changed(K, _0=1e9)}, "K has a focal length of 1e.09 for 320 pixels"),
        ({"k": changed(K, _1=30.0), "d": [0.1, 0, 0, 0, 0]}, "K has a skew of 30"),
        ({"d": [NAN] * 5}, "D is not finite"),
        ({"d": [0, 0, 0, 0, INF]}, "D is not finite"),
        ({"distortion_model": "equidistant", "d": [0, NAN, 0, 0]}, "D is not finite"),
        ({"r": changed(np.eye(3).ravel(), _0=NAN)}, "R is not a rotation"),
        ({"r": (2 * np.eye(3)).ravel().tolist()}, "R is not a rotation"),
        ({"r": np.diag([1.0, 1.0, -1.0]).ravel().tolist()}, "R is not a rotation"),
        ({"d": [0.1, 0, 0, 0, 0], "p": changed(P, _5=NAN)}, "P is not finite"),
        ({"d": [0.1, 0, 0, 0, 0], "p": changed(P, _0=0.0)}, "P is singular or negative"),
        ({"d": [0.1, 0, 0, 0, 0], "p": changed(P, _10=0.0)}, "P is not of the form"),
        ({"d": [0.1, 0, 0, 0, 0], "p": changed(P, _2=1e6)}, "by K, D, R and P the rectified image"),
        (
            {"r": np.diag([-1.0, 1.0, -1.0]).ravel().tolist()},
            "by K, D, R and P the rectified image",
        ),
        ({"d": [1e9, 1e9, 0, 0, 0]}, "by K, D, R and P the rectified image"),
        ({"width": 0}, "size 0x180 is not positive"),
        ({"binning_x": 400}, "binning 400x0 leaves nothing"),
        (
            {"roi": RegionOfInterest(x_offset=200, width=200, height=100)},
            "roi 200x100 at 200, 0 is",
        ),
        ({"roi": RegionOfInterest(x_offset=10, y_offset=10)}, "roi 0x0 at 10, 10 is not a part"),
    ],
)
def test_what_cannot_be_used_is_refused_by_topic_and_field(changes, reason):
    with pytest.raises(MessageError, match=f"^/info: {reason}"):
        view_of(info(**changes))


MODELS = ("plumb_bob", "rational_polynomial", "equidistant")
LEGAL = {"plumb_bob": (0, 4, 5), "rational_polynomial": (0, 8, 12, 14), "equidistant": (0, 4)}


@pytest.mark.parametrize("length", range(16))
@pytest.mark.parametrize("model", [*MODELS, "", "none", "fov", "thin_prism_fisheye"])
def test_every_model_with_every_length_of_d_is_used_or_refused(model, length):
    msg = info(distortion_model=model, d=[0.001] * length)
    if length in LEGAL.get(model, ()) or (model in ("", "none") and not length):
        assert view_of(msg).fit.seen.mean() > 0.8
        return
    with pytest.raises(
        MessageError, match=f"/info: (distortion model '{model}' is not|D has {length} values)"
    ):
        view_of(msg)


def test_zeros_beyond_the_models_values_are_none():
    for model, D in (("plumb_bob", [-0.2, 0.03, 0, 0, 0]), ("equidistant", [-0.02, 0.001, 0, 0])):
        exact = view_of(info(distortion_model=model, d=D))
        padded = view_of(info(distortion_model=model, d=D + [0.0] * 7))
        assert direction(exact, 280, 120) == direction(padded, 280, 120)


def test_no_distortion_needs_no_rectification():
    for model in ("plumb_bob", "rational_polynomial", "", "none"):
        for length in (0, 1, 5, 8):
            assert view_of(info(distortion_model=model, d=[0.0] * length)).rectifier is None


@pytest.mark.parametrize("d", [[0.0] * 4, [], [0.0] * 5])
def test_an_ideal_fisheye_is_no_pinhole(d):
    view = view_of(info(distortion_model="equidistant", d=d))
    right, _ = direction(view, 280, 90)
    assert right == pytest.approx(math.degrees(120.5 / F), abs=0.4)  # theta = r / f; was 31.1


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("d", [[0.0] * 5, [-0.1, 0.01, 0.0, 0.0, 0.0]])
def test_r_turns_the_image(axis, d):
    """As image_geometry: a ray of the distorted image, turned by R, is one of the frame."""
    turn = np.zeros(3)
    turn[axis] = math.radians(3)
    R, _ = cv2.Rodrigues(turn)
    msg = info(r=R.ravel().tolist(), d=d)
    pixel = np.array([[[240.0, 110.0]]])
    ray = np.append(cv2.undistortPoints(pixel, np.reshape(K, (3, 3)), np.array(d))[0, 0], 1.0)
    x, y, z = R @ ray
    expected = math.degrees(math.atan(x / z)), math.degrees(math.atan(y / z))
    assert direction(view_of(msg), 240, 110) == pytest.approx(expected, abs=0.4)


def test_r_of_zeros_is_no_turn_and_rectified_images_are_turned_already():
    assert view_of(info(r=[0.0] * 9)).rectifier is None
    R, _ = cv2.Rodrigues(np.array([0.0, 0.1, 0.0]))
    assert view_of(info(r=R.ravel().tolist(), d=[NAN] * 5), rectified=True).rectifier is None


@pytest.mark.parametrize("d", [[0.0] * 5, [-0.2, 0.02, 0.0, 0.0, 0.0]])
@pytest.mark.parametrize("do_rectify", [False, True])
def test_roi_and_binning_keep_every_direction(d, do_rectify):
    """Pixel 240, 100 of the whole image, found again in its parts."""
    roi = RegionOfInterest(x_offset=100, y_offset=30, width=200, height=120, do_rectify=do_rectify)
    expected = direction(view_of(info(d=d)), 240, 100)
    for changes, size, pixel in (
        ({"roi": roi}, (200, 120), (140, 70)),
        ({"binning_x": 2, "binning_y": 2}, (160, 90), (119.75, 49.75)),
        ({"roi": roi, "binning_x": 2, "binning_y": 2}, (100, 60), (69.75, 34.75)),
        ({"binning_x": 1, "binning_y": 2}, (320, 90), (240, 49.75)),
    ):
        view = view_of(info(d=d, **changes))
        assert (view.geometry.width, view.geometry.height) == size
        assert direction(view, *pixel) == pytest.approx(expected, abs=0.5)


def test_p_follows_roi_and_binning_too():
    roi = RegionOfInterest(x_offset=60, y_offset=20, width=200, height=120, do_rectify=True)
    msg = info(d=[NAN] * 5, k=[0.0] * 9, roi=roi, binning_x=2, binning_y=2)
    found = K_to_opencv(view_of(msg, rectified=True).camera.K)
    assert found[0, 0] == F / 2
    assert found[:2, 2].tolist() == [(160 - 60) / 2 - 0.5, (90 - 20) / 2 - 0.5]


def test_a_size_is_told_with_what_it_comes_from():
    def described(**changes):
        return read_camera_info(info(**changes), "/info", rectified=False).described

    roi = RegionOfInterest(width=100, height=50)
    assert described() == "CameraInfo 320x180"
    assert described(binning_x=2) == "CameraInfo 160x180 (binning 2x1 of 320x180)"
    text = "CameraInfo 50x25 (roi 100x50 and binning 2x2 of 320x180)"
    assert described(binning_x=2, binning_y=2, roi=roi) == text


def test_what_the_node_publishes_it_reads(rig):
    camera = rig.cameras[1]
    msg = camera_info_msg(camera, Header(frame_id=camera.frame_id))
    assert np.allclose(np.reshape(msg.k, (3, 3)), K_to_opencv(camera.K))
    for rectified in (False, True):
        geometry = read_camera_info(msg, "/info", rectified=rectified)
        back = geometry.camera(camera.name, camera.T_ego_cam, "/info")
        assert np.allclose(back.K, camera.K)
        assert (back.width, back.height) == (camera.width, camera.height)
        assert back.frame_id == camera.frame_id and geometry.K_raw is None


def test_an_axis_that_is_none_names_the_topic():
    geometry = read_camera_info(info(), "/info", rectified=False)
    with pytest.raises(MessageError, match="/info: camera front: the rotation of T_ego_cam"):
        geometry.camera("front", np.diag([1.0, 1.0, 2.0, 1.0]), "/info")
