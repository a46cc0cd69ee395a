"""Somebody's depth files: holes in them, and units other than said."""

import json

import cv2
import numpy as np
import pytest

from fsmde_core.data import ddad, nuscenes
from fsmde_core.data.batch import RigDataset
from fsmde_core.evaluate.main import main


@pytest.fixture
def truth(nuscenes_root):
    """The one keyframe: its sample, and what LiDAR says in the images' own pixels."""
    samples = nuscenes.read_keyframes(nuscenes_root, "v1.0-mini")
    return samples[0], RigDataset(samples, nuscenes.read_points)[0]


def write(folder, token, depths, *, suffix=".npy", steps=1.0):
    (folder / token).mkdir(parents=True, exist_ok=True)
    for name, depth in depths.items():
        file = folder / token / f"{name}{suffix}"
        if suffix == ".npy":
            np.save(file, (steps * depth).astype(np.float32))
        elif suffix == ".npz":
            np.savez_compressed(file, (steps * depth).astype(np.float32))
        else:
            cv2.imwrite(str(file), np.clip(steps * depth, 0, 65535).round().astype(np.uint16))


def evaluated(root, folder, *options):
    """The report of a folder of predictions, and the exit code."""
    out = folder.with_name(f"{folder.name}_out")
    arguments = ["--data", str(root), "--version", "v1.0-mini", "--split", "mini_train"]
    code = main([*arguments, "--predictions", str(folder), "--out", str(out), *options])
    return json.loads((out / "report.json").read_text()), code


def depths_of(names, shape, depth_m=20.0):
    return {name: np.full(shape, depth_m, np.float32) for name in names}


def holed(names, shape, hole, where):
    depths = depths_of(names, shape)
    depths[names[0]][where] = hole
    return depths


@pytest.mark.parametrize("protocol", ["surrounddepth", "vfdepth", "cvcdepth_shrunk"])
@pytest.mark.parametrize("shape", [(300, 533), (900, 1600), (1800, 3200)])
@pytest.mark.parametrize("hole", [0.0, -1.0, np.nan])
def test_holes_are_seen_before_resizing_hides_them(
    nuscenes_root, truth, tmp_path, protocol, shape, hole
):
    sample, item = truth
    scattered = np.s_[2::5, 2::5]
    write(tmp_path / "p", sample.token, holed(item.names, shape, hole, scattered))
    report, code = evaluated(nuscenes_root, tmp_path / "p", "--protocol", protocol)
    assert code == 1 and report["samples"] == 0
    (fault,) = report["faults"]
    assert f"prediction of {item.names[0]}, sample {sample.token}" in fault["reason"]
    assert "not a positive number at" in fault["reason"]


@pytest.mark.parametrize("shape", [(300, 533), (900, 1600)])
@pytest.mark.parametrize("hole", [0.0, -1.0, np.nan])
def test_holes_where_nothing_is_asked_change_nothing(nuscenes_root, truth, tmp_path, shape, hole):
    """The sky has no LiDAR; neither the means nor the overlap take anything from there."""
    sample, item = truth
    first = np.nonzero(item.valid.any(axis=(0, 2)))[0][0] * shape[0] // 900
    write(tmp_path / "whole", sample.token, depths_of(item.names, shape))
    write(tmp_path / "p", sample.token, holed(item.names, shape, hole, np.s_[: first - 2]))
    (whole, _), (report, code) = (evaluated(nuscenes_root, tmp_path / n) for n in ("whole", "p"))
    assert code == 0 and not report["faults"]
    for key in ("metric", "median_scaled", "overlap"):
        assert report[key] == whole[key]


