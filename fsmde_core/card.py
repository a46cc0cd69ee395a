"""The model card: a JSON file that says what a model is and vouches for its files by sha256."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from fsmde_core.files import write_json


class ModelError(ValueError):
    """A model that cannot be used; the message names the file."""


@dataclass(frozen=True)
class ModelCard:
    """What stands in models/NAME.json."""

    name: str
    provisional: bool
    """True for a model that only shows that the product runs; the node says so at start-up."""
    description: str
    """What it was trained on, how long, by which command."""
    licence: str
    input_width: int
    """Pixels of the network's input."""
    input_height: int
    """Pixels of the network's input."""
    max_depth_m: float
    """The network's reach, metres: what it says to be farther is no surface."""
    student: dict
    """The StudentConfig as a mapping."""
    foundation: dict = field(default_factory=dict)
    """The FoundationConfig of a teacher on a foundation model, of which `student` then gives the
    bins only; empty for networks that are all ours."""
    made_from: dict[str, dict[str, str]] = field(default_factory=dict)
    """Role (initial, teacher...) -> name and sha256 of the weights of another model."""
    metrics: dict = field(default_factory=dict)
    """Numbers, each under the command that printed it."""
    sha256: dict[str, str] = field(default_factory=dict)
    """File name (in the card's own folder) -> sha256 of its bytes."""


def load_card(path: Path | str) -> ModelCard:
    """Read a card; ModelError names the file for anything missing, unknown or of a wrong type."""
    path = Path(path)
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise ModelError(f"model card {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"model card {path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ModelError(f"model card {path} is not a JSON object")
    known = {f.name for f in fields(ModelCard)}
    for key in document:
        if key not in known:
            raise ModelError(f"model card {path} has the unknown key {key!r}")
    try:
        card = ModelCard(**document)
    except TypeError as error:
        raise ModelError(f"model card {path}: {error}") from error
    for key in (f.name for f in fields(ModelCard) if f.type.startswith("dict")):
        if not isinstance(getattr(card, key), dict):
            raise ModelError(f"model card {path}: {key} is not an object")
    return card


def save_card(card: ModelCard, path: Path | str) -> None:
    """Write a card; the file appears whole or not at all."""
    write_json(path, asdict(card), indent=2)


def sha256_of(path: Path | str) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def verified_file(card_path: Path | str, suffix: str) -> Path:
    """The card's sibling with the given suffix, once its bytes match the card.

    ModelError if it is missing, not listed in the card, or its sha256 differs.
    """
    card_path = Path(card_path)
    card = load_card(card_path)
    path = card_path.with_suffix(suffix)
    if path.name not in card.sha256:
        raise ModelError(f"model card {card_path} lists no sha256 for {path.name}")
    if not path.is_file():
        raise ModelError(f"model file {path} is missing")
    found = sha256_of(path)
    if found != card.sha256[path.name]:
        expected = card.sha256[path.name]
        raise ModelError(f"model file {path} has sha256 {found}, its card says {expected}")
    return path


def add_file(card_path: Path | str, path: Path | str) -> None:
    """List another file of the same model (an export, say) in its card."""
    card, path = load_card(card_path), Path(path)
    save_card(replace(card, sha256={**card.sha256, path.name: sha256_of(path)}), card_path)
