"""How often cameras fire, and how far apart, by the stamps of their images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fsmde_ros.params import NodeParams

DEFAULT_SLOP_S, LARGEST_SLOP_S = NodeParams.slop_s, 1.0
SLOP_SPARE = 1.2  # times what was seen
EARLY = 0.1  # of a period: so much earlier than the first camera another may fire
TOGETHER = 2.0  # periods of the slowest: who fires later than that does not fire then


def rate_hz(stamps_ns: Sequence[int]) -> float:
    """Images a second; 0 where there is only one."""
    periods = np.diff(np.sort(stamps_ns))
    periods = periods[periods > 0]
    return float(1e9 / np.median(periods)) if len(periods) else 0.0


def slop_s(stamps_ns: Sequence[Sequence[int]]) -> float:
    """What holds the images that fire together, whichever camera is the first of them."""
    rates = [rate_hz(stamps) for stamps in stamps_ns]
    if min(rates) <= 0:
        return DEFAULT_SLOP_S
    period_ns = 1e9 / min(rates)
    spreads_ns = []
    for first in stamps_ns:
        seen = [_spread_ns(stamp_ns, stamps_ns, period_ns) for stamp_ns in first]
        seen = [spread_ns for spread_ns in seen if spread_ns is not None]
        if seen:
            spreads_ns.append(float(np.percentile(seen, 90)))
    wanted_s = SLOP_SPARE * min(spreads_ns, default=0.0) / 1e9
    return round(min(max(wanted_s, DEFAULT_SLOP_S), LARGEST_SLOP_S), 3)


def _spread_ns(stamp_ns: int, stamps_ns: Sequence[Sequence[int]], period_ns: float) -> float | None:
    """From the first to the last of each camera's next image; None at the end of the stamps.

    A camera that has not begun by then, or pauses, does not count.
    """
    start_ns = stamp_ns - EARLY * period_ns
    later = [[ns for ns in stamps if ns >= start_ns] for stamps in stamps_ns]
    later = [min(stamps) for stamps in later if stamps]
    nexts = [ns for ns in later if ns < start_ns + TOGETHER * period_ns]
    return max(nexts) - min(nexts) if len(later) == len(stamps_ns) else None
