"""The thread that waits for the node's inputs, so that the executor need not.

rclpy's executor builds its wait set anew twice for every message, from every service, timer and
subscription of the node: a third of what a set costs without the network (docs/performance.md).
Here it holds the inputs alone. That takes rclpy's private parts, all of them in InputWaitSet; where
they are not as they were, the node's executor serves the inputs as it does others'.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from fsmde_ros.faults import join, sentence


class IntakeGroup(MutuallyExclusiveCallbackGroup):
    """The callback group of subscriptions that an Intake serves.

    Make them without event callbacks: an executor that waits for a reader's events wakes up with
    every message of it (see diagnostics/qos.py for what those events would have said).
    """

    by_executor = False
    """Whether the node's executor serves them."""

    def __init__(self):
        super().__init__()
        self.unwanted: list[Subscription] = []
        """To be ended after this round; a callback adds to it."""

    def can_execute(self, entity) -> bool:
        """Never, unless there is no other way."""
        return self.by_executor and super().can_execute(entity)


class InputWaitSet:
    """What rclpy has for subscriptions alone, all of it private; any Exception if that changed."""

    def __init__(self, node: Node, subscriptions: Sequence[Subscription]):
        from rclpy.impl.implementation_singleton import rclpy_implementation

        self._subscriptions = tuple(subscriptions)
        with ExitStack() as in_use:
            for subscription in self._subscriptions:
                in_use.enter_context(subscription.handle)
            in_use.enter_context(node.context.handle)
            counts = len(self._subscriptions), 0, 0, 0, 0, 0
            self._wait_set = rclpy_implementation.WaitSet(*counts, node.context.handle)
            self._in_use = in_use.pop_all()
        try:
            list(self.wait(0, take=False))  # what it is made of shows now, not in the thread
        except Exception:
            self.close()
            raise

    def wait(self, timeout_ns: int, *, take: bool = True) -> Iterator[tuple[Subscription, tuple]]:
        """One message of each subscription that has one, and what rclpy says of it, in order."""
        self._wait_set.clear_entities()
        for subscription in self._subscriptions:
            self._wait_set.add_subscription(subscription.handle)
        self._wait_set.wait(timeout_ns)
        ready = self._wait_set.get_ready_entities("subscription")
        for subscription in self._subscriptions:
            if subscription.handle.pointer in ready and take:
                taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
                if taken is not None:
                    yield subscription, taken

    def close(self) -> None:
        """Let the subscriptions be destroyed."""
        self._in_use.close()


class Intake:
    """Calls the callbacks of a node's subscriptions of one group, and `poll` after each round.

    A round takes one message of every subscription that has one, in their order, and ends after
    poll_s seconds without any. All calls come from one thread; what they raise goes to on_error and
    ends nothing. note is told of each message before its callback. By the executor, messages come
    in its order, nothing is noted, and poll is called every poll_s seconds.
    """

    def __init__(
        self,
        node: Node,
        subscriptions: Sequence[Subscription],
        group: IntakeGroup,
        *,
        poll: Callable[[], None],
        poll_s: float,
        on_error: Callable[[Exception], None],
        note: Callable[[Subscription, Mapping[str, Any]], None] = lambda subscription, info: None,
    ):
        self._context = node.context
        self._poll, self._poll_ns, self._on_error = poll, round(poll_s * 1e9), on_error
        self._closed, self._group, self._note = False, group, note
        self._node, self._subscriptions = node, list(subscriptions)
        self._thread: threading.Thread | None = None
        self._timer: tuple[Node, Timer] | None = None
        try:
            wait_set = InputWaitSet(node, subscriptions)
        except Exception as error:
            node.get_logger().info(f"the executor serves the inputs, slower: {sentence(error)}")
            group.by_executor = True
            steady = Clock(clock_type=ClockType.STEADY_TIME)  # ROS time may stand still
            timer = node.create_timer(
                poll_s, self._poll_by_executor, callback_group=group, clock=steady
            )
            self._timer = node, timer
            return
        self._thread = threading.Thread(
            target=self._run, args=(wait_set,), name="intake", daemon=True
        )
        self._thread.start()

    def _end_unwanted(self) -> None:
        unwanted, self._group.unwanted = self._group.unwanted, []
        self._subscriptions = [s for s in self._subscriptions if s not in unwanted]
        for subscription in unwanted:
            self._node.destroy_subscription(subscription)

    def close(self) -> None:
        """Return after the round in progress; StuckError if that does not end."""
        self._closed = True
        self._group.by_executor = False
        if self._timer is not None:
            node, timer = self._timer
            node.destroy_timer(timer)
        if self._thread is not None:
            join(self._thread)

    def _poll_by_executor(self) -> None:
        if self._closed:
            return
        try:
            self._poll()
            self._end_unwanted()
        except Exception as error:
            self._on_error(error)

    def _run(self, wait_set: InputWaitSet) -> None:
        try:
            while not self._closed and self._context.ok():
                try:
                    for subscription, (message, info) in wait_set.wait(self._poll_ns):
                        self._note(subscription, info)
                        subscription.callback(message)
                    self._poll()
                    if self._group.unwanted:
                        wait_set.close()
                        self._end_unwanted()
                        wait_set = InputWaitSet(self._node, self._subscriptions)
                except Exception as error:  # whatever it is, the next message may be better
                    if self._context.ok():
                        self._on_error(error)
        finally:
            wait_set.close()
