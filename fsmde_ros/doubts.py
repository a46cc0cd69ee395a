"""What is odd about a calibration, and what changed in one: a sentence each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from fsmde_core.rectify import Rectifier
from fsmde_core.rig import Camera
from fsmde_ros.camera_info import ImageGeometry

if TYPE_CHECKING:
    from fsmde_ros.calibration import View

SAME = 0.02  # focal lengths that differ by this share, and points by this share of a side, are one
OFF_CENTRE = 0.25  # of a side: principal points further from the middle are rare
LEAST_SHOWN = 0.9  # of the image's width and height, by P; less is worth telling
LEAST_SEEN = 0.5  # of the rectified image
RECTIFIED = re.compile(r"_rect(ified)?(_|/|$)")  # in the name of a topic of rectified images


def image_doubts(name: str, geometry: ImageGeometry, lens: Rectifier | None) -> list[str]:
    """What of a CameraInfo hardly fits its images; lens is what rectifies them, or did."""
    found = []
    K, which = (geometry.K, geometry.source) if geometry.rectified else (geometry.K_raw, "K")
    cx, cy = geometry.in_whole_image(K)[:2, 2]
    width, height = geometry.whole
    if abs(cx / width - 0.5) > OFF_CENTRE or abs(cy / height - 0.5) > OFF_CENTRE:
        found.append(
            f"the principal point of {which} at {cx:.0f}, {cy:.0f} is far from the middle of "
            f"{width}x{height}: is it of another size?"
        )
    if lens is not None and lens.seen.mean() < LEAST_SEEN:
        found.append(
            f"{100 * lens.seen.mean():.0f} % of the rectified image show anything: do D, R "
            f"and P fit the images?"
        )
    return [f"camera {name}: {text}" for text in found]


def image_notes(name: str, geometry: ImageGeometry, rectifier: Rectifier | None) -> list[str]:
    """What of a CameraInfo may be meant, and should be known."""
    found = []
    P = geometry.P_unused
    if P is not None and _differ(geometry.K, P, (geometry.width, geometry.height)):
        found.append(
            f"focal length {P[0, 0]:.0f} px of P, {geometry.K[0, 0]:.0f} px of K: without "
            f"distortion K counts; rectified: true takes P"
        )
    if rectifier is not None and min(rectifier.shown) < LEAST_SHOWN:
        width, height = (100 * share for share in rectifier.shown)
        found.append(
            f"P shows {width:.0f} % of the width and {height:.0f} % of the height of the images; "
            f"the rest of their field of view is lost"
        )
    return [f"camera {name}: {text}" for text in found]


def disagreement(geometry: ImageGeometry, expected: Camera) -> str | None:
    """One sentence if a rig file's camera contradicts the CameraInfo, which then counts."""
    ours = expected.resized(*geometry.whole).K
    theirs = {"P": geometry.K}
    if not geometry.rectified:
        theirs["K"] = geometry.K_raw
    theirs = {field: geometry.in_whole_image(K) for field, K in theirs.items()}
    if not all(_differ(K, ours, geometry.whole) for K in theirs.values()):
        return None
    start = f"camera {expected.name}: "
    if all(abs(K[0, 0] / ours[0, 0] - 1) > SAME for K in theirs.values()):
        said = [f"{K[0, 0]:.0f} px of {field}" for field, K in theirs.items()]
        said = ", ".join(said) if len(said) > 1 else said[0].removesuffix(" of P")
        return (
            f"{start}focal length {said} in CameraInfo, {ours[0, 0]:.0f} px in the rig file; "
            f"CameraInfo counts"
        )
    (K, *_) = theirs.values()
    return f"{start}{_brief(K)} in CameraInfo, {_brief(ours)} in the rig file; CameraInfo counts"


def frame_note(frame_id: str, expected: Camera) -> str | None:
    """One sentence if a CameraInfo has another frame than the rig file."""
    if frame_id == expected.frame_id:
        return None
    kept = "the rig file's is used" if not frame_id else "the message's counts"
    return (
        f"camera {expected.name}: frame {frame_id!r} in CameraInfo, {expected.frame_id!r} in the "
        f"rig file; {kept}"
    )


def changes(before: View, after: View) -> str | None:
    """One sentence of what is new in a calibration; None if it is nothing that counts."""
    old, new = before.geometry, after.geometry
    found = []
    if old.described != new.described:
        found.append(f"{old.described} to {new.described}")
    if not np.allclose(old.K, new.K):
        found.append(f"{_brief(old.K)} to {_brief(new.K)}")
    lens = old.model, *old.D, *np.ravel(old.K_raw if old.K_raw is not None else 0)
    if lens != (new.model, *new.D, *np.ravel(new.K_raw if new.K_raw is not None else 0)):
        found.append("distortion")
    if not np.allclose(old.R, new.R):
        found.append("R")
    if old.window != new.window:
        found.append("roi")
    if old.frame_id != new.frame_id:
        found.append(f"frame {old.frame_id!r} to {new.frame_id!r}")
    if not np.allclose(before.camera.T_ego_cam, after.camera.T_ego_cam):
        found.append("extrinsics")
    return f"camera {after.camera.name}: new calibration: {', '.join(found)}" if found else None


class Watch:
    """Looks at the calibrations that sets are made with, and tells what is new once."""

    def __init__(self):
        self._views: dict[int, View] = {}
        self._doubts: dict[int, tuple[str, ...]] = {}

    @property
    def doubts(self) -> list[str]:
        """What is odd now, of all cameras."""
        return [text for index in sorted(self._doubts) for text in self._doubts[index]]

    def look(self, index: int, view: View, frame_id: str, topic: str = "") -> list[str]:
        """What is new about the calibration of a camera; topic and frame_id are its images'."""
        before, known = self._views.get(index), self._doubts.get(index, ())
        doubts, news = view.doubts, []
        own = view.geometry.frame_id
        if frame_id and own and frame_id != own:
            doubts += (
                f"camera {view.camera.name}: frame {frame_id!r} in its images, {own!r} in its "
                f"{view.geometry.source}: are both of this camera?",
            )
        if not view.geometry.rectified and RECTIFIED.search(topic):
            doubts += (
                f"camera {view.camera.name}: {topic} says that its images are rectified, its "
                f"{view.geometry.source} has a distortion: is rectified: true meant?",
            )
        if before is not view:
            changed = changes(before, view) if before is not None else None
            news += [changed] if changed else []
            if before is None or changed:
                news += view.notes
        news += [text for text in doubts if text not in known]
        self._views[index], self._doubts[index] = view, doubts
        return news


def _differ(a: np.ndarray, b: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether two K [3, 3] of an image are not of one camera."""
    focal = np.abs(np.diag(a)[:2] / np.diag(b)[:2] - 1)
    centre = np.abs(a[:2, 2] - b[:2, 2]) / size
    return bool((focal > SAME).any() or (centre > SAME).any())


def _brief(K: np.ndarray) -> str:
    (fx, _, cx), (_, fy, cy), _ = K
    focal = f"{fx:.0f} px" if abs(fy / fx - 1) < 1e-3 else f"{fx:.0f}, {fy:.0f} px"
    return f"focal length {focal} at {cx:.0f}, {cy:.0f}"
