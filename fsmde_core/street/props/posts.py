"""What stands on a post or a foot of its own: poles, signs, flags, boxes.

x is along the road and drivers come from -x; the road is on the side of +y, where arms reach.
"""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.props.pictures import Canvas, lettering, poster
from fsmde_core.street.props.signs import SIGNS, mast
from fsmde_core.street.props.solids import (
    BLACK,
    BLUE,
    FOOT_M,
    GREEN,
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
    rope,
    slab,
    steel,
    wood,
)


def make_post(rng: np.random.Generator, kind: str) -> Prop:
    """One of POST_KINDS; ValueError for an unknown kind."""
    return dispatch(MAKERS, rng, kind)


def _flags(mesh: MeshBuilder, rng) -> None:
    """One to four flag poles of 6 to 9 m with waving cloth."""
    pole, height = steel(mesh, rng, low=0.3, high=0.6), rng.uniform(6, 9)
    hanging = rng.random() < 0.5
    for k in range(int(rng.integers(1, 5))):
        x = 2.2 * k
        mast(mesh, pole, height, 0.06, 0.035, (x, 0))
        mesh.ellipsoid(pole, (x, 0, height), (0.07, 0.07, 0.07), up=5)
        wide, tall = (0.9, 2.8) if hanging else (1.8, 1.1)
        rows = np.array([plain(mesh, rng, any_colour(rng, 0.9), kind=sf.CLOTH) for _ in range(3)])
        u, v = np.meshgrid(np.linspace(0, 1, 13), np.linspace(0, 1, 7), indexing="ij")
        phase, drop = rng.uniform(0, 6.28), rng.uniform(0.0, 0.3)
        points = np.stack(
            [
                x + 0.05 + wide * u * 0.93,
                0.12 * wide * u * np.sin(7 * u + 2 * v + phase),
                height - 0.2 - tall * v - drop * u,
            ],
            axis=-1,
        )
        stripes = np.arange(12)[:, None] // 4 if rng.random() < 0.5 else np.arange(6)[None] // 2
        cells = np.broadcast_to(rows[stripes], (12, 6))
        mesh.grid(cells, points, uv=np.stack([u * wide, v * tall], axis=-1))


def _utility_pole(mesh: MeshBuilder, rng) -> None:
    """A timber or concrete pole of 8 to 12 m: crossarms, insulators, a transformer, a lamp."""
    high = rng.uniform(8, 12)
    row = wood(mesh, rng) if rng.random() < 0.65 else concrete(mesh, rng)
    dark, zinc = plain(mesh, rng, BLACK), steel(mesh, rng, low=0.2)
    pot = plain(mesh, rng, (0.35, 0.3, 0.25), gloss=0.4)
    mesh.tube(
        row, (0, 0, -FOOT_M), (rng.normal(0, 0.08), rng.normal(0, 0.08), high), 0.17, 0.11, sides=12
    )
    for z in high - 0.3 - np.arange(int(rng.integers(1, 4))) * rng.uniform(0.7, 1.2):
        beams(mesh, row, (0.15, -1.2, z), (0.15, 1.2, z), 0.1, 0.12)
        for side in (-1, 1):
            beams(mesh, zinc, (0.15, side * 0.8, z - 0.03), (0.13, 0, z - 0.7), 0.03, 0.03)
        for y in (-1.1, -0.6, 0.6, 1.1):
            mesh.tube(pot, (0.15, y, z + 0.05), (0.15, y, z + 0.22), 0.06, 0.04)
    if rng.random() < 0.6:
        for y in (-0.45, 0.45)[: int(rng.integers(1, 3))]:
            mesh.tube(zinc, (-0.1, y, high - 3.2), (-0.1, y, high - 2.1), 0.28, 0.28, sides=14)
            for k in (-0.1, 0.1):
                mesh.tube(pot, (-0.1 + k, y, high - 2.1), (-0.1 + k, y, high - 1.85), 0.04, 0.03)
        beams(mesh, zinc, (-0.1, -0.5, high - 2.6), (-0.1, 0.5, high - 2.6), 0.08, 0.1)
    if rng.random() < 0.5:
        tip = np.array([0, 2.2, high * 0.75])
        rope(mesh, zinc, [(0, 0, high * 0.68), (0, 1.4, high * 0.74), tip], 0.035)
        slab(mesh, zinc, tip + (0, 0.3, 0), (0.12, 0.35, 0.06))
    for _ in range(int(rng.integers(1, 4))):
        slab(mesh, zinc, (0.0, -0.22, rng.uniform(1.5, 5)), (0.15, 0.08, 0.25))
    rope(mesh, dark, [(0.15, 0.06, -0.1), (0.13, 0.06, high * 0.8)], 0.03)


