"""Ground truth pixel for pixel as published: by hand, restated, and what their code gave.

The counts come from running dgp's generate_depth_map, SurroundDepth's export, VFDepth's
generate_depth_map and packnet-sfm's resize_depth_preserve on the real frames. There all pixels were
the same, and all depths: on DDAD to the bit, on nuScenes, which theirs has in float32, to 2e-5 m.
"""

import json

import numpy as np
import pytest

from fsmde_core.data import ddad, nuscenes
from fsmde_core.data.batch import RigDataset
from fsmde_core.data.sample import LidarSweep, Sample
from fsmde_core.evaluate.ground_truth import dgp_truth, nuscenes_truth, published_truth, shrunk
from fsmde_core.evaluate.protocols import PROTOCOLS
from fsmde_core.geometry import make_transform
from fsmde_core.rig import Camera, Rig, opencv_to_K

FORWARD = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
FOCAL_PX = 8.0  # a power of two: pixels that are written down are exact


@pytest.fixture
def flat():
    """A sample of one 16x8 camera at the vehicle's origin."""
    K = opencv_to_K(np.diag([FOCAL_PX, FOCAL_PX, 1]))
    camera = Camera("front", "front", 16, 8, K, make_transform(FORWARD, [0, 0, 0]))
    lidar = LidarSweep(None, 0, np.eye(4), np.eye(4))
    return Sample("s", "t", Rig((camera,)), (), (0,), np.eye(4)[None], lidar)


def clouds(*sweeps):
    """Sweeps of points that land on (u, v), centres at integers, at a depth."""
    return [
        (
            LidarSweep(None, 0, np.eye(4), np.eye(4)),
            np.array([[d, -u * d / FOCAL_PX, -v * d / FOCAL_PX] for u, v, d in sweep]),
        )
        for sweep in sweeps
    ]


def found(image):
    rows, columns = np.nonzero(image)
    return {(int(u), int(v)): float(image[v, u]) for u, v in zip(columns, rows)}


def test_dgp_truncates_towards_zero_and_the_last_in_the_file_stays(flat):
    one = clouds([(3.9, 2.1, 5), (3.1, 2.9, 9), (-0.9, -0.9, 4), (15.9, 7.9, 6), (-1.1, 3, 7)])
    assert found(dgp_truth(flat, 0, one)) == {(3, 2): 9, (0, 0): 4, (15, 7): 6}


def test_on_nuscenes_pixels_are_rounded_and_the_outer_half_depends_on_the_code(flat):
    one = clouds([(3.9, 2.1, 5), (4.1, 1.9, 9), (-0.4, 3, 4), (15.4, 7, 6), (-0.6, 3, 7)])
    inner = {(4, 2): 9}
    assert found(nuscenes_truth(flat, 0, one, outer_half_pixel=False)) == inner
    outer = inner | {(0, 3): 4, (15, 7): 6}
    assert found(nuscenes_truth(flat, 0, one, outer_half_pixel=True)) == outer


def test_the_keyframes_own_sweep_stays_where_several_meet(flat):
    both = clouds([(3, 2, 5)], [(3, 2, 4), (6, 6, 8)])  # past ones come second
    expected = {(3, 2): 5, (6, 6): 8}
    assert found(dgp_truth(flat, 0, both)) == expected
    assert found(nuscenes_truth(flat, 0, both, outer_half_pixel=True)) == expected


def test_shrinking_truncates_and_the_last_in_raster_order_stays():
    depth = np.zeros((8, 16), np.float32)
    depth[0, 1], depth[1, 0], depth[7, 15], depth[3, 4] = 5, 9, 6, 7
    assert found(shrunk(depth, (8, 4))) == {(0, 0): 9, (7, 3): 6, (2, 1): 7}
    assert np.array_equal(shrunk(depth, (16, 8)), depth)


NUSCENES = {  # in the order of the sensor table
    "surrounddepth": [3059, 3079, 3376, 4825, 4096, 3699],
    "vfdepth": [3052, 3076, 3370, 4822, 4070, 3698],
    "cvcdepth": [3059, 3079, 3376, 4825, 4096, 3699],
    "cvcdepth_shrunk": [3056, 3079, 3376, 4825, 4075, 3699],
}
DDAD = {
    "surrounddepth": [4822, 10820, 10305],
    "vfdepth": [4800, 10134, 9720],
    "cvcdepth": [4822, 10820, 10305],
    "cvcdepth_shrunk": [4800, 10134, 9720],
}


def truth_of(samples, module, dataset, name, small):
    protocol = PROTOCOLS[name]
    size = None if protocol.native_ground_truth else small
    truth = published_truth(dataset, protocol)
    return RigDataset(samples, module.read_points, size=size, truth=truth)[0].valid


@pytest.mark.parametrize("name", PROTOCOLS)
def test_real_frames_have_the_pixels_that_their_code_gives(nuscenes_root, ddad_scene, name):
    keyframes = nuscenes.read_keyframes(nuscenes_root, "v1.0-mini")
    valid = truth_of(keyframes, nuscenes, "nuscenes", name, (640, 352))
    assert valid.sum(axis=(1, 2)).tolist() == NUSCENES[name]
    valid = truth_of(ddad.read_scene(ddad_scene), ddad, "ddad", name, (640, 384))
    assert valid.sum(axis=(1, 2)).tolist() == DDAD[name]


def test_every_ddad_pixel_by_dgps_rule(ddad_scene):
    """Restated from the scene's own JSON, point by point."""
    sample = ddad.read_scene(ddad_scene)[0]
    points = ddad.read_points(sample.lidar)
    image = found(dgp_truth(sample, 1, [(sample.lidar, points)]))
    rounded, exact = (restated(ddad_scene, "CAMERA_05", points, t) for t in (np.float32, float))
    assert image.keys() == rounded.keys()
    assert max(abs(image[pixel] - rounded[pixel]) for pixel in image) < 1e-4
    assert image.keys() ^ exact.keys()  # what float32 moved into the next pixel


def restated(scene_json, name, points, number):
    """{(u, v): depth} of the first sample, poses and K as `number`."""
    data = json.loads(scene_json.read_text())["data"]
    calibration = json.loads(next((scene_json.parent / "calibration").iterdir()).read_text())
    k = calibration["intrinsics"][calibration["names"].index(name)]
    R_lidar, t_lidar = pose(data[0]["datum"]["point_cloud"]["pose"], number)
    (entry,) = [d for d in data[:4] if d["id"]["name"] == name]
    R_cam, t_cam = pose(entry["datum"]["image"]["pose"], number)
    image = {}
    for x, y, z in (points @ R_lidar.T + t_lidar - t_cam) @ R_cam:
        u = int(number(k["fx"]) * x / z + number(k["cx"]))
        v = int(number(k["fy"]) * y / z + number(k["cy"]))
        if z > 0 and 0 <= u < 1936 and 0 <= v < 1216:
            image[u, v] = z
    return image


def pose(entry, number):
    q = np.array([entry["rotation"][f"q{axis}"] for axis in "wxyz"], number).astype(float)
    w, v = q[0] / np.linalg.norm(q), q[1:] / np.linalg.norm(q)
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    R = np.eye(3) + 2 * w * cross + 2 * cross @ cross
    return R, np.array([entry["translation"][axis] for axis in "xyz"], number).astype(float)
