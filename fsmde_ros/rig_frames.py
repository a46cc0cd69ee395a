"""The frames of a rig file as /tf_static, for rigs that nobody else describes."""

from __future__ import annotations

from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from std_msgs.msg import Header

from fsmde_core.geometry import rotation_to_quaternion
from fsmde_core.rig import Rig
from fsmde_ros.endpoints import advertise
from fsmde_ros.managed import ManagedNode
from fsmde_ros.params import ParameterError

TOPIC = "/tf_static"


def publish_frames(node: ManagedNode, rig: Rig) -> None:
    """Publish base_frame -> optical frame of every camera once, for all who come later, too.

    Where tf2_msgs is not installed (it is part of a ROS installation, not on PyPI) a warning says
    so: the node itself needs no frames. ParameterError for frames that make no tree.
    """
    transforms = rig_transforms(rig)
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError:
        node.get_logger().warning(
            "parameter publish_tf is ignored: tf2_msgs is not installed, a ROS installation has it"
        )
        return
    stamp = node.get_clock().now().to_msg()
    for transform in transforms:
        transform.header.stamp = stamp
    advertise(node, TFMessage, TOPIC, latched=True).publish(TFMessage(transforms=transforms))


def rig_transforms(rig: Rig) -> list[TransformStamped]:
    """base_frame -> optical frame of every camera, without a stamp; ParameterError as above."""
    frames: dict[str, str] = {rig.base_frame: "the base frame"}
    for camera in rig.cameras:
        if not camera.frame_id or camera.frame_id in frames:
            other = f" as {frames[camera.frame_id]}" if camera.frame_id else ""
            raise ParameterError(
                f"parameter publish_tf: camera {camera.name} has the frame_id "
                f"{camera.frame_id!r}{other} in the rig file: give each its own"
            )
        frames[camera.frame_id] = f"camera {camera.name}"
    return [
        TransformStamped(
            header=Header(frame_id=rig.base_frame),
            child_frame_id=camera.frame_id,
            transform=_transform(camera.T_ego_cam),
        )
        for camera in rig.cameras
    ]


def _transform(T) -> Transform:
    """The message of T [4, 4]."""
    x, y, z = T[:3, 3].tolist()
    qx, qy, qz, qw = rotation_to_quaternion(T[:3, :3]).tolist()
    return Transform(
        translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw)
    )
