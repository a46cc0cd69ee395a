"""An evaluation that is interrupted, or cannot write: what was counted is kept, or said."""

import json
import os
import signal

import numpy as np
import pytest

from fsmde_core.evaluate.main import main


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

    return lambda arguments, samples: predict


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


def test_the_second_interrupt_ends_the_writing_too(ddad_arguments, tmp_path, capsys, monkeypatch):
    source = interrupted(signal.SIGINT, after=1)
    monkeypatch.setattr("fsmde_core.evaluate.main._source", source)
    monkeypatch.setattr(
        "fsmde_core.evaluate.main.save_report", lambda *_: os.kill(os.getpid(), signal.SIGINT)
    )
    assert main([*ddad_arguments, "--out", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err.strip().endswith(f"stopped, {tmp_path / 'out'} is not whole")


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
