"""foxglove's messages, of protobuf or JSON, as ROS 2's, field by field."""

from __future__ import annotations

import array
import base64
import json
from types import SimpleNamespace

from builtin_interfaces.msg import Time
from rclpy.serialization import serialize_message
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

FOXGLOVE_TYPES = {
    "foxglove.CompressedImage": "sensor_msgs/msg/CompressedImage",
    "foxglove.RawImage": "sensor_msgs/msg/Image",
    "foxglove.CameraCalibration": "sensor_msgs/msg/CameraInfo",
    "foxglove.FrameTransform": "tf2_msgs/msg/TFMessage",
    "foxglove.FrameTransforms": "tf2_msgs/msg/TFMessage",
}
"""Schema -> the ROS 2 type that its messages become."""
TYPES = get_typestore(Stores.ROS2_JAZZY)  # tf2_msgs is not on PyPI; rosbags knows it
TF_TYPE = "tf2_msgs/msg/TFMessage"


def from_json(data: bytes) -> SimpleNamespace:
    """A message of JSON, with the fields of its protobuf twin: there bytes are base64, and a stamp
    has sec and nsec."""

    def as_message(values: dict) -> SimpleNamespace:
        if "sec" in values:
            return SimpleNamespace(seconds=values["sec"], nanos=values.get("nsec", 0))
        if "data" in values:
            values["data"] = base64.b64decode(values["data"])
        return SimpleNamespace(**values)

    return json.loads(data, object_hook=as_message)


def to_cdr(message, schema: str) -> bytes:
    """The bytes of the ROS 2 message that a decoded message of a schema becomes.

    ValueError for a schema that is not in FOXGLOVE_TYPES.
    """
    if schema == "foxglove.CompressedImage":
        data = array.array("B", message.data)
        return serialize_message(
            CompressedImage(header=_header(message), format=message.format, data=data)
        )
    if schema == "foxglove.RawImage":
        return serialize_message(_image(message))
    if schema == "foxglove.CameraCalibration":
        return serialize_message(_camera_info(message))
    if schema == "foxglove.FrameTransform":
        return _tf([message])
    if schema == "foxglove.FrameTransforms":
        return _tf(message.transforms)
    raise ValueError(f"messages of {schema} become nothing of ROS 2")


def _header(message) -> Header:
    stamp = Time(sec=message.timestamp.seconds, nanosec=message.timestamp.nanos)
    return Header(stamp=stamp, frame_id=message.frame_id)


def _image(message) -> Image:
    return Image(
        header=_header(message),
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        step=message.step,
        data=array.array("B", message.data),
    )


def _camera_info(message) -> CameraInfo:
    """Its lists may be empty where there is nothing to say, ROS's matrices not."""
    info = CameraInfo(
        header=_header(message),
        height=message.height,
        width=message.width,
        distortion_model=message.distortion_model,
        d=[float(value) for value in message.D],
    )
    for name in "KRP":
        if values := [float(value) for value in getattr(message, name)]:
            setattr(info, name.lower(), values)
    return info


def _tf(transforms) -> bytes:
    types = TYPES.types
    found = []
    for t in transforms:
        stamp = types["builtin_interfaces/msg/Time"](t.timestamp.seconds, t.timestamp.nanos)
        header = types["std_msgs/msg/Header"](stamp=stamp, frame_id=t.parent_frame_id)
        transform = types["geometry_msgs/msg/Transform"](
            translation=types["geometry_msgs/msg/Vector3"](
                t.translation.x, t.translation.y, t.translation.z
            ),
            rotation=types["geometry_msgs/msg/Quaternion"](
                t.rotation.x, t.rotation.y, t.rotation.z, t.rotation.w
            ),
        )
        found.append(
            types["geometry_msgs/msg/TransformStamped"](header, t.child_frame_id, transform)
        )
    return bytes(TYPES.serialize_cdr(types[TF_TYPE](transforms=found), TF_TYPE))
