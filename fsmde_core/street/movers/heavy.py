"""Heavy vehicles: articulated lorries, tippers, coaches, trams, tractors, forklifts.

A vehicle stands as in the module vehicles: x forward, origin on the ground below its middle.
"""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import Mesh, MeshBuilder
from fsmde_core.street.movers.cars import make_vehicle
from fsmde_core.street.movers.heavy_parts import (
    WIDE,
    Rows,
    add_arches,
    add_hull,
    add_lamps,
    add_wheels,
)
from fsmde_core.street.movers.lorries import LORRIES
from fsmde_core.street.props.pictures import Canvas, poster
from fsmde_core.street.props.solids import (
    GREEN,
    ORANGE,
    RED,
    WHITE,
    YELLOW,
    any_colour,
    beams,
    dispatch,
    plain,
    prism,
    rope,
    slab,
    steel,
)


def make_heavy(rng: np.random.Generator, kind: str) -> tuple[Mesh, float]:
    """A vehicle of one of HEAVY_KINDS: its mesh and its length in metres.

    ValueError for an unknown kind.
    """
    prop = dispatch(MAKERS, rng, kind).centred()
    return prop.mesh, 2 * prop.half_x


def _windows(mesh, rows: Rows, tail: float, nose: float, pane: float, pillar: float):
    """Stations and cells of a flank with panes between pillars."""
    count = max(2, int((nose - tail) / pane))
    edges = np.linspace(tail, nose, count + 1)
    x = np.sort(np.concatenate([edges, edges[:-1] + pillar]))
    cells = np.full((len(x) - 1, 6), rows.paint)
    cells[:, 0] = rows.dark
    cells[1::2, 2] = rows.glass
    cells[0::2, 2] = rows.dark
    return x, cells


def _coach(mesh: MeshBuilder, rng) -> None:
    """A touring coach of 12 to 13.5 m with high windows, or a city bus with low ones."""
    rows, tall = Rows(mesh, rng), rng.random() < 0.5
    length = rng.uniform(12, 13.5) if tall else rng.uniform(10.5, 12.2)
    belt, head, top = (1.75, 2.95, 3.6) if tall else (1.15, 2.45, 3.05)
    nose, tail = length / 2, -length / 2
    x, cells = _windows(mesh, rows, tail + 0.5, nose - 0.6, rng.uniform(1.2, 1.7), 0.09)
    x = np.concatenate([[tail, tail + 0.15], x, [nose - 0.18, nose - 0.05, nose]])
    ends = np.full((2, 6), rows.paint)
    fronts = np.full((3, 6), rows.paint)
    fronts[:, 2] = rows.glass
    ends[:, 0] = fronts[:, 0] = rows.dark
    cells = np.concatenate([ends, cells, fronts])
    cells[:, 1] = rows.trim if rng.random() < 0.4 else rows.paint
    n = len(x)
    half = np.full(n, WIDE)
    half[[0, 1, -3, -2, -1]] = WIDE * np.array([0.94, 0.99, 0.99, 0.95, 0.88])
    roof = np.full(n, top)
    roof[[0, 1, -3, -2, -1]] = top - np.array([0.12, 0.02, 0.03, 0.12, 0.25])
    front = [rows.dark, rows.paint, rows.glass, rows.glass, rows.paint, rows.paint]
    back = [
        rows.dark,
        rows.paint,
        rows.glass if rng.random() < 0.7 else rows.paint,
        rows.paint,
        rows.paint,
        rows.paint,
    ]
    add_hull(mesh, x, half, 0.3, roof, belt - 0.25 * tall, head, cells, front, back)
    for at in (nose - 1.1, *(() if tall else (0.2,))):
        slab(mesh, rows.glass, (at, -WIDE, 1.42), (0.55, 0.015, 1.0))
        slab(mesh, rows.dark, (at, -WIDE - 0.01, 1.42), (0.025, 0.012, 1.0))
    board = mesh.surface(sf.LAMP, (0.8, 0.45, 0.05), emission=1.0)
    Canvas(mesh, (nose - 0.04, 0.7, top - 0.52), (0, -1, 0), (0, 0, 1)).text(
        board, rng, 0, 0, 0.2, 9
    )
    slab(mesh, rows.dark, (-0.15 * length, 0, top + 0.08), (1.3, 0.8, 0.11))
    for side in (-1, 1):
        slab(mesh, rows.dark, (nose + 0.12, side * 1.38, top - 1.0), (0.06, 0.1, 0.22))
        rope(
            mesh,
            rows.dark,
            [(nose - 0.1, side * 1.1, top - 0.4), (nose + 0.12, side * 1.36, top - 0.8)],
            0.025,
        )
    axles = (tail + 0.27 * length, nose - 2.7)
    add_arches(mesh, rows, axles, WIDE)
    add_wheels(mesh, rows, axles, WIDE + 0.03)
    add_lamps(mesh, rows, rng, nose, tail, WIDE * 0.95, 0.72)
    if rng.random() < 0.5:
        canvas = Canvas(mesh, (-2.2, -WIDE - 0.002, 0.5), (1, 0, 0), (0, 0, 1))
        poster(canvas, rng, 2.2, belt - 0.8 - 0.2 * tall)


