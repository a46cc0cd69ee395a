"""Everything that the launch files name exists; where launch_ros is installed, they are loaded."""

import ast
import importlib.util
import re
from dataclasses import fields

import pytest
import yaml
from conftest import ROOT

from fsmde_core.rig import load_rig
from fsmde_ros.params import NOT_OURS, NodeParams

LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))
KNOWN = {f.name for f in fields(NodeParams)} | {n for n in NOT_OURS if not n.endswith(".")}


def calls(tree, name):
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == name
    ]


def text(node):
    return node.value if isinstance(node, ast.Constant) else None


@pytest.fixture(params=LAUNCH_FILES, ids=lambda path: path.name)
def tree(request):
    return ast.parse(request.param.read_text())


def keywords(call):
    return {keyword.arg: text(keyword.value) for keyword in call.keywords}


def test_executables_exist(tree):
    scripts = set(re.findall(r'"([\w-]+) = fsmde_', (ROOT / "setup.py").read_text()))
    named = [keywords(call) for call in calls(tree, "Node") + calls(tree, "ExecutableInPackage")]
    assert named
    for call in named:
        if call["package"] == "fsmde_ros":
            assert call["executable"] in scripts
        else:
            assert (call["package"], call["executable"]) == ("rviz2", "rviz2")


def test_options_exist(tree):
    """Every --option on a command line stands in the source of that command."""
    setup = (ROOT / "setup.py").read_text()
    for call in calls(tree, "ExecuteProcess"):
        (executable,) = calls(call, "ExecutableInPackage")
        script = keywords(executable)["executable"]
        (module,) = re.findall(rf'"{script} = ([\w.]+):main"', setup)
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
        options = [n.value for n in ast.walk(call) if isinstance(n, ast.Constant)]
        for option in options:
            assert not str(option).startswith("--") or f'"{option}"' in source, option


def test_files_exist(tree):
    for call in calls(tree, "PathJoinSubstitution"):
        first, *rest = call.args[0].elts
        if getattr(first, "id", None) == "share":
            assert ROOT.joinpath(*map(text, rest)).is_file(), [text(part) for part in rest]


def test_arguments_of_included_launch_files_are_declared_there(tree):
    for call in calls(tree, "IncludeLaunchDescription"):
        (path,) = [n.value for n in ast.walk(call) if str(text(n)).endswith(".launch.py")]
        included = ast.parse((ROOT / "launch" / path).read_text())
        declared = {text(c.args[0]) for c in calls(included, "DeclareLaunchArgument")}
        (given,) = [k.value.func.value for k in call.keywords if k.arg == "launch_arguments"]
        assert {text(key) for key in given.keys} <= declared


def test_parameters_exist(tree):
    for node in calls(tree, "Node"):
        for keyword in node.keywords:
            if keyword.arg == "parameters":
                dictionaries = [e for e in keyword.value.elts if isinstance(e, ast.Dict)]
                assert {text(k) for d in dictionaries for k in d.keys} <= KNOWN


def test_arguments_used_are_declared_and_described(tree):
    declared = calls(tree, "DeclareLaunchArgument")
    names = {text(call.args[0]) for call in declared}
    assert names == {text(call.args[0]) for call in calls(tree, "LaunchConfiguration")}
    assert all("description" in {k.arg for k in call.keywords} for call in declared)


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_parameter_files_name_known_parameters_of_the_right_type(path):
    document = yaml.safe_load(path.read_text())
    if "/**" not in document:
        pytest.skip("a rig file")
    parameters = document["/**"]["ros__parameters"]
    types = {f.name: f.type for f in fields(NodeParams)}
    for name, value in parameters.items():
        assert type(value).__name__ == types[name].split("[")[0]


def test_the_rviz_config_shows_what_the_node_publishes():
    document = yaml.safe_load((ROOT / "config" / "surround_depth.rviz").read_text())
    manager = document["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == "base_link"
    topics = {d["Topic"]["Value"] for d in manager["Displays"] if "Topic" in d}
    names = load_rig(ROOT / "config" / "rig_nuscenes.yaml").names
    assert topics == {"points"} | {f"{name}/depth/image_rect" for name in names}
    assert all(d["Class"].startswith("rviz_default_plugins/") for d in manager["Displays"])


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("rig_*.yaml")), ids=lambda p: p.name)
def test_shipped_rigs_load(path):
    assert load_rig(path).base_frame == "base_link"


@pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="launch_ros is not installed (not PyPI)"
)
@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_launch_files_load(path):
    spec = importlib.util.spec_from_file_location("launch_file", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.generate_launch_description().entities
