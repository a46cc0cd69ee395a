"""Do two cameras that see the same point agree on where it is?"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fsmde_core.geometry import pixel_rays, project, transform_points

OCCLUSION_WINDOW = 0.01  # share of the image's width: LiDAR this near may hide a point
OCCLUSION_MARGIN = 0.9  # it does if its depth is below this share of the point's


@dataclass(frozen=True)
class View:
    """One camera's side of an overlap."""

    depth_gt: np.ndarray
    """[H, W] metres, 0 where there is none or where it does not count."""
    prediction: np.ndarray
    """[H, W] metres, positive."""
    K: np.ndarray
    """[3, 3] in pixels."""


@dataclass(frozen=True)
class Overlap:
    """One point as each camera's prediction places it, both as depth in camera b."""

    depth_from_a: np.ndarray
    """[P] metres along b's optical axis, of the points that a predicts; negative if behind b."""
    depth_in_b: np.ndarray
    """[P] metres, what b predicts there."""


def overlap(a: View, b: View, T_b_a: np.ndarray) -> Overlap:
    """Compare predictions of a and b at the LiDAR points of a that b sees too.

    T_b_a [4, 4] carries points from camera a at its stamp to camera b at its own. The true point
    decides which pixel of b is asked, so that all methods are asked at the same pixels. Points that
    something nearer hides from b do not count: b's own LiDAR within OCCLUSION_WINDOW shows it.
    """
    rows, columns = np.nonzero(a.depth_gt)
    rays = pixel_rays(a.K, np.stack([columns + 0.5, rows + 0.5], axis=-1))
    points_b = transform_points(T_b_a, rays * a.depth_gt[rows, columns, None])
    pixels, depth = project(points_b, b.K)
    height, width = b.depth_gt.shape
    with np.errstate(invalid="ignore"):
        seen = (depth > 0) & (pixels >= 0).all(axis=-1) & (pixels < (width, height)).all(axis=-1)
    rows, columns, rays, depth = rows[seen], columns[seen], rays[seen], depth[seen]
    columns_b, rows_b = np.floor(pixels[seen]).astype(np.int64).T
    seen = nearest_around(b.depth_gt)[rows_b, columns_b] >= OCCLUSION_MARGIN * depth
    predicted_a = rays[seen] * a.prediction[rows[seen], columns[seen], None]
    return Overlap(
        depth_from_a=transform_points(T_b_a, predicted_a)[:, 2],
        depth_in_b=b.prediction[rows_b[seen], columns_b[seen]],
    )


def nearest_around(depth_gt: np.ndarray) -> np.ndarray:
    """The smallest known depth within OCCLUSION_WINDOW of each pixel [H, W], inf if none is."""
    radius = max(1, round(depth_gt.shape[1] * OCCLUSION_WINDOW / 2))
    known = np.where(depth_gt > 0, depth_gt, np.inf).astype(np.float32)
    window = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return cv2.erode(known, window, borderType=cv2.BORDER_REPLICATE)
