"""Street samples for training, rendered on the fly; the only module of the street with torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch.utils.data import Dataset

from fsmde_core.street.camera_view import RenderConfig, Stage
from fsmde_core.street.drive import DriveConfig, drive_scene, render_frame_set
from fsmde_core.street.rigs import make_rig

# Seeds of the splits; training may use any part of its range.
SPLIT_SEEDS = {
    "train": range(0, 1_000_000),
    "val": range(1_000_000, 1_010_000),
    "test": range(1_010_000, 1_020_000),
    "stress": range(1_020_000, 1_030_000),
}


@dataclass(frozen=True)
class StreetDatasetConfig:
    """What a sample is."""

    rig: str = "nuscenes"
    """One of rigs.RIG_NAMES; random draws one per seed."""
    size: tuple[int, int] = (640, 352)
    """Width and height in pixels."""
    jitter: float = 1.0
    """Spread of the extrinsics, see make_rig."""
    poses: int = 4
    """Samples taken from each street, which share its scene and hierarchy."""
    render: RenderConfig = field(default_factory=lambda: RenderConfig(samples=1, reflections=False))


@dataclass(frozen=True, eq=False)
class StreetSample:
    """One moment of one street, as numpy arrays; N cameras."""

    images: np.ndarray
    """[N, H, W, 3] uint8 RGB, after the loss of their JPEG."""
    K: np.ndarray
    """[N, 3, 3] pixels, pixel centres at integer + 0.5."""
    T_ego_cam: np.ndarray
    """[N, 4, 4]."""
    depth_gt: np.ndarray
    """[N, H, W] float32 metres along the optical axis, 0 where there is none (sky, ego body)."""
    valid: np.ndarray
    """[N, H, W] bool: depth_gt > 0."""
    mask: np.ndarray
    """[N, H, W] bool: the ego's own body."""
    names: tuple[str, ...]
    stamps_ns: np.ndarray
    """[N] int64."""
    T_world_ego: np.ndarray
    """[N, 4, 4] at each camera's stamp."""
    seed: int


class StreetDataset(Dataset):
    """Samples of a split: index i is pose i % poses of street number i // poses.

    ValueError for an unknown split or more streets than it has. Ask for consecutive indices in
    one worker: the last street is kept.
    """

    def __init__(self, split: str, streets: int, config: StreetDatasetConfig | None = None):
        if split not in SPLIT_SEEDS:
            raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLIT_SEEDS)}")
        if not 1 <= streets <= len(SPLIT_SEEDS[split]):
            limit = len(SPLIT_SEEDS[split])
            raise ValueError(f"split {split} has 1 to {limit} streets, not {streets}")
        self.config = config or StreetDatasetConfig()
        self.seeds = SPLIT_SEEDS[split][:streets]
        # Poses half a second apart, so that they differ.
        self._drive = DriveConfig(
            frames=6 * self.config.poses, render=self.config.render, stress=split == "stress"
        )
        self._kept: tuple | None = None

    def __len__(self) -> int:
        return len(self.seeds) * self.config.poses

    def __getitem__(self, index: int) -> StreetSample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        street, pose = divmod(index, self.config.poses)
        seed = self.seeds[street]
        if self._kept is None or self._kept[0] != seed:
            self._kept = None
            rig = make_rig(self.config.rig, seed=seed, jitter=self.config.jitter)
            rig = rig.resized(*self.config.size)
            self._kept = (seed, rig, Stage(drive_scene(seed, rig, self._drive)))
        _, rig, stage = self._kept
        frames = render_frame_set(stage, rig, self._drive, seed=seed, index=6 * pose)
        return _stack(frames.cameras, rig, seed)


def _stack(frames, rig, seed: int) -> StreetSample:
    mask = np.stack([f.ego_mask for f in frames])
    depth_gt = np.where(mask, np.float32(0), np.stack([f.depth for f in frames]))
    return StreetSample(
        images=np.stack([f.decoded() for f in frames]),
        K=rig.K,
        T_ego_cam=rig.T_ego_cam,
        depth_gt=depth_gt,
        valid=depth_gt > 0,
        mask=mask,
        names=rig.names,
        stamps_ns=np.array([f.stamp_ns for f in frames], np.int64),
        T_world_ego=np.stack([f.T_world_ego for f in frames]),
        seed=seed,
    )
