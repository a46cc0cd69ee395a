"""What grows along a street of style world: avenues, woods, hedges, verges and belts of trees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsmde_core.street.placement import Layout
from fsmde_core.street.plants.world import (
    HEDGE_M,
    SHRUBS,
    TREES,
    VARIANTS,
    grass,
    hedge,
    plant,
)
from fsmde_core.street.surfaces import ObjectClass

VEGETATION = ObjectClass.VEGETATION
HALF_WAY_M = 1.9  # nothing hangs nearer to the middle of the ego's way
VERGE_FROM_M, VERGE_SHORT_M = -45.0, 25.0  # tall grass: from that s to so far before the end


@dataclass(frozen=True)
class Planting:
    """What grows along one street."""

    avenue: tuple[str, int]
    """Species and variant of the trees beside the road: one for a street."""
    mixed: tuple[tuple[str, int], ...]
    """What woods and gardens are made of."""
    shrubs: tuple[tuple[str, int], ...]
    tint: np.ndarray
    """[3]: the season's, of all leaves."""


def draw_planting(rng: np.random.Generator) -> Planting:
    """Few species a street, as streets have."""

    def some(kinds, count):
        return tuple((str(rng.choice(kinds)), int(rng.integers(VARIANTS))) for _ in range(count))

    season = rng.choice(["summer", "spring", "dry", "autumn"], p=[0.55, 0.2, 0.15, 0.1])
    tint = {"summer": (0.9, 0.95, 0.9), "spring": (1.15, 1.2, 0.9), "dry": (1.25, 1.0, 0.8),
            "autumn": (2.2, 1.1, 0.6)}[season]  # fmt: skip
    dark = rng.uniform(0.55, 1.15)
    return Planting(
        some(TREES, 1)[0],
        some(TREES, int(rng.integers(3, 6))),
        some(SHRUBS, 3),
        dark * np.array(tint),
    )


