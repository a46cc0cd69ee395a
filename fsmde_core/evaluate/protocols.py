"""The evaluation protocols of the literature as presets; their numbers do not compare."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fsmde_core.evaluate.metrics import MIN_PREDICTION_M

DISTANCE_BANDS_M = (0.0, 20.0, 40.0, 80.0, 200.0)


@dataclass(frozen=True)
class DatasetRange:
    """What all protocols fix per dataset."""

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
    outer_half_pixel: bool
    """nuScenes: whether LiDAR counts beyond the centres of the outermost pixels."""
    min_depth_m: float
    """Ground truth at or below this does not count, metres."""
    body_masks: bool
    """Leave out pixels that see the own vehicle, where the dataset has masks."""
    pooled_samples: int
    """Samples whose pixels of one camera form one mean (and one median); 1: every image its own."""
    clip_before_scaling: bool
    """Whether predictions are clipped to the range before the median is taken, too."""
    lower_median: bool
    """Whether the median of an even number is the lower of the middle two (torch's), not their
    mean."""

    @property
    def min_prediction_m(self) -> float:
        """Predictions are clipped to no less, metres."""
        return max(self.min_depth_m, MIN_PREDICTION_M)


SURROUNDDEPTH = Protocol(
    name="surrounddepth",
    native_ground_truth=True,
    outer_half_pixel=True,
    min_depth_m=0.1,
    body_masks=False,
    pooled_samples=1,
    clip_before_scaling=False,
    lower_median=False,
)
VFDEPTH = Protocol(
    name="vfdepth",
    native_ground_truth=False,
    outer_half_pixel=False,
    min_depth_m=0.0,
    body_masks=True,
    pooled_samples=4,
    clip_before_scaling=True,
    lower_median=True,
)
CVCDEPTH = replace(
    VFDEPTH, name="cvcdepth", native_ground_truth=True, outer_half_pixel=True, body_masks=False
)
# CVCDepth loads native depth images, but the loader that it has from packnet-sfm shrinks them.
CVCDEPTH_SHRUNK = replace(CVCDEPTH, name="cvcdepth_shrunk", native_ground_truth=False)

PROTOCOLS = {p.name: p for p in (SURROUNDDEPTH, VFDEPTH, CVCDEPTH, CVCDEPTH_SHRUNK)}


def clip_depth(prediction: np.ndarray, protocol: Protocol, max_depth_m: float) -> np.ndarray:
    """Predictions in metres, limited to the protocol's range of depths."""
    return np.clip(prediction, protocol.min_prediction_m, max_depth_m)
