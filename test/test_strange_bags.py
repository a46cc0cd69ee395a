"""Recordings of rare layouts, and damaged ones: cameras are found, or one sentence says why not."""

from dataclasses import replace

import numpy as np
import pytest
from recordings import ROS1, ROS2, START_NS, record, said
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from fsmde_core.geometry import make_transform
from fsmde_core.rig import Rig, save_rig
from fsmde_ros.bags.cameras import choose_cameras
from fsmde_ros.bags.layout import look_into, write_setup
from fsmde_ros.bags.messages import head
from fsmde_ros.bags.source import BagError, Topic, open_source
from fsmde_ros.startup import prepare


@pytest.mark.parametrize(
    ("image", "info", "frame"),
    [
        ("/hawk_{}_rgb_image", "/hawk_{}_rgb_camera_info", ""),  # Isaac ROS
        ("/cameras/{}", "/camera_info/{}", ""),
        ("/image_{}", "/info_{}", ""),  # Ford
        ("/cameras/{}", "/calibration/of_{}", "{}_optical_frame"),
        ("/kitti/{}/image_rect", "/kitti/{}/camera_info", "{}_optical_frame"),
    ],
)
def test_each_camera_gets_its_own_camera_info(tmp_path, rig, images, image, info, frame):
    layout = look_into(record(tmp_path / "bag", rig, images, image=image, info=info, frame=frame))
    found = {camera.image_topic: camera.info_topic for camera in layout.cameras}
    assert found == {image.format(name): info.format(name) for name in rig.names}


def test_colour_and_grey_have_each_their_camera_info():
    topics = [Topic("/left_rgb_image", "sensor_msgs/msg/Image", 9)]
    for kind in ("rgb", "mono"):
        topics.append(Topic(f"/left_{kind}_camera_info", "sensor_msgs/msg/CameraInfo", 9))
    (choice,) = choose_cameras(topics)
    assert choice.info.name == "/left_rgb_camera_info"


def test_cameras_side_by_side_in_a_folder_are_several_without_camera_info(tmp_path, rig, images):
    bag = record(tmp_path / "bag", rig, images, image="/cameras/{}", info="")
    with pytest.raises(BagError) as refused:
        prepare({"bag": str(bag)}, tmp_path / "launch")
    assert "gives no rig: camera back is left out: /cameras/back has" in str(refused.value)
    assert f"fsmde-doctor --bag {bag} --out FOLDER writes one to fill in" in str(refused.value)
    layout = look_into(bag)
    assert sorted(camera.name for camera in layout.cameras) == sorted(rig.names)
    save_rig(rig, bag / "rig.yaml")
    layout = look_into(bag)
    assert [camera.name for camera in layout.cameras] == list(rig.names)
    assert f"rig file: {bag / 'rig.yaml'}" in layout.described()
    assert (
        "camera_info_from_rig: true"
        in write_setup(layout, tmp_path / "out").params_file.read_text()
    )  # for players that do not send it


def test_a_camera_that_sends_several_streams_is_one(tmp_path, rig, images):
    """As of a ZED: left is rgb, in colour and in grey, rectified and not, each with CameraInfo."""

    def more(bag, camera, stamp_ns):
        i, frame = rig.names.index(camera.name), f"{camera.name}_optical_frame"
        for stream, topic in (("rgb", "image_rect_color"), ("left_grey", "image_rect_grey")):
            folder = f"/{camera.name}/{stream}"
            bag.write(f"{folder}/{topic}", bag.make.raw(images[i], stamp_ns, frame), stamp_ns)
            info = bag.make.info(camera, stamp_ns, frame)
            bag.write(f"{folder}/camera_info", info, stamp_ns)

    layout = look_into(record(tmp_path / "bag", rig, images, more=more))
    assert {c.image_topic for c in layout.cameras} == {f"/{n}/image_raw" for n in rig.names}
    poses = {camera.frame_id: camera.T_ego_cam for camera in layout.rig.cameras}
    assert all(np.allclose(poses[c.frame_id], c.T_ego_cam, atol=1e-6) for c in rig.cameras)
    assert not layout.problems
    assert "of the same camera as /front/image_raw, not taken: /front/left_grey/im" in said(layout)


