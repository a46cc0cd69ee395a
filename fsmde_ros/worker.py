"""The thread that turns the newest set into its answer."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from fsmde_ros.faults import join
from fsmde_ros.sync.slot import LatestSlot

KEEPS_UP = 0.9  # of the pace
CATCH_UP = 2  # items that wait for a worker that keeps up
LATELY = 4  # items


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
        self._took_s = deque([0.0], maxlen=LATELY)  # of the last items; the first say little
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> bool:
        """Whether an item was put in that nobody works on yet."""
        return self._slot.full

    def put(self, item, *, pace_s: float = 0.0) -> int:
        """An item to work on; returns how many that waited were let go for it.

        None waits but the newest, unless items come every pace_s seconds and are done faster: what
        waits then is of a short stop, or of the start, and is caught up with.
        """
        keeps_up = min(self._took_s) < KEEPS_UP * pace_s
        return self._slot.put(item, room=CATCH_UP if keeps_up else 1)

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
            while self._work_on(self._slot.take()):
                pass
        finally:
            self._on_end()

    def _work_on(self, item) -> bool:
        """Whether there was one. What it is made of ends here: the next finds memory still warm."""
        if item is None:
            return False
        started = time.monotonic()
        try:
            answer = self._work(item)
            if not self._left_behind:
                self._publish(item, answer)
        except Exception as error:  # whatever it is, the next item may work
            if not self._left_behind:
                self._on_error(error)
        self._took_s.append(time.monotonic() - started)
        return True
