"""Does this machine's transport carry a camera rig? Measures it, and says what to change.

fsmde-doctor [--seconds 10] [--rig RIG.yaml]
fsmde-doctor --bag BAG [--rig RIG.yaml] [--out FOLDER]
fsmde-doctor --status [--namespace NAMESPACE]
fsmde-doctor --dds-profile

A process like a driver sends six cameras at 12 Hz, compressed and then raw, to this one, which
listens as the node does: best effort, depth 1. The driver has the transport's settings of this
shell and no others, this process has ours where there are none. With --bag it looks into a
recording instead and says what it found; with --out, too, it writes params.yaml and rig.yaml for
the node. With --status it says what a node that runs says of itself. --dds-profile prints the file
that camera drivers should run under.

Exit codes: 0 all is well; 1 something is to be changed, of a recording: a camera of it, or all,
cannot be used; 2 it could not look.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from tqdm import tqdm

from fsmde_core.files import reason
from fsmde_core.rig import Rig, RigError, load_rig
from fsmde_core.tables import table
from fsmde_ros.bags.layout import PARAMS_FILE, RIG_FILE, BagLayout, look_into, write_setup
from fsmde_ros.bags.source import BagError
from fsmde_ros.conversions import stamp_to_ns
from fsmde_ros.interrupts import StartUpError, ros_process
from fsmde_ros.share import RMW_VARIABLE, SWITCH, share_dir, transport_profile
from fsmde_ros.tools.delivery import Delivery, Machine, advice, this_machine

START_UP_S = 30.0
STATUS = "surround_depth/status"
STATUS_WAIT_S = 10.0  # the node says it once a second
QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def measure(rig_file: Path, *, raw: bool, seconds: float, drivers: Mapping[str, str]) -> Delivery:
    """Send and count; StartUpError if the sender does not start. rclpy must be initialized.

    drivers is the environment of the process that sends.
    """
    rig = load_rig(rig_file)
    listener = _Listener(rig, raw=raw)
    command = [sys.executable, "-m", "fsmde_ros.tools.rig_source", "--rig", str(rig_file)]
    command += ["--seconds", str(seconds), "--wait", str(START_UP_S), *(["--raw"] if raw else [])]
    source = subprocess.Popen(
        [*command, "--ros-args", "-r", f"__ns:={listener.node.get_namespace()}"],
        stdout=subprocess.PIPE,
        text=True,
        env={**drivers, SWITCH: "false"},
    )
    progress = tqdm(total=round(seconds), desc="raw" if raw else "compressed", unit="s")
    first = time.monotonic()
    try:
        while source.poll() is None and rclpy.ok():
            rclpy.spin_once(listener.node, timeout_sec=0.05)
            first = time.monotonic() if not listener.latencies_ms else first
            elapsed_s = int(time.monotonic() - first)
            progress.update(min(elapsed_s, progress.total) - progress.n)
        output, _ = source.communicate()
        if source.returncode:
            raise StartUpError("the sending process did not run")
    finally:
        if source.poll() is None:
            source.terminate()
            source.wait(timeout=10)
        progress.close()
        listener.node.destroy_node()
    return listener.delivery(int(output or 0))


class _Listener:
    """Subscribes to every camera as the node does, in a namespace of its own."""

    def __init__(self, rig: Rig, *, raw: bool):
        self.node: Node = rclpy.create_node("doctor", namespace=f"/doctor_{os.getpid()}")
        self.latencies_ms: list[float] = []
        self._kind = "raw" if raw else "compressed"
        self._counts = [0] * len(rig.cameras)
        kind, suffix = (Image, "") if raw else (CompressedImage, "/compressed")
        for i, name in enumerate(rig.names):
            topic = f"{name}/image_raw{suffix}"
            self.node.create_subscription(kind, topic, lambda msg, i=i: self._note(i, msg), QOS)

    def _note(self, index: int, msg) -> None:
        self._counts[index] += 1
        self.latencies_ms.append((time.time_ns() - stamp_to_ns(msg.header.stamp)) / 1e6)

    def delivery(self, sent: int) -> Delivery:
        """The result, once `sent` images of each camera were sent."""
        latencies = self.latencies_ms or [float("nan")]
        p50, p95 = (float(np.percentile(latencies, q)) for q in (50, 95))
        return Delivery(self._kind, sent, tuple(self._counts), (p50, p95))


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 0 if everything arrives, 1 if something is to be changed."""
    exit_codes = __doc__.rpartition("\n\n")[2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=exit_codes)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each kind of image")
    parser.add_argument("--rig", type=Path, help="rig file; nuScenes' if not given")
    parser.add_argument("--bag", type=Path, help="look into this recording instead")
    parser.add_argument(
        "--out", type=Path, help="with --bag: write params.yaml and rig.yaml to this folder"
    )
    parser.add_argument("--status", action="store_true", help="of a node that runs")
    parser.add_argument("--namespace", default="", help="with --status: the node's")
    parser.add_argument(
        "--dds-profile", action="store_true", help="print the file for camera drivers"
    )
    arguments = parser.parse_args(rclpy.utilities.remove_ros_args(argv or sys.argv)[1:])
    if arguments.bag is not None:
        return about_bag(arguments.bag, arguments.out, rig_file=arguments.rig)
    if arguments.dds_profile:
        return print_profile()
    drivers = dict(os.environ)
    rig_file = arguments.rig or share_dir() / "config" / "rig_nuscenes.yaml"
    try:
        with ros_process(argv):
            if arguments.status:
                return print_status(arguments.namespace)
            deliveries = [
                measure(rig_file, raw=raw, seconds=arguments.seconds, drivers=drivers)
                for raw in (False, True)
            ]
            machine = this_machine(drivers)
    except (StartUpError, RigError) as error:
        print(f"fsmde-doctor: {error}", file=sys.stderr)
        return 2
    return report(machine, deliveries)


