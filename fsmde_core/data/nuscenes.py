"""nuScenes v1.0 tables, read without the devkit (which needs numpy < 2)."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from fsmde_core.data.nuscenes_splits import split_scenes
from fsmde_core.data.sample import (
    DatasetError,
    LidarSweep,
    Sample,
    Samples,
    inside_root,
    load_json,
    pose_matrix,
)
from fsmde_core.rig import Camera, Rig, RigError, opencv_to_K

LIDAR_CHANNEL = "LIDAR_TOP"
POINT_FIELDS = 5  # x, y, z, intensity, ring as float32
BARE_FIELDS = 4  # the same without the ring, as converters from other datasets write it
MAX_RING = 1023  # more beams than any sensor has
WHOLE_VERSION = "all"
FIELDS = {
    "scene": {"name": str, "first_sample_token": str},
    "sample": {"scene_token": str, "next": str},
    "sensor": {"channel": str, "modality": str},
    "calibrated_sensor": {"sensor_token": str},
    "sample_data": {
        "sample_token": str, "calibrated_sensor_token": str, "ego_pose_token": str,
        "timestamp": int, "is_key_frame": bool,
    },
    "ego_pose": {},
}  # fmt: skip
"""What the entries of a table must have to be found; the rest is asked for sample by sample."""
KINDS = {str: "a text", int: "a whole number", bool: "true or false"}


def version_in(root: Path | str) -> str:
    """The folder of tables that a root has: v1.0-trainval, or v1.0-mini where that is not there."""
    mini, whole = "v1.0-mini", "v1.0-trainval"
    there = (Path(root) / mini).is_dir() and not (Path(root) / whole).is_dir()
    return mini if there else whole


def read_keyframes(
    root: Path | str,
    version: str,
    *,
    split: str = WHOLE_VERSION,
    scene: str | None = None,
    past_sweeps: int = 0,
) -> Samples:
    """The annotated keyframes (2 Hz) of a nuScenes root, scene after scene, in time order.

    version names the folder of tables, v1.0-mini say; split one of nuscenes_splits, or all scenes
    of the version; scene the only one wanted. Of other scenes nothing is kept. past_sweeps is how
    many LiDAR sweeps (20 Hz) before the keyframe's own each Sample names too. The rig has every
    camera of the keyframe in the order of the sensor table, in nuScenes' ego frame (rear axle, on
    the ground, x forward). DatasetError names the table and the token or field that is missing: at
    once for a table, for a sample when it is asked for.
    """
    tables = _Tables(Path(root), version, all_cameras=False, all_lidar=past_sweeps > 0)
    scenes = tables.load(split, scene)
    entries = [(s["name"], token) for s in scenes for token in tables.sample_tokens(s)]

    return Samples(entries, partial(_keyframe, tables, past_sweeps))


def read_sweeps(
    root: Path | str,
    version: str,
    *,
    split: str = WHOLE_VERSION,
    scene: str | None = None,
    past_sweeps: int = 0,
) -> Samples:
    """All images of a nuScenes root (12 Hz), keyframes among them, as sets of one per camera.

    A set is an image of the first camera with the images of the others and the LiDAR sweep nearest
    to the time at which they fire after it in keyframes (the cameras fire over 45 ms of 83 ms); its
    token is the sample_data token of the first. Otherwise as read_keyframes.
    """
    tables = _Tables(Path(root), version, all_cameras=True, all_lidar=True)
    entries, sets = [], {}
    for entry in tables.load(split, scene):
        for token, data in _sweep_sets(tables, entry):
            entries.append((entry["name"], token))
            sets[token] = data

    return Samples(entries, partial(_sweep_set, tables, sets, past_sweeps))


def _keyframe(tables: _Tables, past_sweeps: int, scene: str, token: str) -> Sample:
    tables.get("sample", token, f"scene {scene}")
    return _whole_sample(tables, scene, token, tables.keyframes.get(token, []), past_sweeps)


def _sweep_set(
    tables: _Tables, sets: dict[str, list[dict]], past_sweeps: int, scene: str, token: str
) -> Sample:
    return _whole_sample(tables, scene, token, sets[token], past_sweeps)


def read_points(sweep: LidarSweep) -> np.ndarray:
    """Points [P, 3] float32 of a .pcd.bin in the sensor's frame, metres.

    Of 5 floats a point, or of 4 without the ring. DatasetError for a file that is cut short.
    """
    try:
        data = sweep.file.read_bytes()
    except OSError as error:
        raise DatasetError(f"point cloud {sweep.file}: {error.strerror or error}") from error
    values = np.frombuffer(data, "<f4", count=len(data) // 4)
    fields = _fields_of(values) if 4 * len(values) == len(data) else None
    if fields is None:
        raise DatasetError(
            f"point cloud {sweep.file} is truncated, or not of {POINT_FIELDS} or {BARE_FIELDS} "
            f"floats a point: {len(data)} bytes"
        )
    return values.reshape(-1, fields)[:, :3]


def _fields_of(values: np.ndarray) -> int | None:
    """Floats of a point, 5 or 4; None if neither can be.

    The length alone does not tell: every fifth cloud of 4 floats could be one of 5, and one of 5
    that was cut at a page of the disk one of 4. Rings are small whole numbers, and intensities are
    never negative; of coordinates read as either some always are.
    """
    five, four = (
        values.reshape(-1, n) if len(values) and not len(values) % n else None
        for n in (POINT_FIELDS, BARE_FIELDS)
    )
    with np.errstate(invalid="ignore"):
        if five is not None and four is not None:
            ring = five[:, 4]
            if ((ring == np.floor(ring)) & (ring >= 0) & (ring <= MAX_RING)).all():
                return POINT_FIELDS
        if four is not None and (four[:, 3] >= 0).all():
            return BARE_FIELDS
    return None if five is None else POINT_FIELDS


def _no_tables(root: Path, version: str) -> str:
    """That a root, or its folder of tables, is not there, and which folder has tables."""
    if not root.is_dir():
        return f"nuScenes root {root} is no folder"
    found = min([*root.glob("*/scene.json"), *root.glob("*/*/scene.json")], default=None)
    hint = f"; there are tables in {found.parent}" if found else ""
    return f"nuScenes root {root} has no folder {version}{hint}"


class _Tables:
    """The tables of one version by token; of sample_data and ego_pose only what is asked for."""

    def __init__(self, root: Path, version: str, *, all_cameras: bool, all_lidar: bool):
        self.root, self.version = root, version
        self._folder = inside_root(root, version)
        if not self._folder.is_dir():
            raise DatasetError(_no_tables(root, version))
        names = ("scene", "sample", "sensor", "calibrated_sensor")
        self._tables = {name: self._read(name) for name in names}
        self._all = {"camera": all_cameras, "lidar": all_lidar}
        sensors = self._tables["sensor"].values()
        self.channels = [sensor["channel"] for sensor in sensors]
        self.cameras = [s["channel"] for s in sensors if s["modality"] == "camera"]
        self.lidars = [s["channel"] for s in sensors if s["modality"] == "lidar"]
        self._scene_tokens: set[str] = set()
        self.keyframes: dict[str, list[dict]] = {}
        self.by_sample: dict[str, list[dict]] = {}

    def load(self, split: str, scene: str | None) -> list[dict]:
        """Read what belongs to the wanted scenes, and return these."""
        scenes = self._scenes(split, scene)
        self._scene_tokens = {entry["token"] for entry in scenes}
        data = self._tables["sample_data"] = self._read("sample_data", self._wanted)
        poses = {entry["ego_pose_token"] for entry in data.values()}
        self._tables["ego_pose"] = self._read("ego_pose", lambda entry: entry["token"] in poses)
        for entry in data.values():
            self.by_sample.setdefault(entry["sample_token"], []).append(entry)
            if entry["is_key_frame"]:
                self.keyframes.setdefault(entry["sample_token"], []).append(entry)
        return scenes

    def get(self, name: str, token: str, wanted_by: str) -> dict:
        entry = self._tables[name].get(token)
        if entry is None:
            raise DatasetError(f"{name}.json of {self.root} lacks token {token!r} of {wanted_by}")
        return entry

    def _scenes(self, split: str, scene: str | None) -> list[dict]:
        scenes = list(self._tables["scene"].values())
        if split != WHOLE_VERSION:
            names = split_scenes(split)
            known = ", ".join(entry["name"] for entry in scenes[:3]) or "none"
            known += ", ..." * (len(scenes) > 3)
            scenes = [entry for entry in scenes if entry["name"] in names]
            if not scenes:
                raise DatasetError(
                    f"{self.root}/{self.version} has no scene of the split {split!r} "
                    f"(there are {known}); the split {WHOLE_VERSION!r} takes every scene"
                )
        if scene is None:
            return scenes
        chosen = [entry for entry in scenes if entry["name"] == scene]
        if not chosen:
            known = ", ".join(entry["name"] for entry in scenes[:20])
            raise DatasetError(f"{self.root}/{self.version} has no scene {scene!r}; known: {known}")
        return chosen

    def sample_tokens(self, scene: dict) -> list[str]:
        """In time order; a dangling token comes last, so that whoever asks for it is told."""
        tokens, token = [], scene["first_sample_token"]
        while token and token not in tokens:
            tokens.append(token)
            token = self._tables["sample"].get(token, {"next": ""})["next"]
        return tokens

    def sensor_of(self, data: dict) -> dict:
        where = f"sample_data {data['token']}"
        calibration = self.get("calibrated_sensor", data["calibrated_sensor_token"], where)
        return self.get("sensor", calibration["sensor_token"], where)

    def _wanted(self, entry: dict) -> bool:
        sample = self._tables["sample"].get(entry["sample_token"])
        if sample is None or sample["scene_token"] not in self._scene_tokens:
            return False
        calibration = self._tables["calibrated_sensor"].get(entry["calibrated_sensor_token"], {})
        sensor = self._tables["sensor"].get(calibration.get("sensor_token"))
        if sensor is None:
            return entry["is_key_frame"]  # dangling: kept, so that its sample says so
        return sensor["modality"] != "radar" and (
            entry["is_key_frame"] or self._all.get(sensor["modality"], False)
        )

    def _read(self, name: str, wanted: Callable[[dict], bool] | None = None) -> dict[str, dict]:
        """One table by token. Unwanted entries are dropped while parsing: of the gigabytes of
        v1.0-trainval's sample_data a tenth is kept."""
        path = self._folder / f"{name}.json"

        def kept(found: dict) -> dict | None:
            try:
                return found if wanted(found) else None
            except (KeyError, TypeError):  # an object within an entry: a field of a converter
                return found

        entries = load_json(path, each_object=kept if wanted else None)
        try:
            entries = [entry for entry in entries if entry is not None]
            table = {entry["token"]: entry for entry in entries if not wanted or wanted(entry)}
        except (KeyError, TypeError) as error:
            raise DatasetError(f"{path} is not a nuScenes table: {error!r}") from error
        for token, entry in table.items():
            _check_fields(path, token, entry, FIELDS[name])
        return table


