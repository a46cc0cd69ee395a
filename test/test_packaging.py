"""The package as pip and colcon install it."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import ROOT

SHIPPED = [
    "config/fastdds.xml",
    "config/cyclonedds.xml",
    "config/zenoh.json5",
    "config/surround_depth.yaml",
    "config/rig_nuscenes.yaml",
    "config/distill/street.yaml",
    "launch/surround_depth.launch.py",
    "launch/demo.launch.py",
    "models/student_s.json",
    "models/student_s.onnx",
    "package.xml",
]


@pytest.fixture
def source(tmp_path):
    """A copy of the files that git would ship, so that builds leave nothing in the checkout."""
    everywhere = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__")
    on_top = {"build", "install", "log", "out", "data"}  # of runs; data may be many gigabytes

    def ignored(folder, names):
        return everywhere(folder, names) | (on_top & set(names) if Path(folder) == ROOT else set())

    return shutil.copytree(ROOT, tmp_path / "fsmde_ros", ignore=ignored)


def run(*command, cwd):
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_wheel_holds_code_launch_config_and_models(source, tmp_path):
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", str(tmp_path), str(source), cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for file in SHIPPED:
        assert any(name.endswith(f"data/share/fsmde_ros/{file}") for name in names), file
    assert any(name.endswith("resource_index/packages/fsmde_ros") for name in names)
    assert "fsmde_core/data/nuscenes.py" in names and "fsmde_ros/bags/player.py" in names
    assert not any(name.startswith("test/") for name in names)


@pytest.mark.parametrize("options", [(), ("--symlink-install",)], ids=["plain", "symlink"])
def test_colcon_builds_a_workspace_whose_node_starts(source, options, tmp_path):
    colcon = os.path.join(os.path.dirname(sys.executable), "colcon")
    run(colcon, "build", *options, cwd=source.parent)
    prefix = source.parent / "install" / "fsmde_ros"
    for file in SHIPPED:
        assert (prefix / "share" / "fsmde_ros" / file).is_file(), file
    assert (prefix / "share/ament_index/resource_index/packages/fsmde_ros").is_file()
    script = prefix / "lib" / "fsmde_ros" / "surround_depth"
    command = f". {source.parent}/install/setup.sh && {script} --ros-args -p rig_file:=none.yaml"
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "none.yaml: No such file" in result.stderr


def test_package_xml_names_every_ros_package_that_is_imported():
    root = ElementTree.parse(ROOT / "package.xml").getroot()
    named = {element.text for element in root.iter("exec_depend")}
    sources = [p.read_text() for p in ROOT.glob("fsmde_ros/**/*.py")]
    sources += [p.read_text() for p in ROOT.glob("launch/*.py")]
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", "\n".join(sources), re.MULTILINE))
    ros = {name for name in imported if name.endswith(("_msgs", "_interfaces", "_ros", "rclpy"))}
    assert ros - {"fsmde_ros"} <= named
    assert root.find("version").text in (ROOT / "setup.py").read_text()
