"""Why a publisher and a subscription do not hear each other: quality of service that differs."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.subscription import Subscription


def mismatches(node: Node, subscriptions: Sequence[Subscription]) -> list[str]:
    """A sentence for each publisher whose offer is less than a subscription asks for.

    Only overrides can make it so: by themselves the node's inputs take any offer.
    """
    found = []
    for subscription in subscriptions:
        topic = subscription.topic_name
        for publisher in node.get_publishers_info_by_topic(topic):
            compatibility, reason = qos_check_compatible(
                publisher.qos_profile, subscription.qos_profile
            )
            if compatibility == QoSCompatibility.ERROR:
                reason = reason.removeprefix("ERROR: ").rstrip(";")
                found.append(f"{topic} is not heard, see qos_overrides: {reason}")
    return found
