"""Teachers of both kinds, trained for a step, asked at every step or once."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ROOT
from foundation_files import as_version_3
from test_depth_anything import TINY as TINY_FOUNDATION
from tiny import CKD_VRKD, blocks_sample, run, weights, write_sample

from fsmde_core.card import ModelError, sha256_of
from fsmde_core.data.augment import at_size
from fsmde_core.data.sample import DatasetError
from fsmde_core.distill import train
from fsmde_core.distill.cached_teacher import CachedTeacher
from fsmde_core.distill.config import load_config
from fsmde_core.distill.stream import by_camera_count
from fsmde_core.distill.teacher_main import main as teacher_main
from fsmde_core.network.checkpoint import load_student
from fsmde_core.network.depth_anything import SIZES, DepthAnythingV2
from fsmde_core.network.student import StudentConfig
from fsmde_core.network.teacher import (
    FoundationConfig,
    FoundationTeacher,
    load_teacher,
    patch_size_of,
)
from fsmde_core.street import cache
from fsmde_core.street.dataset import StreetDataset, StreetDatasetConfig

SCALE_INVARIANT = {"silog": 1.0, "scale_invariant": True}


@pytest.fixture
def fit(config_file, tmp_path, monkeypatch):
    """Trains a teacher for two steps; call it with changes to the config, returns its card."""
    monkeypatch.setattr(train, "export_onnx", lambda student, config, path: path.write_bytes(b""))

    def fit(*overrides, **changes):
        config = config_file(losses=SCALE_INVARIANT, steps=2, name="teacher", **changes)
        out = tmp_path / "teacher"
        arguments = ["fit", "--config", str(config), "--out", str(out), "--accelerator", "cpu"]
        assert teacher_main([*arguments, *overrides]) == 0
        return out / "teacher.json"

    return fit


@pytest.fixture
def foundation(tmp_path, monkeypatch):
    """A checkpoint of a tiny foundation model."""
    monkeypatch.setitem(SIZES, "vits", TINY_FOUNDATION)
    return saved_foundation(tmp_path / "tiny_vits.pth", seed=0)


def saved_foundation(path, *, seed):
    torch.manual_seed(seed)
    torch.save(DepthAnythingV2(TINY_FOUNDATION).state_dict(), path)
    return path


@pytest.fixture
def version_3(tmp_path, monkeypatch):
    """A tiny DA3METRIC-LARGE that says 3 everywhere."""
    monkeypatch.setitem(SIZES, "vits", TINY_FOUNDATION)
    network = DepthAnythingV2(TINY_FOUNDATION, variant="da3_metric")
    last = network.depth_head.scratch.output_conv2[2]
    torch.nn.init.normal_(last.weight, std=1e-9)  # all zeros are no whole download
    torch.nn.init.constant_(last.bias, float(np.log(3)))
    torch.save(as_version_3(network.state_dict()), tmp_path / "vits.pth")
    return tmp_path / "vits.pth"


SMALL_INPUT = "foundation.input_px=28"  # as a test has no minutes


def ask(teacher):
    images = torch.randint(0, 256, (1, 3, 32, 64, 3), dtype=torch.uint8)
    K = torch.tensor([[50.0, 0, 32], [0, 50, 16], [0, 0, 1]]).expand(1, 3, 3, 3)
    with torch.no_grad():
        return teacher(images, K, torch.eye(4).expand(1, 3, 4, 4))


def test_a_bin_head_is_fitted_on_a_frozen_foundation_model(fit, foundation, capsys):
    card = fit(f"foundation.checkpoint={foundation}", SMALL_INPUT)
    document = json.loads(card.read_text())
    assert "rig's median scale" in next(iter(document["metrics"]))
    assert document["foundation"] == {
        "checkpoint": str(foundation), "size": "vits", "variant": "relative", "max_depth_m": 0.0,
        "input_px": 28, "channels": 128, "sha256": sha256_of(foundation),
    }  # fmt: skip
    assert card.with_suffix(".safetensors").stat().st_size < 100_000  # the head, no backbone
    assert not any(key.startswith("backbone.") for key in weights(card.parent))
    teacher = load_teacher(card)
    assert not any(p.requires_grad for p in teacher.parameters())
    output = ask(teacher)
    assert output.bin_logits.shape == (1, 3, 8, 8, 16) and output.depth.shape == (1, 3, 32, 64)
    with pytest.raises(ModelError, match="teacher on a foundation model"):
        load_student(card)
    foundation.unlink()
    with pytest.raises(ModelError, match="tiny_vits.pth: No such file"):
        load_teacher(card)


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_the_documented_command_runs_on_a_cpu(
    foundation, nuscenes_root, tmp_path, capsys, precision
):
    """teacher_vits.yaml as it is, on a nuScenes root, but for the sizes."""
    config, out = ROOT / "config" / "distill" / "teacher_vits.yaml", tmp_path / "out"
    command = ["fit", "--config", str(config), f"foundation.checkpoint={foundation}"]
    command += ["data.kind=nuscenes", f"data.train={nuscenes_root}"]
    small = ["steps=1", "rigs_per_step=1", "data.workers=0", "data.size=[128,72]", SMALL_INPUT]
    small += ["student.input_width=64", "student.input_height=32", f"precision={precision}"]
    arguments = ["--out", str(out), "--accelerator", "cpu"]
    assert teacher_main([*command, *small, *arguments]) == 0
    assert "no validation: " in capsys.readouterr().err  # of one scene, which is one to learn from
    assert json.loads((out / "teacher_vits.json").read_text())["provisional"] is False
    assert teacher_main([*command, *small, "data.val_split=mini_val", *arguments]) == 2
    assert "no scene of the split 'mini_val'" in capsys.readouterr().err


def test_the_foundation_model_sees_images_at_the_size_of_its_training(foundation):
    seen = []

    def shape_seen(width, height, **changes):
        config = FoundationConfig(str(foundation), **changes)
        teacher = FoundationTeacher(config, StudentConfig(n_bins=8)).eval()
        teacher.backbone.pretrained.register_forward_pre_hook(
            lambda _, inputs: seen.append(tuple(inputs[0].shape[-2:]))
        )
        images = torch.zeros(1, 1, height, width, 3, dtype=torch.uint8)
        with torch.no_grad():
            output = teacher(images, torch.eye(3)[None, None] * 50, torch.eye(4)[None, None])
        assert output.bin_logits.shape[-2:] == (height // 4, width // 4)
        return seen[-1]

    assert shape_seen(64, 32) == (518, 1036)
    assert shape_seen(64, 64) == (
        518,
        518,
    )  # the size at which position embeddings stay as they are
    assert shape_seen(64, 32, input_px=56) == (56, 112)
    assert shape_seen(32, 96, input_px=30) == (84, 28)
    assert patch_size_of((900, 1600), shorter_px=518) == (518, 924)
    with pytest.raises(ModelError, match="foundation.input_px is -1"):
        shape_seen(64, 32, input_px=-1)


def test_a_teacher_knows_its_checkpoint_again(fit, config_file, foundation, tmp_path, capsys):
    arguments = [f"foundation.checkpoint={foundation}", SMALL_INPUT]
    card = fit(*arguments)
    file = config_file(losses=CKD_VRKD, teacher=str(card), teacher_cache=str(tmp_path / "c"))
    assert teacher_main(["cache", "--config", str(file)]) == 0
    note = json.loads((tmp_path / "c" / "teacher.json").read_text())
    assert note["foundation"]["sha256"] == sha256_of(foundation)
    before = foundation.read_bytes()

    saved_foundation(foundation, seed=1)  # another file in its place
    with pytest.raises(ModelError, match="tiny_vits.pth has sha256 .*, not .* head was trained on"):
        load_teacher(card)
    assert teacher_main(["cache", "--config", str(file)]) == 2
    assert "tiny_vits.pth has sha256" in capsys.readouterr().err
    document = json.loads(card.read_text())
    document["foundation"]["sha256"] = sha256_of(foundation)
    other = card.with_name("other.json")
    other.write_text(json.dumps(document))
    config = replace(load_config(file), teacher=str(other))
    with pytest.raises(DatasetError, match="of another foundation model's checkpoint"):
        CachedTeacher(config, config.data)

    foundation.write_bytes(before)
    assert load_teacher(card).foundation.sha256 == note["foundation"]["sha256"]


def test_a_run_goes_on_with_the_checkpoint_it_began_with(config_file, foundation, tmp_path, capsys):
    config = config_file(losses=SCALE_INVARIANT, name="teacher")
    overrides = [f"foundation.checkpoint={foundation}", SMALL_INPUT]
    assert run(config, tmp_path / "out", *overrides, "--until", "1") == 0
    saved_foundation(foundation, seed=1)
    assert run(config, tmp_path / "out", *overrides, "--until", "2") == 2
    assert "of a run with another foundation.sha256" in capsys.readouterr().err


def version_3_teacher(path):
    foundation = FoundationConfig(str(path), variant="da3_metric", input_px=28)
    return FoundationTeacher(foundation, StudentConfig(n_bins=8))


@pytest.mark.parametrize("focal_px", [50.0, 100.0])
def test_a_metric_model_hands_on_metres(version_3, focal_px):
    """DA3METRIC's depth is what comes out times the focal length at its own input over 300."""
    teacher, cues = version_3_teacher(version_3).eval(), []
    teacher.mix.register_forward_pre_hook(lambda _, inputs: cues.append(inputs[0][:, -1]))
    K = torch.tensor([[focal_px, 0, 32], [0, focal_px, 16], [0, 0, 1]])[None, None]
    with torch.no_grad():
        teacher(torch.zeros(1, 1, 32, 64, 3), K, torch.eye(4)[None, None])
    metres = 3 * (28 / 32 * focal_px) / 300
    canonical = metres * StudentConfig.canonical_focal_px / focal_px  # as the bins are
    assert cues[0].numpy() == pytest.approx(np.log(canonical / 10), rel=1e-3)


