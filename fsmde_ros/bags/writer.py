"""Samples of a dataset as a rosbag2: images untouched, calibration, poses, LiDAR, own stamps.

A bag appears whole or not at all.
"""

from __future__ import annotations

import array
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from rclpy.serialization import serialize_message
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from tqdm import tqdm

from fsmde_core.data.sample import (
    DatasetError,
    LidarSweep,
    Sample,
    lidar_points_cam,
    scatter_depth,
)
from fsmde_core.geometry import invert_transform, rotation_to_quaternion
from fsmde_core.rig import Rig, save_rig
from fsmde_ros.bags.topics import BagTopics
from fsmde_ros.conversions import camera_info_msg, float_msg, lidar_msg, ns_to_stamp

BAG_VERSION = 9  # rosbag2's metadata version since Iron
RIG_FILE = "rig.yaml"
FORMATS = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}
TYPESTORE = get_typestore(Stores.ROS2_JAZZY)
TF_TYPE = "tf2_msgs/msg/TFMessage"  # not on PyPI; rosbags knows it
LATEST_NS = 2**31 * 1_000_000_000  # ROS counts seconds in 32 bits


def write_bag(
    samples: Sequence[Sample],
    bag: Path,
    *,
    topics: BagTopics | None = None,
    read_points: Callable[[LidarSweep], np.ndarray] | None = None,
    depth_gt: bool = False,
) -> None:
    """Write the samples of one scene to the folder `bag`, with the rig file rig.yaml in it.

    Images and CameraInfo of every camera, /tf_static and /tf (world to vehicle at every image);
    with read_points (of the dataset's module) the LiDAR too, and with depth_gt the depth images of
    the LiDAR projected to each camera. Messages lie in the order of their stamps; one file is read
    at a time. DatasetError if the folder exists, a file is missing, or the rig changes between
    samples; the folder appears whole or not at all.
    """
    if bag.exists():
        raise DatasetError(f"bag {bag} exists already")
    if not len(samples):
        raise DatasetError(f"no samples for bag {bag}")
    samples = list(samples)
    rig = samples[0].rig
    for sample in samples:
        if sample.rig.names != rig.names or not np.array_equal(sample.rig.T_ego_cam, rig.T_ego_cam):
            raise DatasetError(f"bag {bag}: the rig changes at sample {sample.token}")
    bag.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bag.parent, suffix=".part") as folder:
        beside = Path(folder) / bag.name  # the writer names its file after the folder
        with Writer(beside, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP) as writer:
            scene = _SceneWriter(writer, samples, topics or BagTopics(), read_points)
            scene.write(bag.name, depth_gt=depth_gt)
        save_rig(rig, beside / RIG_FILE)
        os.replace(beside, bag)


@dataclass(frozen=True, order=True)
class _Shot:
    """One file of one sensor: camera `index` of a sample, or its LiDAR (-1)."""

    stamp_ns: int
    index: int
    sample: int


