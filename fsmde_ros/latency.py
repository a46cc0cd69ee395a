"""What keeps the node's threads from waiting for each other and for the kernel."""

from __future__ import annotations

import ctypes
import os
import sys
import threading

SWITCH_INTERVAL_S = 0.00005
"""How long a thread may keep the interpreter while another waits for it. numpy gives it up at every
call; with Python's 5 ms the worker and the decoders would wait for the executor that long, again
and again, and with 0.5 ms the last image of a set was still decoded 1.4 ms later."""
KEEP_BYTES = 1 << 28
"""glibc gives larger blocks back to the kernel at once and faults every page in again for the next
set: half of the time that making a set's messages took."""
YIELDING_NICE = 10
"""Of threads whose work can wait. A network thread that loses its core to one of them makes the
others of its run wait, at full load: where cores are few, the network is a fifth faster for it."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # of malloc.h


def tune_process() -> None:
    """Set both for this process; where the C library is not glibc, memory stays as it is."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, KEEP_BYTES)
        mallopt(M_TRIM_THRESHOLD, 2 * KEEP_BYTES)
        mallopt(M_ARENA_MAX, 1)  # one heap, else each thread keeps its own share


def yield_to_others() -> None:
    """Let the thread that calls this run where nothing else wants the core."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), YIELDING_NICE)
