"""Ground floors: shops behind glass or open to the street, shutters, arcades."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.buildings.facades import (
    FOOTING_M,
    PLAN,
    UNDER_SHADE,
    Dress,
    Side,
    awning,
    block,
    hue,
    level,
    plate,
    sheet,
    sides_of,
)
from fsmde_core.street.mesh import MeshBuilder

ROOM_M = 3.2  # how deep one sees into an open shop


def shop_row(mesh: MeshBuilder, rng, worn: Dress, side: Side, top: float) -> None:
    """Shops side by side along a side, up to the height top: piers, signs, fronts set back."""
    count = max(1, round(side.length / rng.uniform(4.5, 8.0)))
    edges = np.linspace(0, side.length, count + 1)
    pier = rng.uniform(0.18, 0.5)
    head = top - rng.uniform(0.5, 0.9)
    for u in edges:
        spot = (max(u - pier, -0.05), min(u + pier, side.length + 0.05))
        block(mesh, worn.base, side, spot, (-0.6, 0.05), (-FOOTING_M, top))
    block(mesh, worn.base, side, (0, side.length), (-0.6, 0.02), (-FOOTING_M, 0.06))
    deep_enough = side.length > 2 * ROOM_M
    for a, b in zip(edges[:-1] + pier, edges[1:] - pier):
        _fascia(mesh, rng, worn, side, (a, b), (head, top))
        kind = rng.choice(["glass", "open", "shutter", "door"], p=[0.4, 0.3, 0.18, 0.12])
        back = -rng.uniform(0.2, 0.5)
        level(mesh, worn.under, side, (a, b), (back - 0.1, 0.0), head)
        if kind == "shutter":
            shutter(mesh, rng, worn, side, (a, b), (0.05, head), back)
        elif kind == "open" and deep_enough:
            _room(mesh, rng, side, (a, b), head, back)
            _front(mesh, rng, worn, side, (a, b), head, back, glazed=False)
        else:
            _front(mesh, rng, worn, side, (a, b), head, back, glazed=True)
        if rng.random() < 0.4:
            awning(mesh, rng, side, (a, b), head + 0.1, rng.uniform(0.9, 1.9))
        if rng.random() < 0.3:
            _wares(mesh, rng, side, (a, b))


def far_shops(mesh: MeshBuilder, rng, worn: Dress, half, top: float) -> None:
    """The ground floor of shops as a texture, for what is far."""
    params = (3.0, top, 0.9, 8 + 1)
    colours = {"colour": worn.wall_colour, "colour2": worn.frame_colour}
    row = mesh.surface(sf.FACADE, **colours, seed=rng.random(), params=params)
    for side in sides_of(*half):
        foot = (-FOOTING_M, 0.1)
        block(mesh, worn.base, side, (-0.02, side.length + 0.02), (-0.1, 0.02), foot)
        sheet(mesh, row, side, (0, side.length), (0, top))


def _fascia(mesh, rng, worn, side: Side, u, z) -> None:
    """The board with the shop's name over its front."""
    colour = hue(rng, 0.02, 0.4)
    board = mesh.surface(sf.PLAIN, colour, gloss=0.15)
    out = rng.uniform(0.05, 0.3)
    block(mesh, board, side, u, (-0.6, out), z, under=worn.under)
    middle, half = (u[0] + u[1]) / 2, (u[1] - u[0]) * rng.uniform(0.2, 0.4)
    high = z[1] - z[0]
    letters = int(rng.integers(4, 10))
    ink = np.ones(3) * (0.65 if colour.mean() < 0.3 else 0.04)
    glow = float(rng.choice([0.0, 0.6]))
    row = mesh.surface(sf.PLAIN, ink, emission=glow)
    step = 2 * half / letters
    for k in range(letters):
        a = middle - half + k * step
        _letter(
            mesh,
            rng,
            row,
            side,
            (a, a + 0.75 * step),
            (z[0] + 0.22 * high, z[1] - 0.22 * high),
            out,
        )


