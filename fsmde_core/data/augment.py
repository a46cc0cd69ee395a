"""Augmentations that keep geometry true: whatever happens to the pixels happens to K and poses."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from fsmde_core.rig import Camera

MIRROR_EGO = np.diag([1.0, -1.0, 1.0, 1.0])  # y left becomes right
MIRROR_CAM = np.diag([-1.0, 1.0, 1.0, 1.0])  # x right becomes left


def mirrored(camera: Camera, image: np.ndarray) -> tuple[Camera, np.ndarray]:
    """The camera and image [H, W, 3] of the mirror world, where left and right change places.

    Mirror every camera of a rig or none, or neighbours no longer agree.
    """
    K = camera.K.copy()
    K[0, 2] = camera.width - K[0, 2]
    T_ego_cam = MIRROR_EGO @ camera.T_ego_cam @ MIRROR_CAM
    return replace(camera, K=K, T_ego_cam=T_ego_cam), image[:, ::-1]


def turned(camera: Camera, yaw_rad: float) -> Camera:
    """The camera after the whole rig turned about the vertical axis under the same scene.

    Nothing in the image changes, so depth must not depend on the heading. Turn all cameras alike.
    """
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    turn = np.array([[cos, -sin, 0, 0], [sin, cos, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    return replace(camera, T_ego_cam=turn @ camera.T_ego_cam)


def random_window(camera: Camera, *, smallest: float, rng: np.random.Generator) -> tuple[int, ...]:
    """A random crop (left, top, width, height) whose sides are at least `smallest` of the image's.

    Width and height shrink by the same factor, so the aspect ratio stays.
    """
    share = rng.uniform(smallest, 1.0)
    width, height = int(camera.width * share), int(camera.height * share)
    left = int(rng.integers(0, camera.width - width + 1))
    top = int(rng.integers(0, camera.height - height + 1))
    return left, top, width, height


def crop_and_resize(
    camera: Camera, image: np.ndarray, *, window: tuple[int, ...], size: tuple[int, int]
) -> tuple[Camera, np.ndarray]:
    """Cut window (left, top, width, height) out and stretch it to size (width, height)."""
    left, top, width, height = window
    cut = np.ascontiguousarray(image[top : top + height, left : left + width])
    resized = cv2.resize(cut, size, interpolation=cv2.INTER_AREA)
    return camera.cropped(left, top, width, height).resized(*size), resized


def colour_jitter(image: np.ndarray, rng: np.random.Generator, *, strength: float) -> np.ndarray:
    """Gain, channel balance, contrast and gamma, each changed by up to `strength`; uint8 RGB."""
    gains = 1 + rng.uniform(-strength, strength) + rng.uniform(-strength, strength, 3) / 2
    gamma = np.exp(rng.uniform(-strength, strength))
    contrast = 1 + rng.uniform(-strength, strength)
    levels = np.arange(256)[:, None] / 255.0
    curve = (levels**gamma * gains - 0.5) * contrast + 0.5
    table = np.clip(255 * curve + 0.5, 0, 255).astype(np.uint8)
    return cv2.LUT(np.ascontiguousarray(image), table.reshape(256, 1, 3))
