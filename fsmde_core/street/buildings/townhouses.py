"""Buildings of closed streets: town houses, shops, arcades."""

from __future__ import annotations

import numpy as np

from fsmde_core.street.buildings import roofs
from fsmde_core.street.buildings.facades import (
    PLAN,
    balcony,
    band,
    bay_window,
    block,
    cooler,
    dish,
    dress,
    hanging_sign,
    level,
    panes,
    punch,
    sides_of,
    windows,
)
from fsmde_core.street.buildings.shopfronts import arcade_front, far_shops, shop_row
from fsmde_core.street.buildings.storeys import (
    Storeys,
    bays_of,
    draw_storeys,
    ground_floor,
    holes_at,
    shell,
    window_row,
)
from fsmde_core.street.mesh import Mesh, MeshBuilder

BALCONIES = 18  # of a town house at most; each costs some 300 triangles


def town_house(rng, half, height, walls, detail: bool) -> Mesh:
    """A house of a closed row: set back windows, doors with steps, bays, balconies, dormers."""
    mesh = MeshBuilder()
    worn, storeys = dress(mesh, rng, walls), draw_storeys(rng, height, ground=rng.uniform(1, 1.3))
    style = rng.choice(["none", "bars", "solid", "glass"], p=[0.4, 0.4, 0.1, 0.1])
    left = BALCONIES
    for k, (side, floors) in enumerate(shell(mesh, rng, worn, half, storeys, detail)):
        us = bays_of(side, storeys)
        if k % 2 == 0:
            left -= _front(
                mesh, rng, worn, side, storeys, floors, us, str(style), left // (2 - k // 2)
            )
        else:
            keep = us[rng.random(len(us)) < 0.5]
            for floor in floors:
                window_row(mesh, rng, worn, side, storeys, floor, keep)
    _courses(mesh, rng, worn, half, storeys, detail)
    _top(mesh, rng, worn, half, storeys.levels[-1], detail)
    return mesh.finish()


def _front(mesh, rng, worn, side, storeys, floors, us, style: str, budget: int) -> int:
    """A long side with its door, bays and balconies; returns how many balconies it got."""
    if not floors:
        return 0
    bays = np.arange(len(us))
    entry = int(rng.integers(len(us)))
    bay = int(rng.integers(len(us))) if rng.random() < 0.35 and len(floors) > 1 else -1
    if bay >= 0:
        half = 0.46 * side.length / len(us)
        top = storeys.levels[floors.stop]
        levels = storeys.levels[1 : floors.stop]
        bay_window(
            mesh, rng, worn, side, (us[bay] - half, us[bay] + half), (levels[0], top), levels
        )
    ground_floor(mesh, rng, worn, side, storeys, us, entry)
    modulo, offset, used = int(rng.integers(2, 4)), int(rng.integers(2)), 0
    for floor in floors[1:]:
        out = (bays % modulo == offset) & (bays != bay) & (style != "none") & (used < budget)
        z = storeys.levels[floor : floor + 2]
        holes = holes_at(side, storeys, floor, us)
        holes[out, 2] = z[0] + 0.02
        holes = holes[bays != bay]
        punch(mesh, worn, side, z, holes, storeys.depth)
        shut = holes[:, 2] > z[0] + 0.1
        windows(mesh, rng, worn, side, holes[shut], storeys.depth, trim=storeys.trim)
        panes(mesh, rng, worn, side, holes[~shut], storeys.depth)
        half = side.length / len(us) * 0.42
        for u in us[out]:
            balcony(mesh, rng, worn, side, (u - half, u + half), z[0] + 0.02, 1.15, style)
            used += 1
        for u in us[~out & (bays != bay)]:
            if rng.random() < 0.08:
                rng.choice([cooler, dish])(mesh, worn, side, u + half * 0.9, z[0] + 0.35)
    return used


def _courses(mesh, rng, worn, half, storeys: Storeys, detail: bool) -> None:
    """String courses at some floors, a plinth and quoins."""
    if not detail:
        return
    if rng.random() < 0.7:
        for z in storeys.levels[1:-1] if rng.random() < 0.3 else storeys.levels[1:2]:
            band(mesh, worn.trim, *half, (z - 0.12, z + 0.06), rng.uniform(0.04, 0.12))
    if rng.random() < 0.25:
        for side in sides_of(*half):
            for z in np.arange(storeys.levels[0], storeys.levels[-1] - 0.6, 0.8):
                for u in ((-0.04, 0.45), (side.length - 0.45, side.length + 0.04)):
                    block(mesh, worn.trim, side, u, (0, 0.04), (z, z + 0.42))


