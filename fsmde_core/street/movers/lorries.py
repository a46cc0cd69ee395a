"""Lorries: tractor units and what they pull, tippers."""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.movers.heavy_parts import (
    WIDE,
    Rows,
    add_arches,
    add_hull,
    add_lamps,
    add_wheels,
)
from fsmde_core.street.props.containers import add_container
from fsmde_core.street.props.pictures import Canvas, lettering
from fsmde_core.street.props.solids import (
    ORANGE,
    WHITE,
    any_colour,
    beams,
    plain,
    rope,
    slab,
    steel,
)


def _cab(mesh: MeshBuilder, rows: Rows, rng, nose: float, *, high: float, long: float) -> None:
    """A cab over its engine whose front is at x = nose; high is its roof, long its length."""
    x = (
        nose
        - long
        + np.array([0.0, 0.06, long - 1.35, long - 1.25, long - 0.4, long - 0.3, long - 0.1, long])
    )
    half = WIDE * np.array([0.96, 1, 1, 1, 1, 1, 0.98, 0.93])
    top = high - np.array([0.1, 0.0, 0, 0, 0, 0.08, 0.28, 0.55])
    cells = np.full((7, 6), rows.paint)
    cells[3, 2] = cells[5, 2] = rows.glass
    cells[:, 0] = rows.dark
    front = [rows.dark, rows.paint, rows.glass, rows.paint, rows.paint, rows.paint]
    add_hull(mesh, x, half, 0.55, top, 1.75, 2.55, cells, front, [rows.paint] * 6)
    slab(mesh, rows.dark, (nose, 0, 0.62), (0.08, WIDE * 0.97, 0.3))
    for k in range(int(rng.integers(3, 6))):
        slab(mesh, rows.dark, (nose + 0.005, 0, 1.05 + 0.15 * k), (0.02, 0.85, 0.04))
    slab(mesh, rows.trim, (nose - 0.1, 0, 2.62), (0.25, WIDE * 0.85, 0.04))
    for side in (-1, 1):
        for at, half_box in (
            ((nose + 0.05, 1.42, 2.2), (0.06, 0.1, 0.28)),
            ((nose + 0.05, 1.42, 1.72), (0.05, 0.1, 0.12)),
        ):
            slab(mesh, rows.dark, np.array(at) * (1, side, 1), half_box)
        rope(
            mesh,
            rows.dark,
            [(nose - 0.1, side * 1.2, 2.5), (nose + 0.03, side * 1.42, 2.45)],
            0.025,
        )
        slab(mesh, rows.dark, (nose - 0.5, side * WIDE, 1.5), (0.1, 0.02, 0.03))
        for z in (0.5, 0.8):
            slab(mesh, rows.zinc, (nose - 0.85, side * 1.2, z), (0.2, 0.06, 0.03))
    add_arches(mesh, rows, (nose - 1.35,), WIDE)
    if rng.random() < 0.5:
        rope(
            mesh, rows.zinc, [(nose - 0.4, -1.0, high + 0.08), (nose - 0.4, 1.0, high + 0.08)], 0.04
        )
        for y in (-0.8, -0.3, 0.3, 0.8):
            mesh.tube(
                rows.head,
                (nose - 0.34, y, high + 0.16),
                (nose - 0.3, y, high + 0.16),
                0.1,
                0.1,
                sides=12,
            )


def _tractor_unit(mesh: MeshBuilder, rows: Rows, rng, nose: float) -> None:
    """What pulls a trailer: cab, frame, tanks, two axles; 5.9 m long."""
    high = rng.uniform(3.2, 3.8)
    _cab(mesh, rows, rng, nose, high=high, long=2.3)
    slab(mesh, rows.dark, (nose - 3.9, 0, 0.85), (2.0, 0.45, 0.16))
    for side in (-1, 1):
        mesh.tube(
            rows.zinc,
            (nose - 3.6, side * 0.95, 0.7),
            (nose - 2.4, side * 0.95, 0.7),
            0.3,
            0.3,
            sides=16,
        )
        if rng.random() < 0.6:
            slab(
                mesh,
                rows.paint,
                (nose - 2.5, side * 1.15, (high + 0.9) / 2),
                (0.35, 0.03, (high - 1.1) / 2),
            )
        slab(mesh, rows.dark, (nose - 5.0, side * 0.95, 1.1), (0.75, 0.3, 0.03))
    add_wheels(mesh, rows, (nose - 1.35, nose - 5.0), WIDE)


