"""What is to be said of a recording: which images and which motion are used, and why not others."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fsmde_ros.bags.cameras import COMPRESSED, Choice, is_video, other_than_camera
from fsmde_ros.bags.scan import Scan
from fsmde_ros.bags.source import Topic

FOXGLOVE_IMAGE = re.compile(r"^foxglove\w*[./].*(CompressedImage|RawImage)\b")
KNOWN_IMAGES = "sensor_msgs' images, or foxglove's as protobuf or JSON"
OTHER_MOTION = re.compile(r"/(Pose|Twist)(With|Stamped)|/NavSatFix$|/Imu$")


def no_cameras(found: Scan, topics: Sequence[Topic]) -> str:
    """What a recording has instead of cameras."""
    kinds = ", ".join(sorted({topic.kind for topic in topics if topic.count}))
    why = [
        *found.depths,
        *refusals(found),
        *unread_messages(topics),
        *video_problems(topics),
        *found.problems,
    ]
    return f"no images of cameras, only {kinds}" + (f": {'; '.join(why)}" if why else "")


def refusals(found: Scan) -> list[str]:
    """Why images become no pictures; what holds for several topics is one sentence."""
    why: dict[str, list[str]] = {}
    for topic, sentence in found.refused.items():
        why.setdefault(sentence.removeprefix(f"{topic}: "), []).append(topic)
    return [f"{', '.join(sorted(names))}: {reason}" for reason, names in why.items()]


def unread_messages(topics: Sequence[Topic]) -> list[str]:
    """Sentences about images in other messages than are read."""
    kinds = sorted({t.kind for t in topics if t.count and FOXGLOVE_IMAGE.search(t.kind)})
    return [f"{kind} is not read: record {KNOWN_IMAGES}" for kind in kinds]


def image_notes(found: Scan, doubles: dict[str, str]) -> list[str]:
    """Which images are no cameras', and why."""
    notes = list(found.depths)
    for taken in dict.fromkeys(doubles.values()):
        others = ", ".join(other for other, of in doubles.items() if of == taken)
        notes.append(f"of the same camera as {taken}, not taken: {others}")
    if found.own:
        names = ", ".join(topic.name for topic in found.own)
        notes.append(f"not replayed, called as what this node publishes: {names}")
    return notes


def video_problems(topics: Sequence[Topic]) -> list[str]:
    """Topics that would be cameras, were they images."""
    videos: dict[str, list[str]] = {}
    for topic in topics:
        if topic.count and is_video(topic):
            videos.setdefault(topic.kind, []).append(topic.name)
    return [
        f"{', '.join(sorted(names))} {'is' if len(names) == 1 else 'are'} not taken: {kind} is a "
        "video, which has to be turned into images"
        for kind, names in videos.items()
    ]


def unread_cameras(found: Scan, topics: Sequence[Topic], choices: Sequence[Choice]) -> list[str]:
    """Topics that sound like a camera of their own and give no images."""
    seen = [choice.plain for choice in choices]
    seen += [plain.rpartition("/")[0] for plain in seen]
    return [
        topic.name
        for topic in topics
        if (topic.name in found.refused or topic.count and is_video(topic))
        and topic.name.removesuffix(COMPRESSED).rpartition("/")[0] not in seen
        and not other_than_camera(topic)
    ]


def stamp_problems(image_topics: Sequence[str], found: Scan) -> list[str]:
    """Cameras whose stamps say nothing."""
    zero = [topic for topic in image_topics if not any(found.stamps_ns[topic])]
    return [f"the stamps of {', '.join(zero)} are zero: no depth comes of them"] if zero else []


def odometry_of(
    found: Scan, base: str, topics: Sequence[Topic]
) -> tuple[str | None, list[str], list[str]]:
    """(the odometry of the base frame, notes, problems): what is used, and why the rest is not."""
    fitting = sorted((t for t, frame in found.odometry.items() if frame == base), key=len)
    if fitting:
        others = ", ".join(topic for topic in found.odometry if topic != fitting[0])
        note = f"odometry is {fitting[0]}; there also is {others}: say odometry_topic to take it"
        return fitting[0], [note] if others else [], []
    if found.odometry:
        others = ", ".join(f"{topic} of {frame!r}" for topic, frame in found.odometry.items())
        why = f"odometry is not of {base!r}, so the node does not use it: {others}"
        if any(found.tree.are_fixed(base, frame) for frame in found.odometry.values()):
            why += "; a rig file with the cameras' places in that frame, as base_frame, makes it"
        return None, [], [why]
    others = ", ".join(t.name for t in topics if t.count and OTHER_MOTION.search(t.kind))
    if not others or found.tree.fixed_frame_of(base):
        return None, [], []
    return None, [f"no ego motion: that takes nav_msgs/Odometry or /tf, not {others}"], []
