"""Every kind of building by name, and the sizes that suit it."""

from __future__ import annotations

import numpy as np

from fsmde_core.street.buildings import dwellings, outbuildings, towers, townhouses
from fsmde_core.street.mesh import Mesh

# Maker, and ranges of half_x, half_y and height in metres.
KINDS = {
    "town house": (townhouses.town_house, (4, 12), (4.5, 8), (6, 22)),
    "shops": (townhouses.shops, (5, 14), (5, 8), (4, 20)),
    "glass tower": (towers.glass_tower, (9, 18), (9, 16), (20, 90)),
    "arcade": (townhouses.arcade, (8, 16), (6, 9), (9, 22)),
    "slab": (towers.slab, (12, 20), (5.5, 7), (12, 36)),
    "villa": (dwellings.villa, (5.5, 9), (4, 6), (5, 9)),
    "bungalow": (dwellings.bungalow, (6, 10), (4, 6), (2.6, 3.5)),
    "farm house": (dwellings.farm_house, (7, 11), (4, 5.5), (3.5, 7)),
    "barn": (outbuildings.barn, (6, 14), (4.5, 8), (3.5, 6.5)),
    "shed": (outbuildings.shed, (1.5, 4.5), (1.2, 3), (2.1, 3)),
    "hall": (outbuildings.hall, (10, 26), (8, 15), (5, 12)),
    "silo": (outbuildings.silo, (2, 7), (1.8, 3), (6, 16)),
    "water tower": (outbuildings.water_tower, (3, 5), (3, 5), (14, 30)),
    "church": (dwellings.church, (10, 16), (5, 7), (12, 26)),
    "half-built": (dwellings.half_built, (6, 14), (5, 9), (6, 20)),
    "kiosk": (dwellings.kiosk, (1.2, 2.5), (1, 1.6), (2.4, 3)),
}


def house_size(rng: np.random.Generator, kind: str) -> tuple[float, float, float]:
    """Draw half_x, half_y and height in metres that suit a kind of KINDS."""
    return tuple(float(rng.uniform(*bounds)) for bounds in KINDS[kind][1:])


def make_house(
    rng: np.random.Generator,
    kind: str,
    half_x: float,
    half_y: float,
    height: float,
    *,
    walls,
    detail: bool = True,
) -> Mesh:
    """A building of one of KINDS on 2 half_x by 2 half_y metres, origin on the ground.

    The long sides along x are fronts, both of them, so that it may stand on either side of a road.
    height is about that of its eaves; walls [n, 3] are the colours to draw from. detail is for
    what is seen from nearer than some 60 m: at most 15,000 triangles instead of 500. The foot
    reaches 0.75 m below the ground, and nothing reaches further than 2.5 m beyond the footprint.
    ValueError for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of house {kind!r}; known: {', '.join(KINDS)}")
    return KINDS[kind][0](rng, (half_x, half_y), height, walls, detail)
