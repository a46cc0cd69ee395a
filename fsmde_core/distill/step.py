"""One training step as a module, and the method in five lines: supervised + CKD + VRKD + adapt.

Images and ground truth in, every loss by its name out. What each loss is stands in
fsmde_core.distill.losses; which of them make up each of the four, here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from fsmde_core.distill.config import LossConfig
from fsmde_core.distill.losses import (
    abs_rel_loss,
    aligned_logits,
    bin_distillation_loss,
    bin_likelihood_loss,
    cross_interaction_loss,
    log_l1_loss,
    relative_depth_loss,
    silog_loss,
    sky_loss,
    surface_loss,
    view_relational_loss,
)
from fsmde_core.distill.photometric import Comparison, photometric_loss, smoothness_loss
from fsmde_core.network.bins import (
    GUESS_M,
    BinOutput,
    at_pixels,
    expected_depth,
    full_precision,
)
from fsmde_core.network.student import StudentConfig

CPU_BF16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # as torch names them; Arm's last
DOUBT = 1.4  # difference of two depths in logs, a factor of four
Losses = dict[str, Tensor]
"""Losses by their names, unweighted."""


@dataclass(frozen=True)
class Truth:
    """What is known of the images [B, N, H, W]; nothing of it lies on the own vehicle."""

    depth_gt: Tensor
    """Metres; for a scale-invariant teacher a multiple of the rig's median."""
    valid: Tensor
    """Where depth_gt is known and within reach."""
    too_far: Tensor
    """Where it is known to be beyond the reach: no surface."""
    sky: Tensor | None
    """Where there is the sky; None where nobody asks."""
    mask: Tensor
    """The own vehicle."""
    reach: Tensor
    """[B, 1, 1, 1], in the unit of depth_gt."""


@dataclass(frozen=True)
class Teaching:
    """What a teacher says of the student's cells."""

    bin_logits: Tensor
    """[B, N, Z, h, w]"""
    bin_centers: Tensor
    """[B, N, Z]"""
    seen: Tensor
    """[B, N, h, w] bool, the cells that are not of the own vehicle."""


class DistillStep(nn.Module):
    """The student (or a teacher to be trained) with the losses behind it.

    A module of its own, so that precision and gradient averaging over processes see one forward.
    """

    def __init__(self, student: nn.Module, losses: LossConfig, config: StudentConfig):
        super().__init__()
        self.student, self.losses, self.config = student, losses, config

    def forward(
        self,
        images: Tensor,
        K: Tensor,
        T_ego_cam: Tensor,
        depth_gt: Tensor,
        valid: Tensor,
        mask: Tensor,
        teacher_logits: Tensor | None = None,
        teacher_centers: Tensor | None = None,
        sky: Tensor | None = None,
        teacher_surface: Tensor | None = None,
        plain: Tensor | None = None,
        sources: Tensor | None = None,
        source_seen: Tensor | None = None,
        source_K: Tensor | None = None,
        T_source_cam: Tensor | None = None,
    ) -> Losses:
        """Losses of B rigs of N cameras, unweighted, and their weighted sum as `total`.

        The arguments as in RigBatch; sky where LossConfig.needs_sky. `beyond_reach` and
        `beyond_bins` are no losses but shares of the truth, see truth_beyond.
        """
        weights = self.losses
        output = self.student(images, K, T_ego_cam)
        truth = known_truth(depth_gt, valid & ~mask, sky, mask, self.config.reach_m)
        beyond = truth_beyond(truth, K, self.config)
        if weights.scale_invariant:
            truth = anchored(truth)
        supervised, parts = supervised_loss(output, truth, weights)
        ckd, ckd_parts, vrkd, vrkd_parts, teaching = 0.0, {}, 0.0, {}, None
        if teacher_logits is not None:
            teaching = taught(output, teacher_logits, teacher_centers, truth, align=weights.align)
            ckd, ckd_parts = ckd_loss(output, teaching, truth, weights)
            vrkd, vrkd_parts = vrkd_loss(output, teaching, ring_pairs(T_ego_cam), weights)
        adapt, adapt_parts = 0.0, {}
        if sources is not None:
            drive = Comparison(plain, K, sources, source_seen, source_K, T_source_cam)
            trust = 1.0 if teaching is None else trusted(output, teaching)
            adapt, adapt_parts = adapt_loss(output, drive, mask, trust, teacher_surface, weights)
        total = supervised + ckd + vrkd + adapt
        return {**parts, **ckd_parts, **vrkd_parts, **adapt_parts, **beyond, "total": total}


