"""A street from one integer seed: what stands where, who moves, and in which light.

World frame: x along the road where the ego starts, y left, z up, metres. Traffic keeps to the
right; in style world to the left in half of the streets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fsmde_core.geometry import make_transform
from fsmde_core.street.ego_path import EgoPath, draw_ego
from fsmde_core.street.layout import fill_town
from fsmde_core.street.light import LAMP_COLUMNS, Light
from fsmde_core.street.mesh import Mesh, rotation_y, rotation_z
from fsmde_core.street.movers.cars import make_ego
from fsmde_core.street.placement import Layout, Placed
from fsmde_core.street.road import Road, make_road, with_relief
from fsmde_core.street.styles import STYLES
from fsmde_core.street.surfaces import ObjectClass
from fsmde_core.street.weather import Weather, draw_weather, make_light, worldly_light
from fsmde_core.street.world import fill_world

HEADLAMPS = ((2.9, 0.6, 0.65), (2.9, -0.6, 0.65))
LAMPS_NEAR_M = 45.0  # lamps further from the ego cast no light of their own


@dataclass(frozen=True)
class SceneConfig:
    """What to build beyond the seed."""

    drive_m: float = 30.0
    """Length of road the ego may drive, metres; the street is furnished 130 m beyond."""
    style: str = "town"
    """One of styles.STYLES; stress draws only styles and weather that training never shows."""
    ego_roof_m: float = 1.36
    """Height of the ego body, metres; it must stay below the lowest camera."""


@dataclass(frozen=True, eq=False)
class Actor:
    """Something that moves along the road at constant speed; the mesh is in its own frame."""

    mesh: Mesh
    """Several actors may share one mesh."""
    instance: int
    s: float
    t: float
    speed_mps: float
    """Along s; negative against it."""
    lift_m: float
    """Height above the ground, for pavements."""

    def pose(self, road: Road, time_s: float) -> np.ndarray:
        """T_world_actor [4, 4] at a time."""
        s = self.s + self.speed_mps * time_s
        behind, here, ahead = road.point(s + np.array([-1.5, 0.0, 1.5]), self.t)
        x, y, z = ahead - behind
        slope, yaw = np.arctan2(z, np.hypot(x, y)), float(road.heading(s))
        if self.speed_mps < 0:
            slope, yaw = -slope, yaw + np.pi
        return make_transform(rotation_z(yaw) @ rotation_y(-slope), here + (0, 0, self.lift_m))


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything the tracer and the sensors need."""

    road: Road
    static: Mesh
    placed: tuple[Placed, ...]
    """What stands still and shares its mesh with others."""
    actors: tuple[Actor, ...]
    ego: Mesh
    """Body of the ego vehicle in the ego frame."""
    instance_class: np.ndarray
    """[I] ObjectClass of each instance; the first rows are the classes themselves."""
    lamps: np.ndarray
    """[L, 10] float32: position, colour, direction, cosine of the half angle."""
    light: Light
    weather: Weather
    path: EgoPath

    def ego_pose(self, time_s: float) -> np.ndarray:
        """T_world_ego [4, 4] at a time."""
        return self.path.pose(time_s)

    def lamps_near(self, T_world_ego: np.ndarray) -> np.ndarray:
        """Lamps that light the surroundings of the ego, its own headlamps included."""
        gap = np.linalg.norm(self.lamps[:, :3] - T_world_ego[:3, 3], axis=1)
        near = self.lamps[gap < LAMPS_NEAR_M]
        if not self.light.night:
            return np.zeros((0, LAMP_COLUMNS), np.float32)
        own = []
        for at in HEADLAMPS:
            origin = T_world_ego[:3, :3] @ at + T_world_ego[:3, 3]
            direction = T_world_ego[:3, :3] @ (0.995, 0, -0.06)
            own.append([*origin, 26.0, 25.0, 22.0, *direction, 0.84])
        return np.concatenate([near, np.array(own)]).astype(np.float32)


def build_scene(seed: int, config: SceneConfig | None = None) -> Scene:
    """Build the street of a seed; the same seed and config give the same bytes.

    ValueError for a negative seed or an unknown style.
    """
    config = config or SceneConfig()
    if config.style not in STYLES:
        raise ValueError(f"unknown style {config.style!r}; known: {', '.join(STYLES)}")
    if seed < 0:
        raise ValueError(f"seed {seed} is negative; seeds are 0, 1, 2 and so on")
    rng = np.random.default_rng(seed)
    weather = draw_weather(rng, stress=config.style == "stress")
    light, style = make_light(rng, weather), STYLES[config.style]
    if style.world:
        light = worldly_light(np.random.default_rng([seed, 0xA12]), light)
    urban = float(rng.random())
    road = make_road(rng, rural=urban < style.rural_below)
    if style.world:
        road = with_relief(np.random.default_rng([seed, 0x2E1]), road)
    lane = int(rng.integers(road.lanes))
    speed = 0.0 if rng.random() < 0.08 else rng.uniform(4.0, 15.0)
    if style.world:
        path = _met_path(np.random.default_rng([seed, 0xE60]), road, lane, speed)
    else:
        path = EgoPath(road, -_lane_t(road, lane), speed)
    lit = bool(light.night)
    layout = Layout(rng, path, style, urban=urban, drive_m=config.drive_m, lit=lit)
    (fill_world if style.world else fill_town)(layout)
    ego = make_ego(rng, config.ego_roof_m).of_instance(int(ObjectClass.EGO))
    actors = tuple(Actor(**details) for details in layout.actors)
    lamps = np.array(layout.lamps, np.float32).reshape(-1, LAMP_COLUMNS)
    return Scene(
        road=path.road,
        static=layout.finish(),
        placed=layout.placed(),
        actors=actors,
        ego=ego,
        instance_class=np.array(layout.instance_class, np.int32),
        lamps=lamps,
        light=light,
        weather=weather,
        path=path,
    )


def _lane_t(road: Road, lane: int) -> float:
    """Metres from the centreline to the middle of a lane, 0 the innermost."""
    return road.lane_m * (lane + 0.5)


def _met_path(rng: np.random.Generator, road: Road, lane: int, speed_mps: float) -> EgoPath:
    """The ego as vehicles are met in the world: traffic on either hand, here and there a junction.

    One that stands turned does so at a junction every other time.
    """
    road = replace(road, hand=int(rng.choice([-1, 1])))
    path = draw_ego(rng, road, -road.hand * _lane_t(road, lane), speed_mps)
    at_junction = path.yaw and rng.random() < 0.5
    meets = rng.uniform(-6.0, 9.0)
    return replace(path, road=road.with_crossing_at(meets)) if at_junction else path
