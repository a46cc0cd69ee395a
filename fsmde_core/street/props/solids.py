"""Shapes beyond MeshBuilder's, and palettes, that everything standing along a road shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import Mesh, MeshBuilder, cross, merge

FOOT_M = 0.3  # everything reaches this far below the ground, so that nothing floats on a slope
UNIT_UV = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])

WHITE, BLACK = (0.7, 0.7, 0.68), (0.02, 0.02, 0.022)
RED, ORANGE, YELLOW = (0.5, 0.03, 0.025), (0.65, 0.15, 0.02), (0.65, 0.42, 0.02)
BLUE, GREEN = (0.02, 0.09, 0.36), (0.02, 0.2, 0.09)
BRIGHT = np.array([WHITE, BLACK, RED, ORANGE, YELLOW, BLUE, GREEN, (0.35, 0.05, 0.25)])
DULL = np.array(
    [
        [0.3, 0.3, 0.29],
        [0.12, 0.13, 0.14],
        [0.5, 0.47, 0.4],
        [0.08, 0.14, 0.11],
        [0.1, 0.14, 0.22],
        [0.26, 0.13, 0.08],
        [0.36, 0.33, 0.26],
        [0.6, 0.6, 0.58],
    ]
)
FACES = np.array(
    [[0, 1, 2, 3], [7, 6, 5, 4], [0, 4, 5, 1], [1, 5, 6, 2], [2, 6, 7, 3], [3, 7, 4, 0]]
)


@dataclass(frozen=True, eq=False)
class Prop:
    """Something to stand along a road: x along the road, origin at its foot on the ground."""

    mesh: Mesh
    half_x: float
    """Metres that it reaches along the road, to either side of its origin."""
    half_y: float
    """The same across the road."""
    height: float
    """Metres above the ground."""

    @classmethod
    def of(cls, mesh: Mesh) -> Prop:
        """A prop with the footprint of its mesh."""
        corners = mesh.corners.reshape(-1, 3)
        half_x, half_y, _ = np.abs(corners).max(axis=0)
        return cls(mesh, float(half_x), float(half_y), float(corners[:, 2].max()))

    def centred(self) -> Prop:
        """The prop with its origin below the middle of its length."""
        x = self.mesh.corners[..., 0]
        return Prop.of(self.mesh.moved((-(x.min() + x.max()) / 2, 0, 0), 0.0))


def dispatch(makers: dict, rng: np.random.Generator, kind: str, *details) -> Prop:
    """The prop of a kind; makers[kind](mesh, rng, *details) adds its shapes to mesh.

    A maker may return further meshes that are part of it. ValueError for an unknown kind.
    """
    if kind not in makers:
        raise ValueError(f"unknown kind {kind!r}; known: {', '.join(makers)}")
    mesh = MeshBuilder()
    others = makers[kind](mesh, rng, *details) or []
    return Prop.of(merge([mesh.finish(), *others]))


def concrete(mesh: MeshBuilder, rng, *, tone: float | None = None, panel=(2.4, 1.2)) -> int:
    """A surface of rough or panelled concrete."""
    tone = rng.uniform(0.2, 0.5) if tone is None else tone
    colour = tone * np.array([1.0, rng.uniform(0.95, 1.0), rng.uniform(0.85, 0.98)])
    params = (*panel, 0, int(rng.integers(1, 3)))
    return mesh.surface(sf.WALL, colour, seed=rng.random(), params=params)


def steel(mesh: MeshBuilder, rng, *, low: float = 0.05, high: float = 0.45) -> int:
    """A surface of painted or galvanised steel."""
    return mesh.surface(
        sf.PLAIN, np.ones(3) * rng.uniform(low, high), seed=rng.random(), gloss=0.25
    )


def plain(mesh: MeshBuilder, rng, colour, *, gloss: float = 0.1, kind: int = sf.PLAIN) -> int:
    """A surface of a colour that is a little faded; a wall of it is rough, without joints."""
    faded = np.asarray(colour) * rng.uniform(0.7, 1.1) + rng.uniform(0, 0.04)
    return mesh.surface(kind, faded, seed=rng.random(), params=(9, 9, 0, 1), gloss=gloss)


def masonry(mesh: MeshBuilder, rng) -> int:
    """Bricks, render or concrete blocks."""
    tones = (
        (0.34, 0.16, 0.1),
        (0.26, 0.13, 0.09),
        (0.45, 0.42, 0.36),
        (0.55, 0.5, 0.42),
        (0.33, 0.33, 0.32),
        (0.6, 0.58, 0.52),
    )
    k = int(rng.integers(len(tones)))
    style = 0 if k < 2 or rng.random() < 0.2 else int(rng.integers(1, 3))
    params = (rng.uniform(0.4, 2.5), rng.uniform(0.2, 1.3), 0, style)
    colour = np.array(tones[k]) * rng.uniform(0.6, 1.1) * rng.uniform(0.95, 1.05, 3)
    return mesh.surface(sf.WALL, colour, seed=rng.random(), params=params)


def wood(mesh: MeshBuilder, rng) -> int:
    """A surface of new, brown or grey timber."""
    tones = np.array([[0.36, 0.24, 0.12], [0.2, 0.12, 0.07], [0.27, 0.25, 0.22], [0.1, 0.07, 0.05]])
    return mesh.surface(sf.BARK, tones[rng.integers(4)] * rng.uniform(0.7, 1.2), seed=rng.random())


def any_colour(rng: np.random.Generator, bright: float = 0.5) -> np.ndarray:
    """A colour [3] as people paint things; bright is the share of strong ones."""
    palette = BRIGHT if rng.random() < bright else DULL
    tint = rng.uniform(0.65, 1.15) * rng.uniform(0.94, 1.06, 3)
    return np.clip(palette[rng.integers(len(palette))] * tint, 0.01, 0.8)


def slab(mesh: MeshBuilder, surface: int, centre, half, *, yaw: float = 0.0) -> None:
    """A box with a bottom, for what is seen from below."""
    mesh.box(surface, centre, half, yaw=yaw)
    c, s = np.cos(yaw), np.sin(yaw)
    across, along = np.array([c, s, 0]) * half[0], np.array([-s, c, 0]) * half[1]
    low = np.asarray(centre) - (0, 0, half[2])
    quad = np.stack([low - across + along, low + across + along, low + across - along])
    quad = np.concatenate([quad, [low - across - along]])
    mesh.triangles(surface, quad[None], uv=(UNIT_UV * 2 * np.array(half[:2]))[None])


def beams(mesh: MeshBuilder, surface, starts, ends, width: float, depth: float) -> None:
    """Bars of a rectangular section from starts to ends, [n, 3] or [3].

    depth is measured in the upright plane of the bar, width across it.
    """
    starts, ends = np.broadcast_arrays(np.atleast_2d(starts), np.atleast_2d(ends))
    starts, ends = starts.astype(float), ends.astype(float)
    along = ends - starts
    length = np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    along = along / length
    upright = np.abs(along[:, 2:]) > 0.999
    side = np.where(upright, (0, 1.0, 0), cross(np.broadcast_to((0, 0, 1.0), along.shape), along))
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = cross(along, side)
    signs = ((-1, -1), (-1, 1), (1, 1), (1, -1))
    ring = [side * (a * width / 2) + up * (b * depth / 2) for a, b in signs]
    points = np.stack([starts + r for r in ring] + [ends + r for r in ring], axis=1)
    corners = points[:, FACES].reshape(-1, 4, 3)
    uv = np.zeros((len(starts), 6, 4, 2))
    uv[:, :2] = UNIT_UV * (width, depth)
    uv[:, 2:, 1:3, 0] = length[:, None]
    uv[:, 2:, 2:, 1] = max(width, depth)
    rows = surface if np.ndim(surface) == 0 else np.repeat(surface, 6)
    mesh.triangles(rows, corners, uv=uv.reshape(-1, 4, 2))


def prism(mesh: MeshBuilder, surface, outline, low: float, high: float, *, axis: int = 0) -> None:
    """An outline [n, 2] drawn from low to high along x (axis 0), y (1) or z (2), ends closed.

    The outline is (across, up) for x and y, (x, y) for z, and is seen whole from its mean;
    surface is a row, or [n] rows of its sides.
    """
    outline = np.asarray(outline, float)
    order = {0: (2, 0, 1), 1: (0, 2, 1), 2: (0, 1, 2)}[axis]

    def placed(flat, at):
        return np.concatenate([flat, np.full((*flat.shape[:-1], 1), at)], axis=-1)[..., order]

    after = np.roll(outline, -1, axis=0)
    sides = np.stack(
        [placed(outline, low), placed(outline, high), placed(after, high), placed(after, low)], 1
    )
    run = np.cumsum(np.append(0, np.linalg.norm(after - outline, axis=1)))
    uv = np.zeros((len(outline), 4, 2))
    if axis == 2:
        uv[:, :2, 0], uv[:, 2:, 0] = run[:-1, None], run[1:, None]
        uv[..., 1] = sides[..., 2]
    else:
        uv[:, 1:3, 0] = high - low
        uv[:, :2, 1], uv[:, 2:, 1] = outline[:, None, 1], after[:, None, 1]
    mesh.triangles(surface, sides, uv=uv)
    hub = np.broadcast_to(outline.mean(axis=0), outline.shape)
    fan = np.stack([hub, outline, after], axis=1)
    cap = int(np.ravel(surface)[0])
    for at in (low, high):
        mesh.triangles(cap, placed(fan, at), uv=fan)


def rope(mesh: MeshBuilder, surface: int, points, radius: float, *, sides: int = 5) -> None:
    """A round bar or cable along points [n, 3]."""
    points = np.asarray(points, float)
    r = np.full(len(points) - 1, radius)
    mesh.tubes(surface, points[:-1], points[1:], r, r, sides=sides)


def ring(centre, radius: float, *, axis: int, count: int = 14) -> np.ndarray:
    """Points [count + 1, 3] of a closed circle whose axle is x (0), y (1) or z (2)."""
    angle = np.linspace(0, 2 * np.pi, count + 1)
    points = np.zeros((count + 1, 3))
    points[:, (axis + 1) % 3], points[:, (axis + 2) % 3] = np.cos(angle), np.sin(angle)
    return np.asarray(centre) + radius * points


def balls(mesh: MeshBuilder, surface: int, centres, radii) -> None:
    """Small balls at centres [n, 3], radii [n] in metres: fruit, blossoms."""
    angle, tilt = np.meshgrid(np.arange(7) * np.pi / 3, np.linspace(-1.5, 1.5, 5), indexing="ij")
    unit = [np.cos(angle) * np.cos(tilt), np.sin(angle) * np.cos(tilt), np.sin(tilt)]
    unit = np.stack(unit, axis=-1)
    cells = np.stack([unit[:-1, :-1], unit[1:, :-1], unit[1:, 1:], unit[:-1, 1:]], axis=2)
    cells = cells.reshape(1, -1, 4, 3)
    corners = np.asarray(centres)[:, None, None] + cells * np.asarray(radii)[:, None, None, None]
    normals = np.broadcast_to(cells / np.linalg.norm(cells, axis=-1, keepdims=True), corners.shape)
    flat = corners.reshape(-1, 4, 3)
    mesh.triangles(surface, flat, normals=normals.reshape(-1, 4, 3), uv=flat[..., :2])


def heap(mesh: MeshBuilder, surface: int, rng, radius: float, height: float, *, at=(0, 0)) -> None:
    """Loose material in a heap with an uneven outline."""
    count = 28
    angle = np.linspace(0, 2 * np.pi, count + 1)
    waves = sum(
        rng.uniform(0.03, 0.12) * np.cos(k * angle + rng.uniform(0, 6.28)) for k in range(2, 6)
    )
    share = np.linspace(1.12, 0.02, 12)[:, None]
    rough = rng.uniform(-0.04, 0.04, (12, count + 1))
    rough[:, -1] = rough[:, 0]
    r = radius * share * (1 + waves * np.minimum(share, 1) + rough)
    z = height * (1 - share**1.15) + height * rough * (share < 0.95)
    z[0] = -FOOT_M
    points = np.stack([at[0] + r * np.cos(angle), at[1] + r * np.sin(angle), z], axis=-1)
    mesh.grid(surface, points[::-1], uv=points[::-1, :, :2])


def rock(mesh: MeshBuilder, surface: int, rng, centre, radii) -> None:
    """A stone with flat faces."""
    angle, tilt = np.meshgrid(np.linspace(0, 2 * np.pi, 9), np.linspace(-1.5, 1.5, 6))
    r = rng.uniform(0.75, 1.1, angle.shape)
    r[:, -1] = r[:, 0]
    unit = np.stack([np.cos(angle) * np.cos(tilt), np.sin(angle) * np.cos(tilt), np.sin(tilt)], -1)
    points = np.asarray(centre) + r[..., None] * unit * radii
    uv = np.stack([angle * radii[0], points[..., 2]], axis=-1)
    mesh.grid(surface, points.swapaxes(0, 1), uv=uv.swapaxes(0, 1), smooth=False)


def shrub(mesh: MeshBuilder, rng, centre, radii, *, leaves: int = 300) -> None:
    """A small bush: a dark core and leaves around it."""
    green = np.array([0.07, 0.14, 0.04]) * rng.uniform(0.6, 1.5, 3)
    core = mesh.surface(sf.PLAIN, green * 0.35)
    leaf = mesh.surface(sf.LEAF, green, colour2=green * (1.5, 1.3, 0.8), seed=rng.random())
    mesh.ellipsoid(core, centre, np.asarray(radii) * 0.8, around=9, up=6)
    out = rng.normal(size=(leaves, 3))
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    middle = np.asarray(centre) + out * radii * rng.uniform(0.75, 1.08, (leaves, 1))
    a = rng.normal(size=(leaves, 3))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b = cross(a, out + 0.3 * rng.normal(size=out.shape))
    size = rng.uniform(0.04, 0.09, (leaves, 1)) * max(1.0, max(radii) ** 0.5)
    b *= size / (np.linalg.norm(b, axis=1, keepdims=True) + 1e-9)
    a = a * size * 0.6
    corners = np.stack([middle - b, middle + a, middle + b, middle - a], axis=1)
    uv = np.broadcast_to(rng.random((leaves, 1, 2)), (leaves, 4, 2))
    normals = np.broadcast_to(out[:, None], corners.shape)
    mesh.triangles(leaf, corners, normals=normals, uv=uv)