def test_where_version_3_sees_the_sky_there_is_no_surface(version_3):
    teacher = version_3_teacher(version_3)
    sky_head = teacher.backbone.depth_head.scratch.sky_output_conv2[2]
    torch.nn.init.zeros_(sky_head.weight)
    views = torch.zeros(1, 1, 32, 64, 3), 50 * torch.eye(3)[None, None], torch.eye(4)[None, None]
    for sky, surface in ((0.29, True), (0.31, False)):
        torch.nn.init.constant_(sky_head.bias, sky)
        with torch.no_grad():
            output = teacher.eval()(*views)
        assert output.surface_logits.shape == (1, 1, 32, 64)
        assert ((output.surface_logits > 0) == surface).all()
        last = output.bin_logits.softmax(dim=2)[:, :, -1]
        assert (last < 0.9).all() if surface else (last > 0.999).all()
        assert surface or torch.allclose(output.depth, output.bin_centers.max(), rtol=1e-3)
    with torch.no_grad():  # what is learnt from stays open to its truth
        assert teacher.train()(*views).surface_logits is None


def test_a_metric_teacher_may_learn_metres(fit, foundation, config_file, tmp_path, capsys):
    metres = ["losses.scale_invariant=false", f"foundation.checkpoint={foundation}", SMALL_INPUT]
    metric = ["foundation.variant=metric", "foundation.max_depth_m=80"]
    document = json.loads(fit(*metres, *metric).read_text())
    assert document["foundation"]["max_depth_m"] == 80
    assert "metric" in next(iter(document["metrics"]))
    config = config_file(losses=SCALE_INVARIANT)
    assert teacher_main(["fit", "--config", str(config), *metres]) == 2
    assert "unless foundation.variant is metric" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("data.train=none", "none"),
        ("rigs_per_step=0", "rigs_per_step is 0"),
        ("foundation.checkpoint=none.pth", "checkpoint none.pth: No such file"),
    ],
)
def test_what_stops_fit_is_said_in_its_own_name(config_file, tmp_path, capsys, override, reason):
    config = str(config_file(losses=SCALE_INVARIANT))
    assert teacher_main(["fit", "--config", config, "--out", str(tmp_path), override]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("fsmde-teacher: ") and reason in error


@pytest.mark.parametrize("cached", [False, True])
def test_a_student_learns_from_a_larger_network(fit, config_file, tmp_path, cached, capsys):
    larger = {"input_width": 96, "input_height": 64, "decoder_channels": 24, "n_bins": 8}
    card = fit(student=larger)
    before = card.with_suffix(".safetensors").read_bytes()
    cache = str(tmp_path / "cache") if cached else ""
    config = config_file(losses=CKD_VRKD, teacher=str(card), teacher_cache=cache)
    if cached:
        assert run(config, tmp_path / "out", "--until", "1") == 2
        assert ".npz is missing; fsmde-teacher cache makes it" in capsys.readouterr().err
        assert teacher_main(["cache", "--config", str(config)]) == 0
        assert len(list((tmp_path / "cache").glob("street-*.npz"))) == 4
    assert run(config, tmp_path / "out", "--until", "2") == 0
    losses = capsys.readouterr().err
    assert all(f"{name}=" in losses for name in ("kd", "cross", "relative", "vrkd"))
    assert card.with_suffix(".safetensors").read_bytes() == before


@pytest.mark.parametrize("cached", [False, True])
def test_images_without_depth_are_learnt_from_by_the_teacher(
    fit,
    config_file,
    street,
    tmp_path,
    cached,
):
    config = config_file(
        losses=CKD_VRKD, teacher=str(fit()), teacher_cache=str(tmp_path / "c") if cached else "",
        also={"train": str(street / "val"), "truth": "none"}, also_every=2,
    )  # fmt: skip
    if cached:
        assert teacher_main(["cache", "--config", str(config)]) == 0
    out = tmp_path / "out"
    assert run(config, out) == 0
    description = json.loads((out / "student.json").read_text())["description"]
    assert "(1 in 2 of 2 of street val without depth)" in description
    changed = [f"also.train={street / 'train'}", f"data.train={street / 'val'}", "data.truth=none"]
    assert run(config, tmp_path / "none", *changed, "also.train=", "--until", "1") == 0
    trained, before = weights(tmp_path / "none"), weights(out)
    assert any(not torch.equal(trained[k], before[k]) for k in trained)


def test_kept_outputs_are_the_teachers(fit, config_file, tmp_path):
    card = fit()
    file = config_file(losses=CKD_VRKD, teacher=str(card), teacher_cache=str(tmp_path / "c"))
    assert teacher_main(["cache", "--config", str(file)]) == 0
    config = load_config(file)
    samples = CachedTeacher(config, config.data)
    for index in range(len(samples)):
        item = samples[index]
        (batch,) = by_camera_count([at_size(item, size=(64, 32), dense=True, whole=True)])
        with torch.no_grad():
            fresh = load_teacher(card)(batch.images, batch.K, batch.T_ego_cam)
        kept = batch.teacher_logits.softmax(dim=2)
        assert np.allclose(kept, fresh.bin_logits.softmax(dim=2), atol=0.02)
        assert np.allclose(batch.teacher_centers, fresh.bin_centers, rtol=1e-4)


def test_kept_outputs_of_another_sample_of_that_name_are_refused(fit, config_file, tmp_path):
    changes = {"losses": CKD_VRKD, "teacher": str(fit()), "teacher_cache": str(tmp_path / "c")}
    file = config_file(**changes)
    assert teacher_main(["cache", "--config", str(file)]) == 0
    config = load_config(file)
    samples = CachedTeacher(config, config.data)
    first, other = (samples._file(samples.samples[i].tokens) for i in (0, 1))
    first.write_bytes(other.read_bytes())
    with pytest.raises(DatasetError, match="is of another sample of that name"):
        samples[0]


def test_a_teacher_is_asked_about_images_in_their_own_shape(fit, config_file, tmp_path):
    train = tmp_path / "tall"
    tall = StreetDatasetConfig(rigs=("varied",), size=(80, 80), poses=1, square=True)
    samples = cache.CachedStreet(StreetDataset("train", 1, tall), train)
    sample = blocks_sample(samples, 0)
    write_sample(samples.file(0), sample, sample.depth_gt)
    changes = {"losses": CKD_VRKD, "teacher": str(fit()), "teacher_cache": str(tmp_path / "c")}
    file = config_file(**changes, data={"train": str(train), "workers": 0})
    assert teacher_main(["cache", "--config", str(file)]) == 0
    config = load_config(file)
    item = CachedTeacher(config, config.data)[0]
    assert item.teacher_logits.shape[2:] == (8, 8)  # 32 x 32 pixels at stride 4; 64 x 32 stretch


def test_what_makes_no_teacher_is_one_sentence(config_file, capsys):
    yaml = str(ROOT / "config" / "distill" / "teacher_vits.yaml")
    assert teacher_main(["fit", "--config", yaml]) == 2
    assert "data.train names no folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        teacher_main(["cache", "--config", str(config_file()), "--device", "cpu"])
    assert "cache knows no --device cpu" in capsys.readouterr().err
    assert teacher_main(["fit", "--config", str(config_file())]) == 2
    assert "a teacher wants losses.scale_invariant" in capsys.readouterr().err
    assert teacher_main(["cache", "--config", str(config_file())]) == 2
    assert "must name a card and a folder" in capsys.readouterr().err
