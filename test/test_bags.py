"""Bags written, read back, and replayed over DDS by the player in a process of its own."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import rclpy
from blocks import write_blocks
from conftest import ROOT
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage

from fsmde_core.data.nuscenes import read_keyframes, read_points
from fsmde_core.data.sample import DatasetError, lidar_points_cam
from fsmde_core.geometry import invert_transform, transform_points
from fsmde_core.rig import K_to_opencv, load_rig
from fsmde_ros.bags import convert
from fsmde_ros.bags.convert import main
from fsmde_ros.bags.messages import message_class
from fsmde_ros.bags.recorder import BagRecorder
from fsmde_ros.bags.source import BagError, open_source
from fsmde_ros.bags.topics import BagTopics, load_topics
from fsmde_ros.bags.writer import RIG_FILE, TF_TYPE, TYPESTORE, write_bag
from fsmde_ros.conversions import depth_from_msg, stamp_to_ns, transform_from_msg


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return write_blocks(tmp_path_factory.mktemp("images"), frames=2)


@pytest.fixture(scope="module")
def bag(samples, tmp_path_factory):
    path = tmp_path_factory.mktemp("bags") / "drive"
    write_bag(samples, path)
    return path


def messages(bag):
    with open_source(bag) as source:
        stored = source.messages(source.topics)
        return [(topic.name, topic.kind, stamp, data) for topic, stamp, data in stored]


def test_a_bag_holds_the_images_untouched_in_the_order_of_their_stamps(bag, samples):
    stored = messages(bag)
    assert [stamp for *_, stamp, _ in stored] == sorted(stamp for *_, stamp, _ in stored)
    images = [m for m in stored if m[1].endswith("CompressedImage")]
    assert len(images) == 12
    for index, name in enumerate(samples[0].rig.names):
        topic = f"/{name}/image_raw/compressed"
        data = [deserialize_message(d, CompressedImage) for t, _, _, d in images if t == topic]
        assert [stamp_to_ns(m.header.stamp) for m in data] == [s.stamps_ns[index] for s in samples]
        assert data[0].data.tobytes() == samples[0].image_files[index].read_bytes()
        assert data[0].header.frame_id == samples[0].rig.cameras[index].frame_id
        assert data[0].format == "jpeg"


def test_calibration_is_in_camera_info_tf_static_and_the_rig_file(bag, samples):
    rig = samples[0].rig
    stored = {topic: data for topic, _, _, data in messages(bag)}
    info = deserialize_message(stored["/front_left/camera_info"], CameraInfo)
    assert np.allclose(np.reshape(info.k, (3, 3)), K_to_opencv(rig.cameras[5].K))
    assert not any(info.d)
    tf = TYPESTORE.deserialize_cdr(stored["/tf_static"], TF_TYPE)
    assert [t.child_frame_id for t in tf.transforms] == [c.frame_id for c in rig.cameras]
    assert {t.header.frame_id for t in tf.transforms} == {"base_link"}
    assert tf.transforms[0].transform.translation.x == pytest.approx(1.5)
    assert np.allclose(load_rig(bag / RIG_FILE).T_ego_cam, rig.T_ego_cam)


def test_tf_static_is_latched(bag):
    with open_source(bag) as source:
        assert [topic.name for topic in source.topics if topic.latched] == ["/tf_static"]


def test_a_fault_leaves_no_half_bag(samples, tmp_path):
    lost = samples[0].__class__(
        **{**samples[0].__dict__, "image_files": (tmp_path / "gone.jpg",) * 6}
    )
    with pytest.raises(DatasetError, match="image .*gone.jpg: No such file"):
        write_bag([lost], tmp_path / "bag")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_bag_is_not_overwritten(bag, samples):
    with pytest.raises(DatasetError, match="exists already"):
        write_bag(samples, bag)


def test_a_real_nuscenes_keyframe_becomes_a_bag(nuscenes_root, tmp_path, capsys):
    bag = tmp_path / "bag"
    assert main([str(nuscenes_root), str(bag), "--version", "v1.0-mini", "--depth-gt"]) == 0
    stored = messages(bag)
    (sample,) = read_keyframes(nuscenes_root, "v1.0-mini")
    image = [m for m in stored if m[0] == "/CAM_BACK/image_raw/compressed"][0]
    assert image[2] == 1_532_402_927_637_525_000
    (cloud,) = decoded(stored, "/LIDAR_TOP/points")
    assert cloud.header.frame_id == "LIDAR_TOP" and cloud.width == 34688
    assert np.allclose(np.frombuffer(cloud.data, "<f4").reshape(-1, 3), read_points(sample.lidar))
    depths = [depth_from_msg(decoded(stored, f"/{n}/depth_gt/image_rect")[0]) for n in ORDER]
    counts = [int(np.isfinite(depth).sum()) for depth in depths]
    assert counts == [3059, 3079, 3376, 4825, 4096, 3699]
    assert len(stored) == 6 * 4 + 2 + 1  # image, info, pose, depth; cloud, pose; tf_static
    assert main([str(tmp_path), str(tmp_path / "other")]) == 2
    assert "has no folder v1.0-mini" in capsys.readouterr().err


ORDER = (
    "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT",
)  # fmt: skip


@pytest.mark.parametrize("bag", ["/proc/nowhere/bag", "file/bag", "file/under/bag"])
def test_what_cannot_be_written_is_said_before_anything_is_read(tmp_path, capsys, bag):
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "no_dataset"), str(tmp_path / bag)]) == 2
    error = capsys.readouterr().err.strip()
    folder = (tmp_path / bag).parent
    assert error.startswith(f"fsmde-dataset-to-bag: {folder}: cannot be written to: ")


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_conversion_keeps_the_whole_bags(
    ddad_scene, tmp_path, capsys, monkeypatch, number, code
):
    def read_points(sweep):
        os.kill(os.getpid(), number)

    monkeypatch.setitem(convert.READ_POINTS, "ddad", read_points)
    out = tmp_path / "bags"
    arguments = [str(ddad_scene.parent.parent), str(out), "--dataset", "ddad", "--scene", "all"]
    assert main(arguments) == code
    assert not list(out.iterdir())
    error = capsys.readouterr().err.strip().split("\n")[-1]
    assert error == "fsmde-dataset-to-bag: stopped; the bag begun is not written"


def test_poses_in_the_bag_carry_lidar_onto_the_images(nuscenes_root, tmp_path):
    """The tree map -> base_link -> sensors in the bag alone gives the projection of the reader."""
    bag = tmp_path / "bag"
    assert main([str(nuscenes_root), str(bag), "--sweeps"]) == 0
    stored = messages(bag)
    (sample,) = read_keyframes(nuscenes_root, "v1.0-mini")
    poses = {stamp: transform(data) for topic, _, stamp, data in stored if topic == "/tf"}
    (static,) = [d for topic, _, _, d in stored if topic == "/tf_static"]
    mounts = {
        t.child_frame_id: transform_from_msg(t.transform)
        for t in TYPESTORE.deserialize_cdr(static, TF_TYPE).transforms
    }
    points = read_points(sample.lidar)[:100]
    T_world_lidar = poses[sample.lidar.stamp_ns] @ mounts["LIDAR_TOP"]
    for i, camera in enumerate(sample.rig.cameras):
        T_world_cam = poses[sample.stamps_ns[i]] @ mounts[camera.frame_id]
        T_cam_lidar = invert_transform(T_world_cam) @ T_world_lidar
        ours = lidar_points_cam(sample, i, points)
        assert np.allclose(transform_points(T_cam_lidar, points), ours, atol=1e-6)


def transform(data):
    (stamped,) = TYPESTORE.deserialize_cdr(data, TF_TYPE).transforms
    assert (stamped.header.frame_id, stamped.child_frame_id) == ("map", "base_link")
    return transform_from_msg(stamped.transform)


def test_a_ddad_split_becomes_a_bag_a_scene_and_goes_on_where_it_was(ddad_scene, tmp_path, capsys):
    arguments = [str(ddad_scene.parent.parent), str(tmp_path / "bags"), "--dataset", "ddad"]
    assert main([*arguments, "--scene", "all"]) == 0
    stored = messages(tmp_path / "bags" / "scene_01")
    assert stored[0][2] == 0  # the test scene is dated 2463, which ROS cannot say
    assert "stamps after 2038 do not fit ROS" in capsys.readouterr().err
    assert len([m for m in stored if m[1].endswith("CompressedImage")]) == 9
    clouds = decoded(stored, "/LIDAR_TOP/points")
    assert len(clouds) == 3
    assert stamp_to_ns(clouds[1].header.stamp) - stamp_to_ns(clouds[0].header.stamp) == 999_728_000
    assert main([*arguments, "--scene", "all"]) == 0
    assert "scene_01 is there already" in capsys.readouterr().out


def test_sweeps_that_two_sets_share_are_written_once(samples, tmp_path):
    write_bag([samples[0], samples[0], samples[1]], tmp_path / "bag")
    images = [m for m in messages(tmp_path / "bag") if m[1].endswith("CompressedImage")]
    assert len(images) == 12


def test_topics_come_from_the_parameter_file_of_the_node(tmp_path, samples):
    assert load_topics(ROOT / "config" / "surround_depth.yaml").lidar_topic == "LIDAR_TOP/points"
    params = tmp_path / "params.yaml"
    params.write_text(
        "/**: {ros__parameters: {image_topic: 'cams/{camera}/image', slop_s: 0.1}}\n"
        "dataset_to_bag: {ros__parameters: {world_frame: odom}}\n"
    )
    topics = load_topics(params)
    assert topics == BagTopics(image_topic="cams/{camera}/image", world_frame="odom")
    write_bag(samples, tmp_path / "bag", topics=topics)
    names = {topic for topic, *_ in messages(tmp_path / "bag")}
    assert "/cams/front/image/compressed" in names and "/front/camera_info" in names
    params.write_text("dataset_to_bag: {ros__parameters: {lidar: x}}\n")
    with pytest.raises(DatasetError, match="params.yaml: dataset_to_bag has no text parameter 'l"):
        load_topics(params)


def test_bags_that_cannot_be_played_are_named(tmp_path):
    for folder, reason in ((tmp_path / "none", "does not exist"), (tmp_path, f"bag {tmp_path}")):
        with pytest.raises(BagError, match=reason), open_source(folder):
            pass


def test_an_empty_bag_is_refused(tmp_path):
    rclpy.init()
    recorder = BagRecorder(tmp_path / "empty", {"/points": "sensor_msgs/msg/PointCloud2"})
    recorder.close()
    recorder.destroy_node()
    rclpy.try_shutdown()
    result = subprocess.run(
        player_command(tmp_path / "empty"), cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert result.stderr.strip() == f"fsmde-play: bag {tmp_path / 'empty'} is empty"


@pytest.mark.parametrize("name", ["os/path", "os/msg/system", "../x/msg/Y", "sensor_msgs/msg/Nope"])
def test_only_message_types_are_looked_up(name):
    assert message_class(name) is None


def decoded(stored, topic):
    return [deserialize_message(d, message_class(kind)) for t, kind, _, d in stored if t == topic]


def player_command(bag, *options):
    return [sys.executable, "-m", "fsmde_ros.bags.player", str(bag), *options]


def test_what_is_replayed_and_recorded_is_what_was_in_the_bag(bag, tmp_path):
    before = messages(bag)
    topics = {topic: kind for topic, kind, _, _ in before if kind != TF_TYPE}
    rclpy.init()
    recorder = BagRecorder(tmp_path / "copy", topics)
    player = subprocess.Popen(player_command(bag, "--wait", "30", "--rate", "0.5"), cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while player.poll() is None and time.monotonic() < deadline:
            rclpy.spin_once(recorder, timeout_sec=0.1)
    finally:
        player.kill()
        recorder.close()
        recorder.destroy_node()
        rclpy.try_shutdown()
    assert player.returncode == 0
    after = messages(tmp_path / "copy")
    for topic in topics:
        assert decoded(after, topic) == decoded(before, topic)


def test_a_namespace_applies_to_what_is_replayed(bag):
    command = [*player_command(bag, "--wait", "0.5"), "--ros-args", "-r", "__ns:=/car"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "/car/front/camera_info" in result.stderr


def test_an_interrupted_player_ends_cleanly(bag):
    process = subprocess.Popen(
        player_command(bag, "--loops", "0"), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    process.stderr.readline()  # it has started
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in rest


def test_waiting_in_vain_names_the_topics(bag):
    result = subprocess.run(
        player_command(bag, "--wait", "0.5"), cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert "nobody subscribed to" in result.stderr and "/front/camera_info" in result.stderr
