"""How good the student is at this moment, in numbers and as a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from fsmde_core.data.batch import RigBatch
from fsmde_core.distill.config import DistillConfig
from fsmde_core.distill.step import network_precision
from fsmde_core.distill.stream import ValidationSamples, by_camera_count
from fsmde_core.evaluate.metrics import METRICS, MIN_PREDICTION_M, image_errors, median_scale
from fsmde_core.visualize import colour_depth


@dataclass(frozen=True)
class Validation:
    """Means over the images of the validation samples."""

    metrics: dict[str, float]
    """By the names of evaluate.metrics.METRICS; where surfaces are learnt also `surface`: of what
    share of the pixels it is told right whether there is one within reach."""
    panel: np.ndarray
    """[3 h, N w, 3] uint8: images, predicted and true depths of the first sample."""


@torch.inference_mode()
def validate(student: nn.Module, samples: ValidationSamples, config: DistillConfig) -> Validation:
    """Per-image errors at the network's resolution, up to val_depth_m, without the own vehicle.

    Without any scaling, but for a scale-invariant student: then with the ratio of medians, one for
    the rig.
    """
    device = next(student.parameters()).device
    rows, told, panel = [], [], None
    for i in range(len(samples)):
        (batch,) = by_camera_count([samples[i]])
        views = (batch.images, batch.K, batch.T_ego_cam)
        with network_precision(config.precision, device):
            output = student(*(t.to(device) for t in views))
        depth = output.depth[0].float().cpu().numpy()
        rows += _image_metrics(depth, batch, config)
        if config.losses.surface and batch.sky is not None:
            told.append(_surfaces_told(output.surface_logits.cpu(), batch, config.student.reach_m))
        panel = _panel(batch, depth) if panel is None else panel
    means = np.mean(rows, axis=0) if rows else np.full(len(METRICS), np.nan)
    metrics = dict(zip(METRICS, means)) | ({"surface": np.mean(told)} if told else {})
    return Validation({m: round(float(v), 4) for m, v in metrics.items()}, panel)


def _surfaces_told(logits: torch.Tensor, batch: RigBatch, reach_m: float) -> float:
    valid = batch.valid & ~batch.mask
    surface = valid & (batch.depth_gt <= reach_m)
    known = valid | batch.sky
    return float(((logits > 0) == surface)[known].float().mean())


def _image_metrics(depth: np.ndarray, batch: RigBatch, config: DistillConfig) -> list[np.ndarray]:
    depth_gt, valid = batch.depth_gt[0].numpy(), (batch.valid & ~batch.mask)[0].numpy()
    valid = valid & (depth_gt > MIN_PREDICTION_M) & (depth_gt <= config.val_depth_m)
    if config.losses.scale_invariant and valid.any():
        depth = depth * median_scale(depth[valid], depth_gt[valid])
    errors = image_errors(depth, depth_gt, valid, max_depth_m=config.val_depth_m)
    return [sums.metrics for sums in errors if sums.count]


def _panel(batch: RigBatch, depth: np.ndarray) -> np.ndarray:
    images = np.concatenate(list(batch.images[0].numpy()), axis=1)
    rows = [[colour_depth(d) for d in maps] for maps in (depth, batch.depth_gt[0].numpy())]
    return np.concatenate([images, *(np.concatenate(row, axis=1) for row in rows)], axis=0)
