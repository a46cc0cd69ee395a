"""The cloud of a drive in which the cameras fire one after another."""

import sys
from types import ModuleType

import numpy as np
import pytest
from blocks import render_blocks
from geometry_msgs.msg import Point, Pose, Quaternion, TransformStamped, Vector3
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
from fsmde_core.predictor import Prediction
from fsmde_core.rig import Rig
from fsmde_ros.cloud import CloudBuilder, CloudOptions, xyz_of
from fsmde_ros.conversions import MessageError, cloud_from_msg, ns_to_stamp, transform_from_pose
from fsmde_ros.ego_motion import OdometryMotion, TfMotion

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
        # the chord of 20 ms of this circle leaves it by 0.25 mm
        assert np.allclose(T_now_earlier, exact, atol=5e-4)
    assert np.allclose(found[2], np.eye(4))


def test_images_newer_than_the_odometry_are_met_at_constant_velocity():
    (found,) = on_a_circle(400).between([START_NS + 380 * MS], START_NS + 440 * MS)
    exact = invert_transform(pose_at(0.44)) @ pose_at(0.38)
    assert np.allclose(found, exact, atol=1e-2)  # 60 cm of way, 1 cm off


def test_what_odometry_does_not_cover_is_said():
    motion = on_a_circle(400)
    with pytest.raises(MessageError, match="/odom: poses 200 to 600 ms before the newest image"):
        motion.between([START_NS + 550 * MS], START_NS + 600 * MS)
    with pytest.raises(MessageError, match="frame 'wheel', not 'base_link'"):
        motion.update(odometry(START_NS, np.eye(4), child="wheel"))
    motion.update(odometry(START_NS, np.eye(4)))  # time goes back: a new drive
    with pytest.raises(MessageError, match="no odometry yet"):
        motion.between([START_NS], START_NS)


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


def test_motion_from_tf(monkeypatch):
    """tf2_ros is not on PyPI: a stand-in for its buffer, which knows the circle until 450 ms."""
    module = ModuleType("tf2_ros")

    class Buffer:
        def lookup_transform_full(self, target, target_time, source, source_time, fixed):
            assert (target, source, fixed) == ("base_link", "base_link", "odom")
            now_s, then_s = ((t.nanoseconds - START_NS) / 1e9 for t in (target_time, source_time))
            if now_s > 0.45:
                raise module.TransformException("extrapolation into the future")
            T = invert_transform(pose_at(now_s)) @ pose_at(then_s)
            stamped = TransformStamped()
            stamped.transform.translation = Vector3(**dict(zip("xyz", T[:3, 3])))
            turn = dict(zip("xyzw", rotation_to_quaternion(T[:3, :3])))
            stamped.transform.rotation = Quaternion(**turn)
            return stamped

    module.Buffer = Buffer
    module.TransformException = type("TransformException", (Exception,), {})
    module.TransformListener = lambda buffer, node: object()
    monkeypatch.setitem(sys.modules, "tf2_ros", module)
    motion = TfMotion(None, "odom", base_frame="base_link")
    assert motion.source == "/tf, odom <- base_link"
    (found,) = motion.between([START_NS + 400 * MS], START_NS + 440 * MS)
    assert np.allclose(found, invert_transform(pose_at(0.44)) @ pose_at(0.40))
    with pytest.raises(MessageError, match="odom <- base_link: extrapolation into the future"):
        motion.between([START_NS], START_NS + 500 * MS)


def test_a_fixed_frame_without_tf2_ros_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_ros", None)  # as if it was not installed
    with pytest.raises(ImportError, match="fixed_frame needs tf2_ros, which is not installed"):
        TfMotion(None, "odom", base_frame="base_link")
