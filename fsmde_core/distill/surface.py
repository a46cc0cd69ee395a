"""The surface output fitted to the end, for a student whose other weights stay as they are.

python -m fsmde_core.distill.surface CARD --config config/distill/student_s_shapes.yaml

One convolution says of every pixel whether there is a surface. Given what lies before it that is a
logistic regression, which a second-order method solves in a minute; a training that moves all at
one learning rate leaves it half done. Also after a blend, whose features are new to the layer.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from fsmde_core.extras import needed_by
from fsmde_core.interrupt import unless_interrupted

with needed_by("surface", __file__):
    import torch
    import torch.nn.functional as F
    from torch import Tensor
    from tqdm import tqdm

    from fsmde_core.arguments import positive
    from fsmde_core.card import ModelError, add_file, load_card
    from fsmde_core.data.batch import RigBatch
    from fsmde_core.data.sample import DatasetError
    from fsmde_core.distill.config import ConfigError, load_config
    from fsmde_core.distill.stream import SampleStream, by_camera_count, open_split
    from fsmde_core.network.checkpoint import load_student, save_student, student_config
    from fsmde_core.network.student import STRIDES, StudentDepthNet
    from fsmde_core.runtime.export import export_onnx

SAMPLES = 120  # of the training stream, augmented as there
CELLS = 1500  # of an image: neighbours tell little new
ITERATIONS = 80
SHRINKAGE = 1e-4  # of the squared weights: keeps them finite where all is told right


@torch.no_grad()
def gather(student: StudentDepthNet, batches: Iterable[RigBatch], reach_m: float):
    """What the layer sees and should say: features [P, C], surface and known [P, s s]."""
    seen, random = [], torch.Generator().manual_seed(0)
    hook = student.sides[0].register_forward_hook(lambda *call: seen.append(call[2]))
    rows = []
    for batch in batches:
        student(batch.images, batch.K, batch.T_ego_cam)
        valid = batch.valid & ~batch.mask
        surface = (valid & (batch.depth_gt <= reach_m)).flatten(0, 1)
        known = (valid | batch.sky).flatten(0, 1)
        features = seen.pop().permute(0, 2, 3, 1).flatten(0, 2)
        chosen = torch.randperm(len(features), generator=random)[: CELLS * len(surface)]
        rows.append((features[chosen], *(_by_cell(maps)[chosen] for maps in (surface, known))))
    hook.remove()
    return (torch.cat(column) for column in zip(*rows))


def _by_cell(maps: Tensor) -> Tensor:
    """Maps [V, H, W] bool as the values of each cell's pixels, [V h w, s s]."""
    cells = F.pixel_unshuffle(maps[:, None].float(), STRIDES[0])
    return cells.permute(0, 2, 3, 1).flatten(0, 2) > 0


def fit(student: StudentDepthNet, features: Tensor, surface: Tensor, known: Tensor) -> float:
    """Set the layer's weights; returns the mean cross entropy, in nats, that is left."""
    layer = student.surface.requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        layer.parameters(), max_iter=ITERATIONS, line_search_fn="strong_wolfe"
    )
    truth, share = surface.float(), known.float() / known.sum()

    def loss() -> Tensor:
        logits = F.linear(features, layer.weight[:, :, 0, 0], layer.bias)
        errors = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        return (errors * share).sum() + SHRINKAGE * layer.weight.square().mean()

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
    with torch.no_grad():
        return float(loss())


@unless_interrupted("surface: stopped")
def main(argv: list[str] | None = None) -> int:
    """Command line; the card's weights and ONNX file are replaced. Exit code 2 after a sentence."""
    parser = argparse.ArgumentParser(prog="surface", description=__doc__.splitlines()[0])
    parser.add_argument("card", type=Path, help="model card NAME.json")
    parser.add_argument("--config", type=Path, required=True, help="YAML of the training")
    parser.add_argument("--samples", type=positive, default=SAMPLES, help="of the training stream")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_intermixed_args(argv)
    try:
        config = load_config(arguments.config, arguments.overrides)
        card, student = load_card(arguments.card), load_student(arguments.card)
        stream = SampleStream(open_split(config.data, train=True), config)
    except (ModelError, ConfigError, DatasetError) as error:
        print(f"surface: {error}", file=sys.stderr)
        return 2
    items = (stream[k] for k in tqdm(range(arguments.samples), unit="rig", desc="surface"))
    batches = (batch for item in items for batch in by_camera_count([item]))
    left = fit(student, *gather(student, batches, student_config(card).reach_m))
    save_student(
        student, arguments.card, config=student_config(card), licence=card.licence,
        description=f"{card.description} The surface layer fitted last.",
        provisional=card.provisional, made_from=card.made_from,
    )  # fmt: skip
    export_onnx(student, student_config(card), arguments.card.with_suffix(".onnx"))
    add_file(arguments.card, arguments.card.with_suffix(".onnx"))
    print(f"cross entropy of the surface: {left:.3f} nats a pixel; wrote {arguments.card}")
    old = sorted(set(card.sha256) - set(load_card(arguments.card).sha256))
    if old:
        print(f"of other weights now, and no longer in the card: {', '.join(old)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
