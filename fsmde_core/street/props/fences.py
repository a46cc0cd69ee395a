"""Fences, of pieces that join; one sees through most of them."""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.props.pictures import Canvas, graffiti, poster
from fsmde_core.street.props.solids import (
    BLACK,
    FOOT_M,
    ORANGE,
    WHITE,
    YELLOW,
    any_colour,
    beams,
    concrete,
    plain,
    rope,
    slab,
    steel,
    wood,
)

PIECE_M = 4.0
HALF_M = PIECE_M / 2


def along(count: int) -> np.ndarray:
    """Places of count posts in a piece, so that the next piece goes on with the same step."""
    return (np.arange(count) + 0.5) * PIECE_M / count - HALF_M


def uprights(mesh, surface, x, y, low, high, width, depth) -> None:
    """Upright bars at x [n]."""
    foot = np.column_stack([x, np.broadcast_to(y, x.shape), np.broadcast_to(low, x.shape)])
    top = foot.copy()
    top[:, 2] = high
    beams(mesh, surface, foot, top, width, depth)


def _palisade(mesh: MeshBuilder, rng) -> None:
    """A steel palisade of 1.8 to 2.6 m: folded pales with pointed heads, or plain bars."""
    height = rng.uniform(1.6, 2.6)
    paint = plain(
        mesh, rng, ((0.4, 0.4, 0.4), BLACK, (0.02, 0.09, 0.05))[rng.integers(3)], gloss=0.2
    )
    count = int(rng.choice([24, 28, 36]))
    x = along(count)
    wide = rng.choice([0.024, 0.06])
    top = height - 0.12
    uprights(mesh, paint, x, 0.0, 0.06, top, 0.025, wide)
    points = np.zeros((count, 3, 3))
    points[:, :, 0] = x[:, None] + np.array([-wide / 2, wide / 2, 0])
    points[:, :, 2] = (top, top, height)
    mesh.triangles(paint, points)
    uprights(mesh, paint, along(2), 0.05, -FOOT_M, height - 0.1, 0.08, 0.08)
    for z in (0.3, height - 0.35):
        beams(mesh, paint, (-HALF_M, 0.03, z), (HALF_M, 0.03, z), 0.04, 0.05)
    if rng.random() < 0.3:
        base = concrete(mesh, rng)
        mesh.box(base, (0, 0, 0.02), (HALF_M, 0.13, 0.32))


def _picket(mesh: MeshBuilder, rng) -> None:
    """Garden pickets of 0.8 to 1.3 m with pointed or flat heads."""
    height = rng.uniform(0.8, 1.3)
    row = wood(mesh, rng) if rng.random() < 0.5 else plain(mesh, rng, WHITE)
    count, wide = int(rng.choice([26, 32])), 0.08
    x = along(count)
    top = height - 0.06 + 0.05 * np.cos(np.linspace(0, 2 * np.pi, count)) * (rng.random() < 0.4)
    foot = np.column_stack([x, 0 * x, np.full(count, 0.05)])
    head = np.column_stack([x + rng.normal(0, 0.006, count), 0 * x, top])
    beams(mesh, row, foot, head, 0.02, wide)
    tips = np.stack([head - (wide / 2, 0, 0), head + (wide / 2, 0, 0), head + (0, 0, 0.06)], axis=1)
    mesh.triangles(row, tips)
    for z in (0.22, height - 0.25):
        beams(mesh, row, (-HALF_M, 0.03, z), (HALF_M, 0.03, z), 0.03, 0.07)
    uprights(mesh, row, along(2), 0.07, -FOOT_M, height, 0.09, 0.09)


def _chain_link(mesh: MeshBuilder, rng) -> None:
    """Chain link of 1.5 to 3 m between tubular posts, now and then with barbed wire above."""
    height, step = rng.uniform(1.5, 3.0), 0.14
    wire = steel(mesh, rng, low=0.12, high=0.45)
    post = plain(mesh, rng, ((0.35, 0.35, 0.35), (0.02, 0.12, 0.06))[rng.integers(2)])
    lines = []
    for slope in (-1, 1):
        for start in np.arange(-HALF_M - height, HALF_M + height, step):
            z = np.sort(slope * (np.array([-HALF_M, HALF_M]) - start)).clip(0, height)
            if z[1] - z[0] > 0.02:
                a, b = ((start + slope * q, 0, q) for q in z)
                lines.append((a, b))
    starts, ends = np.array(lines).swapaxes(0, 1)
    r = np.full(len(starts), 0.0025)
    mesh.tubes(wire, starts, ends, r, r, sides=3)
    for x in along(2):
        mesh.tube(post, (x, 0.03, -FOOT_M), (x, 0.03, height + 0.05), 0.03, 0.03)
        if height > 2.2:
            mesh.tube(post, (x, 0.03, height), (x, -0.25, height + 0.35), 0.02, 0.02)
    for z in (0.05, height):
        rope(mesh, post if z > 1 else wire, [(-HALF_M, 0.02, z), (HALF_M, 0.02, z)], 0.014)
    for k in range(3 if height > 2.2 else 0):
        y, z = 0.03 - 0.09 * (k + 1), height + 0.115 * (k + 1)
        rope(mesh, wire, [(-HALF_M, y, z), (HALF_M, y, z)], 0.004, sides=3)


