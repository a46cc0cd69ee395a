"""Time of a frame: python -m fsmde_core.street.bench [--seeds 4]."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial

import numba
import numpy as np

from fsmde_core.arguments import positive
from fsmde_core.street.camera_view import RenderConfig, Stage, render_view
from fsmde_core.street.rigs import make_rig
from fsmde_core.street.scene import SceneConfig, build_scene
from fsmde_core.street.styles import STYLES

SIZE = (640, 352)
POSES = 4
PHASES = ("scene", "BVH", "moving", "render")
ON_ALL_THREADS = (False, True, False, True)


def main(argv: list[str] | None = None) -> int:
    """Print seconds per frame of all cameras of the nuScenes rig, scene and BVH over four poses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=positive, default=4, help="number of streets")
    parser.add_argument("--samples", type=positive, default=1, help="colour samples a pixel")
    parser.add_argument("--style", choices=STYLES, default="town", help="of the streets")
    arguments = parser.parse_args(argv)
    rig = make_rig("nuscenes").resized(*SIZE)
    config = RenderConfig(samples=arguments.samples, reflections=arguments.samples > 1)
    frame_times = partial(_frame_times, rig=rig, config=config, style=arguments.style)
    frame_times(0)  # compiles, or loads the cache; makes what streets share
    times = np.array([frame_times(seed) for seed in range(arguments.seeds)])
    for seed, phases in enumerate(times[..., 0]):
        print(f"seed {seed}: " + ", ".join(f"{k} {v:.3f} s" for k, v in zip(PHASES, phases)))
    (wall, busy), threads = times.mean(axis=0).T, numba.get_num_threads()
    undisturbed = busy / np.where(ON_ALL_THREADS, threads, 1)
    print(
        f"{_per_frame(wall):.2f} s per frame of {len(rig.cameras)} images {SIZE[0]}x{SIZE[1]}, "
        f"{arguments.samples} sample(s), shadows, {threads} threads, scene and BVH over {POSES} "
        f"poses; by its CPU time {_per_frame(undisturbed):.2f} s were nothing else running"
    )
    return 0


def _per_frame(phases: np.ndarray) -> float:
    return phases[:2].sum() / POSES + phases[2:].sum()


def _frame_times(seed: int, rig, config: RenderConfig, style: str) -> np.ndarray:
    """Wall and CPU seconds [4, 2] of PHASES."""
    stamps = [_clocks()]
    scene = build_scene(seed, SceneConfig(style=style))
    stamps.append(_clocks())
    stage = Stage(scene)
    stamps.append(_clocks())
    world, pose = stage.world(0.0), scene.ego_pose(0.0)
    stamps.append(_clocks())
    for camera in rig.cameras:
        render_view(
            world, camera, T_world_ego=pose, shutter_m=np.zeros(3), seed=seed, config=config
        )
    stamps.append(_clocks())
    return np.diff(stamps, axis=0)


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


if __name__ == "__main__":
    sys.exit(main())