def _top(mesh, rng, worn, half, z: float, detail: bool) -> None:
    """A roof: flat behind a parapet, steep with dormers, or pitched."""
    roofs.cornice(mesh, rng, worn, *half, z - 0.1, detail=detail)
    kind = rng.choice(["flat", "mansard", "gable", "hip"], p=[0.35, 0.2, 0.3, 0.15])
    if kind == "flat" or half[1] > 9:
        roofs.parapet(mesh, worn, *half, z, rng.uniform(0.3, 1.1))
        if detail:
            roofs.rooftop(mesh, rng, worn, *half, z)
        return
    if kind == "mansard":
        top = roofs.mansard(mesh, rng, worn, *half, z, detail=detail)
    else:
        top = z + rng.uniform(0.45, 0.95) * half[1]
        _pitched(mesh, rng, worn, half, z, top - z, str(kind), detail)
    roofs.chimneys(mesh, rng, half[0], half[1] * 0.5, top, int(rng.integers(0, 4)) * detail)


def _pitched(mesh, rng, worn, half, z, rise, kind: str, detail: bool) -> None:
    if kind == "hip":
        roofs.hipped(mesh, worn, *half, z, rise, over=0.35)
        low = 0.0
    else:
        profile = roofs.profile_of("gable", half[1], rise)
        low = roofs.ridged(mesh, worn, half[0], z, profile, over=0.35)[0, 1]
    if not detail:
        return
    dormers = rng.random() < 0.5
    for side in sides_of(*half)[::2]:
        roofs.gutter(mesh, worn, side, z + low, 0.36)
        for u in np.arange(1.8, side.length - 1.8, rng.uniform(2.6, 4)) * dormers:
            if u > 0:
                deep = half[1] * 0.5
                roofs.dormer(mesh, rng, worn, side, u, z + 0.2 * rise, -0.15 * half[1], 1.5, deep)


def shops(rng, half, height, walls, detail: bool) -> Mesh:
    """Shops on the ground floor, flats above."""
    mesh = MeshBuilder()
    worn, storeys = dress(mesh, rng, walls), draw_storeys(rng, max(height, 3.5), ground=1.25)
    style = str(rng.choice(["none", "bars", "solid"], p=[0.6, 0.3, 0.1]))
    left = BALCONIES // 2
    for side in sides_of(*half) if detail else ():
        shop_row(mesh, rng, worn, side, float(storeys.levels[1]))
    if not detail:
        far_shops(mesh, rng, worn, half, float(storeys.levels[1]))
    for k, (side, floors) in enumerate(shell(mesh, rng, worn, half, storeys, detail, first=1)):
        us = bays_of(side, storeys)
        for floor in floors:
            row = us if k % 2 == 0 else us[rng.random(len(us)) < 0.4]
            out = k % 2 == 0 and style != "none" and rng.random() < 0.5
            window_row(mesh, rng, worn, side, storeys, floor, row)
            if out and left > 0:
                left -= 3
                for u in row[1 :: max(2, len(row) // 3)][:3]:
                    z = storeys.levels[floor] + 0.02
                    balcony(mesh, rng, worn, side, (u - 1.1, u + 1.1), z, 1.0, style)
        if floors and rng.random() < 0.6:
            hanging_sign(mesh, rng, worn, side, rng.uniform(1, side.length - 1), storeys.levels[1])
    if detail:
        level(mesh, worn.under, PLAN, (-half[0], half[0]), (-half[1], half[1]), storeys.levels[1])
    _courses(mesh, rng, worn, half, storeys, detail)
    _top(mesh, rng, worn, half, storeys.levels[-1], detail)
    return mesh.finish()


def arcade(rng, half, height, walls, detail: bool) -> Mesh:
    """A passage behind pillars or arches on the long sides, with shops at its back."""
    mesh = MeshBuilder()
    worn, storeys = dress(mesh, rng, walls), draw_storeys(rng, max(height, 8.0), ground=1.5)
    deep = min(rng.uniform(2.5, 4.0), half[1] - 1.2)
    if detail:
        arcade_front(mesh, rng, worn, half, float(storeys.levels[1]), deep, storeys.bay * 1.4)
    else:
        far_shops(mesh, rng, worn, half, float(storeys.levels[1]))
    for side, floors in shell(mesh, rng, worn, half, storeys, detail, first=1):
        us = bays_of(side, storeys)
        for floor in floors:
            window_row(mesh, rng, worn, side, storeys, floor, us)
    if detail:
        band(mesh, worn.trim, *half, (storeys.levels[1] - 0.15, storeys.levels[1] + 0.1), 0.14)
    _top(mesh, rng, worn, half, storeys.levels[-1], detail)
    return mesh.finish()
