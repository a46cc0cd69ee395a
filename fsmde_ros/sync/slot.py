"""The newest items for one worker."""

from __future__ import annotations

import threading
from collections import deque


class LatestSlot:
    """Holds the newest item for one worker; what was not taken in time is replaced.

    A worker that keeps up may be left more than one to take, in order.
    """

    def __init__(self):
        self._condition = threading.Condition()
        self._items: deque = deque()
        self._closed = False

    @property
    def full(self) -> bool:
        """Whether it holds an item."""
        return bool(self._items)

    def put(self, item, *, room: int = 1) -> int:
        """Put an item in, and keep so many of the newest; returns how many were let go."""
        with self._condition:
            self._items.append(item)
            too_many = max(0, len(self._items) - room)
            for _ in range(too_many):
                self._items.popleft()
            self._condition.notify()
            return too_many

    def take(self):
        """Wait for an item, the oldest of them; None once the slot is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._items)
            return None if self._closed else self._items.popleft()

    def close(self) -> None:
        """Let take() return None from now on."""
        with self._condition:
            self._closed = True
            self._condition.notify()
