"""Style world: a street as full as the real ones, of woods, gardens, works and things alongside.

Whatever repeats is shared: a plant or a wall's piece is one mesh in a hundred places
(placement.Placed).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsmde_core.street import alongside
from fsmde_core.street.gardener import Gardener, draw_planting
from fsmde_core.street.layout import (
    SIDES,
    lay_ground,
    place_car_park,
    place_furniture,
    place_junctions,
    place_lamp_posts,
    place_people,
    place_skyline,
    place_traffic,
    place_tunnel,
    place_wires,
)
from fsmde_core.street.library import any_heavy
from fsmde_core.street.placement import Layout


@dataclass(frozen=True)
class Setting:
    """What a street leads through: the shares of its plots, and what stands elsewhere."""

    plots: dict[str, float]
    houses: tuple[str, ...]
    """Kinds of its buildings."""
    avenue: float
    """Chance of an avenue, on either side."""
    skyline: float
    """Chance of blocks down to the horizon."""
    spots: tuple[int, int]
    """Single things on a side: at least, at most."""
    plot_m: tuple[float, float] = (18.0, 70.0)


TOWN = ("town house", "shops", "arcade", "slab")
HOMES = ("villa", "bungalow", "farm house", "town house")
SETTINGS = {
    "city": Setting(
        {"block": 6, "park": 1, "tree wall": 1, "car park": 0.5, "works": 1, "yard": 2},
        (*TOWN, "glass tower"), 0.6, 0.9, (6, 20),
    ),
    "centre": Setting(
        {"block": 8, "park": 0.5, "works": 0.7, "yard": 1},
        (*TOWN, "church", "kiosk"), 0.4, 0.9, (10, 30),
    ),
    "suburb": Setting(
        {"houses": 5, "hedge": 1, "tree wall": 1, "park": 1, "wall": 1, "block": 0.5},
        HOMES, 0.5, 0.3, (3, 12),
    ),
    "village": Setting(
        {"houses": 4, "wall": 1.5, "hedge": 1, "field": 1, "wood": 0.7},
        (*HOMES, "barn", "shed", "church"), 0.2, 0.0, (1, 8),
    ),
    "woods": Setting({"wood": 7, "field": 1, "tree wall": 2}, HOMES, 0.1, 0.0, (0, 3)),
    "country": Setting(
        {"field": 4, "hedge": 2, "tree wall": 1, "wood": 2, "houses": 0.5},
        ("farm house", "barn", "shed", "silo", "water tower"), 0.2, 0.0, (0, 3),
    ),
    "boulevard": Setting(
        {"tree wall": 3, "park": 3, "block": 2, "hedge": 1, "yard": 1},
        (*TOWN, "glass tower"), 0.9, 0.5, (4, 16),
    ),
    "industry": Setting(
        {"block": 4, "works": 2, "wall": 2, "car park": 1.5, "field": 0.7, "yard": 3},
        ("hall", "hall", "shed", "silo", "half-built"), 0.1, 0.2, (2, 10), (30.0, 90.0),
    ),
}  # fmt: skip


def fill_world(layout: Layout) -> None:
    """Place everything, from the ground up."""
    rng = layout.rng
    lay_ground(layout)
    tunnel = place_tunnel(layout) if rng.random() < layout.style.tunnel_share else None
    if tunnel is None:
        alongside.spanning(layout)
    place_traffic(layout, [any_heavy(rng) for _ in range(4)])
    alongside.parked_lorries(layout)
    place_people(layout)
    alongside.crowd(layout)
    place_junctions(layout)
    setting = SETTINGS[str(rng.choice(list(SETTINGS)))]
    gardener = Gardener(layout, draw_planting(rng))
    for side in SIDES:
        alongside.kerb_rows(layout, side)
        place_lamp_posts(layout, side)
        place_furniture(layout, side)
        alongside.spots(layout, side, int(rng.integers(*setting.spots)))
        if rng.random() < setting.avenue:
            gardener.avenue(side, tunnel)
        _plots(layout, gardener, setting, side, tunnel)
    if setting.skyline > rng.random():
        for side in SIDES:
            place_skyline(layout, side)
    gardener.belts()
    for _ in range(int(rng.integers(0, 3))):
        place_wires(layout)


# Plots of plants alone: metres behind the edge, metres of road a plant, share of shrubs.
OPEN = {
    "tree wall": ((1.0, 6.0), 2.0, 0.45),
    "park": ((1.0, 40.0), 2.5, 0.4),
    "field": ((1.0, 35.0), 15.0, 0.6),
}


def _plots(layout: Layout, gardener: Gardener, setting: Setting, side: int, tunnel) -> None:
    """Walk along one side and choose what each stretch is."""
    rng = layout.rng
    kinds, shares = list(setting.plots), np.array(list(setting.plots.values()))
    s = layout.first_m - 20
    while s < layout.last_m + 20:
        long = rng.uniform(*setting.plot_m)
        kind = str(rng.choice(kinds, p=shares / shares.sum()))
        if tunnel is None or s + long < tunnel[0] or s > tunnel[1]:
            _fill(layout, gardener, setting.houses, kind, side, s, s + long)
            if kind not in ("block", "car park"):
                gardener.verge(s, s + long, side)
        s += long


def _fill(layout: Layout, gardener: Gardener, houses, kind: str, side: int, s0, s1) -> None:
    rng, long = layout.rng, s1 - s0
    if kind == "block":
        setback = (layout.front_m, layout.front_m + 1.5)
        alongside.houses(layout, side, s0, s1, houses, setback=setback, gap=(0.0, 1.5))
        gardener.scatter(s0, s1, side, (0.5, 4), int(long / 12), shrubs=0.6)
    elif kind == "houses":
        if rng.random() < 0.4:
            gardener.hedge(s0, s1, side, behind=0.5, height=rng.uniform(0.8, 2.4))
        elif rng.random() < 0.8:
            alongside.edge_row(layout, side, s0, s1)
        alongside.houses(layout, side, s0, s1, houses, setback=(2.5, 12), gap=(2, 14))
        gardener.scatter(s0, s1, side, (0.8, 9), int(long / 3), shrubs=0.7)
        gardener.scatter(s0, s1, side, (14, 38), int(long / 3), shrubs=0.2)
    elif kind == "hedge":
        behind, height = rng.uniform(0.4, 3), rng.uniform(0.9, 3.5)
        gardener.hedge(s0, s1, side, behind=behind, height=height)
        gardener.scatter(s0, s1, side, (behind + 1, 25), int(long / 5), shrubs=0.3)
    elif kind == "wall":
        alongside.edge_row(layout, side, s0, s1)
        gardener.scatter(s0, s1, side, (1.2, 20), int(long / 4), shrubs=0.3)
    elif kind == "car park":
        place_car_park(layout, side, s0, s1)
        gardener.scatter(s0, s1, side, (0.6, 25), int(long / 8), shrubs=0.5)
    elif kind == "yard":
        alongside.yard(layout, side, s0, s1)
        gardener.scatter(s0, s1, side, (12, 35), int(long / 6), shrubs=0.3)
    elif kind == "works":
        alongside.works(layout, side, s0, s1)
    elif kind == "wood":
        gardener.wood(s0, s1, side)
    else:
        depths, apart, shrubs = OPEN[kind]
        gardener.scatter(s0, s1, side, depths, int(long / apart), shrubs=shrubs)
