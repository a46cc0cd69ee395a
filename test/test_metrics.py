"""Numbers worked out by hand."""

import numpy as np
import pytest

from fsmde_core.evaluate.metrics import (
    METRICS,
    NO_PIXELS,
    band_sums,
    error_sums,
    image_errors,
    median_scale,
)

P, D = np.array([2.0, 4.0, 10.0]), np.array([1.0, 4.0, 8.0])


def test_metrics_by_hand():
    values = dict(zip(METRICS, error_sums(P, D).metrics))
    assert values["abs_rel"] == pytest.approx((1 + 0 + 0.25) / 3)
    assert values["sq_rel"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert values["rmse"] == pytest.approx(np.sqrt(5 / 3))
    assert values["rmse_log"] == pytest.approx(np.sqrt((np.log(2) ** 2 + np.log(1.25) ** 2) / 3))
    assert values["delta_1"] == pytest.approx(1 / 3)  # 10 / 8 is 1.25, and not below it
    assert values["delta_2"] == values["delta_3"] == pytest.approx(2 / 3)


def test_too_near_counts_like_too_far_in_delta():
    assert error_sums(np.array([4.0]), np.array([5.2])).metrics[4] == 0
    assert error_sums(np.array([5.2]), np.array([4.0])).metrics[4] == 0
    assert error_sums(np.array([4.9]), np.array([4.0])).metrics[4] == 1


def test_sums_of_parts_add_up_to_the_whole():
    parts = error_sums(P[:1], D[:1]) + error_sums(P[1:], D[1:]) + NO_PIXELS
    assert parts.count == 3
    assert np.allclose(parts.metrics, error_sums(P, D).metrics)
    assert np.isnan(NO_PIXELS.metrics).all()


def test_bands_go_by_true_depth():
    near, far, none = band_sums(P, D, (0, 4, 20, 40))
    assert (near.count, far.count, none.count) == (1, 2, 0)  # 4 m belongs to 4-20
    assert near.metrics[0] == 1.0
    assert far.metrics[0] == pytest.approx(0.125)


def test_median_scale():
    assert median_scale(P, D) == 1.0  # medians 4 and 4
    assert median_scale(np.array([1.0, 2.0, 30.0]), np.array([3.0, 4.0, 5.0])) == 2.0


def test_of_an_even_number_the_lower_median_is_torchs():
    p, d = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 6.0, 8.0, 20.0])
    assert median_scale(p, d) == 7 / 2.5
    assert median_scale(p, d, lower=True) == 6 / 2
    assert median_scale(p[1:], d[1:], lower=True) == 8 / 3


def test_errors_of_images_count_what_is_counted_and_clip_to_the_range():
    predictions = np.array([[[2.0, 500.0]], [[1e-9, 4.0]], [[1.0, 1.0]]])
    depths = np.array([[[1.0, 40.0]], [[4.0, 4.0]], [[1.0, 1.0]]])
    counted = np.array([[[False, True]], [[True, True]], [[False, False]]])
    first, second, nothing = image_errors(predictions, depths, counted, max_depth_m=80.0)
    assert first.metrics[0] == 1.0 and first.count == 1  # 80 for 40
    assert second.metrics[0] == pytest.approx((4 - 1e-3) / 4 / 2)
    assert nothing.count == 0
