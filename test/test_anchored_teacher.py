"""A foundation model's file as the teacher, without a head of ours."""

import pytest
import torch
import yaml
from test_depth_anything import TINY as TINY_FOUNDATION
from test_drive_samples import adapt, folder, run  # noqa: F401, two of them fixtures
from test_teacher import ask, foundation, saved_foundation, version_3  # noqa: F401, as above
from tiny import model, weights

from fsmde_core.card import load_card, sha256_of
from fsmde_core.network.bins import expected_depth
from fsmde_core.network.checkpoint import load_student
from fsmde_core.network.depth_anything import SIZES, DepthAnythingV2
from fsmde_core.network.teacher import FoundationConfig, _fitted, load_teacher
from fsmde_ros.tools.adapt import main as adapt_main

SMALL_INPUT = FoundationConfig(input_px=28)  # as a test has no minutes


def hills(seed):
    torch.manual_seed(seed)
    return 3 + 40 * torch.rand(2, 24, 40)


def test_shapes_come_from_the_file_and_metres_from_the_anchor():
    depth, everywhere = hills(0), torch.ones(2, 24, 40, dtype=torch.bool)
    scale, offset = (
        torch.tensor([5.0, 0.02])[:, None, None],
        torch.tensor([0.3, -0.1])[:, None, None],
    )
    told = scale * (1 / depth) + offset
    guess = depth * torch.empty_like(depth).uniform_(0.8, 1.2)
    assert (_fitted(told, 1 / guess, everywhere) * depth - 1).abs().max() < 0.05
    # where one of ten pixels is far off, as a car that the anchor sees through
    guess[:, ::10] *= 5
    assert (_fitted(told, 1 / guess, everywhere) * depth - 1).abs().median() < 0.05
    # the sky does not count
    there = torch.rand_like(depth) > 0.4
    guess = torch.where(there, depth, 1e3)
    assert (_fitted(told, 1 / guess, there) * depth - 1).abs().max() < 0.01


@pytest.mark.parametrize("told", [lambda d: d, lambda d: 0 * d + 7, lambda d: 0 * d])
def test_where_the_file_says_nothing_the_anchor_does(told):
    depth = hills(1)
    fitted = _fitted(told(depth), 1 / depth, torch.ones_like(depth, dtype=torch.bool))
    assert torch.allclose(fitted, 1 / depth, rtol=1e-5)


def test_what_it_says_is_a_teachers_answer(foundation, tmp_path):  # noqa: F811
    anchor = tmp_path / "start" / "start.json"
    model(anchor)
    teacher = load_teacher(foundation, anchor=anchor, foundation=SMALL_INPUT)
    torch.manual_seed(0)
    output = ask(teacher)
    torch.manual_seed(0)
    own = ask(load_student(anchor))
    assert output.bin_logits.shape == own.bin_logits.shape and output.depth.shape == own.depth.shape
    assert torch.equal(output.bin_centers, own.bin_centers)
    assert torch.equal(output.surface_logits, own.surface_logits)
    assert output.depth.isfinite().all() and not output.bin_logits.requires_grad
    # at the anchor's scale, in bins that mean the depth
    logits, centers = output.bin_logits.flatten(0, 1), output.bin_centers.flatten(0, 1)
    there, _ = expected_depth(logits, centers)
    anchors, _ = expected_depth(own.bin_logits.flatten(0, 1), centers)
    assert (there.median() / anchors.median()).log().abs() < 0.7


def test_the_file_says_which_size_it_is(tmp_path, monkeypatch):
    monkeypatch.setitem(SIZES, "vitb", TINY_FOUNDATION)
    path = saved_foundation(tmp_path / "any_name.pth", seed=0)
    model(tmp_path / "a" / "a.json")
    teacher = load_teacher(path, anchor=tmp_path / "a" / "a.json", foundation=SMALL_INPUT)
    assert isinstance(teacher.backbone, DepthAnythingV2)


def test_a_drive_and_a_file_teach_together(adapt, foundation, tmp_path, quick_export):  # noqa: F811
    config = adapt(teacher=str(foundation), foundation={"input_px": 28})
    assert run(config, tmp_path / "out") == 0
    card = load_card(tmp_path / "out" / "student.json")
    assert card.made_from["teacher"] == {"name": foundation.name, "sha256": sha256_of(foundation)}
    assert run(adapt(), tmp_path / "alone") == 0
    both, alone = (weights(tmp_path / which, "student") for which in ("out", "alone"))
    assert any(not torch.equal(both[name], alone[name]) for name in both)


@pytest.mark.parametrize("changes", [{"initial": ""}, {"teacher_cache": "kept", "losses": {}}])
def test_a_file_needs_a_network_to_be_measured_by(adapt, foundation, tmp_path, capsys, changes):  # noqa: F811
    path = adapt(teacher=str(foundation))
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))
    assert run(path, tmp_path / "out") == 2
    assert (
        f"teacher {foundation} is no card but a foundation model's file" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "No such file"), (b"<html>Sign in", "is a web page")],
)
def test_a_file_that_is_none_is_told_before_the_drive_is_read(tmp_path, content, sentence, capsys):
    path = tmp_path / "depth_anything_v2_vits.pth"
    if content:
        path.write_bytes(content)
    arguments = [str(tmp_path / "drive"), "--out", str(tmp_path / "mine"), "--teacher", str(path)]
    assert adapt_main(arguments) == 2
    said = capsys.readouterr().err
    assert str(path) in said and sentence in said
