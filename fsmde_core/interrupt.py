"""SIGINT and SIGTERM as something to ask about: finish what is begun, keep it, then end."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from multiprocessing import resource_tracker
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Notes the first of SIGINT and SIGTERM for the length of a with block; main thread only.

    True once one has come. The second SIGINT raises KeyboardInterrupt, whatever goes on: nobody
    has to wait.
    """

    def __init__(self) -> None:
        self._number, self._at_once = 0, False

    def __bool__(self) -> bool:
        return self._number > 0

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it: 130 or 143."""
        return 128 + (self._number or signal.SIGINT)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """While this lasts a signal raises KeyboardInterrupt; so does one that came before."""
        self._at_once = True
        try:
            if self:
                raise KeyboardInterrupt
            yield
        finally:
            self._at_once = False

    def __enter__(self) -> Interrupt:
        self._old = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        again = bool(self) and number == signal.SIGINT
        self._number = self._number or number
        if self._at_once or again:
            raise KeyboardInterrupt


def unless_interrupted(stopped: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """For a function that returns an exit code: a signal breaks it off, says `stopped`, and 130 or
    143 is returned."""

    def decorated(main: Callable[..., int]) -> Callable[..., int]:
        @wraps(main)
        def interruptible(*args: object, **options: object) -> int:
            with Interrupt() as interrupt:
                try:
                    with interrupt.at_once():
                        return main(*args, **options)
                except KeyboardInterrupt:
                    print(stopped, file=sys.stderr)
                    return interrupt.exit_code

        return interruptible

    return decorated


@contextmanager
def signals_wait(numbers: Sequence[int] = SIGNALS) -> Iterator[None]:
    """Signals come after the block; what starts in it inherits the mask, for life.

    Ctrl-C goes to the whole process group: other processes of a program leave the answer to it.
    Threads of this process that run already have no such mask: where one of them takes a signal,
    Python would call its handler in the main thread all the same, so that waits, too.
    """
    resource_tracker.ensure_running()  # its start would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in numbers if _is_ours(number)}
    for number in handlers:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in came:
            signal.raise_signal(number)


def _is_ours(number: int) -> bool:
    """Whether a handler of Python's answers it, and this thread may change that."""
    in_main = threading.current_thread() is threading.main_thread()
    return in_main and callable(signal.getsignal(number))
