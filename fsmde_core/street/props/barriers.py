"""What lines a road: rails, kerbs, posts, cones, and fences that one sees through.

A piece is PIECE_M long along x and joins the next one; where it has a face, that is the side of -y.
"""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.props.fences import FENCES, HALF_M, PIECE_M, along, uprights
from fsmde_core.street.props.pictures import Canvas, graffiti, poster
from fsmde_core.street.props.solids import (
    BLACK,
    FOOT_M,
    ORANGE,
    RED,
    WHITE,
    YELLOW,
    Prop,
    any_colour,
    beams,
    concrete,
    dispatch,
    plain,
    prism,
    rock,
    rope,
    slab,
    steel,
    wood,
)


def make_barrier(rng: np.random.Generator, kind: str) -> Prop:
    """A piece of one of BARRIER_KINDS; ValueError for an unknown kind."""
    return dispatch(MAKERS, rng, kind)


def _guard_rail(mesh: MeshBuilder, rng) -> None:
    """W-beams on posts, 0.75 m or two of them one above the other, on one side or on both."""
    zinc = steel(mesh, rng, low=0.25, high=0.5)
    post = steel(mesh, rng, low=0.15, high=0.4)
    levels = (0.6,) if rng.random() < 0.75 else (0.5, 0.95)
    profile = np.array([(0, -0.155), (-0.08, -0.11), (-0.08, -0.06), (0, -0.02), (0, 0.02),
                        (-0.08, 0.06), (-0.08, 0.11), (0, 0.155)])  # fmt: skip
    sides = (-1, 1) if rng.random() < 0.3 else (-1,)
    bow = 0.02 * rng.normal(size=5) * (rng.random() < 0.3)
    bow[[0, -1]] = 0
    x = np.linspace(-HALF_M, HALF_M + 0.03, 5)
    for side in sides:
        for z in levels:
            y = -side * (profile[None, :, 0] - 0.09) + bow[:, None]
            points = np.stack(np.broadcast_arrays(x[:, None], y, z + profile[None, :, 1]), axis=-1)
            uv = np.stack(np.broadcast_arrays(x[:, None], profile[None, :, 1]), axis=-1)
            mesh.grid(zinc, points, uv=uv, smooth=False)
            for at in (-1.0, 1.0):
                slab(mesh, post, (at, side * 0.08, z), (0.05, 0.06, 0.1))
    for at in (-1.0, 1.0):
        mesh.box(post, (at, 0, levels[-1] / 2 - 0.08), (0.05, 0.035, levels[-1] / 2 + 0.22))
    cat = plain(mesh, rng, ORANGE if rng.random() < 0.5 else WHITE, gloss=0.4)
    mesh.box(cat, (0, sides[0] * 0.1, levels[-1] + 0.12), (0.05, 0.01, 0.06))


def _cable_barrier(mesh: MeshBuilder, rng) -> None:
    """Three or four wire ropes on thin posts, 0.8 m."""
    zinc, dark = steel(mesh, rng, low=0.25), steel(mesh, rng)
    uprights(mesh, zinc, along(2), 0.0, -FOOT_M, 0.85, 0.05, 0.1)
    for z in np.linspace(0.45, 0.8, int(rng.integers(3, 5))):
        rope(mesh, dark, [(-HALF_M, 0.04, z), (HALF_M, 0.04, z)], 0.012)


