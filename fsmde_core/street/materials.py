"""Procedural albedo of every surface kind, evaluated at the hit point.

u, v are metres along the surface (for the ground: along and across the road); footprint is the
width of the pixel on the surface in metres, so that detail finer than a pixel turns to its mean.
Each texture returns (red, green, blue, gloss, emission), linear light.
"""

from __future__ import annotations

import math

import numpy as np

from fsmde_core.street.compile import device
from fsmde_core.street.noise import fractal_noise, hash3, value_noise
from fsmde_core.street.surfaces import (
    BARK,
    BLUE,
    BLUE2,
    CLOTH,
    EMISSION,
    FACADE,
    FIELD,
    GLASS,
    GLOSS,
    GRASS,
    GREEN,
    GREEN2,
    KIND,
    LEAF,
    P0,
    P1,
    P2,
    P3,
    P4,
    PAINT,
    PAVING,
    RED,
    RED2,
    ROAD,
    ROOF,
    SEED,
    SIGN,
    WALL,
    ZEBRA,
)

F = np.float32


@device
def _fract(x):
    return x - F(math.floor(x))


@device
def _asphalt(s, t, seed, footprint, shade):
    """Grey of worn asphalt: patches, wheel tracks' grain, tar seams and cracks."""
    broad = fractal_noise(s * 0.35, t * 0.35, seed, footprint * 0.35)
    fine = fractal_noise(s * 9.0, t * 9.0, seed + 7, footprint * 9.0)
    grain = value_noise(s * 70.0, t * 70.0, seed + 9) if footprint < 0.02 else 0.5
    grey = shade * (0.7 + 0.6 * broad) * (0.72 + 0.3 * fine + 0.26 * grain)
    patch = hash3(math.floor(s / 6.3), math.floor(t / 2.6), seed)
    if patch > 0.9:
        grey *= 0.62 + 0.2 * fine
    crack = abs(fractal_noise(s * 0.55, t * 0.55, seed + 31, footprint) - 0.5)
    if crack < 0.0035 and footprint < 0.06:
        grey *= 0.45
    stain = value_noise(s * 0.8, t * 1.7, seed + 51)
    if stain > 0.86:
        grey *= 1.0 - 2.5 * (stain - 0.86)
    return grey


@device
def _road(row, s, t, footprint):
    """Lanes and markings; P0 lane width, P1 lanes a side, P2 half width, P3 centre, P4 tone."""
    seed = int(row[SEED] * 1e6)
    lane, lanes, half, centre = row[P0], row[P1], row[P2], row[P3]
    side = abs(t)
    grey = _asphalt(s, t, seed, footprint, row[P4])
    across = (_fract(side / lane) - 0.5) * 2.0
    track = math.exp(-((abs(across) - 0.5) ** 2) * 30.0)
    grey *= 1.0 - 0.14 * track * (0.5 + value_noise(s * 0.15, t * 2.0, seed + 3))
    yellow = False
    mark = abs(side - half + 0.25) < 0.07
    for k in range(1, 4):
        if k < lanes and abs(side - lane * F(k)) < 0.07 and _fract(s / 9.0) < 0.36:
            mark = True
    if centre < 0.4:
        if abs(side - 0.14) < 0.06:
            mark = True
            yellow = True
    elif centre < 0.85:
        if side < 0.07 and (centre < 0.5 or _fract(s / 6.0) < 0.5):
            mark = True
    # An arrow on every lane, now and then.
    ahead = _fract(s / 41.0) * 41.0
    middle = (_fract(side / lane) - 0.5) * lane
    if side < lanes * lane and ahead < 3.4:
        if abs(middle) < 0.08 or (ahead < 1.1 and abs(middle) < ahead * 0.4):
            mark = True
    wear = fractal_noise(s * 4.0, t * 4.0, seed + 5, footprint * 4.0)
    r, g, b = grey, grey, grey * 1.03
    if mark and wear > 0.34:
        white = 0.62 * (0.7 + 0.5 * wear)
        r, g, b = white, white * (0.7 if yellow else 1.0), white * (0.14 if yellow else 0.97)
    hole = (_fract(s / 17.3) * 17.3 - 6.0) ** 2 + (side - lane * 0.5) ** 2
    if hole < 0.11:
        ring = 0.75 if hole > 0.085 else 0.5
        r, g, b = r * ring, g * ring, b * ring
    return r, g, b


