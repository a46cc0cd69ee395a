"""Buildings of farms and works: barns, sheds, halls, silos, water towers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.buildings import roofs
from fsmde_core.street.buildings.facades import (
    FOOTING_M,
    PLAN,
    Dress,
    Side,
    block,
    dress,
    hue,
    panes,
    plate,
    punch,
    railing,
    sheet,
    sides_of,
)
from fsmde_core.street.buildings.shopfronts import shutter
from fsmde_core.street.mesh import Mesh, MeshBuilder

METALS = np.array(
    [
        [0.42, 0.43, 0.44],
        [0.22, 0.27, 0.3],
        [0.5, 0.48, 0.42],
        [0.12, 0.2, 0.16],
        [0.3, 0.08, 0.05],
        [0.55, 0.56, 0.55],
        [0.1, 0.16, 0.3],
    ]
)


def corrugated(mesh: MeshBuilder, worn_by: int, side: Side, u, z, *, pitch=0.3, deep=0.035) -> None:
    """A sheet of metal folded into trapezoids, between pairs of u and z."""
    if u[1] - u[0] < 0.05 or z[1] - z[0] < 0.05:
        return
    count = max(1, round((u[1] - u[0]) / pitch))
    fold = np.array([0.0, 0.35, 0.5, 0.85])
    us = np.append((np.arange(count)[:, None] + fold).ravel(), count) * (u[1] - u[0]) / count + u[0]
    outs = np.append(np.tile([0.0, 0.0, deep, deep], count), 0.0)
    across = np.stack([us[:-1], us[1:], us[1:], us[:-1]], axis=-1)
    out = np.stack([outs[:-1], outs[1:], outs[1:], outs[:-1]], axis=-1)
    up = np.broadcast_to(np.array([z[0], z[0], z[1], z[1]]), across.shape)
    mesh.triangles(worn_by, side.at(across, out, up), uv=np.stack([across, up], axis=-1))


def clad(mesh: MeshBuilder, metal: int, worn: Dress, side: Side, z, gates, detail: bool) -> None:
    """A wall of metal with gates [n, 4]: u0, u1, z0, z1, 0.3 m deep; smooth where far."""
    gates = np.asarray(gates, float).reshape(-1, 4)
    spans = zip(np.r_[0, gates[:, 1]], np.r_[gates[:, 0], side.length])

    def wall(u, heights):
        if detail and metal != worn.wall:
            corrugated(mesh, metal, side, u, heights)
        else:
            sheet(mesh, metal, side, u, heights)

    for span in spans:
        wall(span, z)
    for u0, u1, low, high in gates:
        wall((u0, u1), (z[0], low))
        wall((u0, u1), (high, z[1]))
        for u in (u0, u1):
            block(mesh, worn.metal, side, (u - 0.1, u + 0.1), (-0.3, 0.06), (low, high))
        block(mesh, worn.metal, side, (u0, u1), (-0.3, 0.06), (high, high + 0.15), under=worn.under)


def hall(rng, half, height, walls, detail: bool) -> Mesh:
    """A works or a warehouse of metal sheets: gates, docks with canopies, roof lights."""
    mesh = MeshBuilder()
    worn = dress(mesh, rng, walls, finish=int(rng.choice([0, 2, 3])))
    colour = METALS[rng.integers(len(METALS))] * rng.uniform(0.6, 1.2)
    metal = mesh.surface(sf.WALL, colour, seed=rng.random(), params=(1.1, 99, 0, 2), gloss=0.1)
    z = float(np.clip(height, 4.5, 14.0))
    low = rng.choice([0.3, 1.1, 2.6])
    masonry = rng.random() < 0.25
    for k, side in enumerate(sides_of(*half)):
        _hall_side(mesh, rng, worn, worn.wall if masonry else metal, side, (low, z), k, detail)
    _hall_roof(mesh, rng, worn, half, z, detail)
    return mesh.finish()


def _hall_side(mesh, rng, worn: Dress, metal: int, side: Side, z, k: int, detail: bool) -> None:
    """One side: a plinth, gates or docks or a strip of windows."""
    low, high = z
    block(mesh, worn.base, side, (-0.02, side.length + 0.02), (-0.2, 0.03), (-FOOTING_M, 0.12))
    if not detail:
        sheet(mesh, worn.wall, side, (0, side.length), (0, low))
        sheet(mesh, metal, side, (0, side.length), (low, high))
        return
    docks = k % 2 == 0 and rng.random() < 0.45
    wide, tall, foot = (2.8, 3.0, 1.15) if docks else (*rng.uniform(3.0, 4.7, 2), 0.05)
    pitch = wide + rng.uniform(1.2, 8.0)
    us = np.arange(1.2, side.length - wide - 1.0, pitch)
    us = us[rng.random(len(us)) < (0.8 if k % 2 == 0 else 0.25)]
    gates = [[u, u + wide, foot, min(foot + tall, high - 0.5)] for u in us]
    clad(mesh, metal, worn, side, (0.1, high), gates, detail)
    if low > 0.5:
        for a, b in zip([0, *(us + wide)], [*us, side.length]):
            block(mesh, worn.wall, side, (a, b), (0.0, 0.12), (0.1, low))
    for gate in gates:
        _gate(mesh, rng, worn, side, gate)
        if docks:
            _dock(mesh, rng, worn, side, gate)
    _strip(mesh, rng, worn, side, us + wide, pitch - wide, high)
    _on_the_wall(mesh, rng, worn, side, high)


def _on_the_wall(mesh, rng, worn: Dress, side: Side, high: float) -> None:
    """The firm's name, and pipes at the corners."""
    if rng.random() < 0.5:
        u = rng.uniform(0, max(0.1, side.length - 7))
        board = (u, min(u + rng.uniform(3, 7), side.length))
        plate(mesh, rng, side, board, (high - 1.6, high - 0.4), 0.1)
    for u in (0.4, side.length - 0.4):
        pipe = side.at(u, 0.14, np.array([0.0, high]))
        mesh.tube(worn.metal, *pipe, 0.06, 0.06, sides=6)


