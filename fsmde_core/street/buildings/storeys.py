"""Storeys: heights and a rhythm of windows that all sides of a building share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.buildings.facades import (
    FOOTING_M,
    Dress,
    Side,
    block,
    door,
    punch,
    sides_of,
    windows,
)
from fsmde_core.street.mesh import MeshBuilder

NEAR_UP_M = 18.0  # above this height a texture draws the windows


@dataclass(frozen=True)
class Storeys:
    """Heights and the rhythm of windows that all sides of a building share."""

    levels: np.ndarray
    """[n + 1]: floor of each storey, the eaves last; the first is the ground floor's threshold."""
    bay: float
    """Metres from window to window, roughly."""
    share: float
    """Width of a window over its bay."""
    low: float
    """Sill over the storey's height."""
    high: float
    depth: float
    trim: str


def draw_storeys(rng: np.random.Generator, height: float, *, ground: float = 1.0) -> Storeys:
    """Storeys of some 3 m up to about height; ground is the first one's height over the others'."""
    storey = rng.uniform(2.7, 3.5)
    count = max(1, round(height / storey - ground + 1))
    base = rng.choice([0.0, 0.17, 0.34, 0.51])
    first = base + storey * ground
    levels = np.r_[base, first + storey * np.arange(count)]
    return Storeys(
        levels=levels,
        bay=rng.uniform(2.0, 3.6),
        share=rng.uniform(0.36, 0.62),
        low=rng.uniform(0.2, 0.32),
        high=rng.uniform(0.78, 0.88),
        depth=rng.uniform(0.08, 0.25),
        trim=str(rng.choice(["plain", "sill", "sill", "hood", "shutters"])),
    )


def bays_of(side: Side, storeys: Storeys) -> np.ndarray:
    """Middles [n] of the bays of a side."""
    count = max(1, round(side.length / storeys.bay))
    return (np.arange(count) + 0.5) * side.length / count


def holes_at(side: Side, storeys: Storeys, floor: int, us, *, door_like=False) -> np.ndarray:
    """Openings [n, 4] of a storey at the middles us; door_like ones reach down to the floor."""
    z0, z1 = storeys.levels[floor : floor + 2]
    us = np.asarray(us, float)
    half = storeys.share * side.length / len(bays_of(side, storeys)) / 2
    low = z0 + 0.02 if door_like else z0 + storeys.low * (z1 - z0)
    heights = np.full((len(us), 2), (low, z0 + storeys.high * (z1 - z0)))
    return np.column_stack([us - half, us + half, heights])


def textured(mesh: MeshBuilder, rng, worn: Dress, side: Side, storeys: Storeys, z) -> None:
    """A side between the heights z whose windows are a texture, in the same rhythm."""
    bay = side.length / len(bays_of(side, storeys))
    top = storeys.levels[-2:]
    storey = top[1] - top[0]
    style = worn.finish if worn.finish != 3 else 1
    facade = mesh.surface(
        sf.FACADE,
        worn.wall_colour,
        colour2=worn.frame_colour,
        seed=rng.random(),
        params=(bay, storey, storeys.share, style),
    )
    u = np.array([[0, side.length, side.length, 0.0]])
    up = np.array([[z[0], z[0], z[1], z[1]]])
    shift = -storeys.levels[-1] + storey * len(storeys.levels)
    mesh.triangles(facade, side.at(u, 0.0, up), uv=np.stack([u, up + shift], axis=-1))


def shell(mesh: MeshBuilder, rng, worn: Dress, half, storeys: Storeys, detail: bool, first=0):
    """Footing and upper part of all sides; returns [side, floors] still to be punched.

    first is the storey where walls begin; half [2] are half_x, half_y.
    """
    top = storeys.levels[-1]
    near = int(np.searchsorted(storeys.levels, NEAR_UP_M)) if detail else first
    near = min(near, len(storeys.levels) - 1)
    begin = storeys.levels[max(near, first)]
    sides = sides_of(*half)
    for side in sides:
        if first == 0:
            out = 0.05
            block(
                mesh,
                worn.base,
                side,
                (-out, side.length + out),
                (-0.05, out),
                (-FOOTING_M, storeys.levels[0] + 0.02),
            )
        if top - begin > 0.1:
            textured(mesh, rng, worn, side, storeys, (begin, top))
    return [(side, range(first, near)) for side in sides]


def window_row(mesh, rng, worn, side, storeys: Storeys, floor: int, us, **kind) -> None:
    """One storey of one side with windows at us."""
    holes = holes_at(side, storeys, floor, us, **kind)
    z = storeys.levels[floor : floor + 2]
    punch(mesh, worn, side, z, holes, storeys.depth)
    trim = "plain" if kind else storeys.trim
    windows(mesh, rng, worn, side, holes, storeys.depth, trim=trim)


def ground_floor(mesh, rng, worn, side: Side, storeys: Storeys, us, entry: int) -> None:
    """Windows at us, but a door in a recess at the bay number entry."""
    z0, z1 = storeys.levels[:2]
    holes = holes_at(side, storeys, 0, us)
    wide = rng.uniform(0.5, 0.9)
    recess = rng.uniform(0.15, 0.7)
    way = np.array(
        [us[entry] - wide, us[entry] + wide, z0, min(z0 + rng.uniform(2.2, 3.0), z1 - 0.2)]
    )
    holes[entry] = way
    punch(mesh, worn, side, (z0, z1), holes, storeys.depth)
    windows(
        mesh, rng, worn, side, np.delete(holes, entry, axis=0), storeys.depth, trim=storeys.trim
    )
    for u in way[:2]:
        block(mesh, worn.trim, side, (u - 0.14, u + 0.02), (-recess, 0.07), (z0, way[3]))
    door(mesh, rng, worn, side, way, recess)
    if rng.random() < 0.5:
        over = (way[0] - 0.4, way[1] + 0.4)
        lid = (way[3] + 0.05, way[3] + 0.2)
        block(mesh, worn.trim, side, over, (0, rng.uniform(0.3, 1.1)), lid, under=worn.under)
