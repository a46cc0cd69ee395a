"""What cameras and node send, in rerun: recordings, or what is published now; and views for others.

fsmde-view BAG [BAG ...] [--rig RIG.yaml] [--save FILE.rrd]
fsmde-view --live [--rig RIG.yaml] [--save FILE.rrd] [--seconds 10]
fsmde-view --layouts FOLDER --rig RIG.yaml    for RViz and Foxglove
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from fsmde_core.files import whole_file
from fsmde_core.rig import Rig, RigError, load_rig
from fsmde_ros.bags.layout import rig_file_of
from fsmde_ros.bags.messages import TF_TYPE, decoded, message_class
from fsmde_ros.bags.source import BagError, Source, open_source
from fsmde_ros.conversions import MessageError
from fsmde_ros.interrupts import StartUpError
from fsmde_ros.loading import rig_path
from fsmde_ros.params import NodeParams
from fsmde_ros.tools.view_live import watch
from fsmde_ros.views.foxglove import write_foxglove
from fsmde_ros.views.rerun_log import SHOWN, RerunLog
from fsmde_ros.views.rviz import write_rviz
from fsmde_ros.views.scene import scene_of


class ViewError(RuntimeError):
    """There is nothing to show, or nowhere to show it; the message says why."""


@contextmanager
def recording_to(save: Path | None) -> Iterator:
    """A rerun recording in a viewer, or into the file `save`, which appears whole or not at all.

    ViewError if rerun is not installed, or there is no screen.
    """
    try:
        import rerun
    except ImportError as error:
        raise ViewError(
            "rerun is not installed: pip install 'rerun-sdk>=0.28,<0.42' into an environment with "
            "numpy 2 (a ROS 2 Jazzy installation has numpy 1)"
        ) from error
    if save is None and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ViewError("there is no screen here: give --save FILE.rrd and open it elsewhere")
    recording = rerun.RecordingStream("fsmde-view")
    if save is None:
        recording.spawn()
        yield recording
        recording.flush()
        return
    with whole_file(save) as beside:
        recording.save(beside)
        yield recording
        recording.flush()
        recording.disconnect()


def begin(recording, rig: Rig | None, parents: dict[str, str], *, namespace: str) -> RerunLog:
    """A log that has the rig's poses, the vehicle and the panels, where there is a rig."""
    of_rig = {camera.frame_id: rig.base_frame for camera in rig.cameras} if rig else {}
    log = RerunLog(recording, of_rig | parents)
    if rig is not None:
        log.rig(rig)
        log.scene(scene_of(NodeParams(), rig), rig, namespace=namespace)
    return log


def show(bags: Sequence[Path], recording, rig: Rig | None, *, namespace: str) -> None:
    """Log bags into a recording. BagError if one of them cannot be read."""
    parents = {}
    for bag in bags:
        with open_source(bag) as source:
            parents |= {t.child_frame_id: t.header.frame_id for _, t in _transforms(source)}
    log = begin(recording, rig, parents, namespace=namespace)
    for bag in bags:
        with open_source(bag) as source:
            _log_bag(log, source)


def _log_bag(log: RerunLog, source: Source) -> None:
    for topic, transform in _transforms(source):
        log.transform(transform, static=topic.endswith("tf_static"))
    topics = [topic for topic in source.topics if message_class(topic.kind) in SHOWN]
    total, messages = sum(topic.count for topic in topics), source.messages(topics)
    name, skipped = source.path.name, {}
    for topic, _, data in tqdm(messages, desc=name, total=total, unit="msg", disable=None):
        try:
            log.message(topic.name, decoded(topic, data))
        except (MessageError, BagError) as error:
            skipped.setdefault(topic, []).append(str(error))
    for topic, why in skipped.items():
        print(
            f"fsmde-view: {len(why)} of {topic.count} messages skipped: {why[0]}", file=sys.stderr
        )


def _transforms(source: Source) -> Iterator[tuple[str, object]]:
    """(topic, TransformStamped) of a recording."""
    topics = [topic for topic in source.topics if topic.kind == TF_TYPE]
    for topic, _, data in source.messages(topics):
        for stamped in decoded(topic, data).transforms:
            yield topic.name, stamped


def write_layouts(rig: Rig, folder: Path, *, namespace: str, confidence: bool) -> list[Path]:
    """The views of a rig for RViz and Foxglove, as files in a folder."""
    scene = scene_of(NodeParams(publish_confidence=confidence), rig)
    return [write(scene, folder, namespace=namespace) for write in (write_rviz, write_foxglove)]


def run(arguments: argparse.Namespace) -> None:
    """One of the three things that the command does; ViewError if it is none of them."""
    rig_file = rig_path(arguments.rig) if arguments.rig else None
    if rig_file is None and arguments.bags:
        rig_file = rig_file_of(arguments.bags[0])
    rig = load_rig(rig_file) if rig_file is not None else None
    if arguments.layouts is not None:
        if rig is None:
            raise ViewError("--layouts needs --rig: panels are those of its cameras")
        options = {"namespace": arguments.namespace, "confidence": arguments.confidence}
        for file in write_layouts(rig, arguments.layouts, **options):
            print(file)
        return
    if arguments.live == bool(arguments.bags):
        raise ViewError("give bags, or --live for what is published now")
    with recording_to(arguments.save) as recording:
        if arguments.live:
            log = begin(recording, rig, {}, namespace=arguments.namespace)
            watch(log, seconds=arguments.seconds)
        else:
            show(arguments.bags, recording, rig, namespace=arguments.namespace)
    if arguments.save is not None:
        print(f"{arguments.save}: {arguments.save.stat().st_size / 1e6:.1f} MB")


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 with one sentence if there is nothing to show."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bags", type=Path, nargs="*", metavar="BAG", help="rosbag2, ROS 1 or MCAP")
    parser.add_argument("--rig", help="rig file; rig.yaml of the first bag if not given")
    parser.add_argument("--save", type=Path, help="write FILE.rrd instead of opening a viewer")
    parser.add_argument("--live", action="store_true", help="what is published now, until Ctrl-C")
    parser.add_argument("--seconds", type=float, default=0.0, help="of --live; 0: until Ctrl-C")
    parser.add_argument("--namespace", default="", help="the node's")
    parser.add_argument("--layouts", type=Path, metavar="FOLDER", help="write views for others")
    parser.add_argument("--confidence", action="store_true", help="the node publishes confidence")
    try:
        run(parser.parse_args(argv))
    except (ViewError, BagError, RigError, StartUpError) as error:
        print(f"fsmde-view: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
