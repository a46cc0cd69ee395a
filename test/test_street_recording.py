"""How a street of style world is recorded: the vehicle, the air, the cameras. The town stays."""

from weakref import WeakKeyDictionary

import cv2
import numpy as np
import pytest

from fsmde_core.geometry import invert_transform, transform_points
from fsmde_core.street.drive import DriveConfig, drive_look
from fsmde_core.street.ego_path import BODY_HALF_M, BODY_X_M, draw_ego
from fsmde_core.street.light import Light
from fsmde_core.street.look import CURVES, TOWN_LOOK, Look, draw_look
from fsmde_core.street.road import make_road
from fsmde_core.street.scene import SceneConfig, build_scene
from fsmde_core.street.sensor import SensorConfig, encode_jpeg, expose
from fsmde_core.street.surfaces import ObjectClass
from fsmde_core.street.weather import SKIES, Weather, make_light, worldly_light

WORLD = SceneConfig(style="world")
# seed, triangles, actors, mean corner and place of the ego after 0.7 s, extinction
TOWN = (
    (6, 250965, 38, [26.4894, -7.4382, 3.2411, 0.0, -7.5156, -0.0371], 0.00062886453),
    (11, 204533, 46, [40.3184, -5.1215, 3.4445, 0.0, -5.196, 0.0024], 0.00090825481),
    (1000003, 373069, 15, [13.4127, -1.3256, -0.6205, 8.307, -1.5526, 0.2087], 0.00057235532),
)


@pytest.mark.parametrize("seed, triangles, actors, middle, fog", TOWN)
def test_a_street_of_the_town_is_what_it_was(seed, triangles, actors, middle, fog):
    scene = build_scene(seed)
    assert (len(scene.static.corners), len(scene.actors)) == (triangles, actors)
    corners = scene.static.corners.reshape(-1, 3).astype(np.float64)
    assert [*corners.mean(axis=0), *scene.ego_pose(0.7)[:3, 3]] == pytest.approx(middle, abs=1e-3)
    assert scene.light.fog_per_m == pytest.approx(fog, rel=1e-6)
    assert scene.road.hand == 1 and drive_look(seed, DriveConfig()) is TOWN_LOOK


