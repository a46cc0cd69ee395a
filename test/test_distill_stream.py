"""What a training run reads, in which order, and by which processes."""

import multiprocessing
import os
import pickle
import re
import shutil
import signal
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import run

from fsmde_core.data.batch import RigBatch
from fsmde_core.data.sample import DatasetError
from fsmde_core.distill import stream
from fsmde_core.distill.config import (
    DataConfig,
    load_config,
)
from fsmde_core.distill.stream import (
    LoaderError,
    SampleStream,
    by_camera_count,
    open_split,
    split_of,
    training_batches,
)
from fsmde_core.geometry import pixel_centres, pixel_rays, transform_points


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


def test_rendered_folders_are_learnt_from_together(config_file, street):
    folders = [str(street / "train"), str(street / "val")]
    config = load_config(config_file(data={"train": folders, "workers": 0}))
    samples = open_split(config.data, train=True)
    parts = [open_split(replace(config.data, train=f), train=True) for f in folders]
    tokens = [part[i].tokens for part in parts for i in range(len(part))]
    assert [samples[i].tokens for i in range(len(samples))] == tokens
    assert split_of(config.data, samples, train=True) == "street train val"


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


def test_of_the_ground_only_a_share_is_learnt_from(config_file, street):
    """What stands on it, and the sky, stay as they are."""
    items = []
    for share in (1.0, 0.25):
        given = config_file(augment={"ground_share": share}, losses={"sky": 1.0})
        config = load_config(given)
        items.append(SampleStream(open_split(config.data, train=True), config)[0])
    whole, less = items
    assert np.array_equal(whole.images, less.images) and np.array_equal(whole.sky, less.sky)
    kept = {True: [], False: []}  # by whether it is ground
    for i, depth in enumerate(whole.depth_gt):
        rays = pixel_rays(whole.K[i], pixel_centres(depth.shape[1], depth.shape[0]))
        points = transform_points(whole.T_ego_cam[i], depth[..., None] * rays)
        for ground in kept:
            of = whole.valid[i] & ((points[..., 2] < 0.3) == ground)
            kept[ground] += [less.valid[i][of]]
    assert np.concatenate(kept[False]).all()
    assert 0.15 < np.concatenate(kept[True]).mean() < 0.35
    assert not (less.valid & ~whole.valid).any()


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
