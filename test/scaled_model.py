"""The shipped model with something wrong with it, as card and ONNX file."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fsmde_core.card import add_file, load_card, save_card


def write_variant(
    card: Path, out: Path, *, scale: float = 1.0, noise: float = 0.0, seed: int = 0
) -> Path:
    """A copy whose depths are times scale; noise is a share of the spread of each layer's weights.

    Its .safetensors are the original's.
    """
    model = onnx.load(str(card.with_suffix(".onnx")))
    rng = np.random.default_rng(seed)
    for initializer in model.graph.initializer if noise else ():
        weights = numpy_helper.to_array(initializer)
        if weights.dtype == np.float32 and weights.ndim == 4 and weights.size > 256:
            shaken = weights + noise * weights.std() * rng.standard_normal(weights.shape)
            shaken = shaken.astype(np.float32)
            initializer.CopyFrom(numpy_helper.from_array(shaken, initializer.name))
    for node in model.graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = "depth as it was" if name == "depth" else name
    model.graph.initializer.append(numpy_helper.from_array(np.float32(scale), "factor"))
    model.graph.node.append(helper.make_node("Mul", ["depth as it was", "factor"], ["depth"]))
    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(out.with_suffix(".onnx")))
    shutil.copy(card.with_suffix(".safetensors"), out.with_suffix(".safetensors"))
    save_card(replace(load_card(card), name=out.stem, sha256={}), out)
    for suffix in (".safetensors", ".onnx"):
        add_file(out, out.with_suffix(suffix))
    return out
