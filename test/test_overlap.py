"""Two cameras that look the same way, b 2 m behind a, and points on their common axis."""

import numpy as np
import pytest

from fsmde_core.evaluate.overlap import View, nearest_around, overlap
from fsmde_core.geometry import invert_transform, make_transform

K = np.array([[100.0, 0, 50.5], [0, 100.0, 50.5], [0, 0, 1]])
B_BEHIND_A = make_transform(np.eye(3), [0, 0, 2.0])


def view(predicted_m, known):
    depth_gt = np.zeros((101, 101), np.float32)
    for (row, column), depth in known.items():
        depth_gt[row, column] = depth
    return View(depth_gt, np.full((101, 101), predicted_m, np.float32), K)


def test_both_predictions_become_depths_in_b():
    both = overlap(view(8.0, {(50, 50): 10.0}), view(12.5, {(50, 50): 12.0}), B_BEHIND_A)
    assert both.depth_from_a == pytest.approx([10.0])  # 8 m in a is 10 m in b
    assert both.depth_in_b == pytest.approx([12.5])


def test_the_true_point_says_where_b_is_asked():
    b = view(12.0, {})
    b.prediction[50, 58] = 99.0  # (10 / 100) * 10 m off the axis: 100 * 1 / 12 = 8 pixels in b
    both = overlap(view(3.0, {(50, 60): 10.0}), b, B_BEHIND_A)
    assert both.depth_in_b == pytest.approx([99.0])


def test_a_point_hidden_from_b_does_not_count():
    a = view(8.0, {(50, 50): 10.0})
    assert len(overlap(a, view(5.0, {(50, 51): 5.0}), B_BEHIND_A).depth_in_b) == 0
    assert len(overlap(a, view(5.0, {(50, 51): 11.5}), B_BEHIND_A).depth_in_b) == 1  # beside it


def test_points_outside_or_behind_b_do_not_count():
    a = view(8.0, {(50, 50): 10.0})
    turned = make_transform(np.diag([-1.0, 1, -1]), [0, 0, 0])
    assert len(overlap(a, view(8.0, {}), turned).depth_in_b) == 0
    aside = make_transform(np.eye(3), [6.0, 0, 0])  # 100 * 6 / 10 = 60 pixels, half an image is 50
    assert len(overlap(a, view(8.0, {}), aside).depth_in_b) == 0


def test_the_nearest_depth_around_a_pixel():
    near = nearest_around(view(1.0, {(50, 50): 7.0, (50, 51): 5.0}).depth_gt)
    assert near[50, 50] == 5.0 and near[50, 49] == 7.0
    assert np.isinf(near[0, 0]) and np.isinf(near[50, 40])


def test_exact_depths_of_a_world_agree(rig, views):
    sides = [View(d, np.where(d > 0, d, 500.0), c.K) for (_, d), c in zip(views, rig.cameras)]
    compared = 0
    for pair in rig.neighbours():
        for a, b in (pair, pair[::-1]):
            T_b_a = invert_transform(rig.cameras[b].T_ego_cam) @ rig.cameras[a].T_ego_cam
            both = overlap(sides[a], sides[b], T_b_a)
            off = np.abs(both.depth_from_a - both.depth_in_b) / both.depth_in_b
            compared += len(off)
            assert (off > 0.1).mean() < 0.01  # but for pixels on the edges of blocks
            assert np.median(off) < 0.02
    assert compared > 20_000
