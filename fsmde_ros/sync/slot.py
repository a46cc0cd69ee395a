"""The newest item for one worker."""

from __future__ import annotations

import threading


class LatestSlot:
    """Holds the newest item for one worker; what was not taken in time is replaced."""

    def __init__(self):
        self._condition = threading.Condition()
        self._item = None
        self._closed = False

    @property
    def full(self) -> bool:
        """Whether it holds an item."""
        return self._item is not None

    def put(self, item) -> bool:
        """Put an item in; returns whether one was replaced."""
        with self._condition:
            replaced = self._item is not None
            self._item = item
            self._condition.notify()
            return replaced

    def take(self):
        """Wait for an item; None once the slot is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._item is not None)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> None:
        """Let take() return None from now on."""
        with self._condition:
            self._closed = True
            self._condition.notify()
