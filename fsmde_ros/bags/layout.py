"""What a recording holds: its cameras, their calibration and rates, and how the vehicle moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import yaml

from fsmde_core.files import write_text
from fsmde_core.rig import Rig, RigError, load_rig, save_draft, save_rig
from fsmde_core.tables import table
from fsmde_ros.bags.cameras import (
    COMPRESSED,
    Choice,
    camera_names,
    cameras_alone,
    choose_cameras,
    one_each,
    pattern,
    ros_topic,
)
from fsmde_ros.bags.findings import (
    image_notes,
    no_cameras,
    odometry_of,
    refusals,
    stamp_problems,
    unread_cameras,
    video_problems,
)
from fsmde_ros.bags.rigs import (
    PLACES_GUESSED,
    draft_rig,
    guessed_names,
    make_rig,
    without_useless,
)
from fsmde_ros.bags.scan import Scan, scan
from fsmde_ros.bags.source import BagError, open_source, recording_of
from fsmde_ros.bags.timing import rate_hz, slop_s
from fsmde_ros.transport import names_compressed

RIG_FILE, PARAMS_FILE = "rig.yaml", "params.yaml"
WITHOUT_INFO = "{camera}/camera_info"  # where a player sends the rig's


class NoCameraError(BagError):
    """A recording without images of cameras; the message says what it has instead."""


@dataclass(frozen=True)
class CameraTopics:
    """One camera of a recording."""

    name: str
    """What the node calls it."""
    image_topic: str
    """As it is recorded, with a slash in front."""
    image_type: str
    """sensor_msgs/msg/Image or sensor_msgs/msg/CompressedImage, as it is replayed."""
    compressed: bool
    """Whether that is CompressedImage."""
    info_topic: str | None
    """Its CameraInfo; None where the recording has none."""
    rate_hz: float
    """Images a second; 0 where there is only one."""
    width: int
    """Of the images, pixels; 0 where the first one does not decode."""
    height: int
    """Of the images, pixels; 0 where the first one does not decode."""
    frame_id: str
    """Of its CameraInfo, else of its images; one that has its place in TF rather."""

    @property
    def played_topic(self) -> str:
        """Where its images are replayed: one of CompressedImage whose name does not say so has
        /compressed added, as the node expects it."""
        topic = ros_topic(self.image_topic)
        named = not self.compressed or names_compressed(topic)
        return topic if named else f"{topic}{COMPRESSED}"


@dataclass(frozen=True)
class BagLayout:
    """What look_into found."""

    bag: Path
    cameras: tuple[CameraTopics, ...]
    """In the rig's order, if there is one."""
    odometry_topic: str | None
    """nav_msgs/Odometry of the base frame."""
    tf: bool
    """Whether there are transforms."""
    rig: Rig | None
    """None where the size or K of the cameras is nowhere to be found."""
    draft: Rig | None
    """Where there is no rig: one for the cameras whose K has to be filled in."""
    rig_file: Path | None
    """That the rig is from, given or found beside the recording; None where it is recorded."""
    slop_s: float
    """A slop_s with which the node finds the sets."""
    rectified: bool
    """Whether the images are rectified although their CameraInfo has a distortion."""
    fixed_frame: str
    """A frame of /tf that the vehicle moves in; empty where there is none."""
    begins_ns: int
    """When the first image was recorded."""
    seconds: float
    """From the first image to the last message."""
    not_played: tuple[str, ...]
    """Topics that are not to be replayed: the node's own outputs, other images of its cameras."""
    notes: tuple[str, ...]
    """What is as it should be, but not plain to see, such as images that are no cameras'."""
    problems: tuple[str, ...]
    """What is missing, odd or guessed, a sentence each."""
    whole: bool
    """Whether there is a rig, of all cameras that the recording, or the rig file, seems to have."""

    def known_rig(self) -> Rig:
        """The rig; BagError where there is none, with what is missing and where to fill it in."""
        if self.rig is None:
            raise BagError(
                f"bag {self.bag} gives no rig: {'; '.join(self.problems)}; "
                f"fsmde-doctor --bag {self.bag} --out FOLDER writes one to fill in"
            )
        return self.rig

    @property
    def guessed(self) -> bool:
        """Whether the places of the cameras are guessed."""
        return any(PLACES_GUESSED in problem for problem in self.problems)

    @property
    def image_pattern(self) -> str:
        """image_topic for the node, without the slash; empty where the cameras follow none."""
        topics = [camera.played_topic for camera in self.cameras]
        if self.compressed:
            topics = [topic.removesuffix(COMPRESSED) for topic in topics]
        return pattern([t.lstrip("/") for t in topics], [c.name for c in self.cameras])

    @property
    def info_pattern(self) -> str:
        """camera_info_topic for the node, without the slash; empty where they follow none."""
        return pattern(self.info_topics, [camera.name for camera in self.cameras])

    @property
    def info_topics(self) -> list[str]:
        """CameraInfo of each camera for the node, without the slash, be it the rig's."""
        return [
            ros_topic(camera.info_topic or WITHOUT_INFO.replace("{camera}", camera.name)).lstrip(
                "/"
            )
            for camera in self.cameras
        ]

    @property
    def compressed(self) -> bool:
        """Whether all cameras send on TOPIC/compressed, as image_transport does."""
        return all(c.compressed and c.played_topic.endswith(COMPRESSED) for c in self.cameras)

    def described(self) -> str:
        """A table of the cameras, the rest in a line each."""
        rows = []
        for i, camera in enumerate(self.cameras):
            place = "-"
            if self.rig is not None:
                pose = self.rig.cameras[i]
                heading = np.rad2deg(pose.azimuth_rad)
                place = f"{heading:+.0f} deg, {pose.T_ego_cam[2, 3]:.2f} m up"
                place += ", GUESSED" if self.guessed else ""
            rate = f"{camera.rate_hz:.1f} Hz" if camera.rate_hz else "-"
            info = camera.info_topic or "-"
            size = f"{camera.width}x{camera.height}" if camera.width else "-"
            rows.append([camera.name, camera.image_topic, info, size, rate, place])
        lines = [table(["camera", "images", "CameraInfo", "size", "rate", "looks"], rows), ""]
        motion = self.odometry_topic or ("/tf, in " + self.fixed_frame if self.fixed_frame else "-")
        lines += [
            f"length: {self.seconds:.1f} s",
            f"base frame: {self.rig.base_frame if self.rig is not None else '-'}",
            f"rig file: {self.rig_file or '-'}",
            f"ego motion: {motion}",
            f"slop_s: {self.slop_s:g}",
        ]
        lines += [f"- {note}" for note in self.notes]
        return "\n".join(lines + [f"! {problem}" for problem in self.problems])


