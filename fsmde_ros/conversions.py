"""ROS messages to numpy and Rig, and back: the only file that knows encodings and NaN."""

from __future__ import annotations

import array
import struct
from dataclasses import dataclass

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, Transform
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header

from fsmde_core.geometry import make_transform, quaternion_to_rotation
from fsmde_core.jpeg import START, decode_jpeg, reduction
from fsmde_core.rectify import Rectifier
from fsmde_core.rig import Camera, K_to_opencv, RigError, opencv_to_K
from fsmde_ros.cloud import POINT

# encoding -> (bytes a pixel, OpenCV conversion to RGB or None)
ENCODINGS = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": (1, cv2.COLOR_BayerRGGB2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGBRG2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGRBG2RGB),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUY2),
}


class MessageError(ValueError):
    """A message that cannot be used; the message of the error names the topic and the field."""


def stamp_to_ns(stamp: Time) -> int:
    """Nanoseconds of a ROS time."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def ns_to_stamp(stamp_ns: int) -> Time:
    """ROS time of nanoseconds."""
    return Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)


@dataclass(frozen=True)
class SourceImage:
    """A decoded image; pixels may be smaller than the source where that is enough."""

    pixels: np.ndarray
    """[h, w, 3] uint8 RGB."""
    width: int
    """Of the source."""
    height: int
    """Of the source."""


def decode_image(
    msg: Image | CompressedImage, topic: str, *, enough: tuple[int, int] | None = None
) -> SourceImage:
    """RGB pixels of an Image or CompressedImage.

    enough (width, height) allows a reduction to 1/2, 1/4 or 1/8 as long as both sides stay at least
    that long; JPEGs are then decoded at that size. MessageError names the topic for an encoding
    that neither we nor cv_bridge know, a row step that contradicts the width, missing bytes, or
    compressed data that is truncated or does not decode.
    """
    if isinstance(msg, CompressedImage):
        return _decompress(msg, topic, enough)
    if msg.encoding not in ENCODINGS:
        return SourceImage(_through_cv_bridge(msg, topic), msg.width, msg.height)
    pixel_bytes, conversion = ENCODINGS[msg.encoding]
    row_bytes = msg.width * pixel_bytes
    if msg.step < row_bytes or len(msg.data) < msg.step * msg.height or not msg.height:
        raise MessageError(
            f"{topic}: {msg.width}x{msg.height} {msg.encoding} with step {msg.step} "
            f"does not fit its {len(msg.data)} bytes"
        )
    rows = np.frombuffer(msg.data, np.uint8)[: msg.step * msg.height].reshape(msg.height, msg.step)
    pixels = rows[:, :row_bytes].reshape(msg.height, msg.width, pixel_bytes)
    pixels = pixels if conversion is None else cv2.cvtColor(pixels, conversion)
    return SourceImage(_reduced(pixels, enough), msg.width, msg.height)


def _reduced(pixels: np.ndarray, enough: tuple[int, int] | None) -> np.ndarray:
    """The mean of 2x2, 4x4 or 8x8 pixels, as JPEG decoding at reduced scale gives it."""
    height, width, _ = pixels.shape
    factor = reduction((width, height), enough)
    if factor == 1:
        return pixels
    return cv2.resize(pixels, (width // factor, height // factor), interpolation=cv2.INTER_AREA)


def _through_cv_bridge(msg: Image, topic: str) -> np.ndarray:
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError:
        raise MessageError(
            f"{topic}: encoding {msg.encoding!r} is not supported without cv_bridge; "
            f"known: {', '.join(ENCODINGS)}"
        ) from None
    try:
        return CvBridge().imgmsg_to_cv2(msg, "rgb8")
    except CvBridgeError as error:
        raise MessageError(f"{topic}: encoding {msg.encoding!r}: {error}") from error


def _decompress(msg: CompressedImage, topic: str, enough: tuple[int, int] | None) -> SourceImage:
    encoded = np.frombuffer(msg.data, np.uint8)
    what = f"{topic}: {encoded.size} bytes of format {msg.format!r} do not decode as an image"
    if encoded[:2].tobytes() == START:
        try:
            pixels, size = decode_jpeg(encoded, enough)
        except ValueError as error:
            raise MessageError(f"{what}: {error}") from error
        return SourceImage(pixels, *size)
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if image is None:
        raise MessageError(what)
    return SourceImage(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), image.shape[1], image.shape[0])


def camera_from_info(
    msg: CameraInfo, topic: str, *, name: str, T_ego_cam: np.ndarray, rectified: bool
) -> Camera:
    """The pinhole Camera of a CameraInfo: that of the images once their distortion is removed.

    K comes from P where the images are rectified, or will be; from K where D is zero. MessageError
    names the topic if the camera is uncalibrated or K is singular.
    """
    use_P = rectified or (is_distorted(msg) and msg.p[0] != 0)
    matrix = np.reshape(msg.p, (3, 4))[:, :3] if use_P else np.reshape(msg.k, (3, 3))
    if matrix[0, 0] == 0:
        raise MessageError(f"{topic}: {'P' if use_P else 'K'} is zero: not calibrated")
    try:
        return Camera(
            name=name,
            frame_id=msg.header.frame_id,
            width=msg.width,
            height=msg.height,
            K=opencv_to_K(matrix),
            T_ego_cam=T_ego_cam,
        )
    except RigError as error:
        raise MessageError(f"{topic}: {error}") from error


def is_distorted(msg: CameraInfo) -> bool:
    """Whether a CameraInfo describes a lens with distortion."""
    return any(msg.d)


def rectifier_from_info(msg: CameraInfo, topic: str, target: Camera) -> Rectifier:
    """What brings the distorted images of a CameraInfo to the camera `target`.

    MessageError names the topic for a distortion model that is not known, or a K of nothing.
    """
    if not (msg.k[0] > 0 and msg.k[4] > 0):
        raise MessageError(f"{topic}: K is zero: not calibrated")
    try:
        return Rectifier(
            target,
            K_distorted=opencv_to_K(np.reshape(msg.k, (3, 3))),
            D=msg.d,
            model=msg.distortion_model,
            size=(msg.width, msg.height),
        )
    except ValueError as error:
        raise MessageError(f"{topic}: {error}: rectify the images, set rectified: true") from error


def camera_info_msg(camera: Camera, header: Header) -> CameraInfo:
    """CameraInfo of a rectified camera: D = 0, R = I, P = [K | 0]."""
    k = K_to_opencv(camera.K).ravel().tolist()
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=k,
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0],
    )


def float_msg(values: np.ndarray, header: Header) -> Image:
    """32FC1 image of values [H, W] as they are: depth in metres by REP 118, or confidence."""
    return _image_msg(values.astype("<f4", copy=False), "32FC1", header)


def depth_msg_mm(depth: np.ndarray, header: Header) -> Image:
    """16UC1 image (REP 118) of depth [H, W] in metres: millimetres along the optical axis.

    0 where there is no measurement: NaN, infinite, not positive, or > 65.5 m.
    """
    millimetres = np.where((depth > 0) & (depth < 65.535), depth * 1000.0 + 0.5, 0)
    return _image_msg(millimetres.astype("<u2"), "16UC1", header)


def rgb_msg(pixels: np.ndarray, header: Header) -> Image:
    """rgb8 image of pixels [H, W, 3] uint8 RGB."""
    return _image_msg(pixels, "rgb8", header)


def _image_msg(values: np.ndarray, encoding: str, header: Header) -> Image:
    height, width = values.shape[:2]
    msg = Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=values.nbytes // height,
    )
    _fill(msg.data, values)
    return msg


def compressed_depth_msg(depth: np.ndarray, header: Header) -> CompressedImage:
    """The 16UC1 image as compressed_depth_image_transport's PNG, for its subscribers and bags."""
    millimetres = np.frombuffer(depth_msg_mm(depth, header).data, "<u2")
    _, png = cv2.imencode(".png", millimetres.reshape(depth.shape))
    data = array.array("B", struct.pack("<iff", 0, 0.0, 0.0))  # its header: no quantization
    data.frombytes(png.tobytes())
    return CompressedImage(header=header, format="16UC1; compressedDepth png", data=data)


