"""Tables and JSON files that converters wrote, with what is missing in them named."""

import json
import os
import shutil

import numpy as np
import pytest

from fsmde_core.data import ddad, nuscenes
from fsmde_core.data.batch import BodyMasks, RigDataset
from fsmde_core.data.sample import DatasetError
from fsmde_core.evaluate.sources import depth_file

LACKING = object()


@pytest.fixture
def root(nuscenes_root, tmp_path):
    """The real root, its tables as files of one's own."""
    (tmp_path / "samples").symlink_to(nuscenes_root / "samples")
    (tmp_path / "v1.0-mini").mkdir()
    for table in (nuscenes_root / "v1.0-mini").glob("*.json"):
        (tmp_path / "v1.0-mini" / table.name).write_bytes(table.read_bytes())
    return tmp_path


def change(root, table, field, value):
    file = root / "v1.0-mini" / f"{table}.json"
    entries = json.loads(file.read_text())
    for entry in entries:
        entry[field] = value
        if value is LACKING:
            del entry[field]
    file.write_text(json.dumps(entries))


def read(root):
    samples = nuscenes.read_keyframes(root, "v1.0-mini", split="mini_train")
    dataset = RigDataset(samples, nuscenes.read_points)
    return [dataset[i] for i in range(len(samples))]


@pytest.mark.parametrize(
    "table, field, value, says",
    [
        ("scene", "name", LACKING, "scene.json, token '.*': it has no name, which must be a text"),
        ("scene", "first_sample_token", None, "its first_sample_token is None, which must be"),
        ("sample", "next", LACKING, "sample.json, token '.*': it has no next"),
        ("sensor", "channel", 3, "its channel is 3, which must be a text"),
        ("sample_data", "timestamp", "1532", "its timestamp is '1532', which must be a whole"),
        ("sample_data", "timestamp", None, "its timestamp is None, which must be a whole number"),
        ("sample_data", "ego_pose_token", LACKING, "it has no ego_pose_token"),
        ("sample_data", "filename", "a\0b", "no name of a file in the dataset root"),
        ("sample_data", "width", "1600", "its width is '1600', which must be a whole number"),
        ("calibrated_sensor", "camera_intrinsic", [], "of CAM_FRONT is no 3x3 matrix: "),
        ("calibrated_sensor", "camera_intrinsic", None, "of CAM_FRONT is no 3x3 matrix: None"),
        ("calibrated_sensor", "rotation", [1, 0, 0], r"rotation is \[1, 0, 0\], not 4 numbers$"),
        ("ego_pose", "translation", None, "ego_pose.json, .* translation is None, not 3 numbers$"),
    ],
)
def test_a_field_that_is_missing_or_of_another_kind_is_named(root, table, field, value, says):
    change(root, table, field, value)
    with pytest.raises(DatasetError, match=says) as caught:
        read(root)
    assert "\n" not in str(caught.value)


def test_what_harms_nothing_is_read_over(root):
    change(root, "sample_data", "is_key_frame", 1)
    change(root, "sample_data", "converter", {"name": "mine", "options": [1, {"a": None}]})
    change(root, "calibrated_sensor", "distortion", None)
    file = root / "v1.0-mini" / "sensor.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    (item,) = read(root)
    assert item.valid.any()


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "is not JSON: Expecting value"),
        (b"[" * 100_000, "is not JSON: maximum recursion"),
        ("[]".encode("utf-16"), "is not JSON: "),
        (b"[]", r"no scene of the split 'mini_train' \(there are none\)"),
        (b"{}", "no scene of the split 'mini_train'"),
        (b"null", "is not a nuScenes table"),
    ],
)
def test_a_table_that_is_none_is_named(root, content, says):
    (root / "v1.0-mini" / "scene.json").write_bytes(content)
    with pytest.raises(DatasetError, match=says):
        read(root)


