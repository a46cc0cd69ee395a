"""Trees, bushes and hedges whose every leaf is a small rhombus, finer where the road is near."""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import Mesh, MeshBuilder

BLOSSOMS = np.array([[0.5, 0.16, 0.26], [0.55, 0.5, 0.45], [0.22, 0.08, 0.3]])
LEAF_BUDGET = 2400  # leaves of a broad tree beside the road; falls with the square of distance


def leaf_share(distance_m: float) -> float:
    """Share of the full number of leaves for a plant this far from the driven path."""
    return float(np.clip((9.0 / max(distance_m, 9.0)) ** 1.2, 0.07, 1.0))


def make_tree(rng: np.random.Generator, share: float, *, blossom: float) -> Mesh:
    """A broad-leaved, conifer or bare tree, origin at its foot; share from leaf_share.

    blossom is the share of broad-leaved plants in blossom.
    """
    mesh = MeshBuilder()
    height = rng.uniform(4.5, 13)
    radius = 0.016 * height + 0.04
    bark = mesh.surface(
        sf.BARK, np.array([0.16, 0.125, 0.09]) * rng.uniform(0.5, 1.6), seed=rng.random()
    )
    if rng.random() < 0.16:
        _conifer(mesh, rng, height, radius, bark, share)
    else:
        _broad(mesh, rng, height, radius, bark, share, blossom)
    return mesh.finish()


def _leaf_colour(mesh: MeshBuilder, rng, blossom: float, *, conifer: bool = False) -> int:
    colour = np.array([rng.uniform(0.05, 0.14), rng.uniform(0.1, 0.2), rng.uniform(0.015, 0.045)])
    if conifer:
        colour = np.array([0.035, 0.075, 0.03]) * rng.uniform(0.7, 1.4)
    elif rng.random() < blossom:
        colour = BLOSSOMS[rng.integers(len(BLOSSOMS))]
    elif rng.random() < 0.12:
        colour = np.array([0.32, 0.15, 0.03]) * rng.uniform(0.5, 1.2)
    return mesh.surface(sf.LEAF, colour, colour2=colour * (1.7, 1.45, 1.1), seed=rng.random())


def _trunk(mesh: MeshBuilder, rng, height: float, radius: float, bark: int) -> np.ndarray:
    """A bent trunk with a flared foot; returns its top."""
    bend = np.cumsum(rng.normal(0, 0.05, (5, 2)), axis=0) * height * 0.1
    z = np.linspace(-0.4, height, 5)
    widths = radius * np.array([1.7, 1.15, 1.0, 0.85, 0.62])
    path = np.column_stack([bend - bend[0], z])
    for i in range(4):
        mesh.tube(bark, path[i], path[i + 1], widths[i], widths[i + 1], sides=10)
    return path[-1]


def _broad(mesh: MeshBuilder, rng, height, radius, bark, share, blossom) -> None:
    top = _trunk(mesh, rng, height * rng.uniform(0.38, 0.55), radius, bark)
    leaf = _leaf_colour(mesh, rng, blossom)
    bare = rng.random() < 0.07
    crown = height * rng.uniform(0.2, 0.32)
    boughs = int(rng.integers(6, 11))
    out = rng.normal(size=(boughs, 3))
    out[:, 2] = np.abs(out[:, 2]) * 0.9 + 0.25
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    feet = top * rng.uniform(0.75, 1.0, (boughs, 1))
    forks = feet + out * crown * rng.uniform(0.6, 0.9, (boughs, 1)) + (0, 0, 0.1 * crown)
    _branches(mesh, bark, feet, forks, radius * 0.5, radius * 0.25, sides=7)
    forks, out = np.repeat(forks, 3, axis=0), np.repeat(out, 3, axis=0)
    spread = out + rng.normal(0, 0.6, out.shape)
    tips = forks + spread * crown * rng.uniform(0.4, 0.8, (len(out), 1))
    _branches(mesh, bark, forks, tips, radius * 0.24, radius * 0.06, sides=5)
    if bare:
        starts, ends = np.repeat(forks, 6, axis=0), np.repeat(tips, 6, axis=0)
        starts = starts + (ends - starts) * rng.uniform(0.3, 1, (len(ends), 1))
        ends = ends + rng.normal(0, 0.35, ends.shape) * crown
        _branches(mesh, bark, starts, ends, radius * 0.08, 0.006, sides=4)
    if not bare:
        count = LEAF_BUDGET * share * rng.uniform(0.7, 1.2)
        _foliage(mesh, rng, leaf, tips, crown * 0.42, int(count), share, height / 8)


