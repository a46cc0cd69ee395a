"""Two reports side by side, with a paired bootstrap interval over the samples of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsmde_core.evaluate.metrics import METRICS
from fsmde_core.evaluate.report import SAME, ReportError

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """b - a of one metric, mean over the samples that both reports have."""

    metric: str
    a: float
    b: float
    low: float
    """Lower end of the interval of b - a."""
    high: float
    """Upper end of it."""

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def compare(a: dict, b: dict, *, seed: int = 0) -> tuple[list[Difference], int]:
    """The difference in every metric, and over how many samples.

    Per-image metrics at metric scale, mean over a sample's cameras. The interval comes from drawing
    samples with replacement, the same ones for both. ReportError if the two differ in dataset,
    split or protocol, or share no sample.
    """
    for key in SAME:
        if a.get(key) != b.get(key):
            raise ReportError(f"the reports differ in {key}: {a.get(key)} and {b.get(key)}")
    both = [label for label in a["per_sample"] if label in b["per_sample"]]
    if not both:
        raise ReportError("the reports have no sample in common")
    rows_a, rows_b = (
        np.array([[r["per_sample"][s][m] for m in METRICS] for s in both], np.float64)
        for r in (a, b)
    )
    ends = bootstrap_interval(rows_b - rows_a, seed=seed)
    means = zip(METRICS, rows_a.mean(axis=0), rows_b.mean(axis=0), *ends)
    return [Difference(m, *(float(v) for v in values)) for m, *values in means], len(both)


def bootstrap_interval(rows: np.ndarray, *, seed: int) -> np.ndarray:
    """[2, M] ends of the CONFIDENCE interval of the mean of rows [S, M], percentile bootstrap."""
    rng = np.random.default_rng(seed)
    draws = (rng.integers(len(rows), size=len(rows)) for _ in range(RESAMPLES))
    means = np.array([rows[draw].mean(axis=0) for draw in draws])
    tail = (1 - CONFIDENCE) / 2
    return np.quantile(means, [tail, 1 - tail], axis=0)


def comparison_table(differences: list[Difference], names: tuple[str, str], samples: int) -> str:
    """The differences as aligned text."""
    lines = [f"a = {names[0]}", f"b = {names[1]}", f"{samples} samples in both, per-image means"]
    lines.append(f"{'':10}{'a':>9}{'b':>9}{'b - a':>9}   {CONFIDENCE:.0%} interval")
    for d in differences:
        verdict = "" if d.certain else "   (not certain)"
        lines.append(
            f"{d.metric:10}{d.a:9.3f}{d.b:9.3f}{d.b - d.a:+9.3f}   "
            f"[{d.low:+.3f}, {d.high:+.3f}]{verdict}"
        )
    return "\n".join(lines)