def _strip(mesh, rng, worn: Dress, side: Side, us, wide: float, high: float) -> None:
    """Windows, doors and lamps between gates."""
    for u in us:
        span = (u + 0.4, min(u + wide - 0.4, side.length - 0.3))
        if span[1] - span[0] < 1.0:
            continue
        if high > 5 and rng.random() < 0.6:
            z = (high - 2.2, high - 1.0)
            block(mesh, worn.trim, side, span, (0, 0.09), z)
            count = max(1, round((span[1] - span[0]) / 1.2))
            edges = np.linspace(*span, count + 1)
            cells = [
                [a + 0.04, b - 0.04, z[0] + 0.06, z[1] - 0.06]
                for a, b in zip(edges[:-1], edges[1:])
            ]
            panes(mesh, rng, worn, side, cells, -0.1)
        if rng.random() < 0.5:
            block(mesh, worn.door, side, (span[0], span[0] + 0.95), (0, 0.16), (0.05, 2.1))
            lid = (span[0] - 0.2, span[0] + 1.15)
            block(mesh, worn.trim, side, lid, (0, 0.8), (2.3, 2.38), under=worn.under)


def _gate(mesh, rng, worn: Dress, side: Side, gate) -> None:
    """A roller gate, a folding gate, or an open one through which one sees a dark hall."""
    u0, u1, low, high = gate
    kind = rng.choice(["roller", "panels", "open"], p=[0.45, 0.3, 0.25])
    if kind == "roller":
        shutter(mesh, rng, worn, side, (u0, u1), (low, high), -0.25)
        return
    if kind == "panels":
        rows = np.linspace(low, high, 6)
        for k, (a, b) in enumerate(zip(rows[:-1], rows[1:])):
            block(mesh, worn.door, side, (u0, u1), (-0.28, -0.22), (a + 0.02, b - 0.02))
            if k == 2:
                for edge in np.arange(u0 + 0.3, u1 - 0.7, 0.8):
                    sheet(
                        mesh, worn.glass, side, (edge, edge + 0.55), (a + 0.12, b - 0.12), out=-0.2
                    )
        return
    dark = mesh.surface(sf.PLAIN, (0.05, 0.05, 0.05), emission=float(rng.choice([0, 0.8])))
    sheet(mesh, dark, side, (u0 - 0.5, u1 + 0.5), (low, high), out=-4.0)
    for u in (u0 - 0.05, u1):
        block(mesh, dark, side, (u, u + 0.05), (-4.0, -0.3), (low, high + 0.2))
    block(mesh, dark, side, (u0, u1), (-4.0, -0.02), (low - 0.1, low))
    block(mesh, dark, side, (u0, u1), (-4.0, -0.3), (high, high + 0.1), under=dark)
    for _ in range(int(rng.integers(2, 7))):
        colour = mesh.surface(sf.PLAIN, hue(rng, 0.03, 0.25))
        a, size = rng.uniform(u0, u1 - 1.2), rng.uniform(0.5, 1.2, 2)
        out = rng.uniform(-3.8, -1.6)
        block(mesh, colour, side, (a, a + size[0]), (out, out + 0.8), (low, low + size[1]))