def _check_fields(path: Path, token: str, entry: dict, kinds: dict[str, type]) -> None:
    for field, kind in kinds.items():
        value = entry.get(field)
        if not isinstance(value, int if kind is bool else kind):  # converters write 0 and 1
            found = f"its {field} is {value!r}" if field in entry else f"it has no {field}"
            raise DatasetError(f"{path}, token {token!r}: {found}, which must be {KINDS[kind]}")


def _sweep_sets(tables: _Tables, scene: dict) -> list[tuple[str, list[dict]]]:
    by_channel: dict[str, list[dict]] = {}
    for token in tables.sample_tokens(scene):
        for data in tables.by_sample.get(token, []):
            by_channel.setdefault(tables.sensor_of(data)["channel"], []).append(data)
    for frames in by_channel.values():
        frames.sort(key=lambda data: data["timestamp"])
    first = next((c for c in tables.channels if c != LIDAR_CHANNEL and c in by_channel), None)
    if first is None:
        raise DatasetError(f"sample_data.json of {tables.root} has no image of {scene['name']}")
    sets = []
    lags = _lags(by_channel, first)
    for data in by_channel[first]:
        due = {channel: data["timestamp"] + lags[channel] for channel in by_channel}
        sets.append((data["token"], [_nearest(by_channel[c], due[c]) for c in by_channel]))
    return sets


