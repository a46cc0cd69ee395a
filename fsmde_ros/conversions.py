"""ROS messages to numpy and Rig, and back: the only file that knows encodings and NaN."""

from __future__ import annotations

import array

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Transform
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header

from fsmde_core.geometry import make_transform, quaternion_to_rotation
from fsmde_core.rig import Camera, K_to_opencv, RigError, opencv_to_K

# encoding -> (channels, OpenCV conversion to RGB or None)
ENCODINGS = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
}
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
LIDAR_DTYPE = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
CLOUD_DTYPE = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4")])


class MessageError(ValueError):
    """A message that cannot be used; the message of the error names the topic and the field."""


def stamp_to_ns(stamp: Time) -> int:
    """Nanoseconds of a ROS time."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def ns_to_stamp(stamp_ns: int) -> Time:
    """ROS time of nanoseconds."""
    return Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)


def decode_image(msg: Image | CompressedImage, topic: str) -> np.ndarray:
    """RGB uint8 [H, W, 3] of an Image or CompressedImage.

    MessageError names the topic for an unknown encoding, a row step that contradicts the width,
    missing bytes, or compressed data that is truncated or does not decode.
    """
    if isinstance(msg, CompressedImage):
        return _decompress(msg, topic)
    if msg.encoding not in ENCODINGS:
        raise MessageError(
            f"{topic}: encoding {msg.encoding!r} is not supported; known: {', '.join(ENCODINGS)}"
        )
    channels, conversion = ENCODINGS[msg.encoding]
    row_bytes = msg.width * channels
    if msg.step < row_bytes or len(msg.data) < msg.step * msg.height or not msg.height:
        raise MessageError(
            f"{topic}: {msg.width}x{msg.height} {msg.encoding} with step {msg.step} "
            f"does not fit its {len(msg.data)} bytes"
        )
    rows = np.frombuffer(msg.data, np.uint8)[: msg.step * msg.height].reshape(msg.height, msg.step)
    pixels = rows[:, :row_bytes].reshape(msg.height, msg.width, channels)
    return pixels if conversion is None else cv2.cvtColor(pixels, conversion)


def _decompress(msg: CompressedImage, topic: str) -> np.ndarray:
    encoded = np.frombuffer(msg.data, np.uint8)
    data = encoded.tobytes()
    if data.startswith(JPEG_START) and JPEG_END not in data[-64:]:
        # OpenCV decodes a truncated JPEG without a word and fills the rest with grey.
        raise MessageError(f"{topic}: JPEG of {len(data)} bytes is truncated")
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if image is None:
        raise MessageError(
            f"{topic}: {len(data)} bytes of format {msg.format!r} do not decode as an image"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def camera_from_info(
    msg: CameraInfo, topic: str, *, name: str, T_ego_cam: np.ndarray, rectified: bool
) -> Camera:
    """The Camera of a CameraInfo.

    rectified says that the images are: K is then taken from P, and D does not matter. MessageError
    names the topic if the camera is uncalibrated, K is singular, or D is not zero unrectified.
    """
    if not rectified and any(msg.d):
        raise MessageError(
            f"{topic}: distortion {msg.distortion_model} with D = {list(msg.d)}: rectify the "
            f"images (image_proc), then set rectified: true"
        )
    matrix = np.array(msg.p, np.float64).reshape(3, 4)[:, :3] if rectified else msg.k
    K = np.array(matrix, np.float64).reshape(3, 3)
    if K[0, 0] == 0:
        field = "P" if rectified else "K"
        raise MessageError(f"{topic}: {field} is zero, the camera is not calibrated")
    try:
        return Camera(
            name=name,
            frame_id=msg.header.frame_id,
            width=msg.width,
            height=msg.height,
            K=opencv_to_K(K),
            T_ego_cam=T_ego_cam,
        )
    except RigError as error:
        raise MessageError(f"{topic}: {error}") from error


def camera_info_msg(camera: Camera, header: Header) -> CameraInfo:
    """CameraInfo of a rectified camera: D = 0, R = I, P = [K | 0]."""
    K = K_to_opencv(camera.K)
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=K.ravel().tolist(),
        r=np.eye(3).ravel().tolist(),
        p=np.hstack([K, np.zeros((3, 1))]).ravel().tolist(),
    )


def depth_msg(depth: np.ndarray, valid: np.ndarray, header: Header) -> Image:
    """32FC1 image (REP 118): metres along the optical axis, NaN where not valid.

    depth [H, W] in metres; valid [H, W] bool.
    """
    metres = np.where(valid, depth, np.nan).astype("<f4")
    height, width = metres.shape
    return Image(
        header=header,
        height=height,
        width=width,
        encoding="32FC1",
        is_bigendian=0,
        step=4 * width,
        data=_byte_array(metres),
    )


def depth_from_msg(msg: Image) -> np.ndarray:
    """Depth [H, W] float32 in metres of a 32FC1 image, NaN where there is none."""
    if msg.encoding != "32FC1":
        raise MessageError(f"depth image has the encoding {msg.encoding!r}, not 32FC1")
    return np.frombuffer(msg.data, "<f4").reshape(msg.height, msg.width)


def cloud_msg(xyz: np.ndarray, rgb: np.ndarray, header: Header) -> PointCloud2:
    """PointCloud2 with the fields x, y, z, rgb, as RViz reads them.

    xyz [P, 3] float32, all finite; rgb [P, 3] uint8.
    """
    points = np.empty(len(xyz), CLOUD_DTYPE)
    points["x"], points["y"], points["z"] = xyz.T
    red, green, blue = rgb.astype(np.uint32).T
    points["rgb"] = red << 16 | green << 8 | blue
    return _cloud2(points, header)


def lidar_msg(xyz: np.ndarray, header: Header) -> PointCloud2:
    """PointCloud2 with the fields x, y, z of points [P, 3] in metres."""
    points = np.empty(len(xyz), LIDAR_DTYPE)
    points["x"], points["y"], points["z"] = xyz.T
    return _cloud2(points, header)


def _cloud2(points: np.ndarray, header: Header) -> PointCloud2:
    """A structured array of 4-byte fields; rgb is passed off as float32, as RViz expects."""
    fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(points.dtype.names)
    ]
    return PointCloud2(
        header=header,
        height=1,
        width=len(points),
        fields=fields,
        is_bigendian=False,
        point_step=points.dtype.itemsize,
        row_step=points.dtype.itemsize * len(points),
        data=_byte_array(points),
        is_dense=True,
    )


def cloud_from_msg(msg: PointCloud2) -> tuple[np.ndarray, np.ndarray]:
    """xyz [P, 3] float32 and rgb [P, 3] uint8 of a cloud written by cloud_msg."""
    points = np.frombuffer(msg.data, CLOUD_DTYPE)
    xyz = np.stack([points["x"], points["y"], points["z"]], axis=-1)
    rgb = np.stack([points["rgb"] >> shift & 255 for shift in (16, 8, 0)], axis=-1)
    return xyz, rgb.astype(np.uint8)


def transform_from_msg(msg: Transform) -> np.ndarray:
    """[4, 4] of a geometry_msgs Transform; ValueError if its quaternion is not of norm 1."""
    q, t = msg.rotation, msg.translation
    return make_transform(quaternion_to_rotation([q.x, q.y, q.z, q.w]), [t.x, t.y, t.z])


def _byte_array(values: np.ndarray) -> array.array:
    """The bytes as array.array, which rclpy takes 100 times faster than anything else."""
    data = array.array("B")
    data.frombytes(memoryview(np.ascontiguousarray(values)).cast("B"))
    return data
