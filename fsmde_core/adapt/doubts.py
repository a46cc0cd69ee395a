"""Is odometry in metres, does it point the right way, and is every camera the one it is said to be?

Points that are followed through the pictures tell. Where they went, next to where the vehicle went
by its odometry, is the direction that a camera sees the world pass by in, which is another one for
the camera that looks to the other side; by how much they moved, next to how far they are by the
network that is adapted, is the unit of the odometry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from tqdm import tqdm

from fsmde_core.adapt.flow import Expected, Followed, expected, follow_drive
from fsmde_core.data.drive import Drive
from fsmde_core.runtime.predictor import Predictor

TRUSTED = (0.6, 1.7)  # factors on the odometry's way that the network's own scale may be off by
UNITS = {
    0.001: "in millimetres",
    0.01: "in centimetres",
    0.2778: "made of km/h taken for m/s",
    0.3048: "in feet",
    0.4470: "made of miles an hour taken for m/s",
    3.6: "made of m/s taken for km/h",
    1000.0: "in kilometres",
}
"""Factor that brings it to metres -> what odometry seems to be."""
NEAR_UNIT = 1.25  # a unit is named if the factor is so near
FARTHEST_M = 40.0  # points beyond hardly move
LEAST_PX = 1.5  # by which a point moves that says in which direction
FEWEST_POINTS = 200
WRONG_DEG, CLEARLY = 25.0, 0.5  # an angle that is wrong; another place fits if its is so much less
TURNED = {90: [[0, -1, 0], [1, 0, 0]], 180: [[-1, 0, 0], [0, -1, 0]], 270: [[0, 1, 0], [-1, 0, 0]]}
"""Degrees that odometry's axes may be turned by -> what they are then, but for z."""
MIRRORED = np.diag([1.0, -1.0, 1.0])
STILL_PX, STILL_M = 0.1, 0.5  # by which a picture hardly moves, while the vehicle goes so far
STILL_SHARE = 0.25  # of the times that are looked at


@dataclass(frozen=True, eq=False)
class Fit:
    """How well odometry and rig fit the pictures."""

    scale: float
    """The factor on odometry's way that fits best; NaN where too little is known."""
    spread: float
    """Half the distance between the quartiles of its logarithm over points."""
    angles_deg: np.ndarray
    """[N, N] median angle between where points of the images of camera i went and where they should
    have, were these of camera j; NaN where too few points moved."""
    turned_deg: dict[int, float]
    """The same of the worst camera at its place, with odometry's axes turned: degrees -> angle."""
    names: tuple[str, ...]
    mirrored_deg: float = np.nan
    """As turned_deg, with odometry's y to the other side."""
    unmoved: tuple[str, ...] = ()
    """What of cameras whose pictures do not move with the vehicle, a sentence each."""

    @property
    def of_odometry(self) -> list[str]:
        """What is wrong with the odometry, a sentence each."""
        if self._of_axes or self._wrong > WRONG_DEG:
            return self._of_axes
        return _unit(self.scale)

    @property
    def of_rig(self) -> list[str]:
        """Which cameras are not where the rig has them, or see nothing, a sentence each."""
        if self._of_axes:
            return list(self.unmoved)
        return [*self.unmoved, *_swaps(self.angles_deg, self.names)]

    @property
    def _of_axes(self) -> list[str]:
        worst = float(np.nanmax([*np.diag(self.angles_deg), -1.0]))
        if worst > WRONG_DEG and self.mirrored_deg < min(WRONG_DEG, CLEARLY * worst):
            return [
                "odometry seems to turn the other way: y has to be left and z up in the vehicle's "
                f"frame (points move {worst:.0f} degrees off as it is, {self.mirrored_deg:.0f} "
                "with y to the other side)"
            ]
        return _turned(self._wrong, self.turned_deg) if self._wrong > WRONG_DEG else []

    @property
    def _wrong(self) -> float:
        """The angle by which most cameras are off, degrees; 0 where too few points moved."""
        own = np.diag(self.angles_deg)
        return float(np.nanmedian(own)) if np.isfinite(own).any() else 0.0


