"""High buildings: slabs of flats and glass towers."""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.buildings import roofs
from fsmde_core.street.buildings.facades import (
    FOOTING_M,
    PLAN,
    Side,
    block,
    cooler,
    dish,
    dress,
    laundry,
    level,
    plate,
    railing,
    sheet,
    sides_of,
)
from fsmde_core.street.buildings.storeys import Storeys, bays_of, draw_storeys, shell, window_row
from fsmde_core.street.mesh import Mesh, MeshBuilder


def slab(rng, half, height, walls, detail: bool) -> Mesh:
    """Flats: loggias on one long side, galleries on the other, a stair tower at each end."""
    mesh = MeshBuilder()
    worn, storeys = dress(mesh, rng, walls, finish=2), draw_storeys(rng, max(height, 8.0))
    inner = (half[0], half[1] - 0.75)  # galleries and loggias fill the rest
    for k, (side, floors) in enumerate(shell(mesh, rng, worn, inner, storeys, detail)):
        us = bays_of(side, storeys)
        for floor in floors:
            if k % 2:
                window_row(mesh, rng, worn, side, storeys, floor, us[1::3])
                continue
            if k == 0:
                window_row(mesh, rng, worn, side, storeys, floor, us, door_like=True)
                _loggias(mesh, rng, worn, side, storeys, floor)
            else:
                window_row(mesh, rng, worn, side, storeys, floor, us[::2])
                _gallery(mesh, rng, worn, side, storeys, floor, us[1::2])
        for low in storeys.levels[floors.stop : -1] if k % 2 == 0 else ():
            span = (low - 0.2, low + 1.0)
            block(mesh, worn.trim, side, (0, side.length), (0, 1.3), span, under=worn.under)
    top = storeys.levels[-1]
    roofs.parapet(mesh, worn, *inner, top, 0.5)
    for side in (-1, 1):
        spot = (side * (half[0] + 0.02) - 1.5, side * (half[0] + 0.02) + 1.5)
        block(mesh, worn.base, PLAN, spot, (-1.9, 1.9), (-FOOTING_M, top + 2.4))
    if detail:
        roofs.rooftop(mesh, rng, worn, *inner, top)
    return mesh.finish()


def _loggias(mesh, rng, worn, side: Side, storeys: Storeys, floor: int) -> None:
    """A row of open rooms with walls between them, in front of a side."""
    z0, z1 = storeys.levels[floor : floor + 2]
    deep = 1.3
    block(mesh, worn.trim, side, (0, side.length), (0, deep), (z0 - 0.2, z0), under=worn.under)
    count = max(1, round(side.length / (storeys.bay * 1.8)))
    edges = np.linspace(0.08, side.length - 0.08, count + 1)
    for u in edges:
        block(mesh, worn.wall, side, (u - 0.08, u + 0.08), (0, deep), (z0, z1 - 0.2))
    for a, b in zip(edges[:-1], edges[1:]):
        chance = rng.random()
        front = worn.door if chance < 0.4 else worn.trim if chance < 0.8 else worn.glass
        block(mesh, front, side, (a + 0.08, b - 0.08), (deep - 0.08, deep), (z0, z0 + 1.0))
        if rng.random() < 0.2:
            laundry(mesh, rng, side, (a + 0.3, b - 0.3), deep - 0.15, z0 + 1.9)
        if rng.random() < 0.1:
            dish(mesh, worn, Side(tuple(side.at(0, deep, 0)[:2]), side.yaw, 1), a + 0.8, z0 + 0.9)
        if rng.random() < 0.15:
            lid = (z1 - 0.2 - rng.uniform(0.5, 1.2), z1 - 0.2)
            sheet(mesh, worn.cloth, side, (a + 0.1, b - 0.1), lid, out=deep)


def _gallery(mesh, rng, worn, side: Side, storeys: Storeys, floor: int, doors) -> None:
    """A walkway along a side with a railing, and doors to it at their middles."""
    z0, z1 = storeys.levels[floor : floor + 2]
    deep = 1.35
    block(mesh, worn.trim, side, (0, side.length), (0, deep), (z0 - 0.2, z0), under=worn.under)
    if floor:
        line = [(0, deep - 0.05), (side.length, deep - 0.05)]
        railing(mesh, worn, side, line, z0, step=0.33)
    for u in np.arange(0.1, side.length, storeys.bay * 2):
        block(
            mesh, worn.trim, side, (u - 0.09, u + 0.09), (deep - 0.25, deep - 0.05), (z0, z1 - 0.2)
        )
    for u in doors:
        block(mesh, worn.trim, side, (u - 0.55, u + 0.55), (0, 0.03), (z0, z0 + 2.15))
        block(mesh, worn.door, side, (u - 0.45, u + 0.45), (0, 0.05), (z0, z0 + 2.05))
        if rng.random() < 0.3:
            cooler(mesh, worn, side, u + 0.5, z0 + 1.9)


