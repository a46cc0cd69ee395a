"""The two evaluation protocols of the literature as presets; their numbers do not compare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DISTANCE_BANDS_M = (0.0, 20.0, 40.0, 80.0, 200.0)
MIN_PREDICTION_M = 1e-3  # where a protocol's range starts at 0: logarithms need more


@dataclass(frozen=True)
class DatasetRange:
    """What both protocols fix per dataset."""

    max_depth_m: float
    """Ground truth at or beyond this does not count, metres."""
    network_size: tuple[int, int] | None
    """(width, height) in pixels of the published networks' input; None: there are none."""


RANGES = {
    "nuscenes": DatasetRange(max_depth_m=80.0, network_size=(640, 352)),
    "ddad": DatasetRange(max_depth_m=200.0, network_size=(640, 384)),
    "street": DatasetRange(max_depth_m=80.0, network_size=None),
}


@dataclass(frozen=True)
class Protocol:
    """How pixels are chosen and how their errors are averaged."""

    name: str
    native_ground_truth: bool
    """True: LiDAR in the images' own pixels, the prediction upsampled (bilinear, in depth). False:
    LiDAR in the pixels of the published networks' input."""
    min_depth_m: float
    """Ground truth at or below this does not count, metres."""
    body_masks: bool
    """Leave out pixels that see the own vehicle, where the dataset has masks."""
    pooled_samples: int
    """Samples whose pixels of one camera form one mean (and one median); 1: every image its own."""
    clip_before_scaling: bool
    """Whether predictions are clipped to the range before the median is taken, too."""


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="surrounddepth",
            native_ground_truth=True,
            min_depth_m=0.1,
            body_masks=False,
            pooled_samples=1,
            clip_before_scaling=False,
        ),
        Protocol(
            name="vfdepth",
            native_ground_truth=False,
            min_depth_m=0.0,
            body_masks=True,
            pooled_samples=4,
            clip_before_scaling=True,
        ),
    )
}


def clip_depth(prediction: np.ndarray, protocol: Protocol, max_depth_m: float) -> np.ndarray:
    """Predictions in metres, limited to the protocol's range of depths."""
    return np.clip(prediction, max(protocol.min_depth_m, MIN_PREDICTION_M), max_depth_m)
