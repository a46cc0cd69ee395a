"""Obstacles from clouds: by hand, against streets whose surfaces are known, and over DDS."""

import numpy as np
import pytest
from graph import Graph
from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Header

from fsmde_core.runtime.predictor import Predictor
from fsmde_ros.cloud import POINT
from fsmde_ros.obstacles import GRID, SCAN, ObstacleFinder, ObstacleOptions

OPTIONS = ObstacleOptions(range_m=20.0, resolution_m=0.5, beams=36)


def cloud(*xyz):
    """Points of a cloud, each of xyz three times."""
    points = np.zeros(3 * len(xyz), POINT)
    for axis, values in zip("xyz", np.reshape(xyz, (-1, 3)).T):
        points[axis] = np.repeat(values, 3)
    return points


def seen(points, options=OPTIONS):
    finder = ObstacleFinder(options)
    found = finder(points)
    return finder.scan(found), finder.grid(found)


def cell(grid, x, y):
    side = grid.shape[0]
    return grid[int(y / 0.5 + side / 2), int(x / 0.5 + side / 2)]


@pytest.mark.parametrize(
    ("x", "y", "beam"),
    [(10.1, 0, 0), (0.1, 10.1, 9), (-10.1, 0.1, 18), (0, -10.1, 27), (10.1, -0.6, 0), (8, 8, 4)],
)
def test_the_scan_has_the_range_of_each_direction(x, y, beam):
    scan, grid = seen(cloud((x, y, 1.0)))
    assert scan[beam] == pytest.approx(np.hypot(x, y), abs=0.25)
    assert np.isnan(np.delete(scan, beam)).all()
    assert cell(grid, x, y) == 100 and (grid == 100).sum() == 1


def test_ground_and_what_is_driven_under_are_no_obstacle_but_room():
    scan, grid = seen(cloud((10, 0, 0.1), (12, 0, -0.4), (8, 0, 3.0)))
    assert scan[0] == np.inf
    assert cell(grid, 9, 0.1) == 0 and cell(grid, 11, 0.1) == 0  # as far as ground is seen
    assert cell(grid, 14, 0.1) == -1 and cell(grid, 0, 9) == -1
    scan, grid = seen(cloud((8, 0, 3.0)))  # of a bridge alone nothing follows for the ground
    assert scan[0] == np.inf and cell(grid, 6, 0.1) == -1


def test_behind_an_obstacle_nothing_is_known():
    scan, grid = seen(cloud((6, 0, 1.0), (15, 0, 0.0), (9, 0, 1.0)))
    assert scan[0] == pytest.approx(6, abs=0.3)
    assert cell(grid, 4, 0.1) == 0 and cell(grid, 12, 0.1) == -1
    assert cell(grid, 9.1, 0.1) == 100  # of the second one, which is seen over the first


def test_fewer_points_than_asked_for_are_none_and_what_is_beyond_is_not_told():
    lone = cloud((6, 0, 1.0))
    assert seen(lone[:1])[0][0] == np.inf
    assert seen(lone[:1], ObstacleOptions(20.0, min_points=1))[0].size
    scan, grid = seen(cloud((300, 5, 1.0), (19.9, 19.9, 1.0)))
    assert scan[0] == np.inf
    assert scan[4] == np.inf and cell(grid, 19.9, 19.9) == 100  # in a corner, beyond the circle
    assert (grid == 100).sum() == 1


def test_an_empty_cloud_says_nothing():
    scan, grid = seen(np.zeros(0, POINT))
    assert np.isnan(scan).all() and (grid == -1).all()


def test_many_points_are_found_as_few_are():
    points = np.concatenate([cloud((6, 0, 1.0)), cloud(*[(5, 12, 0.0)] * 40_000)])
    few, many = seen(cloud((6, 0, 1.0), (5, 12, 0.0))), seen(points)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(few, many))


def test_the_messages_say_where_their_numbers_lie():
    points, header = cloud((-3, 4, 1.0), (-1.6, 2.1, 0.0)), Header(frame_id="base_link")
    messages = ObstacleFinder(OPTIONS).messages(points, header, (SCAN, GRID))
    scan, grid = messages[SCAN], messages[GRID]
    angles = scan.angle_min + np.arange(len(scan.ranges)) * scan.angle_increment
    k = int(np.argmin(np.abs(angles - np.arctan2(4, -3))))
    assert scan.ranges[k] == pytest.approx(5, abs=0.25)
    assert scan.angle_max == pytest.approx(angles[-1]) and np.isnan(scan.ranges[0])
    data = np.reshape(grid.data, (grid.info.height, grid.info.width))
    corner, size = grid.info.origin.position, grid.info.resolution
    assert data[int((4 - corner.y) / size), int((-3 - corner.x) / size)] == 100
    assert data[int((1.6 - corner.y) / size), int((-1.2 - corner.x) / size)] == 0
    assert scan.header.frame_id == grid.header.frame_id == "base_link"


def test_streets_whose_surfaces_are_known(model_card, capsys):
    pytest.importorskip("numba", reason="numba renders the street")
    from fsmde_core.street.rigs import make_rig
    from fsmde_ros.tools.obstacles_rates import rates, scans_and_truth

    predictor = Predictor(model_card, providers=["CPUExecutionProvider"])
    seeds = (1_000_003, 1_000_004)
    streets = scans_and_truth(predictor, make_rig("nuscenes"), ObstacleOptions(), seeds=seeds)
    exact, _, truth = map(np.concatenate, zip(*streets))
    rows = rates(exact, truth)
    with capsys.disabled():
        for distance, there, missed, told, false in rows:
            print(f"\n{distance}: {missed:.1f} % of {there} missed, {false:.1f} % of {told} false")
    assert sum(there for _, there, *_ in rows) > 100
    missed = sum(there * share for _, there, share, *_ in rows if there)
    false = sum(told * share for *_, told, share in rows if told)
    assert missed < 10 * sum(there for _, there, *_ in rows)
    assert false < 5 * sum(told for *_, told, _ in rows)
    assert np.isnan(exact).mean() < 0.1


def test_the_node_publishes_them_beside_its_cloud(ros, rig, images, stub_model, tmp_path):
    more = ["publish_scan:=true", "publish_grid:=true", "obstacle_resolution_m:=0.5"]
    more += ["obstacle_beams:=72", "cloud_stride:=1"]  # the model sees 64 columns
    graph = Graph(rig, tmp_path, f"model:={stub_model}", *more, wait=False)
    graph.listen(LaserScan, SCAN)
    graph.listen(OccupancyGrid, GRID)
    graph.wait()
    try:
        points = graph.answer(graph.publish(images))[2]
        scans, grids = graph.received[SCAN], graph.received[GRID]
        graph.spin_until(lambda: scans and grids, "scan and grid")
        assert scans[0].header == grids[0].header == points.header
        front = rig.cameras[0].T_ego_cam[0, 3] + 10  # the model answers 10 m
        assert scans[0].ranges[len(scans[0].ranges) // 2] == pytest.approx(front, abs=0.3)
        assert grids[0].info.width == 120 and 100 in grids[0].data
        assert graph.set_parameter("obstacle_range_m", 8.0) == ""
        assert "is too fine for" in graph.set_parameter("obstacle_range_m", 400.0)
        graph.answer(graph.publish(images))
        graph.spin_until(lambda: grids[-1].info.width == 32, "a smaller grid")
        graph.spin_until(lambda: np.isinf(scans[-1].ranges).any(), "nothing in reach")
    finally:
        graph.close()
