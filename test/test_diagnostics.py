import sys
import time
from types import SimpleNamespace

import pytest
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CompressedImage, Image

from fsmde_ros.diagnostics.gpu import gpu_memory
from fsmde_ros.diagnostics.losses import Losses
from fsmde_ros.diagnostics.reporter import Reporter, status_msg
from fsmde_ros.diagnostics.statistics import STAGES, NodeStatistics
from fsmde_ros.sync import RigSync


def test_rates_are_those_of_the_last_five_seconds():
    statistics = NodeStatistics(0.0)
    for i in range(120):  # 12 Hz for ten seconds
        now_s = i / 12
        statistics.image_arrived(now_s)
        statistics.set_formed(now_s, missing=i % 2, spread_s=0.043)
        statistics.set_published(now_s, dict.fromkeys(STAGES, 0.02))
    values = statistics.summary(10.0)
    assert values["images in [Hz]"] == values["sets out [Hz]"] == 12.0
    assert values["partial sets [Hz]"] == 6.0
    assert values["set spread [ms]"] == 43.0
    assert values["inference p50 [ms]"] == values["total p95 [ms]"] == 20.0
    assert statistics.summary(100.0)["sets out [Hz]"] == 0


def test_the_age_of_stamps_of_another_clock_is_not_told():
    statistics = NodeStatistics(0.0)
    statistics.set_published(1.0, dict.fromkeys(STAGES, 0.02) | {"since stamp": 0.07})
    assert statistics.summary(1.0)["since stamp p50 [ms]"] == 70.0
    statistics.set_published(2.0, dict.fromkeys(STAGES, 0.02) | {"since stamp": 9e7})
    assert "since stamp p50 [ms]" not in statistics.summary(2.0)


def test_drops_are_counted_by_cause():
    statistics = NodeStatistics(0.0)
    for cause in ("late", "late", "broken"):
        statistics.dropped(cause, 0.0)
    values = statistics.summary(0.0)
    assert values["dropped: late"] == 2 and values["dropped: broken"] == 1


def test_problems_are_those_of_the_last_five_seconds():
    statistics = NodeStatistics(0.0)
    statistics.set_formed(1.0, missing=0, spread_s=0.0)
    statistics.set_formed(2.0, missing=1, spread_s=0.0)
    statistics.dropped("broken", 3.0, "/front/image_raw: JPEG is truncated")
    expected = ["set skipped: /front/image_raw: JPEG is truncated", "1 of 2 sets lack a camera"]
    assert statistics.problems(4.0) == expected
    assert statistics.problems(9.0) == []
    assert statistics.without_full_set_s(4.0) == 3.0


def fed(statistics, *, until_s, out_s=None, hz=12, start_s=0.0):
    """Sets at 12 Hz, one of which comes out every out_s; the others are replaced."""
    out_at = start_s
    for frame in range(round(start_s * hz), round(until_s * hz)):
        now_s = frame / hz
        statistics.set_formed(now_s, missing=0, spread_s=0.0)
        if out_s is not None and now_s >= out_at + out_s:
            statistics.set_published(now_s, dict.fromkeys(STAGES, out_s))
            out_at = now_s
        elif frame:
            statistics.dropped("a newer set came in first", now_s)


def test_sets_that_form_and_never_come_out():
    statistics = NodeStatistics(0.0)
    fed(statistics, until_s=4.0)
    assert statistics.problems(4.0) == ["no set came out for 4 s, although 48 were formed"]
    assert statistics.stalled_s(4.0) == 4.0
    statistics.set_published(4.1, dict.fromkeys(STAGES, 4.0))
    assert statistics.stalled_s(4.1) == 0.0
    assert statistics.stalled_s(60.0) == 0.0  # no new sets either


def test_sets_that_have_not_come_out_yet_are_not_said_to_be():
    statistics = NodeStatistics(0.0)
    fed(statistics, until_s=1 / 12)
    assert statistics.problems(0.1) == ["no set has come out yet, 1 were formed"]
    statistics.set_published(0.2, dict.fromkeys(STAGES, 0.1))
    assert statistics.problems(0.2) == []
    statistics = NodeStatistics(0.0)
    fed(statistics, until_s=1 / 12)
    statistics.dropped("failure", 0.1, "broken")
    assert statistics.problems(0.2) == ["set skipped: broken"]


