"""An adaptation from end to end: look, refuse or learn, judge, and put in place what is better.

OUT/NAME.json .onnx .int8.onnx .safetensors   the model, NAME that of the folder OUT
OUT/report.md report.json report.png          what it did
OUT/work/drive, OUT/work/train                what it learnt from, and the trainer's own
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fsmde_core.adapt.doubts import check_fit
from fsmde_core.adapt.look import described, summary, where
from fsmde_core.adapt.report import numbers, write_picture, write_report
from fsmde_core.adapt.score import Score, mean_score, score
from fsmde_core.adapt.source import (
    FEWEST_MOMENTS,
    MOST_MOMENTS,
    STEP_M,
    AdaptError,
    Source,
    check_moving,
    choose,
    write_drive,
)
from fsmde_core.adapt.verdict import FEWEST_JUDGED, judged
from fsmde_core.bench.quantize import QuantizeConfig, Sets, Views, quantize
from fsmde_core.card import load_card, save_card, verified_file
from fsmde_core.data.drive import Drive, load_drive
from fsmde_core.data.drive_samples import TRAVELLED_M, DriveSamples
from fsmde_core.data.sample import load_json
from fsmde_core.distill import main as distill
from fsmde_core.distill.config import load_config
from fsmde_core.files import whole_file, writable_folder, write_json
from fsmde_core.interrupt import signals_wait
from fsmde_core.network.depth_anything import size_in
from fsmde_core.network.teacher import is_card
from fsmde_core.rig import pose_doubts
from fsmde_core.runtime.predictor import Predictor

SUFFIXES = (".safetensors", ".onnx", ".int8.onnx")
REPORTS = ("report.md", "report.json", "report.png")
SET_HERE = ("name", "initial", "teacher", "data.kind", "data.train", "data.train_split")
JUDGED = 20  # moments of those left out, at most
CALIBRATED = 16


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    out: Path
    model: Path
    """Card of the model that is begun with."""
    config: Path
    """Of the training, see config/distill/adapt.yaml."""
    teacher: str = ""
    """Card of the teacher, or the file of a foundation model, whose shapes are then taught at the
    model's own depths; empty: the model itself, as an anchor against drift."""
    overrides: tuple[str, ...] = ()
    """Of the config, KEY=VALUE."""
    devices: tuple[str, ...] = ()
    """fsmde-distill's arguments that say where it trains."""
    step_m: float = STEP_M
    most: int = MOST_MOMENTS
    left_out: float = 0.2
    """Share of the moments, the last ones, that is judged on and not learnt from."""
    trust_odometry: bool = False
    trust_rig: bool = False
    dry_run: bool = False
    sources: tuple[Path, ...] = ()
    """Where the drive comes from."""
    asked: dict = field(default_factory=dict)
    """What the drive is made of, as JSON has it: another request needs another drive."""
    files: dict = field(default_factory=dict)
    """Of each source that is there, what tells whether it was changed, as JSON has it."""

    @property
    def name(self) -> str:
        return os.path.basename(os.path.abspath(self.out))  # without .. in it

    @property
    def work(self) -> Path:
        return self.out / "work"


def adapt(request: Request, open_sources: Callable[[], Sequence[Source]]) -> int:
    """Exit code: 0 in place, 1 refused or not better, else the trainer's, as after an interrupt.

    open_sources is asked only if the work folder has no drive yet. AdaptError, ConfigError,
    DatasetError and ModelError are sentences for the user.
    """
    before = _check(request)
    writable_folder(request.work)
    drive, sources = _drive(request, open_sources)
    fit = check_fit(drive, before)
    look = described(drive, sources, fit)
    left_out = _left_out(drive, request.left_out)
    learnt, moments = range(left_out[0]), spread(left_out, JUDGED)
    print(look)
    print(_plan(request, len(learnt), moments, where(drive, sources, moments)), flush=True)
    of_poses = [d for c in drive.rig.cameras for d in pose_doubts(c, drive.rig.base_frame)]
    refused = _refused(request, fit.of_odometry, [*of_poses, *fit.of_rig])
    for sentence in refused:
        print(f"fsmde-adapt: {sentence}", file=sys.stderr)
    if not refused:
        _check_near(drive, learnt)
    if refused or request.dry_run:
        return 1 if refused else 0
    code = _train(request, learnt)
    card = request.work / "train" / f"{request.name}.json"
    if code or not card.exists() or load_card(card).provisional:
        return code
    return _judge(request, drive, card, before=before, moments=moments, look=look, sources=sources)


