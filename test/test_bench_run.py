"""A whole benchmark of a small student, with the processes that measure."""

import json

import pytest
import torch
from conftest import ROOT

from fsmde_core.bench.main import main
from fsmde_core.bench.variant import Surround, Variant
from fsmde_core.bench.worker import VariantError, Worker
from fsmde_core.card import add_file
from fsmde_core.checkpoint import save_student
from fsmde_core.export import export_onnx
from fsmde_core.session import CPU, CUDA
from fsmde_core.student import StudentConfig, StudentDepthNet
from fsmde_ros.bench import CloudStage

RIG = ROOT / "config" / "rig_nuscenes.yaml"


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("tiny") / "tiny.json"
    config = StudentConfig(input_width=64, input_height=32, n_bins=8, decoder_channels=16)
    student = StudentDepthNet(config).eval()
    save_student(student, path, config=config, description="", licence="", provisional=True)
    export_onnx(student, config, path.with_suffix(".onnx"))
    add_file(path, path.with_suffix(".onnx"))
    return path


def test_one_command_measures_stages_and_limits(card, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fsmde_core.bench.plan.GEMM_SIDE", {CPU: 64})
    monkeypatch.setattr("fsmde_core.bench.limits.COPY_BYTES", 1 << 16)
    arguments = ["--larger", str(card), "--teachers", "--providers", CPU, CUDA]
    arguments += ["--rounds", "2", "--out", str(tmp_path)]
    assert main(arguments, model=card, rig_file=RIG, make_follow_up=CloudStage) == 0
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
