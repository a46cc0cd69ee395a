"""Whole files or none: write beside, then rename."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np


def reason(error: OSError) -> str:
    """The file and what is wrong with it; Python's own sentence begins with a number."""
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def writable_folder(folder: Path | str) -> None:
    """Make a folder and try it, before hours go into what is to be written there.

    OSError names the folder.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            error.errno, f"cannot be written to: {error.strerror}", str(folder)
        ) from error


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
