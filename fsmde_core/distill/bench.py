"""What a training step costs on this CPU: python -m fsmde_core.distill.bench."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from fsmde_core.distill.processor import prepare_processor
from fsmde_core.tables import table

prepare_processor()  # before torch is imported

import torch  # noqa: E402

from fsmde_core.distill.config import LossConfig  # noqa: E402
from fsmde_core.distill.step import DistillStep, depthwise_in_float32, freeze_norms  # noqa: E402
from fsmde_core.network.student import PRESETS, StudentDepthNet  # noqa: E402
from fsmde_core.runtime.export import example_inputs  # noqa: E402

ROUNDS = 6  # the first warms up
CONFIG = replace(PRESETS["s"], input_width=448, input_height=256)
CAMERAS = 6


def timed_step(*, bf16: bool, float32_depthwise: bool) -> Callable[[], float]:
    """A function that takes a step and returns its CPU seconds."""
    student = StudentDepthNet(CONFIG).to(memory_format=torch.channels_last)
    if float32_depthwise:
        depthwise_in_float32(student)
    step = DistillStep(student, LossConfig(), CONFIG)
    freeze_norms(student, "encoder")
    views = [
        tensor[None]
        for tensor in example_inputs(CONFIG.input_width, CONFIG.input_height, cameras=CAMERAS)
    ]
    depth_gt = 1 + 50 * torch.rand(views[0].shape[:-1])

    def take() -> float:
        begun = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            losses = step(*views, depth_gt, depth_gt > 0, depth_gt < 0)
        losses["total"].backward()
        student.zero_grad()
        return time.process_time() - begun

    return take


def main(argv: list[str] | None = None) -> int:
    """Print the best time of each way, taken in turn so that all meet the same disturbance."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    steps = {
        "float32": timed_step(bf16=False, float32_depthwise=False),
        "bf16": timed_step(bf16=True, float32_depthwise=False),
        "bf16, depthwise in float32": timed_step(bf16=True, float32_depthwise=True),
    }
    seconds = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, take in steps.items():
            seconds[name].append(take())
    rows = [[name, f"{min(values[1:]):.2f}"] for name, values in seconds.items()]
    print(table(["a step in", "CPU s"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
