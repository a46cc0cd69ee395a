"""Fit a student to LiDAR with SILog: what made the provisional model, a few minutes on a CPU.

python -m fsmde_core.fit --ddad scene.json --out models/student_s.json
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from fsmde_core.checkpoint import save_student
from fsmde_core.data.augment import colour_jitter, crop_and_resize, mirrored, random_window, turned
from fsmde_core.data.ddad import read_points, read_scene
from fsmde_core.data.sample import DatasetError, Sample, lidar_points_cam, read_image, scatter_depth
from fsmde_core.encoder import load_imagenet_weights
from fsmde_core.losses import silog_loss
from fsmde_core.student import PRESETS, StudentConfig, StudentDepthNet


@dataclass(frozen=True)
class FitConfig:
    """How long and how hard to fit."""

    steps: int = 400
    """One rig sample a step."""
    learning_rate: float = 4e-4
    """Peak of the one-cycle schedule for decoder and head; the encoder's is a tenth."""
    weight_decay: float = 0.05
    """AdamW's; half of AdaBins' 0.1."""
    smallest_crop: float = 0.5
    """Share of the image side; crops vary the focal length the student sees."""
    colour_strength: float = 0.3
    """Largest relative change of gain, balance, contrast and gamma."""
    seed: int = 0
    """Of weights, crops, flips and colours."""


class LoadedSample:
    """A sample with its images and points in memory."""

    def __init__(self, sample: Sample):
        self.cameras = sample.rig.cameras
        self.images = [read_image(file) for file in sample.image_files]
        points = read_points(sample.lidar)
        self.points_cam = [lidar_points_cam(sample, i, points) for i in range(len(self.cameras))]

    def augmented(self, config: FitConfig, size: tuple[int, int], rng: np.random.Generator):
        """Tensors images [1, N, H, W, 3], K, T_ego_cam and depth_gt [1, N, H, W] (0: none)."""
        mirror, yaw_rad = rng.random() < 0.5, rng.uniform(-np.pi, np.pi)
        views = []
        for camera, image, points in zip(self.cameras, self.images, self.points_cam):
            if mirror:
                camera, image = mirrored(camera, image)
                points = points * [-1, 1, 1]
            camera = turned(camera, yaw_rad)
            window = random_window(camera, smallest=config.smallest_crop, rng=rng)
            camera, image = crop_and_resize(camera, image, window=window, size=size)
            image = colour_jitter(image, rng, strength=config.colour_strength)
            views.append((image, camera.K, camera.T_ego_cam, scatter_depth(points, camera)))
        images, K, T_ego_cam, depth_gt = (np.stack(column)[None] for column in zip(*views))
        return (
            torch.from_numpy(images),
            torch.from_numpy(K).float(),
            torch.from_numpy(T_ego_cam).float(),
            torch.from_numpy(depth_gt),
        )


def fit(samples: list[LoadedSample], student_config: StudentConfig, config: FitConfig):
    """Train a student from ImageNet weights; returns it and the loss of every step."""
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    student = StudentDepthNet(student_config)
    load_imagenet_weights(student.encoder, student_config.encoder)
    encoder = list(student.encoder.parameters())
    rest = [p for name, p in student.named_parameters() if not name.startswith("encoder.")]
    rates = [config.learning_rate / 10, config.learning_rate]
    optimizer = torch.optim.AdamW(
        [{"params": encoder}, {"params": rest}], weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rates, total_steps=config.steps
    )
    student.train()
    student.encoder.eval()  # a rig is too small a batch for the encoder's statistics
    size, losses = (student_config.input_width, student_config.input_height), []
    progress = tqdm(range(config.steps), desc="fit", unit="step")
    for _ in progress:
        sample = samples[rng.integers(len(samples))]
        images, K, T_ego_cam, depth_gt = sample.augmented(config, size, rng)
        output = student(images, K, T_ego_cam)
        loss = silog_loss(output.depth, depth_gt, depth_gt > 0)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        progress.set_postfix(silog=f"{np.mean(losses[-20:]):.3f}")
    return student.eval(), losses


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 2 with one sentence for a scene that cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ddad", type=Path, required=True, help="DGP scene JSON with LiDAR")
    parser.add_argument("--out", type=Path, required=True, help="model card to write, NAME.json")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="s")
    parser.add_argument("--steps", type=int, default=FitConfig.steps)
    arguments = parser.parse_args(argv)
    config = FitConfig(steps=arguments.steps)
    try:
        samples = [LoadedSample(sample) for sample in read_scene(arguments.ddad)]
    except DatasetError as error:
        print(f"fit: {error}", file=sys.stderr)
        return 2
    student_config = PRESETS[arguments.preset]
    student, losses = fit(samples, student_config, config)
    images = sum(len(sample.cameras) for sample in samples)
    save_student(
        student,
        arguments.out,
        config=student_config,
        provisional=True,
        licence="Apache-2.0",
        description=(
            f"Provisional: ImageNet encoder fitted with SILog to the LiDAR of {images} images of "
            f"one DDAD scene (MIT), {config.steps} steps of one rig sample, seed {config.seed}, by "
            f"python -m fsmde_core.fit. It shows that the product runs; it is no depth model."
        ),
        metrics={"silog of the last 20 training steps": round(float(np.mean(losses[-20:])), 3)},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
