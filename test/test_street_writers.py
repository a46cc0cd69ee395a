"""Written roots and the command that writes them."""

import json
import os

import cv2
import numpy as np
import pytest

from fsmde_core.street.main import main

SMALL = ["--scale", "0.04", "--samples", "1", "--workers", "1"]


@pytest.fixture(scope="module")
def nuscenes_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("nuscenes")
    assert main(["--seed", "3", "--frames", "7", "--out", str(root), *SMALL]) == 0
    return root


def table(root, name):
    return json.loads((root / "v1.0-mini" / f"{name}.json").read_text())


def test_nuscenes_tables_are_linked(nuscenes_root):
    data = table(nuscenes_root, "sample_data")
    assert len(data) == 7 * 7  # six cameras and the LiDAR
    assert [s["next"] for s in table(nuscenes_root, "sample")][-1] == ""
    assert len(table(nuscenes_root, "sample")) == 2
    for row in data:
        assert (nuscenes_root / row["filename"]).is_file()
    front = [r for r in data if "CAM_FRONT__" in r["filename"]]
    stem = os.path.basename(front[0]["filename"])[:-4]
    depth = np.load(nuscenes_root / "depth" / "CAM_FRONT" / f"{stem}.npz", allow_pickle=False)
    image = cv2.imread(str(nuscenes_root / front[0]["filename"]))
    assert depth["depth"].shape == image.shape[:2] == (36, 64)


def test_ddad_root(tmp_path):
    arguments = ["--rig", "ddad", "--frames", "2", "--out", str(tmp_path), *SMALL]
    assert main(arguments) == 0
    splits = json.loads((tmp_path / "scene_dataset_v1.0.json").read_text())["scene_splits"]
    scene_file = tmp_path / splits["0"]["filenames"][0]
    scene = json.loads(scene_file.read_text())
    assert len(scene["samples"]) == 2
    for datum in scene["data"]:
        (kind,) = datum["datum"].values()
        assert (scene_file.parent / kind["filename"]).is_file()
    cloud = next(d for d in scene["data"] if d["id"]["name"] == "LIDAR")
    path = scene_file.parent / cloud["datum"]["point_cloud"]["filename"]
    assert np.load(path, allow_pickle=False)["data"].shape[1] == 4


def test_a_second_run_resumes(nuscenes_root):
    before = {p: p.stat().st_mtime_ns for p in (nuscenes_root / "samples").rglob("*.jpg")}
    assert main(["--seed", "3", "--frames", "7", "--out", str(nuscenes_root), *SMALL]) == 0
    assert before == {p: p.stat().st_mtime_ns for p in (nuscenes_root / "samples").rglob("*.jpg")}
    assert not list(nuscenes_root.rglob("*.part"))


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--seed", "-1"], "--seed -1 is negative"),
        (["--rig", "waymo"], "known: nuscenes, ddad, random"),
        (["--scenes", "0"], "--scenes 0 is less than 1"),
        (["--scale", "9"], "--scale 9 is outside"),
    ],
)
def test_bad_arguments(arguments, sentence, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([*arguments, "--out", str(out)]) == 2
    complaint = capsys.readouterr().err
    assert sentence in complaint and complaint.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("out", ["file/out", "file", "/proc/out"])
def test_a_folder_that_cannot_be_made(tmp_path, capsys, out):
    (tmp_path / "file").write_text("")
    assert main(["--out", str(tmp_path / out), *SMALL]) == 2
    complaint = capsys.readouterr().err
    assert str(tmp_path / out) in complaint and complaint.count("\n") == 1