def glass_tower(rng, half, height, walls, detail: bool) -> Mesh:
    """A curtain wall of panes, no two quite parallel, over columns and a set back foot."""
    mesh = MeshBuilder()
    worn, storeys = dress(mesh, rng, walls), draw_storeys(rng, max(height, 12.0))
    colour = np.array([0.03, 0.05, 0.06]) + rng.uniform(0, 0.05, 3)
    glass = mesh.surface(sf.GLASS, colour, gloss=rng.uniform(1.5, 4.0))
    lobby = float(rng.uniform(4.0, 7.5))
    top = max(lobby + 6.0, float(storeys.levels[-1]))
    foot = [max(1.5, h - rng.uniform(1.5, 3.5)) for h in half]
    block(mesh, worn.base, PLAN, (-half[0], half[0]), (-half[1], half[1]), (-FOOTING_M, 0.04))
    for side in sides_of(*foot):
        sheet(mesh, glass, side, (0, side.length), (0, lobby))
        for u in np.arange(0, side.length, 2.0) if detail else ():
            block(mesh, worn.metal, side, (u - 0.05, u + 0.05), (0, 0.12), (0, lobby))
    level(mesh, worn.under, PLAN, (-half[0], half[0]), (-half[1], half[1]), lobby)
    _columns(mesh, rng, worn, half, lobby, detail)
    for side in sides_of(*half):
        _curtain(mesh, rng, worn, glass, side, lobby, top, detail)
    roofs.parapet(mesh, worn, *half, top, 0.4)
    if detail:
        roofs.rooftop(mesh, rng, worn, *half, top)
    return mesh.finish()


def _columns(mesh, rng, worn, half, lobby: float, detail: bool) -> None:
    """Columns at the foot of a tower: round, square or leaning in pairs."""
    kind = rng.choice(["round", "square", "leaning"])
    thick = rng.uniform(0.25, 0.6)
    for side in sides_of(*half):
        count = max(2, round(side.length / rng.uniform(5, 9))) if detail else 2
        for u in np.linspace(thick + 0.1, side.length - thick - 0.1, count):
            if kind == "square":
                spot = (u - thick, u + thick), (-2 * thick - 0.1, -0.1)
                block(mesh, worn.trim, side, *spot, (-0.2, lobby))
                continue
            lean = rng.choice([-1, 1]) * 0.3 * lobby if kind == "leaning" else 0.0
            for way in (lean, -lean) if kind == "leaning" else (0.0,):
                head = np.clip(u + way, thick, side.length - thick)
                ends = side.at(np.array([u, head]), -thick - 0.1, np.array([-0.3, lobby]))
                mesh.tube(worn.trim, *ends, thick, thick, sides=12 if detail else 5)


def _curtain(mesh, rng, worn, glass: int, side: Side, low, top, detail: bool) -> None:
    """Panes between mullions; every pane is turned a little, which its mirror image shows."""
    wide, high = (side.length / max(2, round(side.length / 1.6)), 3.3) if detail else (0, 0)
    if not detail:
        bay = (side.length / max(2, round(side.length / 1.6)), 3.3, 0.97, 3)
        row = mesh.surface(sf.FACADE, worn.wall_colour * 0.4, seed=rng.random(), params=bay)
        sheet(mesh, row, side, (0, side.length), (low, top))
        return
    rows = np.linspace(low, top, max(2, round((top - low) / high)) + 1)
    us = np.arange(round(side.length / wide)) * wide
    u, z = (a.ravel() for a in np.meshgrid(us, rows[:-1]))
    tall = rows[1] - rows[0]
    across, up = np.stack([u, u + wide, u + wide, u], -1), np.stack([z, z, z + tall, z + tall], -1)
    corners = side.at(across, 0.0, up)
    outward = side.at(0, 1, 0) - side.at(0, 0, 0)
    normals = outward + rng.normal(0, 0.012, (len(u), 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.broadcast_to(normals[:, None], corners.shape)
    cell = rng.integers(1, 400, (len(u), 1, 2))
    uv = cell + np.array([[0.53, 0.65], [0.96, 0.65], [0.96, 0.97], [0.53, 0.97]])
    row = np.where(rng.random(len(u)) < 0.2, worn.pane, glass)
    mesh.triangles(row, corners, normals=normals, uv=uv)
    out = rng.uniform(0.04, 0.25)
    for a in [*us, side.length]:
        block(mesh, worn.metal, side, (a - 0.04, a + 0.04), (-0.02, out), (low, top))
    for level_z in rows:
        span = (level_z - 0.25, level_z + 0.05) if rng.random() < 0.9 else (level_z - 0.9, level_z)
        block(mesh, worn.metal, side, (0, side.length), (-0.02, 0.06), span)
    if rng.random() < 0.3:
        plate(mesh, rng, side, (1.0, min(5.0, side.length)), (top - 2.2, top - 0.4), out + 0.05)
