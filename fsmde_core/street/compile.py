"""How the functions of the tracer are compiled: by numba, on first use, kept in its cache."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numba import config, njit

KEPT = Path(__file__).with_name("__pycache__")
"""Where numba keeps what it compiled, unless NUMBA_CACHE_DIR names another place."""


def device(function):
    """Compile a function of the tracer, its float literals in single precision.

    A bare Python float would widen every expression that it meets to double.
    """
    code = function.__code__
    function.__code__ = code.replace(co_consts=_single(code.co_consts))
    # numpy's error model: a division by zero gives inf and costs no branch.
    return njit(cache=True, fastmath=True, error_model="numpy")(function)


def announce_compiling() -> None:
    """Say that a first run takes longer; nothing where what another run compiled was kept."""
    kept = Path(config.CACHE_DIR) if config.CACHE_DIR else KEPT
    if next(kept.rglob("*.nbc"), None) is None:
        print("compiling the renderer first (once, half a minute or more)", file=sys.stderr)


def _single(value):
    if isinstance(value, tuple):
        return tuple(_single(v) for v in value)
    return np.float32(value) if isinstance(value, float) else value
