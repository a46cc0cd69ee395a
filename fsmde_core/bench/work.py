"""How many multiply-adds a network takes, counted from its ONNX file."""

from __future__ import annotations

from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnxruntime
from onnx import shape_inference

from fsmde_core.runtime.session import CPU


def giga_macs(path: Path, cameras: int, size: tuple[int, int] = (0, 0)) -> float:
    """10^9 multiply-adds of convolutions and matrix products for one set of that many cameras.

    size (width, height) is that of the images, for networks that leave it open. ValueError if the
    shape of one of them cannot be worked out, or the number of cameras is fixed: the exporter fixes
    it without a word where a network asks for it as a Python number.
    """
    model = onnx.load(path)
    free = {d.dim_param for i in model.graph.input for d in i.type.tensor_type.shape.dim}
    if not free - {""}:
        raise ValueError(f"model file {path} takes a fixed number of cameras")
    graph = shape_inference.infer_shapes(_of_fixed_shape(path, model, (cameras, *size[::-1]))).graph
    shapes = {t.name: list(t.dims) for t in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = [d.dim_value for d in value.type.tensor_type.shape.dim]
    return sum(_macs(node, shapes) for node in graph.node) / 1e9


def _of_fixed_shape(path: Path, model: onnx.ModelProto, sides: tuple[int, ...]) -> onnx.ModelProto:
    """The model for inputs of these first sides, everything that follows from them folded."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    for value in model.graph.input:
        for dimension, side in zip(value.type.tensor_type.shape.dim, sides):
            if dimension.dim_param:
                options.add_free_dimension_override_by_name(dimension.dim_param, side)
    with TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "fixed.onnx")
        onnxruntime.InferenceSession(str(path), options, providers=[CPU])
        return onnx.load(options.optimized_model_filepath)


def _macs(node, shapes: dict[str, list[int]]) -> int:
    """A node's output elements times the products summed up in each."""
    if node.op_type not in ("Conv", "ConvTranspose", "MatMul", "Gemm"):
        return 0
    a, b, out = (shapes.get(name) for name in (*node.input[:2], node.output[0]))
    if not (a and b and out) or not all((*a, *b, *out)):
        raise ValueError(f"shape of {node.op_type} {node.name} is not known")
    if node.op_type == "Conv":  # weights [out, in / groups, kh, kw]
        return prod(out) * prod(b[1:])
    if node.op_type == "ConvTranspose":  # weights [in, out / groups, kh, kw]: each input spreads
        return prod(a) * prod(b[1:])
    transposed = any(x.name == "transA" and x.i for x in node.attribute)
    return prod(out) * (a[0] if transposed else a[-1])
