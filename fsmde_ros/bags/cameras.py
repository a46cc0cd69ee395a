"""Which topics of a recording are cameras, what each is called, and where its CameraInfo is."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fsmde_ros.answers import COLOR, COLOR_INFO, COMPRESSED_DEPTH, CONFIDENCE, DEPTH, DEPTH_INFO
from fsmde_ros.bags.source import Topic

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"
INFO_TYPE = "sensor_msgs/msg/CameraInfo"
COMPRESSED = "/compressed"
OWN_ENDINGS = tuple(f"/{t}" for t in (DEPTH, DEPTH_INFO, COMPRESSED_DEPTH, CONFIDENCE))
OWN_TOPICS = ("/points", "/diagnostics", "/surround_depth/status")
RECTIFIED = re.compile(r"(^|_)rect(_|$|ified)")
LEAST_SHARE = 0.5  # of the messages of the fullest topic of a camera: below it is not that camera
UNNAMED = "camera"


@dataclass(frozen=True)
class Choice:
    """The image topic taken of one camera, with its CameraInfo."""

    image: Topic
    info: Topic | None

    @property
    def plain(self) -> str:
        """The image topic without image_transport's /compressed."""
        return self.image.name.removesuffix(COMPRESSED)

    @property
    def compressed(self) -> bool:
        return self.image.kind == COMPRESSED_TYPE

    @property
    def rectified(self) -> bool:
        """Whether its name says that its images are rectified."""
        return bool(RECTIFIED.search(self.plain.rpartition("/")[2]))


def is_own_output(topic: Topic, topics: Collection[Topic]) -> bool:
    """Whether a node like ours made this topic: it is no camera, and not to be replayed."""
    if topic.name in OWN_TOPICS or topic.name.endswith(OWN_ENDINGS):
        return True
    names = {t.name for t in topics}
    for ending in (f"/{COLOR}", f"/{COLOR_INFO}", "/points"):
        owner = topic.name.removesuffix(ending)
        if owner != topic.name and f"{owner}/{DEPTH}" in names:
            return True
    return False


def choose_cameras(
    topics: Collection[Topic], frames: dict[str, str] | None = None
) -> tuple[Choice, ...]:
    """One image topic of each camera, by the names of the topics, in the order of their names.

    frames are the frame_id of topics, where they are known: they find the CameraInfo that the name
    does not. Of a camera's several topics: colour before grey, as the camera sends it before
    rectified, compressed before raw.
    """
    images = [t for t in topics if t.kind in (IMAGE_TYPE, COMPRESSED_TYPE)]
    infos = {t.name: t for t in topics if t.kind == INFO_TYPE}
    groups: dict[str, list[Choice]] = {}
    for image in images:
        choice = Choice(image, _info_of(image, infos, frames or {}))
        groups.setdefault(_owner(choice), []).append(choice)
    chosen = [min(group, key=_rank_in(group)) for group in groups.values()]
    return tuple(sorted(chosen, key=lambda choice: choice.image.name))


def _owner(choice: Choice) -> str:
    """What the images of one camera share: a CameraInfo beside them, else their folder."""
    folder = choice.plain.rpartition("/")[0]
    info = choice.info.name if choice.info is not None else ""
    beside = info.rpartition("/")[0] in (folder, choice.plain)
    return info if info and beside else folder or choice.plain


def _info_of(image: Topic, infos: dict[str, Topic], frames: dict[str, str]) -> Topic | None:
    """The CameraInfo of an image topic: beside it, below it, above it, else of the same frame."""
    plain = image.name.removesuffix(COMPRESSED)
    folder = plain.rpartition("/")[0]
    above = folder.rpartition("/")[0]
    for name in (f"{folder}/camera_info", f"{plain}/camera_info", f"{above}/camera_info"):
        if name in infos and (above or name != "/camera_info" or not folder):
            return infos[name]
    beside = [t for name, t in infos.items() if name.rpartition("/")[0] in (folder, plain)]
    if len(beside) == 1 and folder:
        return beside[0]
    frame = frames.get(image.name)
    same = [t for name, t in infos.items() if frame and frames.get(name) == frame]
    return same[0] if len(same) == 1 else None


def _rank_in(group: Sequence[Choice]):
    most = max(choice.image.count for choice in group)

    def rank(choice: Choice) -> tuple:
        leaf = choice.plain.rpartition("/")[2]
        few = choice.image.count < LEAST_SHARE * most
        return few, "mono" in leaf, choice.rectified, not choice.compressed, len(leaf), leaf

    return rank


def camera_names(choices: Sequence[Choice]) -> tuple[str, ...]:
    """A name for each camera: the part of its topic in which it differs from the others."""
    paths = [choice.plain.strip("/").split("/") for choice in choices]
    if len(paths) == 1:
        folders = paths[0][:-1] or ([] if choices[0].info is not None else paths[0])
        return (_as_name(folders[-1] if folders else UNNAMED),)
    if len({len(path) for path in paths}) == 1:
        differing = [i for i, parts in enumerate(zip(*paths)) if len(set(parts)) > 1]
        if len(differing) == 1:
            names = [_as_name(path[differing[0]]) for path in paths]
            if len(set(names)) == len(names):
                return tuple(names)
    start = 0
    while all(len(path) > start + 1 and path[start] == paths[0][start] for path in paths):
        start += 1
    short = [_as_name("_".join(path[start:-1] or path[start:])) for path in paths]
    if len(set(short)) == len(short):
        return tuple(short)
    return tuple(_as_name("_".join(path)) for path in paths)


def _as_name(text: str) -> str:
    """As ROS allows it: letters, digits and _, not beginning with a digit."""
    text = re.sub(r"\W", "_", text, flags=re.ASCII)
    return text if re.match("[A-Za-z_]", text) else f"{UNNAMED}_{text}"


def pattern(topics: Sequence[str], names: Sequence[str]) -> str:
    """The topics as one, with {camera} in the place of the name; empty where none fits all."""
    parts = topics[0].split("/")
    for i, part in enumerate(parts):
        if part == names[0]:
            found = "/".join([*parts[:i], "{camera}", *parts[i + 1 :]])
            if [found.replace("{camera}", name) for name in names] == list(topics):
                return found
    return ""
