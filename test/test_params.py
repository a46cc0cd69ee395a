from dataclasses import fields

import pytest
import rclpy
from rclpy.node import Node

from fsmde_ros.params import NodeParams, ParameterError, declare_params


@pytest.fixture
def declare():
    """Declares the parameters with overrides given as on a command line."""
    nodes = []

    def run(*overrides):
        arguments = [a for override in overrides for a in ("-p", override)]
        rclpy.init(args=["--ros-args", *arguments])
        node = Node("probe", automatically_declare_parameters_from_overrides=True)
        nodes.append(node)
        return node, declare_params(node)

    yield run
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown()


def test_defaults_are_the_dataclass(declare):
    node, params = declare("rig_file:=a.yaml")
    assert params == NodeParams(rig_file="a.yaml")
    for f in fields(NodeParams):
        assert node.describe_parameter(f.name).description
        assert node.describe_parameter(f.name).read_only


def test_overrides_arrive_and_whole_numbers_serve_as_floats(declare):
    _, params = declare("rig_file:=a.yaml", "slop_s:=0", "cloud_stride:=3", "compressed:=true")
    assert params.slop_s == 0.0 and isinstance(params.slop_s, float)
    assert params.cloud_stride == 3
    assert params.compressed is True


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["rig_file:=a", "slop:=0.1"], "unknown parameter 'slop' of node probe"),
        (["rig_file:=a", "slop_s:=fast"], "slop_s"),
        (["rig_file:=a", "slop_s:=-0.1"], "slop_s"),
        (["rig_file:=a", "cloud_stride:=0"], "cloud_stride"),
        (["rig_file:=a", "depth_size:=huge"], "depth_size: 'huge'"),
        (["rig_file:=a", "image_topic:=/image"], "image_topic: '/image' lacks {camera}"),
        (["rig_file:=a", "min_depth_m:=90.0"], "min_depth_m: 90.0 is not below max_depth_m 80.0"),
        ([], "rig_file is empty and so is cameras"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(declare, overrides, reason):
    with pytest.raises(ParameterError) as error:
        declare(*overrides)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