def _telephone_box(mesh: MeshBuilder, rng) -> None:
    """A telephone box with glazed sides, or an open booth."""
    paint = plain(
        mesh, rng, (RED, BLUE, (0.35, 0.05, 0.2), (0.3, 0.3, 0.3))[rng.integers(4)], gloss=0.3
    )
    glass, dark = mesh.surface(sf.GLASS, (0.04, 0.045, 0.05), gloss=0.8), plain(mesh, rng, BLACK)
    half, high = 0.45, 2.3
    mesh.box(dark, (0, 0, 0.0), (half, half, 0.32))
    for x in (-half, half):
        for y in (-half, half):
            mesh.box(paint, (x, y, high / 2), (0.06, 0.06, high / 2))
    for side in (-1, 1):
        slab(mesh, glass, (0, side * half, 1.25), (half, 0.01, 0.85))
        slab(mesh, glass, (side * half, 0, 1.25), (0.01, half, 0.85))
        for z in np.linspace(0.45, 2.0, 6):
            slab(mesh, paint, (0, side * half, z), (half, 0.02, 0.02))
            slab(mesh, paint, (side * half, 0, z), (0.02, half, 0.02))
    mesh.box(paint, (0, 0, high), (half + 0.08, half + 0.08, 0.16), taper=(0.1,) * 4)
    for side in (-1, 1):
        lettering(
            Canvas(
                mesh, (side * 0.3, side * (half + 0.085), high - 0.06), (-side, 0, 0), (0, 0, 1)
            ),
            rng,
            0.6,
            0.12,
        )


def _charger(mesh: MeshBuilder, rng) -> None:
    """Chargers for electric cars, with cables and a board."""
    body, dark = (
        plain(mesh, rng, any_colour(rng, 0.5), gloss=0.3),
        plain(mesh, rng, BLACK, gloss=0.3),
    )
    glow = mesh.surface(sf.LAMP, (0.1, 0.7, 0.4), emission=1.0)
    high = rng.uniform(1.3, 2.0)
    for x in (0.0, 2.6)[: int(rng.integers(1, 3))]:
        mesh.box(
            body, (x, 0, high / 2 - 0.15), (0.28, 0.18, high / 2 + 0.15), taper=(0, 0, 0.06, 0)
        )
        slab(mesh, dark, (x, 0.17, high * 0.78), (0.2, 0.02, 0.15))
        slab(mesh, glow, (x, 0.18, high * 0.93), (0.22, 0.02, 0.02))
        k = np.linspace(0, 1, 9)
        loop = np.column_stack(
            [
                x + 0.3 + 0 * k,
                0.25 * np.sin(np.pi * k),
                high * 0.75 - 1.1 * np.sin(np.pi * k) * (1 - 0.4 * k),
            ]
        )
        rope(mesh, dark, loop, 0.022)
    post = steel(mesh, rng)
    mast(mesh, post, 2.4, 0.03, 0.03, (-0.8, 0))
    plate = plain(mesh, rng, (BLUE, GREEN)[rng.integers(2)])
    slab(mesh, plate, (-0.8, 0, 2.2), (0.02, 0.25, 0.25))
    lettering(Canvas(mesh, (-0.822, 0.2, 2.1), (0, -1, 0), (0, 0, 1)), rng, 0.4, 0.2)


