"""The command line on real frames."""

import json
import re
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import ROOT

from fsmde_core.data import nuscenes
from fsmde_core.data.batch import RigDataset
from fsmde_core.data.sample import DatasetError, Sample
from fsmde_core.evaluate.main import main
from fsmde_core.evaluate.metrics import METRICS
from fsmde_core.geometry import pixel_centres, pixel_rays
from fsmde_core.rig import Rig, save_rig


def nuscenes_arguments(root, out):
    return [
        "--data", str(root), "--version", "v1.0-mini", "--split", "mini_train", "--out", str(out),
    ]  # fmt: skip


def write_floor(root, folder, depth_of):
    (sample,) = nuscenes.read_keyframes(root, "v1.0-mini")
    (folder / sample.token).mkdir(parents=True)
    for camera in sample.rig.cameras:
        np.save(folder / sample.token / f"{camera.name}.npy", depth_of(camera).astype(np.float32))
    return folder


def flat_ground(camera):
    """Depth of the plane z = 0 of the vehicle, no further than 30 m."""
    rays = pixel_rays(camera.K, pixel_centres(camera.width, camera.height))
    down = rays @ camera.T_ego_cam[2, :3]
    depth = np.full(down.shape, 30.0)
    depth[down < 0] = np.minimum(30.0, -camera.T_ego_cam[2, 3] / down[down < 0])
    return depth


def median_depth(root):
    samples = nuscenes.read_keyframes(root, "v1.0-mini")
    depth_gt = RigDataset(samples, nuscenes.read_points)[0].depth_gt
    return np.median(depth_gt[(depth_gt > 0.1) & (depth_gt < 80)])


def test_the_trivial_floor_of_a_real_keyframe(nuscenes_root, tmp_path, capsys):
    """Both numbers of the notes: the surrounddepth protocol, metric scale, mean of six cameras."""
    constant_m = median_depth(nuscenes_root)  # over all six cameras
    assert constant_m == pytest.approx(11.10, abs=0.01)
    for name, depth_of, abs_rel, delta in (
        ("constant", lambda c: np.full((c.height, c.width), constant_m), 0.58, 0.21),
        ("flat", flat_ground, 0.45, 0.56),
    ):
        folder = write_floor(nuscenes_root, tmp_path / name, depth_of)
        out = tmp_path / f"{name}_out"
        arguments = nuscenes_arguments(nuscenes_root, out) + ["--predictions", str(folder)]
        assert main(arguments) == 0
        document = json.loads((out / "report.json").read_text())
        assert document["metric"]["mean"]["abs_rel"] == pytest.approx(abs_rel, abs=0.005)
        assert document["metric"]["mean"]["delta_1"] == pytest.approx(delta, abs=0.005)
        pixels = {n: c["pixels"] for n, c in document["counts"].items()}
        assert pixels == {
            "CAM_FRONT": 3052, "CAM_FRONT_RIGHT": 3075, "CAM_BACK_RIGHT": 3332,
            "CAM_BACK": 4786, "CAM_BACK_LEFT": 4096, "CAM_FRONT_LEFT": 3699,
        }  # fmt: skip
    both = [str(tmp_path / f"{name}_out" / "report.json") for name in ("constant", "flat")]
    capsys.readouterr()
    assert main(["--compare", *both]) == 0
    assert re.search(r"\| abs_rel +\| +0.577 \| +0.454 \| +-0.123 \|", capsys.readouterr().out)
    assert main(["--compare", *both, "--compare", *both]) == 0
    table = capsys.readouterr().out
    assert table.count("a = ") == 2 and "not certain" in table  # of one sample nothing is
    assert re.search(r"\| abs_rel +\| +0.577 \| +0.454 \| +-0.123 \|", table)


def test_what_a_rig_files_masks_cover_is_not_counted(nuscenes_root, tmp_path, capsys):
    (sample,) = nuscenes.read_keyframes(nuscenes_root, "v1.0-mini")
    body = np.zeros((900, 1600), bool)
    body[:, :800] = True
    masked = (replace(sample.rig.cameras[0], body=body), *sample.rig.cameras[1:])
    folder, pixels = write_floor(nuscenes_root, tmp_path / "flat", flat_ground), {}
    for name, cameras in (("whole", sample.rig.cameras), ("half", masked)):
        rig_file = tmp_path / name / "rig.yaml"
        save_rig(Rig(cameras), rig_file)
        arguments = nuscenes_arguments(nuscenes_root, tmp_path / name)
        arguments += ["--predictions", str(folder), "--protocol", "vfdepth"]
        assert main([*arguments, "--masks", str(rig_file)]) == 0
        counts = json.loads((tmp_path / name / "report.json").read_text())["counts"]
        pixels[name] = [counts[camera]["pixels"] for camera in sample.rig.names]
    assert 0 < pixels["half"][0] < 0.8 * pixels["whole"][0]
    assert pixels["half"][1:] == pixels["whole"][1:]
    plain = [a for a in arguments if a not in ("--protocol", "vfdepth")]
    assert main([*plain, "--masks", str(rig_file)]) == 2
    assert (
        "surrounddepth counts the own vehicle, --masks changes nothing" in capsys.readouterr().err
    )
    save_rig(Rig(sample.rig.cameras[1:]), rig_file)
    assert main([*arguments, "--masks", str(rig_file), "--strict"]) != 0
    said = capsys.readouterr()
    assert f"{rig_file} has no camera '{sample.rig.names[0]}'" in said.out + said.err


