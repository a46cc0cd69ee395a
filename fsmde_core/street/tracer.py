"""Light transport: sun and lamps with shadows, sky, one reflection, fog; depth of pixel centres.

render and cast_rays work on a World, the flat arrays of a scene, and run on all CPU threads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit, prange

from fsmde_core.street.bvh import STACK_DEPTH, trace
from fsmde_core.street.compile import device
from fsmde_core.street.materials import albedo
from fsmde_core.street.noise import fractal_noise, hash3
from fsmde_core.street.surfaces import INSTANCE, KIND, LEAF, PAVING, ROAD, ZEBRA

F = np.float32
FAR_M = 1.0e4
SECONDARY_M = 160.0
LAMP_COLUMNS = 10  # position, colour, direction, cosine of the half angle


class Light(NamedTuple):
    """Sun, sky and weather as the kernels read them; colours in linear radiance."""

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


class World(NamedTuple):
    """A scene as flat arrays. nodes and triangles as in bvh; T triangles, S surfaces, L lamps."""

    nodes: np.ndarray
    triangles: np.ndarray
    """[T, 9] float32: first corner and two edges."""
    attributes: np.ndarray
    """[T, 15] float32: three normals, three uv."""
    surface_of: np.ndarray
    """[T] int32: row of surfaces."""
    surfaces: np.ndarray
    """[S, 16] float32, see the module surfaces."""
    lamps: np.ndarray
    """[L, 10] float32."""
    light: np.ndarray
    """[17] float64: a Light, flattened by pack_light."""


def pack_light(light: Light) -> np.ndarray:
    """A Light as one array: numba's parallel loops take no nested tuples."""
    return np.hstack(light).astype(np.float64)


@device
def _light_of(world):
    a = world.light
    return Light(
        (a[0], a[1], a[2]),
        (a[3], a[4], a[5]),
        (a[6], a[7], a[8]),
        (a[9], a[10], a[11]),
        a[12],
        a[13],
        a[14],
        a[15],
        a[16],
    )


@device
def _sky(light, dx, dy, dz):
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
        shade = 0.8 + 0.5 * (fractal_noise(px * 1.7 + 3.0, py * 1.7, 29, 0.02) - 0.5)
        r += (light.horizon[0] * 1.2 * shade - r) * c
        g += (light.horizon[1] * 1.2 * shade - g) * c
        b += (light.horizon[2] * 1.22 * shade - b) * c
    toward = max(0.0, dx * light.sun[0] + dy * light.sun[1] + dz * light.sun[2])
    glow = toward**64 * 0.3 + toward**8 * 0.07 + (6.0 if toward > 0.99995 else 0.0)
    return (
        r + glow * light.sun_colour[0],
        g + glow * light.sun_colour[1],
        b + (glow * light.sun_colour[2]),
    )


@device
def _surface(world, hit, hu, hv):
    """Interpolated normal and uv at a hit."""
    a = world.attributes[hit]
    w = F(1) - hu - hv
    nx = a[0] * w + a[3] * hu + a[6] * hv
    ny = a[1] * w + a[4] * hu + a[7] * hv
    nz = a[2] * w + a[5] * hu + a[8] * hv
    u = a[9] * w + a[11] * hu + a[13] * hv
    v = a[10] * w + a[12] * hu + a[14] * hv
    scale = F(1) / max(F(math.sqrt(nx * nx + ny * ny + nz * nz)), F(1e-9))
    return nx * scale, ny * scale, nz * scale, u, v


@device
def _occluded(world, stack, px, py, pz, dx, dy, dz, distance):
    t, hit, u, v = trace(
        world.nodes,
        world.triangles,
        stack,
        F(px),
        F(py),
        F(pz),
        F(dx),
        F(dy),
        F(dz),
        F(distance),
        True,
    )
    return hit >= 0


@device
def _lamp_light(world, stack, px, py, pz, nx, ny, nz, shadows):
    """Irradiance of all lamps, with shadows where a lamp matters."""
    r, g, b = 0.0, 0.0, 0.0
    for i in range(world.lamps.shape[0]):
        lamp = world.lamps[i]
        lx, ly, lz = lamp[0] - px, lamp[1] - py, lamp[2] - pz
        d2 = lx * lx + ly * ly + lz * lz + 0.05
        if d2 > 3600.0:
            continue
        inv = 1.0 / math.sqrt(d2)
        lx, ly, lz = lx * inv, ly * inv, lz * inv
        spot = -(lx * lamp[6] + ly * lamp[7] + lz * lamp[8])
        cosine = nx * lx + ny * ly + nz * lz
        if cosine <= 0.0 or spot < lamp[9]:
            continue
        edge = min(1.0, (spot - lamp[9]) * 6.0)
        k = cosine * edge / d2
        if k * lamp[3] < 0.004:
            continue
        if shadows and _occluded(world, stack, px, py, pz, lx, ly, lz, 1.0 / inv - 0.5):
            continue
        r += k * lamp[3]
        g += k * lamp[4]
        b += k * lamp[5]
    return r, g, b


