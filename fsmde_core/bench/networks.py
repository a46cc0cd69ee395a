"""The networks that are measured beside the shipped ones: untrained students, and teachers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from fsmde_core.card import add_file
from fsmde_core.network.checkpoint import save_student
from fsmde_core.network.depth_anything import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    PATCH_PX,
    SIZES,
    DepthAnythingV2,
)
from fsmde_core.network.student import PRESETS, StudentConfig, StudentDepthNet
from fsmde_core.runtime.export import INPUTS, example_inputs, export_onnx, write_onnx
from fsmde_core.runtime.precision import write_int8
from fsmde_core.runtime.session import FILE_SUFFIX


class TeacherGraph(nn.Module):
    """A foundation model on the student's kind of input; the bin head of teachers is left out."""

    def __init__(self, size: str):
        super().__init__()
        self.backbone = DepthAnythingV2(SIZES[size])
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        self.register_buffer("mean", 255 * mean[:, None, None])
        self.register_buffer("std", 255 * std[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """images [N, H, W, 3] uint8 to relative inverse depth [N, H, W]."""
        views = (images.permute(0, 3, 1, 2).float() - self.mean) / self.std
        return self.backbone(views).inverse_depth


def write_teacher(size: str, width: int, height: int, path: Path) -> tuple[int, int]:
    """Export a teacher with random weights; returns its input size.

    That is the nearest in whole patches: as for the frozen networks inside our teachers.
    """
    width, height = (max(1, round(side / PATCH_PX)) * PATCH_PX for side in (width, height))
    images = torch.randint(0, 256, (3, height, width, 3), dtype=torch.uint8)
    torch.manual_seed(0)
    write_onnx(TeacherGraph(size), {"images": images}, ["rel_inv_depth"], path)
    return width, height


def write_random_student(preset: str, width: int, height: int, card_path: Path) -> None:
    """Export a student that was never trained."""
    config = replace(PRESETS[preset], input_width=width, input_height=height)
    torch.manual_seed(0)
    _write_student(StudentDepthNet(config).eval(), config, card_path, "Random weights.")


def _write_student(
    student: StudentDepthNet, config: StudentConfig, card_path: Path, description: str
) -> None:
    save_student(
        student, card_path, config=config, description=description, licence="", provisional=True
    )
    onnx, integers = card_path.with_suffix(".onnx"), card_path.with_suffix(FILE_SUFFIX["int8"])
    export_onnx(student, config, onnx)
    inputs = example_inputs(config.input_width, config.input_height, cameras=3)
    noise = zip(INPUTS, (tensor.numpy() for tensor in inputs))
    write_int8(onnx, integers, iter([dict(noise)]))  # ranges of noise: right for the time it takes
    add_file(card_path, onnx)
    add_file(card_path, integers)
