"""Drives as a DDAD root in the DGP layout: scene json, rgb, point clouds, calibration, dense depth.

Layout and field names follow TRI's Dataset Governance Policy (DGP) v1.0; every sample holds all
cameras at one stamp, as DDAD's do, and the LiDAR. Dense depth lies in depth/CAMERA/STAMP.npz with
the arrays depth (metres, 0 for sky), instance and ego_mask. There are no annotations.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from fsmde_core.files import write_arrays, write_bytes, write_json
from fsmde_core.geometry import make_transform, rotation_to_quaternion
from fsmde_core.rig import K_to_opencv, Rig
from fsmde_core.street.drive import DriveConfig, FrameSet, render_drive

LIDAR_NAME = "LIDAR"
DATASET_FILE = "scene_dataset_v1.0.json"
TRAIN_SPLIT = "0"  # DGP numbers its splits: train 0, val 1, test 2


def write_scene(root: Path, seed: int, rig: Rig, config: DriveConfig) -> None:
    """Render the drive of a seed into root; returns at once where it is already there."""
    folder = root / f"{seed:06d}"
    if list(folder.glob("scene_*.json")):
        return
    data, samples, calibration_key = [], [], None
    for frames in render_drive(seed, rig, config):
        if calibration_key is None:
            calibration_key = _write_calibration(folder, rig, frames)
        rows = _write_frame_set(folder, seed, frames)
        data += rows
        samples.append(
            {
                "calibration_key": calibration_key,
                "datum_keys": [row["key"] for row in rows],
                "id": _identity("", frames.index, frames.cameras[0].stamp_ns),
                "metadata": {},
            }
        )
    _link(data)
    scene = {
        "name": f"{seed:06d}",
        "description": "rendered by fsmde-street",
        "log": "",
        "ontologies": {},
        "metadata": {},
        "data": data,
        "samples": samples,
    }
    write_json(folder / f"scene_{_key('scene', seed)}.json", scene)


def write_tables(root: Path) -> int:
    """Write the dataset file over all complete scenes of root; returns their number."""
    names = sorted(str(p.relative_to(root)) for p in root.glob("*/scene_*.json"))
    metadata = {
        "name": "fsmde_street",
        "version": "1.0",
        "creation_date": "2020-09-13T00:00:00.000000Z",
        "creator": "fsmde-street",
        "description": "rendered by fsmde-street",
        "available_annotation_types": [],
        "origin": "INTERNAL",
    }
    splits = {TRAIN_SPLIT: {"filenames": names}}
    write_json(root / DATASET_FILE, {"metadata": metadata, "scene_splits": splits})
    return len(names)


def _key(*parts) -> str:
    return hashlib.sha1("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def _identity(name: str, index: int, stamp_ns: int) -> dict:
    moment = datetime.fromtimestamp(stamp_ns // 1_000_000_000, timezone.utc)
    micros = stamp_ns // 1000 % 1_000_000
    stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{micros:06d}Z"
    return {"index": str(index), "log": "", "name": name, "timestamp": stamp}


def _pose(T: np.ndarray) -> dict:
    x, y, z, w = (float(v) for v in rotation_to_quaternion(T[:3, :3]))
    tx, ty, tz = (float(v) for v in T[:3, 3])
    return {
        "rotation": {"qw": w, "qx": x, "qy": y, "qz": z},
        "translation": {"x": tx, "y": ty, "z": tz},
    }


def _write_calibration(folder: Path, rig: Rig, frames: FrameSet) -> str:
    names = [camera.name for camera in rig.cameras]
    extrinsics = [_pose(camera.T_ego_cam) for camera in rig.cameras]
    intrinsics = []
    for camera in rig.cameras:
        K = K_to_opencv(camera.K)
        fx, fy, cx, cy = (float(v) for v in (K[0, 0], K[1, 1], K[0, 2], K[1, 2]))
        intrinsics.append({"fx": fx, "fy": fy, "cx": cx, "cy": cy, "skew": float(K[0, 1])})
    if frames.lidar:
        names.append(LIDAR_NAME)
        extrinsics.append(_pose(frames.lidar.T_ego_lidar))
        intrinsics.append({"fx": 0.0, "fy": 0.0, "cx": 0.0, "cy": 0.0, "skew": 0.0})
    table = {"names": names, "extrinsics": extrinsics, "intrinsics": intrinsics}
    key = _key("calibration", *(camera.T_ego_cam.tobytes().hex() for camera in rig.cameras))
    write_json(folder / "calibration" / f"{key}.json", table)
    return key


def _write_frame_set(folder: Path, seed: int, frames: FrameSet) -> list[dict]:
    """Write the files of one sample; returns its rows."""
    rows = []
    for f in frames.cameras:
        name = f.camera.name
        stem = f"{f.stamp_ns // 1000}"
        write_bytes(folder / "rgb" / name / f"{stem}.jpg", f.jpeg)
        depth = folder / "depth" / name / f"{stem}.npz"
        write_arrays(depth, depth=f.depth, instance=f.instance, ego_mask=f.ego_mask)
        datum = {
            "filename": f"rgb/{name}/{stem}.jpg",
            "height": f.camera.height,
            "width": f.camera.width,
            "channels": 3,
            "annotations": {},
            "metadata": {},
            "pose": _pose(f.T_world_ego @ f.camera.T_ego_cam),
        }
        rows.append(_datum(seed, frames.index, name, f.stamp_ns, {"image": datum}))
    if frames.lidar:
        rows.append(_write_sweep(folder, seed, frames))
    return rows


def _write_sweep(folder: Path, seed: int, frames: FrameSet) -> dict:
    sweep = frames.lidar
    points = sweep.points[:, :4].astype(np.float64)
    points[:, 3] /= 255.0
    name = f"point_cloud/{LIDAR_NAME}/{sweep.stamp_ns // 1000}.npz"
    write_arrays(folder / name, data=points)
    datum = {
        "filename": name,
        "point_format": ["X", "Y", "Z", "INTENSITY"],
        "point_fields": [],
        "annotations": {},
        "metadata": {},
        "pose": _pose(sweep.T_world_ego @ make_transform(np.eye(3), sweep.T_ego_lidar[:3, 3])),
    }
    return _datum(seed, frames.index, LIDAR_NAME, sweep.stamp_ns, {"point_cloud": datum})


def _datum(seed: int, index: int, name: str, stamp_ns: int, datum: dict) -> dict:
    return {
        "key": _key("datum", seed, name, index),
        "id": _identity(name, index, stamp_ns),
        "datum": datum,
        "prev_key": "",
        "next_key": "",
    }


def _link(data: list[dict]) -> None:
    """Chain the data of each sensor by prev_key and next_key."""
    last: dict[str, dict] = {}
    for row in data:
        before = last.get(row["id"]["name"])
        if before:
            before["next_key"], row["prev_key"] = row["key"], before["key"]
        last[row["id"]["name"]] = row
