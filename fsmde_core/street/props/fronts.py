"""What a facade shows at arm's length: arcades, glass, halls with roller doors, garages."""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.props.pictures import Canvas, lettering
from fsmde_core.street.props.solids import (
    FOOT_M,
    any_colour,
    beams,
    concrete,
    masonry,
    plain,
    prism,
    rope,
    slab,
    steel,
)


def glaze(mesh: MeshBuilder, rng, half: float, high: float, *, y: float) -> None:
    """Panes with their frames from the ground up to high."""
    glass = mesh.surface(sf.GLASS, (0.02, 0.025, 0.03), gloss=1.0)
    frame = steel(mesh, rng, low=0.03, high=0.5)
    mesh.box(glass, (0, y + 0.1, high / 2 - 0.15), (half, 0.06, high / 2 + 0.15))
    x = np.linspace(0.04 - half, half - 0.04, int(rng.choice([6, 8, 12])) + 1)
    low = np.column_stack([x, np.full(len(x), y), np.full(len(x), -FOOT_M)])
    beams(mesh, frame, low, low + (0, 0, high + FOOT_M), 0.12, 0.06)
    z = np.arange(0.1, high, rng.choice([1.2, 2.4, 3.4]))
    left = np.column_stack([np.full(len(z), -half), np.full(len(z), y), z])
    beams(mesh, frame, left, left * (-1, 1, 1), 0.1, 0.08)


def _arcade(mesh: MeshBuilder, rng) -> None:
    """Arches of 3 to 4 m span along a facade, shop windows behind them, two storeys above."""
    count = int(rng.integers(2, 5))
    span, pier = rng.uniform(2.8, 4.0), rng.uniform(0.5, 0.9)
    half, spring = count * span / 2, rng.uniform(2.3, 3.0)
    stone = masonry(mesh, rng)
    radius = (span - pier) / 2
    flat = rng.uniform(0.4, 1.0)
    top, deep = spring + radius * flat + 0.5, rng.uniform(0.4, 0.7)
    angle = np.linspace(np.pi, 0, 13)
    for k in range(count):
        middle = -half + (k + 0.5) * span
        arch = np.column_stack(
            [middle + radius * np.cos(angle), spring + flat * radius * np.sin(angle)]
        )
        for a, b in zip(arch[:-1], arch[1:]):
            prism(mesh, stone, [a, b, (b[0], top), (a[0], top)], 0, deep, axis=1)
        for side in (-1, 1):
            x = middle + side * (span - pier / 2) / 2
            mesh.box(stone, (x, deep / 2, top / 2 - 0.15), (pier / 4, deep / 2, top / 2 + 0.15))
            slab(mesh, stone, (x, deep / 2, spring), (pier / 4 + 0.04, deep / 2 + 0.05, 0.08))
    slab(mesh, stone, (0, 1.9, top + 0.15), (half, 2.0, 0.15))
    shop = mesh.surface(
        sf.FACADE,
        rng.uniform(0.1, 0.5, 3),
        colour2=np.ones(3) * rng.uniform(0.03, 0.4),
        seed=rng.random(),
        params=(3, 3.6, 0.6, 9),
    )
    mesh.box(shop, (0, 4.2, top / 2), (half, 0.4, top / 2))
    mesh.box(concrete(mesh, rng), (0, 2.3, -0.12), (half, 2.3, 0.2))
    storey = rng.uniform(3.0, 3.6)
    above = mesh.surface(
        sf.FACADE,
        rng.uniform(0.25, 0.55) * np.array([1, 0.93, 0.82]),
        colour2=np.ones(3) * 0.5,
        seed=rng.random(),
        params=(span / 2, storey, 0.5, 1),
    )
    mesh.box(above, (0, 2.3, top + 0.3 + storey), (half, 2.25, storey))


def _glass_front(mesh: MeshBuilder, rng) -> None:
    """The foot of a glass tower, 12 m long and 9 to 20 m high: fins, a canopy, doors."""
    half, high = 6.0, rng.uniform(9, 20)
    stone, fin = concrete(mesh, rng), steel(mesh, rng, low=0.05, high=0.6)
    glaze(mesh, rng, half, high, y=0.0)
    mesh.box(stone, (0, 2.2, high / 2), (half, 2.0, high / 2))
    mesh.box(stone, (0, 0.0, 0.0), (half, 0.12, 0.35))
    if rng.random() < 0.5:
        x = np.arange(-half + 0.5, half, rng.choice([0.5, 1.0]))
        foot = np.column_stack([x, np.full(len(x), -0.15), np.full(len(x), 3.6)])
        beams(mesh, fin, foot, foot + (0, 0, high - 3.6), 0.3, 0.05)
    slab(mesh, stone, (0, -0.9, 3.4), (rng.uniform(1.5, half), 1.0, 0.12))
    at = rng.uniform(-3, 3)
    for side in (-1, 1):
        slab(mesh, fin, (at + side * 1.0, -0.1, 1.2), (0.05, 0.08, 1.2))
        rope(mesh, fin, [(at + side * 0.1, -0.18, 0.8), (at + side * 0.1, -0.18, 1.5)], 0.02)
    slab(mesh, fin, (at, -0.1, 2.4), (1.0, 0.08, 0.05))
    lettering(Canvas(mesh, (at - 1.0, -1.91, 3.3), (1, 0, 0), (0, 0, 1)), rng, 2.0, 0.22)