@dataclass(frozen=True)
class Setup:
    """Files for the node, to be edited."""

    params_file: Path
    rig_file: Path


def look_into(bag: Path, *, rig_file: Path | None = None) -> BagLayout:
    """Look into a rosbag2, a ROS 1 bag or an MCAP file: its first seconds and its transforms.

    A rig file, given or that of rig_file_of, counts more than what is recorded. BagError if the
    recording is missing, damaged, empty or has no camera, RigError if the rig file cannot be used;
    what else is missing stands in the layout's problems.
    """
    bag = recording_of(bag)
    rig_file = rig_file or rig_file_of(bag)
    given = load_rig(rig_file) if rig_file is not None else None
    with open_source(bag) as source:
        found = scan(source)
        end_ns, topics = source.end_ns, source.topics
    pictures = [topic for topic in topics if found.is_picture(topic)]
    infos = [topic for topic in topics if topic.name in found.infos]
    alone, apart = cameras_alone(pictures)
    choices = choose_cameras([*alone, *infos], found.frames, found.look)
    choices, doubles = one_each(choices, found.is_one_camera, found.look)
    if not choices:
        raise NoCameraError(f"bag {bag} has {no_cameras(found, topics)}")
    wanted = len(choices) if given is None else len(given.cameras)
    names, choices, problems = _named(choices)
    if given is not None:
        every = choose_cameras([*pictures, *infos], found.frames, found.look)
        usual = dict(zip(names, choices))
        names, choices, problems = _as_in_rig(given, every, usual, found, rig_file)
        apart, doubles = [], {}
    useless = without_useless(found, choices) if given is not None else {}
    problems += [*apart, *useless.values(), *refusals(found), *video_problems(topics)]
    cameras = tuple(_camera(name, c, found) for name, c in zip(names, choices))
    try:
        rig, rectified, cameras, doubts = make_rig(cameras, choices, found, given)
    except RigError as error:
        raise RigError(f"{error}; the rig is of {rig_file}") from error
    draft, guesses = draft_rig(cameras, found) if rig is None else (None, [])
    odometry, notes, more = odometry_of(found, (rig or draft).base_frame, topics)
    unstamped = stamp_problems([c.image_topic for c in cameras], found)
    unread = unread_cameras(found, topics, choices) if given is None else []
    problems += [
        *unstamped,
        *doubts,
        *guesses,
        *more,
        *found.problems,
    ]
    chosen = {choice.image for choice in choices}
    others = [topic for topic in pictures if topic not in chosen]
    begins_ns = min(found.begins_ns[c.image_topic] for c in cameras)
    return BagLayout(
        bag=bag,
        cameras=cameras,
        odometry_topic=odometry,
        tf=bool(found.tree),
        rig=rig,
        draft=draft,
        rig_file=rig_file,
        slop_s=slop_s([found.stamps_ns[c.image_topic] for c in cameras]),
        rectified=rectified,
        fixed_frame=found.tree.fixed_frame_of((rig or draft).base_frame),
        begins_ns=begins_ns,
        seconds=(end_ns - begins_ns) / 1e9,
        not_played=(*(topic.name for topic in (*found.own, *others)), *useless),
        notes=(*image_notes(found, doubles), *notes),
        problems=tuple(problems),
        whole=rig is not None and len(cameras) == wanted and not (unstamped or unread),
    )


