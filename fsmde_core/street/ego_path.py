"""Where the ego vehicle is: along its lane, or standing turned to it; on its springs it sways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsmde_core.geometry import make_transform
from fsmde_core.street.mesh import rotation_x, rotation_y, rotation_z
from fsmde_core.street.road import Road

BODY_X_M, BODY_HALF_M = (-0.85, 3.45), 0.88  # of the body in the ego frame, see make_ego
AXLE_M, TRACK_M = 1.4, 0.8  # ground under these is what the vehicle stands on
BERTH_M = 0.6  # free ground around a body that stands
KERB_M = 0.3  # the body stays so far inside the kerbs
SWAY_HZ = (0.2, 2.0)
SWAY_SIGMA = np.array([np.radians(1.0), np.radians(0.7), 0.02])
"""Pitch, roll (rad) and bounce (m), one sigma."""
TURNED_SHARE = 0.25  # of the vehicles stand at an angle
MOST_YAW_DEG = 40.0


@dataclass(frozen=True, eq=False)
class Sway:
    """Pitch, roll and bounce of a body on its springs: three sums of sines."""

    amplitude: np.ndarray
    """[3, K]: radians, radians, metres."""
    hz: np.ndarray
    phase: np.ndarray

    def at(self, time_s: float) -> np.ndarray:
        """Pitch and roll in radians and bounce in metres, [3]."""
        turns = 2 * np.pi * self.hz * time_s + self.phase
        return (self.amplitude * np.sin(turns)).sum(axis=1)


@dataclass(frozen=True, eq=False)
class EgoPath:
    """The ego's way: metres t to the left of the road's centreline, from s = 0 at the start."""

    road: Road
    t: float
    speed_mps: float
    """Along s."""
    yaw: float = 0.0
    """Radians from the road's heading; only a vehicle that stands is turned."""
    sway: Sway | None = None
    """None: the body is stiff, and rolls with no bank of the ground either."""

    def pose(self, time_s: float) -> np.ndarray:
        """T_world_ego [4, 4] at a time: on the ground, pitched and rolled with it and with sway."""
        reach = np.array([-AXLE_M, 0.0, AXLE_M])
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        at = self.speed_mps * time_s
        behind, here, ahead = self.road.point(at + reach * c, self.t + reach * s)
        x, y, z = ahead - behind
        R = rotation_z(np.arctan2(y, x)) @ rotation_y(-np.arctan2(z, np.hypot(x, y)))
        if self.sway is None:
            return make_transform(R, here)
        side = np.array([-TRACK_M, TRACK_M])
        right, left = self.road.point(at - side * s, self.t + side * c)
        x, y, z = left - right
        pitch, roll, bounce = self.sway.at(time_s)
        R = R @ rotation_y(pitch) @ rotation_x(np.arctan2(z, np.hypot(x, y)) + roll)
        return make_transform(R, here + (0, 0, bounce))

    def gap_m(self, t: float) -> float:
        """Metres across the street from t to the strip that the body's middle line lies over."""
        line = self._line()[:, 1]
        return max(line.min() - t, t - line.max(), 0.0)

    def points(self, first_m: float, last_m: float) -> np.ndarray:
        """Ground [n, 3] along the way from s = first_m to last_m, and below a turned body."""
        way = self.road.point(np.arange(first_m, last_m, 1.5), self.t)
        return np.concatenate([way, self.road.point(*self._line().T)]) if self.yaw else way

    def footprint(self) -> tuple[float, float, float, float]:
        """The rectangle (s, t, half_s, half_t) that the body at the start takes, with its berth."""
        line = self._line()
        (s, t), half = (line[0] + line[-1]) / 2, np.ptp(line, axis=0) / 2 + BODY_HALF_M + BERTH_M
        return float(s), float(t), float(half[0]), float(half[1])

    def _line(self) -> np.ndarray:
        """(s, t) [n, 2] along the middle of the body at the start."""
        x = np.linspace(*BODY_X_M, 8)
        return np.stack([x * np.cos(self.yaw), self.t + x * np.sin(self.yaw)], axis=1)


def draw_ego(rng: np.random.Generator, road: Road, lane_t: float, speed_mps: float) -> EgoPath:
    """A vehicle as they are met: most drive, a little beside the middle of the lane at lane_t.

    The others stand, pulled to the kerb or turned across the lane. All sway.
    """
    sway = _draw_sway(rng)
    if rng.random() >= TURNED_SHARE:
        t = lane_t + float(np.clip(rng.normal(0, 0.2), -0.45, 0.45))
        return EgoPath(road, t, speed_mps, sway=sway)
    if rng.random() < 0.35:
        t, yaw = np.sign(lane_t) * road.half_m, np.radians(rng.uniform(-12, 12))
    else:
        t = lane_t + rng.uniform(-0.8, 0.8)
        yaw = np.radians(rng.uniform(8, MOST_YAW_DEG)) * rng.choice([-1, 1])
    ends = np.array(BODY_X_M) * np.sin(yaw)
    half = BODY_HALF_M * np.cos(yaw) + KERB_M
    t = np.clip(t, -road.half_m + half - ends.min(), road.half_m - half - ends.max())
    return EgoPath(road, float(t), 0.0, float(yaw), sway)


def _draw_sway(rng: np.random.Generator) -> Sway:
    sines = 3
    strength = SWAY_SIGMA[:, None] * np.sqrt(2 / sines) * np.exp(rng.normal(0, 0.2, (3, sines)))
    hz = np.exp(rng.uniform(*np.log(SWAY_HZ), (3, sines)))
    return Sway(strength, hz, rng.uniform(0, 2 * np.pi, (3, sines)))
