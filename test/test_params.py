from dataclasses import fields

import pytest
import rclpy
from conftest import ROOT
from rclpy.parameter import Parameter

from fsmde_ros.declaring import declare_params, with_changes
from fsmde_ros.managed import ManagedNode
from fsmde_ros.params import NodeParams, ParameterError, parameters_table


@pytest.fixture
def declare():
    """Declares the parameters with overrides given as on a command line."""
    nodes = []

    def run(*overrides):
        arguments = [a for override in overrides for a in ("-p", override)]
        rclpy.init(args=["--ros-args", *arguments])
        node = ManagedNode("probe")
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
        assert node.describe_parameter(f.name).read_only != f.metadata["live"]


def test_overrides_arrive_and_whole_numbers_serve_as_floats(declare):
    _, params = declare("rig_file:=a.yaml", "slop_s:=0", "cloud_stride:=3", "compressed:=true")
    assert params.slop_s == 0.0 and isinstance(params.slop_s, float)
    assert params.cloud_stride == 3
    assert params.compressed == "true"


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["rig_file:=a", "slop_s:=fast"], "slop_s: 'fast' is not of type float"),
        (["rig_file:=a", "slop_s:=[0.1]"], "slop_s: [0.1] is not of type float"),
        (["rig_file:=a", "slop_s:=.nan"], "slop_s: nan is not a finite number"),
        (["rig_file:=a", "max_depth_m:=.inf"], "max_depth_m: inf is not a finite number"),
        (["rig_file:=a", "rate:=[]"], "rate is an empty list"),
        (["rig_file:=a", "compressed:=1"], "compressed: 1 is not of type str"),
        (["rig_file:=a", "compressed:=yes_please"], "'yes_please' is not one of auto, true, false"),
        (["rig_file:=a", "threads:=2.5"], "threads: 2.5 is not of type int"),
        (["rig_file:=a", "threads:=true"], "threads: True is not of type int"),
        (["rig_file:=7"], "rig_file: 7 is not of type str"),
        (["rig_file:=a", "model:=true"], "model: True is not of type str"),
        (["rig_file:=a", "providers:=CPUExecutionProvider"], "is not of type list[str]"),
        (["rig_file:=a", "providers:=[1, 2]"], "is not of type list[str]"),
        (["rig_file:=a", "providers:=[]"], "providers is an empty list"),
        (["rig_file:=a", "providers:=['']"], "providers names none"),
        (["cameras:=[]"], "rig_file is empty and so is cameras"),
        (["cameras:=['']"], "rig_file is empty and so is cameras"),
        (["cameras:=[front]", "base_frame:=''"], "base_frame is empty"),
        (["rig_file:=a", "image_topic:=''"], "image_topic: '' lacks {camera}"),
        (["rig_file:=a", "use_sim_time:=5"], "use_sim_time: 5 is not a bool"),
        (["rig_file:=a", "slop_s:=-0.1"], "slop_s"),
        (["rig_file:=a", "cloud_stride:=0"], "cloud_stride"),
        (["rig_file:=a", "depth_size:=huge"], "depth_size: 'huge'"),
        (["rig_file:=a", "image_topic:=/image"], "image_topic: '/image' lacks {camera}"),
        (
            ["rig_file:=a", "min_depth_m:=300.0"],
            "min_depth_m: 300.0 is not below max_depth_m 200.0",
        ),
        (["rig_file:=a", "input_pixels:=-1"], "input_pixels"),
        (["rig_file:=a", "threads:=100000"], "threads"),
        (["rig_file:=a", "min_surface_probability:=1.5"], "min_surface_probability"),
        ([], "rig_file is empty and so is cameras"),
        (["cameras:=[front]", "publish_tf:=true"], "publish_tf needs rig_file, which is empty"),
        (["cameras:=[front]", "camera_info_from_rig:=true"], "camera_info_from_rig needs rig_file"),
        (["rig_file:=a", "max_rate_hz:=-1"], "max_rate_hz"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(declare, overrides, reason):
    with pytest.raises(ParameterError) as error:
        declare(*overrides)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "warning"),
    [
        ("slop:=0.1", "unknown parameter 'slop' of node probe is ignored: is slop_s meant?"),
        ("cloud_strid:=3", "is cloud_stride meant?"),
        ("vehicle_width:=2.0", "unknown parameter 'vehicle_width' of node probe is ignored\n"),
        ("wheels:=[]", "unknown parameter 'wheels' of node probe is ignored\n"),
    ],
)
def test_an_unknown_parameter_is_warned_about(declare, override, warning, capfd):
    _, params = declare("rig_file:=a.yaml", override)
    assert params == NodeParams(rig_file="a.yaml")
    assert warning in capfd.readouterr().err


def test_live_parameters_change_and_the_others_refuse(declare):
    _, params = declare("rig_file:=a.yaml")
    changed = with_changes(params, [Parameter("cloud_stride", value=5)])
    assert changed.cloud_options().stride == 5
    with pytest.raises(ParameterError, match="slop_s is fixed while the node runs"):
        with_changes(params, [Parameter("slop_s", value=0.1)])
    with pytest.raises(ParameterError, match="cloud_colour: 'pink' is not one of rgb, height"):
        with_changes(params, [Parameter("cloud_colour", value="pink")])
    with pytest.raises(ParameterError, match="min_depth_m: 300.0 is not below max_depth_m"):
        with_changes(params, [Parameter("min_depth_m", value=300.0)])
    assert with_changes(params, [Parameter("use_sim_time", value=True)]) == params


def test_the_documentation_lists_the_parameters_as_they_are():
    assert (ROOT / "docs" / "parameters.md").read_text() == parameters_table() + "\n"
