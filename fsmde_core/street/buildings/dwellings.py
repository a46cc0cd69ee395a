"""Buildings that stand alone: villas, bungalows, farm houses, kiosks, churches, ruins."""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.buildings import roofs
from fsmde_core.street.buildings.facades import (
    FOOTING_M,
    PLAN,
    Dress,
    awning,
    block,
    door,
    dress,
    hue,
    panes,
    plate,
    punch,
    railing,
    sheet,
    sides_of,
    windows,
)
from fsmde_core.street.buildings.shopfronts import shutter
from fsmde_core.street.buildings.storeys import bays_of, draw_storeys, ground_floor, holes_at, shell
from fsmde_core.street.mesh import Mesh, MeshBuilder, merge


def villa(rng, half, height, walls, detail: bool) -> Mesh:
    """A house of two or three storeys, most with a garage, a carport or a conservatory."""
    return _house(rng, half, max(height, 5.0), walls, detail, ("gable", "hip", "gambrel"))


def bungalow(rng, half, height, walls, detail: bool) -> Mesh:
    """A house of one storey under a low roof."""
    return _house(rng, half, min(height, 3.5), walls, detail, ("gable", "hip", "lean-to"))


def farm_house(rng, half, height, walls, detail: bool) -> Mesh:
    """A long house under a high roof with dormers."""
    return _house(rng, half, max(height, 3.5), walls, detail, ("gable", "gambrel"), steep=1.5)


def _house(rng, half, height, walls, detail, shapes, *, steep=1.0) -> Mesh:
    """The house itself, and at one end of the footprint what is built onto it."""
    clothes, finish = rng.integers(2**31), int(rng.choice([0, 1, 3]))
    wing = min(rng.uniform(3.0, 5.5), 0.8 * half[0]) if rng.random() < 0.65 else 0.0
    end = int(rng.choice([-1, 1]))
    parts = []
    for along in (0, wing / 2) if wing else (0,):
        mesh = MeshBuilder()
        worn = dress(mesh, np.random.default_rng(clothes), walls, finish=finish)
        if along:
            size = (along, half[1] * rng.uniform(0.55, 0.9))
            _annex(mesh, rng, worn, size, detail)
            parts.append(mesh.finish().moved((end * (half[0] - along), 0, 0), 0.0))
            continue
        main = (half[0] - wing / 2, half[1])
        storeys = draw_storeys(rng, height)
        _body(mesh, rng, worn, main, storeys, detail)
        _roof(mesh, rng, worn, main, storeys.levels[-1], str(rng.choice(shapes)), steep, detail)
        parts.append(mesh.finish().moved((-end * wing / 2, 0, 0), 0.0))
    return merge(parts)


def _body(mesh, rng, worn: Dress, half, storeys, detail: bool) -> None:
    """Walls with windows, a door on both long sides, a porch before one of them."""
    for k, (side, floors) in enumerate(shell(mesh, rng, worn, half, storeys, detail)):
        us = bays_of(side, storeys)
        for floor in floors:
            if floor == 0 and k % 2 == 0:
                entry = int(rng.integers(len(us)))
                ground_floor(mesh, rng, worn, side, storeys, us, entry)
                if rng.random() < 0.5:
                    _porch(mesh, rng, worn, side, us[entry], storeys.levels[:2])
                continue
            kept = us[rng.random(len(us)) < (0.9 if k % 2 == 0 else 0.6)]
            holes = holes_at(side, storeys, floor, kept)
            punch(mesh, worn, side, storeys.levels[floor : floor + 2], holes, storeys.depth)
            windows(mesh, rng, worn, side, holes, storeys.depth, trim=storeys.trim)


def _porch(mesh, rng, worn: Dress, side, u: float, z) -> None:
    """A floor, posts and a roof before a door."""
    half, deep = rng.uniform(1.1, 2.4), rng.uniform(1.2, 2.0)
    span = (max(0.0, u - half), min(side.length, u + half))
    floor, head = float(z[0]), min(z[0] + 2.7, z[1] - 0.1)
    block(mesh, worn.base, side, span, (0, deep), (-FOOTING_M, floor))
    for a in (span[0] + 0.1, span[1] - 0.1):
        foot = side.at(a, deep - 0.12, np.array([floor, head]))
        mesh.tube(worn.trim, *foot, 0.08, 0.08, sides=6)
        line = [(a, 0.05), (a, deep - 0.12)]
        railing(mesh, worn, side, line, floor, high=0.9)
    out, up = np.array([deep + 0.3, deep + 0.3, 0, 0]), np.array([0, 0, 0.5, 0.5]) + head
    across = np.array([span[0] - 0.2, span[1] + 0.2, span[1] + 0.2, span[0] - 0.2])
    uv = np.column_stack([across, out])[None]
    mesh.triangles(worn.roof, side.at(across, out, up + 0.12)[None], uv=uv)
    mesh.triangles(worn.under, side.at(across, out, up)[None], uv=uv)
    block(
        mesh,
        worn.trim,
        side,
        (across[0], across[1]),
        (deep + 0.2, deep + 0.3),
        (head - 0.05, head + 0.14),
    )


