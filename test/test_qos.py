import time

import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from fsmde_ros.qos import mismatches

RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


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
        deadline = time.monotonic() + 20
        while not (found := mismatches(node, asked)) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        node.destroy_node()
    (sentence,) = found
    assert sentence.startswith("/test_qos/offers_less is not heard, see qos_overrides: Best effort")
