"""What happens to images and sets: rates, latencies, drops by cause. Knows no ROS type."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence

import numpy as np

WINDOW_S = 5.0  # rates, percentiles and problems are of this last time
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
        self.last_image_s: float | None = None
        """When the newest image of any camera came; None before there was one."""
        self._images: deque[float] = deque()
        self._sets: deque[tuple[float, int, float, bool]] = deque()
        self._passed_over: deque[float] = deque()
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
            self.last_image_s = now_s

    def time_went_back(self, now_s: float) -> None:
        """The synchronization started afresh."""
        with self._lock:
            self._resets.append(now_s)

    def set_formed(
        self,
        now_s: float,
        *,
        missing: int,
        spread_s: float,
        provisional: bool = False,
        passed_over: bool = False,
    ) -> None:
        """The synchronization let a set out, without `missing` of its cameras.

        passed_over: it goes no further, because fewer sets are asked for.
        """
        with self._lock:
            self._sets.append((now_s, missing, spread_s, provisional))
            if not missing:
                self._last_full_s = now_s
            if passed_over:
                self._passed_over.append(now_s)
                return
            if not self._unanswered:
                self._unanswered_s = now_s
            self._unanswered += 1

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
                self._images, self._sets, self._passed_over, self._outputs, self._dropped,
                self._resets,
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
            if self._passed_over:
                values["sets passed over [Hz]"] = round(len(self._passed_over) / WINDOW_S, 1)
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
