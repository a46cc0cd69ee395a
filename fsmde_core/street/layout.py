"""Where things stand along the street: buildings, gardens, trees, furniture, traffic, people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fsmde_core.street.buildings.blocks import make_building
from fsmde_core.street.mesh import Mesh, MeshBuilder
from fsmde_core.street.movers.cars import make_vehicle
from fsmde_core.street.movers.people import make_cyclist, make_person
from fsmde_core.street.placement import Layout
from fsmde_core.street.plants.town import leaf_share, make_bush, make_hedge, make_tree
from fsmde_core.street.props.furniture import (
    FURNITURE_KINDS,
    make_fence,
    make_furniture,
    make_lamp_post,
    make_traffic_light,
    make_tunnel,
    make_wall,
    make_wires,
)
from fsmde_core.street.road import add_ground, ground_surfaces
from fsmde_core.street.surfaces import ObjectClass

SIDES = (-1, 1)
WALKING_MPS = 1.35
PASSING_M = 2.2  # a lane nearer to the ego's middle line is its own: what drives there would hit it


def fill_town(layout: Layout) -> None:
    """Place everything of a tidy town, from the ground up."""
    lay_ground(layout)
    tunnel = place_tunnel(layout) if layout.rng.random() < layout.style.tunnel_share else None
    for side in SIDES:
        _place_plots(layout, side, tunnel)
        place_skyline(layout, side)
    place_traffic(layout)
    place_people(layout)
    for side in SIDES:
        _place_trees(layout, side, tunnel)
        place_lamp_posts(layout, side)
        place_furniture(layout, side)
    place_junctions(layout)
    if layout.rng.random() < 0.4:
        place_wires(layout)


def lay_ground(layout: Layout) -> None:
    """The ground with its road."""
    ground = MeshBuilder()
    rural = layout.urban < layout.style.rural_below
    rows = ground_surfaces(ground, layout.rng, layout.road, rural=rural, tones=layout.style.asphalt)
    add_ground(ground, layout.road, rows)
    layout.put_ground(ground.finish())


def place_tunnel(layout: Layout) -> tuple[float, float]:
    """A tunnel or, when short, an underpass; returns where it starts and ends."""
    rng, road = layout.rng, layout.road
    long = rng.uniform(14, 90)
    start = rng.uniform(-25, 50)
    s = np.arange(start, start + long, 4.0)
    line = np.column_stack([road.point(s, 0.0), road.heading(s)])
    mesh = make_tunnel(rng, line, layout.edge_m + 0.4, rng.uniform(4.9, 6.2))
    layout.put_in_world(mesh, ObjectClass.WALL)
    return start - 4, start + long + 4


def _place_plots(layout: Layout, side: int, tunnel) -> None:
    """Walk along one side and choose what each stretch of 25 to 80 metres is."""
    rng, urban = layout.rng, layout.urban
    s = layout.first_m - 20
    styles = ("block", "houses", "park", "field", "car park", "wall", "hedge")
    city = np.array([0.72, 0.06, 0.06, 0.02, 0.08, 0.04, 0.02])
    land = np.array([0.06, 0.26, 0.14, 0.24, 0.05, 0.1, 0.15])
    while s < layout.last_m + 20:
        long = rng.uniform(25, 80)
        shares = city * urban + land * (1 - urban)
        style = rng.choice(styles, p=shares / shares.sum())
        if tunnel is None or s + long < tunnel[0] or s > tunnel[1]:
            _fill_plot(layout, style, side, s, s + long)
        s += long


def _fill_plot(layout: Layout, style: str, side: int, start: float, end: float) -> None:
    rng = layout.rng
    if style == "block":
        place_row(layout, side, start, end, tall=True)
    elif style == "houses":
        place_row(layout, side, start, end, tall=False)
        place_border(layout, side, start, end, rng.choice(["hedge", "fence", "wall"]))
    elif style in ("wall", "hedge"):
        place_border(layout, side, start, end, style)
        _scatter_trees(layout, side, start, end, 5)
    elif style == "park":
        _scatter_trees(layout, side, start, end, int(rng.integers(6, 14)))
        _scatter_bushes(layout, side, start, end, int(rng.integers(3, 10)))
    elif style == "car park":
        place_car_park(layout, side, start, end)
    else:
        _scatter_trees(layout, side, start, end, int(rng.integers(0, 3)))
        if rng.random() < 0.5:
            place_border(layout, side, start, end, "fence")


def place_row(layout: Layout, side: int, start: float, end: float, *, tall: bool) -> None:
    """Buildings side by side: a closed block, or houses with gaps."""
    rng, road = layout.rng, layout.road
    s = start
    while s < end:
        half_x = rng.uniform(5, 15) if tall else rng.uniform(4.5, 8)
        half_y = rng.uniform(5, 10) if tall else rng.uniform(4, 6)
        setback = layout.front_m + (rng.uniform(0, 1.2) if tall else rng.uniform(3.5, 10))
        high = rng.uniform(6, 11) + layout.urban * rng.exponential(9) if tall else rng.uniform(3, 7)
        t = layout.edge_m + setback + half_y
        if road.clear(s + half_x, half_x + 0.35 * t + 2.0, side):
            near = abs(s + half_x) < 75
            mesh = make_building(
                rng, half_x, half_y, min(high, 70), walls=layout.style.walls, detail=near
            )
            layout.put(mesh, ObjectClass.BUILDING, s + half_x, side * t)
            layout.claim(s + half_x, side * t, half_x + 0.8, half_y + 1.0)
        s += 2 * half_x + (rng.uniform(0, 0.3) if tall else rng.uniform(2, 9))


def place_skyline(layout: Layout, side: int) -> None:
    """Second row and far blocks down to the horizon."""
    rng = layout.rng
    for low, high, count in ((35, 95, 9), (100, 240, 12), (240, 520, 16)):
        for _ in range(int(count * (0.3 + layout.urban))):
            s = rng.uniform(layout.first_m - high, layout.last_m + high)
            t = side * rng.uniform(low, high)
            half = rng.uniform(6, 17, 2)
            tall = rng.uniform(6, 15) + layout.urban * rng.exponential(8 + high * 0.06)
            if low < 100 and not layout.road.clear(s, half.max() + 0.4 * abs(t), side):
                continue
            if not layout.take(s, t, *half):
                continue
            mesh = make_building(rng, *half, min(tall, 120), walls=layout.style.walls, detail=False)
            layout.put(mesh, ObjectClass.BUILDING, s, t, yaw=rng.uniform(-0.4, 0.4))
    far_trees = [make_tree(rng, 0.06, blossom=layout.style.blossom_share) for _ in range(4)]
    for k in range(40):
        s, t = rng.uniform(layout.first_m - 80, layout.last_m + 80), side * rng.uniform(40, 160)
        if layout.take(s, t, 1.5, 1.5):
            layout.put(far_trees[k % 4], ObjectClass.VEGETATION, s, t)


def place_border(layout: Layout, side: int, start: float, end: float, style: str) -> None:
    """A wall, hedge or fence behind the pavement, in pieces that follow the bend."""
    rng = layout.rng
    height = {"wall": rng.uniform(0.8, 3.4), "hedge": rng.uniform(0.8, 2.4)}.get(
        style, rng.uniform(0.9, 1.9)
    )
    t, blossom = side * (layout.edge_m + 0.45), layout.style.blossom_share
    worn = None
    for s in np.arange(start + 2, end - 2, 4.0):
        if not layout.road.clear(s, 4.5, side) or rng.random() < 0.06:
            continue
        share = leaf_share(np.hypot(max(0.0, abs(s) - 20), t - layout.ego_t))
        kind = ObjectClass.WALL
        if style == "hedge":
            mesh, kind = (
                make_hedge(rng, 4.1, height, share, blossom=blossom),
                ObjectClass.VEGETATION,
            )
        elif style == "wall":
            mesh = make_wall(rng, 4.05, height)
        else:
            mesh, kind = make_fence(rng, 4.0, height), ObjectClass.FURNITURE
        # All pieces wear what the first one wears.
        worn = mesh.surfaces if worn is None else worn
        layout.put(replace(mesh, surfaces=worn), kind, s, t)
        layout.claim(s, t, 2.0, 0.5)


def _put_tree(layout: Layout, s: float, t: float) -> None:
    distance = np.hypot(max(0.0, abs(s) - 12), t - layout.ego_t)
    mesh = make_tree(layout.rng, leaf_share(distance), blossom=layout.style.blossom_share)
    placed = mesh.moved(layout.road.point(s, t), layout.rng.uniform(0, 6.28))
    if abs(t - layout.ego_t) < 12:
        placed = layout.clear_of_ego(placed)
    layout.put_in_world(placed, ObjectClass.VEGETATION)


def _scatter_trees(layout: Layout, side: int, start: float, end: float, count: int) -> None:
    rng = layout.rng
    for _ in range(count):
        s, t = rng.uniform(start, end), side * (layout.edge_m + rng.uniform(1.5, 34))
        if layout.road.clear(s, 1.5 + 0.35 * abs(t), side) and layout.take(s, t, 0.8, 0.8):
            _put_tree(layout, s, t)


def _scatter_bushes(layout: Layout, side: int, start: float, end: float, count: int) -> None:
    rng = layout.rng
    for _ in range(count):
        s, t = rng.uniform(start, end), side * (layout.edge_m + rng.uniform(0.9, 12))
        if layout.road.clear(s, 1.5 + 0.35 * abs(t), side) and layout.take(s, t, 0.8, 0.8):
            share = leaf_share(np.hypot(max(0.0, abs(s) - 12), t - layout.ego_t))
            layout.put(
                make_bush(rng, share, blossom=layout.style.blossom_share),
                ObjectClass.VEGETATION,
                s,
                t,
            )


def place_car_park(layout: Layout, side: int, start: float, end: float) -> None:
    """Rows of cars beside the road."""
    rng = layout.rng
    cars = [make_vehicle(rng, layout.style.car(rng)) for _ in range(4)]
    for row in range(int(rng.integers(1, 4))):
        t = side * (layout.edge_m + 4 + 7.5 * row)
        for s in np.arange(start + 3, end - 3, 2.75):
            fits = layout.road.clear(s, 4 + 0.35 * abs(t), side)
            if fits and rng.random() < 0.6 and layout.take(s, t, 1.2, 2.6):
                mesh, _ = cars[rng.integers(len(cars))]
                yaw = np.pi / 2 * rng.choice(SIDES) + rng.normal(0, 0.03)
                layout.put(mesh, ObjectClass.VEHICLE, s, t, yaw=yaw)


def place_traffic(layout: Layout, more: Sequence[tuple[Mesh, float]] = ()) -> None:
    """Parked cars, and moving ones: every lane has one speed, so nobody runs into anybody.

    more are tall vehicles besides the style's, with their lengths.
    """
    rng, road = layout.rng, layout.road
    pool = [make_vehicle(rng, layout.style.car(rng)) for _ in range(12)]
    tall = [*(make_vehicle(rng, kind) for kind in layout.style.tall), *more]

    def pick():
        if rng.random() < layout.style.tall_share:
            return tall[rng.integers(len(tall))]
        return pool[rng.integers(len(pool))]

    parking = road.half_m - road.lanes * road.lane_m > 2.0
    for side in SIDES:
        share = rng.choice([0.1, 0.4, 0.85]) if parking else 0.0
        for s in np.arange(layout.first_m, layout.last_m, 6.3):
            mesh, length = pool[rng.integers(len(pool))]
            t = side * (road.half_m - 1.12)
            if rng.random() < share and road.clear(s, 8.0) and layout.take(s, t, length / 2, 1.0):
                layout.put(
                    mesh,
                    ObjectClass.VEHICLE,
                    s,
                    t,
                    yaw=(np.pi if side * road.hand > 0 else 0) + rng.normal(0, 0.015),
                )
    density = rng.choice([0.12, 0.3, 0.6])
    for side in SIDES:
        for lane in range(road.lanes):
            t = side * road.lane_m * (lane + 0.5)
            own = layout.ego.gap_m(t) < PASSING_M
            speed = layout.ego_speed if own or rng.random() < 0.15 else rng.uniform(4, 15)
            s = layout.first_m + rng.uniform(0, 15)
            while s < layout.last_m:
                mesh, length = pick()
                gap = 6.5 + length / 2 if own else 0.0
                if rng.random() < density and abs(s - 1.3) > gap:
                    layout.add_actor(
                        mesh, ObjectClass.VEHICLE, s, t, -side * road.hand * max(speed, 1e-3)
                    )
                s += length + rng.uniform(5, 24)


def place_people(layout: Layout) -> None:
    """People who walk, stand and cross, and cyclists."""
    rng, road = layout.rng, layout.road
    pool = [make_person(rng) for _ in range(8)]
    for _ in range(int(rng.integers(2, 10) + 22 * layout.urban * rng.random())):
        mesh = pool[rng.integers(len(pool))]
        s = rng.uniform(layout.first_m * 0.6, layout.last_m * 0.8)
        t = rng.choice(SIDES) * (road.half_m + rng.uniform(0.5, max(0.8, road.pavement_m - 0.3)))
        if layout.take(s, t, 0.4, 0.4):
            lift = road.pavement_height(s, t)
            if rng.random() < 0.6 and lift > 0:
                speed = WALKING_MPS * rng.choice(SIDES)
                layout.add_actor(mesh, ObjectClass.PERSON, s, t, speed, lift)
            else:
                layout.put(mesh, ObjectClass.PERSON, s, t, yaw=rng.uniform(0, 6.28), z=lift)
    for c in road.crossings:
        for _ in range(int(rng.integers(0, 4))):
            s = c.s + rng.choice(SIDES) * (c.half_m + 2.6)
            t = rng.uniform(-road.half_m, road.half_m)
            if layout.ego.gap_m(t) > 2.2 and layout.take(s, t, 0.4, 0.4) and abs(s) > 4:
                layout.put(
                    pool[rng.integers(len(pool))],
                    ObjectClass.PERSON,
                    s,
                    t,
                    yaw=rng.choice(SIDES) * 1.57,
                )
    for _ in range(int(rng.integers(0, 5))):
        side = rng.choice(SIDES)
        s, t = rng.uniform(-40, 60), side * (road.lanes * road.lane_m + 0.25)
        if layout.ego.gap_m(t) > 1.9 and abs(s) > 3 and layout.take(s, t, 1.2, 0.5):
            rider = make_cyclist(rng, motor=rng.random() < 0.35)
            layout.add_actor(
                rider, ObjectClass.CYCLIST, s, t, -side * road.hand * rng.uniform(3, 6)
            )


def _place_trees(layout: Layout, side: int, tunnel) -> None:
    rng = layout.rng
    step = rng.uniform(9, 45)
    s = layout.first_m + rng.uniform(0, step)
    while s < layout.last_m:
        t = side * (layout.road.half_m + 0.95)
        open_air = tunnel is None or not tunnel[0] - 6 < s < tunnel[1] + 6
        if open_air and layout.road.clear(s, 3.0) and layout.take(s, t, 0.4, 0.4):
            _put_tree(layout, s, t)
        s += step * rng.uniform(0.6, 1.5)


def place_lamp_posts(layout: Layout, side: int) -> None:
    """Lamp posts on one side, and their light."""
    rng = layout.rng
    height, step = rng.uniform(6, 9.5), rng.uniform(22, 36)
    post = make_lamp_post(rng, height, 1.9, lit=layout.lit)
    tint = np.array([1.0, 0.72, 0.42]) if rng.random() < 0.5 else np.array([0.9, 0.92, 1.0])
    s = layout.first_m + rng.uniform(0, step)
    while s < layout.last_m:
        t = side * (layout.road.half_m + 0.5)
        if layout.road.clear(s, 1.0) and layout.take(s, t, 0.3, 0.3):
            layout.put(post, ObjectClass.FURNITURE, s, t, yaw=np.pi if side > 0 else 0.0)
            head = layout.road.point(s, t - side * 1.9, height + 0.1)
            layout.lamps.append([*head, *(tint * 26.0), 0.0, 0.0, -1.0, 0.25])
        s += step * rng.uniform(0.9, 1.1)


def place_furniture(layout: Layout, side: int) -> None:
    """Signs, bins, benches and the like on the pavement."""
    rng = layout.rng
    for _ in range(int(rng.integers(6, 20))):
        s = rng.uniform(layout.first_m * 0.7, layout.last_m * 0.8)
        t = side * (layout.road.half_m + rng.uniform(0.5, 1.1))
        if layout.road.clear(s, 1.5) and layout.take(s, t, 0.9, 0.4):
            kind = str(rng.choice(FURNITURE_KINDS))
            yaw = np.pi if side > 0 and kind == "sign" else 0.0
            z = layout.road.kerb_m
            layout.put(make_furniture(rng, kind), ObjectClass.FURNITURE, s, t, yaw=yaw, z=z)


def place_junctions(layout: Layout) -> None:
    """Traffic lights, and cars waiting or coming out of side roads."""
    rng, road = layout.rng, layout.road
    cars = [make_vehicle(rng, layout.style.car(rng)) for _ in range(3)]
    for c in road.crossings:
        if c.half_m > 4.2:
            light = make_traffic_light(rng, min(4.5, road.half_m - 0.5))
            light = light.transformed(np.diag([1, road.hand, 1, 1]))  # its arm hangs over its lanes
            for side in SIDES:
                t = -side * road.hand * (road.half_m + 0.6)
                yaw = 0.0 if side > 0 else np.pi
                layout.put(light, ObjectClass.FURNITURE, c.s - side * (c.half_m + 0.6), t, yaw=yaw)
        # the town's wait on the wrong side, and stay there
        lane = -road.hand if layout.style.world else 1
        for side in c.sides:
            for k in range(int(rng.integers(0, 4))):
                s, t = (
                    c.s + side * lane * c.half_m * 0.5,
                    side * (road.half_m + 5 + 7 * k + rng.uniform(0, 2)),
                )
                if layout.take(s, t, 1.2, 2.6):
                    mesh, _ = cars[rng.integers(len(cars))]
                    layout.put(
                        mesh, ObjectClass.VEHICLE, s, t, yaw=-side * np.pi / 2 - np.arctan(c.slant)
                    )


def place_wires(layout: Layout) -> None:
    """Wires on poles along one side."""
    rng = layout.rng
    side = rng.choice(SIDES)
    s = np.arange(layout.first_m, layout.last_m, 30.0)
    for k in range(3):
        points = layout.road.point(s, side * (layout.edge_m + 0.2 + 0.3 * k), 7.6 + 0.25 * k)
        layout.put_in_world(make_wires(points, 0.6), ObjectClass.FURNITURE)
    pole = make_lamp_post(rng, 8.2, 0.4, lit=False)
    for at in s:
        if layout.road.clear(at, 1.5):
            layout.put(pole, ObjectClass.FURNITURE, at, side * (layout.edge_m + 0.2))
