"""Roofs with real thickness and overhang, and what stands on them."""

from __future__ import annotations

import math

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.buildings.facades import (
    PLAN,
    Dress,
    Side,
    band,
    block,
    panes,
    sheet,
    sides_of,
)
from fsmde_core.street.mesh import MeshBuilder

OVERHANG_M = 0.5


def profile_of(shape: str, half: float, rise: float) -> np.ndarray:
    """Cross-section [n, 2] of a roof over 2 half metres: y, and height above the eaves."""
    if shape == "gable":
        return np.array([[-half, 0], [0, rise], [half, 0]])
    if shape == "gambrel":
        knee = [0.62 * half, 0.68 * rise]
        return np.array([[-half, 0], [-knee[0], knee[1]], [0, rise], knee, [half, 0]])
    if shape == "lean-to":
        return np.array([[-half, 0], [half, rise]])
    if shape == "barrel":
        angle = np.linspace(np.pi, 0, 9)
        return np.column_stack([half * np.cos(angle), rise * np.sin(angle)])
    teeth = max(2, round(half / 3.5))
    edges = np.linspace(-half, half, teeth + 1)
    tooth = [[(a, 0), (a + 0.15, rise)] for a in edges[:-1]]
    return np.array([*sum(tooth, []), (half, 0)])


def ridged(mesh: MeshBuilder, worn: Dress, half_x, z, profile, *, thick=0.18, over=OVERHANG_M):
    """A roof of one cross-section along x, from profile_of, with its end walls.

    It hangs over the ends by over metres, and over the eaves as far down its own slope. Returns
    the cross-section with that overhang.
    """
    ends = np.array([[-half_x, *profile[0]], [half_x, *profile[0]]])[:, 0]
    for x, yaw in zip(ends, (-math.pi / 2, math.pi / 2)):
        turned = profile if x > 0 else profile * (-1, 1)
        turned = turned if x > 0 else turned[::-1]
        wall = Side((x, 0.0), yaw, 0.0)
        fan = [[turned[0], a, b] for a, b in zip(turned[1:-1], turned[2:])]
        if not fan:
            fan = [[turned[0], turned[1], (turned[np.argmax(turned[:, 1]), 0], 0.0)]]
        fan = np.array(fan)
        corners = wall.at(fan[..., 0], 0.0, z + fan[..., 1])
        mesh.triangles(worn.wall, corners, uv=fan + (profile[-1, 0], z))
    longer = _extended(profile, over)
    _hung(mesh, worn, half_x + over, z, longer, thick)
    return longer


def _extended(profile: np.ndarray, over: float) -> np.ndarray:
    """The cross-section with its first and last slope drawn out over the eaves."""
    longer = profile.astype(float).copy()
    for end, inner in ((0, 1), (-1, -2)):
        slope = profile[end] - profile[inner]
        run = max(abs(slope[0]), 0.5 * abs(slope[1]))
        longer[end] += slope / run * min(over, 0.7 * run)
    return longer


def _hung(mesh: MeshBuilder, worn: Dress, half_x, z, profile, thick: float) -> None:
    """Slabs of a cross-section: tiles above, boards below and at the rims."""
    down = np.array([0, thick])
    along = np.r_[0, np.cumsum(np.hypot(*np.diff(profile, axis=0).T))]
    for a, b, v in zip(profile[:-1], profile[1:], along):
        y, up = np.array([a[0], a[0], b[0], b[0]]), np.array([a[1], a[1], b[1], b[1]]) + z + thick
        x = np.array([-half_x, half_x, half_x, -half_x])
        w = v + np.array([0, 0, 1, 1]) * np.hypot(*(b - a))
        uv = np.column_stack([x, w])[None]
        mesh.triangles(worn.roof, np.column_stack([x, y, up])[None], uv=uv)
        mesh.triangles(worn.under, np.column_stack([x, y, up - thick])[None], uv=uv)
        for side in (-half_x, half_x):
            rim = [[side, *(p + (0, z))] for p in (a + down, b + down, b, a)]
            mesh.triangles(worn.trim, np.array([rim]))
    for y, up in profile[[0, -1]]:
        rim = [(-half_x, y, z + up), (half_x, y, z + up)]
        rim += [(half_x, y, z + up + thick), (-half_x, y, z + up + thick)]
        mesh.triangles(worn.trim, np.array([rim]))


