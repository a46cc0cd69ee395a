"""What is said of a calibration that hardly fits, and of one that changes."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header

from fsmde_core.fit import fit_camera
from fsmde_core.geometry import make_transform
from fsmde_core.pose_doubts import pose_doubts
from fsmde_core.rig import Rig
from fsmde_ros.calibration import Calibration, extrinsics_from_rig
from fsmde_ros.conversions import camera_info_msg
from fsmde_ros.doubts import Watch

BARREL = [-0.3, 0.08, 0.0, 0.0, 0.0]


@pytest.fixture
def calibration(rig):
    """All six cameras, each as the rig file has it."""
    calibration = Calibration(
        rig.names,
        extrinsics=extrinsics_from_rig(rig),
        base_frame="base_link",
        rectified=False,
        fit=lambda camera: fit_camera(camera, pixels=160 * 90),
        expected=rig,
    )
    for i in range(6):
        calibration.update(i, info(rig, i), "/info")
    return calibration


def info(rig, i=0, *, zoom=1.0, **changes):
    camera = rig.cameras[i]
    msg = camera_info_msg(camera, Header(frame_id=camera.frame_id))
    for place in (0, 5):
        msg.p[place] *= zoom
    for field, value in changes.items():
        setattr(msg, field, value)
    return msg


def of_double_size(rig):
    return camera_info_msg(rig.cameras[0].resized(640, 360), Header())


def view_of(calibration, msg):
    calibration.update(0, msg, "/front/camera_info")
    return calibration.view(0)


def test_a_good_rig_gives_no_words(calibration, rig):
    views = calibration.views(range(6))
    assert [view.doubts + view.notes for view in views] == [()] * 6
    watch = Watch()
    assert not any(watch.look(i, v, v.camera.frame_id) for i, v in enumerate(views))
    for changes in (
        {"binning_x": 2, "binning_y": 2},
        {"roi": RegionOfInterest(x_offset=100, y_offset=50, width=220, height=120)},
        {"d": BARREL},
        {"width": 640, "height": 360, "k": of_double_size(rig).k},
    ):
        view = view_of(calibration, info(rig, **changes))
        assert view.doubts == ()


def test_a_rig_file_that_contradicts_camera_info_is_told_of(calibration, rig):
    f = rig.cameras[0].K[0, 0]
    zoomed = info(rig)
    zoomed.k[0] = zoomed.k[4] = f / 2
    (text,) = view_of(calibration, zoomed).doubts
    assert text == (
        f"camera front: focal length {f / 2:.0f} px in CameraInfo, {f:.0f} px in the rig file; "
        f"CameraInfo counts"
    )
    distorted = info(rig, zoom=0.8, d=BARREL, k=zoomed.k)
    (text,) = view_of(calibration, distorted).doubts
    assert f"{0.8 * f:.0f} px of P, {f / 2:.0f} px of K in CameraInfo, {f:.0f} px in" in text
    shifted = info(rig)
    shifted.k[2] += 20
    (text,) = view_of(calibration, shifted).doubts
    assert "at 180, 90 in CameraInfo" in text and "at 160, 90 in the rig file" in text
    renamed = info(rig)
    renamed.header.frame_id = "camera"
    view = view_of(calibration, renamed)
    assert view.doubts == ()
    assert view.notes[0].startswith("camera front: frame 'camera' in CameraInfo, 'front_optical")


def test_the_rig_file_may_hold_k_or_p(calibration, rig):
    """A lens whose rectified images have another focal length: either is right."""
    assert view_of(calibration, info(rig, zoom=0.8, d=BARREL)).doubts == ()
    msg = info(rig, d=BARREL)
    msg.k[0], msg.k[4] = 1.1 * msg.k[0], 1.1 * msg.k[4]
    assert view_of(calibration, msg).doubts == ()


def test_p_is_compared_with_k(calibration, rig):
    (text,) = view_of(calibration, info(rig, zoom=0.9)).notes
    f = rig.cameras[0].K[0, 0]
    assert f"focal length {0.9 * f:.0f} px of P, {f:.0f} px of K" in text
    (text,) = view_of(calibration, info(rig, zoom=2.0, d=[-0.01, 0, 0, 0, 0])).notes
    assert "P shows 50 % of the width and 5" in text  # rows come in 32s
    (text,) = view_of(calibration, info(rig, zoom=0.4, d=[-0.01, 0, 0, 0, 0])).doubts
    assert "15 % of the rectified image show anything" in text


@pytest.mark.parametrize("rectified_P", [False, True])
def test_a_matrix_of_another_size_is_doubted(calibration, rig, rectified_P):
    large = of_double_size(rig)
    changes = {"k": large.k}
    if rectified_P:
        changes = {"k": large.k, "d": BARREL, "p": large.p}
    view = view_of(calibration, info(rig, **changes))
    assert any("at 320, 180 is far from the middle of 320x180" in text for text in view.doubts)


def turned(R, height_m=1.5):
    return make_transform(R, [0.0, 0.0, height_m])


OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # looks ahead


@pytest.mark.parametrize(
    ("T", "words"),
    [
        (turned(np.eye(3)), "its rotation in base_link is the identity"),
        (turned(cv2.Rodrigues(np.array([0, 0, 1.0]))[0]), "its optical axis points up by 90 degr"),
        (turned(np.diag([1.0, -1.0, -1.0])), "its optical axis points down by 90 degrees"),
        (turned(OPTICAL @ cv2.Rodrigues(np.array([1.2, 0, 0]))[0]), "points up by 69 degrees"),
        (turned(OPTICAL, 0.0), "it sits 0.00 m above base_link"),
        (turned(OPTICAL, 1500.0), "it sits 1500.00 m above base_link"),
        (turned(OPTICAL, -1.5), "it sits -1.50 m above base_link"),
    ],
)
def test_a_camera_that_hardly_sits_like_that_is_doubted(rig, T, words):
    (text,) = pose_doubts(replace(rig.cameras[0], T_ego_cam=T), "base_link")
    assert text.startswith("camera front: ") and words in text


def test_usual_cameras_are_not_doubted(rig):
    for pitch in (-0.9, 0.0, 0.9):
        for height_m in (0.3, 4.0):
            T = turned(OPTICAL @ cv2.Rodrigues(np.array([pitch, 0, 0]))[0], height_m)
            assert pose_doubts(replace(rig.cameras[0], T_ego_cam=T), "base_link") == []


def test_a_recalibration_is_told_once_with_what_changed(calibration, rig):
    watch = Watch()
    frame = rig.cameras[0].frame_id
    assert watch.look(0, calibration.view(0), frame) == []
    zoomed = info(rig)
    zoomed.k[0] = zoomed.k[4] = 100.0
    news = watch.look(0, view_of(calibration, zoomed), frame)
    f = rig.cameras[0].K[0, 0]
    assert news[0] == (
        f"camera front: new calibration: focal length {f:.0f} px at 160, 90 to focal length "
        f"100 px at 160, 90"
    )
    assert "100 px in CameraInfo" in news[-1] and watch.doubts == news[-1:]
    assert watch.look(0, calibration.view(0), frame) == []
    for changes, words in (
        ({"d": BARREL}, "distortion"),
        ({"binning_x": 2, "binning_y": 2}, "CameraInfo 160x90 (binning 2x2 of 320x180)"),
        ({"r": cv2.Rodrigues(np.array([0, 0.05, 0]))[0].ravel().tolist()}, "R"),
        ({"roi": RegionOfInterest(x_offset=20, width=300, height=180)}, "roi"),
    ):
        watch.look(0, view_of(calibration, info(rig)), frame)
        (text, *_) = watch.look(0, view_of(calibration, info(rig, **changes)), frame)
        assert text.startswith("camera front: new calibration: ") and words in text
    watch.look(0, view_of(calibration, info(rig)), frame)
    assert watch.doubts == []  # it fits again


def test_images_of_another_frame_than_their_camera_info_are_told_of(calibration, rig):
    watch, view = Watch(), calibration.view(0)
    (text,) = watch.look(0, view, "front_camera_link")
    assert "frame 'front_camera_link' in its images, 'front_optical_frame' in its Camera" in text
    assert watch.look(0, view, "front_camera_link") == [] and watch.doubts == [text]
    assert watch.look(0, view, "") == watch.look(0, view, view.camera.frame_id) == []
    assert watch.doubts == []


@pytest.mark.parametrize(
    ("topic", "doubted"),
    [
        ("/front/image_rect", True),
        ("/front/image_rect_color/compressed", True),
        ("/front/image_rect_compressed", True),
        ("/rectangle/image_raw", False),
        ("/direct_rectifier/image", False),
    ],
)
def test_rectified_images_that_would_be_rectified_again(calibration, rig, topic, doubted):
    frame, watch = rig.cameras[0].frame_id, Watch()
    assert watch.look(0, calibration.view(0), frame, topic) == []  # nothing is to rectify
    watch.look(0, view_of(calibration, info(rig, d=BARREL)), frame, topic)
    said = any(f"{topic} says that its images are rectified" in text for text in watch.doubts)
    assert said == doubted


def test_one_frame_id_for_all_cameras_is_no_doubt(rig):
    assert len(Rig(tuple(replace(c, frame_id="camera") for c in rig.cameras)).names) == 6