def depth_from_msg(msg: Image) -> np.ndarray:
    """Depth [H, W] float32 in metres of a 32FC1 image, NaN or infinite where there is none."""
    if msg.encoding != "32FC1":
        raise MessageError(f"depth image has the encoding {msg.encoding!r}, not 32FC1")
    return np.frombuffer(msg.data, "<f4").reshape(msg.height, msg.width)


def cloud_msg(points: np.ndarray, header: Header) -> PointCloud2:
    """PointCloud2 with the fields x, y, z, rgb, as RViz reads them, of points [P] of POINT."""
    return _cloud2(points, header, names=("x", "y", "z", "rgb"))


def lidar_msg(xyz: np.ndarray, header: Header) -> PointCloud2:
    """PointCloud2 with the fields x, y, z of points [P, 3] in metres."""
    return _cloud2(np.ascontiguousarray(xyz, "<f4"), header, names=("x", "y", "z"))


def _cloud2(points: np.ndarray, header: Header, *, names: tuple[str, ...]) -> PointCloud2:
    """P rows of 4-byte fields; rgb is passed off as float32, as RViz expects."""
    fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(names)
    ]
    msg = PointCloud2(
        header=header,
        height=1,
        width=len(points),
        fields=fields,
        is_bigendian=False,
        point_step=4 * len(names),
        row_step=4 * len(names) * len(points),
        is_dense=True,
    )
    _fill(msg.data, points.view(np.uint8))
    return msg


def cloud_from_msg(msg: PointCloud2) -> np.ndarray:
    """Points [P] of POINT of a cloud written by cloud_msg."""
    return np.frombuffer(msg.data, POINT)


def fields_from_cloud(msg: PointCloud2) -> dict[str, np.ndarray]:
    """The float32 fields of any PointCloud2 by name, each [P]; rgb still packed."""
    floats = [field for field in msg.fields if field.datatype == PointField.FLOAT32]
    layout = np.dtype(
        {
            "names": [field.name for field in floats],
            "formats": ["<f4"] * len(floats),
            "offsets": [field.offset for field in floats],
            "itemsize": msg.point_step,
        }
    )
    points = np.frombuffer(msg.data, layout, count=msg.width * msg.height)
    return {field.name: points[field.name] for field in floats}


def transform_from_msg(msg: Transform) -> np.ndarray:
    """[4, 4] of a geometry_msgs Transform; ValueError if its quaternion is not of norm 1."""
    q, t = msg.rotation, msg.translation
    return make_transform(quaternion_to_rotation([q.x, q.y, q.z, q.w]), [t.x, t.y, t.z])


def transform_from_pose(msg: Pose) -> np.ndarray:
    """[4, 4] of a geometry_msgs Pose; ValueError if its quaternion is not of norm 1."""
    q, t = msg.orientation, msg.position
    return make_transform(quaternion_to_rotation([q.x, q.y, q.z, q.w]), [t.x, t.y, t.z])


def _fill(data: array.array, values: np.ndarray) -> None:
    """Put the bytes into a new message's own array: one copy, where an assignment makes three."""
    data.frombytes(memoryview(np.ascontiguousarray(values)).cast("B"))
