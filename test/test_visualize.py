import numpy as np

from fsmde_core.visualize import (
    BACKGROUND,
    BLUE,
    colour_depth,
    evaluation_panel,
    line_chart,
    surround_panel,
    view_from_above,
    view_from_behind,
)


def test_near_is_red_far_is_blue_and_nothing_is_black():
    near, far, none = colour_depth(np.array([[2.0, 80.0, np.nan]]))[0].astype(int)
    assert near[0] > near[2]
    assert far[2] > far[0]
    assert none.tolist() == [0, 0, 0]


def test_a_point_ahead_is_drawn_right_of_the_vehicle():
    xyz, rgb = np.array([[20.0, 0.0, 0.0]]), np.array([[9, 250, 9]], np.uint8)
    picture = view_from_above(xyz, rgb, width=900, height=300)
    rows, columns = np.nonzero((picture == [9, 250, 9]).all(axis=-1))
    assert rows.min() == 150 and columns.min() == 350 + 200  # 10 pixels a metre, 35 m behind


def test_a_roof_covers_the_street_below():
    xyz = np.array([[20.0, 0, 2], [20.0, 0, 0]])
    rgb = np.array([[250, 0, 0], [0, 250, 0]], np.uint8)
    picture = view_from_above(xyz, rgb, width=900, height=300)
    assert picture[150, 550].tolist() == [250, 0, 0]


def test_from_behind_the_near_point_is_large_and_covers_the_far_one():
    # the second lies on the drone's ray through the first, four times as far
    xyz = np.array([[-2.0, 0, 4], [28.0, 0, -5]])
    rgb = np.array([[250, 0, 0], [0, 250, 0]], np.uint8)
    near = view_from_behind(xyz, rgb, width=900, height=500)
    far = view_from_behind(xyz[1:], rgb[1:], width=900, height=500)
    reds = (near == [250, 0, 0]).all(axis=-1)
    greens = (far == [0, 250, 0]).all(axis=-1)
    assert reds.sum() > 4 * greens.sum() > 0
    assert not (near[greens] == [0, 250, 0]).all()


def test_the_panel_holds_all_cameras(rig, views):
    panel = surround_panel(
        [image for image, _ in views],
        [depth for _, depth in views],
        rig,
        xyz=np.zeros((1, 3)),
        rgb=np.zeros((1, 3), np.uint8),
        caption="test",
        width=1200,
    )
    assert panel.shape == (2 * round(200 * 180 / 320) + 408, 1200, 3)
    assert panel.dtype == np.uint8


def test_the_error_is_dark_where_right_white_where_wrong_and_absent_without_truth():
    image, prediction = np.zeros((100, 200, 3), np.uint8), np.full((50, 100), 10.0, np.float32)
    truth = np.zeros((100, 200), np.float32)
    truth[50, 50], truth[50, 150] = 10.0, 5.0
    panel = evaluation_panel([image], [prediction], [truth], ["front"], caption="", cell_width=200)
    assert panel.shape == (64 + 100, 4 * 200, 3)
    error = panel[64:, 600:].astype(int)
    assert error[50, 50].sum() < 30  # 10 m for 10 m
    assert error[50, 150].sum() > 600  # 10 m for 5 m
    assert (error[20, 20] == BACKGROUND).all()


def test_a_line_chart_has_its_points_in_place_and_gaps_where_nothing_is_known():
    x, y = np.array([0.0, 25.0, 50.0, 75.0, 100.0]), np.array([1.0, 0.5, np.nan, 0.5, 0.0])
    chart = line_chart(x, y, title="t", x_label="x", width=960, height=540)
    left, top, right, bottom = 70, 50, 930, 480
    for share, value in ((0.25, 0.5), (0.75, 0.5), (1.0, 0.0)):
        at = bottom - round((bottom - top) * value), left + round((right - left) * share)
        assert tuple(chart[at]) == BLUE
    assert not (chart[:, (left + right) // 2] == BLUE).all(axis=-1).any()
