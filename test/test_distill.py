"""Training runs of a few steps on tiny rendered streets."""

import json
import multiprocessing
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from blocks import render_blocks
from conftest import ROOT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fsmde_core.card import load_card
from fsmde_core.data.batch import RigBatch
from fsmde_core.data.sample import DatasetError
from fsmde_core.distill import main as distill
from fsmde_core.distill import step, stream, train
from fsmde_core.distill.config import (
    ConfigError,
    DataConfig,
    DistillConfig,
    LossConfig,
    load_config,
)
from fsmde_core.distill.origin import licence_of
from fsmde_core.distill.state import CHECKPOINT, moving_average, new_state
from fsmde_core.distill.step import ring_pairs
from fsmde_core.distill.stream import (
    LoaderError,
    SampleStream,
    by_camera_count,
    open_split,
    split_of,
    training_batches,
)
from fsmde_core.files import write_arrays
from fsmde_core.network.checkpoint import save_student
from fsmde_core.network.student import StudentConfig, StudentDepthNet
from fsmde_core.runtime.predictor import Predictor
from fsmde_core.street import cache
from fsmde_core.street.dataset import StreetDataset, StreetDatasetConfig

TINY = {
    "student": {"input_width": 64, "input_height": 32, "decoder_channels": 16, "n_bins": 8},
    "augment": {"smallest_crop": 0.7},
    "steps": 4, "validate_steps": 2, "val_samples": 2, "log_steps": 1,
    "precision": "32-true",
}  # fmt: skip
CKD_VRKD = {"kd": 0.5, "cross": 0.5, "relative": 0.1, "vrkd": 10.0}


@pytest.fixture(scope="session")
def street(tmp_path_factory):
    """Folders as of rendered streets, with the world of blocks in them: four samples of two rigs to
    learn from, two for validation."""
    root = tmp_path_factory.mktemp("street")
    config = StreetDatasetConfig(rigs=("nuscenes", "random"), size=(80, 45), poses=2)
    for split, streets in (("train", 2), ("val", 1)):
        samples = cache.CachedStreet(StreetDataset(split, streets, config), root / split)
        for index in range(len(samples)):
            sample = blocks_sample(samples, index)
            returns = np.where(np.arange(80) % 7 == 0, sample.depth_gt, 0)
            packed = {**cache._packed(sample), **cache._packed_returns(returns)}
            write_arrays(samples.file(index), **packed)
    return root


def blocks_sample(samples, index):
    rig = samples.street.rig(index)
    views = [render_blocks(camera, travelled_m=float(index)) for camera in rig.cameras]
    depth_gt = np.stack([depth for _, depth in views]).astype(np.float32)
    return RigBatch(
        images=np.stack([image for image, _ in views]), K=rig.K, T_ego_cam=rig.T_ego_cam,
        depth_gt=depth_gt, valid=depth_gt > 0, mask=np.zeros(depth_gt.shape, bool),
        stamps_ns=(0,) * len(views), names=rig.names, tokens=samples.street.tokens[index],
    )  # fmt: skip


@pytest.fixture
def config_file(street, tmp_path):
    """TINY as a file; call it with changes."""

    def write(**changes):
        data = {"train": str(street / "train"), "val": str(street / "val"), "workers": 0}
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump({**TINY, "data": data, **changes}))
        return path

    return write


def run(config, out, *arguments):
    return distill.main(["--config", str(config), "--out", str(out), "--accelerator", "cpu",
                         *arguments])  # fmt: skip


def weights(out, which="student"):
    return torch.load(out / CHECKPOINT, weights_only=True)[which]


def events(out):
    return EventAccumulator(str(out / "tensorboard")).Reload()


