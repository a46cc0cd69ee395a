"""What the node says of itself, once a second: ~/status and /diagnostics."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription

from fsmde_ros.diagnostics.gpu import gpu_memory
from fsmde_ros.diagnostics.losses import Losses
from fsmde_ros.diagnostics.qos import having, never_heard, unheard, without_publisher
from fsmde_ros.diagnostics.statistics import NodeStatistics
from fsmde_ros.sync import RigSync
from fsmde_ros.sync.report import ALL_SILENT
from fsmde_ros.sync.slower_clock import SlowerClock

SILENCE_S = 2.0  # without a full set for longer, the node says why
PATIENCE_S = 10.0
"""So long the log waits for a driver that starts, or a player that ends; longer than the demo waits
for the last sets, or a slow machine would warn of a replay that is over."""
IDLE_S, IDLE_PERIODS = 1.0, 2.0  # without an image of any camera for longer, none are coming


def status_msg(
    name: str, *, hardware_id: str, problems: Sequence[str], sets_out: bool, values: Mapping
) -> DiagnosticStatus:
    """OK without problems, WARN with problems while sets go out, ERROR with problems and none."""
    level = DiagnosticStatus.OK
    if problems:
        level = DiagnosticStatus.WARN if sets_out else DiagnosticStatus.ERROR
    return DiagnosticStatus(
        level=level,
        name=name,
        message="; ".join(problems) or "running",
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )


class Reporter:
    """Publishes once a second how the node does: ~/status and /diagnostics.

    sync is None where another policy forms the sets; sync_clock is what its now_ns are of. inputs()
    are the node's subscriptions, images() those to images by camera, never_came() those of them
    that should have got something long ago, with_info() the cameras whose CameraInfo came, more()
    is what else the status has: keys and values. outputs are its publishers by name, of which
    "status", "diagnostics" and "points" are used; model is what the status says of it; warn(about,
    text) logs a throttled warning.
    """

    def __init__(
        self,
        node: Node,
        statistics: NodeStatistics,
        sync: RigSync | None,
        *,
        inputs: Callable[[], Sequence[Subscription]],
        images: Callable[[], Mapping[int, Sequence[Subscription]]],
        never_came: Callable[[], Sequence[Subscription]],
        losses: Losses,
        with_info: Callable[[], Sequence[int]],
        more: Callable[[], Mapping[str, str]],
        outputs: Mapping[str, Publisher],
        hardware_id: str,
        model: Mapping[str, str],
        motion: str,
        warn: Callable[[str, str], None],
        sync_clock: Callable[[], int],
    ):
        self._node, self._statistics, self._sync = node, statistics, sync
        self._gpu_memory = gpu_memory(hardware_id)
        self._inputs, self._images, self._never_came = inputs, images, never_came
        self._losses, self._with_info, self._more = losses, with_info, more
        self._outputs, self._warn, self._sync_clock = outputs, warn, sync_clock
        self._hardware_id, self._model, self._motion = hardware_id, model, motion
        self._expected_s = self._idle_s = time.monotonic()
        """Since when images should be coming, and until when none were."""
        self._unpublished = ""  # what the log last said of topics that nobody publishes

    def report(self) -> None:
        """Publish the status of now, and log why no full set forms."""
        now_s = time.monotonic()
        values = self._statistics.summary(now_s)
        values |= self._sync.summary(self._sync_clock()) if self._sync else {}
        values |= self._losses.summary()
        values |= {"provider": self._hardware_id, **self._model}
        values |= {"ego motion": self._motion, **self._more(), **self._gpu_memory()}
        passed_over = values.get("sets passed over [Hz]", 0) > 0  # few sets may be asked for
        stalled = self._statistics.stalled_s(now_s) > 0
        status = status_msg(
            self._node.get_fully_qualified_name().lstrip("/"),
            hardware_id=self._hardware_id,
            problems=self._problems(now_s, images=values["images in [Hz]"] > 0),
            sets_out=(values["sets out [Hz]"] > 0 or passed_over) and not stalled,
            values=values,
        )
        self._outputs["status"].publish(status)
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._outputs["diagnostics"].publish(array)

    def _problems(self, now_s: float, *, images: bool) -> list[str]:
        found = self._rivals() + self._shared_inputs()
        found += self._losses.problems(self._node.count_publishers)
        clock, image_s = self._sync_clock, self._statistics.last_image_s
        if isinstance(clock, SlowerClock):
            image_ns = None if image_s is None else round(image_s * 1e9)
            found += filter(None, [clock.problem(image_ns=image_ns)])
        unsent = without_publisher(self._node, self._images())
        absences: list[str] = []
        if self._sync:
            of_sync, absences = self._sync_problems(self._sync, now_s, unsent)
            found += of_sync
        elif self._statistics.without_full_set_s(now_s) > SILENCE_S:
            found.append("no set forms (sync_policy: rig would say why)")
            found += _unpublished(unsent.values()) + unheard(self._node, self._inputs())
        if images:
            found += never_heard(self._node, self._never_came())
        found = list(dict.fromkeys(found))  # a topic may be asked about twice
        self._log(found, now_s, unsent, absences=absences)
        return found + self._statistics.problems(now_s)

    def _sync_problems(
        self, sync: RigSync, now_s: float, unsent: Mapping[int, str]
    ) -> tuple[list[str], list[str]]:
        """What is wrong, and those of it that say only that something does not come."""
        now_ns, idle = self._sync_clock(), self._is_idle(now_s)
        self._idle_s = now_s if idle else self._idle_s
        silence_s = self._statistics.without_full_set_s(now_s)
        if not idle:  # before images came there could be no set
            silence_s = min(silence_s, now_s - self._idle_s)
        missing = sync.missing(now_ns)
        found = _unpublished([topic for i, topic in unsent.items() if i in missing])
        absences = found + sync.absent(now_ns, explained=unsent)
        found += sync.problems(now_ns, explained=unsent)
        never = {i for i in missing if not sync.attendance.came(i)}.difference(unsent)
        if lost := [sync.names[i] for i in self._with_info() if i in never]:
            without = f"CameraInfo of {', '.join(lost)} comes without images: see fsmde-doctor"
            found, absences = [*found, without], [*absences, without]
        if silence_s > SILENCE_S or missing:
            if not found and idle and self._statistics.last_image_s is not None:
                found = absences = [ALL_SILENT]
            elif not found:
                found = [sync.why_no_set(now_ns)]
            found = found + unheard(self._node, self._inputs())
        return found, absences

    def _is_idle(self, now_s: float) -> bool:
        """Whether no images are coming at all."""
        image_s = self._statistics.last_image_s
        period_s = self._sync.clock.slowest_ns / 1e9 if self._sync else 0.0
        return image_s is None or now_s - image_s > max(IDLE_S, IDLE_PERIODS * period_s)

    def _log(
        self,
        found: Sequence[str],
        now_s: float,
        unsent: Mapping[int, str],
        *,
        absences: Collection[str],
    ) -> None:
        """Warn of what is wrong; of absences not at once, as a driver or player starts or ends.

        Where nobody publishes any images, that is said once.
        """
        nobody = bool(unsent) and len(unsent) == len(self._images())
        unpublished = "".join(_unpublished(unsent.values())) if nobody else ""
        if unpublished and unpublished != self._unpublished:
            self._node.get_logger().info(f"{unpublished}: waiting for one")
        self._unpublished = unpublished
        expected_s = now_s if nobody else self._statistics.last_image_s or 0.0
        self._expected_s = max(self._expected_s, expected_s)
        ended = self._is_idle(now_s) or ALL_SILENT in absences  # by arrival, or by their own clock
        if ended and now_s - self._expected_s < PATIENCE_S:
            found = [text for text in found if text not in absences]
        silence_s = self._statistics.without_full_set_s(now_s)
        if found and silence_s > SILENCE_S:
            self._warn("silence", f"no full set for {silence_s:.0f} s: {'; '.join(found)}")
            return
        for text in found:
            self._warn(re.sub(r"[\d.]+", "", text), text)  # numbers change, the problem is one

    def _rivals(self) -> list[str]:
        """A sentence if somebody else publishes on the topics of this node, too."""
        topic = self._outputs["points"].topic_name
        others = self._node.count_publishers(topic) - 1
        if others <= 0:
            return []
        return [f"{topic} has {others} other publisher(s): is the node running twice?"]

    def _shared_inputs(self) -> list[str]:
        """A sentence for those publishers that share topics which one alone should publish on."""
        topics = defaultdict(list)
        inputs = [subscription.topic_name for subscription in self._inputs()]
        if isinstance(self._sync_clock, SlowerClock):  # of two that alternate no deadline passes
            inputs.append(self._node.resolve_topic_name("/clock"))
        for topic in inputs:
            if self._node.count_publishers(topic) > 1:
                publishers = self._node.get_publishers_info_by_topic(topic)
                names = [f"{p.node_namespace.rstrip('/')}/{p.node_name}" for p in publishers]
                topics[tuple(sorted(names))].append(topic)
        found = []
        for names, shared in topics.items():
            found.append(
                f"{having(shared)} {len(names)} publishers ({', '.join(names)}): "
                "a driver and a bag at once?"
            )
        return found


def _unpublished(topics: Collection[str]) -> list[str]:
    """A sentence on topics that nobody publishes, if there are any."""
    have = "has" if len(topics) == 1 else "have"
    return [f"{', '.join(topics)} {have} no publisher"] if topics else []
