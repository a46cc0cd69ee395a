"""What has been placed along a street so far: meshes, instances, actors, claimed ground."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from fsmde_core.street.ego_path import EgoPath
from fsmde_core.street.mesh import Mesh, merge
from fsmde_core.street.styles import Style
from fsmde_core.street.surfaces import ObjectClass

BEYOND_M = 130.0  # how far the street is furnished beyond the drive
CLEAR_M = 1.7  # nothing hangs into the ego's way closer than this to its path, up to CLEAR_UP_M
CLEAR_UP_M = 3.0
CELL_M = 8.0


@dataclass(frozen=True, eq=False)
class Placed:
    """A mesh that stands somewhere; thousands may share one, at no memory."""

    mesh: Mesh
    T_world_mesh: np.ndarray
    """[4, 4]: turned, stretched and shifted."""
    tint: tuple[float, float, float]
    """Its colours are multiplied by it, but for bark."""
    instance: int


class Layout:
    """What has been placed so far on a road."""

    def __init__(self, rng, ego: EgoPath, style: Style, *, urban: float, drive_m, lit: bool):
        road = ego.road
        self.rng, self.road, self.style, self.urban, self.lit = rng, road, style, urban, lit
        self.first_m, self.last_m = -BEYOND_M, drive_m + BEYOND_M
        self.ego, self.ego_t, self.ego_speed = ego, ego.t, ego.speed_mps
        self.edge_m = road.half_m + road.pavement_m
        # Buildings stand back from the pavement by one line: none in old streets, far in wide ones.
        self.front_m = min(20.0, rng.exponential(6.0))
        self.instance_class = [int(c) for c in ObjectClass]
        self.actors: list[dict] = []
        self._stood: list[tuple] = []  # worked out together in placed(): there are thousands
        self.lamps: list[list[float]] = []
        self._taken: dict[tuple[int, int], list[tuple[float, float, float, float]]] = {}
        self._placed: list[Mesh] = []
        if style.world:
            self.claim(*ego.footprint())
        self._path = ego.points(self.first_m, self.last_m).astype(np.float32)

    def put(self, mesh: Mesh, kind: ObjectClass, s: float, t: float, *, yaw=0.0, z=0.0) -> None:
        """Stand a mesh at (s, t), turned by yaw from the road's heading, as a new instance."""
        where = self.road.point(s, t, z)
        placed = mesh.moved(where, float(self.road.heading(s)) + yaw)
        self.put_in_world(placed, kind)

    def stand(
        self, mesh: Mesh, kind: ObjectClass, s, t, *, yaw=0.0, z=0.0, size=1.0, tint=(1, 1, 1)
    ) -> None:
        """Stand a mesh that others share at (s, t), as a new instance.

        yaw turns it from the road's heading, size stretches it (a number, or [3] along its axes).
        """
        size = tuple(np.broadcast_to(size, 3))
        self._stood.append((mesh, (s, t, z), yaw, size, tuple(tint), self._new_instance(kind)))

    def put_in_world(self, mesh: Mesh, kind: ObjectClass) -> None:
        """Add a mesh that already stands in the world, as a new instance."""
        self._placed.append(mesh.of_instance(self._new_instance(kind)))

    def put_ground(self, mesh: Mesh) -> None:
        """Add the ground, whose surfaces carry their classes as instances."""
        self._placed.append(mesh)

    def add_actor(self, mesh: Mesh, kind: ObjectClass, s, t, speed, lift=0.0) -> None:
        """Add something that moves."""
        place = {"s": s, "t": t, "speed_mps": speed, "lift_m": lift}
        self.actors.append({"mesh": mesh, "instance": self._new_instance(kind), **place})

    def take(self, s: float, t: float, half_s: float, half_t: float) -> bool:
        """Claim a rectangle of the street; False where something stands already."""
        for cell in _cells(s, t, half_s, half_t):
            for a, b, hs, ht in self._taken.get(cell, ()):
                if abs(s - a) < hs + half_s and abs(t - b) < ht + half_t:
                    return False
        self.claim(s, t, half_s, half_t)
        return True

    def claim(self, s: float, t: float, half_s: float, half_t: float) -> None:
        """Claim a rectangle whatever stands there."""
        for cell in _cells(s, t, half_s, half_t):
            self._taken.setdefault(cell, []).append((s, t, half_s, half_t))

    def clear_of_ego(self, mesh: Mesh) -> Mesh:
        """The mesh (in the world) without triangles that hang into the ego's way."""
        x, y, z = mesh.corners[:, 0].T
        middle = np.array([x.mean(), y.mean()])
        near = self._path[np.abs(self._path[:, :2] - middle).max(axis=1) < 14]
        if not len(near):
            return mesh
        low = np.flatnonzero(z < near[:, 2].max() + CLEAR_UP_M)
        gap2 = (x[low, None] - near[:, 0]) ** 2 + (y[low, None] - near[:, 1]) ** 2
        hanging = np.zeros(len(z), bool)
        hanging[low] = ((gap2 < CLEAR_M**2) & (z[low, None] < near[:, 2] + CLEAR_UP_M)).any(axis=1)
        return mesh.without(hanging)

    def finish(self) -> Mesh:
        """All that stands still as one mesh."""
        return merge(self._placed)

    def placed(self) -> tuple[Placed, ...]:
        """All that stands still and shares its mesh."""
        if not self._stood:
            return ()
        meshes, spots, yaws, sizes, tints, instances = zip(*self._stood)
        s, t, z = np.array(spots, float).T
        yaw = self.road.heading(s) + np.array(yaws)
        T = np.tile(np.eye(4), (len(s), 1, 1))
        T[:, 0, 0] = T[:, 1, 1] = np.cos(yaw)
        T[:, 1, 0], T[:, 0, 1] = np.sin(yaw), -np.sin(yaw)
        T[:, :3, :3] *= np.array(sizes, float)[:, None]
        T[:, :3, 3] = self.road.point(s, t, z)
        return tuple(map(Placed, meshes, T, tints, instances))

    def _new_instance(self, kind: ObjectClass) -> int:
        self.instance_class.append(int(kind))
        return len(self.instance_class) - 1


def _cells(s: float, t: float, half_s: float, half_t: float) -> Iterator[tuple[int, int]]:
    """Squares of CELL_M that a rectangle touches."""
    rows = range(int((s - half_s) // CELL_M), int((s + half_s) // CELL_M) + 1)
    columns = range(int((t - half_t) // CELL_M), int((t + half_t) // CELL_M) + 1)
    return product(rows, columns)
