"""Obstacles around the vehicle, from the cloud: a LaserScan and an OccupancyGrid in base_frame.

An obstacle is what lies in a band of heights above z = 0 of the base frame. Points below the band
are the ground: as far as it is seen in a direction, and nothing stands before it, there is room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from geometry_msgs.msg import Point, Pose
from nav_msgs.msg import MapMetaData, OccupancyGrid
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Header

SCAN, GRID = "obstacles/scan", "obstacles/grid"
FREE, OCCUPIED, UNKNOWN = 0, 100, -1
TURN = 2 * np.pi
CHUNK = 60_000  # points at a time: their arrays stay in the cache


@dataclass(frozen=True)
class ObstacleOptions:
    """What counts as an obstacle, and how finely it is told."""

    min_height_m: float = 0.3
    """Above z = 0 of the base frame; what is lower is ground."""
    max_height_m: float = 2.5
    """What is higher is driven under."""
    range_m: float = 30.0
    """Half the side of the grid, and how far the scan sees."""
    resolution_m: float = 0.25
    """Side of a cell of the grid, step of the scan's ranges."""
    beams: int = 360
    """Of the scan, all around."""
    min_points: int = 2
    """So many points of the cloud in one cell make an obstacle."""

    @property
    def steps(self) -> int:
        """Cells from the vehicle to range_m."""
        return max(1, round(self.range_m / self.resolution_m))


@dataclass(frozen=True, eq=False)
class Obstacles:
    """What one cloud says of the surroundings, in the base frame."""

    first: np.ndarray
    """[beams] int: steps of resolution_m to the first obstacle, options.steps without one. Beam k
    looks to k turns / beams, from x to y."""
    floor: np.ndarray
    """[beams] int: steps up to which ground is seen."""
    seen: np.ndarray
    """[beams] bool: whether anything is seen there, of any height."""
    occupied: np.ndarray | None
    """[side, side] bool: cells of the grid with an obstacle, row by y, column by x."""


