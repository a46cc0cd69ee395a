"""Street furniture, origin at its foot, x along the road."""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import Mesh, MeshBuilder

SIGN_COLOURS = np.array(
    [[0.55, 0.02, 0.02], [0.02, 0.08, 0.4], [0.7, 0.7, 0.68], [0.65, 0.42, 0.02]]
)
FURNITURE_KINDS = (
    "sign",
    "bin",
    "bench",
    "hydrant",
    "cabinet",
    "bollards",
    "cones",
    "barrier",
    "bike rack",
    "post box",
)


def make_furniture(rng: np.random.Generator, kind: str) -> Mesh:
    """One of FURNITURE_KINDS."""
    mesh = MeshBuilder()
    metal = mesh.surface(sf.PLAIN, np.ones(3) * rng.uniform(0.05, 0.4), gloss=0.25)
    colour = mesh.surface(sf.PLAIN, rng.uniform(0.03, 0.45, 3), seed=rng.random(), gloss=0.15)
    {
        "sign": _sign,
        "bin": _bin,
        "bench": _bench,
        "hydrant": _hydrant,
        "cabinet": _cabinet,
        "bollards": _bollards,
        "cones": _cones,
        "barrier": _barrier,
        "bike rack": _bike_rack,
        "post box": _post_box,
    }[kind](mesh, rng, metal, colour)
    return mesh.finish()


def make_lamp_post(rng: np.random.Generator, height: float, reach: float, *, lit: bool) -> Mesh:
    """A lamp post whose arm reaches towards +y."""
    mesh = MeshBuilder()
    metal = mesh.surface(sf.PLAIN, np.ones(3) * rng.uniform(0.06, 0.36), gloss=0.2)
    glow = mesh.surface(sf.LAMP, (0.9, 0.75, 0.5), emission=5.0 if lit else 0.1)
    mesh.tube(metal, (0, 0, -0.3), (0, 0, 0.9), 0.14, 0.12, sides=10)
    mesh.tube(metal, (0, 0, 0.9), (0, 0, height), 0.085, 0.055, sides=10)
    mesh.tube(metal, (0, 0, height), (0, reach, height + 0.35), 0.045, 0.035, sides=7)
    mesh.box(metal, (0, reach, height + 0.36), (0.12, 0.32, 0.05))
    mesh.box(glow, (0, reach, height + 0.295), (0.09, 0.26, 0.012))
    return mesh.finish()


def make_traffic_light(rng: np.random.Generator, reach: float) -> Mesh:
    """A traffic light facing -x, with a second head on an arm that reaches towards +y."""
    mesh = MeshBuilder()
    metal = mesh.surface(sf.PLAIN, np.ones(3) * rng.uniform(0.05, 0.3), gloss=0.2)
    dark = mesh.surface(sf.PLAIN, (0.02, 0.02, 0.02))
    colours = ((0.9, 0.04, 0.02), (0.8, 0.4, 0.02), (0.03, 0.75, 0.3))
    lit = int(rng.choice([0, 2, 1], p=[0.45, 0.45, 0.1]))
    mesh.tube(metal, (0, 0, -0.3), (0, 0, 5.6), 0.1, 0.075, sides=10)
    mesh.tube(metal, (0, 0, 5.5), (0, reach, 5.8), 0.06, 0.045, sides=8)
    for y, z in ((0.0, 2.9), (reach, 5.2)):
        mesh.box(dark, (-0.12, y, z), (0.1, 0.16, 0.5))
        for k, colour in enumerate(colours):
            lens = mesh.surface(sf.LAMP, colour, emission=4.0 if k == lit else 0.02)
            at = np.array([-0.22, y, z + 0.31 * (1 - k)])
            mesh.tube(lens, at, at - (0.02, 0, 0), 0.1, 0.1, sides=12)
            mesh.box(dark, at + (-0.08, 0, 0.115), (0.09, 0.11, 0.012))
    return mesh.finish()


def make_wires(points: np.ndarray, sag_m: float) -> Mesh:
    """A cable hung over points [n, 3]."""
    mesh = MeshBuilder()
    dark = mesh.surface(sf.PLAIN, (0.02, 0.02, 0.02))
    for a, b in zip(points[:-1], points[1:]):
        k = np.linspace(0, 1, 7)[:, None]
        line = a + (b - a) * k - np.array([0, 0, 1]) * (sag_m * 4 * k * (1 - k))
        mesh.tubes(dark, line[:-1], line[1:], np.full(6, 0.014), np.full(6, 0.014), sides=4)
    return mesh.finish()