def _check(request: Request) -> Predictor:
    """The model that is begun with, after whatever can be said before the work, not after it."""
    if not 0 < request.left_out < 1:
        raise AdaptError(f"the share left out is {request.left_out:g}, not between 0 and 1")
    if not request.step_m >= 0:
        raise AdaptError(f"the step between moments is {request.step_m:g} m, which is no distance")
    if request.most < FEWEST_MOMENTS:
        raise AdaptError(f"{request.most} moments are too few, {FEWEST_MOMENTS} are needed")
    _check_places(request)
    for word in request.overrides:
        if (key := word.partition("=")[0]) in SET_HERE:
            raise AdaptError(f"{word}: {key} is what the command itself gives the training")
    teacher = request.teacher or request.model
    if is_card(teacher):
        verified_file(teacher, ".safetensors")
    else:
        size_in(teacher)
    load_config(request.config, _training(request, range(1)))
    verified_file(request.model, ".safetensors")
    return Predictor(request.model)


def _check_places(request: Request) -> None:
    """AdaptError where OUT and the sources are in each other's way, or two sources are one."""
    out = request.out.resolve()
    if not request.name or f"{request.name}.json" in REPORTS:
        raise AdaptError(f"--out {request.out}: a model cannot be called {request.name!r}")
    seen: set[Path] = set()
    for path in request.sources:
        found = path.resolve()
        if found in seen:
            raise AdaptError(f"{path} is given twice: it would be judged on what was learnt from")
        if found == out or (out / "work") in (found, *found.parents):
            raise AdaptError(f"{path} is in the way of --out {request.out}: choose another --out")
        seen.add(found)


def _drive(
    request: Request, open_sources: Callable[[], Sequence[Source]]
) -> tuple[Drive, list[dict]]:
    """The drive of the work folder, written if it is not there; and what it was made of."""
    folder, file = request.work / "drive", request.work / "sources.json"
    if not file.exists():
        shutil.rmtree(folder, ignore_errors=True)
        sources = open_sources()
        chosen = [choose(s, step_m=request.step_m, most=request.most) for s in sources]
        for source, sets in zip(sources, chosen):
            check_moving(source, sets)
        written = write_drive(sources, chosen, folder)
        about = [summary(*of) for of in zip(sources, map(len, chosen), written)]
        write_json(file, {"asked": request.asked, "files": request.files, "sources": about})
    document, other = load_json(file), "choose another --out, or remove it"
    if not isinstance(document, dict) or {"asked", "files", "sources"} - set(document):
        raise AdaptError(f"{file} is not as it was written: {other}")
    if document["asked"] != request.asked:
        raise AdaptError(f"{request.work} holds the drive of another command: {other}")
    for path, files in request.files.items():
        if document["files"].get(path, files) != files:
            raise AdaptError(f"{path} was changed since {request.work} was made of it: {other}")
    return load_drive(folder), document["sources"]


