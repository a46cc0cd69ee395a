"""The first seconds of a recording: stamps, sizes, frames, calibration, transforms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sensor_msgs.msg import CameraInfo

from fsmde_ros.bags.cameras import (
    COMPRESSED,
    COMPRESSED_TYPE,
    IMAGE_TYPE,
    INFO_TYPE,
    Choice,
    Look,
    is_like_own_color,
    is_own_output,
    is_own_status,
)
from fsmde_ros.bags.frames import BASE_FRAMES, FrameTree, base_frames_of
from fsmde_ros.bags.messages import TF_TYPE, decoded, head
from fsmde_ros.bags.source import BagError, Source, Topic
from fsmde_ros.camera_info import image_size
from fsmde_ros.conversions import MessageError
from fsmde_ros.decode import NO_COLOUR, decode_image

ODOMETRY_TYPE = "nav_msgs/msg/Odometry"
ENOUGH = 12  # images of each camera
LONGEST_S = 60.0  # of a recording with slow cameras; what begins later is looked up by itself
SAME_STAMPS = 0.5  # of the fewer images of two topics: as many are of one camera
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
    begins_ns: dict[str, int] = field(default_factory=dict)
    """When the first image of each topic was recorded."""
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Width and height of the first image that becomes a picture."""
    grey: set[str] = field(default_factory=set)
    """Topics of which that picture has no colours."""
    refused: dict[str, str] = field(default_factory=dict)
    """Image topics of which none becomes a picture, and why not."""
    depths: list[str] = field(default_factory=list)
    """Sentences about image topics that are depths."""
    odometry: dict[str, str] = field(default_factory=dict)
    """Odometry topic -> its child frame."""
    tree: FrameTree = field(default_factory=FrameTree)
    own: list[Topic] = field(default_factory=list)
    """What a node like ours published."""
    problems: list[str] = field(default_factory=list)

    def is_picture(self, topic: Topic) -> bool:
        """Whether its messages are images of colours or grey levels, not depths."""
        return topic.name in self.sizes

    def is_one_camera(self, one: Choice, other: Choice) -> bool:
        """Whether two image topics show what one camera saw: the same place at the same times.

        The place is the same where they share a CameraInfo, or a frame that has its place in TF.
        One that has another size than a shared CameraInfo says is a smaller copy at any time.
        """
        same_info = one.info is not None and one.info == other.info
        if same_info and self.look(one).misfit != self.look(other).misfit:
            return True
        frames = {self.frames.get(choice.image.name, "").lstrip("/") for choice in (one, other)}
        if len(frames) > 1:
            return False
        if not same_info and not self.tree.has_parent(*frames):
            return False
        stamps = [set(self.stamps_ns[choice.image.name]) - {0} for choice in (one, other)]
        return len(stamps[0] & stamps[1]) > SAME_STAMPS * min(map(len, stamps))

    def look(self, choice: Choice) -> Look:
        """How the images of a choice look."""
        topic, said = choice.image.name, self.size_said(choice)
        width, height = size = self.sizes[topic]
        return Look(said is not None and size != said, topic in self.grey, width * height)

    def size_said(self, choice: Choice) -> tuple[int, int] | None:
        """Width and height of a choice's images by its CameraInfo; None where it says none."""
        info = self.infos.get(choice.info.name) if choice.info is not None else None
        with suppress(MessageError):
            return image_size(info, choice.info.name) if info is not None else None
        return None

    @property
    def base_frame(self) -> str:
        """The vehicle's frame, by the transforms of the cameras, else the usual one.

        Where the odometry is of another usual one that is fixed to it, that: most drives have
        odometry of base_footprint and cameras on base_link.
        """
        base = self.tree.base_of(list(self.frames.values()))
        moved = base_frames_of(sorted({*self.odometry.values()}))
        if not base:
            return moved[0] if moved else BASE_FRAMES[0]
        if base not in moved:
            return next((frame for frame in moved if self.tree.are_fixed(base, frame)), base)
        return base


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
    damaged: dict[str, str] = {}
    missing = _read_start(source, topics, found, damaged)
    for topic in missing:  # it begins later than the others
        _read_start(source, [topic], found, damaged)
    found.problems += damaged.values()
    found.own += _own_outputs(found, source.topics)
    return found


