"""Depth Anything V2 and the single-image networks of version 3, for the official checkpoints.

A DINOv2 transformer under a DPT decoder. Parameter names and shapes are those of V2's official
files, which therefore load unchanged; depth_anything_names maps the names of others. After the
papers (Oquab et al. 2023, Ranftl et al. 2021, Yang et al. 2024, Lin et al. 2025) and the names in
the files. V2 Small, DA3MONO-LARGE and DA3METRIC-LARGE are Apache-2.0; V2 Base and Large are
CC-BY-NC-4.0, and so is what is distilled from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsmde_core.card import ModelError
from fsmde_core.network.bins import full_precision
from fsmde_core.network.depth_anything_names import as_official, check_evidence
from fsmde_core.network.encoder import import_timm
from fsmde_core.network.foreign_weights import read_weights

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


@dataclass(frozen=True)
class Variant:
    """What distinguishes the networks of one size: what they were trained to say."""

    metric: bool
    """Whether what comes out has a scale: metres, after what FoundationOutput says."""
    input_px: int
    """Shorter side of the images it was trained for."""
    version_3: bool = False
    """Depth Anything 3: the exponential of the last layer is depth; a second one knows the sky."""


VARIANTS = {
    "relative": Variant(metric=False, input_px=518),
    "metric": Variant(metric=True, input_px=518),
    "da3_mono": Variant(metric=False, input_px=504, version_3=True),
    "da3_metric": Variant(metric=True, input_px=504, version_3=True),
}
"""relative and metric: V2; metric the files fine-tuned on Hypersim or Virtual KITTI, which end in a
sigmoid. da3_mono and da3_metric: DA3MONO-LARGE and DA3METRIC-LARGE."""
UNUSED = ("pretrained.mask_token", "depth_head.scratch.refinenet4.resConfUnit1.")
"""In V2's files without a use, and not in all others."""
DA3_FOCAL_PX = 300.0
"""Depth of da3_metric is what comes out times the focal length over this, their README says."""
DA3_SKY = 0.3
"""Where their sky map is at least that, their code takes it for the sky."""


@dataclass(frozen=True)
class FoundationOutput:
    """What a foundation model says of V images [V, 3, H, W]."""

    inverse_depth: Tensor
    """[V, H, W]. relative and da3_mono: of no scale, 0 furthest. metric: 1/m. da3_metric: 1/m for a
    camera whose focal length is DA3_FOCAL_PX; depth grows with the focal length."""
    features: Tensor
    """[V, C, 4H/7, 4W/7], of the decoder."""
    sky: Tensor | None = None
    """[V, H, W], 0 or more, sky from DA3_SKY on; None for a network that does not say."""


class DepthAnythingV2(nn.Module):
    """Depth of single images; `variant` is one of VARIANTS.

    max_depth_m is what a metric variant's sigmoid is times: 20 for Hypersim, 80 for Virtual KITTI.
    """

    def __init__(self, size: Size, *, variant: str = "relative", max_depth_m: float = 0.0):
        super().__init__()
        self.variant, self.max_depth_m = variant, max_depth_m
        self.pretrained = Dinov2(size, last_eps=1e-5 if VARIANTS[variant].version_3 else 1e-6)
        self.depth_head = DptDecoder(size, knows_sky=VARIANTS[variant].version_3)

    def forward(self, images: Tensor) -> FoundationOutput:
        """images [V, 3, H, W] normalised with ImageNet's mean and deviation.

        H and W are multiples of 14.
        """
        grid = images.shape[-2] // PATCH_PX, images.shape[-1] // PATCH_PX
        features = self.depth_head.fused(self.pretrained(images), grid)
        value, sky = self.depth_head.last(features, grid)
        return FoundationOutput(self._inverse_depth(value), features, sky)

    def _inverse_depth(self, value: Tensor) -> Tensor:
        if VARIANTS[self.variant].version_3:
            return torch.exp(-value)
        if VARIANTS[self.variant].metric:
            return 1 / (self.max_depth_m * value.sigmoid()).clamp_min(1e-3)
        return F.relu(value)


