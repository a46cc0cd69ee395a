"""Triangle meshes with smooth normals and texture coordinates, put together from solid shapes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fsmde_core.geometry import make_transform
from fsmde_core.street.surfaces import INSTANCE, ROW, surface_row

BOX_FACES = np.array([[0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7], [4, 5, 6, 7]])


@dataclass(frozen=True, eq=False)
class Mesh:
    """T triangles in metres that wear rows of a table of S surfaces."""

    corners: np.ndarray
    """[T, 3, 3] float32."""
    normals: np.ndarray
    """[T, 3, 3] float32, unit length."""
    uv: np.ndarray
    """[T, 3, 2] float32, metres along the surface."""
    surface: np.ndarray
    """[T] int32: row of surfaces."""
    surfaces: np.ndarray
    """[S, 16] float32, see the module surfaces."""

    def transformed(self, T: np.ndarray) -> Mesh:
        """The mesh moved by T [4, 4]."""
        R = T[:3, :3].astype(np.float32)
        corners = self.corners @ R.T + T[:3, 3].astype(np.float32)
        return replace(self, corners=corners, normals=self.normals @ R.T)

    def moved(self, position, yaw: float) -> Mesh:
        """The mesh turned by yaw in radians, then shifted by position [3]."""
        return self.transformed(make_transform(rotation_z(yaw), np.asarray(position)))

    def of_instance(self, instance: int) -> Mesh:
        """The mesh with every surface marked as one instance."""
        surfaces = self.surfaces.copy()
        surfaces[:, INSTANCE] = instance
        return replace(self, surfaces=surfaces)


def merge(meshes: list[Mesh]) -> Mesh:
    """One mesh of many; surface tables are stacked."""
    offsets = np.cumsum([0] + [len(m.surfaces) for m in meshes[:-1]])
    return Mesh(
        corners=np.concatenate([m.corners for m in meshes]),
        normals=np.concatenate([m.normals for m in meshes]),
        uv=np.concatenate([m.uv for m in meshes]),
        surface=np.concatenate([m.surface + k for m, k in zip(meshes, offsets)]).astype(np.int32),
        surfaces=np.concatenate([m.surfaces for m in meshes]),
    )


def rotation_z(yaw: float) -> np.ndarray:
    """Rotation [3, 3] about z, counter-clockwise for positive yaw in radians."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def rotation_y(pitch: float) -> np.ndarray:
    """Rotation [3, 3] about y; positive pitch in radians turns x towards -z."""
    c, s = np.cos(pitch), np.sin(pitch)
    return np.array([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross product of [..., 3]; for the many small shapes much faster than numpy's general one."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


class MeshBuilder:
    """Collects shapes; finish() returns the Mesh."""

    def __init__(self):
        self._parts: list[tuple] = []
        self._surfaces: list[list[float]] = []

    def surface(self, kind: int, colour, **details) -> int:
        """Add a surface and return its row; arguments as in surface_row."""
        self._surfaces.append(surface_row(kind, colour, **details))
        return len(self._surfaces) - 1

    def triangles(self, surface, corners, *, normals=None, uv=None) -> None:
        """Add corners [T, 3, 3]; surface is a row or [T] rows; flat normals where none given."""
        corners = np.asarray(corners, np.float64)
        if normals is None:
            flat = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-12
            normals = np.repeat(flat[:, None], 3, axis=1)
        if uv is None:
            uv = np.zeros((len(corners), 3, 2))
        self._parts.append((corners, normals, uv, np.broadcast_to(surface, len(corners))))

    def quads(self, surface, corners, *, normals=None, uv=None) -> None:
        """Add corners [Q, 4, 3] as two triangles each; normals and uv per corner."""

        def split(values):
            if values is None:
                return None
            values = np.asarray(values, np.float64)
            return np.concatenate([values[:, [0, 1, 2]], values[:, [0, 2, 3]]])

        rows = np.broadcast_to(surface, len(corners))
        self.triangles(
            np.concatenate([rows, rows]), split(corners), normals=split(normals), uv=split(uv)
        )

    def grid(self, surface, points, *, uv, smooth: bool = True) -> None:
        """Add a sheet of points [n, m, 3] with uv [n, m, 2]; surface: row or [n-1, m-1] rows."""

        def cells(values):
            corners = (values[:-1, :-1], values[1:, :-1], values[1:, 1:], values[:-1, 1:])
            return np.stack(corners, axis=2).reshape(-1, 4, values.shape[-1])

        normals = None
        if smooth:
            normal = cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
            normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-12
            normals = cells(normal)
        rows = np.broadcast_to(surface, (points.shape[0] - 1, points.shape[1] - 1)).ravel()
        self.quads(rows, cells(points), normals=normals, uv=cells(uv))

    def box(self, surface, centre, half, *, yaw: float = 0.0, taper=(0, 0, 0, 0)) -> None:
        """Add a box; taper insets the top at +x, -x, +y, -y (metres); no bottom face."""
        hx, hy, hz = half
        front, back, left, right = taper
        points = np.array(
            [
                [-hx, -hy, -hz],
                [hx, -hy, -hz],
                [hx, hy, -hz],
                [-hx, hy, -hz],
                [-hx + back, -hy + right, hz],
                [hx - front, -hy + right, hz],
                [hx - front, hy - left, hz],
                [-hx + back, hy - left, hz],
            ]
        )
        points = points @ rotation_z(yaw).T + np.asarray(centre)
        wide = [2 * hx, 2 * hy, 2 * hx, 2 * hy]
        uv = [[[0, 0], [w, 0], [w, 2 * hz], [0, 2 * hz]] for w in wide]
        # The top carries negative v, by which facades know it.
        uv.append([[0, -1], [2 * hx, -1], [2 * hx, -1 - 2 * hy], [0, -1 - 2 * hy]])
        self.quads(surface, points[BOX_FACES], uv=np.array(uv))

    def tube(self, surface, start, end, radius_start, radius_end, *, sides: int = 8) -> None:
        """Add a cone or cylinder with caps between two points."""
        self.tubes(surface, [start], [end], [radius_start], [radius_end], sides=sides)

    def tubes(self, surface, starts, ends, radii_start, radii_end, *, sides: int = 8) -> None:
        """Add many cylinders at once: starts, ends [n, 3] and radii [n] in metres."""
        starts, ends = np.asarray(starts, float), np.asarray(ends, float)
        low_r, high_r = np.asarray(radii_start, float), np.asarray(radii_end, float)
        axis = ends - starts
        length = np.linalg.norm(axis, axis=1) + 1e-9
        axis = axis / length[:, None]
        level = np.where(np.abs(axis[:, 2:]) < 0.9, [[0, 0, 1.0]], [[1.0, 0, 0]])
        across = cross(axis, level)
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        angle = np.linspace(0, 2 * np.pi, sides + 1)[:, None]
        ring = np.cos(angle) * across[:, None] + np.sin(angle) * cross(axis, across)[:, None]
        low = starts[:, None] + low_r[:, None, None] * ring
        high = ends[:, None] + high_r[:, None, None] * ring
        quads = np.stack([low[:, :-1], low[:, 1:], high[:, 1:], high[:, :-1]], axis=2)
        normals = np.stack([ring[:, :-1], ring[:, 1:], ring[:, 1:], ring[:, :-1]], axis=2)
        uv = np.zeros((*quads.shape[:3], 2))
        u = angle[:, 0] * low_r[:, None]
        uv[..., 0] = np.stack([u[:, :-1], u[:, 1:], u[:, 1:], u[:, :-1]], axis=2)
        uv[..., 2:, 1] = length[:, None, None]
        uv, normals = uv.reshape(-1, 4, 2), normals.reshape(-1, 4, 3)
        self.quads(surface, quads.reshape(-1, 4, 3), normals=normals, uv=uv)
        for centre, circle, radius in ((starts, low, low_r), (ends, high, high_r)):
            hub = np.broadcast_to(centre[:, None], circle[:, 1:].shape)
            fan = np.stack([hub, circle[:, :-1], circle[:, 1:]], axis=2)[radius > 0.02]
            if len(fan):
                self.triangles(surface, fan.reshape(-1, 3, 3))

    def ellipsoid(self, surface, centre, radii, *, around: int = 10, up: int = 7, yaw=0.0) -> None:
        """Add an ellipsoid with radii [3]."""
        angle, tilt = np.meshgrid(
            np.linspace(0, 2 * np.pi, around + 1), np.linspace(-np.pi / 2, np.pi / 2, up + 1)
        )
        unit = np.stack(
            [np.cos(angle) * np.cos(tilt), np.sin(angle) * np.cos(tilt), np.sin(tilt)], axis=-1
        )
        R = rotation_z(yaw)
        normals = (unit / np.asarray(radii)) @ R.T
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        self._lathe(surface, (unit * radii) @ R.T + centre, normals, angle, tilt)

    def loft(self, surface, rings, *, squeeze: float = 1.0, around: int = 10) -> None:
        """Add a tube of elliptic rings: [n, 5] of x, y, z, radius x, radius y."""
        rings = np.asarray(rings, float)
        angle = np.linspace(0, 2 * np.pi, around + 1)
        x = rings[:, 0, None] + rings[:, 3, None] * np.cos(angle)
        y = rings[:, 1, None] + rings[:, 4, None] * np.sin(angle) * squeeze
        z = np.broadcast_to(rings[:, 2, None], x.shape)
        out = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
        normals = np.broadcast_to(out, (*x.shape, 3))
        u, v = np.broadcast_to(angle * 0.2, x.shape), z
        self._lathe(surface, np.stack([x, y, z], axis=-1), normals, u, v)

    def _lathe(self, surface, points, normals, u, v) -> None:
        def cells(a):
            corners = (a[:-1, :-1], a[:-1, 1:], a[1:, 1:], a[1:, :-1])
            return np.stack(corners, axis=2).reshape(-1, 4, a.shape[-1])

        uv = np.stack([u, v], axis=-1)
        self.quads(surface, cells(points), normals=cells(normals), uv=cells(uv))

    def finish(self) -> Mesh:
        """All shapes as one Mesh."""
        corners, normals, uv, surface = zip(*self._parts)
        return Mesh(
            corners=np.concatenate(corners).astype(np.float32),
            normals=np.concatenate(normals).astype(np.float32),
            uv=np.concatenate(uv).astype(np.float32),
            surface=np.concatenate(surface).astype(np.int32),
            surfaces=np.array(self._surfaces, np.float32).reshape(-1, ROW),
        )
