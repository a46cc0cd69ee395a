"""What an adaptation did, in numbers and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from fsmde_core.adapt.score import WEIGHTS, Score
from fsmde_core.adapt.verdict import HOW, Verdict
from fsmde_core.data.drive import Drive
from fsmde_core.files import write_bytes, write_json, write_text
from fsmde_core.runtime.predictor import Predictor
from fsmde_core.tables import table
from fsmde_core.visualize import before_and_after

MEANING = {
    "photometric": "images put together from those before and after, by depth: mean error",
    "overlap": "two cameras on the points that both see: mean absolute log of the depths' ratio",
    "ground": "depth against the plane that the vehicle drives on: the same of that ratio",
    "temporal": "a camera at one moment against the next: the same of that ratio",
}


def numbers(before: Score, after: Score) -> str:
    """A table of the measures before and after."""
    rows = []
    for name, weight in WEIGHTS.items():
        then, now = getattr(before, name), getattr(after, name)
        change = f"{now / then - 1:+.1%}" if np.isfinite([then, now]).all() and then else "-"
        rows.append([name, f"{weight:g}", f"{then:.4f}", f"{now:.4f}", change])
    return table(["measure (lower is better)", "weight", "before", "after", "change"], rows)


def write_report(
    folder: Path,
    *,
    verdict: Verdict,
    before: Score,
    after: Score,
    look: str,
    where: str,
    about: Mapping,
) -> None:
    """report.md and report.json; where the moments lie in words, about is what else the latter
    holds."""
    document = {"verdict": str(verdict), **asdict(verdict)}
    document |= {"before": asdict(before), "after": asdict(after)}
    write_json(folder / "report.json", {**document, **about})
    text = [
        f"# {about['name']}: {verdict}",
        f"On {verdict.moments} moments, which nothing was learnt from: {where}.",
        numbers(before, after),
        "\n".join(f"- {name}: {meaning}" for name, meaning in MEANING.items()),
        HOW,
        "![images, depths before and after](report.png)",
        "## The drive",
        look,
        "## How it was made",
        f"Begun with {about['initial']}; {about['trained']}",
        f"    {about['command']}",
        f"Rig file: {about['rig'] or 'that of the source'}",
    ]
    write_text(folder / "report.md", "\n\n".join(text) + "\n")


def write_picture(
    file: Path, before: Predictor, after: Predictor, drive: Drive, moment: int, caption: str
) -> None:
    """Images of a moment, and the depths of both models, a row a camera."""
    images = [drive.image(moment, i) for i in range(len(drive.rig.cameras))]
    depths = []
    for predictor in (before, after):
        prediction = predictor(images, drive.rig)
        depths.append([prediction.at_source(i) for i in range(len(images))])
    picture = before_and_after(images, *depths, drive.rig.names, caption=caption)
    _, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    write_bytes(file, png.tobytes())
