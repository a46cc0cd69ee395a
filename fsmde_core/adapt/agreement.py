"""Do the scores without truth order models as Abs Rel against the truth does?

python -m fsmde_core.adapt.agreement --model CARD

Renders a drive, whose depth is known, spoils the model in many ways, and prints the rank
correlation of each score with Abs Rel over all of these models.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fsmde_core.card import add_file, load_card, save_card, verified_file
from fsmde_core.data.drive import Drive, DriveWriter, load_drive
from fsmde_core.extras import needed_by
from fsmde_core.tables import table

with needed_by("agreement", __file__):
    import onnx
    from onnx import helper, numpy_helper
    from scipy.stats import spearmanr

    from fsmde_core.adapt.score import MEASURES, Score, mean_score, score
    from fsmde_core.runtime.predictor import Predictor
    from fsmde_core.street.camera_view import RenderConfig
    from fsmde_core.street.drive import DriveConfig, render_drive
    from fsmde_core.street.rigs import make_rig

SCALES = (0.75, 0.87, 0.94, 1.06, 1.15, 1.33)
NOISES = (0.03, 0.06, 0.1, 0.15)
SEEDS = (0, 1)
LEAST_WEIGHTS = 256  # a layer of fewer is left as it is
SIZE, FRAMES, RATE_HZ, SEED = (320, 180), 16, 10.0, 0
MAX_DEPTH_M = 80.0


@dataclass(frozen=True)
class Spoilt:
    """What is wrong with a copy of a model."""

    scale: float = 1.0
    """On its depths."""
    noise: float = 0.0
    """On the weights of its convolutions, as a share of their spread in each layer."""
    seed: int = 0


ALL = (
    Spoilt(),
    *(Spoilt(scale=scale) for scale in SCALES),
    *(Spoilt(noise=noise, seed=seed) for noise in NOISES for seed in SEEDS),
    Spoilt(scale=0.87, noise=0.06, seed=3),
)


def write_spoilt(card: Path, out: Path, spoilt: Spoilt) -> Path:
    """A copy of a model with something wrong with its ONNX file; .safetensors are as they were.

    ModelError if the model's files do not match its card.
    """
    model, rng = onnx.load(str(verified_file(card, ".onnx"))), np.random.default_rng(spoilt.seed)
    for initializer in model.graph.initializer if spoilt.noise else ():
        weights = numpy_helper.to_array(initializer)
        if weights.dtype == np.float32 and weights.ndim == 4 and weights.size > LEAST_WEIGHTS:
            noise = spoilt.noise * weights.std() * rng.standard_normal(weights.shape)
            noisy = (weights + noise).astype(np.float32)
            initializer.CopyFrom(numpy_helper.from_array(noisy, initializer.name))
    for node in model.graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = "depth as it was" if name == "depth" else name
    model.graph.initializer.append(numpy_helper.from_array(np.float32(spoilt.scale), "factor"))
    model.graph.node.append(helper.make_node("Mul", ["depth as it was", "factor"], ["depth"]))
    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(out.with_suffix(".onnx")))
    shutil.copyfile(card.with_suffix(".safetensors"), out.with_suffix(".safetensors"))
    save_card(replace(load_card(card), name=out.stem, sha256={}), out)
    for suffix in (".safetensors", ".onnx"):
        add_file(out, out.with_suffix(suffix))
    return out


def render(folder: Path) -> tuple[Drive, list[np.ndarray]]:
    """A rendered drive, and of each moment the depths [N, H, W] in metres, 0 where none counts."""
    rig, depths = make_rig("nuscenes").resized(*SIZE), []
    config = DriveConfig(FRAMES, RATE_HZ, render=RenderConfig(samples=1, reflections=False))
    with DriveWriter(folder, rig, source="rendered street", licence="Apache-2.0") as writer:
        for frames in render_drive(SEED, rig, config):
            shots = frames.cameras
            poses = np.stack([shot.T_world_ego for shot in shots])
            writer.add([shot.image for shot in shots], [shot.stamp_ns for shot in shots], poses)
            depths.append(np.stack([np.where(s.ego_mask, 0, s.depth) for s in shots]))
    return load_drive(folder), depths


def abs_rel(
    predictor: Predictor, drive: Drive, depths: Sequence[np.ndarray], moments: Sequence[int]
) -> float:
    """Mean over the images of Abs Rel up to MAX_DEPTH_M, without any scaling."""
    errors = []
    for moment in moments:
        images = [drive.image(moment, i) for i in range(len(drive.rig.cameras))]
        prediction = predictor(images, drive.rig)
        for i, truth in enumerate(depths[moment]):
            depth = np.minimum(prediction.at_source(i), MAX_DEPTH_M)
            counts = (truth > 0) & (truth <= MAX_DEPTH_M) & np.isfinite(depth)
            errors.append(np.mean(np.abs(depth - truth)[counts] / truth[counts]))
    return float(np.mean(errors))


def correlations(errors: Sequence[float], scores: Sequence[Score]) -> dict[str, float]:
    """Rank correlation with Abs Rel of each score, and of what an adaptation is judged by."""
    found = {name: [getattr(of, name) for of in scores] for name in MEASURES}
    found["all of them"] = [of.against(scores[0]) for of in scores]
    return {name: float(spearmanr(errors, values)[0]) for name, values in found.items()}


def main(argv: list[str] | None = None) -> int:
    """Command line; a minute and a half on two cores."""
    parser = argparse.ArgumentParser(prog="agreement", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="card of a model")
    arguments = parser.parse_args(argv)
    errors, scores, rows = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        drive, depths = render(Path(folder) / "drive")
        moments = range(2, len(drive), 4)
        for number, spoilt in enumerate(ALL):
            card = write_spoilt(arguments.model, Path(folder) / f"m{number}.json", spoilt)
            predictor = Predictor(card)
            errors.append(abs_rel(predictor, drive, depths, moments))
            label = f"{number + 1} of {len(ALL)}"
            scores.append(mean_score(score(predictor, drive, moments, label=label)))
            values = [errors[-1], *(getattr(scores[-1], name) for name in MEASURES)]
            what = f"depth x {spoilt.scale:g}, noise {spoilt.noise:g}"
            rows.append([what, *(f"{value:.4f}" for value in values)])
    print(table(["model", "Abs Rel", *MEASURES], rows))
    found = correlations(errors, scores)
    print("\n" + table(["score", "rank correlation"], [[n, f"{r:.3f}"] for n, r in found.items()]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
