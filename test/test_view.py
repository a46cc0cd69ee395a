"""fsmde-view into a file, read back with rerun itself."""

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rclpy
from blocks import write_blocks
from conftest import ROOT
from rclpy.serialization import serialize_message
from recordings import foxglove_nuscenes, scepter_nuscenes
from rosbags.rosbag2 import StoragePlugin, Writer
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from fsmde_core.fit import Fit
from fsmde_core.rig import save_rig
from fsmde_core.runtime.predictor import Prediction
from fsmde_ros.bags.writer import BAG_VERSION, TYPESTORE, write_bag
from fsmde_ros.cloud import CloudBuilder, CloudOptions
from fsmde_ros.conversions import (
    camera_info_msg,
    cloud_from_msg,
    cloud_msg,
    fields_from_cloud,
    float_msg,
    lidar_msg,
    ns_to_stamp,
)
from fsmde_ros.tools.view import main

rerun = pytest.importorskip("rerun")


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """A bag of images, calibration and transforms."""
    folder = tmp_path_factory.mktemp("view")
    samples = write_blocks(folder, frames=2)
    write_bag(samples, folder / "drive")
    return folder / "drive", samples


@pytest.fixture
def output(drive, rig, views, tmp_path):
    """A bag as the node's output is recorded: one depth image, its calibration, the cloud."""
    stamp = ns_to_stamp(drive[1][0].stamps_ns[0])
    camera, (image, depth) = rig.cameras[0], views[0]
    header = Header(stamp=stamp, frame_id=camera.frame_id)
    ones = (np.ones_like(depth),)
    prediction = Prediction(
        depth=(depth,), confidence=ones, surface=ones, images=(image,), fits=(Fit(camera, camera),)
    )
    depth = np.where(depth > 0, depth, np.float32(np.inf))
    points = CloudBuilder(prediction.rig, CloudOptions())(prediction, [depth])
    messages = {
        "/front/depth/camera_info": camera_info_msg(camera, header),
        "/front/depth/image_rect": float_msg(depth, header),
        "/front/confidence/image_rect": float_msg(ones[0], header),
        "/points": cloud_msg(points, Header(stamp=stamp, frame_id="base_link")),
    }
    bag = tmp_path / "output"
    with Writer(bag, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, msg in messages.items():
            kind = f"sensor_msgs/msg/{type(msg).__name__}"
            connection = writer.add_connection(topic, kind, typestore=TYPESTORE)
            writer.write(connection, 1, serialize_message(msg))
    return bag


def test_a_drive_and_the_nodes_output_become_one_recording(drive, output, tmp_path):
    file = tmp_path / "drive.rrd"
    assert main([str(drive[0]), str(output), "--save", str(file)]) == 0
    columns = rerun.recording.load_recording(file).schema().component_columns()
    found = {(column.entity_path, column.component) for column in columns}
    front = "/map/base_link/front_optical_frame"
    assert {
        ("/map/base_link", "Transform3D:translation"),
        (front, "Transform3D:mat3x3"),
        (f"{front}/front", "Pinhole:image_from_camera"),
        (f"{front}/front/image", "EncodedImage:blob"),
        (f"{front}/front_depth", "Pinhole:resolution"),
        (f"{front}/front_depth/image", "DepthImage:buffer"),
        (f"{front}/front_confidence/image", "Image:buffer"),
        ("/map/base_link/points", "Points3D:positions"),
        ("/map/base_link/points", "Points3D:colors"),
        ("/map/base_link/vehicle", "Boxes3D:half_sizes"),
    } <= found
    assert not file.with_name("drive.rrd.part").exists()


@pytest.mark.parametrize("kind", ["foxglove's MCAP", "ROS 1"])
def test_any_recording_is_shown(kind, rig, images, tmp_path):
    recorded = foxglove_nuscenes if kind != "ROS 1" else partial(scepter_nuscenes, ros1=True)
    bag, file = recorded(tmp_path / "drive", rig, images, frames=2), tmp_path / "drive.rrd"
    save_rig(rig, tmp_path / "rig.yaml")  # beside it: the panels are of its cameras
    assert main([str(bag), "--save", str(file)]) == 0
    columns = rerun.recording.load_recording(file).schema().component_columns()
    found = {(column.entity_path, column.component) for column in columns}
    assert {
        ("/map/base_link", "Transform3D:translation"),
        ("/map/base_link/back_left/back_left", "Pinhole:image_from_camera"),
        ("/map/base_link/back_left/back_left/image", "EncodedImage:blob"),
        ("/map/base_link/vehicle", "Boxes3D:half_sizes"),
    } <= found


def test_what_is_published_now_becomes_a_recording(ros, rig, views, tmp_path):
    node, camera = rclpy.create_node("talker"), rig.cameras[0]
    topics = {
        "/front/depth/camera_info": CameraInfo,
        "/front/depth/image_rect": Image,
        "/points": PointCloud2,
    }
    outputs = {topic: node.create_publisher(kind, topic, 10) for topic, kind in topics.items()}
    save_rig(rig, tmp_path / "rig.yaml")
    file = tmp_path / "live.rrd"
    command = [sys.executable, "-m", "fsmde_ros.tools.view", "--live", "--save", str(file)]
    process = subprocess.Popen([*command, "--rig", str(tmp_path / "rig.yaml")], cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if all(output.get_subscription_count() for output in outputs.values()):
                break
            time.sleep(0.2)
        for k in range(10):
            header = Header(stamp=ns_to_stamp(k * 100_000_000), frame_id=camera.frame_id)
            outputs["/front/depth/camera_info"].publish(camera_info_msg(camera, header))
            outputs["/front/depth/image_rect"].publish(float_msg(views[0][1], header))
            header = Header(stamp=header.stamp, frame_id="base_link")
            outputs["/points"].publish(lidar_msg(np.ones((5, 3), np.float32), header))
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        node.destroy_node()
    columns = rerun.recording.load_recording(file).schema().component_columns()
    found = {(column.entity_path, column.component) for column in columns}
    assert {
        ("/base_link/front_optical_frame/front_depth/image", "DepthImage:buffer"),
        ("/base_link/points", "Points3D:positions"),
        ("/base_link/vehicle", "Boxes3D:half_sizes"),
    } <= found


def test_layouts_are_written_for_others(tmp_path, capsys):
    assert main(["--layouts", str(tmp_path / "views"), "--rig", "ddad", "--namespace", "car"]) == 0
    rviz, foxglove = map(Path, capsys.readouterr().out.split())
    assert " /car/CAMERA_05/depth/image_rect" in rviz.read_text()
    assert "/car/CAMERA_05/depth/image_rect" in foxglove.read_text()
    assert main(["--layouts", str(tmp_path / "views")]) == 1
    assert "--layouts needs --rig" in capsys.readouterr().err
    assert main([]) == 1 and "give bags, or --live" in capsys.readouterr().err


def test_the_fields_of_any_cloud():
    xyz = np.arange(6, dtype=np.float32).reshape(2, 3)
    fields = fields_from_cloud(lidar_msg(xyz, Header()))
    assert list(fields) == ["x", "y", "z"] and np.array_equal(fields["y"], [1, 4])
    assert len(cloud_from_msg(cloud_msg(np.zeros(3, "V16"), Header()))) == 3


def test_without_a_screen_or_a_bag_one_sentence_says_so(drive, tmp_path, monkeypatch, capsys):
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    assert main([str(drive[0])]) == 1
    assert "there is no screen here: give --save FILE.rrd" in capsys.readouterr().err
    assert main([str(tmp_path / "none"), "--save", str(tmp_path / "a.rrd")]) == 1
    assert "none does not exist" in capsys.readouterr().err
    assert not (tmp_path / "a.rrd").exists()
