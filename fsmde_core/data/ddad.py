"""DDAD scenes in the DGP format: one JSON a scene, JPEG images, npz point clouds."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from fsmde_core.data.sample import DatasetError, LidarSweep, Sample, inside_root
from fsmde_core.geometry import invert_transform, make_transform, quaternion_to_rotation
from fsmde_core.rig import Camera, Rig, opencv_to_K


def read_scene(scene_json: Path | str) -> list[Sample]:
    """All samples of one DGP scene, in time order.

    Cameras keep the scene's order and names. DatasetError names a missing file, key or datum.
    """
    path = Path(scene_json)
    try:
        scene = _load_json(path)
        data = {datum["key"]: datum for datum in scene["data"]}
        calibrations = {
            sample["calibration_key"]: _load_json(
                path.parent / "calibration" / f"{sample['calibration_key']}.json"
            )
            for sample in scene["samples"]
        }
        return [
            _sample(path, sample, data, calibrations[sample["calibration_key"]])
            for sample in scene["samples"]
        ]
    except KeyError as error:
        raise DatasetError(f"DGP scene {path} lacks {error}") from error


def read_points(sweep: LidarSweep) -> np.ndarray:
    """Points [P, 3] float64 in the sweep's frame, metres."""
    try:
        with np.load(sweep.file, allow_pickle=False) as archive:
            return archive["data"][:, :3]
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(f"point cloud {sweep.file}: {error}") from error


def _load_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise DatasetError(f"{path} is not JSON: {error}") from error


def _sample(scene_json: Path, entry: dict, data: dict, calibration: dict) -> Sample:
    root = scene_json.parent
    cameras, files, stamps, poses, lidar = [], [], [], [], None
    for key in entry["datum_keys"]:
        identity, datum = data[key]["id"], data[key]["datum"]
        stamp = _stamp_ns(identity["timestamp"])
        if "image" in datum:
            image = datum["image"]
            camera = _camera(identity["name"], image, calibration)
            cameras.append(camera)
            files.append(inside_root(root, image["filename"]))
            stamps.append(stamp)
            poses.append(_pose(image["pose"]) @ invert_transform(camera.T_ego_cam))
        elif "point_cloud" in datum:
            cloud = datum["point_cloud"]
            lidar = LidarSweep(inside_root(root, cloud["filename"]), stamp, _pose(cloud["pose"]))
    return Sample(
        scene=scene_json.stem,
        token=entry["id"]["timestamp"],
        rig=Rig(tuple(cameras)),
        image_files=tuple(files),
        stamps_ns=tuple(stamps),
        T_world_ego=np.stack(poses),
        lidar=lidar,
    )


def _camera(name: str, image: dict, calibration: dict) -> Camera:
    index = calibration["names"].index(name)
    k = calibration["intrinsics"][index]
    K_opencv = [[k["fx"], k["skew"], k["cx"]], [0, k["fy"], k["cy"]], [0, 0, 1]]
    return Camera(
        name=name,
        frame_id=f"{name}_optical_frame",
        width=image["width"],
        height=image["height"],
        K=opencv_to_K(K_opencv),
        T_ego_cam=_pose(calibration["extrinsics"][index]),
    )


def _pose(pose: dict) -> np.ndarray:
    q, t = pose["rotation"], pose["translation"]
    rotation = quaternion_to_rotation([q["qx"], q["qy"], q["qz"], q["qw"]])
    return make_transform(rotation, [t["x"], t["y"], t["z"]])


def _stamp_ns(text: str) -> int:
    instant = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    since_epoch = instant - datetime(1970, 1, 1, tzinfo=timezone.utc)
    microseconds = (since_epoch.days * 86_400 + since_epoch.seconds) * 10**6
    return (microseconds + since_epoch.microseconds) * 1000