@pytest.mark.parametrize(
    ("suffix", "steps", "said", "option"),
    [
        (".png", 1000, "about 1000/256: it seems to be in millimetres", "1000"),
        (".png", 100, "about 100/256: it seems to be in centimetres", "100"),
        (".npy", 1000, "about 1000/1: it seems to be in millimetres", "1000"),
        (".npy", 256, "about 256/1: it seems to be in 1/256 m", "256"),
    ],
)
def test_another_unit_is_named_with_the_option_that_reads_it(
    nuscenes_root, truth, tmp_path, capsys, suffix, steps, said, option
):
    sample, item = truth
    medians = (np.median(d[d > 0]) for d in item.depth_gt)
    depths = {n: np.full((90, 160), 1.1 * m) for n, m in zip(item.names, medians)}
    write(tmp_path / "p", sample.token, depths, suffix=suffix, steps=steps)
    report, _ = evaluated(nuscenes_root, tmp_path / "p")
    (note,) = report["notes"]
    assert note.startswith(f"{tmp_path / 'p' / sample.token}/CAM_") and suffix in note
    assert f"{said}, which --steps-per-m {option} reads" in note
    assert note in capsys.readouterr().out
    report, _ = evaluated(nuscenes_root, tmp_path / "p", "--steps-per-m", option)
    assert report["notes"] == []
    assert report["metric"]["mean"]["abs_rel"] < 1


def test_a_unit_that_nobody_uses_is_said_too(nuscenes_root, truth, tmp_path):
    sample, item = truth
    write(tmp_path / "p", sample.token, depths_of(item.names, (90, 160), 2.0))
    report, _ = evaluated(nuscenes_root, tmp_path / "p")
    assert "--steps-per-m, 1 now, says what one metre is in the files" in report["notes"][0]


def test_millimetres_read_as_metres_of_1000_steps_are_the_same(nuscenes_root, truth, tmp_path):
    sample, item = truth
    write(
        tmp_path / "mm", sample.token, depths_of(item.names, (90, 160)), suffix=".png", steps=1000
    )
    write(tmp_path / "m", sample.token, depths_of(item.names, (90, 160)))
    millimetres, _ = evaluated(nuscenes_root, tmp_path / "mm", "--steps-per-m", "1000")
    metres, _ = evaluated(nuscenes_root, tmp_path / "m")
    assert millimetres["metric"] == metres["metric"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--predictions", ".", "--steps-per-m", "0"], "--steps-per-m 0 is not above 0"),
        (["--predictions", ".", "--steps-per-m", "-1"], "--steps-per-m -1 is not above 0"),
        (["--model", "m.json", "--steps-per-m", "9"], "--steps-per-m is for --predictions"),
    ],
)
def test_a_unit_that_means_nothing_is_refused(nuscenes_root, options, said, capsys):
    arguments = ["--data", str(nuscenes_root), "--version", "v1.0-mini", "--split", "mini_train"]
    assert main([*arguments, *options]) == 2
    assert said in capsys.readouterr().err


HEADER = b"\x93NUMPY\x01\x00v\x00%s\n"


def header(text):
    return HEADER % text.ljust(117)


@pytest.mark.parametrize(
    "content, said",
    [
        (b"<html>Sign in</html>", "the magic string is not correct"),
        (b"", "EOF"),
        (
            header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (9000000, 9000000), }"),
            "size",
        ),
        (header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4), }"), "negative"),
        (header(b"{'descr': [[["), "EOF"),
        (header(b"{'descr': '|O', 'fortran_order': False, 'shape': (2, 2), }"), "objects"),
    ],
)
def test_what_is_no_array_is_a_fault_of_its_sample(nuscenes_root, truth, tmp_path, content, said):
    sample, item = truth
    write(tmp_path / "p", sample.token, depths_of(item.names, (90, 160)))
    file = tmp_path / "p" / sample.token / f"{item.names[2]}.npy"
    file.write_bytes(content)
    report, code = evaluated(nuscenes_root, tmp_path / "p")
    assert code == 1
    (fault,) = report["faults"]
    assert fault["reason"].startswith(f"prediction {file} is no array of numbers: ")
    assert said in fault["reason"] and "allow_pickle" not in fault["reason"]


@pytest.mark.parametrize("depth", [np.ones((0, 5)), np.ones((90, 160, 1)), np.ones((9, 16), "<i4")])
def test_what_is_no_depth_image_is_a_fault_of_its_sample(nuscenes_root, truth, tmp_path, depth):
    sample, item = truth
    write(tmp_path / "p", sample.token, depths_of(item.names, (90, 160)))
    np.save(tmp_path / "p" / sample.token / f"{item.names[0]}.npy", depth)
    report, code = evaluated(nuscenes_root, tmp_path / "p")
    assert code == 1 and f"CAM_FRONT.npy is {depth.dtype} {depth.shape}" in str(report["faults"])


