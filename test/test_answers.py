"""What is published of one camera, from predictions made here."""

import cv2
import numpy as np
import pytest
from std_msgs.msg import Header

from fsmde_core.fit import Fit, fit_camera
from fsmde_core.geometry import pixel_centres
from fsmde_core.runtime.predictor import Prediction
from fsmde_ros.answers import camera_messages, camera_topics, depth_image
from fsmde_ros.conversions import depth_from_msg
from fsmde_ros.decode import decode_image
from fsmde_ros.params import NodeParams

HEADER = Header(frame_id="front_optical_frame")
INF, NAN = np.inf, np.nan


def prediction_of(fit, depth, *, confidence=None, surface=None, image=None) -> Prediction:
    ones = np.ones(depth.shape, np.float32)
    return Prediction(
        depth=(depth.astype(np.float32),),
        confidence=(ones if confidence is None else confidence.astype(np.float32),),
        surface=(ones if surface is None else surface.astype(np.float32),),
        images=(np.zeros((*depth.shape, 3), np.uint8) if image is None else image,),
        fits=(fit,),
        reach_m=100.0,
    )


def row_of(camera):
    """A camera of 6x1 pixels, and the Fit that changes nothing."""
    camera = camera.cropped(0, 0, 6, 1)
    return Fit(camera, camera, hidden=np.array([[False] * 5 + [True]]))


def published(params, *, surface=(1, 1, 1, 1, 0.1, 1), confidence=(1, 1, 1, 0.1, 0.1, 1), rig):
    depth = np.array([[0.2, 5.0, 120.0, 30.0, 30.0, 5.0]])
    prediction = prediction_of(
        row_of(rig.cameras[0]),
        depth,
        surface=np.array([surface]),
        confidence=np.array([confidence]),
    )
    return depth_image(prediction, 0, NodeParams(rig_file="a", **params))[0].tolist()


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        # too near, as it is, beyond the model's reach, not sure, the sky, not seen
        ({}, [-INF, 5, INF, 30, INF, NAN]),
        ({"min_depth_m": 0.1}, [0.2, 5, INF, 30, INF, NAN]),
        ({"max_depth_m": 20.0}, [-INF, 5, INF, INF, INF, NAN]),
        ({"min_confidence": 0.5}, [-INF, 5, INF, NAN, INF, NAN]),
        ({"min_surface_probability": 0.05}, [-INF, 5, INF, 30, 30, NAN]),
        ({"min_depth_m": 6.0, "max_depth_m": 20.0}, [-INF, -INF, INF, INF, INF, NAN]),
    ],
)
def test_every_reason_has_its_value_of_rep_118(rig, params, expected):
    found = np.float32(published(params, rig=rig))
    assert np.array_equal(found, np.float32(expected), equal_nan=True)


def test_in_millimetres_none_of_them_is_a_depth(rig):
    depth = np.float32([[-INF, 5, INF, NAN, 0, 70]])
    prediction = prediction_of(row_of(rig.cameras[0]), depth)
    params = NodeParams(rig_file="a", depth_encoding="16UC1")
    msg = camera_messages(prediction, 0, depth, HEADER, params)["depth/image_rect"]
    assert np.frombuffer(msg.data, "<u2").tolist() == [0, 5000, 0, 0, 0, 0]


ALL = {"publish_confidence": True, "publish_color": True, "depth_compressed": True}


@pytest.mark.parametrize("depth_size", ["network", "source"])
@pytest.mark.parametrize(("width", "height", "pixels"), [(320, 180, 320 * 180), (320, 180, 15000)])
def test_all_images_of_a_camera_lie_on_one_grid(rig, depth_size, width, height, pixels):
    camera = rig.cameras[0].resized(width, height)
    fit = fit_camera(camera, pixels=pixels)
    params = NodeParams(rig_file="a", depth_size=depth_size, **ALL)
    u, v = np.moveaxis(pixel_centres(*fit.size), -1, 0)
    fx, cx, cy = fit.camera.K[0, 0], fit.camera.K[0, 2], fit.camera.K[1, 2]
    slope = 20 + 5 * (u - cx) / fx  # a wall that recedes to the right
    colour = np.dstack([128 + 100 * (u - cx) / fx, 128 + 100 * (v - cy) / fx, 0 * u])
    prediction = prediction_of(fit, slope, confidence=slope / 40, image=colour.astype(np.uint8))
    depth = depth_image(prediction, 0, params)
    messages = camera_messages(prediction, 0, depth, HEADER, params)
    assert list(messages) == list(camera_topics(params))
    info = messages["depth/camera_info"]
    assert messages["color/camera_info"] == info
    size = fit.size if depth_size == "network" else (width, height)
    for topic in ("depth/image_rect", "confidence/image_rect", "color/image_rect"):
        msg = messages[topic]
        assert (msg.width, msg.height) == (info.width, info.height) == size
        assert msg.header == info.header == HEADER
    found = depth_from_msg(messages["depth/image_rect"])
    confidence = depth_from_msg(messages["confidence/image_rect"])
    rgb = decode_image(messages["color/image_rect"], "/color").pixels
    x, y = (
        (np.arange(size[0]) - info.k[2]) / info.k[0],
        (np.arange(size[1]) - info.k[5]) / info.k[4],
    )
    seen = np.isfinite(found)
    assert seen.mean() > 0.9 and np.array_equal(seen, np.isfinite(confidence))
    inner = seen & (cv2.erode(seen.astype(np.uint8), np.ones((7, 7))) > 0)
    inner[:, :4] = inner[:, -4:] = False  # half of a pixel of the network has no neighbour there
    x, y = np.broadcast_to(x, inner.shape), np.broadcast_to(y[:, None], inner.shape)
    assert np.abs(found - (20 + 5 * x))[inner].max() < 0.02
    assert np.abs(confidence - (20 + 5 * x) / 40)[inner].max() < 0.001
    expected = np.dstack([128 + 100 * x, 128 + 100 * y])
    assert np.abs(rgb[..., :2] - expected)[inner].max() < 2


def test_at_the_sources_size_nothing_is_mixed_with_the_sky(rig):
    """5 m beside sky once gave 20.6 and 75.2 m."""
    fit = fit_camera(rig.cameras[0], pixels=15000)
    wall = pixel_centres(*fit.size)[..., 0] < fit.size[0] / 2
    params = NodeParams(rig_file="a", depth_size="source", publish_confidence=True)
    prediction = prediction_of(fit, np.where(wall, 5.0, 90.0), surface=wall)
    depth = depth_image(prediction, 0, params)
    found = depth_from_msg(
        camera_messages(prediction, 0, depth, HEADER, params)["depth/image_rect"]
    )
    assert found.shape == (180, 320)
    values = np.unique(found[~np.isnan(found)])
    assert values.tolist() == [5.0, INF]
    seen = ~np.isnan(found)
    assert (found[:, :158][seen[:, :158]] == 5).all() and np.isinf(
        found[:, 162:][seen[:, 162:]]
    ).all()
