import array

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import Quaternion, Transform, Vector3
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from fsmde_core.rig import K_to_opencv
from fsmde_ros.cloud import POINT, rgb_of, xyz_of
from fsmde_ros.conversions import (
    MessageError,
    camera_from_info,
    camera_info_msg,
    cloud_from_msg,
    cloud_msg,
    compressed_depth_msg,
    decode_image,
    depth_from_msg,
    depth_msg_mm,
    float_msg,
    ns_to_stamp,
    rectifier_from_info,
    rgb_msg,
    stamp_to_ns,
    transform_from_msg,
)

HEADER = Header(stamp=ns_to_stamp(1_532_402_927_612_460_000), frame_id="front_optical_frame")
RGB = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 20, 30]]], np.uint8)
ALPHA = np.full((2, 2, 1), 7, np.uint8)


def image_msg(pixels, encoding, *, padding=0):
    rows = np.pad(pixels.reshape(pixels.shape[0], -1), ((0, 0), (0, padding)))
    return Image(
        header=HEADER,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=rows.shape[1],
        data=array.array("B", rows.tobytes()),
    )


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("rgba8", np.concatenate([RGB, ALPHA], axis=-1)),
        ("bgra8", np.concatenate([RGB[..., ::-1], ALPHA], axis=-1)),
    ],
)
def test_colour_encodings_become_rgb(encoding, pixels, padding):
    msg = image_msg(np.ascontiguousarray(pixels), encoding, padding=padding)
    assert np.array_equal(decode_image(msg, "/front").pixels, RGB)


def test_mono_becomes_grey():
    grey = np.array([[0, 100], [200, 255]], np.uint8)
    decoded = decode_image(image_msg(grey, "mono8"), "/front").pixels
    assert np.array_equal(decoded, np.repeat(grey[..., None], 3, axis=-1))


def test_an_unknown_encoding_names_topic_and_encoding():
    with pytest.raises(MessageError, match="/front: encoding '16UC1' is not supported"):
        decode_image(image_msg(RGB, "16UC1"), "/front")


def test_missing_bytes_and_short_steps_are_refused():
    msg = image_msg(RGB, "rgb8")
    msg.data = msg.data[:-1]
    with pytest.raises(MessageError, match="/front: 2x2 rgb8 with step 6 .* its 11 bytes"):
        decode_image(msg, "/front")
    msg = image_msg(RGB, "rgb8")
    msg.step = 5
    with pytest.raises(MessageError, match="step 5"):
        decode_image(msg, "/front")


def compressed(suffix, *, cut=None):
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    _, encoded = cv2.imencode(suffix, image)
    data = encoded.tobytes()[:cut]
    return image, CompressedImage(header=HEADER, format="jpeg", data=array.array("B", data))


def test_png_comes_back_exactly():
    bgr, msg = compressed(".png")
    assert np.array_equal(decode_image(msg, "/front").pixels, bgr[..., ::-1])


def test_jpeg_comes_back_nearly():
    flat = np.full((32, 32, 3), (10, 120, 240), np.uint8)
    _, encoded = cv2.imencode(".jpg", flat)
    msg = CompressedImage(format="jpeg", data=array.array("B", encoded.tobytes()))
    assert np.abs(decode_image(msg, "/front").pixels.astype(int) - [240, 120, 10]).max() < 4


@pytest.mark.parametrize("cut", [-2, -500, 300])
def test_a_truncated_jpeg_is_refused(cut):
    with pytest.raises(MessageError, match="/front: .* do not decode as an image: .*"):
        decode_image(compressed(".jpg", cut=cut)[1], "/front")


@pytest.mark.parametrize("data", [b"", b"rubbish", b"\xff\xd8\xff\xd9"])
def test_bytes_that_are_no_image_are_refused(data):
    msg = CompressedImage(format="jpeg", data=array.array("B", data))
    with pytest.raises(MessageError, match="/front: .* bytes of format 'jpeg' do not decode"):
        decode_image(msg, "/front")


def test_stamps_keep_every_nanosecond():
    stamp_ns = 1_532_402_927_612_460_123
    assert stamp_to_ns(ns_to_stamp(stamp_ns)) == stamp_ns


def test_camera_info_round_trips(rig):
    camera = rig.cameras[1]
    msg = camera_info_msg(camera, HEADER)
    assert np.allclose(np.reshape(msg.k, (3, 3)), K_to_opencv(camera.K))
    for rectified in (False, True):
        back = camera_from_info(
            msg, "/info", name="front", T_ego_cam=camera.T_ego_cam, rectified=rectified
        )
        assert np.allclose(back.K, camera.K)
        assert (back.width, back.height) == (camera.width, camera.height)
        assert back.frame_id == HEADER.frame_id


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"k": [0.0] * 9}, "/info: K is zero: not calibrated"),
        ({"k": [1.0, 0, 0, 0, 0, 0, 0, 0, 1]}, "/info: camera front: K is singular"),
        ({"width": 0}, "/info: camera front: size 0x180"),
    ],
)
def test_a_calibration_that_cannot_be_used_is_refused(rig, change, reason):
    msg: CameraInfo = camera_info_msg(rig.cameras[0], HEADER)
    for field, value in change.items():
        setattr(msg, field, value)
    with pytest.raises(MessageError, match=reason):
        camera_from_info(msg, "/info", name="front", T_ego_cam=np.eye(4), rectified=False)


