"""A recording as a source of what a network adapts to: undistorted images with stamps and poses."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fsmde_core.adapt.source import AdaptError, Source, Track, sets_of
from fsmde_core.data.sample import DatasetError
from fsmde_core.fit import BODY_SHARE
from fsmde_core.geometry import invert_transform
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
from fsmde_ros.doubts import disagreement

MOST_BROKEN = 0.1  # of the sets that are wanted: a few broken images are passed over
WHOLE = 0.9  # of the time in which the other cameras have images
POSE_TYPE = "geometry_msgs/msg/PoseStamped"


@dataclass(frozen=True, eq=False)
class _View:
    """How one camera's images become undistorted ones."""

    topics: CameraTopics
    camera: Camera
    rectifier: Rectifier | None
    note: str | None = None
    """What the rig has otherwise."""

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
    frames: dict[str, str] = field(default_factory=dict)
    """Topic of odometry -> its child frame, without a slash in front."""
    faulty: Counter = field(default_factory=Counter)
    """Topic, or /tf's child frame -> poses that are no rotation, or not finite."""
    tree: FrameTree = field(default_factory=FrameTree)

    def note(self, key: str, stamp, pose) -> None:
        """Take a Pose or Transform; a faulty one is left out."""
        convert = transform_from_pose if hasattr(pose, "position") else transform_from_msg
        T = np.full((4, 4), np.nan)
        with suppress(ValueError):
            T = convert(pose)
        if np.isfinite(T).all():
            self.poses[key].append((stamp_to_ns(stamp), T))
        else:
            self.faulty[key] += 1


def open_bag_drive(bag: Path, rig_file: Path | None, *, odometry: str = "") -> Source:
    """A recording of any kind that the node can be fed from, as a source.

    A rig file, given or beside it, counts more than what is recorded. odometry: the topic that says
    how the vehicle moves, Odometry or PoseStamped; empty: Odometry of the base frame, else /tf,
    else the only PoseStamped. AdaptError, DatasetError or RigError name what is missing.
    """
    with _one_kind_of_error():
        layout = look_into(bag, rig_file=rig_file)
        known = layout.known_rig()
    with _one_kind_of_error(), open_source(bag) as recording:
        views = [_view(*of, recording, layout) for of in zip(layout.cameras, known.cameras)]
        heard = _listen(recording, layout)
    rig = Rig(tuple(view.camera for view in views), base_frame=known.base_frame)
    motion = _motion(heard, layout, odometry)
    orders, stamps = zip(*(_in_order(heard.images[c.image_topic]) for c in layout.cameras))
    together = sets_of(stamps)
    if not len(together):
        spans = ", ".join(f"{c.name} {_span(of)}" for c, of in zip(layout.cameras, stamps))
        raise AdaptError(f"bag {bag}: no images belong together by their stamps: {spans}")
    kept, poses = [], []
    for chosen in together:
        found = [motion.track.at(int(of[i])) for of, i in zip(stamps, chosen)]
        if all(pose is not None for pose in found):
            kept.append(chosen)
            poses.append(found)
    if not kept:
        raise AdaptError(
            f"bag {bag}: no images at a time at which {motion.what} has poses: images "
            f"{_span(stamps[0])}, poses {_span(motion.track.stamps_ns)}, of which none may be more "
            f"than {Track.LONGEST_NS / 1e9:g} s from the next"
        )
    notes = [*layout.problems, *(view.note for view in views if view.note)]
    notes += [*motion.notes, *_lacking(layout, stamps)]
    if len(kept) < len(together):
        notes.append(
            f"{len(together) - len(kept)} of {len(together)} sets of images are left out: "
            f"{motion.what} has no poses there"
        )
    numbers = [[int(order[i]) for order, i in zip(orders, chosen)] for chosen in kept]
    return Source(
        name=bag.name,
        rig=rig,
        stamps_ns=[tuple(int(of[i]) for of, i in zip(stamps, chosen)) for chosen in kept],
        T_world_ego=np.array(poses),
        images=lambda sets: _images(bag, views, [numbers[i] for i in sets]),
        motion=motion.what,
        rates_hz=tuple(camera.rate_hz for camera in layout.cameras),
        notes=tuple(notes),
    )


def _span(stamps_ns: np.ndarray) -> str:
    """How many there are, and from when to when."""
    if not len(stamps_ns):
        return "(none)"
    first, last = stamps_ns[0] / 1e9, stamps_ns[-1] / 1e9
    return f"({len(stamps_ns)} from {first:.1f} to {last:.1f} s)"


