"""tf2_ros is not on PyPI: the two tests of TF use a stand-in for its buffer, the rest is real."""

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from std_msgs.msg import Header

from fsmde_ros.calibration import (
    Calibration,
    disagreement,
    extrinsics_from_rig,
    extrinsics_from_tf,
)
from fsmde_ros.conversions import MessageError, camera_info_msg


def infos(rig):
    return [camera_info_msg(c, Header(frame_id=c.frame_id)) for c in rig.cameras]


def filled(rig, extrinsics):
    calibration = Calibration(
        rig.names, extrinsics=extrinsics, base_frame="base_link", rectified=False, size=(64, 36)
    )
    for i, msg in enumerate(infos(rig)):
        calibration.update(i, msg, f"/{rig.names[i]}/camera_info")
    return calibration


def test_the_rig_is_complete_once_every_camera_info_is_there(rig):
    calibration = Calibration(
        rig.names,
        extrinsics=extrinsics_from_rig(rig),
        base_frame="base_link",
        rectified=False,
        size=(64, 36),
    )
    for i, msg in enumerate(infos(rig)[:-1]):
        calibration.update(i, msg, "/info")
    assert calibration.rig([1, 2]).names == rig.names[1:3]
    with pytest.raises(MessageError, match="no CameraInfo yet from front_left"):
        calibration.rig(range(6))
    calibration.update(5, infos(rig)[5], "/info")
    assert np.allclose(calibration.rig(range(6)).K, rig.K)
    assert np.allclose(calibration.rig(range(6)).T_ego_cam, rig.T_ego_cam)


def test_a_changed_camera_info_is_picked_up_and_an_equal_one_costs_nothing(rig):
    calibration = filled(rig, extrinsics_from_rig(rig))
    before = calibration.rig(range(6))
    calibration.update(0, infos(rig)[0], "/info")
    assert calibration.rig(range(6)) is before
    zoomed = infos(rig)[0]
    zoomed.k[0] = 2 * zoomed.k[0]
    calibration.update(0, zoomed, "/info")
    assert calibration.rig(range(6)).K[0, 0, 0] == pytest.approx(2 * rig.K[0, 0, 0])


def test_a_rig_file_that_contradicts_camera_info_is_told_of(rig):
    view = filled(rig, extrinsics_from_rig(rig)).view(0)
    assert disagreement(view, rig.cameras[0]) is None
    assert disagreement(view, rig.cameras[0].resized(1600, 900)) is None  # only another size
    zoomed = rig.cameras[0].cropped(80, 45, 160, 90)
    assert "focal length 229 px in CameraInfo, 457 px" in disagreement(view, zoomed)
    renamed = replace(rig.cameras[0], frame_id="camera_0")
    assert "frame 'front_optical_frame' in CameraInfo, 'camera_0'" in disagreement(view, renamed)


@pytest.fixture
def transforms(monkeypatch):
    """A TF tree: (parent, child) -> translation x."""
    tree = {}
    module = ModuleType("tf2_ros")

    class Buffer:
        def lookup_transform(self, parent, child, time):
            if (parent, child) not in tree:
                raise module.TransformException(f'"{child}" does not exist')
            stamped = TransformStamped()
            stamped.transform.translation = Vector3(x=tree[parent, child])
            stamped.transform.rotation = Quaternion(w=1.0)
            return stamped

    module.Buffer = Buffer
    module.TransformException = type("TransformException", (Exception,), {})
    module.TransformListener = lambda buffer, node: object()
    monkeypatch.setitem(sys.modules, "tf2_ros", module)
    return tree


def test_extrinsics_come_from_tf(rig, transforms):
    for i, camera in enumerate(rig.cameras):
        transforms["base_link", camera.frame_id] = float(i)
    calibration = filled(rig, extrinsics_from_tf(None, "base_link"))
    assert calibration.rig(range(6)).T_ego_cam[:, 0, 3].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_frame_that_tf_does_not_know_is_named_until_it_comes(rig, transforms):
    for camera in rig.cameras[1:]:
        transforms["base_link", camera.frame_id] = 0.0
    calibration = filled(rig, extrinsics_from_tf(None, "base_link"))
    with pytest.raises(MessageError, match="/tf: base_link <- front_optical_frame of front"):
        calibration.rig(range(6))
    transforms["base_link", rig.cameras[0].frame_id] = 1.0
    assert calibration.rig(range(6)).T_ego_cam[0, 0, 3] == 1.0
