"""DDAD scenes in the DGP format: one JSON a scene, JPEG images, npz point clouds.

The JSON is protobuf's, which leaves out what has its default: zeros, empty texts and lists.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from fsmde_core.data.sample import (
    DatasetError,
    LidarSweep,
    Sample,
    Samples,
    arrays_in,
    inside_root,
    load_json,
    pose_matrix,
)
from fsmde_core.geometry import invert_transform
from fsmde_core.rig import Camera, Rig, RigError, opencv_to_K

SPLITS = {"train": "0", "val": "1", "test": "2"}  # DGP numbers its splits
STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")  # 0 to 9 digits


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
    path = Path(os.path.abspath(scene_json))  # its folder is its name, linked or not
    try:
        scene = load_json(path)
        data = {datum["key"]: datum for datum in scene["data"]}
        calibrations = {
            key: _Calibration(inside_root(path.parent, f"calibration/{key}.json"))
            for key in dict.fromkeys(sample["calibration_key"] for sample in scene["samples"])
        }
        return [
            _sample(path.parent, sample, data, calibrations[sample["calibration_key"]])
            for sample in scene["samples"]
        ]
    except DatasetError:
        raise
    except KeyError as error:
        raise DatasetError(f"DGP scene {path} lacks {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"DGP scene {path}: {error}") from error


def read_points(sweep: LidarSweep) -> np.ndarray:
    """Points [P, 3] float64 in the sweep's frame, metres."""
    with arrays_in(sweep.file, what=f"point cloud {sweep.file}") as arrays:
        points = arrays["data"]
    if points.ndim != 2 or points.shape[1] < 3 or points.dtype.kind not in "fiu":
        raise DatasetError(
            f"point cloud {sweep.file} is {points.dtype} {points.shape}, not numbers [P, 3]"
        )
    return points[:, :3]


def _dataset_json(root: Path) -> Path:
    if root.is_file():
        return root
    documents = {path: load_json(path) for path in sorted(root.glob("*.json"))}
    found = [p for p, d in documents.items() if isinstance(d, dict) and "scene_splits" in d]
    if len(found) != 1:
        raise DatasetError(f"folder {root} has {len(found)} scene_dataset JSON files, not one")
    return found[0]


def _scene_files(path: Path, split: str) -> list[Path]:
    document = load_json(path)
    if not isinstance(document, dict):
        raise DatasetError(f"{path} is no scene_dataset JSON")
    if "samples" in document:
        return [Path(os.path.abspath(path))]
    splits = document.get("scene_splits")
    if not isinstance(splits, dict):
        raise DatasetError(f"{path}: its scene_splits is {splits!r}, not one list of files a split")
    if split not in SPLITS or SPLITS[split] not in splits:
        known = ", ".join(name for name, number in SPLITS.items() if number in splits)
        raise DatasetError(f"{path} has no split {split!r}; known: {known or 'none'}")
    names = splits[SPLITS[split]]
    names = (names.get("filenames") or []) if isinstance(names, dict) else None
    if not isinstance(names, list):
        raise DatasetError(f"{path}: split {split} has no list of filenames")
    return [inside_root(path.parent, name) for name in names]


def _sample_count(scene_json: Path) -> int:
    """How many samples a scene has; 1 if it cannot be read, so that whoever asks is told why."""
    try:
        return len(load_json(scene_json)["samples"])
    except (DatasetError, KeyError, TypeError):
        return 1


class _Calibration:
    """Where each sensor sits, and K of those that are cameras."""

    def __init__(self, file: Path):
        self.file, self._document = file, load_json(file)

    def T_ego_sensor(self, name: str) -> np.ndarray:
        pose = self._of(name, "extrinsics")
        try:
            return _pose(pose)
        except ValueError as error:
            raise DatasetError(f"{self.file}, {name!r}: {error}") from error

    def camera(self, name: str, image: dict) -> Camera:
        """The camera of an image datum; DatasetError names the file if it has no such camera."""
        k = self._of(name, "intrinsics")
        if not (k.get("fx") and k.get("fy")):
            raise DatasetError(f"{self.file} has no focal length of camera {name!r}")
        K = opencv_to_K(
            [
                [k["fx"], k.get("skew", 0.0), k.get("cx", 0.0)],
                [0, k["fy"], k.get("cy", 0.0)],
                [0, 0, 1],
            ]
        )
        T_ego_cam = self.T_ego_sensor(name)
        try:
            return Camera(
                name, f"{name}_optical_frame", image["width"], image["height"], K, T_ego_cam
            )
        except RigError as error:
            raise DatasetError(f"{self.file}, {name!r}: {error}") from error

    def _of(self, name: str, kind: str) -> dict:
        names, entries = self._document.get("names", []), self._document.get(kind, [])
        index = names.index(name) if name in names else len(entries)
        if index >= len(entries):
            known = ", ".join(map(str, names)) or "nothing"
            raise DatasetError(f"{self.file} has no {kind} of {name!r}; it names {known}")
        return entries[index]


def _sample(root: Path, entry: dict, data: dict, calibration: _Calibration) -> Sample:
    cameras, files, stamps, poses, lidar = [], [], [], [], None
    for key in entry["datum_keys"]:
        identity, datum = data[key]["id"], data[key]["datum"]
        stamp = _stamp_ns(identity["timestamp"])
        if "image" in datum:
            image = datum["image"]
            camera = calibration.camera(identity["name"], image)
            cameras.append(camera)
            files.append(inside_root(root, image["filename"]))
            stamps.append(stamp)
            poses.append(_pose(image["pose"]) @ invert_transform(camera.T_ego_cam))
        elif "point_cloud" in datum:
            cloud = datum["point_cloud"]
            T_ego_lidar = calibration.T_ego_sensor(identity["name"])
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
        no_lidar=f"no point cloud in sample {entry['id']['timestamp']} of {root}",
    )


def _pose(pose: dict) -> np.ndarray:
    q, t = pose.get("rotation", {}), pose.get("translation", {})
    xyzw = [q.get(axis, 0.0) for axis in ("qx", "qy", "qz", "qw")]
    return pose_matrix(xyzw, [t.get(axis, 0.0) for axis in "xyz"])


def _stamp_ns(text: str) -> int:
    found = STAMP.fullmatch(text)
    if found is None:
        raise ValueError(f"timestamp {text!r} is not like 2019-05-15T00:38:58.203752Z")
    instant = datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    since_epoch = instant - datetime(1970, 1, 1, tzinfo=timezone.utc)
    seconds = since_epoch.days * 86_400 + since_epoch.seconds
    return seconds * 10**9 + int((found[2] or "").ljust(9, "0"))
