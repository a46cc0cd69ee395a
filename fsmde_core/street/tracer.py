"""Light transport: sun and lamps with shadows, sky, one reflection, fog; depth of pixel centres.

render and cast_rays work on a World and run on all CPU threads. A packet of rays goes through
the stages of a sample together: hit, sun, lamps, mirror.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from fsmde_core.street.compile import device
from fsmde_core.street.light import ambient, fogged, light_of, sky
from fsmde_core.street.materials import albedo
from fsmde_core.street.noise import fractal_noise, hash3
from fsmde_core.street.surfaces import BARK, INSTANCE, KIND, LEAF, PAVING, ROAD, ZEBRA
from fsmde_core.street.trace import (
    BODY,
    BODY_INSTANCE,
    DX,
    DY,
    DZ,
    HIT,
    LANES,
    NORMALS,
    RAY_ROWS,
    SIDE,
    STACK_DEPTH,
    TINT,
    T,
    U,
    V,
    set_ray,
    trace,
)

F = np.float32
FAR_M = F(1.0e4)
SECONDARY_M = F(160.0)
SUN_M = F(260.0)
LAMP_M = F(60.0)
FIREFLY = F(8.0)

# Rows of a packet beyond the ray's: what the first hit is like, and the light it gets.
(
    VX, VY, VZ, DISTANCE, PX, PY, PZ, NX, NY, NZ, FACING, RED, GREEN, BLUE, GLOSS, EMISSION, WATER,
    SUN, LIT_R, LIT_G, LIT_B, MIRROR, OUT_R, OUT_G, OUT_B, SUM_R, SUM_G, SUM_B, DEPTH, OWNER,
    JITTER_1, JITTER_2, SCALE,
) = range(RAY_ROWS * LANES, (RAY_ROWS + 33) * LANES, LANES)  # fmt: skip
PACKET = (RAY_ROWS + 33) * LANES


@device
def _aim(p, lens, x0, y0, size, seed, s, samples):
    """Camera rays of sample s; the first is the ray of the pixel centre at the stamp.

    lens is (fx, fy, cx, cy, skew, R [3, 3], origin [3], shutter [3]); further samples spread over
    the pixel and the exposure.
    """
    fx, fy, cx, cy, skew, R, origin, shutter = lens
    for i in range(LANES):
        # Lanes beyond the edge of the image repeat its last pixel.
        x, y = min(x0 + i % SIDE, size[0] - 1), min(y0 + i // SIDE, size[1] - 1)
        r1 = hash3(x, y, seed * 64 + 2 * s)
        r2 = hash3(x, y, seed * 64 + 2 * s + 1)
        jx, jy, moment = F(0.5), F(0.5), F(0)
        if s > 0:
            jx, jy = (F(s) + r1) / F(samples), r2
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
        set_ray(p, i, ox, oy, oz, dx, dy, dz, FAR_M)
        p[VX + i], p[VY + i], p[VZ + i] = dx, dy, dz
        p[PX + i], p[PY + i], p[PZ + i] = ox, oy, oz
        p[JITTER_1 + i], p[JITTER_2 + i], p[SCALE + i] = r1, r2, F(scale)


@device
def surface_at(world, p, i):
    """Interpolated normal and uv at the hit of lane i: nx, ny, nz, u, v."""
    a = world.attributes[int(p[HIT + i])]
    body = world.bodies[int(p[BODY + i])]
    hu, hv = p[U + i], p[V + i]
    w = 1.0 - hu - hv
    nx = a[0] * w + a[3] * hu + a[6] * hv
    ny = a[1] * w + a[4] * hu + a[7] * hv
    nz = a[2] * w + a[5] * hu + a[8] * hv
    u = a[9] * w + a[11] * hu + a[13] * hv
    v = a[10] * w + a[12] * hu + a[14] * hv
    k = NORMALS
    nx, ny, nz = (
        body[k] * nx + body[k + 1] * ny + body[k + 2] * nz,
        body[k + 3] * nx + body[k + 4] * ny + body[k + 5] * nz,
        body[k + 6] * nx + body[k + 7] * ny + body[k + 8] * nz,
    )
    scale = 1.0 / max(math.sqrt(nx * nx + ny * ny + nz * nz), F(1e-9))
    return nx * scale, ny * scale, nz * scale, u, v


@device
def tinted(world, p, i, u, v, footprint, lit):
    """albedo at the hit of lane i, in the tint of its body."""
    row = world.surfaces[world.surface_of[int(p[HIT + i])]]
    body = world.bodies[int(p[BODY + i])]
    r, g, b, gloss, emission = albedo(row, u, v, footprint, lit)
    if int(row[KIND]) != BARK:  # a season turns leaves, not wood
        r, g, b = r * body[TINT], g * body[TINT + 1], b * body[TINT + 2]
    return r, g, b, gloss, emission


@device
def _water(light, row, px, py):
    """How wet the ground is at a point, 0 to 1: puddles where the noise is high."""
    kind = int(row[KIND])
    if light.wetness <= 0.0 or not (kind == ROAD or kind == ZEBRA or kind == PAVING):
        return F(0)
    puddle = fractal_noise(px * 0.5, py * 0.5, 77, 0.05)
    return light.wetness * min(1.0, max(0.25, (puddle - 0.42) * 7.0))


@device
def _look(world, p, i, light, pixel_angle):
    """Describe the hit of lane i and aim its ray at the sun, or leave the lane out."""
    nx, ny, nz, u, v = surface_at(world, p, i)
    dx, dy, dz, t = p[VX + i], p[VY + i], p[VZ + i], p[T + i]
    facing = nx * dx + ny * dy + nz * dz
    if facing > 0.0:
        nx, ny, nz, facing = -nx, -ny, -nz, -facing
    row = world.surfaces[world.surface_of[int(p[HIT + i])]]
    footprint = t * pixel_angle / max(0.08, -facing)
    r, g, b, gloss, emission = tinted(world, p, i, u, v, footprint, light.night)
    px = p[PX + i] + dx * t + nx * 0.012 - dx * 0.002
    py = p[PY + i] + dy * t + ny * 0.012 - dy * 0.002
    pz = p[PZ + i] + dz * t + nz * 0.012 - dz * 0.002
    water = _water(light, row, px, py)
    dark = 1.0 - 0.45 * water
    p[RED + i], p[GREEN + i], p[BLUE + i] = r * dark, g * dark, b * dark
    p[GLOSS + i], p[EMISSION + i], p[WATER + i] = gloss, emission, water
    p[PX + i], p[PY + i], p[PZ + i], p[DISTANCE + i] = px, py, pz, t
    p[NX + i], p[NY + i], p[NZ + i], p[FACING + i] = nx, ny, nz, facing
    sun = light.sun
    cosine = nx * sun[0] + ny * sun[1] + nz * sun[2]
    if int(row[KIND]) == LEAF:
        cosine = max(cosine, -0.55 * cosine)  # leaves let a part through
    lit = cosine > 0.0 and light.sun_colour[0] >= 0.02
    p[SUN + i] = cosine
    jx, jy = sun[0] + (p[JITTER_1 + i] - 0.5) * 0.016, sun[1] + (p[JITTER_2 + i] - 0.5) * 0.016
    set_ray(p, i, px, py, pz, jx, jy, sun[2], SUN_M if lit else F(-1))


@device
def _hits(world, p, light, pixel_angle):
    """Sort a traced packet into sky, which is done, and surfaces, whose rays turn to the sun."""
    for i in range(LANES):
        if p[HIT + i] >= 0.0:
            _look(world, p, i, light, pixel_angle)
            continue
        dx, dy, dz = p[VX + i], p[VY + i], p[VZ + i]
        r, g, b = sky(light, dx, dy, dz)
        haze_m = 250.0 * math.exp(-6.0 * max(dz, 0.0))
        p[OUT_R + i], p[OUT_G + i], p[OUT_B + i] = fogged(light, haze_m, r, g, b)
        p[DISTANCE + i], p[T + i] = F(-1), F(-1)


@device
def _sunlight(world, p, stack, light):
    """Trace to the sun; start the light of every hit with it."""
    trace(world, p, stack, True)
    for i in range(LANES):
        sun = p[SUN + i] if p[T + i] > 0.0 else F(0)
        p[SUN + i] = sun
        r, g, b = ambient(light, p[NZ + i])
        p[LIT_R + i] = sun * light.sun_colour[0] + r + p[EMISSION + i]
        p[LIT_G + i] = sun * light.sun_colour[1] + g + p[EMISSION + i]
        p[LIT_B + i] = sun * light.sun_colour[2] + b + p[EMISSION + i]


@device
def _lamplight(world, p, stack):
    """Add every lamp, with its shadows."""
    for k in range(world.lamps.shape[0]):
        lamp = world.lamps[k]
        if not _aim_at_lamp(p, lamp):
            continue
        trace(world, p, stack, True)
        for i in range(LANES):
            strength = p[MIRROR + i] if p[T + i] > 0.0 else F(0)
            p[LIT_R + i] += strength * lamp[3]
            p[LIT_G + i] += strength * lamp[4]
            p[LIT_B + i] += strength * lamp[5]


@device
def _aim_at_lamp(p, lamp):
    """Turn the rays to a lamp where it matters; its irradiance goes to MIRROR. False for none."""
    some = False
    for i in range(LANES):
        p[T + i] = F(-1)
        if p[DISTANCE + i] < 0.0:
            continue
        lx, ly, lz = lamp[0] - p[PX + i], lamp[1] - p[PY + i], lamp[2] - p[PZ + i]
        d2 = lx * lx + ly * ly + lz * lz + 0.05
        if d2 > LAMP_M * LAMP_M:
            continue
        inv = 1.0 / math.sqrt(d2)
        lx, ly, lz = lx * inv, ly * inv, lz * inv
        spot = -(lx * lamp[6] + ly * lamp[7] + lz * lamp[8])
        cosine = p[NX + i] * lx + p[NY + i] * ly + p[NZ + i] * lz
        if cosine <= 0.0 or spot < lamp[9]:
            continue
        strength = cosine * min(1.0, (spot - lamp[9]) * 6.0) / d2
        if strength * lamp[3] < 0.004:
            continue
        some = True
        p[MIRROR + i] = strength
        set_ray(p, i, p[PX + i], p[PY + i], p[PZ + i], lx, ly, lz, max(1.0 / inv - 0.5, 0.01))
    return some


@device
def _mirror(world, p, stack, light, reflections):
    """Shade every hit: what it scatters, what it mirrors, the air before it."""
    some = False
    for i in range(LANES):
        p[T + i] = F(-1)
        if p[DISTANCE + i] < 0.0:
            continue
        facing, water = p[FACING + i], p[WATER + i]
        fresnel = 0.04 + 0.96 * (1.0 + facing) ** 5
        k = min(1.0, max(p[GLOSS + i], 0.95 * water) * (1.5 * fresnel + 0.02))
        p[MIRROR + i] = k if k > 0.012 else F(0)
        ex = p[VX + i] - 2.0 * facing * p[NX + i]
        ey = p[VY + i] - 2.0 * facing * p[NY + i]
        ez = p[VZ + i] - 2.0 * facing * p[NZ + i]
        traced = k > 0.012 and (reflections or water > 0.0)
        some = some or traced
        reach = SECONDARY_M if traced else F(-1)
        set_ray(p, i, p[PX + i], p[PY + i], p[PZ + i], ex, ey, ez, reach)
    if some:
        trace(world, p, stack, False)
    for i in range(LANES):
        if p[DISTANCE + i] >= 0.0:
            _blend(world, p, i, light)


@device
def _blend(world, p, i, light):
    red, green, blue = p[RED + i] * p[LIT_R + i], p[GREEN + i] * p[LIT_G + i], p[BLUE + i]
    blue *= p[LIT_B + i]
    k = p[MIRROR + i]
    if k > 0.0:
        dx, dy, dz = p[DX + i], p[DY + i], p[DZ + i]
        if p[HIT + i] >= 0.0:
            r, g, b = _secondary(world, p, i, light)
        else:
            r, g, b = sky(light, dx, dy, abs(dz))
        toward = max(0.0, dx * light.sun[0] + dy * light.sun[1] + dz * light.sun[2])
        glint = toward**220 * 5.0 * p[GLOSS + i] if p[SUN + i] > 0.0 else 0.0
        red += (r - red) * k + glint * light.sun_colour[0]
        green += (g - green) * k + glint * light.sun_colour[1]
        blue += (b - blue) * k + glint * light.sun_colour[2]
    red, green, blue = fogged(light, p[DISTANCE + i], red, green, blue)
    p[OUT_R + i], p[OUT_G + i], p[OUT_B + i] = red, green, blue


@device
def _secondary(world, p, i, light):
    """Radiance of the hit of a mirrored ray: sun without shadows and sky."""
    nx, ny, nz, u, v = surface_at(world, p, i)
    if nx * p[DX + i] + ny * p[DY + i] + nz * p[DZ + i] > 0.0:
        nx, ny, nz = -nx, -ny, -nz
    r, g, b, gloss, emission = tinted(world, p, i, u, v, F(0.3), light.night)
    direct = max(0.0, nx * light.sun[0] + ny * light.sun[1] + nz * light.sun[2])
    ar, ag, ab = ambient(light, nz)
    return (
        r * (direct * light.sun_colour[0] + ar + emission),
        g * (direct * light.sun_colour[1] + ag + emission),
        b * (direct * light.sun_colour[2] + ab + emission),
    )


@device
def _owner(world, p, i):
    """Instance that lane i has hit, -1 for none."""
    if p[HIT + i] < 0.0:
        return F(-1)
    instance = world.bodies[int(p[BODY + i]), BODY_INSTANCE]
    if instance >= 0.0:
        return instance
    return world.surfaces[world.surface_of[int(p[HIT + i])], INSTANCE]


@device
def trace_pixels(world, p, stack, lens, x0, y0, size, config):
    """Sums of colour, depth and instance of the SIDE x SIDE pixels from (x0, y0).

    They are left in the rows SUM_R, SUM_G, SUM_B, DEPTH and OWNER of the packet p.
    """
    seed, samples, reflections = config
    light = light_of(world)
    for i in range(LANES):
        p[SUM_R + i], p[SUM_G + i], p[SUM_B + i] = F(0), F(0), F(0)
    for s in range(samples):
        _aim(p, lens, x0, y0, size, seed, s, samples)
        trace(world, p, stack, False)
        if s == 0:
            for i in range(LANES):
                p[DEPTH + i] = p[T + i] * p[SCALE + i] if p[HIT + i] >= 0.0 else F(0)
                p[OWNER + i] = _owner(world, p, i)
        _hits(world, p, light, F(1.0 / lens[0]))
        _sunlight(world, p, stack, light)
        _lamplight(world, p, stack)
        _mirror(world, p, stack, light, reflections)
        for i in range(LANES):
            # A firefly must not outshine its neighbours: clip before the mean.
            p[SUM_R + i] += min(p[OUT_R + i], FIREFLY)
            p[SUM_G + i] += min(p[OUT_G + i], FIREFLY)
            p[SUM_B + i] += min(p[OUT_B + i], FIREFLY)


@device
def render_tile(world, p, stack, lens, corner, config, radiance, depth, instance):
    """Fill the SIDE x SIDE pixels from corner; config is (seed, samples, reflections)."""
    height, width = depth.shape
    x0, y0 = corner
    samples = config[1]
    trace_pixels(world, p, stack, lens, x0, y0, (width, height), config)
    for i in range(LANES):
        x, y = min(x0 + i % SIDE, width - 1), min(y0 + i // SIDE, height - 1)
        radiance[y, x, 0] = p[SUM_R + i] / F(samples)
        radiance[y, x, 1] = p[SUM_G + i] / F(samples)
        radiance[y, x, 2] = p[SUM_B + i] / F(samples)
        depth[y, x] = p[DEPTH + i]
        instance[y, x] = int(p[OWNER + i])


@njit(parallel=True, cache=True, fastmath=True, error_model="numpy")
def render(world, lens, config, radiance, depth, instance):
    """Fill radiance [H, W, 3], depth [H, W] (0 for sky) and instance [H, W] (-1 for sky).

    config is (seed, samples, reflections), the last a bool.
    """
    height, width = depth.shape
    rows = (height + SIDE - 1) // SIDE
    for k in prange(rows):
        # Threads get blocks of consecutive k; odd rows last, so that each gets sky and ground.
        y0 = SIDE * (2 * k if 2 * k < rows else 2 * (rows - 1 - k) + 1)
        p = np.zeros(PACKET, np.float32)
        stack = np.empty(STACK_DEPTH, np.int32)
        for x0 in range(0, width, SIDE):
            render_tile(world, p, stack, lens, (x0, y0), config, radiance, depth, instance)


@njit(parallel=True, cache=True, fastmath=True, error_model="numpy")
def cast_rays(world, origin, directions, max_range, ranges, surface, facing):
    """Cast unit rays [P, 3] from one origin.

    Fills ranges [P] metres (0 for none), surface [P] (row of surfaces, -1 for none) and facing
    [P] (cosine between ray and normal).
    """
    count = directions.shape[0]
    for k in prange((count + LANES - 1) // LANES):
        p = np.zeros(PACKET, np.float32)
        stack = np.empty(STACK_DEPTH, np.int32)
        for i in range(LANES):
            d = directions[min(k * LANES + i, count - 1)]
            set_ray(p, i, origin[0], origin[1], origin[2], d[0], d[1], d[2], max_range)
        trace(world, p, stack, False)
        for i in range(LANES):
            j = min(k * LANES + i, count - 1)
            ranges[j], surface[j], facing[j] = F(0), -1, F(0)
            if p[HIT + i] >= 0.0:
                nx, ny, nz, u, v = surface_at(world, p, i)
                ranges[j] = p[T + i]
                surface[j] = world.surface_of[int(p[HIT + i])]
                facing[j] = abs(nx * p[DX + i] + ny * p[DY + i] + nz * p[DZ + i])
