"""A drive through a street: what each camera and the LiDAR record, with their stamps and poses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from fsmde_core.geometry import invert_transform, make_transform, transform_points
from fsmde_core.rig import Camera, Rig
from fsmde_core.street.camera_view import RenderConfig, Stage, render_view
from fsmde_core.street.look import TOWN_LOOK, Look, draw_look
from fsmde_core.street.scene import Scene, SceneConfig, build_scene
from fsmde_core.street.sensor import (
    SHUTTER_S,
    LidarConfig,
    SensorConfig,
    encode_jpeg,
    expose,
    lidar_directions,
    scan,
)
from fsmde_core.street.styles import STYLES

SWEEP_S = 0.05  # nuScenes: the LiDAR turns at 20 Hz and triggers a camera as it sweeps past it
FIRST_STAMP_NS = 1_600_000_000_000_000_000


@dataclass(frozen=True)
class DriveConfig:
    """How a drive is recorded."""

    frames: int = 12
    """Frames of every camera."""
    rate_hz: float = 12.0
    """Frames of a camera per second; nuScenes' rate."""
    staggered: bool = True
    """Cameras trigger as the LiDAR sweeps past them; else all at once (DDAD)."""
    render: RenderConfig = field(default_factory=RenderConfig)
    sensor: SensorConfig = field(default_factory=SensorConfig)
    lidar: LidarConfig | None = None
    """None records no LiDAR."""
    style: str = "town"
    """Of the street, one of styles.STYLES."""


@dataclass(frozen=True, eq=False)
class CameraFrame:
    """One image of one camera."""

    camera: Camera
    stamp_ns: int
    image: np.ndarray
    """[H, W, 3] uint8 RGB, before the loss of the JPEG."""
    jpeg: bytes
    depth: np.ndarray
    """[H, W] float32 metres along the optical axis of the pixel centre's ray; 0 for sky."""
    instance: np.ndarray
    """[H, W] int32 index of Scene.instance_class, -1 for sky."""
    ego_mask: np.ndarray
    """[H, W] bool: the ego's own body."""
    T_world_ego: np.ndarray
    """[4, 4] at the stamp."""

    def decoded(self) -> np.ndarray:
        """The image as a reader of the JPEG sees it, [H, W, 3] uint8 RGB."""
        return cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)


@dataclass(frozen=True, eq=False)
class LidarSweep:
    """One turn of the LiDAR, motion-compensated to its stamp."""

    stamp_ns: int
    points: np.ndarray
    """[M, 5] float32 in the LiDAR's frame: x, y, z metres, intensity 0 to 255, beam."""
    T_world_ego: np.ndarray
    T_ego_lidar: np.ndarray


@dataclass(frozen=True, eq=False)
class FrameSet:
    """All cameras once, in the rig's order, and the sweep that triggered them."""

    index: int
    cameras: tuple[CameraFrame, ...]
    lidar: LidarSweep | None


def trigger_offsets(rig: Rig, *, staggered: bool) -> np.ndarray:
    """Seconds [N] from the start of a frame set to each camera's trigger.

    The LiDAR turns clockwise from the first camera left of the front; nuScenes' stamps follow
    this rule to within a millisecond.
    """
    if not staggered:
        return np.zeros(len(rig.cameras))
    azimuth = np.array([camera.azimuth_rad for camera in rig.cameras])
    left = azimuth[(azimuth > 0.2) & (azimuth < 2.0)]
    first = left.min() if left.size else azimuth.max()
    return ((first - azimuth + 1e-6) % (2 * np.pi)) / (2 * np.pi) * SWEEP_S


def trigger_times(rig: Rig, config: DriveConfig, index: int) -> np.ndarray:
    """Seconds [N] from the start of the drive to each camera's trigger in frame set `index`."""
    return index / config.rate_hz + trigger_offsets(rig, staggered=config.staggered)


def drive_scene(seed: int, rig: Rig, config: DriveConfig) -> Scene:
    """The street of a drive: long enough for its frames, the ego body below the rig's cameras."""
    lowest = float(rig.T_ego_cam[:, 2, 3].min())
    roof = float(np.clip(lowest - 0.16, 0.5, 1.42))
    length = 15.0 * config.frames / config.rate_hz
    return build_scene(
        seed, SceneConfig(drive_m=max(30.0, length), style=config.style, ego_roof_m=roof)
    )


def drive_look(seed: int, config: DriveConfig) -> Look:
    """The make of the cameras of a drive: the town's, or in the world any."""
    if not STYLES[config.style].world:
        return TOWN_LOOK
    return draw_look(np.random.default_rng([seed, 0x100C]))


