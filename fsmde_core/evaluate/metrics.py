"""Depth errors as pure functions; sums that add up, so that nothing but sums is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

METRICS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "delta_1", "delta_2", "delta_3")
DELTA = 1.25
MIN_PREDICTION_M = 1e-3  # predictions are clipped to it: logarithms need more than 0


@dataclass(frozen=True)
class ErrorSums:
    """Sums over pixels from which every metric follows; sums of two sets of pixels add."""

    count: int
    """Pixels."""
    sums: np.ndarray
    """[7]: |e| / d, e^2 / d (m), e^2 (m^2), (ln p - ln d)^2, pixels with max(p/d, d/p) below 1.25,
    1.25^2, 1.25^3; p the prediction, d the ground truth, e = p - d."""

    def __add__(self, other: ErrorSums) -> ErrorSums:
        return ErrorSums(self.count + other.count, self.sums + other.sums)

    @property
    def metrics(self) -> np.ndarray:
        """[7] in the order of METRICS: means over the pixels; NaN if there are none."""
        if not self.count:
            return np.full(len(METRICS), np.nan)
        means = self.sums / self.count
        return np.concatenate([means[:2], np.sqrt(means[2:4]), means[4:]])


NO_PIXELS = ErrorSums(0, np.zeros(len(METRICS)))


def error_sums(prediction: np.ndarray, depth_gt: np.ndarray) -> ErrorSums:
    """Errors of predictions [P] against true depths [P], both in metres and positive.

    The definitions of Eigen et al. (2014), as in all the protocols.
    """
    p, d = prediction.astype(np.float64), depth_gt.astype(np.float64)
    error, log_ratio = p - d, np.log(p) - np.log(d)
    ratio = np.maximum(p / d, d / p)
    terms = [np.abs(error) / d, error**2 / d, error**2, log_ratio**2]
    terms += [ratio < DELTA**power for power in (1, 2, 3)]
    return ErrorSums(len(d), np.array([term.sum() for term in terms], np.float64))


def band_sums(
    prediction: np.ndarray, depth_gt: np.ndarray, edges_m: Sequence[float]
) -> list[ErrorSums]:
    """error_sums by true depth, one for each band edges_m[i] <= d < edges_m[i + 1]."""
    band = np.searchsorted(edges_m, depth_gt, side="right") - 1
    chosen = [band == i for i in range(len(edges_m) - 1)]
    return [error_sums(prediction[pixels], depth_gt[pixels]) for pixels in chosen]


def median_scale(prediction: np.ndarray, depth_gt: np.ndarray, *, lower: bool = False) -> float:
    """The factor that brings the median of predictions [P] to that of the ground truth [P].

    lower: of an even number the lower of the middle two is the median, as torch has it.
    """
    middle = (lambda values: np.quantile(values, 0.5, method="lower")) if lower else np.median
    return float(middle(depth_gt) / middle(prediction))


def image_errors(
    predictions: np.ndarray,
    depths_gt: np.ndarray,
    counted: np.ndarray,
    *,
    min_depth_m: float = MIN_PREDICTION_M,
    max_depth_m: float,
) -> list[ErrorSums]:
    """error_sums of each of N images [N, H, W] over its counted pixels [N, H, W] bool.

    Predictions are clipped to the range, metres. Where nothing counts, NO_PIXELS.
    """
    pixels = ((p[c], d[c]) for p, d, c in zip(predictions, depths_gt, counted))
    return [error_sums(np.clip(p, min_depth_m, max_depth_m), d) for p, d in pixels]