def _left_out(drive: Drive, share: float) -> range:
    """The last moments of the drive; at least one, and at least as many are learnt from."""
    count = min(max(1, round(share * len(drive))), len(drive) // 2)
    return range(len(drive) - count, len(drive))


def _check_near(drive: Drive, learnt: range) -> None:
    """AdaptError if hardly any moment has another that shows the same from elsewhere."""
    samples = DriveSamples(drive, f"{learnt.start}:{learnt.stop}")
    near = sum(samples.others(m) != (None, None) for m in learnt)
    if 2 * near < min(FEWEST_MOMENTS, len(learnt)):
        ways = np.diff([moment.T_world_ego[0, :3, 3] for moment in drive.moments], axis=0)
        raise AdaptError(
            f"only {near} of {len(learnt)} moments have another {TRAVELLED_M[0]:g} to "
            f"{TRAVELLED_M[1]:g} m away, from one to the next it is "
            f"{np.median(np.linalg.norm(ways, axis=1)):.1f} m: more images a second, or a slower "
            "drive, are needed"
        )


def _plan(request: Request, learnt: int, moments: Sequence[int], when: str) -> str:
    teacher = request.teacher or "the same"
    place = f"puts {request.out / (request.name + '.json')} in place if it is certainly better"
    if len(moments) < FEWEST_JUDGED:
        place = (
            f"puts nothing in place, as {FEWEST_JUDGED} moments to be judged on are needed: drive "
            "longer, or give --left-out a larger share"
        )
    return (
        f"learns from {learnt} moments, is judged on {len(moments)} of the last ({when}); begins "
        f"with {request.model}, teacher {teacher}, {request.config.name}"
        f"{' with ' + ' '.join(request.overrides) if request.overrides else ''}; "
        f"{place}"
    )


def _refused(request: Request, of_odometry: list[str], of_rig: list[str]) -> list[str]:
    sentences = []
    for doubts, trusted, option in (
        (of_odometry, request.trust_odometry, "--trust-odometry"),
        (of_rig, request.trust_rig, "--trust-rig"),
    ):
        for doubt in doubts:
            if trusted:
                print(f"! {doubt} (trusted)")
            else:
                sentences.append(f"{doubt}; correct it, or insist with {option}")
    return sentences


def _train(request: Request, learnt: range) -> int:
    where = ("--config", str(request.config), "--out", str(request.work / "train"))
    return distill.main([*where, *request.devices, *_training(request, learnt)])


def _training(request: Request, learnt: range) -> list[str]:
    """What the training's config does not say by itself, KEY=VALUE."""
    student = load_card(request.model).student  # the network stays what it is
    return [
        *(f"student.{key}={_text(value)}" for key, value in student.items()),
        f"name={_text(request.name)}",
        f"initial={_text(str(request.model))}",
        f"teacher={_text(request.teacher or str(request.model))}",
        "data.kind=drive",
        f"data.train={_text(str(request.work / 'drive'))}",
        f"data.train_split={learnt.start}:{learnt.stop}",
        *request.overrides,
    ]


def _text(value: object) -> str:
    """As YAML reads it back, be it a path that looks like a number."""
    return json.dumps(value, ensure_ascii=False)


def _judge(
    request: Request,
    drive: Drive,
    card: Path,
    *,
    before: Predictor,
    moments: Sequence[int],
    look: str,
    sources: Sequence[dict],
) -> int:
    """Score both models, write the report, and put the new one in place if it is better."""
    after = Predictor(card)
    print(f"judges both models on {len(moments)} moments", flush=True)
    scores = [
        score(predictor, drive, moments, label=label)
        for predictor, label in ((before, "before"), (after, "after"))
    ]
    verdict, means = judged(*scores), [mean_score(of) for of in scores]
    print(f"\n{numbers(*means)}\n\n{verdict}, the weighted mean of the measures", flush=True)
    about = {
        "name": request.name,
        "left_out": list(moments),
        "initial": before.card.name,
        "trained": after.card.description,
        "sources": list(sources),
    }
    write_report(
        request.work, verdict=verdict, before=means[0], after=means[1], look=look,
        where=where(drive, sources, moments), about=about,
    )  # fmt: skip
    middle = moments[len(moments) // 2]
    caption = f"{request.name}: {verdict}"
    write_picture(request.work / "report.png", before, after, drive, middle, caption)
    if not verdict.better:
        how = "did not get better" if verdict.certain else "did not get better for certain"
        print(
            f"fsmde-adapt: {request.name} {how}, what was in {request.out} stays; the model is "
            f"{card}, the report {request.work / 'report.md'}",
            file=sys.stderr,
        )
        return 1
    print("int8: makes the file and measures how near it is", flush=True)
    _quantize(card, drive, _left_out(drive, request.left_out))
    _note_scores(card, *means, len(moments))
    placed = _put_in_place(card, request)
    print(f"model: {placed}\nreport: {request.out / 'report.md'}")
    print(
        f"ros2 launch fsmde_ros surround_depth.launch.py rig:=RIG.yaml model:={placed.absolute()}"
    )
    return 0


def spread(moments: range, most: int) -> list[int]:
    """At most so many of the moments, spread over all of them."""
    return np.unique(np.linspace(moments[0], moments[-1], most).round().astype(int)).tolist()


def _quantize(card: Path, drive: Drive, left_out: range) -> None:
    """The int8 file, where it stays near the exact one on the moments left out."""
    train, val = (
        [_views(drive, m) for m in spread(moments, CALIBRATED)]
        for moments in (range(left_out[0]), left_out)
    )
    verdict = quantize(
        card, precision="int8", train=train, val=Sets(val, f"{drive.path.name} left out"),
        config=QuantizeConfig(), command="fsmde-adapt",
    )  # fmt: skip
    said = "kept" if verdict.kept else "not kept"
    print(f"int8: {verdict.measure} {verdict.fewer_bits:.4f}, {said}")


def _views(drive: Drive, moment: int) -> Views:
    return Views([drive.image(moment, i) for i in range(len(drive.rig.cameras))], drive.rig)


def _note_scores(card_path: Path, before: Score, after: Score, moments: int) -> None:
    card = load_card(card_path)
    found = {
        f"{name} {when}": round(float(value), 4)
        for when, of in (("before", before), ("after", after))
        for name, value in vars(of).items()
    }
    title = f"fsmde-adapt: {moments} moments left out, without truth"
    save_card(replace(card, metrics={**card.metrics, title: found}), card_path)


def _put_in_place(card: Path, request: Request) -> Path:
    """Copy model and report to OUT, all beside what is there, and only then rename them in a row.

    The card is renamed last: it vouches for the others.
    """
    listed = load_card(card).sha256
    files = {file: file.name in listed for file in map(card.with_suffix, SUFFIXES)}
    with ExitStack() as places, signals_wait():
        for file in (card, *(f for f in files if files[f]), *map(request.work.joinpath, REPORTS)):
            shutil.copyfile(file, places.enter_context(whole_file(request.out / file.name)))
    for file in (f for f in files if not files[f]):  # of the model that was there
        (request.out / file.name).unlink(missing_ok=True)
    return request.out / card.name
