"""The evaluator on a hand-made rig, and the command line on real frames."""

import json
import os
import re
import shutil
import signal
import weakref
from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import ROOT

from fsmde_core.data import nuscenes
from fsmde_core.data.batch import RigDataset
from fsmde_core.data.sample import DatasetError, LidarSweep, Sample, Samples
from fsmde_core.evaluate.compare import bootstrap_interval, compare
from fsmde_core.evaluate.evaluation import evaluate
from fsmde_core.evaluate.main import main
from fsmde_core.evaluate.metrics import METRICS
from fsmde_core.evaluate.protocols import PROTOCOLS
from fsmde_core.evaluate.report import ReportError, report
from fsmde_core.geometry import make_transform, pixel_centres, pixel_rays
from fsmde_core.rig import Camera, Rig, save_rig

SIZE = 16, 8
AXES = {"front": [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], "back": [[0, 0, -1], [1, 0, 0], [0, -1, 0]]}
ABOUT = {"dataset": "x", "version": "", "split": "val", "model": "m", "device": "", "command": ""}


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


def documents(rows_a, rows_b):
    def make(rows):
        per_sample = {s: {m: row for m in METRICS} for s, row in rows.items()}
        return {**ABOUT, "protocol": "p", "per_sample": per_sample}

    return make(rows_a), make(rows_b)


def test_differences_are_paired_over_common_samples():
    a, b = documents({"1": 0.5, "2": 0.1, "3": 9.0}, {"1": 0.4, "2": 0.0, "4": 7.0})
    differences, samples = compare([(a, b)])
    assert samples == 2
    assert differences[0].a == pytest.approx(0.3) and differences[0].b == pytest.approx(0.2)
    assert (differences[0].low, differences[0].high) == pytest.approx((-0.1, -0.1))  # every draw
    assert differences[0].certain


def test_seeds_are_averaged_before_samples_are_drawn():
    seeds = [documents({"1": 0.5, "2": 0.1}, {"1": 0.4 + d, "2": -d}) for d in (0.3, -0.3)]
    differences, samples = compare(seeds)
    assert samples == 2  # not four: the seeds of a sample are no samples of their own
    assert differences[0].change == pytest.approx(-0.1)
    assert (differences[0].low, differences[0].high) == pytest.approx((-0.1, -0.1))


def test_the_bootstrap_interval_is_that_of_the_mean():
    rows = np.random.default_rng(1).normal(0.0, 1.0, (400, 1))
    low, high = bootstrap_interval(rows, seed=0)[:, 0]
    assert low < rows.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)  # sigma / sqrt(400), both sides


def test_a_single_sample_has_no_interval():
    (difference, *_), samples = compare([documents({"1": 0.5}, {"1": 0.4})])
    assert samples == 1 and np.isnan(difference.low) and not difference.certain


