"""The launch files, run by launch itself; in place of our executables stand ones that write down
how they were started. launch and launch_ros are no wheels: with their sources on PYTHONPATH (or a
ROS 2 installation) these tests run, else they are skipped.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest
import yaml
from blocks import write_blocks
from conftest import ROOT

from fsmde_ros.bags.writer import write_bag
from fsmde_ros.share import FASTDDS_VARIABLES, SWITCH

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="launch_ros is not installed (not PyPI)"
)
EXECUTABLE = f"""#!{sys.executable}
import json, os, sys, time
name = os.path.basename(sys.argv[0])
seen = dict(name=name, argv=sys.argv[1:], environment=dict(os.environ), parameters=[])
for option, value in zip(sys.argv, sys.argv[1:]):
    if option == "--params-file":  # some are temporary
        seen["parameters"].append(open(value).read())
    elif option == "-p":
        seen["parameters"].append(value)
with open(os.environ["SEEN"], "a") as file:
    file.write(json.dumps(seen) + "\\n")
print("[INFO] ready: waiting for /front", file=sys.stderr, flush=True)
time.sleep(float(os.environ.get("STAYS", "0")) if name == "surround_depth" else 0)
sys.exit(int(os.environ.get("FAILS") == name))
"""
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node, SetParameter

before = eval(sys.argv[2])
arguments = [argument.split(":=", 1) for argument in sys.argv[3:]]
file = PythonLaunchDescriptionSource(sys.argv[1])
included = IncludeLaunchDescription(file, launch_arguments=arguments)
another = Node(package="fsmde_ros", executable="fsmde-mask")
service = LaunchService()
service.include_launch_description(LaunchDescription([*before, included, another]))
sys.exit(service.run())
"""


@pytest.fixture
def launched(tmp_path):
    """Run a launch file; returns its exit code, its text, and what was started, by name."""
    prefix, seen = tmp_path / "prefix", tmp_path / "seen"
    marker = prefix / "share/ament_index/resource_index/packages"
    scripts = re.findall(r'"([\w-]+) = fsmde_', (ROOT / "setup.py").read_text())
    (prefix / "bin").mkdir(parents=True)
    for package in ("fsmde_ros", "rviz2"):
        marker.mkdir(parents=True, exist_ok=True)
        (marker / package).touch()
        (prefix / "lib" / package).mkdir(parents=True)
    files = [prefix / "lib/fsmde_ros" / script for script in scripts]
    for file in [*files, prefix / "lib/rviz2/rviz2", prefix / "bin/ros2"]:
        file.write_text(EXECUTABLE)
        file.chmod(0o755)
    (prefix / "share/fsmde_ros").symlink_to(ROOT)

    def run(file, *arguments, before="[]", **environment):
        variables = {k: v for k, v in os.environ.items() if k not in FASTDDS_VARIABLES}
        variables |= {
            "AMENT_PREFIX_PATH": str(prefix),
            "PATH": f"{prefix / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            "ROS_LOG_DIR": str(tmp_path / "log"),
            "SEEN": str(seen),
        }
        seen.write_text("")
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(ROOT / "launch" / file), before, *arguments],
            env=variables | environment, capture_output=True, text=True, timeout=180,
        )  # fmt: skip
        started = [json.loads(line) for line in seen.read_text().splitlines()]
        return done.returncode, done.stdout + done.stderr, {s["name"]: s for s in started}

    return run


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """A bag of six cameras, its rig beside it."""
    folder = tmp_path_factory.mktemp("drive")
    write_bag(write_blocks(folder, frames=2), folder / "drive")
    return folder / "drive"


def parameters(started):
    """Of a node, as it would have them: later ones count more."""
    values = {}
    for given in started["parameters"]:
        if ":=" in given.splitlines()[0]:
            name, value = given.split(":=", 1)
            values[name] = yaml.safe_load(value)
        else:
            for section in yaml.safe_load(given).values():
                values |= section["ros__parameters"]
    return values


def test_only_what_is_given_is_passed_on(launched, tmp_path):
    file = tmp_path / "params.yaml"
    mine = {"rig_file": "mine.yaml", "compressed": True, "use_sim_time": True, "slop_s": 0.2}
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": mine}}))
    code, text, started = launched("surround_depth.launch.py", f"params:={file}")
    assert code == 0, text
    assert parameters(started["surround_depth"]) == mine
    assert set(started) == {"surround_depth", "fsmde-mask"}
    _, _, started = launched("surround_depth.launch.py", f"params:={file}", "rig:=ddad")
    assert parameters(started["surround_depth"]) == mine | {"rig_file": "ddad"}
    _, _, started = launched("surround_depth.launch.py", "auto_start:=false", "namespace:=car")
    assert parameters(started["surround_depth"]) == {"auto_start": False}
    assert "__ns:=/car" in started["surround_depth"]["argv"]


