import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from fsmde_core.data.ddad import read_dataset, read_points, read_scene
from fsmde_core.data.sample import DatasetError, lidar_points_cam, scatter_depth


def test_a_real_scene(ddad_scene):
    samples = read_scene(ddad_scene)
    assert len(samples) == 3
    for sample in samples:
        assert sample.rig.names == ("CAMERA_01", "CAMERA_05", "CAMERA_06")
        assert {(c.width, c.height) for c in sample.rig.cameras} == {(1936, 1216)}
        assert len(sample.rig.neighbours()) == 2  # a chain: nothing looks back
    headings = [np.rad2deg(c.azimuth_rad) for c in samples[0].rig.cameras]
    assert headings == pytest.approx([1.5, 54.4, -50.6], abs=0.1)
    assert samples[1].stamps_ns[0] - samples[0].stamps_ns[0] == 1_000_000_000


def test_lidar_falls_on_every_image(ddad_scene):
    sample = read_scene(ddad_scene)[0]
    points = read_points(sample.lidar)
    counts = []
    for i, camera in enumerate(sample.rig.cameras):
        depth = scatter_depth(lidar_points_cam(sample, i, points), camera)
        counts.append(int((depth > 0).sum()))
    assert counts == [4814, 10828, 10310]


def test_a_split_is_read_scene_by_scene(ddad_scene):
    root = ddad_scene.parent.parent
    samples = read_dataset(root, split="val")
    assert len(samples) == 3 and samples.scenes == ("scene_01",)
    assert samples[2].token == read_scene(ddad_scene)[2].token
    with pytest.raises(DatasetError, match="has no split 'test'; known: train, val"):
        read_dataset(root, split="test")


def test_a_single_scene_is_a_dataset_of_no_split(ddad_scene):
    samples = read_dataset(ddad_scene, split="val")
    assert samples.scenes == ("scene_01",) and len(samples) == 3


def test_a_scene_that_is_gone_is_said_when_it_is_asked_for(tmp_path):
    splits = {"scene_splits": {"1": {"filenames": ["000150/scene_x.json"]}}}
    (tmp_path / "ddad.json").write_text(json.dumps(splits))
    samples = read_dataset(tmp_path, split="val")
    assert len(samples) == 1
    with pytest.raises(DatasetError, match="000150/scene_x.json: No such file"):
        samples[0]


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_a_truncated_point_cloud_is_named(ddad_scene, tmp_path, keep):
    sweep = read_scene(ddad_scene)[0].lidar
    broken = tmp_path / "broken.npz"
    broken.write_bytes(sweep.file.read_bytes()[:keep])
    with pytest.raises(DatasetError, match="point cloud .*broken.npz"):
        read_points(replace(sweep, file=broken))


def test_missing_files_are_named(ddad_scene, tmp_path):
    with pytest.raises(DatasetError, match="scene.json: No such file"):
        read_scene(tmp_path / "scene.json")
    shutil.copy(ddad_scene, tmp_path)
    with pytest.raises(DatasetError, match="calibration/.*json: No such file"):
        read_scene(tmp_path / ddad_scene.name)