def _jersey(mesh: MeshBuilder, rng) -> None:
    """A concrete Jersey barrier, 0.8 or 1.1 m, in units with lifting slots and scraped faces."""
    height = rng.choice([0.81, 1.1])
    stone = concrete(mesh, rng, panel=(50, 50))
    joint = plain(mesh, rng, BLACK)
    half = np.array([(0.3, -FOOT_M), (0.3, 0.08), (0.14, 0.33), (0.08, height)])
    outline = np.concatenate([half, half[::-1] * (-1, 1)])
    units = int(rng.integers(1, 3))
    for k in range(units):
        low = -HALF_M + k * PIECE_M / units
        high = low + PIECE_M / units
        prism(mesh, stone, outline, low + 0.015, high - 0.015)
        for x in (low + 0.5, high - 0.5):
            for side in (-1, 1):
                mesh.box(joint, (x, side * 0.295, 0.04), (0.14, 0.008, 0.04))
        slab(mesh, joint, (high, 0, height / 2), (0.016, 0.07, height / 2 - 0.05))
    if rng.random() < 0.5:
        lamp = plain(mesh, rng, YELLOW, gloss=0.5)
        for x in along(2):
            slab(mesh, lamp, (x, 0, height + 0.06), (0.05, 0.03, 0.06))
    elif rng.random() < 0.5:
        # The upper face leans by 7 degrees; the paint stays before it.
        lean = np.array([0, 0.06, height - 0.33])
        canvas = Canvas(mesh, (-HALF_M + 0.2, -0.145, 0.34), (1, 0, 0), lean / np.linalg.norm(lean))
        graffiti(canvas, rng, PIECE_M - 0.4, height - 0.4)


def _water_barrier(mesh: MeshBuilder, rng) -> None:
    """Water-filled plastic barriers in red and white by turns, 0.75 to 1.05 m."""
    pair = [(RED, WHITE), (ORANGE, WHITE), (WHITE, RED), (RED, RED), (YELLOW, BLACK)]
    colours = [plain(mesh, rng, c, gloss=0.2) for c in pair[rng.integers(len(pair))]]
    dark = plain(mesh, rng, BLACK)
    height, units = rng.uniform(0.75, 1.05), int(rng.choice([2, 3, 4]))
    wide = rng.uniform(0.2, 0.27)
    z = np.array([-FOOT_M, 0.14, 0.2, 0.52 * height, 0.58 * height, 0.82 * height, height])
    y = np.array([1.0, 1.0, 0.82, 0.55, 0.66, 0.62, 0.42]) * wide
    half = np.column_stack([y, z])
    outline = np.concatenate([half, half[::-1] * (-1, 1)])
    length = PIECE_M / units
    for k in range(units):
        low, row = -HALF_M + k * length, colours[k % 2]
        inner = outline * (0.8, 1) - (0, 0.03)
        prism(mesh, row, inner, low + 0.01, low + length - 0.01)
        for a, b in ((0.03, 0.3), (0.37, 0.63), (0.7, 0.97)):
            prism(mesh, row, outline, low + a * length, low + b * length)
        mesh.tube(
            dark, (low + length / 2, 0, height), (low + length / 2, 0, height + 0.03), 0.05, 0.04
        )
        for side in (-1, 1):
            for a in (0.25, 0.75):
                mesh.box(dark, (low + a * length, side * wide, 0.05), (0.1, 0.006, 0.05))
    if rng.random() < 0.35:
        rail = steel(mesh, rng, low=0.3)
        uprights(mesh, rail, along(3), 0.0, height - 0.05, height + 0.9, 0.05, 0.05)
        for k in range(3):
            at = height + 0.3 + 0.28 * k
            beams(mesh, rail, (-HALF_M, 0, at), (HALF_M, 0, at), 0.03, 0.05)


def _bollards(mesh: MeshBuilder, rng) -> None:
    """A row of steel, stone, timber or plastic bollards."""
    style, count = int(rng.integers(4)), int(rng.integers(2, 4))
    height, radius = rng.uniform(0.7, 1.15), rng.uniform(0.05, 0.14)
    body = [steel(mesh, rng, low=0.03), concrete(mesh, rng), wood(mesh, rng),
            plain(mesh, rng, any_colour(rng, 0.7))][style]  # fmt: skip
    band = plain(mesh, rng, (WHITE, RED, YELLOW)[rng.integers(3)], gloss=0.3)
    for x in along(count):
        mesh.tube(body, (x, 0, -FOOT_M), (x, 0, height), radius, radius * 0.95, sides=14)
        mesh.ellipsoid(body, (x, 0, height), (radius * 0.95, radius * 0.95, radius * 0.6), up=6)
        if style == 1:
            mesh.ellipsoid(body, (x, 0, height * 0.55), np.full(3, radius * 2.2), around=14, up=10)
        for z in (0.72, 0.86) if rng.random() < 0.7 else ():
            at = z * height
            mesh.tube(band, (x, 0, at), (x, 0, at + 0.06), radius + 0.004, radius + 0.004, sides=14)
    if rng.random() < 0.3:
        for a, b in zip(along(count)[:-1], along(count)[1:]):
            k = np.linspace(0, 1, 12)
            z = height * 0.9 - 0.9 * k * (1 - k)
            rope(mesh, body, np.column_stack([a + (b - a) * k, 0 * k, z]), 0.014)