def test_a_slow_rig_is_not_stalled_after_two_of_its_periods():
    statistics = NodeStatistics(0.0)
    fed(statistics, until_s=4.0, hz=1)
    assert statistics.stalled_s(4.0) == 0.0
    fed(statistics, start_s=4.0, until_s=8.0, hz=1)
    assert statistics.stalled_s(8.0) == 8.0


def test_many_sets_that_are_dropped_are_a_problem():
    statistics = NodeStatistics(0.0)
    fed(statistics, until_s=10.0, out_s=0.5)
    assert statistics.stalled_s(10.0) == 0.0
    assert statistics.problems(10.0) == ["50 of 60 sets were dropped: a newer set came in first"]
    statistics = NodeStatistics(0.0)
    fed(statistics, until_s=10.0, out_s=0.0)
    statistics.dropped("a newer set came in first", 9.9)  # one is no problem
    assert statistics.problems(10.0) == []


def test_time_that_went_back_is_a_problem_for_a_while():
    statistics = NodeStatistics(0.0)
    for now_s in (1.0, 2.0):
        statistics.time_went_back(now_s)
    assert statistics.problems(3.0) == ["time went back 2 time(s) in the last 5 s"]
    assert statistics.problems(8.0) == []


def test_provisional_sets_are_counted():
    statistics = NodeStatistics(0.0)
    statistics.set_formed(1.0, missing=0, spread_s=0.0, provisional=True)
    assert statistics.summary(1.0)["provisional sets [Hz]"] == 0.2


def test_levels():
    def level(problems, sets_out):
        return status_msg(
            "node", hardware_id="CPU", problems=problems, sets_out=sets_out, values={"a": 1}
        ).level

    assert level([], True) == DiagnosticStatus.OK
    assert level(["camera back silent for 2.0 s"], True) == DiagnosticStatus.WARN
    assert level(["no image yet from front"], False) == DiagnosticStatus.ERROR


def test_gpu_memory_is_read_where_a_gpu_is_in_use(monkeypatch):
    """NVIDIA's library is a stand-in here: there is no GPU where the tests run."""
    assert gpu_memory("CPUExecutionProvider")() == {}
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as if it was not installed
    assert "nvidia-ml-py is not installed" in gpu_memory("CUDAExecutionProvider")()["GPU memory"]
    library = SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=lambda device: SimpleNamespace(used=2.5e9, total=8e9),
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    memory = gpu_memory("CUDAExecutionProvider")()
    assert memory == {"GPU memory": "2500 of 8000 MB used"}


def test_a_second_node_and_the_motion_stand_in_the_status():
    """A reporter with stand-ins for the node and its publishers."""
    sent = []
    publisher = SimpleNamespace(topic_name="/points", publish=sent.append)
    node = SimpleNamespace(
        get_fully_qualified_name=lambda: "/car/surround_depth",
        get_clock=lambda: SimpleNamespace(now=lambda: SimpleNamespace(to_msg=lambda: Time())),
        count_publishers=lambda topic: 2,
    )
    statistics = NodeStatistics(time.monotonic())
    outputs = dict.fromkeys(("points", "status", "diagnostics"), publisher)
    Reporter(
        node, statistics, None, inputs=tuple, images=dict, never_came=tuple,
        losses=Losses(), with_info=tuple, more=dict, outputs=outputs,
        hardware_id="CPUExecutionProvider", model={"model": "m"}, motion="/odom",
        warn=lambda about, text: None, sync_clock=time.monotonic_ns,
    ).report()  # fmt: skip
    status, array = sent
    assert status == array.status[0] and status.name == "car/surround_depth"
    assert status.level == DiagnosticStatus.ERROR
    assert status.message == "/points has 1 other publisher(s): is the node running twice?"
    assert {v.key: v.value for v in status.values}["ego motion"] == "/odom"


