import time

import pytest
import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from fsmde_ros.diagnostics.qos import never_heard, unheard
from fsmde_ros.endpoints import EndpointError, advertise, subscribe
from fsmde_ros.managed import ManagedNode
from fsmde_ros.params import ParameterError

RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def first_of(node, asked) -> list[str]:
    """The first sentences, which may take a moment to be true."""
    deadline = time.monotonic() + 20
    while not (found := unheard(node, asked)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_an_offer_that_is_too_little_is_said(ros):
    node = rclpy.create_node("listener", namespace="/test_qos")
    try:
        for topic in ("offers_less", "offers_enough"):
            offer = BEST_EFFORT if topic == "offers_less" else RELIABLE
            node.create_publisher(Header, topic, offer)
        asked = [
            node.create_subscription(Header, topic, print, RELIABLE)
            for topic in ("offers_less", "offers_enough", "nobody")
        ]
        (sentence,) = first_of(node, asked)
    finally:
        node.destroy_node()
    assert sentence.startswith("/test_qos/offers_less is not heard, see qos_overrides: Best effort")


@pytest.mark.parametrize(
    ("wanted", "kind", "offered", "sent", "sentence"),
    [
        (
            "image_raw", Image, "image_raw/compressed", CompressedImage,
            "/cam/image_raw has no publisher, /cam/image_raw/compressed has",
        ),
        (
            "image_raw/compressed", CompressedImage, "image_raw", Image,
            "/cam/image_raw/compressed has no publisher, /cam/image_raw has",
        ),
        (
            "image_raw", Image, "image_raw/theora", Header,
            "/cam/image_raw has no publisher, /cam/image_raw/theora has",
        ),
        (
            "image_raw/compressed", CompressedImage, "image_raw/zstd", Header,
            "/cam/image_raw/compressed has no publisher, /cam/image_raw/zstd has",
        ),
        (
            "image_raw", Image, "image_raw", CompressedImage,
            "/cam/image_raw carries sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image",
        ),
    ],
)  # fmt: skip
def test_another_transport_or_type_is_said(ros, wanted, kind, offered, sent, sentence):
    listener = rclpy.create_node("listener", namespace="/cam")
    elsewhere = rclpy.Context()  # one DDS participant has one type a topic
    rclpy.init(context=elsewhere)
    driver = rclpy.create_node("driver", namespace="/cam", context=elsewhere)
    try:
        asked = [
            listener.create_subscription(kind, wanted, print, BEST_EFFORT),
            listener.create_subscription(kind, "image_rect", print, BEST_EFFORT),
        ]
        driver.create_publisher(sent, offered, RELIABLE)
        found = first_of(listener, asked)
    finally:
        driver.destroy_node()
        elsewhere.try_shutdown()
        listener.destroy_node()
    assert found == [sentence]


LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


@pytest.mark.parametrize(
    ("offer", "wanted", "sentences"),
    [
        (None, BEST_EFFORT, ["/info/a and 1 more topic have no publisher"]),
        (
            LATCHED, BEST_EFFORT,
            ["/info/a has latched messages from before, see qos_overrides: "
            "durability: transient_local, reliability: reliable", "/info/b has no publisher"],
        ),
        (LATCHED, LATCHED, ["/info/b has no publisher"]),
        (
            BEST_EFFORT, RELIABLE,
            ["/info/b has no publisher", "/info/a is not heard, see qos_overrides: Best effort"],
        ),
        (RELIABLE, BEST_EFFORT, ["/info/b has no publisher"]),
    ],
    ids=["nobody", "latched", "latched and heard", "less than asked for", "nothing in the way"],
)  # fmt: skip
def test_why_nothing_ever_came_is_said(ros, offer, wanted, sentences):
    def said(found):
        same = map(str.startswith, sorted(found), sorted(sentences))
        return len(found) == len(sentences) and all(same)

    node = rclpy.create_node("listener", namespace="/info")
    try:
        asked = [node.create_subscription(Header, topic, print, wanted) for topic in "ab"]
        if offer is not None:
            node.create_publisher(Header, "a", offer)
        deadline = time.monotonic() + 20
        while not said(never_heard(node, asked)) and time.monotonic() < deadline:
            time.sleep(0.05)  # who is there takes a moment to be known
        assert said(never_heard(node, asked)), never_heard(node, asked)
    finally:
        node.destroy_node()


@pytest.fixture
def overridden(ros):
    """Makes a node with QoS overrides, by topic, side and policy."""
    nodes = []

    def make(overrides):
        given = [Parameter(f"qos_overrides.{name}", value=v) for name, v in overrides.items()]
        nodes.append(ManagedNode("overridden", namespace="/car", parameter_overrides=given))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


def listen(node, topic, depth=1):
    group = MutuallyExclusiveCallbackGroup()
    return subscribe(node, Header, topic, print, depth=depth, group=group).qos_profile


def test_an_override_is_of_one_endpoint(overridden):
    node = overridden(
        {
            "/car/a.subscription.reliability": "reliable",
            "/car/a.subscription.durability": "transient_local",
            "/car/a.subscription.depth": 7,
            "/car/a.publisher.reliability": "best_effort",
            "/car/b.publisher.history": "keep_all",
            "/car/b.publisher.durability": "transient_local",
        }
    )
    first, second = listen(node, "a"), listen(node, "b", depth=10)
    assert first.reliability == ReliabilityPolicy.RELIABLE and first.depth == 7
    assert first.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert second.reliability == ReliabilityPolicy.BEST_EFFORT and second.depth == 10
    assert second.durability == DurabilityPolicy.VOLATILE
    a, b, c = (advertise(node, Header, topic).qos_profile for topic in "abc")
    assert a.reliability == ReliabilityPolicy.BEST_EFFORT
    assert b.reliability == c.reliability == ReliabilityPolicy.RELIABLE
    assert (b.history, c.history) == (HistoryPolicy.KEEP_ALL, HistoryPolicy.KEEP_LAST)
    assert b.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert c.durability == DurabilityPolicy.VOLATILE


def test_an_override_is_read_once_and_says_so(overridden):
    """A depth that `ros2 param set` seems to change would be the old one."""
    name = "/car/a.subscription.depth"
    node = overridden({name: 7})
    for _ in range(2):  # as after deactivate and activate
        assert listen(node, "a").depth == 7
        (result,) = node.set_parameters([Parameter(f"qos_overrides.{name}", value=9)])
        assert not result.successful and "read-only" in result.reason


@pytest.mark.parametrize(
    ("policy", "value", "reason"),
    [
        ("depth", "five", "'five' is not a number of messages"),
        ("depth", True, "True is not a number of messages"),
        ("depth", -1, "-1 is not a number of messages"),
        ("depth", None, "[] is not a number of messages"),
        ("reliability", 5, "5 is not one of system_default, reliable, best_effort"),
        ("reliability", "relaible", "'relaible' is not one of system_default, reliable"),
        ("durability", [1.5], "is not one of system_default, transient_local, volatile"),
        ("history", False, "False is not one of system_default, keep_last, keep_all"),
    ],
)
@pytest.mark.parametrize("side", ["subscription", "publisher"])
def test_an_override_that_is_none_is_named(overridden, side, policy, value, reason):
    node = overridden({f"/car/a.{side}.{policy}": value})
    with pytest.raises(ParameterError) as error:
        listen(node, "a") if side == "subscription" else advertise(node, Header, "a")
    assert f"parameter qos_overrides./car/a.{side}.{policy}: " in str(error.value)
    assert reason in str(error.value)
    listen(node, "b"), advertise(node, Header, "b")


def test_a_policy_that_cannot_be_overridden_is_warned_about(overridden, capfd):
    node = overridden({"/car/a.publisher.reliabilty": "reliable"})
    advertise(node, Header, "a")
    assert "parameter qos_overrides./car/a.publisher.reliabilty is ignored: not one of history" in (
        capfd.readouterr().err
    )


def test_a_topic_of_two_types_is_named(overridden):
    node = overridden({})
    advertise(node, Image, "a")
    with pytest.raises(EndpointError, match="/car/a gets no subscription, is it of two types"):
        listen(node, "a")
    with pytest.raises(EndpointError, match="/car/a gets no publisher, is it of two types"):
        advertise(node, Header, "a")
    advertise(node, Header, "b")