def _kerb(mesh: MeshBuilder, rng) -> None:
    """Kerb stones of a metre, 0.1 to 0.25 m high, plain or painted by turns."""
    paints = [(BLACK, WHITE), (YELLOW, YELLOW), (RED, WHITE), (YELLOW, BLACK), None, None]
    pair = paints[rng.integers(len(paints))]
    stone = concrete(mesh, rng, panel=(50, 50))
    high, wide = rng.uniform(0.1, 0.25), rng.uniform(0.08, 0.22)
    rows = [stone] * 2
    if pair is not None:
        rows = [
            mesh.surface(
                sf.WALL, np.array(c) * 0.9 + 0.02, seed=rng.random(), params=(50, 50, 0, 1)
            )
            for c in pair
        ]
    outline = [
        (-wide, -FOOT_M),
        (wide, -FOOT_M),
        (wide, high),
        (0.04 - wide, high),
        (-wide, high - 0.05),
    ]
    for k in range(4):
        x = -HALF_M + k
        prism(
            mesh, rows[k % 2], np.array(outline) + (rng.normal(0, 0.004), 0), x + 0.005, x + 0.995
        )


def _crowd_barrier(mesh: MeshBuilder, rng) -> None:
    """Two crowd-control barriers of 2 m: a bent tube, bars and flat feet."""
    zinc = steel(mesh, rng, low=0.25, high=0.55)
    for middle in (-1.0, 1.0):
        lean, c, r = rng.normal(0, 0.04, 2), 0.97, 0.12
        frame = [(-c, 0.05), (-c, 1.1 - r), (r - c, 1.1), (c - r, 1.1), (c, 1.1 - r), (c, 0.05)]

        def place(x, z, middle=middle, lean=lean, c=c):
            return middle + x, lean[0] * x / c + lean[1] * z, z

        rope(mesh, zinc, [place(x, z) for x, z in frame], 0.02, sides=8)
        rope(mesh, zinc, [place(-c, 0.18), place(c, 0.18)], 0.016, sides=6)
        x = np.linspace(-c, c, 16)[1:-1]
        low, high = (np.array([place(a, z) for a in x]) for z in (0.18, 1.1))
        thin = np.full(len(x), 0.008)
        mesh.tubes(zinc, low, high, thin, thin, sides=5)
        for a in (-0.75, 0.75):
            foot = np.array(place(a, 0.02))
            beams(mesh, zinc, foot - (0, 0.32, 0), foot + (0, 0.32, 0), 0.05, 0.03)
            mesh.tube(zinc, foot - (0, 0, 0.1), foot + (0, 0, 0.2), 0.016, 0.016)
        if rng.random() < 0.3:
            canvas = Canvas(mesh, place(-0.6, 0.4) - np.array([0, 0.06, 0]), (1, 0, 0), (0, 0, 1))
            poster(canvas, rng, 1.2, 0.5)


def _cones(mesh: MeshBuilder, rng) -> None:
    """Two to four traffic cones with bands, one of them perhaps askew."""
    count, tall = int(rng.integers(2, 5)), rng.uniform(0.45, 1.0)
    orange, white = plain(mesh, rng, ORANGE), plain(mesh, rng, WHITE, gloss=0.2)
    base = plain(mesh, rng, BLACK if rng.random() < 0.5 else ORANGE)
    for x in along(count):
        y, lean = rng.normal(0, 0.12), rng.normal(0, 0.03, 2) * tall
        mesh.box(base, (x, y, 0.0), (0.24 * tall, 0.24 * tall, 0.045), yaw=rng.uniform(0, 1.5))

        def at(share, x=x, y=y, lean=lean):
            return x + lean[0] * share, y + lean[1] * share, 0.03 + share * tall

        radius = 0.19 * tall
        mesh.tube(orange, at(0), at(1), radius, 0.15 * radius, sides=18)
        for low, high in ((0.38, 0.56), (0.7, 0.82)):
            a, b = (radius * (1 - 0.85 * k) + 0.004 for k in (low, high))
            mesh.tube(white, at(low), at(high), a, b, sides=18)


