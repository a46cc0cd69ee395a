"""Synchronization by message_filters, for those who want the policy they know."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rclpy.node import Node
from rclpy.qos import QoSProfile

QUEUE = 10  # messages kept a camera


def approximate_time(
    node: Node,
    kind: type,
    topics: Sequence[str],
    qos: QoSProfile,
    slop_s: float,
    callback: Callable,
) -> list:
    """Subscribe to all topics; callback gets one message of each. Returns the subscriptions.

    Complete sets only, spread strictly below slop_s. ImportError if message_filters is not
    installed (it is part of a ROS installation, not on PyPI).
    """
    try:
        from message_filters import ApproximateTimeSynchronizer, Subscriber
    except ImportError as error:
        raise ImportError(
            "parameter sync_policy: approximate_time needs message_filters, which is not "
            "installed: use rig, or source a ROS 2 installation"
        ) from error
    subscribers = [Subscriber(node, kind, topic, qos_profile=qos) for topic in topics]
    synchronizer = ApproximateTimeSynchronizer(subscribers, QUEUE, slop_s)
    synchronizer.registerCallback(callback)
    return [subscriber.sub for subscriber in subscribers]