@device
def _zebra(row, s, t, footprint):
    """Crossing stripes (P0 = 0) or a stop line (P0 = 1); P4 tone of the asphalt."""
    seed = int(row[SEED] * 1e6)
    grey = _asphalt(s, t, seed, footprint, row[P4])
    wear = fractal_noise(s * 4.0, t * 4.0, seed + 5, footprint * 4.0)
    if wear > 0.36 and (row[P0] > 0.5 or _fract(t) < 0.5):
        grey = 0.6 * (0.7 + 0.5 * wear)
    return grey, grey, grey * 1.02


@device
def _paving(row, s, t, footprint):
    """Slabs of P0 metres with joints; P1 staggers the rows like bricks."""
    seed = int(row[SEED] * 1e6)
    size = row[P0]
    along = s / size + (0.5 * F(math.floor(t / size) % 2) if row[P1] > 0.5 else F(0))
    tone = hash3(math.floor(along), math.floor(t / size), seed)
    broad = fractal_noise(s * 0.4, t * 0.4, seed, footprint)
    fine = fractal_noise(s * 11.0, t * 11.0, seed + 3, footprint * 11.0)
    k = (0.65 + 0.5 * broad) * (0.78 + 0.4 * fine) * (0.88 + 0.24 * tone)
    gap = 0.018 / size
    if footprint < 0.08 and (_fract(along) < gap or _fract(t / size) < gap):
        k *= 0.5
    if value_noise(s * 2.1, t * 2.1, seed + 21) > 0.9:
        k *= 0.8
    return row[RED] * k, row[GREEN] * k, row[BLUE] * k


@device
def _grass(row, s, t, footprint):
    """Grass with dry and bare spots."""
    seed = int(row[SEED] * 1e6)
    dry = fractal_noise(s * 0.25, t * 0.25, seed + 11, footprint)
    fine = fractal_noise(s * 14.0, t * 14.0, seed, footprint * 14.0)
    k = 0.45 + 1.1 * fine
    w = min(1.0, max(0.0, (dry - 0.45) * 3.0))
    r = row[RED] + (row[RED2] - row[RED]) * w
    g = row[GREEN] + (row[GREEN2] - row[GREEN]) * w
    b = row[BLUE] + (row[BLUE2] - row[BLUE]) * w
    return r * k, g * k, b * k


@device
def _wall_finish(row, u, v, footprint, seed):
    """Brightness of a wall: dirt from the ground and below sills, bricks, panels or render."""
    k = 0.68 + 0.6 * fractal_noise(u * 0.4, v * 0.25, seed, footprint * 0.4)
    k *= 0.9 + 0.2 * value_noise(u * 3.0, v * 0.12, seed + 71)
    if v < 1.2:
        k *= 0.8 + 0.17 * max(v, 0.0)
    style = int(row[P3]) % 8
    if style == 0 and footprint < 0.08:
        course = math.floor(v / 0.075)
        brick = u / 0.22 + 0.5 * F(course % 2)
        k *= 0.75 + 0.45 * hash3(math.floor(brick), int(course), seed)
        if v / 0.075 - F(course) < 0.14 or _fract(brick) < 0.05:
            k *= 1.25
    elif style == 1:
        k *= 0.9 + 0.2 * fractal_noise(u * 12.0, v * 12.0, seed, footprint * 12.0)
    elif style == 2 and (_fract(v / row[P1]) < 0.03 or _fract(u / row[P0]) < 0.012):
        k *= 0.55
    return k