def test_two_cameras_of_one_frame_do_not_cost_the_others_their_places(tmp_path, rig, images):
    def more(bag, camera, stamp_ns):
        frame, later = "front_optical_frame", stamp_ns + 9
        if camera.name == "front":
            bag.write("/other/image", bag.make.raw(images[0], later, frame), later)
            bag.write("/other/camera_info", bag.make.info(camera, later, frame), later)

    layout = look_into(record(tmp_path / "bag", rig, images, more=more))
    assert sorted(c.name for c in layout.cameras) == sorted({*rig.names} - {"front"})
    assert "camera other is left out: another one has its frame front_optical_fr" in said(layout)
    assert "GUESSED" not in said(layout)


@pytest.mark.parametrize(
    ("topic", "word"),
    [
        ("/{}/infra1/image_rect_raw", "infra"),
        ("/{}/segmentation/image", "segmentation"),
        ("/{}/image_overlay", "overlay"),
        ("/perception/debug/{}/image", "debug"),
        ("/{}/depth/colorized/compressed", "depth"),
        ("/{}/boson/image_raw", "boson"),
        ("/radar/{}/image", "radar"),
    ],
)
def test_what_no_camera_sees_is_left_out_and_that_is_said(tmp_path, rig, images, topic, word):
    def more(bag, camera, stamp_ns):
        image = bag.make.raw(images[0], stamp_ns, f"{camera.name}_optical_frame")
        bag.write(topic.format(camera.name), image, stamp_ns)

    bag = record(tmp_path / "bag", rig, images, more=more)
    layout = look_into(bag)
    assert {c.image_topic for c in layout.cameras} == {f"/{n}/image_raw" for n in rig.names}
    assert f"by '{word}' in its name: {topic.format('back')}" in said(layout)
    assert set(map(topic.format, rig.names)) <= set(layout.not_played)
    save_rig(rig, bag / "rig.yaml")  # names are those of the other topics, too
    assert [c.image_topic for c in look_into(bag).cameras] == [f"/{n}/image_raw" for n in rig.names]


def test_where_all_images_sound_like_that_they_are_taken(tmp_path, rig, images):
    layout = look_into(record(tmp_path / "bag", rig, images, image="/ir/{}/image_raw"))
    assert len(layout.cameras) == len(rig.names)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("foxglove_msgs/msg/CompressedVideo", "/video is not taken: foxglove_msgs/msg/Compressed"),
        ("sensor_msgs/msg/Image 16UC1", "/depth_of/image is no picture, but 16UC1"),
        ("sensor_msgs/msg/Image 8UC1", "/depth_of/image: encoding '8UC1'"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, rig, images, kind, what):
    kind, _, encoding = kind.partition(" ")

    def more(bag, camera, stamp_ns):
        if encoding:
            image = bag.make.raw(images[0][..., :2], stamp_ns, "front", encoding)
            bag.write("/depth_of/image", image, stamp_ns)
        elif "/video" not in bag._connections:
            connection = bag._writer.add_connection(
                "/video", kind, msgdef="uint8[] data", rihs01="RIHS01_0"
            )
            bag._connections["/video"] = connection
            bag._writer.write(connection, stamp_ns, b"\0\1\0\0\0\0\0\0")

    layout = look_into(record(tmp_path / "bag", rig, images, more=more))
    assert what in said(layout)
    assert len(layout.cameras) == len(rig.names)


GARBAGE = (b"", b"\0\1\0\0", b"\0\1\0\0" + b"\x7f" * 30)
BROKEN = {
    "/front/image_raw": "sensor_msgs/msg/Image",
    "/back/camera_info": "sensor_msgs/msg/CameraInfo",
    "/odom": "nav_msgs/msg/Odometry",
    "/tf": "tf2_msgs/msg/TFMessage",
}


