"""A drive on disk: images of a rig at many moments, and where the vehicle was at each of them.

Whatever a drive is recorded as, a bag or a dataset, this is what is learnt from when there is no
LiDAR. Nothing in it is distorted, and every image has a pose of its own:

    DRIVE/drive.json         cameras (K, T_ego_cam), and of each moment the stamps and poses
    DRIVE/CAMERA/000123.jpg  the image of moment 123
    DRIVE/CAMERA_mask.png    the own vehicle, dark, as in rig files; only of cameras that see it
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from fsmde_core.data.sample import DatasetError, load_json, read_image
from fsmde_core.files import write_bytes, write_json
from fsmde_core.geometry import is_rotation
from fsmde_core.rig import Camera, Rig, RigError, mask_name, read_body, write_body

FILE = "drive.json"
VERSION = 1
PIXELS = 640 * 360  # of an image: more than the network is trained at, few enough to read fast
QUALITY = 95  # without subsampled colours: what is compared are single pixels
CAMERA_KEYS = ("name", "width", "height", "K", "T_ego_cam")


@dataclass(frozen=True)
class Moment:
    """One image of every camera, and when and where each was taken."""

    stamps_ns: tuple[int, ...]
    """N, of the cameras in the rig's order."""
    T_world_ego: np.ndarray
    """[N, 4, 4], metres: the vehicle's pose at each camera's own stamp."""


class Drive:
    """A drive folder that load_drive found whole; images are read when asked for."""

    def __init__(
        self,
        path: Path,
        rig: Rig,
        moments: Sequence[Moment],
        *,
        source: str = "",
        licence: str = "",
    ):
        self.path, self.rig, self.moments = path, rig, tuple(moments)
        self.source, self.licence = source, licence

    def __len__(self) -> int:
        return len(self.moments)

    def image(self, moment: int, camera: int) -> np.ndarray:
        """[H, W, 3] uint8 RGB, undistorted; DatasetError names a file that is missing or wrong."""
        known = self.rig.cameras[camera]
        file = self.path / known.name / _image_name(moment)
        image = read_image(file)
        if image.shape[:2] != (known.height, known.width):
            raise DatasetError(
                f"image {file} is {image.shape[1]}x{image.shape[0]}, {FILE} says "
                f"{known.width}x{known.height}"
            )
        return image

    def T_world_cam(self, moment: int) -> np.ndarray:
        """[N, 4, 4], metres: where each camera was when it took its image."""
        return self.moments[moment].T_world_ego @ self.rig.T_ego_cam


def load_drive(path: Path | str) -> Drive:
    """Read a drive folder, but for its images.

    DatasetError names the file and the field that is missing or wrong.
    """
    path = Path(path)
    file = path / FILE
    document = load_json(file)
    try:
        if document["version"] != VERSION:
            raise DatasetError(f"version is {document['version']!r}, this program reads {VERSION}")
        entries = document["cameras"]
        rig = Rig(tuple(_parse_camera(path, i, entry) for i, entry in enumerate(entries)))
        moments = [_parse_moment(i, m, len(entries)) for i, m in enumerate(document["moments"])]
        if not moments:
            raise DatasetError("moments is empty")
        about = {key: str(document.get(key, "")) for key in ("source", "licence")}
    except (DatasetError, RigError) as error:
        raise DatasetError(f"{file}: {error}") from error
    except KeyError as error:
        raise DatasetError(f"{file}: the key {error} is missing") from error
    except TypeError as error:
        raise DatasetError(f"{file} is not of the form of a drive: {error}") from error
    return Drive(path, rig, moments, **about)


def _parse_camera(folder: Path, index: int, entry: dict) -> Camera:
    where = f"cameras[{index}]"
    missing = [key for key in CAMERA_KEYS if key not in entry]
    if missing:
        raise DatasetError(f"{where} lacks the key {missing[0]!r}")
    name, width, height = (entry[key] for key in CAMERA_KEYS[:3])
    _check_name(name)
    try:
        matrices = {key: np.array(entry[key], np.float64) for key in ("K", "T_ego_cam")}
        camera = Camera(name, name, int(width), int(height), **matrices)
    except (ValueError, TypeError) as error:  # RigError is a ValueError
        raise DatasetError(f"{where}: {error}") from error
    mask = folder / mask_name(name)
    return replace(camera, body=read_body(mask)) if mask.exists() else camera


def _parse_moment(index: int, entry: dict, cameras: int) -> Moment:
    where = f"moments[{index}]"
    for key in ("stamps_ns", "T_world_ego"):
        if key not in entry:
            raise DatasetError(f"{where} lacks the key {key!r}")
    stamps_ns = entry["stamps_ns"]
    if len(stamps_ns) != cameras or not all(type(stamp) is int for stamp in stamps_ns):
        raise DatasetError(f"{where}.stamps_ns is not {cameras} whole numbers")
    try:
        return _moment(stamps_ns, entry["T_world_ego"], cameras)
    except ValueError as error:
        raise DatasetError(f"{where}.{error}") from error


