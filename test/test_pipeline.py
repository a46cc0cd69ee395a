"""The pipeline with the real predictor; what it does over DDS is in test_node.py."""

import array

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from fsmde_core.predictor import Predictor
from fsmde_ros.calibration import Calibration, extrinsics_from_rig
from fsmde_ros.conversions import camera_info_msg
from fsmde_ros.params import NodeParams
from fsmde_ros.pipeline import Pipeline
from fsmde_ros.sync import StampedSet


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
    calibration = Calibration(
        rig.names,
        extrinsics=extrinsics_from_rig(rig),
        base_frame="base_link",
        rectified=False,
        size=predictor.size,
    )
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


def image_msg(view) -> Image:
    pixels = np.ascontiguousarray(view[0])
    height, width, _ = pixels.shape
    return Image(
        height=height, width=width, encoding="rgb8", step=3 * width,
        data=array.array("B", pixels.tobytes()),
    )  # fmt: skip
