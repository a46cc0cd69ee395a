"""The cloud of a drive in which the cameras fire one after another."""

import sys

import cv2
import numpy as np
import pytest
from blocks import render_blocks
from geometry_msgs.msg import Point, Pose, Quaternion
from graph import START_NS, Graph
from nav_msgs.msg import Odometry
from std_msgs.msg import Header

from fsmde_core.fit import Fit
from fsmde_core.geometry import (
    invert_transform,
    make_transform,
    quaternion_to_rotation,
    rotation_to_quaternion,
    transform_points,
)
from fsmde_core.rig import Rig
from fsmde_core.runtime.predictor import Prediction
from fsmde_ros.cloud import CloudBuilder, CloudOptions, xyz_of
from fsmde_ros.conversions import MessageError, cloud_from_msg, ns_to_stamp, transform_from_pose
from fsmde_ros.ego_motion import OdometryMotion, TfMotion
from fsmde_ros.transforms import Transforms

MS = 1_000_000
SPEED, YAW_RATE = 10.0, 0.5  # m/s along x, rad/s


def pose_at(seconds: float) -> np.ndarray:
    """T_odom_ego of a drive on a circle of 20 m radius."""
    yaw, radius = YAW_RATE * seconds, SPEED / YAW_RATE
    R = quaternion_to_rotation([0, 0, np.sin(yaw / 2), np.cos(yaw / 2)])
    return make_transform(R, [radius * np.sin(yaw), radius * (1 - np.cos(yaw)), 0.0])


def odometry(stamp_ns: int, T_odom_ego: np.ndarray, child="base_link") -> Odometry:
    msg = Odometry(header=Header(stamp=ns_to_stamp(stamp_ns), frame_id="odom"))
    msg.child_frame_id = child
    position = Point(**dict(zip("xyz", T_odom_ego[:3, 3])))
    turn = Quaternion(**dict(zip("xyzw", rotation_to_quaternion(T_odom_ego[:3, :3]))))
    msg.pose.pose = Pose(position=position, orientation=turn)
    return msg


def on_a_circle(until_ms: int) -> OdometryMotion:
    """50 Hz of the circle."""
    motion = OdometryMotion("/odom", base_frame="base_link")
    for ms in range(0, until_ms + 1, 20):
        motion.update(odometry(START_NS + ms * MS, pose_at(ms / 1e3)))
    return motion


def test_a_pose_message_is_its_transform():
    T = pose_at(0.7)
    assert np.allclose(transform_from_pose(odometry(1, T).pose.pose), T)


def test_motion_between_two_moments_of_a_curve():
    earlier_ms, now_ms = [405, 433, 450], 450
    found = on_a_circle(600).between(
        [START_NS + ms * MS for ms in earlier_ms], START_NS + now_ms * MS
    )
    for T_now_earlier, ms in zip(found, earlier_ms):
        exact = invert_transform(pose_at(now_ms / 1e3)) @ pose_at(ms / 1e3)
        assert np.allclose(T_now_earlier, exact, atol=1e-6)
    assert np.allclose(found[2], np.eye(4))


def test_images_newer_than_the_odometry_are_met_at_constant_velocity():
    (found,) = on_a_circle(400).between([START_NS + 380 * MS], START_NS + 440 * MS)
    exact = invert_transform(pose_at(0.44)) @ pose_at(0.38)
    assert np.allclose(found, exact, atol=1e-6)


def test_frames_of_ros1_begin_with_a_slash(tf_tree):
    motion = OdometryMotion("/odom", base_frame="base_link")
    tf_on_a_circle(tf_tree, 20)
    for ms in (0, 20):
        motion.update(odometry(START_NS + ms * MS, pose_at(ms / 1e3), child="/base_link"))
    from_tf = TfMotion(tf_tree.transforms, "/odom", base_frame="/base_link")
    for source in (motion, from_tf):
        (found,) = source.between([START_NS], START_NS + 20 * MS)
        assert np.allclose(found, invert_transform(pose_at(0.02)) @ pose_at(0), atol=1e-3)


def test_what_odometry_does_not_cover_is_said():
    motion = on_a_circle(400)
    with pytest.raises(MessageError, match="/odom: poses 200 to 600 ms before the newest image"):
        motion.between([START_NS + 550 * MS], START_NS + 600 * MS)
    with pytest.raises(MessageError, match="frame 'wheel', not 'base_link'"):
        motion.update(odometry(START_NS, np.eye(4), child="wheel"))
    motion = on_a_circle(1400)
    motion.update(odometry(START_NS, np.eye(4)))  # time goes back: a new drive
    with pytest.raises(MessageError, match="no odometry yet"):
        motion.between([START_NS], START_NS)


