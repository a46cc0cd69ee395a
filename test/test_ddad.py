import codecs
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from fsmde_core.data.batch import BodyMasks, RigDataset
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


@pytest.mark.parametrize(
    "arrays, said",
    [
        ({"points": np.ones((5, 4))}, "does not read: .*data"),
        ({"data": np.ones(15)}, r"is float64 \(15,\), not numbers"),
        ({"data": np.ones((5, 2))}, r"is float64 \(5, 2\), not numbers"),
        ({"data": np.ones((5, 4)).astype(str)}, "not numbers"),
        ({"data": np.ones((5, 4), complex)}, "not numbers"),
        ({"data": np.array([[1, None, 2]], object)}, "does not read"),
    ],
)
def test_a_point_cloud_of_something_else_is_named(ddad_scene, tmp_path, arrays, said):
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(DatasetError, match=f"^point cloud .*odd.npz .*{said}"):
        read_points(replace(read_scene(ddad_scene)[0].lidar, file=tmp_path / "odd.npz"))


@pytest.mark.parametrize("content", [b"<html>Sign in", b"\x80\x04K\x01.", b"\x93NUMPY\x01\x00"])
def test_a_point_cloud_that_is_no_npz_is_named(ddad_scene, tmp_path, content):
    (tmp_path / "odd.npz").write_bytes(content)
    with pytest.raises(DatasetError, match="odd.npz does not read: File is not a zip") as caught:
        read_points(replace(read_scene(ddad_scene)[0].lidar, file=tmp_path / "odd.npz"))
    assert "pickle" not in str(caught.value)


def test_missing_files_are_named(ddad_scene, tmp_path):
    with pytest.raises(DatasetError, match="scene.json: No such file"):
        read_scene(tmp_path / "scene.json")
    shutil.copy(ddad_scene, tmp_path)
    with pytest.raises(DatasetError, match="calibration/.*json: No such file"):
        read_scene(tmp_path / ddad_scene.name)


@pytest.fixture
def scene(ddad_scene, tmp_path):
    """A scene's JSON and calibration, without blobs, and how to edit it."""
    folder = tmp_path / "scene_01"
    (folder / "calibration").mkdir(parents=True)
    shutil.copyfile(ddad_scene, folder / "scene.json")
    for file in (ddad_scene.parent / "calibration").iterdir():
        shutil.copyfile(file, folder / "calibration" / file.name)
    return folder


def edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def calibration_of(scene):
    return next((scene / "calibration").iterdir())


def without_defaults(value):
    """As protobuf writes JSON: no zeros, no empty texts, lists and objects are kept."""
    if isinstance(value, dict):
        kept = {key: without_defaults(entry) for key, entry in value.items()}
        return {key: entry for key, entry in kept.items() if entry not in (0, "", [])}
    return [without_defaults(entry) for entry in value] if isinstance(value, list) else value


def test_what_protobuf_leaves_out_is_zero(ddad_scene, scene):
    for path in (scene / "scene.json", calibration_of(scene)):
        path.write_text(json.dumps(without_defaults(json.loads(path.read_text()))))
    assert "skew" not in calibration_of(scene).read_text()
    for ours, theirs in zip(read_scene(scene / "scene.json"), read_scene(ddad_scene)):
        assert np.array_equal(ours.rig.K, theirs.rig.K)
        assert np.array_equal(ours.T_world_ego, theirs.T_world_ego)
        assert np.array_equal(ours.lidar.T_ego_lidar, theirs.lidar.T_ego_lidar)
        assert ours.stamps_ns == theirs.stamps_ns


def test_a_pose_without_translation_is_at_the_origin(scene):
    edit(calibration_of(scene), lambda c: c["extrinsics"][1].pop("translation"))
    assert (read_scene(scene / "scene.json")[0].rig.cameras[0].T_ego_cam[:3, 3] == 0).all()


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("2019-05-15T00:38:58Z", 0),
        ("2019-05-15T00:38:58.2Z", 200_000_000),
        ("2019-05-15T00:38:58.203Z", 203_000_000),
        ("2019-05-15T00:38:58.203752Z", 203_752_000),
        ("2019-05-15T00:38:58.203752001Z", 203_752_001),
    ],
)
def test_seconds_have_up_to_nine_digits(scene, text, nanoseconds):
    def change(document):
        for datum in document["data"]:
            datum["id"]["timestamp"] = text

    edit(scene / "scene.json", change)
    assert read_scene(scene / "scene.json")[0].stamps_ns[0] % 10**9 == nanoseconds