def make_wall(rng: np.random.Generator, length: float, height: float) -> Mesh:
    """A garden or retaining wall along x, with a coping."""
    mesh = MeshBuilder()
    colour = np.array([[0.36, 0.18, 0.12], [0.4, 0.39, 0.36], [0.55, 0.52, 0.46]])[rng.integers(3)]
    params = (2.5, 1.5, 0, int(rng.integers(0, 3)))
    wall = mesh.surface(sf.WALL, colour, seed=rng.random(), params=params)
    cap = mesh.surface(sf.WALL, (0.36, 0.35, 0.33), seed=0.3, params=(3, 3, 0, 1))
    mesh.box(wall, (0, 0, height / 2 - 0.4), (length / 2, 0.14, height / 2 + 0.4))
    mesh.box(cap, (0, 0, height + 0.04), (length / 2 + 0.02, 0.19, 0.05))
    return mesh.finish()


def make_fence(rng: np.random.Generator, length: float, height: float) -> Mesh:
    """A fence of posts, rails and bars along x."""
    mesh = MeshBuilder()
    wood = rng.random() < 0.4
    colour = (0.2, 0.14, 0.09) if wood else np.ones(3) * rng.uniform(0.02, 0.3)
    bar = mesh.surface(sf.BARK if wood else sf.PLAIN, colour, seed=rng.random())
    for z in (0.18, height - 0.1):
        mesh.box(bar, (0, 0, z), (length / 2, 0.02, 0.03))
    step, half = (0.17, 0.06) if wood else (0.13, 0.01)
    for x in np.arange(-length / 2, length / 2, step):
        mesh.box(bar, (x, 0, height / 2 - 0.15), (half, 0.011, height / 2 + 0.13))
    return mesh.finish()


def make_tunnel(rng: np.random.Generator, line: np.ndarray, half: float, height: float) -> Mesh:
    """Walls and roof along a line of points [n, 4] (x, y, z, heading)."""
    mesh = MeshBuilder()
    tone = rng.uniform(0.25, 0.45)
    wall = mesh.surface(
        sf.WALL, (tone, tone, tone * 0.94), seed=rng.random(), params=(3.0, 2.4, 0, 2)
    )
    glow = mesh.surface(sf.LAMP, (0.9, 0.8, 0.6), emission=6.0)
    left = np.column_stack([-np.sin(line[:, 3]), np.cos(line[:, 3]), 0 * line[:, 3]])
    middle = line[:, :3]
    inner = [(-half, -0.5), (-half, height - 0.8), (-half + 0.8, height)]
    inner += [(-y, z) for y, z in inner[::-1]]
    outer = [(half + 0.7, -0.5), (half + 0.7, height + 1.0)]
    outer += [(-y, z) for y, z in outer[::-1]]
    profile = [*inner, *outer, inner[0]]
    points = np.stack([middle + left * y + np.array([0, 0, z]) for y, z in profile], axis=1)
    along = np.cumsum(np.append(0, np.linalg.norm(np.diff(middle, axis=0), axis=1)))
    around = np.cumsum(np.append(0, np.hypot(*np.diff(np.array(profile), axis=0).T)))
    uv = np.stack(np.meshgrid(along, around, indexing="ij"), axis=-1)
    mesh.grid(wall, points, uv=uv, smooth=False)
    for p, side in zip(middle[::3], left[::3]):
        for k in (-0.45, 0.45):
            mesh.box(glow, p + side * half * k + (0, 0, height - 0.06), (0.6, 0.09, 0.04))
    return mesh.finish()


def _sign(mesh, rng, metal, colour):
    mesh.tube(metal, (0, 0, -0.2), (0, 0, 2.9), 0.035, 0.035, sides=7)
    k = rng.integers(len(SIGN_COLOURS))
    plate = mesh.surface(
        sf.SIGN, SIGN_COLOURS[k], colour2=SIGN_COLOURS[2 if k != 2 else 0] * 1.1, seed=rng.random()
    )
    z, half = 2.55, rng.uniform(0.25, 0.4)
    corners = np.array(
        [
            [-0.04, half, z - half],
            [-0.04, -half, z - half],
            [-0.04, -half, z + half],
            [-0.04, half, z + half],
        ]
    )
    mesh.triangles(plate, corners[None], uv=np.array([[[0, 0], [1, 0], [1, 1], [0, 1]]]))
    mesh.box(metal, (-0.025, 0, z), (0.008, half, half))


