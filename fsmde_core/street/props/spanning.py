"""What spans a road: bridges, gates, gantries, wires.

Origin in the middle of the road on the ground, x along it; half_m is half of the width that must
stay clear (lanes and what runs beside them).
"""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.props.overhead import OVERHEAD
from fsmde_core.street.props.pictures import Canvas, graffiti, lettering
from fsmde_core.street.props.solids import (
    FOOT_M,
    WHITE,
    Prop,
    any_colour,
    beams,
    concrete,
    dispatch,
    plain,
    prism,
    rope,
    slab,
    steel,
)


def make_spanning(rng: np.random.Generator, kind: str, half_m: float) -> Prop:
    """One of SPANNING_KINDS over a road; ValueError for an unknown kind."""
    return dispatch(MAKERS, rng, kind, half_m)


def _abutments(
    mesh: MeshBuilder, rng, stone: int, half_m: float, under: float, half_x: float, run: float
):
    """Walls, wing walls and banks that rise from half_m to the deck over run metres."""
    soil = mesh.surface(sf.GRASS, (0.06, 0.12, 0.03), colour2=(0.2, 0.17, 0.08), seed=rng.random())
    for side in (-1, 1):
        y = side * (half_m + 0.4)
        mesh.box(stone, (0, y, under / 2 - 0.15), (half_x, 0.4, under / 2 + 0.15))
        for end in (-1, 1):
            wing = [
                (y, -FOOT_M),
                (y + side * run, -FOOT_M),
                (y + side * run, under + 1.2),
                (y, under + 1.2),
            ]
            x = end * half_x
            prism(mesh, stone, wing[::-side], min(x, x - end * 0.3), max(x, x - end * 0.3))
            bank = [(y, -FOOT_M), (y + side * run, -FOOT_M), (y + side * run, under * 0.8)]
            prism(mesh, soil, bank[::-side], min(x, x + end * 4), max(x, x + end * 4))
        far = [(y + side * run, -FOOT_M), (y + side * (run + 9), -FOOT_M), (y + side * run, under)]
        prism(mesh, soil, far[::side], -half_x, half_x)
        fill = y + side * run / 2
        slab(mesh, soil, (0, fill, under / 2), (half_x - 0.31, run / 2 - 0.2, under / 2 + 0.3))
        canvas = Canvas(
            mesh, (side * (0.3 - half_x), y - side * 0.405, 0.2), (side, 0, 0), (0, 0, 1)
        )
        if rng.random() < 0.5 and half_x > 2:
            graffiti(canvas, rng, 2 * half_x - 0.6, under - 0.5)


def _overpass(mesh: MeshBuilder, rng, half_m: float) -> None:
    """A concrete road bridge 4.6 to 6.5 m up: deck, beams, parapets, abutments or piers."""
    under, half_x = rng.uniform(4.6, 6.5), rng.uniform(3.0, 8.0)
    stone = concrete(mesh, rng, panel=(3.0, 2.0))
    depth, open_sides = rng.uniform(0.7, 1.3), rng.random() < 0.5
    reach = half_m + (14.0 if open_sides else 8.0)
    slab(mesh, stone, (0, 0, under + depth + 0.2), (half_x, reach, 0.2))
    for x in np.linspace(-half_x + 0.8, half_x - 0.8, int(rng.integers(3, 7))):
        slab(mesh, stone, (x, 0, under + depth / 2), (0.28, reach - 0.3, depth / 2))
    if open_sides:
        soil = mesh.surface(sf.GRASS, (0.06, 0.12, 0.03), colour2=(0.2, 0.17, 0.08), seed=0.4)
        for side in (-1, 1):
            bank = np.array([(reach - 4, -FOOT_M), (reach + 9, -FOOT_M), (reach, under + depth)])
            prism(mesh, soil, (bank * (side, 1))[::side], -half_x - 0.5, half_x + 0.5)
        for y in (half_m + 1.0, half_m + 12.0):
            for side in (-1, 1):
                for x in np.linspace(-half_x + 1.2, half_x - 1.2, 2 + (half_x > 5)):
                    mesh.tube(
                        stone,
                        (x, side * y, -FOOT_M),
                        (x, side * y, under - 0.5),
                        0.5,
                        0.5,
                        sides=20,
                    )
                slab(mesh, stone, (0, side * y, under - 0.3), (half_x - 0.3, 0.6, 0.32))
    else:
        _abutments(mesh, rng, stone, half_m, under, half_x, 8.0)
    top = under + depth + 0.4
    solid = rng.random() < 0.5
    rail, band = steel(mesh, rng), plain(mesh, rng, any_colour(rng, 0.4))
    for end in (-1, 1):
        x = end * (half_x - 0.1)
        slab(
            mesh,
            stone,
            (x, 0, top + (0.4 if solid else -0.1)),
            (0.14, reach, 0.45 if solid else 0.25),
        )
        if not solid or rng.random() < 0.4:
            y = np.arange(-reach, reach + 0.1, 0.5 if solid else 0.25)
            low = np.column_stack([np.full(len(y), x), y, np.full(len(y), top)])
            beams(mesh, rail, low, low + (0, 0, 1.3), 0.03, 0.03)
            for z in (0.7, 1.3):
                beams(mesh, rail, (x, -reach, top + z), (x, reach, top + z), 0.05, 0.06)
        if rng.random() < 0.4:
            slab(
                mesh, band, (end * half_x + end * 0.06, 0, under + depth + 0.1), (0.05, half_m, 0.3)
            )
            canvas = Canvas(
                mesh,
                (end * (half_x + 0.12), end * -2.0, under + depth - 0.05),
                (0, end, 0),
                (0, 0, 1),
            )
            lettering(canvas, rng, 4.0, 0.35)


