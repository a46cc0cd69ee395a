"""Triangle meshes with smooth normals and texture coordinates, put together from solid shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numba import njit

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

    def without(self, triangles: np.ndarray) -> Mesh:
        """The mesh without some of its triangles, [T] bool."""
        rest = {k: getattr(self, k)[~triangles] for k in ("corners", "normals", "uv", "surface")}
        return replace(self, **rest)

    def transformed(self, T: np.ndarray) -> Mesh:
        """The mesh moved by T [4, 4]."""
        R = T[:3, :3].T.astype(np.float32)
        corners = self.corners.reshape(-1, 3) @ R + T[:3, 3].astype(np.float32)
        normals = self.normals.reshape(-1, 3) @ R
        shape = self.corners.shape
        return replace(self, corners=corners.reshape(shape), normals=normals.reshape(shape))

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


def rotation_x(roll: float) -> np.ndarray:
    """Rotation [3, 3] about x; positive roll in radians turns y towards z."""
    c, s = np.cos(roll), np.sin(roll)
    return np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])


@njit(cache=True)
def _cross(a, b):
    return np.array(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    )


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross product of [..., 3]; for the many small shapes much faster than numpy's general one."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


@njit(cache=True)
def _box(shape):
    """Faces [5, 4, 3] and uv [5, 4, 2] of a box: centre, half, yaw, taper as in MeshBuilder.box."""
    half, taper = shape[3:6], shape[7:]
    c, s = math.cos(shape[6]), math.sin(shape[6])
    points = np.empty((8, 3))
    for k in range(8):
        x, y = half[0] * (1 if k % 4 in (1, 2) else -1), half[1] * (1 if k % 4 > 1 else -1)
        if k > 3:
            x += -taper[0] if x > 0 else taper[1]
            y += -taper[2] if y > 0 else taper[3]
        points[k, 0], points[k, 1] = shape[0] + c * x - s * y, shape[1] + s * x + c * y
        points[k, 2] = shape[2] + half[2] * (1 if k > 3 else -1)
    corners, uv = np.empty((5, 4, 3)), np.zeros((5, 4, 2))
    for face in range(5):
        for k in range(4):
            corners[face, k] = points[BOX_FACES[face, k]]
        # The top carries negative v, by which facades know it.
        across, up = 2 * half[face % 2 if face < 4 else 0], 2 * half[2]
        base = 0.0 if face < 4 else -1.0
        uv[face, 1, 0] = uv[face, 2, 0] = across
        uv[face, 0, 1] = uv[face, 1, 1] = base
        uv[face, 2, 1] = uv[face, 3, 1] = up if face < 4 else base - 2 * half[1]
    return corners, uv


@njit(cache=True)
def _tubes(lines, sides):
    """Sides, their normals and uv, and caps [C, 3, 3] of lines [n, 8]: start, end, two radii."""
    count = len(lines)
    corners, normals = np.empty((count, sides, 4, 3)), np.empty((count, sides, 4, 3))
    uv, caps = np.zeros((count, sides, 4, 2)), np.empty((2 * count * sides, 3, 3))
    capped = 0
    for n in range(count):
        start, end, low, high = lines[n, :3], lines[n, 3:6], lines[n, 6], lines[n, 7]
        axis = end - start
        length = math.sqrt((axis**2).sum()) + 1e-9
        axis /= length
        across = np.empty(3)
        if abs(axis[2]) < 0.9:
            across[:] = axis[1], -axis[0], 0.0
        else:
            across[:] = 0.0, axis[2], -axis[1]
        across /= math.sqrt((across**2).sum())
        beside = _cross(axis, across)
        for k in range(sides):
            for side in range(2):
                angle = 2 * math.pi * (k + side) / sides
                ring = math.cos(angle) * across + math.sin(angle) * beside
                a, b = side, 3 - side  # corners on the start's ring and on the end's
                corners[n, k, a], corners[n, k, b] = start + low * ring, end + high * ring
                normals[n, k, a], normals[n, k, b] = ring, ring
                uv[n, k, a, 0], uv[n, k, b, 0], uv[n, k, b, 1] = angle * low, angle * low, length
            for radius, hub, a, b in ((low, start, 0, 1), (high, end, 3, 2)):
                if radius > 0.02:
                    caps[capped, 0] = hub
                    caps[capped, 1], caps[capped, 2] = corners[n, k, a], corners[n, k, b]
                    capped += 1
    flat = count * sides
    shaped = corners.reshape(flat, 4, 3), normals.reshape(flat, 4, 3), uv.reshape(flat, 4, 2)
    return *shaped, caps[:capped]


class MeshBuilder:
    """Collects shapes; finish() returns the Mesh.

    Shapes are only noted here and worked out together in finish(): there are thousands of them.
    """

    def __init__(self):
        self._shapes: dict[tuple[int, bool], list[tuple]] = {}
        self._surfaces: list[list[float]] = []

    def surface(self, kind: int, colour, **details) -> int:
        """Add a surface and return its row; arguments as in surface_row."""
        self._surfaces.append(surface_row(kind, colour, **details))
        return len(self._surfaces) - 1

    def triangles(self, surface, corners, *, normals=None, uv=None) -> None:
        """Add corners [T, 3, 3] or quadrangles [T, 4, 3]; surface is a row or [T] rows.

        normals and uv are per corner; flat normals and zero uv where none are given.
        """
        count, sides = corners.shape[:2]
        rows = np.full(count, surface) if np.ndim(surface) == 0 else surface
        uv = np.zeros((count, sides, 2)) if uv is None else uv
        shapes = self._shapes.setdefault((sides, normals is None), [])
        shapes.append((corners, corners if normals is None else normals, uv, rows))

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
        self.triangles(rows, cells(points), normals=normals, uv=cells(uv))

    def box(self, surface, centre, half, *, yaw: float = 0.0, taper=(0, 0, 0, 0)) -> None:
        """Add a box; taper insets the top at +x, -x, +y, -y (metres); no bottom face."""
        corners, uv = _box(np.array((*centre, *half, yaw, *taper), float))
        self.triangles(surface, corners, uv=uv)

    def tube(self, surface, start, end, radius_start, radius_end, *, sides: int = 8) -> None:
        """Add a cone or cylinder with caps between two points."""
        self.tubes(surface, [start], [end], [radius_start], [radius_end], sides=sides)

    def tubes(self, surface, starts, ends, radii_start, radii_end, *, sides: int = 8) -> None:
        """Add many cylinders at once: starts, ends [n, 3] and radii [n] in metres."""
        lines = np.empty((len(starts), 8))
        lines[:, :3], lines[:, 3:6], lines[:, 6], lines[:, 7] = starts, ends, radii_start, radii_end
        corners, normals, uv, caps = _tubes(lines, sides)
        self.triangles(surface, corners, normals=normals, uv=uv)
        if len(caps):
            self.triangles(surface, caps)

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
        uv = np.stack([angle, tilt], axis=-1)
        self.sheet(surface, (unit * radii) @ R.T + centre, normals=normals, uv=uv)

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
        points, uv = np.stack([x, y, z], axis=-1), np.stack([u, v], axis=-1)
        self.sheet(surface, points, normals=normals, uv=uv)

    def sheet(self, surface, points, *, normals, uv) -> None:
        """Add a sheet of points [n, m, 3] with normals [n, m, 3] and uv [n, m, 2]."""

        def cells(a):
            corners = (a[:-1, :-1], a[:-1, 1:], a[1:, 1:], a[1:, :-1])
            return np.stack(corners, axis=2).reshape(-1, 4, a.shape[-1])

        self.triangles(surface, cells(points), normals=cells(normals), uv=cells(uv))

    def finish(self) -> Mesh:
        """All shapes as one Mesh."""
        parts = [
            _worked_out(*map(np.concatenate, zip(*shapes)), flat=flat)
            for (_, flat), shapes in sorted(self._shapes.items())
        ]
        corners, normals, uv, rows = map(np.concatenate, zip(*parts))
        surfaces = np.array(self._surfaces, np.float32).reshape(-1, ROW)
        return Mesh(corners, normals, uv, rows.astype(np.int32), surfaces)


def _worked_out(corners, normals, uv, rows, *, flat: bool):
    """Triangles in single precision of shapes of three or four corners."""
    if corners.shape[1] == 4:
        halves = np.array([[0, 1, 2], [0, 2, 3]])
        corners, normals, uv = (
            values[:, halves].reshape(-1, 3, values.shape[-1]) for values in (corners, normals, uv)
        )
        rows = np.repeat(rows, 2)
    if flat:
        normal = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
        normals = np.broadcast_to(normal[:, None], corners.shape)
    return (*(values.astype(np.float32) for values in (corners, normals, uv)), rows)
