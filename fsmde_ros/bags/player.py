"""Replay a rosbag2 into the graph: stored bytes go out as they are, at the recorded pace.

fsmde-play BAG
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rclpy
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection, QosDurability
from rosbags.rosbag2 import ReaderError
from rosgraph_msgs.msg import Clock
from tqdm import tqdm

from fsmde_ros.conversions import ns_to_stamp
from fsmde_ros.interrupts import StartUpError, ros_process

MESSAGE_TYPE = re.compile(r"([a-z][a-z0-9_]*)/msg/([A-Z][A-Za-z0-9]*)")
COMPRESSED_TYPE, INFO_TYPE = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"
NAP_S = 0.1
GLOBAL_TOPICS = ("/tf", "/tf_static", "/clock")
LINGER_S = 1.0  # after the last message, for readers that still fetch it from shared memory


class BagError(ValueError):
    """A bag that cannot be played; the message names it."""


@contextmanager
def open_bag(bag: Path) -> Iterator[AnyReader]:
    """A reader for a rosbag2 folder; BagError if it is missing, broken or empty."""
    if not bag.is_dir():
        raise BagError(f"bag {bag} is not a folder")
    try:
        reader = AnyReader([bag])
        reader.open()
    except (AnyReaderError, ReaderError, OSError, ValueError) as error:
        raise BagError(f"bag {bag}: {error}") from error
    try:
        if not reader.message_count:
            raise BagError(f"bag {bag} is empty")
        yield reader
    finally:
        reader.close()


class BagPlayer(Node):
    """Publishes the messages of one bag on their own topics, below the node's namespace."""

    def __init__(self, reader: AnyReader, *, clock: bool):
        super().__init__("bag_player")
        self._reader = reader
        self._outputs: dict[int, Publisher] = {}
        self._types = {connection.id: connection.msgtype for connection in reader.connections}
        for connection in reader.connections:
            msg_type = message_class(connection.msgtype)
            if msg_type is None:
                self.get_logger().warning(
                    f"{connection.topic} is not replayed: {connection.msgtype} is not installed"
                )
                continue
            topic = connection.topic
            if topic not in GLOBAL_TOPICS:
                topic = topic.lstrip("/")  # relative, so that a namespace applies
            qos = _offered_qos(connection)
            self._outputs[connection.id] = self.create_publisher(msg_type, topic, qos)
        self._clock_output = self.create_publisher(Clock, "/clock", 10) if clock else None

    def wait_for_subscribers(self, timeout_s: float) -> None:
        """Wait until the images and CameraInfo of every camera have a subscriber.

        (Compressed images where the bag has any.) LiDAR, poses and ground truth may go unheard.
        BagError names the topics that nobody subscribed to within timeout_s seconds.
        """
        deadline = time.monotonic() + timeout_s
        while rclpy.ok() and (missing := self._without_subscriber()):
            if time.monotonic() > deadline:
                raise BagError(f"nobody subscribed to {', '.join(missing)} in {timeout_s:.0f} s")
            time.sleep(0.05)

    def play(self, *, rate: float) -> None:
        """Publish everything once, `rate` times as fast as it was recorded."""
        connections = [c for c in self._reader.connections if c.id in self._outputs]
        total = sum(c.msgcount for c in connections)
        first_ns, started = None, time.monotonic()
        progress = tqdm(total=total, desc="play", unit="msg", disable=None)
        for connection, stamp_ns, data in self._reader.messages(connections):
            first_ns = stamp_ns if first_ns is None else first_ns
            _sleep_until(started + (stamp_ns - first_ns) / 1e9 / rate)
            if not rclpy.ok():
                return
            if self._clock_output is not None:
                self._clock_output.publish(Clock(clock=ns_to_stamp(stamp_ns)))
            self._outputs[connection.id].publish(bytes(data))
            progress.update()
        progress.close()

    def _without_subscriber(self) -> list[str]:
        types = {self._types[number] for number in self._outputs}
        image = COMPRESSED_TYPE if COMPRESSED_TYPE in types else "sensor_msgs/msg/Image"
        return [
            output.topic_name
            for number, output in self._outputs.items()
            if self._types[number] in (image, INFO_TYPE) and not output.get_subscription_count()
        ]


def message_class(msg_type: str):
    """The rclpy class of a type such as sensor_msgs/msg/Image; None if it is not installed."""
    match = MESSAGE_TYPE.fullmatch(msg_type)
    if match is None:
        return None
    try:
        return getattr(importlib.import_module(f"{match[1]}.msg"), match[2], None)
    except ImportError:
        return None


def _offered_qos(connection: Connection) -> QoSProfile:
    """Reliable, so that any subscriber matches; latched where the recorded topic was."""
    offered = connection.ext.offered_qos_profiles
    latched = any(qos.durability == QosDurability.TRANSIENT_LOCAL for qos in offered)
    durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
    return QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=durability)


def _sleep_until(due: float) -> None:
    """Sleep until a moment of time.monotonic(), in naps, so that an interrupt is noticed."""
    while rclpy.ok() and (left := due - time.monotonic()) > 0:
        time.sleep(min(left, NAP_S))


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 with one sentence for a bag that cannot be played."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bag", type=Path, help="rosbag2 folder")
    parser.add_argument("--rate", type=_positive, default=1.0, help="times the recorded pace")
    parser.add_argument("--loops", type=int, default=1, help="how often; 0 for ever")
    parser.add_argument("--clock", action="store_true", help="publish /clock, for use_sim_time")
    parser.add_argument(
        "--wait", type=float, default=0.0, help="seconds to wait for a subscriber on every topic"
    )
    arguments = parser.parse_args(rclpy.utilities.remove_ros_args(argv or sys.argv)[1:])
    try:
        with ros_process(argv), open_bag(arguments.bag) as reader:
            player = BagPlayer(reader, clock=arguments.clock)
            if arguments.wait:
                player.wait_for_subscribers(arguments.wait)
            loop = 0
            while rclpy.ok() and (loop < arguments.loops or not arguments.loops):
                player.play(rate=arguments.rate)
                loop += 1
            _sleep_until(time.monotonic() + LINGER_S)
    except (BagError, StartUpError) as error:
        print(f"fsmde-play: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