@pytest.mark.parametrize(
    "shape, refused", [((1600, 900), True), ((160, 90), True), ((9, 9), False)]
)
def test_rows_and_columns_that_changed_places_are_said(
    nuscenes_root, truth, tmp_path, shape, refused
):
    sample, item = truth
    write(tmp_path / "p", sample.token, depths_of(item.names, shape))
    report, code = evaluated(nuscenes_root, tmp_path / "p")
    assert ("rows and columns changed places" in str(report["faults"])) == refused == (code == 1)


def test_more_sweeps_than_any_protocol_takes_are_said(nuscenes_root, truth, tmp_path):
    sample, item = truth
    write(tmp_path / "p", sample.token, depths_of(item.names, (90, 160)))
    report, _ = evaluated(nuscenes_root, tmp_path / "p", "--past-sweeps", "1")
    assert report["past_sweeps"] == 1
    assert "--past-sweeps 1: no published protocol" in report["notes"]


@pytest.mark.parametrize(
    "option, value, said",
    [
        ("--limit", "0", "0 is not positive"),
        ("--limit", "-5", "-5 is not positive"),
        ("--panels", "-1", "-1 is negative"),
        ("--past-sweeps", "-1", "-1 is negative"),
        ("--input-pixels", "many", "'many' is no whole number"),
    ],
)
def test_numbers_that_cannot_be_are_refused(option, value, said, capsys):
    with pytest.raises(SystemExit):
        main(["--data", "x", "--predictions", "y", option, value])
    assert f"argument {option}: {said}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "table, content, options",
    [
        ("v1.0-mini/scene.json", "[]", ["--version", "v1.0-mini", "--split", "all"]),
        ("ddad.json", '{"scene_splits": {"1": {}}}', ["--dataset", "ddad", "--split", "val"]),
        ("ddad.json", '{"scene_splits": {"1": {"filenames": []}}}', ["--dataset", "ddad"]),
    ],
)
def test_a_split_without_samples_is_said(nuscenes_root, tmp_path, capsys, table, content, options):
    root, out = tmp_path / "root", tmp_path / "out"
    (root / "v1.0-mini").mkdir(parents=True)
    for file in (nuscenes_root / "v1.0-mini").glob("*.json"):
        (root / "v1.0-mini" / file.name).symlink_to(file)
    (root / table).unlink(missing_ok=True)
    (root / table).write_text(content)
    arguments = ["--data", str(root), "--predictions", str(tmp_path), "--out", str(out)]
    assert main([*arguments, *options]) == 2
    assert f"{root} has no sample in split" in capsys.readouterr().err
    assert not (out / "report.json").exists()


@pytest.mark.parametrize("device", ["tpu", "cuda:99"])
def test_a_device_that_torch_has_not_is_one_sentence(nuscenes_root, model_card, capsys, device):
    arguments = ["--data", str(nuscenes_root), "--version", "v1.0-mini", "--split", "mini_train"]
    arguments += ["--model", str(model_card), "--backend", "torch", "--device", device]
    assert main(arguments) == 2
    assert capsys.readouterr().err == (
        f"fsmde-evaluate: --device {device}: torch has no such device here\n"
    )


