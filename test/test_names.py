"""Names of cameras and topics, as a node resolves them."""

import pytest
import rclpy

from fsmde_ros.names import check_names
from fsmde_ros.params import NodeParams, ParameterError


@pytest.fixture(scope="module")
def node(ros):
    node = rclpy.create_node("names")
    yield node
    node.destroy_node()


@pytest.mark.parametrize(
    "cameras",
    [[], ["CAM_FRONT", "CAM_BACK"], ["rig/front", "rig/back"], ["/car/front"], ["_0"]],
)
def test_names_that_can_begin_a_topic(node, cameras):
    check_names(node, NodeParams(), cameras)


@pytest.mark.parametrize(
    "name", ["0", "front-left", "", "front/", "a//b", "rig/0", "vorne links", "~", "é"]
)
def test_a_camera_that_can_not_is_named(node, name):
    with pytest.raises(ParameterError, match="camera .*: its name begins topics") as error:
        check_names(node, NodeParams(), ["front", name])
    assert repr(name) in str(error.value)


def test_a_camera_that_is_there_twice(node):
    with pytest.raises(ParameterError, match="camera 'a' is there twice"):
        check_names(node, NodeParams(), ["a", "b", "a"])


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        (
            {"image_topic": "{camera}/image-raw"},
            "parameter image_topic: '{camera}/image-raw' is no",
        ),
        ({"image_topic": "{camera}/{kind}"}, "unknown substitution: {kind}"),
        ({"camera_info_topic": "{camera}//info"}, "parameter camera_info_topic: "),
        ({"odometry_topic": "odom/"}, "parameter odometry_topic: 'odom/' is no topic"),
        ({"camera_info_topic": "{camera}/image_raw"}, "are both /front/image_raw"),
    ],
)
def test_a_topic_that_is_none_is_named(node, parameters, reason):
    with pytest.raises(ParameterError) as error:
        check_names(node, NodeParams(**parameters), ["front"])
    assert reason in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("parameters", "arguments"),
    [
        ({"image_topics": ["/a", "/b", "/a"]}, []),
        ({"image_topics": ["/names_of/a", "b", "a"]}, []),
        ({"image_topic": "{camera}"}, ["-r", "c:=a"]),
    ],
)
def test_two_cameras_of_one_image_topic_are_named(ros, parameters, arguments):
    node = rclpy.create_node("names", namespace="names_of", cli_args=["--ros-args", *arguments])
    with pytest.raises(ParameterError, match="cameras a and c have one image topic: .*/a"):
        check_names(node, NodeParams(**parameters), ["a", "b", "c"])
    node.destroy_node()


def test_cameras_may_share_a_calibration(node):
    params = NodeParams(camera_info_topics=["/info", "/info"])
    check_names(node, params, ["a", "b"])
