import codecs
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from fsmde_core.data.batch import RigDataset
from fsmde_core.data.nuscenes import read_keyframes, read_points, read_sweeps
from fsmde_core.data.nuscenes_splits import split_scenes
from fsmde_core.data.sample import (
    DatasetError,
    inside_root,
    lidar_points_cam,
    read_image,
    scatter_depth,
)

VERSION = "v1.0-mini"


@pytest.fixture
def copy(nuscenes_root, tmp_path):
    """A copy of the tables whose images are not there."""
    shutil.copytree(nuscenes_root / VERSION, tmp_path / VERSION)
    return tmp_path


def edit(root, table, change):
    path = root / VERSION / f"{table}.json"
    path.chmod(0o644)
    entries = json.loads(path.read_text())
    change(entries)
    path.write_text(json.dumps(entries))


def test_a_real_keyframe(nuscenes_root):
    (sample,) = read_keyframes(nuscenes_root, VERSION)
    assert sample.scene == "scene-0061"
    assert sample.rig.names == (
        "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT",
        "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT",
    )  # fmt: skip
    assert sample.stamps_ns[0] == 1_532_402_927_612_460_000
    assert sample.rig.cameras[0].K[0, 2] == pytest.approx(816.267 + 0.5, abs=1e-3)
    assert len(sample.rig.neighbours()) == 6
    assert read_image(sample.image_files[0]).shape == (900, 1600, 3)


def test_lidar_falls_on_every_image(nuscenes_root):
    (sample,) = read_keyframes(nuscenes_root, VERSION)
    points = read_points(sample.lidar)
    assert points.shape == (34688, 3)
    counts = []
    for i, camera in enumerate(sample.rig.cameras):
        depth = scatter_depth(lidar_points_cam(sample, i, points), camera)
        counts.append(int((depth > 0).sum()))
        # the ground close by is in the lower half, nearer than the upper half
        upper, lower = depth[:450], depth[450:]
        assert np.median(lower[lower > 0]) < np.median(upper[upper > 0])
    assert counts == [3059, 3079, 3376, 4825, 4096, 3699]


def test_scenes_are_found_by_name_and_split(nuscenes_root):
    samples = read_keyframes(nuscenes_root, VERSION, split="mini_train")
    assert samples.scenes == ("scene-0061",)
    assert len(samples.of_scene(None)) == len(samples.of_scene("scene-0061")) == 1
    with pytest.raises(DatasetError, match="no scene 'scene-0001'; known: scene-0061"):
        samples.of_scene("scene-0001")
    assert len(read_keyframes(nuscenes_root, VERSION, scene="scene-0061")) == 1
    with pytest.raises(DatasetError, match="has no scene 'scene-0001'; known: scene-0061"):
        read_sweeps(nuscenes_root, VERSION, scene="scene-0001")
    with pytest.raises(DatasetError, match="has no scene of the split 'val'"):
        read_keyframes(nuscenes_root, VERSION, split="val")
    with pytest.raises(DatasetError, match="no split 'dev'; known: train, val"):
        read_keyframes(nuscenes_root, VERSION, split="dev")


def test_the_official_splits():
    assert [len(split_scenes(name)) for name in ("train", "val", "test")] == [700, 150, 150]
    whole = split_scenes("train") | split_scenes("val") | split_scenes("test")
    assert len(whole) == 1000
    assert split_scenes("mini_val") == {"scene-0103", "scene-0916"} < split_scenes("val")


@pytest.mark.parametrize(
    ("table", "change", "reason"),
    [
        ("ego_pose", lambda t: t.clear(), "ego_pose.json .* lacks token .* of sample"),
        ("sample_data", lambda t: t.clear(), "has no camera keyframe for sample"),
        ("sample", lambda t: t.clear(), "sample.json .* lacks token .* of scene scene-0061"),
        ("sample_data", lambda t: t.pop(2), "has no image of CAM_.* for sample"),
        ("calibrated_sensor", lambda t: t[0].pop("translation"), "sample .* lacks 'translation'"),
        (
            "calibrated_sensor",
            lambda t: t[0].update(rotation=[1, 1, 0, 0]),
            "calibrated_sensor.json, token .*norm 1.414",
        ),
        (
            "calibrated_sensor",
            lambda t: t[0].update(camera_intrinsic=[[0, 0, 0]] * 3),
            "calibrated_sensor.json, token .*K is",
        ),
        (
            "sample_data",
            lambda t: t[0].update(filename="../../etc/passwd"),
            "'../../etc/passwd' leaves the dataset root",
        ),
    ],
)
def test_a_broken_table_is_named(copy, table, change, reason):
    edit(copy, table, change)
    with pytest.raises(DatasetError, match=reason):
        list(read_keyframes(copy, VERSION))


