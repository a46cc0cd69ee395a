"""Things tall and near that stand beside a road: walls, pillars, arcades, shelters, hoardings.

Each is long along x; its face to the road is the side of -y. Pieces of WALL_KINDS join at
2 half_x.
"""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.props.fronts import FRONTS, glaze
from fsmde_core.street.props.pictures import Canvas, graffiti
from fsmde_core.street.props.roadside import ROADSIDE
from fsmde_core.street.props.solids import (
    BLACK,
    FOOT_M,
    RED,
    WHITE,
    YELLOW,
    Prop,
    any_colour,
    beams,
    concrete,
    dispatch,
    masonry,
    plain,
    prism,
    rope,
    slab,
    steel,
    wood,
)

WALL_KINDS = (
    "glass front",
    "hall",
    "garages",
    "wall",
    "noise wall",
    "retaining wall",
    "pillars",
    "v columns",
    "arcade",
    "poster wall",
)


def make_structure(rng: np.random.Generator, kind: str) -> Prop:
    """One of STRUCTURE_KINDS; ValueError for an unknown kind."""
    return dispatch(MAKERS, rng, kind)


def _wall(mesh: MeshBuilder, rng) -> None:
    """A wall of 1.8 to 5 m, 8 m long, with piers, a plinth and a coping; some are painted on."""
    half, high = 4.0, rng.uniform(1.8, 5.0)
    body, cap = masonry(mesh, rng), concrete(mesh, rng)
    mesh.box(body, (0, 0, high / 2 - 0.15), (half, 0.15, high / 2 + 0.15))
    mesh.box(cap, (0, 0, 0.0), (half, 0.2, 0.35))
    pier = body if rng.random() < 0.6 else cap
    for x in (-3.0, -1.0, 1.0, 3.0) if rng.random() < 0.7 else ():
        mesh.box(pier, (x, 0, high / 2 - 0.1), (0.2, 0.24, high / 2 + 0.2))
        slab(mesh, cap, (x, 0, high + 0.16), (0.25, 0.29, 0.06))
    prism(
        mesh,
        cap,
        [(-0.22, high), (0.22, high), (0.22, high + 0.06), (0, high + 0.13), (-0.22, high + 0.06)],
        -half,
        half,
    )
    choice = rng.random()
    if choice < 0.45:
        canvas = Canvas(mesh, (-half + 0.3, -0.205, 0.4), (1, 0, 0), (0, 0, 1))
        graffiti(canvas, rng, 2 * half - 0.6, high - 0.6)
    if choice > 0.75:
        rail = steel(mesh, rng)
        x = np.linspace(-half, half, 66)[1:-1:2]
        low = np.column_stack([x, 0 * x, np.full(len(x), high)])
        beams(mesh, rail, low, low + (0, 0, 0.9), 0.02, 0.02)
        for z in (high + 0.25, high + 0.8):
            beams(mesh, rail, (-half, 0, z), (half, 0, z), 0.02, 0.04)
    elif choice > 0.6:
        _drains_and_boxes(mesh, rng, half, high)


def _drains_and_boxes(mesh: MeshBuilder, rng, half, high) -> None:
    """Pipes, meter boxes and a steel door on a wall."""
    zinc, door = steel(mesh, rng), plain(mesh, rng, any_colour(rng, 0.3))
    for _ in range(int(rng.integers(1, 4))):
        x = rng.uniform(-half + 0.4, half - 0.4)
        mesh.tube(zinc, (x, -0.27, -FOOT_M), (x, -0.27, high), 0.05, 0.05)
    x = rng.uniform(-half + 1, half - 1)
    slab(mesh, door, (x, -0.2, min(1.05, high / 2)), (0.5, 0.06, min(1.05, high / 2 - 0.1)))
    slab(mesh, zinc, (x + 1.2, -0.26, 1.3), (0.25, 0.12, 0.35))


