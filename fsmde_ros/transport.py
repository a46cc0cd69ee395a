"""Which of a camera's transports the node listens to: raw images, or compressed ones."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

COMPRESSED = "/compressed"  # what image_transport adds to the name of the raw topic
COMPRESSED_NAME = re.compile(r"(^|_|/)compressed$")
PATIENCE_S = 1.0  # so long a preferred transport that is offered is waited for


def names_compressed(topic: str) -> bool:
    """Whether a topic's name says that it carries CompressedImage, as image_rect_compressed."""
    return bool(COMPRESSED_NAME.search(topic))


def transports(topic: str, compressed: str) -> list[tuple[type, str]]:
    """(message type, topic) that a camera's images may come by, the preferred one first.

    compressed is the node's parameter: auto, true or false.
    """
    if names_compressed(topic):
        return [(CompressedImage, topic)]
    both = [(Image, topic), (CompressedImage, f"{topic}{COMPRESSED}")]
    return {"auto": both, "false": both[:1], "true": both[1:]}[compressed]


class Transports:
    """Of cameras that are subscribed to twice, the subscription that is listened to.

    A camera's first image decides. Where a preferred transport has a publisher, its first one does,
    unless none comes in PATIENCE_S: a player offers all topics of a bag, those without messages,
    too. decided(index, chosen, others) is called with that camera's subscriptions. All calls come
    from the thread that takes the images.
    """

    def __init__(
        self, node: Node, decided: Callable[[int, Subscription, list[Subscription]], None]
    ):
        self._node, self._decided = node, decided
        self._open: dict[int, list[Subscription]] = {}
        self._waits_since_s: dict[int, float] = {}

    def add(self, index: int, subscriptions: list[Subscription]) -> None:
        """A camera's subscriptions, the preferred one first."""
        self._waits_since_s.pop(index, None)
        if len(subscriptions) > 1:
            self._open[index] = subscriptions

    def takes(self, index: int, topic: str) -> bool:
        """Whether an image of a camera that came on this topic is to be taken."""
        undecided = self._open.get(index)
        if undecided is None:
            return True
        place = [s.topic_name for s in undecided].index(topic)
        if any(self._node.count_publishers(s.topic_name) for s in undecided[:place]):
            now_s = time.monotonic()
            if now_s - self._waits_since_s.setdefault(index, now_s) < PATIENCE_S:
                return False
        chosen = self._open.pop(index)[place]
        self._decided(index, chosen, [s for s in undecided if s is not chosen])
        return True


def kind_of(subscription: Subscription) -> str:
    """raw or compressed."""
    return "compressed" if subscription.msg_type is CompressedImage else "raw"
