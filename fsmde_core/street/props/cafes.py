"""Cafes, market stalls, shop fronts and their plants."""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.props.solids import (
    BLACK,
    FOOT_M,
    WHITE,
    any_colour,
    balls,
    beams,
    concrete,
    plain,
    rope,
    shrub,
    slab,
    steel,
    wood,
)


def _parasol(mesh: MeshBuilder, rng, x: float, y: float, cloth: int, *, open_: bool = True) -> None:
    pole, dark = steel(mesh, rng, low=0.3), plain(mesh, rng, BLACK)
    mesh.tube(dark, (x, y, -0.1), (x, y, 0.1), 0.3, 0.28, sides=12)
    mesh.tube(pole, (x, y, 0), (x, y, 2.7), 0.025, 0.025)
    if not open_:
        mesh.tube(cloth, (x, y, 1.1), (x, y, 2.6), 0.16, 0.03, sides=10)
        return
    r, sides = rng.uniform(1.2, 1.7), int(rng.choice([4, 8]))
    angle = np.linspace(0, 2 * np.pi, sides + 1) + np.pi / sides
    rim = np.column_stack([x + r * np.cos(angle), y + r * np.sin(angle), np.full(sides + 1, 2.2)])
    top = np.broadcast_to((x, y, 2.75), rim[:-1].shape)
    mesh.triangles(
        cloth,
        np.stack([top, rim[:-1], rim[1:]], axis=1),
        uv=np.stack([rim[:-1], rim[:-1], rim[1:]], axis=1)[..., :2],
    )
    frill = np.stack([rim[:-1], rim[1:], rim[1:] - (0, 0, 0.17), rim[:-1] - (0, 0, 0.17)], axis=1)
    mesh.triangles(cloth, frill, uv=frill[..., [0, 2]])
    beams(
        mesh,
        pole,
        np.broadcast_to((x, y, 2.3), rim[:-1].shape),
        rim[:-1] * 0.98 + np.array((x, y, 2.2)) * 0.02,
        0.02,
        0.02,
    )


def _chair(mesh: MeshBuilder, row: int, x: float, y: float, yaw: float) -> None:
    c, s = np.cos(yaw), np.sin(yaw)

    def at(a, b, z):
        return np.array([x + c * a - s * b, y + s * a + c * b, z])

    mesh.box(row, at(0, 0, 0.45), (0.21, 0.21, 0.02), yaw=yaw)
    for z in (0.62, 0.74, 0.86):
        beams(mesh, row, at(-0.2, -0.2, z), at(-0.2, 0.2, z), 0.02, 0.07)
    for a in (-0.19, 0.19):
        for b in (-0.19, 0.19):
            mesh.tube(
                row, at(a * 1.05, b, -0.05), at(a, b, 0.45 if a > 0 else 0.9), 0.014, 0.014, sides=5
            )


def _cafe(mesh: MeshBuilder, rng) -> None:
    """Two to four tables with chairs, some under parasols, a board, 2.4 m apart."""
    count, cloth = int(rng.integers(2, 5)), plain(mesh, rng, any_colour(rng, 0.7), kind=sf.CLOTH)
    chair = (
        wood(mesh, rng) if rng.random() < 0.4 else plain(mesh, rng, any_colour(rng, 0.4), gloss=0.2)
    )
    top, leg = (
        (wood(mesh, rng) if rng.random() < 0.5 else steel(mesh, rng)),
        steel(mesh, rng, low=0.03),
    )
    shaded, open_ = rng.random() < 0.7, rng.random() < 0.85
    for k in range(count):
        x, y = 2.4 * (k - (count - 1) / 2), rng.normal(0, 0.1)
        mesh.tube(leg, (x, y, -0.05), (x, y, 0.72), 0.035, 0.035)
        mesh.tube(leg, (x, y, -0.05), (x, y, 0.03), 0.25, 0.2, sides=12)
        mesh.tube(top, (x, y, 0.72), (x, y, 0.75), 0.36, 0.36, sides=18)
        mesh.tube(plain(mesh, rng, WHITE), (x + 0.1, y, 0.75), (x + 0.1, y, 0.86), 0.04, 0.045)
        turn = rng.uniform(0, 1.57)
        for j in range(int(rng.integers(2, 5))):
            a = turn + j * np.pi / 2
            _chair(
                mesh,
                chair,
                x + 0.68 * np.cos(a),
                y + 0.68 * np.sin(a),
                a + np.pi + rng.normal(0, 0.2),
            )
        if shaded and k % 2 == 0:
            _parasol(mesh, rng, x + 1.2, y + 0.3, cloth, open_=open_)
    x = -1.2 * count - 0.5
    for side in (-1, 1):
        beams(mesh, leg, (x, side * 0.3, -0.05), (x, side * 0.05, 1.0), 0.6, 0.03)


