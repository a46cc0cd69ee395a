"""Lens distortion removed in the same pass that brings an image to the network's size."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fsmde_core.rig import Camera, K_to_opencv

MODELS = ("plumb_bob", "rational_polynomial", "equidistant")
"""ROS names of the distortion models that can be removed; OpenCV's pinhole and fisheye models."""


class Rectifier:
    """Maps distorted images of one camera to the pinhole camera `target`.

    K_distorted [3, 3] has pixel centres at integer + 0.5; D are the model's coefficients in
    OpenCV's order. ValueError for a model that is not in MODELS.
    """

    def __init__(self, target: Camera, *, K_distorted: np.ndarray, D: Sequence[float], model: str):
        if model not in MODELS:
            raise ValueError(f"distortion model {model!r} is not one of {', '.join(MODELS)}")
        fisheye = model == "equidistant"
        build = cv2.fisheye.initUndistortRectifyMap if fisheye else cv2.initUndistortRectifyMap
        K_from, K_to = K_to_opencv(K_distorted), K_to_opencv(target.K)
        size = (target.width, target.height)
        coefficients = np.array(D[:4] if fisheye else D, np.float64)
        self._columns, self._rows = build(K_from, coefficients, np.eye(3), K_to, size, cv2.CV_32FC1)

    def __call__(self, pixels: np.ndarray, *, scale: float = 1.0) -> np.ndarray:
        """The target's image [h, w, 3] of distorted pixels [H, W, 3]; black where nothing is seen.

        scale says by how much the pixels were reduced from the size that K_distorted belongs to.
        """
        columns, rows = self._columns, self._rows
        if scale != 1.0:
            columns, rows = ((m + 0.5) * scale - 0.5 for m in (columns, rows))
        return cv2.remap(pixels, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
