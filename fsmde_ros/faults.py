"""What becomes of an exception, and of a thread that does not end: one sentence each."""

from __future__ import annotations

import re
import threading

JOIN_S = 4.0  # how long a thread may take to end; longer than a network does for one set


class StuckError(RuntimeError):
    """A thread that was told to end and has not."""


def sentence(error: BaseException) -> str:
    """What an exception says, in one line; with its kind, unless it is one of ours or a file's."""
    text = re.sub(r", at \S+:\d+$", "", " ".join(str(error).split()))  # rcl names its source line
    plain = type(error).__module__.startswith("fsmde_") or isinstance(error, (OSError, ImportError))
    return text if text and plain else f"{type(error).__name__}: {text}".removesuffix(": ")


def join(thread: threading.Thread) -> None:
    """Wait for the end of a thread that was told to end; StuckError names it after JOIN_S seconds.

    Such a thread should be a daemon: Python waits for the others when the process ends.
    """
    thread.join(JOIN_S)
    if thread.is_alive():
        raise StuckError(f"{thread.name} has not ended in {JOIN_S:.0f} s: it is left behind")
