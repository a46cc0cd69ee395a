"""Rigs to render with: nuScenes' and DDAD's six cameras, and random ones.

random: four to eight cameras around a car's roof, as on the datasets' vehicles. varied: one to six
cameras of any make, on anything from a delivery robot to a lorry, in tall images. world: one to
eight as they are mounted, rings, fans to the front, pairs and loose ones, in images of any shape.
low: six wide cameras at the height of a bumper, which no training set has.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fsmde_core.geometry import make_transform, quaternion_to_rotation
from fsmde_core.rig import Camera, Rig, opencv_to_K
from fsmde_core.street.mesh import rotation_z

RIG_NAMES = ("nuscenes", "ddad", "random", "varied", "world", "low")

# Figures of nuScenes scene-0061: name, focal length, cx, cy (px), translation (m), rotation wxyz.
NUSCENES_SIZE = (1600, 900)
NUSCENES = (
    ("CAM_FRONT", 1266.417, 816.267, 491.507,
     (1.7008, 0.0159, 1.5110), (-0.4998015, 0.5030316, -0.4997798, 0.4973708)),
    ("CAM_FRONT_LEFT", 1272.598, 826.615, 479.752,
     (1.5239, 0.4946, 1.5093), (0.6757265, -0.6736267, 0.2121401, -0.2112283)),
    ("CAM_BACK_LEFT", 1256.741, 792.113, 492.776,
     (1.0357, 0.4848, 1.5910), (-0.6924186, 0.7031619, 0.1164834, -0.1120332)),
    ("CAM_BACK", 809.221, 829.220, 481.778,
     (0.0283, 0.0035, 1.5791), (0.5037873, -0.4974025, -0.4941850, 0.5045496)),
    ("CAM_BACK_RIGHT", 1259.514, 807.253, 501.196,
     (1.0149, -0.4806, 1.5624), (-0.1228098, 0.1324008, 0.7004306, -0.6904960)),
    ("CAM_FRONT_RIGHT", 1260.847, 807.968, 495.334,
     (1.5508, -0.4934, 1.4957), (0.2060348, -0.2026941, 0.6824508, -0.6713611)),
)  # fmt: skip

# Figures of DDAD's first three cameras. The other three are not in the published sample: they are
# the mirror images one would expect (05 and 06 turned backwards, 01 with a wide lens to the back).
DDAD_SIZE = (1936, 1216)
DDAD = (
    ("CAMERA_01", 2162.0, 951.52, 604.99, (1.652, 0.0, 1.355), 0.0),
    ("CAMERA_05", 1059.6, 939.47, 622.47, (1.649, 0.391, 1.363), 51.6),
    ("CAMERA_06", 1053.4, 943.15, 597.24, (1.656, -0.457, 1.372), -70.3),
    ("CAMERA_07", 1056.0, 945.0, 605.0, (-0.55, 0.42, 1.37), 128.0),
    ("CAMERA_08", 1056.0, 945.0, 605.0, (-0.55, -0.42, 1.37), -128.0),
    ("CAMERA_09", 1056.0, 945.0, 605.0, (-0.75, 0.0, 1.36), 180.0),
)  # fmt: skip


def make_rig(name: str, *, seed: int = 0, jitter: float = 0.0) -> Rig:
    """A rig of RIG_NAMES at full resolution; ValueError for any other name.

    jitter 1 turns every camera by about half a degree and shifts it by a centimetre (one sigma),
    as between vehicles of one fleet; seed also draws the random rigs. Pixels are square.
    """
    rng = np.random.default_rng([seed, 0x519])
    if name == "nuscenes":
        cameras = [_nuscenes_camera(*row) for row in NUSCENES]
    elif name == "ddad":
        cameras = [
            _camera(n, DDAD_SIZE, f, (cx, cy), at, yaw, 0.0) for n, f, cx, cy, at, yaw in DDAD
        ]
    elif name == "random":
        cameras = _random_cameras(rng)
    elif name == "varied":
        cameras = _varied_cameras(rng)
    elif name == "world":
        cameras = _world_cameras(rng)
    elif name == "low":
        cameras = _low_cameras()
    else:
        raise ValueError(f"unknown rig {name!r}; known: {', '.join(RIG_NAMES)}")
    return Rig(tuple(_jittered(camera, rng, jitter) for camera in cameras))


def _nuscenes_camera(name, focal, cx, cy, translation, wxyz) -> Camera:
    R = quaternion_to_rotation(np.array([*wxyz[1:], wxyz[0]]) / np.linalg.norm(wxyz))
    K = opencv_to_K(np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1.0]]))
    T_ego_cam = make_transform(R, np.array(translation))
    return Camera(name, name.lower(), *NUSCENES_SIZE, K, T_ego_cam)


def _camera(name, size, focal, centre, translation, yaw_deg, pitch_deg) -> Camera:
    level = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0.0]])
    c, s = np.cos(np.radians(pitch_deg)), np.sin(np.radians(pitch_deg))
    nod = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])  # positive pitch looks up
    R = rotation_z(np.radians(yaw_deg)) @ level @ nod
    K = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1.0]])
    T_ego_cam = make_transform(R, np.array(translation))
    return Camera(name, name.lower(), *size, K, T_ego_cam)


def _random_cameras(rng: np.random.Generator) -> list[Camera]:
    """Four to eight cameras around the roof: heights, pitches and fields of view at random."""
    count = int(rng.integers(4, 9))
    width, height = ((1280, 720), (1600, 900), (1920, 1200))[rng.integers(3)]
    roof, turn = rng.uniform(1.42, 2.2), rng.normal(0, 0.03)
    cameras = []
    for k in range(count):
        yaw = 360.0 * k / count + np.degrees(turn) + rng.normal(0, 2)
        view = np.radians(rng.uniform(360 / count * 1.0, min(120.0, 360 / count * 1.5)))
        focal = width / 2 / np.tan(view / 2)
        centre = (width / 2 + rng.normal(0, 8), height / 2 + rng.normal(0, 12))
        at = (
            0.9 + 0.8 * np.cos(np.radians(yaw)),
            0.5 * np.sin(np.radians(yaw)),
            roof + rng.normal(0, 0.02),
        )
        cameras.append(
            _camera(f"CAM_{k}", (width, height), focal, centre, at, yaw, rng.uniform(-7, 2))
        )
    return cameras


VARIED_SIZE = (1280, 896)
VIEW_DEG = (30.0, 130.0)
HEIGHT_M = (0.4, 3.0)
PITCH_DEG, ROLL_DEG = 15.0, 5.0
ROOF_M = 1.6  # from here on cameras stand on the roof, below it along the body's outline


def _varied_cameras(rng: np.random.Generator) -> list[Camera]:
    """One to six cameras that look outwards, each with a view, pitch and roll of its own.

    They share a height within a hand's breadth. A tall image, from which windows of any shape can
    be cut with square pixels.
    """
    count, around = int(rng.integers(1, 7)), rng.uniform(0, 360)
    height = np.exp(rng.uniform(*np.log(HEIGHT_M)))
    length, width = (0.8, 0.5) if height > ROOF_M else (2.4, 1.1)
    cameras = []
    for k in range(count):
        yaw = around + 360.0 * k / count + rng.normal(0, 15)
        focal = VARIED_SIZE[0] / 2 / np.tan(np.radians(rng.uniform(*VIEW_DEG)) / 2)
        centre = (np.array(VARIED_SIZE) / 2 + rng.normal(0, 12, 2)).tolist()
        at = (
            1.3 + length * np.cos(np.radians(yaw)),
            width * np.sin(np.radians(yaw)),
            float(np.clip(height + rng.normal(0, 0.05), *HEIGHT_M)),
        )
        pitch, roll = rng.uniform(-PITCH_DEG, PITCH_DEG), rng.uniform(-ROLL_DEG, ROLL_DEG)
        camera = _camera(f"CAM_{k}", VARIED_SIZE, focal, centre, at, yaw, pitch)
        cameras.append(_rolled(camera, roll))
    return cameras


def _rolled(camera: Camera, roll_deg: float) -> Camera:
    turn = make_transform(rotation_z(np.radians(roll_deg)), np.zeros(3))
    return replace(camera, T_ego_cam=camera.T_ego_cam @ turn)


MOUNTS = {"ring": 0.4, "front": 0.2, "pair": 0.15, "loose": 0.25}
ASPECT, TALLEST_VIEW_DEG = (1.0, 4.0), 100.0


def _world_cameras(rng: np.random.Generator) -> list[Camera]:
    """One to eight cameras with images of one shape, of about as many pixels as VARIED_SIZE has.

    All but loose ones share a height and about a pitch. The shape is wide enough that no view is
    higher than TALLEST_VIEW_DEG.
    """
    mount = rng.choice(list(MOUNTS), p=list(MOUNTS.values()))
    aims = {"ring": _ring, "front": _fan, "pair": _pair, "loose": _loose}[mount](rng)
    widest = np.tan(np.radians(max(view for _, view, _ in aims)) / 2)
    lowest_aspect = max(ASPECT[0], widest / np.tan(np.radians(TALLEST_VIEW_DEG) / 2))
    aspect = np.exp(rng.uniform(*np.log([lowest_aspect, ASPECT[1]])))
    sides = np.sqrt(VARIED_SIZE[0] * VARIED_SIZE[1] * np.array([aspect, 1 / aspect]))
    size = tuple(int(2 * round(side / 2)) for side in sides)
    height, nod = np.exp(rng.uniform(*np.log(HEIGHT_M))), rng.uniform(-PITCH_DEG, 0.6 * PITCH_DEG)
    loose, cameras = mount == "loose", []
    for k, (yaw, view, aside) in enumerate(aims):
        z = height * np.exp(rng.uniform(-0.7, 0.7)) if loose else height + rng.normal(0, 0.02)
        z = float(np.clip(z, *HEIGHT_M))
        pitch = rng.uniform(-PITCH_DEG, PITCH_DEG) if loose else nod + rng.normal(0, 1.5)
        length, width = (0.8, 0.5) if min(z, height) > ROOF_M else (2.4, 1.1)
        c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
        reach = 1 / max(abs(c) / length, abs(s) / width)  # on a rectangle, outside the body
        at = (1.3 + reach * c, reach * s + aside, z)
        focal = size[0] / 2 / np.tan(np.radians(view) / 2)
        centre = (np.array(size) / 2 + rng.normal(0, 0.01, 2) * size[0]).tolist()
        pitch = float(np.clip(pitch, -PITCH_DEG, PITCH_DEG))
        camera = _camera(f"CAM_{k}", size, focal, centre, at, yaw, pitch)
        cameras.append(_rolled(camera, float(np.clip(rng.normal(0, 2), -ROLL_DEG, ROLL_DEG))))
    return cameras


def _ring(rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Yaw and view in degrees and metres aside of cameras all around, alike."""
    count = int(rng.integers(4, 9))
    first = rng.choice([0.0, 180.0 / count])
    view = rng.uniform(360 / count, min(VIEW_DEG[1], 360 / count * 1.6))
    yaws = first + 360.0 * np.arange(count) / count + rng.normal(0, 2, count)
    return [(yaw, float(np.clip(view * rng.uniform(0.9, 1.1), *VIEW_DEG)), 0.0) for yaw in yaws]


