"""What the node does with six cameras at 12 Hz over DDS; by default with a model that only sleeps.

python -m fsmde_ros.tools.overhead [--model CARD] [--raw] [--seconds 60] [--minutes 30] [--out F]

A source process, the node's process and this one as listener of every output. Overhead is the
node's own count: from the arrival of a set's last image to its last output published, less
inference. With --model the network runs as well.
"""

from __future__ import annotations

import argparse
import array
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import rclpy
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, PointCloud2
from tqdm import tqdm

from fsmde_core.card import ModelCard, load_card
from fsmde_core.files import write_json
from fsmde_core.fit import Fit, fit_camera
from fsmde_core.rig import Camera, load_rig
from fsmde_core.runtime.predictor import Prediction, Predictor
from fsmde_core.runtime.session import SessionConfig
from fsmde_core.tables import table
from fsmde_ros import depth_node
from fsmde_ros.diagnostics.statistics import STAGES
from fsmde_ros.intake import Intake, IntakeGroup
from fsmde_ros.interrupts import start_ros
from fsmde_ros.share import share_dir

INFERENCE_S = 0.020
RATE_HZ = 12.0
START_UP_S = 60.0
LISTEN_S = 0.1  # between two looks at what is going on
SETTLED_S = 60.0  # memory is watched after the first minute
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class SleepingPredictor:
    """Stands in for the Predictor: answers 10 m everywhere after INFERENCE_S."""

    def __init__(self, card_path: Path, *, input_pixels: int = 0, **_options):
        self.card: ModelCard = load_card(card_path)
        self.provider, self.refused = "none, a stub", {}
        self.config = SessionConfig()
        self._usual = self.card.input_width * self.card.input_height
        self._pixels = input_pixels or self._usual

    def fit(self, camera: Camera) -> Fit:
        """As Predictor.fit."""
        return fit_camera(camera, pixels=self._pixels, usual=self._usual)

    def warm_up(self, fits: Sequence[Fit]) -> None:
        """Nothing to do."""

    def predict(self, images: Sequence[np.ndarray], fits: Sequence[Fit]) -> Prediction:
        """As Predictor.predict."""
        time.sleep(INFERENCE_S)
        ten, one = (tuple(_constant(fit.size, value) for fit in fits) for value in (10.0, 1.0))
        return Prediction(
            depth=ten, confidence=one, surface=one, images=tuple(images), fits=tuple(fits)
        )


@cache
def _constant(size: tuple[int, int], value: float) -> np.ndarray:
    """A map [h, w] float32; the network's own take no time of the node's either."""
    return np.full(size[::-1], value, np.float32)


def run_node(record: Path, make_predictor, args: list[str]) -> int:
    """The node with a predictor; leaves the seconds of every full set in `record`."""
    cameras = len(load_rig(rig_file()).cameras)
    seconds = {stage: array.array("d") for stage in STAGES}  # 8 bytes a set: no growth to speak of

    seconds["CPU"] = array.array("d")

    def note(present: int, by_stage) -> None:
        seconds["CPU"].append(time.process_time())
        for stage in STAGES if present == cameras else ():
            seconds[stage].append(by_stage[stage])

    code = depth_node.main(args, make_predictor=make_predictor, on_set=note)
    np.savez(record, **{stage: np.array(values) for stage, values in seconds.items()})
    return code


def rig_file() -> Path:
    """nuScenes' six 1600x900 cameras."""
    return share_dir() / "config" / "rig_nuscenes.yaml"


def measure(
    seconds: float, *, raw: bool, model: Path | None = None, parameters: Sequence[str] = ()
) -> dict:
    """Run source and node for some time; returns the numbers that main() prints."""
    start_ros(None)
    listener, intake, counts = _listener()
    try:
        with tempfile.TemporaryDirectory() as folder:
            record = Path(folder) / "seconds.npz"
            overrides = ["rig_file:=nuscenes", f"compressed:={not raw}", *parameters]
            overrides += [f"model:={model}"] if model else []
            arguments = [a for override in overrides for a in ("-p", override)]
            kind = "--node" if model else "--stubbed-node"
            me = [sys.executable, "-m", "fsmde_ros.tools.overhead", kind, str(record)]
            node = subprocess.Popen([*me, "--ros-args", *arguments], stderr=subprocess.PIPE)
            try:
                sent, memory = _drive(listener, node, seconds, raw=raw)
            finally:
                node.send_signal(signal.SIGINT)
                _, errors = node.communicate(timeout=30)
            if node.returncode:
                raise RuntimeError(f"the node failed: {errors.decode()}")
            with np.load(record, allow_pickle=False) as stored:
                return _numbers(dict(stored), sent, counts, memory)
    finally:
        intake.close()
        listener.destroy_node()
        rclpy.try_shutdown()


