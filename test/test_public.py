"""from fsmde_core import ...: the public way in."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

import fsmde_core

SHOWN = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
WITH_IMAGES = """
import sys
import numpy as np
images = [np.full((900, 1600, 3), 90 + 20 * i, np.uint8) for i in range(6)]
{shown}
depth = prediction.at_source(5)
print(depth.shape, depth.dtype, prediction.depth[5].shape == prediction.confidence[5].shape)
print(sorted({{"torch", "timm", "onnx", "numba"}} & set(sys.modules)))
"""


def output_of(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_lines_of_the_readme_give_metres_and_load_no_torch():
    lines = output_of(WITH_IMAGES.format(shown=SHOWN)).splitlines()
    assert lines == ["(900, 1600) float32 True", "[]"]


@pytest.mark.parametrize("name", fsmde_core.__all__)
def test_every_public_name_is_there(name):
    assert getattr(fsmde_core, name).__name__ == name


def test_a_name_that_is_not_public_is_no_attribute():
    with pytest.raises(ImportError, match="no_such_thing"):
        from fsmde_core import no_such_thing  # noqa: F401


def test_the_package_alone_and_its_small_files_load_no_onnxruntime():
    code = "import sys, fsmde_core.rig; print('onnxruntime' in sys.modules)"
    assert output_of(code).strip() == "False"
