"""The machine's limits as ONNX graphs, measured on the providers and threads of the networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
PRODUCTS = 8  # matrix products in a row: what goes in and out of the graph does not count
COPIES = 4
COPY_BYTES = 1 << 28  # far beyond any cache


def write_gemm(path: Path, side: int, *, precision: str) -> float:
    """Write a chain of square matrix products; returns its 10^9 multiply-adds.

    int8 multiplies unsigned with signed bytes, as quantized convolutions do.
    """
    weights = np.random.default_rng(0).normal(size=(side, side)) / np.sqrt(side)
    graph = _int8_products if precision == "int8" else _products
    if precision == "int8":
        weights = np.round(weights * np.sqrt(side) * 30).clip(-127, 127).astype(np.int8)
    else:
        weights = weights.astype(np.float16 if precision == "fp16" else np.float32)
    _write(path, graph, weights)
    return PRODUCTS * side**3 / 1e9


def write_copy(path: Path) -> float:
    """Write a graph that reads and writes a large array some times; returns its 10^9 bytes."""
    _write(path, _scalings, np.zeros(COPY_BYTES // 4, np.float32))
    return 2 * COPIES * COPY_BYTES / 1e9


def _write(path: Path, graph: Callable, weights: np.ndarray) -> None:
    nodes = graph()
    start = helper.make_tensor_value_info("start", TensorProto.FLOAT, [1])
    end = helper.make_tensor_value_info("end", TensorProto.FLOAT, [1])
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.array(weights.shape, np.int64), "shape"),
        numpy_helper.from_array(np.zeros(weights.ndim, np.int64), "zeros"),
        numpy_helper.from_array(np.ones(weights.ndim, np.int64), "ones"),
        numpy_helper.from_array(np.array([1], np.int64), "flat"),
    ]
    graph = helper.make_graph(nodes, "limit", [start], [end], constants)
    opsets = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)


def _products() -> list:
    nodes = [
        helper.make_node("CastLike", ["start", "weights"], ["factor"]),
        helper.make_node("Mul", ["weights", "factor"], ["x0"]),
    ]
    for i in range(PRODUCTS):
        nodes.append(helper.make_node("MatMul", [f"x{i}", "weights"], [f"x{i + 1}"]))
    return nodes + _one_number(f"x{PRODUCTS}")


def _int8_products() -> list:
    nodes, level = [], "start"
    for i in range(PRODUCTS):
        nodes += [  # each on other data, or ONNX Runtime would work out only one
            helper.make_node("Add", [level, "start"], [f"level{i}"]),
            helper.make_node("Cast", [f"level{i}"], [f"byte{i}"], to=TensorProto.UINT8),
            helper.make_node("Expand", [f"byte{i}", "shape"], [f"x{i}"]),
            helper.make_node("MatMulInteger", [f"x{i}", "weights"], [f"y{i}"]),
            helper.make_node("Slice", [f"y{i}", "zeros", "ones"], [f"corner{i}"]),
        ]
        level = f"level{i}"
    corners = [f"corner{i}" for i in range(PRODUCTS)]
    nodes.append(helper.make_node("Concat", corners, ["all"], axis=0))
    return nodes + _one_number("all")


def _scalings() -> list:
    names = ["weights"] + [f"x{i}" for i in range(COPIES)]
    nodes = [helper.make_node("Mul", [a, "start"], [b]) for a, b in zip(names, names[1:])]
    return nodes + _one_number(names[-1])


def _one_number(name: str) -> list:
    """Nodes that give the first element as `end`, [1] float."""
    return [
        helper.make_node("Slice", [name, "zeros", "ones"], ["corner"]),
        helper.make_node("Cast", ["corner"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["number", "flat"], ["end"]),
    ]
