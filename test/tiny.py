"""Training runs of a few steps on tiny streets: what they are given, and what they leave."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import torch
import yaml
from blocks import render_blocks
from conftest import ROOT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fsmde_core.data.batch import RigBatch
from fsmde_core.distill import main as distill
from fsmde_core.distill.state import CHECKPOINT
from fsmde_core.files import write_arrays
from fsmde_core.network.checkpoint import save_student
from fsmde_core.network.student import StudentConfig, StudentDepthNet
from fsmde_core.street import cache, sample_file
from fsmde_core.street.dataset import Recorded, StreetDataset, StreetDatasetConfig

TINY = {
    "student": {"input_width": 64, "input_height": 32, "decoder_channels": 16, "n_bins": 8},
    "augment": {"smallest_crop": 0.7},
    "steps": 4, "validate_steps": 2, "val_samples": 2, "log_steps": 1,
    "precision": "32-true",
}  # fmt: skip
CKD_VRKD = {"kd": 0.5, "cross": 0.5, "relative": 0.1, "vrkd": 10.0}


def write_streets(root):
    """Folders as of rendered streets, with the world of blocks in them: four samples of two rigs to
    learn from, two for validation."""
    config = StreetDatasetConfig(rigs=("nuscenes", "random"), size=(80, 45), poses=2)
    for split, streets in (("train", 2), ("val", 1)):
        samples = cache.CachedStreet(StreetDataset(split, streets, config), root / split)
        for index in range(len(samples)):
            sample = blocks_sample(samples, index)
            returns = np.where(np.arange(80) % 7 == 0, sample.depth_gt, 0)
            write_sample(samples.file(index), sample, returns)
    return root


def write_sample(file, sample, returns):
    """The file of a rendered sample."""
    write_arrays(file, **sample_file.packed(Recorded(sample, returns, ()), image_quality=95))


def blocks_sample(samples, index):
    rig = samples.street.rig(index)
    views = [render_blocks(camera, travelled_m=float(index)) for camera in rig.cameras]
    depth_gt = np.stack([depth for _, depth in views]).astype(np.float32)
    return RigBatch(
        images=np.stack([image for image, _ in views]), K=rig.K, T_ego_cam=rig.T_ego_cam,
        depth_gt=depth_gt, valid=depth_gt > 0, mask=np.zeros(depth_gt.shape, bool),
        stamps_ns=(0,) * len(views), names=rig.names, tokens=samples.street.tokens[index],
    )  # fmt: skip


def write_config(path, streets, **changes):
    """TINY with changes, on the data of write_streets."""
    data = {"train": str(streets / "train"), "val": str(streets / "val"), "workers": 0}
    path.write_text(yaml.safe_dump({**TINY, "data": data, **changes}))
    return path


def run_two_processes(config_file, out, *arguments):
    """fsmde-distill on a CPU, in two processes of their own."""
    command = [sys.executable, "-m", "fsmde_core.distill.main", "--config", str(config_file)]
    command += ["--out", str(out), "--accelerator", "cpu", "--devices", "2", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


def run(config, out, *arguments):
    return distill.main(["--config", str(config), "--out", str(out), "--accelerator", "cpu",
                         *arguments])  # fmt: skip


def weights(out, which="student"):
    return torch.load(out / CHECKPOINT, weights_only=True)[which]


def events(out):
    return EventAccumulator(str(out / "tensorboard")).Reload()


def same(a, b, **tolerance):
    return all(torch.allclose(a[k].double(), b[k].double(), **tolerance) for k in a)


def model(path, *, seed=0, licence="Apache-2.0"):
    """The card of a student of TINY's shape that may be begun with, or taught by."""
    config = replace(StudentConfig(), **TINY["student"])
    torch.manual_seed(seed)
    student = StudentDepthNet(config).eval()
    return save_student(
        student, path, config=config, description="", licence=licence, provisional=False
    )
