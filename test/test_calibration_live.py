"""What the node says of calibrations, and makes of them, over DDS."""

from dataclasses import replace

import numpy as np
import pytest
from graph import Graph
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header
from stub_model import HEIGHT, WIDTH

from fsmde_core.geometry import make_transform
from fsmde_core.rig import Rig
from fsmde_ros.cloud import xyz_of
from fsmde_ros.conversions import cloud_from_msg


@pytest.fixture(scope="module")
def graph(ros, rig, stub_model, tmp_path_factory):
    """Two cameras; that on the right was given the axes of its body."""
    front, right = rig.cameras[:2]
    wrong = make_transform(np.eye(3), right.T_ego_cam[:3, 3])
    pair = Rig((front, replace(right, T_ego_cam=wrong)))
    graph = Graph(pair, tmp_path_factory.mktemp("calibration"), f"model:={stub_model}")
    yield graph
    graph.close()


def answered(graph, images, edit=lambda i, image, info: None):
    """Depths, CameraInfos and cloud of a set of both cameras.

    After a pause each is taken for silent at first, and their sets are of one.
    """
    for _ in range(5):
        depths, infos, cloud = graph.answer(graph.publish(images[:2], edit=edit))
        if len(cloud_from_msg(cloud)) == 2 * (WIDTH // 2) * (HEIGHT // 2):
            return depths, infos, cloud
    raise AssertionError("no set of both cameras")


def said(graph, text):
    """Wait for a status that holds the text."""
    statuses = graph.received["surround_depth/status"]
    statuses.clear()
    graph.spin_until(lambda: any(text in msg.message for msg in statuses), f"{text!r}")


def test_body_axes_are_told_of_in_log_and_status(graph, images):
    answered(graph, images)
    graph.warned("camera front_right: its rotation in base_link is the identity")
    said(graph, "camera front_right: its rotation in base_link is the identity")


def test_cameras_of_one_frame_are_fused_and_a_frame_that_is_not_its_own_is_told_of(graph, images):
    def of_one_frame(i, image, info):
        image.header.frame_id = info.header.frame_id = "camera"

    def of_two_frames(i, image, info):
        info.header = Header(stamp=info.header.stamp, frame_id=info.header.frame_id)
        image.header.frame_id = "usb_cam"

    before = answered(graph, images)[2]
    depths, _, cloud = answered(graph, images, of_one_frame)
    assert [msg.header.frame_id for msg in depths] == ["camera", "camera"]
    assert bytes(cloud.data) == bytes(before.data)
    graph.warned("camera front: frame 'camera' in CameraInfo, 'front_optical_frame' in the rig fi")
    answered(graph, images, of_two_frames)
    said(graph, "camera front: frame 'usb_cam' in its images, 'front_optical_frame' in its Camera")


def test_images_without_a_frame_get_that_of_the_rig_file(graph, images):
    def of_no_frame(i, image, info):
        image.header.frame_id = info.header.frame_id = ""

    depths, infos, _ = answered(graph, images, of_no_frame)
    frames = [camera.frame_id for camera in graph.rig.cameras]
    assert [msg.header.frame_id for msg in depths] == frames
    assert [msg.header.frame_id for msg in infos] == frames


def test_a_recalibration_is_logged_and_counts_at_once(graph, rig, images):
    def zoomed(i, image, info):
        if i == 0:
            info.k[0], info.k[4] = 2 * info.k[0], 2 * info.k[4]

    answered(graph, images)
    _, (info, _), cloud = answered(graph, images, zoomed)
    f = rig.cameras[0].K[0, 0]
    assert info.k[0] == pytest.approx(2 * f * info.width / 320)
    graph.warned(f"camera front: new calibration: focal length {f:.0f} px at 160, 90 to focal len")
    said(graph, f"camera front: focal length {2 * f:.0f} px in CameraInfo, {f:.0f} px in the rig")
    points = xyz_of(cloud_from_msg(cloud))
    width = np.abs(points[: len(points) // 2, 1]).max()
    assert width == pytest.approx(10 * 160 / (2 * f), rel=0.02)  # the stub says 10 m everywhere


def test_a_window_of_the_image_lies_where_it_is(graph, rig, images):
    def right_half(i, image, info):
        if i == 0:
            info.roi = RegionOfInterest(x_offset=160, width=160, height=180)
            image.width, image.step = 160, 480
            image.data = type(image.data)("B", images[0][:, 160:].tobytes())

    _, _, cloud = answered(graph, images, right_half)
    points = xyz_of(cloud_from_msg(cloud))
    y = points[: len(points) // 2, 1]  # to the left
    assert y.max() < 0.1 and y.min() == pytest.approx(-10 * 160 / rig.cameras[0].K[0, 0], rel=0.03)
    graph.publish(images[:2], edit=lambda i, image, info: setattr(info, "binning_x", 2))
    graph.warned("image 320x180 contradicts its CameraInfo 160x180 (binning 2x1 of 320x180)")
