"""Whole files or none: write beside, then rename."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all; OSError names it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    try:
        beside.write_bytes(data)
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def write_json(path: Path, document: object) -> None:
    """Write a JSON file that appears whole or not at all."""
    write_bytes(path, json.dumps(document, indent=1).encode())


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write an .npz file (compressed, no pickle) that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("wb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