def same(a, b, **tolerance):
    return all(torch.allclose(a[k].double(), b[k].double(), **tolerance) for k in a)


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
    command = [sys.executable, "-m", "fsmde_core.distill.main", "--config", str(config)]
    command += ["--out", str(tmp_path / "two"), "--accelerator", "cpu", "--devices", "2"]
    result = subprocess.run(
        [*command, "--until", "2"], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert same(one, two, rtol=0, atol=2e-5)
    initial = new_state(load_config(config), torch.device("cpu")).student.state_dict()
    assert not same(initial, two, rtol=0, atol=2e-5)
    first, second = (
        [e.value for e in events(tmp_path / out).Scalars("train/gradient")]
        for out in ("one", "two")
    )
    assert first == pytest.approx(second, rel=1e-3) and min(first) > 0.1


def test_all_rigs_of_a_step_have_one_size_and_steps_have_many(config_file):
    shapes = {"aspects": [1.0, 4.0], "pixels": [0.5, 3.0], "keep_cameras": 7}
    config = load_config(config_file(augment=shapes, rigs_per_step=3, steps=20))
    stream = SampleStream(open_split(config.data, train=True), config)
    steps = [[stream[3 * step + i] for i in range(3)] for step in range(20)]
    sizes = [{item.images.shape[1:3] for item in items} for items in steps]
    assert all(len(of_step) == 1 for of_step in sizes)
    assert len(set.union(*sizes)) >= 5
    assert {len(items) for items in map(by_camera_count, steps)} == {1, 2}  # six cameras and seven
    for item in steps[0]:  # of rigs whose images were stretched
        assert np.allclose(item.K[:, 0, 0], item.K[:, 1, 1], rtol=0.05)


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


def random_rig(cameras=2, *, height=32, width=64):
    """Images, K and poses of one rig, and depths of it."""
    torch.manual_seed(0)
    images = torch.randint(0, 256, (1, cameras, height, width, 3), dtype=torch.uint8)
    K = torch.tensor([[50.0, 0, 32], [0, 50, 16], [0, 0, 1]]).expand(1, cameras, 3, 3)
    depth_gt = 1 + 20 * torch.rand(1, cameras, height, width)
    return (images, K, torch.eye(4).expand(1, cameras, 4, 4)), depth_gt


def step_of(config_file, **changes):
    """A step with a student at its start."""
    config = load_config(config_file(teacher="t.json", **changes))
    student = new_state(config, torch.device("cpu")).student.eval()
    return step.DistillStep(student, config.losses, config.student)


SUPERVISED = {"silog": 1.0, "log_l1": 0.5, "abs_rel": 0.25, "bins": 2.0}


def test_the_total_is_supervised_and_ckd_and_vrkd(config_file):
    distill_step = step_of(config_file, losses={**SUPERVISED, **CKD_VRKD, "align": False})
    weights, (views, depth_gt) = distill_step.losses, random_rig()
    mask = depth_gt < 0
    logits, centers = torch.randn(1, 2, 8, 8, 16), torch.arange(1.0, 9).expand(1, 2, 8)
    losses = distill_step(*views, depth_gt, ~mask, mask, logits, centers)
    output = distill_step.student(*views)
    truth = step.known_truth(depth_gt, ~mask, None, mask, 200.0)
    teaching = step.taught(output, logits, centers, truth, align=False)
    supervised, parts = step.supervised_loss(output, truth, weights)
    ckd, ckd_parts = step.ckd_loss(output, teaching, truth, weights)
    vrkd, vrkd_parts = step.vrkd_loss(output, teaching, ring_pairs(views[2]), weights)
    assert list(parts) == list(SUPERVISED)
    assert list(ckd_parts) == ["kd", "cross", "relative"] and list(vrkd_parts) == ["vrkd"]
    expected = {**SUPERVISED, **CKD_VRKD}
    by_hand = sum(expected[name] * losses[name] for name in expected)
    assert losses["total"].item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert (supervised + ckd + vrkd).item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_the_own_vehicle_teaches_no_depth(config_file):
    losses = {**SUPERVISED, **CKD_VRKD, "surface": 1.0, "sky": 1.0}
    distill_step, (views, depth_gt) = step_of(config_file, losses=losses), random_rig()
    mask = torch.zeros(depth_gt.shape, dtype=torch.bool)
    mask[:, :, 20:] = True  # the bonnet, where LiDAR hits it
    logits, centers = torch.randn(1, 2, 8, 8, 16), torch.arange(1.0, 9).expand(1, 2, 8)
    seen = [
        distill_step(*views, truth, truth > 0, mask, logits, centers, sky=mask & False)
        for truth in (depth_gt, depth_gt.where(~mask, torch.tensor(0.4)), depth_gt.where(~mask, 0))
    ]
    for name in (*SUPERVISED, *CKD_VRKD, "surface", "sky", "total"):
        assert len({losses[name].item() for losses in seen}) == 1, name


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
def test_a_scale_invariant_teacher_stays_at_the_rigs_median(config_file, scale):
    """Its loss pulls the rig's depths to where their median is in the middle of the bins, whatever
    the metres are."""
    losses = {"silog": 1.0, "bins": 1.0, "scale_invariant": True}
    distill_step, (views, depth_gt) = step_of(config_file, losses=losses), random_rig()
    relative = 10 * depth_gt / depth_gt.median()

    def silog(drift):
        output = distill_step.student(*views)
        distill_step.student.forward = lambda *_: replace(output, depth=drift * relative)
        loss = distill_step(*views, scale * depth_gt, depth_gt > 0, depth_gt < 0)["silog"].item()
        del distill_step.student.forward
        return loss

    assert silog(1.0) < 0.1
    assert silog(1.6) > 1 and silog(1 / 1.6) > 1  # nothing held it
    assert silog(1.6) == pytest.approx(silog(1 / 1.6), rel=1e-3)


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_what_lies_beyond_reach_and_bins_is_told(config_file, kind):
    losses = {"silog": 1.0, "bins": 1.0}
    distill_step, (views, depth_gt) = step_of(config_file, losses=losses), random_rig()
    depth_gt[0, 0, :, 32:] = 150.0  # at 50 pixels focal length the bins end at 20 m
    depth_gt[0, 1, :16] = 250.0
    depth_gt[0, 1, 16:] = 15.0
    depth_gt[0, 0, :, :32] = 15.0
    valid = torch.ones(depth_gt.shape, dtype=torch.bool)
    if kind == "sparse":
        valid[:, :, ::2] = False
    told = distill_step(*views, depth_gt, valid, valid & False)
    assert told["beyond_reach"].item() == pytest.approx(1 / 4)
    assert told["beyond_bins"].item() == pytest.approx(1 / 3)
    assert told["total"].item() == pytest.approx((told["silog"] + told["bins"]).item())
    nothing = distill_step(*views, depth_gt, valid & False, valid & False)
    assert nothing["beyond_reach"] == nothing["beyond_bins"] == 0


@pytest.mark.parametrize("depth_m", [30.0, 199.0])
def test_truth_beyond_the_last_bin_is_of_the_last_bin(config_file, depth_m):
    distill_step, (views, depth_gt) = step_of(config_file, losses={"bins": 1.0}), random_rig()
    depth_gt[:] = depth_m
    output = distill_step.student(*views)
    losses = distill_step(*views, depth_gt, depth_gt > 0, depth_gt < 0)
    assert losses["beyond_bins"] == 1 and losses["beyond_reach"] == 0
    last = -output.bin_logits.log_softmax(dim=2)[:, :, -1].mean()
    assert losses["bins"].item() == pytest.approx(last.item(), rel=1e-4)


def wide_camera(config_file, depth_m, *, sky=False):
    """Losses of a camera of 110 degrees, all of whose pixels are at depth_m, or of the sky."""
    losses = {"silog": 0.0, "log_l1": 1.0, "sky": 1.0, "surface": 1.0}
    config = load_config(config_file(losses=losses))
    student = new_state(config, torch.device("cpu")).student.eval()
    images = torch.randint(0, 256, (1, 1, 32, 64, 3), dtype=torch.uint8)
    K = torch.tensor([[22.4, 0, 32], [0, 22.4, 16], [0, 0, 1]]).expand(1, 1, 3, 3)
    depth_gt = torch.full((1, 1, 32, 64), depth_m)
    valid = torch.full(depth_gt.shape, not sky)
    views = images, K, torch.eye(4).expand(1, 1, 4, 4)
    with torch.no_grad():
        distill_step = step.DistillStep(student, config.losses, config.student)
        losses = distill_step(*views, depth_gt, valid, valid & False, sky=~valid)
        return losses, student(*views)


@pytest.mark.parametrize("depth_m", [0.3, 20.0, 150.0, 199.0])
def test_truth_counts_to_the_reach_whatever_the_lens(config_file, depth_m):
    losses, output = wide_camera(config_file, depth_m)
    expected = 10 * (output.depth / depth_m).log().abs().mean()
    assert losses["log_l1"] == pytest.approx(expected.item(), rel=1e-4)
    assert losses["sky"] == 0 and losses["surface"] < 0.1  # as all start from a surface


@pytest.mark.parametrize("sky", [True, False])
def test_what_is_beyond_the_reach_counts_as_the_sky(config_file, sky):
    losses, output = wide_camera(config_file, 201.0, sky=sky)
    assert losses["log_l1"] == 0
    short = (200.0 / output.depth).log().mean()
    assert losses["sky"] == pytest.approx(short.item(), rel=1e-4)
    assert losses["surface"] > 2


def test_the_stream_is_endless_shuffled_and_the_same_every_time(config_file):
    config = load_config(config_file())
    samples = open_split(config.data, train=True)
    streams = [SampleStream(samples, config) for _ in range(2)]
    tokens = [streams[0][k].tokens for k in range(8)]
    assert sorted(tokens[:4]) == sorted(tokens[4:]) == [samples[i].tokens for i in range(4)]
    for k in (5, 2):
        ours, theirs = streams[0][k], streams[1][k]
        assert np.array_equal(ours.images, theirs.images) and np.array_equal(ours.K, theirs.K)
    again = streams[0][tokens[4:].index(tokens[0]) + 4]
    assert not np.array_equal(again.images, streams[0][0].images)  # augmented anew


@pytest.mark.parametrize("every", [2, 3, 5])
def test_samples_are_seen_equally_often_beside_a_second_dataset(config_file, street, every):
    also = {"train": str(street / "val")}
    config = load_config(config_file(also=also, also_every=every))
    first, second = (open_split(data, train=True) for data in (config.data, config.also))
    stream = SampleStream(first, config, also=second)
    drawn = [stream[k].tokens for k in range(25 * every)]
    for samples in (first, second):
        seen = [drawn.count(samples[i].tokens) for i in range(len(samples))]
        assert min(seen) > 0 and max(seen) - min(seen) <= 1, seen


def test_every_fourth_sample_is_of_the_second_dataset(config_file, street):
    also = {"train": str(street / "val"), "truth": "lidar"}
    config = load_config(config_file(also=also, also_every=4, losses={"sky": 1.0}))
    first, second = (open_split(data, train=True) for data in (config.data, config.also))
    stream = SampleStream(first, config, also=second)
    of_second = {second[i].tokens for i in range(len(second))}
    assert [stream[k].tokens in of_second for k in range(8)] == 2 * [False, False, False, True]
    sparse, dense = stream[3], stream[0]
    assert sparse.valid.any() and not sparse.sky.any()  # what no beam hit is not taken for it
    assert np.array_equal(dense.sky, ~(dense.valid | dense.mask)) and dense.sky.any()


def test_images_without_depth_show_nothing_of_it(config_file, street):
    data = DataConfig(train=str(street / "train"), truth="none")
    config = replace(load_config(config_file()), data=data)
    item = SampleStream(open_split(data, train=True), config)[0]
    assert item.images.any() and not item.valid.any() and not item.depth_gt.any()


def test_images_without_depth_need_no_lidar_file(config_file, nuscenes_root, tmp_path):
    ignore = shutil.ignore_patterns("LIDAR_TOP")
    root = shutil.copytree(nuscenes_root, tmp_path / "root", ignore=ignore)
    data = DataConfig("nuscenes", str(root), version="v1.0-mini", train_split="mini_train")
    with pytest.raises(DatasetError, match="LIDAR_TOP"):
        open_split(data, train=True)[0]
    item = open_split(replace(data, truth="none"), train=True)[0]
    assert item.images.any() and not item.valid.any()


def test_rigs_are_batched_with_those_of_as_many_cameras(street):
    samples = open_split(DataConfig(train=str(street / "train")), train=True)
    items = [samples[i] for i in range(4)]  # a rig of nuScenes' six and a random one, twice each
    counts = [len(item.names) for item in items]
    assert counts[0] != counts[2]
    batches = by_camera_count(items)
    assert [tuple(batch.images.shape[:2]) for batch in batches] == [(2, 6), (2, counts[2])]
    assert batches[0].K.dtype == torch.float32 and batches[0].images.dtype == torch.uint8


def test_ring_pairs_go_once_around(rig):
    pairs = ring_pairs(torch.from_numpy(rig.T_ego_cam)[None])[0].tolist()
    assert {tuple(pair) for pair in pairs} == set(rig.neighbours())
    assert ring_pairs(torch.from_numpy(rig.T_ego_cam[:2])[None]).shape == (1, 1, 2)
    assert ring_pairs(torch.from_numpy(rig.T_ego_cam[:1])[None]).shape == (1, 0, 2)


@pytest.mark.parametrize("with_truth", [True, False])
def test_the_scale_of_a_teacher_is_not_taught(config_file, with_truth):
    config = load_config(config_file(losses=CKD_VRKD, teacher="t.json"))
    student = new_state(config, torch.device("cpu")).student.eval()
    images = torch.randint(0, 256, (1, 2, 32, 64, 3), dtype=torch.uint8)
    K = torch.tensor([[50.0, 0, 32], [0, 50, 16], [0, 0, 1]]).expand(1, 2, 3, 3)
    depth_gt = 1 + 20 * torch.rand(1, 2, 32, 64)
    valid, mask = torch.full(depth_gt.shape, with_truth), torch.zeros(depth_gt.shape, dtype=bool)
    logits = torch.randn(1, 2, 8, 8, 16)
    centers = torch.tensor([1.0, 2, 4, 7, 11, 16, 24, 40]).expand(1, 2, 8)
    distill_step = step.DistillStep(student, config.losses, config.student)
    metric, other = (
        distill_step(images, K, torch.eye(4).expand(1, 2, 4, 4), depth_gt, valid, mask, logits, c)
        for c in (centers, 3.5 * centers)
    )
    assert metric["kd"] > 0.01 and metric["relative"] > 0.01
    for name in ("kd", "cross", "relative", "vrkd"):
        assert torch.isclose(metric[name], other[name], rtol=1e-3), name


def test_frozen_norms_keep_their_statistics(config_file, tmp_path):
    assert run(config_file(), tmp_path / "out", "--until", "1") == 0
    trained = weights(tmp_path / "out")
    initial = new_state(load_config(config_file()), torch.device("cpu")).student.state_dict()
    moved = {k for k in trained if "running" in k and not torch.equal(trained[k], initial[k])}
    assert moved and not any(key.startswith("encoder.") for key in moved)


def test_depthwise_convolutions_learn_the_same_in_float32(config_file):
    config = load_config(config_file())
    student = new_state(config, torch.device("cpu")).student.eval()
    images = torch.randint(0, 256, (1, 2, 32, 64, 3), dtype=torch.uint8)
    K = torch.tensor([[50.0, 0, 32], [0, 50, 16], [0, 0, 1]]).expand(1, 2, 3, 3)
    (conv,) = [m for n, m in student.named_modules() if n == "encoder.blocks.0.0.conv_dw"]
    gradients = []
    for prepare in (lambda _: None, step.depthwise_in_float32):
        prepare(student)
        student.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            # not the depth: which cell is the nearest may change with the last digit
            output = student(images, K, torch.eye(4).expand(1, 2, 4, 4))
            output.bin_logits.float().square().mean().backward()
        gradients.append(conv.weight.grad.clone())
    off = (gradients[0] - gradients[1]).norm() / gradients[1].norm()
    assert 0 < off < 0.1  # bf16 keeps two to three digits


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


def test_methods_are_the_rows_of_the_ablation(config_file):
    path = config_file(teacher="t.json", method="ckd_vrkd")
    assert load_config(path).losses == LossConfig(kd=0.25, cross=1.0, relative=5.0, vrkd=10.0)
    assert load_config(path, ["losses.vrkd=5"]).losses.vrkd == 5
    assert load_config(path, ["method=kd"]).losses == LossConfig(kd=0.25)
    assert not load_config(path, ["method=supervised"]).losses.needs_teacher


@pytest.mark.parametrize("path", sorted((ROOT / "config" / "distill").glob("*.yaml")), ids=str)
def test_shipped_configs_hold(path):
    config = load_config(path, ["data.train=/data/nuscenes"])
    assert config.data.kind in path.stem or config.data.kind == "street"


def test_defaults_presets_and_overrides(config_file):
    path = config_file(preset="m", losses={"silog": 2})
    config = load_config(path, ["losses.kd=0.5", "teacher=models/t.json", "data.size=[320, 192]"])
    assert config.student.encoder == "tf_efficientnet_lite2" and config.student.n_bins == 8
    assert config.losses == LossConfig(silog=2.0, kd=0.5)
    assert config.data.size == (320, 192) and config.learning_rate == DistillConfig.learning_rate


@pytest.mark.parametrize(
    "override, message",
    [
        ("losses.vrdk=1", "unknown key 'losses.vrdk'; known: silog, log_l1, abs_rel"),
        ("stepz=1", "unknown key 'stepz'"),
        ("steps=many", "steps is 'many': should be a valid integer"),
        ("data.kind=kitti", "data.kind is 'kitti': should be 'street', 'nuscenes' or 'ddad'"),
        ("data.size=[1]", "data.size[1] is [1]: field required"),
        ("data.size=[0, 5]", "data.size[0] is 0: should be greater than 0"),
        ("data.size=5", "data.size is 5: should be a valid tuple"),
        ("data.workers=-1", "data.workers is -1: should be greater than or equal to 0"),
        ("data.past_sweeps=-1", "data.past_sweeps is -1: should be greater than or equal to 0"),
        ("data.timeout_s=0", "data.timeout_s is 0: should be greater than 0"),
        ("data=street", "data is 'street', not a mapping"),
        ("preset=xl", "preset is 'xl', not one of s, m"),
        ("preset=[s]", "preset is ['s'], not one of s, m"),
        ("name=a/b", "name is 'a/b': string should match pattern"),
        ("also_every=0", "also_every is 0: should be greater than 0"),
        ("seed=-1", "seed is -1: should be greater than or equal to 0"),
        ("steps=true", "steps is True: should be a valid integer"),
        ("steps=2.5", "steps is 2.5: should be a valid integer"),
        ("learning_rate=-0.1", "learning_rate is -0.1: should be greater than or equal to 0"),
        ("learning_rate=.nan", "learning_rate is nan: should be a finite number"),
        ("learning_rate=1e-4", "learning_rate is '1e-4': to YAML that is a text; with a point"),
        ("losses.silog=5e-1", "losses.silog is '5e-1': to YAML that is a text; with a point"),
        ("augment.smallest_crop=1e-1", "augment.smallest_crop is '1e-1': to YAML that is a text"),
        ("warm_up_share=2", "warm_up_share is 2: should be less than 1"),
        ("warm_up_share=0.25", "warm_up_share 0.25 of 4 steps is one"),
        ("average_decay=1", "average_decay is 1: should be less than 1"),
        ("gradient_norm=0", "gradient_norm is 0: should be greater than 0"),
        ("losses.temperature=0", "losses.temperature is 0: should be greater than 0"),
        ("data.truth=none", "data.truth is none, and no loss with a teacher has a weight"),
        ("losses.kd=1", "losses with a teacher have a weight, but teacher names no card"),
        ("student.encoder=resnet18", "student.encoder is 'resnet18', not one of tf_efficientnet_l"),
        ("student.input_width=60", "student.input_width is 60: should be a multiple of 32"),
        ("student.input_height=0", "student.input_height is 0: should be greater than 0"),
        (
            "augment.aspects=[2, 1]",
            "augment.aspects is [2.0, 1.0], not a range of positive numbers",
        ),
        (
            "augment.aspects=[0, 4]",
            "augment.aspects is [0.0, 4.0], not a range of positive numbers",
        ),
        ("augment.smallest_crop=2", "augment.smallest_crop is 2: should be less than or equal to"),
        ("augment.mirror_probability=2", "augment.mirror_probability is 2: should be less than or"),
        ("augment.keep_cameras=-1", "augment.keep_cameras is -1: should be greater than or equal"),
        ("student.reach_m=-1", "student.reach_m is -1: should be greater than 0"),
        ("student.min_depth_m=900", "student.min_depth_m is 900.0, max_depth_m 200.0: not a range"),
        ("student.n_bins=0", "student.n_bins is 0: should be greater than 0"),
        ("foundation.channels=0", "foundation.channels is 0: should be greater than 0"),
        ("foundation.size=xl", "foundation.size is 'xl': should be 'vits', 'vitb' or 'vitl'"),
        ("losses.surface=-1", "losses.surface is -1: should be greater than or equal to 0"),
        ("last_rate_share=-1", "last_rate_share is -1: should be greater than or equal to 0"),
        ("losses={kd: 1, align: false}", "align is false, but bins out of teacher_cache follow no"),
        ("augment.pixels=[0, 0]", "augment.pixels is [0.0, 0.0], not a range of positive numbers"),
        ("steps", "override 'steps' is not of the form key=value"),
        ("steps.x=1", "steps has no keys of its own"),
    ],
)
def test_a_typo_is_one_sentence(config_file, override, message):
    with_teacher = {"teacher": "t.json", "teacher_cache": "c"} if "align" in override else {}
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(config_file(**with_teacher), [override])


@pytest.mark.parametrize("loss", ["sky", "surface"])
def test_the_sky_is_learnt_where_it_is_known(config_file, street, loss):
    for data in ({"kind": "ddad"}, {"truth": "lidar"}):
        config = config_file(losses={loss: 1.0}, data={"train": str(street / "train"), **data})
        with pytest.raises(ConfigError, match=f"losses.{loss} needs dense depth, which data.kind"):
            load_config(config)


def test_a_foundation_model_learns_no_surfaces(config_file):
    overrides = ["losses.surface=1", "foundation.checkpoint=file.pth"]
    with pytest.raises(ConfigError, match="losses.surface has a weight, but a foundation model"):
        load_config(config_file(), overrides)


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
    assert "last.pt does not read" in capsys.readouterr().err
    assert (out / CHECKPOINT).stat().st_size == len(whole) // 2


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


@pytest.fixture
def quick_export(monkeypatch):
    """A minute, which another test takes."""
    monkeypatch.setattr(train, "export_onnx", lambda student, config, path: path.write_bytes(b""))


def model(path, *, seed=0, licence="Apache-2.0"):
    """The card of a student of TINY's shape that may be begun with, or taught by."""
    config = replace(StudentConfig(), **TINY["student"])
    torch.manual_seed(seed)
    student = StudentDepthNet(config).eval()
    return save_student(
        student, path, config=config, description="", licence=licence, provisional=False
    )


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


def licence(config_file, street, **changes):
    data = {"train": str(street / "train"), **changes.pop("data", {})}
    return licence_of(load_config(config_file(data=data, **changes)))


def test_data_not_for_commerce_leave_no_licence_for_it(config_file, street):
    """What is said of nuScenes, DDAD and PandaSet: shared/data/README.md, docs/training.md."""
    assert licence(config_file, street) == "Apache-2.0"
    for kind in ("nuscenes", "ddad"):
        assert licence(config_file, street, data={"kind": kind}) == "CC-BY-NC-SA-4.0"
        mixed = {"also": {"kind": kind, "train": "somewhere"}}
        assert licence(config_file, street, **mixed) == "CC-BY-NC-SA-4.0"
    pandaset = {"kind": "nuscenes", "licence": "CC-BY-4.0"}
    assert licence(config_file, street, data=pandaset) == "Apache-2.0"
    mine = {"licence": "MIT", "data": {"licence": "research use only"}}
    assert licence(config_file, street, **mine) == "research use only"


def test_large_foundations_and_their_students_are_not_for_commerce(config_file, street, tmp_path):
    for size, expected in (("vits", "Apache-2.0"), ("vitb", "CC-BY-NC-4.0")):
        foundation = {"checkpoint": "file.pth", "size": size}
        assert licence(config_file, street, foundation=foundation) == expected
    model(tmp_path / "start.json", licence="CC-BY-NC-SA-4.0")
    begun = {"initial": str(tmp_path / "start.json"), "data": {"kind": "nuscenes"}}
    assert licence(config_file, street, **begun) == "CC-BY-NC-SA-4.0"


def test_the_card_says_what_was_validated_on(config_file, street, nuscenes_root):
    data = DataConfig("nuscenes", str(nuscenes_root), version="v1.0-mini", val_split="mini_train")
    samples = open_split(data, train=False)
    assert split_of(data, samples, train=False) == "nuscenes v1.0-mini mini_train"
    rendered = DataConfig(train=str(street / "train"), val=str(street / "train"))
    split = split_of(rendered, open_split(rendered, train=False), train=False)
    assert split == "street train"  # whatever the key is called


def test_processes_that_read_are_handed_every_kind_of_data(street, nuscenes_root, ddad_scene):
    sources = [
        DataConfig(train=str(street / "train")),
        DataConfig("nuscenes", str(nuscenes_root), version="v1.0-mini", train_split="mini_train"),
        DataConfig("ddad", str(ddad_scene.parent.parent), train_split="train"),
    ]
    for data in sources:
        samples = open_split(data, train=True)
        copy = pickle.loads(pickle.dumps(samples))
        assert np.array_equal(copy[0].images, samples[0].images)


def test_a_full_shared_memory_is_said_before_the_processes_start(
    config_file, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(stream, "SHARED_MEMORY", Path("/proc"))  # a place with no room at all
    assert run(config_file(), tmp_path / "out", "data.workers=2", "--until", "1") == 2
    error = capsys.readouterr().err.strip().split("\n")[-1]
    assert error.startswith(
        "fsmde-distill: /proc has 0 MB free, and what data.workers 2 read ahead"
    )
    assert run(config_file(), tmp_path / "out", "--until", "1") == 0  # without any


def waiting_stream(config_file, action, timeout_s=300):
    """Batches of a stream whose items do something in the process that reads."""
    config = load_config(config_file(), ["data.workers=1", f"data.timeout_s={timeout_s}"])
    samples = SampleStream(Reader(action, os.getpid()), config)
    return training_batches(samples, config, first_step=0, rank=0, processes=1)


class Reader:
    """A dataset whose first items are read by this process, the others wait or die in theirs."""

    def __init__(self, action, reader):
        self.action, self.reader = action, reader

    def __len__(self):
        return 1

    def __getitem__(self, index):
        if os.getpid() != self.reader:
            self.action()
        views = np.zeros((1, 48, 80), np.float32)
        return RigBatch(
            images=np.zeros((1, 48, 80, 3), np.uint8), K=np.diag([50.0, 50.0, 1.0])[None],
            T_ego_cam=np.eye(4)[None], depth_gt=views, valid=views > 0, mask=views > 0,
            stamps_ns=(0,), names=("a",), tokens="t",
        )  # fmt: skip


def for_ever():
    time.sleep(1000)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def nothing():
    pass


@pytest.mark.parametrize(
    "action, timeout_s, sentence",
    [
        (for_ever, 1, "none of data.workers 1 processes delivered for 1 s (data.timeout_s)"),
        (die, 300, "one of data.workers 1 processes died"),
    ],
)
def test_processes_that_do_not_deliver_end_the_run(
    config_file, monkeypatch, action, timeout_s, sentence
):
    monkeypatch.setattr(stream, "LOOK_S", 1)
    batches = waiting_stream(config_file, action, timeout_s)
    with pytest.raises(LoaderError, match=re.escape(sentence)):
        next(batches)
    assert not multiprocessing.active_children()


def test_no_process_that_reads_is_a_fork_of_one_with_threads(config_file):
    with closing(waiting_stream(config_file, nothing)) as batches:
        assert next(batches)
        (child,) = multiprocessing.active_children()
        status = Path(f"/proc/{child.pid}/status").read_text()
        assert f"PPid:\t{os.getpid()}\n" not in status  # a server of its own forked it
    assert not multiprocessing.active_children()


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