@device
def _ambient(light, nz):
    """Sky and bounced light on a surface that faces up by nz."""
    k = 0.40 + 0.36 * nz
    low = 0.10 * (1.0 - nz)
    r = light.horizon[0] * (k * 0.62 + low * 0.9) + light.zenith[0] * k * 0.28
    g = light.horizon[1] * (k * 0.62 + low * 0.85) + light.zenith[1] * k * 0.28
    b = light.horizon[2] * (k * 0.62 + low * 0.75) + light.zenith[2] * k * 0.28
    return r, g, b


@device
def _reflected(world, stack, px, py, pz, dx, dy, dz):
    """Radiance along a secondary ray: one hit, no further rays."""
    t, hit, hu, hv = trace(
        world.nodes,
        world.triangles,
        stack,
        F(px),
        F(py),
        F(pz),
        F(dx),
        F(dy),
        F(dz),
        F(SECONDARY_M),
        False,
    )
    light = _light_of(world)
    if hit < 0:
        return _sky(light, dx, dy, abs(dz))
    nx, ny, nz, u, v = _surface(world, hit, hu, hv)
    if nx * dx + ny * dy + nz * dz > 0.0:
        nx, ny, nz = -nx, -ny, -nz
    row = world.surfaces[world.surface_of[hit]]
    r, g, b, gloss, emission = albedo(row, u, v, 0.3, light.night)
    direct = max(0.0, nx * light.sun[0] + ny * light.sun[1] + nz * light.sun[2])
    ar, ag, ab = _ambient(light, nz)
    return (
        r * (direct * light.sun_colour[0] + ar + emission),
        g * (direct * light.sun_colour[1] + ag + emission),
        b * (direct * light.sun_colour[2] + ab + emission),
    )


@device
def _water(light, row, px, py):
    """How wet the ground is at a point, 0 to 1: puddles where the noise is high."""
    kind = int(row[KIND])
    if light.wetness <= 0.0 or not (kind == ROAD or kind == ZEBRA or kind == PAVING):
        return 0.0
    puddle = fractal_noise(px * 0.5, py * 0.5, 77, 0.05)
    return light.wetness * min(1.0, max(0.25, (puddle - 0.42) * 7.0))


@device
def _fogged(light, t, r, g, b):
    k = 1.0 - math.exp(-t * light.fog_per_m)
    return (
        r + (light.horizon[0] * 0.92 - r) * k,
        g + (light.horizon[1] * 0.92 - g) * k,
        b + (light.horizon[2] * 0.92 - b) * k,
    )


@device
def _sunlight(world, stack, px, py, pz, nx, ny, nz, leaf, r1, r2):
    """Cosine of the sun on a surface, 0 in shadow; leaves let a part through."""
    light = _light_of(world)
    sun = light.sun
    cosine = nx * sun[0] + ny * sun[1] + nz * sun[2]
    if leaf:
        cosine = max(cosine, -0.55 * cosine)
    if cosine <= 0.0 or light.sun_colour[0] < 0.02:
        return 0.0
    jx, jy = sun[0] + (r1 - 0.5) * 0.016, sun[1] + (r2 - 0.5) * 0.016
    if _occluded(world, stack, px, py, pz, jx, jy, sun[2], 260.0):
        return 0.0
    return cosine


@device
def _shade(world, stack, t, hit, hu, hv, ray, pixel_angle, r1, r2, reflections):
    """Radiance that a hit sends back along the ray (ox, oy, oz, dx, dy, dz)."""
    light = _light_of(world)
    ox, oy, oz, dx, dy, dz = ray
    nx, ny, nz, u, v = _surface(world, hit, hu, hv)
    facing = nx * dx + ny * dy + nz * dz
    if facing > 0.0:
        nx, ny, nz, facing = -nx, -ny, -nz, -facing
    row = world.surfaces[world.surface_of[hit]]
    footprint = t * pixel_angle / max(0.08, -facing)
    r, g, b, gloss, emission = albedo(row, u, v, footprint, light.night)
    px = ox + dx * t + nx * 0.012 - dx * 0.002
    py = oy + dy * t + ny * 0.012 - dy * 0.002
    pz = oz + dz * t + nz * 0.012 - dz * 0.002
    water = _water(light, row, px, py)
    dark = 1.0 - 0.45 * water
    r, g, b = r * dark, g * dark, b * dark
    sun = _sunlight(world, stack, px, py, pz, nx, ny, nz, int(row[KIND]) == LEAF, r1, r2)
    ir, ig, ib = _ambient(light, nz)
    lr, lg, lb = _lamp_light(world, stack, px, py, pz, nx, ny, nz, True)
    red = r * (sun * light.sun_colour[0] + ir + lr + emission)
    green = g * (sun * light.sun_colour[1] + ig + lg + emission)
    blue = b * (sun * light.sun_colour[2] + ib + lb + emission)
    mirror = max(gloss, 0.95 * water)
    fresnel = 0.04 + 0.96 * (1.0 + facing) ** 5
    k = min(1.0, mirror * (1.5 * fresnel + 0.02))
    if k > 0.012:
        ex, ey, ez = dx - 2.0 * facing * nx, dy - 2.0 * facing * ny, dz - 2.0 * facing * nz
        if reflections or water > 0.0:
            sr, sg, sb = _reflected(world, stack, px, py, pz, ex, ey, ez)
        else:
            sr, sg, sb = _sky(light, ex, ey, abs(ez))
        toward = max(0.0, ex * light.sun[0] + ey * light.sun[1] + ez * light.sun[2])
        glint = toward**220 * 5.0 * gloss if sun > 0.0 else 0.0
        red += (sr - red) * k + glint * light.sun_colour[0]
        green += (sg - green) * k + glint * light.sun_colour[1]
        blue += (sb - blue) * k + glint * light.sun_colour[2]
    return _fogged(light, t, red, green, blue)


