"""fsmde-adapt on bags of a rendered drive: what it looks for, what it learns, what it refuses."""

import json
import re
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from drives import in_unit, standing, swapped, write_foreign_bag
from rosbags.rosbag2 import StoragePlugin

from fsmde_core.adapt import place, run
from fsmde_core.adapt.agreement import Spoilt, write_spoilt
from fsmde_core.adapt.doubts import check_fit
from fsmde_core.adapt.request import Request
from fsmde_core.adapt.score import mean_score, score
from fsmde_core.adapt.source import choose, write_drive
from fsmde_core.card import load_card, save_card, sha256_of, verified_file
from fsmde_core.data.drive import Drive, load_drive
from fsmde_core.distill import train
from fsmde_core.rig import save_rig, write_body
from fsmde_core.runtime.predictor import Predictor
from fsmde_ros.bags.drive import open_bag_drive
from fsmde_ros.bags.writer import RIG_FILE, write_bag
from fsmde_ros.tools.adapt import _files, main

FEW_PIXELS = ("augment.pixels=[0.2,0.3]", "augment.aspects=[1.7,1.9]")
QUICK = ("steps=1", "data.workers=0", *FEW_PIXELS)


@pytest.fixture(scope="module")
def drive(driven_bag, tmp_path_factory):
    source = open_bag_drive(driven_bag, None)
    path = tmp_path_factory.mktemp("drives") / "drive"
    write_drive([source], [choose(source)], path)
    return load_drive(path)


@pytest.fixture(scope="module")
def far_off(model_card, tmp_path_factory):
    """A model that sees everything 1.5 times too far."""
    card = tmp_path_factory.mktemp("models") / "far_off.json"
    return write_spoilt(model_card, card, Spoilt(scale=1.5))


def bag_of(samples, folder):
    write_bag(samples, folder / "bag")
    return str(folder / "bag")


def command(bag, out, *more):
    rig = str(bag) + f"/{RIG_FILE}"
    return [str(bag), "--rig", rig, "--out", str(out), "--accelerator", "cpu", *more]


def begun(out):
    """As if something had been learnt."""
    (out / "work" / "train").mkdir()
    (out / "work" / "train" / "last.pt").touch()


def test_a_good_drive_has_no_doubts_and_a_table(driven_bag, tmp_path, capsys):
    assert main(command(driven_bag, tmp_path / "mine", "--dry-run")) == 0
    said = capsys.readouterr()
    front = next(line for line in said.out.splitlines() if "CAM_FRONT " in line)
    cells = [cell.strip() for cell in front.split("|")]
    assert cells[2] == "240x135" and cells[5] == "10.0 Hz" and cells[6] == "8 ms"
    assert int(cells[8].split(" ")[0]) <= 5
    assert (
        "22 m in 2 s by /tf, map <- base_link, 100% of the time in motion, of which "
        "18 moments are taken" in said.out
    )
    assert "judged on 4 of the last (second 1.4 to 1.7 of drive)" in said.out
    assert "4 moments do not tell for certain: 8 do" in said.out
    assert "! no mask: where cameras see the own vehicle" in said.out
    assert "licence is unknown (data of drive)" in said.out
    assert "unit of odometry" in said.out and not (tmp_path / "mine" / "mine.json").exists()
    assert main(command(driven_bag, tmp_path / "mine", "--dry-run", "--moments", "12")) == 0
    assert "which 12 moments are taken" in capsys.readouterr().out  # nothing was learnt so far
    begun(tmp_path / "mine")
    assert main(command(driven_bag, tmp_path / "mine", "--dry-run", "--moments", "15")) == 1
    said = capsys.readouterr().err
    work = tmp_path / "mine" / "work"
    assert f"{work} holds the work of another command (moments: 12 then, 15 now)" in said
    assert f"or remove {work}" in said


