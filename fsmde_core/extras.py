"""Which of setup.py's extras brings a package that is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXTRA_OF = {
    "lightning_fabric": "train",
    "onnx": "train",
    "onnxscript": "train",
    "pydantic": "train",
    "safetensors": "train",
    "tensorboard": "train",
    "timm": "train",
    "torch": "train",
    "torchvision": "train",
    "numba": "street",
    "scipy": "evaluate",
    "rclpy": "ros",
}
"""Name of the module that is imported -> extra."""


def absent(error: ImportError) -> str:
    """What to install where a module is missing; else what the error says."""
    if not _in_an_extra(error):
        return str(error)
    name = _module(error)
    extra = EXTRA_OF[name]
    return f"{name} is not installed; in the checkout: pip install -e '.[{extra}]'"


@contextmanager
def needed_by(command: str, file: str) -> Iterator[None]:
    """Around the imports of a command, which ends with a sentence where an extra is missing.

    file is the module's own; for whoever else imports it the error stays what it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        program = Path(sys.argv[0])
        if not _in_an_extra(error) or program.name not in (command, Path(file).name):
            raise
        print(f"{command}: {absent(error)}", file=sys.stderr)
        raise SystemExit(2) from None


def _in_an_extra(error: ImportError) -> bool:
    return isinstance(error, ModuleNotFoundError) and _module(error) in EXTRA_OF


def _module(error: ImportError) -> str:
    return (error.name or "").partition(".")[0]
