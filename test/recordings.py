"""Small recordings as other people make them: the topics, types and frames of public layouts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from fsmde_core.geometry import make_transform, rotation_to_quaternion
from fsmde_core.rig import K_to_opencv, Rig

START_NS = 1_700_000_000_000_000_000
TF, ODOMETRY = "tf2_msgs/msg/TFMessage", "nav_msgs/msg/Odometry"
ROS1, ROS2 = get_typestore(Stores.ROS1_NOETIC), get_typestore(Stores.ROS2_JAZZY)
OLD_TF = "tf/msg/tfMessage"
for _name in (TF, OLD_TF):
    ROS1.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", _name))


@dataclass(frozen=True)
class Messages:
    """Makes messages of either ROS."""

    ros1: bool

    def kind(self, name: str) -> type:
        return (ROS1 if self.ros1 else ROS2).types[name]

    def header(self, stamp_ns: int, frame: str):
        stamp = self.kind("builtin_interfaces/msg/Time")(*divmod(stamp_ns, 10**9))
        given = {"stamp": stamp, "frame_id": frame}
        return self.kind("std_msgs/msg/Header")(**({"seq": 0} if self.ros1 else {}), **given)

    def jpeg(self, pixels: np.ndarray, stamp_ns: int, frame: str):
        return self.kind("sensor_msgs/msg/CompressedImage")(
            self.header(stamp_ns, frame), "jpeg", as_jpeg(pixels)
        )

    def raw(self, pixels: np.ndarray, stamp_ns: int, frame: str, encoding: str = "rgb8"):
        height, width = pixels.shape[:2]
        return self.kind("sensor_msgs/msg/Image")(
            self.header(stamp_ns, frame), height, width, encoding, 0,
            pixels.nbytes // height, pixels.reshape(-1),
        )  # fmt: skip

    def info(self, camera, stamp_ns: int, frame: str, *, d=()):
        K = K_to_opencv(camera.K)
        P = np.hstack([K, np.zeros((3, 1))]).ravel()
        roi = self.kind("sensor_msgs/msg/RegionOfInterest")(0, 0, 0, 0, False)
        return self.kind("sensor_msgs/msg/CameraInfo")(
            self.header(stamp_ns, frame), camera.height, camera.width, "plumb_bob",
            np.array(d, float), K.ravel(), np.eye(3).ravel(), P, 0, 0, roi,
        )  # fmt: skip

    def transform(self, parent: str, child: str, T: np.ndarray, stamp_ns: int):
        vector, quaternion = self.pose_parts(T)
        return self.kind("geometry_msgs/msg/TransformStamped")(
            self.header(stamp_ns, parent), child,
            self.kind("geometry_msgs/msg/Transform")(vector, quaternion),
        )  # fmt: skip

    def pose_parts(self, T: np.ndarray, *, position: str = "Vector3"):
        quaternion = rotation_to_quaternion(T[:3, :3])
        return (
            self.kind(f"geometry_msgs/msg/{position}")(*T[:3, 3]),
            self.kind("geometry_msgs/msg/Quaternion")(*quaternion),
        )

    def tf(self, *transforms, kind: str = TF):
        return self.kind(kind)(transforms=list(transforms))

    def odometry(self, T: np.ndarray, stamp_ns: int, *, child: str = "base_link"):
        pose = self.kind("geometry_msgs/msg/Pose")(*self.pose_parts(T, position="Point"))
        zero = self.kind("geometry_msgs/msg/Vector3")(0.0, 0.0, 0.0)
        twist = self.kind("geometry_msgs/msg/Twist")(zero, zero)
        return self.kind(ODOMETRY)(
            self.header(stamp_ns, "odom"), child,
            self.kind("geometry_msgs/msg/PoseWithCovariance")(pose, np.zeros(36)),
            self.kind("geometry_msgs/msg/TwistWithCovariance")(twist, np.zeros(36)),
        )  # fmt: skip

    def pose(self, T: np.ndarray, stamp_ns: int):
        pose = self.kind("geometry_msgs/msg/Pose")(*self.pose_parts(T, position="Point"))
        return self.kind("geometry_msgs/msg/PoseStamped")(self.header(stamp_ns, "map"), pose)


def as_jpeg(pixels: np.ndarray) -> np.ndarray:
    return cv2.imencode(".jpg", pixels[..., ::-1])[1].reshape(-1)


def moments(rig: Rig, *, frames: int, hz: float = 2.0):
    """(frame, camera, stamp, T_world_ego) of a drive whose cameras fire 7 ms apart."""
    for frame in range(frames):
        for i, camera in enumerate(rig.cameras):
            stamp_ns = START_NS + round(frame * 1e9 / hz) + i * 7_000_000
            T_world_ego = make_transform(np.eye(3), [2.0 * frame + 0.03 * i, 0, 0])
            yield i, camera, stamp_ns, T_world_ego


class Recording:
    """Writes messages of one ROS to a bag."""

    def __init__(self, path: Path, *, ros1: bool = False, storage=StoragePlugin.MCAP):
        self.make, self._connections = Messages(ros1), {}
        self._ros1 = ros1
        self._writer = Ros1Writer(path) if ros1 else Writer(path, version=9, storage_plugin=storage)

    def __enter__(self) -> Recording:
        self._writer.open()
        return self

    def __exit__(self, *_) -> None:
        self._writer.close()

    def write(self, topic: str, message, stamp_ns: int) -> None:
        kind = message.__msgtype__
        store = ROS1 if self._ros1 else ROS2
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, kind, typestore=store)
        serialize = store.serialize_ros1 if self._ros1 else store.serialize_cdr
        self._writer.write(self._connections[topic], stamp_ns, serialize(message, kind))


def record(
    path, rig, images, *, image="/{}/image_raw", info="/{}/camera_info", frame="{}_optical_frame",
    base="base_link", ros1=False, frames=2, more=None, stamped=True, storage=StoragePlugin.MCAP,
    compress=None,
):  # fmt: skip
    """A drive with /tf_static, as most often; more(bag, camera, stamp) adds to it."""
    bag = Recording(path, ros1=ros1, storage=storage)
    if compress is not None:
        bag._writer.set_compression(compress, CompressionFormat.ZSTD)
    with bag:
        make = bag.make
        poses = [
            make.transform(base, frame.format(c.name), c.T_ego_cam, START_NS) for c in rig.cameras
        ]
        bag.write("/tf_static", make.tf(*poses), START_NS)
        for i, camera, stamp_ns, _ in moments(rig, frames=frames):
            where = stamp_ns if stamped else 0, frame.format(camera.name)
            message = make.raw(images[i], *where)
            bag.write(image.format(camera.name), message, stamp_ns)
            if info:
                bag.write(info.format(camera.name), make.info(camera, *where), stamp_ns)
            if more is not None:
                more(bag, camera, stamp_ns)
    return path


def said(layout) -> str:
    """All sentences about a recording."""
    return "\n".join((*layout.notes, *layout.problems))


def foxglove_nuscenes(path: Path, rig: Rig, images, *, frames: int = 4) -> Path:
    """As foxglove/nuscenes2mcap writes it: protobuf, one FrameTransform a message, odom as JSON."""
    from foxglove_schemas import schemas
    from mcap.writer import Writer as McapWriter
    from mcap_protobuf.schema import build_file_descriptor_set

    kinds = schemas()
    file = path.with_suffix(".mcap")
    with file.open("wb") as opened:
        writer = McapWriter(opened)
        writer.start()
        channels = {}

        def write(topic: str, kind: str, stamp_ns: int, frame_field: str, frame: str, **values):
            message = kinds[kind](**{frame_field: frame}, **values)
            message.timestamp.FromNanoseconds(stamp_ns)
            if topic not in channels:
                data = build_file_descriptor_set(kinds[kind]).SerializeToString()
                schema = writer.register_schema(f"foxglove.{kind}", "protobuf", data)
                channels[topic] = writer.register_channel(topic, "protobuf", schema)
            writer.add_message(channels[topic], stamp_ns, message.SerializeToString(), stamp_ns)

        def write_tf(parent: str, child: str, T: np.ndarray, stamp_ns: int):
            x, y, z, w = rotation_to_quaternion(T[:3, :3])
            write(
                "/tf", "FrameTransform", stamp_ns, "parent_frame_id", parent, child_frame_id=child,
                translation=dict(zip("xyz", T[:3, 3])), rotation={"x": x, "y": y, "z": z, "w": w},
            )  # fmt: skip

        odom = writer.register_schema("Pose", "jsonschema", b"{}")
        odom = writer.register_channel("/odom", "json", odom)
        for i, camera, stamp_ns, T_world_ego in moments(rig, frames=frames):
            name = camera.name
            write_tf("map", "base_link", T_world_ego, stamp_ns)
            write_tf("base_link", name, camera.T_ego_cam, stamp_ns)
            K = K_to_opencv(camera.K)
            P = np.hstack([K, np.zeros((3, 1))]).ravel()
            write(
                f"/{name}/camera_info", "CameraCalibration", stamp_ns, "frame_id", name,
                width=camera.width, height=camera.height, K=K.ravel(), R=np.eye(3).ravel(), P=P,
            )  # fmt: skip
            write(
                f"/{name}/image_rect_compressed", "CompressedImage", stamp_ns, "frame_id", name,
                format="jpeg", data=as_jpeg(images[i]).tobytes(),
            )  # fmt: skip
            writer.add_message(odom, stamp_ns, b"{}", stamp_ns)
        writer.finish()
    return file


def scepter_nuscenes(path: Path, rig: Rig, images, *, ros1: bool, frames: int = 4) -> Path:
    """As scepter914/nuscenes_rosbag has it, in ROS 1 or, through rosbags-convert, in ROS 2."""
    path = path.with_suffix(".bag") if ros1 else path
    with Recording(path, ros1=ros1, storage=StoragePlugin.SQLITE3) as bag:
        for i, camera, stamp_ns, T_world_ego in moments(rig, frames=frames):
            name, make = camera.name, bag.make
            poses = (
                make.transform("map", "base_link", T_world_ego, stamp_ns),
                make.transform("base_link", name, camera.T_ego_cam, stamp_ns),
            )
            bag.write("/tf", make.tf(*poses), stamp_ns)
            bag.write(f"/{name}/camera_info", make.info(camera, stamp_ns, name), stamp_ns)
            image = make.jpeg(images[i], stamp_ns, name)
            bag.write(f"/{name}/image_rect_compressed", image, stamp_ns)
    return path


def clynamen_nuscenes(path: Path, rig: Rig, images, *, frames: int = 4) -> Path:
    """As clynamen/nuscenes2bag has it: ROS 1, raw images, no CameraInfo, all poses on /tf."""
    path = path.with_suffix(".bag")
    with Recording(path, ros1=True) as bag:
        for i, camera, stamp_ns, T_world_ego in moments(rig, frames=frames):
            make, name = bag.make, camera.name.lower()
            bag.write("/odom", make.odometry(T_world_ego, stamp_ns), stamp_ns)
            poses = (
                make.transform("odom", "base_link", T_world_ego, stamp_ns),
                make.transform("base_link", name, camera.T_ego_cam, stamp_ns),
                make.transform("map", "odom", np.eye(4), stamp_ns),
            )
            bag.write("/tf", make.tf(*poses, kind=OLD_TF), stamp_ns)
            bag.write(f"{name}/raw", make.raw(images[i], stamp_ns, name), stamp_ns)
    return path


def ddad(path: Path, rig: Rig, images, *, frames: int = 4) -> Path:
    """DDAD's cameras, numbered, with latched static transforms and a LiDAR in between."""
    with Recording(path) as bag:
        make = bag.make
        poses = [
            make.transform("base_link", f"CAMERA_0{i + 1}", c.T_ego_cam, START_NS)
            for i, c in enumerate(rig.cameras)
        ]
        bag.write("/tf_static", make.tf(*poses), START_NS)
        for i, camera, stamp_ns, T_world_ego in moments(rig, frames=frames):
            name = f"CAMERA_0{i + 1}"
            pose = make.transform("world", "base_link", T_world_ego, stamp_ns)
            bag.write("/tf", make.tf(pose), stamp_ns)
            bag.write(f"/ddad/{name}/camera_info", make.info(camera, stamp_ns, name), stamp_ns)
            bag.write(f"/ddad/{name}/image_raw", make.raw(images[i], stamp_ns, name), stamp_ns)
    return path