def check_fit(drive: Drive, predictor: Predictor) -> Fit:
    """Follow points through a drive and compare; DatasetError names an image that is broken."""
    followed = follow_drive(drive)
    cameras = drive.rig.cameras
    angles = np.full((len(cameras), len(cameras)), np.nan)
    for i, own in enumerate(cameras):
        of_camera = [points for points in followed if points.camera == i]
        for j, other in enumerate(cameras):
            if (own.width, own.height) == (other.width, other.height):
                angles[i, j] = _angle(expected(drive, p, other) for p in of_camera)
    unmoved = {}
    for i, camera in enumerate(cameras):
        if sentence := _unmoved(drive, [points for points in followed if points.camera == i]):
            unmoved[i] = f"{camera.name}: {sentence}"
            angles[i] = np.nan

    def worst(axes: np.ndarray) -> float:
        """Angle of the worst camera at its place, with other axes; below 0 if none is known."""
        by_camera = (
            _angle(expected(drive, p, camera, axes=axes) for p in followed if p.camera == i)
            for i, camera in enumerate(cameras)
            if i not in unmoved
        )
        return float(np.nanmax([*by_camera, -1.0]))

    turned = {degrees: worst(np.array([*rows, [0, 0, 1]])) for degrees, rows in TURNED.items()}
    right = [
        p
        for p in followed
        if p.camera not in unmoved and not angles[p.camera, p.camera] > WRONG_DEG
    ]
    scale, spread = _scale(drive, right, predictor)
    return Fit(
        scale, spread, angles, turned, drive.rig.names, worst(MIRRORED), tuple(unmoved.values())
    )


def _unmoved(drive: Drive, followed: Sequence[Followed]) -> str:
    """What is wrong with a camera in whose images nothing moves; empty if something does."""
    if not followed:
        return "no points can be followed in its images: are they dark, covered or blurred?"
    still = 0
    for points in followed:
        before, after = (drive.moments[m].T_world_ego[0] for m in (points.moment, points.later))
        px = np.median(np.linalg.norm(points.pixels_later - points.pixels, axis=1))
        still += px < STILL_PX and np.linalg.norm(after[:3, 3] - before[:3, 3]) > STILL_M
    if still < STILL_SHARE * len(followed):
        return ""
    return (
        f"in {still} of {len(followed)} pairs of images nothing moves, although the vehicle does: "
        "does it hang, or see nothing but the vehicle itself?"
    )


def _angle(pairs) -> float:
    """Median angle in degrees between the directions that points went and should have."""
    found = [_angles(expected) for expected in pairs]
    angles = np.concatenate(found) if found else np.zeros(0)
    return float(np.degrees(np.median(angles))) if len(angles) >= FEWEST_POINTS else np.nan


def _angles(pair: Expected) -> np.ndarray:
    """[P] radians, of the points that moved.

    The picture of a point that comes nearer from infinity leaves its place in this direction.
    """
    ahead = pair.rays[:, 2] > 0.1
    start = pair.rays[ahead] / pair.rays[ahead, 2:]
    way = pair.lever + pair.way
    should = way[:2] - way[2] * start[:, :2]
    went = pair.rays_later[ahead, :2] - start[:, :2]
    lengths = np.linalg.norm(should, axis=1) * np.linalg.norm(went, axis=1)
    moved = np.linalg.norm(went, axis=1) > LEAST_PX / 500  # focal lengths are about so many pixels
    cosines = (should * went).sum(axis=1)[moved] / np.maximum(lengths[moved], 1e-12)
    return np.arccos(np.clip(cosines, -1, 1))