def _boards(mesh: MeshBuilder, rng) -> None:
    """A close board fence of 1.4 to 2.4 m, upright or lying boards of uneven tones."""
    height = rng.uniform(1.4, 2.4)
    rows = np.array([wood(mesh, rng)] * 3 + [wood(mesh, rng)])
    if rng.random() < 0.3:
        colour = any_colour(rng, 0.3)
        rows = np.array([plain(mesh, rng, colour * k) for k in (0.9, 1.0, 1.1)])
    post = wood(mesh, rng)
    if rng.random() < 0.65:
        count = int(rng.choice([22, 28, 34]))
        x = along(count)
        wide = PIECE_M / count - rng.choice([0.004, 0.012])
        foot = np.column_stack([x, rng.normal(0, 0.006, count), np.full(count, -0.05)])
        head = foot + np.column_stack(
            [rng.normal(0, 0.004, count), 0 * x, height + 0.05 + rng.normal(0, 0.012, count)]
        )
        beams(mesh, rng.choice(rows, count), foot, head, 0.022, wide)
    else:
        count = int(height / 0.16)
        z = (np.arange(count) + 0.5) * height / count
        ends = np.column_stack([np.full(count, HALF_M), rng.normal(0, 0.004, count), z])
        beams(mesh, rng.choice(rows, count), ends * (-1, 1, 1), ends, 0.022, height / count - 0.01)
    uprights(mesh, post, along(2), 0.06, -FOOT_M, height + 0.05, 0.1, 0.1)
    if rng.random() < 0.3:
        canvas = Canvas(mesh, (-HALF_M + 0.3, -0.03, 0.2), (1, 0, 0), (0, 0, 1))
        graffiti(canvas, rng, PIECE_M - 0.6, height - 0.4)


def _site_fence(mesh: MeshBuilder, rng) -> None:
    """A temporary mesh panel of 2 m on concrete feet, perhaps with a sheet or a board on it."""
    zinc, foot = steel(mesh, rng, low=0.25, high=0.5), concrete(mesh, rng)
    if rng.random() < 0.3:
        foot = plain(mesh, rng, ORANGE)
    high, c = rng.uniform(1.9, 2.1), HALF_M - 0.03
    frame = [(-c, 0, 0.05), (-c, 0, high), (c, 0, high), (c, 0, 0.05)]
    rope(mesh, zinc, frame, 0.021, sides=8)
    for z in np.linspace(0.16, high - 0.08, int(rng.integers(5, 12))):
        rope(mesh, zinc, [(-c, 0, z), (c, 0, z)], 0.004, sides=4)
    uprights(
        mesh,
        zinc,
        np.linspace(-c, c, int(rng.choice([26, 40])))[1:-1],
        0.0,
        0.16,
        high - 0.08,
        0.006,
        0.006,
    )
    mesh.box(foot, (-HALF_M, 0, 0.0), (0.12, 0.35, 0.13))
    mesh.box(foot, (HALF_M, 0, 0.0), (0.12, 0.35, 0.13))
    if rng.random() < 0.45:
        cloth = plain(mesh, rng, any_colour(rng, 0.5), kind=sf.CLOTH)
        slab(mesh, cloth, (0, -0.03, high / 2 + 0.08), (c - 0.05, 0.006, high / 2 - 0.15))
        if rng.random() < 0.5:
            poster(Canvas(mesh, (-1.5, -0.04, 0.5), (1, 0, 0), (0, 0, 1)), rng, 3.0, 1.1)
    elif rng.random() < 0.4:
        sign = plain(mesh, rng, YELLOW)
        slab(mesh, sign, (0.5, -0.03, 1.35), (0.4, 0.01, 0.3))
        poster(Canvas(mesh, (0.12, -0.045, 1.07), (1, 0, 0), (0, 0, 1)), rng, 0.76, 0.56)


def _railing(mesh: MeshBuilder, rng) -> None:
    """A railing of 1 to 1.3 m: upright bars, or three or four rails."""
    row = plain(mesh, rng, any_colour(rng, 0.35), gloss=0.25)
    high = rng.uniform(0.95, 1.3)
    uprights(mesh, row, along(2), 0.0, -FOOT_M, high, 0.05, 0.05)
    rope(mesh, row, [(-HALF_M, 0, high), (HALF_M, 0, high)], 0.028, sides=8)
    if rng.random() < 0.6:
        beams(mesh, row, (-HALF_M, 0, 0.12), (HALF_M, 0, 0.12), 0.03, 0.04)
        uprights(mesh, row, along(int(rng.choice([28, 36]))), 0.0, 0.12, high, 0.016, 0.016)
    else:
        for z in np.linspace(0.2, high, int(rng.integers(3, 6)))[:-1]:
            rope(mesh, row, [(-HALF_M, 0, z), (HALF_M, 0, z)], 0.018, sides=6)


def _farm_fence(mesh: MeshBuilder, rng) -> None:
    """Timber posts with rails, or with wires."""
    row = wood(mesh, rng)
    high = rng.uniform(0.9, 1.4)
    for x in along(2):
        lean = rng.normal(0, 0.03, 2)
        mesh.tube(row, (x, 0, -FOOT_M), (x + lean[0], lean[1], high + 0.1), 0.06, 0.05, sides=9)
    levels = np.linspace(0.35, high, int(rng.integers(2, 5)))
    if rng.random() < 0.5:
        for z in levels:
            beams(
                mesh,
                row,
                (-HALF_M, -0.06, z + rng.normal(0, 0.015)),
                (HALF_M, -0.06, z),
                0.03,
                0.12,
            )
    else:
        wire = steel(mesh, rng, low=0.15)
        for z in levels:
            rope(mesh, wire, [(-HALF_M, -0.05, z), (HALF_M, -0.05, z)], 0.004, sides=3)


FENCES = {
    "palisade": _palisade,
    "picket": _picket,
    "chain link": _chain_link,
    "boards": _boards,
    "site fence": _site_fence,
    "railing": _railing,
    "farm fence": _farm_fence,
}
