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
        self._places = np.empty(0, np.intp)
        self._floats = np.empty((5, 1, CHUNK), np.float32)
        self._ints = np.empty((2, CHUNK), np.int32)
        self._bools = np.empty((2, CHUNK), bool)

    def __call__(self, points: np.ndarray, *, with_grid: bool = True) -> Obstacles:
        """The obstacles in points [P] of POINT, in the base frame; the grid's only if wanted."""
        options, steps = self.options, self.options.steps
        if len(self._places) < len(points):
            self._places = np.empty(len(points), np.intp)
        places, in_band = self._places[: len(points)], [np.empty((2, 0), np.float32)]
        for start in range(0, len(points), CHUNK):
            part = slice(start, start + CHUNK)
            xy, chosen = self._place(points[part], places[part])
            if with_grid:
                in_band.append(xy.take(np.flatnonzero(chosen), axis=1))
        # one row a beam, whose last column is all that is beyond, and one for the end of the turn
        shape = 2, options.beams + 1, steps + 1
        counts = np.bincount(places, minlength=int(np.prod(shape))).reshape(shape)
        counts[:, 0] += counts[:, -1]
        ground, band = counts[0, :-1] > 0, counts[1, :-1] >= options.min_points
        seen = ground.any(axis=1) | counts[1, :-1].any(axis=1)
        ground[:, -1], band[:, -1] = False, True  # beyond: no ground, and where a search ends
        return Obstacles(
            first=band.argmax(axis=1),
            floor=np.where(ground.any(axis=1), steps + 1 - ground[:, ::-1].argmax(axis=1), 0),
            seen=seen,
            occupied=self._occupied(np.concatenate(in_band, axis=1)) if with_grid else None,
        )

    def _place(self, points: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fill in where points [P] lie in the tables of beams.

        Returns their x and y [2, P], cells from the origin, and [P] bool, who is in the band.
        """
        options = self.options
        x, y, z, step, beam = self._floats[:, :, : len(points)]
        in_band, above = self._bools[:, : len(points)]
        cv2.split(points.view(np.float32).reshape(1, -1, 4), [x, y, z, beam])  # beam: not used yet
        xy = self._floats[:2, 0, : len(points)]
        xy *= np.float32(1 / options.resolution_m)
        cv2.cartToPolar(x, y, step, beam)
        np.greater(z[0], options.max_height_m, out=above)
        np.greater_equal(z[0], options.min_height_m, out=in_band)
        np.not_equal(in_band, above, out=in_band)
        step = step[0]
        np.maximum(step, above * np.float32(options.steps), out=step)  # seen, and no more than that
        self._place_in_beams(step, beam[0], in_band, places)
        return xy, in_band

    def _place_in_beams(
        self, step: np.ndarray, beam: np.ndarray, table: np.ndarray, places: np.ndarray
    ) -> None:
        """Places of points [P] in two tables of beams and steps: of ground, and of the band.

        step and beam are cells and radians from the origin, and are overwritten. table [P] bool.
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

    def _occupied(self, xy: np.ndarray) -> np.ndarray:
        """Cells with enough of points [2, Q], cells from the origin, all of them in the band."""
        side = 2 * self.options.steps + 2  # with a border around it, which takes the rest
        column, row = np.clip(xy + np.float32(side / 2), 0, side - 1).astype(np.int32)
        hits = np.bincount(row * side + column, minlength=side * side).reshape(side, side)
        return hits[1:-1, 1:-1] >= self.options.min_points

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