def _dock(mesh, rng, worn: Dress, side: Side, gate) -> None:
    """Buffers, a ramp's edge and a canopy at a gate as high as a lorry's floor."""
    u0, u1, low, high = gate
    rubber = mesh.surface(sf.PLAIN, (0.02, 0.02, 0.02))
    for a in (u0 - 0.25, u1 - 0.1):
        block(mesh, rubber, side, (a, a + 0.35), (0.0, 0.45), (low, high + 0.2))
    block(
        mesh,
        rubber,
        side,
        (u0 - 0.25, u1 + 0.25),
        (0, 0.45),
        (high + 0.1, high + 0.45),
        under=rubber,
    )
    block(mesh, worn.base, side, (u0 - 0.4, u1 + 0.4), (0, 0.3), (-0.3, low))
    if rng.random() < 0.5:
        lid = (u0 - 0.6, u1 + 0.6), (0, 2.2), (high + 0.7, high + 0.85)
        block(mesh, worn.metal, side, *lid, under=worn.under)
        for a in (u0 - 0.5, u1 + 0.5):
            mesh.tube(
                worn.metal,
                side.at(a, 0.05, high + 1.6),
                side.at(a, 2.1, high + 0.85),
                0.03,
                0.03,
                sides=4,
            )


def _hall_roof(mesh, rng, worn: Dress, half, z: float, detail: bool) -> None:
    """Flat, of low pitch, sawtooth or round."""
    shape = str(rng.choice(["flat", "gable", "sawtooth", "barrel"], p=[0.35, 0.3, 0.2, 0.15]))
    if shape == "flat":
        roofs.parapet(mesh, worn, *half, z, rng.uniform(0.2, 0.9))
        if detail:
            roofs.roof_lights(mesh, rng, worn, *half, z)
            roofs.rooftop(mesh, rng, worn, *half, z)
        return
    rise = {"gable": 0.25 * half[1], "sawtooth": 1.8, "barrel": 0.3 * half[1]}[shape]
    profile = roofs.profile_of(shape, half[1], rise)
    roofs.ridged(mesh, worn, half[0], z, profile, thick=0.12, over=0.15)
    if detail:
        for x in np.arange(-half[0] + 2, half[0] - 1, rng.uniform(4, 9)):
            top = z + rise + 0.7
            mesh.tube(worn.metal, (x, 0, z + 0.5 * rise), (x, 0, top), 0.3, 0.3, sides=8)
            mesh.tube(worn.metal, (x, 0, top), (x, 0, top + 0.25), 0.45, 0.1, sides=8)


def barn(rng, half, height, walls, detail: bool) -> Mesh:
    """Planks or stone under a big roof, with a gate one looks into on both long sides."""
    mesh = MeshBuilder()
    worn = dress(mesh, rng, walls)
    tones = np.array([[0.2, 0.05, 0.035], [0.14, 0.1, 0.07], [0.25, 0.23, 0.2], [0.08, 0.07, 0.06]])
    colour = tones[rng.integers(len(tones))] * rng.uniform(0.7, 1.3)
    planks = mesh.surface(sf.WALL, colour, seed=rng.random(), params=(0.22, 99, 0, 2))
    z = float(np.clip(height, 3.2, 6.5))
    stone = rng.random() < 0.3
    for k, side in enumerate(sides_of(*half)):
        block(mesh, worn.base, side, (-0.05, side.length + 0.05), (-0.1, 0.06), (-FOOTING_M, 0.4))
        middle = rng.uniform(0.3, 0.7) * side.length
        gate = (
            [[middle - 1.7, middle + 1.7, 0.4, z - 0.4]] if k % 2 == 0 and side.length > 5 else []
        )
        row = worn.wall if stone else planks
        _planked(mesh, rng, row, worn, side, z, gate, detail and not stone)
        for hole in gate if detail else ():
            _gate(mesh, rng, worn, side, hole)
    shape = str(rng.choice(["gable", "gambrel", "barrel"], p=[0.5, 0.35, 0.15]))
    rise = rng.uniform(0.6, 1.0) * half[1]
    gabled = worn if stone else replace(worn, wall=planks)
    roofs.ridged(mesh, gabled, half[0], z, roofs.profile_of(shape, half[1], rise), over=0.6)
    return mesh.finish()