def _fan(rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """The same of one to three to the front, of a long, a middle and a short lens."""
    views = [rng.uniform(30, 45), rng.uniform(48, 75), rng.uniform(85, 130)]
    kept = rng.permutation(3)[: rng.integers(1, 4)]
    return [(rng.normal(0, 3), views[k], 0.08 * (k - 1)) for k in np.sort(kept)]


def _pair(rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """The same of two that look ahead side by side, as a stereo camera's."""
    view, base_m = rng.uniform(40, 110), rng.uniform(0.1, 0.7)
    return [(rng.normal(0, 0.3), view, side * base_m / 2) for side in (1, -1)]


def _loose(rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """The same of one to eight that look anywhere, each with a lens of its own."""
    count = int(rng.integers(1, 9))
    return [(rng.uniform(-180, 180), rng.uniform(*VIEW_DEG), 0.0) for _ in range(count)]


LOW_SIZE, LOW_VIEW_DEG, LOW_HEIGHT_M = (1280, 720), 110.0, 0.6


def _low_cameras() -> list[Camera]:
    """Six around the bumpers, level, 60 degrees from one to the next."""
    focal = LOW_SIZE[0] / 2 / np.tan(np.radians(LOW_VIEW_DEG) / 2)
    centre = (LOW_SIZE[0] / 2, LOW_SIZE[1] / 2)
    cameras = []
    for yaw in range(0, 360, 60):
        c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
        at = (1.3 + 2.4 * c, 1.1 * s, LOW_HEIGHT_M)
        cameras.append(_camera(f"CAM_{yaw}", LOW_SIZE, focal, centre, at, yaw, 0.0))
    return cameras


def _jittered(camera: Camera, rng: np.random.Generator, jitter: float) -> Camera:
    angle = rng.normal(0, np.radians(0.5) * jitter, 3)
    shift = rng.normal(0, 0.01 * jitter, 3)
    if jitter == 0.0:
        return camera
    norm = np.linalg.norm(angle)
    half = np.append(angle / norm * np.sin(norm / 2), np.cos(norm / 2))
    R = camera.T_ego_cam[:3, :3] @ quaternion_to_rotation(half)
    T_ego_cam = make_transform(R, camera.T_ego_cam[:3, 3] + shift)
    return replace(camera, T_ego_cam=T_ego_cam)
