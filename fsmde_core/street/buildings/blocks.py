"""Buildings: blocks, houses, shops and towers with cornices, roofs, balconies and awnings."""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import Mesh, MeshBuilder

ROOFS = np.array([[0.27, 0.09, 0.06], [0.11, 0.11, 0.12], [0.2, 0.14, 0.11], [0.24, 0.22, 0.2]])
FOOTING_M = 2.5  # walls reach this far below the ground at their middle, for slopes


def make_building(
    rng: np.random.Generator, half_x: float, half_y: float, height: float, *, walls, detail: bool
) -> Mesh:
    """A building of 2 half_x by 2 half_y metres, origin on the ground; detail adds balconies.

    walls [n, 3] are the colours to draw from.
    """
    mesh = MeshBuilder()
    storey = rng.uniform(2.9, 3.8)
    floors = max(1, round(height / storey))
    height = floors * storey + 0.5
    wall = np.array(walls[rng.integers(len(walls))]) * rng.uniform(0.75, 1.15)
    frame = np.ones(3) * rng.choice([0.7, 0.28, 0.1]) * rng.uniform(0.7, 1.1)
    style = int(rng.choice([0, 1, 2, 3, 4], p=[0.28, 0.3, 0.18, 0.12, 0.12]))
    shops = floors > 1 and rng.random() < 0.5
    params = (rng.uniform(1.8, 4.2), storey, rng.uniform(0.35, 0.8), style + 8 * shops)
    facade = mesh.surface(sf.FACADE, wall, colour2=frame, seed=rng.random(), params=params)
    trim = mesh.surface(sf.WALL, frame * 0.85, seed=rng.random(), params=(3, 3, 0, 1))
    _walls(mesh, facade, half_x, half_y, height)
    mesh.box(
        trim, (0, 0, -FOOTING_M / 2 + 0.1), (half_x + 0.06, half_y + 0.06, FOOTING_M / 2 + 0.25)
    )
    if floors <= 3 and rng.random() < 0.7:
        _pitched_roof(mesh, rng, half_x, half_y, height)
    else:
        _flat_roof(mesh, rng, trim, half_x, half_y, height)
    if detail and floors > 1 and rng.random() < 0.45:
        _balconies(mesh, rng, trim, half_x, half_y, params[0], storey, floors)
    if detail and shops and rng.random() < 0.7:
        _awnings(mesh, rng, half_x, half_y)
    if detail:
        _pipes_and_boxes(mesh, rng, trim, half_x, half_y, height)
    return mesh.finish()


def _walls(mesh: MeshBuilder, facade: int, half_x, half_y, height) -> None:
    mesh.box(facade, (0, 0, height / 2), (half_x, half_y, height / 2))


def _pitched_roof(mesh: MeshBuilder, rng, half_x, half_y, height) -> None:
    colour = ROOFS[rng.integers(len(ROOFS))] * rng.uniform(0.7, 1.25)
    tiles = mesh.surface(sf.ROOF, colour, seed=rng.random())
    rise, over = rng.uniform(0.25, 0.6) * half_y, 0.45
    hip = half_y * 0.9 if rng.random() < 0.5 and half_x > half_y else 0.0
    wide = (half_x + over, half_y + over, rise / 2)
    mesh.box(
        tiles,
        (0, 0, height + rise / 2),
        wide,
        taper=(hip, hip, half_y + over - 0.1, half_y + over - 0.1),
    )
    brick = mesh.surface(sf.WALL, (0.3, 0.16, 0.11), seed=rng.random(), params=(3, 3, 0, 0))
    for _ in range(int(rng.integers(0, 3))):
        x, y = rng.uniform(-0.6, 0.6) * half_x, rng.uniform(-0.5, 0.5) * half_y
        mesh.box(brick, (x, y, height + rise * 0.8), (0.35, 0.35, rise * 0.6 + 0.5))


