"""The endless stream of training samples: item k is always the same, on however many processes.

The order is a permutation per pass, and each item's augmentation draws from its own seed. A run
that goes on at step s sees exactly what it would have seen, and no state has to be stored.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Subset

from fsmde_core.data import ddad, nuscenes
from fsmde_core.data.augment import at_size, augmented, random_size
from fsmde_core.data.batch import BodyMasks, RigBatch, RigDataset, collate
from fsmde_core.data.lidar import as_lidar_sees
from fsmde_core.data.sample import DatasetError
from fsmde_core.distill.config import DataConfig, DistillConfig


def open_split(config: DataConfig, *, train: bool) -> Sequence[RigBatch]:
    """The samples of the training or validation split; DatasetError if there are none."""
    root = config.train if train else config.val
    if config.kind == "street":
        from fsmde_core.street.cache import open_cache  # numba, which real data does not need

        samples, there = open_cache(root)
        return Subset(samples, there)
    root = root or config.train
    version = config.version or nuscenes.version_in(root) if config.kind == "nuscenes" else ""
    split = config.train_split if train else config.val_split
    split = split or ("mini_" * (version == "v1.0-mini") + ("train" if train else "val"))
    if config.kind == "nuscenes":
        read_points = nuscenes.read_points
        samples = nuscenes.read_keyframes(
            root, version, split=split, past_sweeps=config.past_sweeps
        )
    else:
        read_points, samples = ddad.read_points, ddad.read_dataset(root, split=split)
    if train and config.truth == "none":
        read_points = None
    if not len(samples):
        raise DatasetError(f"{config.kind} root {root} has no sample in split {split}")
    masks = BodyMasks(config.masks) if config.masks else None
    return RigDataset(samples, read_points, size=config.size, masks=masks)


class SampleStream(Dataset):
    """Items 0, 1, 2, ... without end: samples in random order, augmented.

    All of one step have one size, so that they stack. Of every config.also_every items the last is
    one of `also`, if there are any.
    """

    def __init__(
        self,
        samples: Sequence[RigBatch],
        config: DistillConfig,
        *,
        also: Sequence[RigBatch] = (),
    ):
        self._main, self._also = _Shuffled(samples, config.seed), _Shuffled(also, config.seed)
        self._config = config
        self._size = (config.student.input_width, config.student.input_height)

    def __len__(self) -> int:
        return self._config.steps * self._config.rigs_per_step

    def __getitem__(self, k: int) -> RigBatch:
        config, (turn, place) = self._config, divmod(k, self._config.also_every)
        if len(self._also) and place == config.also_every - 1:
            item, data = self._also[turn], config.also
        else:
            item, data = self._main[k], config.data
        item = _with_truth(item, data)
        rng = np.random.default_rng([config.seed, 1, k])
        size = self.size(k // config.rigs_per_step)
        item = augmented(item, config.augment, size=size, rng=rng, dense=data.dense)
        return _with_sky(item, dense=data.dense) if config.losses.needs_sky else item

    def size(self, step: int) -> tuple[int, int]:
        """Width and height of the network's input at a step."""
        rng = np.random.default_rng([self._config.seed, 2, step])
        return random_size(self._config.augment, self._size, rng)


def _with_sky(item: RigBatch, *, dense: bool) -> RigBatch:
    """Where dense depth has none and it is not the own vehicle, there is the sky."""
    return replace(item, sky=~(item.valid | item.mask) & dense)


def _with_truth(item: RigBatch, data: DataConfig) -> RigBatch:
    """The sample with as much of its depth as data.truth leaves; real data come with it."""
    if data.kind != "street" or data.truth == "dense":
        return item
    if data.truth == "lidar":
        return as_lidar_sees(item)
    nothing = np.zeros_like(item.depth_gt)
    return replace(item, depth_gt=nothing, valid=nothing > 0)


class _Shuffled:
    """Samples without end: one permutation after the other."""

    def __init__(self, samples: Sequence[RigBatch], seed: int):
        self._samples, self._seed = samples, seed
        self._order = (-1, np.empty(0, np.int64))  # pass over the samples, its permutation

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, k: int) -> RigBatch:
        turn, place = divmod(k, len(self._samples))
        if self._order[0] != turn:
            order = np.random.default_rng([self._seed, 0, turn]).permutation(len(self._samples))
            self._order = (turn, order)
        return self._samples[int(self._order[1][place])]


class ValidationSamples(Dataset):
    """At most `val_samples` of the validation split, evenly spread, at the student's input size."""

    def __init__(self, samples: Sequence[RigBatch], config: DistillConfig):
        count = min(config.val_samples, len(samples))
        self._indices = np.linspace(0, len(samples) - 1, count).round().astype(int)
        self._samples, self._dense = samples, config.data.kind == "street"
        self._with_sky = self._dense and config.losses.needs_sky
        self._size = (config.student.input_width, config.student.input_height)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, i: int) -> RigBatch:
        item = self._samples[int(self._indices[i])]
        item = at_size(item, size=self._size, dense=self._dense)
        return _with_sky(item, dense=True) if self._with_sky else item


def training_batches(
    stream: SampleStream, config: DistillConfig, *, first_step: int, rank: int, processes: int
) -> DataLoader:
    """Steps first_step, first_step + 1, ... as lists of batches, one batch for each camera count.

    Of the rigs of a step this process gets every processes-th.
    """
    each = config.rigs_per_step
    if each % processes:
        raise ValueError(f"rigs_per_step {each} does not split over {processes} processes")
    own = [
        list(range(step * each + rank, (step + 1) * each, processes))
        for step in range(first_step, config.steps)
    ]
    return DataLoader(
        stream,
        batch_sampler=own,
        collate_fn=by_camera_count,
        num_workers=config.data.workers,
        prefetch_factor=4 if config.data.workers else None,
        worker_init_fn=_begin_worker,
        multiprocessing_context="fork" if config.data.workers else None,  # readers hold closures
    )


def by_camera_count(items: Sequence[RigBatch]) -> list[RigBatch]:
    """Samples stacked with those of as many cameras, as tensors of float32 where they were float64.

    Camera names are lost: within a batch of random rigs they differ.
    """
    counts = dict.fromkeys(len(item.names) for item in items)
    groups = [[item for item in items if len(item.names) == count] for count in counts]
    return [_tensors(collate([_unnamed(item) for item in group])) for group in groups]


def _unnamed(item: RigBatch) -> RigBatch:
    return replace(item, names=tuple(str(i) for i in range(len(item.names))))


def _tensors(batch: RigBatch) -> RigBatch:
    batch = batch.mapped(torch.from_numpy)
    return batch.mapped(lambda t: t.float() if t.dtype == torch.float64 else t)


def _begin_worker(_: int) -> None:
    """The cores are the training's, and so is the answer to Ctrl-C."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