class _SceneWriter:
    """Writes the messages of one scene in the order of their stamps."""

    def __init__(
        self,
        writer: Writer,
        samples: Sequence[Sample],
        topics: BagTopics,
        read_points: Callable[[LidarSweep], np.ndarray] | None,
    ):
        self._writer, self._samples, self._topics = writer, samples, topics
        self._points = lru_cache(maxsize=2)(lambda i: read_points(samples[i].lidar))
        self._lidar = read_points is not None and any(sample.lidar for sample in samples)
        self._connections = {}
        shots = {}
        for i, sample in enumerate(samples):
            for index, stamp_ns in enumerate(sample.stamps_ns):
                shots.setdefault((stamp_ns, index), _Shot(stamp_ns, index, i))
            if self._lidar and sample.lidar:
                stamp_ns = sample.lidar.stamp_ns
                shots.setdefault((stamp_ns, -1), _Shot(stamp_ns, -1, i))
        self._shots = sorted(shots.values())  # sets of sweeps may share one, hence the keys
        self._shift_ns = 0
        if self._shots[-1].stamp_ns >= LATEST_NS:
            self._shift_ns = self._shots[0].stamp_ns
            print("stamps after 2038 do not fit ROS: the bag starts at 0 s", file=sys.stderr)

    def write(self, title: str, *, depth_gt: bool) -> None:
        self._write_tf_static(self._shots[0].stamp_ns - self._shift_ns)
        for shot in tqdm(self._shots, desc=title, unit="file", disable=None):
            stamp_ns = shot.stamp_ns - self._shift_ns
            if shot.index < 0:
                self._write_lidar(shot, stamp_ns)
                continue
            self._write_image(shot, stamp_ns)
            if depth_gt and self._samples[shot.sample].lidar:
                self._write_depth_gt(shot, stamp_ns)

    def _write_image(self, shot: _Shot, stamp_ns: int) -> None:
        sample = self._samples[shot.sample]
        camera, file = sample.rig.cameras[shot.index], sample.image_files[shot.index]
        header = Header(stamp=ns_to_stamp(stamp_ns), frame_id=camera.frame_id)
        image = CompressedImage(header=header, format=_format(file), data=_read_bytes(file))
        self._write_pose(sample.T_world_ego[shot.index], sample.rig.base_frame, stamp_ns)
        info_topic = self._topics.camera_info_topic.format(camera=camera.name)
        self._write(info_topic, camera_info_msg(camera, header), stamp_ns)
        image_topic = self._topics.image_topic.format(camera=camera.name)
        self._write(f"{image_topic}/compressed", image, stamp_ns)

    def _write_lidar(self, shot: _Shot, stamp_ns: int) -> None:
        sample = self._samples[shot.sample]
        T_world_ego = sample.lidar.T_world_lidar @ invert_transform(sample.lidar.T_ego_lidar)
        self._write_pose(T_world_ego, sample.rig.base_frame, stamp_ns)
        header = Header(stamp=ns_to_stamp(stamp_ns), frame_id=self._topics.lidar_frame)
        cloud = lidar_msg(self._points(shot.sample), header)
        self._write(self._topics.lidar_topic, cloud, stamp_ns)

    def _write_depth_gt(self, shot: _Shot, stamp_ns: int) -> None:
        sample = self._samples[shot.sample]
        camera = sample.rig.cameras[shot.index]
        points_cam = lidar_points_cam(sample, shot.index, self._points(shot.sample))
        depth = scatter_depth(points_cam, camera)
        header = Header(stamp=ns_to_stamp(stamp_ns), frame_id=camera.frame_id)
        topic = self._topics.depth_gt_topic.format(camera=camera.name)
        self._write(topic, float_msg(np.where(depth > 0, depth, np.nan), header), stamp_ns)

    def _write_pose(self, T_world_ego: np.ndarray, base_frame: str, stamp_ns: int) -> None:
        transform = _transform(T_world_ego, self._topics.world_frame, base_frame, stamp_ns)
        self._write_transforms("/tf", [transform], stamp_ns, qos=[])

    def _write_tf_static(self, stamp_ns: int) -> None:
        rig: Rig = self._samples[0].rig
        transforms = [
            _transform(camera.T_ego_cam, rig.base_frame, camera.frame_id, stamp_ns)
            for camera in rig.cameras
        ]
        if self._lidar:
            lidar = next(sample.lidar for sample in self._samples if sample.lidar)
            frame = self._topics.lidar_frame
            transforms.append(_transform(lidar.T_ego_lidar, rig.base_frame, frame, stamp_ns))
        self._write_transforms("/tf_static", transforms, stamp_ns, qos=[_latched()])

    def _write_transforms(self, topic: str, transforms: list, stamp_ns: int, *, qos: list) -> None:
        connection = self._connection(topic, TF_TYPE, qos)
        message = TYPESTORE.types[TF_TYPE](transforms=transforms)
        self._writer.write(connection, stamp_ns, TYPESTORE.serialize_cdr(message, TF_TYPE))

    def _write(self, topic: str, message, stamp_ns: int) -> None:
        package, name = type(message).__module__.split(".")[0], type(message).__name__
        connection = self._connection(f"/{topic.lstrip('/')}", f"{package}/msg/{name}", [])
        self._writer.write(connection, stamp_ns, serialize_message(message))

    def _connection(self, topic: str, msg_type: str, qos: list):
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, msg_type, typestore=TYPESTORE, offered_qos_profiles=qos
            )
        return self._connections[topic]


def _transform(T_parent_child: np.ndarray, parent: str, child: str, stamp_ns: int):
    types = TYPESTORE.types
    stamp = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 1_000_000_000))
    quaternion = rotation_to_quaternion(T_parent_child[:3, :3])
    transform = types["geometry_msgs/msg/Transform"](
        translation=types["geometry_msgs/msg/Vector3"](*T_parent_child[:3, 3]),
        rotation=types["geometry_msgs/msg/Quaternion"](*quaternion),
    )
    header = types["std_msgs/msg/Header"](stamp=stamp, frame_id=parent)
    return types["geometry_msgs/msg/TransformStamped"](header, child, transform)


def _latched() -> Qos:
    never = QosTime(0, 0)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL,
        deadline=never,
        lifespan=never,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=never,
        avoid_ros_namespace_conventions=False,
    )


def _format(file: Path) -> str:
    if file.suffix.lower() not in FORMATS:
        raise DatasetError(f"image {file} is neither JPEG nor PNG")
    return FORMATS[file.suffix.lower()]


def _read_bytes(file: Path) -> array.array:
    try:
        return array.array("B", file.read_bytes())
    except OSError as error:
        raise DatasetError(f"image {file}: {error.strerror or error}") from error
