"""Biases of an int8 graph that undo what rounding does to the means of its convolutions.

Rounded weights and activations shift the mean of what a convolution gives, and every later layer
carries it on. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction
(2019): measure that shift on images, channel by channel, and take it off the bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from tqdm import tqdm

from fsmde_core.runtime.precision import remove_unused

Samples = Sequence[dict[str, np.ndarray]]
"""Inputs of a graph by their names, one set of images each."""


class _Convolution(NamedTuple):
    """One convolution in both graphs."""

    result: str
    """Its output in the float graph."""
    rounded: str
    """Its output in the int8 graph, before it is rounded itself."""
    bias: str
    """Its bias in the int8 graph, an initializer."""
    step: str
    """What one of the bias's integers stands for, by channel; empty where the bias is float."""


def correct_biases(exact: Path, integers: Path, samples: Samples) -> None:
    """Change the int8 file's biases so that its convolutions have the means of the float file's.

    From the first convolution to the last, since each sees what those before it give: what is left
    for a layer is its own share.
    """
    theirs, ours = onnx.load(exact), onnx.load(integers)
    convolutions = _in_both(theirs.graph, ours.graph)
    wanted = _means(theirs, [c.result for c in convolutions], samples)
    values = {value.name: value for value in ours.graph.initializer}
    named = zip(convolutions, wanted)
    for convolution, mean in tqdm(named, unit="layer", desc="biases", total=len(wanted)):
        (shifted,) = _means(ours, [convolution.rounded], samples)
        bias = numpy_helper.to_array(values[convolution.bias])
        if convolution.step:
            step = numpy_helper.to_array(values[convolution.step])
            bias = _raised(bias, mean - shifted, step)
        else:
            bias = (bias + mean - shifted).astype(bias.dtype)
        values[convolution.bias].CopyFrom(numpy_helper.from_array(bias, convolution.bias))
    onnx.save(ours, integers)


def _raised(bias: np.ndarray, missing: np.ndarray, step: np.ndarray) -> np.ndarray:
    """A bias in integers with what is missing added; a dead channel, of no step, stays as it is."""
    steps = np.divide(missing, step, out=np.zeros_like(missing), where=step > 0)
    limits = np.iinfo(bias.dtype)
    return np.clip(np.round(bias + steps), limits.min, limits.max).astype(bias.dtype)


def _in_both(exact: onnx.GraphProto, integers: onnx.GraphProto) -> list[_Convolution]:
    """The convolutions with a bias, in order; quantizing keeps their names."""
    ours = {node.name: node for node in integers.node if node.op_type == "Conv"}
    whole = {node.output[0]: node for node in integers.node if node.op_type == "DequantizeLinear"}
    found = []
    for node in exact.node:
        if node.op_type == "Conv" and len(node.input) == 3:
            same = ours[node.name]
            source = whole.get(same.input[2])
            bias, step = source.input[:2] if source else (same.input[2], "")
            found.append(_Convolution(node.output[0], same.output[0], bias, step))
    return found


def _means(model: onnx.ModelProto, values: list[str], samples: Samples) -> list[np.ndarray]:
    """Of each named value [N, C, H, W] the mean by channel, over all samples as much each."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in values)
    remove_unused(probe.graph)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    sums = [0.0] * len(values)
    for inputs in samples:
        for i, maps in enumerate(session.run(values, inputs)):
            sums[i] = sums[i] + maps.mean(axis=(0, 2, 3), dtype=np.float64)
    return [total / len(samples) for total in sums]
