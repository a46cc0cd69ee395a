"""Street samples rendered ahead and kept on disk.

python -m fsmde_core.street.cache --split train --streets 500 --rigs nuscenes ddad random --out DIR

The split deployed is rendered as a camera sees, four samples a pixel and reflections; models are
chosen on it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from uuid import uuid4

from fsmde_core.arguments import positive
from fsmde_core.data.batch import RigBatch
from fsmde_core.data.sample import DatasetError, arrays_in
from fsmde_core.extras import needed_by
from fsmde_core.files import write_arrays, write_json
from fsmde_core.interrupt import unless_interrupted

with needed_by("street cache", __file__):
    from fsmde_core.street import sample_file, shards
    from fsmde_core.street.camera_view import RenderConfig
    from fsmde_core.street.dataset import SPLIT_SEEDS, StreetDataset, StreetDatasetConfig
    from fsmde_core.street.pool import for_all
    from fsmde_core.street.rigs import RIG_NAMES
    from fsmde_core.street.styles import STYLES

CONFIG_FILE = "samples.json"
BOUNCE = "bounce"  # a value of earlier configs, always false
NO_RETURNS = (
    "sample {} holds no LiDAR returns, as it was rendered before they were kept: give data.truth "
    "dense, or run the command again that rendered the folder, which adds them"
)


class CachedStreet:
    """A StreetDataset read from a folder; what is not there yet is rendered and kept.

    Samples lie there as files, or packed in shards.
    Depth is within 0.2 % of what was rendered, returns are within half a centimetre, see
    sample_file, also for image_quality. lidar: depth_gt is what the simulated LiDAR returned, not
    the depth of every pixel. DatasetError for a folder that holds samples of another config, a file
    that does not read, or, where they are asked for, one without returns: it was rendered before
    they were kept.
    """

    def __init__(
        self,
        street: StreetDataset,
        folder: Path | str,
        *,
        lidar: bool = False,
        image_quality: int | None = None,
    ):
        self.street, self.folder, self._lidar = street, Path(folder), lidar
        self._image_quality = image_quality
        self._packed = shards.places(self.folder)
        self._claim()

    def __len__(self) -> int:
        return len(self.street)

    def __getitem__(self, index: int) -> RigBatch:
        if not self._there(index):
            self.render(index)
        return self._read(self.file(index), index)

    def render(self, index: int) -> None:
        """Render a sample and keep it, whatever is there already."""
        recorded = self.street.recorded(index)
        write_arrays(self.file(index), **sample_file.packed(recorded, self._image_quality))

    def complete(self, index: int) -> bool:
        """Whether a sample is there with the LiDAR's returns."""
        if not self._there(index):
            return False
        with self._opened(self.file(index)) as arrays:
            return sample_file.has_returns(arrays)

    def file(self, index: int) -> Path:
        """Where a sample is kept as a file."""
        return self.folder / f"{self.street.tokens[index]}.npz"

    def cached(self) -> list[int]:
        """Indices of the samples that lie in the folder already."""
        there = {*self._packed, *(file.name for file in self.folder.glob(shards.SAMPLES))}
        return [i for i in range(len(self)) if self.file(i).name in there]

    def _there(self, index: int) -> bool:
        return self.file(index).name in self._packed or self.file(index).exists()

    def _claim(self) -> None:
        """Note the config in the folder, or compare with the one noted there."""
        config, note = self.street.config, self.folder / CONFIG_FILE
        if not note.exists():
            # Other machines may begin at this moment: the last note stands, and all look at it.
            own = note.with_suffix(f".{uuid4().hex}")
            write_json(own, asdict(config))
            own.replace(note)
        # where it was rendered changes nothing
        render = replace(_noted(note).render, device=config.render.device)
        if replace(_noted(note), render=render) != config:
            raise DatasetError(f"{note} names another config than {config}")

    @contextmanager
    def _opened(self, file: Path) -> Iterator:
        """The arrays of a file; whatever goes wrong with them names it."""
        place = None if file.exists() else self._packed.get(file.name)
        source = place.read() if place else file
        with arrays_in(source, what=f"sample {file}") as arrays:
            yield arrays

    def _read(self, file: Path, index: int) -> RigBatch:
        with self._opened(file) as arrays:
            images = sample_file.images(arrays)
            mask = sample_file.mask(arrays, images.shape[:3])
            stamps_ns = tuple(arrays["stamps_ns"].tolist())
            if not self._lidar:
                depth_gt = sample_file.depth(arrays)
            elif sample_file.has_returns(arrays):
                depth_gt = sample_file.returns(arrays, images.shape[:3])
            else:
                raise DatasetError(NO_RETURNS.format(file))
        rig = self.street.rig(index)
        return RigBatch(
            images=images,
            K=rig.K,
            T_ego_cam=rig.T_ego_cam,
            depth_gt=depth_gt,
            valid=depth_gt > 0,
            mask=mask,
            stamps_ns=stamps_ns,
            names=rig.names,
            tokens=self.street.tokens[index],
        )


