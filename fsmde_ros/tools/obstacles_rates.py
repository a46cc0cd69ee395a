"""How often obstacles are missed and invented, by distance, in rendered streets; and their time.

python -m fsmde_ros.tools.obstacles_rates [--streets 8] [--model CARD]

The truth is cast, not rendered: level rays in the band of heights from the vehicle's middle. A beam
is missed where the scan has nothing up to the true distance, and tells a false obstacle where the
truth has nothing up to the scan's, either within 0.5 m and a tenth of the distance. Once from the
exact depth of the cameras, which is what the scan itself loses, and once from the network's.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from std_msgs.msg import Header
from tqdm import tqdm

from fsmde_core.rig import Rig
from fsmde_core.runtime.predictor import Predictor
from fsmde_core.street.camera_view import RenderConfig, Stage
from fsmde_core.street.dataset import SPLIT_SEEDS
from fsmde_core.street.drive import DriveConfig, drive_scene, render_frame_set
from fsmde_core.street.rigs import make_rig
from fsmde_core.street.trace import World
from fsmde_core.street.tracer import cast_rays
from fsmde_core.tables import table
from fsmde_ros.cloud import POINT, CloudBuilder, CloudOptions
from fsmde_ros.obstacles import GRID, SCAN, TURN, ObstacleFinder, ObstacleOptions
from fsmde_ros.share import share_dir

EDGES_M = (0.0, 5.0, 10.0, 20.0, 30.0)
HEIGHT_STEP_M = 0.1
WITHIN_BEAM = (np.arange(4) - 1.5) / 4  # of a beam: where in it the truth is cast
TOLERANCE_M, TOLERANCE = 0.5, 0.1
TIMED_POINTS, TIMED_RUNS = 170_000, 300


def true_ranges(world: World, T_world_ego: np.ndarray, options: ObstacleOptions) -> np.ndarray:
    """[beams] metres to the first surface in the band of heights, +inf without one in range."""
    angles = (np.arange(options.beams)[:, None] + WITHIN_BEAM).ravel() * TURN / options.beams
    level = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=-1)
    directions = (level @ T_world_ego[:3, :3].T).astype(np.float32)
    ranges, facing = np.empty((2, len(directions)), np.float32)
    surface, nearest = np.empty(len(directions), np.int32), np.full(len(directions), np.inf)
    for height in np.arange(options.min_height_m, options.max_height_m, HEIGHT_STEP_M):
        origin = (T_world_ego @ (0.0, 0.0, height, 1.0))[:3].astype(np.float32)
        reach = np.float32(options.range_m)
        cast_rays(world, origin, directions, reach, ranges, surface, facing)
        nearest = np.minimum(nearest, np.where(surface >= 0, ranges, np.inf))
    return nearest.reshape(options.beams, -1).min(axis=1)


def scans_and_truth(
    predictor: Predictor, rig: Rig, options: ObstacleOptions, *, seeds: Sequence[int]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each street: the scan of the exact depth, that of the predictor's, and the truth."""
    rig = Rig(tuple(predictor.fit(camera).camera for camera in rig.cameras))  # as it is seen
    render = RenderConfig(samples=1, reflections=False)
    config = DriveConfig(frames=1, staggered=False, render=render)
    finder = ObstacleFinder(options)
    for seed in seeds:
        stage = Stage(drive_scene(seed, rig, config))
        frames = render_frame_set(stage, rig, config, seed=seed, index=0).cameras
        prediction = predictor([frame.image for frame in frames], rig)
        builder = CloudBuilder(prediction.rig, CloudOptions())
        exact = [np.where(frame.depth > 0, frame.depth, np.inf) for frame in frames]
        guessed = [prediction.depth_image(i) for i in range(len(frames))]
        scans = []
        for depths in (exact, guessed):
            seen = [np.where(f.ego_mask, np.nan, d) for f, d in zip(frames, depths)]
            points = builder(prediction, [depth.astype(np.float32) for depth in seen])
            scans.append(finder.scan(finder(points)))
        yield *scans, true_ranges(stage.world(0.0, ego=False), frames[0].T_world_ego, options)


def rates(scan: np.ndarray, truth: np.ndarray) -> list[tuple[str, int, float, int, float]]:
    """By distance: beams with an obstacle, the share missed, beams that tell one, the share false.

    scan and truth are ranges of any number of beams; those where nothing is seen do not count.
    """
    seen = ~np.isnan(scan)
    scan, truth = scan[seen], truth[seen]
    missed = scan > truth + TOLERANCE_M + TOLERANCE * truth
    false = truth > scan + TOLERANCE_M + TOLERANCE * scan
    rows = []
    for near, far in zip(EDGES_M, EDGES_M[1:]):
        there, told = ((near <= ranges) & (ranges < far) for ranges in (truth, scan))
        shares = (100 * float(wrong[of].mean()) if of.any() else np.nan
                  for wrong, of in ((missed, there), (false, told)))  # fmt: skip
        miss, alarm = shares
        rows.append((f"{near:g} to {far:g} m", int(there.sum()), miss, int(told.sum()), alarm))
    return rows


def milliseconds(wanted: Sequence[str]) -> tuple[float, float]:
    """Median and best time of the messages of a cloud of TIMED_POINTS points around a vehicle."""
    rng = np.random.default_rng(0)
    points = np.zeros(TIMED_POINTS, POINT)
    points["x"], points["y"] = rng.normal(0, 20, (2, TIMED_POINTS))
    points["z"] = rng.uniform(-0.3, 3.0, TIMED_POINTS)
    finder, header, times = ObstacleFinder(ObstacleOptions()), Header(), []
    for _ in range(TIMED_RUNS):
        started = time.perf_counter()
        finder.messages(points, header, wanted)
        times.append(1e3 * (time.perf_counter() - started))
    return float(np.median(times)), min(times)


def main(argv: list[str] | None = None) -> int:
    """Print miss and false-alarm rates by distance."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streets", type=int, default=8, help="of the validation split")
    parser.add_argument("--model", type=Path, help="model card; the shipped student without")
    arguments = parser.parse_args(argv)
    model = arguments.model or share_dir() / "models" / "student_s.json"
    predictor = Predictor(model, precision="auto", providers=["CPUExecutionProvider"])
    seeds = SPLIT_SEEDS["val"][: arguments.streets]
    streets = scans_and_truth(predictor, make_rig("nuscenes"), ObstacleOptions(), seeds=seeds)
    exact, guessed, truth = map(np.concatenate, zip(*tqdm(streets, total=len(seeds))))
    head = ["distance", "beams with one", "missed [%]", "beams that tell one", "false [%]"]
    for name, scan in (("exact depth", exact), (f"depth of {predictor.card.name}", guessed)):
        unseen = 100 * np.isnan(scan).mean()
        print(f"\n{name}, {len(seeds)} streets, {unseen:.1f} % of the beams see nothing\n")
        rows = [
            (distance, f"{there:,}", f"{miss:.1f}", f"{told:,}", f"{alarm:.1f}")
            for distance, there, miss, told, alarm in rates(scan, truth)
        ]
        print(table(head, rows))
    for wanted in ((SCAN,), (SCAN, GRID)):
        median, best = milliseconds(wanted)
        what = f"{' and '.join(wanted)} of {TIMED_POINTS:,} points"
        print(f"\n{what}: median {median:.1f} ms, best {best:.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
