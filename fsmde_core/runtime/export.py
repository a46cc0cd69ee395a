"""Export a student to ONNX: uint8 images, K and T_ego_cam in; depth, confidence, surface out.

fsmde-export models/student_s.json

Normalisation, rays and upsampling are in the graph. Resizing is not: it would need float copies of
full-size images, and cameras of one rig may differ in size. N, H and W are free, H and W multiples
of 32.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fsmde_core.extras import needed_by

with needed_by("fsmde-export", __file__):
    import onnx
    import torch
    from torch import Tensor, nn

    from fsmde_core.card import ModelError, add_file, load_card
    from fsmde_core.files import reason, whole_file, writable_folder
    from fsmde_core.fit import CELL
    from fsmde_core.interrupt import Interrupt
    from fsmde_core.network.checkpoint import load_student, student_config
    from fsmde_core.network.student import StudentConfig, StudentDepthNet

OPSET = 18
INPUTS = ("images", "K", "T_ego_cam")
OUTPUTS = ("depth", "confidence", "surface")


class RigGraph(nn.Module):
    """The student for one rig: no batch axis, no bins."""

    def __init__(self, student: StudentDepthNet):
        super().__init__()
        self.student = student

    def forward(self, images: Tensor, K: Tensor, T_ego_cam: Tensor) -> tuple[Tensor, ...]:
        """images [N, H, W, 3] uint8, K [N, 3, 3], T_ego_cam [N, 4, 4] to three [N, H, W].

        Depth in metres, confidence and the probability of a surface, both in (0, 1).
        """
        output = self.student(images[None], K[None], T_ego_cam[None])
        return output.depth[0], output.confidence[0], output.surface_logits[0].sigmoid()


def example_inputs(width: int, height: int, *, cameras: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random images and a plausible rig, as the graph takes them."""
    images = torch.randint(0, 256, (cameras, height, width, 3), dtype=torch.uint8)
    K = torch.tensor([[0.8 * width, 0, width / 2], [0, 0.8 * width, height / 2], [0, 0, 1]])
    optical_to_ego = [[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]]
    T_ego_cam = torch.tensor(optical_to_ego)
    return images, K.repeat(cameras, 1, 1), T_ego_cam.repeat(cameras, 1, 1)


def export_onnx(student: StudentDepthNet, config: StudentConfig, path: Path | str) -> None:
    """Write one self-contained ONNX file, whole or not at all."""
    # of an example that is one cell high the exporter would conclude that all are
    width, height = (max(2 * CELL, side) for side in (config.input_width, config.input_height))
    inputs = dict(zip(INPUTS, example_inputs(width, height, cameras=3)))
    rows, columns = (torch.export.Dim(name, min=1, max=128) for name in ("rows", "columns"))
    sides = {"images": {1: CELL * rows, 2: CELL * columns}}
    write_onnx(RigGraph(student), inputs, OUTPUTS, path, free=sides)


def write_onnx(
    network: nn.Module,
    inputs: dict[str, Tensor],
    outputs: Sequence[str],
    path: Path | str,
    *,
    free: dict[str, dict[int, Any]] | None = None,
) -> None:
    """Export any network whose inputs, in the order of forward, share a free first axis.

    free names further axes of inputs that are free, each with its torch.export dimension.
    """
    cameras, free = torch.export.Dim("cameras", min=1, max=64), free or {}
    for module in network.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # taking in-place operations apart was a third of the export
    with whole_file(path) as beside, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes on its own internals
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            network.eval(),
            tuple(inputs.values()),
            str(beside),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes={name: {0: cameras, **free.get(name, {})} for name in inputs},
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
        model = onnx.load(beside)
        _remove_notes(model.graph)
        onnx.save(model, beside)


def _remove_notes(graph: onnx.GraphProto) -> None:
    """Remove the exporter's metadata: stack traces with the paths of this machine's files."""
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    for value in graph.initializer:
        del value.metadata_props[:]


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 2 with one sentence for a model that cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("card", type=Path, help="model card NAME.json; NAME.onnx is written")
    arguments = parser.parse_args(argv)
    path = arguments.card.with_suffix(".onnx")
    with Interrupt() as interrupt:
        try:
            with interrupt.at_once():
                _export(arguments.card, path)
        except KeyboardInterrupt:
            print(f"fsmde-export: stopped, {path} is not written", file=sys.stderr)
            return interrupt.exit_code
        except ModelError as error:
            return _refused(str(error))
        except OSError as error:
            return _refused(reason(error))
    size = path.stat().st_size / 1e6
    print(f"wrote {path} ({size:.1f} MB, opset {OPSET}, images of any number and shape)")
    return 0


def _export(card: Path, path: Path) -> None:
    student, config = load_student(card), student_config(load_card(card))
    writable_folder(path.parent)
    export_onnx(student, config, path)
    add_file(card, path)


def _refused(sentence: str) -> int:
    print(f"fsmde-export: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