def _read_start(
    source: Source, topics: Sequence[Topic], found: Scan, damaged: dict[str, str]
) -> list[Topic]:
    """Note what topics begin with; returns those of which nothing came."""
    lacking = {topic.name for topic in topics}
    wanted = {t.name: min(ENOUGH, t.count) if _is_image(t) else 1 for t in topics}
    counts: dict[str, int] = defaultdict(int)
    first_ns = None
    for topic, stamp_ns, data in source.messages(topics):
        first_ns = stamp_ns if first_ns is None else first_ns
        if stamp_ns - first_ns > LONGEST_S * 1e9:
            break
        counts[topic.name] += 1
        try:
            _note(found, topic, data, stamp_ns)
        except BagError as error:
            damaged.setdefault(topic.name, str(error))
            wanted[topic.name] += 1
        if counts[topic.name] >= wanted[topic.name]:
            lacking.discard(topic.name)
        if not lacking:
            break
    return [topic for topic in topics if not counts[topic.name]]


def _own_outputs(found: Scan, topics: Sequence[Topic]) -> list[Topic]:
    """What a node like ours published, which is forgotten.

    Its colour images are called as those of a camera that also sees depth: they are its own where
    another image or CameraInfo has their frame, or lies in the camera's folder, or the node said
    its status.
    """
    alike = {t.name: t for t in topics if is_like_own_color(t, topics)}
    others = [name for name in (*found.sizes, *found.infos) if name not in alike]
    frames = {found.frames[name] for name in others}
    folders = {name.removesuffix(COMPRESSED).rpartition("/")[0] for name in others}
    running = any(is_own_status(topic) for topic in topics)
    own = [topic for topic in topics if is_own_output(topic, topics)]
    for name, topic in alike.items():
        owner = name.rsplit("/", 2)[0]
        if running or owner in folders or found.frames.get(name) in frames:
            own.append(topic)
            found.sizes.pop(name, None)
            found.infos.pop(name, None)
    return own


def _is_image(topic: Topic) -> bool:
    return topic.kind in (IMAGE_TYPE, COMPRESSED_TYPE)


def _note(found: Scan, topic: Topic, data: bytes, recorded_ns: int) -> None:
    name = topic.name
    if _is_image(topic):
        stamp_ns, frame = head(topic, data)
        found.begins_ns.setdefault(name, recorded_ns)
        if name not in found.sizes:
            _note_image(found, topic, data)
        found.stamps_ns[name].append(stamp_ns)
        found.frames.setdefault(name, frame)
    elif topic.kind == INFO_TYPE and name not in found.infos:
        info = decoded(topic, data)
        found.infos[name], found.frames[name] = info, info.header.frame_id
    elif topic.kind == ODOMETRY_TYPE and name not in found.odometry:
        found.odometry[name] = decoded(topic, data).child_frame_id.lstrip("/")


def _note_image(found: Scan, topic: Topic, data: bytes) -> None:
    """Take the size of an image, or why it has none of a picture."""
    msg = decoded(topic, data)
    encoding = msg.format if topic.kind == COMPRESSED_TYPE else msg.encoding
    if NO_COLOUR.search(encoding):
        if topic.name not in found.frames:
            found.depths.append(f"{topic.name} is no picture, but {encoding}")
        return
    try:
        image = decode_image(msg, topic.name)
    except MessageError as error:
        found.refused.setdefault(topic.name, str(error))
        return
    found.sizes[topic.name] = image.width, image.height
    if (image.pixels == image.pixels[..., :1]).all():
        found.grey.add(topic.name)
    found.refused.pop(topic.name, None)


def _read_transforms(source: Source, found: Scan) -> None:
    topics = [topic for topic in source.topics if topic.kind == TF_TYPE and topic.count]
    static = [topic for topic in topics if topic.name.endswith("tf_static")]
    damaged: dict[str, str] = {}
    for some, most in ((static, None), ([t for t in topics if t not in static], MOST_TRANSFORMS)):
        for i, (topic, _, data) in enumerate(source.messages(some)):
            if most is not None and i >= most:
                break
            try:
                found.tree.add(decoded(topic, data).transforms, live=topic not in static)
            except BagError as error:
                damaged.setdefault(topic.name, str(error))
    found.problems += damaged.values()
    if found.tree.bad:
        names = ", ".join(sorted(found.tree.bad))
        found.problems.append(f"the rotation or place of {names} in /tf is none: not used")
