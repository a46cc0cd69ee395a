"""A sheet of consecutive seeds, none chosen, and the statistics of their depth.

python -m fsmde_core.street.sheet --out docs/street.jpg --seeds 24
python -m fsmde_core.street.sheet --statistics --seeds 1000
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fsmde_core.rig import Rig
from fsmde_core.street.camera_view import RenderConfig
from fsmde_core.street.drive import DriveConfig, FrameSet, render_drive
from fsmde_core.street.files import write_bytes
from fsmde_core.street.rigs import make_rig

TILE = (480, 270)
COLUMNS = 4
SMALL = (64, 36)
FAR_M = 40.0
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def main(argv: list[str] | None = None) -> int:
    """Write the sheet, or print the statistics; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seeds", type=int, default=24, help="number of seeds")
    parser.add_argument("--out", type=Path, help="JPEG to write")
    parser.add_argument("--statistics", action="store_true", help="print depth statistics")
    arguments = parser.parse_args(argv)
    if arguments.first < 0 or arguments.seeds < 1:
        print("sheet: seeds are 0, 1, 2 and so on, and at least one", file=sys.stderr)
        return 2
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    if arguments.statistics:
        print(_statistics(seeds))
    if arguments.out:
        _, data = cv2.imencode(".jpg", _sheet(seeds)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
        write_bytes(arguments.out, data.tobytes())
    return 0


def _sheet(seeds: range) -> np.ndarray:
    """One camera of each seed in turn: seed modulo the number of cameras."""
    rig = make_rig("nuscenes").resized(*TILE)
    tiles = []
    for seed in tqdm(seeds, unit="seed"):
        one = Rig((rig.cameras[seed % len(rig.cameras)],))
        tiles.append(_first(seed, one, RenderConfig(samples=6)).cameras[0].image)
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    return np.vstack([r for r in rows if r.shape == rows[0].shape])


def _statistics(seeds: range) -> str:
    """Quantiles over frames: median depth, share of sky, share beyond FAR_M; least depth of all."""
    rig = make_rig("nuscenes").resized(*SMALL)
    rows, least = [], np.inf
    for seed in tqdm(seeds, unit="seed"):
        frames = _first(seed, rig, RenderConfig(samples=1, reflections=False)).cameras
        depth = np.stack([f.depth for f in frames])
        outside = ~np.stack([f.ego_mask for f in frames])
        seen = depth[(depth > 0) & outside]
        least = min(least, float(seen.min()))
        rows.append((np.median(seen), (depth == 0).mean(), (seen > FAR_M).mean()))
    table = np.quantile(np.array(rows), QUANTILES, axis=0).T
    lines = ["quantile over frames      " + "".join(f"{q:8.0%}" for q in QUANTILES)]
    for name, row in zip(("median depth, m", "share of sky", f"share beyond {FAR_M:g} m"), table):
        lines.append(f"{name:26s}" + "".join(f"{v:8.3g}" for v in row))
    lines.append(f"{len(rows)} frames, least depth of any camera {least:.2f} m")
    return "\n".join(lines)


def _first(seed: int, rig: Rig, render: RenderConfig) -> FrameSet:
    """The first frame set of a seed."""
    return next(render_drive(seed, rig, DriveConfig(frames=1, render=render)))


if __name__ == "__main__":
    sys.exit(main())