def test_a_parents_sim_time_stands(launched, drive):
    before = "[SetParameter('use_sim_time', True)]"
    _, text, started = launched("surround_depth.launch.py", f"bag:={drive}", before=before)
    assert parameters(started["surround_depth"])["use_sim_time"] is True, text
    assert "--clock" in started["fsmde-play"]["argv"]


def test_a_params_file_that_is_missing_is_one_sentence(launched):
    code, text, started = launched("surround_depth.launch.py", "params:=none.yaml")
    assert code == 1 and "params file none.yaml: No such file" in text
    assert "surround_depth" not in started


@pytest.mark.parametrize("player", ["ours", "ros2"])
def test_a_bag_gives_what_is_not_given(launched, drive, player):
    arguments = (f"bag:={drive}", f"bag_player:={player}", "namespace:=car")
    code, text, started = launched("surround_depth.launch.py", *arguments, STAYS="3")
    assert code == 0, text
    assert "base frame: base_link" in text  # what was found, as fsmde-doctor prints it
    values = parameters(started["surround_depth"])
    assert (
        values["compressed"] in (True, "true", "auto")
        and values["image_topic"] == "{camera}/image_raw"
    )
    rig = yaml.safe_load(open(values["rig_file"]))
    assert [camera["name"] for camera in rig["cameras"]][0] == "front"
    if player == "ours":
        argv = started["fsmde-play"]["argv"]
        assert argv[:5] == [str(drive), "--rig", values["rig_file"], "--wait", "60"]
        assert "--clock" not in started["fsmde-play"]["argv"]
        return
    argv = started["ros2"]["argv"]
    assert argv[:4] == ["bag", "play", str(drive), "--topics"] and "--clock" not in argv
    assert "/front/image_raw/compressed:=/car/front/image_raw/compressed" in argv
    assert {"/front/camera_info", "/tf", "/tf_static"} <= set(argv)


def test_a_bag_is_played_in_the_nodes_own_process(launched, drive):
    arguments = (f"bag:={drive}", "one_process:=true", "use_sim_time:=true")
    code, text, started = launched("surround_depth.launch.py", *arguments)
    assert code == 0, text
    argv = started["surround_depth_with_bag"]["argv"]
    assert argv[0] == str(drive) and argv[3] == "--clock"
    assert "surround_depth" not in started and "fsmde-play" not in started


def test_a_node_that_cannot_start_ends_the_launch(launched, drive):
    code, text, _ = launched("surround_depth.launch.py", f"bag:={drive}", FAILS="surround_depth")
    assert code == 1 and "ended with exit code 1" in text


def test_the_transport_profile_stays_with_our_processes(launched):
    name = FASTDDS_VARIABLES[0]
    _, text, started = launched("surround_depth.launch.py")
    assert started["surround_depth"]["environment"][name].endswith("config/fastdds.xml"), text
    assert name not in started["fsmde-mask"]["environment"]  # started by a parent, after ours
    _, _, started = launched("surround_depth.launch.py", "transport_profile:=false")
    assert name not in started["surround_depth"]["environment"]
    assert started["surround_depth"]["environment"][SWITCH] == "false"  # nor by itself
    _, _, started = launched("surround_depth.launch.py", **{name: "own.xml"})
    assert started["surround_depth"]["environment"][name] == "own.xml"


def test_rviz_is_set_up_for_the_rig(launched):
    _, text, started = launched("surround_depth.launch.py", "rig:=ddad", "rviz:=true")
    argv = started["rviz2"]["argv"]
    config = open(argv[argv.index("-d") + 1]).read()
    assert "CAMERA_05/depth/image_rect" in config and "CAM_FRONT" not in config, text


def test_the_demo_stops_where_rendering_fails(launched, tmp_path):
    arguments = (f"folder:={tmp_path / 'street'}", "rviz:=false")
    code, text, started = launched("demo.launch.py", *arguments, FAILS="fsmde-street")
    assert code == 1 and "fsmde-street-1 ended with exit code 1" in text
    assert set(started) == {"fsmde-street", "fsmde-mask"}


def test_the_demo_goes_on_where_it_does_not(launched, tmp_path, drive):
    street = tmp_path / "street" / "bags"
    street.mkdir(parents=True)
    (street / "scene-000003").symlink_to(drive)
    arguments = (f"folder:={street.parent}", "rviz:=false")
    code, text, started = launched("demo.launch.py", *arguments)
    assert code == 0, text
    assert {"fsmde-street", "fsmde-dataset-to-bag", "surround_depth", "fsmde-play"} <= set(started)