@device
def _shop_front(row, u, v, storey, seed, lit):
    """Ground floor of a shop: (is window, red, green, blue, emission)."""
    shop = math.floor(u / 9.0)
    if v < storey * 0.76:
        if v > 0.42 and _fract(u / 2.4) > 0.05:
            glow = 0.55 * lit if hash3(shop, 8, seed) < 0.7 else 0.0
            shelf = value_noise(u * 2.6, v * 2.2, seed + 13)
            c = 0.03 + 0.3 * shelf * shelf
            return True, c, c * 0.9, c * 0.75, glow
        return False, row[RED2], row[GREEN2], row[BLUE2], 0.0
    r = 0.06 + 0.5 * hash3(shop, 3, seed)
    g = 0.06 + 0.4 * hash3(shop, 4, seed)
    b = 0.06 + 0.4 * hash3(shop, 5, seed)
    inner = storey * 0.82 < v and v < storey * 0.94 and _fract(u / 9.0) > 0.2
    if inner and _fract(u / 9.0) < 0.75 and value_noise(u * 5.3, v * 2.5, seed + 2) > 0.52:
        return False, 0.75, 0.74, 0.7, 0.4 * lit
    return False, r, g, b, 0.15 * lit


@device
def _window_pane(row, bay, floor, lu, lv, half, seed, lit):
    """Inside a window: curtains, blinds, dark rooms, lit rooms at night."""
    chance = hash3(bay, floor, seed + 5)
    c = 0.02 + 0.06 * chance
    r, g, b = c, c, c * 1.05
    emission = 0.0
    if chance > 0.45 and abs(lu - 0.5) > half * (1.6 * chance - 0.7):
        fold = 0.25 + 0.35 * value_noise(lu * 40.0, F(floor) * 3.1, seed)
        r, g, b = fold, fold * 0.96, fold * 0.88
    elif chance > 0.2 and lv > 1.1 - chance:
        slat = 0.3 if _fract(lv * 30.0) < 0.7 else 0.15
        r, g, b = slat, slat, slat * 0.95
    if hash3(bay, floor, seed + 6) < 0.38 * lit:
        warm = 0.5 + 0.5 * hash3(bay, floor, seed + 7)
        r, g, b, emission = 0.5 + r * 0.3, 0.36 + g * 0.3, 0.2 * warm + b * 0.3, 0.7
    return r, g, b, emission


@device
def _facade(row, u, v, footprint, lit):
    """Windows of P0 x P1 metres (bay, storey), P2 glass share, P3 style (+8 with shops)."""
    seed = int(row[SEED] * 1e6)
    bay_m, storey, share = row[P0], row[P1], row[P2]
    k = _wall_finish(row, u, v, footprint, seed)
    r, g, b = row[RED] * k, row[GREEN] * k, row[BLUE] * k
    if v < 0.0:
        return r, g, b, 0.0, 0.0
    floor = math.floor(v / storey)
    bay = math.floor(u / bay_m)
    lu, lv = _fract(u / bay_m), _fract(v / storey)
    if int(row[P3]) >= 8 and floor == 0:
        pane, r, g, b, glow = _shop_front(row, u, v, storey, seed, lit)
        return r, g, b, (0.8 if pane else 0.05), glow
    style = int(row[P3]) % 8
    half = 0.5 * share
    low, high = 0.28, 0.84
    if style == 3:
        half, low, high = 0.485, 0.3, 0.995
    elif style == 4:
        low, high = 0.06, 0.8
    off = abs(lu - 0.5)
    if off < half and low < lv and lv < high:
        bar = abs(off - half * 0.02) < 0.011 * 3.0 / bay_m or abs(lv - 0.62) < 0.009
        if bar or off > half - 0.05 / bay_m or lv > high - 0.016 or lv < low + 0.016:
            return row[RED2], row[GREEN2], row[BLUE2], 0.1, 0.0
        r, g, b, glow = _window_pane(row, bay, floor, lu, lv, half, seed, lit)
        # The reveal shades the top and one side of the pane.
        reveal = 0.45 if lv > high - 0.05 or lu < 0.5 - half + 0.09 / bay_m else 1.0
        return r * reveal, g * reveal, b * reveal, 0.9, glow
    if off < half + 0.04 and lv > low - 0.045 and lv <= low:
        return row[RED2], row[GREEN2], row[BLUE2], 0.0, 0.0
    if lv < low and off < half:
        k = 0.8 + 0.2 * value_noise(u * 7.0, v * 0.6, seed + 17)
        return r * k, g * k, b * k, 0.0, 0.0
    return r, g, b, 0.0, 0.0