def _parking_meters(mesh: MeshBuilder, rng) -> None:
    """A ticket machine, or two meters on posts."""
    dark, body = (
        steel(mesh, rng, low=0.03, high=0.3),
        plain(mesh, rng, any_colour(rng, 0.3), gloss=0.2),
    )
    if rng.random() < 0.5:
        mesh.box(body, (0, 0, 0.75), (0.2, 0.16, 1.05))
        slab(mesh, dark, (0, 0.16, 1.4), (0.15, 0.02, 0.12))
        mesh.box(dark, (0, 0, 1.84), (0.24, 0.2, 0.04))
        slab(mesh, plain(mesh, rng, BLUE), (0, 0, 2.1), (0.2, 0.02, 0.2))
        return
    for x in (-0.15, 0.15):
        mast(mesh, dark, 1.1, 0.03, 0.03, (x, 0))
        mesh.box(body, (x, 0, 1.25), (0.09, 0.07, 0.15))
        mesh.ellipsoid(dark, (x, 0, 1.4), (0.09, 0.07, 0.1), up=6)


def _camera_mast(mesh: MeshBuilder, rng) -> None:
    """A mast of 4 to 8 m with cameras, or a speed camera in its box."""
    zinc, white = steel(mesh, rng), plain(mesh, rng, WHITE)
    dark, high = plain(mesh, rng, BLACK, gloss=0.5), rng.uniform(4, 8)
    if rng.random() < 0.4:
        mast(mesh, zinc, 2.2, 0.09, 0.09)
        box = plain(mesh, rng, ((0.4, 0.4, 0.4), YELLOW, ORANGE)[rng.integers(3)])
        slab(mesh, box, (0, 0, 2.6), (0.3, 0.22, 0.42))
        for z in (2.45, 2.75):
            mesh.tube(dark, (-0.3, 0, z), (-0.32, 0, z), 0.1, 0.1, sides=14)
        return
    mast(mesh, zinc, high, 0.1, 0.06)
    for k in range(int(rng.integers(1, 4))):
        a = rng.uniform(0, 6.28)
        at = np.array([0.5 * np.cos(a), 0.5 * np.sin(a), high - 0.3 - 0.4 * k])
        rope(mesh, zinc, [(0, 0, at[2] + 0.1), at], 0.025)
        slab(mesh, white, at, (0.2, 0.07, 0.07), yaw=a)
    slab(mesh, zinc, (0, -0.2, 1.4), (0.2, 0.12, 0.35))


def _advert_column(mesh: MeshBuilder, rng) -> None:
    """A round column of 2.8 to 3.6 m with posters, or a two-sided lit board."""
    stone = plain(mesh, rng, any_colour(rng, 0.3))
    if rng.random() < 0.5:
        r, high, sides = rng.uniform(0.55, 0.75), rng.uniform(2.6, 3.3), 18
        mesh.tube(stone, (0, 0, -FOOT_M), (0, 0, high), r, r, sides=sides)
        mesh.tube(stone, (0, 0, -FOOT_M), (0, 0, 0.35), r + 0.06, r + 0.04, sides=sides)
        mesh.tube(stone, (0, 0, high - 0.1), (0, 0, high + 0.05), r + 0.1, r + 0.1, sides=sides)
        mesh.tube(stone, (0, 0, high + 0.05), (0, 0, high + 0.5), r + 0.08, 0.06, sides=sides)
        angle = np.linspace(0, 2 * np.pi, sides + 1)
        for k in range(0, sides, 2):
            a, b = angle[k], angle[k + 2]
            start, end = (np.array([np.cos(q), np.sin(q), 0]) * (r + 0.012) for q in (a, b))
            across = (end - start) / np.linalg.norm(end - start)
            tall = rng.uniform(0.5, 0.85) * (high - 0.6)
            corner = start + (0, 0, rng.uniform(0.4, high - tall - 0.15))
            poster(
                Canvas(mesh, corner, across, (0, 0, 1)),
                rng,
                np.linalg.norm(end - start) * 0.97,
                tall,
            )
        return
    mesh.box(stone, (0, 0, 0.25), (0.15, 0.35, 0.55))
    slab(mesh, stone, (0, 0, 1.65), (0.12, 0.65, 0.95))
    for side in (-1, 1):
        canvas = Canvas(mesh, (side * 0.125, -side * 0.58, 0.78), (0, side, 0), (0, 0, 1))
        poster(canvas, rng, 1.16, 1.74)