def _chassis(mesh: MeshBuilder, rows: Rows, rng, nose: float, tail: float) -> None:
    """A trailer's frame with three axles, legs, guards and rear lamps."""
    middle, half = (nose + tail) / 2, (nose - tail) / 2
    for side in (-1, 1):
        slab(mesh, rows.dark, (middle, side * 0.5, 1.05), (half, 0.07, 0.12))
        beams(
            mesh,
            rows.dark,
            (nose - 2.6, side * 0.8, 0.35),
            (nose - 2.6, side * 0.8, 1.1),
            0.12,
            0.12,
        )
        for z in (0.55, 0.85):
            beams(
                mesh, rows.zinc, (tail + 5.0, side * 1.2, z), (nose - 3.2, side * 1.2, z), 0.03, 0.1
            )
        for x in np.arange(tail + 5.0, nose - 3.0, 1.6):
            beams(mesh, rows.dark, (x, side * 1.2, 0.5), (x, side * 1.2, 1.1), 0.05, 0.05)
        slab(mesh, rows.dark, (tail + 2.7, side * 1.02, 1.1), (2.0, 0.2, 0.02))
    axles = tail + np.array([1.5, 2.8, 4.1])
    add_wheels(mesh, rows, axles, WIDE)
    slab(mesh, rows.zinc, (tail + 0.1, 0, 0.55), (0.05, 1.15, 0.06))
    for side in (-1, 1):
        slab(mesh, rows.tail, (tail + 0.02, side * 1.0, 0.85), (0.03, 0.2, 0.08))
        slab(mesh, rows.amber, (tail + 0.02, side * 0.7, 0.85), (0.03, 0.08, 0.07))


def _box_lorry(mesh: MeshBuilder, rng) -> None:
    """An articulated lorry of 16.5 m with a box or a curtain trailer."""
    rows = Rows(mesh, rng)
    _tractor_unit(mesh, rows, rng, 8.25)
    nose, tail, high = 5.6, -8.0, rng.uniform(3.75, 4.05)
    _chassis(mesh, rows, rng, nose, tail)
    middle, half, low = (nose + tail) / 2, (nose - tail) / 2, 1.2
    body = plain(
        mesh, rng, WHITE if rng.random() < 0.5 else any_colour(rng, 0.6), gloss=0.15, kind=sf.WALL
    )
    frame = steel(mesh, rng, low=0.3, high=0.6)
    slab(mesh, body, (middle, 0, (low + high) / 2), (half - 0.04, WIDE - 0.03, (high - low) / 2))
    if rng.random() < 0.5:
        cloth = plain(mesh, rng, any_colour(rng, 0.7), kind=sf.CLOTH)
        x = np.linspace(tail + 0.1, nose - 0.1, 90)
        for side in (-1, 1):
            fold = (
                WIDE + 0.012 * np.sin(x * 5.5 + rng.uniform(0, 6)) + 0.01 * rng.normal(size=len(x))
            )
            z = np.array([low - 0.08, high - 0.12])
            points = np.stack(np.broadcast_arrays(x[:, None], side * fold[:, None], z), axis=-1)
            mesh.grid(cloth, points[:, ::-side], uv=points[:, ::-side, [0, 2]])
            straps = np.column_stack(
                [
                    x[2::5],
                    np.full(len(x[2::5]), side * (WIDE + 0.03)),
                    np.full(len(x[2::5]), low - 0.15),
                ]
            )
            beams(mesh, rows.dark, straps, straps + (0, 0, 0.45), 0.012, 0.05)
    else:
        x = np.arange(tail + 0.3, nose, 0.6)
        for side in (-1, 1):
            foot = np.column_stack([x, np.full(len(x), side * WIDE), np.full(len(x), low)])
            beams(mesh, body, foot, foot + (0, 0, high - low), 0.02, 0.05)
        unit = plain(mesh, rng, (0.5, 0.5, 0.5))
        slab(mesh, unit, (nose + 0.2, 0, high - 0.9), (0.22, 0.95, 0.6))
    for side in (-1, 1):
        for z in (low, high - 0.05):
            beams(
                mesh,
                frame,
                (tail, side * (WIDE - 0.01), z),
                (nose, side * (WIDE - 0.01), z),
                0.05,
                0.12,
            )
        canvas = Canvas(
            mesh, (middle + side * 3.2, side * (WIDE + 0.035), low + 0.9), (-side, 0, 0), (0, 0, 1)
        )
        lettering(canvas, rng, 6.4, 1.0)
    _rear_doors(mesh, rows, frame, body, tail, low, high)


