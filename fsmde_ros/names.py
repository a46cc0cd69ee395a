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
    camera = cameras[0] if cameras else "camera"
    images = _resolved(node, "image_topic", params.image_topic, camera)
    infos = _resolved(node, "camera_info_topic", params.camera_info_topic, camera)
    if images == infos:
        raise ParameterError(f"parameters image_topic and camera_info_topic are both {images}")
    if params.odometry_topic:
        _resolved(node, "odometry_topic", params.odometry_topic, camera)


def _resolved(node: Node, parameter: str, topic: str, camera: str) -> str:
    try:
        return node.resolve_topic_name(topic.replace("{camera}", camera))
    except Exception as error:  # rclpy has several, one of them private
        reason = sentence(error).rpartition("failed to resolve name: ")[2]
        raise ParameterError(f"parameter {parameter}: {topic!r} is no topic: {reason}") from error
