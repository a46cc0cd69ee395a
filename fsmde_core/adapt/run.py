"""An adaptation from end to end: look, refuse or learn, judge, and put in place what is better.

OUT/NAME.json .onnx .int8.onnx .safetensors   the model, NAME that of the folder OUT
OUT/report.md report.json report.png          what it did
OUT/work/drive, OUT/work/train                what it learnt from, and the trainer's own
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from fsmde_core.adapt.doubts import check_fit
from fsmde_core.adapt.look import described, where
from fsmde_core.adapt.place import REPORTS, put_in_place
from fsmde_core.adapt.report import numbers, write_picture, write_report
from fsmde_core.adapt.request import Request
from fsmde_core.adapt.score import Score, mean_score, score
from fsmde_core.adapt.source import FEWEST_MOMENTS, AdaptError, Source
from fsmde_core.adapt.verdict import FEWEST_JUDGED, judged
from fsmde_core.adapt.work import drive_of
from fsmde_core.bench.quantize import QuantizeConfig, Sets, Views, quantize
from fsmde_core.card import load_card, save_card, sha256_of, verified_file
from fsmde_core.data.drive import Drive
from fsmde_core.data.drive_samples import TRAVELLED_M, DriveSamples
from fsmde_core.data.sample import load_json
from fsmde_core.distill import main as distill
from fsmde_core.distill.config import load_config
from fsmde_core.distill.origin import made_from
from fsmde_core.distill.state import CheckpointError, read_checkpoint
from fsmde_core.files import write_json
from fsmde_core.network.checkpoint import student_config
from fsmde_core.network.depth_anything import size_in
from fsmde_core.network.teacher import is_card
from fsmde_core.pose_doubts import pose_doubts
from fsmde_core.runtime.predictor import Predictor

SET_HERE = ("name", "initial", "teacher", "data.kind", "data.train", "data.train_split")
DONE = "done.json"
JUDGED = 20  # moments of those left out, at most
CALIBRATED = 16


def adapt(request: Request, open_sources: Callable[[], Sequence[Source]]) -> int:
    """Exit code: 0 in place, 1 refused or not better, else the trainer's, as after an interrupt.

    open_sources is asked only if the work folder has no drive yet. AdaptError, ConfigError,
    DatasetError and ModelError are sentences for the user.
    """
    before = _check(request)
    drive, sources = drive_of(request, open_sources)
    left_out = _left_out(drive, request.left_out)
    learnt, moments = range(left_out[0]), spread(left_out, JUDGED)
    if not request.dry_run:
        _check_training(request, learnt)
        if _is_done(request):
            print(f"{request.placed} is done and in place: report at {request.out / REPORTS[0]}")
            return 0
    fit = check_fit(drive, before)
    look = described(drive, sources, fit)
    print(look)
    print(_plan(request, len(learnt), moments, where(drive, sources, moments)), flush=True)
    if drive.licence.startswith("unknown"):
        print(f"! the model's card will say that its licence is {drive.licence}: --licence says it")
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


def _check_training(request: Request, learnt: range) -> None:
    """AdaptError if a training was begun otherwise than is asked for now."""
    config, train = load_config(request.config, _training(request, learnt)), request.work / "train"
    try:
        read_checkpoint(config, train, made_from=made_from(config))
    except CheckpointError as error:
        raise AdaptError(f"{error}, or remove {train} to train anew") from error


def _is_done(request: Request) -> bool:
    """Whether this request was carried out, and its model is the one in place."""
    done = request.work / DONE
    if not (done.exists() and request.placed.exists()):
        return False
    return load_json(done) == {"request": request.made_of(), "card": sha256_of(request.placed)}


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
    place = f"puts {request.placed} in place if it is better"
    if len(moments) < FEWEST_JUDGED:
        place += (
            f", which {len(moments)} moments do not tell for certain: {FEWEST_JUDGED} do, of a "
            "longer drive or a larger share by --left-out"
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
    student = asdict(student_config(load_card(request.model)))  # the network stays what it is
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
    print(f"\n{numbers(*means)}\n\nby the weighted mean: {verdict}", flush=True)
    about = {
        "name": request.name,
        "left_out": list(moments),
        "initial": before.card.name,
        "trained": after.card.description,
        "sources": list(sources),
        "command": request.command,
        "rig": str(request.rig or ""),
    }
    write_report(
        request.work, verdict=verdict, before=means[0], after=means[1], look=look,
        where=where(drive, sources, moments), about=about,
    )  # fmt: skip
    middle = moments[len(moments) // 2]
    caption = f"{request.name}: {verdict}, here {where(drive, sources, [middle])}"
    write_picture(request.work / "report.png", before, after, drive, middle, caption)
    if not verdict.better:
        print(
            f"fsmde-adapt: {request.name} did not get better, what was in {request.out} stays; the "
            f"model is {card}, the report {request.work / 'report.md'}",
            file=sys.stderr,
        )
        return 1
    print("int8: makes the file and measures how near it is", flush=True)
    _quantize(card, drive, _left_out(drive, request.left_out))
    _note_scores(card, *means, len(moments))
    _note_drive(card, drive, request)
    kept = put_in_place(card, request.work, request.out)
    done = {"request": request.made_of(), "card": sha256_of(request.placed)}
    write_json(request.work / DONE, done)
    if kept:
        print(f"what was there is kept: {' '.join(file.name for file in kept)}")
    rig = shlex.quote(str(request.rig.absolute())) if request.rig else "RIG.yaml"
    print(f"model: {request.placed}\nreport: {request.out / REPORTS[0]}")
    print(
        f"ros2 launch fsmde_ros surround_depth.launch.py rig:={rig} "
        f"model:={shlex.quote(str(request.placed.absolute()))}"
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


def _note_drive(card_path: Path, drive: Drive, request: Request) -> None:
    """Which recording it was; the trainer only knows the drive folder."""
    card = load_card(card_path)
    trained = card.description.partition(" Drive: ")[0]  # of a run that ended behind this
    what = f"{trained} Drive: {drive.source}; {request.command}"
    save_card(replace(card, description=what), card_path)


def _note_scores(card_path: Path, before: Score, after: Score, moments: int) -> None:
    card = load_card(card_path)
    found = {
        f"{name} {when}": round(float(value), 4)
        for when, of in (("before", before), ("after", after))
        for name, value in vars(of).items()
    }
    title = f"fsmde-adapt: {moments} moments left out, without truth"
    save_card(replace(card, metrics={**card.metrics, title: found}), card_path)