def _delineators(mesh: MeshBuilder, rng) -> None:
    """Flexible lane posts, or roadside posts of white plastic with a black field."""
    if rng.random() < 0.5:
        body = plain(mesh, rng, (ORANGE, RED, YELLOW, (0.02, 0.25, 0.1))[rng.integers(4)])
        band, foot = plain(mesh, rng, WHITE, gloss=0.3), plain(mesh, rng, BLACK)
        for x in along(int(rng.integers(1, 4))):
            mesh.tube(foot, (x, 0, -0.1), (x, 0, 0.05), 0.12, 0.1, sides=12)
            mesh.tube(body, (x, 0, 0.04), (x, 0, 0.8), 0.04, 0.04, sides=10)
            for z in (0.5, 0.66):
                mesh.tube(band, (x, 0, z), (x, 0, z + 0.07), 0.044, 0.044, sides=10)
        return
    white, black = plain(mesh, rng, WHITE), plain(mesh, rng, BLACK)
    mark = plain(mesh, rng, (ORANGE, WHITE)[rng.integers(2)], gloss=0.5)
    outline = np.array([(-0.05, -0.06), (0.05, 0), (-0.05, 0.06)])
    prism(mesh, white, outline, -FOOT_M, 0.72, axis=2)
    prism(mesh, black, outline * 1.02, 0.72, 0.92, axis=2)
    prism(mesh, white, outline, 0.92, 1.02, axis=2)
    mesh.box(mark, (-0.054, 0, 0.82), (0.004, 0.025, 0.07))


def _beacons(mesh: MeshBuilder, rng) -> None:
    """Works beacons: red and white striped panels of 1 m on rubber feet, with a lamp."""
    red, white = plain(mesh, rng, (RED, ORANGE)[rng.integers(2)]), plain(mesh, rng, WHITE)
    foot = plain(mesh, rng, BLACK)
    lamp = mesh.surface(sf.LAMP, (0.8, 0.4, 0.02), emission=float(rng.choice([0.1, 2.0])))
    lit = rng.random() < 0.5
    for x in along(int(rng.integers(1, 4))):
        mesh.box(foot, (x, 0, 0.0), (0.2, 0.4, 0.1))
        slab(mesh, white, (x, 0, 0.65), (0.02, 0.125, 0.5))
        for k in range(4):
            z = 0.22 + 0.25 * k
            stripe = np.array(
                [(-0.127, z), (0.127, z + 0.12), (0.127, z + 0.24), (-0.127, z + 0.12)]
            )
            prism(mesh, red, stripe[:, :], x - 0.024, x + 0.024)
        if lit:
            mesh.tube(lamp, (x - 0.05, 0, 1.26), (x + 0.05, 0, 1.26), 0.1, 0.1, sides=12)
            slab(mesh, foot, (x, 0, 1.17), (0.03, 0.03, 0.04))


def _boulders(mesh: MeshBuilder, rng) -> None:
    """Stones laid down so that nobody parks."""
    tone = rng.uniform(0.15, 0.4)
    stone = mesh.surface(
        sf.WALL, (tone, tone * 0.96, tone * 0.88), seed=rng.random(), params=(9, 9, 0, 1)
    )
    for x in along(int(rng.integers(2, 5))):
        radii = rng.uniform(0.22, 0.5, 3)
        rock(mesh, stone, rng, (x + rng.normal(0, 0.1), rng.normal(0, 0.1), radii[2] * 0.35), radii)


MAKERS = {
    "guard rail": _guard_rail,
    "cable barrier": _cable_barrier,
    "jersey": _jersey,
    "water barrier": _water_barrier,
    "bollards": _bollards,
    "kerb": _kerb,
    "crowd barrier": _crowd_barrier,
    "cones": _cones,
    "delineators": _delineators,
    "beacons": _beacons,
    "boulders": _boulders,
    **FENCES,
}
BARRIER_KINDS = tuple(MAKERS)
