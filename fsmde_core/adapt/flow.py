"""Points followed from one image of a camera to a later one, and how they should have moved."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from tqdm import tqdm

from fsmde_core.data.drive import Drive
from fsmde_core.geometry import invert_transform, pixel_rays, transform_points
from fsmde_core.rig import Camera

POINTS = 400  # of an image
PIXELS = 8.0  # by which points should move, in the median: the later image is chosen so
GAPS = (1, 2, 4, 8)  # moments later
LONGEST_NS = 3_000_000_000
BACK_PX = 0.7  # followed back, a point arrives this near to where it began
FEWEST = 12  # points of a pair of images
PAIRS = 16  # of each camera, spread over the drive
FORWARD_LEFT_UP = np.eye(3)


@dataclass(frozen=True, eq=False)
class Followed:
    """Points of one camera seen at two moments."""

    camera: int
    moment: int
    later: int
    pixels: np.ndarray
    """[P, 2] at `moment`, centres at integer + 0.5."""
    pixels_later: np.ndarray
    """[P, 2] at `later`."""


def follow_drive(drive: Drive, *, pairs: int = PAIRS) -> list[Followed]:
    """Points followed in images of every camera, at moments spread over a drive."""
    last = len(drive) - 1
    moments = np.unique(np.linspace(0, max(0, last - 1), min(pairs, last)).astype(int))
    found = []
    for moment in tqdm(moments, desc="how points move", unit="moment", disable=None):
        for camera in range(len(drive.rig.cameras)):
            followed = _follow(drive, camera, int(moment))
            found += [followed] if followed is not None else []
    return found


def _follow(drive: Drive, camera: int, moment: int) -> Followed | None:
    """To the first of the later moments at which points have moved far enough, else the last."""
    grey, body = _grey(drive, moment, camera), drive.rig.cameras[camera].body
    mask = None if body is None else np.where(body, 0, 255).astype(np.uint8)
    start = cv2.goodFeaturesToTrack(grey, POINTS, 0.01, 7, mask=mask)
    best = None
    for later in (moment + gap for gap in GAPS):
        if start is None or later >= len(drive) or _too_late(drive, moment, later, camera):
            break
        at, there = _tracked(grey, _grey(drive, later, camera), start)
        if len(at) < FEWEST:
            break
        best = Followed(camera, moment, later, at + 0.5, there + 0.5)
        if np.median(np.linalg.norm(there - at, axis=1)) >= PIXELS:
            break
    return best


def _too_late(drive: Drive, moment: int, later: int, camera: int) -> bool:
    a, b = (drive.moments[m].stamps_ns[camera] for m in (moment, later))
    return not 0 < b - a <= LONGEST_NS


def _grey(drive: Drive, moment: int, camera: int) -> np.ndarray:
    return cv2.cvtColor(drive.image(moment, camera), cv2.COLOR_RGB2GRAY)


def _tracked(a: np.ndarray, b: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [P, 2] of image a and where they are in b, of those that come back to themselves."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(a, b, start, None)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(b, a, there, None)
    good = (found[:, 0] > 0) & (found_back[:, 0] > 0)
    good &= np.linalg.norm(back - start, axis=-1)[:, 0] < BACK_PX
    return start[good, 0].astype(np.float64), there[good, 0].astype(np.float64)


@dataclass(frozen=True, eq=False)
class Expected:
    """What odometry says of followed points, if their camera is the one given."""

    rays: np.ndarray
    """[P, 3], z = 1, at the first moment, turned as the camera has turned since."""
    rays_later: np.ndarray
    """[P, 3], z = 1, where they were found."""
    lever: np.ndarray
    """[3] metres: from the later camera's place to the first's, of turning alone."""
    way: np.ndarray
    """[3] metres: the same of the vehicle's own way, so that all of it is lever + way."""


def expected(
    drive: Drive, points: Followed, camera: Camera, *, axes: np.ndarray = FORWARD_LEFT_UP
) -> Expected:
    """What is expected of points by the odometry, were they seen by this camera of the rig.

    axes: [3, 3] orthogonal, from the odometry's axes to forward, left, up.
    """
    i = points.camera
    before, after = (drive.moments[m].T_world_ego[i] for m in (points.moment, points.later))
    T_after_before = invert_transform(after) @ before
    R = axes @ T_after_before[:3, :3] @ axes.T
    R_ego_cam, place = camera.T_ego_cam[:3, :3], camera.T_ego_cam[:3, 3]
    turn = np.eye(4)
    turn[:3, :3] = R_ego_cam.T @ R @ R_ego_cam
    rays = transform_points(turn, pixel_rays(camera.K, points.pixels))
    return Expected(
        rays=rays,
        rays_later=pixel_rays(camera.K, points.pixels_later),
        lever=R_ego_cam.T @ (R @ place - place),
        way=R_ego_cam.T @ axes @ T_after_before[:3, 3],
    )
