"""Light and weather of a scene: clear, hazy, overcast, rain, fog; day, low sun, dusk, night."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsmde_core.street.light import Light

HOURS = ("day", "low sun", "dusk", "night")
SKIES = ("clear", "cloudy", "overcast", "haze", "rain", "fog")


@dataclass(frozen=True)
class Weather:
    """Names of the hour and the sky, drawn from HOURS and SKIES."""

    hour: str
    sky: str


HOUR_SHARES = (0.62, 0.16, 0.1, 0.12)
SKY_SHARES = (0.32, 0.28, 0.16, 0.08, 0.11, 0.05)
# Kept out of training: the stress split draws only these (see dataset).
STRESS = (Weather("night", "rain"), Weather("night", "fog"), Weather("dusk", "fog"))
FOG_PER_M = {
    "clear": 6e-4,
    "cloudy": 8e-4,
    "overcast": 1.2e-3,
    "haze": 5e-3,
    "rain": 4e-3,
    "fog": 0.022,
}


def draw_weather(rng: np.random.Generator, *, stress: bool) -> Weather:
    """Draw hour and sky; stress weather is drawn only where asked, and then always."""
    if stress:
        return STRESS[rng.integers(len(STRESS))]
    while True:
        weather = Weather(rng.choice(HOURS, p=HOUR_SHARES), rng.choice(SKIES, p=SKY_SHARES))
        if weather not in STRESS:
            return weather


CLEAR_PER_M, DENSE_PER_M = 1.2e-3, 0.02  # extinction of clear air at most, of the densest fog
CLEAR_SHARE = 0.85


def worldly_light(rng: np.random.Generator, light: Light) -> Light:
    """The light of a sky in other air, and with other contrast between sun and sky.

    The air says nothing of the sky or the hour: in most scenes it is clear, and distance cannot be
    read off it.
    """
    if rng.random() < CLEAR_SHARE:
        fog = np.exp(rng.uniform(np.log(1e-4), np.log(CLEAR_PER_M)))
    else:
        fog = np.exp(rng.uniform(np.log(CLEAR_PER_M), np.log(DENSE_PER_M)))
    low = np.interp(light.sun[2], [0.1, 0.5], [1.0, 0.0])  # real suns stay strong until they set
    sun = np.exp(rng.uniform(np.log(0.7), np.log(2.2)) + low * rng.uniform(0, np.log(2.0)))
    sky = np.exp(rng.uniform(np.log(0.6), np.log(1.5)))
    if light.night == 1.0:
        sun = sky = 1.0

    def times(share, colour):
        return tuple(float(share * c) for c in colour)

    return light._replace(
        sun_colour=times(sun, light.sun_colour),
        zenith=times(sky, light.zenith),
        horizon=times(sky, light.horizon),
        fog_per_m=float(fog),
    )


def make_light(rng: np.random.Generator, weather: Weather) -> Light:
    """Sun, sky and fog of a weather."""
    low, high = {"day": (22, 68), "low sun": (7, 20), "dusk": (2, 5), "night": (20, 50)}[
        weather.hour
    ]
    tilt, azimuth = np.radians(rng.uniform(low, high)), rng.uniform(0, 2 * np.pi)
    sun = (np.cos(tilt) * np.cos(azimuth), np.cos(tilt) * np.sin(azimuth), np.sin(tilt))
    warm = np.exp(-tilt * 3.2)
    cover = {"clear": 0.12, "cloudy": 0.6, "haze": 0.4}.get(weather.sky, 1.0)
    strength = {"clear": 3.3, "cloudy": 2.8, "haze": 1.9}.get(weather.sky, 0.22)
    sun_colour = (
        np.array([1, 0.95 - 0.3 * warm, 0.88 - 0.62 * warm]) * strength * rng.uniform(0.85, 1.15)
    )
    grey = np.array([0.56, 0.59, 0.63])
    blue = np.array([0.2, 0.36, 0.74])
    zenith = (blue + (grey - blue) * np.clip(cover - 0.3, 0, 1)) * rng.uniform(0.75, 1.15)
    horizon = np.array([0.74, 0.8, 0.88]) * rng.uniform(0.75, 1.1)
    horizon = horizon + (np.array([0.95, 0.66, 0.42]) - horizon) * warm * (
        1.0 if cover < 0.9 else 0.1
    )
    if weather.hour == "dusk":
        zenith, horizon, sun_colour = zenith * 0.28, horizon * 0.42, sun_colour * 0.12
    if weather.hour == "night":
        zenith = np.array([0.006, 0.008, 0.016])
        horizon = np.array([0.03, 0.026, 0.024]) * rng.uniform(0.6, 1.8)
        sun_colour = np.array([0.01, 0.012, 0.016])
    return Light(
        sun=tuple(map(float, sun)),
        sun_colour=tuple(map(float, sun_colour)),
        zenith=tuple(map(float, zenith)),
        horizon=tuple(map(float, horizon)),
        cloud_cover=float(np.clip(cover + rng.normal(0, 0.08), 0, 1)),
        cloud_seed=float(rng.uniform(0, 1000)),
        fog_per_m=FOG_PER_M[weather.sky] * float(rng.uniform(0.7, 1.4)),
        wetness=float(rng.uniform(0.5, 1.0)) if weather.sky == "rain" else 0.0,
        night={"night": 1.0, "dusk": 0.7}.get(weather.hour, 0.0),
    )
