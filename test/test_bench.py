import json
import re

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import ROOT
from onnx import TensorProto, helper, save
from test_depth_anything import TINY

from fsmde_core.bench.limits import write_copy, write_gemm
from fsmde_core.bench.main import street_jpegs
from fsmde_core.bench.networks import TeacherGraph, write_teacher
from fsmde_core.bench.report import Measured, markdown, report, save_report, screen
from fsmde_core.bench.variant import Laps, Variant
from fsmde_core.bench.work import giga_macs
from fsmde_core.network.depth_anything import SIZES
from fsmde_core.rig import load_rig
from fsmde_core.runtime.session import CPU


def laps(**wall_ms):
    seconds = {stage: ms / 1e3 for stage, ms in wall_ms.items()}
    return Laps(wall=seconds, cpu={stage: 2 * s for stage, s in seconds.items()})


def variant(network, kind, work, **more):
    return Variant(network, kind, ROOT, CPU, "fp32", work, cameras=6, **more)


@pytest.fixture
def document():
    student = Measured(variant("student_s", "student", 10.0))
    student.laps = [laps(decode=10, inference=30), laps(decode=10, inference=90)]
    teacher = Measured(variant("teacher_vits", "network", 100.0, note="random weights"))
    teacher.laps = [laps(inference=600), laps(inference=1800)]  # the machine slowed down
    gemm = Measured(variant("gemm", "limit", 20.0))
    gemm.laps = [laps(inference=40), laps(inference=120)]
    about = {"command": "fsmde-bench", "machine": "m", "input": "i", "not_measured": ["no CUDA"]}
    return report([student, teacher, gemm], "teacher_vits", about)


def test_ratios_are_of_the_same_round_so_that_drift_cancels(document):
    student, teacher = document["networks"]
    assert student["ratio_wall"] == pytest.approx(20)
    assert student["ratio_cpu"] == pytest.approx(20)
    assert "ratio_wall" not in teacher
    assert student["share_of_gemm"] == pytest.approx((10 / 30) / (20 / 40))
    assert student["overhead_share"] == pytest.approx((10 / 40 + 10 / 100) / 2)
    assert document["limits"][0]["best"] == pytest.approx(1000)  # 2 x 20 GFLOP in 40 ms


def test_the_report_says_what_was_not_measured(document, tmp_path):
    save_report(document, tmp_path)
    assert json.loads((tmp_path / "bench.json").read_text()) == document
    for text in (screen(document), markdown(document)):
        assert "teacher_vits CPU fp32: random weights" in text and "no CUDA" in text
    row = r"\| student_s CPU fp32 +\| +10.0 \| +60.0 \|"
    assert re.search(row, (tmp_path / "bench.md").read_text())


def test_multiply_adds_of_a_graph_worked_out_by_hand(tmp_path):
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["x"], strides=[2, 2]),
        helper.make_node("ConvTranspose", ["x", "t"], ["y"], strides=[2, 2]),
    ]
    shapes = {"w": [8, 3, 2, 2], "t": [8, 5, 2, 2]}
    weights = [
        helper.make_tensor(n, TensorProto.FLOAT, s, np.zeros(s).ravel()) for n, s in shapes.items()
    ]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["cameras", 3, 10, 20])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["cameras", 5, 10, 20])
    graph, opset = (
        helper.make_graph(nodes, "g", [image], [out], weights),
        helper.make_opsetid("", 18),
    )
    save(helper.make_model(graph, opset_imports=[opset], ir_version=8), tmp_path / "g")
    conv, transposed = 8 * 5 * 10 * 3 * 4, 8 * 5 * 10 * 5 * 4
    assert giga_macs(tmp_path / "g", 6) == pytest.approx(6 * (conv + transposed) / 1e9)


def test_a_network_with_a_fixed_number_of_cameras_is_not_counted(tmp_path):
    write_gemm(tmp_path / "gemm", 8, precision="fp32")
    with pytest.raises(ValueError, match="fixed number of cameras"):
        giga_macs(tmp_path / "gemm", 6)


def test_the_teacher_takes_any_number_of_cameras_and_is_the_network(tmp_path, monkeypatch):
    monkeypatch.setitem(SIZES, "vits", TINY)
    path = tmp_path / "vits.onnx"
    assert write_teacher("vits", 60, 45, path) == (56, 42)
    torch.manual_seed(0)
    graph = TeacherGraph("vits").eval()
    session = onnxruntime.InferenceSession(str(path), providers=[CPU])
    for cameras in (1, 4):
        images = np.random.default_rng(0).integers(0, 256, (cameras, 42, 56, 3), dtype=np.uint8)
        (ours,) = session.run(None, {"images": images})
        assert ours.shape == (cameras, 42, 56)
        with torch.no_grad():
            theirs = graph(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(ours, theirs, atol=1e-5 + 1e-3 * np.abs(theirs).max())


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_limits_run(tmp_path, precision):
    work = write_gemm(tmp_path / "gemm.onnx", 64, precision=precision)
    assert work == pytest.approx(8 * 64**3 / 1e9)
    session = onnxruntime.InferenceSession(str(tmp_path / "gemm.onnx"), providers=[CPU])
    (end,) = session.run(None, {"start": np.ones(1, np.float32)})
    assert end.shape == (1,) and np.isfinite(end).all()


def test_a_copy_reads_and_writes_what_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr("fsmde_core.bench.limits.COPY_BYTES", 4096)
    assert write_copy(tmp_path / "copy.onnx") == pytest.approx(2 * 4 * 4096 / 1e9)
    onnxruntime.InferenceSession(str(tmp_path / "copy.onnx"), providers=[CPU])


def test_images_weigh_what_photographs_do():
    rig = load_rig(ROOT / "config" / "rig_nuscenes.yaml")
    sizes = [len(jpeg) for jpeg in street_jpegs(rig)]
    assert len(sizes) == len(rig.cameras) and 100e3 < np.mean(sizes) < 500e3
