"""DDAD scenes in the DGP format: one JSON a scene, JPEG images, npz point clouds."""

from __future__ import annotations

import json
import zipfile
import zlib
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from fsmde_core.data.sample import DatasetError, LidarSweep, Sample, Samples, inside_root
from fsmde_core.geometry import invert_transform, make_transform, quaternion_to_rotation
from fsmde_core.rig import Camera, Rig, opencv_to_K

SPLITS = {"train": "0", "val": "1", "test": "2"}  # DGP numbers its splits


def read_dataset(root: Path | str, *, split: str) -> Samples:
    """The samples of one split, scene after scene, in time order.

    root is a scene_dataset JSON (ddad.json), a folder with just one in it, or the JSON of a single
    scene, which is of no split. DatasetError names a missing file, key or datum: at once for the
    dataset, for a scene when its samples are asked for.
    """
    path = _dataset_json(Path(root))
    entries, scenes = [], {}
    for scene_json in _scene_files(path, split):
        scenes[scene_json.parent.name] = scene_json
        entries += [(scene_json.parent.name, str(i)) for i in range(_sample_count(scene_json))]
    return Samples(entries, _Scenes(scenes))


class _Scenes:
    """Samples by scene and number; a class, so that processes that read can be handed it."""

    def __init__(self, files: dict[str, Path]):
        self._files, self._kept = files, {}

    def __call__(self, scene: str, index: str) -> Sample:
        if scene not in self._kept:  # samples are asked for scene after scene
            self._kept = {scene: read_scene(self._files[scene])}
        return self._kept[scene][int(index)]


def read_scene(scene_json: Path | str) -> list[Sample]:
    """All samples of one DGP scene, in time order.

    Cameras keep the scene's order and names; the scene's name is its folder's. DatasetError names a
    missing file, key or datum.
    """
    path = Path(scene_json)
    try:
        scene = _load_json(path)
        data = {datum["key"]: datum for datum in scene["data"]}
        calibrations = {
            key: _load_json(inside_root(path.parent, f"calibration/{key}.json"))
            for key in dict.fromkeys(sample["calibration_key"] for sample in scene["samples"])
        }
        return [
            _sample(path, sample, data, calibrations[sample["calibration_key"]])
            for sample in scene["samples"]
        ]
    except DatasetError:
        raise
    except KeyError as error:
        raise DatasetError(f"DGP scene {path} lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise DatasetError(f"DGP scene {path}: {error}") from error


def read_points(sweep: LidarSweep) -> np.ndarray:
    """Points [P, 3] float64 in the sweep's frame, metres."""
    try:
        with np.load(sweep.file, allow_pickle=False) as archive:
            return archive["data"][:, :3]
    except OSError as error:
        raise DatasetError(f"point cloud {sweep.file}: {error.strerror or error}") from error
    except (KeyError, ValueError, IndexError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(f"point cloud {sweep.file} is not whole: {error}") from error


def _dataset_json(root: Path) -> Path:
    if root.is_file():
        return root
    found = [path for path in sorted(root.glob("*.json")) if "scene_splits" in _load_json(path)]
    if len(found) != 1:
        raise DatasetError(f"folder {root} has {len(found)} scene_dataset JSON files, not one")
    return found[0]


def _scene_files(path: Path, split: str) -> list[Path]:
    document = _load_json(path)
    if "samples" in document:
        return [path.resolve()]
    splits = document.get("scene_splits", {})
    if split not in SPLITS or SPLITS[split] not in splits:
        known = ", ".join(name for name, number in SPLITS.items() if number in splits)
        raise DatasetError(f"{path} has no split {split!r}; known: {known or 'none'}")
    return [inside_root(path.parent, name) for name in splits[SPLITS[split]]["filenames"]]


def _sample_count(scene_json: Path) -> int:
    """How many samples a scene has; 1 if it cannot be read, so that whoever asks is told why."""
    try:
        return len(_load_json(scene_json)["samples"])
    except (DatasetError, KeyError):
        return 1


def _load_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise DatasetError(f"{path} is not JSON: {error}") from error


def _sample(scene_json: Path, entry: dict, data: dict, calibration: dict) -> Sample:
    root = scene_json.resolve().parent
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
            index = calibration["names"].index(identity["name"])
            T_ego_lidar = _pose(calibration["extrinsics"][index])
            file = inside_root(root, cloud["filename"])
            lidar = LidarSweep(file, stamp, _pose(cloud["pose"]), T_ego_lidar)
    return Sample(
        scene=root.name,
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
