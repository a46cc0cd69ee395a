"""The main job end to end: bag -> player process -> DDS -> node process -> output bag, picture.

make demo renders a street and replays it; fsmde-demo --data <nuScenes root> replays a real scene.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rclpy.serialization import deserialize_message
from tqdm import tqdm

from fsmde_core.data.nuscenes import read_keyframes
from fsmde_core.data.sample import DatasetError, Sample, read_image
from fsmde_core.tables import table
from fsmde_core.visualize import surround_panel
from fsmde_ros.bags.player import message_class
from fsmde_ros.bags.recorder import BagRecorder
from fsmde_ros.bags.source import BagError, open_bag
from fsmde_ros.bags.writer import RIG_FILE, write_bag
from fsmde_ros.cloud import rgb_of, xyz_of
from fsmde_ros.conversions import cloud_from_msg, depth_from_msg, stamp_to_ns
from fsmde_ros.share import use_transport_profile

START_UP_S = 90.0  # until the node has loaded its model and subscribed
QUIET_S = 5.0  # without output for so long after the player ended: the node is done


DRIVE_SEED = 1_000_003  # of the validation split: no shipped model was trained on it
DRIVE_SIZE = (640, 360)
DRIVE_FRAMES = 4
DRIVE_HZ = 2.0  # nuScenes' keyframes; slow enough for any machine to keep up


class DemoError(RuntimeError):
    """The demo did not come to its end; the message says which part failed."""


@dataclass(frozen=True)
class RecordedSet:
    """The node's output for one set, read back from the output bag, in the rig's order."""

    depths: tuple[np.ndarray, ...]
    stamps_ns: tuple[int, ...]
    frame_ids: tuple[str, ...]
    xyz: np.ndarray
    rgb: np.ndarray


def render_street(folder: Path) -> list[Sample]:
    """A short drive through the street as samples whose JPEGs lie in folder; DemoError if numba
    is missing."""
    try:
        from fsmde_core.street.camera_view import RenderConfig
        from fsmde_core.street.drive import DriveConfig, render_drive
        from fsmde_core.street.rigs import make_rig
    except ImportError as error:
        raise DemoError(f"rendering needs the extra [street] ({error}), or give --data") from error
    config = DriveConfig(
        frames=DRIVE_FRAMES, rate_hz=DRIVE_HZ, render=RenderConfig(samples=2, reflections=True)
    )
    rig, samples = make_rig("nuscenes").resized(*DRIVE_SIZE), []
    drive = render_drive(DRIVE_SEED, rig, config)
    for frames in tqdm(drive, total=DRIVE_FRAMES, desc="rendering the street", unit="frame"):
        files = [folder / f"{f.camera.name}_{frames.index:03d}.jpg" for f in frames.cameras]
        for file, frame in zip(files, frames.cameras):
            file.write_bytes(frame.jpeg)
        samples.append(
            Sample(
                scene=f"street-{DRIVE_SEED}",
                token=f"street-{DRIVE_SEED}-{frames.index}",
                rig=rig,
                image_files=tuple(files),
                stamps_ns=tuple(f.stamp_ns for f in frames.cameras),
                T_world_ego=np.stack([f.T_world_ego for f in frames.cameras]),
                lidar=None,
            )
        )
    return samples


def run_demo(samples: Sequence[Sample], out: Path, *, title: str) -> Path:
    """Replay samples through the node; returns the picture. DemoError or BagError if a part fails.

    Leaves input/ (bag and rig file), output/ (bag of everything the node published) and
    surround.png in the folder `out`.
    """
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "input", ignore_errors=True)
    write_bag(samples, out / "input")
    names = samples[0].rig.names
    topics = {f"/{name}/depth/image_rect": "sensor_msgs/msg/Image" for name in names}
    topics |= {f"/{name}/depth/camera_info": "sensor_msgs/msg/CameraInfo" for name in names}
    topics["/points"] = "sensor_msgs/msg/PointCloud2"
    _replay(out, topics)
    sets = read_output(out / "output", names)
    matched = _matched(sets, samples)
    _print_table(matched, len(samples))
    sample, recorded = matched[len(matched) // 2]
    panel = surround_panel(
        [read_image(file) for file in sample.image_files],
        recorded.depths,
        sample.rig,
        xyz=recorded.xyz,
        rgb=recorded.rgb,
        caption=f"{title}, {len(recorded.xyz):,} points in {sample.rig.base_frame}",
    )
    picture = out / "surround.png"
    if not cv2.imwrite(str(picture), cv2.cvtColor(panel, cv2.COLOR_RGB2BGR)):
        raise DemoError(f"picture {picture} cannot be written")
    return picture


def _replay(out: Path, topics: dict[str, str]) -> None:
    """Node and player as processes of their own; this process records what the node publishes."""
    use_transport_profile()
    rig_file, bag = out / "input" / RIG_FILE, out / "input"
    rclpy.init()
    recorder = BagRecorder(out / "output", topics)
    node_command = [
        "fsmde_ros.depth_node", "--ros-args", "-p", f"rig_file:={rig_file}",
        "-p", "compressed:=true", "-p", "cloud_edge_ratio:=0.15",
    ]  # fmt: skip
    player_command = ["fsmde_ros.bags.player", str(bag), "--wait", str(START_UP_S)]
    try:
        with _process(*node_command) as node:
            _wait_for_node(recorder, node)
            with _process(*player_command) as player:
                _record(recorder, node, player)
            node.send_signal(signal.SIGINT)
            if node.wait(timeout=20):
                raise DemoError(f"the node ended with exit code {node.returncode}")
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
    """The sets in a bag that the node's output was recorded into, in the order of publication."""
    depths = {name: [] for name in names}
    clouds = []
    with open_bag(bag) as reader:
        for connection, _, data in reader.messages():
            msg = deserialize_message(bytes(data), message_class(connection.msgtype))
            if connection.topic == "/points":
                clouds.append(msg)
            elif connection.topic.endswith("/depth/image_rect"):
                depths[connection.topic.split("/")[1]].append(msg)
    sets = []
    for cloud, *views in zip(clouds, *(depths[name] for name in names)):
        points = cloud_from_msg(cloud)
        sets.append(
            RecordedSet(
                depths=tuple(depth_from_msg(msg) for msg in views),
                stamps_ns=tuple(stamp_to_ns(msg.header.stamp) for msg in views),
                frame_ids=tuple(msg.header.frame_id for msg in views),
                xyz=xyz_of(points),
                rgb=rgb_of(points),
            )
        )
    return sets