def _bin(mesh, rng, metal, colour):
    mesh.tube(colour, (0, 0, 0), (0, 0, 0.95), 0.25, 0.3, sides=12)
    mesh.ellipsoid(metal, (0, 0, 0.95), (0.31, 0.31, 0.14))


def _bench(mesh, rng, metal, colour):
    wood = mesh.surface(sf.BARK, (0.24, 0.14, 0.075), seed=rng.random())
    for k in range(4):
        mesh.box(wood, (0, -0.2 + 0.11 * k, 0.46), (0.85, 0.045, 0.02))
    for k in range(3):
        mesh.box(wood, (0, 0.22 + 0.02 * k, 0.6 + 0.12 * k), (0.85, 0.018, 0.045))
    for x in (-0.7, 0.7):
        mesh.box(metal, (x, 0, 0.22), (0.025, 0.22, 0.22))


def _hydrant(mesh, rng, metal, colour):
    red = mesh.surface(sf.PLAIN, (0.4, 0.03, 0.02), gloss=0.2)
    mesh.tube(red, (0, 0, 0), (0, 0, 0.62), 0.12, 0.1, sides=10)
    mesh.ellipsoid(red, (0, 0, 0.64), (0.12, 0.12, 0.1))
    mesh.tube(red, (0, -0.18, 0.45), (0, 0.18, 0.45), 0.05, 0.05, sides=8)


def _cabinet(mesh, rng, metal, colour):
    mesh.box(metal, (0, 0, 0.6), (rng.uniform(0.3, 0.7), 0.2, 0.62))


def _bollards(mesh, rng, metal, colour):
    for k in range(int(rng.integers(2, 6))):
        mesh.tube(metal, (1.4 * k, 0, -0.1), (1.4 * k, 0, 0.85), 0.075, 0.06, sides=9)
        mesh.ellipsoid(metal, (1.4 * k, 0, 0.86), (0.07, 0.07, 0.05), around=8, up=4)


def _cones(mesh, rng, metal, colour):
    orange = mesh.surface(sf.PLAIN, (0.6, 0.13, 0.02))
    white = mesh.surface(sf.PLAIN, (0.7, 0.7, 0.68))
    for k in range(int(rng.integers(1, 6))):
        x, y = 1.8 * k, rng.normal(0, 0.12)
        mesh.box(orange, (x, y, 0.02), (0.19, 0.19, 0.02))
        mesh.tube(orange, (x, y, 0.04), (x, y, 0.7), 0.14, 0.03, sides=10)
        mesh.tube(white, (x, y, 0.32), (x, y, 0.48), 0.092, 0.072, sides=10)


def _barrier(mesh, rng, metal, colour):
    red = mesh.surface(sf.PLAIN, (0.5, 0.04, 0.03))
    white = mesh.surface(sf.PLAIN, (0.7, 0.7, 0.68))
    for k in range(10):
        mesh.box((red, white)[k % 2], (-0.9 + 0.2 * k, 0, 0.85), (0.1, 0.02, 0.12))
    for x in (-0.85, 0.85):
        mesh.box(metal, (x, 0, 0.45), (0.03, 0.03, 0.5))
        mesh.box(metal, (x, 0, 0.03), (0.05, 0.35, 0.03))


def _bike_rack(mesh, rng, metal, colour):
    for k in range(4):
        x = 0.8 * k
        mesh.tube(metal, (x, -0.35, -0.1), (x, -0.35, 0.75), 0.025, 0.025, sides=6)
        mesh.tube(metal, (x, 0.35, -0.1), (x, 0.35, 0.75), 0.025, 0.025, sides=6)
        mesh.tube(metal, (x, -0.37, 0.76), (x, 0.37, 0.76), 0.025, 0.025, sides=6)


def _post_box(mesh, rng, metal, colour):
    mesh.box(colour, (0, 0, 0.95), (0.24, 0.2, 0.4))
    mesh.ellipsoid(colour, (0, 0, 1.35), (0.24, 0.2, 0.1))
    mesh.tube(metal, (0, 0, 0), (0, 0, 0.56), 0.05, 0.05, sides=7)
