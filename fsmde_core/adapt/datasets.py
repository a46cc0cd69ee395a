"""Datasets as sources: nuScenes and DDAD roots, whose LiDAR is never opened, and drive folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fsmde_core.adapt.source import AdaptError, Source
from fsmde_core.data import ddad, nuscenes
from fsmde_core.data.drive import load_drive
from fsmde_core.data.sample import DatasetError, Sample, Samples, read_image
from fsmde_core.distill.origin import DATA_LICENCES

MOST_SCENES = 20  # of a dataset: an hour's reading of tables teaches no more


def is_dataset(path: Path) -> bool:
    """Whether a path is a root of nuScenes' tables, or a DDAD folder or scene."""
    return path.suffix == ".json" or _is_nuscenes(path) or any(path.glob("*.json"))


def open_dataset(path: Path, *, scene: str | None = None) -> Source:
    """A nuScenes root (all images, 12 Hz) or a DDAD folder or scene, as a source.

    scene: the only one wanted. The rig is the first scene's; scenes with another are left out, and
    that is noted. AdaptError if there is no sample; DatasetError names what cannot be read.
    """
    samples, licence = _samples(path, scene)
    if not len(samples):
        raise AdaptError(f"{path} has no samples")
    kept, others = _of_one_rig(samples)
    notes = [f"{len(others)} scenes have another rig and are left out"] if others else []

    def images(sets: Sequence[int]) -> Iterator[list[np.ndarray]]:
        for i in sets:
            yield [read_image(file) for file in kept[i].image_files]

    return Source(
        name=path.name or str(path),
        rig=kept[0].rig,
        stamps_ns=[sample.stamps_ns for sample in kept],
        T_world_ego=np.stack([sample.T_world_ego for sample in kept]),
        images=images,
        motion="the dataset's poses",
        rates_hz=_rates_hz([sample.stamps_ns for sample in kept]),
        notes=tuple(notes),
        licence=licence,
    )


def open_drive(path: Path) -> Source:
    """A drive folder that was written before; DatasetError names what is wrong with it."""
    drive = load_drive(path)
    cameras = range(len(drive.rig.cameras))
    stamps_ns = [moment.stamps_ns for moment in drive.moments]
    return Source(
        name=drive.source or path.name,
        rig=drive.rig,
        stamps_ns=stamps_ns,
        T_world_ego=np.stack([moment.T_world_ego for moment in drive.moments]),
        images=lambda sets: ([drive.image(m, i) for i in cameras] for m in sets),
        motion="its own poses",
        rates_hz=_rates_hz(stamps_ns),
        licence=drive.licence,
    )


def _is_nuscenes(path: Path) -> bool:
    return any((path / version).is_dir() for version in ("v1.0-mini", "v1.0-trainval"))


def _samples(path: Path, scene: str | None) -> tuple[Samples, str]:
    if path.is_dir() and _is_nuscenes(path):
        found = nuscenes.read_sweeps(path, nuscenes.version_in(path), scene=scene)
        return found, DATA_LICENCES["nuscenes"]
    found = _ddad_samples(path)
    return (found if scene is None else found.of_scene(scene)), DATA_LICENCES["ddad"]


def _ddad_samples(path: Path) -> Samples:
    problems = []
    for split in ddad.SPLITS:
        try:
            return ddad.read_dataset(path, split=split)
        except DatasetError as error:
            problems.append(str(error))
    raise DatasetError(problems[0])


def _of_one_rig(samples: Samples) -> tuple[list[Sample], set[str]]:
    """The samples of the first scene's rig, of at most MOST_SCENES scenes; the other scenes."""
    kept, others, used = [], set(), set()
    for i in tqdm(range(len(samples)), desc="poses", unit="sample", disable=None):
        name = samples.label(i).split(" ")[0]
        if name in others or (name not in used and len(used) == MOST_SCENES):
            continue
        sample = samples[i]
        rig = kept[0].rig if kept else sample.rig
        same = sample.rig.names == rig.names and np.allclose(sample.rig.K, rig.K)
        if same and np.allclose(sample.rig.T_ego_cam, rig.T_ego_cam):
            kept.append(sample)
            used.add(name)
        else:
            others.add(name)
    return kept, others


def _rates_hz(stamps_ns: Sequence[tuple[int, ...]]) -> tuple[float, ...]:
    """Images a second of each camera; 0 where there is only one."""
    periods = ([b - a for a, b in zip(of, of[1:]) if b > a] for of in zip(*stamps_ns))
    return tuple(1e9 / float(np.median(of)) if of else 0.0 for of in periods)