def moved(motion, earlier_ms, now_ms):
    """How far, in metres, what was seen straight ahead has come nearer."""
    (T,) = motion.between([START_NS + round(earlier_ms * MS)], START_NS + round(now_ms * MS))
    return -T[0, 3]


def straight(stamps_ms, *, frame="odom", noise=0.0):
    """10 m/s straight on."""
    motion, rng = OdometryMotion("/odom", base_frame="base_link"), np.random.default_rng(3)
    for ms in stamps_ms:
        T = make_transform(np.eye(3), [SPEED * ms / 1e3, 0, 0] + noise * rng.standard_normal(3))
        motion.update(odometry(START_NS + round(ms * MS), T))
    return motion


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("a pose is not finite", {"position": Point(x=np.nan)}),
        ("a pose is not finite", {"position": Point(z=-np.inf)}),
        ("quaternion .* has norm nan", {"orientation": Quaternion(x=np.nan, w=1.0)}),
        ("quaternion .* has norm inf", {"orientation": Quaternion(w=np.inf)}),
        ("quaternion .* has norm 0", {"orientation": Quaternion(w=0.0)}),
        ("quaternion .* has norm 2", {"orientation": Quaternion(w=2.0)}),
    ],
)
def test_poses_that_are_none_are_refused_and_said_where_a_set_wants_them(what, change):
    motion = OdometryMotion("/odom", base_frame="base_link")
    for ms in range(0, 100, 20):
        msg = odometry(START_NS + ms * MS, np.eye(4))
        for field, value in change.items():
            setattr(msg.pose.pose, field, value)
        with pytest.raises(MessageError, match=f"/odom: {what}"):
            motion.update(msg)
    with pytest.raises(MessageError, match=f"/odom: {what}"):
        motion.between([START_NS], START_NS + 40 * MS)


def test_one_bad_pose_among_good_ones_costs_nothing():
    motion = on_a_circle(400)
    with pytest.raises(MessageError):
        motion.update(odometry(START_NS + 410 * MS, np.eye(4), child=""))
    assert moved(motion, 380, 400) == pytest.approx(0.2, abs=1e-3)


def test_a_wrong_child_frame_is_the_reason_why_nothing_is_compensated():
    motion = OdometryMotion("/odom", base_frame="base_link")
    for k in range(3):
        with pytest.raises(MessageError):
            motion.update(odometry(START_NS + k * MS, np.eye(4), child="base_footprint"))
    with pytest.raises(MessageError, match="odometry of frame 'base_footprint', not 'base_link'"):
        motion.between([START_NS], START_NS)


@pytest.mark.parametrize("back_ms", [0, 3, 35])
def test_messages_that_come_twice_or_late_change_nothing(back_ms):
    motion = OdometryMotion("/odom", base_frame="base_link")
    for ms in range(0, 401, 20):
        for stamp in (ms, ms - back_ms):
            T = make_transform(np.eye(3), [SPEED * stamp / 1e3, 0, 0])
            motion.update(odometry(START_NS + stamp * MS, T))
    assert moved(motion, 350, 390) == pytest.approx(0.4)


def test_stamps_that_stand_still_are_said():
    motion = straight([0, 20, 40] + [40] * 20)
    with pytest.raises(MessageError, match="/odom: odometry whose stamps do not go forward"):
        motion.between([START_NS + 700 * MS], START_NS + 740 * MS)


def test_the_past_is_kept_by_time_however_many_messages_come():
    motion = straight(np.arange(0, 1500, 1.0))  # 1 kHz
    assert moved(motion, 200, 1490) == pytest.approx(12.9)
    motion = straight(range(0, 5000, 20))
    with pytest.raises(MessageError, match="do not cover the set"):
        motion.between([START_NS + 2000 * MS], START_NS + 4900 * MS)


@pytest.mark.parametrize(("every_ms", "error_m"), [(1, 0.002), (10, 0.005), (20, 0.01)])
def test_noise_of_a_millimetre_is_not_carried_on(every_ms, error_m):
    """The last two poses alone made 12.5 cm of it."""
    motion = straight(np.arange(0, 400 + every_ms / 2, every_ms), noise=0.001)
    for ahead_ms in (50, 99):
        assert moved(motion, 400, 400 + ahead_ms) == pytest.approx(ahead_ms / 100, abs=error_m)


def test_the_curve_goes_on_as_a_curve():
    (found,) = on_a_circle(400).between([START_NS + 380 * MS], START_NS + 490 * MS)
    assert np.allclose(found, invert_transform(pose_at(0.49)) @ pose_at(0.38), atol=1e-6)


def test_a_jump_is_no_motion():
    motion = straight(range(0, 400, 20))
    for position, ms in ((1e300, 400), (300.0, 420)):
        motion.update(odometry(START_NS + ms * MS, make_transform(np.eye(3), [position, 0, 0])))
        with pytest.raises(MessageError, match="/odom: the pose jumps by .* m in 30 ms"):
            motion.between([START_NS + (ms - 30) * MS], START_NS + ms * MS)


