"""How the functions of the tracer are compiled: by numba, on first use, kept in its cache."""

from __future__ import annotations

from numba import njit

# numpy's error model: a division by zero gives inf and costs no branch.
device = njit(cache=True, fastmath=True, error_model="numpy")
