"""The returns of the simulated LiDAR, kept when a street is rendered, as truth to learn from."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from fsmde_core.data.sample import DatasetError
from fsmde_core.distill.config import DataConfig, DistillConfig
from fsmde_core.distill.stream import SampleStream, open_split
from fsmde_core.geometry import transform_points, unproject
from fsmde_core.network.student import StudentConfig
from fsmde_core.street import cache
from fsmde_core.street.cache import open_cache
from fsmde_core.street.sensor import LidarConfig

ARGUMENTS = "--split val --streets 1 --poses 1 --rigs nuscenes --width 320 --height 192 --workers 1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of one rendered sample."""
    folder = tmp_path_factory.mktemp("street")
    assert cache.main([*ARGUMENTS.split(), "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def old_folder(folder, tmp_path):
    """The same as it was rendered before returns were kept."""
    old = shutil.copytree(folder, tmp_path / "old")
    (file,) = old.glob("*.npz")
    with np.load(file) as arrays:
        kept = {name: arrays[name] for name in arrays.files if not name.startswith("return")}
    np.savez(file, **kept)
    return old


def both(folder):
    """The sample with the depth of every pixel, and with the LiDAR's returns."""
    return (open_cache(folder, lidar=lidar)[0][0] for lidar in (False, True))


def test_returns_are_sparse_and_where_the_depth_is(folder):
    dense, seen = both(folder)
    assert np.array_equal(dense.images, seen.images)
    assert np.array_equal(seen.depth_gt > 0, seen.valid)
    assert 0.005 < seen.valid.mean() < 0.1
    assert not (seen.valid & seen.mask).any()
    hit = seen.valid & dense.valid
    off = np.abs(seen.depth_gt / np.where(hit, dense.depth_gt, 1) - 1)[hit]
    # beside the noise of the range: a pixel is large, and the LiDAR sees over things
    assert np.quantile(off, 0.6) < 0.05


def test_returns_come_from_where_the_sensor_stands(folder):
    """Seen from there they lie on 32 beams; from the vehicle's origin they do not."""
    _, seen = both(folder)
    config = LidarConfig()
    spacing_deg = (config.highest_deg - config.lowest_deg) / (config.beams - 1)

    def off_beam_deg(position):
        off = []
        for depth, K, T_ego_cam in zip(seen.depth_gt, seen.K, seen.T_ego_cam):
            points = transform_points(T_ego_cam, unproject(depth, K))[depth > 0] - position
            elevation = np.rad2deg(np.arctan2(points[:, 2], np.hypot(*points[:, :2].T)))
            beam = (elevation - config.lowest_deg) / spacing_deg
            off.append(np.abs(beam - np.round(beam)) * spacing_deg)
        return np.mean(np.concatenate(off))

    assert off_beam_deg(config.position_m) < 0.6 * off_beam_deg((0.0, 0.0, config.position_m[2]))


def test_a_street_without_returns_still_teaches_dense_depth(old_folder, folder):
    samples = open_split(DataConfig(train=str(old_folder)), train=True)
    (new, _), old = both(folder), samples[0]
    assert np.array_equal(old.depth_gt, new.depth_gt) and old.valid.mean() > 0.3
    validation = DataConfig(train=str(old_folder), val=str(old_folder), truth="lidar")
    assert open_split(validation, train=False)[0].valid.mean() > 0.3  # which is dense


def test_what_was_rendered_without_returns_has_no_lidar(old_folder):
    (file,) = old_folder.glob("*.npz")
    with pytest.raises(DatasetError, match=f"sample {file} holds no LiDAR returns, as it was rend"):
        open_split(DataConfig(train=str(old_folder), truth="lidar"), train=True)
    samples = cache.CachedStreet(open_cache(old_folder)[0].street, old_folder, lidar=True)
    with pytest.raises(DatasetError, match=f"sample {file} holds no LiDAR returns"):
        samples[0]


def test_rendering_again_adds_the_returns(old_folder, folder):
    assert cache.main([*ARGUMENTS.split(), "--out", str(old_folder)]) == 0
    (_, ours), (_, theirs) = both(old_folder), both(folder)
    assert np.array_equal(ours.depth_gt, theirs.depth_gt)
    assert np.array_equal(ours.images, theirs.images)


def test_a_stream_of_lidar_truth_is_sparse(folder):
    data = DataConfig(train=str(folder), truth="lidar")
    student = StudentConfig(input_width=320, input_height=192)
    config = replace(DistillConfig(), data=data, student=student)
    item = SampleStream(open_split(data, train=True), config)[0]
    assert 0.001 < item.valid.mean() < 0.2 and np.array_equal(item.valid, item.depth_gt > 0)
