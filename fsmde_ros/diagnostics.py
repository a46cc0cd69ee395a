"""What the node says of itself: rates, latencies, drops by cause, once a second."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription

from fsmde_ros.gpu import gpu_memory
from fsmde_ros.qos import unheard
from fsmde_ros.slower_clock import SlowerClock
from fsmde_ros.sync import RigSync

WINDOW_S = 5.0  # rates, percentiles and problems are of this last time
SILENCE_S = 2.0  # without a full set for longer, the node says why
STALL_S, STALL_SETS = 2.0, 5  # so long nothing comes out, and so many sets were formed: an error
NOTABLE = 0.1  # the share of the sets whose loss is worth a warning
STAGES = ("decode", "inference", "messages", "publish", "overhead", "total", "since stamp")
"""Seconds of one set, from the arrival of its last image to its last output; overhead is total less
inference, since stamp counts from the newest image's stamp."""
CLOCK_DIFFERS_S = 3600.0  # stamps that far from now were made by another clock: a recording's


class NodeStatistics:
    """Counts what happens to images and sets; filled from the callbacks and from the worker.

    now_s everywhere is of one clock that only goes forward.
    """

    def __init__(self, now_s: float):
        self._lock = threading.Lock()
        self._images: deque[float] = deque()
        self._sets: deque[tuple[float, int, float, bool]] = deque()
        self._outputs: deque[tuple[float, Mapping[str, float]]] = deque()
        self._drops: Counter[str] = Counter()
        self._dropped: deque[tuple[float, str]] = deque()
        self._resets: deque[float] = deque()
        self._unanswered, self._unanswered_s = 0, now_s  # sets since the last output, and the first
        self._first_out_s: float | None = None
        self._last_reason = (-WINDOW_S, "")
        self._left_out: dict[str, float] = {}
        self._images_left_out = 0
        self._last_full_s = now_s
        self._motion_unknown: tuple[float, str | None] = (now_s, None)
        self._doubts: tuple[str, ...] = ()

    def image_arrived(self, now_s: float) -> None:
        """An image of any camera came in."""
        with self._lock:
            self._images.append(now_s)

    def time_went_back(self, now_s: float) -> None:
        """The synchronization started afresh."""
        with self._lock:
            self._resets.append(now_s)

    def set_formed(
        self, now_s: float, *, missing: int, spread_s: float, provisional: bool = False
    ) -> None:
        """The synchronization let a set out, without `missing` of its cameras."""
        with self._lock:
            self._sets.append((now_s, missing, spread_s, provisional))
            if not self._unanswered:
                self._unanswered_s = now_s
            self._unanswered += 1
            if not missing:
                self._last_full_s = now_s

    def set_published(self, now_s: float, seconds: Mapping[str, float]) -> None:
        """A set went out; seconds by STAGES."""
        with self._lock:
            self._outputs.append((now_s, seconds))
            self._unanswered = 0
            if self._first_out_s is None:
                self._first_out_s = now_s

    def dropped(self, cause: str, now_s: float, reason: str = "") -> None:
        """A set was dropped; a reason stands among the problems for a while."""
        with self._lock:
            self._drops[cause] += 1
            self._dropped.append((now_s, cause))
            if reason:
                self._last_reason = (now_s, reason)

    def left_out(self, now_s: float, reason: str) -> None:
        """A camera was left out of a set that went out."""
        with self._lock:
            self._left_out[reason] = now_s
            self._images_left_out += 1

    def motion(self, reason: str | None, now_s: float) -> None:
        """Whether the ego motion of a set is known; the reason if it is not."""
        with self._lock:
            self._motion_unknown = (now_s, reason)

    def calibration(self, doubts: Sequence[str]) -> None:
        """What is odd about the cameras' calibrations now, a sentence each."""
        with self._lock:
            self._doubts = tuple(doubts)

    def without_full_set_s(self, now_s: float) -> float:
        """Seconds since the last set of all cameras."""
        return now_s - self._last_full_s

    def stalled_s(self, now_s: float) -> float:
        """Seconds for which sets have been formed and none came out; 0 where that is as usual."""
        with self._lock:
            newest_s = self._sets[-1][0] if self._sets else -WINDOW_S
            if self._unanswered < STALL_SETS or newest_s < now_s - WINDOW_S:
                return 0.0  # few, or no new ones, which is another problem
            seconds = now_s - self._unanswered_s
            return seconds if seconds > STALL_S else 0.0

    def problems(self, now_s: float) -> list[str]:
        """What of the last WINDOW_S is worth a warning, one sentence each."""
        stalled_s = self.stalled_s(now_s)
        since_s = now_s - WINDOW_S
        with self._lock:
            formed = [(at, missing) for at, missing, *_ in self._sets if at >= since_s]
            out = any(at >= since_s for at, _ in self._outputs)
            dropped = [(at, cause) for at, cause in self._dropped if at >= since_s]
            resets = sum(at >= since_s for at in self._resets)
            unanswered, first_out_s = self._unanswered, self._first_out_s
            at, reason = self._last_reason
            motion_at, motion_unknown = self._motion_unknown
            self._left_out = {r: at for r, at in self._left_out.items() if at >= since_s}
            left_out = list(self._left_out)
        found = []
        if stalled_s:
            found.append(
                f"no set came out for {stalled_s:.0f} s, although {unanswered} were formed"
            )
        found += self._doubts
        if at >= since_s:
            found.append(f"set skipped: {reason}")
        found += [f"left out of the set: {reason}" for reason in left_out]
        if resets:
            found.append(f"time went back {resets} time(s) in the last {WINDOW_S:.0f} s")
        if first_out_s is not None:  # what came before was never to come out in time
            found += _notable_drops(
                sum(at > first_out_s for at, _ in formed),
                [cause for at, cause in dropped if at > first_out_s],
            )
        if partial := sum(missing > 0 for _, missing in formed):
            found.append(f"{partial} of {len(formed)} sets lack a camera")
        if motion_unknown and motion_at >= since_s:
            found.append(f"ego motion is not compensated: {motion_unknown}")
        if formed and unanswered and not out and not found:
            found.append(f"no set has come out yet, {unanswered} were formed")
        return found

    def summary(self, now_s: float) -> dict[str, float | int]:
        """Rates, spread, latencies and drops, by the names that stand in the diagnostics."""
        with self._lock:
            for events in (
                self._images, self._sets, self._outputs, self._dropped, self._resets
            ):  # fmt: skip
                while events and self._at(events[0]) < now_s - WINDOW_S:
                    events.popleft()
            values: dict[str, float | int] = {
                "images in [Hz]": round(len(self._images) / WINDOW_S, 1),
                "sets formed [Hz]": round(len(self._sets) / WINDOW_S, 1),
                "sets out [Hz]": round(len(self._outputs) / WINDOW_S, 1),
                "partial sets [Hz]": round(sum(m > 0 for _, m, *_ in self._sets) / WINDOW_S, 1),
                "provisional sets [Hz]": round(sum(p for *_, p in self._sets) / WINDOW_S, 1),
            }
            if self._sets:
                values["set spread [ms]"] = round(1e3 * max(s for _, _, s, _ in self._sets), 1)
            for stage in STAGES:
                seconds = [by_stage[stage] for _, by_stage in self._outputs]
                if seconds and max(map(abs, seconds)) < CLOCK_DIFFERS_S:
                    p50, p95 = 1e3 * np.percentile(seconds, [50, 95])
                    values[f"{stage} p50 [ms]"] = round(float(p50), 1)
                    values[f"{stage} p95 [ms]"] = round(float(p95), 1)
            values |= {f"dropped: {cause}": count for cause, count in sorted(self._drops.items())}
            if self._images_left_out:
                values["images left out of sets"] = self._images_left_out
            return values

    @staticmethod
    def _at(event: float | tuple) -> float:
        return event[0] if isinstance(event, tuple) else event


