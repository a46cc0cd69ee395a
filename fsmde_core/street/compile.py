"""One source of device functions: numba on the CPU, or numba-cuda by FSMDE_STREET_DEVICE=cuda.

On CUDA only the device functions are declared; no launch exists yet and nothing was ever executed.
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
