import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsmde_core.geometry import (
    invert_transform,
    is_rotation,
    make_transform,
    pixel_centres,
    project,
    quaternion_to_rotation,
    rotation_to_quaternion,
    transform_points,
    unproject,
)

K = np.array([[100.0, 0, 32], [0, 100, 24], [0, 0, 1]])
QUARTER_LEFT = quaternion_to_rotation([0, 0, np.sqrt(0.5), np.sqrt(0.5)])  # 90 degrees about z


def test_a_pixel_unprojects_to_a_point_worked_out_by_hand():
    depth = np.full((48, 64), 10.0)
    points = unproject(depth, K)
    # centre of pixel (0, 0) is (0.5, 0.5): x = 10 * (0.5 - 32) / 100
    assert points[0, 0] == pytest.approx([-3.15, -2.35, 10.0])
    assert points[47, 63] == pytest.approx([3.15, 2.35, 10.0])


def test_project_undoes_unproject():
    depth = np.random.default_rng(0).uniform(1, 80, (48, 64))
    pixels, back = project(unproject(depth, K), K)
    assert np.allclose(back, depth)
    assert np.allclose(pixels, pixel_centres(64, 48))


def test_project_keeps_points_behind_the_camera_apart():
    pixels, depth = project(np.array([[1.0, 0, 0], [0, 0, -2]]), K)
    assert np.isnan(pixels[0]).all()
    assert depth.tolist() == [0, -2]


def test_a_quarter_turn_left_moves_forward_to_left():
    T = make_transform(QUARTER_LEFT, [1, 2, 3])
    assert transform_points(T, np.array([[5.0, 0, 0]])) == pytest.approx(np.array([[1, 7, 3]]))


def test_inverse_takes_points_back():
    T = make_transform(QUARTER_LEFT, [1, 2, 3])
    points = np.random.default_rng(0).normal(size=(5, 3))
    assert np.allclose(transform_points(invert_transform(T), transform_points(T, points)), points)
    stacked = np.stack([T, np.eye(4)])
    assert np.allclose(invert_transform(stacked) @ stacked, np.eye(4))


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.dot(q, q) > 0.01))
def test_quaternions_round_trip(values):
    q = np.array(values) / np.linalg.norm(values)
    R = quaternion_to_rotation(q)
    assert is_rotation(R)
    assert np.allclose(quaternion_to_rotation(rotation_to_quaternion(R)), R, atol=1e-6)


def test_a_quaternion_of_norm_two_is_refused():
    with pytest.raises(ValueError, match="norm 2"):
        quaternion_to_rotation([0, 0, 0, 2])


def test_a_mirror_is_no_rotation():
    assert not is_rotation(np.diag([1.0, 1, -1]))
    assert not is_rotation(1.01 * np.eye(3))
