"""Every kind of thing that stands along a road: its mesh, its footprint, its bytes."""

import numpy as np
import pytest

from fsmde_core.street.movers.heavy import HEAVY_KINDS, make_heavy
from fsmde_core.street.props.barriers import BARRIER_KINDS, PIECE_M, make_barrier
from fsmde_core.street.props.clutter import CLUTTER_KINDS, make_clutter, make_primitives
from fsmde_core.street.props.posts import POST_KINDS, make_post
from fsmde_core.street.props.solids import Prop
from fsmde_core.street.props.spanning import SPANNING_KINDS, make_spanning
from fsmde_core.street.props.structures import STRUCTURE_KINDS, WALL_KINDS, make_structure
from fsmde_core.street.props.works import WORKS_KINDS, make_works

HALF_ROAD_M = 6.0


def span(rng, kind):
    return make_spanning(rng, kind, HALF_ROAD_M)


def heavy(rng, kind):
    return Prop.of(make_heavy(rng, kind)[0])


MAKERS = {
    make_barrier: BARRIER_KINDS,
    make_clutter: CLUTTER_KINDS,
    make_post: POST_KINDS,
    make_structure: STRUCTURE_KINDS,
    make_works: WORKS_KINDS,
    span: SPANNING_KINDS,
    heavy: HEAVY_KINDS,
}
EVERY = [(make, kind) for make, kinds in MAKERS.items() for kind in kinds]


def made(make, kind, seed):
    return make(np.random.default_rng(seed), kind)


@pytest.mark.parametrize("make, kind", EVERY, ids=[kind for _, kind in EVERY])
def test_kind(make, kind):
    for seed in range(4):
        prop = made(make, kind, seed)
        mesh = prop.mesh
        corners = mesh.corners.reshape(-1, 3)
        assert np.isfinite(corners).all()
        assert np.isfinite(mesh.uv).all()
        edges = mesh.corners[:, 1:] - mesh.corners[:, :1]
        area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
        solid = area > 1e-9
        assert solid.mean() > 0.5
        # A triangle of no area is never hit; every other one has a direction.
        length = np.linalg.norm(mesh.normals[solid], axis=-1)
        assert np.abs(length - 1).max() < 1e-3
        assert -0.6 < corners[:, 2].min() < 0.05
        assert len(mesh.corners) < 25_000
        assert mesh.surface.max() < len(mesh.surfaces)
        assert 0 <= mesh.surfaces[:, 1:7].min() and mesh.surfaces[:, 1:7].max() < 1.0
        assert np.allclose([prop.half_x, prop.half_y], np.abs(corners[:, :2]).max(axis=0))
        assert 0.05 < prop.half_x < 30 and prop.half_y < 40 and 0.08 < prop.height < 30
        again = made(make, kind, seed).mesh
        assert again.corners.tobytes() == mesh.corners.tobytes()
        assert again.surfaces.tobytes() == mesh.surfaces.tobytes()


def test_nothing_spanning_hangs_into_the_way():
    for kind in SPANNING_KINDS:
        for seed in range(6):
            mesh = made(span, kind, seed).mesh
            low = mesh.corners[mesh.corners[..., 2].min(axis=1) < 4.4]
            assert np.abs(low[..., 1]).min() >= HALF_ROAD_M - 0.05, (kind, seed)


def test_pieces_join():
    for seed in range(6):
        for kind in ("guard rail", "jersey", "kerb", "palisade", "chain link", "railing"):
            mesh = made(make_barrier, kind, seed).mesh
            reach = np.abs(mesh.corners[..., 0]).max()
            assert abs(reach - PIECE_M / 2) < 0.12
        for kind in WALL_KINDS:
            x = made(make_structure, kind, seed).mesh.corners[..., 0]
            assert abs(x.min() + x.max()) < 0.05, kind


def test_heavy_vehicles_are_as_long_as_said():
    for kind in HEAVY_KINDS:
        mesh, length = make_heavy(np.random.default_rng(3), kind)
        assert np.ptp(mesh.corners[..., 0]) == pytest.approx(length, abs=0.01)
        assert 2.5 < length < 26


def test_primitives_differ_from_seed_to_seed():
    first, second = (make_primitives(np.random.default_rng(seed)).mesh for seed in (0, 1))
    assert first.surfaces.tobytes() != second.surfaces.tobytes()


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="'moat'"):
        make_barrier(np.random.default_rng(0), "moat")
