"""Depth of many streets beside that of real frames, as histograms.

python -m fsmde_core.street.depth_statistics --seeds 1000 [--nuscenes ROOT] [--ddad SCENE.json]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numba
import numpy as np
from tqdm import tqdm

from fsmde_core.data import ddad, nuscenes
from fsmde_core.data.sample import DatasetError, lidar_points_cam, read_image, scatter_depth
from fsmde_core.street.camera_view import RenderConfig
from fsmde_core.street.dataset import lidar_depths
from fsmde_core.street.drive import DriveConfig, render_drive
from fsmde_core.street.rigs import make_rig
from fsmde_core.street.sensor import LidarConfig
from fsmde_core.street.styles import STYLES

SIZE = (160, 90)
FAR_M = 40.0
LEAST_M = 0.5  # nothing but the ego body may come closer to a camera
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# One row per frame set of all cameras: name and edges of the histogram.
COLUMNS = {
    "median depth of LiDAR points, m": np.arange(0, 33, 3.0),
    f"share of LiDAR points beyond {FAR_M:g} m": np.arange(0, 0.55, 0.05),
    "share of sky, by the rule": np.arange(0, 0.77, 0.07),
    "median depth, m": np.arange(0, 33, 3.0),
    f"share of pixels beyond {FAR_M:g} m": np.arange(0, 0.55, 0.05),
    "share of sky": np.arange(0, 0.77, 0.07),
}
MEASURED = 3  # of these, so many can be had from a real frame
SKY_EDGE, SKY_VALUE = 24.0, 0.45


def main(argv: list[str] | None = None) -> int:
    """Print the histograms; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seeds", type=int, default=1000, help="number of seeds")
    parser.add_argument("--style", choices=STYLES, default="town", help="of the streets")
    parser.add_argument("--nuscenes", type=Path, help="a v1.0-mini root of real keyframes")
    parser.add_argument("--ddad", type=Path, help="scene json of a real DDAD scene")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    arguments = parser.parse_args(argv)
    if arguments.first < 0 or arguments.seeds < 1 or arguments.workers < 1:
        print("depth_statistics: seeds start at 0; at least one, and one worker", file=sys.stderr)
        return 2
    try:
        real = np.array([*_real_rows(arguments.nuscenes, arguments.ddad)]).reshape(-1, MEASURED)
    except DatasetError as error:
        print(f"depth_statistics: {error}", file=sys.stderr)
        return 2
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    # Fresh processes: numba's threads do not survive a fork.
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        row = partial(street_row, style=arguments.style)
        rows = list(tqdm(pool.map(row, seeds), total=len(seeds), unit="seed"))
    print(_report(np.array([row for row, _ in rows]), real, np.array([d for _, d in rows]), seeds))
    return 0


def street_row(seed: int, *, style: str = "town") -> tuple[list[float], float]:
    """Values of COLUMNS for the first frame set of a seed, and the least depth of its cameras."""
    numba.set_num_threads(1)
    rig = make_rig("nuscenes").resized(*SIZE)
    render = RenderConfig(samples=1, reflections=False)
    config = DriveConfig(frames=1, render=render, lidar=LidarConfig(), style=style)
    (frames,) = render_drive(seed, rig, config)
    hit = [_seen(image) for image in lidar_depths(frames)]
    depth = np.stack([f.depth for f in frames.cameras])
    seen = depth[(depth > 0) & ~np.stack([f.ego_mask for f in frames.cameras])]
    row = _measured(hit, [f.image for f in frames.cameras])
    row += [np.median(seen), (seen > FAR_M).sum() / depth.size, (depth == 0).mean()]
    return row, float(seen.min())


def sky_by_rule(image: np.ndarray) -> float:
    """Share of an RGB image that looks like sky: bright and smooth all the way up to its top.

    A crude rule, for real images have no other measure of it; it is used on both alike.
    """
    small = cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    edge = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    smooth = (edge < SKY_EDGE) & (grey > SKY_VALUE * 255)
    return float(np.logical_and.accumulate(smooth, axis=0).mean())


def _seen(image: np.ndarray) -> np.ndarray:
    """Depths of the LiDAR points in an image [H, W], those beyond 1 m."""
    return image[image > 1.0]


def _measured(hit: list[np.ndarray], images: list[np.ndarray]) -> list[float]:
    depth = np.concatenate(hit)
    sky = float(np.mean([sky_by_rule(image) for image in images]))
    return [float(np.median(depth)), float((depth > FAR_M).mean()), sky]


def _real_rows(nuscenes_root: Path | None, ddad_scene: Path | None) -> Iterator[list[float]]:
    """The first MEASURED columns of every real sample, at the same image size."""
    sets = []
    if nuscenes_root:
        samples = nuscenes.read_keyframes(nuscenes_root, "v1.0-mini")
        sets.append((samples, nuscenes.read_points))
    if ddad_scene:
        sets.append((ddad.read_scene(ddad_scene), ddad.read_points))
    for samples, read_points in sets:
        for sample in samples:
            points = read_points(sample.lidar)
            cameras = sample.rig.resized(*SIZE).cameras
            look = partial(lidar_points_cam, sample, points_lidar=points)
            hit = [_seen(scatter_depth(look(index=i), c)) for i, c in enumerate(cameras)]
            yield _measured(hit, [read_image(path) for path in sample.image_files])


def _report(rows: np.ndarray, real: np.ndarray, least: np.ndarray, seeds: range) -> str:
    lines = []
    for k, (name, edges) in enumerate(COLUMNS.items()):
        values = np.clip(rows[:, k], edges[0], edges[-1])
        share = np.histogram(values, edges)[0] / len(rows)
        beside = real[:, k] if k < MEASURED else np.zeros(0)
        counts = np.histogram(np.clip(beside, edges[0], edges[-1]), edges)[0]
        quantiles = "  ".join(f"{v:.3g}" for v in np.quantile(rows[:, k], QUANTILES))
        lines += ["", f"{name}: 5, 25, 50, 75, 95 % of the streets {quantiles}"]
        if len(beside):
            lines[-1] += "; real frames " + "  ".join(f"{v:.3g}" for v in beside)
        for low, high, part, count in zip(edges, edges[1:], share, counts):
            bar = "#" * round(part * 100)
            lines.append(f"{low:6.2f} to {high:5.2f} {part:6.1%} {bar}{' real' * count}")
    close = [f"{seed} ({d:.2f} m)" for seed, d in zip(seeds, least) if d < LEAST_M]
    lines += ["", f"{len(rows)} streets, least depth of any camera {least.min():.2f} m"]
    lines.append(f"closer than {LEAST_M:g} m: {', '.join(close) or 'none'}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
