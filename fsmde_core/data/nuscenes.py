"""nuScenes v1.0 tables, read without the devkit (which needs numpy < 2)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fsmde_core.data.sample import DatasetError, LidarSweep, Sample, inside_root
from fsmde_core.geometry import make_transform, quaternion_to_rotation
from fsmde_core.rig import Camera, Rig, RigError, opencv_to_K

TABLES = ("scene", "sample", "sample_data", "calibrated_sensor", "ego_pose", "sensor")
LIDAR_CHANNEL = "LIDAR_TOP"
POINT_FIELDS = 5  # x, y, z, intensity, ring as float32


def read_keyframes(root: Path | str, version: str) -> list[Sample]:
    """All keyframes of a nuScenes root, scene after scene, in time order.

    version names the folder of tables, v1.0-mini say. The rig has every camera of the keyframe in
    the order of the sensor table, in nuScenes' ego frame (rear axle, on the ground, x forward).
    DatasetError names the table and the token or field that is missing.
    """
    tables = _Tables(Path(root), version)
    samples = []
    for scene in tqdm(tables["scene"].values(), desc="nuScenes scenes", unit="scene", disable=None):
        token = scene["first_sample_token"]
        while token:
            entry = tables.get("sample", token, f"scene {scene['name']}")
            samples.append(_sample(tables, scene["name"], entry))
            token = entry["next"]
    return samples


def read_points(sweep: LidarSweep) -> np.ndarray:
    """Points [P, 3] float32 of a .pcd.bin in the sensor's frame, metres."""
    try:
        data = sweep.file.read_bytes()
    except OSError as error:
        raise DatasetError(f"point cloud {sweep.file}: {error.strerror or error}") from error
    if len(data) % (4 * POINT_FIELDS):
        raise DatasetError(f"point cloud {sweep.file} is truncated: {len(data)} bytes")
    return np.frombuffer(data, "<f4").reshape(-1, POINT_FIELDS)[:, :3]


class _Tables:
    """The tables of one version, each a dict by token."""

    def __init__(self, root: Path, version: str):
        self.root = root
        folder = inside_root(root, version)
        if not folder.is_dir():
            raise DatasetError(f"nuScenes root {root} has no folder {version}")
        self._tables = {name: self._read(folder / f"{name}.json") for name in TABLES}
        self.keyframe_data: dict[str, list[dict]] = {}
        for entry in self["sample_data"].values():
            if entry["is_key_frame"]:
                self.keyframe_data.setdefault(entry["sample_token"], []).append(entry)

    def __getitem__(self, name: str) -> dict[str, dict]:
        return self._tables[name]

    def get(self, name: str, token: str, wanted_by: str) -> dict:
        entry = self._tables[name].get(token)
        if entry is None:
            raise DatasetError(f"{name}.json of {self.root} lacks token {token!r} of {wanted_by}")
        return entry

    @staticmethod
    def _read(path: Path) -> dict[str, dict]:
        try:
            return {entry["token"]: entry for entry in json.loads(path.read_text())}
        except OSError as error:
            raise DatasetError(f"{path}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{path} is not a nuScenes table: {error}") from error


def _sample(tables: _Tables, scene: str, entry: dict) -> Sample:
    where = f"sample {entry['token']}"
    cameras, lidar = [], None
    for data in tables.keyframe_data.get(entry["token"], []):
        calibration = tables.get("calibrated_sensor", data["calibrated_sensor_token"], where)
        sensor = tables.get("sensor", calibration["sensor_token"], where)
        pose = _transform(tables.get("ego_pose", data["ego_pose_token"], where), "ego_pose")
        file = inside_root(tables.root, data["filename"])
        stamp_ns = data["timestamp"] * 1000
        if sensor["modality"] == "camera":
            camera = _camera(sensor["channel"], data, calibration)
            cameras.append((camera, file, stamp_ns, pose))
        elif sensor["channel"] == LIDAR_CHANNEL:
            T_ego_lidar = _transform(calibration, "calibrated_sensor")
            lidar = LidarSweep(file, stamp_ns, pose @ T_ego_lidar)
    if not cameras:
        raise DatasetError(f"sample_data.json of {tables.root} has no camera keyframe for {where}")
    order = [sensor["channel"] for sensor in tables["sensor"].values()]
    cameras.sort(key=lambda view: order.index(view[0].name))
    rig_cameras, files, stamps_ns, poses = zip(*cameras)
    rig, T_world_ego = Rig(rig_cameras), np.stack(poses)
    return Sample(scene, entry["token"], rig, files, stamps_ns, T_world_ego, lidar)


def _camera(channel: str, data: dict, calibration: dict) -> Camera:
    try:
        return Camera(
            name=channel,
            frame_id=f"{channel}_optical_frame",
            width=data["width"],
            height=data["height"],
            K=opencv_to_K(calibration["camera_intrinsic"]),
            T_ego_cam=_transform(calibration, "calibrated_sensor"),
        )
    except (RigError, ValueError) as error:
        token = calibration["token"]
        raise DatasetError(f"calibrated_sensor.json, token {token!r}: {error}") from error


def _transform(entry: dict, table: str) -> np.ndarray:
    w, x, y, z = entry["rotation"]  # nuScenes puts the scalar first
    try:
        return make_transform(quaternion_to_rotation([x, y, z, w]), entry["translation"])
    except ValueError as error:
        raise DatasetError(f"{table}.json, token {entry['token']!r}: {error}") from error
