"""The road: a curved centreline over hilly ground, its cross-section, side roads and surfaces.

Positions along the street are (s, t): s metres along the centreline, t metres to its left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder

REACH_M = (-260.0, 420.0)
STEP_M = 2.0
VERGE_M = 6.0
BANK_M = 5.0  # how wide a bank's slope is
SKIRT_M = 700.0


@dataclass(frozen=True)
class Crossing:
    """A side road that meets the street."""

    s: float
    half_m: float
    slant: float
    """Shift along s per metre of t: 0 is a right angle."""
    sides: tuple[int, ...]
    """+1 left, -1 right: one for a T junction, two for a crossing."""


@dataclass(frozen=True, eq=False)
class Road:
    """Geometry of one street; see make_road."""

    lanes: int
    """Lanes per direction."""
    lane_m: float
    half_m: float
    """Centreline to kerb."""
    pavement_m: float
    kerb_m: float
    crossings: tuple[Crossing, ...]
    hills: np.ndarray
    """[n, 4]: amplitude in metres, wave numbers along x and y in rad/m, phase."""
    curve: np.ndarray
    """[n, 4]: s, x, y, heading along the centreline."""
    flank_m: float
    """How far the sheet of ground reaches to the sides before it could fold over."""
    banks: np.ndarray | None = None
    """[n, 3]: s, height of the land on the left and on the right over the road, metres."""
    crown: float = 0.0
    """Fall of the carriageway from its middle to the kerb, metres per metre."""
    hand: int = 1
    """1: traffic keeps to the right; -1: to the left."""

    def heading(self, s) -> np.ndarray:
        """Direction of travel in radians."""
        return np.interp(s, self.curve[:, 0], self.curve[:, 3])

    def height(self, x, y) -> np.ndarray:
        """Height of the ground at world x, y in metres."""
        x, y = np.asarray(x)[..., None], np.asarray(y)[..., None]
        amplitude, kx, ky, phase = self.hills.T
        return (amplitude * (np.sin(kx * x + ky * y + phase) - np.sin(phase))).sum(axis=-1)

    def point(self, s, t, z=0.0) -> np.ndarray:
        """World position [..., 3] of street coordinates, z metres above the ground."""
        s, t = np.broadcast_arrays(np.asarray(s, float), np.asarray(t, float))
        along = s + self._slant(s) * t
        heading = self.heading(along)
        x = np.interp(along, self.curve[:, 0], self.curve[:, 1]) - np.sin(heading) * t
        y = np.interp(along, self.curve[:, 0], self.curve[:, 2]) + np.cos(heading) * t
        return np.stack([x, y, self.height(x, y) + self._relief(along, t) + z], axis=-1)

    def _relief(self, s, t) -> np.ndarray:
        """Height over the hills: the crown of the carriageway, banks and ditches beside it."""
        if self.banks is None:
            return np.zeros_like(t)
        side, edge = np.abs(t), self.half_m + self.pavement_m
        knots, left, right = self.banks.T
        bank = np.where(t > 0, np.interp(s, knots, left), np.interp(s, knots, right))
        bank = bank * _step((side - edge) / BANK_M) * _step((self.flank_m - side) / BANK_M)
        level = np.ones_like(s)  # at the mouths of side roads
        for c in self.crossings:
            level = level * _step((np.abs(s - c.s) - c.half_m - 2.0) / 12.0)
        return level * (bank - self.crown * np.minimum(side, self.half_m))

    def clear(self, s: float, margin_m: float, side: int = 0) -> bool:
        """Whether s keeps its distance from the mouths of side roads (on one side, or any)."""
        for c in self.crossings:
            if (side == 0 or side in c.sides) and abs(s - c.s) < c.half_m + margin_m:
                return False
        return True

    def pavement_height(self, s: float, t: float) -> float:
        """Kerb height where (s, t) is beside the carriageway, 0 on it."""
        side = 1 if t > 0 else -1
        return self.kerb_m if abs(t) > self.half_m + 0.1 and self.clear(s, 0.0, side) else 0.0

    def with_crossing_at(self, s: float) -> Road:
        """The same road with its side roads shifted along it, so that the nearest meets it at s."""
        if not self.crossings:
            return self
        shift = s - min((c.s for c in self.crossings), key=lambda at: abs(at - s))
        return replace(self, crossings=tuple(replace(c, s=c.s + shift) for c in self.crossings))

    def _slant(self, s) -> np.ndarray:
        if not self.crossings:
            return np.zeros_like(s)
        knots, values = [], []
        for c in sorted(self.crossings, key=lambda c: c.s):
            knots += [c.s - 45.0, c.s - c.half_m, c.s + c.half_m, c.s + 45.0]
            values += [0.0, c.slant, c.slant, 0.0]
        return np.interp(s, knots, values)


def _step(k) -> np.ndarray:
    """0 below 0, 1 above 1, smooth between."""
    k = np.clip(k, 0.0, 1.0)
    return k * k * (3.0 - 2.0 * k)


def with_relief(rng: np.random.Generator, road: Road) -> Road:
    """The road with a crown, and with banks, cuttings and ditches beside it; some lack a kerb."""
    s = np.arange(REACH_M[0], REACH_M[1] + 30.0, 30.0)
    steep = rng.choice([0.15, 0.7, 1.8], p=[0.4, 0.35, 0.25])
    heights = rng.normal(rng.normal(0, 0.5, 2), 0.6, (len(s), 2)) * steep
    if rng.random() < 0.35:
        road = replace(road, kerb_m=0.0, pavement_m=rng.uniform(0.4, 1.6))
    return replace(road, banks=np.column_stack([s, heights]), crown=rng.uniform(0.005, 0.03))


def make_road(rng: np.random.Generator, *, rural: bool) -> Road:
    """Draw a road: lanes, curve, hills and side roads."""
    lanes = int(rng.choice([1, 2, 3], p=[0.35, 0.4, 0.25]))
    lane_m = rng.uniform(3.0, 3.7)
    edge = 2.5 if rng.random() < 0.65 and not rural else 0.7
    curvature = rng.choice([0.0008, 0.004, 0.0085], p=[0.35, 0.4, 0.25])
    s = np.arange(REACH_M[0], REACH_M[1] + STEP_M, STEP_M)
    phase, wave = rng.uniform(0, 2 * np.pi), rng.uniform(45, 110)
    bend = curvature * np.sin(s / wave + phase)
    heading = np.cumsum(bend) * STEP_M
    heading -= np.interp(0, s, heading)
    x, y = np.cumsum(np.cos(heading)) * STEP_M, np.cumsum(np.sin(heading)) * STEP_M
    x, y = x - np.interp(0, s, x), y - np.interp(0, s, y)
    steep = rng.choice([0.3, 1.0, 2.6], p=[0.4, 0.4, 0.2])
    waves = rng.uniform(140, 420, 3)
    turn = rng.uniform(0, 2 * np.pi, 3)
    k = 2 * np.pi / waves
    amplitude = steep * rng.uniform(0.3, 1.0, 3)
    hills = np.stack([amplitude, k * np.cos(turn), k * np.sin(turn), rng.uniform(0, 6.28, 3)], 1)
    return Road(
        lanes=lanes,
        lane_m=lane_m,
        half_m=lanes * lane_m + edge,
        pavement_m=rng.uniform(1.6, 4.8),
        kerb_m=rng.uniform(0.08, 0.17),
        crossings=_draw_crossings(rng, rural),
        hills=hills,
        curve=np.stack([s, x, y, heading], axis=1),
        flank_m=min(120.0, 0.75 / curvature),
    )


def _draw_crossings(rng: np.random.Generator, rural: bool) -> tuple[Crossing, ...]:
    """Side roads every 70 to 160 m: crossings, T junctions, at right or slanted angles."""
    crossings = []
    s = rng.uniform(-130, -60)
    while s < 330:
        if rng.random() < (0.35 if rural else 0.85):
            sides = ((-1, 1), (-1, 1), (1,), (-1,))[rng.integers(4)]
            slant = 0.0 if rng.random() < 0.5 else rng.uniform(-0.35, 0.35)
            crossings.append(Crossing(s, rng.uniform(3.2, 8.5), slant, sides))
        s += rng.uniform(95, 170)
    return tuple(crossings)


@dataclass(frozen=True)
class GroundRows:
    """Surface rows of the ground, made by ground_surfaces."""

    road: int
    side_road: int
    zebra: int
    stop_line: int
    kerb: int
    pavement: int
    verge: int
    field: int


def ground_surfaces(
    mesh: MeshBuilder, rng: np.random.Generator, road: Road, *, rural: bool, tones
) -> GroundRows:
    """Add the surfaces of the ground and return their rows; tones is the range of the asphalt's."""
    tone = rng.uniform(*tones)
    grey = (tone, tone, tone)
    seed, centre = rng.random(), rng.random()
    lane = (road.lane_m, road.lanes, road.half_m, centre, tone)
    green = np.array([rng.uniform(0.055, 0.1), rng.uniform(0.08, 0.115), 0.032])
    dry = (0.19, 0.15, 0.08)
    stone = np.array([0.27, 0.26, 0.245]) * rng.uniform(0.7, 1.25)
    slab = (rng.choice([0.3, 0.6, 1.2]), float(rng.random() < 0.5))
    verge_kind = sf.GRASS if rural or rng.random() < 0.45 else sf.PAVING

    def add(kind, colour, params=(), instance=0):
        return mesh.surface(kind, colour, colour2=dry, seed=seed, params=params, instance=instance)

    paved, terrain = int(sf.ObjectClass.PAVEMENT), int(sf.ObjectClass.TERRAIN)
    way = int(sf.ObjectClass.ROAD)
    verge_colour = green if verge_kind == sf.GRASS else stone * 0.85
    kerb, pavement = (
        (sf.PAVING, (0.33, 0.325, 0.31), (1.0, 0), paved),
        (sf.PAVING, stone, slab, paved),
    )
    if road.kerb_m == 0.0:  # a shoulder of gravel and grass, which is no pavement
        kerb, pavement = (sf.GRASS, stone * 0.7, (), terrain), (sf.GRASS, green, (), terrain)
    return GroundRows(
        road=add(sf.ROAD, grey, lane, way),
        side_road=add(sf.ROAD, grey, (50.0, 1, 90.0, 1.0, tone * 1.1), way),
        zebra=add(sf.ZEBRA, grey, (0, 0, 0, 0, tone), way),
        stop_line=add(sf.ZEBRA, grey, (1, 0, 0, 0, tone), way),
        kerb=add(*kerb),
        pavement=add(*pavement),
        verge=add(verge_kind, verge_colour, (0.8, 0), terrain),
        field=add(sf.FIELD, green * rng.uniform(0.8, 1.2), (), terrain),
    )