def _railway_bridge(mesh: MeshBuilder, rng, half_m: float) -> None:
    """Steel plate girders with stiffeners on brick abutments, 4.6 to 5.6 m up."""
    under, half_x, high = rng.uniform(4.6, 5.6), rng.uniform(2.2, 3.5), rng.uniform(1.2, 2.0)
    colour = ((0.1, 0.16, 0.13), (0.2, 0.09, 0.06), (0.25, 0.26, 0.27), (0.07, 0.1, 0.16))[
        rng.integers(4)
    ]
    paint = plain(mesh, rng, colour, gloss=0.1, kind=sf.WALL)
    brick = mesh.surface(
        sf.WALL,
        np.array([0.3, 0.15, 0.1]) * rng.uniform(0.6, 1.2),
        seed=rng.random(),
        params=(9, 9),
    )
    reach = half_m + 1.2
    for x in (-half_x, half_x):
        slab(mesh, paint, (x, 0, under + high / 2), (0.04, reach, high / 2))
        for z in (under + 0.03, under + high):
            slab(mesh, paint, (x, 0, z), (0.22, reach, 0.03))
        y = np.arange(-reach + 0.3, reach, 1.2)
        low = np.column_stack([np.full(len(y), x), y, np.full(len(y), under)])
        beams(mesh, paint, low, low + (0, 0, high), 0.04, 0.36)
    for y in np.arange(-reach + 0.9, reach, 1.2):
        beams(mesh, paint, (-half_x, y, under + 0.3), (half_x, y, under + 0.3), 0.2, 0.35)
    slab(mesh, paint, (0, 0, under + 0.52), (half_x, reach, 0.04))
    _abutments(mesh, rng, brick, half_m, under, half_x + 0.5, 6.0)
    sign = plain(mesh, rng, WHITE)
    for end in (-1, 1):
        slab(mesh, sign, (end * (half_x + 0.08), 0, under + 0.5), (0.03, 0.9, 0.3))
        lettering(
            Canvas(
                mesh, (end * (half_x + 0.115), -end * 0.7, under + 0.33), (0, end, 0), (0, 0, 1)
            ),
            rng,
            1.4,
            0.3,
        )


