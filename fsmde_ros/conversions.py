"""ROS messages to numpy and Rig, and back; images that come in are decode.py's."""

from __future__ import annotations

import array
import struct

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, Transform
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header

from fsmde_core.geometry import make_transform, quaternion_to_rotation
from fsmde_core.rig import Camera, K_to_opencv
from fsmde_ros.cloud import POINT

XYZ = tuple((name, 4 * i, PointField.FLOAT32) for i, name in enumerate("xyz"))
LAYOUTS = {
    "xyzrgb": (*XYZ, ("rgb", 12, PointField.FLOAT32)),
    "xyzirc": (
        *XYZ,
        ("intensity", 12, PointField.UINT8),
        ("return_type", 13, PointField.UINT8),
        ("channel", 14, PointField.UINT16),
    ),
}
"""How the 16 bytes of a POINT are named in a PointCloud2."""
SINGLE_STRONGEST = 1  # among Autoware's return types


class MessageError(ValueError):
    """A message that cannot be used; the message of the error names the topic and the field."""


def stamp_to_ns(stamp: Time) -> int:
    """Nanoseconds of a ROS time."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def ns_to_stamp(stamp_ns: int) -> Time:
    """ROS time of nanoseconds."""
    return Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)


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


def cloud_msg(points: np.ndarray, header: Header, *, layout: str = "xyzrgb") -> PointCloud2:
    """PointCloud2 of points [P] of POINT in a layout of LAYOUTS.

    xyzrgb is as RViz reads it, rgb passed off as float32. xyzirc is as Autoware's filters want it:
    the green of the colour is the intensity, every return is the strongest one, of channel 0.
    """
    if layout == "xyzirc":
        points = points.copy()
        points["bgr"][:, 0] = points["bgr"][:, 1]
        points["bgr"][:, 1:] = SINGLE_STRONGEST, 0
        points["unused"] = 0
    return _cloud2(points, header, fields=LAYOUTS[layout])


def lidar_msg(xyz: np.ndarray, header: Header) -> PointCloud2:
    """PointCloud2 with the fields x, y, z of points [P, 3] in metres."""
    return _cloud2(np.ascontiguousarray(xyz, "<f4"), header, fields=XYZ)


def _cloud2(
    points: np.ndarray, header: Header, *, fields: tuple[tuple[str, int, int], ...]
) -> PointCloud2:
    """P rows of fields of a name, an offset and a datatype each."""
    step = points.strides[0]
    msg = PointCloud2(
        header=header,
        height=1,
        width=len(points),
        fields=[PointField(name=n, offset=o, datatype=kind, count=1) for n, o, kind in fields],
        is_bigendian=False,
        point_step=step,
        row_step=step * len(points),
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
