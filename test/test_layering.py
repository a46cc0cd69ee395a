"""Who may import whom, read from the sources."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

ROS = {
    "rclpy", "sensor_msgs", "std_msgs", "geometry_msgs", "builtin_interfaces", "rcl_interfaces",
    "rosgraph_msgs", "nav_msgs", "diagnostic_msgs", "tf2_ros", "cv_bridge", "message_filters",
    "launch", "launch_ros", "ament_index_python", "fsmde_ros",
}  # fmt: skip
# module of fsmde_core -> the modules of ours that it may import; those not listed: any of core
ALLOWED = {
    "geometry": set(),
    "bins": set(),
    "files": set(),
    "extras": set(),
    "interrupt": set(),
    "tables": set(),
    "card": {"files"},
    "encoder": set(),
    "losses": {"bins", "geometry"},
    "rig": {"files", "geometry"},
    "rectify": {"geometry", "rig"},
    "body_mask": {"rig"},
    "student": {"bins", "encoder"},
    "foreign_weights": {"card"},
    "depth_anything_names": {"card"},
    "depth_anything": {"bins", "card", "depth_anything_names", "encoder", "foreign_weights"},
    "teacher": {"bins", "card", "checkpoint", "depth_anything", "student"},
    "checkpoint": {"student", "card", "files"},
    "fit": {"rig"},
    "export": {"student", "checkpoint", "card", "files", "fit", "extras", "interrupt"},
    "pinned": set(),
    "session": {"card"},
    "runs": {"pinned", "session"},
    "predictor": {"rig", "fit", "card", "runs", "session"},
    "visualize": {"rig", "geometry"},
    "jpeg": set(),
    "data": {"data", "rig", "fit", "geometry", "jpeg"},
    "blocks": {"data", "rig", "geometry"},
    "evaluate": {
        "evaluate",
        "data",
        "rig",
        "fit",
        "geometry",
        "card",
        "files",
        "predictor",
        "session",
        "visualize",
        "extras",
        "interrupt",
        "tables",
        "checkpoint",
        "street",
    },
}


def imports(path):
    """Dotted names of all modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", sorted((ROOT / "fsmde_core").rglob("*.py")), ids=str)
def test_core_knows_no_ros_and_keeps_its_layers(path):
    module = path.relative_to(ROOT / "fsmde_core").with_suffix("").parts[0]
    for name in imports(path):
        head, *rest = name.split(".")
        assert head not in ROS, f"{path} imports {name}"
        if head == "fsmde_core" and module in ALLOWED:
            assert rest[0] in ALLOWED[module], f"{path} imports {name}"


def test_node_converter_and_evaluator_run_without_torch():
    code = (
        "import sys; import fsmde_ros.depth_node, fsmde_ros.tools.demo, fsmde_ros.bags.convert; "
        "import fsmde_ros.tools.doctor, fsmde_ros.tools.view, fsmde_ros.tools.overhead; "
        "import fsmde_ros.tools.mask; import fsmde_core.evaluate.main; "
        "print([m for m in ('torch', 'timm', 'safetensors', 'onnx') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_no_folder_of_odds_and_ends():
    names = {path.stem for path in ROOT.glob("fsmde_*/**/*.py")}
    assert not names & {"utils", "util", "common", "helpers", "helper", "base", "misc"}
