"""Models in fewer bits, listed in the card only if they are as accurate on streets never seen.

python -m fsmde_core.quantize --card models/student_s.json --data TRAIN --val VAL [--precision fp16]

TRAIN and VAL are folders of rendered street samples; TRAIN calibrates the int8 ranges. fp16 is for
GPUs: a CPU runs it slowly, but computes the same.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fsmde_core.card import ModelError, add_file, load_card, save_card, verified_file
from fsmde_core.data.batch import RigBatch, rig_of
from fsmde_core.data.sample import DatasetError
from fsmde_core.evaluate.metrics import image_errors
from fsmde_core.files import whole_file
from fsmde_core.precision import write_fp16, write_int8
from fsmde_core.predictor import Predictor
from fsmde_core.session import FILE_SUFFIX
from fsmde_core.street.cache import open_cache

MAX_DEPTH_M = 80.0  # as in every report on nuScenes' rig


@dataclass(frozen=True)
class QuantizeConfig:
    """How a model is calibrated and what it may lose."""

    calibration_samples: int = 32
    """Sets of images, spread over the folder."""
    validation_samples: int = 32
    """Sets of images on which both precisions are compared."""
    tolerance: float = 0.06
    """How much larger Abs Rel may become, as a share of that in fp32."""


def abs_rel(predictor: Predictor, samples: Sequence[RigBatch]) -> float:
    """Mean over images of the metric Abs Rel up to MAX_DEPTH_M, in the pixels of the truth."""
    errors = []
    for sample in tqdm(samples, unit="set", desc=predictor.config.precision):
        prediction = predictor(list(sample.images), rig_of(sample))
        depth = np.stack([prediction.at_source(i) for i in range(len(sample.images))])
        truth = sample.depth_gt
        counted = (truth > 0) & (truth <= MAX_DEPTH_M) & ~sample.mask & ~np.isnan(depth)
        errors += image_errors(depth, truth, counted, max_depth_m=MAX_DEPTH_M)
    return float(np.mean([sums.metrics[0] for sums in errors if sums.count]))


def quantize(
    card_path: Path,
    *,
    precision: str,
    train: Sequence[RigBatch],
    val: Sequence[RigBatch],
    config: QuantizeConfig,
    command: str,
) -> tuple[float, float, bool]:
    """Make a precision's file and list it in the card if it is accurate enough.

    Returns Abs Rel in fp32 and in the precision, and whether the file was kept.
    """
    source, suffix = verified_file(card_path, ".onnx"), FILE_SUFFIX[precision]
    exact = Predictor(card_path)
    before = abs_rel(exact, val)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(shutil.copy(card_path, folder))
        file = trial.with_suffix(suffix)
        if precision == "int8":
            write_int8(source, file, _calibration(exact, train))
        else:
            write_fp16(source, file)
        add_file(trial, file)
        after = abs_rel(Predictor(trial, precision=precision), val)
        kept = after <= before * (1 + config.tolerance)
        if kept:
            _keep(card_path, file, command, {"fp32": before, precision: after}, len(val))
    return before, after, kept


def _calibration(exact: Predictor, train: Sequence[RigBatch]) -> Iterator[dict[str, np.ndarray]]:
    for sample in tqdm(train, unit="set", desc="calibrating"):
        fits = [exact.fit(camera) for camera in rig_of(sample).cameras]
        images = [fit.image(image) for fit, image in zip(fits, sample.images)]
        yield from exact.inputs(images, fits)


def _keep(card_path: Path, file: Path, command: str, metrics: dict, samples: int) -> None:
    with whole_file(card_path.with_name(file.name)) as beside:
        shutil.copy(file, beside)
    add_file(card_path, card_path.with_name(file.name))
    card = load_card(card_path)
    about = f"{command}: Abs Rel on {samples} sets of street val, to {MAX_DEPTH_M:g} m, metric"
    rounded = {precision: round(value, 4) for precision, value in metrics.items()}
    save_card(replace(card, metrics={**card.metrics, about: rounded}), card_path)


class _Spread(Sequence):
    """At most that many of the cached samples, spread over all of them, read when asked for."""

    def __init__(self, folder: Path, limit: int):
        self._samples, indices = open_cache(folder)
        self._indices = indices[:: max(1, len(indices) // limit)][:limit]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, i: int) -> RigBatch:
        return self._samples[self._indices[i]]


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 if the model lost too much, 2 with one sentence for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="quantize", description=__doc__.splitlines()[0])
    parser.add_argument("--card", type=Path, required=True, help="models/NAME.json")
    parser.add_argument("--data", type=Path, required=True, help="rendered street samples: train")
    parser.add_argument("--val", type=Path, required=True, help="rendered street samples: val")
    parser.add_argument("--precision", choices=("int8", "fp16"), default="int8")
    arguments = parser.parse_args(argv)
    config = QuantizeConfig()
    try:
        before, after, kept = quantize(
            arguments.card,
            precision=arguments.precision,
            train=_Spread(arguments.data, config.calibration_samples),
            val=_Spread(arguments.val, config.validation_samples),
            config=config,
            command=shlex.join(["python", "-m", "fsmde_core.quantize", *argv]),
        )
    except (ModelError, DatasetError, OSError) as error:
        print(f"quantize: {error}", file=sys.stderr)
        return 2
    verdict = "kept" if kept else f"not kept: that is over {config.tolerance:.0%}"
    print(f"Abs Rel fp32 {before:.4f}, {arguments.precision} {after:.4f}: {verdict}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