def test_reports_of_different_protocols_do_not_compare():
    a, b = documents({"1": 0.5}, {"1": 0.4})
    with pytest.raises(ReportError, match="differ in protocol"):
        compare([(a, b), (a, {**b, "protocol": "other"})])


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
    assert "15569195939203480.npz is not whole" in reasons[1]
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
    (tmp_path / "empty").mkdir()
    arguments = nuscenes_arguments(root, tmp_path / "out")
    assert main([*arguments, "--predictions", str(tmp_path / "empty")]) == 1
    faults = json.loads((tmp_path / "out" / "report.json").read_text())["faults"]
    assert "CAM_FRONT.npy is missing, and so is CAM_FRONT.png" in faults[0]["reason"]
    assert "sample.json" in faults[1]["reason"] and "lacks token 'nowhere'" in faults[1]["reason"]
    assert "0 samples counted, 2 with faults" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "none", "--model", "m.json"], "nuScenes root none has no folder v1.0-trainval"),
        (["--compare", "a.json", "b.json"], "report a.json: No such file or directory"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(arguments, sentence, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.strip() == f"fsmde-evaluate: {sentence}"


def test_strict_raises_the_first_fault(world):
    with pytest.raises(ValueError, match="not a positive number"):
        world(2, constant(np.nan), strict=True)


def test_prediction_folders_cannot_be_left(nuscenes_root, tmp_path):
    from fsmde_core.evaluate.sources import folder_source

    (sample,) = nuscenes.read_keyframes(nuscenes_root, "v1.0-mini")
    outside = Sample(**{**sample.__dict__, "token": "../../etc"})
    with pytest.raises(DatasetError, match="leaves the dataset root"):
        folder_source(tmp_path)(None, sample.rig, outside)


def test_the_command_is_installed():
    assert "fsmde-evaluate = fsmde_core.evaluate.main:main" in (ROOT / "setup.py").read_text()


@pytest.fixture
def ddad_arguments(ddad_scene, tmp_path):
    """Three samples, and a folder of predictions that is asked for none."""
    (tmp_path / "depths").mkdir()
    root = ddad_scene.parent.parent
    return ["--data", str(root), "--dataset", "ddad", "--predictions", str(tmp_path / "depths")]


def interrupted(number, *, after):
    """A prediction during whose call of that number a signal comes."""
    calls = []

    def predict(images, rig, sample):
        calls.append(sample.token)
        if len(calls) == after:
            os.kill(os.getpid(), number)
        return [np.full((30, 40), 12, np.float32) for _ in images]

    return lambda arguments: predict


@pytest.mark.parametrize(
    "number, after, code",
    [(signal.SIGINT, 1, 130), (signal.SIGTERM, 1, 143), (signal.SIGINT, 2, 130)],
)
def test_an_interrupted_evaluation_keeps_what_it_counted(
    ddad_arguments, tmp_path, capsys, monkeypatch, number, after, code
):
    monkeypatch.setattr("fsmde_core.evaluate.main._source", interrupted(number, after=after))
    out = tmp_path / "out"
    assert main([*ddad_arguments, "--out", str(out)]) == code
    document = json.loads((out / "report.json").read_text())
    assert document["samples"] == after and document["partial"] == f"{after} of 3 samples"
    said = capsys.readouterr().out
    for text in (said, (out / "report.md").read_text()):
        assert f"PARTIAL, interrupted: {after} of 3 samples" in text
        assert f"{after} samples counted, 0 with faults" in text and "Metric scale" in text
    report_json = str(out / "report.json")
    assert main(["--compare", report_json, report_json]) == 0
    assert f"report.json (PARTIAL: {after} of 3 samples)" in capsys.readouterr().out


def test_interrupted_while_pictures_are_made_is_whole(
    ddad_arguments, tmp_path, capsys, monkeypatch
):
    source = interrupted(signal.SIGTERM, after=4)  # the three samples, and the first picture's
    monkeypatch.setattr("fsmde_core.evaluate.main._source", source)
    assert main([*ddad_arguments, "--out", str(tmp_path / "out")]) == 143
    assert json.loads((tmp_path / "out" / "report.json").read_text())["partial"] == ""
    assert "PARTIAL" not in capsys.readouterr().out


@pytest.mark.parametrize("out", ["/proc/nowhere", "depths/file", "depths/file/under"])
def test_what_cannot_be_written_is_said_before_scoring(
    ddad_arguments, tmp_path, capsys, monkeypatch, out
):
    (tmp_path / "depths" / "file").write_text("")

    def never(*_, **__):
        raise AssertionError("scored")

    monkeypatch.setattr("fsmde_core.evaluate.main.evaluate", never)
    assert main([*ddad_arguments, "--out", str(tmp_path / out)]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"fsmde-evaluate: {tmp_path / out}: cannot be written to: ")


def test_numbers_are_on_the_screen_when_the_disk_is_full(
    ddad_arguments, tmp_path, capsys, monkeypatch
):
    source = interrupted(signal.SIGTERM, after=9)
    monkeypatch.setattr("fsmde_core.evaluate.main._source", source)
    (tmp_path / "out" / "report.json").mkdir(parents=True)  # where no file can be renamed to
    assert main([*ddad_arguments, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert "mean of 3 cameras" in said.out and "report.json" in said.err
