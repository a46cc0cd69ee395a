"""Shipping containers and site cabins."""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.props.pictures import Canvas, lettering
from fsmde_core.street.props.solids import (
    BLUE,
    FOOT_M,
    GREEN,
    WHITE,
    YELLOW,
    any_colour,
    beams,
    concrete,
    plain,
    rope,
    slab,
    steel,
)


def add_container(mesh: MeshBuilder, rng, at, length: float) -> None:
    """A corrugated steel container of 2.44 x 2.59 m, its doors at one end."""
    colour = np.array(
        [
            (0.35, 0.1, 0.05),
            (0.05, 0.12, 0.28),
            (0.05, 0.2, 0.12),
            (0.4, 0.4, 0.39),
            (0.5, 0.2, 0.03),
            (0.28, 0.04, 0.04),
            (0.6, 0.6, 0.56),
        ]
    )[rng.integers(7)]
    paint = plain(mesh, rng, colour, kind=sf.WALL)
    rust = plain(mesh, rng, colour * 0.7 + (0.03, 0.01, 0))
    half, wide, high = length / 2, 1.22, 2.59
    at = np.asarray(at, float)
    count = int(length / 0.28)
    edge = np.linspace(-half + 0.08, half - 0.08, 4 * count + 1)
    wave = np.tile((0.0, 0.0, 0.036, 0.036), count + 1)[: len(edge)]
    zs = np.array([0.12, high - 0.1])
    # Little light reaches the grooves.
    shaded = mesh.surface(sf.WALL, colour * 0.6, seed=0.5, params=(9, 9, 0, 1))
    grooves = np.where(np.arange(4 * count) % 4 % 3 == 0, paint, shaded)[:, None]

    def placed(x, y, z):
        return at + np.stack([x, y, z], axis=-1)

    for side in (-1, 1):
        x, z = np.meshgrid(edge, zs, indexing="ij")
        y = np.broadcast_to(side * (wide - 0.005 - wave)[:, None], x.shape)
        mesh.grid(
            grooves,
            placed(x, y, z)[:, ::-side],
            uv=np.stack([x, z], axis=-1)[:, ::-side],
            smooth=False,
        )
    frame = [(x, y) for x in (-half, half) for y in (-wide, wide)]
    for x, y in frame:
        lean = np.array([0.05 * np.sign(x), 0.05 * np.sign(y)])
        beams(
            mesh,
            rust,
            placed(x - lean[0], y - lean[1], 0.0),
            placed(x - lean[0], y - lean[1], high),
            0.1,
            0.1,
        )
    for z in (0.07, high - 0.06):
        for y in (-wide + 0.05, wide - 0.05):
            beams(mesh, rust, placed(-half, y, z), placed(half, y, z), 0.1, 0.12)
    slab(mesh, paint, at + (0, 0, high / 2), (half - 0.06, wide - 0.06, high / 2 - 0.06))
    for y in (-0.9, -0.35, 0.35, 0.9):
        rope(mesh, rust, [placed(half - 0.02, y, 0.15), placed(half - 0.02, y, high - 0.15)], 0.025)
    if rng.random() < 0.7:
        canvas = Canvas(mesh, at + (-half * 0.7, -wide - 0.002, high * 0.45), (1, 0, 0), (0, 0, 1))
        lettering(canvas, rng, length * 0.6, rng.uniform(0.4, 0.9))


def _containers(mesh: MeshBuilder, rng) -> None:
    """One to six shipping containers, up to three high."""
    length = rng.choice([6.06, 12.19], p=[0.6, 0.4])
    for column in range(int(rng.integers(1, 3))):
        for level in range(int(rng.integers(1, 4))):
            shift = rng.normal(0, 0.04)
            add_container(mesh, rng, (shift, column * 2.55, 2.6 * level - 0.02), length)
    mesh.box(concrete(mesh, rng), (0, 0.6, -0.15), (length / 2, 1.7, 0.15))


def _container_office(mesh: MeshBuilder, rng) -> None:
    """Site cabins of 6 m, one or two high, with windows, a door, stairs."""
    half, wide, high = 3.0, 1.2, 2.7
    levels = int(rng.integers(1, 3))
    paint = plain(
        mesh, rng, (WHITE, (0.5, 0.5, 0.46), BLUE, YELLOW, GREEN)[rng.integers(5)], kind=sf.WALL
    )
    frame, zinc = plain(mesh, rng, any_colour(rng, 0.4)), steel(mesh, rng, low=0.3)
    glass = mesh.surface(sf.GLASS, (0.02, 0.025, 0.03), gloss=0.9)
    mesh.box(paint, (0, 0, 0), (half, wide, FOOT_M))
    for level in range(levels):
        z = level * high
        mesh.box(paint, (0, 0, z + high / 2), (half, wide, high / 2))
        for x in (-half, half):
            for y in (-wide, wide):
                mesh.box(frame, (x, y, z + high / 2), (0.08, 0.08, high / 2))
        for edge in (z + 0.08, z + high - 0.1):
            slab(mesh, frame, (0, -wide, edge), (half, 0.07, 0.1))
        for x in (-1.7, 1.5):
            slab(mesh, frame, (x, -wide - 0.02, z + 1.6), (0.68, 0.04, 0.53))
            slab(mesh, glass, (x, -wide - 0.05, z + 1.6), (0.62, 0.03, 0.47))
        slab(mesh, zinc, (-0.1, -wide - 0.03, z + 1.1), (0.45, 0.04, 1.0))
    slab(mesh, frame, (0, 0, levels * high + 0.04), (half + 0.05, wide + 0.05, 0.06))
    if levels > 1:
        slab(mesh, zinc, (0.8, -wide - 0.6, high), (1.8, 0.55, 0.04))
        line = np.array(
            [
                (-5.0, -wide - 0.6, 0.9),
                (-1.0, -wide - 0.6, high + 1.0),
                (2.6, -wide - 0.6, high + 1.0),
            ]
        )
        for y in (-0.5, 0.5):
            rope(mesh, zinc, line + (0, y, 0), 0.025)
            rope(mesh, zinc, line[:2] + (0, y, -0.95), 0.06)
        step = np.linspace(0.03, 0.97, 14)[:, None]
        tread = line[0] + (line[1] - line[0]) * step - (0, 0, 0.95)
        beams(mesh, zinc, tread - (0, 0.5, 0), tread + (0, 0.5, 0), 0.25, 0.03)
        for x in (-1.0, 2.6):
            mesh.box(zinc, (x, -wide - 1.1, high / 2 - 0.15), (0.05, 0.05, high / 2 + 0.15))
    lettering(Canvas(mesh, (0.5, -wide - 0.075, high - 0.55), (1, 0, 0), (0, 0, 1)), rng, 2.0, 0.3)


CONTAINERS = {
    "containers": _containers,
    "container office": _container_office,
}