def _flat_roof(mesh: MeshBuilder, rng, trim, half_x, half_y, height) -> None:
    if rng.random() < 0.7:
        lip = rng.uniform(0.08, 0.4)
        for side in (-1, 1):
            mesh.box(trim, (0, side * half_y, height + 0.1), (half_x + lip, lip, 0.3))
            mesh.box(trim, (side * half_x, 0, height + 0.1), (lip, half_y + lip, 0.3))
    for _ in range(int(rng.integers(0, 5))):
        half = rng.uniform(0.5, 1.9, 3)
        x, y = rng.uniform(-0.7, 0.7) * half_x, rng.uniform(-0.7, 0.7) * half_y
        mesh.box(trim, (x, y, height + half[2]), half)


def _balconies(mesh: MeshBuilder, rng, trim, half_x, half_y, bay, storey, floors) -> None:
    rail = mesh.surface(sf.PLAIN, np.ones(3) * rng.uniform(0.03, 0.3), gloss=0.1)
    bars = rng.random() < 0.5
    step = int(rng.integers(2, 4))
    for floor in range(1, min(floors, 7)):
        for k in range(1, int(2 * half_x / bay) - 1, step):
            x = -half_x + (k + 0.5) * bay
            for side in (-1, 1):
                y, z = side * (half_y + 0.55), floor * storey + 0.12
                mesh.box(trim, (x, y, z), (bay * 0.48, 0.58, 0.08))
                edge = side * (half_y + 1.1)
                mesh.box(rail, (x, edge, z + 1.0), (bay * 0.48, 0.025, 0.03))
                if not bars:
                    mesh.box(rail, (x, edge, z + 0.52), (bay * 0.47, 0.015, 0.42))
                else:
                    for bar in np.linspace(-0.47, 0.47, 9):
                        mesh.box(rail, (x + bar * bay, edge, z + 0.52), (0.012, 0.012, 0.46))


def _awnings(mesh: MeshBuilder, rng, half_x, half_y) -> None:
    for side in (-1, 1):
        x = -half_x + 1.5
        while x < half_x - 2.5:
            wide = rng.uniform(1.2, 2.4)
            cloth = mesh.surface(sf.CLOTH, rng.uniform(0.05, 0.55, 3), seed=rng.random())
            if rng.random() < 0.5:
                inner, outer = side * half_y, side * (half_y + 1.3)
                corners = [
                    [x, inner, 2.95],
                    [x + 2 * wide, inner, 2.95],
                    [x + 2 * wide, outer, 2.45],
                    [x, outer, 2.45],
                ]
                mesh.triangles(
                    cloth, np.array([corners]), uv=np.array([[[0, 0], [4, 0], [4, 1], [0, 1]]])
                )
                mesh.box(cloth, (x + wide, outer, 2.36), (wide, 0.012, 0.1))
            x += 2 * wide + rng.uniform(0.5, 3)


def _pipes_and_boxes(mesh: MeshBuilder, rng, trim, half_x, half_y, height) -> None:
    metal = mesh.surface(sf.PLAIN, np.ones(3) * rng.uniform(0.1, 0.45), gloss=0.15)
    for side in (-1, 1):
        for x in (-half_x + 0.35, half_x - 0.35):
            y = side * (half_y + 0.07)
            mesh.tube(metal, (x, y, -1), (x, y, height), 0.055, 0.055, sides=6)
        step = mesh.surface(sf.WALL, (0.3, 0.29, 0.27), seed=0.4, params=(3, 3, 0, 1))
        x = rng.uniform(-0.6, 0.6) * half_x
        mesh.box(step, (x, side * (half_y + 0.3), 0.0), (0.8, 0.35, 0.2))
        door = mesh.surface(sf.PLAIN, rng.uniform(0.03, 0.3, 3), gloss=0.1)
        mesh.box(door, (x, side * half_y, 1.2), (0.55, 0.04, 1.05))
        mesh.box(trim, (x, side * (half_y + 0.3), 2.42), (0.85, 0.4, 0.06))
