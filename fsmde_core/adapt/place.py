"""A model that is done is put in place; what was there is kept beside it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from fsmde_core.card import load_card
from fsmde_core.files import whole_file
from fsmde_core.interrupt import signals_wait

SUFFIXES = (".safetensors", ".onnx", ".int8.onnx")
REPORTS = ("report.md", "report.json", "report.png")


def put_in_place(card: Path, work: Path, out: Path) -> list[Path]:
    """Copy a model and the reports of `work` to OUT, all beside what is there, and only then rename
    them in a row; the card is renamed last, as it vouches for the others.

    What was there is kept as FILE.bak, or all of it as .bak2 and so on; returned are these copies.
    """
    listed = load_card(card).sha256
    files = [card.with_suffix(suffix) for suffix in SUFFIXES]
    new = [card, *(f for f in files if f.name in listed), *(work / name for name in REPORTS)]
    names = [card.name, *(file.name for file in files), *REPORTS]
    with ExitStack() as places, signals_wait():
        for file in new:
            shutil.copyfile(file, places.enter_context(whole_file(out / file.name)))
        kept = _kept([out / name for name in names if (out / name).exists()])
    for file in files:  # of the model that was there
        if file.name not in listed:
            (out / file.name).unlink(missing_ok=True)
    return kept


def _kept(files: Sequence[Path]) -> list[Path]:
    """Copies of files under the first suffix that is free for all of them."""
    suffixes = (f".bak{number}" for number in ("", *range(2, 1000)))
    for suffix in suffixes:
        copies = [file.with_name(file.name + suffix) for file in files]
        if not any(copy.exists() for copy in copies):
            break
    for file, copy in zip(files, copies):
        with whole_file(copy) as beside:
            shutil.copyfile(file, beside)
    return copies
