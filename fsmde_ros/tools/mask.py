"""Find from a recorded drive where each camera sees its own vehicle, and put it into the rig file.

fsmde-mask BAG --rig RIG.yaml            masks and a picture to judge them by
fsmde-mask --rig RIG.yaml --accept       what lies there, edited or not, into the rig file
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fsmde_core.body_mask import (
    FoundBody,
    find_body,
    moved_share,
    overview,
    working_grey,
    working_size,
)
from fsmde_core.files import write_bytes
from fsmde_core.rig import (
    Camera,
    Rig,
    RigError,
    load_rig,
    mask_files,
    mask_name,
    read_body,
    save_rig,
    write_body,
)
from fsmde_core.tables import table
from fsmde_ros.bags.cameras import COMPRESSED, COMPRESSED_TYPE, IMAGE_TYPE
from fsmde_ros.bags.messages import decoded
from fsmde_ros.bags.source import BagError, Source, Topic, open_source
from fsmde_ros.conversions import MessageError
from fsmde_ros.decode import decode_image

MOMENTS = 80  # looked at, spread over the drive
MIN_MOMENTS = 16  # on the move; with fewer, chance edges pass for still ones
GAP_NS = (80_000_000, 1_000_000_000)  # from one frame of a moment to the next
ON_THE_MOVE = 0.2  # share of all pixels that change; at walking pace it is twice that
RAW = "/image_raw"  # as the camera sends it, which is what a mask is drawn in
OUTPUTS = r"/(depth|confidence|color)/image(_rect|_raw)?$"  # the node's, and depth cameras'
OVERVIEW = "mask_overview.png"
FOLDER = "masks"


class MaskError(ValueError):
    """No masks can be found; the message says why."""


@dataclass(frozen=True, eq=False)
class DriveView:
    """What one camera saw at the moments of a drive."""

    camera: Camera
    pairs: np.ndarray
    """[P, 2, h, w] uint8 at working size, the same moments for all cameras."""
    mean: np.ndarray
    """[h, w, 3] uint8 RGB, the mean of its frames."""
    frames: int


def find_masks(views: Sequence[DriveView]) -> list[FoundBody]:
    """The vehicle in every view; MaskError if the vehicle stood most of the time."""
    moved = np.mean([moved_share(view.pairs) for view in views], axis=0) >= ON_THE_MOVE
    if moved.sum() < MIN_MOMENTS:
        raise MaskError(
            f"the vehicle moves at {moved.sum()} of {len(moved)} moments only, {MIN_MOMENTS} are "
            "needed: what does not move is found while the world does"
        )
    progress = tqdm(views, desc="masks", unit="camera", disable=None)
    return [find_body(view.pairs[moved], view.camera) for view in progress]


def read_views(bag: Path, rig: Rig, *, image_topic: str = "") -> list[DriveView]:
    """Every camera's frames at moments spread over a bag.

    image_topic is a template such as {camera}/image_raw; empty: found by the cameras' names.
    MaskError names the camera that has no topic of images or too few of them, or images of a size
    that the rig file contradicts; BagError a bag that cannot be read.
    """
    with open_source(bag) as source:
        topics = [_image_topic(source, camera.name, image_topic) for camera in rig.cameras]
        stamps = _stamps(source, topics)
        chosen = _moments(stamps)
        if len(chosen[0]) < MIN_MOMENTS:
            fewest = min(range(len(stamps)), key=lambda i: len(stamps[i]))
            raise MaskError(
                f"bag {bag} has {len(chosen[0])} moments at which every camera has two frames "
                f"{GAP_NS[0] / 1e9:g} to {GAP_NS[1] / 1e9:g} s apart, {MIN_MOMENTS} are needed; "
                f"camera {rig.names[fewest]} has the fewest frames, {len(stamps[fewest])}"
            )
        frames = [_Frames(*of) for of in zip(rig.cameras, topics, chosen)]
        wanted = {of.topic: of for of in frames}
        total, messages = sum(topic.count for topic in topics), source.messages(topics)
        for topic, _, data in tqdm(messages, desc=bag.name, total=total, disable=None):
            wanted[topic].add(data)
    complete = np.all([of.complete for of in frames], axis=0)
    if complete.sum() < MIN_MOMENTS:
        raise MaskError(f"bag {bag}: too many damaged images, {complete.sum()} moments are whole")
    return [of.view(complete) for of in frames]


class _Frames:
    """The frames of one camera that belong to a moment, as they come out of the bag."""

    def __init__(self, camera: Camera, topic: Topic, pairs: Sequence[tuple[int, int]]):
        self.camera, self.topic, self._pairs = camera, topic, pairs
        self._wanted = {index for pair in pairs for index in pair}
        self._grey: dict[int, np.ndarray] = {}
        self._sum, self._count = 0.0, 0
        self._size = working_size(camera.width, camera.height)

    def add(self, data: bytes) -> None:
        """The topic's next message."""
        index, self._count = self._count, self._count + 1
        if index not in self._wanted:
            return
        topic = self.topic.name
        try:
            image = decode_image(decoded(self.topic, data), topic, enough=self._size)
        except (MessageError, BagError) as error:
            print(f"fsmde-mask: skipped: {error}", file=sys.stderr)
            return
        if (image.width, image.height) != (self.camera.width, self.camera.height):
            raise MaskError(
                f"{topic}: images are {image.width}x{image.height}, the rig file says "
                f"{self.camera.width}x{self.camera.height} for camera {self.camera.name}"
            )
        pixels = cv2.resize(image.pixels, self._size, interpolation=cv2.INTER_AREA)
        self._grey[index] = working_grey(pixels)
        self._sum = self._sum + pixels.astype(np.float32)

    @property
    def complete(self) -> list[bool]:
        """For each moment, whether both frames are there."""
        return [all(index in self._grey for index in pair) for pair in self._pairs]

    def view(self, complete: np.ndarray) -> DriveView:
        """What was seen at the moments that are complete for all cameras."""
        pairs = [pair for pair, whole in zip(self._pairs, complete) if whole]
        stacked = np.stack([[self._grey[index] for index in pair] for pair in pairs])
        mean = (self._sum / len(self._grey)).astype(np.uint8)
        return DriveView(self.camera, stacked, mean, len(self._grey))