def _moment(stamps_ns: Sequence[int], T_world_ego: object, cameras: int) -> Moment:
    """ValueError says what is wrong with the poses."""
    try:
        poses = np.array(T_world_ego, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError("T_world_ego is not of numbers") from error
    if poses.shape != (cameras, 4, 4) or not np.isfinite(poses).all():
        raise ValueError(f"T_world_ego is not {cameras} finite 4x4 matrices")
    if not all(is_rotation(pose[:3, :3]) and (pose[3] == (0, 0, 0, 1)).all() for pose in poses):
        raise ValueError("T_world_ego is not a rotation and a translation")
    return Moment(tuple(int(stamp) for stamp in stamps_ns), poses)


def unknown_licence(source: str) -> str:
    """In place of the licence of a drive that nobody named."""
    return f"unknown (data of {source})"


class DriveWriter:
    """Writes a drive folder, image by image; it appears whole at the end, or not at all.

    rig: the cameras of the images that come, undistorted; images of more than `pixels` are scaled
    down, with square pixels. source and licence: where the drive comes from, in words, and
    under which licence. As a context manager: DatasetError if the folder is there already, or a
    camera's name cannot be a folder's; without a single moment at the end as well.
    """

    def __init__(
        self,
        path: Path | str,
        rig: Rig,
        *,
        source: str = "",
        licence: str = "",
        pixels: int = PIXELS,
    ):
        self._path, self._about = Path(path), {"source": source, "licence": licence}
        self._from = rig
        self.rig = replace(rig, cameras=tuple(_scaled(camera, pixels) for camera in rig.cameras))
        self._beside = self._path.with_name(self._path.name + ".part")
        self._moments: list[Moment] = []

    def __enter__(self) -> DriveWriter:
        if self._path.exists():
            raise DatasetError(f"drive folder {self._path} is there already: choose another")
        for name in self.rig.names:
            _check_name(name)
        shutil.rmtree(self._beside, ignore_errors=True)  # of a run that was killed
        for camera in self.rig.cameras:
            (self._beside / camera.name).mkdir(parents=True)
            if camera.body is not None:
                write_body(camera.body, self._beside / mask_name(camera.name))
        return self

    def add(
        self, images: Sequence[np.ndarray], stamps_ns: Sequence[int], T_world_ego: np.ndarray
    ) -> None:
        """The next moment: N images [H, W, 3] uint8 RGB, stamps, and poses [N, 4, 4] at these.

        DatasetError for an image of another size than its camera's, or poses that are none.
        """
        count = len(self._moments)
        try:
            moment = _moment(stamps_ns, T_world_ego, len(self.rig.cameras))
        except ValueError as error:
            raise DatasetError(f"moment {count} of {self._path}: {error}") from error
        for image, given, kept in zip(images, self._from.cameras, self.rig.cameras, strict=True):
            if image.shape != (given.height, given.width, 3):
                raise DatasetError(
                    f"moment {count} of {self._path}: the image of {given.name} is "
                    f"{image.shape[1]}x{image.shape[0]}, its camera {given.width}x{given.height}"
                )
            if (kept.width, kept.height) != (given.width, given.height):
                size = kept.width, kept.height
                image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            data = simplejpeg.encode_jpeg(
                np.ascontiguousarray(image), quality=QUALITY, colorsubsampling="444"
            )
            write_bytes(self._beside / kept.name / _image_name(count), data)
        self._moments.append(moment)

    def __exit__(self, kind, *_) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            shutil.rmtree(self._beside, ignore_errors=True)

    def _finish(self) -> None:
        if not self._moments:
            raise DatasetError(f"drive folder {self._path}: there is no moment to write")
        cameras = [
            {
                "name": camera.name,
                "width": camera.width,
                "height": camera.height,
                "K": camera.K.tolist(),
                "T_ego_cam": camera.T_ego_cam.tolist(),
            }
            for camera in self.rig.cameras
        ]
        moments = [
            {"stamps_ns": list(m.stamps_ns), "T_world_ego": m.T_world_ego.tolist()}
            for m in self._moments
        ]
        document = {"version": VERSION, **self._about, "cameras": cameras, "moments": moments}
        write_json(self._beside / FILE, document, indent=0)
        self._beside.rename(self._path)


def _scaled(camera: Camera, pixels: int) -> Camera:
    """The camera with square pixels, at most about so many."""
    height = camera.height * camera.K[0, 0] / camera.K[1, 1]
    scale = min(1.0, math.sqrt(pixels / (camera.width * height)))
    return camera.resized(max(1, round(scale * camera.width)), max(1, round(scale * height)))


def _image_name(moment: int) -> str:
    return f"{moment:06d}.jpg"


def _check_name(name: object) -> None:
    """DatasetError for the name of a camera that cannot be that of a folder within the drive's."""
    if not isinstance(name, str) or not name.strip(". ") or set(name) & set("/\\:\0"):
        raise DatasetError(f"camera {name!r}: a name like this gives no name for a folder")
