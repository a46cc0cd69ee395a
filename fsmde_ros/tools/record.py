"""Record topics into a rosbag2, for those without ros2 bag record.

fsmde-record BAG [TOPIC ...] [--seconds 10]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import rclpy
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

from fsmde_ros.bags.messages import message_class
from fsmde_ros.bags.recorder import BagRecorder
from fsmde_ros.interrupts import StartUpError, ros_process

LOOK_S = 3.0  # until a graph is known
NOT_RECORDED = ("/rosout", "/parameter_events")


class RecordError(RuntimeError):
    """Nothing can be recorded; the message says why."""


def topics_of_graph(node: Node, wanted: Sequence[str], *, wait_s: float) -> dict[str, str]:
    """Topics that are published, and their types: those wanted, else all after a look around.

    RecordError names topics that nobody published in time, or says that there are none.
    """
    wanted = [topic if topic.startswith("/") else f"/{topic}" for topic in wanted]
    deadline = time.monotonic() + (wait_s if wanted else LOOK_S)
    found: dict[str, str] = {}
    while rclpy.ok() and time.monotonic() < deadline:
        found = {
            name: kinds[0]
            for name, kinds in node.get_topic_names_and_types()
            if node.count_publishers(name)  # what it offers decides how it is recorded
        }
        if wanted and all(topic in found for topic in wanted):
            return {topic: found[topic] for topic in wanted}
        time.sleep(0.2)
    if missing := [topic for topic in wanted if topic not in found]:
        raise RecordError(f"nobody publishes {', '.join(missing)}")
    found = {name: kind for name, kind in found.items() if name not in NOT_RECORDED}
    if not found:
        raise RecordError("there are no topics: is ROS_DOMAIN_ID that of the others?")
    return found


def make_recorder(bag: Path, wanted: Sequence[str], *, wait_s: float) -> BagRecorder:
    """A recorder of what is there, less what is not installed."""
    # Until the recorder is there: with its last node a process forgets what it knows of others.
    look = rclpy.create_node("recorder_look")
    try:
        topics = topics_of_graph(look, wanted, wait_s=wait_s)
        for topic, kind in list(topics.items()):
            if message_class(kind) is None:
                text = f"fsmde-record: {topic} is left out: {kind} is not installed"
                print(text, file=sys.stderr)
                del topics[topic]
        print(f"recording {', '.join(sorted(topics))}: Ctrl-C ends it", file=sys.stderr)
        return BagRecorder(bag, topics)
    finally:
        look.destroy_node()


def record(bag: Path, wanted: Sequence[str], *, seconds: float, wait_s: float) -> dict[str, int]:
    """Record until interrupted, or for so many seconds; returns messages by topic.

    RecordError if the bag is there already, or there is nothing to record.
    """
    if bag.exists():
        raise RecordError(f"bag {bag} is there already")
    recorder = make_recorder(bag, wanted, wait_s=wait_s)
    end = time.monotonic() + seconds if seconds else float("inf")
    try:
        while rclpy.ok() and time.monotonic() < end:
            rclpy.spin_once(recorder, timeout_sec=0.1)
    finally:
        recorder.close()
    return dict(recorder.counts)


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 with one sentence if nothing can be recorded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bag", type=Path, help="folder to write")
    parser.add_argument("topics", nargs="*", help="all that there are now, if none is given")
    parser.add_argument("--seconds", type=float, default=0.0, help="0: until Ctrl-C")
    parser.add_argument("--wait", type=float, default=60.0, help="seconds to wait for the topics")
    arguments = parser.parse_args(remove_ros_args(argv or sys.argv)[1:])
    counts: dict[str, int] = {}
    try:
        with ros_process(argv):
            counts = record(
                arguments.bag, arguments.topics, seconds=arguments.seconds, wait_s=arguments.wait
            )
    except (RecordError, StartUpError) as error:
        print(f"fsmde-record: {error}", file=sys.stderr)
        return 1
    for topic, count in sorted(counts.items()):
        print(f"{count:6d} {topic}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
