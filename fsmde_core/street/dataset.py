"""Street samples for training, rendered when asked for, and kept on disk where wanted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from fsmde_core.data.batch import RigBatch
from fsmde_core.data.sample import scatter_depth
from fsmde_core.geometry import invert_transform, transform_points
from fsmde_core.rig import Camera, Rig
from fsmde_core.street.camera_view import RenderConfig, Stage
from fsmde_core.street.drive import (
    CameraFrame,
    DriveConfig,
    FrameSet,
    drive_scene,
    render_frame_set,
    stamp_ns,
    trigger_times,
)
from fsmde_core.street.rigs import make_rig
from fsmde_core.street.sensor import LidarConfig

# Seeds of the splits; training may use any part of its range.
SPLIT_SEEDS = {
    "train": range(0, 1_000_000),
    "val": range(1_000_000, 1_010_000),
    "test": range(1_010_000, 1_020_000),
    "stress": range(1_020_000, 1_030_000),
    "deployed": range(1_030_000, 1_040_000),
}
SPLIT_STYLES = {"stress": "stress", "deployed": "world"}  # the others have the style asked for


@dataclass(frozen=True)
class StreetDatasetConfig:
    """What a sample is."""

    rigs: tuple[str, ...] = ("nuscenes",)
    """Names of rigs.RIG_NAMES that the streets take in turn; random draws one per seed."""
    size: tuple[int, int] = (640, 352)
    """Width and height in pixels."""
    jitter: float = 1.0
    """Spread of the extrinsics, see make_rig."""
    square: bool = False
    """Whether pixels are square, whatever the rig's own images are: the view keeps its width, and
    its height follows from the size. False: images are stretched to the size."""
    keep_aspect: bool = False
    """Whether images keep the shape that the rig's own have, with square pixels, about as many as
    size has. Not with square."""
    poses: int = 4
    """Samples of each street, half a second apart; they share its scene and hierarchy."""
    style: str = "town"
    """Of the streets, one of styles.STYLES; the stress and the deployed split have their own."""
    render: RenderConfig = field(default_factory=lambda: RenderConfig(samples=1, reflections=False))

    def __post_init__(self):
        if self.square and self.keep_aspect:
            raise ValueError("square and keep_aspect exclude each other")


@dataclass(frozen=True, eq=False)
class Recorded:
    """A sample with what its sensors sent."""

    sample: RigBatch
    returns: np.ndarray
    """[N, H, W] float32: depths of what the simulated LiDAR returned. Metres along the optical axis
    at each camera's own stamp, with the sensor's noise and from where it stands; 0 where no return
    falls on a pixel or the own vehicle is. The nearest of a pixel wins."""
    jpegs: tuple[bytes, ...]
    """The images of the sample as the cameras sent them."""


class StreetDataset:
    """Samples of a split: index i is pose i % poses of street i // poses from `first`, a RigBatch.

    depth_gt is dense: 0 for the sky and for the ego's own body (mask), exact elsewhere. A sample is
    the same whatever the first street. ValueError for an unknown split or rig, or streets that the
    split does not have. Ask for consecutive indices in one worker: the last street is kept.
    """

    def __init__(
        self, split: str, streets: int, config: StreetDatasetConfig | None = None, *, first: int = 0
    ):
        if split not in SPLIT_SEEDS:
            raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLIT_SEEDS)}")
        limit = len(SPLIT_SEEDS[split])
        if first < 0 or streets < 1 or first + streets > limit:
            raise ValueError(
                f"split {split} has the streets 0 to {limit - 1}, not {streets} from {first} on"
            )
        self.split, self.config = split, config or StreetDatasetConfig()
        self.seeds = SPLIT_SEEDS[split][first : first + streets]
        self.tokens = tuple(
            f"street-{seed:07d}-{pose}" for seed in self.seeds for pose in range(self.config.poses)
        )
        self._drive = DriveConfig(
            frames=self.config.poses,
            rate_hz=2.0,
            render=self.config.render,
            lidar=LidarConfig(),
            style=SPLIT_STYLES.get(split, self.config.style),
        )
        self._kept: tuple[int, Rig, Stage] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> RigBatch:
        return self.recorded(index).sample

    def recorded(self, index: int) -> Recorded:
        """A sample with what the sensors sent."""
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        street, pose = divmod(index, self.config.poses)
        seed = self.seeds[street]
        if self._kept is None or self._kept[0] != seed:
            self._kept = None
            rig = self.rig(index)
            self._kept = (seed, rig, Stage(drive_scene(seed, rig, self._drive)))
        _, rig, stage = self._kept
        frames = render_frame_set(stage, rig, self._drive, seed=seed, index=pose)
        sample = _stacked(frames.cameras, rig, self.tokens[index])
        returns = np.where(sample.mask, np.float32(0), lidar_depths(frames))
        return Recorded(sample, returns, tuple(frame.jpeg for frame in frames.cameras))

    def rig(self, index: int) -> Rig:
        """The rig of a sample, without rendering it."""
        seed = self.seeds[index // self.config.poses]
        number = seed - SPLIT_SEEDS[self.split].start
        name = self.config.rigs[number % len(self.config.rigs)]
        rig = make_rig(name, seed=seed, jitter=self.config.jitter)
        size = self.config.size
        if self.config.square:
            return replace(rig, cameras=tuple(_reframed(c, *size) for c in rig.cameras))
        return rig.resized(*(_like(rig.cameras[0], size) if self.config.keep_aspect else size))

    def poses(self, index: int) -> tuple[tuple[int, ...], np.ndarray]:
        """Each camera's stamp [N] and T_world_ego [N, 4, 4] then, without rendering the sample."""
        street, pose = divmod(index, self.config.poses)
        rig = self.rig(index)
        scene = drive_scene(self.seeds[street], rig, self._drive)
        times_s = [float(time_s) for time_s in trigger_times(rig, self._drive, pose)]
        return tuple(map(stamp_ns, times_s)), np.stack([scene.ego_pose(t) for t in times_s])


