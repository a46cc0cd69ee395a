"""fsmde-record against a publisher that is best effort, as cameras are, and one that is latched."""

import signal
import subprocess
import sys
import time

import pytest
import rclpy
from conftest import ROOT
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from fsmde_ros.bags.source import open_source

COMMAND = (sys.executable, "-m", "fsmde_ros.tools.record")


@pytest.mark.parametrize("named", [True, False])
def test_records_what_is_published_until_it_is_interrupted(ros, tmp_path, named):
    node = rclpy.create_node("driver")
    best = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    images = node.create_publisher(Image, "/front/image_raw", best)
    infos = node.create_publisher(CameraInfo, "/front/camera_info", latched)
    infos.publish(CameraInfo(width=640))
    bag, topics = tmp_path / "bag", ("front/image_raw", "/front/camera_info") if named else ()
    process = subprocess.Popen([*COMMAND, str(bag), *topics], cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while not images.get_subscription_count() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert images.get_subscription_count()
        for _ in range(20):
            images.publish(Image(width=4))
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        node.destroy_node()
    with open_source(bag) as source:
        counts = {topic.name: topic.count for topic in source.topics}
    assert counts["/front/image_raw"] >= 10 and counts["/front/camera_info"] == 1


def test_a_topic_that_nobody_publishes_is_one_sentence(tmp_path):
    command = [*COMMAND, str(tmp_path / "bag"), "/none", "--wait", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == "fsmde-record: nobody publishes /none\n"
    assert not (tmp_path / "bag").exists()


def test_a_bag_that_is_there_is_kept(tmp_path):
    (tmp_path / "mine").write_text("")
    done = subprocess.run([*COMMAND, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "is there already" in done.stderr
    assert (tmp_path / "mine").exists()
