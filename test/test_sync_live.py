"""Stamps and arrivals that no rig should have, on a live graph: what comes out, and what is said.

The same kinds, and more of each, are tested without ROS in test_sync_faults.py.
"""

import re
import sys
import time

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from graph import Graph, Shot, stamp_of
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image

from fsmde_ros.conversions import ns_to_stamp

SECOND_NS = 1_000_000_000
YEAR_NS = 31_536_000 * SECOND_NS
SLOW = """
import sys, time
from fsmde_core.runtime.predictor import Predictor
from fsmde_ros.depth_node import main

class Slow(Predictor):
    def predict(self, *args, **options):
        time.sleep({seconds})
        return super().predict(*args, **options)

sys.exit(main(sys.argv[1:], make_predictor=Slow))
"""


class Rig:
    """A live graph that sends what it is told, in real time, and looks at what the node says."""

    def __init__(self, rig, images, folder, *parameters, **options):
        self.graph = Graph(rig, folder, *parameters, **options)
        self.images = images
        self.names = rig.names
        self.first = self.graph.shots(images)

    def shot(self, camera, stamp_ns) -> Shot:
        """One camera's messages at a stamp."""
        image, info = self.first[camera].image, self.first[camera].info
        image.header.stamp = info.header.stamp = ns_to_stamp(stamp_ns)
        return Shot(camera, stamp_ns, image, info)

    def play(self, events):
        """Send (seconds, camera, stamp_ns), each at its time."""
        start = time.monotonic()
        for at_s, camera, stamp_ns in sorted(events):
            due = start + at_s
            self.graph.spin_until(lambda due=due: time.monotonic() >= due, "the next image")
            self.graph.send([self.shot(camera, stamp_ns)])

    def frames(self, frames, *, hz=12, first=0, off_ns=lambda frame, camera: 0):
        """Events of a rig whose cameras fire 7 ms apart."""
        return [
            (k / hz + i * 0.007, i, self.at_ns((first + k) / hz + i * 0.007) + off_ns(first + k, i))
            for k in range(frames)
            for i in range(len(self.names))
        ]

    def at_ns(self, seconds):
        return self.first[0].stamp_ns + round(seconds * SECOND_NS)

    def depths(self) -> list[int]:
        """Depth images by camera."""
        return [len(self.graph.received[f"{name}/depth/image_rect"]) for name in self.names]

    def status(self, pattern) -> DiagnosticStatus:
        """Wait for a status whose message holds a pattern."""
        received = self.graph.received["surround_depth/status"]
        end = time.monotonic() + 20
        while not (found := [msg for msg in received if re.search(pattern, msg.message)]):
            assert time.monotonic() < end, [msg.message for msg in received]
            self.graph.spin_for(0.1)
        return found[0]

    def settle(self):
        """Until nothing comes out any more."""
        before = None
        while self.depths() != before:
            before = self.depths()
            self.graph.spin_for(0.5)


@pytest.fixture
def live(ros, rig, images, stub_model, tmp_path):
    """Makes rigs; closes them."""
    made = []

    def make(*parameters, cameras=6, **options):
        part = type(rig)(rig.cameras[:cameras])
        model = f"model:={stub_model}"
        made.append(Rig(part, images[:cameras], tmp_path, model, *parameters, **options))
        return made[-1]

    yield make
    for found in made:
        text = found.graph.text()
        found.graph.close()
        assert found.graph.process.returncode == 0 and "Traceback" not in text


