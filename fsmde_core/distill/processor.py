"""Settings of the C libraries under torch for training on a CPU; before torch is imported."""

from __future__ import annotations

import ctypes
import os
import sys

# glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
TOP_PAD_BYTES = 256 << 20


def prepare_processor() -> None:
    """Settings that make a step on a CPU faster; call it before torch is imported.

    Threads that wait for each other sleep instead of spinning: where anything else wants the cores
    (the processes that read the data already do), spinning makes a step 2 to 7 times longer. An
    OMP_WAIT_POLICY that is set already stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let malloc keep freed memory instead of returning it to the system; glibc only.

    Torch allocates the activations of every step anew, and fresh pages cost a fault each: a step is
    1.3 to 1.6 times faster without. The environment variables MALLOC_MMAP_MAX_=0,
    MALLOC_TRIM_THRESHOLD_ and MALLOC_TOP_PAD_ do the same, but only from outside the process, which
    keeps its peak of memory to its end.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl has no mallopt
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, -1)
    mallopt(M_TOP_PAD, TOP_PAD_BYTES)
