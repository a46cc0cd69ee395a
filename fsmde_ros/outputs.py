"""The node's publishers."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.publisher import Publisher
from sensor_msgs.msg import PointCloud2

from fsmde_ros.answers import POINTS, camera_topics, obstacle_topics
from fsmde_ros.endpoints import advertise
from fsmde_ros.managed import ManagedNode
from fsmde_ros.params import NodeParams
from fsmde_ros.pipeline import SetOutput


class Outputs:
    """Everything that a node publishes for the cameras of these names.

    The node destroys the publishers, as it does with all that its set_up makes.
    """

    def __init__(self, node: ManagedNode, names: Sequence[str], params: NodeParams):
        self._node, self._names = node, tuple(names)
        self.publishers: dict[str, Publisher] = {}
        """"points", "status", "diagnostics", those of obstacles, each camera's as CAMERA/TOPIC."""
        for name in self._names:
            for topic, kind in camera_topics(params).items():
                self._add(f"{name}/{topic}", kind, f"{name}/{topic}")
        self._add("points", PointCloud2, POINTS)
        for topic, kind in obstacle_topics(params).items():
            self._add(topic, kind, topic)
        self._add("status", DiagnosticStatus, "~/status")
        self._add("diagnostics", DiagnosticArray, "/diagnostics")

    def publish(self, output: SetOutput) -> None:
        """Send what answers one set."""
        for index, messages in output.cameras.items():
            for topic, msg in messages.items():
                self.publishers[f"{self._names[index]}/{topic}"].publish(msg)
        self.publishers["points"].publish(output.cloud)
        for topic, msg in output.obstacles.items():
            self.publishers[topic].publish(msg)

    def _add(self, name: str, kind: type, topic: str) -> None:
        self.publishers[name] = advertise(self._node, kind, topic)