@pytest.mark.parametrize("encoding", ["bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"])
def test_bayer_patterns_become_their_colour(encoding):
    colour = {"r": 200, "g": 100, "b": 50}
    pattern = np.array([colour[c] for c in encoding[6:10]], np.uint8).reshape(2, 2)
    pixels = decode_image(image_msg(np.tile(pattern, (8, 8)), encoding), "/front").pixels
    assert np.abs(pixels[4:-4, 4:-4].astype(int) - [200, 100, 50]).max() <= 1


@pytest.mark.parametrize(("encoding", "order"), [("yuv422", "uyvy"), ("yuv422_yuy2", "yuyv")])
def test_yuv422_becomes_rgb(encoding, order):
    # BT.601, a strong red: Y 81, U 90, V 240
    level = {"y": 81, "u": 90, "v": 240}
    row = np.tile(np.array([level[c] for c in order], np.uint8), 8)
    msg = image_msg(np.tile(row, (8, 1)).reshape(8, 16, 2), encoding)
    assert np.abs(decode_image(msg, "/front").pixels.astype(int) - [255, 0, 0]).max() <= 3


def test_jpegs_are_decoded_at_reduced_scale_only_where_that_is_enough():
    smooth = cv2.resize(
        np.random.default_rng(0).integers(0, 255, (9, 16, 3)).astype(np.uint8),
        (641, 361),
        interpolation=cv2.INTER_CUBIC,
    )
    _, encoded = cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_QUALITY, 95])
    msg = CompressedImage(format="jpeg", data=array.array("B", encoded.tobytes()))
    full = decode_image(msg, "/front")
    assert full.pixels.shape == (361, 641, 3)
    half = decode_image(msg, "/front", enough=(320, 180))
    assert half.pixels.shape == (180, 320, 3)
    assert (half.width, half.height) == (full.width, full.height) == (641, 361)
    assert decode_image(msg, "/front", enough=(322, 180)).pixels.shape == (361, 641, 3)
    small = [cv2.resize(i.pixels, (64, 36), interpolation=cv2.INTER_AREA) for i in (full, half)]
    assert np.abs(small[0].astype(int) - small[1]).mean() < 2


def test_depth_in_millimetres_and_as_compressed_depth():
    depth = np.array([[1.5, 70.0, np.nan, 3.0004, np.inf, -np.inf]], np.float32)
    msg = depth_msg_mm(depth, HEADER)
    assert (msg.encoding, msg.step) == ("16UC1", 12)
    assert np.frombuffer(msg.data, "<u2").tolist() == [1500, 0, 0, 3000, 0, 0]
    packed = compressed_depth_msg(depth, HEADER)
    assert packed.format == "16UC1; compressedDepth png"
    png = np.frombuffer(packed.data, np.uint8)[12:]  # behind the transport's header
    assert cv2.imdecode(png, cv2.IMREAD_UNCHANGED).tolist() == [[1500, 0, 0, 3000, 0, 0]]


def test_an_unknown_distortion_is_refused_and_a_known_one_removed(rig):
    msg = camera_info_msg(rig.cameras[0], HEADER)
    msg.d = [-0.2, 0.05, 0.0, 0.0, 0.0]
    camera = camera_from_info(msg, "/info", name="front", T_ego_cam=np.eye(4), rectified=False)
    assert callable(rectifier_from_info(msg, "/info", camera))
    msg.k = [0.0] * 9  # P alone does not say what to undo
    with pytest.raises(MessageError, match="/info: K is zero: not calibrated"):
        rectifier_from_info(msg, "/info", camera)
    msg = camera_info_msg(rig.cameras[0], HEADER)
    msg.distortion_model = "barrel"
    with pytest.raises(MessageError, match="/info: distortion model 'barrel' is not one of plumb"):
        rectifier_from_info(msg, "/info", camera)


def test_rectified_images_take_P_whatever_D_says(rig):
    msg = camera_info_msg(rig.cameras[0], HEADER)
    msg.d = [0.1, 0.0, 0.0, 0.0, 0.0]
    msg.k = [1.0, 0, 0, 0, 1, 0, 0, 0, 1]
    camera = camera_from_info(msg, "/info", name="a", T_ego_cam=np.eye(4), rectified=True)
    assert np.allclose(camera.K, rig.cameras[0].K)


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
    assert np.array_equal(decode_image(msg, "/front").pixels, RGB)


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
