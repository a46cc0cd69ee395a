"""From a scene to what one camera sees at one moment: radiance, depth, instances."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from fsmde_core.rig import Camera
from fsmde_core.street.bvh import build_bvh, build_tops, gather
from fsmde_core.street.light import pack_light
from fsmde_core.street.mesh import Mesh
from fsmde_core.street.scene import Scene
from fsmde_core.street.surfaces import ObjectClass
from fsmde_core.street.trace import (
    BODY_COLUMNS,
    BODY_INSTANCE,
    LOWER,
    NORMALS,
    POSITION,
    ROOT,
    TINT,
    UPPER,
    World,
)
from fsmde_core.street.tracer import render

DEVICES = ("cpu", "cuda")
EGO = 1  # the own vehicle among Stage.meshes()


@dataclass(frozen=True)
class RenderConfig:
    """Cost and quality of the tracer."""

    samples: int = 4
    """Colour samples a pixel; the first is the pixel centre's ray, which gives the depth."""
    reflections: bool = True
    """Trace mirrored rays on glass and paint; otherwise they see the sky alone."""
    device: str = "cpu"
    """cpu or cuda; cuda needs the package numba-cuda and an NVIDIA GPU."""

    def __post_init__(self):
        if self.device not in DEVICES:
            raise ValueError(f"device {self.device!r} is unknown; known: {', '.join(DEVICES)}")


@dataclass(frozen=True, eq=False)
class View:
    """One camera's image before the sensor."""

    radiance: np.ndarray
    """[H, W, 3] float32, linear."""
    depth: np.ndarray
    """[H, W] float32 metres along the optical axis; 0 for sky. The ego body is included."""
    instance: np.ndarray
    """[H, W] int32 index of Scene.instance_class; -1 for sky."""
    ego_mask: np.ndarray
    """[H, W] bool: the pixel shows the ego's own body."""


class Stage:
    """A scene ready to be rendered: every mesh is indexed once, a moment only places them."""

    def __init__(self, scene: Scene):
        self.scene = scene
        self._bodies = [scene.static, scene.ego]
        self._bodies += [body.mesh for body in (*scene.placed, *scene.actors)]
        parts = {mesh: _indexed(mesh) for mesh in self._bodies}
        self._arrays, roots = _joined(list(parts.values()))
        root_of = dict(zip(parts, roots))
        self._root_of = np.array([root_of[mesh] for mesh in self._bodies], np.float32)
        self._bounds = np.array([parts[mesh].bounds for mesh in self._bodies])
        instances = [body.instance for body in (*scene.placed, *scene.actors)]
        self._instances = np.array([-1, int(ObjectClass.EGO), *instances], np.float32)
        tints = [body.tint for body in scene.placed]
        as_made = [(1.0, 1.0, 1.0)]
        self._tints = np.array([*2 * as_made, *tints, *len(scene.actors) * as_made], np.float32)
        self._placed = np.array([body.T_world_mesh for body in scene.placed]).reshape(-1, 4, 4)
        self._light = pack_light(scene.light)

    def poses(self, time_s: float) -> np.ndarray:
        """T_world_body [B, 4, 4] of what stands still, the ego and the actors at a time.

        In the order of meshes().
        """
        scene = self.scene
        moving = [actor.pose(scene.road, time_s) for actor in scene.actors]
        own = np.stack([np.eye(4), scene.ego_pose(time_s)])
        return np.concatenate([own, self._placed, np.array(moving).reshape(-1, 4, 4)])

    def meshes(self) -> list[Mesh]:
        """The mesh of every body: the street's, the ego's, those placed, the actors'."""
        return self._bodies

    def world(self, time_s: float, *, ego: bool = True) -> World:
        """The scene's arrays at a time, the ego body (unless not ego) and all actors in place."""
        poses = self.poses(time_s)
        lower, upper = np.moveaxis(self._bounds, 1, 0)
        A, position = poses[:, :3, :3], poses[:, :3, 3]
        middle = np.einsum("bij,bj->bi", A, (lower + upper) / 2) + position
        # The box around the turned box, a little larger for rounding.
        half = np.einsum("bij,bj->bi", np.abs(A), (upper - lower) / 2) + 1e-3
        bodies = np.empty((len(poses), BODY_COLUMNS), np.float32)
        bodies[:, LOWER:UPPER] = middle - half
        bodies[:, UPPER:NORMALS] = middle + half
        bodies[:, NORMALS:POSITION] = np.linalg.inv(A).transpose(0, 2, 1).reshape(-1, 9)
        bodies[:, POSITION:ROOT] = position
        bodies[:, ROOT] = self._root_of
        bodies[:, BODY_INSTANCE] = self._instances
        bodies[:, TINT:BODY_COLUMNS] = self._tints
        if not ego:
            bodies = np.delete(bodies, EGO, axis=0)
        tops, order = build_tops(bodies[:, LOWER:NORMALS].copy())
        lamps = self.scene.lamps_near(poses[EGO])
        return World(
            tops=tops, bodies=bodies[order], lamps=lamps, light=self._light, **self._arrays
        )