def hipped(mesh: MeshBuilder, worn: Dress, half_x, half_y, z, rise, *, over=OVERHANG_M) -> None:
    """A roof that slopes to all four sides, on a slab that hangs over."""
    x, y = half_x + over, half_y + over
    inset = min(x, y) - 0.05
    block(mesh, worn.trim, PLAN, (-x, x), (-y, y), (z - 0.02, z + 0.16), under=worn.under)
    middle = (0, 0, z + 0.16 + rise / 2)
    mesh.box(worn.roof, middle, (x, y, rise / 2), taper=(inset,) * 4)


def mansard(mesh: MeshBuilder, rng, worn: Dress, half_x, half_y, z, *, detail: bool) -> float:
    """A steep storey of tiles with dormers and a flat top; returns the height of the top."""
    rise = rng.uniform(2.2, 3.0)
    inset = rise * rng.uniform(0.25, 0.45)
    mesh.box(worn.roof, (0, 0, z + rise / 2), (half_x, half_y, rise / 2), taper=(inset,) * 4)
    for side in sides_of(half_x, half_y):
        count = int(side.length / rng.uniform(2.6, 4)) if detail else 0
        for u in (np.arange(count) + 0.5) * side.length / max(count, 1):
            dormer(mesh, rng, worn, side, u, z + 0.35, -0.15, rise - 0.7, inset)
    return z + rise


def dormer(mesh: MeshBuilder, rng, worn: Dress, side: Side, u, z, front, high, deep) -> None:
    """A window that stands out of a roof; its front lies front metres before the wall."""
    half = rng.uniform(0.55, 0.8)
    block(mesh, worn.trim, side, (u - half, u + half), (front - deep - 0.3, front), (z, z + high))
    hole = [[u - half + 0.12, u + half - 0.12, z + 0.12, z + high - 0.15]]
    panes(mesh, rng, worn, side, hole, -front - 0.02)
    cap = (z + high, z + high + 0.12)
    over = (u - half - 0.15, u + half + 0.15)
    block(mesh, worn.roof, side, over, (front - deep - 0.3, front + 0.2), cap, under=worn.under)


def chimneys(mesh: MeshBuilder, rng, half_x, half_y, z, count: int) -> None:
    """Brick chimneys with pots, from below z to a metre above."""
    brick = np.array([0.3, 0.15, 0.1]) * rng.uniform(0.5, 1.3)
    row = mesh.surface(sf.WALL, brick, seed=rng.random(), params=(3, 3, 0, 0))
    pot = mesh.surface(sf.PLAIN, (0.25, 0.1, 0.06))
    for _ in range(count):
        x, y = rng.uniform(-0.8, 0.8) * half_x, rng.uniform(-0.3, 0.3) * half_y
        wide, top = rng.uniform(0.25, 0.7), z + rng.uniform(0.5, 1.3)
        block(mesh, row, PLAN, (x - wide, x + wide), (-y - 0.28, -y + 0.28), (z - 2.2, top))
        cap = (top, top + 0.1)
        block(mesh, row, PLAN, (x - wide - 0.06, x + wide + 0.06), (-y - 0.34, -y + 0.34), cap)
        for k in np.arange(-wide + 0.2, wide, 0.4):
            mesh.tube(pot, (x + k, y, top + 0.1), (x + k, y, top + 0.5), 0.12, 0.09, sides=6)


def gutter(mesh: MeshBuilder, worn: Dress, side: Side, z: float, out: float) -> None:
    """A gutter along the eaves of a side and a pipe down the wall at its end."""
    over = 0.2
    line = side.at(np.array([-over, side.length + over]), out + 0.05, z)
    mesh.tubes(worn.metal, line[:1], line[1:], np.full(1, 0.07), 0.07, sides=6)
    way = side.at(side.length - 0.25, np.array([out, 0.08, 0.08]), np.array([z, z - 0.5, -0.3]))
    mesh.tubes(worn.metal, way[:-1], way[1:], np.full(2, 0.045), 0.045, sides=6)


