"""Cameras and topics by ROS's rules for names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rclpy.node import Node

from fsmde_ros.faults import sentence
from fsmde_ros.params import NodeParams, ParameterError

TOKEN = "[A-Za-z_][A-Za-z0-9_]*"


def check_names(node: Node, params: NodeParams, cameras: Sequence[str]) -> None:
    """ParameterError if the names of cameras, or the topics of parameters, are none in ROS.

    cameras is empty where they are not known yet.
    """
    for name in cameras:
        if not re.fullmatch(f"/?{TOKEN}(/{TOKEN})*", name):
            raise ParameterError(
                f"camera {name!r}: its name begins topics, so it must be of letters, digits and _, "
                "and not begin with a digit"
            )
        if list(cameras).count(name) > 1:
            raise ParameterError(f"camera {name!r} is there twice")
    if cameras or not any((*params.image_topics, *params.camera_info_topics)):
        _check_topics(node, params, cameras or ["camera"])
    if params.odometry_topic:
        _resolved(node, "odometry_topic", params.odometry_topic, "")


def _check_topics(node: Node, params: NodeParams, cameras: Sequence[str]) -> None:
    of_camera: dict[str, str] = {}  # by the topic of its images
    for i, camera in enumerate(cameras):
        found = []
        for name in ("image_topic", "camera_info_topic"):
            params.topics_of(name, cameras)  # as many as there are cameras
            topics = getattr(params, f"{name}s")
            topic = topics[i] if any(topics) else getattr(params, name)
            found.append(_resolved(node, name, topic, camera))
        if found[0] == found[1]:
            raise ParameterError(
                f"parameters image_topic and camera_info_topic are both {found[0]}"
            )
        other = of_camera.setdefault(found[0], camera)
        if other != camera:  # each would show what one of them sees
            raise ParameterError(f"cameras {other} and {camera} have one image topic: {found[0]}")


def _resolved(node: Node, parameter: str, topic: str, camera: str) -> str:
    try:
        return node.resolve_topic_name(topic.replace("{camera}", camera))
    except Exception as error:  # rclpy has several, one of them private
        reason = sentence(error).rpartition("failed to resolve name: ")[2]
        raise ParameterError(f"parameter {parameter}: {topic!r} is no topic: {reason}") from error
