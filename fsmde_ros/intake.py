"""The thread that waits for the node's inputs, so that the executor need not.

rclpy's executor builds its wait set anew twice for every message, from every service, timer and
subscription of the node: a third of what a set costs without the network (docs/performance.md).
Here it holds the inputs alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.context import Context
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.subscription import Subscription

from fsmde_ros.faults import join


class IntakeGroup(MutuallyExclusiveCallbackGroup):
    """The callback group of subscriptions that an Intake serves.

    Make them without event callbacks: an executor that waits for a reader's events wakes up with
    every message of it (see fsmde_ros.qos for what those events would have said).
    """

    def can_execute(self, entity) -> bool:
        """Never."""
        return False


class Intake:
    """Calls the callbacks of subscriptions, in their order, and `poll` after each round.

    A round takes one message of every subscription that has one, and ends after poll_s seconds
    without any. All calls come from one thread; what they raise goes to on_error and ends nothing.
    """

    def __init__(
        self,
        context: Context,
        subscriptions: Sequence[Subscription],
        *,
        poll: Callable[[], None],
        poll_s: float,
        on_error: Callable[[Exception], None],
    ):
        self._context, self._subscriptions = context, tuple(subscriptions)
        self._poll, self._poll_ns, self._on_error = poll, round(poll_s * 1e9), on_error
        self._closed = False
        with ExitStack() as in_use:  # what fails here is the caller's, not the thread's
            for subscription in self._subscriptions:
                in_use.enter_context(subscription.handle)
            in_use.enter_context(context.handle)
            count = len(self._subscriptions)
            wait_set = _rclpy.WaitSet(count, 0, 0, 0, 0, 0, context.handle)
            self._in_use = in_use.pop_all()
        self._thread = threading.Thread(
            target=self._run, args=(wait_set,), name="intake", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Return after the round in progress; StuckError if that does not end."""
        self._closed = True
        join(self._thread)

    def _run(self, wait_set) -> None:
        with self._in_use:
            while not self._closed and self._context.ok():
                try:
                    self._round(wait_set)
                except Exception as error:  # whatever it is, the next message may be better
                    if self._context.ok():
                        self._on_error(error)

    def _round(self, wait_set) -> None:
        wait_set.clear_entities()
        for subscription in self._subscriptions:
            wait_set.add_subscription(subscription.handle)
        wait_set.wait(self._poll_ns)
        ready = wait_set.get_ready_entities("subscription")
        for subscription in self._subscriptions:
            if subscription.handle.pointer in ready:
                taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
                if taken is not None:
                    subscription.callback(taken[0])
        self._poll()
