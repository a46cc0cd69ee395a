import os
import shutil
import signal
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from blocks import write_blocks

from fsmde_core.bench import quantize as module
from fsmde_core.bench.quantize import QuantizeConfig, Sets, Views, abs_rel, quantize, views_of
from fsmde_core.card import load_card
from fsmde_core.rig import load_rig, save_rig
from fsmde_core.runtime.bias_correction import correct_biases
from fsmde_core.runtime.precision import integer_nodes, trunk, write_fp16, write_int8
from fsmde_core.runtime.predictor import Predictor
from fsmde_core.runtime.session import SessionConfig
from fsmde_ros.bags.writer import write_bag


@pytest.fixture(scope="module")
def samples(sample):
    """One set of images four times."""
    return [views_of(sample)] * 4


@pytest.fixture
def card_path(untrained, tmp_path):
    """A model card of its own."""
    return shutil.copytree(untrained.parent, tmp_path / "model") / untrained.name


def run(card_path, samples, precision, tolerance, name="street val"):
    config = QuantizeConfig(correction_samples=0, tolerance=tolerance, distance=tolerance)
    return quantize(
        card_path,
        precision=precision,
        train=samples,
        val=Sets(samples[:2], name),
        config=config,
        command="quantize it",
    )


def test_a_model_in_integers_enters_the_card_with_both_errors(card_path, samples):
    _, before, after, kept = run(card_path, samples, "int8", tolerance=10.0)
    assert kept and before > 0 and after > 0
    card = load_card(card_path)
    assert "tiny.int8.onnx" in card.sha256
    (about,) = card.metrics
    assert about.startswith("quantize it: Abs Rel on 2 sets of street val")
    assert card.metrics[about] == {"fp32": round(before, 4), "int8": round(after, 4)}
    integers = Predictor(card_path, precision="int8")
    depths = integers(list(samples[0].images), samples[0].rig).depth
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
    predictor, rig = Predictor(card_path), samples[0].rig
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
    others = [n for n in graph.node if n.op_type == "Add" and n.name not in chosen]
    assert others, "the Adds of the rays and the depth stay in float"


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


def test_what_rounding_does_to_the_depth_on_the_mean_is_taken_back(
    model_card, rig, views, tmp_path
):
    source, target = model_card.with_suffix(".onnx"), tmp_path / "integers.onnx"
    predictor = Predictor(model_card)
    fits = [predictor.fit(camera) for camera in rig.cameras]
    samples = predictor.inputs([f.image(i) for f, (i, _) in zip(fits, views)], fits)
    write_int8(source, target, iter(samples))
    spoilt = onnx.load(target)
    values = {value.name: value for value in spoilt.graph.initializer}
    for name in [name for name in values if name.endswith("bias_quantized")]:
        bias, step = (onnx.numpy_helper.to_array(values[n]) for n in (name, name + "_scale"))
        off = np.where(step > 1e-6, bias + 0.2 / np.maximum(step, 1e-6), bias).astype(bias.dtype)
        values[name].CopyFrom(onnx.numpy_helper.from_array(off, name))
    onnx.save(spoilt, target)
    before = mean_shift(source, target, samples)
    correct_biases(source, target, samples)
    assert before > 0.05
    assert mean_shift(source, target, samples) < 0.2 * before


def mean_shift(source, target, samples):
    """How far the int8 file's depth is off on the mean, in logs."""
    logs = []
    for path in (source, target):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        logs.append(np.mean([np.log(session.run(["depth"], s)[0]).mean() for s in samples]))
    return abs(logs[1] - logs[0])


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

    truth, errors = samples[0].truth, []
    for depth in truth:
        counts = (depth > 0) & (depth <= module.MAX_DEPTH_M)
        errors.append(np.mean(np.abs(10.0 - depth[counts]) / depth[counts]))
    assert abs_rel(Ten(), samples[:1]) == pytest.approx(np.mean(errors), rel=1e-5)


def test_a_folder_without_samples_is_one_sentence(model_card, tmp_path, capsys):
    arguments = ["--card", str(model_card), "--data", str(tmp_path), "--val", str(tmp_path)]
    assert module.main(arguments) == 2
    assert "holds no rendered street samples" in capsys.readouterr().err


def test_without_truth_the_file_must_stay_near_fp32(card_path, samples):
    blind = [Views(views.images, views.rig) for views in samples]
    measure, _, away, kept = run(card_path, blind, "fp16", tolerance=0.05, name="images of a bag")
    assert measure == "distance from fp32" and 0 < away < 0.02 and kept
    ((about, values),) = load_card(card_path).metrics.items()
    assert "distance from fp32 on 2 sets of images of a bag, to 80 m" in about
    assert values == {"fp16": round(away, 4)}
    assert not run(card_path, blind, "fp16", tolerance=away / 2)[-1]


