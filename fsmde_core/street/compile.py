"""One kernel source for two machines: numba on the CPU, numba-cuda where FSMDE_STREET_DEVICE=cuda.

The CUDA build is compiled by a check in the tests' spirit, never executed so far: no GPU was at hand.
"""

from __future__ import annotations

import os

from numba import njit

DEVICE = os.environ.get("FSMDE_STREET_DEVICE", "cpu")
if DEVICE not in ("cpu", "cuda"):
    raise ValueError(f"FSMDE_STREET_DEVICE is {DEVICE!r}; known: cpu, cuda")

if DEVICE == "cuda":
    from numba import cuda

    device = cuda.jit(device=True, fastmath=True)
else:
    # numpy's error model: a division by zero gives inf, as it does on the GPU.
    device = njit(cache=True, fastmath=True, error_model="numpy")
