"""The thread that turns the newest set into its answer."""

from __future__ import annotations

import threading
from collections.abc import Callable

from fsmde_ros.faults import join
from fsmde_ros.sync.slot import LatestSlot


class Worker:
    """Calls work(item) and publish(item, answer) with the newest item put in, on its own thread.

    What they raise goes to on_error and ends nothing. The thread's last call is on_end.
    """

    def __init__(
        self,
        work: Callable,
        publish: Callable,
        *,
        on_error: Callable[[Exception], None],
        on_end: Callable[[], None],
    ):
        self._work, self._publish, self._on_error, self._on_end = work, publish, on_error, on_end
        self._slot = LatestSlot()
        self._left_behind = False
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> bool:
        """Whether an item was put in that nobody works on yet."""
        return self._slot.full

    def put(self, item) -> bool:
        """The item to work on next; returns whether one was replaced."""
        return self._slot.put(item)

    def close(self) -> None:
        """End the thread; the item in work is finished first.

        StuckError if that takes too long; whatever comes of the item then is not published.
        """
        self._slot.close()
        try:
            join(self._thread)
        except Exception:
            self._left_behind = True
            raise

    def _run(self) -> None:
        try:
            while (item := self._slot.take()) is not None:
                try:
                    answer = self._work(item)
                    if not self._left_behind:
                        self._publish(item, answer)
                except Exception as error:  # whatever it is, the next item may work
                    if not self._left_behind:
                        self._on_error(error)
        finally:
            self._on_end()
