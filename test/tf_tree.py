"""TF told by hand, to tf2_ros's own buffer where it is installed, else to a stand-in."""

from types import ModuleType

import numpy as np
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from rclpy.time import Time
from std_msgs.msg import Header

from fsmde_core.geometry import motion_between, rotation_to_quaternion
from fsmde_ros.conversions import ns_to_stamp, stamp_to_ns, transform_from_msg
from fsmde_ros.transforms import Transforms

KEPT_NS = 10_000_000_000


class TransformException(Exception):
    pass


class Buffer:
    """Links of a parent and a child; it keeps and refuses what tf2's buffer does."""

    def __init__(self):
        self._moving, self._static = {}, {}

    def set_transform(self, msg, authority):
        poses = self._moving.setdefault((msg.header.frame_id, msg.child_frame_id), {})
        stamp_ns = stamp_to_ns(msg.header.stamp)
        if stamp_ns >= max(poses, default=0) - KEPT_NS:
            poses[stamp_ns] = transform_from_msg(msg.transform)

    def set_transform_static(self, msg, authority):
        self._static[msg.header.frame_id, msg.child_frame_id] = msg

    def clear(self):
        self._moving.clear()

    def get_latest_common_time(self, parent, child):
        return Time(nanoseconds=max(self._poses(parent, child)))

    def lookup_transform(self, parent, child, time):
        if (parent, child) in self._static:
            return self._static[parent, child]
        poses = self._poses(parent, child)
        ns = time.nanoseconds or max(poses)
        if ns < min(poses) or ns > max(poses):
            where = "past" if ns < min(poses) else "future"
            raise TransformException(f"Lookup would require extrapolation into the {where}.")
        before = max(stamp for stamp in poses if stamp <= ns)
        after = min(stamp for stamp in poses if stamp >= ns)
        share = (ns - before) / max(after - before, 1)
        return stamped(parent, child, motion_between(poses[before], poses[after], share), ns)

    def _poses(self, parent, child):
        if not self._moving.get((parent, child)):
            raise TransformException(f'"{parent}" or "{child}" does not exist.')
        return self._moving[parent, child]


def stamped(parent, child, T_parent_child, stamp_ns=0) -> TransformStamped:
    """A link of the tree."""
    msg = TransformStamped(child_frame_id=child)
    msg.header = Header(frame_id=parent, stamp=ns_to_stamp(stamp_ns))
    msg.transform.translation = Vector3(**dict(zip("xyz", T_parent_child[:3, 3].tolist())))
    turn = rotation_to_quaternion(T_parent_child[:3, :3])
    msg.transform.rotation = Quaternion(**dict(zip("xyzw", np.asarray(turn).tolist())))
    return msg


class Tree:
    """The node's Transforms, and what is told to it."""

    def __init__(self, node):
        self.transforms = Transforms(node)

    def moving(self, parent, child, T_parent_child, stamp_ns):
        msg = stamped(parent, child, T_parent_child, stamp_ns)
        self.transforms.buffer.set_transform(msg, "test")

    def static(self, parent, child, T_parent_child):
        self.transforms.buffer.set_transform_static(stamped(parent, child, T_parent_child), "test")


def stand_in() -> ModuleType:
    """What the node uses of tf2_ros."""
    module = ModuleType("tf2_ros")
    module.Buffer, module.TransformException = Buffer, TransformException
    module.TransformListener = lambda buffer, node: object()
    return module
