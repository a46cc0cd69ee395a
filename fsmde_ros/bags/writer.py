"""Samples of a dataset as a rosbag2: JPEGs untouched, CameraInfo, tf_static, stamps as recorded."""

from __future__ import annotations

import argparse
import array
import os
import sys
import tempfile
from collections.abc import Sequence
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
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header
from tqdm import tqdm

from fsmde_core.data.nuscenes import read_keyframes
from fsmde_core.data.sample import DatasetError, Sample
from fsmde_core.geometry import rotation_to_quaternion
from fsmde_core.rig import Rig, save_rig
from fsmde_ros.conversions import camera_info_msg, ns_to_stamp

BAG_VERSION = 9  # rosbag2's metadata version since Iron
RIG_FILE = "rig.yaml"
FORMATS = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}
TYPESTORE = get_typestore(Stores.ROS2_JAZZY)


def write_bag(samples: Sequence[Sample], bag: Path) -> None:
    """Write the samples of one scene to the folder `bag`, with the rig file rig.yaml in it.

    Topics: NAME/image_raw/compressed, NAME/camera_info for every camera, /tf_static. Messages lie
    in the order of their stamps. DatasetError if the folder exists, an image is missing, or the
    rig changes between samples; the folder appears whole or not at all.
    """
    if bag.exists():
        raise DatasetError(f"bag {bag} exists already")
    if not samples:
        raise DatasetError(f"no samples for bag {bag}")
    rig = samples[0].rig
    for sample in samples:
        if sample.rig.names != rig.names or not np.array_equal(sample.rig.T_ego_cam, rig.T_ego_cam):
            raise DatasetError(f"bag {bag}: the rig changes at sample {sample.token}")
    bag.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bag.parent, suffix=".part") as folder:
        beside = Path(folder) / bag.name  # the writer names its file after the folder
        with Writer(beside, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP) as writer:
            _write_messages(writer, samples, rig)
        save_rig(rig, beside / RIG_FILE)
        os.replace(beside, bag)


def _write_messages(writer: Writer, samples: Sequence[Sample], rig: Rig) -> None:
    image_type, info_type = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"
    images = [_connect(writer, f"/{name}/image_raw/compressed", image_type) for name in rig.names]
    infos = [_connect(writer, f"/{name}/camera_info", info_type) for name in rig.names]
    views = [
        (stamp_ns, i, sample) for sample in samples for i, stamp_ns in enumerate(sample.stamps_ns)
    ]
    views.sort(key=lambda view: view[:2])
    _write_tf_static(writer, rig, views[0][0])
    for stamp_ns, i, sample in tqdm(views, desc="bag", unit="image", disable=None):
        camera, file = sample.rig.cameras[i], sample.image_files[i]
        header = Header(stamp=ns_to_stamp(stamp_ns), frame_id=camera.frame_id)
        info: CameraInfo = camera_info_msg(camera, header)
        image = CompressedImage(header=header, format=_format(file), data=_read_bytes(file))
        writer.write(infos[i], stamp_ns, serialize_message(info))
        writer.write(images[i], stamp_ns, serialize_message(image))


def _connect(writer: Writer, topic: str, msg_type: str):
    return writer.add_connection(topic, msg_type, typestore=TYPESTORE)


def _write_tf_static(writer: Writer, rig: Rig, stamp_ns: int) -> None:
    """The extrinsics as one latched TFMessage; tf2_msgs is not on PyPI, rosbags knows it."""
    types = TYPESTORE.types
    stamp = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 1_000_000_000))
    transforms = []
    for camera in rig.cameras:
        quaternion = rotation_to_quaternion(camera.T_ego_cam[:3, :3])
        transform = types["geometry_msgs/msg/Transform"](
            translation=types["geometry_msgs/msg/Vector3"](*camera.T_ego_cam[:3, 3]),
            rotation=types["geometry_msgs/msg/Quaternion"](*quaternion),
        )
        header = types["std_msgs/msg/Header"](stamp=stamp, frame_id=rig.base_frame)
        stamped = types["geometry_msgs/msg/TransformStamped"]
        transforms.append(stamped(header, camera.frame_id, transform))
    msg_type = "tf2_msgs/msg/TFMessage"
    connection = writer.add_connection(
        "/tf_static", msg_type, typestore=TYPESTORE, offered_qos_profiles=[_latched()]
    )
    message = types[msg_type](transforms=transforms)
    writer.write(connection, stamp_ns, TYPESTORE.serialize_cdr(message, msg_type))


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


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 2 with one sentence for a dataset that cannot be read."""
    parser = argparse.ArgumentParser(description="Keyframes of a nuScenes scene as a rosbag2.")
    parser.add_argument("root", type=Path, help="nuScenes root")
    parser.add_argument("bag", type=Path, help="folder to write")
    parser.add_argument("--version", default="v1.0-mini", help="folder of tables in the root")
    parser.add_argument("--scene", help="scene name; the first if not given")
    arguments = parser.parse_args(argv)
    try:
        samples = read_keyframes(arguments.root, arguments.version)
        write_bag(samples.of_scene(arguments.scene), arguments.bag)
    except DatasetError as error:
        print(f"fsmde-nuscenes-to-bag: {error}", file=sys.stderr)
        return 2
    print(f"wrote {arguments.bag}, rig file {arguments.bag / RIG_FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
