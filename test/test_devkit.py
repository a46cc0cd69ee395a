"""The readers against the official devkits, each in a Python of its own.

nuscenes-devkit needs numpy < 2, so neither is a dependency; without them the tests skip.
NUSCENES_DEVKIT_PYTHON, DGP_PYTHON: interpreters of environments with nuscenes-devkit, TRI's dgp.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from fsmde_core.data import ddad, nuscenes
from fsmde_core.data.batch import CLOSE_M
from fsmde_core.data.nuscenes_splits import SPLITS, split_scenes
from fsmde_core.data.sample import lidar_points_cam
from fsmde_core.geometry import project, transform_points
from fsmde_core.street.main import main as render


def devkit_results(variable, script, *arguments, out):
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"{variable} does not name a Python with the devkit")
    script = Path(__file__).with_name(script)
    result = subprocess.run(
        [python, str(script), *map(str, arguments), str(out)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return np.load(out, allow_pickle=False)


def ours(sample, index, points):
    """Pixels as OpenCV counts them, and depths, of the points in front of the camera."""
    camera = sample.rig.cameras[index]
    points_cam = lidar_points_cam(sample, index, points)
    pixels, depth = project(points_cam[points_cam[:, 2] > 0], camera.K)
    return pixels - 0.5, depth


def test_nuscenes_projections_and_splits_equal_the_devkits(nuscenes_root, tmp_path, capsys):
    devkit = devkit_results(
        "NUSCENES_DEVKIT_PYTHON", "devkit_projection.py", nuscenes_root, "v1.0-mini",
        out=tmp_path / "devkit.npz",
    )  # fmt: skip
    (sample,) = nuscenes.read_keyframes(nuscenes_root, "v1.0-mini")
    points = nuscenes.read_points(sample.lidar)
    for index, camera in enumerate(sample.rig.cameras):
        pixels, depth = ours(sample, index, points)
        inside = ((pixels > 1) & (pixels < (camera.width - 1, camera.height - 1))).all(axis=1)
        for precision in ("float64", "float32"):
            theirs = [devkit[f"{precision} {camera.name} {k}"] for k in ("pixels", "depths")]
            off_px = np.abs(pixels[inside] - theirs[0]).max()
            off_m = np.abs(depth[inside] - theirs[1]).max()
            with capsys.disabled():
                print(f"\n{camera.name} {inside.sum()} {precision}: {off_px:.1e} px {off_m:.1e} m")
            assert off_m < 1e-3
            assert off_px < 1e-3 or precision == "float32"
    for name in SPLITS:
        assert split_scenes(name) == set(devkit[f"split {name}"])


def earlier_sweep(root):
    """Adds to the tables a LiDAR sweep 50 ms before the keyframe's, 1 m behind it, turned by 3 deg.

    It has the keyframe's points: the file is the same.
    """
    folder = root / "v1.0-mini"
    tables = {name: json.loads((folder / f"{name}.json").read_text()) for name in EDITED}
    (now,) = (d for d in tables["sample_data"] if "LIDAR_TOP" in d["filename"])
    (pose,) = (p for p in tables["ego_pose"] if p["token"] == now["ego_pose_token"])
    x, y, z = pose["translation"]
    w, i, j, k = pose["rotation"]
    c, s = np.cos(np.deg2rad(1.5)), np.sin(np.deg2rad(1.5))
    turned = [w * c - k * s, i * c + j * s, j * c - i * s, k * c + w * s]
    moved = {**pose, "token": "past", "translation": [x - 1, y, z], "rotation": turned}
    past = {**now, "token": "past", "ego_pose_token": "past", "next": now["token"]}
    past.update(is_key_frame=False, timestamp=now["timestamp"] - 50_000)
    now["prev"] = "past"
    tables["sample_data"].append(past)
    tables["ego_pose"].append(moved)
    for name, entries in tables.items():
        (folder / f"{name}.json").unlink()
        (folder / f"{name}.json").write_text(json.dumps(entries))


EDITED = ("sample_data", "ego_pose")


def test_accumulated_sweeps_equal_the_devkits(nuscenes_root, tmp_path, capsys):
    root = shutil.copytree(nuscenes_root, tmp_path / "nuscenes")
    earlier_sweep(root)
    devkit = devkit_results(
        "NUSCENES_DEVKIT_PYTHON", "devkit_projection.py", root, "v1.0-mini", out=tmp_path / "d.npz"
    )
    (sample,) = nuscenes.read_keyframes(root, "v1.0-mini", past_sweeps=1)
    points = nuscenes.read_points(sample.lidar)
    far = points[np.abs(points[:, :2]).max(axis=1) >= CLOSE_M].astype(np.float64)
    (past,) = sample.past_sweeps
    T_now_past = np.linalg.inv(sample.lidar.T_world_lidar) @ past.T_world_lidar
    ours = np.concatenate([far, transform_points(T_now_past, far)])
    off_m = np.abs(ours - devkit["float64 accumulated"]).max()
    with capsys.disabled():
        print(f"\naccumulated {len(ours)}: {off_m:.1e} m")
    assert off_m < 1e-3


def test_ddad_projections_equal_dgps(ddad_scene, tmp_path, capsys):
    devkit = devkit_results(
        "DGP_PYTHON", "dgp_projection.py", ddad_scene.parent.parent / "scene_dataset_v1.0.json",
        "val", out=tmp_path / "dgp.npz",
    )  # fmt: skip
    for number, sample in enumerate(ddad.read_scene(ddad_scene)):
        points = ddad.read_points(sample.lidar)
        for index, camera in enumerate(sample.rig.cameras):
            pixels, depth = ours(sample, index, points)
            inside = ((pixels >= 0) & (pixels < (camera.width, camera.height))).all(axis=1)
            for precision in ("float64", "float32"):
                key = f"{precision} {number} {camera.name}"
                off_px = np.abs(pixels - devkit[f"{key} pixels"])[inside].max()
                off_m = np.abs(depth - devkit[f"{key} depths"])[inside].max()
                with capsys.disabled():
                    print(f"\n{key} {inside.sum()}: {off_px:.1e} px {off_m:.1e} m")
                assert off_m < 1e-3
                assert off_px < 1e-3 or precision == "float32"


def rendered(name, tmp_path):
    small = ["--seed", "3", "--frames", "1", "--scale", "0.1", "--samples", "1", "--workers", "1"]
    assert render(["--rig", name, "--out", str(tmp_path / name), *small]) == 0
    return tmp_path / name


def test_the_nuscenes_devkit_opens_what_the_street_writes(tmp_path):
    root = rendered("nuscenes", tmp_path)
    devkit = devkit_results(
        "NUSCENES_DEVKIT_PYTHON", "devkit_projection.py", root, "v1.0-mini", out=tmp_path / "d.npz"
    )
    (sample,) = nuscenes.read_keyframes(root, "v1.0-mini")
    _, depth = ours(sample, 0, nuscenes.read_points(sample.lidar))
    depths = devkit["float64 CAM_FRONT depths"]  # of points inside the image
    assert len(depths) > 1000 and np.isin(depths.round(4), depth.round(4)).mean() > 0.99


def test_dgp_opens_what_the_street_writes(tmp_path):
    dataset_json = rendered("ddad", tmp_path) / "scene_dataset_v1.0.json"
    devkit = devkit_results(
        "DGP_PYTHON", "dgp_projection.py", dataset_json, "train", out=tmp_path / "d.npz"
    )
    (sample,) = ddad.read_dataset(dataset_json, split="train")
    _, depth = ours(sample, 0, ddad.read_points(sample.lidar))
    np.testing.assert_allclose(devkit["float64 0 CAMERA_01 depths"], depth, atol=1e-3)
