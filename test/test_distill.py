"""Training runs of a few steps on tiny streets: what they learn, and what they leave."""

import json
import shutil

import pytest
import torch
import yaml
from tiny import CKD_VRKD, events, model, run, run_two_processes, same, weights

from fsmde_core.card import load_card
from fsmde_core.distill import step
from fsmde_core.distill.config import (
    load_config,
)
from fsmde_core.distill.state import moving_average, new_state
from fsmde_core.distill.stream import (
    SampleStream,
    by_camera_count,
    open_split,
)
from fsmde_core.network.checkpoint import save_student
from fsmde_core.network.student import StudentConfig, StudentDepthNet
from fsmde_core.runtime.predictor import Predictor


def test_a_finished_run_leaves_a_model_that_runs_without_torch(config_file, tmp_path, rig, views):
    out = tmp_path / "out"
    assert run(config_file(), out) == 0
    card = json.loads((out / "student.json").read_text())
    assert card["provisional"] is False
    assert (
        "4 of 4 steps of 2 rigs, 4 samples of street train, losses silog 1" in card["description"]
    )
    ((title, metrics),) = card["metrics"].items()
    assert "2 samples of street val" in title
    assert 0 < metrics["abs_rel"] < 100
    prediction = Predictor(out / "student.json")([image for image, _ in views], rig)
    assert [depth.shape for depth in prediction.depth] == 6 * [(32, 32)]
    assert all((depth > 0).all() for depth in prediction.depth)
    curves = events(out)
    assert [e.step for e in curves.Scalars("train/silog")] == [1, 2, 3, 4]
    assert [e.step for e in curves.Scalars("val/abs_rel")] == [2, 4]
    assert len(curves.Images("val/images")) == 2


def test_interrupted_and_resumed_is_the_same_run(config_file, tmp_path, capsys):
    config = config_file()
    assert run(config, tmp_path / "whole", "--until", "3") == 0
    assert run(config, tmp_path / "parts", "--until", "1") == 0
    assert run(config, tmp_path / "parts", "--until", "3") == 0
    assert "goes on at step 1" in capsys.readouterr().out
    for which in ("student", "average"):
        whole, parts = weights(tmp_path / "whole", which), weights(tmp_path / "parts", which)
        assert same(whole, parts, rtol=0, atol=0)


def test_samples_that_came_since_are_said(config_file, street, tmp_path, capsys):
    fewer = shutil.copytree(street / "train", tmp_path / "train")
    last = sorted(fewer.glob("*.npz"))[-1]
    data = {**yaml.safe_load(config_file().read_text())["data"], "train": str(fewer)}
    whole = last.read_bytes()
    last.unlink()
    config = config_file(data=data)
    assert run(config, tmp_path / "out", "--until", "1") == 0
    last.write_bytes(whole)
    assert run(config, tmp_path / "out", "--until", "2") == 0
    assert "with 4 samples instead of 3, in another order" in capsys.readouterr().out


@pytest.fixture(scope="session")
def any_teacher(tmp_path_factory):
    """The card of a network that was never trained."""
    torch.manual_seed(1)
    card = tmp_path_factory.mktemp("any") / "teacher.json"
    config = StudentConfig(decoder_channels=16, n_bins=8, input_width=64, input_height=32)
    network = StudentDepthNet(config)
    torch.nn.init.normal_(network.head.logits.weight)
    save_student(network, card, config=config, description="", licence="", provisional=True)
    return card


@pytest.mark.parametrize("losses", [{}, {"bins": 1.0, **CKD_VRKD}], ids=["supervised", "ckd_vrkd"])
def test_two_processes_learn_what_one_does(config_file, street, any_teacher, tmp_path, losses):
    data = {"train": str(street / "train"), "val": str(street / "val"), "workers": 0}
    also = {"train": str(street / "train"), "truth": "none"}  # on one of them nothing is valid
    with_teacher = {"teacher": str(any_teacher), "also": also, "also_every": 2} if losses else {}
    config = config_file(  # statistics of batch norms are each process's own
        frozen_norm="all", losses={"silog": 1.0, **losses}, data=data, rigs_per_step=4,
        **with_teacher,
    )  # fmt: skip
    assert run(config, tmp_path / "one", "--until", "2") == 0
    run_two_processes(config, tmp_path / "two", "--until", "2")
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert same(one, two, rtol=0, atol=2e-5)
    initial = new_state(load_config(config), torch.device("cpu")).student.state_dict()
    assert not same(initial, two, rtol=0, atol=2e-5)
    first, second = (
        [e.value for e in events(tmp_path / out).Scalars("train/gradient")]
        for out in ("one", "two")
    )
    assert first == pytest.approx(second, rel=1e-3) and min(first) > 0.1