def about_bag(bag: Path, folder: Path | None, *, rig_file: Path | None) -> int:
    """Say what a recording holds and, to a folder, write what the node needs; the exit code.

    0 if depth of all its cameras can come out, 1 if a camera or all cannot be used, 2 if the
    recording or the folder cannot.
    """
    try:
        layout = look_into(bag, rig_file=rig_file)
        print(layout.described())
        if folder is not None:
            _write(layout, folder)
    except (BagError, RigError, OSError) as error:
        why = reason(error) if isinstance(error, OSError) else error
        print(f"fsmde-doctor: {why}", file=sys.stderr)
        return 2
    if folder is None:
        print("nothing is written; --out FOLDER writes params.yaml and rig.yaml for the node")
    if layout.rig is None:
        file = (folder or Path("FOLDER")) / RIG_FILE
        print(f"no depth comes out: fill in each K in {file}, then give it by --rig")
    elif layout.guessed:
        print("GUESSED: where the cameras sit. Correct it in rig.yaml before you trust any depth.")
    return 0 if layout.whole else 1


def _write(layout: BagLayout, folder: Path) -> None:
    """Write the node's files and print how to start it; BagError if they are there already."""
    there = next((folder / n for n in (PARAMS_FILE, RIG_FILE) if (folder / n).exists()), None)
    if there is not None:
        raise BagError(f"{there} is there already: move it away, or say another --out")
    setup = write_setup(layout, folder)
    print(f"wrote {setup.params_file}, {setup.rig_file}")
    node = f"{sys.executable} -m fsmde_ros.depth_node"
    if shutil.which("ros2"):
        node = "ros2 run fsmde_ros surround_depth"
    print(f"{node} --ros-args --params-file {setup.params_file}")


def print_profile() -> int:
    """Print our profile of the RMW in use, for camera drivers; exit code 1 if there is none."""
    rmw = rclpy.utilities.get_rmw_implementation_identifier()
    files = {*transport_profile({RMW_VARIABLE: rmw}).values()}
    print(*files or [f"fsmde-doctor: there is no profile for {rmw}"])
    return 0 if files else 1


def print_status(namespace: str = "") -> int:
    """Print the next status of a node; exit code 0 if all is well. StartUpError if none comes."""
    namespace = namespace and f"/{namespace.strip('/')}"
    node, heard = rclpy.create_node("doctor", namespace=namespace or None), []
    try:
        subscription = node.create_subscription(DiagnosticStatus, STATUS, heard.append, QOS)
        end = time.monotonic() + STATUS_WAIT_S
        while not heard and time.monotonic() < end and rclpy.ok():
            rclpy.spin_once(node, timeout_sec=0.1)
        if not heard:
            raise StartUpError(
                f"nothing on {subscription.topic_name} in {STATUS_WAIT_S:.0f} s: no node runs, or "
                "in another namespace (--namespace) or ROS_DOMAIN_ID"
            )
    finally:
        node.destroy_node()
    status = heard[0]
    print(f"{status.name}: {status.message}\n")
    print(table(["status", ""], [[value.key, value.value] for value in status.values]))
    return 0 if status.level == DiagnosticStatus.OK else 1


def report(machine: Machine, deliveries: Sequence[Delivery]) -> int:
    """Print table and advice; the exit code."""
    print(f"\ntransport: {machine.rmw}")
    rows = []
    for d in deliveries:
        counts = (str(d.sent * len(d.received)), str(sum(d.received)))
        latencies = (f"{latency:.1f} ms" for latency in d.latency_ms)
        rows.append([d.kind, *counts, f"{d.percent:.1f}%", *latencies])
    print(table(["images", "sent", "arrived", "share", "latency p50", "p95"], rows))
    sentences = advice(machine, deliveries)
    print(
        "\n" + ("\n".join(f"- {s}" for s in sentences) or "Everything arrives; nothing to change.")
    )
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