def _rear_doors(mesh: MeshBuilder, rows: Rows, frame: int, body: int, tail, low, high) -> None:
    slab(mesh, body, (tail, 0, (low + high) / 2), (0.05, WIDE - 0.02, (high - low) / 2))
    for y in (-WIDE, 0.0, WIDE):
        beams(mesh, frame, (tail - 0.04, y * 0.97, low), (tail - 0.04, y * 0.97, high), 0.06, 0.05)
    for y in (-0.75, -0.3, 0.3, 0.75):
        rope(mesh, rows.zinc, [(tail - 0.08, y, low), (tail - 0.08, y, high)], 0.02)
        slab(mesh, rows.dark, (tail - 0.09, y + 0.1, low + 0.7), (0.02, 0.12, 0.03))
    for z in np.linspace(low + 0.3, high - 0.3, 4):
        for side in (-1, 1):
            slab(mesh, frame, (tail - 0.07, side * (WIDE - 0.1), z), (0.02, 0.12, 0.03))


def _container_lorry(mesh: MeshBuilder, rng) -> None:
    """An articulated lorry with a container of 12 m, or one of 6 m."""
    rows = Rows(mesh, rng)
    _tractor_unit(mesh, rows, rng, 8.1)
    _chassis(mesh, rows, rng, 5.3, -7.2)
    length = rng.choice([12.19, 6.06])
    add_container(mesh, rng, (-7.1 + length / 2, 0, 1.17), length)


def _tanker(mesh: MeshBuilder, rng) -> None:
    """An articulated tanker: a polished or painted drum with domes, a walkway, a ladder."""
    rows = Rows(mesh, rng)
    _tractor_unit(mesh, rows, rng, 7.3)
    nose, tail = 4.4, -6.6
    _chassis(mesh, rows, rng, nose, tail)
    skin = mesh.surface(sf.PLAIN, np.ones(3) * rng.uniform(0.4, 0.7), seed=rng.random(), gloss=0.7)
    skin = skin if rng.random() < 0.6 else rows.trim
    z, r = 2.35, 1.14
    mesh.tube(skin, (tail + 0.5, 0, z), (nose - 0.5, 0, z), r, r, sides=28)
    for x in (tail + 0.5, nose - 0.5):
        mesh.ellipsoid(skin, (x, 0, z), (0.5, r, r), around=20, up=14)
    for x in np.linspace(tail + 0.6, nose - 0.6, 6):
        mesh.tube(rows.zinc, (x - 0.03, 0, z), (x + 0.03, 0, z), r + 0.02, r + 0.02, sides=28)
    for x in np.linspace(tail + 1.5, nose - 1.5, 4):
        mesh.tube(rows.zinc, (x, 0, z + r - 0.05), (x, 0, z + r + 0.18), 0.3, 0.28, sides=14)
    slab(mesh, rows.zinc, (-1, 0.45, z + r + 0.02), (4.4, 0.2, 0.02))
    for y in (-0.2, 0.2):
        rope(mesh, rows.zinc, [(tail - 0.05, y + 0.45, 0.9), (tail - 0.05, y + 0.45, z + r)], 0.02)
    slab(mesh, rows.dark, (-1, 0, 1.25), (5.2, 0.7, 0.12))
    plate = plain(mesh, rng, ORANGE)
    slab(mesh, plate, (tail + 0.0, -0.6, 1.2), (0.02, 0.22, 0.16))
    for side in (-1, 1):
        canvas = Canvas(mesh, (side * 2.5, side * (r + 0.03), z - 0.3), (-side, 0, 0), (0, 0, 1))
        lettering(canvas, rng, 5.0, 0.6)


