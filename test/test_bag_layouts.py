"""Recordings as other people make them: looked into, replayed, and depth comes out."""

import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
import rclpy
from conftest import ROOT
from recordings import (
    Recording,
    autoware,
    clynamen_nuscenes,
    ddad,
    foxglove_nuscenes,
    moments,
    scepter_nuscenes,
    usb_cams,
)
from sensor_msgs.msg import Image, PointCloud2

from fsmde_core.rig import Rig, RigError, load_rig, save_rig
from fsmde_ros.bags.layout import look_into, write_setup
from fsmde_ros.bags.source import BagError
from fsmde_ros.tools import doctor

TIMEOUT_S = 120


@pytest.fixture(scope="module")
def nuscenes_rig(rig):
    """The small rig under nuScenes' names."""
    names = [f"CAM_{camera.name.upper()}" for camera in rig.cameras]
    return Rig(tuple(replace(c, name=n, frame_id=n) for c, n in zip(rig.cameras, names)))


@pytest.fixture(scope="module")
def shipped_rig():
    return load_rig(ROOT / "config" / "rig_nuscenes.yaml")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, rig, nuscenes_rig, shipped_rig, images):
    """A recording by the name of its layout; each is made when it is first asked for."""
    folder, made = tmp_path_factory.mktemp("recordings"), {}
    large = [cv2.resize(image, (1600, 900)) for image in images]
    layouts = {
        "foxglove": lambda path: foxglove_nuscenes(path, nuscenes_rig, images),
        "scepter_ros1": lambda path: scepter_nuscenes(path, nuscenes_rig, images, ros1=True),
        "scepter_ros2": lambda path: scepter_nuscenes(path, nuscenes_rig, images, ros1=False),
        "clynamen": lambda path: clynamen_nuscenes(path, shipped_rig, large, frames=3),
        "ddad": lambda path: ddad(path, rig, images),
        "autoware": lambda path: autoware(path, rig, images),
        "usb_cams": lambda path: usb_cams(path, rig, images),
    }

    def make(name):
        if name == "foxglove":
            pytest.importorskip("mcap_protobuf", reason="mcap-protobuf-support is not installed")
        if name not in made:
            made[name] = layouts[name](folder / name)
        return made[name]

    return make