def _tram(mesh: MeshBuilder, rng) -> None:
    """A tram of two sections with bellows between them, 20 to 24 m."""
    rows, section = Rows(mesh, rng), rng.uniform(9.5, 11.5)
    for end in (-1, 1):
        nose, joint = end * (section + 0.4), end * 0.4
        x, cells = _windows(mesh, rows, 0.0, section - 1.2, rng.uniform(1.3, 2.0), 0.1)
        x = np.concatenate([x, [section - 0.9, section - 0.45, section - 0.15, section]])
        tip = np.full((4, 6), rows.paint)
        tip[1:, 2] = rows.glass
        tip[:, 0] = rows.dark
        cells = np.concatenate([cells, tip])
        cells[:, 1] = rows.trim
        n = len(x)
        half, top = np.full(n, 1.25), np.full(n, 3.4)
        half[-4:] = 1.25 * np.array([0.99, 0.94, 0.84, 0.74])
        top[-4:] = 3.4 - np.array([0.02, 0.15, 0.45, 0.8])
        front = [rows.dark, rows.trim, rows.glass, rows.glass, rows.paint, rows.paint]
        add_hull(mesh, joint + end * x, half, 0.3, top, 1.15, 2.6, cells, front, [rows.dark] * 6)
        for share in (0.22, 0.66):
            at = joint + end * section * share
            for side in (-1, 1):
                slab(mesh, rows.glass, (at, side * 1.25, 1.5), (0.62, 0.02, 1.1))
                slab(mesh, rows.trim, (at, side * 1.26, 1.5), (0.03, 0.02, 1.1))
        for side in (-1, 1):
            slab(
                mesh,
                rows.head if end > 0 else rows.tail,
                (nose, side * 0.65, 0.85),
                (0.06, 0.14, 0.08),
            )
        slab(mesh, rows.dark, (joint + end * section * 0.45, 0, 3.52), (section * 0.28, 0.75, 0.12))
        slab(mesh, rows.dark, (joint + end * section * 0.5, 0, 0.2), (section * 0.42, 1.1, 0.22))
    for k in range(5):
        slab(mesh, rows.dark, (-0.36 + 0.18 * k, 0, 1.75), (0.06, 1.18, 1.45))
    slab(mesh, rows.dark, (0, 0, 1.75), (0.42, 1.1, 1.4))
    pan = [(-4.2, 0, 3.6), (-3.2, 0, 4.5), (-4.0, 0, 5.4)]
    rope(mesh, rows.zinc, pan, 0.04)
    rope(
        mesh,
        rows.zinc,
        [(-4.0, -0.8, 5.35), (-4.0, -0.5, 5.42), (-4.0, 0.5, 5.42), (-4.0, 0.8, 5.35)],
        0.025,
    )


def _rack_van(mesh: MeshBuilder, rng) -> list[Mesh]:
    """A van with a roof rack that carries ladders and pipes."""
    van, length = make_vehicle(rng, "van")
    zinc, high = steel(mesh, rng, low=0.3), float(van.corners[..., 2].max())
    front, back = 0.25 * length, -0.45 * length
    for y in (-0.7, 0.7):
        rope(mesh, zinc, [(back, y, high + 0.12), (front, y, high + 0.12)], 0.02)
    for x in np.linspace(back, front, 5):
        rope(
            mesh,
            zinc,
            [
                (x, -0.72, high - 0.1),
                (x, -0.7, high + 0.12),
                (x, 0.7, high + 0.12),
                (x, 0.72, high - 0.1),
            ],
            0.02,
        )
    for y in (-0.35, 0.0):
        rope(mesh, zinc, [(back - 0.3, y, high + 0.2), (front, y, high + 0.2)], 0.025)
    rungs = np.column_stack(
        [np.arange(back, front, 0.28)] + [np.zeros(len(np.arange(back, front, 0.28)))] * 2
    ) + (0, -0.35, high + 0.2)
    beams(mesh, zinc, rungs, rungs + (0, 0.35, 0), 0.03, 0.03)
    pipe = plain(mesh, rng, any_colour(rng, 0.7))
    for k in range(int(rng.integers(1, 5))):
        y = 0.25 + 0.11 * k
        mesh.tube(pipe, (back, y, high + 0.19), (front + 0.3, y, high + 0.19), 0.05, 0.05)
    return [van]


