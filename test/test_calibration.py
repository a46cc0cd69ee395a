"""Calibration from CameraInfo, rig files and TF."""

import cv2
import numpy as np
import pytest
from std_msgs.msg import Header

from fsmde_core.fit import fit_camera
from fsmde_core.geometry import make_transform, pixel_rays
from fsmde_core.rig import K_to_opencv
from fsmde_ros.calibration import Calibration, extrinsics_from_rig, extrinsics_from_tf
from fsmde_ros.conversions import MessageError, camera_info_msg


def infos(rig):
    return [camera_info_msg(c, Header(frame_id=c.frame_id)) for c in rig.cameras]


def small(camera):
    """An input of 160x96 for cameras of 16:9."""
    return fit_camera(camera, pixels=160 * 90)


def empty(rig, extrinsics, **options):
    options = {"base_frame": "base_link", "rectified": False, "fit": small, **options}
    return Calibration(rig.names, extrinsics=extrinsics, **options)


def filled(rig, extrinsics, **options):
    calibration = empty(rig, extrinsics, **options)
    for i, msg in enumerate(infos(rig)):
        calibration.update(i, msg, f"/{rig.names[i]}/camera_info")
    return calibration


def cameras(calibration):
    """All cameras of a calibration."""
    return [calibration.view(i).camera for i in range(6)]


def test_the_rig_is_complete_once_every_camera_info_is_there(rig):
    calibration = empty(rig, extrinsics_from_rig(rig))
    for i, msg in enumerate(infos(rig)[:-1]):
        calibration.update(i, msg, "/info")
    assert [calibration.view(i).camera.name for i in (1, 2)] == list(rig.names[1:3])
    with pytest.raises(MessageError, match="no CameraInfo yet from front_left"):
        cameras(calibration)
    calibration.update(5, infos(rig)[5], "/info")
    for found, camera in zip(cameras(calibration), rig.cameras):
        assert np.allclose(found.K, camera.K)
        assert np.allclose(found.T_ego_cam, camera.T_ego_cam)


def test_a_changed_camera_info_is_picked_up_and_an_equal_one_costs_nothing(rig):
    calibration = filled(rig, extrinsics_from_rig(rig))
    before = calibration.view(0)
    calibration.update(0, infos(rig)[0], "/info")
    assert calibration.view(0) is before
    zoomed = infos(rig)[0]
    zoomed.k[0], zoomed.k[4] = 2 * zoomed.k[0], 2 * zoomed.k[4]
    calibration.update(0, zoomed, "/info")
    view = calibration.view(0)
    assert view.camera.K[0, 0] == pytest.approx(2 * rig.K[0, 0, 0])
    assert view.fit.camera.K[0, 0] == pytest.approx(2 * before.fit.camera.K[0, 0])


def shifted(x):
    """A pose that is x metres ahead."""
    return make_transform(np.eye(3), [x, 0.0, 0.0])


def test_extrinsics_come_from_tf(rig, tf_tree):
    for i, camera in enumerate(rig.cameras):
        tf_tree.static("base_link", camera.frame_id, shifted(i))
    calibration = filled(rig, extrinsics_from_tf(tf_tree.transforms, "base_link"))
    assert [camera.T_ego_cam[0, 3] for camera in cameras(calibration)] == [0, 1, 2, 3, 4, 5]


def test_a_frame_that_tf_does_not_know_is_named_until_it_comes(rig, tf_tree):
    for camera in rig.cameras[1:]:
        tf_tree.static("base_link", camera.frame_id, shifted(0))
    calibration = filled(rig, extrinsics_from_tf(tf_tree.transforms, "base_link"))
    with pytest.raises(MessageError, match="/tf: base_link <- front_optical_frame of front: .*not"):
        cameras(calibration)
    tf_tree.static("base_link", rig.cameras[0].frame_id, shifted(1))
    assert cameras(calibration)[0].T_ego_cam[0, 3] == 1.0


def test_cameras_of_one_frame_need_a_rig_file(rig, tf_tree):
    """As drivers name it by default: TF cannot tell them apart, a rig file can."""
    tf_tree.static("base_link", "camera", shifted(1))

    def of_one_frame(extrinsics):
        calibration = empty(rig, extrinsics)
        for i, msg in enumerate(infos(rig)):
            msg.header.frame_id = "camera"
            calibration.update(i, msg, "/info")
        return cameras(calibration)

    assert len(of_one_frame(extrinsics_from_rig(rig))) == 6
    with pytest.raises(MessageError, match="front and front_right have the same frame_id 'camera'"):
        of_one_frame(extrinsics_from_tf(tf_tree.transforms, "base_link"))


