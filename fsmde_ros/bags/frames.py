"""Where cameras sit, from the transforms of a recording."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from fsmde_core.geometry import make_transform, quaternion_to_rotation

BASE_FRAMES = ("base_link", "base_footprint", "ego_vehicle", "vehicle", "base", "ego", "car")
WORLD_FRAMES = ("odom", "map", "world")
MOVES_M, MOVES = 0.02, 0.005  # a transform that changes by more moves: metres, entries of rotation
OPTICAL = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], float)  # R of x forward from z forward
UPWARDS = 0.8  # cosine: an optical axis so steep belongs to a frame that is none


class FrameTree:
    """The frames of a recording and the transforms between them, as they first were."""

    def __init__(self):
        self._edges: dict[str, tuple[str, np.ndarray]] = {}
        self.moving: set[str] = set()
        """Frames that move in their parent's."""
        self._live: set[str] = set()
        """Frames that may move: somebody says again and again where they are."""
        self.bad: set[str] = set()
        """Frames whose quaternion is no rotation, or whose place is not finite."""

    def add(self, transforms: Iterable, *, live: bool = True) -> None:
        """Take TransformStamped messages; live: of /tf, not of /tf_static."""
        for stamped in transforms:
            parent, child = stamped.header.frame_id.lstrip("/"), stamped.child_frame_id.lstrip("/")
            q, t = stamped.transform.rotation, stamped.transform.translation
            quaternion = np.array([q.x, q.y, q.z, q.w])
            norm = np.linalg.norm(quaternion)
            if not abs(norm - 1) < 0.01 or not np.isfinite([t.x, t.y, t.z]).all():
                self.bad.add(child)
                continue
            rotation = quaternion_to_rotation(quaternion / norm)
            T_parent_child = make_transform(rotation, [t.x, t.y, t.z])
            if live:
                self._live.add(child)
            if child not in self._edges:
                self._edges[child] = parent, T_parent_child
                continue
            off = np.abs(T_parent_child - self._edges[child][1])
            if off[:3, 3].max() > MOVES_M or off[:3, :3].max() > MOVES:
                self.moving.add(child)

    def __bool__(self) -> bool:
        return bool(self._edges)

    def above(self, frame: str) -> list[str]:
        """A frame, its parent, and so on to the root."""
        path = [frame.lstrip("/")]
        while path[-1] in self._edges and self._edges[path[-1]][0] not in path:
            path.append(self._edges[path[-1]][0])
        return path

    def has_parent(self, frame: str) -> bool:
        """Whether a frame has its place in another one."""
        return frame.lstrip("/") in self._edges

    def base_of(self, frames: Sequence[str]) -> str:
        """The vehicle's frame: of a usual name, else the nearest that all are fixed to.

        Empty where there is none.
        """
        known = [frame for frame in frames if len(self.above(frame)) > 1]
        above = dict.fromkeys(parent for frame in known for parent in self.above(frame)[1:])
        for name in base_frames_of(above):
            return name
        every = dict.fromkeys(f for child in self._edges for f in self.above(child))
        for name in base_frames_of(every):  # not above the cameras, as where a LiDAR carries all
            if known and all(self.pose(name, frame) is not None for frame in known):
                return name
        shared = self._carriers(known[0]) if known else []
        for frame in shared:
            if all(frame in self._carriers(other) for other in known):
                return frame
        return ""

    def _carriers(self, frame: str) -> list[str]:
        """The frames above one that it does not move in."""
        path = self.above(frame)
        moving = next((i for i, child in enumerate(path) if child in self.moving), len(path))
        return path[1 : moving + 1]

    def fixed_frame_of(self, base: str) -> str:
        """The nearest frame that the vehicle moves in; empty where it moves in none.

        A vehicle that only stands while we look may move in odom, map and world all the same.
        """
        for child, parent in zip(self.above(base), self.above(base)[1:]):
            if child in self.moving or (child in self._live and _leaf(parent) in WORLD_FRAMES):
                return parent
        return ""

    def pose(self, base: str, frame: str) -> np.ndarray | None:
        """T_base_frame [4, 4]; None where the two are not connected, or only by what moves."""
        up, down = self.above(base), self.above(frame)
        joint = next((parent for parent in down if parent in up), None)
        if joint is None:
            return None
        up, down = up[: up.index(joint)], down[: down.index(joint)]
        if up and self.moving.intersection([*up, *down]):
            return None
        return np.linalg.inv(self._chained(up)) @ self._chained(down)

    def are_fixed(self, one: str, other: str) -> bool:
        """Whether two frames are connected, and by nothing that moves."""
        return self.pose(one, other) is not None and self.pose(other, one) is not None

    def _chained(self, path: Sequence[str]) -> np.ndarray:
        """The pose of a path's first frame in the parent of its last one."""
        T = np.eye(4)
        for child in path:
            T = self._edges[child][1] @ T
        return T


def base_frames_of(frames: Iterable[str]) -> list[str]:
    """Those of the usual names, the most usual first; as well below a prefix: robot1/base_link."""
    usual = [frame for frame in frames if _leaf(frame) in BASE_FRAMES]
    return sorted(usual, key=lambda frame: (BASE_FRAMES.index(_leaf(frame)), "/" in frame))


def _leaf(frame: str) -> str:
    return frame.rpartition("/")[2]


def is_body_frame(T_ego_cam: np.ndarray) -> bool:
    """Whether a camera's pose has an axis z that looks up, as a body's frame: no optical one."""
    return bool(T_ego_cam[2, 2] > UPWARDS)


def to_optical(T_ego_body: np.ndarray) -> np.ndarray:
    """T_ego_cam [4, 4] of a camera in a body frame: x forward, y left, z up."""
    return T_ego_body @ make_transform(OPTICAL, np.zeros(3))


def guessed_poses(names: Sequence[str], height_m: float = 1.5) -> list[np.ndarray]:
    """T_ego_cam of cameras of which only the names are known: a look around at one height."""
    poses = []
    for azimuth in np.deg2rad(_azimuths_deg(names)):
        c, s = np.cos(azimuth), np.sin(azimuth)
        heading = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        poses.append(make_transform(heading @ OPTICAL, [c, s, height_m]))
    return poses


def says_where(name: str) -> bool:
    """Whether a camera's name has words of where it looks."""
    return _azimuth_deg(name) is not None


def _azimuths_deg(names: Sequence[str]) -> list[float]:
    """As the words in the names have it; the others each into the middle of the widest gap.

    Where no name has such words, clockwise from the front.
    """
    azimuths = [_azimuth_deg(name) for name in names]
    if not any(map(says_where, names)):
        return [-360.0 * i / len(names) for i in range(len(names))]
    for i, azimuth in enumerate(azimuths):
        if azimuth is None:
            ring = sorted(known % 360 for known in azimuths if known is not None)
            gaps = [after - before for before, after in zip(ring, [*ring[1:], ring[0] + 360])]
            azimuths[i] = ring[int(np.argmax(gaps))] + max(gaps) / 2
    return azimuths


def _azimuth_deg(name: str) -> float | None:
    """Where a camera of this name looks, 0 forward, positive to the left; None: it does not say."""
    name = name.lower()
    ahead = any(word in name for word in ("front", "forward"))
    behind = any(word in name for word in ("back", "rear"))
    side = ("left" in name) - ("right" in name)
    if ahead:
        return 55.0 * side
    if behind:
        return side * 110.0 if side else 180.0
    return 90.0 * side if side else None
