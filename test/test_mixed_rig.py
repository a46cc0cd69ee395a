"""Cameras of three shapes on one vehicle, through the node over DDS, with a model of any shape.

The model says 10 m everywhere, no surface where the image is blue, and red as its confidence.
"""

from dataclasses import replace

import numpy as np
import pytest
from blocks import blocks_rig
from graph import Graph
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from stub_model import FREE_HEIGHT, FREE_WIDTH, HEIGHT, WIDTH

from fsmde_core.fit import fit_camera
from fsmde_core.geometry import transform_points
from fsmde_core.rig import Rig, load_rig
from fsmde_ros.cloud import rgb_of, xyz_of
from fsmde_ros.conversions import cloud_from_msg, depth_from_msg, stamp_to_ns
from fsmde_ros.decode import decode_image

SHAPES = {"front": (320, 180), "front_right": (320, 96), "back": (160, 160)}
SIZES = {"front": (160, 96), "front_right": (224, 64), "back": (128, 128)}  # at 192 * 96 pixels
FISHEYE = 2  # the camera with a lens
EVERYTHING = ("publish_confidence:=true", "publish_color:=true", "publish_camera_points:=true")
MORE = {"confidence/image_rect": Image, "color/image_rect": Image}
MORE |= {"color/camera_info": CameraInfo, "points": PointCloud2}


def three_shapes() -> Rig:
    """Square pixels, 70 degrees across."""
    cameras = []
    for camera in blocks_rig().cameras:
        if camera.name in SHAPES:
            width, height = SHAPES[camera.name]
            K = np.array([[width / 1.4, 0, width / 2], [0, width / 1.4, height / 2], [0, 0, 1]])
            cameras.append(replace(camera, width=width, height=height, K=K))
    return Rig(tuple(cameras))


