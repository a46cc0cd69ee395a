"""Recordings of many makes: which copy of a camera is taken, what begins late, and odd frames."""

import base64
import json

import cv2
import numpy as np
import pytest
import rclpy
from mcap.reader import make_reader
from mcap.writer import Writer as McapWriter
from recordings import START_NS, Recording, as_jpeg, moments, record, said
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from fsmde_core.geometry import make_transform, rotation_to_quaternion
from fsmde_core.rig import K_to_opencv, Rig, RigError, save_rig
from fsmde_ros.bags.layout import look_into
from fsmde_ros.bags.player import BagPlayer
from fsmde_ros.bags.source import BagError, open_source
from fsmde_ros.conversions import stamp_to_ns
from fsmde_ros.tools import view
from fsmde_ros.tools.doctor import about_bag

LATE_NS = 90_000_000_000


def copies(rig, images, topic, change, *, later_ns=0, info=None):
    """What adds a changed copy of each camera's images, with a CameraInfo of its own or none."""

    def more(bag, camera, stamp_ns):
        where = stamp_ns + later_ns, f"{camera.name}_optical_frame"
        pixels = change(images[rig.names.index(camera.name)])
        make = bag.make.raw if pixels.ndim == 2 else bag.make.jpeg
        encoding = {"encoding": "mono8"} if pixels.ndim == 2 else {}
        bag.write(topic.format(camera.name), make(pixels, *where, **encoding), stamp_ns)
        if info:
            message = bag.make.info(camera, *where)
            message.width, message.height = pixels.shape[1::-1]
            bag.write(info.format(camera.name), message, stamp_ns)

    return more


def small(pixels):
    return cv2.resize(pixels, (160, 90))


def grey(pixels):
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


@pytest.mark.parametrize(
    ("topic", "info", "change", "later_ns"),
    [
        ("/{}/image_small/compressed", None, small, 0),
        ("/{}/preview/image_raw/compressed", None, small, 1000),  # as of an OAK
        ("/{}/resized/image/compressed", "/{}/resized/camera_info", small, 0),
        ("/{}/image", None, grey, 0),  # of a shorter name
        ("/{}/a", "/{}/a/camera_info", grey, 0),
    ],
)
def test_of_a_cameras_copies_the_largest_in_colour_is_taken(
    tmp_path, rig, images, topic, info, change, later_ns
):
    more = copies(rig, images, topic, change, later_ns=later_ns, info=info)
    layout = look_into(record(tmp_path / "bag", rig, images, image="/{}/image_any", more=more))
    assert {c.image_topic for c in layout.cameras} == {f"/{n}/image_any" for n in rig.names}
    assert {(c.width, c.height) for c in layout.cameras} == {(320, 180)}
    assert layout.whole and not layout.problems


def test_images_of_another_size_than_their_camera_info_need_a_rig_file(tmp_path, rig, images):
    more = copies(rig, images, "/{}/image/compressed", small)
    bag = record(tmp_path / "bag", rig, images, image="/other/{}", more=more)
    layout = look_into(bag)  # of the others only frames are known, which have a CameraInfo
    shrunk = [small(image) for image in images]
    bag = record(tmp_path / "small", rig, shrunk)
    layout = look_into(bag)
    assert layout.rig is None and not layout.whole
    assert "/front/image_raw has images of 160x90, /front/camera_info is of 320x180: s" in said(
        layout
    )
    save_rig(rig, tmp_path / "large.yaml")
    with pytest.raises(RigError, match="images are 160x90 and those of the rig file 320x180: "):
        look_into(bag, rig_file=tmp_path / "large.yaml")
    save_rig(rig.resized(160, 90), bag / "rig.yaml")
    layout = look_into(bag)
    assert layout.whole and all(camera.info_topic is None for camera in layout.cameras)
    assert "is of 320x180; the rig file's K is used" in said(layout)
    assert set(layout.not_played) == {f"/{name}/camera_info" for name in rig.names}


