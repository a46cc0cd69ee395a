"""The evaluation itself: one sample in memory, running sums of everything else."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from tqdm import tqdm

from fsmde_core.data.batch import RigBatch, RigDataset
from fsmde_core.data.sample import DatasetError, Sample, Samples
from fsmde_core.evaluate.metrics import (
    METRICS,
    NO_PIXELS,
    ErrorSums,
    band_sums,
    error_sums,
    image_errors,
    median_scale,
)
from fsmde_core.evaluate.overlap import View, overlap
from fsmde_core.evaluate.protocols import DISTANCE_BANDS_M, Protocol, clip_depth
from fsmde_core.evaluate.sources import Predict, PredictionError
from fsmde_core.geometry import invert_transform

PLOT_BIN_M = 5.0  # width of the bins of the plot of error against distance


@dataclass(frozen=True)
class Scored:
    """One sample with the depths predicted for it, in the pixels of the ground truth."""

    item: RigBatch
    predictions: np.ndarray
    """[N, H, W] float32 metres, as predicted."""
    counted: np.ndarray
    """[N, H, W] bool, the pixels that the protocol counts."""
    latency_s: float


def score_sample(
    sample: Sample,
    dataset: RigDataset,
    predict: Predict,
    *,
    protocol: Protocol,
    max_depth_m: float,
) -> Scored:
    """Read a sample and predict its depths.

    DatasetError or PredictionError name the file or camera at fault; a prediction that is not a
    positive number, in its own pixels, where the protocol counts it is a fault. +inf, beyond reach,
    is one.
    """
    item = dataset.load(sample)
    rig = sample.rig if dataset.size is None else sample.rig.resized(*dataset.size)
    started = time.perf_counter()
    depths = predict(item.images, rig, sample)
    latency_s = time.perf_counter() - started
    height, width = item.depth_gt.shape[1:]
    predictions = np.stack(
        [
            cv2.resize(_in_range(d, max_depth_m), (width, height), interpolation=cv2.INTER_LINEAR)
            for d in depths
        ]
    )
    counted = item.valid & (item.depth_gt > protocol.min_depth_m) & (item.depth_gt < max_depth_m)
    if protocol.body_masks:
        counted &= ~item.mask
    if not counted.any():
        raise DatasetError(f"sample {sample.token} has no ground truth that the protocol counts")
    for name, depth, pixels in zip(item.names, depths, counted):
        bad = int((pixels & _holes(depth, (width, height))).sum())
        if bad:
            raise PredictionError(
                f"prediction of {name}, sample {sample.token}: not a positive number at {bad} of "
                f"{int(pixels.sum())} pixels that count"
            )
    return Scored(item, predictions, counted, latency_s)


def _in_range(depth: np.ndarray, max_depth_m: float) -> np.ndarray:
    """Depth [h, w] that resizing survives: +inf becomes the end of the range, holes become 0."""
    depth = np.where(np.isposinf(depth), np.float32(max_depth_m), depth)
    return np.where(depth > 0, depth, np.float32(0))


def _holes(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which pixels of an image of size (width, height) get something from a hole of depth [h, w].

    A hole is no positive number. Resized depth does not show them: a mean of 0 or -1 with its
    neighbours is positive, and where depth is shrunk, pixels are skipped.
    """
    holes = (~(depth > 0)).astype(np.float32)
    if not holes.any():
        return np.zeros(size[::-1], bool)
    reached = cv2.resize(holes, size, interpolation=cv2.INTER_LINEAR) > 0
    if depth.shape[1] > size[0] and depth.shape[0] > size[1]:
        reached |= cv2.resize(holes, size, interpolation=cv2.INTER_AREA) > 0
    return reached


@dataclass
class CameraSums:
    """Running sums of one camera."""

    groups: int = 0
    """Groups of pooled images: how many means the next three add up."""
    metric: np.ndarray = field(default_factory=lambda: np.zeros(len(METRICS)))
    """[7] sum of the groups' metrics, metric scale."""
    scaled: np.ndarray = field(default_factory=lambda: np.zeros(len(METRICS)))
    """[7] the same after median scaling."""
    scale: float = 0.0
    """Sum of the factors of the median scaling."""
    pixels: int = 0
    images: int = 0
    bands: list[ErrorSums] = field(
        default_factory=lambda: [NO_PIXELS] * (len(DISTANCE_BANDS_M) - 1)
    )
    overlap: ErrorSums = NO_PIXELS
    """Of this camera's LiDAR points that a neighbour sees too."""


