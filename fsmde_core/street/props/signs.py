"""Signs and signals on posts."""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.props.pictures import Canvas, lettering
from fsmde_core.street.props.solids import (
    BLACK,
    BLUE,
    FOOT_M,
    GREEN,
    ORANGE,
    RED,
    UNIT_UV,
    WHITE,
    YELLOW,
    plain,
    prism,
    ring,
    rope,
    slab,
    steel,
)


def mast(
    mesh: MeshBuilder, row: int, height: float, low: float, high: float, at=(0.0, 0.0)
) -> None:
    """A round post at (x, y) whose radius goes from low to high."""
    mesh.tube(row, (*at, -FOOT_M), (*at, height), low, high, sides=12)


def _street_name(mesh: MeshBuilder, rng) -> None:
    """Street names on a post, two plates at right angles."""
    post, plate = (
        steel(mesh, rng),
        plain(mesh, rng, (BLUE, GREEN, WHITE)[rng.integers(3)], gloss=0.2),
    )
    mast(mesh, post, 2.9, 0.03, 0.03)
    for z, turned in ((2.75, False), (2.5, True)):
        half = (0.02, 0.45, 0.1) if turned else (0.45, 0.02, 0.1)
        slab(mesh, plate, (0, 0.4, z) if turned else (0.4, 0, z), half)
        for side in (-1, 1):
            across = (0, -side, 0) if turned else (-side, 0, 0)
            corner = (
                (-side * 0.021, 0.4 + side * 0.35, z - 0.06)
                if turned
                else (0.4 + side * 0.35, side * 0.021, z - 0.06)
            )
            lettering(Canvas(mesh, corner, across, (0, 0, 1)), rng, 0.7, 0.12)


def _direction_sign(mesh: MeshBuilder, rng) -> None:
    """A large direction sign on two posts, seen from -x."""
    wide, tall, low = rng.uniform(0.8, 2.0), rng.uniform(0.6, 1.3), rng.uniform(0.6, 2.2)
    post, back = steel(mesh, rng, low=0.2), plain(mesh, rng, (0.35, 0.35, 0.35))
    field, letters = ((GREEN, WHITE), (BLUE, WHITE), (WHITE, BLACK), (YELLOW, BLACK))[
        rng.integers(4)
    ]
    ground, ink = plain(mesh, rng, field, gloss=0.2), plain(mesh, rng, letters)
    slab(mesh, back, (0, 0, low + tall), (0.02, wide, tall))
    for y in (-wide * 0.6, wide * 0.6):
        mast(mesh, post, low + 2 * tall, 0.045, 0.045, (0.07, y))
    canvas = Canvas(mesh, (-0.022, wide, low), (0, -1, 0), (0, 0, 1))
    canvas.rectangle(ink, 0, 0, 2 * wide, 2 * tall)
    canvas.rectangle(ground, 0.04, 0.04, 2 * wide - 0.08, 2 * tall - 0.08)
    for k in range(int(rng.integers(1, 4))):
        size = tall * 0.3
        canvas.text(
            ink, rng, 0.5, tall * (1.4 - 0.55 * k), size, max(2, int((2 * wide - 0.9) / size))
        )
        canvas.rectangle(ink, 0.2, tall * (1.4 - 0.55 * k), 0.08, size)


def _traffic_signs(mesh: MeshBuilder, rng) -> None:
    """One to three road signs on a post: discs, triangles, squares, octagons, chevrons."""
    post, back = steel(mesh, rng, low=0.2), plain(mesh, rng, (0.35, 0.35, 0.35))
    z = rng.uniform(2.1, 2.6)
    for _ in range(int(rng.integers(1, 4))):
        r, corners = rng.uniform(0.26, 0.42), int(rng.choice([3, 4, 8, 20]))
        turn = {3: np.pi / 2, 4: np.pi / 4, 8: np.pi / 8}.get(corners, 0.0)
        turn += np.pi * (corners == 3 and rng.random() < 0.3) + np.pi / 4 * (
            corners == 4 and rng.random() < 0.3
        )
        angle = turn + np.linspace(0, 2 * np.pi, corners, endpoint=False)
        outline = np.column_stack([r * np.cos(angle), z + r + r * np.sin(angle)])
        prism(mesh, back, outline, -0.05, -0.03)
        rim, inner = [(RED, WHITE), (BLUE, BLUE), (RED, RED), (YELLOW, YELLOW), (WHITE, BLUE)][
            rng.integers(5)
        ]
        canvas = Canvas(mesh, (-0.052, 0, z + r), (0, -1, 0), (0, 0, 1))
        for row, share in ((rim, 1.0), (inner, 0.78)):
            flat = np.column_stack([-r * share * np.cos(angle), r * share * np.sin(angle)])
            hub = np.zeros_like(flat)
            canvas.shape(
                plain(mesh, rng, row, gloss=0.2),
                np.stack([hub, np.roll(flat, -1, axis=0), flat], axis=1),
            )
        ink = plain(mesh, rng, BLACK if inner in (WHITE, YELLOW) else WHITE)
        if rng.random() < 0.6:
            canvas.text(ink, rng, -0.28 * r, -0.25 * r, 0.5 * r, int(rng.integers(1, 3)))
        else:
            canvas.rectangle(ink, -0.5 * r, -0.1 * r, r, 0.2 * r)
        z += 2 * r + 0.06
    mast(mesh, post, z, 0.032, 0.032)


