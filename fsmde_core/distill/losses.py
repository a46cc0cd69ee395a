"""Training losses as pure functions of tensors and masks.

Leading axes [..., N, H, W] are rigs of N cameras; each loss is a mean over rigs, so that batches
split over several processes have the same mean gradient. All compute in float32 inside autocast;
a rig without a single pixel to learn from counts as 0 with a zero gradient.

Published (Hwang et al., RA-L 2026): bin probabilities of a scale-invariant teacher are distilled
while ground truth makes the student's bin centres metric, and relations between adjacent views are
distilled as well. The formulas are this project's own reading. Where a loss reads depth from bins,
depth_mean says how, as BinOutput's does: always as the student does.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fsmde_core.network.bins import DepthMean, at_pixels, full_precision

MEAN_WEIGHT = 0.15  # AdaBins' share of a common scale in SILog; 0 would forgive any scale
LEAST_PROBABILITY = 1e-6  # of a bin into which none of the teacher's falls


def silog_loss(
    depth: Tensor, depth_gt: Tensor, valid: Tensor, *, mean_weight: float = MEAN_WEIGHT
) -> Tensor:
    """Scale-invariant log error (Eigen et al. 2014, in the form of AdaBins).

    10 sqrt(Var g + mean_weight mean(g)^2) with g = log depth - log depth_gt over the valid pixels
    of a rig: one scale for all its cameras. depth and depth_gt [..., N, H, W] in metres, valid
    likewise, bool.
    """
    with full_precision(depth.device.type):
        g = _log_errors(depth, depth_gt, valid)
        weight = valid.flatten(-3).float()
        count = weight.sum(dim=-1).clamp_min(1)
        mean = (weight * g).sum(dim=-1) / count
        variance = (weight * (g - mean[..., None]).square()).sum(dim=-1) / count
        loss = 10.0 * torch.sqrt(variance + mean_weight * mean.square() + 1e-8)
        return torch.where(valid.flatten(-3).any(dim=-1), loss, 0.0 * mean).mean()


def log_l1_loss(depth: Tensor, depth_gt: Tensor, valid: Tensor) -> Tensor:
    """10 mean |log depth - log depth_gt|; shapes as for silog_loss.

    SILog squares, so a few pixels on edges outweigh the rest; this asks for the median instead. Ten
    gives both the same gradient where errors are alike.
    """
    with full_precision(depth.device.type):
        errors = _log_errors(depth, depth_gt, valid).abs()
        return 10.0 * _masked_mean(errors, valid.flatten(-3)).mean()


def abs_rel_loss(depth: Tensor, depth_gt: Tensor, valid: Tensor) -> Tensor:
    """10 mean |depth - depth_gt| / depth_gt, the metric itself; shapes as for silog_loss.

    Where a pixel may be near or far it asks for near: to miss an obstacle costs more than to fear
    one.
    """
    with full_precision(depth.device.type):
        errors = _log_errors(depth, depth_gt, valid).expm1().abs()
        return 10.0 * _masked_mean(errors, valid.flatten(-3)).mean()


def bin_likelihood_loss(
    bin_logits: Tensor,
    bin_centers: Tensor,
    depth_gt: Tensor,
    valid: Tensor,
    *,
    depth_mean: DepthMean | None = None,
) -> Tensor:
    """Minus the log probability of the true depth's bin, mean over the rig's valid pixels, in nats.

    Losses of the expected depth leave open which bins it is made of: networks trained with nothing
    else spread it over near and far ones, and their probabilities teach nobody. A depth between two
    centres belongs to both, in proportion, in logs; one beyond the last centre belongs to the last
    bin, one before the first to the first. The gradient reaches the logits only.
    bin_logits [..., N, Z, h, w]; bin_centers [..., N, Z]; depth_gt and valid [..., N, H, W], H and
    W multiples of h and w: all of a cell's pixels count. With depth_mean, for teachers of no scale,
    the truth is first scaled to what the rig's depth so read is on the mean.
    """
    with full_precision(bin_logits.device.type):
        log_probs = bin_logits.float().log_softmax(dim=-3)
        logs = bin_centers.detach().float().log()
        depth_gt, valid = (_by_cell(maps, log_probs.shape[-2:]) for maps in (depth_gt, valid))
        place = torch.where(valid, depth_gt.float(), torch.ones((), device=valid.device)).log()
        if depth_mean:
            with torch.no_grad():
                depth = _expected(log_probs.exp(), logs.exp(), depth_mean)
                depth = depth.flatten(-2)[..., None, :]
                errors = _log_errors(depth, depth_gt, valid)
                place = place + _masked_mean(errors, valid.flatten(-3))[..., None, None, None]
        above = torch.searchsorted(logs.contiguous(), place.flatten(-2).contiguous())
        above = above.clamp(1, logs.shape[-1] - 1)
        lower, upper = (logs.gather(-1, i).view_as(place) for i in (above - 1, above))
        share = ((place - lower) / (upper - lower)).clamp(0, 1)
        above = above.view_as(place)
        log_probs = log_probs.flatten(-2)  # [..., N, Z, h w]
        likelihood = (1 - share) * log_probs.gather(-2, above - 1)
        likelihood = likelihood + share * log_probs.gather(-2, above)
        return -_masked_mean(likelihood.flatten(-3), valid.flatten(-3)).mean()


def sky_loss(depth: Tensor, sky: Tensor, far_m: Tensor) -> Tensor:
    """How far below far_m the sky's depth is, in logs; nothing at or beyond it.

    depth and sky [..., N, H, W], metres and bool; far_m broadcasts to depth. The sky has no depth,
    so ground truth says nothing of it: without this, it comes out as near as its surroundings.
    """
    with full_precision(depth.device.type):
        short = torch.relu(far_m.log() - depth.float().log()).flatten(-3)
        return _masked_mean(short, sky.flatten(-3)).mean()


def surface_loss(surface_logits: Tensor, surface: Tensor, known: Tensor) -> Tensor:
    """Binary cross entropy of there being a surface within reach, mean over the known pixels.

    surface_logits, surface and known [..., N, H, W]; surface bool, True where there is one, False
    where it is the sky or too far, or its probability; known bool, where either is sure.
    """
    with full_precision(surface_logits.device.type):
        errors = F.binary_cross_entropy_with_logits(
            surface_logits.float(), surface.float(), reduction="none"
        )
        return _masked_mean(errors.flatten(-3), known.flatten(-3)).mean()


def bin_distillation_loss(
    bin_logits: Tensor, teacher_logits: Tensor, mask: Tensor, *, temperature: float = 1.0
) -> Tensor:
    """tau^2 KL(teacher || student) between bin probabilities, the first part of CKD.

    bin_logits and teacher_logits [..., N, Z, h, w], bins of equal rank compared; mask
    [..., N, h, w] bool, the pixels that count. No gradient reaches the teacher.
    """
    with full_precision(bin_logits.device.type):
        student = (bin_logits.float() / temperature).log_softmax(dim=-3)
        teacher = (teacher_logits.detach().float() / temperature).log_softmax(dim=-3)
        divergence = (teacher.exp() * (teacher - student)).sum(dim=-3).flatten(-3)
        return temperature**2 * _masked_mean(divergence, mask.flatten(-3)).mean()


def aligned_logits(
    teacher_logits: Tensor,
    teacher_centers: Tensor,
    bin_centers: Tensor,
    depth_gt: Tensor,
    valid: Tensor,
    *,
    far_share: Tensor | None = None,
    depth_mean: DepthMean = "arithmetic",
) -> Tensor:
    """What the teacher says, as logits [..., N, Z, h, w] of the student's bins.

    A scale-invariant teacher sees the right depths times a factor of its own, and its bins are not
    where the student's of equal rank are: the widths adapt, and another input size has another
    focal length. One factor a rig, the mean in logs that ground truth asks for, makes its centres
    metres; then what each of its bins has of the probability goes to the student's bins that lie
    there. teacher_logits [..., N, Z, h, w]; teacher_centers [..., N, Z] and bin_centers
    [..., N, Z'], the student's, in metres; depth_gt and valid [..., N, H, W]; without a valid pixel
    the factor is one. far_share [..., N, H, W]: how the student upsamples depth, see at_pixels;
    without, bilinearly. No gradient.
    """
    with torch.no_grad(), full_precision(depth_gt.device.type):
        probs, centers = teacher_logits.float().softmax(dim=-3), teacher_centers.float()
        depth = _expected(probs, centers, depth_mean)
        depth = _at_pixels(depth, depth_gt.shape[-2:], far_share)
        errors = _log_errors(depth, depth_gt, valid)
        logs = centers.log() - _masked_mean(errors, valid.flatten(-3))[..., None, None]
        moved = _overlaps(logs, bin_centers.float().log()) @ probs.flatten(-2)
        return moved.clamp_min(LEAST_PROBABILITY).log().unflatten(-1, probs.shape[-2:])


def _overlaps(logs: Tensor, onto: Tensor) -> Tensor:
    """Shares [..., Z', Z] of each bin at logs [..., Z] that fall into those at onto [..., Z'].

    Edges lie half way between centres. The first and the last bin take what lies beyond.
    """
    between = (logs[..., 1:] + logs[..., :-1]) / 2
    first, last = 2 * logs[..., :1] - between[..., :1], 2 * logs[..., -1:] - between[..., -1:]
    edges = torch.cat([first, between, last], dim=-1)
    borders = (onto[..., 1:] + onto[..., :-1]) / 2
    without_end = F.pad(borders, (1, 0), value=-torch.inf), F.pad(borders, (0, 1), value=torch.inf)
    lower, upper = (side[..., :, None] for side in without_end)
    inside = torch.minimum(upper, edges[..., None, 1:]) - torch.maximum(
        lower, edges[..., None, :-1]
    )
    return inside.clamp_min(0) / edges.diff(dim=-1)[..., None, :]


def cross_interaction_loss(
    bin_centers: Tensor,
    teacher_logits: Tensor,
    depth_gt: Tensor,
    valid: Tensor,
    *,
    far_share: Tensor | None = None,
    depth_mean: DepthMean = "arithmetic",
) -> Tensor:
    """SILog of the teacher's probabilities times the student's centres, the second part of CKD.

    bin_centers [..., N, Z] in metres; teacher_logits [..., N, Z, h, w]; depth_gt and valid
    [..., N, H, W], to whose size the depth is upsampled as the student does its own: far_share
    [..., N, H, W], see at_pixels; without, bilinearly. The gradient reaches the student's centres
    only: what the teacher calls bin k must be where the ground truth is.
    """
    with full_precision(bin_centers.device.type):
        teacher_probs = teacher_logits.detach().float().softmax(dim=-3)
        depth = _expected(teacher_probs, bin_centers.float(), depth_mean)
        return silog_loss(_at_pixels(depth, depth_gt.shape[-2:], far_share), depth_gt, valid)


def relative_depth_loss(
    bin_logits: Tensor,
    teacher_logits: Tensor,
    teacher_centers: Tensor,
    mask: Tensor,
    *,
    depth_mean: DepthMean = "arithmetic",
) -> Tensor:
    """Affine-invariant distance to the teacher's relative depth, CKD's third part, ours.

    The student's probabilities times the teacher's centres [..., N, Z], against the teacher's own
    depth; both, in logs, shifted to zero mean and scaled to unit mean deviation over the mask
    [..., N, h, w] of each camera. The gradient reaches the student's probabilities only.
    """
    with full_precision(bin_logits.device.type):
        centers, mask = teacher_centers.detach().float(), mask.flatten(-2)
        depths = [
            _expected(logits.float().softmax(dim=-3), centers, depth_mean).log().flatten(-2)
            for logits in (bin_logits, teacher_logits.detach())
        ]
        student, teacher = (_standardised(depth, mask) for depth in depths)
        return _masked_mean((student - teacher).abs(), mask).mean()


def view_relational_loss(
    bin_logits: Tensor, teacher_logits: Tensor, pairs: Tensor, *, cells: tuple[int, int] = (4, 8)
) -> Tensor:
    """VRKD: do cells of adjacent views resemble each other as they do for the teacher?

    bin_logits and teacher_logits [..., N, Z, h, w]; pairs [..., P, 2], the cameras next to each
    other; cells (rows, columns) of the grid to which bin probabilities are averaged. Mean squared
    difference of the two networks' matrices of cosine similarities. No gradient to the teacher.
    """
    with full_precision(bin_logits.device.type):
        student = _relations(bin_logits, pairs, cells)
        teacher = _relations(teacher_logits.detach(), pairs, cells)
        difference = (student - teacher).square()
        return difference.mean() if difference.numel() else 0.0 * bin_logits.float().sum()


def _relations(bin_logits: Tensor, pairs: Tensor, cells: tuple[int, int]) -> Tensor:
    """Cosine similarities [..., P, cells, cells] between the cells of both views of each pair."""
    bin_probs = bin_logits.float().softmax(dim=-3)
    leading, shape = bin_probs.shape[:-3], bin_probs.shape[-3:]
    pooled = F.adaptive_avg_pool2d(bin_probs.reshape(-1, *shape), cells)
    unit = F.normalize(pooled.flatten(2).transpose(1, 2), dim=-1)
    unit = unit.reshape(-1, leading[-1], *unit.shape[1:])
    rigs = torch.arange(len(unit), device=unit.device)[:, None]
    first, second = pairs.reshape(len(unit), -1, 2).unbind(dim=-1)
    return unit[rigs, first] @ unit[rigs, second].transpose(-1, -2)


def _log_errors(depth: Tensor, depth_gt: Tensor, valid: Tensor) -> Tensor:
    """log depth - log depth_gt [..., N H W], 0 where not valid."""
    ones = torch.ones((), device=depth.device)
    g = torch.where(valid, depth.float(), ones).log()
    return (g - torch.where(valid, depth_gt.float(), ones).log()).flatten(-3)


def _expected(bin_probs: Tensor, bin_centers: Tensor, depth_mean: DepthMean) -> Tensor:
    """Depth [..., h, w] of probabilities [..., Z, h, w] and centres [..., Z]."""
    if depth_mean == "geometric":
        return _expected(bin_probs, bin_centers.log(), "arithmetic").exp()
    if depth_mean == "harmonic":
        return _expected(bin_probs, bin_centers.reciprocal(), "arithmetic").reciprocal()
    return (bin_probs * bin_centers[..., None, None]).sum(dim=-3)


def _at_pixels(depth: Tensor, size: tuple[int, int], far_share: Tensor | None) -> Tensor:
    """[..., h, w] to [..., H, W], as the student upsamples its depth."""
    if far_share is not None:
        far_share = far_share.detach().float().reshape(-1, *size)
    flat = at_pixels(depth.reshape(-1, *depth.shape[-2:]), tuple(size), far_share)
    return flat.reshape(*depth.shape[:-2], *size)


def _by_cell(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """The pixels of each of h x w cells: [..., H, W] to [..., pixels of a cell, h w]."""
    rows, columns = size
    cells = maps.unflatten(-1, (columns, -1)).unflatten(-3, (rows, -1))
    return cells.movedim((-3, -1), (-4, -3)).flatten(-4, -3).flatten(-2)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the last axis where mask, 0 where there is nothing."""
    kept = torch.where(mask, values, torch.zeros((), device=values.device))
    return kept.sum(dim=-1) / mask.sum(dim=-1).clamp_min(1)


def _standardised(values: Tensor, mask: Tensor) -> Tensor:
    values = values - _masked_mean(values, mask)[..., None]
    return values / _masked_mean(values.abs(), mask)[..., None].clamp_min(1e-3)
