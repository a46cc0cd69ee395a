"""Training losses as pure functions of tensors and masks."""

from __future__ import annotations

import torch
from torch import Tensor


def silog_loss(depth: Tensor, depth_gt: Tensor, valid: Tensor) -> Tensor:
    """Scale-invariant log error over all valid pixels of the batch (Eigen et al. 2014, AdaBins).

    10 sqrt(Var g + 0.15 mean(g)^2) with g = log depth - log depth_gt; depth and depth_gt [...] in
    metres, valid [...] bool. The rig shares one mean: one scale for all cameras. No valid pixel
    gives 0 with a zero gradient.
    """
    if not valid.any():
        return 0.0 * depth.float().sum()
    g = depth[valid].float().log() - depth_gt[valid].float().log()
    mean = g.mean()
    variance = (g - mean).square().mean()
    return 10.0 * torch.sqrt(variance + 0.15 * mean.square() + 1e-8)