def _scale(drive: Drive, followed: Sequence[Followed], predictor: Predictor) -> tuple[float, float]:
    """The factor on the vehicle's way that fits points at the network's depths, and its spread."""
    found = [np.zeros(0)]
    by_moment: dict[int, list[Followed]] = {}
    for points in followed:
        by_moment.setdefault(points.moment, []).append(points)
    for moment, pairs in tqdm(by_moment.items(), desc="scale", unit="moment", disable=None):
        images = [drive.image(moment, i) for i in range(len(drive.rig.cameras))]
        prediction = predictor(images, drive.rig)
        for points in pairs:
            depth = prediction.at_source(points.camera)
            columns, rows = np.floor(points.pixels).astype(int).T
            pair = expected(drive, points, drive.rig.cameras[points.camera])
            found.append(_factors(pair, depth[rows, columns]))
    factors = np.concatenate(found)
    if len(factors) < FEWEST_POINTS or np.median(factors) <= 0:
        return np.nan, np.nan
    low, high = np.percentile(np.log(factors[factors > 0]), (25, 75))
    return float(np.median(factors)), float((high - low) / 2)


def _factors(pair: Expected, depth: np.ndarray) -> np.ndarray:
    """The factor on `way` that brings each point of a depth [P] to where it was found."""
    near = (depth > 0) & (depth < FARTHEST_M)
    later, way = pair.rays_later[near], pair.way
    there = depth[near, None] * pair.rays[near] + pair.lever
    across = np.cross(later, way)
    went = np.linalg.norm(np.cross(later, there) / depth[near, None], axis=1)
    moved = (np.linalg.norm(across, axis=1) > 0.2 * np.linalg.norm(way)) & (went > LEAST_PX / 500)
    factors = -(across * np.cross(later, there)).sum(axis=1) / (across**2).sum(axis=1)
    return factors[moved]


def _swaps(angles: np.ndarray, names: Sequence[str]) -> list[str]:
    """Cameras whose images belong at the places of others, or at no place of the rig."""
    own = np.diag(angles)
    wrong = [i for i in range(len(names)) if own[i] > WRONG_DEG]
    fits = np.nan_to_num(angles, nan=180.0)
    best = _best_places(fits, wrong)
    sentences, told = [], set()
    for i, j in best.items():
        if i in told:
            continue
        if i == j or fits[i, j] > CLEARLY * own[i]:
            sentences.append(
                f"{names[i]}: points move {own[i]:.0f} degrees off where odometry and its "
                "extrinsics have them go: are its frame, axes and stamps right?"
            )
            continue
        what = f"the images of {names[i]} seem to be those of {names[j]}"
        if best[j] == i:
            told |= {i, j}
            what = f"{names[i]} and {names[j]} seem to be swapped"
        sentences.append(
            f"{what} (points move {own[i]:.0f} degrees off as it is, {fits[i, j]:.0f} there)"
        )
    return sentences


def _best_places(fits: np.ndarray, wrong: Sequence[int]) -> dict[int, int]:
    """Of each of the wrong cameras the place of one of them; what fits best is taken first."""
    best: dict[int, int] = {}
    for i, j in sorted(product(wrong, wrong), key=lambda pair: fits[pair]):
        if i not in best and j not in best.values():
            best[i] = j
    return {i: best[i] for i in wrong}


def _turned(wrong: float, turned: dict[int, float]) -> list[str]:
    """Odometry whose axes are not forward, left, up, or that has nothing to do with the pictures.

    Where other axes do not explain it, cameras may be at the wrong places.
    """
    degrees = min(turned, key=turned.get)
    if not 0 <= turned[degrees] <= WRONG_DEG:
        return []
    what = "backwards" if degrees == 180 else f"turned by {degrees} degrees"
    return [
        f"odometry's axes seem to be {what}: x has to be forward in the vehicle's frame "
        f"(points move {wrong:.0f} degrees off as it is, {turned[degrees]:.0f} that way round)"
    ]


def _unit(scale: float) -> list[str]:
    """Odometry that is not in metres."""
    if not np.isfinite(scale) or TRUSTED[0] < scale < TRUSTED[1]:
        return []
    near = [unit for unit in UNITS if abs(np.log(scale / unit)) < np.log(NEAR_UNIT)]
    near.sort(key=lambda unit: abs(np.log(scale / unit)))
    units = " or ".join(f"{UNITS[unit]} (times {unit:.2g})" for unit in near)
    what = f"odometry seems to be {units}" if near else "odometry seems not to be in metres"
    return [f"{what}: translations fit best times {scale:.2f}"]
