"""Does the depth depend on the shape of the image, its pixels, or the lens?

python -m fsmde_core.evaluate.shapes --data data/street_varied --model models/student_s.json

Rendered samples are cut to other aspects and stretched to other fy / fx, and what the network says
of the same things is compared with the truth. A second table has the error by distance for narrow
and wide lenses.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fsmde_core.card import ModelError
from fsmde_core.data.batch import RigBatch, rig_of
from fsmde_core.data.sample import DatasetError
from fsmde_core.files import write_json
from fsmde_core.interrupt import unless_interrupted
from fsmde_core.rig import Rig
from fsmde_core.runtime.predictor import Predictor
from fsmde_core.street.cache import open_cache
from fsmde_core.tables import table

ASPECTS = (1.0, 1.4, 1.75, 2.5, 3.3, 4.0)
STRETCHES = (0.6, 0.76, 1.0, 1.31, 1.5)  # fy / fx of the image
NEAR_M = 20.0
BANDS_M = (0.3, 15.0, 40.0, 80.0, 120.0, 200.0)
LENSES_DEG = (0.0, 60.0, 90.0, 130.0)


def measure(predictor: Predictor, samples: Sequence[RigBatch]) -> dict:
    """Median predicted / true below NEAR_M by aspect and stretch; the same by lens and distance.

    Only what all aspects show counts for aspects: the middle of the image.
    """
    ratios = defaultdict(list)
    for sample in tqdm(samples, unit="set", desc="shapes"):
        for aspect in ASPECTS:
            images, rig, truths = _cut(sample, aspect)
            ratios["aspect", aspect] += _near_ratios(predictor, images, rig, truths, ASPECTS[-1])
        for stretch in STRETCHES:
            images, rig, truths = _stretched(sample, stretch)
            ratios["fy / fx", stretch] += _near_ratios(predictor, images, rig, truths, None)
        _add_lenses(ratios, predictor, sample)
    medians: dict = defaultdict(dict)
    for (kind, *key), found in ratios.items():
        name = " to ".join(f"{value:g}" for value in key)
        medians[kind][name] = round(float(np.median(np.concatenate(found))), 3)
    return dict(medians)


def _near_ratios(predictor, images, rig: Rig, truths, aspect: float | None) -> list[np.ndarray]:
    prediction, ratios = predictor(images, rig), []
    for i, truth in enumerate(truths):
        depth = prediction.at_source(i, min_surface_probability=0.0)
        counted = (truth > 0) & (truth < NEAR_M) & np.isfinite(depth)
        if aspect is not None:  # the rows that the flattest image shows
            height = round(truth.shape[1] / aspect)
            top = (truth.shape[0] - height) // 2
            counted[:top] = counted[top + height :] = False
        ratios.append(depth[counted] / truth[counted])
    return ratios


def _add_lenses(ratios: dict, predictor: Predictor, sample: RigBatch) -> None:
    rig = rig_of(sample)
    prediction = predictor(list(sample.images), rig)
    for i, camera in enumerate(rig.cameras):
        depth, truth = prediction.at_source(i, min_surface_probability=0.0), sample.depth_gt[i]
        view = np.rad2deg(camera.horizontal_fov_rad)
        lens = int(np.searchsorted(LENSES_DEG[1:-1], view - 1))
        for low, high in zip(BANDS_M, BANDS_M[1:]):
            counted = (truth >= low) & (truth < high) & ~np.isnan(depth)
            if counted.sum() > 50:
                kind = f"{LENSES_DEG[lens]:g} to {LENSES_DEG[lens + 1]:g} degrees, metres"
                ratios[kind, low, high].append(depth[counted] / truth[counted])


def _cut(sample: RigBatch, aspect: float) -> tuple[list[np.ndarray], Rig, list[np.ndarray]]:
    """The largest middle of each image that has an aspect; the width is the same for all."""
    height, width = sample.images.shape[1:3]
    width = min(width, height)
    rows = round(width / aspect)
    top, left = (height - rows) // 2, (sample.images.shape[2] - width) // 2
    window = np.s_[:, top : top + rows, left : left + width]
    cameras = (camera.cropped(left, top, width, rows) for camera in rig_of(sample).cameras)
    truth = np.where(sample.mask, 0, sample.depth_gt)[window]
    return list(sample.images[window]), Rig(tuple(cameras)), list(truth)


def _stretched(sample: RigBatch, stretch: float) -> tuple[list[np.ndarray], Rig, list[np.ndarray]]:
    """The images with so many times as many rows."""
    height, width = sample.images.shape[1:3]
    size = (width, round(height * stretch))
    images = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in sample.images]
    truth = np.where(sample.mask, 0, sample.depth_gt)
    truths = [cv2.resize(d, size, interpolation=cv2.INTER_NEAREST) for d in truth]
    return images, rig_of(sample).resized(*size), truths


def numbers(document: dict) -> str:
    """The medians for a terminal, one line each."""
    rows = [[kind, *item] for kind, row in document.items() for item in row.items()]
    return table(["of", "value", "predicted / true"], [[*row, f"{m:.3f}"] for *row, m in rows])


@unless_interrupted("shapes: stopped, nothing is written")
def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 2 with one sentence for what cannot be read."""
    parser = argparse.ArgumentParser(prog="shapes", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="rendered street samples")
    parser.add_argument("--model", type=Path, required=True, help="models/NAME.json")
    parser.add_argument("--out", type=Path, default=Path("out/shapes.json"))
    arguments = parser.parse_args(argv)
    try:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)  # before the work, not after it
        samples, there = open_cache(arguments.data)
        document = measure(Predictor(arguments.model), [samples[i] for i in there])
    except (ModelError, DatasetError, OSError) as error:
        print(f"shapes: {error}", file=sys.stderr)
        return 2
    write_json(arguments.out, document, indent=2)
    print("median of predicted over true depth\n" + numbers(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
