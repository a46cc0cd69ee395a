"""Street samples rendered ahead and kept on disk.

python -m fsmde_core.street.cache --split train --streets 500 --rigs nuscenes ddad random --out DIR
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import zipfile
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from fsmde_core.data.batch import RigBatch
from fsmde_core.data.sample import DatasetError
from fsmde_core.extras import needed_by
from fsmde_core.files import write_arrays, write_json

with needed_by("street cache", __file__):
    from fsmde_core.street.camera_view import RenderConfig
    from fsmde_core.street.dataset import SPLIT_SEEDS, StreetDataset, StreetDatasetConfig
    from fsmde_core.street.pool import for_all
    from fsmde_core.street.rigs import RIG_NAMES

JPEG_QUALITY = 95  # a second JPEG on top of the sensor's own: hardly any further loss
CONFIG_FILE = "samples.json"


class CachedStreet:
    """A StreetDataset read from a folder; what is not there yet is rendered and kept.

    Depth is stored as float16: relative error below 5e-4, range to 65 km. DatasetError for a folder
    that holds samples of another config, or a file that does not read.
    """

    def __init__(self, street: StreetDataset, folder: Path | str):
        self.street, self.folder = street, Path(folder)
        self._claim()

    def __len__(self) -> int:
        return len(self.street)

    def __getitem__(self, index: int) -> RigBatch:
        file = self.file(index)
        if not file.exists():
            write_arrays(file, **_packed(self.street[index]))
        return self._read(file, index)

    def file(self, index: int) -> Path:
        """Where a sample is kept."""
        return self.folder / f"{self.street.tokens[index]}.npz"

    def cached(self) -> list[int]:
        """Indices of the samples that lie in the folder already."""
        return [i for i in range(len(self)) if self.file(i).exists()]

    def _claim(self) -> None:
        """Note the config in the folder, or compare with the one noted there."""
        config, note = self.street.config, self.folder / CONFIG_FILE
        if not note.exists():
            write_json(note, asdict(config))
            return
        # where it was rendered changes nothing
        render = replace(_noted(note).render, device=config.render.device)
        if replace(_noted(note), render=render) != config:
            raise DatasetError(f"{note} names another config than {config}")

    def _read(self, file: Path, index: int) -> RigBatch:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                jpegs = np.split(arrays["jpeg"], np.cumsum(arrays["jpeg_sizes"])[:-1])
                depth_gt = arrays["depth"].astype(np.float32)
                mask = np.unpackbits(arrays["mask"], count=depth_gt.size).astype(bool)
                stamps_ns = tuple(arrays["stamps_ns"].tolist())
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DatasetError(f"sample {file} does not read: {error}") from error
        rig = self.street.rig(index)
        return RigBatch(
            images=np.stack([cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB) for jpeg in jpegs]),
            K=rig.K,
            T_ego_cam=rig.T_ego_cam,
            depth_gt=depth_gt,
            valid=depth_gt > 0,
            mask=mask.reshape(depth_gt.shape),
            stamps_ns=stamps_ns,
            names=rig.names,
            tokens=self.street.tokens[index],
        )


def open_cache(folder: Path | str) -> tuple[CachedStreet, list[int]]:
    """The samples that lie in a folder: their dataset, and the indices of those that are there.

    DatasetError if there is none, or they are of several splits.
    """
    folder = Path(folder)
    seeds = {int(file.name.split("-")[1]) for file in folder.glob("street-*-*.npz")}
    note = folder / CONFIG_FILE
    if not seeds or not note.is_file():
        raise DatasetError(f"folder {folder} holds no rendered street samples")
    splits = [s for s, of_split in SPLIT_SEEDS.items() if all(seed in of_split for seed in seeds)]
    if not splits:
        raise DatasetError(f"folder {folder} holds samples of several splits")
    streets = max(seeds) - SPLIT_SEEDS[splits[0]].start + 1
    samples = CachedStreet(StreetDataset(splits[0], streets, _noted(note)), folder)
    return samples, samples.cached()


def _noted(note: Path) -> StreetDatasetConfig:
    """The config that a folder's note names; what it does not name has its default."""
    try:
        config = json.loads(note.read_text())
        lists = {key: tuple(config[key]) for key in ("rigs", "size")}
        config = {**config, **lists, "render": RenderConfig(**config["render"])}
        return StreetDatasetConfig(**config)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{note} is no config of street samples: {error}") from error


def _packed(sample: RigBatch) -> dict[str, np.ndarray]:
    """Arrays of a file: images as JPEG, depth as float16, the mask as bits."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    jpegs = [cv2.imencode(".jpg", image[..., ::-1], quality)[1] for image in sample.images]
    return {
        "jpeg": np.concatenate(jpegs),
        "jpeg_sizes": np.array([len(jpeg) for jpeg in jpegs]),
        "depth": np.minimum(sample.depth_gt, 6e4).astype(np.float16),
        "mask": np.packbits(sample.mask),
        "stamps_ns": np.array(sample.stamps_ns, np.int64),
    }


def main(argv: list[str] | None = None) -> int:
    """Render samples into a folder; exit status 2 after one sentence on bad arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--split", choices=sorted(SPLIT_SEEDS), required=True)
    parser.add_argument("--streets", type=int, required=True, help="number of streets")
    parser.add_argument("--poses", type=int, default=StreetDatasetConfig.poses)
    parser.add_argument("--rigs", nargs="+", choices=RIG_NAMES, default=["nuscenes"])
    parser.add_argument("--width", type=int, default=StreetDatasetConfig.size[0])
    parser.add_argument("--height", type=int, default=StreetDatasetConfig.size[1])
    parser.add_argument("--square", action="store_true", help="square pixels, not stretched ones")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--out", type=Path, required=True, help="folder of the samples")
    arguments = parser.parse_args(argv)
    config = StreetDatasetConfig(
        rigs=tuple(arguments.rigs),
        size=(arguments.width, arguments.height),
        square=arguments.square,
        poses=arguments.poses,
    )
    try:
        street = StreetDataset(arguments.split, arguments.streets, config)
        job = partial(_fill, CachedStreet(street, arguments.out))
        for_all(job, range(arguments.streets), workers=arguments.workers, unit="street")
    except (ValueError, DatasetError, OSError) as error:
        print(f"street cache: {error}", file=sys.stderr)
        return 2
    return 0


def _fill(samples: CachedStreet, street: int) -> None:
    """Render the samples of one street that are not there yet."""
    poses = samples.street.config.poses
    for index in range(street * poses, (street + 1) * poses):
        if not samples.file(index).exists():
            samples[index]


if __name__ == "__main__":
    sys.exit(main())
