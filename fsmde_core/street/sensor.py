"""What a camera and a LiDAR record: exposure to JPEG, beams to noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fsmde_core.street.look import SUBSAMPLINGS, TOWN_LOOK, Look
from fsmde_core.street.surfaces import BLUE, RED
from fsmde_core.street.trace import World
from fsmde_core.street.tracer import cast_rays


@dataclass(frozen=True)
class SensorConfig:
    """Strengths of the camera's faults; 1 is ordinary, 0 none. Drawn per drive from the seed."""

    exposure: float = 1.0
    """Scatter of the exposure around the metered value."""
    white_balance: float = 1.0
    """Scatter of the colour balance."""
    vignette: float = 1.0
    noise: float = 1.0
    motion_blur: float = 1.0
    """Share of the shutter time, see SHUTTER_S; needs several samples a pixel."""
    defocus: float = 1.0
    dirt: float = 1.0
    """Drops and smears on the lens; most lenses have none."""
    glare: float = 1.0
    """Light of bright spots spread over the image."""
    jpeg: float = 1.0
    """Loss of the JPEG that the camera sends."""


SHUTTER_S = {"day": 0.003, "low sun": 0.005, "dusk": 0.012, "night": 0.02}


def expose(
    radiance: np.ndarray,
    gain: float,
    rng: np.random.Generator,
    config: SensorConfig,
    look: Look = TOWN_LOOK,
) -> np.ndarray:
    """Turn radiance [H, W, 3] into an RGB image [H, W, 3] uint8."""
    balance = 1 + rng.normal(0, look.balance, 3) * config.white_balance
    stops = gain * 2 ** (rng.normal(0, look.stops) * config.exposure)
    light = _glare(radiance * (stops * balance).astype(np.float32), config.glare)
    light = _dirt(light, rng, config.dirt)
    blur = abs(rng.normal(0, 0.25)) * config.defocus * light.shape[1] / 800
    if blur > 0.2:
        light = cv2.GaussianBlur(light, (0, 0), blur)
    light = light * _vignette(light.shape[:2], 0.28 * config.vignette)[..., None]
    grain = rng.standard_normal(light.shape, dtype=np.float32)
    strength = config.noise * look.noise * (0.004 + 0.002 * min(gain, 6.0))
    light = np.maximum(light + grain * cv2.sqrt(light * 0.3 + 0.01) * strength, 0)
    return (look.developed(light) * 255 + 0.5).astype(np.uint8)


def encode_jpeg(
    image: np.ndarray, rng: np.random.Generator, config: SensorConfig, look: Look = TOWN_LOOK
) -> bytes:
    """The RGB image as JPEG bytes."""
    worst = rng.integers(0, 12) if look.quality is None else 97 - look.quality
    options = {
        cv2.IMWRITE_JPEG_QUALITY: int(97 - config.jpeg * worst),
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR: SUBSAMPLINGS[look.subsampling],
    }
    _, data = cv2.imencode(".jpg", image[..., ::-1], [v for pair in options.items() for v in pair])
    return data.tobytes()


def _glare(light: np.ndarray, strength: float) -> np.ndarray:
    bright = np.minimum(np.maximum(light - 1.1, 0), 5.0)
    if strength == 0 or not bright.any():
        return light
    width = light.shape[1]
    small = cv2.resize(
        bright, (max(width // 4, 8), max(light.shape[0] // 4, 8)), interpolation=cv2.INTER_AREA
    )
    halo = cv2.GaussianBlur(small, (0, 0), width / 400) * 0.1
    halo += cv2.GaussianBlur(small, (0, 0), width / 60) * 0.06
    return light + strength * cv2.resize(halo, (width, light.shape[0]))


def _dirt(light: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    if strength == 0 or rng.random() > 0.15 * strength:
        return light
    height, width = light.shape[:2]
    veil = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(2, 12))):
        at = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        cv2.circle(
            veil, at, int(width * rng.uniform(0.004, 0.025)), float(rng.uniform(0.2, 0.7)), -1
        )
    veil = cv2.GaussianBlur(veil, (0, 0), width / 110)[..., None]
    soft = cv2.GaussianBlur(light, (0, 0), width / 50)
    return light * (1 - veil) + soft * 0.85 * veil


def _vignette(shape, strength: float) -> np.ndarray:
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in shape)
    return 1 - strength * (x * x + (y * y)[:, None]) / 2


@dataclass(frozen=True)
class LidarConfig:
    """A spinning LiDAR on the roof; nuScenes' 32 beams by default."""

    beams: int = 32
    columns: int = 1080
    lowest_deg: float = -30.67
    highest_deg: float = 10.67
    max_range_m: float = 100.0
    noise_m: float = 0.02
    """One sigma of the range."""
    dropout: float = 0.08
    """Share of returns lost at max_range_m; fewer when nearer."""
    position_m: tuple[float, float, float] = (0.9437, 0.0, 1.8402)
    """In the ego frame; the LiDAR's axes are the ego's."""


LIDAR_64 = LidarConfig(beams=64, columns=1800, lowest_deg=-24.9, highest_deg=2.0, max_range_m=120.0)


def lidar_directions(config: LidarConfig) -> np.ndarray:
    """Unit rays in the LiDAR's frame, [columns, beams, 3], clockwise from behind."""
    azimuth = np.pi - np.arange(config.columns) * 2 * np.pi / config.columns
    tilt = np.radians(np.linspace(config.lowest_deg, config.highest_deg, config.beams))
    a, e = np.meshgrid(azimuth, tilt, indexing="ij")
    return np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=-1)


def scan(world: World, T_world_lidar: np.ndarray, directions: np.ndarray, rng, config: LidarConfig):
    """Cast beams [P, 3] from T_world_lidar [4, 4].

    Returns points [M, 3] in the world, metres, the intensity [M] in 0 to 255 and the index [M] of
    the beam each came from.
    """
    rays = (directions @ T_world_lidar[:3, :3].T).astype(np.float32)
    origin = T_world_lidar[:3, 3].astype(np.float32)
    ranges, facing = np.empty((2, len(rays)), np.float32)
    surface = np.empty(len(rays), np.int32)
    cast_rays(world, origin, rays, np.float32(config.max_range_m), ranges, surface, facing)
    lost = rng.random(len(rays)) < config.dropout * (ranges / config.max_range_m) ** 2
    noise = rng.normal(0, config.noise_m, len(rays))
    kept = np.flatnonzero((surface >= 0) & ~lost & (ranges > 1.0))
    points = origin + rays[kept] * (ranges[kept] + noise[kept])[:, None]
    colour = world.surfaces[surface[kept], RED : BLUE + 1].mean(axis=1)
    intensity = np.clip(255 * colour * (0.15 + 0.6 * facing[kept]), 0, 255)
    return points, intensity, kept