def open_cache(folder: Path | str, *, lidar: bool = False) -> tuple[CachedStreet, list[int]]:
    """The samples that lie in a folder: their dataset, and the indices of those that are there.

    lidar as for CachedStreet. DatasetError if there is none, they are of several splits, or the
    first has no returns where these are asked for.
    """
    folder = Path(folder)
    names = {*shards.places(folder), *(file.name for file in folder.glob(shards.SAMPLES))}
    seeds = {int(name.split("-")[1]) for name in names}
    note = folder / CONFIG_FILE
    if not seeds or not note.is_file():
        raise DatasetError(f"folder {folder} holds no rendered street samples")
    splits = [s for s, of_split in SPLIT_SEEDS.items() if all(seed in of_split for seed in seeds)]
    if not splits:
        raise DatasetError(f"folder {folder} holds samples of several splits")
    streets = max(seeds) - SPLIT_SEEDS[splits[0]].start + 1
    samples = CachedStreet(StreetDataset(splits[0], streets, _noted(note)), folder, lidar=lidar)
    there = samples.cached()
    if lidar and not samples.complete(there[0]):
        raise DatasetError(NO_RETURNS.format(samples.file(there[0])))
    return samples, there


def _noted(note: Path) -> StreetDatasetConfig:
    """The config that a folder's note names; what it does not name has its default."""
    try:
        config = json.loads(note.read_text())
        lists = {key: tuple(config[key]) for key in ("rigs", "size")}
        render = {key: value for key, value in config["render"].items() if key != BOUNCE}
        config = {**config, **lists, "render": RenderConfig(**render)}
        return StreetDatasetConfig(**config)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{note} is no config of street samples: {error}") from error


@unless_interrupted("street cache: stopped; samples that are there stay, the same command goes on")
def main(argv: list[str] | None = None) -> int:
    """Render samples into a folder; exit status 2 after one sentence on bad arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--split", choices=sorted(SPLIT_SEEDS), required=True)
    parser.add_argument("--first", type=int, default=0, help="first street of the split")
    parser.add_argument("--streets", type=int, required=True, help="number of streets")
    parser.add_argument("--poses", type=positive, default=StreetDatasetConfig.poses)
    parser.add_argument("--rigs", nargs="+", choices=RIG_NAMES, default=["nuscenes"])
    parser.add_argument("--width", type=positive, default=StreetDatasetConfig.size[0])
    parser.add_argument("--height", type=positive, default=StreetDatasetConfig.size[1])
    parser.add_argument("--style", choices=STYLES, default=StreetDatasetConfig.style)
    parser.add_argument("--samples", type=positive, help="colour samples a pixel: 1; deployed: 4")
    parser.add_argument(
        "--reflections", action="store_true", help="trace what glass mirrors; deployed: always"
    )
    parser.add_argument("--square", action="store_true", help="square pixels, not stretched ones")
    parser.add_argument("--keep-aspect", action="store_true", help="images shaped as the rig's own")
    parser.add_argument(
        "--image-quality",
        type=int,
        choices=range(1, 101),
        metavar="1-100",
        help="keep images as WebP of this quality, for smaller files; default: the camera's JPEG",
    )
    parser.add_argument("--workers", type=positive, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--out", type=Path, required=True, help="folder of the samples")
    arguments = parser.parse_args(argv)
    try:
        street = StreetDataset(
            arguments.split, arguments.streets, _config(arguments), first=arguments.first
        )
        samples = CachedStreet(street, arguments.out, image_quality=arguments.image_quality)
        job = partial(_fill, samples)
        for_all(job, range(arguments.streets), workers=arguments.workers, unit="street")
    except (ValueError, DatasetError, OSError) as error:
        print(f"street cache: {error}", file=sys.stderr)
        return 2
    return 0


def _config(arguments: argparse.Namespace) -> StreetDatasetConfig:
    """What the command asks for; ValueError where it contradicts itself."""
    deployed = arguments.split == "deployed"
    return StreetDatasetConfig(
        rigs=tuple(arguments.rigs),
        size=(arguments.width, arguments.height),
        square=arguments.square,
        keep_aspect=arguments.keep_aspect,
        poses=arguments.poses,
        style=arguments.style,
        render=RenderConfig(
            samples=arguments.samples or (4 if deployed else 1),
            reflections=arguments.reflections or deployed,
        ),
    )


def _fill(samples: CachedStreet, street: int) -> None:
    """Render the samples of one street that are not there yet, or without the LiDAR's returns."""
    poses = samples.street.config.poses
    for index in range(street * poses, (street + 1) * poses):
        if not samples.complete(index):
            samples.render(index)


if __name__ == "__main__":
    sys.exit(main())