def supervised_loss(output: BinOutput, truth: Truth, weights: LossConfig) -> tuple[Tensor, Losses]:
    """What ground truth asks for: weighted sum, and the parts that have a weight."""
    known = truth.depth_gt, truth.valid
    parts = {
        "silog": lambda: silog_loss(output.depth, *known),
        "log_l1": lambda: log_l1_loss(output.depth, *known),
        "abs_rel": lambda: abs_rel_loss(output.depth, *known),
        "bins": lambda: bin_likelihood_loss(
            output.bin_logits,
            output.bin_centers,
            *known,
            depth_mean=output.depth_mean if weights.scale_invariant else None,
        ),
        "sky": lambda: sky_loss(output.depth, truth.sky | truth.too_far, truth.reach),
        "surface": lambda: surface_loss(
            output.surface_logits, truth.valid, truth.valid | truth.too_far | truth.sky
        ),
    }
    return _weighted(parts, weights)


def ckd_loss(
    output: BinOutput, teaching: Teaching, truth: Truth, weights: LossConfig
) -> tuple[Tensor, Losses]:
    """Cross-interaction distillation: the teacher's probabilities for the student's, ground truth
    for the student's centres; weighted sum, and the parts that have a weight."""
    student, teacher = output.bin_logits, teaching.bin_logits
    parts = {
        "kd": lambda: bin_distillation_loss(
            student, teacher, teaching.seen, temperature=weights.temperature
        ),
        "cross": lambda: cross_interaction_loss(
            output.bin_centers,
            teacher,
            truth.depth_gt,
            truth.valid,
            far_share=output.far_share,
            depth_mean=output.depth_mean,
        ),
        "relative": lambda: relative_depth_loss(
            student, teacher, teaching.bin_centers, teaching.seen, depth_mean=output.depth_mean
        ),
    }
    return _weighted(parts, weights)


def vrkd_loss(
    output: BinOutput, teaching: Teaching, pairs: Tensor, weights: LossConfig
) -> tuple[Tensor, Losses]:
    """View-relational distillation: how views next to each other (pairs [B, P, 2]) resemble each
    other; weighted, and by its name."""
    student, teacher = output.bin_logits, teaching.bin_logits
    return _weighted({"vrkd": lambda: view_relational_loss(student, teacher, pairs)}, weights)


def adapt_loss(
    output: BinOutput,
    drive: Comparison,
    mask: Tensor,
    trust: Tensor | float,
    teacher_surface: Tensor | None,
    weights: LossConfig,
) -> tuple[Tensor, Losses]:
    """What a drive without depth asks for: weighted sum, and the parts that have a weight.

    The sky, which would look right at any depth, has no say; teacher_surface [B, N, H, W], logits,
    or None where the teacher does not know of it.
    """
    kept = ~mask if output.surface_logits is None else ~mask & (output.surface_logits > 0)
    parts = {
        "photometric": lambda: photometric_loss(output.depth, drive, kept * trust),
        "smooth": lambda: smoothness_loss(output.depth, drive.plain, mask),
    }
    if teacher_surface is not None:
        told = teacher_surface.sigmoid()
        parts["keep_surface"] = lambda: surface_loss(output.surface_logits, told, ~mask)
    return _weighted(parts, weights)


def trusted(output: BinOutput, teaching: Teaching) -> Tensor:
    """How much of what other images say is believed, [B, N, H, W] in 0 to 1; no gradient.

    What moves by itself has a wrong depth that looks right, often many times the true one. The
    teacher knows cars and people by sight: the further a depth is from its own, in logs, the less
    counts, and at DOUBT nothing.
    """
    with torch.no_grad():
        rigs, size = output.depth.shape[:2], output.depth.shape[-2:]
        flat = teaching.bin_logits.flatten(0, 1).float(), teaching.bin_centers.flatten(0, 1).float()
        far_share = None if output.far_share is None else output.far_share.flatten(0, 1)
        depth, _ = expected_depth(*flat, output.depth_mean)
        depth = at_pixels(depth, size, far_share).unflatten(0, rigs)
        apart = (output.depth.float().log() - depth.log()).abs()
        return (1 - apart / DOUBT).clamp_min(0)


def _weighted(parts: dict[str, Callable[[], Tensor]], weights: LossConfig) -> tuple[Tensor, Losses]:
    """Weighted sum of the parts that have a weight, and each of these; others are not computed."""
    losses = {name: part() for name, part in parts.items() if getattr(weights, name)}
    return sum(getattr(weights, name) * loss for name, loss in losses.items()), losses


def known_truth(
    depth_gt: Tensor, valid: Tensor, sky: Tensor | None, mask: Tensor, reach_m: float
) -> Truth:
    """Truth of which what is farther than reach_m counts as the sky does: no loss of a depth sees
    it."""
    too_far = valid & (depth_gt > reach_m)
    reach = torch.full_like(depth_gt[:, :1, :1, :1], reach_m)
    return Truth(depth_gt, valid & ~too_far, too_far, sky, mask, reach)