def _stall(mesh: MeshBuilder, rng) -> None:
    """A market stall of 3 m: striped roof, crates of goods."""
    half, deep, timber = 1.5, 0.9, wood(mesh, rng)
    stripes = [
        plain(mesh, rng, any_colour(rng, 0.9), kind=sf.CLOTH),
        plain(mesh, rng, WHITE, kind=sf.CLOTH),
    ]
    for x in (-half, half):
        for y, z in ((-deep, 2.2), (deep, 2.5)):
            mesh.tube(timber, (x, y, -FOOT_M), (x, y, z), 0.03, 0.03)
    edges = np.linspace(-half - 0.2, half + 0.2, 11)
    for k, (a, b) in enumerate(zip(edges[:-1], edges[1:])):
        roof = np.array(
            [
                (a, -deep - 0.35, 2.1),
                (b, -deep - 0.35, 2.1),
                (b, deep + 0.1, 2.55),
                (a, deep + 0.1, 2.55),
            ]
        )
        front = np.array([roof[0] - (0, 0, 0.22), roof[1] - (0, 0, 0.22), roof[1], roof[0]])
        quads = np.stack([roof, front])
        mesh.triangles(stripes[k % 2], quads, uv=quads[..., :2])
    slab(mesh, timber, (0, -0.2, 0.75), (half, 0.6, 0.03))
    mesh.box(stripes[rng.integers(2)], (0, -0.78, 0.3), (half, 0.02, 0.45))
    mesh.box(timber, (0, 0.4, 0.2), (half * 0.9, 0.03, 0.5))
    goods = np.array(
        [
            (0.5, 0.25, 0.02),
            (0.45, 0.03, 0.02),
            (0.1, 0.25, 0.03),
            (0.6, 0.5, 0.05),
            (0.3, 0.2, 0.1),
            (0.25, 0.03, 0.2),
        ]
    )
    rows = [plain(mesh, rng, c, gloss=0.2) for c in goods]
    for x in np.arange(-half + 0.25, half - 0.2, 0.5):
        for y, z in ((-0.5, 0.86), (-0.1, 0.98), (0.25, 1.1)):
            slab(mesh, timber, (x, y, z), (0.23, 0.18, 0.07))
            row = rows[rng.integers(len(rows))]
            at = (x, y, z + 0.08) + rng.uniform(-1, 1, (9, 3)) * (0.17, 0.13, 0)
            balls(mesh, row, at, rng.uniform(0.04, 0.07, 9))


def _awning(mesh: MeshBuilder, rng) -> None:
    """A shop awning of 3 to 5 m on a piece of wall with a shop window and goods outside."""
    half = rng.uniform(1.5, 2.5)
    wall = mesh.surface(
        sf.FACADE,
        any_colour(rng, 0.2),
        colour2=np.ones(3) * rng.uniform(0.03, 0.5),
        seed=rng.random(),
        params=(2.5, 3.5, 0.6, 9),
    )
    mesh.box(wall, (0, 0.3, 1.75), (half, 0.2, 1.75))
    mesh.box(concrete(mesh, rng), (0, 0.3, 0), (half, 0.22, FOOT_M))
    stripes = [plain(mesh, rng, any_colour(rng, 0.9), kind=sf.CLOTH)]
    stripes.append(plain(mesh, rng, WHITE, kind=sf.CLOTH) if rng.random() < 0.5 else stripes[0])
    edges = np.linspace(-half, half, 13)
    for k, (a, b) in enumerate(zip(edges[:-1], edges[1:])):
        roof = np.array([(a, -1.1, 2.3), (b, -1.1, 2.3), (b, 0.1, 2.95), (a, 0.1, 2.95)])
        front = np.array([roof[0] - (0, 0, 0.2), roof[1] - (0, 0, 0.2), roof[1], roof[0]])
        quads = np.stack([roof, front])
        mesh.triangles(stripes[k % 2], quads, uv=quads[..., :2])
    rope(mesh, steel(mesh, rng), [(-half, -1.1, 2.3), (half, -1.1, 2.3)], 0.025)
    for x in np.arange(-half + 0.4, half - 0.3, 0.9):
        if rng.random() < 0.6:
            half_box = np.array([0.35, 0.25, rng.uniform(0.2, 0.45)])
            mesh.box(plain(mesh, rng, any_colour(rng, 0.6)), (x, -0.4, half_box[2] - 0.1), half_box)
            shrub(mesh, rng, (x, -0.4, 2 * half_box[2]), (0.3, 0.22, 0.15), leaves=60)


def _planters(mesh: MeshBuilder, rng) -> None:
    """One to three planters of concrete, steel or wood with shrubs or flowers."""
    row = [concrete(mesh, rng), wood(mesh, rng), plain(mesh, rng, any_colour(rng, 0.3))][
        rng.integers(3)
    ]
    soil, count, round_ = (
        plain(mesh, rng, (0.08, 0.05, 0.03)),
        int(rng.integers(1, 4)),
        rng.random() < 0.4,
    )
    high = rng.uniform(0.4, 0.9)
    half = np.array([rng.uniform(0.35, 0.9), rng.uniform(0.3, 0.5)])
    for k in range(count):
        x = (2 * half[0] + 0.5) * (k - (count - 1) / 2)
        if round_:
            mesh.tube(row, (x, 0, -FOOT_M), (x, 0, high), half[1] * 0.85, half[1] * 1.15, sides=18)
        else:
            mesh.box(row, (x, 0, high / 2 - 0.15), (*half, high / 2 + 0.15), taper=(-0.03,) * 4)
            slab(mesh, soil, (x, 0, high + 0.01), (half[0] - 0.03, half[1] - 0.03, 0.012))
        tall = rng.uniform(0.25, 0.8)
        shrub(
            mesh,
            rng,
            (x, 0, high + tall * 0.6),
            (half[1 if round_ else 0] * 0.95, half[1] * 0.95, tall),
        )
        flower = plain(mesh, rng, any_colour(rng, 1.0))
        if rng.random() < 0.4:
            a, r = rng.uniform(0, 6.28, 14), rng.uniform(0.5, 1.0, 14) * half[1]
            top = high + tall * rng.uniform(0.9, 1.5, 14)
            at = np.column_stack([x + r * np.cos(a), r * np.sin(a), top])
            balls(mesh, flower, at, np.full(14, 0.05))


CAFES = {
    "cafe": _cafe,
    "stall": _stall,
    "planters": _planters,
    "awning": _awning,
}