def _roof(mesh, rng, worn: Dress, half, z, shape: str, steep: float, detail: bool) -> None:
    rise = rng.uniform(0.45, 0.75) * half[1] * steep
    eaves = np.array([[-1, 0], [1, 0]]) * (half[1] + roofs.OVERHANG_M)
    if shape == "hip":
        roofs.hipped(mesh, worn, *half, z, 0.7 * rise)
    else:
        rise = min(rise * {"lean-to": 0.5, "gambrel": 1.4}.get(shape, 1.0), 1.15 * half[1])
        profile = roofs.profile_of(shape, half[1], rise)
        eaves = roofs.ridged(mesh, worn, half[0], z, profile)[[0, -1]]
    if not detail:
        return
    roofs.chimneys(mesh, rng, 0.7 * half[0], 0.4 * half[1], z + rise, int(rng.integers(0, 3)))
    for side, (y, low) in zip(sides_of(*half)[::2], eaves):
        roofs.gutter(mesh, worn, side, z + low, abs(y) - half[1])
        if shape == "gable" and steep > 1 and rng.random() < 0.6:
            for u in np.arange(2.0, side.length - 2, rng.uniform(3, 5)):
                at = (z + 0.25 * rise, -0.2 * half[1], 1.5, 0.5 * half[1])
                roofs.dormer(mesh, rng, worn, side, u, *at)


def _annex(mesh, rng, worn: Dress, half, detail: bool) -> None:
    """A garage, a carport or a conservatory."""
    kind = rng.choice(["garage", "carport", "conservatory"], p=[0.5, 0.25, 0.25])
    z = rng.uniform(2.4, 3.0)
    block(mesh, worn.base, PLAN, (-half[0], half[0]), (-half[1], half[1]), (-FOOTING_M, 0.06))
    lid = (-half[0] - 0.1, half[0] + 0.1), (-half[1] - 0.25, half[1] + 0.25), (z, z + 0.22)
    block(mesh, worn.trim, PLAN, *lid, under=worn.under)
    for k, side in enumerate(sides_of(*half)):
        if kind == "garage":
            _garage_side(mesh, rng, worn, side, z, detail and k % 2 == 0)
        elif kind == "carport":
            for u in (0.15, side.length - 0.15):
                foot = side.at(u, -0.15, np.array([-0.3, z]))
                mesh.tube(worn.metal, *foot, 0.07, 0.07, sides=6)
        else:
            sheet(mesh, worn.wall, side, (0, side.length), (0, 0.5))
            sheet(mesh, worn.glass, side, (0, side.length), (0.5, z), out=-0.03)
            for u in np.arange(0, side.length + 0.1, side.length / max(2, round(side.length))):
                block(mesh, worn.trim, side, (u - 0.04, u + 0.04), (-0.04, 0.04), (0.5, z))


def _garage_side(mesh, rng, worn: Dress, side, z: float, gate: bool) -> None:
    if not gate:
        sheet(mesh, worn.wall, side, (0, side.length), (0, z))
        return
    wide = min(2.6, side.length - 0.5)
    hole = [[(side.length - wide) / 2, (side.length + wide) / 2, 0.05, 2.2]]
    depth = rng.uniform(0.12, 0.4)
    punch(mesh, worn, side, (0, z), hole, depth)
    shutter(mesh, rng, worn, side, hole[0][:2], hole[0][2:], -depth)


