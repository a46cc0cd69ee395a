"""From a scene to what one camera sees at one moment: radiance, depth, instances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsmde_core.rig import Camera
from fsmde_core.street.bvh import build_bvh, gather
from fsmde_core.street.light import pack_light
from fsmde_core.street.mesh import Mesh
from fsmde_core.street.scene import Scene
from fsmde_core.street.surfaces import ObjectClass
from fsmde_core.street.trace import (
    BODY_COLUMNS,
    BODY_INSTANCE,
    LOWER,
    POSITION,
    ROOT,
    ROTATION,
    UPPER,
    World,
)
from fsmde_core.street.tracer import render

DEVICES = ("cpu", "cuda")


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
        meshes = [scene.static, scene.ego]
        which = {}
        for actor in scene.actors:
            if id(actor.mesh) not in which:
                which[id(actor.mesh)] = len(meshes)
                meshes.append(actor.mesh)
        self._mesh_of = [0, 1, *(which[id(actor.mesh)] for actor in scene.actors)]
        self._bounds = np.array([_bounds(mesh) for mesh in meshes])
        self._roots, self._arrays = _index(meshes)
        self._instances = [-1, int(ObjectClass.EGO), *(actor.instance for actor in scene.actors)]
        self._light = pack_light(scene.light)

    def poses(self, time_s: float) -> np.ndarray:
        """T_world_body [B, 4, 4] of what stands still, of the ego and of the actors at a time."""
        scene = self.scene
        moving = (actor.pose(scene.road, time_s) for actor in scene.actors)
        return np.stack([np.eye(4), scene.ego_pose(time_s), *moving])

    def world(self, time_s: float) -> World:
        """The scene's arrays at a time, the ego body and all actors in their places."""
        poses = self.poses(time_s)
        lower, upper = np.moveaxis(self._bounds[self._mesh_of], 1, 0)
        R, position = poses[:, :3, :3], poses[:, :3, 3]
        middle = np.einsum("bij,bj->bi", R, (lower + upper) / 2) + position
        # The box around the turned box, a little larger for rounding.
        half = np.einsum("bij,bj->bi", np.abs(R), (upper - lower) / 2) + 1e-3
        bodies = np.empty((len(poses), BODY_COLUMNS), np.float32)
        bodies[:, LOWER:UPPER] = middle - half
        bodies[:, UPPER:ROTATION] = middle + half
        bodies[:, ROTATION:POSITION] = R.reshape(-1, 9)
        bodies[:, POSITION:ROOT] = position
        bodies[:, ROOT] = self._roots[self._mesh_of]
        bodies[:, BODY_INSTANCE] = self._instances
        lamps = self.scene.lamps_near(poses[1])
        return World(**self._arrays, bodies=bodies, lamps=lamps, light=self._light)


def _bounds(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    corners = mesh.corners.reshape(-1, 3)
    return corners.min(axis=0), corners.max(axis=0)


def _index(meshes: list[Mesh]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Hierarchies over each mesh, their roots [len(meshes)], and World's arrays of geometry."""
    triangles = np.empty((sum(len(mesh.corners) for mesh in meshes), 9), np.float32)
    attributes = np.empty((len(triangles), 15), np.float32)
    surface_of = np.empty(len(triangles), np.int32)
    trees, roots, done, nodes, surfaces = [], [], 0, 0, 0
    for mesh in meshes:
        tree, order = build_bvh(mesh.corners)
        tree[:, 6] += np.where(tree[:, 7] < 0, nodes, done)
        mine = slice(done, done + len(order))
        gather(mesh.corners, mesh.normals, mesh.uv, order, triangles[mine], attributes[mine])
        surface_of[mine] = mesh.surface[order] + surfaces
        trees.append(tree)
        roots.append(nodes)
        done, nodes, surfaces = mine.stop, nodes + len(tree), surfaces + len(mesh.surfaces)
    return np.array(roots), {
        "nodes": np.concatenate(trees),
        "triangles": triangles,
        "attributes": attributes,
        "surface_of": surface_of,
        "surfaces": np.concatenate([mesh.surfaces for mesh in meshes]),
    }


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
