"""What the rig file may stand in for: CameraInfo that no driver sends, frames that nobody has."""

from dataclasses import replace

import numpy as np
import pytest
import rclpy
from graph import Graph

from fsmde_core.geometry import quaternion_to_rotation
from fsmde_core.rig import Rig
from fsmde_ros.params import ParameterError
from fsmde_ros.rig_frames import rig_transforms


@pytest.mark.parametrize("sends", ["nothing", "zeros"])
def test_a_camera_without_camera_info_has_that_of_the_rig_file(
    ros, rig, images, stub_model, tmp_path, sends
):
    part = Rig(rig.cameras[:2])
    graph = Graph(part, tmp_path, f"model:={stub_model}", "camera_info_from_rig:=true")
    depths = graph.received["front_right/depth/image_rect"]

    def send(*, without_info=True, edit=lambda image, info: None):
        shots = graph.shots(images[:2])
        edit(shots[1].image, shots[1].info)
        if without_info and sends == "nothing":
            shots[1].info = None
        elif without_info:
            shots[1].info.k, shots[1].info.p = [0.0] * 9, [0.0] * 12
        graph.send(shots)
        graph.spin_for(0.3)

    def half(image, info):
        image.height, image.data = 90, image.data[: 90 * 960]

    def another_lens(image, info):
        info.k[0] = info.k[4] = 1.5 * info.k[0]

    try:
        while not depths:
            send()
        key = "CameraInfo from the rig file"
        assert graph.status(lambda s: key in s)[key] == "front_right"
        graph.warned("camera front_right: no CameraInfo came, the rig file's K is used")
        lines = graph.text().splitlines()
        assert not [line for line in lines if "camera_info" in line and "no publisher" in line]
        send(edit=half)
        graph.warned("front_right/image_raw: image 320x90 contradicts its rig file 320x180")
        for _ in range(3):
            send(without_info=False, edit=another_lens)
        graph.warned("camera front_right: new calibration: rig file 320x180 to CameraInfo 320x180")
        graph.received["surround_depth/status"].clear()
        assert key not in graph.status(lambda s: "provider" in s)
    finally:
        graph.close()


def test_the_frames_of_a_rig_are_its_extrinsics(rig):
    for transform, camera in zip(rig_transforms(rig), rig.cameras):
        assert transform.header.frame_id == rig.base_frame
        assert transform.child_frame_id == camera.frame_id
        t, q = transform.transform.translation, transform.transform.rotation
        assert np.allclose([t.x, t.y, t.z], camera.T_ego_cam[:3, 3])
        R = quaternion_to_rotation(np.array([q.x, q.y, q.z, q.w]))
        assert np.allclose(R, camera.T_ego_cam[:3, :3])


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("", "camera front_right has the frame_id '' in the rig file: give each its own"),
        ("base_link", "has the frame_id 'base_link' as the base frame"),
        ("front_optical_frame", "has the frame_id 'front_optical_frame' as camera front"),
    ],
)
def test_frames_that_make_no_tree_are_refused(rig, frame, reason):
    front, right = rig.cameras[:2]
    front = replace(front, frame_id="front_optical_frame")
    with pytest.raises(ParameterError, match="parameter publish_tf") as error:
        rig_transforms(Rig((front, replace(right, frame_id=frame)), base_frame="base_link"))
    assert reason in str(error.value)


def test_tf_static_is_there_for_whoever_comes_later(ros, rig, stub_model, tmp_path):
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not on PyPI")
    part = Rig(rig.cameras[:2])
    graph = Graph(part, tmp_path, f"model:={stub_model}", "publish_tf:=true")
    try:
        qos = rclpy.qos.QoSProfile(depth=1, durability=rclpy.qos.DurabilityPolicy.TRANSIENT_LOCAL)
        received = []
        graph.node.create_subscription(tf2_msgs.TFMessage, "/tf_static", received.append, qos)
        graph.spin_until(lambda: received, "/tf_static")
        frames = {t.child_frame_id for t in received[0].transforms}
        assert frames == {camera.frame_id for camera in part.cameras}
    finally:
        graph.close()


def test_without_tf2_msgs_publish_tf_is_a_warning_and_the_node_goes_on(
    ros, rig, stub_model, tmp_path
):
    try:
        import tf2_msgs  # noqa: F401
    except ImportError:
        part = Rig(rig.cameras[:1])
        more = ("publish_tf:=true", "auto_start:=false")
        graph = Graph(part, tmp_path, f"model:={stub_model}", *more, wait=False)
        try:
            graph.start()
            graph.warned("parameter publish_tf is ignored: tf2_msgs is not installed")
        finally:
            graph.close()
    else:
        pytest.skip("tf2_msgs is installed here")