def _image_topic(source: Source, camera: str, template: str) -> Topic:
    """The topic of a camera's images, compressed where both are.

    template names it; without one, it has the camera's name as a part, is none of the node's
    outputs, and of several the one that comes straight from the camera.
    """
    bag, kinds = source.path, (IMAGE_TYPE, COMPRESSED_TYPE)
    images = [topic for topic in source.topics if topic.kind in kinds and topic.count]
    if template:
        named = template.replace("{camera}", camera).lstrip("/").removesuffix(COMPRESSED)
        own = [topic for topic in images if _bare(topic) == f"/{named}"]
    else:
        images = [topic for topic in images if not re.search(OUTPUTS, _bare(topic))]
        own = [topic for topic in images if camera.strip("/") in topic.name]
        exact = [t for t in own if f"/{camera.strip('/')}/" in f"/{t.name.strip('/')}/"]
        own = exact or own
        own = [topic for topic in own if _bare(topic).endswith(RAW)] or own
    packed = {_bare(topic) for topic in own if topic.kind == COMPRESSED_TYPE}
    own = [t for t in own if t.kind == COMPRESSED_TYPE or t.name not in packed]
    if not own:
        known = ", ".join(sorted({topic.name for topic in images})) or "none"
        raise MaskError(f"bag {bag} has no images of camera {camera!r}; topics of images: {known}")
    if len(own) > 1:
        topics = ", ".join(sorted(topic.name for topic in own))
        raise MaskError(
            f"bag {bag} has several topics for camera {camera!r}: {topics}; choose by --image-topic"
        )
    return own[0]


def _bare(topic: Topic) -> str:
    """The topic's name without that of its transport."""
    return topic.name.removesuffix(COMPRESSED)


def _stamps(source: Source, topics: Sequence[Topic]) -> list[np.ndarray]:
    """Times of each topic's messages in nanoseconds."""
    stamps: dict[Topic, list[int]] = {topic: [] for topic in topics}
    for topic, stamp_ns, _ in source.messages(topics):
        stamps[topic].append(stamp_ns)
    return [np.array(stamps[topic]) for topic in topics]


def _moments(stamps: Sequence[np.ndarray]) -> list[list[tuple[int, int]]]:
    """For each camera the indices of its two frames at each moment, the same moments for all.

    stamps: N x [frames], nanoseconds, ascending.
    """
    first = max(of[0] for of in stamps)
    last = min(of[-1] for of in stamps)
    count = min(MOMENTS, min(len(of) for of in stamps))
    moments: dict[tuple, None] = {}
    for moment in np.linspace(first, last, count).astype(np.int64) if last > first else ():
        pairs = [_pair(of, int(moment)) for of in stamps]
        if None not in pairs:
            moments[tuple(pairs)] = None
    return [[pairs[i] for pairs in moments] for i in range(len(stamps))]


