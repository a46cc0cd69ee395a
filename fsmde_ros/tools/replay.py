"""A recording through the node and back: player, DDS, node, recorder, each its own process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rclpy

from fsmde_ros.answers import COLOR, DEPTH, DEPTH_INFO, POINTS
from fsmde_ros.bags.messages import decoded
from fsmde_ros.bags.recorder import BagRecorder
from fsmde_ros.bags.source import open_source
from fsmde_ros.cloud import rgb_of, xyz_of
from fsmde_ros.conversions import cloud_from_msg, depth_from_msg, stamp_to_ns
from fsmde_ros.decode import decode_image
from fsmde_ros.interrupts import start_ros

START_UP_S = 90.0  # until the node has loaded its model and subscribed
QUIET_S = 5.0  # without output for so long after the player ended: the node is done


class DemoError(RuntimeError):
    """The demo did not come to its end; the message says which part failed."""


@dataclass(frozen=True)
class RecordedSet:
    """The node's output for one set, read back from the output bag, in the rig's order.

    Complete but for the cameras that the node left out of most sets.
    """

    cameras: tuple[int, ...]
    """Numbers in the rig of those that are there, of which the rest is."""
    depths: tuple[np.ndarray, ...]
    images: tuple[np.ndarray, ...]
    """What the network saw, [H, W, 3] uint8 RGB; empty where it was not published."""
    stamps_ns: tuple[int, ...]
    frame_ids: tuple[str, ...]
    xyz: np.ndarray
    rgb: np.ndarray


def output_topics(names: Sequence[str], *, color: bool = False) -> dict[str, str]:
    """Topic -> type of what the node publishes for these cameras."""
    kinds = {DEPTH: "sensor_msgs/msg/Image", DEPTH_INFO: "sensor_msgs/msg/CameraInfo"}
    if color:
        kinds[COLOR] = "sensor_msgs/msg/Image"
    topics = {f"/{name}/{topic}": kind for name in names for topic, kind in kinds.items()}
    return topics | {f"/{POINTS}": "sensor_msgs/msg/PointCloud2"}


def replay(
    output: Path, topics: dict[str, str], *, node: Sequence[str], player: Sequence[str]
) -> None:
    """Node and player as processes of their own; this process records what the node publishes.

    node are ROS arguments, player the player's. DemoError if a part fails.
    """
    start_ros(None)
    recorder = BagRecorder(output, topics)
    node_command = ["fsmde_ros.depth_node", "--ros-args", *node]
    player_command = ["fsmde_ros.bags.player", *player, "--wait", str(START_UP_S)]
    # its warnings are of topics that the node has no use for, as the layout stands
    player_command += ["--ros-args", "--log-level", "bag_player:=error"]
    try:
        with _process(*node_command) as node_process:
            _wait_for_node(recorder, node_process)
            with _process(*player_command) as player_process:
                _record(recorder, node_process, player_process)
            node_process.send_signal(signal.SIGINT)
            if node_process.wait(timeout=20):
                raise DemoError(f"the node ended with exit code {node_process.returncode}")
    finally:
        recorder.close()
        recorder.destroy_node()
        rclpy.try_shutdown()


def _wait_for_node(recorder: BagRecorder, node: subprocess.Popen) -> None:
    """Until the recorder is connected to everything that the node publishes."""
    deadline = time.monotonic() + START_UP_S
    while recorder.unmatched:
        rclpy.spin_once(recorder, timeout_sec=0.1)
        _check_alive(node)
        if time.monotonic() > deadline:
            missing = ", ".join(sorted(recorder.unmatched))
            raise DemoError(f"the node does not publish {missing} after {START_UP_S:.0f} s")


def _check_alive(node: subprocess.Popen) -> None:
    if node.poll() is not None:
        raise DemoError(f"the node ended early with exit code {node.returncode}")


def _record(recorder: BagRecorder, node: subprocess.Popen, player: subprocess.Popen) -> None:
    """Spin the recorder until the player is done and the node has gone quiet."""
    received, quiet_since = 0, time.monotonic()
    while player.poll() is None or time.monotonic() - quiet_since < QUIET_S:
        rclpy.spin_once(recorder, timeout_sec=0.1)
        _check_alive(node)
        if player.poll() is None or recorder.counts.total() > received:
            received, quiet_since = recorder.counts.total(), time.monotonic()
    if not received and not player.returncode:
        raise DemoError("the node published nothing; its log says why")
    if player.returncode:
        raise DemoError(f"the player ended with exit code {player.returncode}")


@contextmanager
def _process(module: str, *arguments: str):
    """A Python module as a child process, ended at the latest with the block."""
    child = subprocess.Popen([sys.executable, "-m", module, *arguments])
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def read_output(bag: Path, names: Sequence[str]) -> list[RecordedSet]:
    """The sets in a bag that the node's output was recorded into, in order.

    Those that have every camera which came out at least half as often as any other.
    """
    seen: dict[str, list] = defaultdict(list)
    with open_source(bag) as source:
        for topic, _, data in source.messages(source.topics):
            seen[topic.name].append(decoded(topic, data))
    counts = [len(seen[f"/{name}/{DEPTH}"]) for name in names]
    cameras = tuple(i for i, n in enumerate(counts) if n and 2 * n >= max(counts))
    names, sets = [names[i] for i in cameras], []
    for cloud in seen[f"/{POINTS}"]:
        newest_ns = stamp_to_ns(cloud.header.stamp)
        views = [_newest(seen[f"/{name}/{DEPTH}"], newest_ns) for name in names]
        if None in views:
            continue
        points = cloud_from_msg(cloud)
        stamps_ns = tuple(stamp_to_ns(view.header.stamp) for view in views)
        sets.append(
            RecordedSet(
                cameras=cameras,
                depths=tuple(depth_from_msg(msg) for msg in views),
                images=_images(seen, names, stamps_ns),
                stamps_ns=stamps_ns,
                frame_ids=tuple(msg.header.frame_id for msg in views),
                xyz=xyz_of(points),
                rgb=rgb_of(points),
            )
        )
    return sets


def _newest(messages: list, stamp_ns: int):
    """The last of a camera's messages that is of a set whose newest stamp is this; None if none.

    Messages are of one set each: it and those before it are taken out.
    """
    found = None
    while messages and stamp_to_ns(messages[0].header.stamp) <= stamp_ns:
        found = messages.pop(0)
    return found


def _images(seen: dict[str, list], names: Sequence[str], stamps_ns: Sequence[int]) -> tuple:
    """The images with these stamps; empty where one was not recorded."""
    found = []
    for name, stamp_ns in zip(names, stamps_ns):
        topic = f"/{name}/{COLOR}"
        same = [m for m in seen[topic] if stamp_to_ns(m.header.stamp) == stamp_ns]
        found += [decode_image(msg, topic).pixels for msg in same[:1]]
    return tuple(found) if len(found) == len(names) else ()
