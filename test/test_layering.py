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
ROOT_FILES = {
    "arguments", "body_mask", "card", "configured", "extras", "files", "fit", "geometry",
    "interrupt", "jpeg", "pose_doubts", "rectify", "rig", "tables", "visualize", "yaml_text",
}  # fmt: skip
OURS = ("fsmde_core", "fsmde_ros", "launch", "test")
# a file or a room of fsmde_core -> the files and rooms that it may import; a file goes before its
# room, and what is not listed here does not exist
ALLOWED = {
    "arguments": set(),
    "extras": set(),
    "files": set(),
    "geometry": set(),
    "interrupt": set(),
    "jpeg": set(),
    "tables": set(),
    "yaml_text": set(),
    "card": {"files"},
    "configured": {"yaml_text"},
    "rig": {"files", "geometry", "yaml_text"},
    "body_mask": {"rig"},
    "fit": {"rig"},
    "pose_doubts": {"rig"},
    "rectify": {"geometry", "rig"},
    "visualize": {"geometry", "rig"},
    "data": {"data", *ROOT_FILES},
    "network.bins": set(),
    "network.encoder": set(),
    "network.student": {"network.bins", "network.encoder"},
    "network.checkpoint": {"network.student", *ROOT_FILES},
    "network": {"network", *ROOT_FILES},
    "runtime.pinned": set(),
    "runtime.precision": set(),
    "runtime.session": {"card", "runtime.pinned"},
    "runtime.runs": {"runtime.pinned", "runtime.session"},
    "runtime.predictor": {"card", "fit", "rig", "runtime.runs", "runtime.session"},
    "runtime.export": {"network", *ROOT_FILES},
    "runtime": {"runtime", *ROOT_FILES},
    "street": {"street", "data", *ROOT_FILES},
    "evaluate": {"evaluate", "street", "runtime", "data", "network", *ROOT_FILES},
    "distill.losses": {"geometry", "network.bins"},
    "distill": {"distill", "evaluate", "street", "runtime", "data", "network", *ROOT_FILES},
    "adapt": {"adapt", "bench", "distill", "network", "street", "runtime", "data", *ROOT_FILES},
    "bench": {"bench", "evaluate", "street", "runtime", "data", "network", *ROOT_FILES},
}
NEVER_IN_THE_NODE = (
    "torch", "timm", "safetensors", "onnx", "numba", "scipy", "fsmde_core.adapt",
    "fsmde_core.bench", "fsmde_core.data", "fsmde_core.distill", "fsmde_core.evaluate",
    "fsmde_core.network", "fsmde_core.runtime.export", "fsmde_core.street",
)  # fmt: skip


def imports(path):
    """Dotted names of all modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def modules(path):
    """Dotted names, below fsmde_core, of what a file imports from there."""
    for name in imports(path):
        head, _, rest = name.partition(".")
        if head == "fsmde_core":
            yield rest


@pytest.mark.parametrize("path", sorted((ROOT / "fsmde_core").rglob("*.py")), ids=str)
def test_core_knows_no_ros_and_keeps_its_layers(path):
    assert not ROS & {name.partition(".")[0] for name in imports(path)}
    parts = path.relative_to(ROOT / "fsmde_core").with_suffix("").parts
    if parts[-1] == "__init__":
        return
    allowed = ALLOWED.get(".".join(parts), ALLOWED.get(parts[0]))
    for module in modules(path):
        room = module.partition(".")[0]
        assert {room, module} & allowed, f"{path} imports fsmde_core.{module}"


def test_the_rooms_are_those_of_the_table():
    found = {path.stem for path in (ROOT / "fsmde_core").glob("[!_.]*")}
    assert found == {name for name in ALLOWED if "." not in name}


def loaded_by(*imported):
    """The modules that a fresh process holds after these imports."""
    code = f"import sys, {', '.join(imported)}; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_nodes_process_holds_nothing_of_the_training():
    assert not loaded_by("fsmde_ros.depth_node") & set(NEVER_IN_THE_NODE)


def test_tools_converter_and_evaluator_run_without_torch():
    tools = [f"fsmde_ros.tools.{name}" for name in ("demo", "doctor", "mask", "overhead", "view")]
    loaded = loaded_by(*tools, "fsmde_ros.bags.convert", "fsmde_core.evaluate.main")
    assert not loaded & {"torch", "timm", "safetensors", "onnx"}


def test_no_folder_of_odds_and_ends():
    names = {path.stem for path in ROOT.glob("fsmde_*/**/*.py")}
    assert not names & {"utils", "util", "common", "helpers", "helper", "base", "misc", "cli"}


def test_no_file_is_too_long_to_be_read_at_once():
    files = [path for folder in OURS for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 200
    assert [path for path in files if path.read_text().count("\n") > 400] == []
