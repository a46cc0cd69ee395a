"""How good a model is on a drive of which no depth is known: what its depths contradict.

Four measures, all errors, lower is better. Each is a robust mean that is bounded, so that moving
things and what is hidden weigh little, and takes the same pixels whatever the model says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import cv2
import numpy as np
from tqdm import tqdm

from fsmde_core.data.drive import Drive
from fsmde_core.geometry import (
    invert_transform,
    pixel_centres,
    pixel_rays,
    project,
    transform_points,
)
from fsmde_core.rig import Camera
from fsmde_core.runtime.predictor import Predictor

WEIGHTS = {"photometric": 2.0, "overlap": 0.5, "ground": 1.0, "temporal": 0.5}
"""Of the measures in the verdict: what is held against the world counts for more than what a model
holds against itself (docs/adapt.md)."""
MEASURES = tuple(WEIGHTS)
SKY_M = 1000.0  # as far as where there is no surface
NEAREST_M = 0.3  # the vehicle's way between two images that are compared, and at most
FARTHEST_M, LONGEST_NS = 2.5, 2_000_000_000
MOST_LOG = 0.7  # of a depth: twice too far or near is wrong altogether
REACH_M = 60.0  # depths beyond are not compared: no baseline tells of them
GROUND_M = (2.0, 12.0)  # of road that is looked at, from the camera
GROUND_ASIDE_M = 2.5  # to the left and right of the vehicle's middle: beyond may be a kerb
SSIM_SHARE = 0.85  # of the photometric error, the rest is L1: as in Monodepth2 and all after it


@dataclass(frozen=True)
class Score:
    """Errors of a model on a drive; NaN where a drive has nothing that it is measured on."""

    photometric: float
    """Mean error, 0 to 1, of images that are put together from those before and after, by depth."""
    overlap: float
    """Mean |log| of two neighbouring cameras' depths at points that both see."""
    ground: float
    """Mean |log| of depth against the plane z = 0, where the vehicle drives."""
    temporal: float
    """Mean |log| of a camera's depths at one moment against those at the next."""

    def against(self, before: Score) -> float:
        """See weighted_change: below 0 is better, NaN where nothing is measured."""
        return float(weighted_change(*(np.array(astuple(of)) for of in (before, self))))


