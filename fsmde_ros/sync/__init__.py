"""Which images of a rig belong together. Only approximate.py knows ROS.

An image's way through here: rig_clock.py believes or refuses its stamp, triggers.py tells of which
firing it is (phases.py knows the period and phase of a camera), rig_sync.py forms the sets.
"""

from fsmde_ros.sync.rig_sync import RigSync, StampedSet

__all__ = ["RigSync", "StampedSet"]
