"""A model that answers 10 m with confidence 1 everywhere, at 64x32 pixels, as an ONNX file."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from fsmde_core.card import ModelCard, add_file, save_card

WIDTH, HEIGHT = 64, 32


def write_stub_model(card: Path) -> Path:
    """Write card and ONNX file; returns the card."""
    n_views = ["N", HEIGHT, WIDTH]
    inputs = [
        helper.make_tensor_value_info("images", TensorProto.UINT8, [*n_views, 3]),
        helper.make_tensor_value_info("K", TensorProto.FLOAT, ["N", 3, 3]),
        helper.make_tensor_value_info("T_ego_cam", TensorProto.FLOAT, ["N", 4, 4]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, n_views)
        for name in ("depth", "confidence")
    ]
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["float"], ["grey"], axes=[3], keepdims=0),
        helper.make_node("Clip", ["grey", "ten", "ten"], ["depth"]),
        helper.make_node("Clip", ["grey", "one", "one"], ["confidence"]),
    ]
    constants = [
        helper.make_tensor(name, TensorProto.FLOAT, [], [value])
        for name, value in (("ten", 10.0), ("one", 1.0))
    ]
    graph = helper.make_graph(nodes, "stub", inputs, outputs, constants)
    opset = [helper.make_opsetid("", 13)]
    onnx.save(
        helper.make_model(graph, opset_imports=opset, ir_version=8), card.with_suffix(".onnx")
    )
    save_card(
        ModelCard(
            name="stub", provisional=False, description="10 m everywhere", licence="Apache-2.0",
            input_width=WIDTH, input_height=HEIGHT, max_depth_m=80.0, student={},
        ),
        card,
    )  # fmt: skip
    add_file(card, card.with_suffix(".onnx"))
    return card
