"""What is published now, in rerun."""

from __future__ import annotations

import sys
import time
from functools import partial

import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from fsmde_ros.bags.messages import message_class
from fsmde_ros.bags.writer import TF_TYPE
from fsmde_ros.conversions import MessageError
from fsmde_ros.interrupts import ros_process
from fsmde_ros.views.rerun_log import SHOWN, RerunLog

LOOK_S = 1.0  # between two looks for new topics
STATIC_TF = "/tf_static"
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
TF = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def watch(log: RerunLog, *, seconds: float = 0.0) -> None:
    """Log images, calibrations, clouds and transforms until Ctrl-C, or for so many seconds."""
    with ros_process([]):
        node = rclpy.create_node("view")
        known: set[str] = set()
        end = time.monotonic() + seconds if seconds else float("inf")
        look_at = 0.0
        while rclpy.ok() and (now := time.monotonic()) < end:
            if now >= look_at:
                _subscribe(node, log, known)
                look_at = now + LOOK_S
            rclpy.spin_once(node, timeout_sec=0.1)


def _subscribe(node: Node, log: RerunLog, known: set[str]) -> None:
    """To every topic of a kind that can be shown; those that appear later, too."""
    for topic, (kind, *_) in node.get_topic_names_and_types():
        msg_class = message_class(kind)
        if topic in known or msg_class is None or not (msg_class in SHOWN or kind == TF_TYPE):
            continue
        known.add(topic)
        if kind == TF_TYPE:
            static = topic.endswith(STATIC_TF)
            callback = partial(_transforms, log, static)
            node.create_subscription(msg_class, topic, callback, LATCHED if static else TF)
        else:
            node.create_subscription(msg_class, topic, partial(_message, log, topic), NEWEST)


def _transforms(log: RerunLog, static: bool, msg) -> None:
    for stamped in msg.transforms:
        log.transform(stamped, static=static)


def _message(log: RerunLog, topic: str, msg) -> None:
    try:
        log.message(topic, msg)
    except MessageError as error:
        print(f"fsmde-view: skipped: {error}", file=sys.stderr)
