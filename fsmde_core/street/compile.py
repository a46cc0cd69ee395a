"""How the functions of the tracer are compiled: by numba, on first use, kept in its cache."""

from __future__ import annotations

import numpy as np
from numba import njit


def device(function):
    """Compile a function of the tracer, its float literals in single precision.

    A bare Python float would widen every expression that it meets to double.
    """
    code = function.__code__
    function.__code__ = code.replace(co_consts=_single(code.co_consts))
    # numpy's error model: a division by zero gives inf and costs no branch.
    return njit(cache=True, fastmath=True, error_model="numpy")(function)


def _single(value):
    if isinstance(value, tuple):
        return tuple(_single(v) for v in value)
    return np.float32(value) if isinstance(value, float) else value
