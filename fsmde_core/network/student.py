"""The student: a light encoder, a light decoder, and metric bins conditioned on the rig's geometry.

Flow: uint8 images -> encoder (strides 2 to 32) -> each pixel's ray and the camera's height join the
features of strides 8 to 32 -> feature pyramid, at stride 4 of half the width -> bin head -> each
pixel takes the side of an edge that it lies on, and says whether there is a surface at all.

Each view stands for itself; the rays put all of them into one vehicle frame and one scale.
Attention across views at stride 32 was tried: neither Abs Rel nor the views' agreement gained
anything (docs/results.md), and without it cameras run side by side, and one that fails changes no
other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fsmde_core.network.bins import (
    BinHead,
    BinOutput,
    DepthMean,
    for_rigs,
    full_precision,
    on_a_side,
)
from fsmde_core.network.encoder import create_encoder

STRIDES = (4, 8, 16, 32)
RAY_CHANNELS = 7
SURE_LOGIT = 3.0  # probability 0.95
Metres = Annotated[float, Field(gt=0, le=1e6)]
Side = Annotated[int, Field(gt=0, le=2**15, multiple_of=STRIDES[-1])]


@dataclass(frozen=True)
class StudentConfig:
    """Everything that fixes the student's shape; stored in the model card."""

    encoder: str = "tf_efficientnet_lite0"
    """timm name; lite0 is the largest that keeps six views in real time on two CPU cores."""
    decoder_channels: Annotated[int, Field(gt=1, le=2**12)] = 64
    """Width of the pyramid, half of it at stride 4; dense convolutions, which beat separable ones
    in the study."""
    n_bins: Annotated[int, Field(gt=1, le=2**12)] = 64
    """Z; 32 to 128 did not differ beyond the seeds' spread."""
    min_depth_m: Metres = 0.5
    """First bin edge at the canonical focal length, metres."""
    max_depth_m: Metres = 200.0
    """Last bin edge at the canonical focal length, metres."""
    depth_mean: DepthMean = "arithmetic"
    """How depth is read from the bins. geometric and harmonic want losses.bins or log_l1: weights
    of other losses alone are right under the mean that they were trained with only."""
    canonical_focal_px: Annotated[float, Field(ge=1, le=1e5)] = 500.0
    """Focal length at which the edges hold: that of nuScenes' cameras at 640 pixels width."""
    reach_m: Metres = 200.0
    """What is farther counts as no surface, whatever the focal length, metres; DDAD's LiDAR range.
    Bins that reach it with a short lens must go far beyond at the canonical one."""
    input_width: Side = 640
    """Pixels; a multiple of 32. With the height it says how many pixels an image has by default;
    its shape is each camera's own."""
    input_height: Side = 352
    """Pixels; a multiple of 32."""


PRESETS = {
    "s": StudentConfig(),
    "m": StudentConfig(encoder="tf_efficientnet_lite2", decoder_channels=96),
}