def _lags(by_channel: dict[str, list[dict]], first: str) -> dict[str, int]:
    """How much later than the first camera each sensor fires in a keyframe, microseconds."""
    lags = {}
    for channel, frames in by_channel.items():
        own = {data["sample_token"]: data["timestamp"] for data in frames if data["is_key_frame"]}
        pairs = [
            own[data["sample_token"]] - data["timestamp"]
            for data in by_channel[first]
            if data["is_key_frame"] and data["sample_token"] in own
        ]
        lags[channel] = int(np.median(pairs)) if pairs else 0
    return lags


def _nearest(frames: list[dict], timestamp: int) -> dict:
    after = bisect.bisect_left(frames, timestamp, key=lambda data: data["timestamp"])
    around = frames[max(after - 1, 0) : after + 1]
    return min(around, key=lambda data: abs(data["timestamp"] - timestamp))


def _whole_sample(
    tables: _Tables, scene: str, token: str, frames: list[dict], past_sweeps: int
) -> Sample:
    """The Sample of these files; DatasetError if a camera of the version is not among them."""
    try:
        sample = _sample(tables, scene, token, frames, past_sweeps)
    except DatasetError:
        raise
    except KeyError as error:
        raise DatasetError(f"tables of {tables.root}: sample {token} lacks {error}") from error
    except (RigError, TypeError, ValueError) as error:
        raise DatasetError(f"tables of {tables.root}: sample {token}: {error}") from error
    missing = [name for name in tables.cameras if name not in sample.rig.names]
    if missing:
        raise DatasetError(
            f"sample_data.json of {tables.root} has no image of {missing[0]} for sample {token}"
        )
    return sample