def _tipper(mesh: MeshBuilder, rng) -> None:
    """A tipper of 8.5 m with three or four axles and its load."""
    rows = Rows(mesh, rng)
    nose, tail, high = 4.25, -4.1, rng.uniform(2.0, 2.7)
    _cab(mesh, rows, rng, nose, high=3.0, long=2.0)
    slab(mesh, rows.dark, (-0.6, 0, 0.9), (3.5, 0.5, 0.15))
    bed = (nose - 2.2 + tail) / 2
    half = (nose - 2.2 - tail) / 2
    tub = plain(mesh, rng, any_colour(rng, 0.6), gloss=0.1)
    slab(mesh, tub, (bed, 0, 1.25), (half, WIDE - 0.05, 0.1))
    for side in (-1, 1):
        slab(
            mesh,
            tub,
            (bed, side * (WIDE - 0.04), (1.15 + high) / 2),
            (half, 0.04, (high - 1.15) / 2),
        )
        x = np.linspace(bed - half + 0.1, bed + half - 0.1, 7)
        foot = np.column_stack([x, np.full(7, side * (WIDE + 0.02)), np.full(7, 1.15)])
        beams(mesh, tub, foot, foot + (0, 0, high - 1.15), 0.06, 0.1)
        beams(
            mesh, tub, (bed - half, side * WIDE, high), (bed + half, side * WIDE, high), 0.1, 0.12
        )
    for x in (bed - half, bed + half):
        slab(mesh, tub, (x, 0, (1.15 + high) / 2), (0.05, WIDE - 0.04, (high - 1.15) / 2))
    slab(mesh, tub, (nose - 1.6, 0, high + 0.35), (0.6, WIDE * 0.85, 0.04))
    if rng.random() < 0.8:
        tone = np.array(((0.4, 0.33, 0.2), (0.25, 0.24, 0.23), (0.15, 0.1, 0.06))[rng.integers(3)])
        load = mesh.surface(sf.GRASS, tone, colour2=tone * 0.8, seed=rng.random())
        slab(mesh, load, (bed, 0, high - 0.35), (half - 0.05, WIDE - 0.09, 0.2))
        _load(
            mesh,
            load,
            rng,
            (bed, 0, high - 0.2),
            (half - 0.15, WIDE - 0.15, rng.uniform(0.25, 0.6)),
        )
    axles = (nose - 1.35, *(tail + np.array([1.1, 2.45])))
    add_wheels(mesh, rows, axles, WIDE)
    add_lamps(mesh, rows, rng, nose + 0.08, tail, WIDE, 0.75)


def _load(mesh: MeshBuilder, row: int, rng, centre, radii) -> None:
    """A rounded load in a tub: the upper half of an uneven ellipsoid."""
    angle, share = np.meshgrid(
        np.linspace(0, 2 * np.pi, 25), np.linspace(0.02, 1.0, 9), indexing="ij"
    )
    rough = rng.uniform(0.9, 1.08, angle.shape)
    rough[-1] = rough[0]
    z = np.sqrt(1 - (0.97 * share) ** 2) * rough
    square = 1 / np.maximum(np.abs(np.cos(angle)), np.abs(np.sin(angle))) ** 0.6
    points = np.stack([share * square * np.cos(angle), share * square * np.sin(angle), z], axis=-1)
    points = np.asarray(centre) + points * radii
    mesh.grid(row, points, uv=points[..., :2])


LORRIES = {
    "box lorry": _box_lorry,
    "container lorry": _container_lorry,
    "tanker": _tanker,
    "heavy tipper": _tipper,
}