def _traffic_mast(mesh: MeshBuilder, rng) -> None:
    """A mast arm over the lanes with two or three signals and a sign, or a post with one signal."""
    post, box = (
        steel(mesh, rng, low=0.04, high=0.4),
        plain(mesh, rng, (BLACK, YELLOW, GREEN)[rng.integers(3)]),
    )
    lit = int(rng.integers(3))
    colours = ((0.9, 0.04, 0.02), (0.8, 0.4, 0.02), (0.03, 0.75, 0.3))
    lamps = [
        mesh.surface(sf.LAMP, c, emission=4.0 if k == lit else 0.02) for k, c in enumerate(colours)
    ]
    reach = rng.uniform(4.0, 9.0) if rng.random() < 0.6 else 0.0
    high = 6.0 if reach else 3.4
    mast(mesh, post, high + 0.3 if reach else high, 0.14 if reach else 0.06, 0.1 if reach else 0.06)
    heads = [(0.25, 2.8)]
    if reach:
        mesh.tube(post, (0, 0, high), (0, reach, high + 0.4), 0.09, 0.05, sides=10)
        heads += [(y, high - 0.1) for y in (reach * 0.55, reach * 0.95)]
        plate = mesh.surface(sf.SIGN, WHITE, colour2=RED, seed=rng.random())
        quad = np.array([[(-0.1, reach * 0.75 - u, high - 0.5 + v) for u, v in UNIT_UV * 0.8]])
        mesh.triangles(plate, quad, uv=UNIT_UV[None])
        slab(mesh, post, (-0.08, reach * 0.75 - 0.4, high - 0.1), (0.01, 0.4, 0.4))
    for y, z in heads:
        slab(mesh, box, (-0.2, y, z), (0.1, 0.17, 0.5))
        slab(mesh, plain(mesh, rng, BLACK), (-0.09, y, z), (0.01, 0.28, 0.62))
        for k, lamp in enumerate(lamps):
            at = np.array([-0.3, y, z + 0.31 * (1 - k)])
            mesh.tube(lamp, at, at - (0.02, 0, 0), 0.1, 0.1, sides=12)
            slab(mesh, box, at + (-0.08, 0, 0.115), (0.09, 0.11, 0.012))


def _mirror(mesh: MeshBuilder, rng) -> None:
    """A round traffic mirror on a post."""
    post, rim = (
        plain(mesh, rng, (ORANGE, WHITE)[rng.integers(2)]),
        plain(mesh, rng, (ORANGE, RED)[rng.integers(2)]),
    )
    glass = mesh.surface(sf.GLASS, (0.3, 0.32, 0.34), gloss=1.0)
    mast(mesh, post, 2.6, 0.04, 0.04)
    mesh.tube(rim, (-0.04, 0, 2.4), (-0.1, 0, 2.4), 0.4, 0.42, sides=20)
    mesh.ellipsoid(glass, (-0.09, 0, 2.4), (0.06, 0.37, 0.37), around=16, up=10)
    rope(mesh, rim, ring((-0.1, 0, 2.4), 0.4, axis=0, count=20), 0.03)


SIGNS = {
    "street name": _street_name,
    "direction sign": _direction_sign,
    "traffic signs": _traffic_signs,
    "traffic mast": _traffic_mast,
    "mirror": _mirror,
}