def test_a_missing_root_or_table_is_named(copy, tmp_path):
    with pytest.raises(DatasetError, match="has no folder v1.0-test"):
        read_keyframes(tmp_path, "v1.0-test")
    (copy / VERSION / "sensor.json").unlink()
    with pytest.raises(DatasetError, match="sensor.json: No such file"):
        list(read_keyframes(copy, VERSION))


@pytest.mark.parametrize(
    ("root", "sentence"),
    [
        ("none", "nuScenes root {root} is no folder"),
        ("a", "nuScenes root {root} has no folder v1.0-test; there are tables in {root}/b/v1.0-x"),
        ("a/b", "nuScenes root {root} has no folder v1.0-test; there are tables in {root}/v1.0-x"),
        ("a/b/v1.0-x", "nuScenes root {root} has no folder v1.0-test"),
    ],
)
def test_a_root_that_is_none_is_told_from_tables_of_another_name(tmp_path, root, sentence):
    (tmp_path / "a/b/v1.0-x").mkdir(parents=True)
    (tmp_path / "a/b/v1.0-x/scene.json").write_text("[]")
    with pytest.raises(DatasetError) as said:
        read_keyframes(tmp_path / root, "v1.0-test")
    assert str(said.value) == sentence.format(root=tmp_path / root)


def test_a_truncated_point_cloud_and_a_missing_image_are_named(copy, tmp_path):
    (sample,) = read_keyframes(copy, VERSION)
    sample.lidar.file.parent.mkdir(parents=True)
    sample.lidar.file.write_bytes(b"\0" * 42)
    with pytest.raises(DatasetError, match="is truncated"):
        read_points(sample.lidar)
    with pytest.raises(DatasetError, match="image .*CAM_FRONT.*: No such file"):
        read_image(sample.image_files[0])
    sample.image_files[0].parent.mkdir(parents=True)
    sample.image_files[0].write_bytes(b"rubbish")
    with pytest.raises(DatasetError, match="does not decode"):
        read_image(sample.image_files[0])


def second_shot(root):
    """Adds to the tables an unannotated shot of every sensor 50 ms later, 1 m further on."""
    moved = {}

    def shift(entries):
        for entry in list(entries):
            later = {**entry, "token": "later" + entry["token"]}
            moved[entry["token"]] = entry, later
            entries.append(later)

    def pose(entries):
        shift(entries)
        for entry, later in moved.values():
            x, y, z = entry["translation"]
            later["translation"] = [x + 1, y, z]

    def data(entries):
        moved.clear()
        shift(entries)
        for entry, later in moved.values():
            later.update(is_key_frame=False, timestamp=entry["timestamp"] + 50_000)
            later.update(ego_pose_token="later" + entry["ego_pose_token"], prev=entry["token"])

    edit(root, "ego_pose", pose)
    edit(root, "sample_data", data)


def test_sweeps_are_sets_of_all_images(copy):
    second_shot(copy)
    assert len(read_keyframes(copy, VERSION)) == 1
    first, second = read_sweeps(copy, VERSION)
    for a, b in zip(first.stamps_ns, second.stamps_ns):
        assert b - a == 50_000_000
    assert np.allclose(second.T_world_ego[:, 0, 3] - first.T_world_ego[:, 0, 3], 1.0)
    assert second.lidar.stamp_ns - first.lidar.stamp_ns == 50_000_000


def test_past_sweeps_follow_the_chain(copy):
    second_shot(copy)
    first, second = read_sweeps(copy, VERSION, past_sweeps=10)
    assert first.past_sweeps == ()
    (past,) = second.past_sweeps
    assert past.stamp_ns == first.lidar.stamp_ns
    moved = second.lidar.T_world_lidar - past.T_world_lidar
    assert np.allclose(moved[:3, 3], [1, 0, 0])