def _letter(mesh, rng, row, side: Side, u, z, out: float) -> None:
    """Strokes that look like a letter from afar."""
    thick = 0.2 * (u[1] - u[0])
    sheet(mesh, row, side, (u[0], u[0] + thick), z, out=out + 0.02)
    if rng.random() < 0.5:
        sheet(mesh, row, side, (u[1] - thick, u[1]), z, out=out + 0.02)
    for height in np.array([0.0, 0.42, 0.84])[rng.random(3) < 0.6]:
        low = z[0] + height * (z[1] - z[0])
        sheet(mesh, row, side, u, (low, low + 0.16 * (z[1] - z[0])), out=out + 0.02)


def _front(mesh, rng, worn, side: Side, u, head, back, *, glazed: bool) -> None:
    """A stall riser, a frame and a door; glazed fills it with panes, else one looks inside."""
    riser = rng.choice([0.12, 0.5])
    gap = min(u[0] + rng.uniform(0.4, 1.0) * (u[1] - u[0] - 1.1), u[1] - 1.1)
    way = (max(u[0], gap), max(u[0], gap) + 1.0)
    frame = worn.metal
    for a, b in ((u[0], way[0]), (way[1], u[1])):
        if b - a < 0.25:
            continue
        block(mesh, worn.base, side, (a, b), (back - 0.1, back), (-0.1, riser))
        count = max(1, round((b - a) / 1.5))
        for edge in np.linspace(a, b, count + 1):
            spot = (edge - 0.03, edge + 0.03)
            block(mesh, frame, side, spot, (back - 0.06, back + 0.02), (riser, head))
        block(mesh, frame, side, (a, b), (back - 0.06, back + 0.02), (riser, riser + 0.06))
        if glazed:
            sheet(mesh, _window(mesh, rng, worn), side, (a, b), (riser, head), out=back - 0.03)
            if rng.random() < 0.5:
                at = rng.uniform(a, max(a, b - 0.9))
                spot = (riser + 0.3, riser + 0.3 + rng.uniform(0.4, 1.1))
                plate(mesh, rng, side, (at, min(at + 0.8, b)), spot, back - 0.02)
    sheet(mesh, worn.glass if glazed else worn.door, side, way, (0.05, 2.15), out=back - 0.25)
    block(mesh, frame, side, way, (back - 0.3, back), (2.15, 2.25))
    sheet(mesh, worn.glass, side, way, (2.25, head), out=back - 0.1)


def _window(mesh, rng, worn) -> int:
    """What a shop's pane shows: a dark mirror, or goods on shelves, lit at night."""
    if rng.random() < 0.45:
        return worn.glass
    params = (3, 4.5, 0.9, 8)
    return mesh.surface(
        sf.FACADE, (0.2, 0.2, 0.2), colour2=(0.08,) * 3, seed=rng.random(), params=params
    )


def _room(mesh, rng, side: Side, u, head, back) -> None:
    """A lit room with shelves of goods; daylight fades towards its back."""
    glow = float(rng.choice([0.1, 0.25, 0.5]))
    tone = np.array([0.5, 0.46, 0.4]) * rng.uniform(0.4, 0.9)
    deep = back - ROOM_M
    wall = mesh.surface(sf.PLAIN, tone * 0.45, emission=glow)
    floor = mesh.surface(sf.PLAIN, tone * 0.3, emission=glow / 2)
    sheet(mesh, wall, side, u, (0, head), out=deep)
    level(mesh, floor, side, u, (deep, back), 0.05)
    level(mesh, wall, side, u, (deep, back), head)
    for edge in u:
        block(mesh, wall, side, (edge - 0.01, edge + 0.01), (deep, back - 0.1), (0, head))
    lamp = mesh.surface(sf.PLAIN, (0.9, 0.88, 0.8), emission=1.0)
    for a in np.arange(u[0] + 0.5, u[1] - 0.4, 1.4):
        block(
            mesh,
            lamp,
            side,
            (a, a + 0.12),
            (deep + 0.4, back - 0.6),
            (head - 0.08, head - 0.02),
            under=lamp,
        )
    for z in np.arange(0.5, head - 0.5, rng.uniform(0.4, 0.6)):
        block(mesh, wall, side, u, (deep, deep + 0.4), (z - 0.04, z))
        _goods(mesh, rng, side, u, deep + 0.36, z, glow)
    a = rng.uniform(u[0], u[1] - 1.5)
    block(mesh, floor, side, (a, a + rng.uniform(1.0, 1.5)), (back - 2.0, back - 1.3), (0, 1.0))
    _goods(mesh, rng, side, (a, a + 1.0), back - 1.4, 1.0, glow)


