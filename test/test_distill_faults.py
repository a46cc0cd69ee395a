"""Training runs that cannot begin, are stopped, or go wrong: one sentence, and nothing lost."""

import os
import shutil
import signal
import subprocess
import sys
import zipfile

import pytest
import torch
import yaml
from conftest import ROOT
from tiny import run, same, weights

from fsmde_core.card import load_card
from fsmde_core.distill import step, train
from fsmde_core.distill.state import CHECKPOINT


@pytest.mark.parametrize(
    "override, message",
    [
        ("typo=1", "unknown key 'typo'"),
        ("data.train=nowhere", "folder nowhere holds no rendered street samples"),
        ("initial=no.json", "model card no.json: No such file"),
    ],
)
def test_what_cannot_be_read_ends_with_one_sentence(
    config_file, tmp_path, capsys, override, message
):
    assert run(config_file(), tmp_path / "out", override) == 2
    error = capsys.readouterr().err.strip().split("\n")[-1]
    assert error.startswith("fsmde-distill: ") and message in error


def test_a_sample_that_does_not_read_is_one_sentence_from_a_worker_too(
    config_file, street, tmp_path, capsys
):
    data = yaml.safe_load(config_file().read_text())["data"]
    broken = shutil.copytree(street / "train", tmp_path / "train")
    for file in broken.glob("*.npz"):
        file.write_bytes(b"PK")
    config = config_file(data={**data, "train": str(broken), "workers": 1})
    assert run(config, tmp_path / "out") == 2
    error = capsys.readouterr().err.strip().split("\n")[-1]
    assert error.startswith(f"fsmde-distill: sample {broken}/street-")


def test_a_root_without_samples_is_named(nuscenes_root, config_file, tmp_path, capsys):
    data = {"kind": "nuscenes", "train": str(nuscenes_root), "train_split": "val"}
    assert run(config_file(data=data), tmp_path / "out") == 2
    assert "v1.0-mini has no scene of the split 'val'" in capsys.readouterr().err