def _planked(mesh, rng, row: int, worn: Dress, side: Side, z: float, gates, detail: bool) -> None:
    """A wall with gates and, on planks, battens over their joints."""
    gates = np.asarray(gates, float).reshape(-1, 4)
    punch(mesh, replace(worn, wall=row), side, (0.0, z), gates, 0.25)
    if not detail:
        return
    for u in np.arange(0.3, side.length, 0.6):
        if not any(g[0] - 0.1 < u < g[1] + 0.1 for g in gates):
            block(mesh, row, side, (u - 0.03, u + 0.03), (0, 0.04), (0.4, z))
    for u0, u1, low, high in gates:
        if rng.random() < 0.6:
            half = (u1 - u0) / 2
            for a in (u0 - half, u1):
                block(mesh, row, side, (a, a + half), (0.05, 0.12), (low, high))
                block(mesh, worn.trim, side, (a, a + half), (0.12, 0.15), (low + 0.4, low + 0.6))
                block(mesh, worn.trim, side, (a, a + half), (0.12, 0.15), (high - 0.6, high - 0.4))


def shed(rng, half, height, walls, detail: bool) -> Mesh:
    """A small hut of metal or planks under a slanting roof, open on one side in a third."""
    mesh = MeshBuilder()
    worn = dress(mesh, rng, walls)
    colour = METALS[rng.integers(len(METALS))] * rng.uniform(0.4, 1.1)
    metal = mesh.surface(sf.WALL, colour, seed=rng.random(), params=(0.2, 99, 0, 2), gloss=0.05)
    z = float(np.clip(height, 2.1, 3.2))
    block(mesh, worn.base, PLAN, (-half[0], half[0]), (-half[1], half[1]), (-FOOTING_M, 0.06))
    open_side = int(rng.choice([0, 2])) if rng.random() < 0.35 else -1
    for k, side in enumerate(sides_of(*half)):
        if k == open_side:
            for u in np.linspace(0.1, side.length - 0.1, max(2, round(side.length / 2.5))):
                block(mesh, worn.trim, side, (u - 0.07, u + 0.07), (-0.14, 0), (0, z))
            continue
        gate = [[0.4, 1.4, 0.06, 2.0]] if k % 2 == 0 and side.length > 1.8 else []
        clad(mesh, metal, worn, side, (0.05, z), gate, detail)
        for u0, u1, low, high in gate:
            block(mesh, worn.door, side, (u0, u1), (-0.1, -0.02), (low, high))
    gabled = replace(worn, wall=metal)
    shape = str(rng.choice(["lean-to", "gable"]))
    profile = roofs.profile_of(shape, half[1], 0.35 * half[1])
    roofs.ridged(mesh, gabled, half[0], z, profile, thick=0.06, over=0.25)
    if shape == "lean-to":
        back = sides_of(*half)[2]
        clad(mesh, metal, worn, back, (z, z + 0.35 * half[1]), [], detail)
    return mesh.finish()


