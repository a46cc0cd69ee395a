"""Lens distortion removed in the same pass that brings an image to the network's size."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fsmde_core.geometry import pixel_centres, pixel_rays
from fsmde_core.rig import Camera, K_to_opencv

MODELS = ("plumb_bob", "rational_polynomial", "equidistant")
"""ROS names of the distortion models that can be removed; OpenCV's pinhole and fisheye models."""
FISHEYE = "equidistant"
TANGENTIAL = slice(2, 4)  # where p1 and p2 stand among OpenCV's coefficients
PRISM_AND_TILT = slice(8, None)  # neither turns an image back
OUTSIDE = np.float32(-9)  # a position outside of every image, of reduced ones too
WIDEST = 20.0  # from the axis, at depth 1: 87 degrees, beyond which no pinhole image shows a thing
RADII = 4096  # at which a model is looked at


class Rectifier:
    """Maps distorted images of one camera to the pinhole camera `target`.

    K_distorted [3, 3] has pixel centres at integer + 0.5; D are the model's coefficients in
    OpenCV's order; size (width, height) is that of the distorted images; R [3, 3] turns rays of the
    distorted camera to those of the target. ValueError for a model that is not in MODELS.
    """

    def __init__(
        self,
        target: Camera,
        *,
        K_distorted: np.ndarray,
        D: Sequence[float],
        model: str,
        size: tuple[int, int],
        R: np.ndarray | None = None,
    ):
        R = np.eye(3) if R is None else R
        if model not in MODELS:
            raise ValueError(f"distortion model {model!r} is not one of {', '.join(MODELS)}")
        fisheye = model == FISHEYE
        build = cv2.fisheye.initUndistortRectifyMap if fisheye else cv2.initUndistortRectifyMap
        K_from, K_to = K_to_opencv(K_distorted), K_to_opencv(target.K)
        coefficients = np.array(D[:4] if fisheye else D, np.float64)
        shape = (target.width, target.height)
        columns, rows = build(K_from, coefficients, R, K_to, shape, cv2.CV_32FC1)
        rays = pixel_rays(target.K, pixel_centres(*shape)) @ R  # of the distorted camera
        ahead = rays[..., 2] > 0  # behind it, a model shows a ghost of what is ahead
        radius = np.hypot(rays[..., 0], rays[..., 1]) / np.where(ahead, rays[..., 2], 1e-9)
        farthest = min(radius.max(), WIDEST)
        fold = _first_fold(coefficients, model, farthest=farthest)
        self.seen = ahead & (radius < fold) & (radius < WIDEST)
        """[h, w] bool, the target's pixels that lie inside the distorted image."""
        for positions, length in ((columns, size[0]), (rows, size[1])):
            self.seen &= (positions >= -0.5) & (positions <= length - 0.5)
        self.shown = tuple(
            float(np.ptp(positions[self.seen])) / length if self.seen.any() else 0.0
            for positions, length in ((columns, size[0]), (rows, size[1]))
        )
        """The shares of the distorted image's width and height that the target shows."""
        self._columns, self._rows = (np.where(self.seen, m, OUTSIDE) for m in (columns, rows))

    def __call__(self, pixels: np.ndarray, *, scale: float = 1.0) -> np.ndarray:
        """The target's image [h, w, 3] of distorted pixels [H, W, 3]; black where nothing is seen.

        Also of a map [H, W]. scale says by how much the pixels were reduced from the size that
        K_distorted belongs to.
        """
        columns, rows = self._columns, self._rows
        if scale != 1.0:
            columns, rows = ((m + 0.5) * scale - 0.5 for m in (columns, rows))
        return cv2.remap(pixels, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def _first_fold(coefficients: np.ndarray, model: str, *, farthest: float) -> float:
    """The distance from the axis, at depth 1, from which on a model shows what it showed before.

    Polynomials that fit a lens well inside its image turn back outside of it: what they map into
    the image from there is a ghost. inf if there is none up to `farthest`.
    """
    radii = np.linspace(0, farthest, RADII)
    points = np.stack([radii, np.zeros_like(radii)], axis=-1)[:, None]
    if model == FISHEYE:
        distorted = cv2.fisheye.distortPoints(points, np.eye(3), coefficients)
    else:
        radial = coefficients.copy()
        radial[TANGENTIAL] = 0
        radial[PRISM_AND_TILT] = 0
        rays, zero = np.insert(points, 2, 1.0, axis=-1), np.zeros(3)
        distorted, _ = cv2.projectPoints(rays, zero, zero, np.eye(3), radial)
    turns = np.flatnonzero(np.diff(distorted[:, 0, 0]) <= 0)
    return float(radii[turns[0]]) if len(turns) else np.inf