def _tractor(mesh: MeshBuilder, rng) -> None:
    """A farm tractor of 4.2 m, perhaps with a loader."""
    rows = Rows(mesh, rng)
    body = plain(mesh, rng, (GREEN, RED, (0.04, 0.1, 0.35), YELLOW)[rng.integers(4)], gloss=0.4)
    rim = plain(mesh, rng, (YELLOW, WHITE, RED)[rng.integers(3)])
    for x, r, wide, y in ((-0.9, 0.85, 0.24, 0.85), (1.35, 0.55, 0.17, 0.8)):
        for side in (-1, 1):
            a, b = side * (y - wide), side * (y + wide)
            mesh.tube(rows.tyre, (x, a, r - 0.02), (x, b, r - 0.02), r, r, sides=26)
            mesh.tube(rim, (x, b, r), (x, b + side * 0.01, r), r * 0.58, r * 0.5, sides=18)
            mesh.tube(rows.dark, (x, b, r), (x, b + side * 0.06, r), r * 0.2, r * 0.15, sides=10)
            angle = np.linspace(0, 2 * np.pi, 20)[:-1]
            lug = np.column_stack(
                [x + r * np.cos(angle), np.full(19, a), r - 0.02 + r * np.sin(angle)]
            )
            beams(mesh, rows.tyre, lug, lug + np.array([0.08, b - a, 0]), 0.05, 0.05)
    mesh.box(body, (1.0, 0, 1.15), (0.95, 0.4, 0.35), taper=(0.15, 0, 0.06, 0.06))
    mesh.box(rows.dark, (1.0, 0, 0.75), (1.0, 0.25, 0.2))
    slab(mesh, rows.dark, (1.92, 0, 1.1), (0.04, 0.34, 0.3))
    for side in (-1, 1):
        slab(mesh, rows.head, (1.95, side * 0.22, 1.3), (0.03, 0.09, 0.06))
        slab(mesh, body, (-0.9, side * 0.85, 1.76), (0.75, 0.3, 0.04))
    mesh.box(rows.glass, (-0.6, 0, 1.85), (0.72, 0.68, 0.65), taper=(0.15, 0.05, 0.06, 0.06))
    for x in (-1.28, 0.1):
        for y in (-0.66, 0.66):
            beams(mesh, body, (x, y, 1.2), (x * 0.92 - 0.05, y * 0.92, 2.5), 0.07, 0.07)
    slab(mesh, body, (-0.66, 0, 2.55), (0.78, 0.72, 0.07))
    rope(mesh, rows.dark, [(0.5, -0.35, 1.4), (0.5, -0.35, 2.5)], 0.05)
    mesh.tube(rows.amber, (-1.2, 0.4, 2.6), (-1.2, 0.4, 2.78), 0.07, 0.06)
    if rng.random() < 0.5:
        for side in (-1, 1):
            beams(mesh, rows.dark, (0.3, side * 0.6, 1.6), (2.6, side * 0.6, 0.7), 0.08, 0.14)
        prism(
            mesh,
            rows.dark,
            [(2.5, 0.1), (3.3, 0.1), (3.0, 0.3), (2.65, 0.4), (2.6, 0.8), (2.45, 0.8)],
            -0.95,
            0.95,
            axis=1,
        )


def _forklift(mesh: MeshBuilder, rng) -> None:
    """A forklift of 3.4 m with its mast and perhaps a load."""
    rows = Rows(mesh, rng)
    body = plain(mesh, rng, (YELLOW, ORANGE, RED, (0.3, 0.3, 0.3))[rng.integers(4)], gloss=0.3)
    mesh.box(body, (-0.3, 0, 0.65), (1.0, 0.55, 0.45), taper=(0.05, 0.2, 0.03, 0.03))
    mesh.box(rows.dark, (-1.1, 0, 0.7), (0.3, 0.56, 0.5), taper=(0, 0.1, 0, 0))
    add_wheels(mesh, rows, (0.5,), 0.62, 0.34)
    add_wheels(mesh, rows, (-0.9,), 0.56, 0.27)
    for x, top in ((-0.8, -0.55), (0.55, 0.35)):
        for y in (-0.48, 0.48):
            beams(mesh, rows.dark, (x, y, 0.9), (top, y * 0.9, 2.1), 0.06, 0.06)
    for x in np.linspace(-0.5, 0.35, 6):
        beams(mesh, rows.dark, (x, -0.45, 2.1), (x, 0.45, 2.1), 0.04, 0.04)
    mesh.box(rows.dark, (-0.35, 0, 1.2), (0.25, 0.24, 0.1))
    mesh.box(rows.dark, (-0.58, 0, 1.45), (0.06, 0.24, 0.3))
    lift = rng.uniform(0.05, 1.4)
    for y in (-0.33, 0.33):
        beams(mesh, rows.dark, (0.85, y, 0.05), (0.85, y, 2.2 + lift * 0.5), 0.1, 0.12)
        slab(mesh, rows.zinc, (1.5, y * 0.8, lift), (0.6, 0.06, 0.025))
    for z in (lift + 0.1, lift + 0.5):
        slab(mesh, rows.dark, (0.93, 0, z), (0.04, 0.5, 0.06))
    if rng.random() < 0.6:
        box = plain(mesh, rng, (0.36, 0.25, 0.14))
        slab(mesh, box, (1.55, 0, lift + 0.55), (0.5, 0.5, 0.5))


MAKERS = {
    "coach": _coach,
    "tram": _tram,
    "rack van": _rack_van,
    "tractor": _tractor,
    "forklift": _forklift,
    **LORRIES,
}
HEAVY_KINDS = tuple(MAKERS)
