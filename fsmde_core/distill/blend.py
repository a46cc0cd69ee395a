"""A student half way back to where it started: the mean of the weights before and after training.

python -m fsmde_core.distill.blend START.json TRAINED.json --share 0.5 --out NEW.json

A student that was trained on from START learns what is new and forgets some of what it knew; in
between it often does better on cameras that it never saw than at either end (Wortsman et al.,
"Robust fine-tuning of zero-shot models", 2022).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fsmde_core.extras import needed_by
from fsmde_core.interrupt import unless_interrupted

with needed_by("blend", __file__):
    import torch
    from torch import Tensor

    from fsmde_core.card import ModelCard, ModelError, add_file, load_card
    from fsmde_core.distill.origin import weights_of
    from fsmde_core.distill.rebin import carry_over
    from fsmde_core.files import reason, writable_folder
    from fsmde_core.network.checkpoint import load_student, save_student, student_config
    from fsmde_core.network.student import StudentDepthNet
    from fsmde_core.runtime.export import export_onnx


@torch.no_grad()
def blended(start: StudentDepthNet, trained: StudentDepthNet, share: float) -> StudentDepthNet:
    """A student with share of the trained weights and the rest of those of the start.

    The start may have other bins, see rebin. Its surface output, if it never learnt one, counts for
    nothing: the trained one's is taken whole.
    """
    old = {name: value.clone() for name, value in start.state_dict().items()}
    new = {name: value.clone() for name, value in trained.state_dict().items()}
    carry_over(start.head, trained.head)
    old |= {f"head.{name}": value for name, value in trained.head.state_dict().items()}
    mixed = {name: _mean(old[name], value, share) for name, value in new.items()}
    if not start.surface.weight.any():
        mixed |= {name: value for name, value in new.items() if name.startswith("surface.")}
    trained.load_state_dict(mixed)
    return trained.eval()


def _mean(old: Tensor, new: Tensor, share: float) -> Tensor:
    return old.lerp(new, share) if new.is_floating_point() else new


def _check_alike(cards: Sequence[ModelCard], start: Path, trained: Path) -> None:
    """ModelError if the two cards are of networks whose weights have no mean."""
    a, b = map(student_config, cards)
    for name in ("encoder", "decoder_channels", "canonical_focal_px"):
        of_a, of_b = getattr(a, name), getattr(b, name)
        if of_a != of_b:
            raise ModelError(f"{name} of {start} is {of_a}, that of {trained} {of_b}: no mean")


def _save(student: StudentDepthNet, cards: Sequence[ModelCard], arguments) -> None:
    """Card, weights and ONNX; what either card forbids, the new one forbids."""
    start, trained = cards
    config, out = student_config(trained), arguments.out
    about = f"{arguments.share:g} of its weights, the rest those of {arguments.start}."
    licences = dict.fromkeys([trained.licence, start.licence])
    save_student(
        student, out, config=config, description=f"{trained.description} Then {about}",
        licence=" and ".join(licences), provisional=trained.provisional or start.provisional,
        made_from={
            "start": weights_of(arguments.start), "trained": weights_of(arguments.trained)
        },
    )  # fmt: skip
    export_onnx(student, config, out.with_suffix(".onnx"))
    add_file(out, out.with_suffix(".onnx"))


@unless_interrupted("blend: stopped")
def main(argv: list[str] | None = None) -> int:
    """Write weights, card and ONNX; exit code 2 with one sentence for unreadable models."""
    parser = argparse.ArgumentParser(prog="blend", description=__doc__.splitlines()[0])
    parser.add_argument("start", type=Path, help="card of the student before")
    parser.add_argument(
        "trained", type=Path, help="card of the student that was trained on from it"
    )
    parser.add_argument("--share", type=float, default=0.5, help="of the trained weights, 0 to 1")
    parser.add_argument("--out", type=Path, required=True, help="card to write, NAME.json")
    arguments = parser.parse_args(argv)
    try:
        if not 0 <= arguments.share <= 1:
            raise ModelError(f"--share {arguments.share} is not from 0 to 1")
        cards = load_card(arguments.start), load_card(arguments.trained)
        _check_alike(cards, arguments.start, arguments.trained)
        writable_folder(arguments.out.parent)
        student = blended(
            load_student(arguments.start), load_student(arguments.trained), arguments.share
        )
        _save(student, cards, arguments)
    except ModelError as error:
        return _refused(str(error))
    except OSError as error:
        return _refused(reason(error))
    print(f"wrote {arguments.out}")
    return 0


def _refused(sentence: str) -> int:
    print(f"blend: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
