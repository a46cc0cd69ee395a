"""A recording as a source of what a network adapts to: undistorted images with stamps and poses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fsmde_core.adapt.source import AdaptError, Source, Track, sets_of
from fsmde_core.data.sample import DatasetError
from fsmde_core.fit import BODY_SHARE
from fsmde_core.rectify import Rectifier
from fsmde_core.rig import Camera, Rig
from fsmde_ros.bags.cameras import INFO_TYPE
from fsmde_ros.bags.frames import FrameTree
from fsmde_ros.bags.layout import BagLayout, CameraTopics, look_into
from fsmde_ros.bags.messages import TF_TYPE, decoded, head
from fsmde_ros.bags.scan import ODOMETRY_TYPE
from fsmde_ros.bags.source import BagError, Topic, open_source
from fsmde_ros.bags.source import Source as Recording
from fsmde_ros.camera_info import read_camera_info
from fsmde_ros.conversions import (
    MessageError,
    stamp_to_ns,
    transform_from_msg,
    transform_from_pose,
)
from fsmde_ros.decode import decode_image

POSE_TYPE = "geometry_msgs/msg/PoseStamped"


@dataclass(frozen=True, eq=False)
class _View:
    """How one camera's images become undistorted ones."""

    topics: CameraTopics
    camera: Camera
    rectifier: Rectifier | None

    def image(self, topic: Topic, data: bytes) -> np.ndarray:
        """[H, W, 3] uint8 RGB of a message; MessageError or BagError names the topic of one that
        is broken."""
        pixels = decode_image(decoded(topic, data), self.topics.image_topic).pixels
        if pixels.shape[:2] != (self.camera.height, self.camera.width):
            raise MessageError(
                f"{self.topics.image_topic}: an image of {pixels.shape[1]}x{pixels.shape[0]}, its "
                f"calibration says {self.camera.width}x{self.camera.height}"
            )
        return pixels if self.rectifier is None else self.rectifier(pixels)


@dataclass
class _Heard:
    """What one reading of a recording says of time and motion."""

    images: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Topic -> stamps, in the order of recording."""
    poses: dict[str, list[tuple[int, np.ndarray]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Topic of odometry or poses, or /tf's child frame -> stamps and poses."""
    tree: FrameTree = field(default_factory=FrameTree)

    def note(self, key: str, stamp, pose) -> None:
        """Take a Pose or Transform; one that is no rotation, or not finite, is left out."""
        convert = transform_from_pose if hasattr(pose, "position") else transform_from_msg
        with suppress(ValueError):
            T = convert(pose)
            if np.isfinite(T).all():
                self.poses[key].append((stamp_to_ns(stamp), T))


def open_bag_drive(bag: Path, rig_file: Path | None, *, odometry: str = "") -> Source:
    """A recording of any kind that the node can be fed from, as a source.

    A rig file, given or beside it, counts more than what is recorded. odometry: the topic that says
    how the vehicle moves, Odometry or PoseStamped; empty: Odometry of the base frame, else /tf,
    else the only PoseStamped. AdaptError, DatasetError or RigError name what is missing.
    """
    with _one_kind_of_error():
        layout = look_into(bag, rig_file=rig_file)
    if layout.rig is None:
        raise AdaptError(f"bag {bag} gives no rig: {'; '.join(layout.problems)}")
    with _one_kind_of_error(), open_source(bag) as recording:
        views = [_view(*of, recording, layout) for of in zip(layout.cameras, layout.rig.cameras)]
        heard = _listen(recording, layout)
    rig = Rig(tuple(view.camera for view in views), base_frame=layout.rig.base_frame)
    track, motion = _track(heard, layout, odometry)
    orders, stamps = zip(*(_in_order(heard.images[c.image_topic]) for c in layout.cameras))
    kept, poses = [], []
    for chosen in sets_of(stamps):
        found = [track.at(int(of[i])) for of, i in zip(stamps, chosen)]
        if all(pose is not None for pose in found):
            kept.append(chosen)
            poses.append(found)
    if not kept:
        raise AdaptError(f"bag {bag}: no images at a time at which {motion} has poses")
    numbers = [[int(order[i]) for order, i in zip(orders, chosen)] for chosen in kept]
    return Source(
        name=bag.name,
        rig=rig,
        stamps_ns=[tuple(int(of[i]) for of, i in zip(stamps, chosen)) for chosen in kept],
        T_world_ego=np.array(poses),
        images=lambda sets: _images(bag, views, [numbers[i] for i in sets]),
        motion=motion,
        rates_hz=tuple(camera.rate_hz for camera in layout.cameras),
        notes=layout.problems,
    )


@contextmanager
def _one_kind_of_error() -> Iterator[None]:
    """For whoever adapts to a dataset without ROS: a damaged bag is a DatasetError, too."""
    try:
        yield
    except BagError as error:
        raise DatasetError(str(error)) from error


