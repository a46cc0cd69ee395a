"""Record topics into a rosbag2 as the bytes that came over the wire."""

from __future__ import annotations

import shutil
from collections import Counter
from functools import partial
from pathlib import Path

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.rosbag2 import StoragePlugin, Writer

from fsmde_ros.bags.messages import message_class
from fsmde_ros.bags.writer import BAG_VERSION, TYPESTORE

DEPTH = 50  # enough that no output is lost while a message is written


class BagRecorder(Node):
    """Writes every message of the given topics (name -> type) to a bag folder.

    A folder of that name is replaced. Spin the node to record; close() completes the bag.
    """

    def __init__(self, bag: Path, topics: dict[str, str]):
        super().__init__("bag_recorder")
        shutil.rmtree(bag, ignore_errors=True)
        self.counts: Counter[str] = Counter()
        self.unmatched: set[str] = set()
        """Topics without a connected publisher: what is sent there now would be lost."""
        self._writer = Writer(bag, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        for topic, msg_type in topics.items():
            connection = self._writer.add_connection(topic, msg_type, typestore=TYPESTORE)
            self.unmatched.add(topic)
            self.create_subscription(
                message_class(msg_type),
                topic,
                partial(self._write, connection),
                self._qos(topic),
                raw=True,
                event_callbacks=SubscriptionEventCallbacks(matched=partial(self._match, topic)),
            )

    def close(self) -> None:
        """Complete the bag."""
        self._writer.close()

    def _qos(self, topic: str) -> QoSProfile:
        """Reliable, and with what was latched, unless a publisher that is there offers less."""
        offers = [info.qos_profile for info in self.get_publishers_info_by_topic(topic)]
        qos = QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        if any(offer.reliability == ReliabilityPolicy.BEST_EFFORT for offer in offers):
            qos.reliability = ReliabilityPolicy.BEST_EFFORT
        latched = DurabilityPolicy.TRANSIENT_LOCAL
        if offers and all(offer.durability == latched for offer in offers):
            qos.durability = latched
        return qos

    def _match(self, topic: str, status) -> None:
        if status.current_count:
            self.unmatched.discard(topic)
        else:
            self.unmatched.add(topic)

    def _write(self, connection, data: bytes) -> None:
        self._writer.write(connection, self.get_clock().now().nanoseconds, data)
        self.counts[connection.topic] += 1
