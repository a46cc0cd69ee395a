"""Replay a recording into the graph, as ROS 2 messages and at the recorded pace.

fsmde-play BAG

BAG is a rosbag2, a ROS 1 bag or an MCAP file. Of each camera one image topic is replayed; what a
node like ours published is not, it would be taken for this node's.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import rclpy
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from tqdm import tqdm

from fsmde_core.rig import Camera, RigError
from fsmde_ros.bags.cameras import INFO_TYPE, ros_topic
from fsmde_ros.bags.layout import WITHOUT_INFO, BagLayout, NoCameraError, look_into
from fsmde_ros.bags.messages import head, message_class
from fsmde_ros.bags.source import BagError, Source, Topic, open_source
from fsmde_ros.conversions import camera_info_msg, ns_to_stamp
from fsmde_ros.interrupts import StartUpError, ros_process

NAP_S = 0.1
GLOBAL_TOPICS = ("/tf", "/tf_static", "/clock")
LEAD_S = 2.0  # before the first image: a replay begins there
LINGER_S = 1.0  # after the last message: readers fetch it from shared memory, deadlines pass


class BagPlayer(Node):
    """Publishes the messages of a recording on their own topics, below the node's namespace.

    layout says which of a camera's topics, and where; None: all there are. A camera of its rig
    whose CameraInfo was not recorded gets the rig's, with every image.
    """

    def __init__(self, source: Source, layout: BagLayout | None, *, clock: bool):
        super().__init__("bag_player")
        self._source = source
        self._outputs: dict[Topic, Publisher] = {}
        self._infos: dict[Topic, tuple[Publisher, Camera]] = {}
        self._awaited: list[Publisher] = []
        """Of the cameras."""
        cameras = layout.cameras if layout is not None else ()
        self._now_ns = 0
        self._begins_ns = layout.begins_ns - LEAD_S * 1e9 if layout is not None else 0
        played = {camera.image_topic: camera.played_topic for camera in cameras}
        of_cameras = {*played, *(camera.info_topic for camera in cameras)}
        unknown: dict[str, str] = {}
        for topic in source.topics:
            if layout is not None and topic.name in layout.not_played:
                continue
            kind = message_class(topic.kind)
            if kind is None:
                unknown.setdefault(topic.kind, topic.name)
                continue
            output = self._output(
                kind, played.get(topic.name, ros_topic(topic.name)), latched=topic.latched
            )
            self._outputs[topic] = output
            if topic.name in of_cameras:
                self._awaited.append(output)
        self._add_infos(layout)
        for kind, topic in unknown.items():
            self.get_logger().warning(f"{topic} is not replayed: {kind} is not installed")
        self._clock_output = self.create_publisher(Clock, "/clock", 10) if clock else None

    def _add_infos(self, layout: BagLayout | None) -> None:
        """Outputs for the CameraInfo that was not recorded."""
        if layout is None or layout.rig is None:
            return
        for camera, pinhole in zip(layout.cameras, layout.rig.cameras):
            if camera.info_topic is None:
                name = WITHOUT_INFO.replace("{camera}", camera.name)
                output = self._output(CameraInfo, name, latched=False)
                topic = next(t for t in self._outputs if t.name == camera.image_topic)
                self._infos[topic] = output, pinhole
                self._awaited.append(output)

    def _output(self, kind: type, topic: str, *, latched: bool) -> Publisher:
        """Reliable, so that any subscriber matches; latched where the recorded topic was."""
        if topic not in GLOBAL_TOPICS:
            topic = topic.lstrip("/")  # relative, so that a namespace applies
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=durability)
        return self.create_publisher(kind, topic, qos)

    def wait_for_subscribers(self, timeout_s: float) -> None:
        """Wait until the images and CameraInfo of every camera have a subscriber.

        LiDAR, poses and ground truth may go unheard. BagError names the topics that nobody
        subscribed to within timeout_s seconds.
        """
        deadline = time.monotonic() + timeout_s
        while rclpy.ok() and (missing := self._without_subscriber()):
            if time.monotonic() > deadline:
                raise BagError(f"nobody subscribed to {', '.join(missing)} in {timeout_s:.0f} s")
            time.sleep(0.05)

    def play(self, *, rate: float, seconds: float = math.inf) -> None:
        """Publish the first seconds once, `rate` times as fast as they were recorded.

        They begin LEAD_S before the first image: of what was recorded earlier, such as transforms
        of the time 0, only what goes on to hold is published, at once.
        """
        total = sum(topic.count for topic in self._outputs)
        first_ns, started = None, time.monotonic()
        progress = tqdm(total=total, desc="play", unit="msg", disable=None)
        for topic, stamp_ns, data in self._source.messages(self._outputs):
            if stamp_ns < self._begins_ns:
                if _holds_on(topic):
                    self._outputs[topic].publish(data)
                continue
            first_ns = stamp_ns if first_ns is None else first_ns
            if stamp_ns - first_ns > seconds * 1e9:
                break
            _sleep_until(started + (stamp_ns - first_ns) / 1e9 / rate)
            if not rclpy.ok():
                return
            self._set_clock(stamp_ns)
            if topic in self._infos:
                self._publish_info(*self._infos[topic], *head(topic, data))
            self._outputs[topic].publish(data)
            progress.update()
        progress.close()

    def linger(self) -> None:
        """Stay for a moment after the last message, while /clock goes on."""
        start, end_ns = time.monotonic(), self._now_ns
        while rclpy.ok() and (passed_s := time.monotonic() - start) < LINGER_S:
            self._set_clock(end_ns + round(passed_s * 1e9))
            time.sleep(NAP_S)

    def _set_clock(self, stamp_ns: int) -> None:
        self._now_ns = stamp_ns
        if self._clock_output is not None:
            self._clock_output.publish(Clock(clock=ns_to_stamp(stamp_ns)))

    def _publish_info(
        self, output: Publisher, camera: Camera, stamp_ns: int, frame_id: str
    ) -> None:
        header = Header(stamp=ns_to_stamp(stamp_ns), frame_id=frame_id or camera.frame_id)
        output.publish(camera_info_msg(camera, header))

    def _without_subscriber(self) -> Sequence[str]:
        return [o.topic_name for o in self._awaited if not o.get_subscription_count()]


def _holds_on(topic: Topic) -> bool:
    """Whether a message counts until the next one of its topic."""
    return topic.latched or topic.name.endswith("tf_static") or topic.kind == INFO_TYPE


def layout_to_play(bag: Path, rig_file: Path | None = None) -> BagLayout | None:
    """The layout; None where there is no camera, and all is replayed."""
    try:
        return look_into(bag, rig_file=rig_file)
    except NoCameraError:
        return None


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
    parser.add_argument("bag", type=Path, help="rosbag2 folder, ROS 1 bag or MCAP file")
    parser.add_argument("--rate", type=_positive, default=1.0, help="times the recorded pace")
    parser.add_argument("--loops", type=int, default=1, help="how often; 0 for ever")
    parser.add_argument("--seconds", type=_positive, default=math.inf, help="only the first ones")
    parser.add_argument("--rig", type=Path, help="rig file; rig.yaml beside it if not given")
    parser.add_argument("--clock", action="store_true", help="publish /clock, for use_sim_time")
    parser.add_argument(
        "--wait", type=float, default=0.0, help="seconds to wait for a subscriber on every topic"
    )
    arguments = parser.parse_args(rclpy.utilities.remove_ros_args(argv or sys.argv)[1:])
    try:
        layout = layout_to_play(arguments.bag, arguments.rig)
        with ros_process(argv), open_source(arguments.bag) as source:
            player = BagPlayer(source, layout, clock=arguments.clock)
            if arguments.wait:
                player.wait_for_subscribers(arguments.wait)
            loop = 0
            while rclpy.ok() and (loop < arguments.loops or not arguments.loops):
                player.play(rate=arguments.rate, seconds=arguments.seconds)
                loop += 1
            player.linger()
    except (BagError, RigError, StartUpError) as error:
        print(f"fsmde-play: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