def _like(camera: Camera, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height, even, of about as many pixels as size in the shape of a camera's images."""
    zoom = np.sqrt(size[0] * size[1] / (camera.width * camera.height))
    width, height = (2 * max(1, round(side * zoom / 2)) for side in (camera.width, camera.height))
    return width, height


def _reframed(camera: Camera, width: int, height: int) -> Camera:
    """The camera with an image of that size and square pixels, its view as wide as before.

    A view that gets taller or lower does so above and below the old one in equal shares.
    """
    zoom = width / camera.width
    (fx, _, cx), (_, _, cy), _ = camera.K * zoom
    cy += (height - camera.height * zoom) / 2
    K = np.array([[fx, 0, cx], [0, fx, cy], [0, 0, 1]])
    return replace(camera, width=width, height=height, K=K)


def lidar_depths(frames: FrameSet) -> np.ndarray:
    """Depths [N, H, W] float32 of the sweep's points in each camera, metres; 0 is empty."""
    sweep = frames.lidar
    points = transform_points(sweep.T_world_ego @ sweep.T_ego_lidar, sweep.points[:, :3])
    depths = []
    for frame in frames.cameras:
        T_cam_world = invert_transform(frame.T_world_ego @ frame.camera.T_ego_cam)
        depths.append(scatter_depth(transform_points(T_cam_world, points), frame.camera))
    return np.stack(depths)


def _stacked(frames: tuple[CameraFrame, ...], rig: Rig, token: str) -> RigBatch:
    mask = np.stack([f.ego_mask for f in frames])
    depth_gt = np.where(mask, np.float32(0), np.stack([f.depth for f in frames]))
    return RigBatch(
        images=np.stack([f.decoded() for f in frames]),
        K=rig.K,
        T_ego_cam=rig.T_ego_cam,
        depth_gt=depth_gt,
        valid=depth_gt > 0,
        mask=mask,
        stamps_ns=tuple(f.stamp_ns for f in frames),
        names=rig.names,
        tokens=token,
    )
