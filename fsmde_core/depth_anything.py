"""Depth Anything V2: a DINOv2 transformer under a DPT decoder, for the official checkpoints.

Parameter names and shapes are those of the official files, which therefore load unchanged. After
the papers (Oquab et al. 2023, Ranftl et al. 2021, Yang et al. 2024) and the names in the files.
Small is Apache-2.0; Base and Large are CC-BY-NC-4.0, and so is what is distilled from them.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fsmde_core.card import ModelError
from fsmde_core.encoder import import_timm

PATCH_PX = 14
TRAINED_PATCHES = 37  # a side of the square images that the position embeddings are made for
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Size:
    """What distinguishes one Depth Anything V2 from another."""

    width: int
    """Channels of a token."""
    heads: int
    """Of attention."""
    depth: int
    """Blocks."""
    taps: tuple[int, ...]
    """The blocks whose tokens the decoder takes."""
    tap_channels: tuple[int, ...]
    """Channels to which those are projected."""
    features: int
    """Channels of the decoder."""


SIZES = {
    "vits": Size(384, 6, 12, (2, 5, 8, 11), (48, 96, 192, 384), 64),
    "vitb": Size(768, 12, 12, (2, 5, 8, 11), (96, 192, 384, 768), 128),
    "vitl": Size(1024, 16, 24, (4, 11, 17, 23), (256, 512, 1024, 1024), 256),
}


class DepthAnythingV2(nn.Module):
    """Relative inverse depth of single images."""

    def __init__(self, size: Size):
        super().__init__()
        self.pretrained = Dinov2(size)
        self.depth_head = DptDecoder(size)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Relative inverse depth [V, H, W], 0 is furthest, and features [V, C, 4H/7, 4W/7].

        images [V, 3, H, W] normalised with ImageNet's mean and deviation; H and W multiples of 14.
        """
        grid = images.shape[-2] // PATCH_PX, images.shape[-1] // PATCH_PX
        features = self.depth_head.fused(self.pretrained(images), grid)
        return self.depth_head.inverse_depth(features, grid), features


class Dinov2(nn.Module):
    """The transformer; returns the normalised patch tokens after some of its blocks."""

    def __init__(self, size: Size):
        super().__init__()
        block = import_timm().models.vision_transformer.Block
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.taps = size.taps
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, TRAINED_PATCHES**2 + 1, size.width))
        self.mask_token = nn.Parameter(torch.zeros(1, size.width))  # in the files, without a use
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, size.width, PATCH_PX, PATCH_PX)})
        self.blocks = nn.ModuleList(
            block(size.width, size.heads, qkv_bias=True, init_values=1.0, norm_layer=norm)
            for _ in range(size.depth)
        )
        self.norm = norm(size.width)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Tokens [V, h w, C] of each tapped block; images [V, 3, 14 h, 14 w]."""
        patches = self.patch_embed["proj"](images)
        tokens = patches.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        tokens = tokens + self._positions(*patches.shape[-2:])
        tapped = []
        for i, block in enumerate(self.blocks):
            tokens = block(tokens)
            if i in self.taps:
                tapped.append(self.norm(tokens)[:, 1:])
        return tapped

    def _positions(self, rows: int, columns: int) -> Tensor:
        """Position embeddings stretched to the grid, [1, 1 + rows columns, C].

        The scale is that of a grid 0.1 larger, as DINOv2 has it, which shifts them a little.
        """
        side = TRAINED_PATCHES
        if rows == columns == side:
            return self.pos_embed
        square = self.pos_embed[:, 1:].float().unflatten(1, (side, side)).permute(0, 3, 1, 2)
        scale = ((rows + 0.1) / side, (columns + 0.1) / side)
        stretched = F.interpolate(square, scale_factor=scale, mode="bicubic")
        stretched = stretched.flatten(2).transpose(1, 2).to(self.pos_embed.dtype)
        return torch.cat([self.pos_embed[:, :1], stretched], dim=1)


class DptDecoder(nn.Module):
    """Tokens of four blocks to maps of four sizes, fused from coarse to fine."""

    def __init__(self, size: Size):
        super().__init__()
        first, second, third, fourth = size.tap_channels
        self.projects = nn.ModuleList(nn.Conv2d(size.width, c, 1) for c in size.tap_channels)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(first, first, 4, stride=4),
                nn.ConvTranspose2d(second, second, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(fourth, fourth, 3, stride=2, padding=1),
            ]
        )
        self.scratch = nn.Module()
        for i, channels in enumerate(size.tap_channels, start=1):
            lateral = nn.Conv2d(channels, size.features, 3, padding=1, bias=False)
            self.scratch.add_module(f"layer{i}_rn", lateral)
            self.scratch.add_module(f"refinenet{i}", Fusion(size.features))
        half = size.features // 2
        self.scratch.output_conv1 = nn.Conv2d(size.features, half, 3, padding=1)
        self.scratch.output_conv2 = nn.Sequential(
            nn.Conv2d(half, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 1, 1), nn.ReLU()
        )

    def fused(self, tokens: list[Tensor], grid: tuple[int, int]) -> Tensor:
        """Features [V, C, 8 h, 8 w] of tokens 4 x [V, h w, C']; grid (h, w)."""
        maps = []
        for i, (project, resize) in enumerate(zip(self.projects, self.resize_layers), start=1):
            image = tokens[i - 1].transpose(1, 2).unflatten(2, grid)
            maps.append(getattr(self.scratch, f"layer{i}_rn")(resize(project(image))))
        path = None
        for i in (4, 3, 2, 1):
            height, width = maps[i - 1].shape[-2:]
            size = maps[i - 2].shape[-2:] if i > 1 else (2 * height, 2 * width)
            path = getattr(self.scratch, f"refinenet{i}")(maps[i - 1], path, size)
        return path

    def inverse_depth(self, features: Tensor, grid: tuple[int, int]) -> Tensor:
        """Relative inverse depth [V, 14 h, 14 w]."""
        maps = self.scratch.output_conv1(features)
        maps = _stretched(maps, (PATCH_PX * grid[0], PATCH_PX * grid[1]))
        return self.scratch.output_conv2(maps)[:, 0]


class Fusion(nn.Module):
    """A finer map joins the path, which is then stretched to the next size."""

    def __init__(self, channels: int):
        super().__init__()
        self.resConfUnit1 = Residual(channels)  # the first fusion, without a path, leaves it out
        self.resConfUnit2 = Residual(channels)
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, finer: Tensor, path: Tensor | None, size: tuple[int, int]) -> Tensor:
        """finer and path [V, C, h, w]; returns [V, C, *size]."""
        joined = finer if path is None else path + self.resConfUnit1(finer)
        return self.out_conv(_stretched(self.resConfUnit2(joined), size))


class Residual(nn.Module):
    """Two convolutions, each after a ReLU, beside a shortcut."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """maps [V, C, h, w] to the same shape."""
        return maps + self.conv2(F.relu(self.conv1(F.relu(maps))))


def load_depth_anything(path: Path | str, size: str) -> DepthAnythingV2:
    """A network of SIZES with the weights of an official checkpoint, .pth or .safetensors.

    ModelError names a file that is missing, does not read, or holds another size.
    """
    path, network = Path(path), DepthAnythingV2(SIZES[size])
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(weights)
    except OSError as error:
        raise ModelError(f"checkpoint {path}: {error.strerror or error}") from error
    except (SafetensorError, RuntimeError, pickle.UnpicklingError, EOFError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"checkpoint {path} is no Depth Anything V2 {size}: {reason}") from error
    return network.eval()


def _stretched(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=True)
