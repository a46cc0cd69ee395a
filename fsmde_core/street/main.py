"""fsmde-street: render drives of consecutive seeds to a nuScenes or a DDAD root."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from fsmde_core.extras import needed_by
from fsmde_core.interrupt import unless_interrupted

with needed_by("fsmde-street", __file__):
    from fsmde_core.street import ddad_writer, nuscenes_writer
    from fsmde_core.street.camera_view import RenderConfig
    from fsmde_core.street.drive import DriveConfig
    from fsmde_core.street.pool import for_all
    from fsmde_core.street.rigs import RIG_NAMES, make_rig
    from fsmde_core.street.sensor import LIDAR_64, LidarConfig
    from fsmde_core.street.styles import STYLES

MIN_SIDE_PX = 16


@unless_interrupted("fsmde-street: stopped; no tables are written, the same command writes them")
def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 2 after one sentence on bad arguments."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    complaint = _complaint(arguments)
    if complaint:
        print(f"fsmde-street: {complaint}", file=sys.stderr)
        return 2
    try:
        return _run(arguments)
    except OSError as error:
        where = error.filename or arguments.out
        print(f"fsmde-street: {where}: {error.strerror or error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fsmde-street", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--scenes", type=int, default=1, help="number of drives")
    parser.add_argument("--frames", type=int, default=12, help="frames of a camera per drive")
    parser.add_argument("--rate", type=float, default=12.0, help="frames of a camera per second")
    parser.add_argument("--rig", default="nuscenes", help=f"one of {', '.join(RIG_NAMES)}")
    parser.add_argument(
        "--layout", choices=("nuscenes", "ddad"), help="default: as the rig, else nuscenes"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the dataset root")
    parser.add_argument("--scale", type=float, default=1.0, help="image size over the rig's own")
    parser.add_argument("--samples", type=int, default=4, help="colour samples a pixel")
    parser.add_argument("--jitter", type=float, default=0.0, help="spread of the extrinsics")
    parser.add_argument("--style", choices=STYLES, default="town", help="stress: never trained on")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    return parser


def _complaint(arguments: argparse.Namespace) -> str | None:
    """One sentence about the first bad argument, or None."""
    if arguments.seed < 0:
        return f"--seed {arguments.seed} is negative; seeds are 0, 1, 2 and so on"
    if arguments.rig not in RIG_NAMES:
        return f"--rig {arguments.rig!r} is unknown; known: {', '.join(RIG_NAMES)}"
    for name in ("scenes", "frames", "samples", "workers"):
        if getattr(arguments, name) < 1:
            return f"--{name} {getattr(arguments, name)} is less than 1"
    if not 0.5 <= arguments.rate <= 60.0:
        return f"--rate {arguments.rate:g} is outside 0.5 to 60 Hz"
    if not 0.02 <= arguments.scale <= 1.0:
        return f"--scale {arguments.scale:g} is outside 0.02 to 1"
    if not 0.0 <= arguments.jitter <= 5.0:
        return f"--jitter {arguments.jitter:g} is outside 0 to 5"
    return None


def _run(arguments: argparse.Namespace) -> int:
    root = arguments.out
    root.mkdir(parents=True, exist_ok=True)
    probe = root / ".fsmde-street.part"
    probe.write_bytes(b"")
    probe.unlink()
    seeds = range(arguments.seed, arguments.seed + arguments.scenes)
    for_all(partial(_render, arguments), seeds, workers=arguments.workers, unit="scene")
    writer = _writer(arguments)
    count = writer.write_tables(root)
    print(f"{root}: {count} scenes")
    return 0


def _writer(arguments: argparse.Namespace):
    layout = arguments.layout or ("ddad" if arguments.rig == "ddad" else "nuscenes")
    return ddad_writer if layout == "ddad" else nuscenes_writer


def _render(arguments: argparse.Namespace, seed: int) -> None:
    """Render one drive."""
    rig = make_rig(arguments.rig, seed=seed, jitter=arguments.jitter)
    camera = rig.cameras[0]
    size = [
        max(MIN_SIDE_PX, round(side * arguments.scale)) for side in (camera.width, camera.height)
    ]
    writer = _writer(arguments)
    ddad = writer is ddad_writer
    config = DriveConfig(
        frames=arguments.frames,
        rate_hz=arguments.rate,
        staggered=not ddad,
        render=RenderConfig(samples=arguments.samples),
        lidar=LIDAR_64 if ddad else LidarConfig(),
        style=arguments.style,
    )
    writer.write_scene(arguments.out, seed, rig.resized(*size), config)


if __name__ == "__main__":
    sys.exit(main())