@pytest.fixture
def quick(monkeypatch):
    """The files of half precision, which are made at once, from two sets each."""
    config = QuantizeConfig(calibration_samples=1, validation_samples=2, tolerance=0.5)
    monkeypatch.setattr(module, "QuantizeConfig", lambda: config)


def about(card_path):
    (text,) = load_card(card_path).metrics
    return text


def test_nuscenes_is_named_with_its_split(card_path, nuscenes_root, quick, capsys):
    common = ["--card", str(card_path), "--precision", "fp16"]
    mini = ["--dataset", "nuscenes", "--data", str(nuscenes_root), "--version", "v1.0-mini"]
    assert module.main([*common, *mini, "--split", "all", "--val-split", "mini_train"]) == 0
    assert "Abs Rel on 1 sets of nuscenes v1.0-mini mini_train, to 80 m, metric" in about(card_path)
    assert capsys.readouterr().out.startswith("Abs Rel fp32 ")
    assert module.main([*common, *mini]) == 2  # the keyframe is in mini_train alone
    assert "no scene of the split 'mini_val'" in capsys.readouterr().err


def test_ddad_is_named_with_its_split(card_path, ddad_scene, quick):
    root = str(ddad_scene.parent.parent)
    options = ["--dataset", "ddad", "--data", root, "--val-split", "train", "--precision", "fp16"]
    assert module.main(["--card", str(card_path), *options]) == 0
    assert "Abs Rel on 2 sets of ddad train, to 80 m" in about(card_path)


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """A bag of the world of blocks, with its rig file and no LiDAR."""
    folder = tmp_path_factory.mktemp("bag")
    write_bag(write_blocks(folder, frames=3), folder / "drive")
    return folder / "drive"


def test_a_bag_without_truth_is_named(card_path, bag, quick, capsys):
    options = ["--dataset", "bag", "--data", str(bag), "--val", str(bag), "--precision", "fp16"]
    assert module.main(["--card", str(card_path), *options]) == 0
    assert "distance from fp32 on 2 sets of images of the bag drive" in about(card_path)
    assert "distance from fp32 fp16 0.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--image-topic", "{camera}/nothing"], "has no topic /{camera}/nothing, nor /{camera}/n"),
        (["--val", "nowhere"], "/nowhere/rig.yaml: No such file or directory"),
        (["--rig", "RIG"], "an image of 800x450, the rig says 160x90"),
    ],
)
def test_a_bag_that_does_not_fit_is_one_sentence(
    card_path, bag, quick, capsys, tmp_path, options, sentence
):
    rig = load_rig(bag / "rig.yaml")
    save_rig(rig.resized(160, 90), tmp_path / "rig.yaml")
    options = [str(tmp_path / "rig.yaml") if o == "RIG" else o for o in options]
    base = ["--card", str(card_path), "--dataset", "bag", "--data", str(bag), "--val", str(bag)]
    assert module.main([*base, *options]) == 2
    assert sentence.replace("{camera}", rig.names[0]) in capsys.readouterr().err


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_the_card_as_it_was(
    card_path, bag, quick, capsys, monkeypatch, number, code
):
    monkeypatch.setattr(module, "write_fp16", lambda *_: os.kill(os.getpid(), number))
    before = {p.name: p.read_bytes() for p in card_path.parent.iterdir()}
    options = ["--dataset", "bag", "--data", str(bag), "--val", str(bag), "--precision", "fp16"]
    assert module.main(["--card", str(card_path), *options]) == code
    assert f"quantize: stopped, {card_path} is as it was" in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in card_path.parent.iterdir()} == before


@pytest.mark.parametrize("folder", ["/proc/nowhere", "file", "file/under"])
def test_a_folder_that_cannot_be_written_is_said_first(tmp_path, capsys, folder):
    (tmp_path / "file").write_text("")
    card = tmp_path / folder / "net.json"
    assert module.main(["--card", str(card), "--data", "none", "--val", "none"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"quantize: {card.parent}: cannot be written to: ")


@pytest.mark.parametrize("kind", ["street", "bag"])
def test_data_without_splits_want_a_second_place(card_path, kind, capsys):
    assert module.main(["--card", str(card_path), "--dataset", kind, "--data", "here"]) == 2
    assert f"--val is needed: a {kind} has no splits" in capsys.readouterr().err