def add_ground(mesh: MeshBuilder, road: Road, rows: GroundRows) -> None:
    """Add the street's sheet of ground and the wide skirt below it."""
    edge = road.half_m + road.pavement_m
    flanks = np.array([edge, edge + VERGE_M, edge + 14, edge + 28, road.flank_m])
    if road.banks is not None:
        slopes = np.linspace(0, BANK_M, 6)
        flanks = np.concatenate([flanks, edge + slopes, road.flank_m - slopes])
    t = np.array([0, road.half_m / 2, road.half_m, road.half_m + 0.03, road.half_m + 0.16])
    t = np.unique(np.concatenate([t, flanks, -t, -flanks]))
    s = [np.arange(REACH_M[0] + 60, REACH_M[1] - 60, 3.0)]
    for c in road.crossings:
        for side in (-1, 1):
            k = c.s + side * c.half_m
            s.append(k + side * np.array([0, 0.03, 0.16, 1.0, 4.2, 4.9, 5.3]))
    s = np.unique(np.round(np.concatenate(s), 4))
    centre_s, centre_t = (s[1:] + s[:-1]) / 2, (t[1:] + t[:-1]) / 2
    cells = np.empty((len(centre_s), len(centre_t)), int)
    raised = np.empty((len(s), len(t)))
    for i in range(len(s)):
        for side in (-1, 1):
            beside = t * side > road.half_m + 0.015
            up = road.clear(s[i], 0.015, side)
            raised[i, beside] = road.kerb_m if up else 0.0
    raised[:, np.abs(t) <= road.half_m + 0.015] = 0.0
    for i, at in enumerate(centre_s):
        cells[i] = _row_of_cells(road, rows, at, centre_t)
    S, T = np.meshgrid(s, t, indexing="ij")
    points = road.point(S, T, raised)
    mesh.grid(cells, points, uv=np.stack([S, T], axis=-1), smooth=False)
    _add_skirt(mesh, road, rows.field)


