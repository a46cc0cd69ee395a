"""Everything that the launch files name exists; test_launch_run.py runs them."""

import ast
import re
from dataclasses import fields

import pytest
import yaml
from conftest import ROOT

from fsmde_core.rig import load_rig
from fsmde_ros.params import NodeParams

LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))


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
    named = calls(tree, "Node") + calls(tree, "ExecutableInPackage")
    assert named
    for call in named:
        package = keywords(call)["package"]
        (executable,) = [k.value for k in call.keywords if k.arg == "executable"]
        names = {text(node) for node in ast.walk(executable) if text(node) is not None}
        assert names <= (scripts if package == "fsmde_ros" else {package})


def test_options_exist(tree):
    """Every --option on a command line stands in the source of that command."""
    setup = (ROOT / "setup.py").read_text()
    for call in calls(tree, "ExecuteProcess"):
        if not calls(call, "ExecutableInPackage"):
            continue  # ros2 bag play
        (executable,) = calls(call, "ExecutableInPackage")
        script = keywords(executable)["executable"]
        (module,) = re.findall(rf'"{script} = ([\w.]+):main"', setup)
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
        options = [n.value for n in ast.walk(call) if isinstance(n, ast.Constant)]
        for option in options:
            assert not str(option).startswith("--") or f'"{option}"' in source, option


def test_arguments_of_included_launch_files_are_declared_there(tree):
    for call in calls(tree, "IncludeLaunchDescription"):
        (path,) = [n.value for n in ast.walk(call) if str(text(n)).endswith(".launch.py")]
        included = ast.parse((ROOT / "launch" / path).read_text())
        declared = {text(c.args[0]) for c in calls(included, "DeclareLaunchArgument")}
        (given,) = [k.value.func.value for k in call.keywords if k.arg == "launch_arguments"]
        assert {text(key) for key in given.keys} <= declared


def test_arguments_are_described(tree):
    assert all(keywords(c).get("description") for c in calls(tree, "DeclareLaunchArgument"))


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_parameter_files_name_known_parameters_of_the_right_type(path):
    document = yaml.safe_load(path.read_text())
    if "/**" not in document:
        pytest.skip("a rig file")
    parameters = document["/**"]["ros__parameters"]
    types = {f.name: f.type for f in fields(NodeParams)}
    for name, value in parameters.items():
        assert type(value).__name__ == types[name].split("[")[0]


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("rig_*.yaml")), ids=lambda p: p.name)
def test_shipped_rigs_load(path):
    assert load_rig(path).base_frame == "base_link"