def rig_file_of(bag: Path) -> Path | None:
    """The rig file of a recording, the first there is: rig.yaml in its folder, NAME.rig.yaml beside
    it, of a folder NAME or a file NAME.mcap, rig.yaml beside it."""
    bag = recording_of(bag).absolute()
    name = bag.name if bag.is_dir() else bag.stem
    found = (bag / RIG_FILE, bag.parent / f"{name}.{RIG_FILE}", bag.parent / RIG_FILE)
    return next((file for file in found if file.is_file()), None)


def _named(choices: Sequence[Choice]) -> tuple[list[str], list[Choice], list[str]]:
    """Names of the cameras that are used, and sentences about those that are not."""
    with_info = [choice for choice in choices if choice.info is not None]
    used = list(with_info or choices)
    problems = [
        f"{choice.image.name} is not taken: it has no CameraInfo; a rig.yaml beside the recording "
        "may say K and size"
        for choice in choices
        if choice not in used
    ]
    return list(camera_names(used)), used, problems


def _as_in_rig(
    given: Rig,
    choices: Sequence[Choice],
    usual: dict[str, Choice],
    found: Scan,
    rig_file: Path | None,
) -> tuple[list[str], list[Choice], list[str]]:
    """The same of a rig file's cameras."""
    names, used, doubts = guessed_names(choices, usual, given, found)
    if not names:
        raise RigError(
            f"none of the rig's cameras {', '.join(given.names)} is in the topics "
            f"{', '.join(choice.image.name for choice in choices)}; the rig is of {rig_file}"
        )
    lost = [name for name in given.names if name not in names]
    return names, used, doubts + [f"camera {name} of the rig file is not recorded" for name in lost]


def _camera(name: str, choice: Choice, found: Scan) -> CameraTopics:
    info = found.infos.get(choice.info.name) if choice.info is not None else None
    width, height = found.sizes.get(choice.image.name, (0, 0))
    frames = [info.header.frame_id] if info is not None else []
    frames = [frame for frame in (*frames, found.frames.get(choice.image.name)) if frame]
    placed = [frame for frame in frames if found.tree.has_parent(frame)]
    return CameraTopics(
        name=name,
        image_topic=choice.image.name,
        image_type=choice.image.kind,
        compressed=choice.compressed,
        info_topic=choice.info.name if info is not None else None,
        rate_hz=rate_hz(found.stamps_ns[choice.image.name]),
        width=width,
        height=height,
        frame_id=next(iter((*placed, *frames)), ""),
    )


def write_setup(layout: BagLayout, folder: Path) -> Setup:
    """Write params.yaml and rig.yaml to a folder, each whole or not at all.

    Where there is no rig, each K in rig.yaml is to be filled in. OSError names a file that cannot
    be written.
    """
    folder = Path(folder).absolute()
    rig_file = folder / RIG_FILE
    if layout.rig is not None:
        save_rig(layout.rig, rig_file)
    else:
        save_draft(layout.draft, rig_file)
    document = {"/**": {"ros__parameters": _parameters(layout, rig_file)}}
    text = yaml.safe_dump(document, sort_keys=False)
    head = [f"# Made of {layout.bag} by fsmde-doctor --bag; edit what is wrong."]
    head += [f"# {problem}" for problem in layout.problems]
    if layout.fixed_frame and not layout.odometry_topic:
        head.append(f"# Ego motion, where tf2_ros is installed: fixed_frame: {layout.fixed_frame}")
    write_text(folder / PARAMS_FILE, "\n".join(head) + f"\n{text}")
    return Setup(folder / PARAMS_FILE, rig_file)


def _parameters(layout: BagLayout, rig_file: Path) -> dict[str, object]:
    """The node's parameters for a recording; what is as by default is not among them."""
    cameras = layout.cameras
    values: dict[str, object] = {"rig_file": str(rig_file)}
    if layout.image_pattern:
        values["image_topic"] = layout.image_pattern
        values["compressed"] = layout.compressed
    else:
        values["image_topics"] = [camera.played_topic.lstrip("/") for camera in cameras]
    if layout.info_pattern:
        values["camera_info_topic"] = layout.info_pattern
    else:
        values["camera_info_topics"] = layout.info_topics
    if layout.rectified:
        values["rectified"] = True
    if any(camera.info_topic is None for camera in cameras):
        values["camera_info_from_rig"] = True
    if layout.odometry_topic:
        values["odometry_topic"] = ros_topic(layout.odometry_topic).lstrip("/")
    elif layout.fixed_frame and find_spec("tf2_ros") is not None:
        values["fixed_frame"] = layout.fixed_frame
    return values | {"slop_s": layout.slop_s}
