"""Sun, sky and fog of a scene, as the kernels read them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fsmde_core.street.compile import device
from fsmde_core.street.noise import fractal_noise, value_noise

LAMP_COLUMNS = 10  # position, colour, direction, cosine of the half angle


class Light(NamedTuple):
    """Sun, sky and weather; colours in linear radiance."""

    sun: tuple[float, float, float]
    """Unit vector to the sun."""
    sun_colour: tuple[float, float, float]
    zenith: tuple[float, float, float]
    horizon: tuple[float, float, float]
    cloud_cover: float
    """0 clear to 1 overcast."""
    cloud_seed: float
    fog_per_m: float
    """Extinction; 0.001 is a clear day, 0.04 dense fog."""
    wetness: float
    """0 dry to 1 standing water on the road."""
    night: float
    """1 where windows and lamps are lit."""


def pack_light(light: Light) -> np.ndarray:
    """A Light as one array [17] float32: numba's parallel loops take no nested tuples."""
    return np.hstack(light).astype(np.float32)


@device
def light_of(world):
    """The Light of a World."""
    a = world.light
    sun, colour = (a[0], a[1], a[2]), (a[3], a[4], a[5])
    zenith, horizon = (a[6], a[7], a[8]), (a[9], a[10], a[11])
    return Light(sun, colour, zenith, horizon, a[12], a[13], a[14], a[15], a[16])


@device
def sky(light, dx, dy, dz):
    """Radiance of the sky: gradient, clouds, glow of the sun."""
    up = max(dz, 0.0)
    k = math.exp(-4.5 * up)
    r = light.zenith[0] * (1.0 - k) + light.horizon[0] * k
    g = light.zenith[1] * (1.0 - k) + light.horizon[1] * k
    b = light.zenith[2] * (1.0 - k) + light.horizon[2] * k
    if dz > 0.02:
        px = dx / (dz + 0.12) * 1.1 + light.cloud_seed
        py = dy / (dz + 0.12) * 1.1
        c = fractal_noise(px, py, 17, 0.02)
        c = min(1.0, max(0.0, (c - (1.0 - light.cloud_cover) * 0.8) * 4.0)) * min(1.0, dz * 5.0)
        shade = 0.8 + 0.4 * (value_noise(px * 2.1 + 3.0, py * 2.1, 29) - 0.5)
        r += (light.horizon[0] * 1.2 * shade - r) * c
        g += (light.horizon[1] * 1.2 * shade - g) * c
        b += (light.horizon[2] * 1.22 * shade - b) * c
    toward = max(0.0, dx * light.sun[0] + dy * light.sun[1] + dz * light.sun[2])
    glow = toward**64 * 0.3 + toward**8 * 0.07 + (6.0 if toward > 0.99995 else 0.0)
    return (
        r + glow * light.sun_colour[0],
        g + glow * light.sun_colour[1],
        b + glow * light.sun_colour[2],
    )


@device
def ambient(light, nz):
    """Sky and bounced light on a surface that faces up by nz."""
    k = 0.40 + 0.36 * nz
    low = 0.10 * (1.0 - nz)
    r = light.horizon[0] * (k * 0.62 + low * 0.9) + light.zenith[0] * k * 0.28
    g = light.horizon[1] * (k * 0.62 + low * 0.85) + light.zenith[1] * k * 0.28
    b = light.horizon[2] * (k * 0.62 + low * 0.75) + light.zenith[2] * k * 0.28
    return r, g, b


@device
def fogged(light, t, r, g, b):
    """Radiance seen through t metres of air."""
    k = 1.0 - math.exp(-t * light.fog_per_m)
    return (
        r + (light.horizon[0] * 0.92 - r) * k,
        g + (light.horizon[1] * 0.92 - g) * k,
        b + (light.horizon[2] * 0.92 - b) * k,
    )