@pytest.mark.parametrize("tf_ns", [0, START_NS - LATE_NS])
def test_what_is_recorded_long_before_the_images_does_not_hide_them(
    tmp_path, rig, images, ros, tf_ns
):
    """As /tf_static of the time 0, and the odometry of a vehicle that waits."""
    with Recording(tmp_path / "bag") as bag:
        make = bag.make
        poses = [
            make.transform("base_link", c.frame_id, c.T_ego_cam, START_NS) for c in rig.cameras
        ]
        bag.write("/tf_static", make.tf(*poses), tf_ns)
        bag.write("/odom", make.odometry(np.eye(4), START_NS), tf_ns)
        for i, camera, stamp_ns, _ in moments(rig, frames=2):
            where = stamp_ns, camera.frame_id
            bag.write(f"/{camera.name}/image_raw", make.raw(images[i], *where), stamp_ns)
            bag.write(f"/{camera.name}/camera_info", make.info(camera, *where), stamp_ns)
    layout = look_into(tmp_path / "bag")
    assert layout.whole and len(layout.cameras) == len(rig.names)
    assert layout.seconds == pytest.approx(0.535)
    node, heard = rclpy.create_node("listener"), []
    node.create_subscription(Image, "front/image_raw", heard.append, 10)
    with open_source(tmp_path / "bag") as source:
        player = BagPlayer(source, layout, clock=True)
        while not player.count_subscribers("/front/image_raw"):
            rclpy.spin_once(node, timeout_sec=0.1)
        player.play(rate=1.0, seconds=1.0)
        while len(heard) < 2:
            rclpy.spin_once(node, timeout_sec=0.1)
        player.destroy_node()
    node.destroy_node()


def test_cameras_that_begin_late_are_found(tmp_path, rig, images):
    late = {name: name.startswith("back") * LATE_NS for name in rig.names}

    def more(bag, camera, stamp_ns):
        stamp_ns += late[camera.name]
        where = stamp_ns, f"{camera.name}_optical_frame"
        image = bag.make.raw(images[rig.names.index(camera.name)], *where)
        bag.write(f"/{camera.name}/image", image, stamp_ns)
        bag.write(f"/{camera.name}/info", bag.make.info(camera, *where), stamp_ns)

    layout = look_into(
        record(tmp_path / "bag", rig, images, image="/depth/{}", info="", frames=3, more=more)
    )
    assert {c.image_topic for c in layout.cameras} == {f"/{name}/image" for name in rig.names}
    assert all(camera.rate_hz == pytest.approx(2.0) for camera in layout.cameras)
    assert layout.slop_s == 0.075  # those that fire together do so in 35 ms


def test_a_prefix_before_the_usual_base_frame_is_none_of_it(tmp_path, rig, images):
    T_base_mast = make_transform(np.eye(3), [0, 0, 0.5])

    def more(bag, camera, stamp_ns):
        mast = bag.make.transform("robot1/base_link", "robot1/mast", T_base_mast, 0)
        bag.write("/tf_static", bag.make.tf(mast), stamp_ns)
        odometry = bag.make.odometry(np.eye(4), stamp_ns, child="robot1/base_link")
        bag.write("/robot1/odom", odometry, stamp_ns)

    frame = "robot1/{}_optical_frame"
    bag = record(tmp_path / "bag", rig, images, base="robot1/mast", frame=frame, more=more)
    layout = look_into(bag)
    assert layout.rig.base_frame == "robot1/base_link"
    assert layout.odometry_topic == "/robot1/odom" and not layout.problems
    heights = {camera.name: camera.T_ego_cam[2, 3] for camera in layout.rig.cameras}
    assert heights == pytest.approx({c.name: c.T_ego_cam[2, 3] + 0.5 for c in rig.cameras})


def test_a_vehicle_that_stands_at_first_has_ego_motion(tmp_path, rig, images):
    def more(topic):
        def write(bag, camera, stamp_ns):
            pose = bag.make.transform("map", "base_link", np.eye(4), stamp_ns)
            bag.write(topic, bag.make.tf(pose), stamp_ns)

        return write

    standing = record(tmp_path / "a", rig, images, more=more("/tf"))
    assert look_into(standing).fixed_frame == "map"
    fixed = record(tmp_path / "b", rig, images, more=more("/tf_static"))
    assert look_into(fixed).fixed_frame == ""


