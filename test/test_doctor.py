"""The doctor's advice for machines made up here, and one real measurement over DDS."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from fsmde_core.rig import save_rig
from fsmde_ros.share import FASTDDS_VARIABLES, SWITCH, transport_profile
from fsmde_ros.tools.delivery import Delivery, Machine, advice

FINE = Delivery("compressed", 120, (120,) * 6, (1.0, 3.0))
LOSSY = Delivery("raw", 120, (120, 0, 0, 60, 60, 0), (1.0, 3.0))
PROFILE = {FASTDDS_VARIABLES[0]: str(ROOT / "config" / "fastdds.xml")}


def machine(
    rmw="rmw_fastrtps_cpp", environment=PROFILE, buffer=1 << 25, fragments=1 << 25, mb=8000
):
    return Machine(rmw, environment, buffer, fragments, mb)


def test_nothing_to_change_where_everything_arrives():
    assert advice(machine(), [FINE, FINE]) == []


def test_a_loss_without_a_profile():
    loss, profile = advice(machine(environment={}), [FINE, LOSSY])
    assert loss == "Only 33 % of the raw images arrive, and 3 cameras get nothing through."
    assert "No Fast DDS profile is set" in profile and "config/fastdds.xml" in profile


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"environment": {FASTDDS_VARIABLES[0]: "/none.xml"}}, "profile /none.xml does not exist"),
        ({"mb": 64}, "/dev/shm holds 64 MB"),
        ({"buffer": 212992}, "sudo sysctl -w net.core.rmem_max=33554432"),
        ({"fragments": 262144}, "sudo sysctl -w net.ipv4.ipfrag_high_thresh=33554432"),
        ({"rmw": "rmw_cyclonedds_cpp", "environment": {}}, "CYCLONEDDS_URI=file:///"),
        ({"rmw": "rmw_cyclonedds_cpp", "buffer": 212992}, "sudo sysctl -w net.core.rmem_max"),
        ({"rmw": "rmw_zenoh_cpp", "environment": {}}, "ZENOH_SESSION_CONFIG_URI=/"),
        ({"rmw": "rmw_zenoh_cpp", "mb": 64}, "/dev/shm holds 64 MB"),
        ({"rmw": "rmw_gurumdds_cpp"}, "rmw_gurumdds_cpp is in use, which"),
    ],
)
def test_each_fault_has_its_sentence(changes, sentence):
    assert any(sentence in line for line in advice(machine(**changes), [LOSSY]))


@pytest.mark.parametrize("rmw", ["rmw_cyclonedds_cpp", "rmw_zenoh_cpp"])
def test_advice_is_about_the_rmw_in_use(rmw):
    silent = Delivery("raw", 120, (0,) * 6, (1.0, 3.0))
    text = " ".join(advice(machine(rmw=rmw, environment={}), [silent]))
    assert "Fast DDS" not in text and "FASTRTPS" not in text
    assert ("rmw_zenohd" in text) == (rmw == "rmw_zenoh_cpp")


@pytest.mark.parametrize(
    ("rmw", "variables"),
    [
        ("", FASTDDS_VARIABLES),
        ("rmw_fastrtps_cpp", FASTDDS_VARIABLES),
        ("rmw_cyclonedds_cpp", ("CYCLONEDDS_URI",)),
        ("rmw_zenoh_cpp", ("ZENOH_SESSION_CONFIG_URI",)),
        ("rmw_connextdds", ()),
    ],
)
def test_the_profile_is_that_of_the_rmw_and_yields_to_the_users(rmw, variables):
    profile = transport_profile({"RMW_IMPLEMENTATION": rmw})
    assert tuple(profile) == tuple(variables)
    for value in profile.values():
        assert Path(value.removeprefix("file://")).is_file()
    assert not transport_profile({"RMW_IMPLEMENTATION": rmw, **dict.fromkeys(variables, "own")})


def test_the_profile_can_be_left_out():
    assert not transport_profile({SWITCH: "false"})


ENVIRONMENT = """
import os, sys
from fsmde_ros.interrupts import ros_process
with ros_process([]):
    print(os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE"))
"""


@pytest.mark.parametrize(
    ("given", "profile", "said"),
    [
        ({}, str(ROOT / "config" / "fastdds.xml"), True),
        ({SWITCH: "false"}, "None", False),
        ({FASTDDS_VARIABLES[0]: "own.xml"}, "own.xml", False),
        ({FASTDDS_VARIABLES[1]: "own.xml"}, "None", False),
        ({"RMW_IMPLEMENTATION": ""}, str(ROOT / "config" / "fastdds.xml"), True),
    ],
)
def test_our_processes_take_the_profile_by_themselves(given, profile, said):
    without = {k: v for k, v in os.environ.items() if k not in FASTDDS_VARIABLES}
    done = run([sys.executable, "-c", ENVIRONMENT], env=without | given)
    assert done.stdout.strip() == profile
    assert done.stderr.count("transport profile") == said


def test_the_profile_for_camera_drivers_is_printed():
    done = run([sys.executable, "-m", "fsmde_ros.tools.doctor", "--dds-profile"], env=os.environ)
    assert done.returncode == 0
    assert Path(done.stdout.strip()) == ROOT / "config" / "fastdds.xml"


def run(command, *, env):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env, timeout=100)


def test_measures_over_dds(rig, tmp_path):
    save_rig(rig, tmp_path / "rig.yaml")  # six cameras of 320x180
    result = subprocess.run(
        [sys.executable, "-m", "fsmde_ros.tools.doctor", "--rig", str(tmp_path / "rig.yaml"),
         "--seconds", "1"],
        cwd=ROOT, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert result.returncode in (0, 1), result.stderr
    for kind in ("compressed", "raw"):
        row = re.search(rf"{kind} +\| +(\d+) +\| +(\d+)", result.stdout)
        sent, arrived = map(int, row.groups())
        assert sent == 72 and 0 < arrived <= sent