@device
def _bodywork(row, u, v, footprint):
    """Car paint with door seams (u along the car, v up, metres), sill dirt; P0 length."""
    seed = int(row[SEED] * 1e6)
    r, g, b, gloss = row[RED], row[GREEN], row[BLUE], row[GLOSS]
    door = abs(u + 0.02 * row[P0]) < 0.012 or abs(u - 0.2 * row[P0]) < 0.012
    door = door or abs(u + 0.21 * row[P0]) < 0.012
    if door and 0.28 < v and v < row[P1] and row[P2] > 0.5:
        r, g, b = r * 0.25, g * 0.25, b * 0.25
    dirt = min(0.6, max(0.0, 0.55 - v)) * (0.4 + fractal_noise(u * 5.0, v * 5.0, seed, footprint))
    r += (0.12 - r) * dirt
    g += (0.105 - g) * dirt
    b += (0.085 - b) * dirt
    return r, g, b, gloss * (1.0 - dirt)


@device
def _roof(row, u, v, footprint):
    """Rows of tiles with moss and age."""
    seed = int(row[SEED] * 1e6)
    course = math.floor(v / 0.3)
    k = 0.8 + 0.35 * hash3(math.floor(u / 0.25), int(course), seed)
    if footprint < 0.1 and v / 0.3 - F(course) < 0.12:
        k *= 0.6
    return k * (0.7 + 0.6 * fractal_noise(u * 0.7, v * 0.7, seed, footprint))


@device
def _sign(row, u, v):
    """A plate with a border and a made-up pictogram; u, v in [0, 1]."""
    seed = int(row[SEED] * 1e6)
    edge = min(min(u, 1.0 - u), min(v, 1.0 - v))
    cell = hash3(int(abs(u - 0.5) * 9.0), int(v * 7.0), seed)
    if edge < 0.07 or (edge > 0.2 and cell > 0.55):
        return row[RED2], row[GREEN2], row[BLUE2]
    return row[RED], row[GREEN], row[BLUE]


@device
def albedo(row, u, v, footprint, lit):
    """Colour, gloss and emission of a surface at a point; lit is 1 at night, 0 by day."""
    kind = int(row[KIND])
    seed = int(row[SEED] * 1e6)
    r, g, b = row[RED], row[GREEN], row[BLUE]
    gloss, emission = row[GLOSS], row[EMISSION]
    if kind == ROAD:
        r, g, b = _road(row, u, v, footprint)
    elif kind == ZEBRA:
        r, g, b = _zebra(row, u, v, footprint)
    elif kind == PAVING:
        r, g, b = _paving(row, u, v, footprint)
    elif kind == GRASS or kind == FIELD:
        r, g, b = _grass(row, u, v, footprint)
    elif kind == FACADE:
        r, g, b, gloss, emission = _facade(row, u, v, footprint, lit)
    elif kind == PAINT:
        r, g, b, gloss = _bodywork(row, u, v, footprint)
    elif kind == LEAF:
        w = value_noise(u * 97.0, v * 89.0, seed)
        r = (r + (row[RED2] - r) * w) * (0.65 + 0.6 * _fract(u * 13.0))
        g = (g + (row[GREEN2] - g) * w) * (0.65 + 0.6 * _fract(u * 13.0))
        b = b + (row[BLUE2] - b) * w
        k = 1.0 - row[P0] * (1.0 - v)  # v is the share of the sky that a leaf of a crown sees
        r, g, b = r * k, g * k, b * k
    elif kind == SIGN:
        r, g, b = _sign(row, u, v)
    elif kind != GLASS:
        k = 1.0
        if kind == ROOF:
            k = _roof(row, u, v, footprint)
        elif kind == BARK:
            k = 0.5 + 0.9 * fractal_noise(u * 26.0, v * 4.0, seed, footprint * 26.0)
        elif kind == CLOTH:
            k = 0.72 + 0.55 * fractal_noise(u * 6.0, v * 9.0, seed, footprint * 9.0)
        elif kind == WALL:
            k = _wall_finish(row, u, v, footprint, seed)
        elif emission <= 0.0:
            k = 0.78 + 0.44 * fractal_noise(u * 2.0, v * 2.0, seed, footprint * 2.0)
        r, g, b = r * k, g * k, b * k
    return r, g, b, gloss, emission