def vehicles(count):
    """Vehicles as they are met: (road, path)."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        road = make_road(rng, rural=False)
        yield road, draw_ego(rng, road, -road.lane_m * 0.5, 8.0)


def test_the_vehicle_rolls_and_pitches_smoothly():
    times = np.linspace(0, 3, 61)
    sway = np.array([[path.sway.at(t) for t in times] for _, path in vehicles(200)])
    pitch, roll, bounce = sway.reshape(-1, 3).std(axis=0)
    assert np.degrees(pitch) == pytest.approx(1.0, abs=0.15)
    assert np.degrees(roll) == pytest.approx(0.7, abs=0.1)
    assert bounce == pytest.approx(0.02, abs=0.003)
    assert np.degrees(np.abs(sway[..., :2]).max()) < 5
    assert np.abs(np.diff(sway[..., :2], axis=1)).max() < np.radians(2.5)  # in 50 ms


def test_a_vehicle_may_stand_at_an_angle_and_inside_the_kerbs():
    turned = 0
    for road, path in vehicles(300):
        corners = [(x, y) for x in BODY_X_M for y in (-BODY_HALF_M, BODY_HALF_M)]
        across = [path.t + x * np.sin(path.yaw) + y * np.cos(path.yaw) for x, y in corners]
        assert np.abs(across).max() < road.half_m
        assert abs(path.yaw) <= np.radians(40) and not (path.yaw and path.speed_mps)
        turned += path.yaw != 0
    assert 50 < turned < 100


def test_the_pose_follows_yaw_and_the_ground():
    for road, path in vehicles(12):
        T = path.pose(0.0)
        heading = np.arctan2(T[1, 0], T[0, 0])
        # Slanted side roads shear the street.
        assert heading == pytest.approx(float(road.heading(0.0)) + path.yaw, abs=0.3)
        for x, y in ((1.4, 0.8), (-1.4, -0.8)):
            wheel = T @ (x, y, 0, 1)
            assert wheel[2] == pytest.approx(float(road.height(*wheel[:2])), abs=0.25)


REACH_M = WeakKeyDictionary()  # of meshes, sideways


def reach_m(body):
    if body.mesh not in REACH_M:
        REACH_M[body.mesh] = np.linalg.norm(body.mesh.corners[..., :2], axis=-1).max()
    return REACH_M[body.mesh] * np.linalg.norm(body.T_world_mesh[:2, :2], ord=2)


def distance(T_world_a, T_world_b):
    return np.linalg.norm(T_world_a[:3, 3] - T_world_b[:3, 3])


def test_nothing_stands_or_drives_where_the_vehicle_is():
    hands, turned = set(), 0
    for seed in range(8):
        scene = build_scene(seed, WORLD)
        hands.add(scene.road.hand)
        turned += scene.path.yaw != 0
        assert scene.path.t * scene.road.hand < 0 or scene.path.yaw
        for actor in scene.actors:
            if scene.instance_class[actor.instance] == ObjectClass.VEHICLE:
                assert actor.speed_mps * actor.t * scene.road.hand < 0
        for time_s in (0.0, 1.5):
            T_world_ego = scene.ego_pose(time_s)
            T_ego_world = invert_transform(T_world_ego)
            bodies = [a.mesh.transformed(a.pose(scene.road, time_s)) for a in scene.actors]
            bodies += [
                body.mesh.transformed(body.T_world_mesh)
                for body in scene.placed
                if distance(body.T_world_mesh, T_world_ego) < 4 + reach_m(body)
            ]
            for mesh in (scene.static, *bodies):
                x, y, z = transform_points(T_ego_world, mesh.corners.reshape(-1, 3)).T
                inside = (x > BODY_X_M[0]) & (x < BODY_X_M[1]) & (np.abs(y) < BODY_HALF_M)
                assert not (inside & (z > 0.3) & (z < 1.4)).any(), f"seed {seed} at {time_s} s"
    assert hands == {-1, 1} and turned >= 2


def test_the_air_of_the_world_is_clear_in_most_scenes_whatever_the_sky():
    clear = {}
    for sky in SKIES:
        rng = np.random.default_rng(5)
        light = make_light(rng, Weather("day", sky))
        fog = np.array([worldly_light(rng, light).fog_per_m for _ in range(1000)])
        assert fog.max() < 0.0201
        clear[sky] = (fog < 1.2e-3).mean()
    assert list(clear.values()) == pytest.approx([0.85] * len(SKIES), abs=0.04)


def test_contrast_of_sun_and_sky_varies():
    light = make_light(np.random.default_rng(1), Weather("low sun", "clear"))
    drawn = [worldly_light(np.random.default_rng(k), light) for k in range(300)]
    ratio = np.array([x.sun_colour[0] / x.horizon[0] for x in drawn])
    ratio /= light.sun_colour[0] / light.horizon[0]
    low, middle, high = np.quantile(ratio, [0.05, 0.5, 0.95])
    assert low < 0.8 and middle > 1.2 and high > 2.5
    assert isinstance(drawn[0], Light)


def scenery():
    """A dim ground below a bright sky: radiance, depth, own vehicle of one camera."""
    radiance = np.full((64, 96, 3), 0.05, np.float32)
    radiance[:32] = 1.0
    radiance[32:, ::8] *= 3
    depth = np.zeros((64, 96), np.float32)
    depth[32:] = 10.0
    return radiance, depth, np.zeros((64, 96), bool)


def pictured(look, gain):
    rng, config = np.random.default_rng(0), SensorConfig(exposure=0, dirt=0, glare=0)
    return expose(scenery()[0], gain, rng, config, look)


def test_metering_on_the_ground_blows_the_sky():
    arrays = [[a] for a in scenery()]
    (whole,), (ground,) = TOWN_LOOK.gains(*arrays), Look(metering="ground").gains(*arrays)
    assert ground > 1.8 * whole
    assert pictured(Look(tone="linear"), ground)[:30].min() == 255
    assert pictured(Look(tone="linear"), whole)[:30].min() < 255


@pytest.mark.parametrize("tone", CURVES)
def test_tone_curves_rise(tone):
    light = np.linspace(0, 4, 200, dtype=np.float32)[:, None, None].repeat(3, axis=2)
    picture = Look(tone=tone, contrast=0.8).developed(light)[:, 0, 0]
    assert (np.diff(picture) >= -1e-6).all() and picture[0] < 0.1 and picture[-1] > 0.8


def test_cameras_of_the_world_are_of_any_make():
    looks = [draw_look(np.random.default_rng(seed)) for seed in range(200)]
    assert {look.tone for look in looks} == set(CURVES)
    assert {look.metering for look in looks} == {"scene", "ground", "camera"}
    qualities = [look.quality for look in looks]
    assert min(qualities) >= 60 and max(qualities) <= 97 and np.ptp(qualities) > 30
    pictures = [pictured(look, 1.0) for look in looks[:40]]
    assert np.ptp([picture[40:].mean() for picture in pictures]) > 60
    assert np.ptp([cv2.Laplacian(p, cv2.CV_32F).std() for p in pictures]) > 20


def test_a_worse_jpeg_is_smaller():
    rng, config = np.random.default_rng(0), SensorConfig()
    image = pictured(TOWN_LOOK, 1.0)
    sizes = [
        len(encode_jpeg(image, rng, config, Look(quality=quality, subsampling=subsampling)))
        for quality, subsampling in ((95, "4:4:4"), (95, "4:2:0"), (62, "4:2:0"))
    ]
    assert sizes[0] > sizes[1] > sizes[2]