def _goods(mesh, rng, side: Side, u, out, z, glow: float) -> None:
    """The fronts of boxes in a row."""
    colours = [mesh.surface(sf.PLAIN, hue(rng, 0.05, 0.45), emission=glow) for _ in range(3)]
    a = u[0] + 0.05
    while a < u[1] - 0.25:
        wide, high = rng.uniform(0.1, 0.5), rng.uniform(0.1, 0.32)
        sheet(
            mesh, colours[rng.integers(3)], side, (a, min(a + wide, u[1])), (z, z + high), out=out
        )
        a += wide + rng.exponential(0.08)


def _wares(mesh, rng, side: Side, u) -> None:
    """Crates, racks and a board before a shop."""
    row = mesh.surface(sf.PLAIN, np.array([0.3, 0.2, 0.1]) * rng.uniform(0.4, 1.4))
    a = u[0] + rng.uniform(0, 1)
    while a < u[1] - 0.8:
        high = rng.uniform(0.3, 0.9)
        block(mesh, row, side, (a, a + 0.7), (0.15, 0.65), (0.0, high))
        _goods(mesh, rng, side, (a, a + 0.7), 0.5, high, 0.0)
        a += rng.choice([0.75, 0.75, 2.5])


def shutter(mesh: MeshBuilder, rng, worn: Dress, side: Side, u, z, out: float) -> None:
    """A roller door of slats."""
    grey = mesh.surface(sf.PLAIN, rng.uniform(0.1, 0.45) * np.array([1, 1, 1.03]), gloss=0.2)
    count = max(4, int((z[1] - z[0]) / 0.12))
    edges = np.linspace(*z, 2 * count + 1)
    outs = out - 0.03 * (np.arange(2 * count + 1) % 2)
    low, high = np.column_stack([edges[:-1], outs[:-1]]), np.column_stack([edges[1:], outs[1:]])
    across = np.array([u[0], u[1], u[1], u[0]])
    up = np.stack([low[:, 0], low[:, 0], high[:, 0], high[:, 0]], axis=-1)
    deep = np.stack([low[:, 1], low[:, 1], high[:, 1], high[:, 1]], axis=-1)
    uv = np.stack(np.broadcast_arrays(across, up), axis=-1)
    mesh.triangles(grey, side.at(across, deep, up), uv=uv)
    if rng.random() < 0.3:
        wide = min(2.2, 0.7 * (u[1] - u[0]))
        a = u[0] + 0.15 * (u[1] - u[0])
        plate(mesh, rng, side, (a, a + wide), (z[0] + 0.5, z[0] + 1.6), out + 0.01)