def pictures(rig):
    """The upper third is blue, the rest grey with a red of 153."""
    result = []
    for camera in rig.cameras:
        image = np.full((camera.height, camera.width, 3), (153, 100, 100), np.uint8)
        image[: camera.height // 3] = (153, 0, 255)
        result.append(image)
    return result


def lens(i, image, info):
    """One camera has a fisheye lens, and a P that shows all of it and more."""
    if i == FISHEYE:
        info.distortion_model, info.d = "equidistant", [-0.02, 0.0, 0.0, 0.0]
        p = info.p.copy()
        p[0], p[5] = 0.5 * p[0], 0.5 * p[5]
        info.p = p


@pytest.fixture(scope="module")
def rig():
    return three_shapes()


class Answer:
    """What came back for one set, by camera."""

    def __init__(self, graph, rig):
        stamps = graph.publish(pictures(rig), edit=lens)
        depths, infos, cloud = graph.answer(stamps)
        self.depths = dict(zip(rig.names, map(depth_from_msg, depths)))
        self.messages, self.infos = dict(zip(rig.names, depths)), dict(zip(rig.names, infos))
        self.cloud, self.stamps = cloud_from_msg(cloud), dict(zip(rig.names, stamps))

    def more(self, graph, name):
        """The further messages of a camera with the depth image's stamp, by topic."""
        found = {}
        for topic in MORE:

            def with_stamp(topic=topic):
                received = graph.received[f"{name}/{topic}"]
                same = [m for m in received if stamp_to_ns(m.header.stamp) == self.stamps[name]]
                return found.setdefault(topic, same[0]) if same else None

            graph.spin_until(with_stamp, f"{topic} of {name}")
        return found


def start(rig, folder, model, *parameters):
    graph = Graph(rig, folder, f"model:={model}", "deadline_s:=0", *parameters)
    if parameters[:3] == EVERYTHING:
        for name in rig.names:
            for topic, kind in MORE.items():
                graph.listen(kind, f"{name}/{topic}")
        graph.wait()
    return graph


@pytest.fixture(scope="module", params=["network", "source"])
def answered(request, ros, rig, free_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp(f"mixed_{request.param}")
    graph = start(
        rig, folder, free_model, *EVERYTHING, f"depth_size:={request.param}", "cloud_stride:=1"
    )
    yield request.param, graph, Answer(graph, rig)
    graph.close()


def test_every_depth_image_has_its_cameras_own_shape(answered, rig):
    size, _, answer = answered
    for camera in rig.cameras:
        msg, info = answer.messages[camera.name], answer.infos[camera.name]
        wanted = SIZES[camera.name] if size == "network" else SHAPES[camera.name]
        assert (msg.width, msg.height) == (info.width, info.height) == wanted
        assert info.k[0] == pytest.approx(info.k[4]) and not any(info.d)
        assert msg.header == info.header and msg.header.frame_id == camera.frame_id
        if camera.name == "back":
            assert info.k[0] == pytest.approx(0.5 * camera.K[0, 0] * wanted[0] / camera.width)
        else:
            assert info.k[0] == pytest.approx(camera.K[0, 0] * wanted[0] / camera.width)


def test_the_sky_is_infinite_and_what_nobody_sees_is_nan(answered, rig):
    size, _, answer = answered
    for name, depth in answer.depths.items():
        values = np.unique(depth[~np.isnan(depth)])
        assert values.tolist() == [10.0, np.inf], name
    front = answer.depths["front"]
    rows = {len(np.unique(row[~np.isnan(row)])) for row in front}
    assert rows <= {0, 1}  # no row is partly sky
    sky = np.isinf(front).sum() / (~np.isnan(front)).sum()
    assert sky == pytest.approx(1 / 3, abs=0.03)
    assert np.isnan(answer.depths["back"][[0, 0, -1, -1], [0, -1, 0, -1]]).all()
    assert 0.3 < np.isnan(answer.depths["back"]).mean() < 0.9  # half of the focal length
    if size == "source":
        assert not np.isnan(front).any()  # the rows repeated at the top are none of its own


def test_no_points_come_from_the_sky_or_from_nowhere(answered, rig):
    size, graph, answer = answered
    xyz = xyz_of(answer.cloud)
    assert np.isfinite(xyz).all()
    total, per_pixel = 0, {}
    for camera in rig.cameras:
        own = cloud_from_msg(answer.more(graph, camera.name)["points"])
        part = answer.cloud[total : total + len(own)]
        total += len(own)
        per_pixel[camera.name] = len(own)
        assert np.allclose(own["z"], 10.0)  # in the optical frame
        assert np.allclose(transform_points(camera.T_ego_cam, xyz_of(own)), xyz_of(part), atol=1e-3)
        assert not (rgb_of(own)[:, 2] == 255).any()  # none is blue
    assert total == len(xyz) > 10_000
    if size == "network":
        for name, depth in answer.depths.items():
            assert per_pixel[name] == np.isfinite(depth).sum()


def test_further_images_lie_on_the_depths_grid(answered, rig):
    size, graph, answer = answered
    for camera, picture in zip(rig.cameras, pictures(rig)):
        depth, info = answer.messages[camera.name], answer.infos[camera.name]
        more = answer.more(graph, camera.name)
        for topic, msg in more.items():
            assert msg.header == depth.header, topic
        assert more["color/camera_info"] == info
        confidence, color = more["confidence/image_rect"], more["color/image_rect"]
        for msg in (confidence, color):
            assert (msg.width, msg.height) == (depth.width, depth.height)
        seen = ~np.isnan(answer.depths[camera.name])
        values = depth_from_msg(confidence)
        assert np.array_equal(~np.isnan(values), seen)
        if camera.name != "back":  # whose lens ends in black
            assert np.allclose(values[seen], 153 / 255, atol=0.01)
        if camera.name == "front" and size == "network":
            fit = fit_camera(camera, pixels=FREE_WIDTH * FREE_HEIGHT)
            assert np.array_equal(decode_image(color, "color").pixels, fit.image(picture))


def test_more_pixels_make_larger_inputs(ros, rig, free_model, tmp_path):
    graph = start(rig, tmp_path, free_model, f"input_pixels:={320 * 180}")
    try:
        shapes = {name: depth.shape[::-1] for name, depth in Answer(graph, rig).depths.items()}
        assert shapes == {"front": (320, 192), "front_right": (320, 96), "back": (160, 160)}
    finally:
        graph.close()


def test_an_old_model_of_one_shape_gets_every_image_at_that_shape(ros, rig, stub_model, tmp_path):
    graph = start(rig, tmp_path, stub_model)
    try:
        answer = Answer(graph, rig)
        for camera in rig.cameras[:2]:
            info, depth = answer.infos[camera.name], answer.depths[camera.name]
            assert depth.shape == (info.height, info.width) == (HEIGHT, WIDTH)
            assert info.k[4] == pytest.approx(camera.K[1, 1] * HEIGHT / camera.height)
            assert (depth == 10).all()  # it knows no sky
    finally:
        graph.close()


def test_the_own_vehicle_is_nan_and_gives_no_points(ros, rig, free_model, tmp_path):
    body = np.zeros((180, 320), bool)
    body[150:] = True  # the bonnet
    masked = Rig((replace(rig.cameras[0], body=body), *rig.cameras[1:]))
    graph = start(masked, tmp_path, free_model, *EVERYTHING, "depth_size:=source")
    try:
        if load_rig(tmp_path / "rig.yaml").cameras[0].body is None:
            pytest.skip("rig files carry no masks yet")
        answer = Answer(graph, masked)
        unseen = np.isnan(answer.depths["front"])
        assert unseen[152:].all() and not unseen[20:148].any()
        points = cloud_from_msg(answer.more(graph, "front")["points"])
        rows = 90 + points["y"] / points["z"] * (320 / 1.4)
        assert 145 < rows.max() < 152
    finally:
        graph.close()
