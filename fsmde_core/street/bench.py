"""Time of a frame: python -m fsmde_core.street.bench [--seeds 4]."""

from __future__ import annotations

import argparse
import sys
import time

import numba
import numpy as np

from fsmde_core.street.camera_view import RenderConfig, Stage, render_view
from fsmde_core.street.rigs import make_rig
from fsmde_core.street.scene import build_scene

SIZE = (640, 352)
POSES = 4


def main(argv: list[str] | None = None) -> int:
    """Print seconds per frame of all cameras of the nuScenes rig, scene and BVH over four poses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4, help="number of streets")
    parser.add_argument("--samples", type=int, default=1, help="colour samples a pixel")
    arguments = parser.parse_args(argv)
    rig = make_rig("nuscenes").resized(*SIZE)
    config = RenderConfig(samples=arguments.samples, reflections=arguments.samples > 1)
    _frame_times(0, rig, config)  # compiles, or loads the cache
    rows = [_frame_times(seed, rig, config) for seed in range(arguments.seeds)]
    for seed, row in enumerate(rows):
        print(f"seed {seed}: " + ", ".join(f"{k} {v:.3f} s" for k, v in row.items()))
    mean = {k: np.mean([row[k] for row in rows]) for k in rows[0]}
    shared, frame = mean["scene"] + mean["BVH"], mean["moving"] + mean["render"]
    threads, size = numba.get_num_threads(), f"{SIZE[0]}x{SIZE[1]}"
    print(
        f"{frame + shared / POSES:.2f} s per frame of {len(rig.cameras)} images {size}, "
        f"{arguments.samples} sample(s), shadows, {threads} threads "
        f"(scene and BVH {shared:.2f} s over {POSES} poses); "
        f"{mean['render CPU'] / threads + shared / POSES:.2f} s with the cores to itself"
    )
    return 0


def _frame_times(seed: int, rig, config: RenderConfig) -> dict[str, float]:
    start = time.perf_counter()
    scene = build_scene(seed)
    built = time.perf_counter()
    stage = Stage(scene)
    indexed = time.perf_counter()
    world, pose = stage.world(0.0), scene.ego_pose(0.0)
    moved, moved_cpu = time.perf_counter(), time.process_time()
    for camera in rig.cameras:
        render_view(
            world, camera, T_world_ego=pose, shutter_m=np.zeros(3), seed=seed, config=config
        )
    times = (built - start, indexed - built, moved - indexed, time.perf_counter() - moved)
    busy = time.process_time() - moved_cpu
    return dict(zip(("scene", "BVH", "moving", "render", "render CPU"), (*times, busy)))


if __name__ == "__main__":
    sys.exit(main())
