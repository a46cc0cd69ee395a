"""Does the network know what it does not know? Its sky and its confidence against rendered truth.

python -m fsmde_core.evaluate.reliability --data data/street_val --model models/student_s.json

Two diagrams and two tables. The surface: of the pixels that are said to be a surface with some
probability, how many are one? The sky: precision and recall. The confidence: of the pixels above
each confidence, how many have a depth within 25 % of the truth? Only rendered samples know every
pixel of the sky.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fsmde_core.arguments import not_negative
from fsmde_core.card import ModelError
from fsmde_core.data.batch import RigBatch, rig_of
from fsmde_core.data.sample import DatasetError
from fsmde_core.files import write_bytes, write_json
from fsmde_core.interrupt import unless_interrupted
from fsmde_core.runtime.predictor import LIKELY, Prediction, Predictor
from fsmde_core.street.cache import open_cache
from fsmde_core.tables import table
from fsmde_core.visualize import line_chart

STEPS = 20  # of probability and confidence
WITHIN = 1.25  # the usual delta_1


@dataclass
class Reliability:
    """Counts over pixels; memory does not grow with the samples."""

    reach_m: float
    """What is farther counts as no surface, metres."""
    surface: np.ndarray = field(default_factory=lambda: np.zeros((3, STEPS)))
    """By steps of the probability of a surface: pixels, those that are one, sum of probability."""
    confidence: np.ndarray = field(default_factory=lambda: np.zeros((2, STEPS)))
    """By steps of confidence: surface pixels, and those of them within 25 %."""
    sky: np.ndarray = field(default_factory=lambda: np.zeros(3))
    """Pixels rightly called sky, all that were called so, all that are."""

    def add(self, prediction: Prediction, sample: RigBatch) -> None:
        """Count one sample, at the network's pixels."""
        for i, fit in enumerate(prediction.fits):
            depth_gt, body = (
                _at_input(fit, maps[i]) for maps in (sample.depth_gt, sample.mask.astype(np.uint8))
            )
            known = fit.seen & (body == 0)
            truth = (depth_gt > 0) & (depth_gt <= self.reach_m)
            self._add_surface(prediction.surface[i][known], truth[known])
            ratio = prediction.depth[i] / np.where(truth, depth_gt, 1)
            right = np.maximum(ratio, 1 / ratio) < WITHIN
            counted = known & truth
            steps = _steps(prediction.confidence[i][counted])
            self.confidence += [_sums(steps), _sums(steps, right[counted])]

    def _add_surface(self, probability: np.ndarray, truth: np.ndarray) -> None:
        steps, called = _steps(probability), probability < LIKELY
        self.surface += [_sums(steps), _sums(steps, truth), _sums(steps, probability)]
        self.sky += [(called & ~truth).sum(), called.sum(), (~truth).sum()]

    def report(self) -> dict:
        """Everything as JSON types; NaN becomes null."""
        pixels, are, said = self.surface
        with np.errstate(invalid="ignore"):
            above = np.cumsum(self.confidence[:, ::-1], axis=1)[:, ::-1]
            document = {
                "sky": {
                    "precision": self.sky[0] / self.sky[1],
                    "recall": self.sky[0] / self.sky[2],
                },
                "surface": {"said": said / pixels, "are": are / pixels, "pixels": pixels},
                "calibration_error": np.nansum(np.abs(said - are)) / pixels.sum(),
                "confidence": {
                    "over": np.arange(STEPS) / STEPS,
                    "share": above[0] / above[0, 0],
                    "within_25_percent": above[1] / above[0],
                },
            }
        return _plain(document)


def _at_input(fit, maps: np.ndarray) -> np.ndarray:
    """Truth [H, W] of the source's pixels at the network's, each from the nearest; 0 outside."""
    return cv2.warpAffine(maps, fit.to_input, fit.size, flags=cv2.INTER_NEAREST)


def _steps(values: np.ndarray) -> np.ndarray:
    return np.minimum((values * STEPS).astype(int), STEPS - 1)


def _sums(steps: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    return np.bincount(steps, weights, minlength=STEPS)


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return [_plain(entry) for entry in value]
    return round(float(value), 4) if np.isfinite(value) else None


def measure(predictor: Predictor, samples: Iterable[RigBatch]) -> dict:
    """The report of a model on rendered samples."""
    reliability = Reliability(predictor.card.max_depth_m)
    for sample in tqdm(samples, unit="set", desc="reliability"):
        reliability.add(predictor(list(sample.images), rig_of(sample)), sample)
    return reliability.report()


def numbers(document: dict) -> str:
    """The numbers for a terminal."""
    sky, confidence = document["sky"], document["confidence"]
    line = (
        f"sky: precision {sky['precision']}, recall {sky['recall']}; "
        f"mean error of the surface's probability {document['calibration_error']}"
    )
    columns = zip(confidence["over"], confidence["share"], confidence["within_25_percent"])
    rows = [
        [f"{over:.2f}", f"{share:.3f}", "-" if within is None else str(within)]
        for over, share, within in list(columns)[::2]
    ]
    return line + "\n" + table(["confidence over", "share of pixels", "of them within 25 %"], rows)


def diagram(document: dict) -> np.ndarray:
    """Both diagrams as one picture, uint8 RGB."""
    surface, confidence = document["surface"], document["confidence"]
    middle = (np.arange(STEPS) + 0.5) / STEPS
    rows = [
        (middle, surface["are"], "share that is a surface", "probability of a surface"),
        (
            confidence["over"],
            confidence["within_25_percent"],
            "share within 25 %",
            "confidence over",
        ),
    ]
    charts = [
        line_chart(np.array(x, float), np.array(y, float), title=title, x_label=label, width=640)
        for x, y, title, label in rows
    ]
    return np.concatenate(charts, axis=1)


@unless_interrupted("reliability: stopped, nothing is written")
def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 2 with one sentence for what cannot be read."""
    parser = argparse.ArgumentParser(prog="reliability", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="rendered street samples")
    parser.add_argument("--model", type=Path, required=True, help="models/NAME.json")
    parser.add_argument(
        "--input-pixels", type=not_negative, default=0, help="0: as many as the card says"
    )
    parser.add_argument("--out", type=Path, default=Path("out/reliability"))
    arguments = parser.parse_args(argv)
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)  # before the work, not after it
        samples, there = open_cache(arguments.data)
        predictor = Predictor(arguments.model, input_pixels=arguments.input_pixels)
        document = measure(predictor, [samples[i] for i in there])
    except (ModelError, DatasetError, OSError) as error:
        print(f"reliability: {error}", file=sys.stderr)
        return 2
    write_json(arguments.out / "reliability.json", document, indent=2)
    _, png = cv2.imencode(".png", diagram(document)[..., ::-1])
    write_bytes(arguments.out / "reliability.png", png.tobytes())
    print(numbers(document))
    print(f"\nnumbers and diagrams: {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
