"""Messages of a recording from their bytes."""

from __future__ import annotations

import importlib
import re
import struct

from rclpy.serialization import deserialize_message

from fsmde_ros.bags.source import TYPESTORE, BagError, Topic

MESSAGE_TYPE = re.compile(r"([a-z][a-z0-9_]*)/msg/([A-Z][A-Za-z0-9]*)")
TF_TYPE = "tf2_msgs/msg/TFMessage"  # tf2_msgs is not on PyPI; rosbags knows it

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def message_class(msg_type: str):
    """The rclpy class of a type such as sensor_msgs/msg/Image; None if it is not installed."""
    match = MESSAGE_TYPE.fullmatch(msg_type)
    if match is None:
        return None
    try:
        return getattr(importlib.import_module(f"{match[1]}.msg"), match[2], None)
    except ImportError:
        return None


def decoded(topic: Topic, data: bytes):
    """A message of a topic whose type is installed, or TF; BagError if it is damaged."""
    try:
        if topic.kind == TF_TYPE:
            return TYPESTORE.deserialize_cdr(data, TF_TYPE)
        return deserialize_message(data, message_class(topic.kind))
    except Exception as error:  # each reader has its own, and some raise what they come upon
        raise _damaged(topic, data) from error


def head(topic: Topic, data: bytes) -> tuple[int, str]:
    """Stamp and frame_id of a message that begins with a Header, without reading the rest.

    BagError if it is damaged.
    """
    try:
        order = "<" if data[1] & 1 else ">"
        sec, nanosec, length = struct.unpack_from(f"{order}iII", data, 4)
    except (IndexError, struct.error) as error:
        raise _damaged(topic, data) from error
    frame = data[16 : 16 + max(length - 1, 0)].decode(errors="replace")
    return sec * 1_000_000_000 + nanosec, frame


def _damaged(topic: Topic, data: bytes) -> BagError:
    if data.startswith(ZSTD_MAGIC):
        return BagError(f"{topic.name}: its messages are compressed, and no metadata.yaml says so")
    return BagError(f"{topic.name}: a message of {len(data)} bytes is damaged")
