"""Whether a model got better, by its scores at each of the moments left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from fsmde_core.adapt.score import WEIGHTS, Score, weighted_change

FEWEST_JUDGED = 8  # moments; the spread over fewer says nothing
DRAWS, CONFIDENCE = 2000, 0.95
HOW = (
    "The verdict is the mean of the logarithms of after / before, weighted by "
    + ", ".join(f"{name} {weight:g}" for name, weight in WEIGHTS.items())
    + f". It is certain if {FEWEST_JUDGED} moments or more are judged and the {CONFIDENCE:.0%} "
    f"interval (bootstrap over the moments, both models at the same ones, {DRAWS} draws) has 0 "
    "outside. A model that is not better is not put in place."
)


@dataclass(frozen=True)
class Verdict:
    """How a model did against the one before it."""

    change: float
    """See weighted_change: below 0 is better, NaN where nothing could be judged."""
    interval: tuple[float, float]
    """Ends of its CONFIDENCE interval over the moments."""
    moments: int

    @property
    def certain(self) -> bool:
        low, high = self.interval
        return self.moments >= FEWEST_JUDGED and (high < 0 or low > 0)

    @property
    def better(self) -> bool:
        """By its mean, certain or not."""
        return self.change < 0

    def __str__(self) -> str:
        if np.isnan(self.change):
            return "nothing that the moments left out could be judged by"
        what = f"{'better' if self.change < 0 else 'worse'} by {abs(np.expm1(self.change)):.1%}"
        if self.moments < FEWEST_JUDGED:
            of = f"{self.moments} moment{'s' if self.moments > 1 else ''}"
            return f"{what}, not certain: of {of}, {FEWEST_JUDGED} are needed"
        low, high = np.expm1(self.interval)
        within = f"{CONFIDENCE:.0%}: {low:+.1%} to {high:+.1%}"
        return f"{what} ({within})" if self.certain else f"{what}, not certain ({within})"


def judged(before: Sequence[Score], after: Sequence[Score]) -> Verdict:
    """The verdict on two models that were scored at the same moments."""
    rows = np.array([[astuple(score) for score in scores] for scores in (before, after)])
    draws = np.random.default_rng(0).integers(0, len(before), (DRAWS, len(before)))
    drawn = weighted_change(*_means(rows[:, draws]))
    drawn = drawn[np.isfinite(drawn)]
    tails = (0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2)
    low, high = np.quantile(drawn, tails) if len(drawn) else (np.nan, np.nan)
    change = weighted_change(*_means(rows))
    return Verdict(float(change), (float(low), float(high)), len(before))


def _means(rows: np.ndarray) -> np.ndarray:
    """Over the moments, the last but one axis, at which a measure is known."""
    known = np.isfinite(rows)
    with np.errstate(invalid="ignore"):
        return np.where(known, rows, 0).sum(axis=-2) / known.sum(axis=-2)
