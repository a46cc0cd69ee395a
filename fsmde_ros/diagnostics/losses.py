"""Which images were published and did not arrive, by the numbers that publishers give them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from fsmde_ros.diagnostics.qos import having
from fsmde_ros.diagnostics.statistics import NOTABLE, WINDOW_S

LEAST = 3  # images of a topic: fewer in a window may be an accident
ANOTHER = 10_000  # a number so far ahead is of another publisher


class Losses:
    """Counts the gaps in the numbers of a topic's images; one thread calls it.

    DDS numbers what a publisher sends, so a gap is an image that was sent and not taken here. RMWs
    that give no numbers show no gaps.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic):
        self._now_s = now_s
        self._newest: dict[Subscription, int] = {}
        self._taken: deque[tuple[float, str, int]] = deque()
        self._total = 0

    def note(self, subscription: Subscription, info: Mapping[str, Any]) -> None:
        """A message was taken; info is what rclpy says of it."""
        number = info.get("publication_sequence_number")
        if number is None or subscription.msg_type not in (Image, CompressedImage):
            return
        gap = number - self._newest.get(subscription, number - 1) - 1
        self._newest[subscription] = number
        lost = gap if 0 < gap < ANOTHER else 0  # it starts afresh with each publisher
        self._total += lost
        self._taken.append((self._now_s(), subscription.topic_name, lost))

    def summary(self) -> dict[str, int]:
        """How many were lost in all, by the name that stands in the diagnostics; if any were."""
        return {"images lost on the way": self._total} if self._total else {}

    def problems(self, publishers: Callable[[str], int]) -> list[str]:
        """A sentence if a notable share of the last images was lost.

        publishers counts those of a topic: of two, whose numbers mix, nothing can be told.
        """
        while self._taken and self._taken[0][0] < self._now_s() - WINDOW_S:
            self._taken.popleft()
        lost: dict[str, int] = {}
        sent: dict[str, int] = {}
        for _, topic, gap in self._taken:
            lost[topic] = lost.get(topic, 0) + gap
            sent[topic] = sent.get(topic, 0) + gap + 1
        lossy = [
            topic
            for topic, count in lost.items()
            if count >= max(LEAST, NOTABLE * sent[topic]) and publishers(topic) == 1
        ]
        if not lossy:
            return []
        counts = sum(lost[topic] for topic in lossy), sum(sent[topic] for topic in lossy)
        return [
            f"{having(lossy)} lost {counts[0]} of {counts[1]} images on the way: fsmde-doctor says "
            "why, does the driver run under config/fastdds.xml?"
        ]
