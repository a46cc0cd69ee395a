import shutil
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest

from fsmde_core import quantize as module
from fsmde_core.card import load_card
from fsmde_core.data.batch import rig_of
from fsmde_core.precision import integer_nodes, trunk, write_fp16, write_int8
from fsmde_core.predictor import Predictor
from fsmde_core.quantize import QuantizeConfig, abs_rel, quantize
from fsmde_core.session import SessionConfig


@pytest.fixture(scope="module")
def samples(sample):
    """One set of images as four samples."""
    return [sample] * 4


@pytest.fixture
def card_path(untrained, tmp_path):
    """A model card of its own."""
    return shutil.copytree(untrained.parent, tmp_path / "model") / untrained.name


def run(card_path, samples, precision, tolerance):
    config = QuantizeConfig(tolerance=tolerance)
    return quantize(
        card_path,
        precision=precision,
        train=samples,
        val=samples[:2],
        config=config,
        command="quantize it",
    )


def test_a_model_in_integers_enters_the_card_with_both_errors(card_path, samples):
    before, after, kept = run(card_path, samples, "int8", tolerance=10.0)
    assert kept and before > 0 and after > 0
    card = load_card(card_path)
    assert "tiny.int8.onnx" in card.sha256
    (about,) = card.metrics
    assert about.startswith("quantize it: Abs Rel on 2 sets of street val")
    assert card.metrics[about] == {"fp32": round(before, 4), "int8": round(after, 4)}
    integers = Predictor(card_path, precision="int8")
    depths = integers(list(samples[0].images), rig_of(samples[0])).depth
    assert [d.shape for d in depths] == [(64, 96)] * 6 and all((d > 0).all() for d in depths)


def test_a_model_that_lost_too_much_leaves_nothing(card_path, samples):
    names = sorted(p.name for p in card_path.parent.iterdir())
    *_, kept = run(card_path, samples, "int8", tolerance=-1.0)
    assert not kept
    assert sorted(p.name for p in card_path.parent.iterdir()) == names
    assert load_card(card_path).metrics == {}


def test_half_precision_stays_near(card_path, samples, tmp_path):
    target = tmp_path / "half.onnx"
    write_fp16(card_path.with_suffix(".onnx"), target)
    predictor, rig = Predictor(card_path), rig_of(samples[0])
    fits = [predictor.fit(camera) for camera in rig.cameras]
    (inputs,) = predictor.inputs([f.image(i) for f, i in zip(fits, samples[0].images)], fits)
    depths = []
    for path in (card_path.with_suffix(".onnx"), target):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        depths.append(session.run(["depth"], inputs)[0])
    assert depths[1].dtype == np.float32
    np.testing.assert_allclose(depths[1], depths[0], rtol=2e-2)


def test_only_what_follows_convolutions_is_quantized(model_card):
    graph = onnx.load(model_card.with_suffix(".onnx")).graph
    producer = {name: node for node in graph.node for name in node.output}
    chosen = set(integer_nodes(graph))
    convolutions = {node.name for node in graph.node if node.op_type == "Conv"}
    assert len(convolutions - chosen) == 3, "logits of bins, sides and surfaces stay in float"
    for node in graph.node:
        if node.op_type != "Conv" and node.name in chosen:
            operands = node.input if node.op_type == "Add" else node.input[:1]
            assert all(producer[name].name in chosen for name in operands)
    attention = [n for n in graph.node if n.op_type == "Add" and n.name not in chosen]
    assert attention, "the Add behind the attention stays in float"


def test_integers_read_the_images_as_they_are_and_see_nearly_the_same(
    model_card, rig, views, tmp_path
):
    source, target = model_card.with_suffix(".onnx"), tmp_path / "integers.onnx"
    predictor = Predictor(model_card)
    fits = [predictor.fit(camera) for camera in rig.cameras]
    (inputs,) = predictor.inputs([f.image(i) for f, (i, _) in zip(fits, views)], fits)
    write_int8(source, target, iter([inputs]))
    graph = onnx.load(target).graph
    assert not any(n.op_type == "QuantizeLinear" and "images" in n.input for n in graph.node)
    pixels = [node for node in graph.node if node.op_type != "Shape"]
    first = next(node for node in pixels if "images" in node.input)
    while first.op_type != "DequantizeLinear":
        assert first.op_type in ("Reshape", "Transpose", "Unsqueeze"), "levels are not touched"
        first = next(node for node in pixels if first.output[0] in node.input)
    depths = []
    for path in (source, target):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        depths.append(session.run(["depth"], inputs)[0])
    assert np.median(np.abs(depths[1] / depths[0] - 1)) < 0.2


def test_rays_and_depth_are_no_part_of_the_trunk(model_card):
    graph = onnx.load(model_card.with_suffix(".onnx")).graph
    kinds = {node.op_type for node in trunk(graph)}
    assert "Conv" in kinds and not kinds & {"Log", "Exp", "Sqrt"}


def test_error_of_a_constant_is_what_one_works_out(samples):
    class Ten:
        config = SessionConfig()

        def __call__(self, images, rig):
            tens = [np.full(image.shape[:2], 10.0, np.float32) for image in images]
            return SimpleNamespace(at_source=tens.__getitem__)

    truth, errors = samples[0].depth_gt, []
    for depth in truth:
        counts = (depth > 0) & (depth <= module.MAX_DEPTH_M)
        errors.append(np.mean(np.abs(10.0 - depth[counts]) / depth[counts]))
    assert abs_rel(Ten(), samples[:1]) == pytest.approx(np.mean(errors), rel=1e-5)


def test_a_folder_without_samples_is_one_sentence(model_card, tmp_path, capsys):
    arguments = ["--card", str(model_card), "--data", str(tmp_path), "--val", str(tmp_path)]
    assert module.main(arguments) == 2
    assert "holds no rendered street samples" in capsys.readouterr().err
