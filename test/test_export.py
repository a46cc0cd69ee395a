import numpy as np
import onnxruntime
import pytest
import torch

from fsmde_core.network.checkpoint import load_student
from fsmde_core.runtime.export import RigGraph, example_inputs
from fsmde_core.runtime.export import main as export_main


def run_both(student, path, size, *, cameras):
    """Largest relative differences of the outputs, ONNX Runtime against torch."""
    torch.manual_seed(cameras)
    inputs = example_inputs(*size, cameras=cameras)
    with torch.no_grad():
        ours = RigGraph(student).eval()(*inputs)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = ("images", "K", "T_ego_cam")
    theirs = session.run(None, {name: value.numpy() for name, value in zip(names, inputs)})
    return [np.abs(b / a.numpy() - 1).max() for a, b in zip(ours, theirs)]


@pytest.mark.parametrize(
    ("cameras", "size"),
    [(1, (448, 256)), (6, (448, 256)), (4, (832, 256)), (2, (416, 352)), (1, (288, 384))],
)
def test_the_shipped_model_equals_its_weights(model_card, cameras, size):
    path = model_card.with_suffix(".onnx")
    assert max(run_both(load_student(model_card), path, size, cameras=cameras)) < 1e-3


def test_a_fresh_export_takes_cameras_of_any_number_and_shape(untrained):
    student, path = load_student(untrained), untrained.with_suffix(".onnx")
    for cameras, size in ((1, (64, 32)), (4, (32, 96)), (6, (128, 64))):
        assert max(run_both(student, path, size, cameras=cameras)) < 1e-3
    assert {p.suffix for p in path.parent.iterdir()} == {".json", ".safetensors", ".onnx"}
    assert b"student.py" not in path.read_bytes()  # the exporter's stack traces


def test_a_missing_card_is_one_sentence(tmp_path, capsys):
    assert export_main([str(tmp_path / "none.json")]) == 2
    assert "none.json: No such file" in capsys.readouterr().err
