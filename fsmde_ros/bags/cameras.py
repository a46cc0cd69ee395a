"""Which topics of a recording are cameras, what each is called, and where its CameraInfo is."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fsmde_ros.answers import COLOR, COLOR_INFO, COMPRESSED_DEPTH, CONFIDENCE, DEPTH, DEPTH_INFO
from fsmde_ros.bags.source import Topic
from fsmde_ros.obstacles import GRID, SCAN

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"
INFO_TYPE = "sensor_msgs/msg/CameraInfo"
COMPRESSED = "/compressed"
OWN_ENDINGS = tuple(f"/{t}" for t in (DEPTH, DEPTH_INFO, COMPRESSED_DEPTH, CONFIDENCE))
OWN_COLORS = (f"/{COLOR}", f"/{COLOR_INFO}")
OWN_STATUS = "/surround_depth/status"
OWN_TOPICS = ("/points", "/diagnostics", OWN_STATUS, f"/{SCAN}", f"/{GRID}")
RECTIFIED = re.compile(r"(^|_)rect(_|$|ified)")
VIDEO = re.compile(r"CompressedVideo$|FFMPEGPacket$|theora_image_transport/msg/Packet$")
LEAST_SHARE = 0.5  # of the messages of the fullest topic of a camera: below it is not that camera
UNNAMED = "camera"
GREY = re.compile(r"mono|gr[ae]y")
VARIANTS = set(
    "image img raw color colour mono gray grey rgb bgr bayer rect rectified undistorted resized "
    "compressed".split()
)
"""Words in the name of an image topic that do not say which camera it is."""
OF_INFO = set("image img raw camera cameras cam info calib calibration intrinsics".split())
"""Words in which an image topic and its CameraInfo may differ; VARIANTS are such, too, where that
leaves no doubt."""
NO_CAMERA = re.compile(
    r"(?:^|_)(infra|ir|infrared|nearir|nir|swir|lwir|thermal|boson|lepton|radar|sonar|depth|"
    r"disparity|seg|segmentation|semantic|instance|labels?|masks?|detections?|detected|annotated|"
    r"annotations?|overlay|debug|viz|visuali[sz]ation|heatmap|confidence|bev|events?|dvs|flow|"
    r"(?:range|signal|reflec)_image)"
    r"\d*(?:_|$)"
)
"""Words of what is made of pictures, or is no light that people see."""


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


class Look(NamedTuple):
    """How the images of a topic look, so far as is known."""

    misfit: bool = False
    """They have another size than its CameraInfo says: no depth comes of them."""
    grey: bool = False
    """They have no colours."""
    pixels: int = 0


def unseen(_: Choice) -> Look:
    """Where nothing is known of the images."""
    return Look()


def is_own_output(topic: Topic, topics: Collection[Topic]) -> bool:
    """Whether a node like ours made this topic: it is no camera, and not to be replayed.

    Of its colour images the name does not tell, see is_like_own_color.
    """
    if topic.name in OWN_TOPICS or topic.name.endswith(OWN_ENDINGS):
        return True
    owner = topic.name.removesuffix("/points")
    return owner != topic.name and f"{owner}/{DEPTH}" in {t.name for t in topics}


def is_own_status(topic: Topic) -> bool:
    """Whether a node like ours, of any namespace, says here how it is."""
    return topic.name.endswith(OWN_STATUS)


def is_like_own_color(topic: Topic, topics: Collection[Topic]) -> bool:
    """Whether a topic is called as the colour images, or their CameraInfo, beside our depths."""
    owner = next((topic.name.removesuffix(e) for e in OWN_COLORS if topic.name.endswith(e)), None)
    if owner is None or f"{owner}/{DEPTH}" not in {t.name for t in topics}:
        return False
    folder = f"{owner}{OWN_COLORS[0]}".rpartition("/")[0]
    beside = (t.name for t in topics if t.kind in (IMAGE_TYPE, COMPRESSED_TYPE))
    return not any(
        name.startswith(f"{folder}/") and not name.startswith(f"{owner}{OWN_COLORS[0]}")
        for name in beside
    )


def is_video(topic: Topic) -> bool:
    """Whether its messages are pieces of a video, none of which is an image by itself."""
    return bool(VIDEO.search(topic.kind))


def cameras_alone(topics: Sequence[Topic]) -> tuple[list[Topic], list[str]]:
    """The image topics that are cameras by their names, and sentences about the others.

    Where all of them sound like something else, all are taken.
    """
    words = {topic: other_than_camera(topic) for topic in topics}
    if all(words.values()):
        return list(topics), []
    apart: dict[str, list[str]] = {}
    for topic, word in words.items():
        if word:
            apart.setdefault(word, []).append(topic.name)
    return [topic for topic, word in words.items() if not word], [
        f"not taken for a camera, by {word!r} in its name: {', '.join(sorted(names))}; if it is "
        "one, say so in a rig.yaml beside the recording"
        for word, names in apart.items()
    ]


def other_than_camera(topic: Topic) -> str:
    """The word in its name that says so; of the folders above the last one only whole names."""
    *above, folder, leaf = ["", *topic.name.removesuffix(COMPRESSED).split("/")]
    found = [NO_CAMERA.search(part) for part in (folder, leaf)]
    found += [NO_CAMERA.fullmatch(part) for part in above]
    return next((match[1] for match in found if match), "")


def choose_cameras(
    topics: Collection[Topic],
    frames: dict[str, str] | None = None,
    look: Callable[[Choice], Look] = unseen,
) -> tuple[Choice, ...]:
    """One image topic of each camera, by the names of the topics, in the order of their names.

    frames are the frame_id of topics, where they are known: they find the CameraInfo that the name
    does not. look says how their images look. Of a camera's several topics: one of the size
    that its CameraInfo says, colour before grey, large before small, as the camera sends it before
    rectified, compressed before raw.
    """
    images = [t for t in topics if t.kind in (IMAGE_TYPE, COMPRESSED_TYPE)]
    infos = {t.name: t for t in topics if t.kind == INFO_TYPE}
    groups: dict[str, list[Choice]] = {}
    for image in images:
        choice = Choice(image, _info_of(image, infos, frames or {}))
        groups.setdefault(_owner(choice), []).append(choice)
    chosen = [best(group, look) for group in groups.values()]
    return tuple(sorted(chosen, key=lambda choice: choice.image.name))


def one_each(
    choices: Sequence[Choice],
    same: Callable[[Choice, Choice], bool],
    look: Callable[[Choice], Look] = unseen,
) -> tuple[tuple[Choice, ...], dict[str, str]]:
    """(the best choice of each camera, topic of each other one -> topic taken instead).

    same says of two choices whether they show the images of one camera.
    """
    groups: list[list[Choice]] = []
    for choice in choices:
        group = next((g for g in groups if same(g[0], choice)), None)
        if group is None:
            groups.append(group := [])
        group.append(choice)
    taken = [best(group, look) for group in groups]
    others = {
        choice.image.name: chosen.image.name
        for chosen, group in zip(taken, groups)
        for choice in group
        if choice is not chosen
    }
    return tuple(taken), others


def _owner(choice: Choice) -> str:
    """What the images of one camera share: a CameraInfo beside them, else a name."""
    folder, _, leaf = choice.plain.rpartition("/")
    info = choice.info.name if choice.info is not None else ""
    if info and info.rpartition("/")[0] in (folder, choice.plain):
        return info
    return "/".join([folder, *_words(leaf, VARIANTS)]) or choice.plain


def _words(name: str, without: Collection[str]) -> list[str]:
    """What a topic's name is made of, less some words."""
    return [word for word in re.split("[/_]", name) if word and word not in without]


