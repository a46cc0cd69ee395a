import shutil

import numpy as np
import pytest

from fsmde_core.data.ddad import read_points, read_scene
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


def test_missing_files_are_named(ddad_scene, tmp_path):
    with pytest.raises(DatasetError, match="scene.json: No such file"):
        read_scene(tmp_path / "scene.json")
    shutil.copy(ddad_scene, tmp_path)
    with pytest.raises(DatasetError, match="calibration/.*json: No such file"):
        read_scene(tmp_path / ddad_scene.name)