def weighted_change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """[...] weighted mean of the logarithms of the ratios of errors [..., MEASURES] that are known;
    NaN where none is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(after / before)
        known = np.isfinite(logs)
        weights = known * np.array(list(WEIGHTS.values()))
        return (np.where(known, logs, 0) * weights).sum(axis=-1) / weights.sum(axis=-1)


def mean_score(scores: Sequence[Score]) -> Score:
    """The mean over moments, of each measure over those at which it is known."""
    return Score(*(_mean(values) for values in zip(*map(astuple, scores))))


def score(
    predictor: Predictor, drive: Drive, moments: Sequence[int], *, label: str = "score"
) -> list[Score]:
    """Errors of a model at each of some moments of a drive, compared with those before and after
    them."""
    scores = []
    kept: dict[int, _Seen] = {}
    for moment in tqdm(moments, desc=label, unit="moment", disable=None):
        around = [m for m in _around(drive, moment) if m is not None]
        wanted = {moment, *around}
        kept = {m: kept.get(m) or _see(predictor, drive, m) for m in wanted}
        at, found = kept[moment], {name: [] for name in MEASURES}
        for i in range(len(drive.rig.cameras)):
            found["photometric"].append(_photometric(at, [kept[m] for m in around], i))
            found["ground"].append(_ground(at, i))
            found["temporal"] += [_disagreement(at, i, kept[m], i) for m in around]
        for i, j in drive.rig.neighbours():
            found["overlap"] += [_disagreement(at, i, at, j), _disagreement(at, j, at, i)]
        scores.append(Score(**{name: _mean(values) for name, values in found.items()}))
    return scores


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else np.nan


@dataclass(frozen=True, eq=False)
class _Seen:
    """The images of a moment, and what a model makes of them."""

    images: list[np.ndarray]
    cameras: tuple[Camera, ...]
    depths: list[np.ndarray]
    """N x [H, W], SKY_M where there is no surface, NaN where nothing is seen."""
    T_world_cam: np.ndarray


def _see(predictor: Predictor, drive: Drive, moment: int) -> _Seen:
    images = [drive.image(moment, i) for i in range(len(drive.rig.cameras))]
    prediction = predictor(images, drive.rig)
    depths = [np.minimum(prediction.at_source(i), SKY_M) for i in range(len(images))]
    return _Seen(images, drive.rig.cameras, depths, drive.T_world_cam(moment))


def _around(drive: Drive, moment: int) -> tuple[int | None, int | None]:
    """The nearest moments before and after from which on the vehicle moved enough."""
    return tuple(_neighbour(drive, moment, step) for step in (-1, 1))


def _neighbour(drive: Drive, moment: int, step: int) -> int | None:
    here, other = drive.moments[moment], moment + step
    while 0 <= other < len(drive):
        there = drive.moments[other]
        metres = np.linalg.norm(there.T_world_ego[0, :3, 3] - here.T_world_ego[0, :3, 3])
        if abs(there.stamps_ns[0] - here.stamps_ns[0]) > LONGEST_NS or metres > FARTHEST_M:
            return None
        if metres >= NEAREST_M:
            return other
        other += step
    return None


def _photometric(at: _Seen, others: Sequence[_Seen], i: int) -> float:
    """Mean over the pixels that any other moment shows; the least error of those that do."""
    errors = [_error(at.images[i], *_warped(at, other, i)) for other in others]
    if not errors:
        return np.nan
    least = np.nanmin(np.stack([np.full(errors[0].shape, np.nan), *errors]), axis=0, initial=np.inf)
    known = np.isfinite(least)
    return float(least[known].mean()) if known.any() else np.nan


def _warped(at: _Seen, other: _Seen, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Camera i's image of another moment as it was at this one, and where that is known."""
    camera, depth = at.cameras[i], at.depths[i]
    pixels, ahead = _project(at, i, other, i)
    image = cv2.remap(
        other.images[i],
        *(pixels[..., k].astype(np.float32) - 0.5 for k in (0, 1)),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    known = np.isfinite(depth) & (ahead > 0) & _inside(pixels, camera)
    return image, known


def _project(at: _Seen, i: int, other: _Seen, j: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of camera i lie in camera j of another moment, and at which depth."""
    camera = at.cameras[i]
    rays = pixel_rays(camera.K, pixel_centres(camera.width, camera.height))
    points = (np.nan_to_num(at.depths[i], nan=1.0)[..., None] * rays).reshape(-1, 3)
    T = invert_transform(other.T_world_cam[j]) @ at.T_world_cam[i]
    pixels, depth = project(transform_points(T, points), other.cameras[j].K)
    shape = camera.height, camera.width
    return np.nan_to_num(pixels, nan=-1e6).reshape(*shape, 2), depth.reshape(shape)


def _inside(pixels: np.ndarray, camera: Camera) -> np.ndarray:
    return ((pixels >= 0.5) & (pixels <= (camera.width - 0.5, camera.height - 0.5))).all(axis=-1)


def _error(image: np.ndarray, warped: np.ndarray, known: np.ndarray) -> np.ndarray:
    """[H, W] of 0 to 1, inf where it is not known."""
    a, b = (pixels.astype(np.float32) / 255 for pixels in (image, warped))
    l1 = np.abs(a - b).mean(axis=-1)

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (3, 3))

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    cov = mean(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    ssim /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    unlike = np.clip((1 - ssim) / 2, 0, 1).mean(axis=-1)
    return np.where(known, SSIM_SHARE * unlike + (1 - SSIM_SHARE) * l1, np.inf)


def _disagreement(at: _Seen, i: int, other: _Seen, j: int) -> float:
    """Mean |log| between where camera i places its pixels and what camera j of a moment says."""
    pixels, depth = _project(at, i, other, j)
    seen = np.isfinite(at.depths[i]) & (at.depths[i] < REACH_M) & (depth > 0.1)
    seen &= _inside(pixels, other.cameras[j])
    if seen.sum() < 100:
        return np.nan
    columns, rows = np.floor(pixels[seen]).astype(int).T
    there = other.depths[j][rows, columns]
    known = np.isfinite(there)
    logs = np.abs(np.log(depth[seen][known] / there[known]))
    return float(np.minimum(logs, MOST_LOG).mean()) if known.any() else np.nan


def _ground(at: _Seen, i: int) -> float:
    """Mean |log| between depth and that of the road, if the road is the plane z = 0."""
    camera = at.cameras[i]
    rays = pixel_rays(camera.K, pixel_centres(camera.width, camera.height))
    down = rays @ camera.T_ego_cam[:3, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = -camera.T_ego_cam[2, 3] / down[..., 2]
    points = camera.T_ego_cam[:3, 3] + depth[..., None] * down
    road = (depth > 0) & (np.abs(points[..., 1]) < GROUND_ASIDE_M) & np.isfinite(at.depths[i])
    metres = np.linalg.norm(depth[..., None] * rays, axis=-1)
    road &= (metres > GROUND_M[0]) & (metres < GROUND_M[1])
    if road.sum() < 100:
        return np.nan
    logs = np.abs(np.log(at.depths[i][road] / depth[road]))
    return float(np.minimum(logs, MOST_LOG).mean())
