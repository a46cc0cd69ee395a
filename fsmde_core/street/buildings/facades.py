"""Walls with depth: openings set back into them, what fills those, and what hangs before them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder

FOOTING_M = 0.75  # walls reach this far below the ground, for slopes
UNDER_SHADE = 0.35  # ambient light reaches everywhere: what lies in the shade is painted darker


@dataclass(frozen=True)
class Side:
    """The frame of an outer wall: u metres along it, out metres before it, z up."""

    corner: tuple[float, float]
    """Where u is 0, in plan; seen from outside it is the left end."""
    yaw: float
    """Direction of u in radians from x."""
    length: float

    def at(self, u, out, z) -> np.ndarray:
        """Points [..., 3] of the mesh's frame."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        u, out, z = np.broadcast_arrays(u, out, z)
        x, y = self.corner
        return np.stack([x + c * u + s * out, y + s * u - c * out, z], axis=-1).astype(float)


def sides_of(half_x: float, half_y: float) -> list[Side]:
    """The four sides of a footprint round the origin: -y, +x, +y, -x."""
    corners = ((-half_x, -half_y), (half_x, -half_y), (half_x, half_y), (-half_x, half_y))
    lengths = (2 * half_x, 2 * half_y) * 2
    return [Side(at, k * math.pi / 2, long) for k, (at, long) in enumerate(zip(corners, lengths))]


PLAN = Side((0.0, 0.0), 0.0, 0.0)  # u is x and out is -y, for what belongs to no side


@dataclass(frozen=True)
class Dress:
    """Rows of surfaces that a building wears."""

    wall: int
    reveal: int
    """Sides of openings."""
    base: int
    trim: int
    under: int
    """What is seen from below, and rooms in the shade."""
    pane: int
    """A window with its frame in each square metre of uv; curtains, and light at night."""
    pane_low: float
    """Where in that square windows begin: higher up there is no bar across."""
    glass: int
    door: int
    metal: int
    roof: int
    cloth: int
    wall_colour: np.ndarray
    frame_colour: np.ndarray
    finish: int
    """Finish of the wall, see materials."""


ROOFS = np.array(
    [
        [0.27, 0.09, 0.06],
        [0.11, 0.11, 0.12],
        [0.2, 0.14, 0.11],
        [0.24, 0.22, 0.2],
        [0.3, 0.15, 0.08],
    ]
)
FINISHES = (0, 1, 2, 3)  # bricks, rough render, panels, smooth render


