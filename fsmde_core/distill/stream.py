"""The endless stream of training samples: item k is always the same, on however many processes.

The order is a permutation per pass, and each item's augmentation draws from its own seed. A run
that goes on at step s sees exactly what it would have seen, and no state has to be stored.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

from fsmde_core.data import ddad, nuscenes
from fsmde_core.data.augment import at_size, augmented, random_size, with_less_ground
from fsmde_core.data.batch import BodyMasks, RigBatch, RigDataset, collate
from fsmde_core.data.drive import load_drive
from fsmde_core.data.drive_samples import DriveSamples
from fsmde_core.data.nuscenes_splits import usual_split
from fsmde_core.data.sample import DatasetError
from fsmde_core.distill.config import ConfigError, DataConfig, DistillConfig
from fsmde_core.distill.faulty import PassedOver
from fsmde_core.interrupt import SIGNALS, signals_wait

PREFETCH = 4  # batches that each worker reads ahead
SHARED_MEMORY = Path("/dev/shm")  # through it workers hand over their batches
LOOK_S = 5  # between two looks at whether the workers still live


def open_split(config: DataConfig, *, train: bool) -> Sequence[RigBatch]:
    """The samples of the training or validation split; DatasetError if there are none."""
    root = config.train if train else config.val
    if config.kind == "drive":
        moments = DriveSamples(load_drive(root), config.train_split)
        return PassedOver(moments) if config.skip_faulty else moments
    if config.kind == "street":
        from fsmde_core.street.cache import open_cache  # numba, which real data does not need

        lidar = train and config.truth == "lidar"
        folders = [root] if isinstance(root, str) else root
        parts = [Subset(*open_cache(folder, lidar=lidar)) for folder in folders]
        return parts[0] if len(parts) == 1 else ConcatDataset(parts)
    root = root or config.train
    version = config.version or nuscenes.version_in(root) if config.kind == "nuscenes" else ""
    split = config.train_split if train else config.val_split
    split = split or usual_split(version, train=train)
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
    dataset = RigDataset(samples, read_points, size=config.size, masks=masks)
    return PassedOver(dataset) if config.skip_faulty else dataset


def split_of(config: DataConfig, samples: Sequence[RigBatch], *, train: bool) -> str:
    """Which split the samples of open_split are, for a card; a rendered folder knows its own."""
    if config.kind == "street":
        parts = samples.datasets if isinstance(samples, ConcatDataset) else [samples]
        splits = dict.fromkeys(part.dataset.street.split for part in parts)
        return f"street {' '.join(splits)}"
    split = config.train_split if train else config.val_split
    return " ".join(filter(None, [config.kind, _version(config), split]))


def _version(config: DataConfig) -> str:
    return config.version if config.kind == "nuscenes" else ""


class LoaderError(RuntimeError):
    """Workers that do not deliver; the message names data.workers."""


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
        if not len(self._also):
            item, data = self._main[k], config.data
        elif place == config.also_every - 1:
            item, data = self._also[turn], config.also
        else:  # counted without those of also: else a pass would skip what falls on their places
            item, data = self._main[k - turn], config.data
        item = _with_truth(item, data)
        rng = np.random.default_rng([config.seed, 1, k])
        size = self.size(k // config.rigs_per_step)
        item = augmented(item, config.augment, size=size, rng=rng, dense=data.dense)
        item = _with_sky(item, dense=data.dense) if config.losses.needs_sky else item
        return with_less_ground(item, config.augment.ground_share, rng)  # which is no sky

    def bytes_of(self, places: Sequence[int]) -> int:
        """Memory of the arrays of these items if they were of the largest size there is."""
        most = max(1.0, self._config.augment.pixels[1]) * math.prod(self._size)
        items = [self[k] for k in places]
        arrays = sum(array.nbytes for item in items for array in item.arrays.values())
        return round(arrays * most / math.prod(self.size(places[0] // self._config.rigs_per_step)))

    def size(self, step: int) -> tuple[int, int]:
        """Width and height of the network's input at a step."""
        rng = np.random.default_rng([self._config.seed, 2, step])
        return random_size(self._config.augment, self._size, rng)


def _with_sky(item: RigBatch, *, dense: bool) -> RigBatch:
    """Where dense depth has none and it is not the own vehicle, there is the sky."""
    return replace(item, sky=~(item.valid | item.mask) & dense)


def _with_truth(item: RigBatch, data: DataConfig) -> RigBatch:
    """The sample, without any of its depth if data.truth says so; open_split does the rest."""
    if data.kind != "street" or data.truth != "none":
        return item
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
        self.split = split_of(config.data, samples, train=False)
        self._with_sky = self._dense and config.losses.needs_sky
        self._size = (config.student.input_width, config.student.input_height)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, i: int) -> RigBatch:
        item = self._samples[int(self._indices[i])]
        item = at_size(item, size=self._size, dense=self._dense)
        return _with_sky(item, dense=True) if self._with_sky else item


