"""ONNX graphs in fewer bits: which nodes can do with less, and the files made of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16

FOLLOWERS = ("Clip", "Relu", "Add", "Resize")  # stay in integers behind a convolution


def trunk(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes on the way from the images to the last convolution, in order.

    Outside of it lie rays, bins and the depth itself: little work, and logarithms, squares and
    metres that need their bits. What knows of an image its size alone, as the rays do, sees none.
    """
    from_images, seeing = {"images"}, []
    for node in graph.node:
        if node.op_type != "Shape" and from_images & set(node.input):
            from_images |= set(node.output)
            seeing.append(node)
    to_convolution, kept = set(), []
    for node in reversed(seeing):
        if node.op_type in ("Conv", "ConvTranspose") or to_convolution & set(node.output):
            to_convolution |= set(node.input)
            kept.append(node)
    return kept[::-1]


def integer_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes to quantize: convolutions and what only ever sees their results.

    An Add with an operand from elsewhere (rays, bins) stays in float: quantizing them all
    shifts the scale of the depth. So do the last convolutions, whose results are logits: bins far
    out, improbable as they are, would need steps finer than 1 / 255 of the range.
    """
    integers, names, seen = set(), [], _seen_by_convolutions(graph)
    for node in graph.node:
        data = node.input[:2] if node.op_type == "Add" else node.input[:1]
        inner = node.op_type == "Conv" and seen & set(node.output)
        if inner or (node.op_type in FOLLOWERS and integers >= set(data)):
            integers |= set(node.output)
            names.append(node.name)
    return names


def _seen_by_convolutions(graph: onnx.GraphProto) -> set[str]:
    """Names of all values on the way to some convolution."""
    seen: set[str] = set()
    for node in reversed(graph.node):
        if node.op_type == "Conv" or seen & set(node.output):
            seen |= set(node.input)
    return seen


def write_int8(source: Path, target: Path, samples: Iterator[dict[str, np.ndarray]]) -> None:
    """Quantize an ONNX file with ranges seen on samples (inputs by name)."""
    graph = onnx.load(source).graph
    stem = next(node for node in graph.node if node.op_type == "Conv")
    whole_range = {stem.input[0]: [{"rmin": np.float32(-1), "rmax": np.float32(1)}]}
    with _without_advice():
        quantize_static(
            source,
            target,
            _Reader(samples),
            nodes_to_quantize=integer_nodes(graph),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # the mean of each batch's range: a single odd image would make all steps coarser
            extra_options={"TensorQuantOverrides": whole_range, "CalibMovingAverage": True},
        )
    model = onnx.load(target)
    feed_levels(model.graph, stem.input[0])
    onnx.save(model, target)


@contextmanager
def _without_advice() -> Iterator[None]:
    """quantize_static tells every user to run a step before it that changes nothing here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def feed_levels(graph: onnx.GraphProto, normalised: str) -> None:
    """Feed the images to a quantized stem as they are, instead of to float, normalised, and back.

    A level l stands for (l - 127.5) / 127.5. As an integer of step 1 / 127.5 with zero point 128 it
    says (l - 128) / 127.5: the images are darker by half a level, which makes no difference.
    """
    made_by = {name: node for node in graph.node for name in node.output}
    cast = made_by[normalised]
    while cast.op_type != "Cast":
        cast = made_by[cast.input[0]]
    rounding = next(node for node in graph.node if node.input[0] == normalised)
    for node in graph.node:
        if node.input and node.input[0] == rounding.output[0]:
            node.input[0] = cast.input[0]
    remove_unused(graph)


def remove_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and initializers whose results nobody reads."""
    wanted = {output.name for output in graph.output}
    for node in reversed(list(graph.node)):
        if wanted & set(node.output):
            wanted |= set(node.input)
        else:
            graph.node.remove(node)
    for value in list(graph.initializer):
        if value.name not in wanted:
            graph.initializer.remove(value)


class _Reader(CalibrationDataReader):
    def __init__(self, samples: Iterator[dict[str, np.ndarray]]):
        self._samples = samples

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._samples, None)


def write_fp16(source: Path, target: Path) -> None:
    """Convert the trunk of an ONNX file to half precision; inputs and outputs keep their types."""
    model = onnx.load(source)
    halved = {node.name for node in trunk(model.graph)}
    kept = [node.name for node in model.graph.node if node.name not in halved]
    model = convert_float_to_float16(model, keep_io_types=True, node_block_list=kept)
    onnx.save(model, target)