def arcade_front(mesh: MeshBuilder, rng, worn: Dress, half, top, deep: float, bay: float) -> None:
    """A passage deep metres wide behind both long sides, shops at its back."""
    arches = rng.random() < 0.6
    ceiling = top - 0.1
    for k, side in enumerate(sides_of(*half)):
        if k % 2:
            span = (deep - 0.2, side.length - deep + 0.2)
            block(mesh, worn.wall, side, span, (-0.3, 0), (-FOOTING_M, top))
            sheet(mesh, worn.wall, side, (0, side.length), (ceiling - 0.6, top))
            continue
        paving = (0, side.length), (-deep - 0.3, 0.0)
        block(mesh, worn.base, side, *paving, (-FOOTING_M, 0.06))
        level(mesh, worn.under, side, *paving, ceiling)
        x, y, _ = side.at(0.0, -deep, 0.0)
        back = Side((float(x), float(y)), side.yaw, side.length)
        shop_row(mesh, rng, shaded(mesh, rng, worn), back, ceiling)
        _pillars(mesh, rng, worn, side, top, bay, arches)
    level(mesh, worn.under, PLAN, (-half[0], half[0]), (-half[1], half[1]), top)


def shaded(mesh: MeshBuilder, rng, worn: Dress) -> Dress:
    """The same clothes, darker, for what stands under a ceiling."""

    def dark(colour):
        return mesh.surface(sf.WALL, colour, seed=rng.random(), params=(3, 3, 0, 3))

    colour = worn.wall_colour * (UNDER_SHADE + 0.15)
    return replace(worn, wall=dark(colour), base=dark(colour * 0.8), trim=dark(colour))


def _pillars(mesh, rng, worn, side: Side, top: float, bay: float, arches: bool) -> None:
    """Square pillars under a beam, or pillars that arches join."""
    count = max(2, round(side.length / bay))
    pitch = side.length / count
    half = rng.uniform(0.2, 0.35) if arches else rng.uniform(0.25, 0.5)
    thick = rng.uniform(0.4, 0.8)
    spring = top - (pitch / 2 - half) - 0.35 if arches else top - 0.5
    spring = max(spring, 0.35 * top)
    for k in range(count + 1):
        u = (max(0, k * pitch - half), min(side.length, k * pitch + half))
        block(mesh, worn.wall, side, u, (-thick, 0), (-FOOTING_M, spring))
        block(
            mesh,
            worn.trim,
            side,
            (u[0] - 0.06, u[1] + 0.06),
            (-thick - 0.05, 0.06),
            (spring - 0.2, spring),
        )
        block(mesh, worn.base, side, (u[0] - 0.05, u[1] + 0.05), (-thick, 0.05), (-FOOTING_M, 0.5))
    if not arches:
        block(mesh, worn.wall, side, (0, side.length), (-thick, 0), (spring, top), under=worn.under)
        return
    for k in range(count):
        _arch(mesh, worn, side, (k * pitch, (k + 1) * pitch), half, (spring, top), thick)


def _arch(mesh, worn, side: Side, u, half: float, z, thick: float) -> None:
    """The wall over an opening between two pillars, with the curved underside."""
    angle = np.linspace(np.pi, 0, 11)
    middle, radius = (u[0] + u[1]) / 2, (u[1] - u[0]) / 2 - half
    rise = min(radius, z[1] - z[0] - 0.1)
    a, b = middle + radius * np.cos(angle), z[0] + rise * np.sin(angle)
    across = np.stack([a[:-1], a[1:], a[1:], a[:-1]], axis=-1)
    up = np.stack([b[:-1], b[1:], np.full(10, z[1]), np.full(10, z[1])], axis=-1)
    for out in (0.0, -thick):
        mesh.triangles(worn.wall, side.at(across, out, up), uv=np.stack([across, up], axis=-1))
    ring = np.stack([b[:-1], b[1:], b[1:], b[:-1]], axis=-1)
    bent = np.stack([a[:-1], a[1:], a[1:], a[:-1]], axis=-1)
    deep = np.array([0, 0, -thick, -thick])
    uv = np.stack([np.broadcast_to(deep, ring.shape), ring], axis=-1)
    mesh.triangles(worn.reveal, side.at(bent, deep, ring), uv=uv)
    for edge, sign in ((u[0], 1), (u[1], -1)):
        span = sorted((edge, edge + sign * half))
        for out in (0.0, -thick):
            sheet(mesh, worn.wall, side, span, z, out=out)
