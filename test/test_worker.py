"""Which sets a worker is given, of those that come while it works."""

import threading
import time

import pytest

from fsmde_ros.sync.slot import LatestSlot
from fsmde_ros.worker import Worker


def test_of_what_waits_the_newest_are_kept():
    slot = LatestSlot()
    assert [slot.put(item) for item in "abc"] == [0, 1, 1]
    assert slot.take() == "c"
    assert [slot.put(item, room=2) for item in "abc"] == [0, 0, 1]
    assert [slot.take(), slot.take()] == ["b", "c"]
    slot.put("d")
    slot.close()
    assert slot.take() is None


class Work:
    """Takes time over each item; the first is held until it is let go."""

    def __init__(self, seconds: float):
        self.seconds, self.done, self.begin = seconds, [], threading.Event()
        self.worker = Worker(self, self.publish, on_error=self.done.append, on_end=lambda: None)

    def __call__(self, item):
        self.begin.wait(10)
        time.sleep(self.seconds)
        return item

    def publish(self, item, answer):
        self.done.append(item)

    def until(self, count: int):
        end = time.monotonic() + 10
        while len(self.done) < count and time.monotonic() < end:
            time.sleep(0.01)
        return self.done


def put_while_busy(work, items, pace_s):
    """Items that come while the worker has another in hand; how many were let go."""
    work.worker.put(items[0], pace_s=pace_s)
    while work.worker.waiting:
        time.sleep(0.001)
    return sum(work.worker.put(item, pace_s=pace_s) for item in items[1:])


def test_the_sets_of_the_start_are_all_answered_however_long_the_first_takes():
    work = Work(0.0)
    assert put_while_busy(work, "abc", pace_s=0.08) == 0
    work.begin.set()
    assert work.until(3) == list("abc")
    work.worker.close()


@pytest.mark.parametrize(("seconds", "answered"), [(0.0, "abc"), (0.1, "ac")])
def test_what_came_in_a_short_stop_is_caught_up_with_by_who_keeps_up(seconds, answered):
    work = Work(seconds)
    work.begin.set()
    for item in range(4):
        work.worker.put(item)
        work.until(item + 1)
    work.begin.clear()
    put_while_busy(work, "abc", pace_s=0.05)
    work.begin.set()
    assert work.until(4 + len(answered))[4:] == list(answered)
    work.worker.close()
