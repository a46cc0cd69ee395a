"""Reports side by side, with a paired bootstrap interval over the samples of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fsmde_core.evaluate.metrics import METRICS
from fsmde_core.evaluate.report import SAME, ReportError
from fsmde_core.tables import table

RESAMPLES = 2000
BATCH = 100  # resamples in memory at once: a split of nuScenes has 6,019 samples
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """b - a of one metric, mean over the samples that all reports have."""

    metric: str
    a: float
    b: float
    low: float
    """Lower end of the interval of b - a."""
    high: float
    """Upper end of it."""

    @property
    def change(self) -> float:
        """b - a."""
        return self.b - self.a

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def compare(pairs: Sequence[tuple[dict, dict]], *, seed: int = 0) -> tuple[list[Difference], int]:
    """The difference in every metric, and over how many samples.

    pairs (a, b) of reports, one a seed of the training runs behind them: a sample's error is the
    mean over the pairs. Per-image metrics at metric scale, mean over a sample's cameras. The
    interval comes from drawing samples with replacement, the same ones for all. ReportError if two
    reports differ in dataset, split or protocol, or there is no sample that all have.
    """
    reports = [report for pair in pairs for report in pair]
    first = reports[0]
    for report in reports:
        for key in SAME:
            if (first.get(key) or None) != (report.get(key) or None):  # older ones lack some
                raise ReportError(f"the reports differ in {_apart(key, first, report)}")
    shared = [s for s in first["per_sample"] if all(s in r["per_sample"] for r in reports)]
    if not shared:
        raise ReportError("the reports have no sample in common")
    rows = np.array(
        [[[r["per_sample"][s][m] for m in METRICS] for s in shared] for r in reports], np.float64
    )
    rows_a, rows_b = rows[0::2].mean(axis=0), rows[1::2].mean(axis=0)
    ends = bootstrap_interval(rows_b - rows_a, seed=seed)
    means = zip(METRICS, rows_a.mean(axis=0), rows_b.mean(axis=0), *ends)
    return [Difference(m, *(float(v) for v in values)) for m, *values in means], len(shared)


def _apart(key: str, a: dict, b: dict) -> str:
    """What of a key two reports differ in, and both values; of a protocol its name, if it can."""
    mine, others = a.get(key), b.get(key)
    if isinstance(mine, dict) and isinstance(others, dict):
        inner = next(k for k in {**mine, **others} if mine.get(k) != others.get(k))
        where = key if inner == "name" else f"{inner} of {key} {mine.get('name')}"
        return f"{where}: {mine.get(inner)} and {others.get(inner)}"
    return f"{key}: {mine} and {others}"


def bootstrap_interval(rows: np.ndarray, *, seed: int) -> np.ndarray:
    """[2, M] ends of the CONFIDENCE interval of the mean of rows [S, M], percentile bootstrap.

    NaN for a single sample, of which nothing can be drawn but itself.
    """
    from scipy.stats import bootstrap  # slow to load, and of the extra evaluate

    if len(rows) < 2:
        return np.full((2, rows.shape[1]), np.nan)
    drawn = bootstrap(
        (rows,), np.mean, axis=0, vectorized=True, paired=True, n_resamples=RESAMPLES,
        batch=BATCH, confidence_level=CONFIDENCE, method="percentile",
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    return np.stack([drawn.confidence_interval.low, drawn.confidence_interval.high])


def comparison_table(
    differences: list[Difference], names: Sequence[tuple[str, str]], samples: int
) -> str:
    """The differences as a table; names (a, b) of the pairs of reports."""
    lines = [f"{side} = {name}" for pair in names for side, name in zip("ab", pair)]
    lines.append(f"{samples} samples in all, per-image means")
    headings = ["metric", "a", "b", "b - a", f"{CONFIDENCE:.0%} interval", "of a", ""]
    rows = [
        [
            *(d.metric, f"{d.a:.3f}", f"{d.b:.3f}", f"{d.change:+.3f}"),
            f"[{d.low:+.3f}, {d.high:+.3f}]" if np.isfinite(d.low) else "-",
            f"{d.change / d.a:+.1%}" if d.a else "",
            "" if d.certain else "not certain",
        ]
        for d in differences
    ]
    return "\n".join([*lines, "", table(headings, rows)])
