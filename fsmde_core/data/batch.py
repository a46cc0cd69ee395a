"""What networks, losses and metrics get: images, calibration and sparse depth as arrays."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fsmde_core.data.sample import (
    DatasetError,
    LidarSweep,
    Sample,
    lidar_points_cam,
    load_json,
    read_image,
    scatter_depth,
)
from fsmde_core.rig import Camera, Rig, RigError, load_rig, mask_name, read_body

CLOSE_M = 1.0  # points of past sweeps this near to the sensor in x and y are the vehicle itself
MAX_RANGE_M, MAX_FAR_SHARE = 1e4, 0.1  # no LiDAR sees as far; single points may be anything
RIG_SUFFIXES = (".yaml", ".yml")

# (the sample, index of a camera, sweeps with their points [P, 3] in the sensor's frame: the
# keyframe's own first, (width, height)) -> depth [height, width] float32 metres, 0 where none is
Truth = Callable[
    [Sample, int, Sequence[tuple[LidarSweep, np.ndarray]], tuple[int, int]], np.ndarray
]


@dataclass(frozen=True)
class RigBatch:
    """B samples of N cameras of one size; one sample of a dataset is the same without axis B.

    Arrays are numpy as a dataset gives them; mapped(torch.from_numpy) makes them tensors.
    """

    images: Any
    """[B, N, H, W, 3] uint8 RGB."""
    K: Any
    """[B, N, 3, 3] float64 in pixels, pixel centres at integer + 0.5."""
    T_ego_cam: Any
    """[B, N, 4, 4] float64, metres; ego is REP 105 base_link."""
    depth_gt: Any
    """[B, N, H, W] float32, metres along the optical axis, 0 where there is none."""
    valid: Any
    """[B, N, H, W] bool, where depth_gt is known."""
    mask: Any
    """[B, N, H, W] bool, self-occlusion: True where the camera sees its own vehicle."""
    stamps_ns: tuple
    """B x N ints: DGP's test scene is dated beyond what int64 holds."""
    names: tuple
    """N camera names, the same for all of the batch."""
    tokens: tuple
    """B sample tokens; of one sample the token itself."""
    teacher_logits: Any = None
    """[B, N, Z, h, w] float32, a teacher's bin logits where they come with the samples."""
    teacher_centers: Any = None
    """[B, N, Z] float32, the centres of its bins."""
    sky: Any = None
    """[B, N, H, W] bool, where the sky is known to be; for the loss of it."""
    plain: Any = None
    """[B, N, H, W, 3] uint8 RGB, the images before their colours were changed, where there are
    sources to compare them with."""
    sources: Any = None
    """[B, N, S, h, w, 3] uint8 RGB, for each image others that show the same: see data.sources."""
    source_seen: Any = None
    """[B, N, S, h, w] bool, where these show anything but their own vehicle."""
    source_K: Any = None
    """[B, N, S, 3, 3] float64, as K."""
    T_source_cam: Any = None
    """[B, N, S, 4, 4] float64: p_source = T_source_cam @ p_cam, metres."""

    @property
    def arrays(self) -> dict[str, Any]:
        """The arrays that are there, by name."""
        arrays = {name: getattr(self, name) for name in ARRAYS}
        return {name: array for name, array in arrays.items() if array is not None}

    def mapped(self, convert: Callable[[np.ndarray], Any]) -> RigBatch:
        """The batch with every array converted, by torch.from_numpy say."""
        return replace(self, **{name: convert(array) for name, array in self.arrays.items()})


ARRAYS = tuple(f.name for f in fields(RigBatch) if f.type == "Any")


def collate(items: Sequence[RigBatch]) -> RigBatch:
    """Stack samples (without axis B) to a batch; ValueError if their cameras differ."""
    names = {item.names for item in items}
    if len(names) != 1:
        raise ValueError(f"samples of different cameras do not stack: {sorted(names)}")
    return RigBatch(
        **{name: np.stack([item.arrays[name] for item in items]) for name in items[0].arrays},
        stamps_ns=tuple(item.stamps_ns for item in items),
        names=names.pop(),
        tokens=tuple(item.tokens for item in items),
    )


def rig_of(sample: RigBatch) -> Rig:
    """The cameras of one sample (without axis B), as large as its images."""
    height, width = sample.images.shape[1:3]
    cameras = zip(sample.names, sample.K, sample.T_ego_cam)
    return Rig(tuple(Camera(name, name, width, height, K, T) for name, K, T in cameras))


class BodyMasks:
    """Self-occlusion masks: where each camera sees its own vehicle.

    From a rig file (.yaml, .yml): its masks, by camera name; a camera without one sees nothing of
    its vehicle. Or from a folder: either CAMERA_mask.png for all scenes, or GROUP/CAMERA_mask.png
    with mask_idx_dict.json, which names the group of each scene by its number (the layout of
    VFDepth). DatasetError names a rig file, camera, folder, scene or file that is missing or wrong.
    """

    def __init__(self, path: Path | str):
        self._path, self._groups, self._cameras = Path(path), None, None
        if self._path.suffix.lower() in RIG_SUFFIXES:
            try:
                self._cameras = {camera.name: camera for camera in load_rig(path).cameras}
            except RigError as error:
                raise DatasetError(str(error)) from error
            return
        if not self._path.is_dir():
            raise DatasetError(f"mask folder {path} is not a folder")
        groups = self._path / "mask_idx_dict.json"
        self._groups = load_json(groups) if groups.exists() else None

    def __call__(self, scene: str, camera: str) -> np.ndarray:
        """[H, W] bool, True where the vehicle is."""
        if self._cameras is not None:
            return self._of_rig(camera)
        try:
            return read_body(self._group(scene) / mask_name(camera))
        except RigError as error:
            raise DatasetError(str(error)) from error

    def _of_rig(self, name: str) -> np.ndarray:
        camera = self._cameras.get(name)
        if camera is None:
            known = ", ".join(self._cameras)
            raise DatasetError(f"rig file {self._path} has no camera {name!r}; it has {known}")
        return np.zeros((camera.height, camera.width), bool) if camera.body is None else camera.body

    def _group(self, scene: str) -> Path:
        if self._groups is None:
            return self._path
        digits = re.search(r"(\d+)$", scene)
        number = str(int(digits[1])) if digits else None
        if number not in self._groups:
            raise DatasetError(f"mask_idx_dict.json of {self._path} knows no scene {scene!r}")
        return self._path / str(int(self._groups[number]))


