"""Short drives through a rendered street, as samples and as bags of several makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from recordings import Recording
from rosbags.rosbag2 import StoragePlugin

from fsmde_core.adapt.source import Track
from fsmde_core.data.sample import Sample, read_image
from fsmde_core.rig import Rig

SIZE = 240, 135
FRAMES, RATE_HZ = 18, 10.0
CAMERAS = (0, 1, 3, 5)  # of nuScenes' six: front, front left, back, front right
SEED = 0  # a drive of 12 m/s


def render_samples(folder: Path) -> list[Sample]:
    """Samples whose JPEGs lie in a folder; needs numba."""
    from fsmde_core.street.camera_view import RenderConfig
    from fsmde_core.street.drive import DriveConfig, render_drive
    from fsmde_core.street.rigs import make_rig

    rig = make_rig("nuscenes").resized(*SIZE).subset(CAMERAS)
    render = RenderConfig(samples=1, reflections=False)
    samples = []
    for frames in render_drive(SEED, rig, DriveConfig(FRAMES, RATE_HZ, render=render)):
        files = [folder / f"{f.camera.name}_{frames.index:03d}.jpg" for f in frames.cameras]
        for file, frame in zip(files, frames.cameras):
            file.write_bytes(frame.jpeg)
        stamps_ns = tuple(f.stamp_ns for f in frames.cameras)
        poses = np.stack([f.T_world_ego for f in frames.cameras])
        samples.append(
            Sample("street", str(frames.index), rig, tuple(files), stamps_ns, poses, None)
        )
    return samples


def in_unit(samples: Sequence[Sample], factor: float) -> list[Sample]:
    """The same with odometry in another unit than metres."""
    scaled = []
    for sample in samples:
        poses = sample.T_world_ego.copy()
        poses[:, :3, 3] *= factor
        scaled.append(replace(sample, T_world_ego=poses))
    return scaled


def swapped(samples: Sequence[Sample], a: int, b: int) -> list[Sample]:
    """The same with the images of two cameras under each other's names."""
    order = list(range(len(samples[0].rig.cameras)))
    order[a], order[b] = b, a
    files = [tuple(sample.image_files[i] for i in order) for sample in samples]
    return [replace(sample, image_files=of) for sample, of in zip(samples, files)]


def standing(samples: Sequence[Sample]) -> list[Sample]:
    """The same with odometry that stays where it was."""
    there = np.repeat(samples[0].T_world_ego[:1], len(samples[0].rig.cameras), axis=0)
    return [replace(sample, T_world_ego=there) for sample in samples]


def write_foreign_bag(
    samples: Sequence[Sample], bag: Path, *, raw: bool, storage: StoragePlugin, moves: str
) -> None:
    """A bag as another recorder makes it: no CameraInfo, and motion on one topic of its own.

    moves: odometry (of base_link at 50 Hz, recorded late), pose, or tf (of base_footprint).
    """
    rig: Rig = samples[0].rig
    stamps_ns = [ns for sample in samples for ns in sample.stamps_ns]
    track = Track(stamps_ns, np.concatenate([sample.T_world_ego for sample in samples]))
    first_ns, last_ns = min(stamps_ns), max(stamps_ns)
    with Recording(bag, storage=storage) as recording:
        make = recording.make
        for stamp_ns in (*range(first_ns, last_ns, 2 * 10**7), last_ns):
            T = track.at(stamp_ns)
            if moves == "odometry":
                recording.write("/odom", make.odometry(T, stamp_ns), stamp_ns + 10**7)
            elif moves == "pose":
                recording.write("/pose", make.pose(T, stamp_ns), stamp_ns)
            else:
                step = make.transform("odom", "base_footprint", T, stamp_ns)
                recording.write("/tf", make.tf(step), stamp_ns)
        if moves == "tf":
            up = make.transform("base_footprint", "base_link", np.eye(4), first_ns)
            recording.write("/tf_static", make.tf(up), first_ns)
        for sample in samples:
            for camera, file, stamp_ns in zip(rig.cameras, sample.image_files, sample.stamps_ns):
                kind = make.raw if raw else make.jpeg
                message = kind(read_image(file), stamp_ns, camera.frame_id)
                topic = f"/sensing/{camera.name}/image" + ("" if raw else "/compressed")
                recording.write(topic, message, stamp_ns)
