"""Which images of a drive each moment is compared with, and what the trainer makes of a folder."""

import numpy as np
import pytest
import torch
import yaml
from blocks import blocks_rig
from textured import write_drive
from tiny import TINY, events, model, run, run_two_processes, same, weights

from fsmde_core.card import load_card
from fsmde_core.data.drive import load_drive
from fsmde_core.data.drive_samples import TRAVELLED_M, DriveSamples
from fsmde_core.data.sample import DatasetError
from fsmde_core.data.sources import BOTH, COUNT, SPACE, TIME
from fsmde_core.distill.config import ConfigError, load_config
from fsmde_core.distill.stream import SampleStream, by_camera_count, open_split
from fsmde_core.geometry import invert_transform
from fsmde_core.network.checkpoint import load_student


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rig = blocks_rig(width=80, height=48)
    body = np.zeros((48, 80), bool)
    body[44:] = True
    path = tmp_path_factory.mktemp("yard") / "drive"
    bodies = [body, *5 * [None]]
    return write_drive(path, rig, moments=16, step_m=0.2, bodies=bodies, licence="CC-BY-NC-4.0")


def gone(drive, a, b):
    """Metres between two moments, of each camera."""
    return np.linalg.norm(drive.T_world_cam(a)[:, :3, 3] - drive.T_world_cam(b)[:, :3, 3], axis=-1)


def test_the_vehicle_moved_between_images_that_are_compared(folder):
    drive = load_drive(folder)
    samples = DriveSamples(drive)
    steps = []
    for moment in range(len(samples)):
        before, after = samples.others(moment)
        assert before is None or before < moment
        assert after is None or after > moment
        steps += [gone(drive, moment, m).mean() for m in (before, after) if m is not None]
    assert len(steps) >= 28 and samples.others(0)[0] is None
    assert min(steps) >= TRAVELLED_M[0] and max(steps) <= TRAVELLED_M[1]
    assert max(steps) > 3 * min(steps)  # near surfaces and far ones
    assert samples.others(7) == DriveSamples(drive).others(7)


def test_each_source_has_its_image_and_the_pose_of_its_own_stamp(folder):
    drive = load_drive(folder)
    samples, moment, camera = DriveSamples(drive), 8, 0
    item, (before, after) = samples[moment], samples.others(moment)
    left, right = drive.rig.names.index("front_left"), drive.rig.names.index("front_right")
    views = {TIME.start: (before, camera), TIME.start + 1: (after, camera)}
    views |= {SPACE.start: (moment, right), SPACE.start + 1: (moment, left)}
    views |= {BOTH.start: (before, right), BOTH.stop - 1: (after, left)}
    for place, (at, who) in views.items():
        assert np.array_equal(item.sources[camera, place], drive.image(at, who))
        expected = invert_transform(drive.T_world_cam(at)[who]) @ drive.T_world_cam(moment)[camera]
        assert np.allclose(item.T_source_cam[camera, place], expected)
        assert np.allclose(item.source_K[camera, place], drive.rig.cameras[who].K)
    assert item.mask[0, 44:].all() and not item.mask[1:].any()
    assert not item.source_seen[camera, TIME, 44:].any()
    assert item.source_seen[camera, SPACE].all() and item.source_seen.shape[1] == COUNT
    assert not item.valid.any()


def test_nothing_outside_of_the_part_is_read(folder, tmp_path):
    drive = load_drive(folder)
    samples = DriveSamples(drive, "4:9")
    drive.image = lambda m, i, read=drive.image: read(m, i) if 4 <= m < 9 else 1 / 0
    assert [samples[i].tokens[-2:] for i in range(len(samples))] == ["04", "05", "06", "07", "08"]
    assert [len(DriveSamples(drive, part)) for part in ("", ":9", "12:", "3:99")] == [16, 9, 4, 13]
    for part, sentence in (("8:8", "16 moments has none in '8:8'"), ("a", "not of the form FIRST")):
        with pytest.raises(DatasetError, match=sentence):
            DriveSamples(drive, part)


def test_cameras_of_two_sizes_become_one(tmp_path):
    small, large = blocks_rig(width=64, height=32), blocks_rig(width=80, height=48)
    rig = type(small)((large.cameras[0], *small.cameras[1:]))
    item = DriveSamples(load_drive(write_drive(tmp_path / "d", rig, moments=2)))[0]
    assert item.images.shape == (6, 48, 80, 3)
    assert item.K[1, 0, 0] == pytest.approx(small.cameras[1].K[0, 0] * 80 / 64)


