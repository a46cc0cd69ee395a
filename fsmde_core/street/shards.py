"""Rendered samples packed into tar files, WebDataset's shards: few files instead of thousands.

python -m fsmde_core.street.shards FOLDER --samples 1000
"""

from __future__ import annotations

import argparse
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from fsmde_core.data.sample import DatasetError
from fsmde_core.files import reason, whole_file
from fsmde_core.interrupt import unless_interrupted

SAMPLES, SHARDS = "street-*.npz", "street-*.tar"


class Place(NamedTuple):
    """Where a sample's bytes lie."""

    shard: Path
    offset: int
    size: int

    def read(self) -> BytesIO:
        """The sample's file."""
        with self.shard.open("rb") as file:
            file.seek(self.offset)
            return BytesIO(file.read(self.size))


def places(folder: Path) -> dict[str, Place]:
    """The samples in a folder's shards, by their files' names; DatasetError names a bad shard."""
    found = {}
    for shard in sorted(folder.glob(SHARDS)):
        try:
            with tarfile.open(shard, "r:") as members:
                found |= {m.name: Place(shard, m.offset_data, m.size) for m in members}
        except (tarfile.TarError, OSError) as error:
            raise DatasetError(f"shard {shard} does not read: {error}") from error
    return found


def pack(folder: Path, samples: int) -> int:
    """Move the samples that lie in a folder as files into shards of so many; returns their number.

    A file goes when its shard is whole. One that a shard has already goes at once.
    """
    there = places(folder)
    files = sorted(folder.glob(SAMPLES))
    for file in files:
        if file.name in there:
            file.unlink()
    files = [file for file in files if file.name not in there]
    for k in tqdm(range(0, len(files), samples), unit="shard"):
        group = files[k : k + samples]
        name = f"{group[0].stem}_{group[-1].stem.removeprefix('street-')}.tar"
        with whole_file(folder / name) as beside, tarfile.open(beside, "w") as shard:
            for file in group:
                shard.add(file, arcname=file.name)
        for file in group:
            file.unlink()
    return len(files)


@unless_interrupted("street shards: stopped; nothing is lost, the same command goes on")
def main(argv: list[str] | None = None) -> int:
    """Pack a folder; exit status 2 after one sentence on bad arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of rendered samples; no machine renders there")
    parser.add_argument("--samples", type=int, default=1000, help="samples of a shard")
    arguments = parser.parse_args(argv)
    if arguments.samples < 1 or not arguments.folder.is_dir():
        print(f"street shards: no folder {arguments.folder}, or --samples below 1", file=sys.stderr)
        return 2
    try:
        print(f"{arguments.folder}: {pack(arguments.folder, arguments.samples)} samples packed")
    except (DatasetError, OSError) as error:
        told = reason(error) if isinstance(error, OSError) else error
        print(f"street shards: {told}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
