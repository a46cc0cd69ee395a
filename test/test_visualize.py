import numpy as np

from fsmde_core.visualize import colour_depth, surround_panel, view_from_above


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
    assert panel.shape == (2 * round(200 * 180 / 320) + 504, 1200, 3)
    assert panel.dtype == np.uint8