def _pair(stamps: np.ndarray, moment_ns: int) -> tuple[int, int] | None:
    """The first frame from a moment on, and the next that is not too near to it or too far."""
    index = int(np.searchsorted(stamps, moment_ns))
    if index >= len(stamps):
        return None
    after = int(np.searchsorted(stamps, stamps[index] + GAP_NS[0]))
    if after >= len(stamps) or stamps[after] - stamps[index] > GAP_NS[1]:
        return None
    return index, after


def write_masks(views: Sequence[DriveView], found: Sequence[FoundBody], folder: Path) -> None:
    """NAME_mask.png of every camera and the overview into a folder, and a table on stdout.

    A camera of which the drive says nothing keeps the mask of the rig file.
    """
    bodies, rows = [], []
    for view, result in zip(views, found):
        camera, body = view.camera, result.body
        note = ""
        if not result.sure:
            body = np.zeros_like(body) if camera.body is None else camera.body
            note = "too little changes in its view: as before"
        bodies.append(body)
        rows.append([camera.name, str(view.frames), f"{body.mean():.1%}", note])
        write_body(body, folder / mask_name(camera.name))
    print(table(["camera", "frames", "body", ""], rows))
    captions = [f"{name}: {share}  {note}" for name, _, share, note in rows]
    picture = overview([view.mean for view in views], bodies, captions)
    _, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    write_bytes(folder / OVERVIEW, png.tobytes())


def accept_masks(rig_file: Path, folder: Path) -> list[Path]:
    """The masks of a folder beside a rig file, and into it; a camera without a body gets none.

    The old rig file and masks in the way of new ones stay, as FILE.bak, FILE.bak2 and so on, which
    are returned. RigError names a mask that is missing or of another size; the rig file is then as
    it was.
    """
    rig, cameras = load_rig(rig_file), []
    for camera in rig.cameras:
        body = read_body(folder / mask_name(camera.name))
        camera = replace(camera, body=body)  # of the right size
        cameras.append(camera if body.any() else replace(camera, body=None))
    beside = [rig_file.with_name(mask_name(c.name)) for c in cameras if c.body is not None]
    kept = [_kept(file) for file in (rig_file, *beside) if file.exists()]
    save_rig(replace(rig, cameras=tuple(cameras)), rig_file)
    return kept


def _kept(file: Path) -> Path:
    """A copy of a file under a name that is free."""
    names = (f"{file.name}.bak{number}" for number in ("", *range(2, 1000)))
    copy = next(path for path in map(file.with_name, names) if not path.exists())
    return Path(shutil.copyfile(file, copy))


def _check_free(rig_file: Path, rig: Rig, folder: Path) -> None:
    """MaskError if masks that are found would take the place of those in use."""
    used = {file.resolve() for file in mask_files(rig_file)}
    for camera in rig.cameras:
        if (folder / mask_name(camera.name)).resolve() in used:
            raise MaskError(
                f"folder {folder} has the mask of camera {camera.name} that {rig_file} uses: "
                "choose another with --out"
            )


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 with one sentence where no masks can be found or accepted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add(
        "bag",
        type=Path,
        nargs="?",
        help="recording of a drive: rosbag2, ROS 1, MCAP; not needed with --accept",
    )
    add("--rig", type=Path, required=True, help="rig file; its cameras' names are in the topics")
    add(
        "--image-topic", default="", metavar="TEMPLATE", help="such as {camera}/image_raw; "
        "without it the topic that has the camera's name in it"
    )  # fmt: skip
    add("--out", type=Path, help=f"folder for masks and picture; {FOLDER} beside the rig file")
    add("--accept", action="store_true", help="put the masks beside the rig file and into it")
    arguments = parser.parse_args(argv)
    if arguments.bag is None and not arguments.accept:
        parser.error("give a bag to find masks in, or --accept to take those that were found")
    folder = arguments.out or arguments.rig.parent / FOLDER
    try:
        if arguments.bag is not None:
            rig = load_rig(arguments.rig)
            _check_free(arguments.rig, rig, folder)
            views = read_views(arguments.bag, rig, image_topic=arguments.image_topic)
            write_masks(views, find_masks(views), folder)
            print(f"\npicture to judge them by: {folder / OVERVIEW}")
        if arguments.accept:
            kept = accept_masks(arguments.rig, folder)
            print(f"{arguments.rig} has the masks now; before: {', '.join(map(str, kept))}")
        else:
            out = f" --out {folder}" if arguments.out else ""
            print(f"if they are right: fsmde-mask --rig {arguments.rig}{out} --accept")
            print("(a mask is an image: paint black what is vehicle, white what is not)")
    except (BagError, MaskError, RigError, OSError) as error:
        print(f"fsmde-mask: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