class ObstacleFinder:
    """Finds obstacles in clouds with the same options; what does not change is worked out once.

    Not for two threads at once: it works in memory of its own, as fresh memory is slow.
    """

    def __init__(self, options: ObstacleOptions):
        self.options = options
        self._places = np.empty((2, 0), np.intp)
        self._floats = np.empty((5, 1, CHUNK), np.float32)
        self._ints = np.empty((2, CHUNK), np.int32)
        self._bools = np.empty((2, CHUNK), bool)

    def __call__(self, points: np.ndarray, *, with_grid: bool = True) -> Obstacles:
        """The obstacles in points [P] of POINT, in the base frame; the grid's only if wanted."""
        options, steps = self.options, self.options.steps
        if self._places.shape[1] < len(points):
            self._places = np.empty((2, len(points)), np.intp)
        polar, cells = self._places[:, : len(points)]
        for start in range(0, len(points), CHUNK):
            part = slice(start, start + CHUNK)
            self._place(points[part], polar[part], cells[part] if with_grid else None)
        # one row a beam, whose last column is all that is beyond, and one for the end of the turn
        shape = 3, options.beams + 1, steps + 1
        counts = np.bincount(polar, minlength=int(np.prod(shape))).reshape(shape)
        counts[:, 0] += counts[:, -1]
        ground, band = counts[0, :-1] > 0, counts[1, :-1] >= options.min_points
        ground[:, -1], band[:, -1] = False, True  # beyond: no ground, and where a search ends
        return Obstacles(
            first=band.argmax(axis=1),
            floor=np.where(ground.any(axis=1), steps + 1 - ground[:, ::-1].argmax(axis=1), 0),
            seen=counts[:, :-1].sum(axis=(0, 2)) > 0,
            occupied=self._occupied(cells) if with_grid else None,
        )

    def _place(self, points: np.ndarray, polar: np.ndarray, cells: np.ndarray | None) -> None:
        """Fill in where points [P] lie in the tables of beams, and in the grid if wanted."""
        x, y, z, step, beam = self._floats[:, :, : len(points)]
        from_band, above = self._bools[:, : len(points)]
        cv2.split(points.view(np.float32).reshape(1, -1, 4), [x, y, z, beam])  # beam: not used yet
        for axis in (x, y):
            axis *= np.float32(1 / self.options.resolution_m)
        cv2.cartToPolar(x, y, step, beam)
        np.greater_equal(z[0], self.options.min_height_m, out=from_band)
        np.greater(z[0], self.options.max_height_m, out=above)
        table = from_band.view(np.uint8) + above.view(np.uint8)
        self._place_in_beams(step[0], beam[0], table, polar)
        if cells is not None:
            xy = self._floats[:2, 0, : len(points)]
            self._place_in_grid(xy, from_band ^ above, cells)

    def _place_in_beams(
        self, step: np.ndarray, beam: np.ndarray, table: np.ndarray, places: np.ndarray
    ) -> None:
        """Places of points [P] in three tables of beams and steps: ground, in the band, above.

        step and beam are cells and radians from the origin, and are overwritten. table [P] uint8:
        0, 1 or 2.
        """
        options, (whole, more) = self.options, self._ints[:, : len(places)]
        beam *= np.float32(options.beams / TURN)
        beam += np.float32(0.5)
        np.copyto(whole, beam, casting="unsafe")
        whole *= options.steps + 1
        np.clip(step, 0, options.steps, out=step)
        np.copyto(more, step, casting="unsafe")
        whole += more
        np.multiply(table, (options.beams + 1) * (options.steps + 1), out=more, dtype=np.int32)
        whole += more
        places[:] = whole

    def _place_in_grid(self, xy: np.ndarray, in_band: np.ndarray, places: np.ndarray) -> None:
        """Places of points [P] in the grid with a border around it, whose corner takes the rest.

        xy [2, P] are cells from the origin, and are overwritten.
        """
        side, whole = 2 * self.options.steps + 2, self._ints[:, : len(places)]
        xy += np.float32(side / 2)
        np.clip(xy, 0, side - 1, out=xy)
        np.copyto(whole, xy, casting="unsafe")
        column, row = whole
        row *= side
        row += column
        row *= in_band
        places[:] = row

    def _occupied(self, cells: np.ndarray) -> np.ndarray:
        side = 2 * self.options.steps + 2
        hits = np.bincount(cells, minlength=side * side).reshape(side, side)[1:-1, 1:-1]
        return hits >= self.options.min_points

    def scan(self, found: Obstacles) -> np.ndarray:
        """[beams] float32 metres as REP 117: +inf without obstacle, NaN where nothing is seen."""
        ranges = ((found.first + 0.5) * self.options.resolution_m).astype(np.float32)
        ranges[found.first == self.options.steps] = np.inf
        ranges[~found.seen] = np.nan
        return ranges

    def grid(self, found: Obstacles) -> np.ndarray:
        """[side, side] int8: 100 with an obstacle, 0 with room, -1 where neither is known."""
        beam, step = self._cells
        room = step < np.minimum(found.first, found.floor).astype(np.int16).take(beam)
        above_unknown = np.maximum(  # faster than to fill in by masks
            room * np.int8(FREE - UNKNOWN), found.occupied * np.int8(OCCUPIED - UNKNOWN)
        )
        return above_unknown + np.int8(UNKNOWN)

    @cached_property
    def _cells(self) -> tuple[np.ndarray, np.ndarray]:
        """Beam and step of the middle of every cell of the grid, [side, side] each."""
        options, side = self.options, 2 * self.options.steps
        centres = np.arange(side) + 0.5 - side / 2
        x, y = np.meshgrid(centres, centres)
        beam = np.round(np.arctan2(y, x) / TURN * options.beams).astype(int) % options.beams
        return beam, np.hypot(x, y).astype(np.int16)

    def messages(
        self, points: np.ndarray, header: Header, wanted: Sequence[str]
    ) -> dict[str, LaserScan | OccupancyGrid]:
        """The messages of the topics wanted, SCAN and GRID, from points [P] of POINT."""
        found, messages = self(points, with_grid=GRID in wanted), {}
        if SCAN in wanted:
            messages[SCAN] = scan_msg(self.scan(found), header, self.options)
        if GRID in wanted:
            messages[GRID] = grid_msg(self.grid(found), header, self.options)
        return messages


def scan_msg(ranges: np.ndarray, header: Header, options: ObstacleOptions) -> LaserScan:
    """LaserScan of ranges [beams] in metres, whose first looks along x."""
    step = TURN / options.beams
    msg = LaserScan(
        header=header,
        angle_min=-TURN / 2,
        angle_max=TURN / 2 - step,
        angle_increment=step,
        range_min=0.0,
        range_max=options.range_m + options.resolution_m,
    )
    msg.ranges.frombytes(np.roll(ranges, options.beams // 2).astype("<f4").tobytes())
    return msg


def grid_msg(grid: np.ndarray, header: Header, options: ObstacleOptions) -> OccupancyGrid:
    """OccupancyGrid of a grid [side, side] int8 around the base frame."""
    corner = -options.steps * options.resolution_m
    info = MapMetaData(
        map_load_time=header.stamp,
        resolution=options.resolution_m,
        width=grid.shape[1],
        height=grid.shape[0],
        origin=Pose(position=Point(x=corner, y=corner)),
    )
    msg = OccupancyGrid(header=header, info=info)
    msg.data.frombytes(grid.tobytes())
    return msg