def parapet(mesh: MeshBuilder, worn: Dress, half_x, half_y, z: float, high: float) -> None:
    """The flat roof's surface, and a wall with a coping round it, as high as high above z."""
    roof = worn.base
    block(mesh, roof, PLAN, (-half_x, half_x), (-half_y, half_y), (z - 0.3, z))
    for side in sides_of(half_x, half_y):
        sheet(mesh, worn.wall, side, (0, side.length), (z - 0.01, z + high))
        sheet(mesh, worn.wall, side, (0.25, side.length - 0.25), (z, z + high), out=-0.25)
        top = (z + high, z + high + 0.09)
        block(mesh, worn.trim, side, (-0.06, side.length + 0.06), (-0.3, 0.06), top)


def cornice(mesh: MeshBuilder, rng, worn: Dress, half_x, half_y, z: float, *, detail: bool) -> None:
    """Two or three courses, each further out than the one below, and brackets under them."""
    out, low = 0.0, z
    for _ in range(int(rng.integers(2, 4)) if detail else 1):
        out, high = out + rng.uniform(0.08, 0.22), rng.uniform(0.1, 0.28)
        band(mesh, worn.trim, half_x, half_y, (low, low + high), out, under=worn.under)
        low += high
    if not detail or rng.random() < 0.5:
        return
    for side in sides_of(half_x, half_y):
        for u in np.arange(0.3, side.length, rng.uniform(0.6, 1.2)):
            block(mesh, worn.trim, side, (u, u + 0.16), (0.0, out * 0.8), (z - 0.3, z))


def rooftop(mesh: MeshBuilder, rng, worn: Dress, half_x, half_y, z: float) -> None:
    """Lift houses, ducts, tanks and aerials on a flat roof."""
    for _ in range(int(rng.integers(2, 6))):
        x, y = rng.uniform(-0.6, 0.6) * half_x, rng.uniform(-0.6, 0.6) * half_y
        half = rng.uniform(0.5, 2.0, 2)
        high = rng.uniform(0.6, 2.8)
        row = rng.choice([worn.trim, worn.metal, worn.base])
        block(
            mesh, row, PLAN, (x - half[0], x + half[0]), (-y - half[1], -y + half[1]), (z, z + high)
        )
    x, y = rng.uniform(-0.7, 0.7, 2) * (half_x, half_y)
    mesh.tube(worn.metal, (x, y, z), (x, y, z + rng.uniform(2, 6)), 0.05, 0.03, sides=5)
    if rng.random() < 0.3:
        x, y = rng.uniform(-0.6, 0.6, 2) * (half_x, half_y)
        mesh.tube(worn.trim, (x, y, z + 0.9), (x, y, z + 2.6), 1.1, 1.1, sides=12)
        legs = np.array([[x + a, y + b, z] for a in (-0.7, 0.7) for b in (-0.7, 0.7)])
        mesh.tubes(worn.metal, legs, legs + (0, 0, 1.0), np.full(4, 0.06), 0.06, sides=4)


def roof_lights(mesh: MeshBuilder, rng, worn: Dress, half_x, half_y, z: float) -> None:
    """Rows of glazed boxes on a flat or gently sloping roof."""
    for x in np.arange(-half_x + 3, half_x - 3, rng.uniform(4, 8)):
        for y in (-0.45 * half_y, 0.45 * half_y):
            spot = (x - 0.8, x + 0.8), (-y - 1.2, -y + 1.2)
            block(mesh, worn.trim, PLAN, *spot, (z - 0.4, z + 0.3))
            middle = (x, y, z + 0.45)
            mesh.box(worn.glass, middle, (0.75, 1.15, 0.15), taper=(0.5, 0.5, 0.2, 0.2))