class StudentDepthNet(nn.Module):
    """Metric depth of every view of a rig in one pass; the number of cameras is free."""

    def __init__(self, config: StudentConfig):
        super().__init__()
        channels = config.decoder_channels
        self.encoder = create_encoder(config.encoder)
        self.rays = RayEmbedding(channels, canonical_focal_px=config.canonical_focal_px)
        widths = [channels // 2] + 3 * [channels]  # most pixels are at stride 4
        half, *features = self.encoder.feature_info.channels()
        self.laterals = nn.ModuleList(
            nn.Conv2d(c, width, kernel_size=1) for c, width in zip(features, widths)
        )
        self.detail = nn.Conv2d(half, widths[0], kernel_size=2, stride=2)
        self.smooth = nn.ModuleList(_conv_norm_relu(width) for width in widths)
        self.narrow = nn.Conv2d(channels, widths[0], kernel_size=1)
        self.head = BinHead(
            widths[0],
            channels,
            n_bins=config.n_bins,
            min_depth_m=config.min_depth_m,
            max_depth_m=config.max_depth_m,
            canonical_focal_px=config.canonical_focal_px,
            depth_mean=config.depth_mean,
        )
        self.sides = nn.Sequential(
            _conv_norm_relu(widths[0]), nn.Conv2d(widths[0], STRIDES[0] ** 2, kernel_size=1)
        )
        self.surface = nn.Conv2d(widths[0], STRIDES[0] ** 2, kernel_size=1)
        believe_in_surfaces(self.surface)

    def forward(self, images: Tensor, K: Tensor, T_ego_cam: Tensor) -> BinOutput:
        """Depth of B rigs of N cameras.

        images [B, N, H, W, 3], 0..255, any dtype, RGB, H and W multiples of 32; K [B, N, 3, 3] in
        pixels of these images; T_ego_cam [B, N, 4, 4]. The BinOutput has leading axes [B, N];
        depth, confidence and surface_logits are [B, N, H, W], bin_logits stay at stride 4.
        """
        _, cameras, height, width, _ = images.shape
        views = images.flatten(0, 1).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        K, T_ego_cam = K.flatten(0, 1), T_ego_cam.flatten(0, 1)

        half, *features = self.encoder(views)
        finest, *maps = (lateral(f) for lateral, f in zip(self.laterals, features))
        maps = [
            lateral_map + self.rays(K, T_ego_cam, lateral_map.shape[-2:], stride)
            for lateral_map, stride in zip(maps, STRIDES[1:])
        ]
        pyramid = self.smooth[-1](maps[-1])
        pooled = pyramid.mean(dim=(2, 3))
        for lateral_map, smooth in zip(maps[-2::-1], self.smooth[-2:0:-1]):
            pyramid = smooth(lateral_map + _upsample(pyramid, lateral_map.shape[-2:]))
        detail = self.detail(half)
        finest = finest + detail + _upsample(self.narrow(pyramid), finest.shape[-2:])
        pyramid = self.smooth[0](finest)
        output = self.head(pyramid, pooled, K[:, 0, 0])
        hidden = self.sides[0](pyramid + detail)
        sides, surface = self.sides[1](hidden), self.surface(hidden)
        output = on_a_side(output, sides, surface, (height, width), stride=STRIDES[0])
        return for_rigs(output, cameras)


def believe_in_surfaces(layer: nn.Conv2d) -> None:
    """Start from a surface everywhere, as a network that never learnt of the sky does."""
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, SURE_LOGIT)


class RayEmbedding(nn.Module):
    """Where each cell looks in the vehicle frame and how far flat ground would be there.

    It is what makes one network metric on rigs with other focal lengths, headings and heights.
    """

    def __init__(self, channels: int, *, canonical_focal_px: float):
        super().__init__()
        self.canonical_focal_px = canonical_focal_px
        self.mix = nn.Sequential(
            nn.Conv2d(RAY_CHANNELS, channels, kernel_size=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size=1),
        )

    def forward(self, K: Tensor, T_ego_cam: Tensor, size: tuple[int, int], stride: int) -> Tensor:
        """Embedding [V, C, h, w] for K [V, 3, 3], T_ego_cam [V, 4, 4] and size (h, w)."""
        with full_precision(K.device.type):  # near the horizon bf16 would not tell 30 m from 50
            features = self.features(K, T_ego_cam, size, stride)
        return self.mix(features.to(self.mix[0].weight.dtype))

    def features(self, K: Tensor, T_ego_cam: Tensor, size: tuple[int, int], stride: int) -> Tensor:
        """Seven numbers a cell, [V, 7, h, w].

        The ray in the camera (x, y at z = 1), its unit direction in the ego frame (3), the inverse
        depth of flat ground at z = 0 for the canonical focal length (0 above the horizon), and the
        log of the camera's height.
        """
        height, width = size
        u = (torch.arange(width, device=K.device, dtype=K.dtype) + 0.5) * stride
        v = (torch.arange(height, device=K.device, dtype=K.dtype) + 0.5) * stride
        fx, skew, cx, fy, cy = (
            K[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2))
        )
        y = ((v[None, :, None] - cy) / fy).expand(-1, -1, width)
        x = (u[None, None, :] - cx - skew * y) / fx
        rays_cam = torch.stack([x, y, torch.ones_like(x)], dim=-1).flatten(1, 2)
        rays_ego = rays_cam @ T_ego_cam[:, :3, :3].transpose(1, 2)
        rays_ego = rays_ego.transpose(1, 2).unflatten(2, (height, width))
        camera_height = T_ego_cam[:, 2, 3, None, None].clamp_min(0.2)
        ground = (-rays_ego[:, 2] / camera_height).clamp_min(0) * (fx / self.canonical_focal_px)
        direction = rays_ego / rays_ego.square().sum(dim=1, keepdim=True).sqrt()
        log_height = camera_height.log().expand(-1, height, width)
        rest = torch.stack([x, y, 4.0 * ground, log_height], dim=1)  # 4: brings ground near 1
        return torch.cat([rest, direction], dim=1)


def _conv_norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


def _upsample(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
