"""What one parks, waits, refuels, reads or climbs at: car parks, shelters, hoardings, stairs."""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import Mesh, MeshBuilder
from fsmde_core.street.movers.cars import SHAPES, make_vehicle
from fsmde_core.street.props.pictures import Canvas, lettering, poster
from fsmde_core.street.props.solids import (
    BLACK,
    BLUE,
    FOOT_M,
    GREEN,
    RED,
    WHITE,
    YELLOW,
    any_colour,
    beams,
    concrete,
    plain,
    prism,
    rope,
    slab,
    steel,
    wood,
)


def _car_park(mesh: MeshBuilder, rng) -> list[Mesh]:
    """An open multi-storey car park, 17 m long: decks, pillars, parapets and some cars."""
    half, storey, floors = 8.5, 3.0, int(rng.integers(3, 5))
    stone, rail = concrete(mesh, rng), plain(mesh, rng, any_colour(rng, 0.3))
    lamp = mesh.surface(sf.LAMP, (0.8, 0.8, 0.7), emission=1.5)
    mesh.box(stone, (0, 0, -0.2), (half, 6.0, 0.2))
    bars = rng.random() < 0.4
    for floor in range(1, floors + 1):
        z = floor * storey
        slab(mesh, stone, (0, 0, z - 0.17), (half, 6.0, 0.15))
        for x in np.linspace(-half + 0.3, half - 0.3, 4):
            slab(mesh, stone, (x, 0, z - 0.42), (0.15, 5.9, 0.12))
        for x in (-4.0, 4.0):
            slab(mesh, lamp, (x, -3.0, z - 0.36), (0.6, 0.08, 0.04))
    for level in range(floors + 1):
        low = level * storey + 0.1
        for y in (-5.9, 5.9):
            if bars:
                for z in np.linspace(0.1, 1.0, 6):
                    beams(mesh, rail, (-half, y, low + z), (half, y, low + z), 0.04, 0.06)
            elif level > 0 or y > 0:
                slab(mesh, rail, (0, y, low + 0.5), (half, 0.1, 0.5))
    for x in np.linspace(-half + 0.3, half - 0.3, 4):
        for y in (-5.5, 0.5, 5.5):
            mesh.box(
                stone, (x, y, floors * storey / 2 - 0.2), (0.25, 0.25, floors * storey / 2 + 0.05)
            )
    mesh.box(stone, (0, 5.7, floors * storey / 2), (half * 0.4, 0.15, floors * storey / 2))
    slab(mesh, plain(mesh, rng, BLUE), (half - 1.0, -6.1, 4.4), (0.7, 0.08, 0.7))
    lettering(Canvas(mesh, (half - 1.3, -6.19, 4.0), (1, 0, 0), (0, 0, 1)), rng, 0.8, 0.5)
    kinds, cars = list(SHAPES), []
    for place in rng.permutation(12)[:5]:
        car, _ = make_vehicle(rng, kinds[rng.integers(len(kinds))])
        at = ((-5.5, -2.75, 2.75, 5.5)[place % 4], -2.8, storey * (place // 4) + 0.02)
        cars.append(car.moved(at, np.pi / 2 * rng.choice([-1, 1])))
    return cars


def _petrol_station(mesh: MeshBuilder, rng) -> None:
    """A canopy over two rows of pumps, a price pylon and a shop behind."""
    half_x, half_y, high = rng.uniform(6, 9), rng.uniform(4, 6), rng.uniform(4.6, 5.6)
    white, paint = (
        plain(mesh, rng, WHITE, gloss=0.2),
        plain(mesh, rng, any_colour(rng, 1.0), gloss=0.3),
    )
    zinc, dark = steel(mesh, rng), plain(mesh, rng, BLACK, gloss=0.3)
    glow = mesh.surface(sf.LAMP, (0.9, 0.9, 0.85), emission=3.0)
    slab(mesh, white, (0, 0, high), (half_x, half_y, 0.1))
    for sx, sy, hx, hy in (
        (0, -1, half_x, 0.06),
        (0, 1, half_x, 0.06),
        (-1, 0, 0.06, half_y),
        (1, 0, 0.06, half_y),
    ):
        slab(mesh, paint, (sx * half_x, sy * half_y, high + 0.35), (hx, hy, 0.5))
    lettering(
        Canvas(mesh, (-half_x * 0.5, -half_y - 0.07, high + 0.12), (1, 0, 0), (0, 0, 1)),
        rng,
        half_x,
        0.5,
    )
    for x in (-half_x * 0.5, half_x * 0.5):
        for y in (-half_y * 0.5, half_y * 0.5):
            slab(mesh, glow, (x, y, high - 0.13), (0.3, 0.3, 0.03))
        mesh.box(concrete(mesh, rng), (x, 0, 0.0), (0.6, half_y * 0.8, 0.17))
        for y in (-half_y * 0.45, half_y * 0.45):
            mesh.box(white, (x, y, 0.95), (0.28, 0.4, 0.85))
            mesh.box(paint, (x, y, 1.86), (0.29, 0.41, 0.12))
            slab(mesh, dark, (x, y, 1.35), (0.3, 0.25, 0.2))
            hose = np.array(
                [(0.3, 0.42, 1.3), (0.34, 0.5, 0.7), (0.32, 0.52, 0.5), (0.3, 0.44, 0.9)]
            )
            rope(mesh, dark, hose * (1, np.sign(y), 1) + (x, y, 0), 0.025)
        mesh.tube(zinc, (x, 0, -FOOT_M), (x, 0, high), 0.16, 0.16, sides=14)
    at = half_x + 1.5
    slab(mesh, paint, (at, -half_y, 3.4), (0.8, 0.15, 2.6))
    mesh.box(dark, (at, -half_y, 0.4), (0.6, 0.1, 0.7))
    for k in range(4):
        slab(mesh, dark, (at, -half_y, 2.0 + 0.7 * k), (0.7, 0.16, 0.28))
        lettering(
            Canvas(mesh, (at - 0.6, -half_y - 0.165, 1.85 + 0.7 * k), (1, 0, 0), (0, 0, 1)),
            rng,
            1.2,
            0.3,
        )
    shop = mesh.surface(
        sf.FACADE,
        rng.uniform(0.4, 0.6) * np.ones(3),
        colour2=np.ones(3) * 0.3,
        seed=rng.random(),
        params=(2.4, 3.6, 0.7, 9),
    )
    mesh.box(shop, (0, half_y + 5.0, 1.9), (half_x, 2.5, 2.2))


def _bus_shelter(mesh: MeshBuilder, rng) -> None:
    """A bus shelter of 4 m: frame, roof, panes or boards, a bench, a poster, the stop's flag."""
    half, high = 2.0, rng.uniform(2.35, 2.6)
    frame, pane = steel(mesh, rng), mesh.surface(sf.GLASS, (0.05, 0.06, 0.06), gloss=0.9)
    board = pane if rng.random() < 0.6 else plain(mesh, rng, any_colour(rng, 0.3))
    for x in np.linspace(-half, half, 4):
        mesh.box(frame, (x, 0.65, high / 2 - 0.1), (0.04, 0.04, high / 2 + 0.15))
    for x in np.linspace(-half, half, 4)[:-1]:
        slab(mesh, board, (x + half / 3, 0.65, 1.25), (half / 3 - 0.05, 0.012, 0.95))
    for x in (-half, half):
        mesh.box(frame, (x, -0.5, high / 2 - 0.1), (0.04, 0.04, high / 2 + 0.15))
    slab(mesh, board, (-half, 0.08, 1.3), (0.012, 0.52, 0.9))
    prism(
        mesh,
        frame,
        [(-0.9, high), (0.85, high), (0.85, high + 0.08), (0, high + 0.16), (-0.9, high + 0.1)],
        -half - 0.15,
        half + 0.15,
    )
    slab(mesh, frame, (half, 0.05, 1.3), (0.09, 0.6, 1.0))
    poster(Canvas(mesh, (half - 0.095, 0.6, 0.4), (0, -1, 0), (0, 0, 1)), rng, 1.1, 1.75)
    poster(Canvas(mesh, (half + 0.095, -0.5, 0.4), (0, 1, 0), (0, 0, 1)), rng, 1.1, 1.75)
    seat = wood(mesh, rng) if rng.random() < 0.5 else frame
    slab(mesh, seat, (-0.2, 0.4, 0.48), (1.2, 0.17, 0.025))
    for x in (-1.1, 0.7):
        mesh.box(frame, (x, 0.4, 0.1), (0.03, 0.12, 0.38))
    at = (-half - 0.8, -0.5)
    mesh.tube(frame, (*at, -FOOT_M), (*at, 2.9), 0.035, 0.035)
    flag = plain(mesh, rng, (GREEN, YELLOW, BLUE, RED)[rng.integers(4)], gloss=0.2)
    slab(mesh, flag, (at[0] + 0.25, at[1], 2.65), (0.24, 0.015, 0.24))
    lettering(
        Canvas(mesh, (at[0] + 0.07, at[1] - 0.017, 2.55), (1, 0, 0), (0, 0, 1)), rng, 0.34, 0.2
    )


def _hoarding(mesh: MeshBuilder, rng) -> None:
    """An advertising hoarding 3 to 8 m up, on a mast or on a trestle; printed on both sides."""
    wide, tall = rng.uniform(1.8, 5.0), rng.uniform(1.3, 2.2)
    low, dark = rng.uniform(1.0, 5.5), steel(mesh, rng, low=0.04, high=0.3)
    slab(mesh, dark, (0, 0, low + tall), (wide, 0.12, tall))
    for side in (-1, 1):
        corner = (side * (wide - 0.12), side * 0.125, low + 0.12)
        canvas = Canvas(mesh, corner, (-side, 0, 0), (0, 0, 1))
        poster(canvas, rng, 2 * wide - 0.24, 2 * tall - 0.24)
    if rng.random() < 0.5:
        mesh.tube(dark, (0, 0.3, -FOOT_M), (0, 0.3, low + 2 * tall), 0.28, 0.22, sides=14)
    else:
        for x in np.linspace(-wide * 0.8, wide * 0.8, 3):
            mesh.box(dark, (x, 0.2, low / 2 + tall - 0.15), (0.08, 0.1, low / 2 + tall + 0.15))
            beams(mesh, dark, (x, 1.6, -FOOT_M), (x, 0.25, low + tall), 0.1, 0.1)
    slab(mesh, dark, (0, -0.55, low - 0.1), (wide, 0.35, 0.03))
    for x in np.linspace(-wide * 0.7, wide * 0.7, 3):
        rope(mesh, dark, [(x, -0.2, low - 0.1), (x, -1.1, low - 0.05)], 0.03)
        slab(mesh, dark, (x, -1.15, low), (0.2, 0.08, 0.08))


def _poster_wall(mesh: MeshBuilder, rng) -> None:
    """A board wall of 2 to 3 m pasted with posters, 6 m long."""
    half, high = 3.0, rng.uniform(2.2, 3.2)
    board = plain(mesh, rng, any_colour(rng, 0.3), kind=sf.WALL)
    mesh.box(board, (0, 0, high / 2 - 0.15), (half, 0.05, high / 2 + 0.15))
    slab(mesh, wood(mesh, rng), (0, 0, high + 0.03), (half, 0.08, 0.04))
    x = -half + 0.15
    while x < half - 0.9:
        wide, tall = rng.uniform(0.6, 1.3), min(high - 0.6, rng.uniform(0.8, 2.2))
        wide = min(wide, half - 0.05 - x)
        poster(
            Canvas(mesh, (x, -0.055, rng.uniform(0.25, high - tall - 0.1)), (1, 0, 0), (0, 0, 1)),
            rng,
            wide,
            tall,
        )
        x += wide + rng.choice([0.02, 0.1, 0.8])


def _stairs(mesh: MeshBuilder, rng) -> None:
    """A flight of outdoor steps along x between cheeks, with rails, up to a landing."""
    count, rise, tread = int(rng.integers(6, 18)), rng.uniform(0.14, 0.18), rng.uniform(0.28, 0.36)
    stone, rail = concrete(mesh, rng), steel(mesh, rng)
    wide, half = rng.uniform(0.8, 2.0), count * tread / 2
    for k in range(count):
        z = (k + 1) * rise
        mesh.box(
            stone, (-half + (k + 0.5) * tread, 0, z / 2 - 0.15), (tread / 2, wide, z / 2 + 0.15)
        )
    top = count * rise
    mesh.box(stone, (half + 1.0, 0, top / 2 - 0.15), (1.0, wide, top / 2 + 0.15))
    for side in (-1, 1):
        y = side * (wide + 0.1)
        cheek = [
            (-half - 0.2, -FOOT_M),
            (half + 2, -FOOT_M),
            (half + 2, top + 0.2),
            (half, top + 0.2),
            (-half - 0.2, 0.25),
        ]
        prism(mesh, stone, cheek, y - 0.1, y + 0.1, axis=1)
        line = np.array([(-half, y, 1.0), (half, y, top + 1.0), (half + 2.0, y, top + 1.0)])
        rope(mesh, rail, line, 0.025, sides=8)
        rope(mesh, rail, line - (0, 0, 0.45), 0.015, sides=6)
        x = np.arange(-half, half + 2.1, 0.9)
        head = np.interp(x, line[:, 0], line[:, 2])
        posts = np.column_stack([x, np.full(len(x), y), head])
        mesh.tubes(
            rail, posts - (0, 0, 0.95), posts, np.full(len(x), 0.02), np.full(len(x), 0.02), sides=6
        )


ROADSIDE = {
    "car park": _car_park,
    "petrol station": _petrol_station,
    "bus shelter": _bus_shelter,
    "hoarding": _hoarding,
    "poster wall": _poster_wall,
    "stairs": _stairs,
}