def test_a_frame_that_the_cameras_move_in_is_no_base_frame(tmp_path, rig, images):
    """As where /tf has each camera's pose in the world, and nothing of a vehicle."""
    with Recording(tmp_path / "bag") as bag:
        make = bag.make
        for i, camera, stamp_ns, T_world_ego in moments(rig, frames=3):
            where = stamp_ns, camera.frame_id
            pose = make.transform("map", camera.frame_id, T_world_ego @ camera.T_ego_cam, stamp_ns)
            bag.write("/tf", make.tf(pose), stamp_ns)
            bag.write(f"/{camera.name}/image_raw", make.raw(images[i], *where), stamp_ns)
            bag.write(f"/{camera.name}/camera_info", make.info(camera, *where), stamp_ns)
    layout = look_into(tmp_path / "bag")
    assert layout.rig.base_frame == "base_link" and layout.guessed


def test_a_place_that_is_not_finite_costs_its_camera_only(tmp_path, rig, images):
    first = rig.cameras[0]
    with Recording(tmp_path / "bag") as bag:
        make = bag.make
        poses = [make.transform("base_link", c.frame_id, c.T_ego_cam, 0) for c in rig.cameras]
        poses[0].transform.translation.x = float("nan")
        bag.write("/tf_static", make.tf(*poses), START_NS)
        for i, camera, stamp_ns, _ in moments(rig, frames=2):
            where = stamp_ns, camera.frame_id
            bag.write(f"/{camera.name}/image_raw", make.raw(images[i], *where), stamp_ns)
            bag.write(f"/{camera.name}/camera_info", make.info(camera, *where), stamp_ns)
    layout = look_into(tmp_path / "bag")
    assert sorted(c.name for c in layout.cameras) == sorted({*rig.names} - {first.name})
    assert f"the rotation or place of {first.frame_id} in /tf is none: not used" in said(layout)


def foxglove_json(file, rig, images):
    """foxglove's messages in JSON."""

    def stamp(ns):
        return dict(zip(("sec", "nsec"), divmod(ns, 10**9)))

    def transform(parent, child, T):
        rotation = map(float, rotation_to_quaternion(T[:3, :3]))
        return {
            "parent_frame_id": parent, "child_frame_id": child, "timestamp": stamp(0),
            "translation": dict(zip("xyz", T[:3, 3].tolist())),
            "rotation": dict(zip("xyzw", rotation)),
        }  # fmt: skip

    with file.open("wb") as opened:
        writer, channels = McapWriter(opened), {}
        writer.start()

        def write(topic, kind, ns, **values):
            if topic not in channels:
                schema = writer.register_schema(f"foxglove.{kind}", "jsonschema", b"{}")
                channels[topic] = writer.register_channel(topic, "json", schema)
            data = json.dumps({"timestamp": stamp(ns)} | values).encode()
            writer.add_message(channels[topic], ns, data, ns)

        for i, camera, ns, T in moments(rig, frames=2):
            of_camera = {"frame_id": camera.name, "width": camera.width, "height": camera.height}
            tree = [transform("map", "base_link", T)]
            tree.append(transform("base_link", camera.name, camera.T_ego_cam))
            write("/tf", "FrameTransforms", ns, transforms=tree)
            lens = {"distortion_model": "", "D": [], "R": [], "P": []}
            K = K_to_opencv(camera.K).ravel().tolist()
            write(f"/{camera.name}/calibration", "CameraCalibration", ns, K=K, **lens, **of_camera)
            data = as_jpeg(images[i]) if i else images[i]
            encoded = base64.b64encode(data.tobytes()).decode()
            if i:
                picture = {"format": "jpeg", "frame_id": camera.name}
                write(f"/{camera.name}/image", "CompressedImage", ns, data=encoded, **picture)
            else:
                picture = of_camera | {"encoding": "rgb8", "step": 3 * camera.width}
                write(f"/{camera.name}/image", "RawImage", ns, data=encoded, **picture)
        writer.finish()
    return file


def test_messages_of_foxglove_may_be_json(tmp_path, rig, images):
    layout = look_into(foxglove_json(tmp_path / "drive.mcap", rig, images))
    assert layout.whole and layout.fixed_frame == "map"
    by_name = {camera.name: camera for camera in rig.cameras}
    for camera in layout.rig.cameras:
        assert np.allclose(camera.K, by_name[camera.name].K)
        assert np.allclose(camera.T_ego_cam, by_name[camera.name].T_ego_cam, atol=1e-6)


