"""Teachers: frozen networks whose bins know depth up to the rig's scale.

One interface: teacher(images, K, T_ego_cam) -> BinOutput, as the student's, with bin_logits at
stride 4 of the images. Depths and centres are relative, in units that only the rig knows.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from fsmde_core.checkpoint import load_student


def load_teacher(card_path: Path | str) -> nn.Module:
    """The teacher that a card describes, frozen, on the CPU; ModelError as load_student."""
    return load_student(card_path).requires_grad_(False)