def _clock(mesh: MeshBuilder, rng) -> None:
    """A clock on a column of 3 to 4 m."""
    iron, white, high = (
        steel(mesh, rng, low=0.02, high=0.15),
        plain(mesh, rng, WHITE),
        rng.uniform(3.0, 4.2),
    )
    mast(mesh, iron, high, 0.09, 0.06)
    mesh.box(iron, (0, 0, 0.1), (0.2, 0.2, 0.4), taper=(0.08,) * 4)
    mesh.tube(iron, (-0.14, 0, high + 0.35), (0.14, 0, high + 0.35), 0.42, 0.42, sides=20)
    for side in (-1, 1):
        mesh.tube(
            white,
            (side * 0.14, 0, high + 0.35),
            (side * 0.15, 0, high + 0.35),
            0.37,
            0.37,
            sides=20,
        )
        for a, size in ((rng.uniform(0, 6.28), 0.2), (rng.uniform(0, 6.28), 0.3)):
            tip = (side * 0.16, size * np.cos(a), high + 0.35 + size * np.sin(a))
            beams(mesh, iron, (side * 0.16, 0, high + 0.35), tip, 0.01, 0.03)


def _old_lamp(mesh: MeshBuilder, rng) -> None:
    """A lantern on an iron column, one to three heads."""
    iron, high = steel(mesh, rng, low=0.02, high=0.1), rng.uniform(3.0, 4.5)
    glow = mesh.surface(sf.LAMP, (0.8, 0.7, 0.5), emission=0.3)
    mast(mesh, iron, high, 0.07, 0.045)
    mesh.tube(iron, (0, 0, -FOOT_M), (0, 0, 0.9), 0.14, 0.09, sides=12)
    mesh.ellipsoid(iron, (0, 0, 0.95), (0.13, 0.13, 0.08))
    heads = [(0, 0)] if rng.random() < 0.5 else [(0, -0.5), (0, 0.5)]
    globe = rng.random() < 0.4
    for x, y in heads:
        rope(mesh, iron, [(0, 0, high - 0.2), (x, y * 0.8, high - 0.1), (x, y, high + 0.05)], 0.03)
        if globe:
            mesh.ellipsoid(glow, (x, y, high + 0.25), (0.22, 0.22, 0.22), around=14, up=10)
            continue
        mesh.box(glow, (x, y, high + 0.25), (0.13, 0.13, 0.2), taper=(-0.06,) * 4)
        mesh.box(iron, (x, y, high + 0.52), (0.24, 0.24, 0.07), taper=(0.2,) * 4)
        for a, b in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            beams(
                mesh,
                iron,
                (x + a * 0.13, y + b * 0.13, high + 0.05),
                (x + a * 0.19, y + b * 0.19, high + 0.45),
                0.02,
                0.02,
            )


def _lattice_mast(mesh: MeshBuilder, rng) -> None:
    """A pylon or antenna mast of 12 to 25 m made of angle bars."""
    high, base, tip = rng.uniform(12, 25), rng.uniform(0.6, 1.6), 0.25
    zinc = steel(mesh, rng, low=0.2, high=0.5)
    z = np.linspace(0, 1, int(high / 1.3) + 1)
    half = base + (tip - base) * z
    corner = [
        np.column_stack([a * half, b * half, z * high])
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    for k in range(4):
        here, there = corner[k], corner[(k + 1) % 4]
        beams(mesh, zinc, here[:-1], here[1:], 0.1, 0.1)
        beams(mesh, zinc, here[:-1], there[1:], 0.05, 0.05)
        beams(mesh, zinc, there[:-1], here[1:], 0.05, 0.05)
        mesh.box(concrete(mesh, rng), (*here[0, :2], 0), (0.3, 0.3, FOOT_M))
    for share in (0.72, 0.86, 1.0)[: int(rng.integers(0, 4))]:
        beams(mesh, zinc, (0, -3.0, share * high), (0, 3.0, share * high), 0.25, 0.3)
        for y in (-2.8, -1.4, 1.4, 2.8):
            mesh.tube(zinc, (0, y, share * high), (0, y, share * high - 0.9), 0.08, 0.08)


MAKERS = {
    "flags": _flags,
    "utility pole": _utility_pole,
    "telephone box": _telephone_box,
    "charger": _charger,
    "parking meters": _parking_meters,
    "camera mast": _camera_mast,
    "advert column": _advert_column,
    "clock": _clock,
    "old lamp": _old_lamp,
    "lattice mast": _lattice_mast,
    **SIGNS,
}
POST_KINDS = tuple(MAKERS)