@dataclass(frozen=True, eq=False)
class Indexed:
    """A mesh as World has it, alone: its triangles are in the order of the leaves."""

    bounds: np.ndarray
    """[2, 3]: lower and upper corner."""
    nodes: np.ndarray
    triangles: np.ndarray
    attributes: np.ndarray
    surface_of: np.ndarray
    surfaces: np.ndarray


# What streets share is indexed once: it lives as long as its mesh does.
_INDEX: WeakKeyDictionary[Mesh, Indexed] = WeakKeyDictionary()


def _indexed(mesh: Mesh) -> Indexed:
    if mesh not in _INDEX:
        nodes, order = build_bvh(mesh.corners)
        triangles = np.empty((len(order), 9), np.float32)
        attributes = np.empty((len(order), 15), np.float32)
        gather(mesh.corners, mesh.normals, mesh.uv, order, triangles, attributes)
        corners = mesh.corners.reshape(-1, 3)
        bounds = np.stack([corners.min(axis=0), corners.max(axis=0)])
        surfaces = (mesh.surface[order], mesh.surfaces)
        _INDEX[mesh] = Indexed(bounds, nodes, triangles, attributes, *surfaces)
    return _INDEX[mesh]


def _joined(parts: list[Indexed]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """World's arrays of geometry, and the root [len(parts)] of each part."""
    nodes, triangles, surfaces = (
        np.cumsum([0, *(len(getattr(part, key)) for part in parts[:-1])])
        for key in ("nodes", "triangles", "surfaces")
    )
    trees = np.concatenate([part.nodes for part in parts])
    shifts = np.repeat(np.stack([nodes, triangles]), [len(part.nodes) for part in parts], axis=1)
    trees[:, 6] += np.where(trees[:, 7] < 0, *shifts)
    return {
        "nodes": trees,
        "triangles": np.concatenate([part.triangles for part in parts]),
        "attributes": np.concatenate([part.attributes for part in parts]),
        "surface_of": np.concatenate([part.surface_of + k for part, k in zip(parts, surfaces)]),
        "surfaces": np.concatenate([part.surfaces for part in parts]),
    }, nodes


def render_view(
    world: World,
    camera: Camera,
    *,
    T_world_ego: np.ndarray,
    shutter_m: np.ndarray,
    seed: int,
    config: RenderConfig,
) -> View:
    """Render one camera.

    T_world_ego [4, 4] is the pose at the stamp; shutter_m [3] is the way of the ego during the
    exposure, in the world; seed drives the spread of the samples only.
    """
    T_world_cam = T_world_ego @ camera.T_ego_cam
    K = camera.K
    lens = (
        K[0, 0], K[1, 1], K[0, 2], K[1, 2], K[0, 1],
        np.ascontiguousarray(T_world_cam[:3, :3]),
        np.ascontiguousarray(T_world_cam[:3, 3]),
        np.asarray(shutter_m, np.float64),
    )  # fmt: skip
    radiance = np.empty((camera.height, camera.width, 3), np.float32)
    depth = np.empty((camera.height, camera.width), np.float32)
    instance = np.empty((camera.height, camera.width), np.int32)
    images = (radiance, depth, instance)
    paths = (seed % 2**24, config.samples, config.reflections)
    _kernel(config.device)(world, lens, paths, *images)
    return View(radiance, depth, instance, instance == int(ObjectClass.EGO))


def _kernel(device: str):
    """The renderer of a device; RuntimeError where the machine lacks what it needs."""
    if device == "cpu":
        return render
    try:
        from fsmde_core.street.cuda_render import render_on_gpu
    except ImportError as error:
        raise RuntimeError(f"device 'cuda' needs the package numba-cuda: {error}") from error
    return render_on_gpu
