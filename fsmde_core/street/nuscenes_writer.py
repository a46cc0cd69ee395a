"""Drives as a nuScenes v1.0 root: tables, samples, sweeps, LIDAR_TOP, and dense depth beside.

Layout and fields follow the public nuScenes schema (v1.0). Keyframes come at 2 Hz; the camera
frames and LiDAR sweeps between them go to sweeps/ at 12 Hz. Dense depth lies in depth/ as .npz with
the arrays depth (metres, 0 for sky), instance and ego_mask. There are no annotations.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np

from fsmde_core.files import write_arrays, write_bytes, write_json
from fsmde_core.geometry import rotation_to_quaternion
from fsmde_core.rig import K_to_opencv, Rig
from fsmde_core.street.drive import DriveConfig, FrameSet, render_drive

VERSION = "v1.0-mini"
KEYFRAME_HZ = 2.0
LIDAR_CHANNEL = "LIDAR_TOP"
# The LiDAR is cast in the ego's axes; nuScenes' LIDAR_TOP has x to the right and y ahead.
R_NUSCENES_LIDAR = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
TABLES = (
    "attribute", "calibrated_sensor", "category", "ego_pose", "instance", "log", "map",
    "sample", "sample_annotation", "sample_data", "scene", "sensor", "visibility",
)  # fmt: skip


def write_scene(root: Path, seed: int, rig: Rig, config: DriveConfig) -> None:
    """Render the drive of a seed into root; returns at once where it is already there."""
    if _fragment_path(root, seed).exists():
        return
    scene = _SceneTables(seed, rig)
    key_every = max(1, round(config.rate_hz / KEYFRAME_HZ))
    for frames in render_drive(seed, rig, config):
        _write_frame_set(root, scene, frames, key=frames.index % key_every == 0)
    write_json(_fragment_path(root, seed), scene.finish())


def write_tables(root: Path) -> int:
    """Write the tables over all complete scenes of root; returns their number."""
    fragments = sorted((root / "scenes").glob("scene-*.json"))
    tables: dict[str, list] = {name: [] for name in TABLES}
    seen: set[tuple[str, str]] = set()
    for path in fragments:
        for name, rows in json.loads(path.read_text()).items():
            # Sensors are shared by all scenes.
            fresh = [row for row in rows if (name, row["token"]) not in seen]
            seen.update((name, row["token"]) for row in fresh)
            tables[name] += fresh
    logs = [row["token"] for row in tables["log"]]
    tables["map"] = [
        _row("map", 0, category="semantic_prior", filename="maps/empty.png", log_tokens=logs)
    ]
    _, blank = cv2.imencode(".png", np.zeros((8, 8), np.uint8))
    write_bytes(root / "maps" / "empty.png", blank.tobytes())
    for name, rows in tables.items():
        write_json(root / VERSION / f"{name}.json", rows)
    return len(fragments)


def _fragment_path(root: Path, seed: int) -> Path:
    return root / "scenes" / f"scene-{seed:06d}.json"


def _token(*parts) -> str:
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def _row(*key, **fields) -> dict:
    return {"token": _token(*key), **fields}


def _pose_fields(T: np.ndarray) -> dict:
    x, y, z, w = rotation_to_quaternion(T[:3, :3])
    return {"translation": T[:3, 3].tolist(), "rotation": [float(v) for v in (w, x, y, z)]}


class _SceneTables:
    """The rows of one scene as they come in."""

    def __init__(self, seed: int, rig: Rig):
        self.seed, self.name = seed, f"scene-{seed:06d}"
        self.rows: dict[str, list] = {name: [] for name in TABLES}
        self.chains: dict[str, list[dict]] = {}
        self.rows["log"] = [
            _row(
                "log",
                seed,
                logfile=self.name,
                vehicle="fsmde-street",
                date_captured="2020-09-13",
                location="singapore-onenorth",
            )
        ]
        for camera in rig.cameras:
            self._sensor(camera.name, "camera", camera.T_ego_cam, K_to_opencv(camera.K).tolist())

    def _sensor(self, channel: str, modality: str, T_ego_sensor, K) -> None:
        self.rows["sensor"].append(_row("sensor", channel, channel=channel, modality=modality))
        self.rows["calibrated_sensor"].append(
            _row(
                "calibrated",
                self.seed,
                channel,
                sensor_token=_token("sensor", channel),
                **_pose_fields(T_ego_sensor),
                camera_intrinsic=K,
            )
        )

    def add_sample(self, index: int, stamp_us: int) -> None:
        self.rows["sample"].append(
            _row(
                "sample",
                self.seed,
                index,
                timestamp=stamp_us,
                prev="",
                next="",
                scene_token=_token("scene", self.seed),
            )
        )

    def add_data(
        self, channel: str, index: int, filename: str, stamp_us: int, T_world_ego, size, key: bool
    ) -> None:
        kind = filename.rsplit(".", 1)[-1]
        token = _token("data", self.seed, channel, index)
        self.rows["ego_pose"].append(
            {"token": token, "timestamp": stamp_us, **_pose_fields(T_world_ego)}
        )
        row = {
            "token": token,
            "sample_token": self.rows["sample"][-1]["token"],
            "ego_pose_token": token,
            "calibrated_sensor_token": _token("calibrated", self.seed, channel),
            "timestamp": stamp_us,
            "fileformat": "jpg" if kind == "jpg" else "pcd",
            "is_key_frame": key,
            "height": size[0],
            "width": size[1],
            "filename": filename,
            "prev": "",
            "next": "",
        }
        self.rows["sample_data"].append(row)
        self.chains.setdefault(channel, []).append(row)

    def add_lidar_sensor(self, T_ego_lidar: np.ndarray) -> None:
        if LIDAR_CHANNEL not in self.chains:
            T = T_ego_lidar.copy()
            T[:3, :3] = T[:3, :3] @ R_NUSCENES_LIDAR.T
            self._sensor(LIDAR_CHANNEL, "lidar", T, [])

    def finish(self) -> dict:
        for chain in (*self.chains.values(), self.rows["sample"]):
            for before, after in zip(chain[:-1], chain[1:]):
                before["next"], after["prev"] = after["token"], before["token"]
        samples = self.rows["sample"]
        self.rows["scene"] = [
            _row(
                "scene", self.seed, log_token=_token("log", self.seed), nbr_samples=len(samples),
                first_sample_token=samples[0]["token"], last_sample_token=samples[-1]["token"],
                name=self.name, description="rendered by fsmde-street",
            )
        ]  # fmt: skip
        return self.rows


def _write_frame_set(root: Path, scene: _SceneTables, frames: FrameSet, *, key: bool) -> None:
    """Write the files of one frame set, then their rows."""
    folder = "samples" if key else "sweeps"
    stamps = [f.stamp_ns for f in frames.cameras]
    if key:
        stamp = frames.lidar.stamp_ns if frames.lidar else max(stamps)
        scene.add_sample(frames.index, stamp // 1000)
    for f in frames.cameras:
        stamp_us, channel = f.stamp_ns // 1000, f.camera.name
        stem = f"{scene.name}__{channel}__{stamp_us}"
        write_bytes(root / folder / channel / f"{stem}.jpg", f.jpeg)
        depth = root / "depth" / channel / f"{stem}.npz"
        write_arrays(depth, depth=f.depth, instance=f.instance, ego_mask=f.ego_mask)
        size = (f.camera.height, f.camera.width)
        scene.add_data(
            channel,
            frames.index,
            f"{folder}/{channel}/{stem}.jpg",
            stamp_us,
            f.T_world_ego,
            size,
            key,
        )
    if frames.lidar:
        sweep = frames.lidar
        scene.add_lidar_sensor(sweep.T_ego_lidar)
        points = sweep.points.copy()
        points[:, :3] = sweep.points[:, :3] @ R_NUSCENES_LIDAR.astype(np.float32).T
        stamp_us = sweep.stamp_ns // 1000
        name = f"{folder}/{LIDAR_CHANNEL}/{scene.name}__{LIDAR_CHANNEL}__{stamp_us}.pcd.bin"
        write_bytes(root / name, points.tobytes())
        scene.add_data(LIDAR_CHANNEL, frames.index, name, stamp_us, sweep.T_world_ego, (0, 0), key)