@pytest.mark.parametrize("text", ["2019-05-15 00:38:58", "2019-05-15T00:38:58.1234567890Z", "now"])
def test_another_time_is_one_sentence(scene, text):
    edit(scene / "scene.json", lambda d: d["data"][1]["id"].update(timestamp=text))
    with pytest.raises(DatasetError, match=f"scene.json: timestamp '{text}' is not like"):
        read_scene(scene / "scene.json")


@pytest.mark.parametrize("where", ["dataset", "scene", "calibration", "masks"])
def test_a_byte_order_mark_is_read_over(ddad_scene, scene, where):
    shutil.copyfile(ddad_scene.parent.parent / "scene_dataset_v1.0.json", scene.parent / "d.json")
    shutil.copyfile(scene / "scene.json", scene / ddad_scene.name)
    (scene.parent / "mask_idx_dict.json").write_text(json.dumps({"1": 2}))
    path = {
        "dataset": scene.parent / "d.json",
        "scene": scene / ddad_scene.name,
        "calibration": calibration_of(scene),
        "masks": scene.parent / "mask_idx_dict.json",
    }[where]
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert len(read_dataset(scene.parent / "d.json", split="val")[2].rig.cameras) == 3
    with pytest.raises(DatasetError, match="2/CAMERA_01_mask.png is missing"):
        BodyMasks(scene.parent)("scene_01", "CAMERA_01")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["names"].__setitem__(2, "CAMERA_50"), "has no intrinsics of 'CAMERA_05'"),
        (lambda c: c["intrinsics"].pop(), "has no intrinsics of 'CAMERA_06'; it names LIDAR, CAM"),
        (lambda c: c["extrinsics"].pop(), "has no extrinsics of 'CAMERA_06'; it names LIDAR, CAM"),
        (lambda c: c["names"].__setitem__(0, "VELO"), "has no extrinsics of 'LIDAR'"),
        (lambda c: c.clear(), "has no extrinsics of 'LIDAR'; it names nothing"),
        (lambda c: c["intrinsics"][2].pop("fx"), "has no focal length of camera 'CAMERA_05'"),
        (lambda c: c["extrinsics"][2].pop("rotation"), "'CAMERA_05': quaternion .* norm 0"),
    ],
)
def test_what_a_calibration_lacks_is_named(scene, change, said):
    edit(calibration_of(scene), change)
    with pytest.raises(DatasetError, match=f"^{calibration_of(scene)},? {said}"):
        read_scene(scene / "scene.json")


def test_what_people_link_is_followed(ddad_scene, tmp_path):
    """The scene's folder, and blobs in it, may lie on another disk under another name."""
    root, scene = tmp_path / "ddad", tmp_path / "ddad" / "000150"
    scene.mkdir(parents=True)
    for path in ddad_scene.parent.iterdir():
        (scene / path.name).symlink_to(path)
    (root / "000151").symlink_to(ddad_scene.parent)
    splits = {"1": {"filenames": [f"{n}/{ddad_scene.name}" for n in ("000150", "000151")]}}
    (root / "ddad.json").write_text(json.dumps({"scene_splits": splits}))
    samples = read_dataset(root, split="val")
    assert samples.scenes == ("000150", "000151")
    assert [samples[i].scene for i in (0, 3)] == ["000150", "000151"]  # masks go by these numbers
    assert RigDataset(samples, read_points)[3].valid.sum() > 20_000


def test_truth_without_a_point_cloud_is_refused(scene):
    def change(document):
        document["samples"][0]["datum_keys"].pop(0)

    edit(scene / "scene.json", change)
    with pytest.raises(DatasetError, match="no point cloud in sample 2463-.* of .*scene_01$"):
        RigDataset(read_scene(scene / "scene.json"), read_points)[0]
