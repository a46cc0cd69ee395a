"""Whole files or none: write beside, then rename."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Where to write a file that then appears at `path`, whole or not at all.

    The folder is made. OSError names the file, as Python's own of a full disk does not; one that
    names another file stays as it is.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    try:
        yield beside
        os.replace(beside, path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(beside), beside):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write a file, see whole_file."""
    with whole_file(path) as beside:
        beside.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    """Write a file, see whole_file."""
    with whole_file(path) as beside:
        beside.write_text(text)


def write_json(path: Path | str, document: object, *, indent: int = 1) -> None:
    """Write a JSON file, see whole_file."""
    write_text(path, json.dumps(document, indent=indent) + "\n")


def write_arrays(path: Path | str, **arrays: np.ndarray) -> None:
    """Write an .npz file, compressed, without pickle; see whole_file."""
    with whole_file(path) as beside, beside.open("wb") as file:
        np.savez_compressed(file, **arrays)
