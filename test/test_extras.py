"""A package that is not installed is a sentence that names the extra."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

from fsmde_core.extras import EXTRA_OF, absent

DISTRIBUTIONS = {"lightning_fabric": "lightning-fabric", "rclpy": "ros-rclpy"}
WITHOUT = """
import runpy, sys
sys.modules[{module!r}] = None  # as where it is not installed
sys.argv = [{command!r}, *{arguments!r}]
from importlib import import_module
sys.exit(import_module({main!r}).main())
"""


def run_without(module, command, main, *arguments):
    code = WITHOUT.format(module=module, command=command, main=main, arguments=arguments)
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("module", "command", "main", "arguments", "extra"),
    [
        ("torch", "fsmde-distill", "fsmde_core.distill.main", (), "train"),
        ("lightning_fabric", "fsmde-teacher", "fsmde_core.distill.teacher_main", (), "train"),
        ("pydantic", "fsmde-distill", "fsmde_core.distill.main", (), "train"),
        ("onnx", "fsmde-export", "fsmde_core.runtime.export", (), "train"),
        ("numba", "fsmde-street", "fsmde_core.street.main", (), "street"),
        ("rclpy", "fsmde-dataset-to-bag", "fsmde_ros.bags.convert", (), "ros"),
        (
            "numba",
            "fsmde-evaluate",
            "fsmde_core.evaluate.main",
            ("--data", "d", "--dataset", "street", "--predictions", "p"),
            "street",
        ),
        (
            "torch",
            "fsmde-evaluate",
            "fsmde_core.evaluate.main",
            ("--data", "ROOT", "--version", "v1.0-mini", "--split", "all", "--backend", "torch",
             "--model", "models/student_s.json"),
            "train",
        ),
    ],
)  # fmt: skip
def test_a_command_names_the_extra_that_it_lacks(
    module, command, main, arguments, extra, request, tmp_path
):
    if "ROOT" in arguments:
        root = str(request.getfixturevalue("nuscenes_root"))
        arguments = [root if a == "ROOT" else a for a in arguments] + ["--out", str(tmp_path)]
    result = run_without(module, command, main, *arguments)
    assert result.returncode == 2, result.stderr
    assert result.stderr.strip() == (
        f"{command}: {module} is not installed; in the checkout: pip install -e '.[{extra}]'"
    )


def test_others_that_import_it_may_catch_the_error():
    code = "import sys; sys.modules['torch'] = None\ntry: import fsmde_core.runtime.export\n"
    code += "except ImportError: print('caught')"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "caught"


def test_an_error_of_another_kind_stays_what_it_is():
    assert absent(ImportError("no operator nms")) == "no operator nms"
    assert absent(ModuleNotFoundError("No module named 'x'", name="x")) == "No module named 'x'"


@pytest.mark.parametrize("module", sorted(EXTRA_OF))
def test_the_extras_of_setup_have_it(module):
    text = (ROOT / "setup.py").read_text()
    listed = re.search(rf"^{EXTRA_OF[module].upper()} = \[(.*?)\]$", text, re.DOTALL | re.MULTILINE)
    assert re.search(rf'"{DISTRIBUTIONS.get(module, module)}\b', listed[1])
