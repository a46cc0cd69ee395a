"""Pinhole cameras and rigid motions as pure functions on numpy arrays.

Pixel centres lie at integer + 0.5: an image of width W spans the coordinates 0 to W, so a resize
only multiplies K. Camera frames are REP 103 optical (x right, y down, z forward).
"""

from __future__ import annotations

import cv2
import numpy as np

ROTATION_TOLERANCE = 1e-4  # largest entry of R R^T - I; float32 calibration files stay below it


def transform_points(T_b_a: np.ndarray, points_a: np.ndarray) -> np.ndarray:
    """Carry points from frame a to frame b.

    T_b_a [..., 4, 4]; points_a [..., P, 3] in metres; returns [..., P, 3] in frame b.
    """
    return points_a @ np.swapaxes(T_b_a[..., :3, :3], -1, -2) + T_b_a[..., None, :3, 3]


def invert_transform(T_b_a: np.ndarray) -> np.ndarray:
    """Invert rigid motions: T_b_a [..., 4, 4] becomes T_a_b."""
    T_a_b = np.zeros_like(T_b_a)
    R_a_b = np.swapaxes(T_b_a[..., :3, :3], -1, -2)
    T_a_b[..., :3, :3] = R_a_b
    T_a_b[..., :3, 3] = -(R_a_b @ T_b_a[..., :3, 3:])[..., 0]
    T_a_b[..., 3, 3] = 1.0
    return T_a_b


def pixel_centres(width: int, height: int) -> np.ndarray:
    """Coordinates of all pixel centres, [height, width, 2] as (u, v) in pixels."""
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([u, v], axis=-1)


def pixel_rays(K: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Rays through pixels, scaled to z = 1, so that depth * ray is the point.

    K [3, 3]; pixels [..., 2]; returns [..., 3] in the camera frame.
    """
    y = (pixels[..., 1] - K[1, 2]) / K[1, 1]
    x = (pixels[..., 0] - K[0, 2] - K[0, 1] * y) / K[0, 0]
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def unproject(depth: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Points seen by every pixel of a depth image.

    depth [H, W] in metres along the optical axis; K [3, 3]; returns [H, W, 3] in the camera frame.
    """
    height, width = depth.shape
    return depth[..., None] * pixel_rays(K, pixel_centres(width, height))


def project(points_cam: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and depths of points; the caller keeps those with depth > 0 that land in the image.

    points_cam [..., 3] in the camera frame, metres; K [3, 3];
    returns pixels [..., 2] (NaN where depth is 0) and depth [...] in metres along the optical axis.
    """
    depth = points_cam[..., 2]
    homogeneous = points_cam @ K.T
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = np.where(depth[..., None] == 0, np.nan, homogeneous[..., :2] / depth[..., None])
    return pixels, depth


def is_rotation(R: np.ndarray) -> bool:
    """Whether R [3, 3] is orthonormal and right-handed, within ROTATION_TOLERANCE."""
    orthonormal = np.abs(R @ R.T - np.eye(3)).max() <= ROTATION_TOLERANCE
    return bool(orthonormal and np.linalg.det(R) > 0)


def quaternion_to_rotation(xyzw: np.ndarray) -> np.ndarray:
    """Rotation matrix [3, 3] of a quaternion in ROS order (x, y, z, w).

    ValueError if its norm is further than ROTATION_TOLERANCE from 1.
    """
    xyzw = np.asarray(xyzw, np.float64)
    norm = np.linalg.norm(xyzw)
    if not abs(norm - 1.0) <= ROTATION_TOLERANCE:
        raise ValueError(f"quaternion {xyzw.tolist()} has norm {norm:.6g}, not 1")
    x, y, z, w = xyzw / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotation_to_quaternion(R: np.ndarray) -> np.ndarray:
    """Quaternion (x, y, z, w), w >= 0, of a rotation matrix [3, 3].

    The eigenvector method of Bar-Itzhack (2000): no case distinction, exact for any angle.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = R
    B = np.array(
        [
            [xx - yy - zz, yx + xy, zx + xz, zy - yz],
            [yx + xy, yy - xx - zz, zy + yz, xz - zx],
            [zx + xz, zy + yz, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    xyzw = np.linalg.eigh(B)[1][:, -1]
    return xyzw if xyzw[3] >= 0 else -xyzw


def make_transform(R: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Homogeneous transform [4, 4] from a rotation [3, 3] and a translation [3] in metres."""
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = translation
    return T


def motion_between(T_w_a: np.ndarray, T_w_b: np.ndarray, share: float) -> np.ndarray:
    """The pose [4, 4] a share of the way from T_w_a to T_w_b, moving at a constant twist."""
    return T_w_a @ motion_exp(share * motion_log(invert_transform(T_w_a) @ T_w_b))


def motion_log(T: np.ndarray) -> np.ndarray:
    """The screw motion [6], turn and way, that leads to T [4, 4] in a unit of time."""
    turn = cv2.Rodrigues(T[:3, :3])[0][:, 0]
    return np.concatenate([turn, np.linalg.solve(_bend(turn), T[:3, 3])])


def motion_exp(screw: np.ndarray) -> np.ndarray:
    """T [4, 4] after a unit of time of a screw motion [6]."""
    return make_transform(cv2.Rodrigues(screw[:3])[0], _bend(screw[:3]) @ screw[3:])


def _bend(turn: np.ndarray) -> np.ndarray:
    """[3, 3]: from the way along the curve of a turn [3] to the straight one."""
    angle = np.linalg.norm(turn)
    x, y, z = turn
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    if angle < 1e-6:
        return np.eye(3) + cross / 2
    first, second = (1 - np.cos(angle)) / angle**2, (angle - np.sin(angle)) / angle**3
    return np.eye(3) + first * cross + second * cross @ cross
