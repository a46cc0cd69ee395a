"""What a street may draw: stress has walls, vehicles and trees that training never shows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

COMMON_WALLS = (
    (0.5, 0.45, 0.37),
    (0.56, 0.54, 0.5),
    (0.38, 0.18, 0.12),
    (0.32, 0.16, 0.11),
    (0.62, 0.58, 0.48),
    (0.45, 0.47, 0.49),
    (0.27, 0.27, 0.28),
    (0.6, 0.45, 0.32),
    (0.66, 0.64, 0.6),
    (0.43, 0.36, 0.27),
    (0.18, 0.2, 0.24),
    (0.52, 0.3, 0.2),
    (0.55, 0.5, 0.28),
)
PAINTED_WALLS = (
    (0.2, 0.42, 0.55),
    (0.62, 0.32, 0.4),
    (0.3, 0.5, 0.3),
    (0.7, 0.6, 0.15),
    (0.35, 0.28, 0.5),
)


@dataclass(frozen=True)
class Style:
    """Palettes and shares of a split."""

    walls: tuple[tuple[float, float, float], ...]
    """Linear colours of buildings."""
    cars: tuple[tuple[str, float], ...]
    """Kinds of SHAPES with their shares, which add up to 1."""
    tall: tuple[str, ...]
    """Kinds of vehicle that block the view."""
    tall_share: float
    """Share of vehicles on the move that are tall."""
    tunnel_share: float
    """Share of streets with a tunnel or an underpass."""
    rural_below: float
    """A street is rural where its share of town, uniform in [0, 1), lies below."""
    blossom_share: float
    """Share of broad-leaved plants in blossom."""
    spanning_share: float = 0.0
    """Share of streets with a bridge, gantry or gate over the road."""
    asphalt: tuple[float, float] = (0.035, 0.1)
    """Range of its grey, linear."""
    world: bool = False
    """Filled as the world is (woods, works, things alongside), not as a tidy town, and recorded so:
    traffic on either hand, a vehicle that sways and stands anyhow, any air and any camera."""

    def car(self, rng: np.random.Generator) -> str:
        """Draw a kind of car."""
        kinds, shares = zip(*self.cars)
        return kinds[rng.choice(len(kinds), p=shares)]


TOWN = Style(
    walls=COMMON_WALLS,
    cars=(
        ("sedan", 0.28),
        ("estate", 0.1),
        ("hatch", 0.22),
        ("suv", 0.23),
        ("coupe", 0.07),
        ("van", 0.1),
    ),
    tall=("bus", "box truck"),
    tall_share=0.13,
    tunnel_share=0.09,
    rural_below=0.22,
    blossom_share=0.0,
)
STRESS = Style(
    walls=PAINTED_WALLS,
    cars=(("mini", 0.4), ("minibus", 0.25), ("pickup", 0.35)),
    tall=("tipper",),
    tall_share=0.13,
    tunnel_share=0.5,
    rural_below=0.5,
    blossom_share=0.6,
)
# What training sees beside, or instead of, the town; the same weather.
WORLD = replace(
    TOWN,
    tall_share=0.3,
    tunnel_share=0.05,
    rural_below=0.45,
    spanning_share=0.3,
    asphalt=(0.03, 0.14),
    world=True,
)
STYLES = {"town": TOWN, "stress": STRESS, "world": WORLD}
