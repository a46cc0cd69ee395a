"""What images of the street look like beside real ones: a table of measures.

python -m fsmde_core.street.image_statistics --seeds 60 --nuscenes ROOT --images FOLDER
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numba
import numpy as np
from tqdm import tqdm

from fsmde_core.data import ddad, nuscenes
from fsmde_core.data.sample import (
    DatasetError,
    Sample,
    lidar_points_cam,
    read_image,
    scatter_depth,
)
from fsmde_core.street.camera_view import RenderConfig
from fsmde_core.street.dataset import lidar_depths
from fsmde_core.street.depth_statistics import FAR_M, sky_by_rule
from fsmde_core.street.drive import DriveConfig, render_drive
from fsmde_core.street.rigs import make_rig
from fsmde_core.street.sensor import LidarConfig
from fsmde_core.street.styles import STYLES
from fsmde_core.tables import table

WIDTH = 320
BANDS = 5  # of rows, from the top
QUANTILES = (0.1, 0.5, 0.9)


def look_of(image: np.ndarray, depth: np.ndarray | None) -> dict[str, float]:
    """Measures of an RGB image and of the LiDAR's depths [H, W] in it, 0 where there is none.

    NaN where depth is None or nothing falls in a band of rows.
    """
    size = (WIDTH, round(image.shape[0] * WIDTH / image.shape[1]))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    hue, saturation, _ = np.moveaxis(cv2.cvtColor(small, cv2.COLOR_RGB2HSV), 2, 0)
    gradient = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)) / 4
    looks = {
        "share of sky, by the rule": sky_by_rule(image),
        "share of green": float(((hue > 30) & (hue < 90) & (saturation > 40)).mean()),
        "mean brightness": float(grey.mean()),
        "contrast (standard deviation)": float(grey.std()),
        "nearly black": float((grey < 12).mean()),
        "nearly white": float((grey > 243).mean()),
        "saturation": float(saturation.mean()),
        "gradient, mean": float(gradient.mean()),
        "gradient, 95 % of pixels below": float(np.quantile(gradient, 0.95)),
    }
    return looks | _depths(depth)


def _depths(depth: np.ndarray | None) -> dict[str, float]:
    """Median depth in bands of rows from the top, and the share that is far."""
    far = f"LiDAR beyond {FAR_M:g} m"
    names = [f"median depth, rows {k + 1}/{BANDS}, m" for k in range(BANDS)]
    if depth is None:
        return dict.fromkeys([far, *names], np.nan)
    bands = [band[band > 1.0] for band in np.array_split(depth, BANDS)]
    medians = [float(np.median(band)) if len(band) > 10 else np.nan for band in bands]
    seen = depth[depth > 1.0]
    return {far: float((seen > FAR_M).mean()) if len(seen) else np.nan} | dict(zip(names, medians))


def street_looks(seed: int, style: str) -> list[dict[str, float]]:
    """Measures of each camera of the first frame set of a seed, rendered as deployed."""
    numba.set_num_threads(1)
    rig = make_rig("nuscenes").resized(400, 225)
    config = DriveConfig(frames=1, render=RenderConfig(samples=3), lidar=LidarConfig(), style=style)
    (frames,) = render_drive(seed, rig, config)
    depths = lidar_depths(frames)
    return [look_of(f.decoded(), depth) for f, depth in zip(frames.cameras, depths)]


def main(argv: list[str] | None = None) -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--first", type=int, default=0, help="first seed")
    add("--seeds", type=int, default=60, help="number of seeds")
    add("--styles", nargs="+", choices=STYLES, default=["town", "world"])
    add("--nuscenes", type=Path, nargs="*", default=[], help="v1.0-mini roots of real keyframes")
    add("--ddad", type=Path, nargs="*", default=[], help="scene json of real DDAD scenes")
    add("--images", type=Path, nargs="*", default=[], help="folders of real images without depth")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    arguments = parser.parse_args(argv)
    if arguments.first < 0 or arguments.seeds < 1 or arguments.workers < 1:
        print("image_statistics: seeds start at 0; at least one, and one worker", file=sys.stderr)
        return 2
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    try:
        columns = dict(_real(arguments))
    except DatasetError as error:
        print(f"image_statistics: {error}", file=sys.stderr)
        return 2
    # Fresh processes: numba's threads do not survive a fork.
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        for style in arguments.styles:
            found = pool.map(partial(street_looks, style=style), seeds)
            sets = tqdm(found, total=len(seeds), unit="seed", desc=style)
            columns = {f"street, {style}": [look for looks in sets for look in looks]} | columns
    print(spreads(columns))
    return 0


def spreads(columns: dict[str, list[dict[str, float]]]) -> str:
    """Each measure's 10, 50 and 90 % over the images of each column, as Markdown."""
    heads = [f"{name} ({len(looks)})" for name, looks in columns.items()]
    rows = []
    for measure in next(iter(columns.values()))[0]:
        values = [np.array([look[measure] for look in looks]) for looks in columns.values()]
        rows.append([measure, *map(_spread, values)])
    return table(["10, 50, 90 % of images", *heads], rows)


def _spread(values: np.ndarray) -> str:
    values = values[np.isfinite(values)]
    return "  ".join(f"{v:.3g}" for v in np.quantile(values, QUANTILES)) if len(values) else ""


def _real(arguments: argparse.Namespace) -> Iterator[tuple[str, list[dict[str, float]]]]:
    for root in arguments.nuscenes:
        yield root.name, _looks(nuscenes.read_keyframes(root, "v1.0-mini"), nuscenes.read_points)
    for scene in arguments.ddad:
        yield scene.parent.name, _looks(ddad.read_scene(scene), ddad.read_points)
    for folder in arguments.images:
        files = sorted(f for f in folder.rglob("*") if f.suffix in (".jpg", ".png"))
        if not files:
            raise DatasetError(f"folder {folder} holds no .jpg or .png")
        yield folder.name, [look_of(read_image(file), None) for file in files]


def _looks(samples: Iterable[Sample], read_points) -> list[dict[str, float]]:
    looks = []
    for sample in samples:
        points = read_points(sample.lidar)
        for i, camera in enumerate(sample.rig.resized(WIDTH, 180).cameras):
            depth = scatter_depth(lidar_points_cam(sample, i, points), camera)
            looks.append(look_of(read_image(sample.image_files[i]), depth))
    return looks


if __name__ == "__main__":
    sys.exit(main())