def _matched(sets: list[RecordedSet], samples: Sequence[Sample]) -> list[tuple]:
    """Pairs (sample, set); DemoError if there are none or one carries foreign stamps or frames."""
    by_stamps = {sample.stamps_ns: sample for sample in samples}
    pairs = []
    for recorded in sets:
        sample = by_stamps.get(recorded.stamps_ns)
        if sample is None:
            raise DemoError(f"the node published stamps {recorded.stamps_ns} that no sample has")
        frame_ids = tuple(camera.frame_id for camera in sample.rig.cameras)
        if recorded.frame_ids != frame_ids:
            raise DemoError(f"the node published frames {recorded.frame_ids}, not {frame_ids}")
        pairs.append((sample, recorded))
    if not pairs:
        raise DemoError("the node published no complete set")
    return pairs


def _print_table(matched: list[tuple], played: int) -> None:
    sample, recorded = matched[len(matched) // 2]
    print(f"\nsets played {played}, depth sets received {len(matched)}; one of them:")
    rows = []
    for camera, depth, stamp_ns in zip(sample.rig.cameras, recorded.depths, recorded.stamps_ns):
        valid, size = np.isfinite(depth), f"{depth.shape[1]}x{depth.shape[0]}"
        median = f"{np.median(depth[valid]):.1f} m" if valid.any() else "-"
        rows.append([camera.name, size, f"{valid.mean():.0%}", median, f"{stamp_ns / 1e9:.6f}"])
    print(table(["camera", "size", "valid", "median depth", "stamp"], rows))
    finite = int(np.isfinite(recorded.xyz).all(axis=1).sum())
    print(f"cloud: {finite:,} finite points in {sample.rig.base_frame}\n")


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 with one sentence if a part fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="nuScenes root; without it a rendered street")
    parser.add_argument("--version", default="v1.0-mini", help="folder of tables in the root")
    parser.add_argument("--scene", help="scene name; the first if not given")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for results")
    arguments = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as folder:
            if arguments.data:
                samples = read_keyframes(arguments.data, arguments.version)
                samples = samples.of_scene(arguments.scene)
                title = samples[0].scene
            else:
                samples, title = render_street(Path(folder)), f"street, seed {DRIVE_SEED}"
            picture = run_demo(samples, arguments.out, title=title)
    except (DatasetError, BagError, DemoError) as error:
        print(f"fsmde-demo: {error}", file=sys.stderr)
        return 1
    print(f"picture: {picture}\nbags: {arguments.out / 'input'}, {arguments.out / 'output'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