def test_a_corrupted_checkpoint_is_named_and_left(config_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(config_file(), out, "--until", "1") == 0
    whole = (out / CHECKPOINT).read_bytes()
    (out / CHECKPOINT).write_bytes(whole[: len(whole) // 2])
    assert run(config_file(), out) == 2
    assert "last.pt ends too early: half a download; delete it" in capsys.readouterr().err
    assert (out / CHECKPOINT).stat().st_size == len(whole) // 2


def changed_bytes(path):
    """A disk that forgets: nothing but the checksum tells."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda record: record.file_size)
    content[largest.header_offset + largest.file_size // 2] ^= 0x55
    path.write_bytes(content)


def without(key):
    def change(path):
        document = torch.load(path, weights_only=True)
        del document[key]
        torch.save(document, path)

    return change


def another_shape(path):
    document = torch.load(path, weights_only=True)
    name, tensor = next(iter(document["student"].items()))
    document["student"][name] = tensor[:1]
    torch.save(document, path)


@pytest.mark.parametrize(
    "change, said",
    [
        (changed_bytes, "is damaged: Bad CRC-32"),
        (lambda path: path.write_bytes(b"<html>Sign in"), "is a web page, not weights"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: torch.save([1], path), "is none of this version (TypeError"),
        (without("student"), "is none of this version (KeyError: 'student')"),
        (without("schedule"), "is none of this version (KeyError: 'schedule')"),
        (another_shape, "is none of this version (RuntimeError"),
    ],
)
def test_a_checkpoint_that_is_none_is_one_sentence(config_file, tmp_path, capsys, change, said):
    out = tmp_path / "out"
    assert run(config_file(), out, "--until", "1") == 0
    change(out / CHECKPOINT)
    kept = (out / CHECKPOINT).read_bytes()
    capsys.readouterr()
    assert run(config_file(), out) == 2
    error = capsys.readouterr().err
    assert f"checkpoint {out / CHECKPOINT} {said}" in error and "weights_only" not in error
    assert error.strip().endswith("delete it to start anew") and error.count("\n") == 1
    assert (out / CHECKPOINT).read_bytes() == kept


def test_a_full_disk_is_one_sentence_and_keeps_the_last_checkpoint(config_file, tmp_path, capsys):
    resource = pytest.importorskip("resource", reason="file size limits are a Unix matter")
    out = tmp_path / "out"
    assert run(config_file(), out, "--until", "1") == 0
    good = (out / CHECKPOINT).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # every write beyond that of a file fails, as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(good) // 2, limits[1]))
    try:
        assert run(config_file(), out, "--until", "2") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    error = capsys.readouterr().err.strip().split("\n")[-1]
    assert error == f"fsmde-distill: {out / CHECKPOINT}: File too large"
    assert (out / CHECKPOINT).read_bytes() == good


def test_a_checkpoint_of_another_run_is_refused(config_file, tmp_path, capsys):
    assert run(config_file(), tmp_path / "out", "--until", "1") == 0
    assert run(config_file(), tmp_path / "out", "learning_rate=0.1") == 2
    assert "another learning_rate" in capsys.readouterr().err


def test_a_loss_that_is_nan_keeps_the_last_good_checkpoint(
    config_file, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "out"
    assert run(config_file(), out, "--until", "2") == 0
    good = (out / CHECKPOINT).read_bytes()
    loss = step.silog_loss
    monkeypatch.setattr(step, "silog_loss", lambda *a, **k: loss(*a, **k) * float("nan"))
    assert run(config_file(), out) == 2
    error = capsys.readouterr().err
    assert "silog is nan at step 3" in error and "last.pt holds the last good step" in error
    assert (out / CHECKPOINT).read_bytes() == good


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError("Unable to allocate 295. TiB"),
    ],
)
def test_too_little_memory_is_one_sentence(config_file, tmp_path, capsys, monkeypatch, error):
    out = tmp_path / "out"
    assert run(config_file(), out, "--until", "1") == 0
    good = (out / CHECKPOINT).read_bytes()

    def silog_loss(*_, **__):
        raise error

    monkeypatch.setattr(step, "silog_loss", silog_loss)
    assert run(config_file(), out) == 2
    said = capsys.readouterr().err.strip().split("\n")[-1]
    assert said == (
        "fsmde-distill: out of memory with rigs_per_step 2 and augment.pixels up to 1 times 64x32: "
        "lower them; step 1 of 4 is saved"
    )
    assert (out / CHECKPOINT).read_bytes() == good


@pytest.mark.parametrize(
    "override, said",
    [
        ("data.workers=1", []),
        ("data.timeout_s=60", []),
        ("data.train=MOVED", ["data.train was", "MOVED"]),
        ("validate_steps=3", []),
        ("licence=MIT", []),
    ],
)
def test_what_changes_no_weight_may_change_on_the_way(
    config_file, street, tmp_path, capsys, override, said
):
    assert run(config_file(), tmp_path / "whole", "--until", "2") == 0
    assert run(config_file(), tmp_path / "parts", "--until", "1") == 0
    moved = shutil.copytree(street / "train", tmp_path / "MOVED")
    override = override.replace("MOVED", str(moved))
    assert run(config_file(), tmp_path / "parts", "--until", "2", override) == 0
    out = capsys.readouterr().out
    assert "goes on at step 1" in out and all(text in out for text in said)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"), rtol=0, atol=0)


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_all_processes_is_answered_by_the_trainer(config_file, tmp_path, number, code):
    process = start_long_run(config_file, tmp_path, workers=2)
    os.killpg(process.pid, number)
    _, error = process.communicate(timeout=120)
    assert process.returncode == code, error
    step = torch.load(tmp_path / "out" / CHECKPOINT, weights_only=True)["step"]
    assert step >= 1 and f"step {step} of 100000 is saved, the same command goes on" in error
    assert "Traceback" not in error and "DataLoader" not in error


def start_long_run(config_file, tmp_path, *, workers):
    """A process, in a group of its own, in the middle of a run."""
    data = yaml.safe_load(config_file().read_text())["data"]
    config = config_file(steps=100_000, validate_steps=100_000, data={**data, "workers": workers})
    command = [sys.executable, "-m", "fsmde_core.distill.main", "--config", str(config)]
    command += ["--out", str(tmp_path / "out"), "--accelerator", "cpu"]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    for text in process.stderr:
        if "silog=" in text:
            return process
    raise AssertionError("ended early")


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_interrupted_while_exporting_is_not_complete(
    config_file, tmp_path, capsys, monkeypatch, number, code
):
    out = tmp_path / "out"

    def export(student, config, path):
        os.kill(os.getpid(), number)
        path.write_bytes(b"whole")

    monkeypatch.setattr(train, "export_onnx", export)
    assert run(config_file(), out) == code
    error = capsys.readouterr().err
    assert "step 4 of 4 is saved, the model is not written whole: the same command" in error
    card = load_card(out / "student.json")
    assert card.provisional and set(card.sha256) == {"student.safetensors"}
    monkeypatch.setattr(train, "export_onnx", lambda student, config, path: path.write_bytes(b""))
    assert run(config_file(), out) == 0
    card = load_card(out / "student.json")
    assert not card.provisional and "student.onnx" in card.sha256


def test_interrupted_while_validating_leaves_at_once(config_file, tmp_path, capsys, monkeypatch):
    def validate(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("went on")

    monkeypatch.setattr(train, "validate", validate)
    assert run(config_file(), tmp_path / "out") == 143
    assert "step 2 of 4 is saved, the same command goes on" in capsys.readouterr().err
    assert torch.load(tmp_path / "out" / CHECKPOINT, weights_only=True)["step"] == 2


def test_interrupted_while_opening_is_one_sentence(config_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(train, "open_split", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
    assert run(config_file(), tmp_path / "out") == 130
    assert capsys.readouterr().err.strip().endswith("stopped before the first step")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("rigs_per_step=3", "--devices", "2"), "rigs_per_step 3 does not split over 2 processes"),
        (("--accelerator", "gpu"), "--accelerator gpu --devices 1: this machine has no such"),
        (("--out", "/proc/nowhere"), "/proc/nowhere: cannot be written to: "),
    ],
)
def test_what_this_machine_cannot_do_is_one_sentence(
    config_file, tmp_path, capsys, arguments, message
):
    if "gpu" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert run(config_file(), tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err.strip().split("\n")[-1]
    assert error.startswith("fsmde-distill: ") and message in error


@pytest.mark.parametrize("argument", ["--devices=0", "--until=0", "--nodes=-1"])
def test_numbers_on_the_command_line_are_positive(config_file, tmp_path, capsys, argument):
    with pytest.raises(SystemExit):
        run(config_file(), tmp_path / "out", argument)
    assert "is not positive" in capsys.readouterr().err