class Dinov2(nn.Module):
    """The transformer; returns the normalised patch tokens after some of its blocks."""

    def __init__(self, size: Size, *, last_eps: float = 1e-6):
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
        self.norm = nn.LayerNorm(size.width, eps=last_eps)

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

    def __init__(self, size: Size, *, knows_sky: bool = False):
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
        self.scratch.output_conv2 = _last_layers(half)
        if knows_sky:
            self.scratch.sky_output_conv2 = _last_layers(half)

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

    def last(self, features: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
        """What the last layer says [V, 14 h, 14 w] before its activation, and the sky or None.

        In float32 inside autocast too: a logarithm of depth of 3 in bf16 is off by up to 0.8 %.
        """
        with full_precision(features.device.type):
            maps = self.scratch.output_conv1(features.float())
            maps = _stretched(maps, (PATCH_PX * grid[0], PATCH_PX * grid[1]))
            value, sky = self.scratch.output_conv2(maps)[:, 0], None
            if hasattr(self.scratch, "sky_output_conv2"):
                sky = F.relu(self.scratch.sky_output_conv2(maps)[:, 0])
        return value, sky


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


def load_depth_anything(
    path: Path | str, size: str = "", *, variant: str = "", max_depth_m: float = 0.0
) -> DepthAnythingV2:
    """A network of SIZES with the weights of a checkpoint, in evaluation mode, on the CPU.

    size empty: the file's own.
    The file: official .pth, safetensors in 16 or 32 bits, transformers' names, DA3MONO-LARGE's and
    DA3METRIC-LARGE's. variant: one of VARIANTS; empty: relative, unless something about the file
    says otherwise, which then has to be given. ModelError names a file that is missing, does not
    read, holds another size, or is known to be of another variant than the one given.
    """
    path = Path(path)
    weights = as_official(read_weights(path), path)
    found = _size_of(weights)
    size = size or found or "vits"  # if of none, what is said below is what vits has and it lacks
    if found not in (None, size):
        raise ModelError(
            f"checkpoint {path} is no Depth Anything {size}: give foundation.size={found}, "
            f"as its tokens have {SIZES[found].width} channels"
        )
    variant = check_evidence(path, weights, SIZES[size].taps, variant, max_depth_m)
    network = DepthAnythingV2(SIZES[size], variant=variant, max_depth_m=max_depth_m)
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    lacking = [n for n in shapes if n not in weights and not n.startswith(UNUSED)]
    fits = {n: _is_dense(w) and w.shape == shapes.get(n) for n, w in weights.items()}
    wrong = [name for name, fit in fits.items() if not fit]
    if lacking or wrong:
        raise ModelError(
            f"checkpoint {path} is no Depth Anything {size}: it lacks {_some(lacking)}; "
            f"not of this network or of another shape: {_some(wrong)}"
        )
    network.load_state_dict(weights, strict=False)
    empty = [n for n, w in weights.items() if n.endswith(".weight") and w.dim() > 1 and not w.any()]
    if empty:
        raise ModelError(
            f"checkpoint {path} has nothing but zeros in {_some(empty)}: half a download?"
        )
    broken = [n for n, w in network.named_parameters() if not w.isfinite().all()]
    if broken:
        raise ModelError(f"checkpoint {path} has values that are not finite in {_some(broken)}")
    return network.eval()


def size_in(path: Path | str) -> str:
    """The name in SIZES of a checkpoint's network; ModelError for a file of none of them."""
    size = _size_of(as_official(read_weights(path), Path(path)))
    if size is None:
        raise ModelError(f"checkpoint {path} is no Depth Anything of {', '.join(SIZES)}")
    return size


def _size_of(weights: dict[str, Tensor]) -> str | None:
    """The size whose width the tokens have; None for none that is known."""
    token = weights.get("pretrained.cls_token")
    widths = {size.width: name for name, size in SIZES.items()}
    return widths.get(token.shape[-1]) if token is not None and token.dim() else None


def _is_dense(tensor: Tensor) -> bool:
    """Whether it holds floating-point numbers, one for each place."""
    return tensor.is_floating_point() and tensor.layout == torch.strided and not tensor.is_meta


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return (", ".join(names[:2]) or "nothing") + more


def _last_layers(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 1, kernel_size=1)
    )


def _stretched(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=True)
