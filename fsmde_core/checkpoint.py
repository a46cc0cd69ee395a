"""Student weights on disk: NAME.safetensors beside the card NAME.json."""

from __future__ import annotations

import os
from dataclasses import asdict, fields, replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from fsmde_core.card import ModelCard, ModelError, load_card, save_card, sha256_of, verified_file
from fsmde_core.student import StudentConfig, StudentDepthNet


def save_student(
    student: StudentDepthNet,
    card_path: Path | str,
    *,
    config: StudentConfig,
    description: str,
    licence: str,
    provisional: bool,
    metrics: dict | None = None,
) -> ModelCard:
    """Write weights and card; both appear whole, the card last. Returns the card."""
    card_path = Path(card_path)
    weights = card_path.with_suffix(".safetensors")
    beside = weights.with_name(weights.name + ".part")
    save_file({k: v.contiguous() for k, v in student.state_dict().items()}, beside)
    os.replace(beside, weights)
    card = ModelCard(
        name=card_path.stem,
        provisional=provisional,
        description=description,
        licence=licence,
        input_width=config.input_width,
        input_height=config.input_height,
        max_depth_m=config.max_depth_m,
        student=asdict(config),
        metrics=metrics or {},
        sha256={weights.name: sha256_of(weights)},
    )
    save_card(card, card_path)
    return card


def load_student(card_path: Path | str) -> StudentDepthNet:
    """The student that a card describes, in evaluation mode, on the CPU.

    ModelError if a file is missing, its sha256 differs, or weights and card do not fit together.
    """
    config = student_config(load_card(card_path))
    weights = verified_file(card_path, ".safetensors")
    student = StudentDepthNet(config)
    try:
        student.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        raise ModelError(f"model file {weights} does not fit its card: {error}") from error
    return student.eval()


def student_config(card: ModelCard) -> StudentConfig:
    """The StudentConfig in a card; ModelError for an unknown key."""
    known = {f.name for f in fields(StudentConfig)}
    for key in card.student:
        if key not in known:
            raise ModelError(f"model card {card.name}: unknown student key {key!r}")
    return replace(StudentConfig(), **card.student)
