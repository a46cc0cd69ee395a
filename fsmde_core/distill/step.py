"""One training step as a module: images and ground truth in, every loss by its name out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from fsmde_core.bins import BinOutput, full_precision
from fsmde_core.distill.config import LossConfig
from fsmde_core.losses import (
    MEAN_WEIGHT,
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
from fsmde_core.student import StudentConfig


class DistillStep(nn.Module):
    """The student (or a teacher to be trained) with the losses behind it.

    A module of its own, so that precision and gradient averaging over processes see one forward.
    """

    def __init__(self, student: nn.Module, losses: LossConfig, config: StudentConfig):
        super().__init__()
        self.student, self.losses = student, losses
        self.reach_m = config.reach_m

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
    ) -> dict[str, Tensor]:
        """Losses of B rigs of N cameras, unweighted, and their weighted sum as `total`.

        The arguments as in RigBatch; sky where LossConfig.needs_sky. What is farther than reach_m
        counts as the sky does: no loss of a depth sees it.
        """
        output = self.student(images, K, T_ego_cam)
        too_far = valid & (depth_gt > self.reach_m)
        valid = valid & ~too_far
        losses = {}
        if self.losses.sky:
            losses["sky"] = sky_loss(output.depth, sky | too_far, depth_gt.new_tensor(self.reach_m))
        if self.losses.surface:
            known = valid | too_far | sky
            losses["surface"] = surface_loss(output.surface_logits, valid, known)
        if self.losses.silog:
            mean_weight = 0.0 if self.losses.scale_invariant else MEAN_WEIGHT
            losses["silog"] = silog_loss(output.depth, depth_gt, valid, mean_weight=mean_weight)
        if self.losses.log_l1:
            losses["log_l1"] = log_l1_loss(output.depth, depth_gt, valid)
        if self.losses.abs_rel:
            losses["abs_rel"] = abs_rel_loss(output.depth, depth_gt, valid)
        if self.losses.bins:
            losses["bins"] = bin_likelihood_loss(
                output.bin_logits, output.bin_centers, *_at_cells(output, depth_gt, valid),
                scale_invariant=self.losses.scale_invariant,
            )  # fmt: skip
        if teacher_logits is not None:
            losses |= self._distillation(
                output, (teacher_logits, teacher_centers), (depth_gt, valid, mask), T_ego_cam
            )
        total = sum(getattr(self.losses, name) * loss for name, loss in losses.items())
        return {**losses, "total": total}

    def _distillation(self, output: BinOutput, teacher, truth, T_ego_cam) -> dict[str, Tensor]:
        """CKD's parts and VRKD, those that have a weight."""
        (logits, centers), (depth_gt, valid, mask), weights = teacher, truth, self.losses
        (seen,) = _at_cells(output, ~mask)  # not the vehicle's body
        if weights.align:  # from here on the teacher's bins are the student's
            scale = _scale_reference(output, depth_gt, valid, mask)
            logits = aligned_logits(logits, centers, output.bin_centers, *scale)
            centers = output.bin_centers.detach()
        losses = {}
        if weights.kd:
            losses["kd"] = bin_distillation_loss(
                output.bin_logits, logits, seen, temperature=weights.temperature
            )
        if weights.cross:
            losses["cross"] = cross_interaction_loss(output.bin_centers, logits, depth_gt, valid)
        if weights.relative:
            losses["relative"] = relative_depth_loss(output.bin_logits, logits, centers, seen)
        if weights.vrkd:
            pairs = ring_pairs(T_ego_cam)
            losses["vrkd"] = view_relational_loss(output.bin_logits, logits, pairs)
        return losses


def _scale_reference(
    output: BinOutput, depth_gt: Tensor, valid: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Depth and the pixels that count, which tell the scale of what a teacher says of each rig.

    Ground truth; the student's own depth where a rig has none, so that a teacher of no metric scale
    teaches it shapes all the same.
    """
    unknown = ~valid.flatten(-3).any(dim=-1)[..., None, None, None]
    depth = torch.where(unknown, output.depth.detach(), depth_gt)
    return depth, torch.where(unknown, ~mask, valid)


def _at_cells(output: BinOutput, *maps: Tensor) -> list[Tensor]:
    """Maps [..., H, W] where the middles of the bins' cells lie, [..., h, w]."""
    stride = maps[0].shape[-1] // output.bin_logits.shape[-1]
    return [m[..., stride // 2 :: stride, stride // 2 :: stride] for m in maps]


def ring_pairs(T_ego_cam: Tensor) -> Tensor:
    """Cameras consecutive in azimuth around the vehicle, [B, P, 2]; P = N for N > 2 cameras.

    T_ego_cam [B, N, 4, 4]. Unlike Rig.neighbours it asks for no overlap, which crops would undo.
    """
    ring = torch.atan2(T_ego_cam[..., 1, 2], T_ego_cam[..., 0, 2]).argsort(dim=-1)
    pairs = torch.stack([ring, ring.roll(-1, dims=-1)], dim=-1)
    return pairs if ring.shape[-1] > 2 else pairs[:, : ring.shape[-1] - 1]


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
