"""The evaluation of a hand-made rig, by hand."""

import weakref

import cv2
import numpy as np
import pytest

from fsmde_core.data.batch import RigDataset
from fsmde_core.data.sample import LidarSweep, Sample, Samples
from fsmde_core.evaluate.evaluation import evaluate
from fsmde_core.evaluate.protocols import PROTOCOLS
from fsmde_core.evaluate.report import report
from fsmde_core.geometry import make_transform
from fsmde_core.rig import Camera, Rig

ABOUT = {"dataset": "x", "version": "", "split": "val", "model": "m", "device": "", "command": ""}
SIZE = 16, 8
AXES = {"front": [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], "back": [[0, 0, -1], [1, 0, 0], [0, -1, 0]]}


@pytest.fixture
def world(tmp_path):
    """Any number of samples: a point 10 m ahead, and behind one at 5 m + 1 m a sample."""
    cv2.imwrite(str(tmp_path / "image.png"), np.zeros((8, 16, 3), np.uint8))
    K = [[10.0, 0, 8], [0, 10.0, 4], [0, 0, 1]]
    cameras = tuple(Camera(n, n, *SIZE, K, make_transform(R, [0, 0, 0])) for n, R in AXES.items())
    files, poses = (tmp_path / "image.png",) * 2, np.stack([np.eye(4)] * 2)

    def build(scene, key):
        lidar = LidarSweep(tmp_path / key, 0, np.eye(4), np.eye(4))
        return Sample(scene, key, Rig(cameras), files, (0, 0), poses, lidar)

    def points(sweep):
        return np.array([[10.0, 0, 0], [-5.0 - int(sweep.file.name), 0, 0]])

    def make(count, predict, protocol="surrounddepth", max_depth_m=80.0, **options):
        samples = Samples([("s", str(i)) for i in range(count)], build)
        return evaluate(
            samples, RigDataset(samples, points), predict,
            protocol=PROTOCOLS[protocol], max_depth_m=max_depth_m, **options,
        )  # fmt: skip

    return make


def constant(depth_m):
    return lambda images, rig, sample: [np.full((4, 8), depth_m, np.float32) for _ in images]


def test_means_over_images_then_cameras_by_hand(world):
    evaluation, faults = world(2, constant(8.0))
    document = report(evaluation, faults, ABOUT)
    cameras = document["metric"]["cameras"]
    assert cameras["front"]["abs_rel"] == pytest.approx(0.2)  # |8 - 10| / 10, twice
    assert cameras["back"]["abs_rel"] == pytest.approx((3 / 5 + 2 / 6) / 2)
    assert document["metric"]["mean"]["abs_rel"] == pytest.approx((0.2 + 7 / 15) / 2)
    assert document["median_scaled"]["mean"]["abs_rel"] == pytest.approx(0)
    assert document["median_scale"]["back"] == pytest.approx((5 / 8 + 6 / 8) / 2)
    assert document["counts"]["back"] == {"images": 2, "pixels": 2}
    assert document["per_sample"]["s 0"]["abs_rel"] == pytest.approx((0.2 + 0.6) / 2)
    assert document["bands"]["all cameras"]["0-20 m"]["pixels"] == 4


def test_the_vfdepth_protocol_pools_four_samples(world):
    evaluation, faults = world(5, constant(8.0), "vfdepth")
    document = report(evaluation, faults, ABOUT)
    # behind: 5, 6, 7, 8 m form one group with (lower) median 6, 9 m the other
    assert document["median_scale"]["back"] == pytest.approx((6 / 8 + 9 / 8) / 2)
    first = (1 / 5 + 0 / 6 + 1 / 7 + 2 / 8) / 4
    back = document["median_scaled"]["cameras"]["back"]["abs_rel"]
    assert back == pytest.approx((first + 0) / 2)
    rmse = (np.sqrt((9 + 4 + 1 + 0) / 4) + 1) / 2
    assert document["metric"]["cameras"]["back"]["rmse"] == pytest.approx(rmse)


def test_cvcdepth_pools_four_samples_of_native_truth_and_masks_nothing(world):
    protocol = PROTOCOLS["cvcdepth"]
    assert protocol.native_ground_truth and not protocol.body_masks
    evaluation, faults = world(4, constant(8.0), "cvcdepth")
    back = report(evaluation, faults, ABOUT)["metric"]["cameras"]["back"]
    assert back["abs_rel"] == pytest.approx((3 / 5 + 2 / 6 + 1 / 7 + 0) / 4)
    assert back["rmse"] == pytest.approx(np.sqrt((9 + 4 + 1 + 0) / 4))


def test_truth_beyond_the_range_does_not_count_and_predictions_are_clipped(world):
    evaluation, faults = world(1, constant(500.0), max_depth_m=9.0)
    document = report(evaluation, faults, ABOUT)
    assert list(document["metric"]["cameras"]) == ["back"]  # 10 m ahead is beyond 9 m
    assert document["metric"]["mean"]["abs_rel"] == pytest.approx((9 - 5) / 5)


def test_no_surface_is_the_end_of_the_range(world):
    def half_sky(images, rig, sample):
        return [np.full((4, 8), 8.0, np.float32), np.full((4, 8), np.inf, np.float32)]

    evaluation, faults = world(1, half_sky)
    document = report(evaluation, faults, ABOUT)
    assert not faults
    assert document["metric"]["cameras"]["back"]["abs_rel"] == pytest.approx((80 - 5) / 5)
    assert document["median_scaled"]["cameras"]["back"]["abs_rel"] == pytest.approx(0)
    assert document["median_scale"]["back"] == pytest.approx(5 / 80)


def test_no_surface_does_not_spoil_its_neighbours(world):
    def edge(images, rig, sample):
        depth = np.full((3, 6), 8.0, np.float32)
        depth[:1] = np.inf
        return [depth, depth]

    evaluation, faults = world(1, edge)
    assert not faults and np.isfinite(evaluation.abs_rel)


def test_one_sample_at_a_time_is_in_memory(world):
    seen, alive = [], []

    def predict(images, rig, sample):
        alive.append(sum(ref() is not None for ref in seen))
        seen.append(weakref.ref(images))
        return constant(8.0)(images, rig, sample)

    evaluation, _ = world(50, predict)
    assert max(alive) == 0 and len(evaluation.per_sample) == 50


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0])
def test_a_prediction_that_is_no_depth_is_a_fault(world, bad):
    evaluation, faults = world(1, constant(bad))
    assert not evaluation.per_sample
    (fault,) = faults
    assert fault.sample == "s 0" and "front, sample 0: not a positive number at 1" in fault.reason


def test_strict_raises_the_first_fault(world):
    with pytest.raises(ValueError, match="not a positive number"):
        world(2, constant(np.nan), strict=True)
