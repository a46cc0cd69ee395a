"""Teachers of both kinds, trained for a step, asked at every step or once."""

import json

import numpy as np
import pytest
import torch
from test_depth_anything import TINY as TINY_FOUNDATION
from test_distill import CKD_VRKD, blocks_sample, config_file, run, street, weights  # noqa: F401

from fsmde_core.card import ModelError
from fsmde_core.checkpoint import load_student
from fsmde_core.data.augment import at_size
from fsmde_core.depth_anything import SIZES, DepthAnythingV2
from fsmde_core.distill import train
from fsmde_core.distill.cached_teacher import CachedTeacher
from fsmde_core.distill.config import load_config
from fsmde_core.distill.stream import by_camera_count
from fsmde_core.distill.teacher_main import main as teacher_main
from fsmde_core.files import write_arrays
from fsmde_core.street import cache
from fsmde_core.street.dataset import StreetDataset, StreetDatasetConfig
from fsmde_core.teacher import load_teacher

SCALE_INVARIANT = {"silog": 1.0, "scale_invariant": True}


@pytest.fixture
def fit(config_file, tmp_path, monkeypatch):  # noqa: F811
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
    torch.manual_seed(0)
    torch.save(DepthAnythingV2(TINY_FOUNDATION).state_dict(), tmp_path / "tiny_vits.pth")
    return tmp_path / "tiny_vits.pth"


def ask(teacher):
    images = torch.randint(0, 256, (1, 3, 32, 64, 3), dtype=torch.uint8)
    K = torch.tensor([[50.0, 0, 32], [0, 50, 16], [0, 0, 1]]).expand(1, 3, 3, 3)
    with torch.no_grad():
        return teacher(images, K, torch.eye(4).expand(1, 3, 4, 4))


def test_a_bin_head_is_fitted_on_a_frozen_foundation_model(fit, foundation, capsys):
    card = fit(f"foundation.checkpoint={foundation}")
    document = json.loads(card.read_text())
    assert "rig's median scale" in next(iter(document["metrics"]))
    assert document["foundation"]["checkpoint"] == str(foundation)
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


@pytest.mark.parametrize("cached", [False, True])
def test_a_student_learns_from_a_larger_network(fit, config_file, tmp_path, cached, capsys):  # noqa: F811
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
    config_file,  # noqa: F811
    street,  # noqa: F811
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


def test_kept_outputs_are_the_teachers(fit, config_file, tmp_path):  # noqa: F811
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


def test_a_teacher_is_asked_about_images_in_their_own_shape(fit, config_file, tmp_path):  # noqa: F811
    train = tmp_path / "tall"
    tall = StreetDatasetConfig(rigs=("varied",), size=(80, 80), poses=1, square=True)
    samples = cache.CachedStreet(StreetDataset("train", 1, tall), train)
    write_arrays(samples.file(0), **cache._packed(blocks_sample(samples, 0)))
    changes = {"losses": CKD_VRKD, "teacher": str(fit()), "teacher_cache": str(tmp_path / "c")}
    file = config_file(**changes, data={"train": str(train), "workers": 0})
    assert teacher_main(["cache", "--config", str(file)]) == 0
    config = load_config(file)
    item = CachedTeacher(config, config.data)[0]
    assert item.teacher_logits.shape[2:] == (8, 8)  # 32 x 32 pixels at stride 4; 64 x 32 stretch


def test_what_makes_no_teacher_is_one_sentence(config_file, capsys):  # noqa: F811
    assert teacher_main(["fit", "--config", str(config_file())]) == 2
    assert "a teacher wants losses.scale_invariant" in capsys.readouterr().err
    assert teacher_main(["cache", "--config", str(config_file())]) == 2
    assert "must name a card and a folder" in capsys.readouterr().err
