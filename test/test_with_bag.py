"""Node and player in one process, heard over DDS."""

import signal
import subprocess
import sys
import time

import rclpy
from blocks import write_blocks
from conftest import ROOT
from sensor_msgs.msg import Image

from fsmde_ros.bags.writer import write_bag

MODULE = (sys.executable, "-m", "fsmde_ros.with_bag")


def test_depth_of_a_bag_comes_out_of_one_process(ros, stub_model, tmp_path):
    write_bag(write_blocks(tmp_path, frames=3), tmp_path / "drive")
    listener, heard = rclpy.create_node("listener"), []
    listener.create_subscription(Image, "/front/depth/image_rect", heard.append, 10)
    given = [f"rig_file:={tmp_path / 'drive' / 'rig.yaml'}", f"model:={stub_model}"]
    given += ["compressed:=true"]
    options = [part for value in given for part in ("-p", value)]
    process = subprocess.Popen([*MODULE, str(tmp_path / "drive"), "--ros-args", *options], cwd=ROOT)
    try:
        deadline = time.monotonic() + 90
        while len(heard) < 2 and time.monotonic() < deadline and process.poll() is None:
            rclpy.spin_once(listener, timeout_sec=0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        listener.destroy_node()
    assert len(heard) >= 2


def test_a_bag_that_is_missing_is_one_sentence_and_the_node_goes_on(stub_model, tmp_path):
    given = ["rig_file:=nuscenes", f"model:={stub_model}"]
    options = [part for value in given for part in ("-p", value)]
    process = subprocess.Popen(
        [*MODULE, str(tmp_path / "none"), "--ros-args", *options],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "ready" in "".join(lines) and "none" in "".join(lines):
            break
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert "Traceback" not in "".join(lines)
