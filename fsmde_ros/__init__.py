"""The ROS 2 side of surround depth: synchronization, node, messages and bags."""