@device
def trace_pixel(world, stack, lens, x, y, seed, samples, reflections):
    """Colour and first hit of one pixel: (red, green, blue, depth, surface).

    lens is (fx, fy, cx, cy, skew, R [3, 3], origin [3], shutter [3]); the first sample is the ray
    of the pixel centre at the stamp, further ones spread over the pixel and the exposure.
    """
    fx, fy, cx, cy, skew, R, origin, shutter = lens
    red, green, blue, depth, surface = 0.0, 0.0, 0.0, 0.0, -1
    for s in range(samples):
        r1 = hash3(x, y, seed * 64 + 2 * s)
        r2 = hash3(x, y, seed * 64 + 2 * s + 1)
        jx, jy, moment = 0.5, 0.5, 0.0
        if s > 0:
            jx, jy = (s + r1) / samples, r2
            moment = hash3(x, y, seed * 64 + 40 + s) - 0.5
        b = (y + jy - cy) / fy
        a = (x + jx - cx - skew * b) / fx
        dx = R[0, 0] * a + R[0, 1] * b + R[0, 2]
        dy = R[1, 0] * a + R[1, 1] * b + R[1, 2]
        dz = R[2, 0] * a + R[2, 1] * b + R[2, 2]
        scale = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz)
        dx, dy, dz = F(dx * scale), F(dy * scale), F(dz * scale)
        ox = F(origin[0] + shutter[0] * moment)
        oy = F(origin[1] + shutter[1] * moment)
        oz = F(origin[2] + shutter[2] * moment)
        t, hit, hu, hv = trace(
            world.nodes, world.triangles, stack, ox, oy, oz, dx, dy, dz, F(FAR_M), False
        )
        if hit < 0:
            r, g, b = _sky(_light_of(world), dx, dy, dz)
            haze_m = 250.0 * math.exp(-6.0 * max(dz, 0.0))
            r, g, b = _fogged(_light_of(world), haze_m, r, g, b)
        else:
            ray = (ox, oy, oz, dx, dy, dz)
            r, g, b = _shade(world, stack, t, hit, hu, hv, ray, 1.0 / fx, r1, r2, reflections)
            if s == 0:
                depth, surface = t * scale, world.surface_of[hit]
        # A firefly must not outshine its neighbours: clip before the mean.
        red += min(r, 8.0)
        green += min(g, 8.0)
        blue += min(b, 8.0)
    return red / samples, green / samples, blue / samples, depth, surface


@njit(parallel=True, cache=True, fastmath=True, error_model="numpy")
def render(world, lens, seed, samples, reflections, radiance, depth, instance):
    """Fill radiance [H, W, 3], depth [H, W] (0 for sky) and instance [H, W] (-1 for sky)."""
    height, width = depth.shape
    for y in prange(height):
        stack = np.empty(STACK_DEPTH, np.int32)
        for x in range(width):
            r, g, b, z, surface = trace_pixel(world, stack, lens, x, y, seed, samples, reflections)
            radiance[y, x, 0] = r
            radiance[y, x, 1] = g
            radiance[y, x, 2] = b
            depth[y, x] = z
            instance[y, x] = int(world.surfaces[surface, INSTANCE]) if surface >= 0 else -1


@njit(parallel=True, cache=True, fastmath=True, error_model="numpy")
def cast_rays(nodes, triangles, origin, directions, max_range, ranges, hits):
    """Fill ranges [P] (0 for none) and hits [P] (triangle or -1) of unit rays from one origin."""
    for i in prange(directions.shape[0]):
        stack = np.empty(STACK_DEPTH, np.int32)
        t, hit, u, v = trace(
            nodes,
            triangles,
            stack,
            F(origin[0]),
            F(origin[1]),
            F(origin[2]),
            F(directions[i, 0]),
            F(directions[i, 1]),
            F(directions[i, 2]),
            F(max_range),
            False,
        )
        ranges[i] = t if hit >= 0 else F(0)
        hits[i] = hit
