"""What heavy vehicles are put together from: surfaces, wheels, hulls, lamps."""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.movers.cars import PAINTS
from fsmde_core.street.props.solids import (
    BLACK,
    any_colour,
    plain,
    prism,
    slab,
    steel,
)

WIDE = 1.25  # half of the width that roads allow
TYRE_M = 0.5


class Rows:
    """The surfaces that every vehicle wears."""

    def __init__(self, mesh: MeshBuilder, rng):
        colour = PAINTS[rng.integers(len(PAINTS))] * rng.uniform(0.8, 1.1)
        self.paint = mesh.surface(
            sf.PAINT, colour, seed=rng.random(), params=(12, 1.2, 0), gloss=0.45
        )
        self.trim = plain(mesh, rng, any_colour(rng, 0.5), gloss=0.4)
        self.glass = mesh.surface(sf.GLASS, (0.018, 0.02, 0.023), gloss=1.0)
        self.dark = plain(mesh, rng, BLACK)
        self.tyre = mesh.surface(sf.PLAIN, (0.02, 0.02, 0.022))
        self.zinc = steel(mesh, rng, low=0.25)
        self.head = mesh.surface(sf.LAMP, (0.85, 0.85, 0.8), gloss=0.5, emission=0.2)
        self.tail = mesh.surface(
            sf.LAMP, (0.5, 0.015, 0.015), gloss=0.4, emission=rng.uniform(0.1, 1)
        )
        self.amber = mesh.surface(sf.LAMP, (0.7, 0.3, 0.02), gloss=0.4, emission=0.2)


def add_wheels(mesh: MeshBuilder, rows: Rows, x, half: float, radius: float = TYRE_M) -> None:
    """A wheel at either side of every axle x: tyre, rim, hub, nuts."""
    for at in x:
        for side in (-1, 1):
            inner, outer = side * (half - 0.32), side * (half - 0.02)
            mesh.tube(rows.tyre, (at, inner, radius), (at, outer, radius), radius, radius, sides=22)
            for row, out, low, high, sides in (
                (rows.zinc, 0.008, 0.6, 0.56, 18),
                (rows.dark, 0.012, 0.4, 0.38, 14),
                (rows.zinc, 0.05, 0.2, 0.15, 10),
            ):  # rim, its hollow, hub
                start, end = (at, outer, radius), (at, outer + side * out, radius)
                mesh.tube(row, start, end, radius * low, radius * high, sides=sides)
        mesh.tube(rows.dark, (at, -half + 0.3, radius), (at, half - 0.3, radius), 0.09, 0.09)


def add_arches(mesh: MeshBuilder, rows: Rows, x, half: float, radius: float = TYRE_M) -> None:
    """Dark openings in a flank for wheels at x."""
    angle = np.linspace(0, np.pi, 12)
    r = radius * 1.2
    for at in x:
        outline = np.column_stack([at + r * np.cos(angle), radius + r * np.sin(angle)])
        outline = np.concatenate([outline, [(at - r, 0.2), (at + r, 0.2)]])
        prism(mesh, rows.dark, outline, -half - 0.004, half + 0.004, axis=1)


def add_hull(
    mesh: MeshBuilder, x, half, low, top, belt: float, head: float, rows, front, back
) -> None:
    """A body of cross-sections at x [n], with half widths and heights [n].

    rows [n - 1, 6] are the surfaces of the flanks from the sill to the middle of the roof (index 2
    is the window band between belt and head); front and back [6] are those of the ends.
    """
    x, half, low, top = (np.broadcast_to(np.asarray(v, float), len(x)) for v in (x, half, low, top))
    head_z = np.minimum(head, top - 0.16)
    z = np.stack(
        [low, low + 0.1, np.minimum(belt, head_z - 0.02), head_z, top - 0.1, top - 0.02, top], 1
    )
    y = half[:, None] * np.array([0.95, 1.0, 1.0, 0.985, 0.94, 0.8, 0.0])
    left = np.stack([np.broadcast_to(x[:, None], z.shape), y, z], axis=-1)
    rows = np.asarray(rows)
    for side in (-1, 1):
        sheet = left * (1, side, 1)
        mesh.grid(rows[:, ::side], sheet[:, ::side], uv=sheet[:, ::side, [0, 2]])
    mesh.triangles(
        rows[0, 0],
        np.array([[left[0, 0], left[0, 0] * (1, -1, 1), left[-1, 0] * (1, -1, 1), left[-1, 0]]]),
    )
    for end, kinds in ((-1, front), (0, back)):
        ring, flip = left[end], np.array((1, -1, 1))
        quads = np.stack([ring[:-1], ring[:-1] * flip, ring[1:] * flip, ring[1:]], axis=1)
        mesh.triangles(np.asarray(kinds), quads, uv=quads[..., 1:])


def add_lamps(
    mesh: MeshBuilder, rows: Rows, rng, nose: float, tail: float, half: float, low: float
) -> None:
    """Head and tail lamps, indicators and plates."""
    plate = mesh.surface(sf.SIGN, (0.75, 0.75, 0.7), colour2=(0.05, 0.05, 0.06), seed=rng.random())
    for side in (-1, 1):
        slab(mesh, rows.head, (nose + 0.01, side * half * 0.76, low + 0.12), (0.03, 0.2, 0.09))
        slab(mesh, rows.amber, (nose + 0.01, side * half * 0.94, low + 0.12), (0.03, 0.05, 0.07))
        slab(mesh, rows.tail, (tail - 0.01, side * half * 0.82, low), (0.03, 0.16, 0.08))
        slab(mesh, rows.amber, (tail - 0.01, side * half * 0.96, low + 0.2), (0.02, 0.05, 0.1))
    for x in (nose + 0.03, tail - 0.03):
        quad = np.array(
            [
                [
                    (x, -0.26, low - 0.15),
                    (x, 0.26, low - 0.15),
                    (x, 0.26, low - 0.04),
                    (x, -0.26, low - 0.04),
                ]
            ]
        )
        mesh.triangles(plate, quad, uv=np.array([[[0, 0], [1, 0], [1, 1], [0, 1]]]))