@pytest.mark.parametrize("degrees", [15, 90, -179])
@pytest.mark.parametrize("axis", [[0, 0, 1], [0, 1, 0]])
def test_a_turn_in_one_message_is_no_motion(degrees, axis):
    motion = straight(range(0, 400, 20))
    turned = cv2.Rodrigues(np.deg2rad(degrees) * np.array(axis, float))[0]
    T = make_transform(turned, [SPEED * 0.4, 0, 0])
    motion.update(odometry(START_NS + 400 * MS, T))
    with pytest.raises(MessageError, match=f"the pose turns by {abs(degrees)} degrees in 20 ms"):
        motion.between([START_NS + 380 * MS], START_NS + 400 * MS)
    assert moved(motion, 340, 370) == pytest.approx(0.3)


def test_a_robot_may_spin():
    motion = OdometryMotion("/odom", base_frame="base_link")
    for ms in range(0, 400, 20):
        T = make_transform(cv2.Rodrigues(np.array([0, 0, 4e-3 * ms]))[0], [0, 0, 0])
        motion.update(odometry(START_NS + ms * MS, T))
    motion.between([START_NS + ms * MS for ms in (300, 360, 390)], START_NS + 400 * MS)


@pytest.mark.parametrize("frames", [("map", "odom"), ("", "odom", "map")])
def test_odometry_of_frames_in_turn_is_said(frames):
    motion = OdometryMotion("/odom", base_frame="base_link")
    for k in range(24):
        msg = odometry(START_NS + 20 * k * MS, np.eye(4))
        msg.header.frame_id = frames[k % len(frames)]
        motion.update(msg)
    with pytest.raises(MessageError, match="the frame changes from (map|odom) to (odom|map)"):
        motion.between([START_NS + 440 * MS], START_NS + 460 * MS)


def test_other_times_and_other_frames_start_afresh():
    for restart_ms in (-60_000, 3_600_000):  # a simulation reset, a jump of its clock
        motion = straight([*range(0, 400, 20), *range(restart_ms, restart_ms + 400, 20)])
        assert moved(motion, restart_ms + 300, restart_ms + 350) == pytest.approx(0.5)
    motion = straight(range(0, 400, 20))
    for ms in range(400, 600, 20):  # another map, whose origin is elsewhere
        msg = odometry(START_NS + ms * MS, make_transform(np.eye(3), [SPEED * ms / 1e3 + 50, 0, 0]))
        msg.header.frame_id = "map"
        motion.update(msg)
    assert moved(motion, 500, 550) == pytest.approx(0.5)
    with pytest.raises(MessageError, match="do not cover the set"):
        motion.between([START_NS + 380 * MS], START_NS + 420 * MS)


def test_a_gap_is_not_bridged():
    motion = straight([*range(0, 400, 20), *range(1400, 1600, 20)])
    assert moved(motion, 1500, 1550) == pytest.approx(0.5)
    with pytest.raises(MessageError, match=r"/odom: no pose for 1.0 s around an image"):
        motion.between([START_NS + 900 * MS], START_NS + 1500 * MS)


def test_a_moving_rig_sees_the_standing_world_once(rig):
    """Cameras fire 40 ms apart at 20 m/s; every point must lie where the last camera sees it."""
    travelled = [0.8 * i for i in range(6)]
    views = [render_blocks(c, travelled_m=m) for c, m in zip(rig.cameras, travelled)]
    depth = tuple(depth for _, depth in views)
    ones = tuple(np.ones_like(d) for d in depth)
    images = tuple(image for image, _ in views)
    fits = tuple(Fit(camera, camera) for camera in rig.cameras)
    prediction = Prediction(depth=depth, confidence=ones, surface=ones, images=images, fits=fits)
    T_odom_ego = np.stack([make_transform(np.eye(3), [m, 0, 0]) for m in travelled])
    T_now_ego = invert_transform(T_odom_ego[-1]) @ T_odom_ego
    builder = CloudBuilder(rig, CloudOptions(stride=1))
    near = [np.where((d > 0) & (d < 60), d, np.float32(np.inf)) for d in depth]
    still = xyz_of(builder(prediction, near))
    moved = xyz_of(builder(prediction, near, T_now_ego))
    # the block at x 12 m, y 3.5 m has its near face at 9.75 m, and we are 4 m on
    for xyz, expected in ((still, 9.75), (moved, 5.75)):
        front = xyz[: np.isfinite(near[0]).sum()]
        on_block = (np.abs(front[:, 1] - 3.5) < 0.8) & (front[:, 2] > 0.1) & (front[:, 2] < 1.4)
        face = front[on_block & (front[:, 0] < expected + 1), 0]
        assert len(face) > 100 and np.abs(face - expected).max() < 1e-3
    shift = transform_points(T_now_ego[0], still[:1])[0]
    assert np.allclose(moved[0], shift, atol=1e-5)