def test_standing_still_is_refused(driven, tmp_path, capsys):
    save_rig(driven[0].rig, tmp_path / RIG_FILE)
    stands = {"raw": False, "storage": StoragePlugin.MCAP, "moves": "odometry"}
    write_foreign_bag(standing(driven), tmp_path / "bag", **stands)
    rig = str(tmp_path / RIG_FILE)
    assert main([str(tmp_path / "bag"), "--rig", rig, "--out", str(tmp_path / "mine")]) == 1
    said = capsys.readouterr().err
    assert "the vehicle moves 0.0 m in 2 s by /odom" in said
    assert "a vehicle that stands still shows every camera one picture" in said


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["losses.photometrc=1"], 2, "photometrc"),
        (["steps=-3"], 2, "steps is -3"),
        (["--config", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["--moments", "1"], 1, "1 moments are too few"),
        (["--step", "nan"], 1, "nan m, which is no distance"),
        (["--left-out", "1"], 1, "left out is 1"),
        (["name=other"], 1, "name=other: name is what the command itself gives"),
        (["data.train_split=0:"], 1, "data.train_split is what the command itself gives"),
        (["teacher=models/student_s.json"], 1, "teacher is what the command itself gives"),
        (["--rig", "README.md"], 2, "README.md"),
        (["no.bag"], 1, "is given twice"),
    ],
)
def test_what_cannot_be_is_said_before_the_drive_is_read(words, code, sentence, tmp_path, capsys):
    assert main(["no.bag", "--out", str(tmp_path / "mine"), *words]) == code
    said = capsys.readouterr().err
    assert sentence in said and "exist" not in said and "Traceback" not in said
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("name", ["2026", "null", "a: b", "[x]", "#1", "left/.."])
def test_a_folder_may_be_called_as_one_likes(name, tmp_path, capsys):
    assert main(["no.bag", "--out", str(tmp_path / name)]) == 2
    assert "bag no.bag does not exist" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_model_without_its_files_is_named_before_the_drive_is_read(model_card, tmp_path, capsys):
    card, out = shutil.copy(model_card, tmp_path), str(tmp_path / "mine")
    for suffix in (".safetensors", ".onnx"):
        assert main(["no.bag", "--out", out, "--model", str(card)]) == 2
        assert f"student_s{suffix} is missing" in capsys.readouterr().err
        if suffix == ".safetensors":
            assert main(["no.bag", "--out", out, "--teacher", str(card)]) == 2
            assert f"student_s{suffix} is missing" in capsys.readouterr().err
        shutil.copy(model_card.with_suffix(suffix), tmp_path)


def test_nothing_is_written_over_what_it_is_made_of(drive, tmp_path, capsys):
    out = tmp_path / "drive"
    source = shutil.copytree(drive.path, out / "work" / "drive")  # from another machine
    shutil.copytree(drive.path, out, dirs_exist_ok=True)
    for path in (source, out):
        assert main([str(path), "--out", str(out)]) == 1
        assert f"{path} is in the way of --out {out}" in capsys.readouterr().err
        assert len(load_drive(path)) == len(drive) and load_drive(path).image(0, 0).any()
    assert main([str(source), "--out", str(tmp_path / "report")]) == 1
    assert "a model cannot be called 'report'" in capsys.readouterr().err


def test_options_of_other_sources_are_not_passed_over(drive, driven_bag, tmp_path, capsys):
    for source, words in (
        (drive.path, ["--odometry", "odom"]),
        (drive.path, ["--scene", "scene-1"]),
        (driven_bag, ["--scene", "scene-1"]),
    ):
        assert main([str(source), "--out", str(tmp_path / "mine"), *words]) == 1
        assert f"{words[0]} is for " in capsys.readouterr().err
    words = [str(driven_bag), "--out", str(tmp_path / "mine"), "--odometry", "nowhere"]
    assert main(words) == 1
    assert "; without --odometry it is /tf, map <- base_link" in capsys.readouterr().err


def test_a_source_that_was_changed_is_not_taken_for_what_it_was(drive, tmp_path, capsys):
    rig = drive.rig.cameras[0]
    source, out = shutil.copytree(drive.path, tmp_path / "some"), tmp_path / "mine"
    masked = replace(drive.rig, cameras=(replace(rig, body=np.zeros((135, 240), bool)),))
    save_rig(masked, tmp_path / RIG_FILE)
    words = [str(source), "--rig", str(tmp_path / RIG_FILE), "--out", str(out), "--dry-run"]
    assert main(words) == 0 == main(words)
    begun(out)
    assert load_drive(out / "work" / "drive").rig.cameras[0].body is not None
    mask = tmp_path / "CAM_FRONT_mask.png"
    before = mask.read_bytes()
    write_body(np.eye(135, 240, dtype=bool), mask)
    assert main(words) == 1
    mask.write_bytes(before)
    (source / "drive.json").write_text((source / "drive.json").read_text() + " ")
    assert main(words) == 1
    (out / "work" / "sources.json").write_text('{"asked": 5}')
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "the rig file or a mask of it was changed" in said
    assert "sources.json is not as this version writes it" in said
    assert f"{source} was changed since" in said