def _info_of(image: Topic, infos: dict[str, Topic], frames: dict[str, str]) -> Topic | None:
    """The CameraInfo of an image topic: beside it, below it, above it, else of the same name but
    for words like image and info, else of the same frame."""
    plain = image.name.removesuffix(COMPRESSED)
    folder = plain.rpartition("/")[0]
    above = folder.rpartition("/")[0]
    for name in (f"{folder}/camera_info", f"{plain}/camera_info", f"{above}/camera_info"):
        if name in infos and (above or name != "/camera_info" or not folder):
            return infos[name]
    for without in (OF_INFO, OF_INFO | VARIANTS):
        words = _words(plain, without)
        alike = [t for name, t in infos.items() if _words(name, without) == words]
        if len(alike) == 1:
            return alike[0]
    beside = [t for name, t in infos.items() if name.rpartition("/")[0] in (folder, plain)]
    if len(beside) == 1 and folder:
        return beside[0]
    frame = frames.get(image.name)
    same = [t for name, t in infos.items() if frame and frames.get(name) == frame]
    return same[0] if len(same) == 1 else None


def best(group: Sequence[Choice], look: Callable[[Choice], Look] = unseen) -> Choice:
    """The one to take of topics that show the same."""
    most = max(choice.image.count for choice in group)

    def rank(choice: Choice) -> tuple:
        leaf = choice.plain.rpartition("/")[2]
        few = choice.image.count < LEAST_SHARE * most
        misfit, grey, pixels = look(choice)
        grey = grey or bool(GREY.search(leaf))
        seen = choice.info is None, misfit, few, grey, -pixels
        return *seen, choice.rectified, not choice.compressed, len(leaf), choice.plain

    return min(group, key=rank)


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


def ros_topic(name: str) -> str:
    """A topic's name as ROS 2 allows it; others have more in theirs, such as - or spaces."""
    return "/" + "/".join(_as_name(part) for part in name.split("/") if part)


def pattern(topics: Sequence[str], names: Sequence[str]) -> str:
    """The topics as one, with {camera} in the place of the name; empty where none fits all."""
    parts = topics[0].split("/")
    for i, part in enumerate(parts):
        if part == names[0]:
            found = "/".join([*parts[:i], "{camera}", *parts[i + 1 :]])
            if [found.replace("{camera}", name) for name in names] == list(topics):
                return found
    return ""
