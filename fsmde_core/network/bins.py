"""Depth as hybrid regression: the mean of bin centres, weighted with their probabilities.

Teacher and student share this head. Bin widths are a softmax over Z bins of log depth, so bins keep
their rank; where bin k lies is each network's own (see aligned_logits).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH_SPREAD = 0.5
"""Bins adapt by at most this in the log of their width. Left free, they collapse: losses of the
expected depth push 50 of 64 bins into the nearest metre, as that moves the mean as well as any
probability does, and the rest are too coarse to mean a depth, or to teach one."""
DepthMean = Literal["arithmetic", "geometric", "harmonic"]
"""How depth is read from bins. Where training never showed what is seen, many bins have a share:
their arithmetic mean lies far, the geometric one in the middle of them, and the harmonic one, the
mean of inverse depth, near."""
GUESS_M = 10.0
"""Where an untrained head believes everything to be, in metres at the canonical focal length."""


@dataclass(frozen=True)
class BinOutput:
    """What a depth network returns for V views; h and w are the head's resolution."""

    bin_logits: Tensor
    """[V, Z, h, w], before the softmax."""
    bin_centers: Tensor
    """[V, Z] in metres, strictly increasing along Z."""
    depth: Tensor
    """[V, h, w] expected depth in metres along the optical axis."""
    confidence: Tensor
    """[V, h, w] in (0, 1]: exp(-s), s the standard deviation of log depth under the bins."""
    surface_logits: Tensor | None = None
    """[V, h, w], logits of the probability that there is a surface within reach at all, and no sky;
    None for a network that does not say."""
    far_share: Tensor | None = None
    """[V, H, W] in (0, 1), where each pixel lies between the cells around it, see on_a_side; None
    for a network that upsamples its depth bilinearly."""
    depth_mean: DepthMean = "arithmetic"
    """How depth was read from the bins."""


def full_precision(device_type: str) -> AbstractContextManager:
    """Switches autocast off, as sums over bins and losses need; nothing where it is off already.

    The distinction keeps autocast out of exported graphs.
    """
    if torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


def expected_depth(
    bin_logits: Tensor, bin_centers: Tensor, depth_mean: DepthMean = "arithmetic"
) -> tuple[Tensor, Tensor]:
    """Depth and confidence of every pixel from its bin probabilities.

    bin_logits [V, Z, h, w]; bin_centers [V, Z] in metres; returns depth [V, h, w] in metres and
    confidence [V, h, w] in (0, 1]. Channels last and one matrix product for all moments: a softmax
    over the channel axis followed by a weighted sum takes a third longer on a CPU.
    """
    views, _, height, width = bin_logits.shape
    bin_probs = bin_logits.flatten(2).transpose(1, 2).softmax(dim=-1)
    log_centers = bin_centers.log()
    middle = log_centers.mean(dim=-1, keepdim=True)
    log_centers = log_centers - middle  # keeps fp16 moments small
    centers = bin_centers.reciprocal() if depth_mean == "harmonic" else bin_centers
    moments = bin_probs @ torch.stack([centers, log_centers, log_centers.square()], dim=-1)
    depth, log_mean, log_square = moments.unbind(dim=-1)
    if depth_mean == "geometric":
        depth = torch.exp(log_mean + middle)
    elif depth_mean == "harmonic":
        depth = depth.reciprocal()
    spread = (log_square - log_mean.square()).clamp_min(1e-8).sqrt()
    shape = (views, height, width)
    return depth.reshape(shape), torch.exp(-spread).reshape(shape)


def for_rigs(output: BinOutput, cameras: int) -> BinOutput:
    """The output of V = B * cameras views with leading axes [B, cameras]."""
    values = {f.name: getattr(output, f.name) for f in fields(output)}
    maps = {name: v for name, v in values.items() if isinstance(v, Tensor)}
    return replace(output, **{name: v.unflatten(0, (-1, cameras)) for name, v in maps.items()})


def upsampled(output: BinOutput, size: tuple[int, int]) -> BinOutput:
    """Depth and confidence of V views at size (H, W); bin_logits keep their resolution."""
    depth, confidence = _upsampled([output.depth, output.confidence], size)
    return replace(output, depth=depth, confidence=confidence)