def test_the_node_moves_the_cloud_and_says_where_from(ros, rig, images, stub_model, tmp_path):
    part = Rig(rig.cameras[:2])
    graph = Graph(part, tmp_path, f"model:={stub_model}", "odometry_topic:=odom")
    odom = graph.node.create_publisher(Odometry, "odom", 10)
    try:
        graph.spin_until(odom.get_subscription_count, "the node to listen to odometry")
        _, _, still = graph.answer(graph.publish(images[:2]))
        graph.warned("ego motion is not compensated: {ns}/odom: no odometry yet")

        def drive(count):
            for k in range(count):  # 100 m/s straight on, 1 ms apart, around the next set
                T = make_transform(np.eye(3), [0.1 * k, 0, 0])
                odom.publish(odometry(graph.next_ns + (k - 5) * MS, T))
                graph.spin_for(0.01)

        drive(20)
        graph.spin_for(0.3)
        _, _, moved = graph.answer(graph.publish(images[:2]))
        shift = xyz_of(cloud_from_msg(moved)) - xyz_of(cloud_from_msg(still))
        half = len(shift) // 2
        # front fired 7 ms before front_right: its points are 0.7 m nearer now
        assert np.allclose(shift[:half], [-0.7, 0, 0], atol=1e-4)
        assert np.allclose(shift[half:], 0, atol=1e-4)
        assert graph.status(lambda s: True)["ego motion"] == f"{graph.namespace}/odom"
    finally:
        graph.close()


def tf_on_a_circle(tf_tree, every_ms, *, start_ns=START_NS):
    """The circle until 400 ms."""
    for ms in range(0, 401, every_ms):
        tf_tree.moving("odom", "base_link", pose_at(ms / 1e3), start_ns + ms * MS)


def test_motion_from_tf(tf_tree):
    tf_on_a_circle(tf_tree, 20)
    motion = TfMotion(tf_tree.transforms, "odom", base_frame="base_link")
    assert motion.source == "/tf, odom <- base_link"
    (found,) = motion.between([START_NS + 345 * MS], START_NS + 385 * MS)
    exact = invert_transform(pose_at(0.385)) @ pose_at(0.345)
    assert np.allclose(found, exact, atol=1e-3)
    with pytest.raises(MessageError, match="odom <- base_link: .*extrapolation into the past"):
        motion.between([START_NS - 20 * MS], START_NS + 10 * MS)
    with pytest.raises(MessageError, match='map <- base_link: .*"map" .*does not exist'):
        TfMotion(tf_tree.transforms, "map", base_frame="base_link").between([START_NS], START_NS)


def test_images_newer_than_tf_are_met_at_constant_velocity(tf_tree):
    """A localization at 10 or 50 Hz is nearly always behind the newest image."""
    for every_ms in (20, 100):
        tf_tree.transforms.forget()
        tf_on_a_circle(tf_tree, every_ms)
        motion = TfMotion(tf_tree.transforms, "odom", base_frame="base_link")
        for now_ms in (405, 450, 499):
            (found,) = motion.between([START_NS + 380 * MS], START_NS + now_ms * MS)
            exact = invert_transform(pose_at(now_ms / 1e3)) @ pose_at(0.38)
            assert np.allclose(found, exact, atol=0.01)
        with pytest.raises(MessageError, match="extrapolation into the future"):
            motion.between([START_NS], START_NS + 501 * MS)


def test_tf_of_a_drive_that_is_played_again_starts_afresh(tf_tree):
    """Its stamps lie before all that tf2 keeps, and it would take none of them."""
    tf_tree.static("base_link", "camera", np.eye(4))
    tf_on_a_circle(tf_tree, 20, start_ns=START_NS + 60_000 * MS)
    motion = TfMotion(tf_tree.transforms, "odom", base_frame="base_link")
    motion.between([START_NS + 60_380 * MS], START_NS + 60_400 * MS)
    with pytest.raises(MessageError):
        motion.between([START_NS], START_NS + 40 * MS)
    tf_on_a_circle(tf_tree, 20)
    (found,) = motion.between([START_NS + 380 * MS], START_NS + 400 * MS)
    assert np.allclose(found, invert_transform(pose_at(0.4)) @ pose_at(0.38), atol=1e-3)
    assert np.allclose(tf_tree.transforms.lookup("base_link", "camera"), np.eye(4))


def test_tf_without_tf2_ros_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_ros", None)  # as if it was not installed
    with pytest.raises(ImportError, match="TF needs tf2_ros, which is not installed"):
        Transforms(None)