def test_a_model_leaves_reports_and_pictures(ddad_scene, model_card, tmp_path, capsys):
    root = ddad_scene.parent.parent
    arguments = ["--data", str(root), "--dataset", "ddad", "--model", str(model_card)]
    arguments += ["--protocol", "vfdepth", "--masks", str(root.parent / "masks_ddad")]
    assert main([*arguments, "--out", str(tmp_path / "onnx")]) == 0
    screen = capsys.readouterr().out
    assert "3 samples counted, 0 with faults" in screen and "mean of 3 cameras" in screen
    assert main([*arguments, "--out", str(tmp_path / "torch"), "--backend", "torch"]) == 0
    names = {path.name for path in (tmp_path / "onnx").iterdir()}
    assert names == {
        "report.json", "report.md", "error_by_distance.png", "best_1.jpg", "median_1.jpg",
        "worst_1.jpg",
    }  # fmt: skip
    panel = cv2.imread(str(tmp_path / "onnx" / "best_1.jpg"))
    assert panel.shape == (64 + 3 * 240, 1600, 3)
    a, b = (json.loads((tmp_path / n / "report.json").read_text()) for n in ("onnx", "torch"))
    for metric in METRICS:  # the same weights, whoever runs them
        assert a["metric"]["mean"][metric] == pytest.approx(b["metric"]["mean"][metric], abs=2e-3)


@pytest.fixture
def broken_ddad(ddad_scene, tmp_path):
    """Three samples, the first with a JPEG and the second with a point cloud cut short."""
    root = shutil.copytree(ddad_scene.parent.parent, tmp_path / "ddad")
    for pattern, keep in (("rgb/CAMERA_05/*8415230.jpg", 90_000), ("point_cloud/*/*9203480*", 999)):
        (path,) = root.glob(f"scene_01/{pattern}")
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[:keep])
    return root


def test_faults_are_named_and_counted_and_stop_only_if_strict(broken_ddad, tmp_path, capsys):
    folder = tmp_path / "depths"
    arguments = ["--data", str(broken_ddad), "--dataset", "ddad", "--predictions", str(folder)]
    arguments += ["--out", str(tmp_path / "out")]
    third = "2463-05-15T00:39:00.203574Z"
    (folder / third).mkdir(parents=True)
    for name in ("CAMERA_01", "CAMERA_05", "CAMERA_06"):
        cv2.imwrite(str(folder / third / f"{name}.png"), np.full((30, 40), 12 * 256, np.uint16))
    assert main(arguments) == 0
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert document["samples"] == 1
    reasons = [fault["reason"] for fault in document["faults"]]
    assert len(reasons) == 2
    assert "CAMERA_05/15569195938415230.jpg is a damaged JPEG" in reasons[0]
    assert "15569195939203480.npz does not read" in reasons[1]
    capsys.readouterr()
    assert main([*arguments, "--strict"]) == 2
    assert "fsmde-evaluate: image" in capsys.readouterr().err


def test_a_dangling_token_and_a_missing_prediction_are_faults(nuscenes_root, tmp_path, capsys):
    root = shutil.copytree(nuscenes_root, tmp_path / "nuscenes")
    table = root / "v1.0-mini" / "sample.json"
    entries = json.loads(table.read_text())
    entries[0]["next"] = "nowhere"
    table.unlink()
    table.write_text(json.dumps(entries))
    (token,) = [entry["token"] for entry in entries]
    (tmp_path / "empty" / token).mkdir(parents=True)
    arguments = nuscenes_arguments(root, tmp_path / "out")
    assert main([*arguments, "--predictions", str(tmp_path / "empty")]) == 1
    faults = json.loads((tmp_path / "out" / "report.json").read_text())["faults"]
    assert (
        "CAM_FRONT.npy is missing, and so are CAM_FRONT.npz and CAM_FRONT.png"
        in faults[0]["reason"]
    )
    assert "sample.json" in faults[1]["reason"] and "lacks token 'nowhere'" in faults[1]["reason"]
    assert "0 samples counted, 2 with faults" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "none", "--model", "m.json"], "nuScenes root none is no folder"),
        (["--compare", "a.json", "b.json"], "report a.json: No such file or directory"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(arguments, sentence, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.strip() == f"fsmde-evaluate: {sentence}"


def test_prediction_folders_cannot_be_left(nuscenes_root, tmp_path):
    from fsmde_core.evaluate.sources import folder_source

    (sample,) = nuscenes.read_keyframes(nuscenes_root, "v1.0-mini")
    outside = Sample(**{**sample.__dict__, "token": "../../etc"})
    with pytest.raises(DatasetError, match="leaves the dataset root"):
        folder_source(tmp_path)(None, sample.rig, outside)


def test_the_command_is_installed():
    assert "fsmde-evaluate = fsmde_core.evaluate.main:main" in (ROOT / "setup.py").read_text()


@pytest.mark.parametrize(
    ("version", "scene", "split"),
    [
        ("v1.0-mini", "scene-0103", "mini_val"),
        ("v1.0-trainval", "scene-0103", "val"),
        ("v1.0-mini", "scene-0061", "mini_val"),
    ],
)
def test_without_a_split_it_is_the_versions_own(
    nuscenes_root, tmp_path, model_card, version, scene, split, capsys
):
    shutil.copytree(nuscenes_root / "v1.0-mini", tmp_path / version)
    (tmp_path / "samples").symlink_to(nuscenes_root.resolve() / "samples")
    table = tmp_path / version / "scene.json"
    table.chmod(0o644)
    table.write_text(table.read_text().replace("scene-0061", scene))
    arguments = ["--data", str(tmp_path), "--model", str(model_card), "--panels", "0"]
    code = main([*arguments, "--out", str(tmp_path / "out")])
    said = capsys.readouterr()
    if scene == "scene-0061":
        assert code == 2 and f"no scene of the split '{split}'" in said.err
    else:
        assert code == 0 and f"nuscenes {version} {split}" in said.out
