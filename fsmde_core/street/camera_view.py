"""From a scene to what one camera sees at one moment: radiance, depth, instances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsmde_core.rig import Camera
from fsmde_core.street.bvh import build_bvh, join_bvhs
from fsmde_core.street.mesh import Mesh, merge
from fsmde_core.street.scene import Scene
from fsmde_core.street.surfaces import ObjectClass
from fsmde_core.street.tracer import World, pack_light, render


@dataclass(frozen=True)
class RenderConfig:
    """Cost and quality of the tracer."""

    samples: int = 4
    """Colour samples a pixel; the first is the pixel centre's ray, which gives the depth."""
    reflections: bool = True
    """Trace mirrored rays on glass and paint; otherwise they see the sky alone."""


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


@dataclass(frozen=True, eq=False)
class Geometry:
    """Flat triangles with their hierarchy; see tracer.World for the arrays."""

    nodes: np.ndarray
    triangles: np.ndarray
    attributes: np.ndarray
    surface_of: np.ndarray
    surfaces: np.ndarray


def index_mesh(mesh: Mesh) -> Geometry:
    """Build the hierarchy over a mesh."""
    corners = mesh.corners
    nodes, order = build_bvh(corners.min(axis=1), corners.max(axis=1))
    corners = corners[order]
    edges = (corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    count = len(corners)
    attributes = (mesh.normals[order].reshape(count, 9), mesh.uv[order].reshape(count, 6))
    return Geometry(
        nodes=nodes,
        triangles=np.ascontiguousarray(np.concatenate([corners[:, 0], *edges], axis=1)),
        attributes=np.ascontiguousarray(np.concatenate(attributes, axis=1)),
        surface_of=mesh.surface[order],
        surfaces=mesh.surfaces,
    )


class Stage:
    """A scene ready to be rendered: what stands still is indexed once, what moves per moment."""

    def __init__(self, scene: Scene):
        self.scene = scene
        self._static = index_mesh(scene.static)

    def world(self, time_s: float) -> World:
        """The scene's arrays at a time, the ego body and all actors in their places."""
        scene = self.scene
        T_world_ego = scene.ego_pose(time_s)
        R, position = T_world_ego[:3, :3].astype(np.float32), T_world_ego[:3, 3].astype(np.float32)
        body = scene.ego
        ego = Mesh(
            (body.corners @ R.T + position).astype(np.float32),
            body.normals @ R.T,
            body.uv,
            body.surface,
            body.surfaces,
        )
        moving = index_mesh(merge([ego, *(a.placed(scene.road, time_s) for a in scene.actors)]))
        still = self._static
        return World(
            nodes=join_bvhs(still.nodes, moving.nodes, len(still.triangles)),
            triangles=np.concatenate([still.triangles, moving.triangles]),
            attributes=np.concatenate([still.attributes, moving.attributes]),
            surface_of=np.concatenate(
                [still.surface_of, moving.surface_of + np.int32(len(still.surfaces))]
            ),
            surfaces=np.concatenate([still.surfaces, moving.surfaces]),
            lamps=scene.lamps_near(T_world_ego),
            light=pack_light(scene.light),
        )


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
    render(world, lens, seed % 2**24, config.samples, config.reflections, radiance, depth, instance)
    return View(radiance, depth, instance, instance == int(ObjectClass.EGO))