class Evaluation:
    """What is known after the samples added so far; memory does not grow but by scalars."""

    def __init__(self, protocol: Protocol, max_depth_m: float):
        self.protocol, self.max_depth_m = protocol, max_depth_m
        self.cameras: dict[str, CameraSums] = defaultdict(CameraSums)
        self.per_sample: dict[str, np.ndarray] = {}
        """Label of a sample -> [7] metrics, metric scale, per image, mean over its cameras."""
        self.median_ratios: dict[tuple[str, str], float] = {}
        """(token of a sample, camera) -> median of the prediction over that of the truth."""
        self.latencies_s: list[float] = []
        self.bin_edges_m = np.arange(0, max_depth_m + PLOT_BIN_M, PLOT_BIN_M)
        self.bins = [NO_PIXELS] * (len(self.bin_edges_m) - 1)
        self._pool: dict[str, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
        self._pooled, self._abs_rel = 0, 0.0

    def add(self, label: str, sample: Sample, scored: Scored) -> None:
        """Count one sample."""
        item = scored.item
        errors = image_errors(
            scored.predictions, item.depth_gt, scored.counted,
            min_depth_m=self.protocol.min_prediction_m, max_depth_m=self.max_depth_m,
        )  # fmt: skip
        for i, name in enumerate(item.names):
            if not errors[i].count:
                continue
            truth = item.depth_gt[i][scored.counted[i]]
            prediction = scored.predictions[i][scored.counted[i]]
            clipped = self._clipped(prediction)
            self.median_ratios[sample.token, name] = 1 / median_scale(prediction, truth)
            self._pool[name].append((prediction, truth))
            camera = self.cameras[name]
            camera.images += 1
            camera.pixels += len(truth)
            camera.bands = _added(camera.bands, band_sums(clipped, truth, DISTANCE_BANDS_M))
            self.bins = _added(self.bins, band_sums(clipped, truth, self.bin_edges_m))
        self.per_sample[label] = np.mean([e.metrics for e in errors if e.count], axis=0)
        self._abs_rel += self.per_sample[label][METRICS.index("abs_rel")]
        self.latencies_s.append(scored.latency_s)
        self._add_overlaps(sample, scored)
        self._pooled += 1
        if self._pooled == self.protocol.pooled_samples:
            self.close_pool()

    @property
    def abs_rel(self) -> float:
        """Mean over the samples so far, per image; NaN before the first."""
        return self._abs_rel / len(self.per_sample) if self.per_sample else np.nan

    def close_pool(self) -> None:
        """Turn the pixels pooled so far into one mean per camera; call once more at the end."""
        for name, views in self._pool.items():
            prediction, truth = (np.concatenate(column) for column in zip(*views))
            if self.protocol.clip_before_scaling:
                prediction = self._clipped(prediction)
            scale = median_scale(prediction, truth, lower=self.protocol.lower_median)
            camera = self.cameras[name]
            camera.groups += 1
            camera.metric += error_sums(self._clipped(prediction), truth).metrics
            camera.scaled += error_sums(self._clipped(scale * prediction), truth).metrics
            camera.scale += scale
        self._pool.clear()
        self._pooled = 0

    def _clipped(self, prediction: np.ndarray) -> np.ndarray:
        return clip_depth(prediction, self.protocol, self.max_depth_m)

    def _add_overlaps(self, sample: Sample, scored: Scored) -> None:
        item = scored.item
        T_world_cam = sample.T_world_ego @ sample.rig.T_ego_cam
        views = [
            View(np.where(counted, truth, 0), self._clipped(prediction), K)
            for counted, truth, prediction, K in zip(
                scored.counted, item.depth_gt, scored.predictions, item.K
            )
        ]
        for pair in sample.rig.neighbours():
            for a, b in (pair, pair[::-1]):
                T_b_a = invert_transform(T_world_cam[b]) @ T_world_cam[a]
                both = overlap(views[a], views[b], T_b_a)
                errors = error_sums(self._clipped(both.depth_from_a), both.depth_in_b)
                camera = self.cameras[item.names[a]]
                camera.overlap = camera.overlap + errors


def _added(running: list[ErrorSums], new: list[ErrorSums]) -> list[ErrorSums]:
    return [a + b for a, b in zip(running, new)]


@dataclass(frozen=True)
class Fault:
    """A sample that does not count, and why."""

    sample: str
    reason: str


def evaluate(
    samples: Samples,
    dataset: RigDataset,
    predict: Predict,
    *,
    protocol: Protocol,
    max_depth_m: float,
    strict: bool = False,
    ended: Callable[[], bool] = lambda: False,
) -> tuple[Evaluation, list[Fault]]:
    """Score every sample; those with a fault are returned, or raised at once if strict.

    Where ended() is true before a sample, it and all further ones are left out.
    """
    evaluation, faults = Evaluation(protocol, max_depth_m), []

    def add(index: int) -> None:  # a function, so that a sample is gone before the next is read
        sample = samples[index]
        scored = score_sample(sample, dataset, predict, protocol=protocol, max_depth_m=max_depth_m)
        evaluation.add(samples.label(index), sample, scored)

    progress = tqdm(range(len(samples)), desc="evaluate", unit="sample", disable=None)
    for index in progress:
        if ended():
            break
        try:
            add(index)
        except (DatasetError, PredictionError) as error:
            if strict:
                raise
            faults.append(Fault(samples.label(index), str(error)))
        progress.set_postfix(abs_rel=f"{evaluation.abs_rel:.3f}", faults=len(faults))
    evaluation.close_pool()
    return evaluation, faults