@pytest.fixture
def reported(ros):
    """A reporter of two cameras, in a namespace of its own; what it publishes, warns and logs."""
    node = rclpy.create_node("listener", namespace="/reported")
    topics = [("front/image_raw", Image), ("front/image_raw/compressed", CompressedImage)]
    front = [node.create_subscription(kind, topic, print, 1) for topic, kind in topics]
    left = [node.create_subscription(Image, "left/image_raw", print, 1)]
    sent, warned, heard = [], [], []
    publisher = SimpleNamespace(topic_name="/reported/points", publish=sent.append)
    statistics, sync = NodeStatistics(time.monotonic()), RigSync(("front", "left"), slop_ns=0)
    reporter = Reporter(
        node, statistics, sync,
        inputs=lambda: front + left, images=lambda: {0: front, 1: left}, never_came=tuple,
        losses=Losses(), with_info=lambda: heard, more=dict,
        outputs=dict.fromkeys(("points", "status", "diagnostics"), publisher),
        hardware_id="CPUExecutionProvider", model={}, motion="",
        warn=lambda about, text: warned.append(text), sync_clock=time.monotonic_ns,
    )  # fmt: skip

    def report():
        reporter.report()
        status = sent[-2]
        return status.message, {value.key: value.value for value in status.values}, warned

    report.node, report.heard, report.statistics, report.sync = node, heard, statistics, sync
    yield report
    node.destroy_node()


def test_a_topic_that_nobody_publishes_is_named(reported, capfd):
    both = "/reported/front/image_raw[/compressed], /reported/left/image_raw have no publisher"
    for _ in range(2):
        message, values, warned = reported()
        assert both in message and "no image yet" not in message
        assert values["missing cameras"] == "front, left"
    assert capfd.readouterr().err.count(f"{both}: waiting for one") == 1  # no alarm, and once
    assert warned == []
    reported.node.create_publisher(Image, "left/image_raw", 1)
    end = time.monotonic() + 20
    while "no image yet from left" not in reported()[0] and time.monotonic() < end:
        time.sleep(0.05)
    message, values, _ = reported()
    front = "/reported/front/image_raw[/compressed] has no publisher"
    assert message == f"{front}; no image yet from left"
    assert values["missing cameras"] == "front, left"
    reported.heard += [0, 1]  # small messages come through
    assert "CameraInfo of left comes without images: see fsmde-doctor" in reported()[0]


def test_a_driver_that_sends_nothing_is_warned_of_after_a_moment(reported):
    reported.node.create_publisher(Image, "left/image_raw", 1)
    end = time.monotonic() + 30
    while not any("no image yet from left" in text for text in reported()[2]):
        assert time.monotonic() < end
        time.sleep(0.2)


def test_the_log_is_patient_with_a_player_that_ends_on_a_busy_machine(reported):
    for topic in ("front/image_raw", "left/image_raw"):
        reported.node.create_publisher(Image, topic, 1)
    for n in range(20):  # until 3 s ago, by the clock of the images
        at_ns = time.monotonic_ns() - 3_000_000_000 - (20 - n) * 100_000_000
        for camera in (0, 1):
            reported.sync.add(camera, at_ns, None, now_ns=at_ns)
    reported.statistics.image_arrived(time.monotonic())  # the last was taken up late
    end = time.monotonic() + 3
    while time.monotonic() < end:
        message, _, warned = reported()
        assert warned == []
        time.sleep(0.2)
    assert message == "no new images from any camera"


def taken(losses, topic, numbers, *, kind=Image):
    subscription = SimpleNamespace(topic_name=topic, msg_type=kind)
    subscription = type("Subscription", (), vars(subscription))()
    for number in numbers:
        losses.note(subscription, {"publication_sequence_number": number})


def test_images_that_were_published_and_did_not_arrive_are_told():
    losses = Losses(lambda: 1.0)
    taken(losses, "/front/image_raw", [7, 8, 9, 10, 12, 13, 14])  # one is an accident
    taken(losses, "/info", range(1, 30, 3), kind=Time)
    taken(losses, "/left/image_raw", [None, None])  # an RMW that gives no numbers
    assert losses.problems(lambda topic: 1) == []
    taken(losses, "/back/image_raw", [3, 6, 7, 12, 1, 2, 90_000])  # its driver starts anew
    (said,) = losses.problems(lambda topic: 1)
    assert said.startswith("/back/image_raw has lost 6 of 13 images on the way: fsmde-doctor")
    assert losses.summary() == {"images lost on the way": 7}
    assert losses.problems(lambda topic: 2) == []  # whose numbers are mixed


def test_lost_images_are_told_for_five_seconds():
    now_s = [0.0]
    losses = Losses(lambda: now_s[0])
    taken(losses, "/front/image_raw", range(1, 30, 3))
    assert losses.problems(lambda topic: 1)
    now_s[0] = 6.0
    assert losses.problems(lambda topic: 1) == []
