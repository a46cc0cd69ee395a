"""The table of surfaces: which texture a triangle wears and with which numbers.

One row of float32 a surface: kind, colour (3), second colour (3), texture seed, five parameters
of the kind, gloss (0 matt to 1 mirror-like), emission (radiance over albedo), instance.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

KIND, RED, GREEN, BLUE, RED2, GREEN2, BLUE2, SEED, P0, P1, P2, P3, P4, GLOSS, EMISSION, INSTANCE = (
    range(16)
)
ROW = 16

# Kinds are plain integers because the compiled shader compares with them.
(
    PLAIN,
    ROAD,
    ZEBRA,
    PAVING,
    GRASS,
    FACADE,
    PAINT,
    LEAF,
    BARK,
    GLASS,
    CLOTH,
    ROOF,
    SIGN,
    LAMP,
    WALL,
    FIELD,
) = range(16)


class ObjectClass(IntEnum):
    """What an instance is; the class image holds these numbers, 0 where there is only sky."""

    SKY = 0
    ROAD = 1
    PAVEMENT = 2
    TERRAIN = 3
    BUILDING = 4
    VEGETATION = 5
    VEHICLE = 6
    PERSON = 7
    CYCLIST = 8
    FURNITURE = 9
    WALL = 10
    EGO = 11


def surface_row(
    kind: int,
    colour,
    *,
    colour2=(0.2, 0.2, 0.2),
    seed: float = 0.0,
    params=(),
    gloss: float = 0.0,
    emission: float = 0.0,
    instance: int = 0,
) -> list[float]:
    """One row of the table; seed in [0, 1)."""
    params = [*params, *([0.0] * (5 - len(params)))]
    return [kind, *colour, *colour2, seed, *np.asarray(params, float), gloss, emission, instance]
