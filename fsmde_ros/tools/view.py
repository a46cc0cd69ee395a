"""Bags in rerun: images, depths, clouds and the vehicle, for those without RViz.

fsmde-view BAG [BAG ...] [--rig RIG.yaml] [--save FILE.rrd]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from tqdm import tqdm

from fsmde_core.files import whole_file
from fsmde_core.rig import Rig, RigError, load_rig, opencv_to_K
from fsmde_ros.answers import CONFIDENCE
from fsmde_ros.bags.player import message_class
from fsmde_ros.bags.source import BagError, open_bag
from fsmde_ros.bags.writer import RIG_FILE, TF_TYPE
from fsmde_ros.conversions import (
    MessageError,
    fields_from_cloud,
    stamp_to_ns,
    transform_from_msg,
)
from fsmde_ros.decode import decode_image

TIMELINE = "stamp"
MILLIMETRES = {"32FC1": 1.0, "16UC1": 1000.0}  # depth encodings, units a metre
POINT_RADIUS_M = 0.02
SHOWN = (Image, CompressedImage, CameraInfo, PointCloud2)


class ViewError(RuntimeError):
    """The bag cannot be shown; the message says why."""


class BagView:
    """Logs messages into a rerun recording, each below the entity of its frame.

    A frame's entity is the path from the root of the transform tree down to it.
    """

    def __init__(self, recording, parents: dict[str, str]):
        import rerun

        self._rerun, self._recording, self._parents = rerun, recording, parents
        self._frames: dict[str, str] = {}

    def rig(self, rig: Rig) -> None:
        """The poses of a rig file."""
        for camera in rig.cameras:
            self._pose(camera.frame_id, camera.T_ego_cam, static=True)

    def transform(self, stamped, *, static: bool) -> None:
        """A TransformStamped; static ones hold for ever."""
        self._set_time(stamped.header.stamp, static=static)
        T_parent_child = transform_from_msg(stamped.transform)
        self._pose(stamped.child_frame_id, T_parent_child, static=static)

    def message(self, topic: str, msg: Image | CompressedImage | CameraInfo | PointCloud2) -> None:
        """An image, its calibration or a cloud. MessageError if it cannot be shown."""
        self._set_time(msg.header.stamp, static=False)
        if isinstance(msg, PointCloud2):
            entity = f"{self._entity(msg.header.frame_id)}/{_flat(topic)}"
            self._log(entity, self._points(msg))
            return
        group = _group(topic)
        if isinstance(msg, CameraInfo):
            self._frames[group] = msg.header.frame_id
            self._log(f"{self._entity(msg.header.frame_id)}/{_flat(group)}", self._pinhole(msg))
            return
        frame = self._frames.get(group, msg.header.frame_id)
        self._log(f"{self._entity(frame)}/{_flat(group)}/image", self._picture(topic, msg))

    def _points(self, msg: PointCloud2):
        fields = fields_from_cloud(msg)
        xyz = np.stack([fields[axis] for axis in "xyz"], axis=-1)
        colours = None
        if "rgb" in fields:
            packed = np.ascontiguousarray(fields["rgb"]).view(np.uint8).reshape(-1, 4)
            colours = packed[:, 2::-1]
        return self._rerun.Points3D(xyz, colors=colours, radii=POINT_RADIUS_M)

    def _pinhole(self, msg: CameraInfo):
        K = opencv_to_K(np.reshape(msg.k, (3, 3)))
        return self._rerun.Pinhole(image_from_camera=K, width=msg.width, height=msg.height)

    def _picture(self, topic: str, msg: Image | CompressedImage):
        if isinstance(msg, CompressedImage) and msg.format in ("jpeg", "png"):
            media_type = f"image/{msg.format}"
            return self._rerun.EncodedImage(contents=msg.data.tobytes(), media_type=media_type)
        if isinstance(msg, Image) and msg.encoding in MILLIMETRES:
            kind = np.float32 if msg.encoding == "32FC1" else np.uint16
            values = np.frombuffer(msg.data, kind).reshape(msg.height, msg.width)
            if topic.endswith(CONFIDENCE):
                return self._rerun.Image(values, color_model="L")
            return self._rerun.DepthImage(values, meter=MILLIMETRES[msg.encoding])
        return self._rerun.Image(decode_image(msg, topic).pixels)

    def _pose(self, frame: str, T_parent_child: np.ndarray, *, static: bool) -> None:
        transform = self._rerun.Transform3D(
            translation=T_parent_child[:3, 3], mat3x3=T_parent_child[:3, :3]
        )
        self._log(self._entity(frame), transform, static=static)

    def _entity(self, frame: str) -> str:
        path = [frame]
        while (parent := self._parents.get(path[0])) is not None and parent not in path:
            path.insert(0, parent)
        return "/" + "/".join(path)

    def _set_time(self, stamp, *, static: bool) -> None:
        if not static:
            moment = np.datetime64(stamp_to_ns(stamp), "ns")
            self._rerun.set_time(TIMELINE, timestamp=moment, recording=self._recording)

    def _log(self, entity: str, what, *, static: bool = False) -> None:
        self._rerun.log(entity, what, static=static, recording=self._recording)


def show(bags: Sequence[Path], *, rig_file: Path | None, save: Path | None) -> None:
    """Log bags into a viewer, or into the file `save`, which appears whole or not at all.

    ViewError, BagError or RigError if there is nothing to show or nowhere to show it.
    """
    try:
        import rerun
    except ImportError as error:
        raise ViewError(
            "rerun is not installed: pip install 'rerun-sdk>=0.28,<0.42' into an environment with "
            "numpy 2 (a ROS 2 Jazzy installation has numpy 1)"
        ) from error
    if save is None and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ViewError("there is no screen here: give --save FILE.rrd and open it elsewhere")
    recording = rerun.RecordingStream("fsmde-view")
    if save is None:
        recording.spawn()
        _log_bags(recording, bags, rig_file)
        return
    with whole_file(save) as beside:
        recording.save(beside)
        _log_bags(recording, bags, rig_file)


def _log_bags(recording, bags: Sequence[Path], rig_file: Path | None) -> None:
    """All that is to be seen; the recording is at its end then."""
    beside = bags[0] / RIG_FILE
    rig = load_rig(rig_file) if rig_file else load_rig(beside) if beside.is_file() else None
    parents = {c.frame_id: rig.base_frame for c in rig.cameras} if rig else {}
    for bag in bags:
        with open_bag(bag) as reader:
            parents |= {t.child_frame_id: t.header.frame_id for _, t in _transforms(reader)}
    view = BagView(recording, parents)
    if rig is not None:
        view.rig(rig)
    for bag in bags:
        with open_bag(bag) as reader:
            _log_bag(view, reader, bag.name)
    recording.flush()
    recording.disconnect()


def _log_bag(view: BagView, reader: AnyReader, name: str) -> None:
    for topic, transform in _transforms(reader):
        view.transform(transform, static=topic.endswith("tf_static"))
    connections = [c for c in reader.connections if message_class(c.msgtype) in SHOWN]
    total = sum(connection.msgcount for connection in connections)
    messages = reader.messages(connections) if connections else ()
    for connection, _, data in tqdm(messages, desc=name, total=total, unit="msg", disable=None):
        msg = deserialize_message(bytes(data), message_class(connection.msgtype))
        try:
            view.message(connection.topic, msg)
        except MessageError as error:
            print(f"fsmde-view: skipped: {error}", file=sys.stderr)


def _transforms(reader: AnyReader) -> Iterator[tuple[str, object]]:
    """(topic, TransformStamped) of a bag."""
    connections = [c for c in reader.connections if c.msgtype == TF_TYPE]
    for connection, _, data in reader.messages(connections) if connections else ():
        for stamped in reader.deserialize(data, TF_TYPE).transforms:
            yield connection.topic, stamped


def _group(topic: str) -> str:
    """What image and CameraInfo have in common: the topic less its last part."""
    for suffix in ("/compressed", "/compressedDepth"):
        topic = topic.removesuffix(suffix)
    return topic.rpartition("/")[0]


def _flat(topic: str) -> str:
    """A topic as one part of an entity path."""
    return topic.strip("/").replace("/", "_") or "camera"


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 with one sentence if a bag cannot be shown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bags", type=Path, nargs="+", metavar="BAG", help="rosbag2 folders")
    parser.add_argument("--rig", type=Path, help="rig file; rig.yaml of the first bag if not given")
    parser.add_argument("--save", type=Path, help="write FILE.rrd instead of opening a viewer")
    arguments = parser.parse_args(argv)
    try:
        show(arguments.bags, rig_file=arguments.rig, save=arguments.save)
    except (ViewError, BagError, RigError) as error:
        print(f"fsmde-view: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
