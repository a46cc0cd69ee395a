"""Plants that streets of style world share: trees, shrubs, hedges, tall grass.

Each is made once in a process and stands in thousands of places. A crown is a set of lobes: a
dented, nearly opaque core, and tufts of leaves around it whose size in the world does not depend
on where the plant stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import Mesh, MeshBuilder

VARIANTS = 2
LOW_M = 4.6  # what hangs lower may touch a vehicle, also where the plant is stretched lower
FLAT = 0.85  # height of a lobe over its width
COVER = 0.7  # of a lobe's surface that its tufts hide
SEED = 0x9A7


@dataclass(frozen=True)
class Species:
    """What a kind of tree or shrub looks like; lengths are shares of its height or metres."""

    height_m: tuple[float, float]
    crown: str
    """One of CROWNS: how lobes fill it."""
    width: float
    """Largest radius of the crown over the height."""
    foot: float
    """Where the crown begins, over the height."""
    lobes: int
    lobe: float
    """Radius of a lobe over the crown's."""
    leaf: tuple[float, float, float]
    """Linear colour."""
    tuft_m: float = 0.3
    density: float = 1.0
    """Tufts on a lobe; below 0.7 the sky shows through."""
    core: float = 0.82
    """Radius of the opaque core over the lobe's; 0 for airy crowns."""
    bark: tuple[float, float, float] = (0.16, 0.125, 0.09)
    trunk: float = 0.016
    """Radius over the height."""
    stems: int = 1
    droop: float = 0.0
    """How much lobes hang."""


# Radius of the crown at a share k of its height, over the largest radius.
CROWNS = {
    "round": lambda k: np.sqrt(np.clip(1 - (2 * k - 1) ** 2, 0, 1)),
    "egg": lambda k: np.sqrt(np.clip(1 - (2 * k**0.8 - 1) ** 2, 0, 1)),
    "column": lambda k: np.clip(6 * k, 0, 1) * np.clip(2.5 * (1 - k), 0, 1) ** 0.5,
    "cone": lambda k: np.clip(8 * k, 0, 1) * (1.02 - k),
    "umbrella": lambda k: np.clip(k, 0, 1) ** 0.4 * np.clip(3 * (1 - k), 0, 1) ** 0.5,
    "box": lambda k: np.ones_like(k),
}
GREEN, LIGHT, OLIVE, DARK, BLUISH = (
    (0.075, 0.13, 0.025), (0.11, 0.17, 0.035), (0.1, 0.12, 0.045), (0.03, 0.062, 0.022),
    (0.055, 0.085, 0.055),
)  # fmt: skip
WHITE_BARK, RED_BARK, GREY_BARK = (0.5, 0.48, 0.43), (0.17, 0.09, 0.055), (0.24, 0.23, 0.2)
SPECIES = {
    "oak": Species((10, 16), "round", 0.42, 0.22, 34, 0.36, GREEN, trunk=0.022),
    "linden": Species((10, 18), "egg", 0.3, 0.16, 32, 0.4, GREEN),
    "plane": Species((12, 20), "round", 0.36, 0.25, 34, 0.36, LIGHT, bark=GREY_BARK, density=0.8),
    "maple": Species((8, 13), "round", 0.38, 0.22, 28, 0.4, LIGHT),
    "ash": Species((12, 22), "egg", 0.27, 0.25, 30, 0.42, OLIVE, density=0.7),
    "poplar": Species((14, 25), "column", 0.11, 0.06, 30, 0.62, GREEN, tuft_m=0.24),
    "birch": Species((8, 15), "egg", 0.22, 0.2, 22, 0.45, LIGHT, density=0.5, core=0.45,
                     bark=WHITE_BARK, trunk=0.011, droop=0.3),
    "robinia": Species((7, 12), "umbrella", 0.36, 0.35, 20, 0.42, LIGHT, density=0.55, core=0.5),
    "willow": Species((8, 14), "round", 0.45, 0.2, 34, 0.34, OLIVE, droop=1.2, density=0.9),
    "cherry": Species((4, 6.5), "umbrella", 0.45, 0.33, 20, 0.44, GREEN, tuft_m=0.22),
    "pear": Species((5, 9), "egg", 0.24, 0.24, 20, 0.5, GREEN, tuft_m=0.22),
    "young tree": Species((3.2, 5), "egg", 0.2, 0.42, 9, 0.6, LIGHT, tuft_m=0.2, density=0.7,
                          core=0.5, trunk=0.01),
    "eucalyptus": Species((14, 25), "umbrella", 0.25, 0.42, 22, 0.36, BLUISH, density=0.6,
                          core=0.6, bark=GREY_BARK),
    "acacia": Species((5, 9), "umbrella", 0.6, 0.5, 22, 0.34, OLIVE, density=0.7, core=0.6),
    "spruce": Species((12, 25), "cone", 0.2, 0.05, 60, 0.36, DARK, tuft_m=0.26, bark=RED_BARK,
                      droop=0.5),
    "fir": Species((8, 16), "cone", 0.24, 0.03, 54, 0.36, BLUISH, tuft_m=0.22, droop=0.35),
    "pine": Species((12, 20), "umbrella", 0.24, 0.5, 24, 0.4, DARK, bark=RED_BARK, density=0.8),
    "cypress": Species((6, 13), "column", 0.1, 0.02, 26, 0.72, DARK, tuft_m=0.17, core=0.9),
    "shrub": Species((1.2, 2.6), "round", 0.6, 0.0, 11, 0.5, GREEN, tuft_m=0.13, stems=4),
    "spreading shrub": Species((0.6, 1.3), "round", 1.0, 0.0, 12, 0.42, OLIVE, tuft_m=0.1, stems=4),
    "tall shrub": Species((2.5, 4.5), "egg", 0.4, 0.02, 16, 0.48, GREEN, tuft_m=0.17, stems=5),
    "bramble": Species((0.9, 1.8), "round", 1.1, 0.0, 12, 0.36, DARK, tuft_m=0.1, density=0.8,
                       stems=6),
    "juniper": Species((1.5, 3.5), "column", 0.25, 0.0, 12, 0.7, BLUISH, tuft_m=0.1, core=0.9,
                       stems=2),
}  # fmt: skip
TREES = tuple(k for k, s in SPECIES.items() if s.height_m[1] > 4.6)
SHRUBS = tuple(k for k in SPECIES if k not in TREES)
HEDGE_M = 2.0  # length of a piece


