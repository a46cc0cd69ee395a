"""SIGINT and SIGTERM as something to ask about: finish what is begun, keep it, then end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
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
