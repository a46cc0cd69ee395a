"""What a trained model owes to whom: the models it was made from, and what their licences leave."""

from __future__ import annotations

import re
from pathlib import Path

from fsmde_core.card import load_card, sha256_of
from fsmde_core.data.drive import load_drive, unknown_licence
from fsmde_core.distill.config import DataConfig, DistillConfig
from fsmde_core.network.depth_anything import size_in
from fsmde_core.network.teacher import is_card

DATA_LICENCES = {"street": "Apache-2.0", "nuscenes": "CC-BY-NC-SA-4.0", "ddad": "CC-BY-NC-SA-4.0"}
"""data.kind -> the licence of these data; data.licence names another, where they have one. A drive
names its own."""
FOUNDATION_LICENCES = {"vits": "Apache-2.0", "vitb": "CC-BY-NC-4.0", "vitl": "CC-BY-NC-4.0"}
"""Of Depth Anything V2's weights, metric ones too, by their size."""
DA3_LICENCE = "Apache-2.0"  # of DA3MONO-LARGE and DA3METRIC-LARGE
_RESTRICTED = re.compile(r"\bNC\b|non-?commercial|research|^unknown", re.IGNORECASE)


def data_licence(data: DataConfig) -> str:
    """The licence under which these data may be learnt from."""
    if data.kind == "drive" and not data.licence:
        drive = load_drive(data.train)
        return drive.licence or unknown_licence(drive.source or drive.path.name)
    return data.licence or DATA_LICENCES[data.kind]


def licence_of(config: DistillConfig) -> str:
    """What the model's card says: config.licence, unless anything it is made from forbids more.

    Data, the model begun with, the teacher and the foundation model count; what forbids commercial
    use, or is unknown, takes the place of what permits it.
    """
    licences = [config.licence, *map(data_licence, config.sources)]
    licences += [load_card(path).licence for path in _models(config).values() if is_card(path)]
    if config.foundation.checkpoint:
        licences.append(_foundation_licence(config.foundation.size, config.foundation.variant))
    teacher = _models(config).get("teacher", "")
    if teacher and not is_card(teacher):
        licences.append(_foundation_licence(size_in(teacher), config.foundation.variant))
    restricted = dict.fromkeys(text for text in licences if _RESTRICTED.search(text))
    return " and ".join(restricted) or config.licence


def _foundation_licence(size: str, variant: str) -> str:
    return DA3_LICENCE if variant.startswith("da3") else FOUNDATION_LICENCES[size]


def made_from(config: DistillConfig) -> dict[str, dict[str, str]]:
    """Name and sha256 of the weights of the model begun with, and of the teacher, as in a card."""
    return {role: weights_of(path) for role, path in _models(config).items()}


def weights_of(path: str) -> dict[str, str]:
    """Name and sha256 of the weights that a card vouches for, or of a file of weights; ModelError
    as load_card, and for a file that does not read."""
    if not is_card(path):
        return {"name": Path(path).name, "sha256": sha256_of(path)}
    card = load_card(path)
    return {"name": card.name, "sha256": card.sha256.get(f"{card.name}.safetensors", "")}


def _models(config: DistillConfig) -> dict[str, str]:
    teacher = config.teacher if config.losses.needs_teacher else ""
    return {
        role: path for role, path in (("initial", config.initial), ("teacher", teacher)) if path
    }
