"""Bicycles and scooters by the row."""

from __future__ import annotations

import numpy as np

from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.props.solids import (
    BLACK,
    FOOT_M,
    WHITE,
    any_colour,
    plain,
    prism,
    ring,
    rope,
    steel,
)


def _bicycle(mesh: MeshBuilder, rng, x: float, yaw: float, lean: float) -> None:
    """A bicycle whose wheels stand on the line through (x, 0) turned by yaw."""
    paint, dark = plain(mesh, rng, any_colour(rng, 0.6), gloss=0.3), plain(mesh, rng, BLACK)
    zinc = steel(mesh, rng, low=0.3, high=0.55)
    c, s, tilt = np.cos(yaw), np.sin(yaw), np.tan(lean)

    def place(points):
        a, b, z = np.moveaxis(np.asarray(points, float), -1, 0)
        b = b + z * tilt
        return np.stack([x + c * a - s * b, s * a + c * b, z], axis=-1)

    for a in (-0.52, 0.52):
        wheel = ring((a, 0, 0.34), 0.33, axis=1, count=18)
        rope(mesh, dark, place(wheel), 0.02, sides=5)
        hub = np.broadcast_to((a, 0, 0.34), wheel[:-1:2].shape)
        thin = np.full(9, 0.003)
        mesh.tubes(zinc, place(hub), place(wheel[:-1:2]), thin, thin, sides=3)
        rope(mesh, dark, place(ring((a, 0, 0.34), 0.37, axis=1, count=18)[2:9]), 0.012, sides=4)
    crank, seat, head, tail = (-0.05, 0, 0.3), (-0.2, 0, 0.82), (0.38, 0, 0.85), (-0.52, 0, 0.34)
    for a, b in (
        (crank, seat),
        (crank, (0.4, 0, 0.72)),
        (seat, head),
        (crank, tail),
        (tail, seat),
        (head, (0.52, 0, 0.34)),
        (head, (0.34, 0, 1.02)),
    ):
        rope(mesh, paint, place([a, b]), 0.018)
    rope(
        mesh,
        dark,
        place([(0.2, -0.28, 1.0), (0.33, -0.2, 1.04), (0.35, 0.2, 1.04), (0.22, 0.28, 1.0)]),
        0.015,
    )
    rope(mesh, dark, place([(-0.32, 0, 0.88), (-0.1, 0, 0.9)]), 0.055, sides=7)
    rope(mesh, zinc, place(ring(crank, 0.09, axis=1, count=8)), 0.012, sides=4)
    rope(mesh, zinc, place([(-0.62, 0, 0.72), (-0.25, 0, 0.72)]), 0.03, sides=4)
    if rng.random() < 0.3:
        mesh.box(dark, place([(0.55, 0, 0.88)])[0], (0.16, 0.18, 0.12), yaw=yaw, taper=(-0.03,) * 4)


def _bicycles(mesh: MeshBuilder, rng) -> None:
    """Four to eight bicycles side by side on stands, across the road's line."""
    count, zinc = int(rng.integers(4, 9)), steel(mesh, rng)
    slope = rng.choice([np.pi / 2, 1.1])
    for k in range(count):
        x = 0.62 * (k - (count - 1) / 2)
        if rng.random() < 0.85:
            _bicycle(
                mesh,
                rng,
                x,
                slope + np.pi * (rng.random() < 0.3) + rng.normal(0, 0.05),
                rng.normal(0.1, 0.06),
            )
        if k % 2 == 0:
            hoop = [
                (x + 0.2, -0.35, -FOOT_M),
                (x + 0.2, -0.35, 0.7),
                (x + 0.2, -0.28, 0.78),
                (x + 0.2, 0.28, 0.78),
                (x + 0.2, 0.35, 0.7),
                (x + 0.2, 0.35, -FOOT_M),
            ]
            rope(mesh, zinc, hoop, 0.025, sides=7)


def _scooters(mesh: MeshBuilder, rng) -> None:
    """Two to four motor scooters, side by side."""
    for k in range(int(rng.integers(2, 5))):
        x = 0.9 * k
        paint, dark = plain(mesh, rng, any_colour(rng, 0.7), gloss=0.5), plain(mesh, rng, BLACK)
        for y in (-0.62, 0.62):
            mesh.tube(dark, (x - 0.055, y, 0.22), (x + 0.055, y, 0.22), 0.22, 0.22, sides=16)
        body = [
            (-0.9, 0.45),
            (-0.8, 0.3),
            (0.35, 0.22),
            (0.5, 0.85),
            (0.4, 0.9),
            (0.18, 0.36),
            (-0.1, 0.4),
            (-0.2, 0.72),
            (-0.85, 0.75),
        ]
        for a, b in ((0, 3), (4, 8)):
            prism(mesh, paint, body[a : b + 1], x - 0.13, x + 0.13)
        mesh.ellipsoid(paint, (x, -0.5, 0.52), (0.18, 0.42, 0.24))
        mesh.ellipsoid(dark, (x, -0.45, 0.78), (0.14, 0.4, 0.06))
        rope(mesh, dark, [(x, 0.62, 0.22), (x, 0.48, 0.9), (x, 0.42, 1.05)], 0.035)
        rope(mesh, dark, [(x - 0.33, 0.36, 1.05), (x, 0.44, 1.07), (x + 0.33, 0.36, 1.05)], 0.018)
        mesh.ellipsoid(plain(mesh, rng, WHITE, gloss=0.6), (x, 0.5, 0.92), (0.09, 0.07, 0.09))
        for side in (-1, 1):
            rope(mesh, dark, [(x + side * 0.22, 0.4, 1.05), (x + side * 0.3, 0.4, 1.22)], 0.01)
            mesh.ellipsoid(dark, (x + side * 0.3, 0.4, 1.22), (0.06, 0.02, 0.04), up=5)


CYCLES = {
    "bicycles": _bicycles,
    "scooters": _scooters,
}