def autoware(path: Path, rig: Rig, images, *, frames: int = 4) -> Path:
    """Autoware's sensing topics, rectified and compressed, with the distortion still in D."""
    with Recording(path, storage=StoragePlugin.SQLITE3) as bag:
        make = bag.make
        poses = [make.transform("base_link", "sensor_kit_base_link", np.eye(4), START_NS)]
        for i, camera in enumerate(rig.cameras):
            frame = f"camera{i}/camera_optical_link"
            poses.append(make.transform("sensor_kit_base_link", frame, camera.T_ego_cam, START_NS))
        bag.write("/tf_static", make.tf(*poses), START_NS)
        for i, camera, stamp_ns, T_world_ego in moments(rig, frames=frames):
            folder, frame = f"/sensing/camera/camera{i}", f"camera{i}/camera_optical_link"
            info = make.info(camera, stamp_ns, frame, d=(-0.1, 0.05, 0, 0, 0))
            bag.write(f"{folder}/camera_info", info, stamp_ns)
            image = make.jpeg(images[i], stamp_ns, frame)
            bag.write(f"{folder}/image_rect_color/compressed", image, stamp_ns)
            odometry = make.odometry(T_world_ego, stamp_ns)
            bag.write("/localization/kinematic_state", odometry, stamp_ns)
    return path


def usb_cams(path: Path, rig: Rig, images, *, frames: int = 4) -> Path:
    """Several usb_cam drivers: raw in grey and in YUV, all of one frame, no transforms."""
    with Recording(path) as bag:
        make = bag.make
        for i, camera, stamp_ns, _ in moments(rig, frames=frames):
            grey = cv2.cvtColor(images[i], cv2.COLOR_RGB2GRAY)
            pixels, encoding = grey, "mono8"
            if i % 2:
                pixels, encoding = np.dstack([grey, np.full_like(grey, 128)]), "yuv422_yuy2"
            image = make.raw(pixels, stamp_ns, "default_cam", encoding)
            bag.write(
                f"/cam{i + 1}/camera_info", make.info(camera, stamp_ns, "default_cam"), stamp_ns
            )
            bag.write(f"/cam{i + 1}/image_raw", image, stamp_ns)
    return path
