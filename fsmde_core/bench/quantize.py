"""Models in fewer bits, listed in the card only if they are as good on data never seen.

python -m fsmde_core.bench.quantize --card CARD --data TRAIN --val VAL [--precision fp16]
python -m fsmde_core.bench.quantize --card CARD --dataset nuscenes --data ROOT [--val-split val]
python -m fsmde_core.bench.quantize --card CARD --dataset bag --data BAG --val OTHER_BAG

TRAIN and VAL are folders of rendered street samples; nuScenes and DDAD have splits, and a bag has
images only: there the file must stay near fp32. TRAIN calibrates the int8 ranges. fp16 is for GPUs:
a CPU runs it slowly, but computes the same.
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
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from fsmde_core.card import ModelError, add_file, load_card, save_card, verified_file
from fsmde_core.data import ddad, nuscenes
from fsmde_core.data.bag import BagImages
from fsmde_core.data.batch import RigBatch, RigDataset, rig_of
from fsmde_core.data.nuscenes_splits import usual_split
from fsmde_core.data.sample import DatasetError
from fsmde_core.evaluate.main import sentence
from fsmde_core.evaluate.metrics import image_errors
from fsmde_core.extras import needed_by
from fsmde_core.files import whole_file, writable_folder
from fsmde_core.interrupt import Interrupt
from fsmde_core.rig import Rig, RigError, load_rig
from fsmde_core.runtime.predictor import Prediction, Predictor
from fsmde_core.runtime.session import FILE_SUFFIX

with needed_by("quantize", __file__):
    from fsmde_core.runtime.bias_correction import correct_biases
    from fsmde_core.runtime.precision import write_fp16, write_int8

MAX_DEPTH_M = 80.0  # as in every report on nuScenes' rig
DATASETS = ("street", "nuscenes", "ddad", "bag")
MODULE = "fsmde_core.bench.quantize"
BAG_RIG = "rig.yaml"  # as fsmde-dataset-to-bag leaves it


@dataclass(frozen=True)
class QuantizeConfig:
    """How a model is calibrated and what it may lose."""

    calibration_samples: int = 32
    """Sets of images, spread over the data."""
    correction_samples: int = 8
    """Of those sets, how many tell what rounding does to the mean of each layer; 0: as it is."""
    validation_samples: int = 32
    """Sets of images on which both precisions are compared."""
    tolerance: float = 0.06
    """How much larger Abs Rel may become, as a share of that in fp32."""
    distance: float = 0.08
    """How far depth may lie from that in fp32, mean of |d / d_fp32 - 1|, where there is no truth:
    the shipped int8 file, 1 % worse in Abs Rel, lies 0.01 to 0.03 away on real frames."""


@dataclass(frozen=True)
class Views:
    """The images of a rig at one moment, and what is known of their depth."""

    images: Sequence[np.ndarray]
    """N x [H, W, 3] uint8 RGB."""
    rig: Rig
    truth: Sequence[np.ndarray] | None = None
    """N x [H, W] metres, 0 where nothing is known; None: nothing at all is."""


class Sets(NamedTuple):
    """What is calibrated with or compared on."""

    views: Sequence[Views]
    name: str
    """For the card: which data, and which split of them."""


class Verdict(NamedTuple):
    """What became of a file in fewer bits."""

    measure: str
    """Abs Rel, or the distance from fp32."""
    fp32: float
    fewer_bits: float
    kept: bool


def views_of(sample: RigBatch) -> Views:
    """A sample of a dataset; its own vehicle counts for nothing."""
    truth = np.where(sample.mask, np.float32(0), sample.depth_gt)
    return Views(list(sample.images), rig_of(sample), list(truth) if truth.any() else None)


def abs_rel(predictor: Predictor, sets: Sequence[Views]) -> float:
    """Mean over images of the metric Abs Rel up to MAX_DEPTH_M, in the pixels of the truth."""
    errors = []
    for views in tqdm(sets, unit="set", desc=predictor.config.precision):
        prediction = predictor(list(views.images), views.rig)
        truths = [] if views.truth is None else views.truth
        errors += [_abs_rel(prediction.at_source(i), truth) for i, truth in enumerate(truths)]
    return float(np.nanmean(errors))


def distance(exact: Predictor, other: Predictor, sets: Sequence[Views]) -> float:
    """Mean over images of |d / d_exact - 1|, where the exact one sees a surface in range."""
    errors = []
    for views in tqdm(sets, unit="set", desc=f"{other.config.precision} against fp32"):
        a, b = (predictor(list(views.images), views.rig) for predictor in (exact, other))
        errors += [_abs_rel(b.at_source(i), _near(a, i)) for i in range(len(views.images))]
    return float(np.nanmean(errors))


def _near(prediction: Prediction, i: int) -> np.ndarray:
    depth = prediction.at_source(i)
    return np.where(np.isfinite(depth), depth, np.float32(0))


def _abs_rel(depth: np.ndarray, truth: np.ndarray) -> float:
    """NaN where no pixel counts."""
    counts = (truth > 0) & (truth <= MAX_DEPTH_M) & ~np.isnan(depth)
    (sums,) = image_errors([depth], [truth], [counts], max_depth_m=MAX_DEPTH_M)
    return sums.metrics[0] if sums.count else np.nan


def quantize(
    card_path: Path,
    *,
    precision: str,
    train: Sequence[Views],
    val: Sets,
    config: QuantizeConfig,
    command: str,
) -> Verdict:
    """Make a precision's file and list it in the card if it is good enough.

    With truth, in Abs Rel; without any, near enough to fp32.
    """
    source, suffix = verified_file(card_path, ".onnx"), FILE_SUFFIX[precision]
    exact = Predictor(card_path)
    known = any(views.truth is not None for views in val.views)
    before = abs_rel(exact, val.views) if known else 0.0
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(shutil.copy(card_path, folder))
        file = trial.with_suffix(suffix)
        if precision == "int8":
            write_int8(source, file, _calibration(exact, train))
            if config.correction_samples:
                few = [train[i] for i in _spread(len(train), config.correction_samples)]
                correct_biases(source, file, list(_calibration(exact, few)))
        else:
            write_fp16(source, file)
        add_file(trial, file)
        fewer = Predictor(trial, precision=precision)
        after = abs_rel(fewer, val.views) if known else distance(exact, fewer, val.views)
        limit = before * (1 + config.tolerance) if known else config.distance
        measure = "Abs Rel" if known else "distance from fp32"
        verdict = Verdict(measure, before, after, bool(after <= limit))
        if verdict.kept:
            unit = "metric" if known else "mean of |d / d_fp32 - 1|"
            sets = f"{len(val.views)} sets of {val.name}"
            about = f"{command}: {measure} on {sets}, to {MAX_DEPTH_M:g} m, {unit}"
            values = {"fp32": before} if known else {}
            _keep(card_path, file, about, {**values, precision: after})
    return verdict


def _calibration(exact: Predictor, train: Sequence[Views]) -> Iterator[dict[str, np.ndarray]]:
    for views in tqdm(train, unit="set", desc="calibrating"):
        fits = [exact.fit(camera) for camera in views.rig.cameras]
        images = [fit.image(image) for fit, image in zip(fits, views.images)]
        yield from exact.inputs(images, fits)


def _keep(card_path: Path, file: Path, about: str, metrics: dict[str, float]) -> None:
    with whole_file(card_path.with_name(file.name)) as beside:
        shutil.copy(file, beside)
    add_file(card_path, card_path.with_name(file.name))
    card = load_card(card_path)
    rounded = {precision: round(value, 4) for precision, value in metrics.items()}
    save_card(replace(card, metrics={**card.metrics, about: rounded}), card_path)


def _spread(count: int, limit: int) -> range:
    """At most `limit` places, spread over `count`."""
    return range(0, count, max(1, count // limit))[:limit]


class _Spread(Sequence):
    """At most that many of the samples, spread over all of them, read when asked for."""

    def __init__(self, samples: Sequence[RigBatch], indices: Sequence[int], limit: int):
        self._samples = samples
        self._indices = [indices[i] for i in _spread(len(indices), limit)]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, i: int) -> Views:
        return views_of(self._samples[self._indices[i]])


class _BagViews(Sequence):
    """The sets of a bag, of which nothing is known but the rig."""

    def __init__(self, images: BagImages, rig: Rig):
        self._images, self._rig = images, rig

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, i: int) -> Views:
        return Views(self._images[i], self._rig)


def open_sets(
    kind: str,
    root: Path,
    split: str | None,
    limit: int,
    *,
    train: bool,
    options: argparse.Namespace,
) -> Sets:
    """At most `limit` sets of a dataset's split; DatasetError if there are none.

    split: None is the dataset's own to train on, or to validate on. options are the command line's
    version, rig and image_topic.
    """
    if kind == "bag":
        rig = load_rig(options.rig or root / BAG_RIG)
        images = BagImages(root, rig, limit=limit, image_topic=options.image_topic)
        return Sets(_BagViews(images, rig), f"images of the bag {root.name}")
    if kind == "street":
        from fsmde_core.street.cache import open_cache  # numba, which the others do not need

        samples, there = open_cache(root)
        return Sets(_Spread(samples, there, limit), f"street {samples.street.split}")
    if kind == "nuscenes":
        version = options.version or nuscenes.version_in(root)
        split = split or usual_split(version, train=train)
        found = nuscenes.read_keyframes(root, version, split=split)
        name, read_points = f"nuscenes {version} {split}", nuscenes.read_points
    else:
        split = split or usual_split("", train=train)
        found, read_points = ddad.read_dataset(root, split=split), ddad.read_points
        name = f"ddad {split}"
    if not len(found):
        raise DatasetError(f"{root} has no sample in split {split}")
    return Sets(_Spread(RigDataset(found, read_points), range(len(found)), limit), name)


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 if the model lost too much, 2 with one sentence for bad input.

    130 after Ctrl-C and 143 after SIGTERM: the card stays as it was.
    """
    argv = sys.argv[1:] if argv is None else argv
    arguments, config = _parser().parse_args(argv), QuantizeConfig()
    with Interrupt() as interrupt:
        try:
            with interrupt.at_once():
                verdict = _run(arguments, config, shlex.join(["python", "-m", MODULE, *argv]))
        except KeyboardInterrupt:
            print(f"quantize: stopped, {arguments.card} is as it was", file=sys.stderr)
            return interrupt.exit_code
        except (ModelError, DatasetError, RigError, OSError, ImportError) as error:
            print(f"quantize: {sentence(error)}", file=sys.stderr)
            return 2
    limit = f"{config.tolerance:.0%}" if verdict.measure == "Abs Rel" else f"{config.distance:g}"
    said = "kept" if verdict.kept else f"not kept: that is over {limit}"
    values = f"{arguments.precision} {verdict.fewer_bits:.4f}"
    if verdict.measure == "Abs Rel":
        values = f"fp32 {verdict.fp32:.4f}, {values}"
    print(f"{verdict.measure} {values}: {said}")
    return 0 if verdict.kept else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="quantize", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--card", type=Path, required=True, help="models/NAME.json")
    add("--dataset", choices=DATASETS, default="street")
    add("--data", type=Path, required=True, help="folder of rendered samples, root, or bag")
    add("--val", type=Path, help="the same to compare on; default: --data, where it has splits")
    add("--version", help="nuScenes: folder of tables; v1.0-trainval or v1.0-mini, if there")
    add("--split", help="nuScenes, DDAD: calibrates; default train, of v1.0-mini mini_train")
    add("--val-split", help="nuScenes, DDAD: is compared on; default val, of v1.0-mini mini_val")
    add("--rig", type=Path, help=f"bag: rig file; default {BAG_RIG} in the bag")
    add("--image-topic", default="{camera}/image_raw", help="bag: as the node's parameter")
    add("--precision", choices=("int8", "fp16"), default="int8")
    return parser


def _run(arguments: argparse.Namespace, config: QuantizeConfig, command: str) -> Verdict:
    writable_folder(arguments.card.parent)  # before the work, not after it
    kind = arguments.dataset
    if arguments.val is None and kind in ("street", "bag"):
        raise DatasetError(f"--val is needed: a {kind} has no splits to compare on others with")
    val = arguments.val or arguments.data
    train, compared = (
        open_sets(kind, root, split=split, limit=limit, train=train, options=arguments)
        for root, split, limit, train in (
            (arguments.data, arguments.split, config.calibration_samples, True),
            (val, arguments.val_split, config.validation_samples, False),
        )
    )
    return quantize(
        arguments.card,
        precision=arguments.precision,
        train=train.views,
        val=compared,
        config=config,
        command=command,
    )


if __name__ == "__main__":
    sys.exit(main())