def _in_order(stamps_ns: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Which message is the how-many-th by its stamp, and the stamps in that order."""
    order = np.argsort(np.array(stamps_ns, np.int64), kind="stable")
    return order, np.array(stamps_ns, np.int64)[order]


def _view(topics: CameraTopics, camera: Camera, recording: Recording, layout: BagLayout) -> _View:
    """The camera as its CameraInfo has it, where there is one, else as the rig has it."""
    info = next((t for t in recording.topics if t.name == topics.info_topic), None)
    if info is None or info.kind != INFO_TYPE:
        return _View(topics, camera, None)
    _, _, data = next(iter(recording.messages([info])))
    try:
        geometry = read_camera_info(decoded(info, data), info.name, rectified=layout.rectified)
        found = geometry.camera(camera.name, camera.T_ego_cam, info.name)
    except MessageError as error:
        raise AdaptError(f"bag {layout.bag}: {error}") from error
    if geometry.rectified:
        fits = camera.body is None or camera.body.shape == (found.height, found.width)
        return _View(topics, replace(found, body=camera.body if fits else None), None)
    rectifier = geometry.rectifier(found)
    unseen = ~rectifier.seen
    if camera.body is not None and camera.body.shape == (geometry.height, geometry.width):
        unseen |= rectifier(np.uint8(255) * camera.body) > BODY_SHARE
    return _View(topics, replace(found, body=unseen if unseen.any() else None), rectifier)


def _listen(recording: Recording, layout: BagLayout) -> _Heard:
    """Stamps of all images, and all poses; BagError if the recording is damaged."""
    heard, pictures = _Heard(), {camera.image_topic for camera in layout.cameras}
    kinds = (ODOMETRY_TYPE, POSE_TYPE, TF_TYPE)
    topics = [t for t in recording.topics if t.name in pictures or t.kind in kinds]
    total = sum(topic.count for topic in topics)
    messages = recording.messages(topics)
    for topic, _, data in tqdm(messages, desc="stamps and poses", total=total, disable=None):
        if topic.name in pictures:
            heard.images[topic.name].append(head(topic, data)[0])
        elif topic.kind == TF_TYPE:
            transforms = decoded(topic, data).transforms
            heard.tree.add(transforms)
            for stamped in transforms:
                frame = stamped.child_frame_id.lstrip("/")
                heard.note(frame, stamped.header.stamp, stamped.transform)
        elif topic.kind == ODOMETRY_TYPE:
            msg = decoded(topic, data)
            heard.note(topic.name, msg.header.stamp, msg.pose.pose)
        else:
            msg = decoded(topic, data)
            heard.note(topic.name, msg.header.stamp, msg.pose)
    return heard


def _track(heard: _Heard, layout: BagLayout, odometry: str) -> tuple[Track, str]:
    """How the vehicle moves, and in words what says so."""
    base = layout.rig.base_frame
    poses = [topic for topic in heard.poses if topic.startswith("/")]
    topic = f"/{odometry.lstrip('/')}" if odometry else layout.odometry_topic
    fixed = heard.tree.fixed_frame_of(base)
    T_moving_base, what = np.eye(4), topic
    if topic is None and fixed:
        above = heard.tree.above(base)
        topic = above[above.index(fixed) - 1]
        T_moving_base, what = heard.tree.pose(topic, base), f"/tf, {fixed} <- {base}"
    elif topic is None:
        if len(poses) != 1:
            known = ", ".join(sorted(poses)) or "none"
            raise AdaptError(
                f"bag {layout.bag} does not say how the vehicle moves: it has no nav_msgs/Odometry "
                f"of {base}, and no /tf in which {base} moves, if it does; name the topic by "
                f"--odometry (topics of poses: {known})"
            )
        topic = what = poses[0]
    found = heard.poses.get(topic, [])
    if len(found) < 2:
        known = ", ".join(sorted(poses)) or "none"
        raise AdaptError(f"bag {layout.bag} has {len(found)} poses on {what}; topics: {known}")
    stamps_ns, T_world_moving = zip(*found)
    return Track(stamps_ns, np.stack(T_world_moving) @ T_moving_base), what


def _images(
    bag: Path, views: Sequence[_View], sets: Sequence[Sequence[int]]
) -> Iterator[list[np.ndarray]]:
    """The images of sets, numbers of messages on each camera's topic, in one reading.

    A set is given out as soon as it is whole. DatasetError names a topic with a broken image.
    """
    wanted = [defaultdict(list) for _ in views]
    for k, numbers in enumerate(sets):
        for of, number in zip(wanted, numbers):
            of[number].append(k)
    index = {view.topics.image_topic: i for i, view in enumerate(views)}
    waiting: dict[int, dict[int, np.ndarray]] = defaultdict(dict)
    counts, due = [0] * len(views), 0
    with _one_kind_of_error(), open_source(bag) as recording:
        topics = [topic for topic in recording.topics if topic.name in index]
        for topic, _, data in recording.messages(topics):
            i = index[topic.name]
            counts[i] += 1
            users = wanted[i].get(counts[i] - 1, ())
            if not users:
                continue
            try:
                image = views[i].image(topic, data)
            except MessageError as error:
                raise DatasetError(f"bag {bag}: {error}") from error
            for k in users:
                waiting[k][i] = image
            while len(waiting[due]) == len(views):
                found = waiting.pop(due)
                yield [found[i] for i in range(len(views))]
                due += 1
                if due == len(sets):
                    return