def training_batches(
    stream: SampleStream,
    config: DistillConfig,
    *,
    first_step: int,
    rank: int,
    processes: int,
    ended: Callable[[], bool] = lambda: False,
) -> Iterator[list[RigBatch]]:
    """Steps first_step, first_step + 1, ... as lists of batches, one batch for each camera count.

    Of the rigs of a step this process gets every processes-th. While a batch is waited for, ended()
    true ends the iteration; close() ends the workers. ConfigError where the rigs do not split over
    the processes, or /dev/shm cannot hold what the workers read ahead; LoaderError where a worker
    dies or none delivers for data.timeout_s.
    """
    each, workers = config.rigs_per_step, config.data.workers
    if each % processes:
        raise ConfigError(f"rigs_per_step {each} does not split over {processes} processes")
    if first_step == config.steps:
        return
    first = range(first_step * each + rank, (first_step + 1) * each, processes)
    own = ([each * i + k for k in first] for i in range(config.steps - first_step))
    if not workers:
        yield from (by_camera_count([stream[k] for k in places]) for places in own)
        return
    _check_shared_memory(stream.bytes_of(first), workers, processes)
    loader = DataLoader(
        stream,
        batch_sampler=own,
        collate_fn=by_camera_count,
        num_workers=workers,
        prefetch_factor=PREFETCH,
        worker_init_fn=_begin_worker,
        multiprocessing_context=_context(),
        timeout=LOOK_S,
    )
    others = set(multiprocessing.active_children())
    with signals_wait():
        batches = iter(loader)
    started = [child for child in multiprocessing.active_children() if child not in others]
    try:
        yield from _awaited(batches, config.data.timeout_s, workers, ended)
    finally:
        del batches  # it asks its workers to end
        for worker in started:
            if worker.is_alive():
                worker.kill()


def _awaited(
    batches: Iterator, timeout_s: float, workers: int, ended: Callable[[], bool]
) -> Iterator[list[RigBatch]]:
    """The batches as they come, LoaderError where they do not."""
    looks = 0
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            reason = str(error)
            if not reason.startswith("DataLoader"):
                raise
            if ended():
                return
            if "timed out" not in reason:
                raise LoaderError(
                    f"one of data.workers {workers} processes died (out of memory?): {reason}"
                ) from error
            looks += 1
            if looks * LOOK_S >= timeout_s:
                raise LoaderError(
                    f"none of data.workers {workers} processes delivered for {timeout_s:g} s "
                    f"(data.timeout_s): is {SHARED_MEMORY} full, or the disk gone?"
                ) from error
            continue
        looks = 0
        yield batch


def _check_shared_memory(batch_bytes: int, workers: int, processes: int) -> None:
    """ConfigError if the batches read ahead do not fit: a worker would hang on it for ever."""
    if not SHARED_MEMORY.is_dir():
        return
    here = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    needed = batch_bytes * (PREFETCH * workers + 1) * here
    free = shutil.disk_usage(SHARED_MEMORY).free
    if needed > free:
        raise ConfigError(
            f"{SHARED_MEMORY} has {free / 1e6:.0f} MB free, and what data.workers {workers} read "
            f"ahead takes {needed / 1e6:.0f} MB: lower data.workers (0: none), or enlarge it "
            "(docker run --shm-size)"
        )


def _context() -> multiprocessing.context.BaseContext:
    """Workers come from a server that has no threads: to fork a process that has may deadlock."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", __name__])
    return context


def by_camera_count(items: Sequence[RigBatch]) -> list[RigBatch]:
    """Samples stacked with those of as many cameras, as tensors of float32 where they were float64;
    of a drive apart from those with depth.

    Camera names are lost: within a batch of random rigs they differ.
    """
    kinds = [(len(item.names), *item.arrays) for item in items]
    groups = [[item for item, k in zip(items, kinds) if k == kind] for kind in dict.fromkeys(kinds)]
    return [_tensors(collate([_unnamed(item) for item in group])) for group in groups]


def _unnamed(item: RigBatch) -> RigBatch:
    return replace(item, names=tuple(str(i) for i in range(len(item.names))))


def _tensors(batch: RigBatch) -> RigBatch:
    batch = batch.mapped(torch.from_numpy)
    return batch.mapped(lambda t: t.float() if t.dtype == torch.float64 else t)


def _begin_worker(_: int) -> None:
    """The cores are the training's, and so is the answer to signals."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