def nearest_truth(
    sample: Sample,
    index: int,
    clouds: Sequence[tuple[LidarSweep, np.ndarray]],
    size: tuple[int, int],
) -> np.ndarray:
    """Truth as it is: every point in the pixel that it falls into, the nearest wins."""
    points = [lidar_points_cam(sample, index, cloud, sweep=sweep) for sweep, cloud in clouds]
    return scatter_depth(np.concatenate(points), sample.rig.cameras[index].resized(*size))


class RigDataset:
    """Samples as arrays, read from disk when indexed; made for torch's DataLoader with `collate`.

    samples: a sequence of Sample; read_points: of the dataset's module, None for images without
    depth, whatever LiDAR there is; size: (width, height) of the images, their own if None; masks:
    (scene, camera name) -> [H, W] bool, all False if None; truth: how points become depth_gt.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        read_points: Callable[[LidarSweep], np.ndarray] | None,
        *,
        size: tuple[int, int] | None = None,
        masks: Callable[[str, str], np.ndarray] | None = None,
        truth: Truth = nearest_truth,
    ):
        self.samples, self.size = samples, size
        self._read_points, self._masks, self._truth = read_points, masks, truth

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> RigBatch:
        return self.load(self.samples[index])

    def load(self, sample: Sample) -> RigBatch:
        """The arrays of one sample, without axis B.

        DatasetError names the file at fault, or the LiDAR that the ground truth lacks.
        """
        rig = sample.rig if self.size is None else sample.rig.resized(*self.size)
        sizes = {(camera.width, camera.height) for camera in rig.cameras}
        if len(sizes) != 1:
            raise DatasetError(f"sample {sample.token}: cameras of different sizes need a size")
        (size,) = sizes
        clouds = self._clouds(sample)
        depth_gt = np.zeros((len(rig.cameras), size[1], size[0]), np.float32)
        for i in range(len(rig.cameras) if clouds else 0):
            depth_gt[i] = self._truth(sample, i, clouds, size)
        if clouds and not depth_gt.any():  # would be learnt from at loss 0 without a word
            raise DatasetError(
                f"sample {sample.token}: no point of {sample.lidar.file} falls into any of its "
                "images"
            )
        return RigBatch(
            images=np.stack([self._image(sample, i, size) for i in range(len(rig.cameras))]),
            K=rig.K,
            T_ego_cam=rig.T_ego_cam,
            depth_gt=depth_gt,
            valid=depth_gt > 0,
            mask=np.stack([self._mask(sample.scene, name, size) for name in rig.names]),
            stamps_ns=sample.stamps_ns,
            names=rig.names,
            tokens=sample.token,
        )

    def _clouds(self, sample: Sample) -> list[tuple[LidarSweep, np.ndarray]]:
        """Each sweep with its points in its own sensor's frame."""
        if self._read_points is None:
            return []
        if sample.lidar is None:  # zeros everywhere would be learnt from without a word
            raise DatasetError(f"sample {sample.token}: {sample.no_lidar or 'no LiDAR sweep'}")
        clouds = [(sample.lidar, self._points(sample.lidar))]
        for sweep in sample.past_sweeps:
            points = self._points(sweep)
            far = np.abs(points[:, :2]).max(axis=1) >= CLOSE_M
            clouds.append((sweep, points[far]))
        return clouds

    def _points(self, sweep: LidarSweep) -> np.ndarray:
        return _plausible(sweep, self._read_points(sweep))

    def _image(self, sample: Sample, index: int, size: tuple[int, int]) -> np.ndarray:
        image, camera = read_image(sample.image_files[index]), sample.rig.cameras[index]
        if image.shape[:2] != (camera.height, camera.width):
            raise DatasetError(
                f"image {sample.image_files[index]} is {image.shape[1]}x{image.shape[0]}, its "
                f"calibration says {camera.width}x{camera.height}"
            )
        if size == (camera.width, camera.height):
            return image
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    def _mask(self, scene: str, camera: str, size: tuple[int, int]) -> np.ndarray:
        if self._masks is None:
            return np.zeros(size[::-1], bool)
        mask = self._masks(scene, camera).astype(np.uint8)
        return cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST).astype(bool)


def _plausible(sweep: LidarSweep, points: np.ndarray) -> np.ndarray:
    """Of points [P, 3] those that are any: drivers write NaN where nothing came back.

    DatasetError where they cannot be metres.
    """
    points = points[np.isfinite(points).all(axis=1)]
    far = (np.abs(points) > MAX_RANGE_M).any(axis=1).mean() if len(points) else 0
    if far > MAX_FAR_SHARE:
        raise DatasetError(
            f"point cloud {sweep.file}: {far:.0%} of its points are farther than "
            f"{MAX_RANGE_M:g} m: not in metres, or other numbers than float32"
        )
    return points
