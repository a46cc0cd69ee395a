"""fsmde-evaluate: score a model, or somebody's files, on a dataset; compare reports."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from fsmde_core.arguments import not_negative, positive
from fsmde_core.card import ModelError
from fsmde_core.data import ddad, nuscenes
from fsmde_core.data.batch import BodyMasks, RigDataset
from fsmde_core.data.nuscenes_splits import usual_split
from fsmde_core.data.sample import DatasetError, Samples
from fsmde_core.evaluate.compare import compare, comparison_table
from fsmde_core.evaluate.evaluation import Evaluation, evaluate, score_sample
from fsmde_core.evaluate.ground_truth import published_truth
from fsmde_core.evaluate.protocols import PROTOCOLS, RANGES, Protocol
from fsmde_core.evaluate.report import (
    ReportError,
    is_partial,
    load_report,
    report,
    save_report,
    screen,
)
from fsmde_core.evaluate.sources import (
    Predict,
    PredictionError,
    check_folder,
    folder_source,
    onnx_source,
    torch_source,
    unit_doubt,
)
from fsmde_core.extras import absent
from fsmde_core.files import reason, writable_folder
from fsmde_core.interrupt import Interrupt
from fsmde_core.runtime.session import ProviderError
from fsmde_core.visualize import evaluation_panel, line_chart

BACKENDS = ("onnx", "torch")
READ_POINTS = {"nuscenes": nuscenes.read_points, "ddad": ddad.read_points}
REFUSALS = (DatasetError, PredictionError, ModelError, ProviderError, ReportError)
REFUSALS += (OSError, ImportError)


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 2 with one sentence for what cannot be read, or a fault if strict.

    130 after Ctrl-C and 143 after SIGTERM: the report of what was counted so far is written.
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        if arguments.compare:
            return _compare(arguments.compare)
        if not arguments.data or not (arguments.model or arguments.predictions):
            parser.error("--data and one of --model and --predictions are needed, or --compare")
        if arguments.dataset == "nuscenes" and arguments.version is None:
            arguments.version = nuscenes.version_in(arguments.data)
        arguments.split = arguments.split or usual_split(arguments.version or "", train=False)
        arguments.out = arguments.out or _own_folder(arguments)
        with Interrupt() as interrupt:
            try:
                return _evaluate(arguments, shlex.join(["fsmde-evaluate", *argv]), interrupt)
            except KeyboardInterrupt:  # the second: what is being written is left
                print(f"fsmde-evaluate: stopped, {arguments.out} is not whole", file=sys.stderr)
                return interrupt.exit_code
    except REFUSALS as error:
        print(f"fsmde-evaluate: {sentence(error)}", file=sys.stderr)
        return 2


def sentence(error: Exception) -> str:
    """What is wrong: the extra that is missing, what the system says, or the error's own words."""
    if isinstance(error, ImportError):
        return absent(error)
    return reason(error) if isinstance(error, OSError) else str(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fsmde-evaluate", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, metavar="ROOT", help="root; street: folder of rendered samples")
    add("--dataset", choices=sorted(RANGES), default="nuscenes")
    add("--version", help="nuScenes: folder of tables; v1.0-trainval or v1.0-mini, if there")
    add(
        "--split",
        help="train, val, test; nuScenes: mini_train, mini_val, all too; street: stress, deployed; "
        "default val, of v1.0-mini mini_val",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--model", type=Path, metavar="CARD", help="models/NAME.json")
    source.add_argument(
        "--predictions",
        type=Path,
        metavar="FOLDER",
        help="TOKEN/CAMERA.npy, .npz, .png: see docs",
    )
    add(
        "--steps-per-m",
        type=float,
        metavar="N",
        help="predictions: what one metre is in the files; default 256 in .png, else 1",
    )
    add("--backend", choices=BACKENDS, default="onnx", help="what runs the model")
    add("--device", default="cpu", help="cpu or cuda")
    add(
        "--input-pixels",
        type=not_negative,
        default=0,
        help="of an image that the network sees; 0: card's",
    )
    add("--protocol", choices=sorted(PROTOCOLS), default="surrounddepth")
    add(
        "--masks",
        type=Path,
        help="rig file with masks, or folder of them, for protocols that leave the body out",
    )
    add("--past-sweeps", type=not_negative, default=0, help="LiDAR sweeps before the keyframe's")
    add("--limit", type=positive, help="only so many samples, spread over the split")
    add(
        "--out",
        type=Path,
        help="folder for report and pictures; default out/evaluation/MODEL_DATASET_SPLIT_PROTOCOL",
    )
    add("--panels", type=not_negative, default=1, help="pictures each of best, median and worst")
    add("--strict", action="store_true", help="stop at the first fault")
    add(
        "--compare",
        nargs=2,
        type=Path,
        action="append",
        metavar=("A.json", "B.json"),
        help="compare two reports; again for each further seed",
    )
    return parser


def _own_folder(arguments: argparse.Namespace) -> Path:
    """Where a report goes that --out has no place for: no other evaluation's is replaced."""
    what = arguments.predictions or arguments.model.with_suffix("")
    names = *what.resolve().parts[-2:], arguments.dataset, arguments.split, arguments.protocol
    return Path("out/evaluation") / "_".join(names)


def _compare(paths: list[list[Path]]) -> int:
    pairs = [(load_report(a), load_report(b)) for a, b in paths]
    differences, samples = compare(pairs)
    names = [(_named(a, of_a), _named(b, of_b)) for (a, b), (of_a, of_b) in zip(paths, pairs)]
    print(comparison_table(differences, names, samples))
    return 0


def _named(path: Path, document: dict) -> str:
    return f"{path} (PARTIAL: {document['partial']})" if is_partial(document) else str(path)


def _evaluate(arguments: argparse.Namespace, command: str, interrupt: Interrupt) -> int:
    try:
        with interrupt.at_once():
            writable_folder(arguments.out)  # before the work, not after it
            protocol, limits = _protocol(arguments), RANGES[arguments.dataset]
            samples, dataset = _data(arguments, protocol)
            predict = _source(arguments, samples)
        evaluation, faults = evaluate(
            samples,
            dataset,
            predict,
            protocol=protocol,
            max_depth_m=limits.max_depth_m,
            strict=arguments.strict,
            ended=interrupt.__bool__,
        )
    except KeyboardInterrupt:
        print("fsmde-evaluate: stopped, nothing is written", file=sys.stderr)
        return interrupt.exit_code
    seen = len(evaluation.latencies_s) + len(faults)
    about = {
        "command": command,
        "model": str(arguments.model or arguments.predictions),
        "device": f"{arguments.backend} on {arguments.device}" if arguments.model else "files",
        "dataset": arguments.dataset,
        "version": arguments.version if arguments.dataset == "nuscenes" else "",
        "split": arguments.split,
        "past_sweeps": arguments.past_sweeps,
        "partial": f"{seen} of {len(samples)} samples" if seen < len(samples) else "",
        "notes": _notes(arguments, protocol, evaluation),
    }
    document = report(evaluation, faults, about)
    print(screen(document))  # first: what is counted is not lost with a disk that is full by now
    save_report(document, arguments.out)
    _save_picture(arguments.out / "error_by_distance.png", error_chart(document))
    try:
        with interrupt.at_once():
            if evaluation.per_sample:
                _save_panels(arguments, samples, dataset, predict, evaluation)
    except KeyboardInterrupt:
        print(f"\nstopped; report: {arguments.out}")
        return interrupt.exit_code
    print(f"\nreport and pictures: {arguments.out}")
    return 0 if evaluation.per_sample else 1


def _protocol(arguments: argparse.Namespace) -> Protocol:
    """The protocol asked for; where there are no masks, one that leaves nothing out."""
    protocol = PROTOCOLS[arguments.protocol]
    if arguments.dataset == "street":
        return protocol
    if arguments.masks is None:
        return replace(protocol, body_masks=False)
    if not protocol.body_masks:
        others = ", ".join(name for name, other in PROTOCOLS.items() if other.body_masks)
        raise DatasetError(
            f"protocol {protocol.name} counts the own vehicle, --masks changes nothing: "
            f"leave it out, or take --protocol {others}"
        )
    return protocol


def _notes(arguments: argparse.Namespace, protocol: Protocol, evaluation: Evaluation) -> list[str]:
    """What a reader of the numbers has to know."""
    notes = []
    if PROTOCOLS[protocol.name].body_masks and not protocol.body_masks:
        notes.append(f"no --masks: the own vehicle counts, which {protocol.name} leaves out")
    if arguments.past_sweeps:
        notes.append(f"--past-sweeps {arguments.past_sweeps}: no published protocol")
    if arguments.predictions:
        steps = arguments.steps_per_m
        doubt = unit_doubt(arguments.predictions, evaluation.median_ratios, steps_per_m=steps)
        notes += [doubt] if doubt else []
    return notes


def _data(arguments: argparse.Namespace, protocol: Protocol) -> tuple[Samples, RigDataset]:
    """The samples asked for, and what reads them."""
    if arguments.dataset == "street":
        from fsmde_core.street.samples import StreetTruth  # needs numba, and nothing else does

        if arguments.masks is not None:
            raise DatasetError("--masks is for recorded data: rendered samples have their own")
        truth = StreetTruth(arguments.data, arguments.split)
        return _spread(truth.samples, arguments.limit), truth
    samples = _spread(_recorded(arguments), arguments.limit)
    if not len(samples):
        raise DatasetError(f"{arguments.data} has no sample in split {arguments.split}")
    size = None if protocol.native_ground_truth else RANGES[arguments.dataset].network_size
    dataset = RigDataset(
        samples,
        READ_POINTS[arguments.dataset],
        size=size,
        masks=None if arguments.masks is None else BodyMasks(arguments.masks),
        truth=published_truth(arguments.dataset, protocol),
    )
    return samples, dataset


def _recorded(arguments: argparse.Namespace) -> Samples:
    if arguments.dataset == "ddad":
        if arguments.past_sweeps:
            raise DatasetError("--past-sweeps is for nuScenes: DDAD has one sweep a sample")
        return ddad.read_dataset(arguments.data, split=arguments.split)
    return nuscenes.read_keyframes(
        arguments.data,
        arguments.version,
        split=arguments.split,
        past_sweeps=arguments.past_sweeps,
    )


def _spread(samples: Samples, limit: int | None) -> Samples:
    return samples[:: -(-len(samples) // limit)] if limit and limit < len(samples) else samples


def _source(arguments: argparse.Namespace, samples: Samples) -> Predict:
    if arguments.predictions:
        source = folder_source(arguments.predictions, steps_per_m=arguments.steps_per_m)
        check_folder(arguments.predictions, samples)
        return source
    if arguments.steps_per_m is not None:
        raise PredictionError("--steps-per-m is for --predictions: a model answers in metres")
    pixels = arguments.input_pixels
    if arguments.backend == "torch":
        return torch_source(arguments.model, arguments.device, input_pixels=pixels)
    providers = [f"{arguments.device.upper()}ExecutionProvider"]
    return onnx_source(arguments.model, providers, input_pixels=pixels)


def error_chart(document: dict) -> np.ndarray:
    """Abs Rel against true depth, as a picture."""
    distances = document["error_by_distance"]
    edges = np.array(distances["edges_m"])
    abs_rel = np.array(distances["abs_rel"], np.float64)  # None becomes NaN
    title = f"Abs Rel, {document['model']}, {document['protocol']['name']}"
    return line_chart((edges[:-1] + edges[1:]) / 2, abs_rel, title=title, x_label="depth in metres")


def _save_panels(
    arguments: argparse.Namespace,
    samples: Samples,
    dataset: RigDataset,
    predict: Predict,
    evaluation: Evaluation,
) -> None:
    """Pictures of the best, median and worst samples, which are read and predicted once more."""
    index_of = {samples.label(i): i for i in range(len(samples))}
    ranked = sorted(evaluation.per_sample, key=lambda label: evaluation.per_sample[label][0])
    count = min(arguments.panels, len(ranked))
    middle = max(0, (len(ranked) - count) // 2)
    chosen = {"best": ranked[:count], "median": ranked[middle : middle + count]}
    chosen["worst"] = ranked[::-1][:count]
    for kind, labels in chosen.items():
        for number, label in enumerate(labels, start=1):
            sample = samples[index_of[label]]
            scored = score_sample(
                sample,
                dataset,
                predict,
                protocol=evaluation.protocol,
                max_depth_m=evaluation.max_depth_m,
            )
            panel = evaluation_panel(
                scored.item.images,
                scored.predictions,
                np.where(scored.counted, scored.item.depth_gt, 0),
                scored.item.names,
                caption=f"{kind} {number}: {label}, Abs Rel {evaluation.per_sample[label][0]:.3f}",
            )
            _save_picture(arguments.out / f"{kind}_{number}.jpg", panel)


def _save_picture(path: Path, picture: np.ndarray) -> None:
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise ReportError(f"picture {path} cannot be written")


if __name__ == "__main__":
    sys.exit(main())
