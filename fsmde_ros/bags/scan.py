"""The first seconds of a recording: stamps, sizes, frames, calibration, transforms."""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass, field

import cv2
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fsmde_ros.bags.cameras import COMPRESSED_TYPE, IMAGE_TYPE, INFO_TYPE, is_own_output
from fsmde_ros.bags.frames import FrameTree
from fsmde_ros.bags.source import TYPESTORE, Source, Topic
from fsmde_ros.conversions import MessageError
from fsmde_ros.decode import NO_COLOUR, decode_image

TF_TYPE = "tf2_msgs/msg/TFMessage"
ODOMETRY_TYPE = "nav_msgs/msg/Odometry"
ENOUGH = 12  # images of each camera
LONGEST_S = 60.0  # a camera that is silent for so long at the start stays unknown
MOST_TRANSFORMS = 5000  # messages; those that move are known by then


@dataclass
class Scan:
    """What the start of a recording says, by topic."""

    stamps_ns: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Of images, from their headers."""
    frames: dict[str, str] = field(default_factory=dict)
    """frame_id of images and CameraInfos."""
    infos: dict[str, CameraInfo] = field(default_factory=dict)
    """The first of each."""
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Width and height of the first image."""
    encodings: dict[str, str] = field(default_factory=dict)
    """Of raw images, or the format of compressed ones."""
    odometry: dict[str, str] = field(default_factory=dict)
    """Odometry topic -> its child frame."""
    tree: FrameTree = field(default_factory=FrameTree)
    problems: list[str] = field(default_factory=list)

    def is_picture(self, topic: Topic) -> bool:
        """Whether its messages are images of colours or grey levels, not depths."""
        encoding = self.encodings.get(topic.name)
        return encoding is not None and not NO_COLOUR.search(encoding)

    @property
    def base_frame(self) -> str:
        """The vehicle's frame, by the transforms of the cameras, else the usual one."""
        return self.tree.base_of(list(self.frames.values())) or "base_link"


def scan(source: Source) -> Scan:
    """Read what is needed and no more; BagError if that is damaged."""
    found = Scan()
    _read_transforms(source, found)
    kinds = (IMAGE_TYPE, COMPRESSED_TYPE, INFO_TYPE, ODOMETRY_TYPE)
    topics = [
        topic
        for topic in source.topics
        if topic.kind in kinds and topic.count and not is_own_output(topic, source.topics)
    ]
    lacking = {topic.name for topic in topics}
    wanted = {t.name: min(ENOUGH, t.count) if _is_image(t) else 1 for t in topics}
    counts: dict[str, int] = defaultdict(int)
    for topic, stamp_ns, data in source.messages(topics):
        counts[topic.name] += 1
        _note(found, topic, data)
        if counts[topic.name] >= wanted[topic.name]:
            lacking.discard(topic.name)
        if not lacking or stamp_ns - source.start_ns > LONGEST_S * 1e9:
            break
    return found


def _is_image(topic: Topic) -> bool:
    return topic.kind in (IMAGE_TYPE, COMPRESSED_TYPE)


def _note(found: Scan, topic: Topic, data: bytes) -> None:
    name = topic.name
    if _is_image(topic):
        stamp_ns, frame = head(data)
        found.stamps_ns[name].append(stamp_ns)
        if name not in found.frames:
            found.frames[name] = frame
            _note_first_image(found, topic, data)
    elif topic.kind == INFO_TYPE and name not in found.infos:
        info = deserialize_message(data, CameraInfo)
        found.infos[name], found.frames[name] = info, info.header.frame_id
    elif topic.kind == ODOMETRY_TYPE and name not in found.odometry:
        found.odometry[name] = deserialize_message(data, Odometry).child_frame_id


def _note_first_image(found: Scan, topic: Topic, data: bytes) -> None:
    kind = CompressedImage if topic.kind == COMPRESSED_TYPE else Image
    msg = deserialize_message(data, kind)
    found.encodings[topic.name] = msg.format if kind is CompressedImage else msg.encoding
    if kind is Image:
        found.sizes[topic.name] = msg.width, msg.height
        return
    try:
        image = decode_image(msg, topic.name)
        found.sizes[topic.name] = image.width, image.height
    except (MessageError, cv2.error) as error:
        found.problems.append(f"its first image does not decode: {error}")


def head(data: bytes) -> tuple[int, str]:
    """Stamp and frame_id of a message that begins with a Header, without reading the rest."""
    order = "<" if data[1] & 1 else ">"
    sec, nanosec, length = struct.unpack_from(f"{order}iII", data, 4)
    frame = data[16 : 16 + max(length - 1, 0)].decode(errors="replace")
    return sec * 1_000_000_000 + nanosec, frame


def _read_transforms(source: Source, found: Scan) -> None:
    topics = [topic for topic in source.topics if topic.kind == TF_TYPE and topic.count]
    static = [topic for topic in topics if topic.name.endswith("tf_static")]
    for some, most in ((static, None), ([t for t in topics if t not in static], MOST_TRANSFORMS)):
        for i, (_, _, data) in enumerate(source.messages(some)):
            if most is not None and i >= most:
                break
            found.tree.add(TYPESTORE.deserialize_cdr(data, TF_TYPE).transforms)
    if found.tree.bad:
        names = ", ".join(sorted(found.tree.bad))
        found.problems.append(f"the rotation of {names} in /tf is none: not used")