def test_where_there_are_no_masks_vfdepth_goes_without(ddad_scene, tmp_path, capsys):
    root = ddad_scene.parent.parent
    for sample in ddad.read_dataset(root, split="val"):
        write(tmp_path / "p", sample.token, depths_of(sample.rig.names, (30, 40)))
    arguments = ["--data", str(root), "--dataset", "ddad", "--predictions", str(tmp_path / "p")]
    arguments += ["--protocol", "vfdepth"]
    assert main([*arguments, "--out", str(tmp_path / "without")]) == 0
    assert "no --masks: the own vehicle counts, which vfdepth leaves out" in capsys.readouterr().out
    masks = ["--masks", str(root.parent / "masks_ddad")]
    assert main([*arguments, *masks, "--out", str(tmp_path / "with")]) == 0
    files = [tmp_path / name / "report.json" for name in ("without", "with")]
    without, masked = (json.loads(file.read_text()) for file in files)
    for name in ("CAMERA_05", "CAMERA_06"):
        assert without["counts"][name]["pixels"] > masked["counts"][name]["pixels"]
    assert main(["--compare", *map(str, files)]) == 2  # they do not compare
    assert "differ in body_masks of protocol vfdepth" in capsys.readouterr().err


@pytest.mark.parametrize("arrays", [{"arr_0": 20.0}, {"pred": 20.0}, {"depth": 20.0, "conf": 0.5}])
def test_an_npz_is_read_as_the_same_npy(nuscenes_root, truth, tmp_path, arrays):
    sample, item = truth
    write(tmp_path / "npy", sample.token, depths_of(item.names, (90, 160)))
    (tmp_path / "npz" / sample.token).mkdir(parents=True)
    for name in item.names:
        full = {key: np.full((90, 160), value, np.float32) for key, value in arrays.items()}
        np.savez_compressed(tmp_path / "npz" / sample.token / f"{name}.npz", **full)
    (npy, _), (npz, code) = (evaluated(nuscenes_root, tmp_path / n) for n in ("npy", "npz"))
    assert code == 0 and npz["metric"] == npy["metric"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: np.savez(f, a=np.ones((9, 9)), b=np.ones((9, 9))), "holds a, b, not one array"),
        (lambda f: np.savez(f), "holds no array, not one array"),
        (lambda f: f.write_bytes(f.read_bytes()[:100]), "File is not a zip file"),
        (
            lambda f: np.savez(f, depth=np.ones((9, 9), np.uint16)),
            "is uint16 (9, 9), not float",
        ),
    ],
)
def test_an_npz_that_holds_something_else_is_named(nuscenes_root, truth, tmp_path, spoil, said):
    sample, item = truth
    write(tmp_path / "p", sample.token, depths_of(item.names, (90, 160)), suffix=".npz")
    file = tmp_path / "p" / sample.token / f"{item.names[0]}.npz"
    spoil(file)
    report, code = evaluated(nuscenes_root, tmp_path / "p")
    (fault,) = report["faults"]
    assert code == 1 and f"prediction {file}" in fault["reason"] and said in fault["reason"]


@pytest.mark.parametrize("layout", ["{camera}/{token}.npy", "{token}_{camera}.npy", ""])
def test_a_folder_of_another_layout_is_refused_before_anything_is_read(
    nuscenes_root, truth, tmp_path, layout, capsys
):
    sample, item = truth
    folder = tmp_path / "p"
    folder.mkdir()
    for name in item.names if layout else ():
        file = folder / layout.format(camera=name, token=sample.token)
        file.parent.mkdir(exist_ok=True)
        np.save(file, np.ones((9, 16), np.float32))
    arguments = ["--data", str(nuscenes_root), "--split", "all", "--predictions", str(folder)]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    has = min((path.name for path in folder.iterdir()), default="nothing")
    said = f"has no folder {sample.token}, nor that of any other sample; it has {has}"
    assert said in capsys.readouterr().err


def test_without_out_no_evaluation_replaces_another(nuscenes_root, truth, tmp_path, monkeypatch):
    sample, item = truth
    monkeypatch.chdir(tmp_path)
    arguments = ["--data", str(nuscenes_root.resolve()), "--split", "all", "--predictions"]
    for name in ("a/depths", "b/depths"):
        write(tmp_path / name, sample.token, depths_of(item.names, (90, 160)))
        for protocol in ("surrounddepth", "vfdepth"):
            assert main([*arguments, name, "--protocol", protocol]) == 0
    names = sorted(path.parent.name for path in tmp_path.glob("out/evaluation/*/report.json"))
    told = [f"{f}_depths_nuscenes_all_{p}" for f in "ab" for p in ("surrounddepth", "vfdepth")]
    assert names == told