def _lacking(layout: BagLayout, stamps_ns: Sequence[np.ndarray]) -> Iterator[str]:
    """A sentence of each camera that is silent for a part of the recording."""
    seconds = [(of[-1] - of[0]) / 1e9 for of in stamps_ns]
    for camera, its in zip(layout.cameras, seconds):
        if its < WHOLE * max(seconds):
            yield f"{camera.name} has images in {its:.0f} of {max(seconds):.0f} s only"


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
    note = disagreement(geometry, camera)
    if geometry.rectified:
        fits = camera.body is None or camera.body.shape == (found.height, found.width)
        return _View(topics, replace(found, body=camera.body if fits else None), None, note)
    rectifier = geometry.rectifier(found)
    unseen = ~rectifier.seen
    if camera.body is not None and camera.body.shape == (geometry.height, geometry.width):
        unseen |= rectifier(np.uint8(255) * camera.body) > BODY_SHARE
    return _View(topics, replace(found, body=unseen if unseen.any() else None), rectifier, note)


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
            heard.frames[topic.name] = msg.child_frame_id.lstrip("/")
            heard.note(topic.name, msg.header.stamp, msg.pose.pose)
        else:
            msg = decoded(topic, data)
            heard.note(topic.name, msg.header.stamp, msg.pose)
    return heard


@dataclass(frozen=True, eq=False)
class _Motion:
    """How the vehicle moves."""

    track: Track
    what: str
    """What says so, in words."""
    notes: tuple[str, ...]
    """What should be known of it, a sentence each."""


def _motion(heard: _Heard, layout: BagLayout, odometry: str) -> _Motion:
    """How the vehicle moves; AdaptError if nothing, or too much, says so."""
    base, known = layout.rig.base_frame, _pose_topics(heard)
    topic, frame, what = _mover(heard, layout, odometry)
    found, notes = heard.poses.get(topic, []), []
    if heard.faulty[topic]:
        notes.append(
            f"{heard.faulty[topic]} poses on {what} are left out: not finite, or no rotation"
        )
    if len({stamp_ns for stamp_ns, _ in found}) < 2:
        said = "; ".join([", ".join(known) or "none", *notes])
        raise AdaptError(
            f"bag {layout.bag} has {len(found)} poses on {what}, not two of different times; "
            f"topics: {said}"
        )
    T_frame_base = _between(heard.tree, frame, base)
    if T_frame_base is None:
        T_frame_base = np.eye(4)
        notes.append(f"{what} is of {frame}, taken for {base}: no /tf says where that is")
    others = [o for o, of in sorted(heard.frames.items()) if of == base and o != topic]
    if others and not odometry:
        notes.append(f"{what} is taken, not {', '.join(others)}: --odometry names another")
    stamps_ns, T_world_frame = zip(*found)
    track = Track(stamps_ns, np.stack(T_world_frame) @ T_frame_base)
    if track.jumps:
        notes.append(
            f"{what} jumps {len(track.jumps)} times, by up to {max(track.jumps):.1f} m: the "
            "vehicle is taken to have gone on as before"
        )
    return _Motion(track, what, tuple(notes))


def _pose_topics(heard: _Heard) -> list[str]:
    return sorted(topic for topic in heard.poses if topic.startswith("/"))


def _mover(heard: _Heard, layout: BagLayout, odometry: str) -> tuple[str, str, str]:
    """A key of heard.poses, the frame that moves by it, and in words what says so."""
    base, known = layout.rig.base_frame, _pose_topics(heard)
    topic = f"/{odometry.lstrip('/')}" if odometry else layout.odometry_topic
    fixed = heard.tree.fixed_frame_of(base)
    if topic is None and fixed:
        above = heard.tree.above(base)
        frame = above[above.index(fixed) - 1]
        return frame, frame, f"/tf, {fixed} <- {base}"
    if topic is None and len(known) != 1:
        problems = "".join(f"; {problem}" for problem in layout.problems)
        raise AdaptError(
            f"bag {layout.bag} does not say how the vehicle moves: it has no nav_msgs/Odometry "
            f"of {base}, and no /tf in which {base} moves, if it does; name the topic by "
            f"--odometry (topics of poses: {', '.join(known) or 'none'}){problems}"
        )
    topic = topic or known[0]
    return topic, heard.frames.get(topic) or base, topic


def _between(tree: FrameTree, frame: str, base: str) -> np.ndarray | None:
    """T_frame_base [4, 4]; None where nothing connects them."""
    T_frame_base = tree.pose(frame, base)
    if T_frame_base is None and (T_base_frame := tree.pose(base, frame)) is not None:
        return invert_transform(T_base_frame)
    return T_frame_base


def _images(
    bag: Path, views: Sequence[_View], sets: Sequence[Sequence[int]]
) -> Iterator[list[np.ndarray] | None]:
    """The images of sets, numbers of messages on each camera's topic, in one reading.

    A set is given out as soon as it is whole; None where an image is broken. DatasetError names the
    topic where too many are.
    """
    wanted = [defaultdict(list) for _ in views]
    for k, numbers in enumerate(sets):
        for of, number in zip(wanted, numbers):
            of[number].append(k)
    index = {view.topics.image_topic: i for i, view in enumerate(views)}
    waiting: dict[int, dict[int, np.ndarray | None]] = defaultdict(dict)
    counts, due, broken = [0] * len(views), 0, set()
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
                broken.update(users)
                if len(broken) > MOST_BROKEN * len(sets):
                    raise DatasetError(f"bag {bag}: {error}") from error
                image = None
            for k in users:
                waiting[k][i] = image
            while len(waiting[due]) == len(views):
                found = waiting.pop(due)
                yield None if due in broken else [found[i] for i in range(len(views))]
                due += 1
                if due == len(sets):
                    return
