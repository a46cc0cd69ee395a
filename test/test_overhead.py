"""The bench of the node over DDS, for two seconds; its numbers are judged by people."""

import json
import subprocess
import sys

from conftest import ROOT


def test_the_bench_prints_and_writes_its_numbers(tmp_path):
    file = tmp_path / "overhead.json"
    result = subprocess.run(
        [sys.executable, "-m", "fsmde_ros.tools.overhead", "--seconds", "2", "--out", str(file)],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    numbers = json.loads(file.read_text())
    assert numbers["sets sent"] == 24
    assert 0 < numbers["sets out [%]"] <= 100
    assert numbers["inference p50 [ms]"] >= 20.0  # the stub sleeps so long
    assert numbers["total p50 [ms]"] > numbers["overhead p50 [ms]"] > 0
    assert "overhead p95 [ms]" in result.stdout


def test_the_network_itself_can_run(tmp_path, model_card):
    file = tmp_path / "node.json"
    command = [
        sys.executable,
        "-m",
        "fsmde_ros.tools.overhead",
        "--seconds",
        "2",
        "--out",
        str(file),
    ]
    result = subprocess.run(
        [*command, "--model", str(model_card)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(file.read_text())["inference p50 [ms]"] > 1
