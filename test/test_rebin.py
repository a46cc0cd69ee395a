"""A student goes on with other bins and predicts what it did."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from conftest import ROOT

from fsmde_core.distill.config import ConfigError, DistillConfig, LossConfig, load_config
from fsmde_core.distill.losses import bin_likelihood_loss
from fsmde_core.distill.rebin import carry_over, head_with_bins
from fsmde_core.distill.state import another_mean, new_state
from fsmde_core.network.bins import BinHead
from fsmde_core.network.checkpoint import load_student, save_student
from fsmde_core.network.student import StudentConfig, StudentDepthNet

SHIPPED = ROOT / "models" / "student_s.json"
SHAPES = ROOT / "config" / "distill" / "student_s_shapes.yaml"
CPU = torch.device("cpu")


def ask(student, focal_px, size=(160, 96)):
    torch.manual_seed(1)
    width, height = size
    images = torch.randint(0, 256, (1, 2, height, width, 3), dtype=torch.uint8)
    K = torch.tensor([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]])
    forward = torch.tensor([[0.0, 0, 1, 1], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
    with torch.inference_mode():
        return student.eval()(images, K.expand(1, 2, 3, 3), forward.expand(1, 2, 4, 4))


@pytest.fixture(scope="module")
def shipped():
    student, document = load_student(SHIPPED), json.loads(SHIPPED.read_text())["student"]
    if document["n_bins"] != 64:
        pytest.skip("models/student_s has other bins by now")
    return student


@pytest.fixture(scope="module")
def reaching():
    """The shipped student as the training for all shapes begins with it."""
    config = load_config(SHAPES, [f"initial={SHIPPED}"])
    return new_state(config, CPU).student


@pytest.mark.parametrize("focal_px", [100.0, 300.0, 800.0])
def test_the_shipped_student_reaches_farther_and_says_the_same(shipped, reaching, focal_px):
    old, new = ask(shipped, focal_px), ask(reaching, focal_px)
    assert new.bin_centers.shape[-1] == 96
    assert new.bin_centers[..., -1].min() > 2 * old.bin_centers[..., -1].max()
    ratio = new.depth / old.depth
    assert abs(ratio.median().item() - 1) < 0.02
    assert (ratio - 1).abs().quantile(0.95) < 0.05


def test_bins_of_the_same_width_stay_where_they_were(shipped, reaching):
    old, new = ask(shipped, 300.0).bin_centers, ask(reaching, 300.0).bin_centers
    off = (new[..., 11:75] / old).log().abs()
    assert off.max() < 0.03  # a bin is 0.09 wide
    assert (new.diff(dim=-1) > 0).all()


def random_heads(n_bins, low, high, *, spread):
    torch.manual_seed(0)
    old = BinHead(
        8, 8, n_bins=16, min_depth_m=1.0, max_depth_m=100.0, canonical_focal_px=500.0
    )  # fmt: skip
    torch.nn.init.normal_(old.widths[-1].weight, std=spread)
    torch.nn.init.normal_(old.logits.weight)
    return old, head_with_bins(old, n_bins=n_bins, min_depth_m=low, max_depth_m=high)


@pytest.mark.parametrize("spread", [0.0, 1.0, 10.0])  # at 10 every width saturates
@pytest.mark.parametrize(
    "n_bins, low, high, tolerance",
    [
        (16, 1.0, 100.0, 1e-5),
        (24, 1.0, 1000.0, 0.15),  # only above
        (24, 0.1, 100.0, 0.15),  # only below
        (48, 0.01, 10_000.0, 0.15),  # as much again on both sides
        (32, 1.0, 100.0, 0.15),  # finer
        (8, 1.0, 100.0, 0.4),  # coarser: a bin is 0.58 wide
    ],
)
def test_any_head_is_carried_over(n_bins, low, high, tolerance, spread):
    old, new = random_heads(n_bins, low, high, spread=spread)
    carry_over(old, new)
    pixels, pooled, focal_px = torch.randn(2, 8, 6, 6), torch.rand(2, 8), torch.tensor([100, 800.0])
    with torch.no_grad():
        before, after = (head(pixels, pooled, focal_px).depth for head in (old, new))
    assert (after / before).log().abs().median() < tolerance


def student_card(folder, **changes):
    config = replace(StudentConfig(decoder_channels=16, n_bins=8), **changes)
    card = folder / "initial.json"
    save_student(
        StudentDepthNet(config), card, config=config, description="", licence="", provisional=True
    )
    return card


def test_layers_that_start_anew_learn_faster(tmp_path):
    card = student_card(tmp_path)
    config = DistillConfig(
        student=StudentConfig(decoder_channels=16, n_bins=12), initial=str(card),
        losses=LossConfig(surface=1.0), last_rate_share=10.0, encoder_rate_share=0.25,
    )  # fmt: skip
    state = new_state(config, CPU)
    rates = {id(p): g["max_lr"] for g in state.optimizer.param_groups for p in g["params"]}
    of = {name: rates[id(p)] / config.learning_rate for name, p in state.student.named_parameters()}
    assert of["surface.weight"] == of["head.logits.weight"] == pytest.approx(10)
    assert of["encoder.conv_stem.weight"] == pytest.approx(0.25)
    assert of["head.widths.0.weight"] == of["laterals.0.weight"] == pytest.approx(1)
    assert state.schedule.get_last_lr()[-1] == pytest.approx(config.learning_rate / 25)


def test_norms_and_biases_do_not_decay(tmp_path):
    config = DistillConfig(
        student=StudentConfig(decoder_channels=16, n_bins=8), initial=str(student_card(tmp_path)),
        losses=LossConfig(surface=1.0), weight_decay=0.1,
    )  # fmt: skip
    state = new_state(config, CPU)
    decay = {id(p): g["weight_decay"] for g in state.optimizer.param_groups for p in g["params"]}
    of = {name: decay[id(p)] for name, p in state.student.named_parameters()}
    assert of["encoder.conv_stem.weight"] == of["head.widths.0.weight"] == 0.1
    free = {name for name, value in of.items() if not value}
    assert free == {name for name, p in state.student.named_parameters() if p.ndim == 1}
    assert {"encoder.bn1.weight", "head.logits.bias", "surface.bias"} <= free


def started(card, **changes):
    student = StudentConfig(decoder_channels=16, n_bins=8, **changes)
    return new_state(DistillConfig(student=student, initial=str(card)), CPU).student


def test_a_run_says_that_it_reads_depth_in_another_way(tmp_path):
    config = DistillConfig(
        student=StudentConfig(decoder_channels=16, n_bins=8, depth_mean="geometric"),
        initial=str(student_card(tmp_path)),
    )
    said = another_mean(config)
    assert "initial.json reads depth as the arithmetic mean" in said and "the geometric" in said
    assert another_mean(replace(config, initial="")) is None
    same = replace(config, student=replace(config.student, depth_mean="arithmetic"))
    assert another_mean(same) is None


def test_another_reach_alone_changes_no_weight(tmp_path):
    card = student_card(tmp_path, reach_m=80.0, input_width=64)
    ours, theirs = started(card).state_dict(), load_student(card).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("key, value", [("decoder_channels", 32), ("canonical_focal_px", 400.0)])
def test_another_network_is_refused(tmp_path, key, value):
    card = student_card(tmp_path, **{key: value})
    with pytest.raises(ConfigError, match=f"initial .*initial.json has another student.{key}"):
        started(card, max_depth_m=900.0)


def test_what_is_far_soon_moves_into_the_new_bins(reaching):
    head = deepcopy(reaching.head)
    features, pooled, focal_px = torch.rand(1, 32, 2, 2), torch.rand(1, 64), torch.tensor([160.0])
    far = torch.full((1, 2, 2), 150.0)  # beyond the old last edge of 64 m
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(60):
        output = head(features, pooled, focal_px)
        loss = bin_likelihood_loss(output.bin_logits, output.bin_centers, far, far > 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert abs((head(features, pooled, focal_px).depth / 150).log()).max() < 0.25