def _row_of_cells(road: Road, rows: GroundRows, s: float, t: np.ndarray) -> np.ndarray:
    """Surface of every cell across the street at s."""
    side = np.abs(t)
    edge = road.half_m + road.pavement_m
    cells = np.full(len(t), rows.field)
    cells[side < edge + VERGE_M] = rows.verge
    cells[side < edge] = rows.pavement
    cells[side < road.half_m + 0.16] = rows.kerb
    cells[side < road.half_m] = rows.road
    for c in road.crossings:
        beyond = abs(s - c.s) - c.half_m
        if beyond < 0:
            for k in c.sides:
                cells[(t * k > 0)] = rows.side_road
            if len(c.sides) == 2:
                cells[:] = rows.side_road
        elif beyond < 0.16:
            for k in c.sides:
                cells[(t * k > road.half_m)] = rows.kerb
        elif 1.0 < beyond < 4.2:
            cells[side < road.half_m] = rows.zebra
        elif 4.9 < beyond < 5.3:
            cells[(side < road.half_m) & (t * road.hand * np.sign(s - c.s) > 0)] = rows.stop_line
    return cells


def _add_skirt(mesh: MeshBuilder, road: Road, row: int) -> None:
    """Coarse ground to the horizon, sunk below the sheet where the two overlap."""
    line = np.sinh(np.linspace(-5, 5, 90)) / np.sinh(5) * SKIRT_M
    x, y = np.meshgrid(line + 60.0, line, indexing="ij")
    s = np.clip(road.curve[:, 0], REACH_M[0] + 62, REACH_M[1] - 62)
    path = road.point(s, 0.0)
    gap = np.full(x.shape, np.inf)
    for px, py, _ in path[::4]:
        gap = np.minimum(gap, np.hypot(x - px, y - py))
    sink = np.where(gap < road.flank_m * 0.96, 4.0, 0.3)
    points = np.stack([x, y, road.height(x, y) - sink], axis=-1)
    mesh.grid(row, points, uv=points[..., :2])