def on_a_side(
    output: BinOutput, sides: Tensor, surface: Tensor, size: tuple[int, int], *, stride: int
) -> BinOutput:
    """Depth, confidence and surface_logits of V views at size (H, W) = stride (h, w).

    Bilinear upsampling smears an edge over two cells, into the air between the car and the wall
    behind it. Here each pixel says how far it lies from the nearest of the 3 x 3 cells around it
    (0) towards the farthest (1), in log depth. sides [V, s s, h, w] are logits of that share for
    the s x s pixels of each cell, s the stride; surface likewise those of there being a surface.
    """
    far_share, surface = (F.pixel_shuffle(maps, stride)[:, 0].float() for maps in (sides, surface))
    far_share = far_share.sigmoid()
    near, far, confidence = _upsampled([*_around(output.depth), output.confidence], size)
    return replace(
        output,
        depth=_between(near, far, far_share),
        confidence=confidence,
        surface_logits=surface,
        far_share=far_share,
    )


def at_pixels(depth: Tensor, size: tuple[int, int], far_share: Tensor | None = None) -> Tensor:
    """Depth [V, h, w] of cells at size (H, W), as the network with that far_share upsamples its
    own; [V, H, W]."""
    if far_share is None:
        return _upsampled([depth], size)[0]
    return _between(*_upsampled(_around(depth), size), far_share)


def _around(depth: Tensor) -> tuple[Tensor, Tensor]:
    """Log of the nearest and of the farthest depth of the 3 x 3 cells around each, [V, h, w]."""
    logs = depth.log()[:, None]
    near = -F.max_pool2d(-logs, 3, stride=1, padding=1)
    far = F.max_pool2d(logs, 3, stride=1, padding=1)
    return near[:, 0], far[:, 0]


def _between(near: Tensor, far: Tensor, far_share: Tensor) -> Tensor:
    return torch.exp(near + far_share * (far - near))


def _upsampled(maps: Sequence[Tensor], size: tuple[int, int]) -> tuple[Tensor, ...]:
    """Maps [V, h, w] at size (H, W)."""
    stacked = torch.stack(maps, dim=1)
    return F.interpolate(stacked, size=size, mode="bilinear", align_corners=False).unbind(dim=1)


class BinHead(nn.Module):
    """Adaptive bins in log depth: widths from pooled features, logits from pixel features.

    Centres lie between min_depth_m and max_depth_m for a camera whose focal length is
    canonical_focal_px and scale with the real one, so that the same picture taken with a longer
    lens is further away.
    """

    def __init__(
        self,
        pixel_channels: int,
        pooled_channels: int,
        *,
        n_bins: int,
        min_depth_m: float,
        max_depth_m: float,
        canonical_focal_px: float,
        depth_mean: DepthMean = "arithmetic",
    ):
        super().__init__()
        self.depth_mean = depth_mean
        self.log_min = math.log(min_depth_m)
        self.log_range = math.log(max_depth_m / min_depth_m)
        self.canonical_focal_px = canonical_focal_px
        self.widths = nn.Sequential(
            nn.Linear(pooled_channels, 2 * n_bins), nn.ReLU(), nn.Linear(2 * n_bins, n_bins)
        )
        nn.init.zeros_(self.widths[-1].weight)  # start from equal bins in log depth
        nn.init.zeros_(self.widths[-1].bias)
        self.logits = nn.Conv2d(pixel_channels, n_bins, kernel_size=1)
        log_centers = self.log_min + self.log_range * (torch.arange(n_bins) + 0.5) / n_bins
        self.logits.bias.data = -0.5 * (log_centers - math.log(GUESS_M)).square()
        # centre = the widths before it + half its own: one matrix product, no cumulative sum
        to_centers = torch.triu(torch.ones(n_bins, n_bins), diagonal=1) + 0.5 * torch.eye(n_bins)
        self.register_buffer("to_centers", to_centers, persistent=False)

    def forward(self, pixel_features: Tensor, pooled_features: Tensor, focal_px: Tensor):
        """Bins of V views as a BinOutput.

        pixel_features [V, C, h, w]; pooled_features [V, C']; focal_px [V], the horizontal focal
        length in pixels of the network's input.
        """
        bin_logits = self.logits(pixel_features)
        with full_precision(pooled_features.device.type):
            log_widths = WIDTH_SPREAD * self.widths(pooled_features.float()).tanh()
            bin_widths = log_widths.softmax(dim=-1)
            log_centers = self.log_min + self.log_range * (bin_widths @ self.to_centers)
            bin_centers = log_centers.exp() * (focal_px / self.canonical_focal_px)[:, None]
            depth, confidence = expected_depth(bin_logits.float(), bin_centers, self.depth_mean)
        return BinOutput(bin_logits, bin_centers, depth, confidence, depth_mean=self.depth_mean)