def _sample(
    tables: _Tables, scene: str, token: str, frames: list[dict], past_sweeps: int
) -> Sample:
    where, cameras, lidar, past = f"sample {token}", [], None, ()
    for data in frames:
        calibration = tables.get("calibrated_sensor", data["calibrated_sensor_token"], where)
        sensor = tables.get("sensor", calibration["sensor_token"], where)
        if sensor["modality"] == "camera":
            camera = _camera(sensor["channel"], data, calibration)
            pose = _transform(tables.get("ego_pose", data["ego_pose_token"], where), "ego_pose")
            file = inside_root(tables.root, data["filename"])
            cameras.append((camera, file, data["timestamp"] * 1000, pose))
        elif sensor["channel"] == LIDAR_CHANNEL:
            lidar = _lidar_sweep(tables, data, where)
            past = _past_sweeps(tables, data, past_sweeps, where)
    if not cameras:
        raise DatasetError(f"sample_data.json of {tables.root} has no camera keyframe for {where}")
    cameras.sort(key=lambda view: tables.channels.index(view[0].name))
    rig_cameras, files, stamps_ns, poses = zip(*cameras)
    rig, T_world_ego = Rig(rig_cameras), np.stack(poses)
    others = ", ".join(tables.lidars) or "none"
    no_lidar = f"no sweep of {LIDAR_CHANNEL}; LiDAR channels of {tables.root}: {others}"
    return Sample(scene, token, rig, files, stamps_ns, T_world_ego, lidar, past, no_lidar)


def _lidar_sweep(tables: _Tables, data: dict, where: str) -> LidarSweep:
    calibration = tables.get("calibrated_sensor", data["calibrated_sensor_token"], where)
    T_world_ego = _transform(tables.get("ego_pose", data["ego_pose_token"], where), "ego_pose")
    T_ego_lidar = _transform(calibration, "calibrated_sensor")
    file = inside_root(tables.root, data["filename"])
    return LidarSweep(file, data["timestamp"] * 1000, T_world_ego @ T_ego_lidar, T_ego_lidar)


def _past_sweeps(tables: _Tables, data: dict, count: int, where: str) -> tuple[LidarSweep, ...]:
    """Up to `count` sweeps before data; fewer at the start of a scene."""
    sweeps = []
    while len(sweeps) < count and data["prev"]:
        data = tables.get("sample_data", data["prev"], where)
        sweeps.append(_lidar_sweep(tables, data, where))
    return tuple(sweeps)


def _camera(channel: str, data: dict, calibration: dict) -> Camera:
    T_ego_cam, intrinsic = _transform(calibration, "calibrated_sensor"), "camera_intrinsic"
    sides = {"width": int, "height": int}
    _check_fields(Path("sample_data.json"), data["token"], data, sides)
    try:
        if np.shape(calibration[intrinsic]) != (3, 3):
            raise ValueError(f"{intrinsic} of {channel} is no 3x3 matrix: {calibration[intrinsic]}")
        return Camera(
            name=channel,
            frame_id=f"{channel}_optical_frame",
            width=data["width"],
            height=data["height"],
            K=opencv_to_K(calibration[intrinsic]),
            T_ego_cam=T_ego_cam,
        )
    except (RigError, ValueError) as error:
        token = calibration["token"]
        raise DatasetError(f"calibrated_sensor.json, token {token!r}: {error}") from error


def _transform(entry: dict, table: str) -> np.ndarray:
    try:
        for field, count in (("rotation", 4), ("translation", 3)):
            if np.shape(entry[field]) != (count,):
                raise ValueError(f"{field} is {entry[field]!r}, not {count} numbers")
        w, x, y, z = entry["rotation"]  # nuScenes puts the scalar first
        return pose_matrix([x, y, z, w], entry["translation"])
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{table}.json, token {entry['token']!r}: {error}") from error
