"""Dense depth thinned to what a LiDAR would hit: rendered streets with nuScenes' kind of truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fsmde_core.data.batch import RigBatch
from fsmde_core.geometry import transform_points, unproject


@dataclass(frozen=True)
class LidarPattern:
    """The rays of a spinning LiDAR; the defaults are nuScenes' sensor."""

    height_m: float = 1.84
    """Above the ego frame's origin, over which it stands."""
    lowest_deg: float = -30.67
    """Elevation of the lowest beam."""
    highest_deg: float = 10.67
    """Elevation of the highest beam."""
    beams: int = 32
    """Evenly spread in elevation."""
    azimuth_step_deg: float = 0.33
    """Between two shots of a beam: 20 turns a second."""
    range_m: float = 70.0
    """Farther returns are lost."""


def as_lidar_sees(item: RigBatch, pattern: LidarPattern = LidarPattern()) -> RigBatch:
    """One sample (without axis B) whose depth_gt and valid are left only where a shot hits.

    A pixel is hit where a beam passes through its height and a shot through its width. What the
    LiDAR sees past an edge and the camera does not, is left out.
    """
    hits = [_hits(d, K, T, pattern) for d, K, T in zip(item.depth_gt, item.K, item.T_ego_cam)]
    valid = item.valid & np.stack(hits)
    return replace(item, depth_gt=np.where(valid, item.depth_gt, np.float32(0)), valid=valid)


def _hits(depth: np.ndarray, K: np.ndarray, T_ego_cam: np.ndarray, p: LidarPattern) -> np.ndarray:
    """Pixels [H, W] bool of one camera that are hit; not those without depth."""
    x, y, z = np.moveaxis(transform_points(T_ego_cam, unproject(depth, K)), -1, 0)
    level, z = np.hypot(x, y), z - p.height_m
    spacing_deg = (p.highest_deg - p.lowest_deg) / (p.beams - 1)
    beam = (np.rad2deg(np.arctan2(z, level)) - p.lowest_deg) / spacing_deg
    shot = np.rad2deg(np.arctan2(y, x)) / p.azimuth_step_deg
    pixel_deg = np.rad2deg(1 / np.diag(K))
    hit = (beam % 1 < pixel_deg[1] / spacing_deg) & (shot % 1 < pixel_deg[0] / p.azimuth_step_deg)
    in_reach = (beam >= 0) & (beam < p.beams) & (np.hypot(level, z) <= p.range_m)
    return hit & in_reach & (depth > 0)
