"""A whole benchmark of a small student, with the processes that measure."""

import json

import pytest
from conftest import ROOT

from fsmde_core.bench.main import main
from fsmde_core.bench.variant import Surround, Variant
from fsmde_core.bench.worker import VariantError, Worker
from fsmde_core.runtime.session import CPU, CUDA
from fsmde_ros.tools.bench import CloudStage

RIG = ROOT / "config" / "rig_nuscenes.yaml"


def test_one_command_measures_stages_and_limits(untrained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fsmde_core.bench.plan.GEMM_SIDE", {CPU: 64})
    monkeypatch.setattr("fsmde_core.bench.limits.COPY_BYTES", 1 << 16)
    arguments = ["--larger", str(untrained), "--teachers", "--providers", CPU, CUDA]
    arguments += ["--rounds", "2", "--out", str(tmp_path)]
    assert main(arguments, model=untrained, rig_file=RIG, make_follow_up=CloudStage) == 0
    assert "tiny CPU fp32" in capsys.readouterr().out
    document = json.loads((tmp_path / "bench.json").read_text())
    network = document["networks"][0]
    assert list(network["stages"]) == ["decode", "preprocess", "inference", "cloud"]
    assert network["peak_memory_mb"] > 10 and 0 < network["overhead_share"] < 1
    assert {entry["unit"] for entry in document["limits"]} == {"GFLOP/s", "GB/s"}


def test_a_variant_that_does_not_run_says_why(tmp_path):
    surround = Surround((), RIG, CloudStage)
    missing = Variant("none", "network", tmp_path / "none.onnx", CPU, "fp32", 1.0, cameras=6)
    with pytest.raises(VariantError, match="none CPU fp32: model file .*none.onnx does not load"):
        Worker(missing, surround)


def test_a_missing_card_is_one_sentence(tmp_path, capsys):
    arguments = ["--model", str(tmp_path / "none.json")]
    assert main(arguments, model=tmp_path, rig_file=RIG, make_follow_up=CloudStage) == 2
    assert "none.json: No such file" in capsys.readouterr().err