@pytest.mark.parametrize("topic", BROKEN)
def test_damaged_messages_are_said_and_the_others_used(tmp_path, rig, images, topic):
    def more(bag, camera, stamp_ns):
        if topic not in bag._connections:
            kind = BROKEN[topic]
            bag._connections[topic] = bag._writer.add_connection(topic, kind, typestore=ROS2)
        for data in GARBAGE:
            bag._writer.write(bag._connections[topic], START_NS, data)

    layout = look_into(record(tmp_path / "bag", rig, images, more=more))
    assert f"{topic}: a message of" in said(layout)
    assert len(layout.cameras) == len(rig.names)


def test_ros1_bags_in_parts_number_their_topics_each_in_its_own_way(tmp_path, rig, images):
    record(tmp_path / "drive_0.bag", rig, images, ros1=True)
    turned = Rig(tuple(reversed(rig.cameras)))
    record(tmp_path / "drive_1.bag", turned, list(reversed(images)), ros1=True)
    assert not look_into(tmp_path).problems
    with open_source(tmp_path) as source:
        pictures = [topic for topic in source.topics if topic.name.endswith("image_raw")]
        for topic, _, data in source.messages(pictures):
            assert head(topic, data)[1] == f"{topic.name.split('/')[1]}_optical_frame"


def test_messages_that_ros1_has_otherwise_are_not_read(tmp_path, rig, images):
    def more(bag, camera, stamp_ns):
        header = bag.make.header(stamp_ns, "sonar")
        kind = ROS1.types["sensor_msgs/msg/Range"]
        bag.write("/sonar", kind(header, 0, 0.1, 0.1, 1.0, 0.5), stamp_ns)

    bag = record(tmp_path / "drive.bag", rig, images, ros1=True, more=more)
    with open_source(bag) as source:
        kinds = {topic.name: topic.kind for topic in source.topics}
    assert kinds["/sonar"] == "sensor_msgs/msg/Range of ROS 1"  # of no class, so not replayed
    assert kinds["/front/camera_info"] == "sensor_msgs/msg/CameraInfo"  # but for names the same


@pytest.mark.parametrize("name", ["drive.mcap", "drive.bag", "drive.db3", "Fahrt 車 (1)"])
def test_a_folder_may_have_any_name(tmp_path, rig, images, name):
    record(tmp_path / "plain", rig, images).rename(tmp_path / name)
    assert len(look_into(f"{tmp_path / name}/").cameras) == len(rig.names)


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        (CompressionMode.FILE, "unpack bag.db3.zstd by `zstd -d`"),
        (CompressionMode.MESSAGE, "its messages are compressed"),
    ],
)
def test_packed_bags_need_their_metadata(tmp_path, rig, images, mode, why):
    bag = record(
        tmp_path / "bag", rig, images, storage=StoragePlugin.SQLITE3, compress=mode, frames=1
    )
    assert len(look_into(bag).cameras) == len(rig.names)
    (bag / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=why):
        look_into(bag)


def test_a_leading_slash_is_no_other_frame(tmp_path, rig, images):
    def more(bag, camera, stamp_ns):
        pose = np.eye(4)
        bag.write("/wheels/odom", bag.make.odometry(pose, stamp_ns, child="/base_link"), stamp_ns)
        bag.write("/gps/odometry", bag.make.odometry(pose, stamp_ns), stamp_ns)

    frame, base = "/{}_optical_frame", "/base_link"
    layout = look_into(record(tmp_path / "bag", rig, images, frame=frame, base=base, more=more))
    assert layout.odometry_topic == "/wheels/odom"
    assert layout.rig.base_frame == "base_link"
    assert not layout.problems
    assert "odometry is /wheels/odom; there also is /gps/odometry" in said(layout)


def test_motion_that_is_not_used_is_said(tmp_path, rig, images):
    def more(bag, camera, stamp_ns):
        bag.write("/pose", bag.make.pose(np.eye(4), stamp_ns), stamp_ns)

    layout = look_into(record(tmp_path / "bag", rig, images, more=more))
    assert "no ego motion: that takes nav_msgs/Odometry or /tf, not /pose" in said(layout)


def test_a_base_frame_beside_the_cameras_is_the_base_frame(tmp_path, rig, images):
    """As where a LiDAR carries cameras and vehicle alike."""
    T_base_lidar = make_transform(np.eye(3), [0.5, 0, 1.8])
    turned = [np.linalg.inv(T_base_lidar) @ camera.T_ego_cam for camera in rig.cameras]
    below = Rig(tuple(replace(c, T_ego_cam=T) for c, T in zip(rig.cameras, turned)))

    def more(bag, camera, stamp_ns):
        T = np.linalg.inv(T_base_lidar)
        bag.write(
            "/tf_static", bag.make.tf(bag.make.transform("lidar", "base_link", T, 0)), stamp_ns
        )

    layout = look_into(record(tmp_path / "bag", below, images, base="lidar", more=more))
    assert layout.rig.base_frame == "base_link"
    poses = {camera.name: camera.T_ego_cam for camera in layout.rig.cameras}
    assert all(np.allclose(poses[c.name], c.T_ego_cam, atol=1e-6) for c in rig.cameras)


def test_camera_info_of_zeros_gives_way_to_a_rig_file(tmp_path, rig, images):
    def more(bag, camera, stamp_ns):
        info = bag.make.info(camera, stamp_ns, f"{camera.name}_optical_frame")
        info.k[:], info.p[:], info.r[:] = 0, 0, 0
        bag.write(f"/{camera.name}/camera_info", info, stamp_ns)

    bag = record(tmp_path / "bag", rig, images, info="", more=more)
    assert look_into(bag).rig is None
    save_rig(rig, bag / "rig.yaml")
    layout = look_into(bag)
    assert all(camera.info_topic is None for camera in layout.cameras)
    assert "/front/camera_info" in layout.not_played
    assert "/front/camera_info: K is zero: not calibrated; the rig file's K is used" in said(layout)


def test_stamps_of_zero_are_said(tmp_path, rig, images):
    layout = look_into(record(tmp_path / "bag", rig, images, stamped=False))
    assert "the stamps of /back/image_raw, " in said(layout)


def test_names_that_ros2_does_not_allow_are_replayed_under_others(tmp_path, rig, images):
    image, info = "/3d-cam/{}/image_raw", "/3d-cam/{}/camera_info"
    layout = look_into(
        record(tmp_path / "drive.bag", rig, images, image=image, info=info, ros1=True)
    )
    assert layout.image_pattern == "camera_3d_cam/{camera}/image_raw"
    assert layout.info_pattern == "camera_3d_cam/{camera}/camera_info"


def test_the_rig_of_a_recording_finds_the_same_topics_again(tmp_path, rig, images):
    """As where the launch file gives node and player the rig that it made."""

    def more(bag, camera, stamp_ns):
        i, frame = rig.names.index(camera.name), f"{camera.name}_optical_frame"
        for folder in (f"/{camera.name}/right", f"/{camera.name}/left/grey"):
            image = bag.make.raw(images[i], stamp_ns, frame)
            bag.write(f"{folder}/image_rect", image, stamp_ns)
            bag.write(f"{folder}/camera_info", bag.make.info(camera, stamp_ns, frame), stamp_ns)

    image, info = "/{}/left/image_raw", "/{}/left/camera_info"
    bag = record(tmp_path / "bag", rig, images, image=image, info=info, more=more)
    layout = look_into(bag)
    setup = write_setup(layout, tmp_path / "out")
    again = look_into(bag, rig_file=setup.rig_file)
    assert again.cameras == layout.cameras and len(again.cameras) == len(rig.names)
    assert set(again.not_played) == set(layout.not_played)