@dataclass(frozen=True, eq=False)
class Plant:
    """A mesh and its size."""

    mesh: Mesh
    height_m: float
    radius_m: float
    low_radius_m: float
    """The largest of what hangs below LOW_M."""


@cache
def plant(kind: str, variant: int) -> Plant:
    """A plant of SPECIES, its foot at the origin; variants are 0 to VARIANTS - 1."""
    rng = np.random.default_rng([SEED, list(SPECIES).index(kind), variant])
    species, mesh = SPECIES[kind], MeshBuilder()
    height = rng.uniform(*species.height_m)
    bark = mesh.surface(sf.BARK, np.array(species.bark) * rng.uniform(0.7, 1.3), seed=rng.random())
    centres, radii = _lobes(rng, species, height)
    _wood(mesh, rng, species, height, bark, centres)
    _crown(mesh, rng, species, centres, radii)
    return _finished(mesh, height)


@cache
def hedge(variant: int) -> Plant:
    """A clipped hedge, HEDGE_M along x, one metre high and 0.8 deep: stretch it."""
    rng, mesh = np.random.default_rng([SEED, 100, variant]), MeshBuilder()
    colour = np.array(DARK if variant % 2 else GREEN)
    half = np.array([HEDGE_M / 2 + 0.04, 0.34, 0.6])
    core = mesh.surface(sf.GRASS, colour * 0.5, colour2=colour * 0.8, seed=rng.random())
    mesh.box(core, (0, 0, half[2] - 0.25), half)
    count = 1500
    spot = rng.uniform(-1, 1, (count, 3))
    face = rng.choice(3, size=count, p=[0.06, 0.6, 0.34])
    rows = np.arange(count)
    spot[rows, face] = np.where(face == 2, 1.0, np.sign(spot[rows, face]))
    out = np.zeros((count, 3))
    out[rows, face] = spot[rows, face]
    centres = spot * half * 1.04 + (0, 0, half[2] - 0.25) + rng.normal(0, 0.02, (count, 3))
    sky = np.clip(0.35 + 0.65 * centres[:, 2], 0.2, 1)
    _tufts(mesh, rng, _leaf(mesh, rng, colour), centres, out, np.full(count, 0.05), sky)
    return _finished(mesh, 1.0)