def truth_beyond(truth: Truth, K: Tensor, config: StudentConfig) -> Losses:
    """How much of the truth lies farther than the losses of depth, or the bins, go.

    beyond_reach: of all pixels with a depth, the share beyond reach_m, which only sky and surface
    learn from. beyond_bins: of those within, the share beyond the last bin edge of their camera,
    which shrinks with the focal length; they count, as the last bin. Means over rigs.
    """
    edge_m = config.max_depth_m * K[..., 0, 0] / config.canonical_focal_px
    outside = truth.valid & (truth.depth_gt > edge_m[..., None, None])
    return {
        "beyond_reach": _share(truth.too_far, truth.too_far | truth.valid),
        "beyond_bins": _share(outside, truth.valid),
    }


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """Of the pixels of a rig that are part of the whole; mean over rigs."""
    return (part.flatten(1).sum(dim=1) / whole.flatten(1).sum(dim=1).clamp_min(1)).mean()


def anchored(truth: Truth) -> Truth:
    """Truth of a scale-invariant teacher: each rig's depths over their median, times GUESS_M.

    A loss that only forgives a rig's scale leaves it free to drift out of the bins.
    """
    depths = torch.where(truth.valid, truth.depth_gt, torch.nan).flatten(1)
    factor = (GUESS_M / depths.nanmedian(dim=1).values).nan_to_num(1.0)[:, None, None, None]
    return replace(truth, depth_gt=factor * truth.depth_gt, reach=factor * truth.reach)


def taught(
    output: BinOutput, teacher_logits: Tensor, teacher_centers: Tensor, truth: Truth, *, align: bool
) -> Teaching:
    """What the teacher says; with align, of the student's bins that lie where its own do."""
    seen = _at_cells(output, ~truth.mask)
    if not align:
        return Teaching(teacher_logits, teacher_centers, seen)
    logits = aligned_logits(
        teacher_logits,
        teacher_centers,
        output.bin_centers,
        *_scale_reference(output, truth),
        far_share=output.far_share,
        depth_mean=output.depth_mean,
    )
    return Teaching(logits, output.bin_centers.detach(), seen)


def _scale_reference(output: BinOutput, truth: Truth) -> tuple[Tensor, Tensor]:
    """Depth and the pixels that count, which tell the scale of what a teacher says of each rig.

    Ground truth; the student's own depth where a rig has none, so that a teacher of no metric scale
    teaches it shapes all the same.
    """
    unknown = ~truth.valid.flatten(-3).any(dim=-1)[..., None, None, None]
    depth = torch.where(unknown, output.depth.detach(), truth.depth_gt)
    return depth, torch.where(unknown, ~truth.mask, truth.valid)


def _at_cells(output: BinOutput, maps: Tensor) -> Tensor:
    """Maps [..., H, W] where the middles of the bins' cells lie, [..., h, w]."""
    stride = maps.shape[-1] // output.bin_logits.shape[-1]
    return maps[..., stride // 2 :: stride, stride // 2 :: stride]


def ring_pairs(T_ego_cam: Tensor) -> Tensor:
    """Cameras consecutive in azimuth around the vehicle, [B, P, 2]; P = N for N > 2 cameras.

    T_ego_cam [B, N, 4, 4]. Unlike Rig.neighbours it asks for no overlap, which crops would undo.
    """
    ring = torch.atan2(T_ego_cam[..., 1, 2], T_ego_cam[..., 0, 2]).argsort(dim=-1)
    pairs = torch.stack([ring, ring.roll(-1, dims=-1)], dim=-1)
    return pairs if ring.shape[-1] > 2 else pairs[:, : ring.shape[-1] - 1]


def precision_on(device: torch.device, precision: str) -> str:
    """What auto means on a device; another precision is itself.

    A processor without instructions for bf16 emulates it: a step takes five times as long as in
    float32 (measured on AVX2).
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = any(map(torch.cpu.get_capabilities().get, CPU_BF16))
    return "bf16-mixed" if native else "32-true"


def network_precision(precision: str, device: torch.device) -> AbstractContextManager:
    """Autocast of the config's precision.

    Not Fabric's mixed precision, which rounds inputs too: a K in bf16 is off by up to a pixel, an
    extrinsic rotation by a quarter of a degree.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed")


def freeze_norms(student: nn.Module, frozen: str) -> None:
    """Training mode, but for the batch norms whose statistics are to stay.

    frozen: "encoder", "all" or "none"; scale and offset of frozen norms are trained all the same.
    """
    student.train()
    for name, module in student.named_modules():
        chosen = frozen == "all" or (frozen == "encoder" and name.startswith("encoder."))
        if chosen and isinstance(module, nn.BatchNorm2d):
            module.eval()


def depthwise_in_float32(student: nn.Module) -> None:
    """Let depthwise convolutions compute in float32 inside autocast; for bf16 on a CPU.

    oneDNN's gradients of depthwise weights are three to five times slower in bf16 than in float32,
    and they are most of a step: see fsmde_core.distill.bench. The results go on in bf16.
    """

    def outside_autocast(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def in_float32(maps: Tensor) -> Tensor:
            with full_precision(maps.device.type):
                return forward(maps.float()).to(maps.dtype)

        return in_float32

    for module in student.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
            module.forward = outside_autocast(module.forward)
