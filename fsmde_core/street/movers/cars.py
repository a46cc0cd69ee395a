"""Vehicles: lofted bodies with real glass areas, wheels, lights, mirrors and plates.

A vehicle stands in its own frame: x forward, y left, z up, origin on the ground below its middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import Mesh, MeshBuilder

PAINTS = np.array(
    [
        [0.78, 0.78, 0.77],
        [0.03, 0.03, 0.035],
        [0.32, 0.33, 0.35],
        [0.52, 0.54, 0.55],
        [0.4, 0.03, 0.03],
        [0.03, 0.07, 0.26],
        [0.1, 0.11, 0.13],
        [0.42, 0.38, 0.3],
        [0.04, 0.15, 0.09],
        [0.7, 0.69, 0.64],
        [0.55, 0.3, 0.02],
        [0.12, 0.25, 0.4],
    ]
)


@dataclass(frozen=True)
class Shape:
    """Side view of a car-like vehicle; x from -1 (tail) to 1 (nose), heights in metres."""

    length_m: float
    width_m: float
    height_m: float
    belt_m: float
    """Lower edge of the side windows."""
    roof: tuple[tuple[float, float], ...]
    """Outline of the top: (x, share of the height)."""
    glass: tuple[tuple[float, float], ...]
    """Side windows: from x to x."""
    screens: tuple[tuple[float, float], ...]
    """Windscreen and rear window: from x to x along the top."""


SHAPES = {
    "sedan": Shape(4.7, 1.82, 1.45, 0.93,
        ((-1, 0.58), (-0.97, 0.7), (-0.7, 0.735), (-0.42, 0.95), (-0.1, 1), (0.14, 0.985),
         (0.48, 0.7), (0.86, 0.62), (0.97, 0.53), (1, 0.42)),
        ((-0.52, -0.2), (-0.17, 0.12), (0.14, 0.33)), ((0.16, 0.46), (-0.68, -0.44))),
    "estate": Shape(4.75, 1.83, 1.5, 0.94,
        ((-1, 0.55), (-0.98, 0.7), (-0.86, 0.94), (-0.4, 1), (0.12, 0.985), (0.46, 0.69),
         (0.86, 0.61), (0.97, 0.52), (1, 0.42)),
        ((-0.84, -0.5), (-0.47, -0.19), (-0.16, 0.12), (0.14, 0.32)),
        ((0.14, 0.44), (-0.96, -0.87))),
    "hatch": Shape(4.05, 1.76, 1.5, 0.95,
        ((-1, 0.52), (-0.98, 0.68), (-0.8, 0.93), (-0.4, 1), (0.12, 0.985), (0.52, 0.7),
         (0.88, 0.61), (0.98, 0.5), (1, 0.4)),
        ((-0.7, -0.34), (-0.3, 0.12), (0.14, 0.36)), ((0.14, 0.5), (-0.96, -0.81))),
    "suv": Shape(4.65, 1.92, 1.72, 1.1,
        ((-1, 0.6), (-0.98, 0.72), (-0.86, 0.95), (-0.45, 1), (0.08, 0.985), (0.38, 0.7),
         (0.86, 0.645), (0.97, 0.56), (1, 0.45)),
        ((-0.78, -0.5), (-0.46, -0.16), (-0.13, 0.1), (0.12, 0.27)), ((0.1, 0.37), (-0.96, -0.87))),
    "mini": Shape(3.3, 1.64, 1.52, 0.92,
        ((-1, 0.6), (-0.97, 0.75), (-0.82, 0.97), (-0.2, 1), (0.25, 0.97), (0.68, 0.64),
         (0.94, 0.55), (1, 0.42)),
        ((-0.68, -0.3), (-0.24, 0.25), (0.28, 0.48)), ((0.28, 0.66), (-0.95, -0.83))),
    "coupe": Shape(4.45, 1.87, 1.3, 0.86,
        ((-1, 0.62), (-0.96, 0.76), (-0.6, 0.86), (-0.3, 0.985), (-0.05, 1), (0.34, 0.7),
         (0.88, 0.6), (0.98, 0.48), (1, 0.4)),
        ((-0.46, -0.24), (-0.2, 0.2)), ((0.0, 0.32), (-0.58, -0.31))),
    "van": Shape(5.4, 2.0, 2.2, 1.22,
        ((-1, 0.5), (-0.99, 0.93), (-0.92, 0.99), (0.0, 1), (0.42, 0.985), (0.78, 0.56),
         (0.96, 0.46), (1, 0.3)),
        ((0.08, 0.4), (0.44, 0.6)), ((0.46, 0.76),)),
    "minibus": Shape(5.0, 1.92, 1.95, 1.12,
        ((-1, 0.5), (-0.99, 0.9), (-0.9, 0.98), (0.1, 1), (0.36, 0.98), (0.74, 0.58),
         (0.95, 0.5), (1, 0.32)),
        ((-0.86, -0.52), (-0.48, -0.08), (-0.04, 0.32), (0.36, 0.55)),
        ((0.4, 0.72), (-0.975, -0.92))),
    "pickup": Shape(5.35, 1.95, 1.82, 1.13,
        ((-1, 0.58), (-0.98, 0.62), (-0.32, 0.62), (-0.26, 0.95), (-0.02, 1), (0.16, 0.98),
         (0.4, 0.68), (0.88, 0.62), (0.98, 0.52), (1, 0.42)),
        ((-0.22, -0.05), (-0.02, 0.15), (0.17, 0.28)), ((0.17, 0.39),)),
}  # fmt: skip
VEHICLE_KINDS = (*SHAPES, "bus", "box truck", "tipper")


def make_vehicle(rng: np.random.Generator, kind: str) -> tuple[Mesh, float]:
    """A vehicle of one of VEHICLE_KINDS: its mesh and its length in metres."""
    if kind in SHAPES:
        return _car(rng, SHAPES[kind], seams=kind != "coupe")
    return {"bus": _bus, "box truck": _truck, "tipper": _truck}[kind](rng, kind)


def _paint(mesh: MeshBuilder, rng, length, belt, *, seams=True, colour=None, gloss=0.55) -> int:
    if colour is None:
        colour = PAINTS[rng.integers(len(PAINTS))] * rng.uniform(0.85, 1.1)
    params = (length, belt, float(seams))
    return mesh.surface(sf.PAINT, colour, seed=rng.random(), params=params, gloss=gloss)


def _sections(shape: Shape, size: np.ndarray):
    """Half cross-sections of the body at stations along x: points [n, 8, 3] and the stations."""
    length, width, height = size
    knots = [x for pair in (*shape.glass, *shape.screens, *shape.roof) for x in pair[:1]]
    knots += [pair[1] for pair in (*shape.glass, *shape.screens)]
    x = np.unique(np.round(np.concatenate([np.linspace(-0.9, 0.9, 19), knots]), 3))
    x = x[np.append(True, np.diff(x) > 0.008)]
    x[0], x[-1] = -1.0, 1.0
    roof_x, roof_z = zip(*shape.roof)
    top = np.interp(x, roof_x, roof_z) * height
    belt = np.minimum(shape.belt_m * height / shape.height_m, top - 0.015)
    cabin = np.clip((top - belt) / (height - shape.belt_m), 0, 1)
    half = width / 2 * (1 - 0.2 * np.abs(x) ** 7)
    bottom = 0.2 + 0.1 * np.abs(x) ** 8
    up = belt - bottom
    y = [0.86, 0.985, 1.0, 0.995, 0.965]
    z = [bottom, bottom + 0.1 * up, bottom + 0.45 * up, bottom + 0.8 * up, belt]
    rail = 0.955 - 0.19 * cabin
    y = [half * k for k in y] + [half * rail, half * rail * 0.72, half * 0]
    z += [belt + (top - belt) * 0.9, top - 0.01, top + 0.012]
    points = np.stack([np.broadcast_to((x * length / 2)[:, None], (len(x), 8)),
                       np.stack(y, 1), np.stack(z, 1)], axis=-1)  # fmt: skip
    return points, x, cabin


def _body(mesh: MeshBuilder, shape: Shape, size, paint: int, glass: int, under: int) -> None:
    half, x, cabin = _sections(shape, size)
    mirrored = half[:, -2::-1] * (1, -1, 1)
    points = np.concatenate([half, mirrored], axis=1)
    cells = np.full((len(x) - 1, points.shape[1] - 1), paint)
    cells[:, 0] = cells[:, -1] = under
    middle = (x[1:] + x[:-1]) / 2
    high = np.minimum(cabin[1:], cabin[:-1]) > 0.1
    for first, last in shape.glass:
        inside = (middle > first) & (middle < last) & high
        cells[inside, 4] = cells[inside, -5] = glass
    for first, last in shape.screens:
        inside = (middle > first) & (middle < last)
        cells[inside, 5:-5] = glass
    uv = np.stack([points[..., 0], points[..., 2]], axis=-1)
    normals_out = points[:, ::-1]
    mesh.grid(cells[:, ::-1], normals_out, uv=uv[:, ::-1])
    for end in (0, -1):
        ring = points[end]
        hub = np.broadcast_to(ring.mean(axis=0), (len(ring) - 1, 3))
        mesh.triangles(paint, np.stack([hub, ring[:-1], ring[1:]], axis=1))


def _wheels(mesh: MeshBuilder, x_positions, half_width: float, radius: float) -> None:
    tyre = mesh.surface(sf.PLAIN, (0.02, 0.02, 0.022))
    rim = mesh.surface(sf.PLAIN, (0.34, 0.35, 0.36), gloss=0.4)
    arch = mesh.surface(sf.PLAIN, (0.008, 0.008, 0.008))
    for x in x_positions:
        for side in (-1, 1):
            y = side * half_width
            inner, outer = y - side * 0.22, y + side * 0.012
            shell = (x, y - side * 0.05, radius + 0.035), (x, y + side * 0.004, radius + 0.035)
            mesh.tube(arch, *shell, radius * 1.17, radius * 1.17, sides=18)
            mesh.tube(tyre, (x, inner, radius), (x, outer, radius), radius, radius, sides=18)
            face = (x, outer, radius), (x, outer + side * 0.008, radius)
            mesh.tube(rim, *face, radius * 0.66, radius * 0.62, sides=14)
            mesh.tube(tyre, face[1], (x, outer + side * 0.02, radius), 0.13, 0.1, sides=7)
            for k in range(5):
                a = k * 2 * np.pi / 5
                at = (
                    x + 0.4 * radius * np.cos(a),
                    outer + side * 0.009,
                    radius + 0.4 * radius * np.sin(a),
                )
                mesh.box(arch, at, (0.035, 0.004, 0.035), yaw=0.0)


def _lights(mesh: MeshBuilder, rng, length, width, front_z, rear_z, *, on: float) -> None:
    head = mesh.surface(sf.LAMP, (0.85, 0.85, 0.8), gloss=0.5, emission=0.15 + on)
    tail = mesh.surface(
        sf.LAMP, (0.55, 0.015, 0.015), gloss=0.4, emission=0.25 + on * rng.uniform(0.2, 1)
    )
    plate = mesh.surface(sf.SIGN, (0.75, 0.75, 0.7), colour2=(0.05, 0.05, 0.06), seed=rng.random())
    dark = mesh.surface(sf.PLAIN, (0.015, 0.015, 0.017), gloss=0.2)
    for side in (-1, 1):
        mesh.box(
            head,
            (length * 0.478, side * width * 0.345, front_z),
            (0.07, 0.17, 0.065),
            yaw=-side * 0.25,
        )
        mesh.box(
            tail,
            (-length * 0.487, side * width * 0.375, rear_z),
            (0.04, 0.12, 0.09),
            yaw=side * 0.2,
        )
    mesh.box(dark, (length * 0.494, 0, front_z - 0.03), (0.03, width * 0.22, 0.06))
    mesh.box(dark, (length * 0.49, 0, 0.34), (0.05, width * 0.33, 0.09))
    mesh.box(dark, (-length * 0.492, 0, 0.36), (0.05, width * 0.36, 0.1))
    for x, z in ((length * 0.515, 0.42), (-length * 0.507, rear_z - 0.16)):
        uv = np.array([[[0, 0], [1, 0], [1, 1], [0, 1]]])
        y, h = 0.26, 0.055
        corners = [[x, -y, z - h], [x, y, z - h], [x, y, z + h], [x, -y, z + h]]
        mesh.triangles(plate, np.array([corners]), uv=uv)


def _car(rng: np.random.Generator, shape: Shape, *, seams: bool) -> tuple[Mesh, float]:
    mesh = MeshBuilder()
    size = np.array([shape.length_m, shape.width_m, shape.height_m]) * rng.uniform(0.96, 1.05, 3)
    length, width, height = size
    paint = _paint(mesh, rng, length, shape.belt_m, seams=seams)
    glass = mesh.surface(sf.GLASS, (0.018, 0.02, 0.022), gloss=1.0)
    under = mesh.surface(sf.PLAIN, (0.015, 0.015, 0.016))
    _body(mesh, shape, size, paint, glass, under)
    radius = 0.31 + 0.06 * (height - 1.4)
    _wheels(mesh, (-0.59 * length / 2, 0.63 * length / 2), width / 2, radius)
    belt = shape.belt_m * height / shape.height_m
    _lights(mesh, rng, length, width, belt * 0.73, belt * 0.84, on=0.0)
    base = next(x for x in (p[1] for p in shape.glass[::-1])) * length / 2
    for side in (-1, 1):
        mesh.ellipsoid(
            paint,
            (base - 0.12, side * (width / 2 + 0.09), belt + 0.06),
            (0.08, 0.12, 0.08),
            around=8,
            up=5,
        )
        for x in (0.14, -0.27):
            at = (x * length / 2, side * (width / 2 + 0.002), belt - 0.12)
            mesh.box(paint, at, (0.09, 0.015, 0.015))
    return mesh.finish(), length


def _bus(rng: np.random.Generator, kind: str) -> tuple[Mesh, float]:
    mesh = MeshBuilder()
    length, width, height = rng.uniform(9.5, 12.4), 2.5, rng.uniform(2.95, 3.3)
    paint = _paint(mesh, rng, length, 1.2, seams=False, gloss=0.4)
    band = _paint(mesh, rng, length, 1.2, seams=False, gloss=0.4)
    glass = mesh.surface(sf.GLASS, (0.02, 0.022, 0.025), gloss=1.0)
    dark = mesh.surface(sf.PLAIN, (0.015, 0.015, 0.015))
    mesh.box(
        paint,
        (0, 0, height / 2 + 0.18),
        (length / 2, width / 2, height / 2 - 0.18),
        taper=(0.12, 0.05, 0.07, 0.07),
    )
    mesh.box(band, (0, 0, 0.72), (length / 2 + 0.01, width / 2 + 0.01, 0.26))
    mesh.box(dark, (0, 0, 0.3), (length / 2 - 0.1, width / 2 - 0.06, 0.14))
    panes = int((length - 1.0) / 1.45)
    for i in range(panes):
        x = -length / 2 + 0.95 + i * (length - 1.3) / panes
        for side in (-1, 1):
            tall = 0.95 if side < 0 and i in (panes - 1, panes // 2) else 0.48
            at = (x, side * (width / 2 - 0.012), 2.5 - tall)
            mesh.box(glass, at, (0.62, 0.02, tall))
    mesh.box(glass, (length / 2 - 0.045, 0, 1.85), (0.03, width / 2 - 0.14, 0.72))
    mesh.box(glass, (-length / 2 + 0.02, 0, 2.1), (0.03, width / 2 - 0.3, 0.42))
    board = mesh.surface(sf.LAMP, (0.8, 0.4, 0.05), emission=0.5)
    mesh.box(board, (length / 2 - 0.05, 0, height - 0.27), (0.03, 0.75, 0.1))
    mesh.box(dark, (0, 0, height + 0.08), (length * 0.2, 0.8, 0.1))
    _wheels(mesh, (-0.27 * length, 0.31 * length), width / 2, 0.48)
    _lights(mesh, rng, length, width, 0.78, 0.95, on=0.0)
    return mesh.finish(), length


def _truck(rng: np.random.Generator, kind: str) -> tuple[Mesh, float]:
    mesh = MeshBuilder()
    length, width = rng.uniform(6.2, 9.2), 2.4
    height = rng.uniform(2.9, 3.7)
    cab = _paint(mesh, rng, length, 1.3, seams=False)
    load = _paint(
        mesh, rng, length, 1.3, seams=False, colour=np.ones(3) * rng.uniform(0.3, 0.8), gloss=0.15
    )
    stripe = _paint(mesh, rng, length, 1.3, seams=False, gloss=0.2)
    glass = mesh.surface(sf.GLASS, (0.018, 0.02, 0.022), gloss=1.0)
    dark = mesh.surface(sf.PLAIN, (0.02, 0.02, 0.022))
    nose = length / 2
    mesh.box(
        cab, (nose - 0.95, 0, 1.5), (0.95, width / 2 - 0.04, 1.05), taper=(0.38, 0, 0.09, 0.09)
    )
    mesh.box(
        glass, (nose - 0.2, 0, 1.86), (0.17, width / 2 - 0.16, 0.42), taper=(0.3, 0, 0.04, 0.04)
    )
    for side in (-1, 1):
        mesh.box(glass, (nose - 0.85, side * (width / 2 - 0.085), 1.85), (0.42, 0.035, 0.36))
        mesh.box(dark, (nose - 0.25, side * (width / 2 + 0.12), 1.85), (0.06, 0.1, 0.24))
    back = (length - 2.1) / 2
    middle = -length / 2 + back
    if kind == "tipper":
        mesh.box(load, (middle, 0, 1.6), (back, width / 2, 0.65), taper=(-0.15, -0.15, -0.1, -0.1))
    else:
        mesh.box(load, (middle, 0, (height + 0.85) / 2), (back, width / 2, (height - 0.85) / 2))
        mesh.box(stripe, (middle, 0, height * 0.6), (back * 0.6, width / 2 + 0.006, 0.22))
    mesh.box(dark, (-0.3, 0, 0.7), (length / 2 - 0.4, 0.5, 0.14))
    mesh.box(dark, (nose - 0.05, 0, 0.55), (0.08, width / 2 - 0.05, 0.17))
    _wheels(mesh, (-0.3 * length, 0.36 * length), width / 2, 0.47)
    _lights(mesh, rng, length, width, 0.85, 0.75, on=0.0)
    return mesh.finish(), length


def make_ego(rng: np.random.Generator, roof_m: float) -> Mesh:
    """The ego vehicle below its cameras, in the ego frame (origin below the rear axle).

    roof_m is the highest the body may reach: the lowest camera must stay above it.
    """
    mesh = MeshBuilder()
    paint = _paint(mesh, rng, 4.4, 0.9)
    glass = mesh.surface(sf.GLASS, (0.018, 0.02, 0.022), gloss=1.0)
    under = mesh.surface(sf.PLAIN, (0.015, 0.015, 0.016))
    size = np.array([4.3, 1.76, roof_m])
    _body(mesh, SHAPES["hatch"], size, paint, glass, under)
    _wheels(mesh, (-1.3, 1.3), 0.88, 0.31)
    return mesh.finish().moved((1.3, 0, 0), 0.0)
