"""Make a model better on your own rig, from a drive with odometry and without a LiDAR.

fsmde-adapt BAG... --rig rig.yaml --out models/mine

SOURCE is a recording (rosbag2, ROS 1, MCAP), a root of nuScenes or DDAD whose LiDAR is not opened,
or the work/drive that another machine wrote. Looks first and says in a table what it found; goes on
where an interrupted run stopped.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from fsmde_core.distill.processor import prepare_processor
from fsmde_core.extras import needed_by

prepare_processor()  # before torch is imported

with needed_by("fsmde-adapt", __file__):
    from fsmde_core.adapt.datasets import is_dataset, open_dataset, open_drive
    from fsmde_core.adapt.request import Request
    from fsmde_core.adapt.run import adapt
    from fsmde_core.adapt.source import MOST_MOMENTS, STEP_M, AdaptError, Source
    from fsmde_core.card import ModelError, sha256_of
    from fsmde_core.data.drive import FILE as DRIVE_FILE
    from fsmde_core.data.sample import DatasetError
    from fsmde_core.distill.config import ConfigError
    from fsmde_core.evaluate.main import sentence
    from fsmde_core.interrupt import unless_interrupted
    from fsmde_core.rig import RigError, load_rig, mask_files
    from fsmde_ros.share import share_dir

RECORDINGS = ("metadata.yaml", "*.bag", "*.mcap", "*.db3")
SOURCE_FILES = ("rig.yaml", "*_mask.png", "*.json", *RECORDINGS)
MODEL, CONFIG = "models/student_s.json", "config/distill/adapt.yaml"


@unless_interrupted("fsmde-adapt: stopped; the same command goes on")
def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 if the drive or the model is refused, 2 with one sentence for what
    cannot be read.

    130 after Ctrl-C and 143 after SIGTERM: the same command goes on.
    """
    words = sys.argv[1:] if argv is None else argv
    arguments = _parser().parse_intermixed_args(words)
    try:
        request = _request(arguments, shlex.join(["fsmde-adapt", *words]))
        return adapt(request, lambda: _open_sources(arguments))
    except AdaptError as error:
        print(f"fsmde-adapt: {error}", file=sys.stderr)
        return 1
    except (ConfigError, DatasetError, ModelError, RigError, OSError, ImportError) as error:
        print(f"fsmde-adapt: {sentence(error)}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("sources", nargs="+", metavar="SOURCE", help="recording, dataset, or drive folder; "
        "KEY=VALUE overrides the training's config")  # fmt: skip
    add(
        "--rig",
        type=Path,
        help="rig file; counts more than a recording's, of a dataset or drive folder its masks do",
    )
    add("--out", type=Path, required=True, help="folder of the model, which has its name")
    add("--model", type=Path, help="card of the model to begin with, and to be better than; "
        "default the shipped one")  # fmt: skip
    add("--teacher", default="", help="a foundation model's file (Depth Anything V2 or 3), or a "
        "teacher's card; default the model itself")  # fmt: skip
    add("--config", type=Path, help=f"of the training; default {CONFIG}")
    add("--odometry", default="", metavar="TOPIC", help="Odometry or PoseStamped; default: found")
    add("--scene", help="of a dataset, the only one wanted")
    add(
        "--licence",
        default="",
        help="of the data, for the model's card; default: the dataset's, or unknown",
    )
    add("--step", type=float, default=STEP_M, help="metres between two moments, at least; "
        "default %(default)s")  # fmt: skip
    add("--moments", type=int, default=MOST_MOMENTS, help="of each source, at most; "
        "default %(default)s")  # fmt: skip
    add("--left-out", type=float, default=0.2, help="share of the moments, the last ones, "
        "for judging; default %(default)s")  # fmt: skip
    add("--trust-odometry", action="store_true", help="go on although its unit or axes look wrong")
    add("--trust-rig", action="store_true", help="go on although cameras look swapped")
    add("--dry-run", action="store_true", help="end after the table")
    add("--devices", default="1", help="GPUs in use; default %(default)s")
    add("--accelerator", choices=("auto", "cpu", "gpu"), default="auto",
        help="default %(default)s")  # fmt: skip
    return parser