@cache
def grass(variant: int) -> Plant:
    """A clump of tall grass or weeds, 0.3 to 0.9 m."""
    rng, mesh = np.random.default_rng([SEED, 200, variant]), MeshBuilder()
    height, blades = rng.uniform(0.3, 0.9), 90
    colour = np.array([(0.12, 0.13, 0.04), (0.07, 0.12, 0.03), (0.2, 0.16, 0.08)][variant % 3])
    leaf = _leaf(mesh, rng, colour)
    foot = np.column_stack(
        [rng.normal(0, 0.22, (blades, 2)).clip(-0.5, 0.5), np.full(blades, -0.05)]
    )
    lean = np.clip(rng.normal(0, 0.3, (blades, 2)) + foot[:, :2], -0.6 * height, 0.6 * height)
    tip = foot + np.column_stack([lean, height * rng.uniform(0.5, 1.0, blades)])
    across = np.cross(tip - foot, rng.normal(size=(blades, 3)))
    across *= 0.012 / np.linalg.norm(across, axis=1, keepdims=True)
    middle = (foot + tip) / 2 + (0, 0, 0.1 * height)
    corners = np.stack([foot, middle + across, tip, middle - across], axis=1)
    uv = np.broadcast_to(rng.random((blades, 1, 2)), (blades, 4, 2))
    up = np.broadcast_to((0.0, 0.0, 1.0), corners.shape)
    mesh.triangles(leaf, corners, normals=up, uv=uv)
    return _finished(mesh, height)


def _finished(mesh: MeshBuilder, height: float) -> Plant:
    done = mesh.finish()
    reach = np.linalg.norm(done.corners[..., :2], axis=-1)
    low = reach[done.corners[..., 2] < LOW_M]
    return Plant(done, height, float(reach.max()), float(low.max()))


def _leaf(mesh: MeshBuilder, rng, colour) -> int:
    colour = np.array(colour) * rng.uniform(0.8, 1.2)
    lighter = colour * (1.6, 1.4, 1.15)
    return mesh.surface(sf.LEAF, colour, colour2=lighter, seed=rng.random(), params=(0.75,))


