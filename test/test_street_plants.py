"""Plants and what style world makes of them."""

import numpy as np
import pytest

from fsmde_core.street.placement import CLEAR_M, CLEAR_UP_M
from fsmde_core.street.plants.world import SPECIES, grass, hedge, plant
from fsmde_core.street.scene import SceneConfig, build_scene
from fsmde_core.street.surfaces import ObjectClass

WORLD = SceneConfig(style="world", drive_m=30.0)


@pytest.mark.parametrize("kind", SPECIES)
def test_a_plant_stands_on_the_ground_as_tall_as_its_kind(kind):
    grown = plant(kind, 0)
    corners, low, high = grown.mesh.corners, *SPECIES[kind].height_m
    assert -0.6 < corners[..., 2].min() < 0.0
    assert 0.75 * low < corners[..., 2].max() < 1.15 * high
    assert grown.radius_m < 0.8 * high + 1
    assert np.isfinite(corners).all() and len(corners) < 100_000
    assert np.allclose(np.linalg.norm(grown.mesh.normals, axis=-1), 1, atol=1e-3)
    assert plant(kind, 0) is grown  # made once


@pytest.mark.parametrize("kind", ["oak", "spruce", "birch", "shrub"])
def test_nothing_of_a_crown_floats(kind):
    """From the foot to the tip, triangles reach on from where those below them end."""
    z = plant(kind, 0).mesh.corners[..., 2]
    lower, upper = z.min(axis=1), z.max(axis=1)
    upwards = np.argsort(lower)
    reached = np.maximum.accumulate(upper[upwards])
    assert (lower[upwards][1:] - reached[:-1]).max() < 0.3


def test_plants_differ_by_variant_and_stretch_to_hedges():
    assert plant("oak", 0).mesh.corners.shape != plant("oak", 1).mesh.corners.shape
    assert np.ptp(hedge(0).mesh.corners[..., 0]) == pytest.approx(2.2, abs=0.2)
    assert 0.2 < grass(0).mesh.corners[..., 2].max() < 1.0


def test_a_street_of_the_world_is_full_and_its_way_is_free():
    crowds = 0
    for seed in (40, 41, 42):
        scene = build_scene(seed, WORLD)
        people = [
            body.T_world_mesh[:2, 3]
            for body in scene.placed
            if scene.instance_class[body.instance] == ObjectClass.PERSON
        ]
        start = scene.ego_pose(0.0)[:2, 3]
        crowds += sum(np.linalg.norm(at - start) < 30 for at in people) >= 5
        assert all(np.linalg.norm(a - b) > 0.4 for i, a in enumerate(people) for b in people[:i])
        green = [b for b in scene.placed if scene.instance_class[b.instance] == 5]
        assert ObjectClass.VEGETATION == 5 and len(green) > 300
        assert len({id(body.mesh) for body in green}) < 40  # shared
        path = np.stack([scene.ego_pose(t)[:3, 3] for t in np.linspace(0, 2, 30)])
        for body in green:
            near = np.abs(body.T_world_mesh[:2, 3] - path[:, :2]).max(axis=1).min() < 14
            if near:
                assert not hangs_into(body, path), f"seed {seed} at {body.T_world_mesh[:3, 3]}"
    assert 1 <= crowds <= 2  # of three streets


def hangs_into(body, path):
    T = body.T_world_mesh
    corners = body.mesh.corners.reshape(-1, 3) @ T[:3, :3].T + T[:3, 3]
    low = corners[corners[:, 2] < path[:, 2].max() + CLEAR_UP_M]
    for at in path:
        gap = np.linalg.norm(low[:, :2] - at[:2], axis=1)
        if ((gap < CLEAR_M) & (low[:, 2] < at[2] + CLEAR_UP_M)).any():
            return True
    return False
