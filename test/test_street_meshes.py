"""Shapes of the street: hierarchy, vehicles, people, roads, sensor."""

import numpy as np
import pytest

from fsmde_core.street.bvh import build_bvh
from fsmde_core.street.mesh import MeshBuilder, merge
from fsmde_core.street.movers.cars import VEHICLE_KINDS, make_vehicle
from fsmde_core.street.movers.people import make_person
from fsmde_core.street.road import make_road
from fsmde_core.street.sensor import SensorConfig, expose
from fsmde_core.street.surfaces import PLAIN


def test_a_box_is_where_it_was_put():
    mesh = MeshBuilder()
    mesh.box(mesh.surface(PLAIN, (1, 1, 1)), (1, 2, 3), (0.5, 1, 1.5))
    corners = mesh.finish().corners.reshape(-1, 3)
    np.testing.assert_allclose(corners.min(axis=0), (0.5, 1, 1.5))
    np.testing.assert_allclose(corners.max(axis=0), (1.5, 3, 4.5))


def test_merged_meshes_keep_their_surfaces():
    parts = []
    for tone in (0.25, 0.75):
        mesh = MeshBuilder()
        mesh.box(mesh.surface(PLAIN, (tone, 0, 0)), (0, 0, 0), (1, 1, 1))
        parts.append(mesh.finish())
    both = merge(parts)
    tones = both.surfaces[both.surface, 1]
    assert (tones == np.repeat([0.25, 0.75], len(parts[0].corners)).astype(np.float32)).all()


def test_every_triangle_is_in_one_leaf_inside_its_boxes():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 10, (500, 1, 3)) + rng.uniform(0, 0.5, (500, 3, 3))
    corners = corners.astype(np.float32)
    nodes, order = build_bvh(corners)
    reached, stack = [], [(0, np.full(3, -np.inf), np.full(3, np.inf))]
    while stack:
        node, low, high = stack.pop()
        lower, upper = nodes[node, :3], nodes[node, 3:6]
        assert (lower >= low).all() and (upper <= high).all()
        first, count = nodes[node, 6:].astype(int)
        if count < 0:
            stack += [(first, lower, upper), (first + 1, lower, upper)]
        else:
            inside = corners[order[first : first + count]]
            assert (inside >= lower).all() and (inside <= upper).all()
            reached += range(first, first + count)
    assert sorted(reached) == list(range(500))


@pytest.mark.parametrize("kind", VEHICLE_KINDS)
def test_vehicles_have_a_plausible_size(kind):
    mesh, length = make_vehicle(np.random.default_rng(1), kind)
    corners = mesh.corners.reshape(-1, 3)
    assert corners[:, 2].min() > -0.05
    assert np.ptp(corners[:, 0]) == pytest.approx(length, abs=0.4)
    assert 1.5 < np.ptp(corners[:, 1]) < 3.2
    assert 1.2 < corners[:, 2].max() < 4.0


def test_people_are_as_tall_as_people():
    for seed in range(5):
        top = make_person(np.random.default_rng(seed)).corners[..., 2].max()
        assert 1.45 < top < 2.0


def test_road_coordinates():
    road = make_road(np.random.default_rng(4), rural=False)
    np.testing.assert_allclose(road.point(0.0, 0.0)[:2], 0, atol=0.05)
    apart = np.linalg.norm(road.point(30.0, 0.0) - road.point(20.0, 0.0))
    assert apart == pytest.approx(10.0, rel=0.02)


def test_a_perfect_sensor_keeps_grey_grey():
    none = SensorConfig(0, 0, 0, 0, 0, 0, 0, 0, 0)
    grey = np.full((8, 12, 3), 0.2, np.float32)
    image = expose(grey, 1.0, np.random.default_rng(0), none)
    assert image.dtype == np.uint8
    assert np.ptp(image) == 0
    noisy = expose(grey, 1.0, np.random.default_rng(0), SensorConfig())
    assert np.ptp(noisy) > 0