SIDES = ("BACK", "BACK_LEFT", "BACK_RIGHT", "FRONT", "FRONT_LEFT", "FRONT_RIGHT")
NUSCENES = [f"CAM_{side}" for side in SIDES]
EXPECTED = {
    # cameras, image_topic, camera_info_topic, where the vehicle's motion is
    "foxglove": (NUSCENES, "{camera}/image_rect_compressed", "{camera}/camera_info", "map"),
    "scepter_ros1": (NUSCENES, "{camera}/image_rect_compressed", "{camera}/camera_info", "map"),
    "scepter_ros2": (NUSCENES, "{camera}/image_rect_compressed", "{camera}/camera_info", "map"),
    "clynamen": ([n.lower() for n in NUSCENES], "{camera}/raw", "{camera}/camera_info", "/odom"),
    "ddad": (
        [f"CAMERA_0{i}" for i in range(1, 7)],
        "ddad/{camera}/image_raw",
        "ddad/{camera}/camera_info",
        "world",
    ),
    "autoware": (
        [f"camera{i}" for i in range(6)],
        "sensing/camera/{camera}/image_rect_color",
        "sensing/camera/{camera}/camera_info",
        "/localization/kinematic_state",
    ),
    "usb_cams": (
        [f"cam{i}" for i in range(1, 7)],
        "{camera}/image_raw",
        "{camera}/camera_info",
        "",
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_a_public_layout_holds_is_found(recorded, name, rig, shipped_rig):
    cameras, images, infos, motion = EXPECTED[name]
    layout = look_into(recorded(name))
    assert [camera.name for camera in layout.cameras] == cameras
    assert (layout.image_pattern, layout.info_pattern) == (images, infos)
    assert motion in (layout.odometry_topic, layout.fixed_frame)
    assert layout.rectified == (name == "autoware")
    assert all(camera.rate_hz == pytest.approx(2.0) for camera in layout.cameras)
    size = (1600, 900) if name == "clynamen" else (320, 180)
    assert {(camera.width, camera.height) for camera in layout.cameras} == {size}
    assert layout.slop_s == 0.075  # they fire over 35 ms
    guessed = [problem for problem in layout.problems if "GUESSED" in problem]
    assert bool(guessed) == (name in ("clynamen", "usb_cams"))
    if name == "usb_cams":
        return
    true = list((shipped_rig if name == "clynamen" else rig).cameras)
    if cameras[0].lower() == "cam_back":  # by name, else by number
        true.sort(key=lambda camera: camera.name.upper())
    for camera, found in zip(true, layout.rig.cameras):
        assert np.allclose(found.K, camera.K)
        assert np.allclose(found.T_ego_cam, camera.T_ego_cam, atol=1e-6)


@pytest.mark.parametrize("name", EXPECTED)
def test_depth_of_every_camera_comes_out(recorded, name, tmp_path, stub_model, ros, capsys):
    bag = recorded(name)
    code = doctor.about_bag(bag, tmp_path, rig_file=None)
    printed = capsys.readouterr().out
    assert code == 0
    assert str(tmp_path / "params.yaml") in printed
    assert doctor.about_bag(bag, tmp_path, rig_file=None) == 2  # edited files stay
    assert "params.yaml is there already" in capsys.readouterr().err
    heard = play(bag, tmp_path, stub_model, EXPECTED[name][0], namespace=f"/{name}")
    assert all(heard[f"{camera}/depth/image_rect"] for camera in EXPECTED[name][0]), heard
    assert heard["points"]


def play(bag, folder, model, cameras, *, namespace):
    """Messages of the node by topic, while the player replays a recording to it."""
    ns = ["-r", f"__ns:={namespace}"]
    node = rclpy.create_node("listener", namespace=namespace)
    heard = Counter()
    topics = {f"{camera}/depth/image_rect": Image for camera in cameras} | {"points": PointCloud2}
    for topic, kind in topics.items():
        node.create_subscription(kind, topic, lambda _, topic=topic: heard.update([topic]), 10)
    log = (folder / "log.txt").open("w+")
    command = [sys.executable, "-m"]
    depth_node = [
        *command, "fsmde_ros.depth_node", "--ros-args", "--params-file",
        str(folder / "params.yaml"), "-p", f"model:={model}", *ns,
    ]  # fmt: skip
    player = [*command, "fsmde_ros.bags.player", str(bag), "--wait", "90", "--loops", "0"]
    player += ["--ros-args", *ns]
    processes = [
        subprocess.Popen(c, cwd=ROOT, stdout=log, stderr=log) for c in (depth_node, player)
    ]
    deadline = time.monotonic() + TIMEOUT_S
    try:
        while time.monotonic() < deadline and not all(heard[topic] for topic in topics):
            rclpy.spin_once(node, timeout_sec=0.05)
            if processes[0].poll() is not None:
                break
    finally:
        node.destroy_node()
        for process in processes:
            process.send_signal(signal.SIGINT)
        for process in processes:
            process.wait(timeout=30)
        log.seek(0)
        print(log.read())
        log.close()
    return heard


def test_what_the_node_published_is_no_camera_and_is_not_replayed(tmp_path, rig, images):
    with Recording(tmp_path / "bag") as bag:
        for i, camera, stamp_ns, _ in moments(rig, frames=2):
            make, name, frame = bag.make, camera.name, camera.frame_id
            bag.write(f"/{name}/image_raw", make.raw(images[i], stamp_ns, frame), stamp_ns)
            bag.write(
                f"/{name}/image_raw/compressed", make.jpeg(images[i], stamp_ns, frame), stamp_ns
            )
            bag.write(f"/{name}/camera_info", make.info(camera, stamp_ns, frame), stamp_ns)
            depth = make.raw(np.zeros((4, 4, 4), np.uint8), stamp_ns, frame, "32FC1")
            for own in ("depth", "confidence"):
                bag.write(f"/{name}/{own}/image_rect", depth, stamp_ns)
            bag.write(f"/{name}/depth/camera_info", make.info(camera, stamp_ns, frame), stamp_ns)
            bag.write(f"/{name}/color/image_rect", make.raw(images[i], stamp_ns, frame), stamp_ns)
    layout = look_into(tmp_path / "bag")
    assert {c.image_topic for c in layout.cameras} == {
        f"/{name}/image_raw/compressed" for name in rig.names
    }
    for name in rig.names:
        for own in ("depth/image_rect", "depth/camera_info", "confidence/image_rect"):
            assert f"/{name}/{own}" in layout.not_played
        assert f"/{name}/color/image_rect" in layout.not_played
        assert f"/{name}/image_raw" in layout.not_played  # the same images, raw
        assert f"/{name}/camera_info" not in layout.not_played


def test_cameras_that_follow_no_pattern_get_lists(tmp_path, rig, images):
    topics = ("/front/image_raw", "/wing/left/image_color", "/rear_cam/rgb/image")
    with Recording(tmp_path / "bag") as bag:
        for i, camera, stamp_ns, _ in moments(rig, frames=2):
            if i >= len(topics):
                continue
            image = bag.make.raw(images[i], stamp_ns, camera.frame_id)
            bag.write(topics[i], image, stamp_ns)
            info = bag.make.info(camera, stamp_ns, camera.frame_id)
            bag.write(f"{topics[i].rpartition('/')[0]}/camera_info", info, stamp_ns)
    layout = look_into(tmp_path / "bag")
    assert [c.name for c in layout.cameras] == ["front", "rear_cam_rgb", "wing_left"]
    text = write_setup(layout, tmp_path / "out").params_file.read_text()
    assert "image_topics:" in text and "- wing/left/image_color" in text
    assert "- wing/left/camera_info" in text


def test_a_rig_file_beside_a_recording_says_what_is_not_recorded(tmp_path, rig, images):
    with Recording(tmp_path / "bag") as bag:
        for i, camera, stamp_ns, _ in moments(rig, frames=2):
            bag.write(f"/{camera.name}/image", bag.make.jpeg(images[i], stamp_ns, "x"), stamp_ns)
    with_none = look_into(tmp_path / "bag")
    assert with_none.rig is None
    assert "/back/image has no CameraInfo: say K and size in a rig.yaml" in with_none.problems[0]
    save_rig(rig, tmp_path / "bag" / "rig.yaml")
    layout = look_into(tmp_path / "bag")
    assert [c.name for c in layout.cameras] == list(rig.names)
    assert layout.cameras[0].info_topic is None
    assert layout.cameras[0].played_topic == "/front/image/compressed"
    save_rig(Rig((replace(rig.cameras[0], name="other", frame_id="o"),)), tmp_path / "rig.yaml")
    with pytest.raises(RigError, match="none of the rig's cameras other is in the topics /back/im"):
        look_into(tmp_path / "bag", rig_file=tmp_path / "rig.yaml")


def broken(path, rig, images, fault):
    if fault == "missing":
        return path
    if fault == "text":
        path.with_suffix(".mcap").write_text("no recording at all, and not short either")
        return path.with_suffix(".mcap")
    bag = scepter_nuscenes(path, rig, images, ros1=fault.startswith("ros1"))
    if fault.endswith("cut off"):
        file = bag if bag.is_file() else next(bag.glob("*.db3"))
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return bag


@pytest.mark.parametrize("fault", ["missing", "text", "ros1 cut off", "ros2 cut off"])
def test_a_damaged_recording_is_one_sentence(tmp_path, rig, images, fault, capsys):
    bag = broken(tmp_path / "bag", rig, images, fault)
    with pytest.raises(BagError, match="^bag .*bag"):
        look_into(bag)
    assert doctor.about_bag(bag, tmp_path / "out", rig_file=None) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"fsmde-doctor: bag {bag}") and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_recording_without_cameras_says_what_it_has(tmp_path):
    with Recording(tmp_path / "bag") as bag:
        bag.write("/odom", bag.make.odometry(np.eye(4), 1), 1)
    with pytest.raises(BagError, match="has no images of cameras, only nav_msgs/msg/Odometry"):
        look_into(tmp_path / "bag")