def _listener() -> tuple[Node, Intake, Counter]:
    """Hears every depth image and cloud, and counts them by topic without unpacking them.

    What a subscriber in C++ would cost is what it may cost here: no executor.
    """
    node, counts = rclpy.create_node("overhead_listener"), Counter()
    group, heard = IntakeGroup(), []
    topics = {f"{name}/depth/image_rect": Image for name in load_rig(rig_file()).names}
    topics["points"] = PointCloud2
    for topic, kind in topics.items():
        count = partial(lambda topic, data: counts.update([topic]), topic)
        heard.append(
            node.create_subscription(
                kind, topic, count, QoSProfile(depth=5), callback_group=group, raw=True,
                event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
            )
        )  # fmt: skip
    intake = Intake(
        node, heard, group, poll=lambda: None, poll_s=LISTEN_S, on_error=lambda error: None
    )
    return node, intake, counts


def _drive(
    listener: Node, node: subprocess.Popen, seconds: float, *, raw: bool
) -> tuple[int, list[tuple[float, float]]]:
    """Until the source is done; returns the sets it sent and the node's memory over time."""
    command = [sys.executable, "-m", "fsmde_ros.tools.rig_source", "--wait", str(START_UP_S)]
    command += ["--seconds", str(seconds), "--rate", str(RATE_HZ), *(["--raw"] if raw else [])]
    source = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    memory, started = [], None
    progress = tqdm(total=round(seconds), desc="raw" if raw else "compressed", unit="s")
    while source.poll() is None:
        if node.poll() is not None:
            source.terminate()
            break
        time.sleep(LISTEN_S)
        if started is None and listener.count_publishers("points"):
            started = time.monotonic()
        elapsed_s = time.monotonic() - started if started else 0.0
        if started and elapsed_s >= len(memory):
            memory.append((elapsed_s, _resident_mb(node.pid)))
            progress.update(min(1, progress.total - progress.n))
    progress.close()
    return int(source.communicate()[0] or 0), memory


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * PAGE_BYTES / 1e6


def _numbers(seconds: dict, sent: int, counts: Counter, memory: list) -> dict:
    sets = len(seconds["overhead"])
    numbers = {
        "sets sent": sent,
        "sets out [%]": round(100 * sets / max(sent, 1), 2),
        "CPU of the node, all threads [ms a set]": round(1e3 * _mean_step(seconds["CPU"]), 1),
        "clouds received [%]": round(100 * counts["points"] / max(sent, 1), 2),
    }
    for stage in STAGES:
        for q in (50, 95, 99):
            value = float(1e3 * np.percentile(seconds[stage], q)) if sets else float("nan")
            numbers[f"{stage} p{q} [ms]"] = round(value, 2)
    settled = [mb for at, mb in memory if at > SETTLED_S]
    if settled:
        numbers["memory after one minute [MB]"] = round(settled[0], 1)
        numbers["memory growth since [MB]"] = round(settled[-1] - settled[0], 1)
    return numbers


def _mean_step(values: np.ndarray) -> float:
    return float(np.diff(values).mean()) if len(values) > 1 else float("nan")


def main(argv: list[str] | None = None) -> int:
    """Command line; prints a table and writes a JSON file."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in ("--node", "--stubbed-node"):
        make_predictor = Predictor if argv[0] == "--node" else SleepingPredictor
        return run_node(Path(argv[1]), make_predictor, ["surround_depth", *argv[2:]])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", type=Path, metavar="CARD", help="the network instead of its stand-in")
    add("--raw", action="store_true", help="raw images; compressed ones if not given")
    add("--seconds", type=float, default=60.0, help="length of the drive")
    add("--minutes", type=float, help="the same in minutes, for a soak test")
    add("-p", "--param", action="append", default=[], help="node parameter, NAME:=VALUE")
    add("--out", type=Path, default=Path("out/overhead.json"), help="JSON file")
    arguments = parser.parse_args(argv)
    seconds = 60 * arguments.minutes if arguments.minutes else arguments.seconds
    numbers = measure(seconds, raw=arguments.raw, model=arguments.model, parameters=arguments.param)
    write_json(arguments.out, numbers, indent=2)
    print(table(["measured", "value"], [[name, str(n)] for name, n in numbers.items()]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
