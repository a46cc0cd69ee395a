"""A drive as samples to learn from: each moment with the images that show the same from elsewhere.

A depth is right if it takes every pixel to where other images show the same: those that the camera
itself took before and after (TIME), its neighbours' of this moment (SPACE), and its neighbours' of
before and after (BOTH). Every image has a pose at its own stamp, so cameras need not fire together.
A rolling shutter is not undone: its stamp should be that of the middle row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import cache

import cv2
import numpy as np

from fsmde_core.data.batch import RigBatch
from fsmde_core.data.drive import Drive
from fsmde_core.data.sample import DatasetError
from fsmde_core.data.sources import COUNT, Sources
from fsmde_core.geometry import invert_transform

TRAVELLED_M = (0.3, 2.0)  # between two moments: enough to tell a depth by, and still the same view
SOURCE_PIXELS = 256 * 144  # finer than what they are compared with: half of the network's sides
RANGE = re.compile(r"(\d*):(\d*)")


class DriveSamples(Sequence[RigBatch]):
    """The moments of a drive, or of a part of it, as a sequence of RigBatch without depth.

    part: FIRST:LAST, moments counted from 0, LAST not among them, either may be empty; "" is all.
    Of nothing outside of the part an image is read. Cameras of several sizes are stretched to that
    of the largest, and images of other cameras and moments to SOURCE_PIXELS; K follows.
    DatasetError for a part without moments.

    The moments before and after are those at which the vehicle had gone the nearest to a distance
    drawn, once for each moment, from TRAVELLED_M; where it stood there is none.
    """

    def __init__(self, drive: Drive, part: str = ""):
        self.drive = drive
        self._first, self._last = _range(part, len(drive))
        if self._first >= self._last:
            raise DatasetError(f"drive {drive.path} of {len(drive)} moments has none in {part!r}")
        cameras = drive.rig.cameras
        largest = max(cameras, key=lambda camera: camera.width * camera.height)
        self._rig = drive.rig.resized(largest.width, largest.height)
        scale = min(1.0, math.sqrt(SOURCE_PIXELS / (largest.width * largest.height)))
        self._source_size = round(scale * largest.width), round(scale * largest.height)
        self._neighbours = _neighbours(drive)
        self._T_world_cam = np.stack([drive.T_world_cam(m) for m in range(len(drive))])

    def __len__(self) -> int:
        return self._last - self._first

    def __getitem__(self, index: int) -> RigBatch:
        if not 0 <= index < len(self):
            raise IndexError(index)
        moment, rig = self._first + index, self._rig
        size = rig.cameras[0].width, rig.cameras[0].height
        images = [self._image(moment, i, size) for i in range(len(rig.cameras))]
        others, read = self.others(moment), cache(self._source_image)  # several look at the same
        sources = [self._sources(moment, i, others, read) for i in range(len(rig.cameras))]
        nothing = np.zeros((len(images), *size[::-1]), bool)
        bodies = [nothing[0] if camera.body is None else camera.body for camera in rig.cameras]
        return RigBatch(
            images=np.stack(images),
            K=rig.K,
            T_ego_cam=rig.T_ego_cam,
            depth_gt=nothing.astype(np.float32),
            valid=nothing,
            mask=np.stack(bodies),
            stamps_ns=self.drive.moments[moment].stamps_ns,
            names=rig.names,
            tokens=f"{self.drive.path.name}-{moment:06d}",
            **Sources.stacked(sources),
        )

    def others(self, moment: int) -> tuple[int | None, int | None]:
        """The moments before and after with which this one is compared, None where there is none.

        The distance that the vehicle should have gone is another for each moment, evenly spread in
        logs: near surfaces are told by small distances, far ones by large.
        """
        aim = math.exp(np.random.default_rng(moment).uniform(*np.log(TRAVELLED_M)))
        gone = self._T_world_cam[:, :, :3, 3] - self._T_world_cam[moment, :, :3, 3]
        gone = np.linalg.norm(gone, axis=-1).mean(axis=1)
        before = self._nearest(range(moment - 1, self._first - 1, -1), gone, aim)
        return before, self._nearest(range(moment + 1, self._last), gone, aim)

    def _nearest(self, moments: Sequence[int], gone: np.ndarray, aim: float) -> int | None:
        least, most = TRAVELLED_M
        within = [m for m in moments if least <= gone[m] <= most]
        return min(within, key=lambda m: abs(math.log(gone[m] / aim)), default=None)

    def _sources(
        self,
        moment: int,
        camera: int,
        others: Sequence[int | None],
        read: Callable[[int, int], np.ndarray],
    ) -> Sources:
        """Images of other moments and cameras for one camera, in the order of TIME, SPACE, BOTH."""
        neighbours = self._neighbours[camera]
        views = [(other, camera) for other in others]
        views += [(moment, neighbour) for neighbour in neighbours]
        views += [(other, neighbour) for other in others for neighbour in neighbours]
        width, height = self._source_size
        sources = Sources.none(COUNT, (width, height))
        T_cam_world = invert_transform(self._T_world_cam[moment, camera])
        for place, (at, who) in enumerate(views):
            if at is None or who is None:
                continue
            view = self.drive.rig.cameras[who].resized(width, height)
            sources.images[place] = read(at, who)
            sources.seen[place] = True if view.body is None else ~view.body
            sources.K[place] = view.K
            sources.T[place] = invert_transform(T_cam_world @ self._T_world_cam[at, who])
        return sources

    def _source_image(self, moment: int, camera: int) -> np.ndarray:
        return self._image(moment, camera, self._source_size)

    def _image(self, moment: int, camera: int, size: tuple[int, int]) -> np.ndarray:
        image = self.drive.image(moment, camera)
        if image.shape[1::-1] == size:
            return image
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _range(part: str, count: int) -> tuple[int, int]:
    """The first moment of a part and the one after its last."""
    found = RANGE.fullmatch(part or ":")
    if not found:
        raise DatasetError(f"part {part!r} of a drive is not of the form FIRST:LAST")
    first, last = found.groups()
    return int(first or 0), min(count, int(last or count))


def _neighbours(drive: Drive) -> list[tuple[int | None, int | None]]:
    """Of each camera the one to its right and the one to its left, None where there is none."""
    pairs = drive.rig.neighbours()
    right_of, left_of = {j: i for i, j in pairs}, dict(pairs)
    return [(right_of.get(i), left_of.get(i)) for i in range(len(drive.rig.cameras))]