def test_the_rig_file_beside_a_recording_is_part_of_it(tmp_path):
    bag = tmp_path / "drive"
    bag.mkdir()
    (bag / "metadata.yaml").write_text("")
    before = _files(bag)
    (tmp_path / "drive.rig.yaml").write_text("")
    assert len(_files(bag)) == len(before) + 1


def test_feet_are_named_and_refused_unless_trusted(driven, tmp_path, capsys):
    bag = bag_of(in_unit(driven, 1 / 0.3048), tmp_path)
    arguments = command(bag, tmp_path / "mine", "--dry-run")
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "odometry seems to be" in said and "in feet (times 0.3" in said
    assert "translations fit best times 0." in said and "--trust-odometry" in said
    assert main([*arguments, "--trust-odometry"]) == 1
    said = capsys.readouterr()
    assert "in feet (times 0.3" in said.out and "seems" not in said.err
    assert "only 0 of 14 moments have another 0.3 to 2 m away" in said.err


def test_few_images_a_second_are_refused_before_anything_is_learnt(drive, tmp_path, capsys):
    document = json.loads((drive.path / "drive.json").read_text())
    for moment in document["moments"]:
        for pose in moment["T_world_ego"]:
            pose[0][3] *= 1.67
            pose[1][3] *= 1.67
    folder = shutil.copytree(drive.path, tmp_path / "drive")
    (folder / "drive.json").write_text(json.dumps(document))
    out = tmp_path / "mine"
    assert main([str(folder), "--out", str(out), "--trust-odometry"]) == 1
    said = capsys.readouterr().err
    assert "from one to the next it is 2.1 m: more images a second" in said
    assert not (out / "work" / "train").exists()


def test_swapped_cameras_are_named(driven, tmp_path, capsys):
    bag = bag_of(swapped(driven, 1, 3), tmp_path)
    assert main(command(bag, tmp_path / "mine")) == 1
    said = capsys.readouterr().err
    assert "CAM_FRONT_LEFT and CAM_FRONT_RIGHT seem to be swapped" in said
    assert "seem" not in said.replace("seem to be swapped", "")  # nothing else does


def test_cameras_that_hang_or_see_nothing_are_named(drive, stub_model, tmp_path):
    folder = shutil.copytree(drive.path, tmp_path / "drive")
    for moment in range(len(drive)):
        file = f"{moment:06d}.jpg"
        cv2.imwrite(str(folder / "CAM_FRONT_LEFT" / file), np.zeros((135, 240), np.uint8))
        if moment > 8:
            shutil.copy(folder / "CAM_BACK" / "000008.jpg", folder / "CAM_BACK" / file)
    fit = check_fit(load_drive(folder), Predictor(stub_model))
    dark, hangs = fit.of_rig
    assert dark.startswith("CAM_FRONT_LEFT: no points can be followed in its images")
    assert re.match(r"CAM_BACK: in \d+ of \d+ pairs of images nothing moves", hangs)


def test_odometry_that_turns_the_other_way_and_a_rig_in_millimetres(
    drive, stub_model, tmp_path, capsys
):
    M = np.diag([1.0, -1.0, 1.0, 1.0])
    moments = [replace(m, T_world_ego=M @ m.T_world_ego @ M) for m in drive.moments]
    fit = check_fit(Drive(drive.path, drive.rig, moments), Predictor(stub_model))
    assert "seems to turn the other way" in fit.of_odometry[0] and not fit.of_rig
    document = json.loads((drive.path / "drive.json").read_text())
    for camera in document["cameras"]:
        for row in camera["T_ego_cam"][:3]:
            row[3] *= 1000
    folder = shutil.copytree(drive.path, tmp_path / "drive")
    (folder / "drive.json").write_text(json.dumps(document))
    assert main([str(folder), "--out", str(tmp_path / "mine"), "--dry-run"]) == 1
    said = capsys.readouterr().err
    assert "camera CAM_FRONT: it sits 1511.00 m above base_link" in said and "in metres" in said


def test_a_model_that_sees_wrong_scores_worse(drive, model_card, far_off):
    judged = range(8, 12)
    scores = [score(Predictor(card), drive, judged) for card in (model_card, far_off)]
    right, wrong = map(mean_score, scores)
    assert wrong.against(right) > 0.1 > 0 > right.against(wrong)
    assert wrong.overlap > right.overlap and wrong.ground > 2 * right.ground


def exported_as(card):
    """In place of torch's export, a minute: the file of a model that is there."""
    return lambda student, config, path: shutil.copy(card.with_suffix(".onnx"), path)