def test_a_clock_that_is_half_a_second_ahead_costs_its_own_camera_only(live):
    rig, camera = live(), 4
    rig.play(rig.frames(36, off_ns=lambda k, i: SECOND_NS // 2 if i == camera else 0))
    rig.settle()
    depths = rig.depths()
    assert depths.pop(camera) <= 3  # it is not known from the first image on
    assert min(depths) >= 28  # a busy machine replaces a few
    status = rig.status(rf"stamps of {rig.names[camera]} are [45]\d\d ms ahead of the others")
    assert status.level != DiagnosticStatus.OK
    values = {v.key: v.value for v in status.values}
    assert values["missing cameras"] == "none"  # its images come
    assert int(values["image dropped: another clock"]) > 0


def test_one_late_stamp_a_second_costs_its_own_set_only(live):
    rig = live()
    rig.play(rig.frames(36, off_ns=lambda k, i: 75_000_000 if (i, k % 12) == (3, 5) else 0))
    rig.settle()
    assert min(rig.depths()) >= 26


def fast_front(rig):
    """Three seconds in which the first camera fires at 15 Hz and the others at 5 Hz."""
    fast = [(k / 15, 0, rig.at_ns(k / 15)) for k in range(45)]
    return fast + [event for event in rig.frames(15, hz=5) if event[1]]


def test_a_front_camera_at_15_hz_with_two_at_5(live):
    rig = live("slop_s:=0.15", cameras=3)
    rig.play(fast_front(rig))
    rig.settle()
    assert min(rig.depths()) >= 10 and max(rig.depths()) <= 15
    rig.status("running")
    statuses = rig.graph.received["surround_depth/status"]  # the first may come before it is known
    rates = {v.value for msg in statuses for v in msg.values if v.key == "camera rates [Hz]"}
    assert "front 15, front_right 5, back_right 5" in rates


def test_a_rate_that_is_asked_for(live):
    rig = live("slop_s:=0.15", "rate:=15.0", cameras=3)
    rig.play(fast_front(rig))
    rig.settle()
    assert rig.depths()[0] >= 25 and 10 <= rig.depths()[1] <= 15
    statuses = rig.graph.received["surround_depth/status"]
    assert any(msg.level == DiagnosticStatus.OK for msg in statuses)


def test_simulated_time_without_a_clock_is_named_and_a_silent_camera_too(live):
    rig = live("use_sim_time:=true", cameras=2)
    rig.play(rig.frames(12))
    rig.play([event for event in rig.frames(24, first=12) if event[1] == 0])
    rig.settle()  # deadlines go by the wall
    status = rig.status("camera front_right silent for")
    assert "use_sim_time is true, but nothing came on /clock" in status.message


def test_two_players_of_simulated_time_are_named(live):
    rig = live("use_sim_time:=true", cameras=2)
    players = [rclpy.create_node(name) for name in ("bag", "simulator")]
    try:
        clocks = [player.create_publisher(Clock, "/clock", 10) for player in players]
        for k in range(12):
            for clock, ahead_s in zip(clocks, (0, 50)):
                clock.publish(Clock(clock=ns_to_stamp(rig.at_ns(k / 12 + ahead_s))))
            rig.play(rig.frames(1, first=k))
        status = rig.status(r"/clock has 2 publishers \(/bag, /simulator\)")
        assert status.level != DiagnosticStatus.OK
    finally:
        for player in players:
            player.destroy_node()


def test_two_publishers_on_one_topic_are_counted_and_named(live):
    rig = live(cameras=3)
    bag = rclpy.create_node("bag", namespace=rig.graph.namespace)
    try:
        image = bag.create_publisher(Image, "back_right/image_raw", 10)
        bag.create_publisher(CameraInfo, "back_right/camera_info", 10)
        rig.play(rig.frames(12))
        for k in range(24):
            old = rig.shot(2, rig.at_ns((12 + k) / 12) - YEAR_NS)
            image.publish(old.image)
            rig.play(rig.frames(1, first=12 + k))
            rig.graph.spin_for(1 / 24)
        rig.settle()
        status = rig.status("have 2 publishers")
        ns = rig.graph.namespace
        assert status.level != DiagnosticStatus.OK
        assert f"({ns}/bag, {ns}/test_rig): a driver and a bag at once?" in status.message
        rig.status("two publishers share its topic")
        clouds = {stamp_of(msg) > rig.first[0].stamp_ns - 1 for msg in rig.graph.received["points"]}
        assert clouds == {True}  # of one clock
    finally:
        bag.destroy_node()


def test_a_camera_info_that_nobody_sends_is_named_with_its_topic(live):
    rig = live(cameras=3)
    (ns, node), infos = (rig.graph.namespace, rig.graph.node), rig.graph.infos
    for publisher in infos[1:]:
        node.destroy_publisher(publisher)
    del infos[1:]
    for _, camera, stamp_ns in sorted(rig.frames(36)):
        shot = rig.shot(camera, stamp_ns)
        shot.info = shot.info if camera == 0 else None
        rig.graph.send([shot])
        rig.graph.spin_for(1 / 36)
    status = rig.status("no CameraInfo yet from front_right")
    assert f"{ns}/front_right/camera_info and 1 more topic have no publisher" in status.message
    assert rig.depths()[0] > 0 and rig.depths()[1:] == [0, 0]


def test_a_negative_stamp_is_called_negative(live):
    rig = live(cameras=2)
    rig.play(rig.frames(12))
    rig.play([(0.0, 1, -5 * SECOND_NS)])
    rig.status("stamps of front_right are negative")


@pytest.mark.parametrize(
    ("seconds", "level", "text"),
    [
        (0.5, DiagnosticStatus.WARN, "sets were dropped: a newer set came in first"),
        (3.0, DiagnosticStatus.ERROR, "no set came out for"),
    ],
    ids=["slow", "stuck"],
)
def test_inference_that_is_too_slow_is_no_ok(live, seconds, level, text):
    program = [sys.executable, "-c", SLOW.format(seconds=seconds)]
    rig = live(cameras=1, program=program)
    rig.play(rig.frames(42))
    assert rig.status(text).level == level