def hue(rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """A colour between two brightnesses as things have it: most are greyish, a few are not."""
    chroma = rng.choice([0.12, 0.35, 0.8], p=[0.5, 0.35, 0.15])
    return rng.uniform(low, high) * (1 + chroma * rng.uniform(-1, 1, 3))


def dress(
    mesh: MeshBuilder, rng: np.random.Generator, walls, *, finish: int | None = None
) -> Dress:
    """Draw the surfaces of a building; walls [n, 3] are the colours to draw from."""
    wall = np.array(walls[rng.integers(len(walls))], float) * rng.uniform(0.75, 1.15)
    frame = np.ones(3) * rng.choice([0.68, 0.3, 0.07]) * rng.uniform(0.7, 1.1)
    finish = int(rng.choice(FINISHES)) if finish is None else finish
    trim = np.ones(3) * rng.uniform(0.25, 0.6) if rng.random() < 0.6 else wall * 1.25
    panels = (rng.uniform(1.2, 3.6), rng.uniform(0.6, 3.0), 0, finish)
    smooth = (3, 3, 0, 3)

    def plaster(colour, params=smooth):
        return mesh.surface(sf.WALL, colour, seed=rng.random(), params=params)

    def paint(kind, colour, **details):
        return mesh.surface(kind, colour, seed=rng.random(), **details)

    return Dress(
        wall=plaster(wall, panels),
        reveal=plaster(wall * 0.7),
        base=plaster(wall * rng.uniform(0.45, 0.8)),
        trim=plaster(np.minimum(trim, 0.7)),
        under=plaster(np.minimum(trim, 0.7) * UNDER_SHADE),
        pane=paint(sf.FACADE, wall, colour2=frame, params=(1, 1, 0.97, 3)),
        pane_low=float(rng.choice([0.305, 0.64])),
        glass=paint(sf.GLASS, np.array([0.02, 0.025, 0.03]) * rng.uniform(0.6, 2.5), gloss=1.3),
        door=paint(sf.PLAIN, hue(rng, 0.03, 0.3), gloss=0.15),
        metal=paint(sf.PLAIN, np.ones(3) * rng.choice([0.03, 0.12, 0.4]), gloss=0.2),
        roof=paint(sf.ROOF, ROOFS[rng.integers(len(ROOFS))] * rng.uniform(0.6, 1.2)),
        cloth=paint(sf.CLOTH, hue(rng, 0.04, 0.45)),
        wall_colour=wall,
        frame_colour=frame,
        finish=finish,
    )


def sheet(mesh: MeshBuilder, surface, side: Side, u, z, out=0.0) -> None:
    """Upright rectangles: u, z are pairs of numbers or of arrays [n]; out is a number."""
    u0, u1, z0, z1 = np.broadcast_arrays(*u, *z)
    u0, u1, z0, z1 = (np.atleast_1d(values).astype(float) for values in (u0, u1, z0, z1))
    real = (u1 - u0 > 1e-3) & (z1 - z0 > 1e-3)
    if real.any():
        across = np.stack([u0, u1, u1, u0], axis=-1)[real]
        up = np.stack([z0, z0, z1, z1], axis=-1)[real]
        mesh.triangles(surface, side.at(across, out, up), uv=np.stack([across, up], axis=-1))


def level(mesh: MeshBuilder, surface, side: Side, u, out, z) -> None:
    """Horizontal rectangles at z; u, out, z as in sheet."""
    u0, u1, a, b, z = (np.atleast_1d(v) for v in np.broadcast_arrays(*u, *out, z))
    across, deep = np.stack([u0, u1, u1, u0], axis=-1), np.stack([a, a, b, b], axis=-1)
    mesh.triangles(surface, side.at(across, deep, z[:, None]), uv=np.stack([across, deep], -1))


def block(mesh: MeshBuilder, surface, side: Side, u, out, z, *, under=None) -> None:
    """A box between pairs of u, out and z; under is the surface of its underside, if any."""
    (u0, u1), (a, b), (z0, z1) = u, out, z
    centre = side.at((u0 + u1) / 2, (a + b) / 2, (z0 + z1) / 2)
    mesh.box(surface, centre, ((u1 - u0) / 2, abs(b - a) / 2, (z1 - z0) / 2), yaw=side.yaw)
    if under is not None:
        level(mesh, under, side, u, out, z0)


def punch(mesh: MeshBuilder, worn: Dress, side: Side, z, holes, depth: float) -> None:
    """A wall between z[0] and z[1] with holes and their reveals.

    holes [n, 4]: u0, u1, z0, z1, from left to right; depth is how far they go in, metres.
    """
    holes = np.asarray(holes, float).reshape(-1, 4)
    u0, u1, low, high = holes.T
    sheet(mesh, worn.wall, side, (np.r_[0, u1], np.r_[u0, side.length]), z)
    if not len(holes):
        return
    sheet(mesh, worn.wall, side, (u0, u1), (np.full(len(u0), z[0]), low))
    sheet(mesh, worn.wall, side, (u0, u1), (high, np.full(len(u0), z[1])))
    deep = np.array([0, -depth, -depth, 0])
    for u in (u0, u1):
        up = np.stack([low, low, high, high], axis=-1)
        uv = np.stack([np.broadcast_to(deep, up.shape), up], axis=-1)
        mesh.triangles(worn.reveal, side.at(u[:, None], deep, up), uv=uv)
    level(mesh, worn.reveal, side, (u0, u1), (0.0, -depth), low)
    level(mesh, worn.under, side, (u0, u1), (0.0, -depth), high)


def panes(mesh: MeshBuilder, rng, worn: Dress, side: Side, holes, depth: float) -> None:
    """Fill holes [n, 4] with windows, each another cell of the pane's texture."""
    holes = np.asarray(holes, float).reshape(-1, 4)
    cell = rng.integers(1, 400, (len(holes), 1, 2))
    low = worn.pane_low
    inside = np.array([[0.018, low], [0.982, low], [0.982, 0.99], [0.018, 0.99]])
    corners = side.at(holes[:, [0, 1, 1, 0]], -depth, holes[:, [2, 2, 3, 3]])
    mesh.triangles(worn.pane, corners, uv=cell + inside)


def windows(mesh: MeshBuilder, rng, worn: Dress, side: Side, holes, depth, *, trim="sill") -> None:
    """Panes, and at each hole: nothing ("plain"), a "sill", a "hood" above too, or "shutters"."""
    panes(mesh, rng, worn, side, holes, depth)
    if trim == "plain":
        return
    for u0, u1, low, high in holes:
        block(mesh, worn.trim, side, (u0 - 0.08, u1 + 0.08), (-depth, 0.09), (low - 0.09, low))
        if trim == "hood":
            block(
                mesh,
                worn.trim,
                side,
                (u0 - 0.16, u1 + 0.16),
                (-0.02, 0.16),
                (high + 0.1, high + 0.26),
            )
        elif trim == "shutters" and rng.random() < 0.9:
            half = (u1 - u0) / 2
            for a, b in ((u0 - half, u0 - 0.02), (u1 + 0.02, u1 + half)):
                block(mesh, worn.door, side, (a, b), (0.0, 0.05), (low, high))
        if rng.random() < 0.12:
            shut = high - rng.uniform(0.2, 0.9) * (high - low)
            block(mesh, worn.trim, side, (u0, u1), (-depth, -depth + 0.05), (shut, high))


def door(mesh: MeshBuilder, rng, worn: Dress, side: Side, hole, depth: float) -> None:
    """A door with a light above it at the back of a hole that starts at its threshold."""
    u0, u1, low, high = hole
    top = min(low + 2.15, high)
    wing = max(1, round((u1 - u0) / 1.1))
    edges = np.linspace(u0, u1, wing + 1)
    for a, b in zip(edges[:-1], edges[1:]):
        back = (-depth - 0.06, -depth + 0.0)
        block(mesh, worn.door, side, (a + 0.03, b - 0.03), back, (low, top))
        if rng.random() < 0.5:
            light = (a + 0.2, b - 0.2)
            sheet(mesh, worn.glass, side, light, (low + 1.0, top - 0.2), out=-depth + 0.02)
    sheet(mesh, worn.trim, side, (u0, u1), (low, high), out=-depth - 0.05)
    if high - top > 0.2:
        sheet(mesh, worn.glass, side, (u0 + 0.06, u1 - 0.06), (top + 0.08, high - 0.06), out=-depth)
    for k in range(max(1, round(low / 0.17))):
        run = 0.32 * (k + 1)
        rise = low - 0.17 * k
        block(mesh, worn.base, side, (u0 - 0.25, u1 + 0.25), (-depth, run), (-FOOTING_M, rise))


def railing(mesh: MeshBuilder, worn: Dress, side: Side, line, z: float, *, step=0.13, high=1.0):
    """A railing one sees through, along points (u, out) of a line, its foot at z."""
    line = np.asarray(line, float)
    starts, ends = side.at(*line[:-1].T, z + high), side.at(*line[1:].T, z + high)
    low = np.array([0, 0, high - 0.12])
    starts, ends = np.concatenate([starts, starts - low]), np.concatenate([ends, ends - low])
    mesh.tubes(worn.metal, starts, ends, np.full(len(starts), 0.022), 0.022, sides=4)
    feet = []
    for a, b in zip(line[:-1], line[1:]):
        count = max(2, round(float(np.hypot(*(b - a))) / step))
        feet.append(a + (b - a) * np.linspace(0, 1, count, endpoint=False)[:, None])
    feet = side.at(*np.concatenate([*feet, line[-1:]]).T, z + 0.02)
    tops = feet + (0, 0, high - 0.02)
    mesh.tubes(worn.metal, feet, tops, np.full(len(feet), 0.011), 0.011, sides=3)


def balcony(mesh: MeshBuilder, rng, worn: Dress, side: Side, u, z: float, deep: float, style: str):
    """A slab before the wall with "bars", a "solid" or a "glass" front."""
    u0, u1 = u
    block(mesh, worn.trim, side, u, (0.0, deep), (z - 0.18, z), under=worn.under)
    if style == "bars":
        line = [(u0 + 0.04, 0), (u0 + 0.04, deep - 0.04), (u1 - 0.04, deep - 0.04), (u1 - 0.04, 0)]
        railing(mesh, worn, side, line, z)
    else:
        front = worn.glass if style == "glass" else worn.trim
        block(mesh, front, side, u, (deep - 0.07, deep), (z, z + 1.0))
        for a in (u0, u1 - 0.06):
            block(mesh, front, side, (a, a + 0.06), (0.0, deep - 0.07), (z, z + 1.0))
    if rng.random() < 0.35:
        block(
            mesh, worn.cloth, side, (u0 + 0.2, u0 + 0.9), (0.3, 0.8), (z, z + rng.uniform(0.5, 1.3))
        )
    if rng.random() < 0.25:
        laundry(mesh, rng, side, (u0 + 0.2, u1 - 0.2), deep + 0.06, z + rng.uniform(0.9, 1.6))


def laundry(mesh: MeshBuilder, rng, side: Side, u, out: float, z: float) -> None:
    """Cloths on a line."""
    a = u[0]
    while a < u[1] - 0.3:
        wide = rng.uniform(0.25, 0.9)
        cloth = mesh.surface(sf.CLOTH, hue(rng, 0.06, 0.5), seed=rng.random())
        sheet(mesh, cloth, side, (a, min(a + wide, u[1])), (z - rng.uniform(0.4, 1.0), z), out=out)
        a += wide + rng.uniform(0.03, 0.3)


def cooler(mesh: MeshBuilder, worn: Dress, side: Side, u: float, z: float) -> None:
    """An air conditioner on brackets, with its fan."""
    block(mesh, worn.trim, side, (u, u + 0.8), (0.12, 0.42), (z, z + 0.55), under=worn.under)
    hub = side.at(u + 0.3, 0.42, z + 0.28)
    rim = side.at(u + 0.3, 0.44, z + 0.28)
    mesh.tube(worn.metal, hub, rim, 0.2, 0.2, sides=8)
    block(mesh, worn.metal, side, (u + 0.1, u + 0.7), (0.0, 0.4), (z - 0.05, z))


def dish(mesh: MeshBuilder, worn: Dress, side: Side, u: float, z: float) -> None:
    """A satellite dish on an arm."""
    hub, rim = side.at(u, 0.25, z), side.at(u - 0.08, 0.42, z + 0.06)
    mesh.tube(worn.base, hub, rim, 0.03, 0.3, sides=9)
    mesh.tube(worn.metal, side.at(u, 0, z - 0.1), hub, 0.02, 0.02, sides=4)


def bay_window(mesh: MeshBuilder, rng, worn: Dress, side: Side, u, z, levels) -> None:
    """A bay that stands out from z[0] to z[1], with a window on each face at every level."""
    u0, u1 = u
    deep, cut = rng.uniform(0.6, 1.0), rng.uniform(0.25, 0.6)
    line = np.array([[u0, 0], [u0 + cut, deep], [u1 - cut, deep], [u1, 0]])
    for a, b in zip(line[:-1], line[1:]):
        x, y, _ = side.at(*a, 0.0)
        turn = math.atan2(a[1] - b[1], b[0] - a[0])
        face = Side((x, y), side.yaw + turn, float(np.hypot(*(b - a))))
        edges = [z[0], *levels[1:], z[1]]
        for low, high in zip(edges[:-1], edges[1:]):
            hole = [[0.12, face.length - 0.12, low + 0.75, high - 0.45]]
            punch(mesh, worn, face, (low, high), hole, 0.1)
            windows(mesh, rng, worn, face, hole, 0.1)
    for height, surface in ((z[0], worn.under), (z[1], worn.roof)):
        mesh.triangles(surface, side.at(*line.T, height)[None], uv=line[None])
    block(mesh, worn.trim, side, (u0, u1), (0, deep * 0.9), (z[1] - 0.02, z[1] + 0.15))


def band(mesh: MeshBuilder, surface: int, half_x, half_y, z, out: float, *, under=None) -> None:
    """A course round the building between heights z, out metres before its walls."""
    for side in sides_of(half_x, half_y):
        block(mesh, surface, side, (-out, side.length), (-0.02, out), z, under=under)


def awning(mesh: MeshBuilder, rng, side: Side, u, z: float, deep: float) -> None:
    """A sloping cloth in stripes, with a valance."""
    colours = hue(rng, 0.04, 0.4), np.array([0.6, 0.58, 0.52])
    rows = [mesh.surface(sf.CLOTH, colour, seed=rng.random()) for colour in colours]
    if rng.random() < 0.5:
        rows[1] = rows[0]
    drop = rng.uniform(0.4, 0.8)
    edges = np.linspace(*u, max(2, round((u[1] - u[0]) / 0.35) + 1))
    for k, (a, b) in enumerate(zip(edges[:-1], edges[1:])):
        across, out = np.array([a, b, b, a]), np.array([deep, deep, 0.02, 0.02])
        up = z - drop * out / deep
        uv = np.stack([across, out], axis=-1)
        mesh.triangles(rows[k % 2], side.at(across, out, up)[None], uv=uv[None])
        sheet(mesh, rows[k % 2], side, (a, b), (z - drop - 0.22, z - drop), out=deep)


def plate(mesh: MeshBuilder, rng, side: Side, u, z, out: float) -> None:
    """A flat sign, poster or board on a wall."""
    colour, ink = hue(rng, 0.02, 0.5), np.ones(3) * rng.choice([0.04, 0.65])
    row = mesh.surface(sf.SIGN, colour, colour2=ink, seed=rng.random())
    corners = side.at(np.array([u[0], u[1], u[1], u[0]]), out, np.array([z[0], z[0], z[1], z[1]]))
    mesh.triangles(row, corners[None], uv=np.array([[[0, 0], [1, 0], [1, 1], [0, 1.0]]]))


def hanging_sign(mesh: MeshBuilder, rng, worn: Dress, side: Side, u: float, z: float) -> None:
    """A sign that stands out from the wall on an arm."""
    out, high = rng.uniform(0.5, 1.0), rng.uniform(0.4, 1.6)
    block(
        mesh, worn.metal, side, (u - 0.03, u + 0.03), (0.0, out + 0.1), (z + high, z + high + 0.06)
    )
    x, y, _ = side.at(u, 0.12, 0.0)
    across = Side((x, y), side.yaw - math.pi / 2, out)
    block(mesh, worn.metal, across, (0, out), (-0.05, 0.05), (z, z + high))
    for face, width in ((across, 0.055), (across, -0.055)):
        plate(mesh, rng, face, (0, out), (z, z + high), width)
