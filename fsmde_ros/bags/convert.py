"""Whole scenes of nuScenes or DDAD as rosbag2: keyframes, or every image.

fsmde-dataset-to-bag ROOT BAG, or --scene all for one bag a scene in the folder BAG; scenes whose
bag is there already are left alone, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fsmde_core.extras import needed_by

with needed_by("fsmde-dataset-to-bag", __file__):
    from fsmde_core.data import ddad, nuscenes
    from fsmde_core.data.sample import DatasetError, Samples
    from fsmde_core.files import reason, writable_folder
    from fsmde_core.interrupt import Interrupt
    from fsmde_ros.bags.topics import load_topics
    from fsmde_ros.bags.writer import RIG_FILE, write_bag
    from fsmde_ros.share import share_dir

ALL_SCENES = "all"
READ_POINTS = {"nuscenes": nuscenes.read_points, "ddad": ddad.read_points}


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 2 with one sentence for what cannot be read or written.

    130 after Ctrl-C and 143 after SIGTERM: bags that are whole stay, of the others nothing does.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("root", type=Path, help="nuScenes root, or DDAD's folder or dataset JSON")
    add("bag", type=Path, help="folder to write; with --scene all, one bag a scene in it")
    add("--dataset", choices=sorted(READ_POINTS), default="nuscenes")
    add("--version", default="v1.0-mini", help="nuScenes: folder of tables in the root")
    add("--split", help="only scenes of this split; DDAD: val if not given")
    add("--scene", help="scene name, or all; the first if not given")
    add("--sweeps", action="store_true", help="nuScenes: every image (12 Hz), not only keyframes")
    add("--depth-gt", action="store_true", help="depth images of the LiDAR in each camera, too")
    add(
        "--params",
        type=Path,
        help="ROS parameter file with topic names; config/surround_depth.yaml",
    )
    arguments = parser.parse_args(argv)
    with Interrupt() as interrupt:
        try:
            with interrupt.at_once():
                convert(arguments)
        except KeyboardInterrupt:
            print("fsmde-dataset-to-bag: stopped; the bag begun is not written", file=sys.stderr)
            return interrupt.exit_code
        except (DatasetError, OSError) as error:
            sentence = reason(error) if isinstance(error, OSError) else error
            print(f"fsmde-dataset-to-bag: {sentence}", file=sys.stderr)
            return 2
    return 0


def convert(arguments: argparse.Namespace) -> None:
    """Write the bags that the command line asks for; DatasetError at the first fault.

    OSError, before anything is read, where they cannot be written.
    """
    every = arguments.scene == ALL_SCENES
    writable_folder(arguments.bag if every else arguments.bag.parent)
    topics = load_topics(arguments.params or share_dir() / "config" / "surround_depth.yaml")
    samples = _samples(arguments)
    for scene in samples.scenes if every else [arguments.scene]:
        bag = arguments.bag / scene if every else arguments.bag
        if every and bag.exists():
            print(f"{bag} is there already")
            continue
        write_bag(
            samples.of_scene(scene),
            bag,
            topics=topics,
            read_points=READ_POINTS[arguments.dataset],
            depth_gt=arguments.depth_gt,
        )
        print(f"wrote {bag}, rig file {bag / RIG_FILE}")


def _samples(arguments: argparse.Namespace) -> Samples:
    if arguments.dataset == "ddad":
        if arguments.sweeps:
            raise DatasetError("--sweeps is for nuScenes: DDAD has no other images")
        return ddad.read_dataset(arguments.root, split=arguments.split or "val")
    read = nuscenes.read_sweeps if arguments.sweeps else nuscenes.read_keyframes
    split = arguments.split or nuscenes.WHOLE_VERSION
    scene = None if arguments.scene == ALL_SCENES else arguments.scene
    return read(arguments.root, arguments.version, split=split, scene=scene)


if __name__ == "__main__":
    sys.exit(main())