def silo(rng, half, height, walls, detail: bool) -> Mesh:
    """Round silos in a row along the footprint, with ladders and pipes."""
    mesh = MeshBuilder()
    worn = dress(mesh, rng, walls)
    radius = min(half[1], half[0])
    colour = METALS[rng.integers(len(METALS))]
    metal = mesh.surface(sf.WALL, colour, seed=rng.random(), params=(2.5, 1.1, 0, 2), gloss=0.25)
    count = max(1, int(half[0] / radius))
    z = max(height, 3.0)
    block(mesh, worn.trim, PLAN, (-half[0], half[0]), (-half[1], half[1]), (-FOOTING_M, 0.1))
    around = 24 if detail else 10
    legs = z * 0.25 if rng.random() < 0.4 and detail else 0.0
    for x in (np.arange(count) - (count - 1) / 2) * 2 * radius:
        r = radius * 0.97
        mesh.tube(metal, (x, 0, legs), (x, 0, z), r, r, sides=around)
        mesh.tube(metal, (x, 0, z), (x, 0, z + 0.5 * r), r * 1.02, 0.15, sides=around)
        if legs:
            mesh.tube(metal, (x, 0, 0.4 * legs), (x, 0, legs), 0.2, r, sides=around)
            feet = np.array(
                [[x + a, b, -0.2] for a in (-0.6 * r, 0.6 * r) for b in (-0.6 * r, 0.6 * r)]
            )
            mesh.tubes(worn.metal, feet, feet + (0, 0, legs + 0.3), np.full(4, 0.12), 0.12, sides=5)
        for ring in np.arange(1.5, z, 1.2) if detail else ():
            if ring > legs:
                mesh.tube(
                    metal, (x, 0, ring), (x, 0, ring + 0.08), r + 0.04, r + 0.04, sides=around
                )
        _ladder(mesh, worn, Side((x - 0.25, -r), 0.0, 0.5), z, detail)
    if detail and count > 1:
        ends = np.array(
            [[-half[0] + radius, 0, z + 0.7 * radius], [half[0] - radius, 0, z + 0.7 * radius]]
        )
        mesh.tube(worn.metal, *ends, 0.25, 0.25, sides=8)
    return mesh.finish()


def _ladder(mesh, worn: Dress, side: Side, z: float, detail: bool) -> None:
    if not detail:
        return
    rails = side.at(np.array([0.0, 0.5]), 0.2, 0.3)
    mesh.tubes(worn.metal, rails, rails + (0, 0, z), np.full(2, 0.025), 0.025, sides=4)
    rungs = np.arange(0.5, z, 0.4)
    ends = side.at(0.0, 0.2, rungs), side.at(0.5, 0.2, rungs)
    mesh.tubes(worn.metal, *ends, np.full(len(rungs), 0.015), 0.015, sides=3)


def water_tower(rng, half, height, walls, detail: bool) -> Mesh:
    """A tank on braced legs or on a shaft."""
    mesh = MeshBuilder()
    worn = dress(mesh, rng, walls)
    radius, z = min(half), max(height, 8.0)
    colour = METALS[rng.integers(len(METALS))]
    metal = mesh.surface(sf.WALL, colour, seed=rng.random(), params=(2, 1.5, 0, 2), gloss=0.2)
    high = min(0.35 * z, 1.6 * radius)
    low, around = z - high, 20 if detail else 10
    mesh.tube(metal, (0, 0, low), (0, 0, z), radius, radius, sides=around)
    mesh.tube(metal, (0, 0, z), (0, 0, z + 0.35 * radius), radius * 1.04, 0.1, sides=around)
    mesh.tube(metal, (0, 0, low - 0.5 * radius), (0, 0, low), 0.3 * radius, radius, sides=around)
    if rng.random() < 0.4:
        shaft = (0, 0, -FOOTING_M), (0, 0, low)
        mesh.tube(worn.wall, *shaft, 0.42 * radius, 0.3 * radius, sides=around)
        return mesh.finish()
    mesh.tube(worn.metal, (0, 0, -0.3), (0, 0, low), 0.25, 0.25, sides=8)
    angle = np.arange(6) * np.pi / 3
    ring = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(6)]) * radius * 0.92
    mesh.tubes(worn.metal, ring - (0, 0, 0.4), ring + (0, 0, low), np.full(6, 0.13), 0.13, sides=5)
    if detail:
        heights = np.linspace(0, low, 4)
        ends = np.concatenate([np.roll(ring, -1, axis=0) + (0, 0, z) for z in heights[1:]])
        for rows in (heights[:-1], heights[1:]):
            starts = np.concatenate([ring + (0, 0, z) for z in rows])
            mesh.tubes(worn.metal, starts, ends, np.full(18, 0.04), 0.04, sides=4)
        edge = [tuple(p) for p in np.column_stack([ring[:, 0], -ring[:, 1]]) * 1.12]
        railing(mesh, worn, PLAN, [*edge, edge[0]], low, step=0.4)
        _ladder(mesh, worn, Side((-0.25, -radius * 0.92), 0.0, 0.5), low, detail)
    return mesh.finish()
