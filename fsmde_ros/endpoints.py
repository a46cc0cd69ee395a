"""The node's publishers and subscriptions, with their quality of service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rclpy.qos
from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

from fsmde_ros.faults import sentence
from fsmde_ros.managed import ManagedNode
from fsmde_ros.params import ParameterError

OVERRIDABLE = {
    "history": QoSPolicyKind.HISTORY,
    "depth": QoSPolicyKind.DEPTH,
    "reliability": QoSPolicyKind.RELIABILITY,
    "durability": QoSPolicyKind.DURABILITY,
}


class EndpointError(RuntimeError):
    """A publisher or subscription that ROS refuses to make; the message names its topic."""


def subscribe(
    node: ManagedNode,
    kind: type,
    topic: str,
    callback: Callable,
    *,
    depth: int = 1,
    group: CallbackGroup,
) -> Subscription:
    """A subscription that takes any offer, unless qos_overrides say otherwise.

    ParameterError names an override that is none, EndpointError a topic that ROS refuses.
    """
    # Of its own: rclpy writes the overrides of the topic into it.
    qos = QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
    with _named(node, topic, "subscription"):
        return node.create_subscription(
            kind,
            topic,
            callback,
            qos,
            callback_group=group,
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
            qos_overriding_options=_overriding(node, topic, "subscription"),
        )


def advertise(node: ManagedNode, kind: type, topic: str, *, latched: bool = False) -> Publisher:
    """A publisher that meets any request, unless qos_overrides say otherwise.

    Reliable, so that RViz, recorders and depth_image_proc all connect. latched: whoever comes later
    gets the last message. Errors as of subscribe.
    """
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)  # of its own, as above
    if latched:
        qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
    with _named(node, topic, "publisher"):
        return node.create_publisher(
            kind, topic, qos, qos_overriding_options=_overriding(node, topic, "publisher")
        )


@contextmanager
def _named(node: ManagedNode, topic: str, side: str) -> Iterator[None]:
    """What rclpy says of an endpoint names neither the topic nor, often, the reason."""
    try:
        yield
    except ParameterError:
        raise
    except Exception as error:
        full = node.resolve_topic_name(topic)
        raise EndpointError(
            f"{full} gets no {side}, is it of two types in this node? {sentence(error)}"
        ) from error


def _overriding(node: ManagedNode, topic: str, side: str) -> QoSOverridingOptions:
    prefix = f"qos_overrides.{node.resolve_topic_name(topic)}.{side}."
    given = {name: p.value for name, p in node.get_parameters_by_prefix(prefix[:-1]).items()}
    given |= {n.removeprefix(prefix): [] for n in node.empty_overrides if n.startswith(prefix)}
    for policy, value in given.items():
        if policy not in OVERRIDABLE:
            known = ", ".join(OVERRIDABLE)
            node.get_logger().warning(f"parameter {prefix}{policy} is ignored: not one of {known}")
        elif reason := _why_not(policy, value):
            raise ParameterError(f"parameter {prefix}{policy}: {reason}")
        elif not node.describe_parameter(prefix + policy).read_only:
            node.undeclare_parameter(prefix + policy)  # rclpy declares it, read-only as it must be
    return QoSOverridingOptions(policy_kinds=tuple(OVERRIDABLE.values()))


def _why_not(policy: str, value: Any) -> str:
    """Why a QoS policy cannot have a value; empty if it can."""
    if policy == "depth":
        whole = isinstance(value, int) and not isinstance(value, bool)
        return "" if whole and value > 0 else f"{value!r} is not a number of messages"
    policies = getattr(rclpy.qos, f"{policy.capitalize()}Policy")
    known = [p.name.lower() for p in policies if p.name != "UNKNOWN"]
    return "" if value in known else f"{value!r} is not one of {', '.join(known)}"