def render_drive(
    seed: int, rig: Rig, config: DriveConfig | None = None, *, first: int = 0
) -> Iterator[FrameSet]:
    """Render the drive of a seed, one FrameSet after the other, starting at frame set first.

    The same arguments give the same bytes on one machine. ValueError for a negative seed.
    """
    config = config or DriveConfig()
    scene = drive_scene(seed, rig, config)
    stage = Stage(scene)
    for index in range(first, config.frames):
        yield render_frame_set(stage, rig, config, seed=seed, index=index)


def render_frame_set(
    stage: Stage, rig: Rig, config: DriveConfig, *, seed: int, index: int
) -> FrameSet:
    """Render frame set number index of a drive."""
    scene, look = stage.scene, drive_look(seed, config)
    triggers_s = trigger_times(rig, config, index)
    sectors = _Sectors(rig, config.lidar) if config.lidar else None
    views, poses, times = {}, {}, {}
    worlds: dict[float, object] = {}
    for i, camera in enumerate(rig.cameras):
        time_s = float(triggers_s[i])
        if time_s not in worlds:
            worlds = {time_s: stage.world(time_s)}  # one at a time: they are large
        pose = scene.ego_pose(time_s)
        shutter = SHUTTER_S[scene.weather.hour] * config.sensor.motion_blur * look.shutter
        views[i] = render_view(
            worlds[time_s],
            camera,
            T_world_ego=pose,
            shutter_m=pose[:3, 0] * scene.path.speed_mps * shutter,
            seed=seed * 7919 + index * 64 + i,
            config=config.render,
        )
        poses[i], times[i] = pose, time_s
        if sectors:
            sectors.cast(worlds[time_s], pose, i, np.random.default_rng([seed, index, i, 2]))
    seen = [(v.radiance, v.depth, v.ego_mask) for v in views.values()]
    gains = look.gains(*(list(column) for column in zip(*seen)))
    frames = tuple(
        _develop(views[i], rig.cameras[i], gains[i], poses[i], times[i], (seed, index, i), config)
        for i in views
    )
    end_s = float(triggers_s.max())
    lidar = sectors.sweep(scene.ego_pose(end_s), stamp_ns(end_s)) if sectors else None
    return FrameSet(index, frames, lidar)


def stamp_ns(time_s: float) -> int:
    """Stamp of a time of the drive in nanoseconds, on whole microseconds as the datasets have."""
    return FIRST_STAMP_NS + round(time_s * 1e6) * 1000


def _develop(view, camera, gain, pose, time_s, key, config: DriveConfig) -> CameraFrame:
    """Pass a view through the sensor; colour balance and the like stay the same over a drive."""
    seed, index, i = key
    look = drive_look(seed, config)
    image = expose(view.radiance, gain, np.random.default_rng([seed, i, 1]), config.sensor, look)
    jpeg = encode_jpeg(image, np.random.default_rng([seed, index, i, 3]), config.sensor, look)
    return CameraFrame(
        camera=camera,
        stamp_ns=stamp_ns(time_s),
        image=image,
        jpeg=jpeg,
        depth=view.depth,
        instance=view.instance,
        ego_mask=view.ego_mask,
        T_world_ego=pose,
    )


class _Sectors:
    """The LiDAR's turn in one sector per camera, each cast when that camera triggers."""

    def __init__(self, rig: Rig, config: LidarConfig):
        self.config = config
        self.T_ego_lidar = make_transform(np.eye(3), np.array(config.position_m))
        rays = lidar_directions(config).reshape(-1, 3)
        self.beam = np.tile(np.arange(config.beams), config.columns)
        heading = np.arctan2(rays[:, 1], rays[:, 0])[:, None]
        azimuth = np.array([camera.azimuth_rad for camera in rig.cameras])
        turn = np.abs((heading - azimuth + np.pi) % (2 * np.pi) - np.pi)
        self.rays, self.owner = rays, turn.argmin(axis=1)
        self.parts: list[tuple] = []

    def cast(self, world, T_world_ego, camera_index: int, rng) -> None:
        mine = np.flatnonzero(self.owner == camera_index)
        T_world_lidar = T_world_ego @ self.T_ego_lidar
        points, intensity, kept = scan(world, T_world_lidar, self.rays[mine], rng, self.config)
        self.parts.append((points, intensity, self.beam[mine[kept]]))

    def sweep(self, T_world_ego, stamp: int) -> LidarSweep:
        points, intensity, beam = (np.concatenate(column) for column in zip(*self.parts))
        local = transform_points(invert_transform(T_world_ego @ self.T_ego_lidar), points)
        table = np.column_stack([local, intensity, beam]).astype(np.float32)
        return LidarSweep(stamp, table, T_world_ego, self.T_ego_lidar)