def kiosk(rng, half, height, walls, detail: bool) -> Mesh:
    """A stall with an open hatch on both long sides, under a lid that hangs over."""
    mesh = MeshBuilder()
    worn = dress(mesh, rng, walls)
    z = float(np.clip(height, 2.4, 3.2))
    block(mesh, worn.base, PLAN, (-half[0], half[0]), (-half[1], half[1]), (-FOOTING_M, 0.12))
    for k, side in enumerate(sides_of(*half)):
        hatch = [[0.25, side.length - 0.25, 1.05, z - 0.35]] if k % 2 == 0 and detail else []
        punch(mesh, worn, side, (0.1, z), hatch, 0.12)
        if hatch:
            block(mesh, worn.metal, side, (0.1, side.length - 0.1), (0, 0.35), (0.98, 1.05))
            _racks(mesh, rng, side, side.length)
            if rng.random() < 0.7:
                awning(mesh, rng, side, (0, side.length), z - 0.1, rng.uniform(0.8, 1.4))
        else:
            plate(mesh, rng, side, (0.2, side.length - 0.2), (0.5, z - 0.4), 0.02)
    dark = mesh.surface(sf.PLAIN, (0.12, 0.11, 0.1), emission=0.3)
    block(mesh, dark, PLAN, (-half[0] + 0.2, half[0] - 0.2), (-0.05, 0.05), (0, z))
    over = rng.uniform(0.2, 0.7)
    lid = (-half[0] - over, half[0] + over), (-half[1] - over, half[1] + over)
    block(mesh, worn.trim, PLAN, *lid, (z, z + rng.uniform(0.15, 0.5)), under=worn.under)
    if detail:
        for side in sides_of(*half)[::2]:
            plate(mesh, rng, side, (0.3, side.length - 0.3), (z + 0.5, z + 1.0), 0.0)
    return mesh.finish()


def _racks(mesh, rng, side, long: float) -> None:
    """Papers and goods before a hatch."""
    for u in np.arange(0.1, long - 0.4, 0.45):
        if rng.random() < 0.7:
            colour = hue(rng, 0.05, 0.45)
            row = mesh.surface(sf.PLAIN, colour)
            low = rng.uniform(0.15, 0.6)
            block(mesh, row, side, (u, u + 0.36), (0.02, 0.2), (low, low + rng.uniform(0.2, 0.5)))


def church(rng, half, height, walls, detail: bool) -> Mesh:
    """A nave with buttresses and tall windows, and a tower with a spire at one end."""
    clothes = rng.integers(2**31)
    wide = min(half[1] * 0.8, 0.3 * half[0], 3.5)
    z = max(4.5, 0.4 * height)
    nave, tower = MeshBuilder(), MeshBuilder()
    worn = [dress(m, np.random.default_rng(clothes), walls, finish=0) for m in (nave, tower)]
    long = half[0] - wide
    for k, side in enumerate(sides_of(long, half[1])):
        block(nave, worn[0].base, side, (-0.1, side.length + 0.1), (-0.1, 0.1), (-FOOTING_M, 0.5))
        us = (
            (np.arange(max(1, int(side.length / 3.5))) + 0.5) * 3.5 if k % 2 == 0 and detail else []
        )
        holes = np.array([[u - 0.6, u + 0.6, 1.6, z - 0.8] for u in us])
        punch(nave, worn[0], side, (0, z), holes, 0.35)
        panes(nave, rng, worn[0], side, holes, 0.35)
        for u in us:
            reach = (u + 1.5, u + 2.0)
            block(nave, worn[0].wall, side, reach, (0, 0.8), (-0.4, 0.75 * z))
    roofs.ridged(
        nave, worn[0], long, z, roofs.profile_of("gable", half[1], 1.1 * half[1]), over=0.3
    )
    _steeple(tower, rng, worn[1], wide, max(height, z + 1.1 * half[1] + 2.0), detail)
    end = int(rng.choice([-1, 1]))
    placed = ((nave, -end * wide), (tower, end * (half[0] - wide)))
    return merge([mesh.finish().moved((x, 0, 0), 0.0) for mesh, x in placed])


def _steeple(mesh, rng, worn: Dress, wide: float, z: float, detail: bool) -> None:
    for k, side in enumerate(sides_of(wide, wide)):
        block(mesh, worn.base, side, (-0.1, side.length + 0.1), (-0.1, 0.1), (-FOOTING_M, 0.6))
        way = [[wide - 0.9, wide + 0.9, 0.3, 3.2]] if k % 2 == 0 and detail else []
        bells = [[wide - 0.7, wide + 0.7, z - 2.8, z - 0.7]] if detail else []
        punch(mesh, worn, side, (0, 0.6 * z), way, 0.6)
        punch(mesh, worn, side, (0.6 * z, z), bells, 0.4)
        for hole in way:
            door(mesh, rng, worn, side, hole, 0.6)
        for hole in bells:
            sheet(mesh, worn.under, side, hole[:2], hole[2:], out=-0.38)
    top = rng.uniform(1.2, 4.0) * wide
    over = wide + 0.25
    block(mesh, worn.trim, PLAN, (-over, over), (-over, over), (z, z + 0.2), under=worn.under)
    mesh.box(worn.roof, (0, 0, z + 0.2 + top / 2), (over, over, top / 2), taper=(over - 0.03,) * 4)