def _noise_wall(mesh: MeshBuilder, rng) -> None:
    """A noise wall of 2.5 to 5 m: panels between H posts every 4 m, 8 m long."""
    half, high = 4.0, rng.uniform(2.5, 5.0)
    post = steel(mesh, rng, low=0.1, high=0.4)
    style = int(rng.integers(4))
    colour = any_colour(rng, 0.25)
    rows = [plain(mesh, rng, colour * k) for k in (1.0, 0.75)]
    rows[0] = wood(mesh, rng) if style == 0 else rows[0]
    glass = mesh.surface(sf.GLASS, (0.05, 0.07, 0.07), gloss=0.8)
    base = concrete(mesh, rng)
    mesh.box(base, (0, 0, 0.1), (half, 0.1, 0.4))
    count = int((high - 0.5) / 0.5)
    step = (high - 0.5) / count
    closed = (count // 2 if style == 3 else count) * step / 2
    mesh.box(rows[1], (0, 0, 0.5 + closed), (half, 0.03, closed))  # no light through the joints
    for k in range(count):
        z = 0.5 + (k + 0.5) * step
        clear = style == 3 and k >= count // 2
        row = glass if clear else rows[k % 2 if style == 1 else 0]
        for x, wide in ((-3.0, 0.98), (0.0, 1.94), (3.0, 0.98)):
            slab(mesh, row, (x, 0, z), (wide, 0.06 if clear else 0.08, step / 2 - 0.012))
            if style == 2:
                ribs = np.linspace(-0.98, 0.98, 26) * wide
                low = np.column_stack([x + ribs, np.full(26, -0.09), np.full(26, z - step / 2)])
                beams(mesh, rows[1], low, low + (0, 0, step), 0.03, 0.05)
    for x in (-2.0, 2.0):
        for y in (-0.11, 0.11):
            mesh.box(post, (x, y, high / 2 - 0.1), (0.1, 0.012, high / 2 + 0.2))
        mesh.box(post, (x, 0, high / 2 - 0.1), (0.012, 0.11, high / 2 + 0.2))
    if style < 2 and rng.random() < 0.4:
        canvas = Canvas(mesh, (-3.6, -0.082, 0.5), (1, 0, 0), (0, 0, 1))
        graffiti(canvas, rng, 7.2, high - 1)


def _retaining_wall(mesh: MeshBuilder, rng) -> None:
    """A leaning or stepped wall of 2 to 4 m before higher ground, or gabions, 8 m long."""
    half, high = 4.0, rng.uniform(2.0, 4.0)
    soil = mesh.surface(sf.GRASS, (0.06, 0.12, 0.03), colour2=(0.2, 0.17, 0.08), seed=rng.random())
    if rng.random() < 0.4:
        tone = rng.uniform(0.2, 0.4)
        stones = [
            mesh.surface(
                sf.WALL,
                np.array([tone, tone * 0.96, tone * 0.88]) * k,
                seed=rng.random(),
                params=(0.22, 0.16, 0, 2),
            )
            for k in (0.8, 1.0, 1.2)
        ]
        wire = steel(mesh, rng, low=0.2)
        for k in range(int(high)):
            for x in np.arange(-half + 0.5, half, 1.0):
                at = np.array([x, 0.3 * k, k + 0.35])
                slab(mesh, stones[rng.integers(3)], at, (0.49, 0.5, 0.49))
                frame = at + np.array([(-0.5, -0.51, -0.5), (-0.5, -0.51, 0.5), (0.5, -0.51, 0.5)])
                rope(mesh, wire, frame, 0.012, sides=4)
        back = 0.3 * int(high)
        slab(mesh, soil, (0, back + 1.0, int(high) / 2 - 0.2), (half, 0.9, int(high) / 2 - 0.05))
        return
    body, cap = masonry(mesh, rng), concrete(mesh, rng)
    lean = rng.uniform(0, 0.15) * high
    prism(
        mesh,
        body,
        [(-0.3, -FOOT_M), (2.0, -FOOT_M), (2.0, high - 0.1), (lean - 0.3, high)],
        -half,
        half,
    )
    slab(mesh, cap, (0, lean - 0.1, high + 0.06), (half, 0.28, 0.09))
    prism(mesh, soil, [(lean, high - 0.1), (2.2, high - 0.1), (2.2, high + 0.35)], -half, half)
    dark = plain(mesh, rng, BLACK)
    for x in (-3.0, -1.0, 1.0, 3.0):
        y = -0.32 + lean * 0.5 / high
        mesh.tube(dark, (x, y, 0.5), (x, y + 0.06, 0.5), 0.05, 0.05)


def _pillars(mesh: MeshBuilder, rng) -> None:
    """Round or square pillars every 6 m under a deck of 4.5 to 8 m, 12 m long."""
    high, half = rng.uniform(4.5, 8.0), 6.0
    stone, deck = concrete(mesh, rng, panel=(9, 1.5)), concrete(mesh, rng)
    band = plain(mesh, rng, (YELLOW, RED, WHITE)[rng.integers(3)])
    square, size = rng.random() < 0.5, rng.uniform(0.3, 0.7)
    wide = rng.uniform(1.5, 4.0)
    painted = rng.random() < 0.4
    for x in (-3.0, 3.0):
        if square:
            mesh.box(stone, (x, 0, high / 2 - 0.15), (size, size * 0.7, high / 2 + 0.15))
            for z in (0.5, 1.0) if painted else ():
                slab(mesh, band, (x, 0, z), (size + 0.01, size * 0.7 + 0.01, 0.12))
        else:
            mesh.tube(stone, (x, 0, -FOOT_M), (x, 0, high), size, size, sides=24)
            mesh.tube(stone, (x, 0, high - 0.7), (x, 0, high), size, size * 1.7, sides=24)
            for z in (0.5, 1.0) if painted else ():
                mesh.tube(band, (x, 0, z), (x, 0, z + 0.24), size + 0.01, size + 0.01, sides=24)
        slab(mesh, stone, (x, 0, high - 0.25), (0.6, wide, 0.3))
    slab(mesh, deck, (0, 0, high + 0.35), (half, wide + 0.5, 0.35))
    for side in (-1, 1):
        slab(mesh, deck, (0, side * (wide + 0.4), high + 1.1), (half, 0.1, 0.45))
        beams(
            mesh,
            stone,
            (-half, side * wide * 0.6, high - 0.1),
            (half, side * wide * 0.6, high - 0.1),
            0.4,
            0.5,
        )


def _v_columns(mesh: MeshBuilder, rng) -> None:
    """V-shaped columns that carry a deck 6 to 10 m up, before a glass front, 12 m long."""
    high, half = rng.uniform(6.0, 10.0), 6.0
    paint = concrete(mesh, rng, tone=rng.uniform(0.35, 0.6), panel=(50, 50))
    thick = rng.uniform(0.4, 0.9)
    spread = rng.uniform(1.6, 2.3)
    for x in (-3.0, 3.0):
        beams(
            mesh,
            paint,
            [(x, 0, -FOOT_M)] * 2,
            [(x - spread, 0, high), (x + spread, 0, high)],
            thick,
            thick,
        )
        mesh.box(paint, (x, 0, 0.0), (thick * 0.8, thick * 0.8, 0.5))
    slab(mesh, paint, (0, 0.5, high + 0.5), (half, 2.2, 0.5))
    if rng.random() < 0.6:
        glaze(mesh, rng, half, high, y=2.0)
    slab(mesh, paint, (0, -1.6, high + 1.3), (half, 0.08, 0.3))


MAKERS = {
    "wall": _wall,
    "noise wall": _noise_wall,
    "retaining wall": _retaining_wall,
    "pillars": _pillars,
    "v columns": _v_columns,
    **ROADSIDE,
    **FRONTS,
}
STRUCTURE_KINDS = tuple(MAKERS)
