import os
import subprocess
import sys

import pytest
from conftest import ROOT

FOLDER = ROOT / ".venv" / "onnxruntime-next"
TESTS = ["test/test_session.py", "test/test_predictor.py"]


@pytest.mark.skipif(not FOLDER.is_dir(), reason="make test puts ONNX Runtime for CUDA 13 there")
def test_the_cpu_part_holds_under_the_version_for_cuda_13():
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    env["PYTHONPATH"] = os.pathsep.join([str(FOLDER), env.get("PYTHONPATH", "")])
    version = "import onnxruntime; print(onnxruntime.__version__)"
    found = subprocess.run([sys.executable, "-c", version], env=env, capture_output=True, text=True)
    assert found.stdout.startswith("1.31")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *TESTS], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout
