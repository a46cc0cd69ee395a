import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from fsmde_core.distill import blend
from fsmde_core.distill.blend import blended, main
from fsmde_core.network.checkpoint import load_student, save_student
from fsmde_core.network.student import StudentConfig, StudentDepthNet
from fsmde_core.runtime.export import example_inputs
from fsmde_core.runtime.predictor import Predictor


def saved(path, seed, *, licence="MIT", provisional=False, **changes):
    torch.manual_seed(seed)
    small = {"encoder": "test_efficientnet", "decoder_channels": 16, "n_bins": 8}
    config = replace(StudentConfig(input_width=64, input_height=64), **{**small, **changes})
    student = StudentDepthNet(config).eval()
    save_student(
        student, path, config=config, description="", licence=licence, provisional=provisional
    )
    return student


def depth(student):
    torch.manual_seed(0)
    inputs = [tensor[None] for tensor in example_inputs(64, 64, cameras=1)]
    with torch.no_grad():
        return student(*inputs).depth.numpy()


def test_the_ends_are_the_students_themselves(tmp_path):
    start, trained = tmp_path / "start.json", tmp_path / "trained.json"
    ends = saved(start, 1), saved(trained, 2)
    for share, end in enumerate(ends):
        student = blended(load_student(start), load_student(trained), share)
        np.testing.assert_allclose(depth(student), depth(end), rtol=1e-4)


def test_the_start_may_have_other_bins(tmp_path):
    start = saved(tmp_path / "start.json", 1, n_bins=8, min_depth_m=1.0, max_depth_m=16.0)
    trained = saved(tmp_path / "trained.json", 2, n_bins=12, min_depth_m=0.5, max_depth_m=32.0)
    before = depth(start)
    assert abs(np.median(depth(blended(start, trained, 0.0)) / before) - 1) < 0.05


def test_half_of_the_way_as_a_model_to_run(tmp_path, untrained, monkeypatch):
    ready = untrained.with_suffix(".onnx")  # a network of this shape: test_export has the slow way
    monkeypatch.setattr(blend, "export_onnx", lambda _, __, path: shutil.copy(ready, path))
    cards = tmp_path / "start.json", tmp_path / "trained.json"
    start = saved(cards[0], 0, licence="CC-BY-NC-4.0", provisional=True).laterals[0].weight
    trained = saved(cards[1], 1).laterals[0].weight
    new = tmp_path / "new.json"
    assert main([*map(str, cards), "--share", "0.5", "--out", str(new)]) == 0
    half = load_student(new).laterals[0].weight
    assert torch.allclose(half, (start + trained) / 2)
    card = Predictor(new).card
    assert card.licence == "MIT and CC-BY-NC-4.0" and card.provisional
    assert card.sha256.keys() == {"new.safetensors", "new.onnx"}


def test_a_missing_card_is_one_sentence(tmp_path, capsys):
    card = str(tmp_path / "none.json")
    assert main([card, card, "--out", str(tmp_path / "new.json")]) == 2
    assert "none.json: No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("share", "changes", "reason"),
    [
        ("nan", {}, "--share nan is not from 0 to 1"),
        ("5", {}, "--share 5.0 is not from 0 to 1"),
        ("0.5", {"decoder_channels": 32}, "decoder_channels of .*start.json is 16, that of"),
        ("0.5", {"encoder": "tf_efficientnet_lite0"}, "encoder of .*start.json is test_effici"),
    ],
)
def test_what_has_no_mean_is_one_sentence(tmp_path, capsys, share, changes, reason):
    cards = tmp_path / "start.json", tmp_path / "trained.json"
    saved(cards[0], 0)
    saved(cards[1], 1, **changes)
    arguments = [*map(str, cards), "--share", share, "--out", str(tmp_path / "new.json")]
    assert main(arguments) == 2
    assert re.search(reason, capsys.readouterr().err)
    assert not (tmp_path / "new.json").exists()
