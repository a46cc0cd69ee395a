"""Models that answer 10 m everywhere, as ONNX files: one of one shape, one of every shape."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from fsmde_core.card import ModelCard, add_file, save_card

WIDTH, HEIGHT = 64, 32
FREE_WIDTH, FREE_HEIGHT = 192, 96
make = helper.make_node


def write_stub_model(card: Path) -> Path:
    """A model of 64x32 pixels with confidence 1 everywhere, as old files are; returns the card."""
    return _write(card, [HEIGHT, WIDTH], _depth_and_confidence(), ("depth", "confidence"))


def write_free_model(card: Path) -> Path:
    """A model of every shape, made for 192x96 pixels; returns the card.

    Its confidence is that of the red channel, its surface 0 where blue is 255 and 1 elsewhere.
    """
    nodes = [
        *_depth_and_confidence()[:-1],
        make("Split", ["float"], ["red", "green", "blue"], axis=3),
        make("Squeeze", ["red", "axes"], ["red map"]),
        make("Squeeze", ["blue", "axes"], ["blue map"]),
        make("Div", ["red map", "full"], ["confidence"]),
        make("Sub", ["full", "blue map"], ["not blue"]),
        make("Clip", ["not blue", "zero", "one"], ["surface"]),
    ]
    return _write(card, ["H", "W"], nodes, ("depth", "confidence", "surface"))


def _depth_and_confidence() -> list:
    return [
        make("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        make("ReduceMax", ["float"], ["grey"], axes=[3], keepdims=0),
        make("Clip", ["grey", "ten", "ten"], ["depth"]),
        make("Clip", ["grey", "one", "one"], ["confidence"]),
    ]


def _write(card: Path, sides: list, nodes: list, outputs: tuple[str, ...]) -> Path:
    n_views = ["N", *sides]
    info = helper.make_tensor_value_info
    inputs = [
        info("images", TensorProto.UINT8, [*n_views, 3]),
        info("K", TensorProto.FLOAT, ["N", 3, 3]),
        info("T_ego_cam", TensorProto.FLOAT, ["N", 4, 4]),
    ]
    constants = [
        helper.make_tensor(name, TensorProto.FLOAT, [], [value])
        for name, value in (("zero", 0.0), ("one", 1.0), ("ten", 10.0), ("full", 255.0))
    ]
    constants.append(helper.make_tensor("axes", TensorProto.INT64, [1], [3]))
    graph = helper.make_graph(
        nodes, "stub", inputs, [info(n, TensorProto.FLOAT, n_views) for n in outputs], constants
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(
        helper.make_model(graph, opset_imports=opset, ir_version=8), card.with_suffix(".onnx")
    )
    height, width = sides if sides == [HEIGHT, WIDTH] else (FREE_HEIGHT, FREE_WIDTH)
    save_card(
        ModelCard(
            name="stub", provisional=False, description="10 m everywhere", licence="Apache-2.0",
            input_width=width, input_height=height, max_depth_m=80.0, student={},
        ),
        card,
    )  # fmt: skip
    add_file(card, card.with_suffix(".onnx"))
    return card
