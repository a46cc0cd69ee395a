"""The pipeline with the real predictor; what it does over DDS is in test_node.py."""

import array
from concurrent.futures import Future

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from fsmde_core.runtime.predictor import Predictor
from fsmde_ros.calibration import Calibration, extrinsics_from_rig
from fsmde_ros.conversions import MessageError, camera_info_msg
from fsmde_ros.params import NodeParams
from fsmde_ros.pipeline import Pipeline
from fsmde_ros.sync import StampedSet


def jpeg_msg(view) -> CompressedImage:
    large = cv2.resize(view[0], (1280, 720))
    _, encoded = cv2.imencode(".jpg", large)
    return CompressedImage(format="jpeg", data=array.array("B", encoded.tobytes()))


def calibration_of(rig, predictor) -> Calibration:
    return Calibration(
        rig.names,
        extrinsics=extrinsics_from_rig(rig),
        base_frame="base_link",
        rectified=False,
        fit=predictor.fit,
    )


def test_an_image_is_decoded_as_small_as_its_camera_allows(rig, views, free_model):
    """160x90 pixels are wanted of 1280x720: an eighth is enough, before CameraInfo nothing is."""
    predictor = Predictor(free_model)
    calibration = calibration_of(rig, predictor)
    pipeline, camera = Pipeline(predictor, calibration), rig.cameras[0].resized(1280, 720)
    early = pipeline.decode(0, jpeg_msg(views[0]), "/image").result()
    assert early.pixels is None and early.source.pixels.shape == (720, 1280, 3)
    calibration.update(0, camera_info_msg(camera, Header(frame_id=camera.frame_id)), "/info")
    late = pipeline.decode(0, jpeg_msg(views[0]), "/image").result()
    assert late.source.pixels.shape == (90, 160, 3)
    assert late.pixels.shape == (96, 160, 3)
    output = pipeline.process(StampedSet((1,), (done(early),)), NodeParams(rig_file="a"))
    assert output.cameras[0]["depth/image_rect"].width == 160
    pipeline.close()


def done(result) -> Future:
    future = Future()
    future.set_result(result)
    return future


def unusable(info):
    info.k = [0.0] * 9


def distorted(info):
    info.d = [0.3, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("spoil", [unusable, distorted])
def test_images_are_taken_by_the_calibration_that_holds_when_the_set_is_complete(
    rig, views, model_card, spoil
):
    """Images and CameraInfos come on topics of their own: in which order, nobody knows."""
    predictor = Predictor(model_card)
    calibration = calibration_of(rig, predictor)
    infos = [camera_info_msg(c, Header(frame_id=c.frame_id)) for c in rig.cameras]
    stamped = StampedSet(tuple(range(1, 7)), tuple(map(image_msg, views)))
    pipeline = Pipeline(predictor, calibration)

    def clouds(early_infos):
        for i, info in enumerate(early_infos):
            calibration.update(i, info, "/info")
        futures = [pipeline.decode(i, msg, "/image") for i, msg in enumerate(stamped.items)]
        [future.result() for future in futures]
        for i, info in enumerate(infos):
            calibration.update(i, info, "/info")
        output = pipeline.process(StampedSet(stamped.stamps_ns, tuple(futures)), NodeParams())
        return bytes(output.cloud.data)

    expected = clouds(infos)
    wrong = [camera_info_msg(c, Header(frame_id=c.frame_id)) for c in rig.cameras]
    spoil(wrong[0])
    assert clouds(wrong) == expected
    pipeline.close()


@pytest.mark.parametrize("left", [0, 1, 5])
def test_sets_that_are_to_be_complete_lack_nobody(rig, views, stub_model, left):
    """Without a deadline one camera that cannot be used costs the set, as one that is silent."""
    predictor = Predictor(stub_model)
    calibration = calibration_of(rig, predictor)
    pipeline = Pipeline(predictor, calibration)
    for i, camera in enumerate(rig.cameras):
        if i != left:
            info = camera_info_msg(camera, Header(frame_id=camera.frame_id))
            calibration.update(i, info, f"/{camera.name}/camera_info")
    futures = [pipeline.decode(i, image_msg(view), "/image") for i, view in enumerate(views)]
    stamped = StampedSet(tuple(range(1, 7)), tuple(futures))
    missing = f"no CameraInfo yet from {rig.names[left]}"
    output = pipeline.process(stamped, NodeParams())
    assert output.left_out == (missing,) and left not in output.cameras
    assert len(output.cameras) == 5
    with pytest.raises(MessageError, match=missing):
        pipeline.process(stamped, NodeParams(deadline_s=0.0))
    pipeline.close()


def image_msg(view) -> Image:
    pixels = np.ascontiguousarray(view[0])
    height, width, _ = pixels.shape
    return Image(
        height=height, width=width, encoding="rgb8", step=3 * width,
        data=array.array("B", pixels.tobytes()),
    )  # fmt: skip
