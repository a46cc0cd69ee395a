import cv2
import numpy as np
import pytest
from geometry_msgs.msg import Quaternion, Transform, Vector3
from std_msgs.msg import Header

from fsmde_ros.cloud import POINT, rgb_of, xyz_of
from fsmde_ros.conversions import (
    cloud_from_msg,
    cloud_msg,
    compressed_depth_msg,
    depth_from_msg,
    depth_msg_mm,
    float_msg,
    ns_to_stamp,
    rgb_msg,
    stamp_to_ns,
    transform_from_msg,
)

HEADER = Header(stamp=ns_to_stamp(1_532_402_927_612_460_000), frame_id="front_optical_frame")
RGB = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 20, 30]]], np.uint8)


def test_stamps_keep_every_nanosecond():
    stamp_ns = 1_532_402_927_612_460_123
    assert stamp_to_ns(ns_to_stamp(stamp_ns)) == stamp_ns


def test_depth_in_millimetres_and_as_compressed_depth():
    depth = np.array([[1.5, 70.0, np.nan, 3.0004, np.inf, -np.inf]], np.float32)
    msg = depth_msg_mm(depth, HEADER)
    assert (msg.encoding, msg.step) == ("16UC1", 12)
    assert np.frombuffer(msg.data, "<u2").tolist() == [1500, 0, 0, 3000, 0, 0]
    packed = compressed_depth_msg(depth, HEADER)
    assert packed.format == "16UC1; compressedDepth png"
    png = np.frombuffer(packed.data, np.uint8)[12:]  # behind the transport's header
    assert cv2.imdecode(png, cv2.IMREAD_UNCHANGED).tolist() == [[1500, 0, 0, 3000, 0, 0]]


def test_depth_images_follow_rep_118():
    depth = np.array([[1.5, np.nan, 3.0, np.inf, -np.inf]], np.float32)
    msg = float_msg(depth, HEADER)
    assert (msg.encoding, msg.width, msg.height, msg.step) == ("32FC1", 5, 1, 20)
    assert msg.header == HEADER
    assert bytes(msg.data[:4]) == np.float32(1.5).tobytes()
    assert np.array_equal(depth_from_msg(msg), depth, equal_nan=True)


def test_colour_images_come_back():
    msg = rgb_msg(RGB, HEADER)
    assert (msg.encoding, msg.width, msg.height, msg.step) == ("rgb8", 2, 2, 6)
    assert np.array_equal(np.frombuffer(msg.data, np.uint8).reshape(RGB.shape), RGB)


def test_clouds_have_the_layout_that_rviz_reads():
    points = np.zeros(2, POINT)
    points["x"], points["y"], points["z"] = [1, 4], [2, 5], [3, 6]
    points["bgr"] = [[1, 0, 255], [4, 3, 2]]
    msg = cloud_msg(points, HEADER)
    assert [(f.name, f.offset, f.datatype) for f in msg.fields] == [
        ("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("rgb", 12, 7),
    ]  # fmt: skip
    assert (msg.point_step, msg.row_step, msg.width, msg.height) == (16, 32, 2, 1)
    assert msg.is_dense and not msg.is_bigendian
    assert bytes(msg.data[:12]) == np.float32([1, 2, 3]).tobytes()
    assert int.from_bytes(msg.data[12:16], "little") == 255 << 16 | 0 << 8 | 1  # r g b
    back = cloud_from_msg(msg)
    assert xyz_of(back).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert rgb_of(back).tolist() == [[255, 0, 1], [2, 3, 4]]


def test_an_empty_cloud_is_a_valid_message():
    msg = cloud_msg(np.zeros(0, POINT), HEADER)
    assert (msg.width, msg.row_step, len(msg.data)) == (0, 0, 0)


def test_transforms_are_read_and_bad_quaternions_refused():
    msg = Transform(translation=Vector3(x=1.0, y=2.0, z=3.0), rotation=Quaternion(w=1.0))
    assert transform_from_msg(msg)[:3, 3].tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="norm 0"):
        transform_from_msg(Transform(rotation=Quaternion(w=0.0)))


def test_autowares_layout_is_the_same_points_with_other_fields():
    points = np.zeros(2, POINT)
    points["x"], points["bgr"] = (1.5, -2.0), ((10, 20, 30), (40, 50, 60))
    msg = cloud_msg(points, HEADER, layout="xyzirc")
    assert [(f.name, f.offset, f.datatype, f.count) for f in msg.fields] == [
        ("x", 0, 7, 1), ("y", 4, 7, 1), ("z", 8, 7, 1),
        ("intensity", 12, 2, 1), ("return_type", 13, 2, 1), ("channel", 14, 4, 1),
    ]  # fmt: skip
    rows = np.frombuffer(msg.data, "<f4, <f4, <f4, u1, u1, <u2")
    assert msg.point_step == 16 and msg.row_step == 32
    assert rows.tolist() == [(1.5, 0, 0, 20, 1, 0), (-2.0, 0, 0, 50, 1, 0)]
    assert points["bgr"].tolist() == [[10, 20, 30], [40, 50, 60]]
    assert cloud_msg(points[:0], HEADER).point_step == 16