def _lobes(rng, species: Species, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Centres [n, 3] and radii [n] that fill the outline of the crown."""
    n, most = species.lobes, species.width * height
    low, high = species.foot * height, height
    size = species.lobe * most
    k = (np.arange(n) + rng.uniform(0.2, 0.8, n)) / n
    if species.crown == "cone":
        k = 1 - np.sqrt(1 - k)  # wider below: more of them there
    reach = CROWNS[species.crown](k) * most
    radii = np.minimum(size, 0.35 * reach + 0.3 * size) * rng.uniform(0.6, 1.2, n)
    angle = np.arange(n) * 2.39996 + rng.normal(0, 0.35, n)
    out = np.maximum(reach - 0.7 * radii, 0) * rng.uniform(0.5, 1.08, n)
    if species.crown in ("cone", "column"):
        out = np.minimum(out, np.maximum(reach - 0.7 * radii, 0.3 * radii * (k < 0.8)))
    z = low + k * (high - low - 0.5 * size)
    z = np.maximum(z, 0.75 * radii) - species.droop * 0.12 * out
    centres = np.column_stack([out * np.cos(angle), out * np.sin(angle), z])
    return centres, radii


def _wood(mesh: MeshBuilder, rng, species: Species, height, bark, centres) -> None:
    """Trunk or stems, and a bough to each of the outer lobes."""
    through = species.crown in ("cone", "column")  # the trunk goes up to the tip
    top = height * (0.96 if through else max(species.foot + 0.25, 0.45))
    thick = species.trunk * height + 0.03
    for _ in range(species.stems):
        lean = rng.normal(0, 0.02 if species.stems == 1 else 0.2, 2) * height
        z = np.array([-0.4, 0.12 * height, 0.5 * top, top])
        path = np.column_stack([lean * (z[:, None] / height).clip(0), z])
        path[1:3, :2] += rng.normal(0, 0.004 if through else 0.012, (2, 2)) * height
        wide = thick * np.array([1.6, 1.05, 0.85, 0.5]) / species.stems**0.7
        mesh.tubes(bark, path[:-1], path[1:], wide[:-1], wide[1:], sides=9)
    ends = centres[rng.permutation(len(centres))[:12]]
    starts = np.column_stack([np.zeros((len(ends), 2)), np.clip(0.75 * ends[:, 2], 0.05, top)])
    boughs = np.full(len(ends), 0.4 * thick)
    mesh.tubes(bark, starts, ends, boughs, 0.3 * boughs, sides=5)


def _crown(mesh: MeshBuilder, rng, species: Species, centres, radii) -> None:
    colour, middle = np.array(species.leaf), centres.mean(axis=0)
    if species.core:
        dark = mesh.surface(sf.GRASS, colour * 0.3, colour2=colour * 0.7, seed=rng.random())
        for centre, radius in zip(centres, radii):
            _core(mesh, rng, dark, centre, species.core * radius, middle)
    tuft_area = 0.27 * species.tuft_m**2
    tufts = species.density * COVER * 4 * np.pi * radii**2 / tuft_area
    which = np.repeat(np.arange(len(radii)), tufts.astype(int))
    out = rng.normal(size=(len(which), 3)) + (0, 0, 0.2)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    shell = radii[which] * rng.uniform(0.75, 1.1, len(which))
    spots = centres[which] + out * shell[:, None] * (1, 1, FLAT)
    hidden = _hidden(spots, centres, 0.72 * radii)
    spots[:, 2] -= species.droop * 0.35 * rng.random(len(which)) * radii[which]
    keep = ~hidden & (spots[:, 2] > 0.02)
    spots, out = spots[keep], out[keep]
    sizes = 0.6 * species.tuft_m * rng.uniform(0.6, 1.3, len(spots))
    _tufts(mesh, rng, _leaf(mesh, rng, colour), spots, out, sizes, _sky(spots, out, centres))


@njit(cache=True)
def _hidden(spots, centres, radii):
    """Whether a spot [n, 3] lies inside of any lobe."""
    inside = np.zeros(len(spots), np.bool_)
    for i in range(len(spots)):
        for k in range(len(centres)):
            x, y = spots[i, 0] - centres[k, 0], spots[i, 1] - centres[k, 1]
            z = (spots[i, 2] - centres[k, 2]) / FLAT
            if x * x + y * y + z * z < radii[k] * radii[k]:
                inside[i] = True
                break
    return inside


def _sky(spots, out, centres) -> np.ndarray:
    """Share of the sky [n] that tufts see: less below and inside of a crown."""
    middle, top = centres.mean(axis=0), centres[:, 2].max() + 1e-6
    around = np.linalg.norm(spots[:, :2] - middle[:2], axis=1)
    rim = around / (np.percentile(around, 95) + 1e-6)
    height = (spots[:, 2] - centres[:, 2].min()) / (top - centres[:, 2].min() + 0.3)
    return np.clip(0.15 + 0.3 * rim + 0.35 * height + 0.3 * out[:, 2], 0.08, 1.0)


def _core(mesh: MeshBuilder, rng, surface, centre, radius, middle) -> None:
    """A dented ball; it shades partly as the whole crown around `middle` does."""
    around, up = 9, 6
    angle, tilt = np.meshgrid(
        np.linspace(0, 2 * np.pi, around + 1), np.linspace(-np.pi / 2, np.pi / 2, up + 1)
    )
    unit = np.stack(
        [np.cos(angle) * np.cos(tilt), np.sin(angle) * np.cos(tilt), np.sin(tilt)], axis=-1
    )
    dent = rng.uniform(0.7, 1.0, angle.shape)
    dent[:, -1] = dent[:, 0]
    dent[[0, -1]] = 0.85
    points = centre + unit * (radius * dent)[..., None] * (1, 1, FLAT)
    normals = points - middle
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-6
    normals = 0.5 * unit + normals + (0, 0, 0.2)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    uv = np.stack([angle * radius, tilt * radius], axis=-1)
    mesh.sheet(surface, points, normals=normals, uv=uv)


def _tufts(mesh: MeshBuilder, rng, leaf, spots, out, sizes, sky) -> None:
    """Bent rhombs: two triangles each, along a branch's end, facing outwards on the mean."""
    count = len(spots)
    along = rng.normal(size=(count, 3)) + 0.7 * out - (0, 0, 0.35)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(along, out + rng.normal(0, 0.6, (count, 3)))
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    long, wide = sizes[:, None] * along, 0.55 * sizes[:, None] * across
    fold = 0.25 * sizes[:, None] * np.cross(along, across)
    corners = np.stack([spots - long, spots + wide + fold, spots + long, spots - wide + fold], 1)
    normals = out + rng.normal(0, 0.35, (count, 3)) + (0, 0, 0.3)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    uv = np.stack([rng.random(count), sky], axis=1)
    mesh.triangles(
        leaf, corners, normals=np.repeat(normals[:, None], 4, 1), uv=np.repeat(uv[:, None], 4, 1)
    )