def _footbridge(mesh: MeshBuilder, rng, half_m: float) -> None:
    """A truss footbridge 5 to 6.5 m up, perhaps roofed and glazed, on two towers with stairs."""
    under, half_x, reach = rng.uniform(5.0, 6.5), rng.uniform(1.1, 2.0), half_m + 2.0
    paint = plain(mesh, rng, any_colour(rng, 0.3), gloss=0.2)
    deck, high = concrete(mesh, rng), rng.uniform(1.4, 2.8)
    slab(mesh, deck, (0, 0, under + 0.15), (half_x, reach, 0.15))
    bays = max(4, int(2 * reach / 2.0))
    y = np.linspace(-reach, reach, bays + 1)
    closed = high > 2.2
    glass = mesh.surface(sf.GLASS, (0.03, 0.035, 0.04), gloss=0.9)
    for x in (-half_x, half_x):
        low = np.column_stack([np.full(bays + 1, x), y, np.full(bays + 1, under + 0.2)])
        head = low + (0, 0, high)
        beams(mesh, paint, low, head, 0.12, 0.12)
        beams(mesh, paint, low[:-1:2], head[1::2], 0.1, 0.1)
        beams(mesh, paint, head[1:-1:2], low[2::2], 0.1, 0.1)
        for ends in (low, head):
            beams(mesh, paint, ends[0], ends[-1], 0.16, 0.2)
        if closed:
            slab(mesh, glass, (x * 0.95, 0, under + 1.2), (0.02, reach, 0.95))
    if closed:
        slab(mesh, paint, (0, 0, under + 0.3 + high), (half_x + 0.3, reach, 0.08))
    count = int(under / 0.17)
    for side in (-1, 1):
        for x in (-half_x, half_x):
            mesh.tube(
                deck,
                (x, side * (reach - 0.4), -FOOT_M),
                (x, side * (reach - 0.4), under),
                0.22,
                0.22,
                sides=14,
            )
        run, y = 0.28 * count, side * (reach + 0.7)
        step = np.arange(count)
        x = -half_x - run + 0.28 * (step + 0.5)
        middle = np.column_stack([x, np.full(count, y), (step + 1) * 0.17 - 0.1])
        beams(mesh, deck, middle - (0.15, 0, 0), middle + (0.15, 0, 0), 1.3, 0.17)
        for edge in (-0.65, 0.65):
            line = np.array(
                [
                    (-half_x - run, y + edge, 0.95),
                    (-half_x, y + edge, under + 1.1),
                    (half_x, y + edge, under + 1.1),
                ]
            )
            rope(mesh, paint, line, 0.03, sides=6)
            rope(mesh, paint, line - (0, 0, 0.5), 0.02, sides=6)
            rope(mesh, paint, line[:2] - (0, 0, 1.1), 0.09, sides=6)
        slab(mesh, deck, (0, y, under + 0.15), (half_x + 0.1, 0.72, 0.12))
        mesh.tube(deck, (0, y, -FOOT_M), (0, y, under), 0.2, 0.2, sides=14)


def _portal_gate(mesh: MeshBuilder, rng, half_m: float) -> None:
    """A gate of masonry with one or three arches, or a lettered beam on two posts."""
    if rng.random() < 0.5:
        high = rng.uniform(4.8, 6.0)
        paint = plain(mesh, rng, any_colour(rng, 0.6), gloss=0.2)
        for side in (-1, 1):
            mesh.box(paint, (0, side * (half_m + 0.4), high / 2), (0.35, 0.35, high / 2 + FOOT_M))
        slab(mesh, paint, (0, 0, high + 0.5), (0.3, half_m + 1.0, 0.6))
        for end in (-1, 1):
            lettering(
                Canvas(
                    mesh, (end * 0.31, -end * half_m * 0.7, high + 0.15), (0, end, 0), (0, 0, 1)
                ),
                rng,
                half_m * 1.4,
                0.7,
            )
        return
    stone = mesh.surface(
        sf.WALL,
        rng.uniform(0.25, 0.5) * np.array([1, 0.92, 0.78]),
        seed=rng.random(),
        params=(1.1, 0.5, 0, 2),
    )
    clear = half_m + 0.6  # the arch comes down to its springing beside the lanes
    spring, deep, pier = rng.uniform(3.8, 4.6), rng.uniform(0.8, 2.0), rng.uniform(1.2, 2.5)
    rise = min(clear, rng.uniform(2.0, 4.0))
    top = spring + rise + rng.uniform(1.0, 3.0)
    angle = np.linspace(np.pi, 0, 21)
    arch = np.column_stack([clear * np.cos(angle), spring + rise * np.sin(angle)])
    for a, b in zip(arch[:-1], arch[1:]):
        prism(mesh, stone, [a, b, (b[0], top), (a[0], top)], -deep, deep)
    for side in (-1, 1):
        mesh.box(stone, (0, side * (clear + pier), top / 2), (deep, pier, top / 2 + FOOT_M))
        slab(mesh, stone, (0, side * (clear + pier), spring), (deep + 0.12, pier + 0.05, 0.15))
        if rng.random() < 0.5:
            mesh.box(stone, (0, side * (clear + pier), top + 1.2), (deep * 0.8, pier * 0.7, 1.4))
    slab(mesh, stone, (0, 0, top + 0.15), (deep + 0.25, clear + 2 * pier + 0.2, 0.2))
    for y in np.arange(-clear, clear + 0.1, 1.2):
        mesh.box(stone, (0, y, top + 0.65), (deep * 0.9, 0.35, 0.32))


MAKERS = {
    "overpass": _overpass,
    "railway bridge": _railway_bridge,
    "footbridge": _footbridge,
    "portal gate": _portal_gate,
    **OVERHEAD,
}
SPANNING_KINDS = tuple(MAKERS)