def test_a_better_model_is_put_in_place_whole(
    driven_bag, model_card, far_off, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(train, "export_onnx", exported_as(model_card))
    out = tmp_path / "mine"
    judged_on = ("--left-out", "0.45")
    assert main(command(driven_bag, out, "--model", str(far_off), *judged_on, *QUICK)) == 0
    said = capsys.readouterr().out
    assert f"model: {out / 'mine.json'}" in said and "better by" in said
    card = load_card(out / "mine.json")
    assert verified_file(out / "mine.json", ".onnx").read_bytes()
    assert verified_file(out / "mine.json", ".safetensors").exists()
    assert ("mine.int8.onnx" in card.sha256) == ("kept" in said and "not kept" not in said)
    assert (
        card.licence == "unknown (data of drive)"
        and "Drive: drive; fsmde-adapt" in card.description
    )
    assert not card.provisional and card.made_from["initial"]["name"] == "far_off"
    assert any("left out, without truth" in title for title in card.metrics)
    report = json.loads((out / "report.json").read_text())
    assert report["after"]["ground"] < report["before"]["ground"] and report["change"] < 0
    text = (out / "report.md").read_text()
    assert "On 8 moments, which nothing was learnt from: second 1.0 to 1.7 of drive" in text
    assert "| ground" in text and "weighted by photometric 2, overlap 0.5" in text
    assert cv2.imread(str(out / "report.png")).shape[1] == 4 * 480
    again = command(driven_bag, out, "--model", str(far_off), *judged_on)
    assert f"rig:={driven_bag / RIG_FILE} model:={out / 'mine.json'}" in said
    assert main([*again, *QUICK]) == 0
    said = capsys.readouterr().out
    assert f"is done and in place: report at {out / 'report.md'}" in said and "ros2" not in said
    assert main([*again, *QUICK, "steps=2"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("fsmde-adapt: ") and "another steps (1, now 2)" in said


@pytest.mark.parametrize("last", ["mine.json", "mine.onnx", "report.png"])
def test_a_model_that_cannot_be_placed_whole_leaves_the_old_one(
    last, model_card, far_off, tmp_path, monkeypatch
):
    request = Request(tmp_path / "mine", far_off, tmp_path)
    new = request.work / "train" / "mine.json"
    for card, of in ((request.out / "mine.json", model_card), (new, far_off)):
        card.parent.mkdir(parents=True, exist_ok=True)
        files = [shutil.copy(of.with_suffix(s), card.with_suffix(s)) for s in place.SUFFIXES[:2]]
        hashes = {file.name: sha256_of(file) for file in files}
        save_card(replace(load_card(of), name="mine", sha256=hashes), card)
    for name in place.REPORTS:
        (request.work / name).write_text("new")
    stale = request.out / "mine.int8.onnx"
    stale.touch()
    before = {file: file.read_bytes() for file in request.out.glob("*.*")}

    def full(source, target, copy=shutil.copyfile):
        copy(source, target)
        if source.name == last:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left") as refused:
        patched.setattr(place.shutil, "copyfile", full)
        place.put_in_place(new, request.work, request.out)
    assert str(refused.value.filename) == str(request.out / last)
    assert {file: file.read_bytes() for file in request.out.glob("*.*")} == before
    kept = place.put_in_place(new, request.work, request.out)
    assert {file.with_name(file.name[:-4]): file.read_bytes() for file in kept} == before
    card = request.placed
    assert all(verified_file(card, suffix) for suffix in place.SUFFIXES[:2])
    assert (request.out / "report.md").read_text() == "new" and not stale.exists()


def test_a_stopped_run_goes_on_and_a_worse_model_is_kept_out(
    driven_bag, model_card, far_off, tmp_path, monkeypatch, capsys
):
    bag, out = shutil.copytree(driven_bag, tmp_path / "bag"), tmp_path / "mine"
    rig = str(shutil.copy(driven_bag / RIG_FILE, tmp_path))
    arguments = [str(bag), "--rig", rig, "--out", str(out), "--accelerator", "cpu", *QUICK]
    with monkeypatch.context() as interrupted:
        interrupted.setattr(run.distill, "main", lambda argv: 130)
        assert main(arguments) == 130
    shutil.rmtree(bag)  # what is needed of it is in the work folder
    shutil.copy(model_card, out / "mine.json")
    monkeypatch.setattr(train, "export_onnx", exported_as(far_off))
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "did not get better" in said and f"what was in {out} stays" in said
    assert (out / "mine.json").read_bytes() == model_card.read_bytes()
    assert (out / "work" / "train" / "mine.onnx").exists()
    assert "worse by" in (out / "work" / "report.md").read_text()
    assert not (out / "report.md").exists()
