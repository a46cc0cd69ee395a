"""Rendered depth against an independent ray cast, and what must hold for every street."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from fsmde_core.geometry import pixel_centres, pixel_rays
from fsmde_core.street.camera_view import RenderConfig, Stage, render_view
from fsmde_core.street.mesh import merge
from fsmde_core.street.rigs import make_rig
from fsmde_core.street.scene import SceneConfig, build_scene
from fsmde_core.street.styles import STYLES

RIG = make_rig("nuscenes").resized(80, 45)
DRAFT = RenderConfig(samples=1, reflections=False)


def look(stage, world, camera, config=DRAFT):
    pose, still = stage.scene.ego_pose(0.0), np.zeros(3)
    return render_view(world, camera, T_world_ego=pose, shutter_m=still, seed=1, config=config)


def embree_depth(mesh, T_world_cam, camera):
    """Depth [H, W] of the pixel centres' rays by Embree, 0 where they meet nothing."""
    trimesh = pytest.importorskip("trimesh", reason="trimesh casts the independent rays")
    pytest.importorskip("embreex", reason="embreex casts the independent rays")
    from trimesh.ray.ray_pyembree import RayMeshIntersector

    corners = mesh.corners.astype(np.float64).reshape(-1, 3)
    mesh = trimesh.Trimesh(corners, np.arange(len(corners)).reshape(-1, 3), process=False)
    centres = pixel_centres(camera.width, camera.height)
    rays = pixel_rays(camera.K, centres).reshape(-1, 3)
    directions = rays @ T_world_cam[:3, :3].T
    origins = np.broadcast_to(T_world_cam[:3, 3], directions.shape)
    points, which, _ = RayMeshIntersector(mesh, scale_to_box=False).intersects_location(
        origins, directions, multiple_hits=False
    )
    depth = np.zeros(len(rays))
    depth[which] = (points - origins[which]) @ T_world_cam[:3, 2]
    return depth.reshape(camera.height, camera.width)


def away_from_edges(depth):
    """Pixels whose eight neighbours lie within 5 % of their depth."""
    padded = np.pad(depth, 1, mode="edge")
    height, width = depth.shape
    shifts = [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return (depth > 0) & (np.ptp(shifts, axis=0) < 0.05 * np.maximum(depth, 1e-6))


def nearest(scene, count):
    """The scene with few of the bodies that share meshes: Embree gets each triangle of them."""
    far = np.linalg.norm([body.T_world_mesh[:2, 3] for body in scene.placed], axis=1)
    return replace(scene, placed=tuple(scene.placed[i] for i in np.argsort(far)[:count]))


def test_depth_of_shared_meshes_agrees_with_embree():
    seeds = (31, 35, 37, 40, 41)  # where a camera sees more than leaves, which are all edges
    world = SceneConfig(style="world")
    assert_as_embree([nearest(build_scene(seed, world), 40) for seed in seeds])


def test_depth_agrees_with_embree_on_ten_seeds():
    assert_as_embree([build_scene(seed) for seed in range(10)])


def assert_as_embree(scenes):
    errors, inner = [], []
    for seed, scene in enumerate(scenes):
        stage = Stage(scene)
        world = stage.world(0.0)
        camera = RIG.cameras[seed % len(RIG.cameras)]
        depth = look(stage, world, camera).depth
        placed = merge([mesh.transformed(T) for mesh, T in zip(stage.meshes(), stage.poses(0.0))])
        expected = embree_depth(placed, stage.scene.ego_pose(0.0) @ camera.T_ego_cam, camera)
        both = (depth > 0) & (expected > 0)
        error = np.abs(depth - expected) / np.maximum(expected, 1e-6)
        errors.append(error[both])
        inner.append(error[both & away_from_edges(expected)])
    inner = np.concatenate(inner)
    assert len(inner) > 200 * len(scenes)
    assert np.median(np.concatenate(errors)) < 1e-5
    assert (inner < 1e-3).mean() > 0.999


def test_ground_depth_by_hand():
    # A ray that meets the road tells the height of its camera above it.
    stage = Stage(build_scene(3))
    camera = RIG.cameras[0]
    view = look(stage, stage.world(0.0), camera)
    rays = pixel_rays(camera.K, pixel_centres(camera.width, camera.height))
    low = view.depth[-1, 40] * rays[-1, 40]
    T_world_cam = stage.scene.ego_pose(0.0) @ camera.T_ego_cam
    x, y, z = T_world_cam[:3, :3] @ low + T_world_cam[:3, 3]
    assert z == pytest.approx(float(stage.scene.road.height(x, y)), abs=0.02)


def test_same_seed_same_bytes():
    def digest(seed):
        stage = Stage(build_scene(seed, SceneConfig(drive_m=1.0)))
        view = look(stage, stage.world(0.0), RIG.cameras[2])
        return hashlib.sha256(view.radiance.tobytes() + view.depth.tobytes()).hexdigest()

    assert digest(11) == digest(11)
    assert digest(11) != digest(12)


@pytest.mark.parametrize("style", STYLES)
def test_no_camera_starts_inside_or_against_something(style):
    for seed in range(20, 24):
        stage = Stage(build_scene(seed, SceneConfig(style=style)))
        world = stage.world(0.0)
        for camera in RIG.resized(40, 22).cameras:
            view = look(stage, world, camera)
            assert np.isfinite(view.radiance).all()
            assert (view.radiance >= 0).all()
            seen = view.depth[(view.depth > 0) & ~view.ego_mask]
            assert seen.min() >= 0.5, f"seed {seed}, {camera.name}"


def test_what_is_no_street_is_refused():
    with pytest.raises(ValueError, match="seed -1 is negative"):
        build_scene(-1)
    with pytest.raises(ValueError, match="unknown style 'mars'; known: town, stress, world"):
        build_scene(0, SceneConfig(style="mars"))
