"""Teachers: frozen networks whose bins know depth up to the rig's scale.

One interface, the student's: teacher(images, K, T_ego_cam) -> BinOutput with bin_logits at stride 4
of the images. Depths and centres are relative: metres times a factor that differs from rig to rig.
A teacher is either a large network of our own or a bin head on a foundation model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from fsmde_core.bins import BinHead, BinOutput, for_rigs, upsampled
from fsmde_core.card import ModelError, load_card
from fsmde_core.checkpoint import load_student, load_weights, student_config
from fsmde_core.depth_anything import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    PATCH_PX,
    SIZES,
    load_depth_anything,
)
from fsmde_core.student import StudentConfig


@dataclass(frozen=True)
class FoundationConfig:
    """A foundation model under a teacher."""

    checkpoint: str = ""
    """Official file of Depth Anything V2, .pth or .safetensors; empty: no foundation model."""
    size: Literal["vits", "vitb", "vitl"] = "vits"
    """Small, Base or Large; only Small's licence (Apache-2.0) permits commercial use."""
    channels: PositiveInt = 128
    """Width of the layer between the frozen features and the bins."""


class FoundationTeacher(nn.Module):
    """Bins on the frozen features of Depth Anything V2.

    Only the head is trained; the foundation model's own output, relative inverse depth, is one of
    its inputs. Each image is seen alone.
    """

    def __init__(self, config: FoundationConfig, bins: StudentConfig):
        super().__init__()
        self.backbone = load_depth_anything(config.checkpoint, config.size).requires_grad_(False)
        features = SIZES[config.size].features + 1
        self.mix = nn.Sequential(nn.Conv2d(features, config.channels, 3, padding=1), nn.ReLU())
        self.head = BinHead(
            config.channels,
            config.channels,
            n_bins=bins.n_bins,
            min_depth_m=bins.min_depth_m,
            max_depth_m=bins.max_depth_m,
            canonical_focal_px=bins.canonical_focal_px,
        )
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        self.register_buffer("mean", 255 * mean[:, None, None], persistent=False)
        self.register_buffer("std", 255 * std[:, None, None], persistent=False)

    def forward(self, images: Tensor, K: Tensor, T_ego_cam: Tensor) -> BinOutput:
        """Relative depth of B rigs of N cameras; arguments and result as StudentDepthNet's."""
        _, cameras, height, width, _ = images.shape
        views = images.flatten(0, 1).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            features = self._features((views - self.mean) / self.std)
        maps = F.interpolate(features, (height // 4, width // 4), mode="bilinear", antialias=True)
        maps = self.mix(maps)
        output = self.head(maps, maps.mean(dim=(2, 3)), K.flatten(0, 1)[:, 0, 0])
        return for_rigs(upsampled(output, (height, width)), cameras)

    def _features(self, views: Tensor) -> Tensor:
        """Decoder features and relative inverse depth over its mean, [V, C + 1, h, w]."""
        size = [max(1, round(side / PATCH_PX)) * PATCH_PX for side in views.shape[-2:]]
        resized = F.interpolate(views, size, mode="bicubic", antialias=True)
        rel_inv_depth, features = self.backbone(resized)
        rel_inv_depth = F.interpolate(rel_inv_depth[:, None], features.shape[-2:], mode="area")
        mean = rel_inv_depth.mean(dim=(2, 3), keepdim=True).clamp_min(1e-6)
        return torch.cat([features, rel_inv_depth / mean], dim=1)


def load_teacher(card_path: Path | str) -> nn.Module:
    """The teacher that a card describes, frozen, in evaluation mode, on the CPU.

    ModelError as load_student, and for a foundation model's checkpoint that is missing.
    """
    card = load_card(card_path)
    if not card.foundation:
        return load_student(card_path).requires_grad_(False)
    unknown = set(card.foundation) - set(asdict(FoundationConfig()))
    if unknown or card.foundation.get("size") not in SIZES:
        raise ModelError(f"model card {card_path}: its foundation is no FoundationConfig")
    config = FoundationConfig(**card.foundation)
    teacher = FoundationTeacher(config, student_config(card))
    return load_weights(teacher, card_path).eval().requires_grad_(False)