def half_built(rng, half, height, walls, detail: bool) -> Mesh:
    """Bare floors on columns, some bays walled up: a ruin, or a house being built."""
    mesh = MeshBuilder()
    worn, storeys = dress(mesh, rng, walls), draw_storeys(rng, max(height, 5.0))
    concrete = mesh.surface(
        sf.WALL, np.ones(3) * rng.uniform(0.2, 0.42), seed=rng.random(), params=(3, 3, 0, 1)
    )
    z = storeys.levels - storeys.levels[0]
    plan = (-half[0], half[0]), (-half[1], half[1])
    block(mesh, concrete, PLAN, *plan, (-FOOTING_M, 0.1))
    pitch = rng.uniform(3.5, 6.0)
    xs = np.linspace(-half[0] + 0.3, half[0] - 0.3, max(2, round(2 * half[0] / pitch)))
    ys = np.linspace(-half[1] + 0.3, half[1] - 0.3, max(2, round(2 * half[1] / pitch)))
    for low, high in zip(z[:-1], z[1:]):
        block(mesh, concrete, PLAN, *plan, (high - 0.25, high), under=worn.under)
        for x in xs[:: 1 if detail else len(xs) - 1]:
            for y in ys[:: 1 if detail else len(ys) - 1]:
                block(
                    mesh, concrete, PLAN, (x - 0.2, x + 0.2), (y - 0.2, y + 0.2), (low, high - 0.25)
                )
    for side in sides_of(*half):
        for low, high in zip(z[:-1], z[1:]):
            _infill(mesh, rng, worn, side, (low, high - 0.25), pitch, detail)
    if detail:
        _site(mesh, rng, worn, half, z)
    return mesh.finish()


def _infill(mesh, rng, worn: Dress, side, z, pitch: float, detail: bool) -> None:
    """Some bays between columns have a wall, whole or broken off, or a rail."""
    count = max(1, round(side.length / pitch))
    wide = side.length / count
    for u in np.arange(count) * wide:
        chance = rng.random()
        if chance < 0.3:
            up = (z[0], z[0] + rng.uniform(0.3, 1) * (z[1] - z[0]))
            if detail:
                block(mesh, worn.wall, side, (u, u + wide), (-0.25, -0.05), up)
            else:
                sheet(mesh, worn.wall, side, (u, u + wide), up, out=-0.05)
        elif detail and chance < 0.5:
            railing(mesh, worn, side, [(u, -0.1), (u + wide, -0.1)], z[0], step=1.2)


def _site(mesh, rng, worn: Dress, half, z) -> None:
    """Stairs between floors, bars on top, a scaffold before one side."""
    for low, high in zip(z[:-1], z[1:]):
        steps = 14
        rise = (high - low) / steps
        for k in range(steps):
            span = (-half[0] * 0.5 + 0.28 * k, -half[0] * 0.5 + 0.28 * (k + 1))
            top = low + (k + 1) * rise
            block(mesh, worn.trim, PLAN, span, (-0.7, 0.7), (top - 0.3, top), under=worn.under)
    spots = rng.uniform(-0.95, 0.95, (24, 2)) * half
    feet = np.column_stack([spots, np.full(24, z[-1])])
    mesh.tubes(worn.metal, feet, feet + (0, 0, 0.9), np.full(24, 0.015), 0.015, sides=3)
    side = sides_of(*half)[int(rng.choice([0, 2]))]
    us, outs = np.arange(0, side.length + 0.1, 2.4), (0.3, 1.2)
    for out in outs:
        feet = side.at(us, out, -0.1)
        mesh.tubes(
            worn.metal, feet, feet + (0, 0, z[-1] + 1.2), np.full(len(us), 0.03), 0.03, sides=4
        )
    for height in np.arange(2.0, z[-1] + 0.5, 2.0):
        block(
            mesh,
            worn.door,
            side,
            (0, side.length),
            (0.35, 1.15),
            (height - 0.05, height),
            under=worn.under,
        )
        ends = side.at(np.array([0, side.length]), outs[1], height + 1.0)
        mesh.tubes(worn.metal, ends[:1], ends[1:], np.full(1, 0.025), 0.025, sides=4)