def test_a_run_over_shapes_learns_depth_sky_and_surfaces(
    config_file, tmp_path, capsys, quick_export
):
    shapes = {"aspects": [1.0, 4.0], "pixels": [0.5, 3.0], "keep_cameras": 2}
    losses = {"silog": 1.0, "sky": 1.0, "surface": 1.0}
    out = tmp_path / "out"
    assert run(config_file(augment=shapes, losses=losses), out) == 0
    assert not torch.equal(weights(out)["surface.weight"], torch.zeros(16, 8, 1, 1))
    (metrics,) = json.loads((out / "student.json").read_text())["metrics"].values()
    assert 0.3 < metrics["surface"] <= 1
    assert f"surface {metrics['surface']:.4f}" in capsys.readouterr().out


def test_frozen_norms_keep_their_statistics(config_file, tmp_path):
    assert run(config_file(), tmp_path / "out", "--until", "1") == 0
    trained = weights(tmp_path / "out")
    initial = new_state(load_config(config_file()), torch.device("cpu")).student.state_dict()
    moved = {k for k in trained if "running" in k and not torch.equal(trained[k], initial[k])}
    assert moved and not any(key.startswith("encoder.") for key in moved)


def test_calibration_and_truth_reach_the_network_unrounded(config_file, tmp_path, monkeypatch):
    seen, silog = [], step.silog_loss

    def spy(depth, depth_gt, valid, **options):
        seen.append((depth_gt[valid], depth))
        return silog(depth, depth_gt, valid, **options)

    monkeypatch.setattr(step, "silog_loss", spy)
    features, exact = StudentDepthNet.forward, []
    monkeypatch.setattr(
        StudentDepthNet,
        "forward",
        lambda self, images, K, T: (exact.append((K, T)), features(self, images, K, T))[1],
    )
    config = config_file(precision="bf16-mixed")
    assert run(config, tmp_path / "out", "--until", "1") == 0
    stream = SampleStream(open_split(load_config(config).data, train=True), load_config(config))
    batches = by_camera_count([stream[0], stream[1]])
    for (K, T_ego_cam), (depth_gt, _), batch in zip(exact, seen, batches):
        assert torch.equal(K, batch.K) and torch.equal(T_ego_cam, batch.T_ego_cam)
        assert torch.isin(depth_gt, batch.depth_gt).all()


def test_the_average_forgets_the_first_weights_soon():
    student = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.BatchNorm1d(1))
    torch.nn.init.ones_(student[0].weight)
    moving = moving_average(student, 0.5)
    torch.nn.init.zeros_(student[0].weight)
    student[1].running_mean.fill_(10.0)
    student[1].num_batches_tracked.fill_(7)
    moving.update(student, 2)  # after one step
    average = moving.module
    assert average[0].weight.item() == pytest.approx(0.1)
    assert average[1].running_mean.item() == pytest.approx(9.0)
    assert average[1].num_batches_tracked == 7
    moving.update(student, 10**6)
    assert average[0].weight.item() == pytest.approx(0.05)
    assert not average.training and not average[0].weight.requires_grad


def test_a_moved_model_is_the_same_but_another_is_not(config_file, tmp_path, capsys):
    for name, seed in (("here", 0), ("there", 0), ("other", 1)):
        model(tmp_path / name / "start.json", seed=seed)
    cards = {name: f"initial={tmp_path}/{name}/start.json" for name in ("here", "there", "other")}
    out = tmp_path / "out"
    assert run(config_file(), out, "--until", "1", cards["here"]) == 0
    assert run(config_file(), out, "--until", "2", cards["there"]) == 0
    assert run(config_file(), out, "--until", "3", cards["other"]) == 2
    assert "of a run with another made from.initial.sha256" in capsys.readouterr().err


def test_the_card_names_what_it_was_made_from(config_file, tmp_path, quick_export):
    start = model(tmp_path / "start.json")
    teacher = model(tmp_path / "teacher.json", seed=1, licence="CC-BY-NC-4.0")
    out = tmp_path / "out"
    options = [f"initial={tmp_path}/start.json", f"teacher={tmp_path}/teacher.json"]
    assert run(config_file(), out, *options, "losses.kd=0.1", "data.train_split=x") == 0
    card = load_card(out / "student.json")
    assert card.made_from == {
        "initial": {"name": "start", "sha256": start.sha256["start.safetensors"]},
        "teacher": {"name": "teacher", "sha256": teacher.sha256["teacher.safetensors"]},
    }
    assert card.licence == "CC-BY-NC-4.0"  # the teacher's
