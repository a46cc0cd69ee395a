import numpy as np
import onnxruntime
import pytest
import torch

from fsmde_core.card import load_card
from fsmde_core.checkpoint import load_student, student_config
from fsmde_core.export import RigGraph, example_inputs, export_onnx
from fsmde_core.export import main as export_main
from fsmde_core.student import StudentConfig, StudentDepthNet


def run_both(student, path, config, *, cameras):
    """Largest relative differences of depth and confidence, ONNX Runtime against torch."""
    torch.manual_seed(cameras)
    inputs = example_inputs(config, cameras=cameras)
    with torch.no_grad():
        ours = RigGraph(student).eval()(*inputs)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = ("images", "K", "T_ego_cam")
    theirs = session.run(None, {name: value.numpy() for name, value in zip(names, inputs)})
    return [np.abs(b / a.numpy() - 1).max() for a, b in zip(ours, theirs)]


@pytest.mark.parametrize("cameras", [1, 4, 6])
def test_the_shipped_model_equals_its_weights(model_card, cameras):
    student, config = load_student(model_card), student_config(load_card(model_card))
    path = model_card.with_suffix(".onnx")
    assert max(run_both(student, path, config, cameras=cameras)) < 1e-3


def test_a_fresh_export_takes_any_number_of_cameras(tmp_path):
    torch.manual_seed(0)
    config = StudentConfig(input_width=64, input_height=32, n_bins=8, decoder_channels=16)
    student = StudentDepthNet(config).eval()
    export_onnx(student, config, tmp_path / "tiny.onnx")
    for cameras in (1, 4, 6):
        errors = run_both(student, tmp_path / "tiny.onnx", config, cameras=cameras)
        assert max(errors) < 1e-3
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.onnx"]
    assert b"student.py" not in (tmp_path / "tiny.onnx").read_bytes()  # the exporter's stack traces


def test_a_missing_card_is_one_sentence(tmp_path, capsys):
    assert export_main([str(tmp_path / "none.json")]) == 2
    assert "none.json: No such file" in capsys.readouterr().err