def _roller_door(
    mesh: MeshBuilder, row: int, frame: int, x: float, half: float, high: float
) -> None:
    """A door of slats in its frame, before the wall y = 0."""
    z = np.arange(0.05, high, 0.1)
    left = np.column_stack([np.full(len(z), x - half), np.full(len(z), -0.03), z])
    beams(mesh, row, left, left + (2 * half, 0, 0), 0.05, 0.085)
    slab(mesh, row, (x, 0.0, high / 2), (half, 0.03, high / 2))
    for side in (-1, 1):
        mesh.box(frame, (x + side * (half + 0.06), -0.06, high / 2), (0.07, 0.1, high / 2 + 0.1))
    slab(mesh, frame, (x, -0.1, high + 0.15), (half + 0.13, 0.16, 0.17))


def _hall(mesh: MeshBuilder, rng) -> None:
    """A hall's front, 14 m long and 5 to 9 m high: ribbed, with roller doors and windows."""
    half, high = 7.0, rng.uniform(5, 9)
    sheet = plain(mesh, rng, any_colour(rng, 0.15), kind=sf.WALL)
    trim, door = plain(mesh, rng, any_colour(rng, 0.4)), plain(mesh, rng, any_colour(rng, 0.3))
    glass = mesh.surface(sf.GLASS, (0.03, 0.035, 0.04), gloss=0.8)
    base = masonry(mesh, rng)
    mesh.box(base, (0, 1.0, 0.3), (half, 1.03, 0.6))
    mesh.box(sheet, (0, 1.0, high / 2), (half, 1.0, high / 2))
    x = np.arange(-half + 0.1, half, 0.2)
    foot = np.column_stack([x, np.full(len(x), -0.01), np.full(len(x), 0.9)])
    beams(mesh, sheet, foot, foot + (0, 0, high - 0.9), 0.05, 0.08)
    slab(mesh, trim, (0, 1.0, high), (half, 1.1, 0.15))
    for x in (-4.5, 0.0, 4.5):
        if rng.random() < 0.65:
            _roller_door(mesh, door, trim, x, rng.uniform(1.3, 1.9), rng.uniform(2.8, 4.0))
        else:
            slab(mesh, trim, (x, -0.05, 1.05), (0.55, 0.06, 1.08))
        lamp = (x, -0.2, 4.5)
        slab(mesh, trim, lamp, (0.15, 0.2, 0.08))
    if rng.random() < 0.6:
        for x in np.arange(-half + 1, half - 0.5, 1.5):
            slab(mesh, trim, (x, -0.03, high - 0.9), (0.7, 0.05, 0.42))
            slab(mesh, glass, (x, -0.06, high - 0.9), (0.64, 0.05, 0.36))
    lettering(Canvas(mesh, (-3, -0.08, 4.7), (1, 0, 0), (0, 0, 1)), rng, 6.0, min(0.7, high - 4.8))
    pipe = steel(mesh, rng)
    for x in (-half + 0.3, half - 0.3):
        mesh.tube(pipe, (x, -0.12, -FOOT_M), (x, -0.12, high), 0.06, 0.06)


def _garages(mesh: MeshBuilder, rng) -> None:
    """Four garages of 3 m with flat or pitched roofs; one may stand open."""
    wall, cap = masonry(mesh, rng), concrete(mesh, rng)
    trim = plain(mesh, rng, any_colour(rng, 0.2))
    doors = [plain(mesh, rng, any_colour(rng, 0.3)) for _ in range(2)]
    inside = plain(mesh, rng, (0.04, 0.04, 0.04))
    half, high = 6.0, rng.uniform(2.5, 3.0)
    for k in range(5):
        mesh.box(
            wall,
            (-half + 3.0 * k + 0.15 * (2 - k) / 2, 2.6, high / 2 - 0.15),
            (0.15, 2.6, high / 2 + 0.15),
        )
    mesh.box(inside, (0, 5.1, high / 2 - 0.15), (half, 0.1, high / 2 + 0.15))
    slab(mesh, wall, (0, 0.15, high - 0.15), (half, 0.14, 0.17))
    for k in range(4):
        x = -half + 1.5 + 3.0 * k
        if rng.random() < 0.85:
            _roller_door(mesh, doors[rng.integers(2)], trim, x, 1.2, high - 0.4)
    if rng.random() < 0.5:
        slab(mesh, cap, (0, 2.5, high + 0.1), (half, 2.8, 0.12))
    else:
        tiles = mesh.surface(sf.ROOF, (0.27, 0.1, 0.06), seed=rng.random())
        roof = [(-0.3, high), (5.5, high), (2.6, high + rng.uniform(0.8, 1.8))]
        prism(mesh, tiles, roof, -half, half)


FRONTS = {
    "glass front": _glass_front,
    "hall": _hall,
    "garages": _garages,
    "arcade": _arcade,
}
