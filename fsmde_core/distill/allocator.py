"""The C allocator's settings for training on a CPU."""

from __future__ import annotations

import ctypes
import sys

# glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
TOP_PAD_BYTES = 256 << 20


def keep_freed_memory() -> None:
    """Let malloc keep freed memory instead of returning it to the system; glibc only.

    Torch allocates the activations of every step anew, and fresh pages cost a fault each: a step is
    1.3 to 1.6 times faster without. The environment variables MALLOC_MMAP_MAX_=0,
    MALLOC_TRIM_THRESHOLD_ and MALLOC_TOP_PAD_ do the same, but only from outside the process. Call
    it before the first large allocation; the process keeps its peak of memory to its end.
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