@pytest.mark.parametrize("profile", ["", "ros2"])
def test_messages_of_others_beside_those_of_ros2_are_passed_over(tmp_path, rig, images, profile):
    (ours,) = record(tmp_path / "bag", rig, images).glob("*.mcap")
    file = tmp_path / "merged.mcap"
    with ours.open("rb") as opened, file.open("wb") as written:
        writer, channels = McapWriter(written), {}
        writer.start(profile=profile)
        for schema, channel, message in make_reader(opened).iter_messages():
            if channel.topic not in channels:
                known = writer.register_schema(schema.name, schema.encoding, schema.data)
                channels[channel.topic] = writer.register_channel(channel.topic, "cdr", known)
            writer.add_message(channels[channel.topic], message.log_time, message.data, 0)
        other = writer.register_schema("car.State", "jsonschema", b"{}")
        other = writer.register_channel("/car", "json", other)
        writer.add_message(other, START_NS, b"{}", START_NS)
        writer.finish()
    layout = look_into(file)
    assert layout.whole and len(layout.cameras) == len(rig.names)


def test_a_recording_may_be_named_by_its_metadata(tmp_path, rig, images):
    bag = record(tmp_path / "bag", rig, images)
    save_rig(rig, bag / "rig.yaml")
    layout = look_into(bag / "metadata.yaml")
    assert layout.bag == bag and layout.rig_file == bag / "rig.yaml"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda bag: bag.parent, "without a recording, name one of those in it: bag$"),
        (lambda bag: bag.rename(bag.with_suffix(".bag.active")), "`rosbag reindex` it"),
    ],
)
def test_what_is_nearly_a_recording_says_what_to_name(tmp_path, rig, images, make, sentence):
    path = make(record(tmp_path / "drives" / "bag", rig, images))
    if path.suffix:
        path = tmp_path / "drive.bag.active"
        path.write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(BagError, match=sentence):
        look_into(path)


def test_what_is_wrong_with_all_cameras_is_one_sentence(tmp_path, rig, images, capsys):
    """As where Isaac ROS has H.264 in CompressedImage."""

    def more(bag, camera, stamp_ns):
        message = bag.make.jpeg(images[0], stamp_ns, camera.name)
        message.format, message.data = "h264", np.arange(100, dtype=np.uint8)
        bag.write(f"/{camera.name}/image_compressed", message, stamp_ns)

    bag = record(tmp_path / "bag", Rig(rig.cameras[:2]), images, image="/x/{}", more=more)
    why = (
        "/front/image_compressed, /front_right/image_compressed: format 'h264' is a video, which "
        "has to be turned into images"
    )
    assert look_into(bag).problems.count(why) == 1
    assert about_bag(bag, None, rig_file=None) == 1
    assert f"! {why}" in capsys.readouterr().out


def test_the_clock_goes_on_after_the_last_message(tmp_path, rig, images, ros):
    """Else no deadline passes: of a single image of each camera nothing would come out."""
    bag = record(tmp_path / "bag", rig, images, frames=1)
    node, heard = rclpy.create_node("listener"), []
    node.create_subscription(Clock, "/clock", heard.append, 100)
    with open_source(bag) as source:
        player = BagPlayer(source, look_into(bag), clock=True)
        while not player.count_subscribers("/clock"):
            rclpy.spin_once(node, timeout_sec=0.1)
        player.play(rate=1.0)
        player.linger()
        while not heard or stamp_to_ns(heard[-1].clock) < START_NS + 500_000_000:
            rclpy.spin_once(node, timeout_sec=0.1)
        player.destroy_node()
    node.destroy_node()


def test_what_cannot_be_shown_is_said_once_a_topic(tmp_path, rig, images, capsys):
    pytest.importorskip("rerun")

    def more(bag, camera, stamp_ns):
        message = bag.make.jpeg(images[0], stamp_ns, camera.name)
        message.data, message.format = message.data[-100:], "webp"
        bag.write("/broken/compressed", message, stamp_ns)

    bag = record(tmp_path / "bag", rig, images, more=more)
    assert view.main([str(bag), "--save", str(tmp_path / "drive.rrd")]) == 0
    error = capsys.readouterr().err.strip()
    assert error.startswith("fsmde-view: 12 of 12 messages skipped: /broken/compressed: 100 bytes")
    assert len(error.splitlines()) == 1
