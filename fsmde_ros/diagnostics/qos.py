"""Why a topic is not heard: who publishes on it, of which type and with which service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSCompatibility, qos_check_compatible
from rclpy.subscription import Subscription


def unheard(node: Node, subscriptions: Sequence[Subscription]) -> list[str]:
    """A sentence for each subscription that cannot hear: who is there, what is in the way."""
    found, asked = [], {subscription.topic_name for subscription in subscriptions}
    for subscription in subscriptions:
        topic, kind = subscription.topic_name, _type_name(subscription.msg_type)
        publishers = node.get_publishers_info_by_topic(topic)
        others = [] if publishers else _other_transports(node, topic)
        if others and not asked & set(others):  # who listens to both is not in need of advice
            found.append(f"{topic} has no publisher, {' and '.join(others)} has")
        for publisher in publishers:
            if publisher.topic_type != kind:
                found.append(f"{topic} carries {publisher.topic_type}, not {kind}")
                continue
            compatibility, reason = qos_check_compatible(
                publisher.qos_profile, subscription.qos_profile
            )
            if compatibility == QoSCompatibility.ERROR:
                reason = reason.removeprefix("ERROR: ").rstrip(";")
                found.append(f"{topic} is not heard, see qos_overrides: {reason}")
    return found


def never_heard(node: Node, subscriptions: Sequence[Subscription]) -> list[str]:
    """Why nothing ever came on any of these: nobody sends, it was sent before, or as unheard."""
    unsent, latched, rest = [], [], []
    for subscription in subscriptions:
        topic = subscription.topic_name
        publishers = node.get_publishers_info_by_topic(topic)
        offered = {publisher.qos_profile.durability for publisher in publishers}
        if not publishers:
            unsent.append(topic)
        elif offered - {subscription.qos_profile.durability} == {DurabilityPolicy.TRANSIENT_LOCAL}:
            latched.append(topic)
        else:
            rest.append(subscription)
    found = []
    if unsent:
        found.append(f"{having(unsent)} no publisher")
    if latched:
        found.append(
            f"{having(latched)} latched messages from before, see qos_overrides: "
            "durability: transient_local, reliability: reliable"
        )
    return found + unheard(node, rest)


def without_publisher(node: Node, images: Mapping[int, Sequence[Subscription]]) -> dict[int, str]:
    """Of cameras whose images nobody publishes, in no way that there is, the name of the topic.

    images are each camera's subscriptions. Of one that takes raw images or compressed ones the name
    ends with [/compressed]: neither topic has a publisher.
    """
    found = {}
    for camera, subscriptions in images.items():
        topic, *others = [subscription.topic_name for subscription in subscriptions]
        if any(map(node.count_publishers, (topic, *others))) or _other_transports(node, topic):
            continue
        found[camera] = topic + "".join(f"[{other.removeprefix(topic)}]" for other in others)
    return found


def having(topics: Sequence[str]) -> str:
    """The start of a sentence about topics: the first one by name, and how many more."""
    first, *more = topics
    if not more:
        return f"{first} has"
    return f"{first} and {len(more)} more topic{'s' * (len(more) > 1)} have"


def _other_transports(node: Node, topic: str) -> list[str]:
    """Topics with a publisher that carry the same images in another way, as image_transport does.

    CAMERA/image_raw/compressed, .../theora and so on beside CAMERA/image_raw.
    """
    plain = topic.removesuffix("/compressed")
    return [
        other
        for other, _ in node.get_topic_names_and_types()
        if other != topic
        and (other == plain or other.rpartition("/")[0] == plain)
        and node.count_publishers(other)
    ]


def _type_name(kind: type) -> str:
    """As the graph writes it: sensor_msgs/msg/Image."""
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
