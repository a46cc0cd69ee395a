"""Buildings with depth: every kind is sound, stands on the ground and keeps to its footprint."""

import numpy as np
import pytest

from fsmde_core.street.buildings.houses import KINDS, house_size, make_house
from fsmde_core.street.styles import COMMON_WALLS, PAINTED_WALLS

SEEDS = range(5)


def build(kind, seed, *, detail=True, walls=COMMON_WALLS):
    """A house of a seed and its half_x and half_y."""
    rng = np.random.default_rng(seed)
    size = house_size(rng, kind)
    return make_house(rng, kind, *size, walls=walls, detail=detail), size[:2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("detail", [True, False])
def test_a_house_is_sound_and_stands_on_its_footprint(kind, detail):
    for seed in SEEDS:
        mesh, half = build(kind, seed, detail=detail)
        assert np.isfinite(mesh.corners).all() and np.isfinite(mesh.uv).all()
        np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=-1), 1, atol=1e-3)
        assert 0 <= mesh.surface.min() and mesh.surface.max() < len(mesh.surfaces)
        assert len(mesh.corners) <= (15_000 if detail else 500)
        lower, upper = mesh.corners.min(axis=(0, 1)), mesh.corners.max(axis=(0, 1))
        assert -0.8 <= lower[2] <= 0.05
        assert (np.maximum(-lower[:2], upper[:2]) <= np.array(half) + 2.5).all()
        assert (np.maximum(-lower[:2], upper[:2]) >= np.array(half) * 0.8).any()


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_at_both_ends_of_their_ranges_are_built(kind):
    bounds = np.array(KINDS[kind][1:], float)
    for half_x in bounds[0]:
        for half_y, height in zip(bounds[1], bounds[2]):
            for walls in (COMMON_WALLS, PAINTED_WALLS):
                rng = np.random.default_rng(9)
                mesh = make_house(rng, kind, half_x, half_y, height, walls=walls)
                assert 40 < len(mesh.corners) <= 15_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_bytes_and_another_seed_another_house(kind):
    (first, _), (again, _), (other, _) = build(kind, 3), build(kind, 3), build(kind, 4)
    for name in ("corners", "normals", "uv", "surface", "surfaces"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert first.corners.tobytes() != other.corners.tobytes()


@pytest.mark.parametrize("kind", ["town house", "shops", "arcade", "villa"])
def test_both_long_sides_are_fronts(kind):
    # A street stands the same mesh on its left and on its right.
    mesh, (_, half_y) = build(kind, 1)
    y = mesh.corners[..., 1].mean(axis=1)
    near, far = (y < -0.9 * half_y).sum(), (y > 0.9 * half_y).sum()
    assert 0.3 < near / far < 3


def test_windows_lie_behind_the_wall_and_balconies_before_it():
    mesh, (_, half_y) = build("town house", 1)
    y = np.abs(mesh.corners[..., 1])
    flat = np.ptp(mesh.corners[..., 1], axis=1) < 1e-3
    behind = flat & (y.max(axis=1) < half_y - 0.05) & (y.max(axis=1) > half_y - 0.3)
    assert behind.sum() > 20
    assert y.max() > half_y + 0.1


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="unknown kind of house 'castle'"):
        make_house(np.random.default_rng(0), "castle", 5, 5, 5, walls=COMMON_WALLS)
