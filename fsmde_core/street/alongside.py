"""What stands beside the road of a street of style world, near and tall: houses, walls, works."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fsmde_core.street.layout import SIDES
from fsmde_core.street.library import (
    PEOPLE,
    VARIANTS,
    any_heavy,
    any_house,
    any_prop,
    house,
    person,
    prop,
)
from fsmde_core.street.placement import Layout
from fsmde_core.street.props.solids import Prop
from fsmde_core.street.props.spanning import SPANNING_KINDS, make_spanning
from fsmde_core.street.props.structures import WALL_KINDS
from fsmde_core.street.surfaces import ObjectClass

NEAR_M = 75.0  # houses farther from the start are plain
CROWDED = 0.6  # share of streets with a crowd
PASSAGE_M = 2.6  # nothing stands nearer to the middle of the ego's way
KERB_ROWS = (
    "guard rail", "jersey", "water barrier", "bollards", "railing", "cones", "delineators",
    "crowd barrier", "beacons", "site fence", "bicycles", "parking meters", "planters",
)  # fmt: skip
EDGE_ROWS = (
    "palisade", "picket", "chain link", "boards", "railing", "farm fence", "boulders", "site fence",
)  # fmt: skip
SPOTS = (
    "bus shelter", "hoarding", "poster wall", "telephone box", "charger", "advert column", "clock",
    "flags", "wheelie bins", "dumpster", "litter", "stall", "planters", "scooters", "street name",
    "direction sign", "traffic signs", "mirror", "skip", "pallets", "toilet", "utility pole",
    "old lamp", "camera mast", "tree guard", "primitives", "traffic mast", "lattice mast", "cafe",
    "monument", "fountain", "awning", "bicycles",
)  # fmt: skip
YARDS = (
    "glass front", "hall", "garages", "arcade", "car park", "petrol station", "containers",
    "hoarding", "stairs", "v columns", "pillars",
)  # fmt: skip
WORKS = (
    "heaps", "pipes", "pallets", "excavator", "skip", "cable drums", "toilet", "site sign",
    "container office", "containers", "scaffolding",
)  # fmt: skip


def row(layout: Layout, kind: str, side: int, s0: float, s1: float, t: float) -> None:
    """Pieces of one kind, one after the other from s0 to s1, t metres to the side of the middle."""
    piece = prop(kind, int(layout.rng.integers(VARIANTS)))
    wall = ObjectClass.WALL if kind in WALL_KINDS else ObjectClass.FURNITURE
    for s in np.arange(s0 + piece.half_x, s1 - piece.half_x, 1.98 * piece.half_x):
        _stand(layout, piece, wall, side, s, t, take=False)


def _stand(
    layout: Layout, piece: Prop, kind: ObjectClass, side: int, s, t, *, take=True, yaw=0.0
) -> bool:
    """Stand a piece, its face to the road; False where it may not stand."""
    road, at = layout.road, side * t
    if layout.ego.gap_m(at) < PASSAGE_M + piece.half_y:
        return False
    if not road.clear(s, piece.half_x + 0.5 + 0.35 * max(0.0, t - road.half_m), side):
        return False
    if take and not layout.take(s, at, piece.half_x, piece.half_y):
        return False
    if not take:
        layout.claim(s, at, piece.half_x, piece.half_y)
    turn = (0.0 if side > 0 else np.pi) + yaw
    layout.stand(piece.mesh, kind, s, at, yaw=turn, z=road.pavement_height(s, at))
    return True


def kerb_rows(layout: Layout, side: int) -> None:
    """Rails, barriers and bollards along the kerb, over a stretch or two, often beside the ego."""
    rng = layout.rng
    for _ in range(int(rng.choice([0, 1, 2], p=[0.5, 0.35, 0.15]))):
        long = rng.uniform(15, 120)
        s = rng.uniform(-0.9 * long, 20) if rng.random() < 0.6 else rng.uniform(-120, 150)
        kind = str(rng.choice(KERB_ROWS))
        row(layout, kind, side, s, s + long, layout.road.half_m + rng.uniform(0.3, 0.7))


def edge_row(layout: Layout, side: int, s0: float, s1: float) -> None:
    """A wall or fence at the edge of a plot."""
    kinds = WALL_KINDS if layout.rng.random() < 0.6 else EDGE_ROWS
    behind = layout.rng.uniform(0.4, 1.2)
    row(layout, str(layout.rng.choice(kinds)), side, s0, s1, layout.edge_m + behind)


def spots(layout: Layout, side: int, count: int) -> None:
    """Single things on the pavement and behind it."""
    rng = layout.rng
    for _ in range(count):
        piece = any_prop(rng, SPOTS)
        s = rng.normal(10, 35)
        least = layout.road.half_m + 0.3 + piece.half_y
        t = max(least, layout.edge_m + rng.normal(-0.5, 1.0))
        _stand(layout, piece, ObjectClass.FURNITURE, side, s, t)


def crowd(layout: Layout) -> None:
    """People in groups and bicycles left anyhow, most of them near, on the pavement and behind.

    Of LiDAR's points between 0.3 and 4 m above the ground, 70 % are nearer than 20 m on frames of
    KITTI and View-of-Delft.
    """
    rng, road = layout.rng, layout.road
    if rng.random() > CROWDED:
        return
    for _ in range(int(rng.integers(5, 25))):
        s, side = rng.normal(8, 16), int(rng.choice(SIDES))
        t = road.half_m + rng.uniform(0.3, road.pavement_m + 1.5)
        if rng.random() < 0.4:
            piece = prop("bicycles", int(rng.integers(VARIANTS)))
            _stand(layout, piece, ObjectClass.FURNITURE, side, s, t, yaw=rng.normal(0, 0.4))
            continue
        for _ in range(int(rng.integers(1, 5))):
            _stand_person(layout, s + rng.normal(0, 0.7), side * (t + rng.normal(0, 0.5)))


def _stand_person(layout: Layout, s: float, t: float) -> None:
    rng = layout.rng
    if layout.ego.gap_m(t) < PASSAGE_M or not layout.take(s, t, 0.3, 0.3):
        return
    layout.stand(
        person(int(rng.integers(PEOPLE))), ObjectClass.PERSON, s, t, yaw=rng.uniform(0, 6.28),
        z=layout.road.pavement_height(s, t), size=rng.uniform(0.85, 1.06),
    )  # fmt: skip


def works(layout: Layout, side: int, s0: float, s1: float) -> None:
    """A construction site behind a fence."""
    rng = layout.rng
    row(layout, str(rng.choice(["site fence", "boards", "water barrier", "jersey"])), side, s0, s1,
        layout.edge_m + 0.5)  # fmt: skip
    if rng.random() < 0.5:
        _stand(layout, house("half-built", int(rng.integers(VARIANTS)), detail=True),
               ObjectClass.BUILDING, side, (s0 + s1) / 2, layout.edge_m + 14)  # fmt: skip
    for _ in range(int((s1 - s0) / 6)):
        piece = any_prop(rng, WORKS)
        s, t = rng.uniform(s0, s1), layout.edge_m + 1.5 + piece.half_y + rng.exponential(5)
        _stand(layout, piece, ObjectClass.FURNITURE, side, s, t, yaw=rng.normal(0, 0.4))


def houses(
    layout: Layout, side: int, s0: float, s1: float, kinds: Sequence[str], *, setback, gap
) -> None:
    """Buildings side by side; setback and gap are ranges in metres."""
    rng, s = layout.rng, s0
    while s < s1:
        near = abs(s) < NEAR_M
        built = any_house(rng, kinds, detail=near)
        t = layout.edge_m + rng.uniform(*setback) + built.half_y
        tint = rng.uniform(0.75, 1.1) * rng.uniform(0.93, 1.07, 3)
        at, clear = s + built.half_x, built.half_x + 0.35 * t + 2.0
        if layout.road.clear(at, clear, side) and layout.take(
            at, side * t, built.half_x + 0.3, built.half_y + 1.0
        ):
            turn = 0.0 if side > 0 else np.pi
            layout.stand(built.mesh, ObjectClass.BUILDING, at, side * t, yaw=turn, tint=tint)
        s += 2 * built.half_x + rng.uniform(*gap)


def yard(layout: Layout, side: int, s0: float, s1: float) -> None:
    """Large things one after the other, as far behind the edge as they are deep."""
    rng, s = layout.rng, s0
    while s < s1:
        piece = any_prop(rng, YARDS)
        t = layout.edge_m + piece.half_y + rng.uniform(0.3, 4.0)
        _stand(layout, piece, ObjectClass.BUILDING, side, s + piece.half_x, t)
        s += 2 * piece.half_x + rng.uniform(1, 12)


def spanning(layout: Layout) -> None:
    """A bridge, gantry or gate over the road, now and then."""
    rng = layout.rng
    if rng.random() > layout.style.spanning_share:
        return
    kind = str(rng.choice(SPANNING_KINDS))
    span = make_spanning(rng, kind, layout.edge_m)
    s = rng.uniform(12, 90) if rng.random() < 0.75 else rng.uniform(-60, -12)
    if layout.road.clear(s, span.half_x + 1.0):
        layout.put(span.mesh, ObjectClass.WALL, s, 0.0)


def parked_lorries(layout: Layout) -> None:
    """Lorries, buses and trams along the kerb."""
    rng, road = layout.rng, layout.road
    if road.half_m - road.lanes * road.lane_m > 2.0:
        for side in SIDES:
            for _ in range(int(rng.choice([0, 1, 2], p=[0.6, 0.25, 0.15]))):
                mesh, length = any_heavy(rng)
                s, t = rng.normal(8, 25), side * (road.half_m - 1.35)
                free = road.clear(s, length / 2 + 1) and layout.ego.gap_m(t) > PASSAGE_M + 0.2
                if free and layout.take(s, t, length / 2 + 0.4, 1.3):
                    yaw = (np.pi if side * road.hand > 0 else 0.0) + rng.normal(0, 0.01)
                    layout.stand(mesh, ObjectClass.VEHICLE, s, t, yaw=yaw)