def _notable_drops(formed: int, causes: Sequence[str]) -> list[str]:
    """A sentence if many of the sets formed were dropped."""
    if len(causes) < 2 or len(causes) <= NOTABLE * formed:
        return []
    ((usual, _),) = Counter(causes).most_common(1)
    return [f"{len(causes)} of {max(formed, len(causes))} sets were dropped: {usual}"]


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

    sync is None where another policy forms the sets; sync_clock is what its now_ns are of. inputs
    are the node's subscriptions, outputs its publishers by name, of which "status", "diagnostics"
    and "points" are used; model is what the status says of it; warn(about, text) logs a throttled
    warning.
    """

    def __init__(
        self,
        node: Node,
        statistics: NodeStatistics,
        sync: RigSync | None,
        *,
        inputs: Sequence[Subscription],
        outputs: Mapping[str, Publisher],
        hardware_id: str,
        model: Mapping[str, str],
        motion: str,
        warn: Callable[[str, str], None],
        sync_clock: Callable[[], int],
    ):
        self._node, self._statistics, self._sync = node, statistics, sync
        self._gpu_memory = gpu_memory(hardware_id)
        self._inputs = inputs
        self._outputs, self._warn, self._sync_clock = outputs, warn, sync_clock
        self._hardware_id, self._model, self._motion = hardware_id, model, motion

    def report(self) -> None:
        """Publish the status of now, and log why no full set forms."""
        now_s = time.monotonic()
        values = self._statistics.summary(now_s)
        values |= self._sync.summary(self._sync_clock()) if self._sync else {}
        values |= {"provider": self._hardware_id, **self._model}
        values |= {"ego motion": self._motion, **self._gpu_memory()}
        stalled = self._statistics.stalled_s(now_s) > 0
        status = status_msg(
            self._node.get_fully_qualified_name().lstrip("/"),
            hardware_id=self._hardware_id,
            problems=self._problems(now_s, images=values["images in [Hz]"] > 0),
            sets_out=values["sets out [Hz]"] > 0 and not stalled,
            values=values,
        )
        self._outputs["status"].publish(status)
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._outputs["diagnostics"].publish(array)

    def _problems(self, now_s: float, *, images: bool) -> list[str]:
        found = self._rivals() + self._shared_inputs()
        clock = self._sync_clock
        if isinstance(clock, SlowerClock) and (text := clock.problem(images=images)):
            found.append(text)
        silence_s = self._statistics.without_full_set_s(now_s)
        if self._sync:
            found += self._sync_problems(self._sync, silence_s)
        elif silence_s > SILENCE_S:
            found.append("no set forms (sync_policy: rig would say why)")
            found += unheard(self._node, self._inputs)
        if silence_s > SILENCE_S:
            self._warn("silence", f"no full set for {silence_s:.0f} s: {'; '.join(found)}")
        else:
            for text in found:
                self._warn(re.sub(r"[\d.]+", "", text), text)  # numbers change, the problem is one
        return found + self._statistics.problems(now_s)

    def _sync_problems(self, sync: RigSync, silence_s: float) -> list[str]:
        now_ns = self._sync_clock()
        found = sync.problems(now_ns)
        if silence_s > SILENCE_S or sync.silent(now_ns):
            found = found or [sync.why_no_set(now_ns)]
            found += unheard(self._node, self._inputs)
        return found

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
        for topic in (subscription.topic_name for subscription in self._inputs):
            if self._node.count_publishers(topic) > 1:
                publishers = self._node.get_publishers_info_by_topic(topic)
                names = [f"{p.node_namespace.rstrip('/')}/{p.node_name}" for p in publishers]
                topics[tuple(sorted(names))].append(topic)
        found = []
        for names, (first, *more) in topics.items():
            which = f"{first} and {len(more)} more topics have" if more else f"{first} has"
            found.append(
                f"{which} {len(names)} publishers ({', '.join(names)}): a driver and a bag at once?"
            )
        return found