def test_what_people_link_is_followed(nuscenes_root, tmp_path):
    """Blobs, and folders of them, often lie on another disk, and so do the tables."""
    root = tmp_path / "root"
    for folder in ("CAM_FRONT", "CAM_BACK", "LIDAR_TOP"):
        (root / "samples" / folder).mkdir(parents=True)
        for blob in (nuscenes_root / "samples" / folder).iterdir():
            (root / "samples" / folder / blob.name).symlink_to(blob)
    for folder in (nuscenes_root / "samples").iterdir():
        if not (root / "samples" / folder.name).exists():
            (root / "samples" / folder.name).symlink_to(folder)
    (root / VERSION).symlink_to(nuscenes_root / VERSION)
    item = RigDataset(read_keyframes(root, VERSION), read_points)[0]
    assert item.valid.sum() > 20_000 and item.images.any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize(
    "name", ["../a", "a/../../b", "/etc/passwd", "a\\..\\b", "C:\\b", "C:b", None]
)
def test_names_that_leave_the_root_are_refused(tmp_path, name):
    with pytest.raises(DatasetError, match="dataset root"):
        inside_root(tmp_path, name)


@pytest.mark.parametrize("table", ["sample_data", "ego_pose", "calibrated_sensor", "sample"])
def test_nested_fields_of_a_converter_are_left_alone(copy, table):
    extra = {"from": {"token": "x", "sample_token": {}}, "boxes": [{"size": [1, 2]}, {}]}
    edit(copy, table, lambda entries: [entry.update(extra=extra) for entry in entries])
    assert len(read_keyframes(copy, VERSION)[0].rig.cameras) == 6


@pytest.mark.parametrize("table", ["scene", "sample_data", "ego_pose"])
def test_a_byte_order_mark_is_read_over(copy, table):
    path = copy / VERSION / f"{table}.json"
    path.chmod(0o644)
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert len(read_keyframes(copy, VERSION)[0].rig.cameras) == 6


@pytest.mark.parametrize("points", [34688, 34685, 5, 4, 1])  # 34685 = 5 x 6937: fits both ways
@pytest.mark.parametrize("fields", [4, 5])
def test_clouds_of_four_floats_are_told_from_five(nuscenes_root, tmp_path, points, fields):
    sweep = read_keyframes(nuscenes_root, VERSION)[0].lidar
    whole = np.fromfile(sweep.file, np.float32).reshape(-1, 5)[-points:]
    whole[:, :fields].tofile(tmp_path / "cloud.bin")
    read = read_points(replace(sweep, file=tmp_path / "cloud.bin"))
    assert np.array_equal(read, whole[:, :3])


def test_a_fifth_float_need_not_be_a_ring(nuscenes_root, tmp_path):
    sweep = read_keyframes(nuscenes_root, VERSION)[0].lidar
    whole = np.fromfile(sweep.file, np.float32).reshape(-1, 5)[:4096]
    whole[:, 4] = np.linspace(0, 0.05, len(whole))  # seconds since the sweep began
    whole.tofile(tmp_path / "cloud.bin")
    assert np.array_equal(read_points(replace(sweep, file=tmp_path / "cloud.bin")), whole[:, :3])


@pytest.mark.parametrize("pages", [1, 7, 100])
def test_a_cloud_cut_at_a_page_is_no_cloud_of_four(nuscenes_root, tmp_path, pages):
    sweep = read_keyframes(nuscenes_root, VERSION)[0].lidar
    (tmp_path / "cloud.bin").write_bytes(sweep.file.read_bytes()[: 4096 * pages])
    if 4096 * pages % 20:  # a cut between two points does not show
        with pytest.raises(DatasetError, match="cloud.bin is truncated"):
            read_points(replace(sweep, file=tmp_path / "cloud.bin"))


@pytest.mark.parametrize(
    ("channels", "known"), [(["LIDAR_FRONT"], "LIDAR_FRONT"), (["LIDAR_TOP_2"], "LIDAR_TOP_2")]
)
def test_truth_without_lidar_top_is_refused(nuscenes_root, tmp_path, channels, known):
    root = shutil.copytree(nuscenes_root, tmp_path / "root")
    rename = {"LIDAR_TOP": channels[0]}
    edit(
        root,
        "sensor",
        lambda t: [s.update(channel=rename.get(s["channel"], s["channel"])) for s in t],
    )
    samples = read_keyframes(root, VERSION)
    with pytest.raises(
        DatasetError, match=f"no sweep of LIDAR_TOP; LiDAR channels of .*: {known}$"
    ):
        RigDataset(samples, read_points)[0]
    assert not RigDataset(samples, None)[0].valid.any()  # images alone need none


def test_a_keyframe_without_its_sweep_is_named(copy):
    edit(copy, "sample_data", lambda t: [t.remove(d) for d in list(t) if "LIDAR" in d["filename"]])
    with pytest.raises(DatasetError, match="sample .*: no sweep of LIDAR_TOP; .*: LIDAR_TOP$"):
        RigDataset(read_keyframes(copy, VERSION), read_points)[0]
