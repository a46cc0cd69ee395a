"""Student weights on disk: NAME.safetensors beside the card NAME.json."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from fsmde_core.card import ModelCard, ModelError, load_card, save_card, sha256_of, verified_file
from fsmde_core.configured import ConfigError, configured
from fsmde_core.files import write_bytes
from fsmde_core.network.student import StudentConfig, StudentDepthNet


def save_student(
    student: nn.Module,
    card_path: Path | str,
    *,
    config: StudentConfig,
    description: str,
    licence: str,
    provisional: bool,
    foundation: dict | None = None,
    made_from: dict | None = None,
    metrics: dict | None = None,
) -> ModelCard:
    """Write weights and card; both appear whole, the card last. Returns the card.

    Weights of a foundation model stay where they are: see trained_weights.
    """
    card_path = Path(card_path)
    weights = card_path.with_suffix(".safetensors")
    write_bytes(weights, save({k: v.contiguous() for k, v in trained_weights(student).items()}))
    card = ModelCard(
        name=card_path.stem,
        provisional=provisional,
        description=description,
        licence=licence,
        input_width=config.input_width,
        input_height=config.input_height,
        max_depth_m=config.reach_m,
        student=asdict(config),
        foundation=foundation or {},
        made_from=made_from or {},
        metrics=metrics or {},
        sha256={weights.name: sha256_of(weights)},
    )
    save_card(card, card_path)
    return card


def trained_weights(network: nn.Module) -> dict[str, Tensor]:
    """The state dict without what a frozen `backbone` brings along in a file of its own."""
    weights = network.state_dict()
    return {name: value for name, value in weights.items() if not name.startswith("backbone.")}


def load_student(card_path: Path | str) -> StudentDepthNet:
    """The student that a card describes, in evaluation mode, on the CPU.

    ModelError if a file is missing, its sha256 differs, or weights and card do not fit together.
    """
    card = load_card(card_path)
    if card.foundation:
        raise ModelError(f"model card {card_path} is of a teacher on a foundation model")
    return load_weights(StudentDepthNet(student_config(card)), card_path).eval()


def load_weights(network: nn.Module, card_path: Path | str) -> nn.Module:
    """Fill the trained weights of a network from the card's file; ModelError as load_student."""
    file = verified_file(card_path, ".safetensors")
    try:
        weights = load_file(file)
        if "surface.weight" not in weights:  # of a time when networks knew nothing of the sky
            start = network.state_dict()
            weights |= {name: start[name] for name in start if name.startswith("surface.")}
        restore_weights(network, weights)
    except (SafetensorError, RuntimeError) as error:
        raise ModelError(f"model file {file} does not fit its card: {error}") from error
    return network


def restore_weights(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load trained_weights back; RuntimeError if a single key is missing or too many."""
    missing, unexpected = network.load_state_dict(weights, strict=False)
    wrong = [key for key in missing if not key.startswith("backbone.")] + unexpected
    if wrong:
        raise RuntimeError(f"keys missing or unexpected: {', '.join(wrong[:3])}")


def student_config(card: ModelCard) -> StudentConfig:
    """The StudentConfig in a card; ModelError for an unknown key, or a value that cannot be."""
    known = {f.name for f in fields(StudentConfig)}
    for key in card.student:
        if key not in known:
            raise ModelError(f"model card {card.name}: unknown student key {key!r}")
    try:
        return configured(StudentConfig(), card.student, where="student.")
    except ConfigError as error:
        raise ModelError(f"model card {card.name}: {error}") from error
