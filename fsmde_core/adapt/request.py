"""What an adaptation is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from fsmde_core.adapt.source import MOST_MOMENTS, STEP_M
from fsmde_core.card import sha256_of


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    out: Path
    model: Path
    """Card of the model that is begun with."""
    config: Path
    """Of the training, see config/distill/adapt.yaml."""
    teacher: str = ""
    """Card of the teacher, or the file of a foundation model, whose shapes are then taught at the
    model's own depths; empty: the model itself, as an anchor against drift."""
    overrides: tuple[str, ...] = ()
    """Of the config, KEY=VALUE."""
    devices: tuple[str, ...] = ()
    """fsmde-distill's arguments that say where it trains."""
    step_m: float = STEP_M
    most: int = MOST_MOMENTS
    left_out: float = 0.2
    """Share of the moments, the last ones, that is judged on and not learnt from."""
    trust_odometry: bool = False
    trust_rig: bool = False
    dry_run: bool = False
    sources: tuple[Path, ...] = ()
    """Where the drive comes from."""
    asked: dict = field(default_factory=dict)
    """What the drive is made of, as JSON has it: another request needs another drive."""
    files: dict = field(default_factory=dict)
    """Of each source that is there, what tells whether it was changed, as JSON has it."""
    rig: Path | None = None
    """The rig file, if one is known, for whoever starts the node."""

    command: str = ""
    """As it was typed, for the report."""

    @property
    def name(self) -> str:
        return os.path.basename(os.path.abspath(self.out))  # without .. in it

    @property
    def work(self) -> Path:
        return self.out / "work"

    @property
    def placed(self) -> Path:
        return self.out / f"{self.name}.json"

    def made_of(self) -> dict:
        """What the model depends on, as JSON has it."""
        files = {"model": sha256_of(self.model), "config": sha256_of(self.config)}
        others = {"teacher": self.teacher, "with": list(self.overrides), "left out": self.left_out}
        return {**self.asked, **files, **others}