def _branches(mesh: MeshBuilder, bark: int, starts, ends, thick: float, thin: float, *, sides: int):
    count = len(starts)
    mesh.tubes(bark, starts, ends, np.full(count, thick), np.full(count, thin), sides=sides)


def _conifer(mesh: MeshBuilder, rng, height, radius, bark, share) -> None:
    top = _trunk(mesh, rng, height, radius * 0.8, bark)
    leaf = _leaf_colour(mesh, rng, 0.0, conifer=True)
    level = rng.uniform(0.14, 1.0, 90) ** 0.9
    angle = rng.uniform(0, 2 * np.pi, 90)
    reach = 0.24 * height * (1.03 - level)
    tips = np.column_stack(
        [reach * np.cos(angle), reach * np.sin(angle), level * height - 0.25 * reach]
    )
    tips[:, :2] += top[:2] * level[:, None]
    inner = tips * np.array([0.45, 0.45, 1.0]) + (0, 0, 0.15)
    _foliage(
        mesh,
        rng,
        leaf,
        np.concatenate([tips, inner]),
        0.035 * height,
        int(LEAF_BUDGET * share),
        share,
        0.8,
    )


def _foliage(mesh, rng, leaf, centres, spread, count, share, size) -> None:
    """Scatter rhombic leaves around the centres; the fewer they are, the larger."""
    which = rng.integers(len(centres), size=count)
    offset = rng.normal(size=(count, 3))
    offset *= (rng.uniform(0.2, 1.0, (count, 1)) ** 0.5) / np.linalg.norm(
        offset, axis=1, keepdims=True
    )
    centre = centres[which] + offset * spread * rng.uniform(0.7, 1.25, (len(centres), 1))[which]
    long = 0.125 * max(size, 0.5) ** 0.4 * share**-0.5 * rng.uniform(0.7, 1.3, (count, 1))
    along = rng.normal(size=(count, 3)) - (0, 0, 0.5)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(along, rng.normal(size=(count, 3)))
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    corners = np.stack(
        [
            centre - along * long,
            centre + across * long * 0.5,
            centre + along * long,
            centre - across * long * 0.5,
        ],
        axis=1,
    )
    # Normals point away from the crown, so that it shades like a body and not like confetti.
    normal = centre - centres.mean(axis=0)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    normal = normal * 0.7 + offset * 0.5 + (0, 0, 0.3)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    uv = np.broadcast_to(rng.random((count, 1, 2)), (count, 4, 2))
    mesh.triangles(leaf, corners, normals=np.repeat(normal[:, None], 4, axis=1), uv=uv)


def make_bush(rng: np.random.Generator, share: float, *, blossom: float) -> Mesh:
    """A bush of 0.6 to 1.8 m; arguments as in make_tree."""
    mesh = MeshBuilder()
    size = rng.uniform(0.3, 0.8)
    core = mesh.surface(sf.PLAIN, (0.02, 0.03, 0.012))
    mesh.ellipsoid(core, (0, 0, size * 0.7), (size * 0.8, size * 0.8, size * 0.75), around=9, up=6)
    centres = rng.normal(0, 0.45, (14, 3)) * size + (0, 0, size * 0.95)
    centres[:, 2] = np.abs(centres[:, 2])
    _foliage(
        mesh,
        rng,
        _leaf_colour(mesh, rng, blossom),
        centres,
        size * 0.5,
        int(700 * share) + 30,
        share,
        0.6,
    )
    return mesh.finish()


def make_hedge(
    rng: np.random.Generator, length: float, height: float, share: float, *, blossom: float
) -> Mesh:
    """A clipped hedge along x; arguments as in make_tree."""
    mesh = MeshBuilder()
    core = mesh.surface(sf.PLAIN, (0.022, 0.034, 0.012))
    mesh.box(core, (0, 0, height / 2 - 0.25), (length / 2, 0.34, height / 2 + 0.2))
    count = int(300 * length * height * share) + 40
    half = np.array([length / 2, 0.36, height / 2])
    spot = rng.uniform(-1, 1, (count, 3))
    face = rng.choice(3, size=count, p=[0.06, 0.62, 0.32])
    spot[np.arange(count), face] = np.where(face == 2, 1.0, np.sign(spot[np.arange(count), face]))
    centres = spot * half + (0, 0, height / 2)
    _foliage(mesh, rng, _leaf_colour(mesh, rng, blossom), centres, 0.05, count, share, 0.6)
    return mesh.finish()