def bonnet():
    """A mask of 320x180: the lower 40 rows show the own vehicle."""
    mask = np.zeros((180, 320), bool)
    mask[140:] = True
    return mask


def with_distortion(rig, *, fy_over_fx=1.0, zoom=1.0):
    """A CameraInfo with a barrel lens, whose P has been chosen by somebody."""
    (msg, *_) = infos(rig)
    msg.d = [-0.3, 0.08, 0.0, 0.0, 0.0]
    fx = zoom * rig.cameras[0].K[0, 0]
    msg.p = [fx, 0.0, 159.5, 0.0, 0.0, fx * fy_over_fx, 89.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    return msg


@pytest.mark.parametrize("rectified", [False, True])
def test_the_own_body_is_not_seen(rig, rectified):
    extrinsics, bodies = extrinsics_from_rig(rig), {"front": bonnet()}
    calibration = filled(rig, extrinsics, bodies=bodies, rectified=rectified)
    fit = calibration.view(0).fit
    assert fit.size == (160, 96)
    # 40 of 180 rows are 20 of the 90 that the image has at this width; 6 more rows repeat its top
    assert not fit.seen[-20:].any() and not fit.seen[:6].any()
    assert fit.seen[6:-20].all()
    assert calibration.view(1).fit.seen[6:].all()


def test_a_mask_goes_through_the_lens_like_the_image(rig):
    calibration = filled(rig, extrinsics_from_rig(rig), bodies={"front": bonnet()})
    calibration.update(0, with_distortion(rig), "/front/camera_info")
    view = calibration.view(0)
    picture = np.where(bonnet()[..., None], 0, np.full((180, 320, 3), 255)).astype(np.uint8)
    shown = view.image(picture)[..., 0] > 127
    assert (view.fit.seen != shown).mean() < 0.01  # along its edge
    assert 0.6 < shown.mean() < 0.85
    calibration.update(0, infos(rig)[0], "/front/camera_info")
    assert not np.array_equal(calibration.view(0).fit.seen, shown)


def test_the_blind_corners_of_a_lens_are_not_seen(rig):
    calibration = filled(rig, extrinsics_from_rig(rig))
    wide = with_distortion(rig, zoom=0.55)  # as OpenCV's alpha 1 would have it
    calibration.update(0, wide, "/front/camera_info")
    fit = calibration.view(0).fit
    assert not fit.seen[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert fit.seen[48, 80] and 0.3 < fit.seen.mean() < 0.95
    at_source = fit.to_source(np.where(fit.seen, np.float32(7), np.float32(np.nan)))
    assert at_source.shape == (180, 320) and np.isnan(at_source[0, 0]) and at_source[90, 160] == 7


@pytest.mark.parametrize("fy_over_fx", [0.8, 1.25])
def test_pixels_are_square_whatever_P_says(rig, fy_over_fx):
    """A picture that is straight in the P that was asked for is straight in ours."""
    calibration = filled(rig, extrinsics_from_rig(rig))
    calibration.update(0, with_distortion(rig, fy_over_fx=fy_over_fx), "/front/camera_info")
    view = calibration.view(0)
    K = view.fit.camera.K
    assert K[0, 0] == pytest.approx(K[1, 1], rel=1e-6)
    assert view.camera.K[1, 1] / view.camera.K[0, 0] == pytest.approx(fy_over_fx)
    u, v = np.meshgrid(np.arange(320.0), np.arange(180.0))
    where = np.stack([u, v], axis=-1).astype(np.float32)
    seen = np.argwhere(view.fit.seen[8:-8:8, 8:-8:8]) * 8 + 8  # as rows and columns
    rays = pixel_rays(K, seen[:, ::-1] + 0.5)
    expected, _ = cv2.projectPoints(
        rays, np.zeros(3), np.zeros(3), K_to_opencv(rig.cameras[0].K),
        np.array([-0.3, 0.08, 0.0, 0.0, 0.0]),
    )  # fmt: skip
    assert len(seen) > 50
    assert np.abs(view.image(where)[tuple(seen.T)] - expected[:, 0]).max() < 0.1


def test_an_image_is_not_reduced_below_what_the_network_sees_of_it(rig):
    calibration = filled(rig, extrinsics_from_rig(rig))
    assert calibration.view(0).enough == (160, 90)
    calibration.update(0, with_distortion(rig, zoom=2.0), "/front/camera_info")
    assert calibration.view(0).enough == (320, 180)  # half of it fills the same input


def test_a_mask_of_another_size_is_refused_by_name(rig):
    for bodies, sentence in (
        ({"front": np.zeros((90, 160), bool)}, "camera front: its mask is 160x90, its images are"),
        ({"back": np.zeros((320, 180), bool)}, "camera back: its mask is 180x320"),
    ):
        with pytest.raises(MessageError, match=f"camera_info: {sentence}"):
            cameras(filled(rig, extrinsics_from_rig(rig), bodies=bodies))


def test_a_mask_of_the_whole_image_fits_its_roi_and_binning(rig):
    calibration = filled(rig, extrinsics_from_rig(rig), bodies={"front": bonnet()})
    (msg, *_) = infos(rig)
    msg.roi.y_offset, msg.roi.width, msg.roi.height = 60, 320, 120
    msg.binning_x = msg.binning_y = 2
    calibration.update(0, msg, "/front/camera_info")
    camera = calibration.view(0).camera
    assert (camera.width, camera.height) == (160, 60)
    assert camera.body[40:].all() and not camera.body[:40].any()


def test_the_views_of_a_set_are_of_one_moment(rig):
    calibration = filled(rig, extrinsics_from_rig(rig))
    views = calibration.views([0, 3])
    for field, value in (("binning_x", 2), ("r", [0.0] * 9)):
        msg = infos(rig)[3]
        setattr(msg, field, value)
        calibration.update(3, msg, "/back/camera_info")
        now = calibration.views([0, 3])
        assert now[0] is views[0] and now[1] is not views[1]


@pytest.mark.parametrize("move", [0.1, -3.0])
def test_a_camera_that_tf_moves_is_where_tf_puts_it(rig, move):
    places = {camera.name: camera.T_ego_cam.copy() for camera in rig.cameras}
    calibration = filled(rig, lambda name, frame_id: places[name])
    before = cameras(calibration)
    places["back"][0, 3] += 0.001  # a mount that shakes
    assert calibration.view(3).camera is before[3]
    places["back"][0, 3] += move
    now = cameras(calibration)
    assert now[3].T_ego_cam[0, 3] == pytest.approx(before[3].T_ego_cam[0, 3] + move + 0.001)
    assert now[:3] == before[:3]

    def lost(name, frame_id):
        raise MessageError(f"/tf: nothing is known of {name}")

    calibration._extrinsics = lost  # a tree that was cleared
    assert cameras(calibration) == now


def test_borders_of_images_that_come_rectified_are_not_of_the_world(rig):
    """With alpha = 1 rectified images have black borders; D beside P tells where."""
    lens = with_distortion(rig, zoom=0.7)
    ours = filled(rig, extrinsics_from_rig(rig))
    theirs = filled(rig, extrinsics_from_rig(rig), rectified=True)
    for calibration in (ours, theirs):
        calibration.update(0, lens, "/front/camera_info")
    expected, found = ours.view(0).fit.seen, theirs.view(0).fit.seen
    assert 0.5 < found.mean() < 0.95
    assert np.array_equal(found, expected)
    assert theirs.view(1).fit.seen.mean() > 0.9
    lens.d = [0.0] * 5  # as drivers send it that think that all is said
    theirs.update(0, lens, "/front/camera_info")
    assert np.array_equal(theirs.view(0).fit.seen, theirs.view(1).fit.seen)
    lens.d = [float("nan")] * 5
    theirs.update(0, lens, "/front/camera_info")
    assert np.array_equal(theirs.view(0).fit.seen, theirs.view(1).fit.seen)


def test_a_lens_that_does_not_fit_rectified_images_is_doubted_and_not_believed(rig):
    calibration = filled(rig, extrinsics_from_rig(rig), rectified=True)
    lens = with_distortion(rig, zoom=0.3)
    calibration.update(0, lens, "/front/camera_info")
    view = calibration.view(0)
    assert any("do D, R and P fit the images?" in text for text in view.doubts)
    assert view.fit.seen.mean() > 0.9


def test_an_empty_frame_id_is_the_rig_files(rig):
    calibration = empty(rig, extrinsics_from_rig(rig), expected=rig)
    (msg, *_) = infos(rig)
    msg.header.frame_id = ""
    calibration.update(0, msg, "/front/camera_info")
    assert calibration.view(0).camera.frame_id == "front_optical_frame"