class Gardener:
    """Plants along a layout."""

    def __init__(self, layout: Layout, planting: Planting):
        self.layout, self.planting, self.rng = layout, planting, layout.rng

    def put(self, kind: tuple[str, int], s: float, t: float, *, low=0.75, high=1.25, z=0.0) -> None:
        """Stand one plant, turned, stretched and tinted at random."""
        rng, size = self.rng, self.rng.uniform(low, high)
        stretch = size * np.array([*rng.uniform(0.85, 1.15, 2), 1.0])
        tint = self.planting.tint * rng.uniform(0.8, 1.2) * rng.uniform(0.93, 1.07, 3)
        grown = plant(*kind)
        if self.layout.ego.gap_m(t) < HALF_WAY_M + 1.15 * size * grown.low_radius_m:
            return
        self.layout.stand(
            grown.mesh, VEGETATION, s, t, yaw=rng.uniform(0, 6.28), z=z, size=stretch, tint=tint
        )

    def tree(self, s: float, t: float, **size) -> None:
        self.put(self.planting.mixed[self.rng.integers(len(self.planting.mixed))], s, t, **size)

    def shrub(self, s: float, t: float, **size) -> None:
        self.put(self.planting.shrubs[self.rng.integers(len(self.planting.shrubs))], s, t, **size)

    def free(self, s: float, t: float, half: float) -> bool:
        """Whether a plant may stand at (s, t): not on side roads, nor on what is taken."""
        side = 1 if t > 0 else -1
        return self.layout.road.clear(s, half + 0.5 + 0.35 * abs(t), side) and self.layout.take(
            s, t, half, half
        )

    def scatter(
        self, s0: float, s1: float, side: int, depths, count: int, *, shrubs: float
    ) -> None:
        """Trees and, as a share, shrubs over a stretch; depths is how far behind the edge."""
        for _ in range(count):
            s = self.rng.uniform(s0, s1)
            t = side * (self.layout.edge_m + self.rng.uniform(*depths))
            small = self.rng.random() < shrubs
            if self.free(s, t, 0.35 if small else 0.6):
                (self.shrub if small else self.tree)(s, t)

    def wood(self, s0: float, s1: float, side: int) -> None:
        """A closed edge of shrubs and trees, and a wood behind it."""
        setback, deep = self.rng.uniform(0.8, 6.0), self.rng.uniform(8, 35)
        for s in np.arange(s0, s1, self.rng.uniform(1.2, 2.4)):
            t = side * (self.layout.edge_m + setback + self.rng.uniform(0, 1.5))
            if self.free(s, t, 0.3):
                self.shrub(s + self.rng.normal(0, 0.4), t, low=0.7, high=1.6)
        count = int((s1 - s0) * deep / self.rng.uniform(14, 30))
        self.scatter(s0, s1, side, (setback + 1.5, setback + deep), count, shrubs=0.3)

    def hedge(self, s0: float, s1: float, side: int, *, behind: float, height: float) -> None:
        """A clipped hedge, in pieces that follow the bend."""
        t, variant = side * (self.layout.edge_m + behind), int(self.rng.integers(2))
        tint = self.planting.tint * self.rng.uniform(0.8, 1.1)
        for s in np.arange(s0, s1, HEDGE_M):
            if self.layout.road.clear(s, 2.5 + 0.35 * abs(t), side):
                self.layout.stand(
                    hedge(variant).mesh, VEGETATION, s, t, yaw=np.pi * self.rng.integers(2),
                    size=(1, 1, height), tint=tint,
                )  # fmt: skip
                self.layout.claim(s, t, 1.0, 0.5)

    def avenue(self, side: int, tunnel) -> None:
        """Trees of one kind beside the carriageway."""
        layout, rng = self.layout, self.rng
        step, size = rng.uniform(6, 18), rng.uniform(0.75, 1.15)
        for s in np.arange(layout.first_m, layout.last_m, step):
            t = side * (layout.road.half_m + rng.uniform(0.8, 1.2))
            open_air = tunnel is None or not tunnel[0] - 6 < s < tunnel[1] + 6
            if open_air and layout.road.clear(s, 3.0) and layout.take(s, t, 0.4, 0.4):
                self.put(self.planting.avenue, s, t, low=0.9 * size, high=1.1 * size)

    def verge(self, s0: float, s1: float, side: int) -> None:
        """Tall grass, weeds and low shrubs behind the pavement."""
        layout, rng = self.layout, self.rng
        s0, s1 = max(s0, VERGE_FROM_M), min(s1, layout.last_m - VERGE_SHORT_M)
        for _ in range(int(max(0.0, s1 - s0) * rng.uniform(1.0, 5.0))):
            s, t = rng.uniform(s0, s1), side * (layout.edge_m + abs(rng.normal(0.3, 1.6)))
            free = layout.ego.gap_m(t) > HALF_WAY_M + 0.8
            if free and layout.road.clear(s, 1.0 + 0.35 * abs(t), side):
                tint = self.planting.tint * rng.uniform(0.7, 1.3)
                size = rng.uniform(0.5, 1.3)
                clump = grass(int(rng.integers(3)))
                layout.stand(
                    clump.mesh, VEGETATION, s, t, yaw=rng.uniform(0, 6), size=size, tint=tint
                )

    def belts(self) -> None:
        """Rows of trees behind the plots, and what closes the view at both ends."""
        layout, rng = self.layout, self.rng
        for side in (-1, 1):
            for low, high in ((38, 60), (60, 100), (100, 170)):
                s, t = layout.first_m - high, rng.uniform(low, high)
                while s < layout.last_m + high:
                    if rng.random() < 0.8:
                        at = side * (t + rng.normal(0, 3))
                        if self.free(s, at, 1.0):
                            self.tree(s, at, low=0.7, high=1.3)
                    s += rng.uniform(2.5, 9) if rng.random() < 0.95 else rng.uniform(10, 60)
                    t = float(np.clip(t + rng.normal(0, 2.0), low, high))
        for end, way in ((layout.first_m, -1), (layout.last_m, 1)):
            for _ in range(int(rng.integers(30, 90))):
                s, t = end + way * rng.uniform(5, 90), rng.normal(0, 35)
                if abs(t) > layout.edge_m + 1 and self.free(s, t, 0.8):
                    self.tree(s, t, low=0.7, high=1.4)