@pytest.fixture
def adapt(folder, tmp_path):
    """Writes a config that adapts a tiny student to the drive; returns its path."""
    model(tmp_path / "start" / "start.json")

    def write(**changes):
        card = str(tmp_path / "start" / "start.json")
        document = {
            **TINY, "method": "adapt", "initial": card, "teacher": card, "frozen_norm": "all",
            "data": {"kind": "drive", "train": str(folder), "train_split": "0:12", "workers": 0},
            **changes,
        }  # fmt: skip
        path = tmp_path / "adapt.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return write


def test_a_drive_teaches_and_leaves_a_model(adapt, tmp_path, quick_export):
    out = tmp_path / "out"
    assert run(adapt(), out) == 0
    card = load_card(out / "student.json")
    assert not card.provisional and "12 samples of drive 0:12" in card.description
    assert card.licence == "CC-BY-NC-4.0"  # the drive's
    assert (out / "student.onnx").exists() and not card.metrics
    curves = events(out)
    for name in ("photometric", "smooth", "relative", "keep_surface"):
        assert all(0 <= e.value < 100 for e in curves.Scalars(f"train/{name}")), name
    assert all(e.value > 0.01 for e in curves.Scalars("train/photometric"))


def test_a_share_of_the_first_weights_is_kept(adapt, tmp_path, quick_export):
    for name, share in (("none", 0.0), ("half", 0.5)):
        assert run(adapt(start_share=share), tmp_path / name) == 0
    start, none, half = (
        load_student(tmp_path / where).state_dict()
        for where in ("start/start.json", "none/student.json", "half/student.json")
    )
    floats = [name for name in start if start[name].is_floating_point()]
    assert any(not torch.equal(start[name], none[name]) for name in floats)
    for name in floats:
        assert torch.allclose(half[name], (start[name] + none[name]) / 2, atol=1e-6), name
    assert "0.5 of the first weights kept" in load_card(tmp_path / "half/student.json").description


def test_interrupted_and_resumed_is_the_same_run(adapt, tmp_path):
    config = adapt()
    assert run(config, tmp_path / "whole", "--until", "3") == 0
    assert run(config, tmp_path / "parts", "--until", "1") == 0
    assert run(config, tmp_path / "parts", "--until", "3") == 0
    for which in ("student", "average"):
        whole, parts = weights(tmp_path / "whole", which), weights(tmp_path / "parts", which)
        assert same(whole, parts, rtol=0, atol=0)
    assert not same(whole, weights(tmp_path / "whole", "student"), rtol=0, atol=0)


def test_two_processes_learn_what_one_does(adapt, tmp_path):
    config = adapt(rigs_per_step=2)
    assert run(config, tmp_path / "one", "--until", "2") == 0
    run_two_processes(config, tmp_path / "two", "--until", "2")
    one, two = (weights(tmp_path / out, "student") for out in ("one", "two"))
    assert same(one, two, rtol=0, atol=2e-5)
    begun = load_student(tmp_path / "start/start.json").state_dict()
    assert not all(torch.equal(begun[name], two[name]) for name in begun)


def test_rendered_samples_beside_a_drive_keep_their_depth(adapt, street):
    also = {"train": str(street / "train"), "workers": 0}
    config = load_config(adapt(also=also, also_every=2, rigs_per_step=4, losses={"silog": 1.0}))
    sources = [open_split(data, train=True) for data in config.sources]
    stream = SampleStream(sources[0], config, also=sources[1])
    batches = by_camera_count([stream[k] for k in range(4)])
    drives = [batch.sources is not None for batch in batches]
    assert drives.count(True) == 1
    for batch, drive in zip(batches, drives):
        assert bool(batch.valid.any()) != drive


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"method": "supervised"}, "data.kind is drive, but losses.photometric has no weight"),
        ({"data": {"train": "somewhere"}}, "has a weight, but no data.kind is drive"),
        ({"data": {"kind": "drive", "train": "a", "val": "b"}}, "a drive has no depth to validate"),
        ({"teacher_cache": "c"}, "teacher_cache holds no surfaces"),
        ({"start_share": 0.5, "initial": ""}, "start_share is given, but initial names no student"),
    ],
)
def test_what_does_not_fit_a_drive_is_said(adapt, changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_config(adapt(**changes))


def test_the_shipped_config_loads():
    from conftest import ROOT

    config = load_config(ROOT / "config" / "distill" / "adapt.yaml")
    assert config.losses.photometric > 0 and config.teacher == config.initial
