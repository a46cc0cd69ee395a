"""Synchronization by message_filters, for those who want the policy they know."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

QUEUE = 10  # messages kept a camera


def approximate_time(count: int, slop_s: float, callback: Callable) -> list[Callable]:
    """What to call with the messages of each of so many inputs; callback gets one of each.

    Whatever callback raises comes out of that call, and the next set is found as ever.

    Complete sets only, spread strictly below slop_s. ImportError if message_filters is not
    installed (it is part of a ROS installation, not on PyPI).
    """
    try:
        from message_filters import ApproximateTimeSynchronizer, SimpleFilter
    except ImportError as error:
        raise ImportError(
            "parameter sync_policy: approximate_time needs message_filters, which is not "
            "installed: use rig, or source a ROS 2 installation"
        ) from error
    inputs = [SimpleFilter() for _ in range(count)]
    found: list[tuple] = []
    # It holds a lock meanwhile, for good if anything is raised: so the callback comes after.
    ApproximateTimeSynchronizer(inputs, QUEUE, slop_s).registerCallback(
        lambda *messages: found.append(messages)
    )

    def receive(message: Any, each: SimpleFilter) -> None:
        each.signalMessage(message)
        while found:
            callback(*found.pop())

    return [partial(receive, each=each) for each in inputs]
