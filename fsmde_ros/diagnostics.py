"""What the node says of itself: rates, latencies, drops by cause, once a second."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

WINDOW_S = 5.0  # rates and percentiles are of this last time
STAGES = ("decode", "inference", "messages", "publish", "overhead", "total")
"""Seconds of one set, from the arrival of its last image to its last output; overhead is total less
inference."""


class NodeStatistics:
    """Counts what happens to images and sets; filled from the callbacks and from the worker."""

    def __init__(self):
        self._lock = threading.Lock()
        self._images: deque[float] = deque()
        self._sets: deque[tuple[float, int, float]] = deque()
        self._outputs: deque[tuple[float, Mapping[str, float]]] = deque()
        self._drops: Counter[str] = Counter()

    def image_arrived(self, now_s: float) -> None:
        """An image of any camera came in."""
        with self._lock:
            self._images.append(now_s)

    def set_formed(self, now_s: float, *, missing: int, spread_s: float) -> None:
        """The synchronization let a set out, without `missing` of its cameras."""
        with self._lock:
            self._sets.append((now_s, missing, spread_s))

    def set_published(self, now_s: float, seconds: Mapping[str, float]) -> None:
        """A set went out; seconds by STAGES."""
        with self._lock:
            self._outputs.append((now_s, seconds))

    def dropped(self, cause: str) -> None:
        """A set was dropped."""
        with self._lock:
            self._drops[cause] += 1

    def summary(self, now_s: float) -> dict[str, float | int]:
        """Rates, spread, latencies and drops, by the names that stand in the diagnostics."""
        with self._lock:
            for events in (self._images, self._sets, self._outputs):
                while events and self._at(events[0]) < now_s - WINDOW_S:
                    events.popleft()
            values: dict[str, float | int] = {
                "images in [Hz]": round(len(self._images) / WINDOW_S, 1),
                "sets formed [Hz]": round(len(self._sets) / WINDOW_S, 1),
                "sets out [Hz]": round(len(self._outputs) / WINDOW_S, 1),
                "partial sets [Hz]": round(sum(m > 0 for _, m, _ in self._sets) / WINDOW_S, 1),
            }
            if self._sets:
                values["set spread [ms]"] = round(1e3 * max(s for *_, s in self._sets), 1)
            for stage in STAGES:
                seconds = [by_stage[stage] for _, by_stage in self._outputs]
                if seconds:
                    p50, p95 = 1e3 * np.percentile(seconds, [50, 95])
                    values[f"{stage} p50 [ms]"] = round(float(p50), 1)
                    values[f"{stage} p95 [ms]"] = round(float(p95), 1)
            values |= {f"dropped: {cause}": count for cause, count in sorted(self._drops.items())}
            return values

    @staticmethod
    def _at(event: float | tuple) -> float:
        return event[0] if isinstance(event, tuple) else event


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
