"""A sheet of consecutive seeds, none chosen.

python -m fsmde_core.street.sheet --out docs/street.jpg --seeds 24
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fsmde_core.files import write_bytes
from fsmde_core.rig import Rig
from fsmde_core.street.camera_view import RenderConfig
from fsmde_core.street.drive import DriveConfig, render_drive
from fsmde_core.street.rigs import make_rig
from fsmde_core.street.styles import STYLES

TILE = (480, 270)
COLUMNS = 4


def main(argv: list[str] | None = None) -> int:
    """Write the sheet; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seeds", type=int, default=24, help="number of seeds")
    parser.add_argument("--style", choices=STYLES, default="town", help="of the streets")
    parser.add_argument("--out", type=Path, required=True, help="JPEG to write")
    arguments = parser.parse_args(argv)
    if arguments.first < 0 or arguments.seeds < 1:
        print("sheet: seeds are 0, 1, 2 and so on, and at least one", file=sys.stderr)
        return 2
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    _, data = cv2.imencode(
        ".jpg", _sheet(seeds, arguments.style)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82]
    )
    write_bytes(arguments.out, data.tobytes())
    return 0


def _sheet(seeds: range, style: str) -> np.ndarray:
    """One camera of each seed in turn: seed modulo the number of cameras."""
    rig = make_rig("nuscenes").resized(*TILE)
    tiles = []
    for seed in tqdm(seeds, unit="seed"):
        one = Rig((rig.cameras[seed % len(rig.cameras)],))
        config = DriveConfig(frames=1, render=RenderConfig(samples=6), style=style)
        tiles.append(next(render_drive(seed, one, config)).cameras[0].image)
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    return np.vstack([r for r in rows if r.shape == rows[0].shape])


if __name__ == "__main__":
    sys.exit(main())