def _request(arguments: argparse.Namespace, command: str) -> Request:
    model, config = arguments.model or share_dir() / MODEL, arguments.config or share_dir() / CONFIG
    paths = _paths(arguments)
    asked = {
        "sources": [str(path.absolute()) for path in paths],
        "rig": _rig_files(arguments.rig) if arguments.rig else [],
        **{
            key: getattr(arguments, key)
            for key in ("odometry", "scene", "licence", "step", "moments")
        },
    }
    return Request(
        out=arguments.out,
        model=model,
        config=config,
        teacher=arguments.teacher,
        overrides=tuple(word for word in arguments.sources if _is_override(word)),
        devices=("--devices", arguments.devices, "--accelerator", arguments.accelerator),
        step_m=arguments.step,
        most=arguments.moments,
        left_out=arguments.left_out,
        trust_odometry=arguments.trust_odometry,
        trust_rig=arguments.trust_rig,
        dry_run=arguments.dry_run,
        sources=tuple(paths),
        rig=arguments.rig or _rig_beside(paths[0]),
        command=command,
        asked=asked,
        files={str(path.absolute()): _files(path) for path in paths if path.exists()},
    )


def _rig_beside(path: Path) -> Path | None:
    """The rig file of a recording, if it has one."""
    file = (path if path.is_dir() else path.parent) / SOURCE_FILES[0]
    return file if file.is_file() else None


def _rig_files(path: Path) -> list[str]:
    """What is in a rig file and its masks; RigError if it cannot be used."""
    load_rig(path)
    return [sha256_of(file) for file in (path, *mask_files(path))]


def _files(path: Path) -> list[list]:
    """Name, size and time of the files of a source, and of a recording's rig file beside it."""
    path = path.absolute()
    folder, kinds = (path, SOURCE_FILES) if path.is_dir() else (path.parent, SOURCE_FILES[:2])
    found = {file for kind in kinds for file in folder.glob(kind)} | ({path} - {folder})
    if path.is_file() or _is_recording(path):
        name = path.stem if path.is_file() else path.name
        beside = ("rig.yaml", f"{name}.rig.yaml", "*_mask.png")
        found |= {file for kind in beside for file in path.parent.glob(kind)}
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in sorted(found)]


def _is_override(word: str) -> bool:
    return "=" in word and not Path(word).exists()


def _paths(arguments: argparse.Namespace) -> list[Path]:
    paths = [Path(word) for word in arguments.sources if not _is_override(word)]
    if not paths:
        raise AdaptError("no SOURCE is given, only overrides")
    return paths


def _open_sources(arguments: argparse.Namespace) -> list[Source]:
    sources = [_open(path, arguments) for path in _paths(arguments)]
    if arguments.licence:
        sources = [replace(source, licence=arguments.licence) for source in sources]
    return sources


def _open(path: Path, arguments: argparse.Namespace) -> Source:
    drive = (path / DRIVE_FILE).is_file()
    dataset = not drive and not _is_recording(path) and is_dataset(path)
    if arguments.odometry and (drive or dataset):
        raise AdaptError(f"--odometry is for recordings: {path} has poses of its own")
    if arguments.scene and not dataset:
        raise AdaptError(f"--scene is for datasets, {path} is none")
    if drive:
        return _masked(open_drive(path), arguments.rig)
    if dataset:
        return _masked(open_dataset(path, scene=arguments.scene), arguments.rig)
    from fsmde_ros.bags.drive import open_bag_drive  # the others need no ROS

    try:
        return open_bag_drive(path, arguments.rig, odometry=arguments.odometry)
    except AdaptError as error:
        if not arguments.odometry:
            raise
        found = _motion_without(path, arguments.rig)
        raise AdaptError(f"{error}{found}") from error


def _motion_without(path: Path, rig_file: Path | None) -> str:
    """What says how the vehicle moves where --odometry is left out, in words; empty if nothing."""
    from fsmde_ros.bags.drive import open_bag_drive

    with suppress(AdaptError, DatasetError, RigError, OSError):
        return f"; without --odometry it is {open_bag_drive(path, rig_file).motion}"
    return ""


def _is_recording(path: Path) -> bool:
    """Whether a path is a recording, or a folder with one, whatever else lies in it."""
    return any(any(path.glob(kind)) for kind in RECORDINGS)


def _masked(source: Source, rig_file: Path | None) -> Source:
    """A source that has its own calibration, with the masks of a rig file, if one is given.

    RigError if the rig file has none of its cameras.
    """
    if rig_file is None:
        return source
    given = {camera.name: camera for camera in load_rig(rig_file).cameras}
    if not set(given) & set(source.rig.names):
        names = ", ".join(source.rig.names)
        raise RigError(f"rig {rig_file} has none of the cameras of {source.name}: {names}")
    cameras = []
    for camera in source.rig.cameras:
        other = given.get(camera.name, camera).resized(camera.width, camera.height)
        cameras.append(camera if other.body is None else replace(camera, body=other.body))
    return replace(source, rig=replace(source.rig, cameras=tuple(cameras)))


if __name__ == "__main__":
    sys.exit(main())