@pytest.fixture
def dgp(ddad_scene, tmp_path):
    """The real scene as a dataset whose JSON files are one's own."""
    copy = tmp_path / "ddad"
    link = lambda a, b: (shutil.copyfile if a.endswith(".json") else os.symlink)(a, b)  # noqa: E731
    shutil.copytree(ddad_scene.parent.parent, copy, copy_function=link)
    for folder in (copy, *copy.rglob("*")):
        if folder.is_dir():
            folder.chmod(0o755)
    return copy


@pytest.mark.parametrize(
    "document, says",
    [
        ([], "has 0 scene_dataset JSON files"),
        ({"scene_splits": None}, "its scene_splits is None"),
        ({"scene_splits": {"1": {"filenames": "x.json"}}}, "split val has no list of filenames"),
        ({"scene_splits": {"1": []}}, "split val has no list of filenames"),
        ({"scene_splits": {"1": {"filenames": [3]}}}, "3 is no name of a file"),
    ],
)
def test_a_dataset_json_of_another_kind_is_named(dgp, document, says):
    (file,) = dgp.glob("*.json")
    file.write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=says):
        ddad.read_dataset(dgp, split="val")


def cloud(root, change):
    """The sweep with its points [P, 5] changed, in a folder of one's own."""
    (file,) = (root / "samples" / "LIDAR_TOP").iterdir()
    points = np.fromfile(file, "<f4").reshape(-1, 5)
    theirs = (root / "samples").resolve()
    (root / "samples").unlink()
    (root / "samples" / "LIDAR_TOP").mkdir(parents=True)
    for folder in theirs.iterdir():
        if folder.name != "LIDAR_TOP":
            (root / "samples" / folder.name).symlink_to(folder)
    (root / "samples" / "LIDAR_TOP" / file.name).write_bytes(change(points).tobytes())


def missing(value):
    def change(points):
        points[::3, :3] = value
        return points

    return change


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("error")
def test_points_that_did_not_come_back_are_left_out(root, value):
    (whole,) = read(root)
    cloud(root, missing(value))
    (item,) = read(root)
    assert 0.6 < item.valid.sum() / whole.valid.sum() < 0.75
    assert np.isfinite(item.depth_gt).all()


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda points: points * np.float32([1000, 1000, 1000, 1, 1]), "not in metres"),
        (lambda points: points.astype(np.float64), "or other numbers than float32"),
        (lambda points: points.astype(">f4"), "or other numbers than float32"),
        (lambda points: points * np.float32([0, 0, 0, 1, 1]), "falls into any of its images"),
        (lambda points: points + np.float32(np.nan), "falls into any of its images"),
        (lambda points: points[:1], "falls into any of its images"),
    ],
)
def test_a_cloud_that_says_nothing_is_named(root, change, said):
    cloud(root, change)
    with pytest.raises(DatasetError, match=f"LIDAR_TOP__1532402927647951.pcd.bin.*{said}"):
        read(root)


@pytest.mark.parametrize(
    "table, field, value, said",
    [
        ("ego_pose", "translation", [float("nan"), 0, 0], "translation .* is not finite"),
        ("calibrated_sensor", "translation", [0, float("inf"), 0], "translation .* is not finite"),
        ("sample_data", "height", None, "its height is None, which must be a whole number"),
        ("sample_data", "filename", "\ud800.jpg", "is no name of a file"),
    ],
)
def test_numbers_and_names_that_are_none_are_said(root, table, field, value, said):
    change(root, table, field, value)
    with pytest.raises(DatasetError, match=said):
        read(root)


def test_cameras_named_like_paths_lead_nowhere(nuscenes_root, tmp_path):
    """Neither to a prediction nor to a mask outside the folder that was given."""
    with pytest.raises(DatasetError, match="leaves the dataset root"):
        depth_file(tmp_path, "../../CAM_FRONT")
    with pytest.raises(DatasetError, match="a name with a slash"):
        BodyMasks(tmp_path)("scene-0001", "../CAM_FRONT")
