"""A lifecycle node whose errors are heard: every callback, service and thread goes through here."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.service import Service

from fsmde_ros.faults import StuckError, sentence
from fsmde_ros.interrupts import StartUpError, end_now, ros_process

EXECUTOR_S = 0.5  # how long services and parameters may leave the executor asleep
WARNING_PERIOD_S = 5.0  # one warning about the same thing in this time
END_S = 9.0  # an interrupt ends the process in this time, whatever its threads do
ENTITIES = ("subscription", "publisher", "timer", "client", "service")


class ManagedNode(LifecycleNode):
    """A lifecycle node; subclasses say what set_up, start, stop and tear_down do, and may raise.

    set_up or start that raises is undone, by tear_down or stop: one sentence is logged, the
    transition fails, the next attempt begins afresh. Publishers, subscriptions and the like that
    set_up and start made are destroyed here. So stop and tear_down end only threads and forget
    objects; they must bear being called twice, and after half of a start.
    """

    def __init__(self, name: str, **options):
        """options are LifecycleNode's."""
        self._warned_at: dict[str, float] = {}
        self.empty_overrides: set[str] = set()
        """Parameters that the start gave an empty list for."""
        super().__init__(name, automatically_declare_parameters_from_overrides=True, **options)
        self.failure = ""
        """Why the last transition failed; empty if it did not."""
        self.stuck = False
        """Whether a thread was left behind that did not end."""
        self._made: dict[str, list[tuple[str, Any]]] = {"set_up": [], "start": []}
        for service in self.services:
            service.callback = self._answering(service)

    def set_up(self) -> None:
        """Configure."""
        raise NotImplementedError

    def start(self) -> None:
        """Activate."""
        raise NotImplementedError

    def stop(self) -> None:
        """Deactivate: end the threads that start began."""
        raise NotImplementedError

    def tear_down(self) -> None:
        """Clean up: forget what set_up made."""
        raise NotImplementedError

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Set up; FAILURE with one sentence if that is not possible."""
        return self._begin(self.set_up, "cannot be configured", undo=self._tear_down)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start; FAILURE with one sentence if that is not possible."""
        return self._begin(self.start, "cannot be activated", undo=self._stop)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop; ERROR, after which the node is unconfigured, if something did not end."""
        return self._end(self._stop)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget what was set up, so that the next configure reads it anew."""
        return self._end(self._tear_down)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and forget everything, from every state."""
        self.close()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an error nothing is left, and configure may be tried again."""
        self.close()
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Stop and forget everything, whatever the state."""
        for error in self._stop() + self._tear_down():
            self.get_logger().error(sentence(error))

    def warn(self, about: str, text: str) -> None:
        """Log a warning, unless there was one about the same a moment ago."""
        now = time.monotonic()
        if now - self._warned_at.get(about, -WARNING_PERIOD_S) >= WARNING_PERIOD_S:
            self._warned_at[about] = now
            self.get_logger().warning(text)

    @contextmanager
    def making(self, what: str) -> Iterator[None]:
        """What is made inside is destroyed with what `what`, "set_up" or "start", made."""
        known = {id(entity) for _, entity in self._entities()}
        try:
            yield
        finally:
            self._made[what] += [made for made in self._entities() if id(made[1]) not in known]

    def declare_parameters(self, namespace, parameters, *args, **options):
        """As rclpy's, less what is an empty list, which has no type in ROS: rclpy would raise."""
        typed = [p for p in parameters if len(p) < 2 or p[1] is not None]
        self.empty_overrides |= {p[0] for p in parameters} - {p[0] for p in typed}
        return super().declare_parameters(namespace, typed, *args, **options)

    def _begin(self, action: Callable, failed: str, *, undo: Callable) -> TransitionCallbackReturn:
        self.failure = ""
        try:
            with self.making(action.__name__):
                action()
        except Exception as error:
            self.failure = sentence(error)
            self.get_logger().error(f"{failed}: {self.failure}")
            self.get_logger().debug(traceback.format_exc())
            for another in undo():
                self.get_logger().error(sentence(another))
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _end(self, action: Callable) -> TransitionCallbackReturn:
        errors = action()
        for error in errors:
            self.get_logger().error(sentence(error))
        return TransitionCallbackReturn.ERROR if errors else TransitionCallbackReturn.SUCCESS

    def _stop(self) -> list[Exception]:
        return self._undo(self.stop, "start")

    def _tear_down(self) -> list[Exception]:
        return self._undo(self.tear_down, "set_up")

    def _undo(self, action: Callable, what: str) -> list[Exception]:
        """End what an action began and destroy what it made; returns what went wrong."""
        errors = []
        try:
            action()
        except Exception as error:
            errors.append(error)
            self.stuck = self.stuck or isinstance(error, StuckError)
        made, self._made[what] = self._made[what], []
        for kind, entity in made:
            try:
                getattr(self, f"destroy_{kind}")(entity)
            except Exception as error:  # the others are still to be destroyed
                errors.append(error)
        return errors

    def _entities(self) -> list[tuple[str, Any]]:
        return [(kind, entity) for kind in ENTITIES for entity in getattr(self, f"{kind}s")]

    def _answering(self, service: Service) -> Callable:
        """The callback of a service; whatever it raises becomes a sentence and an empty answer."""
        callback = service.callback

        def answer(request, response):
            try:
                return callback(request, response)
            except Exception as error:
                reason = sentence(error)
                if isinstance(request, ChangeState.Request):
                    asked = request.transition.label or f"number {request.transition.id}"
                    reason = f"transition {asked} does not fit the state {self._state_label()}"
                self.get_logger().error(f"{service.srv_name} is refused: {reason}")
                return type(response)()  # of a transition: no success

        return answer

    def _state_label(self) -> str:
        states = (service for service in self.services if service.srv_type is GetState)
        return next(states).callback(GetState.Request(), GetState.Response()).current_state.label


def run_managed(make_node: Callable[[], ManagedNode], args: list[str] | None, *, name: str) -> int:
    """Run a node until it is told to stop; exit code 1 with one sentence if it cannot start.

    A node with auto_start, which is a parameter, is configured and activated first.
    """
    threading.excepthook = _thread_ended
    code, stuck = 0, False
    try:
        with ros_process(args, end_within_s=END_S):
            node = make_node()
            try:
                executor = SingleThreadedExecutor()
                executor.add_node(node)
                if node.get_parameter("auto_start").value:
                    _start(node)
                _spin(executor, node)
            finally:
                node.close()
                stuck = node.stuck
    except Exception as error:
        print(f"{name}: {sentence(error)}", file=sys.stderr)
        code = 1
    if stuck:
        end_now(code)
    return code


def _start(node: ManagedNode) -> None:
    for trigger in (node.trigger_configure, node.trigger_activate):
        if trigger() != TransitionCallbackReturn.SUCCESS:
            raise StartUpError(node.failure)


def _spin(executor: SingleThreadedExecutor, node: ManagedNode) -> None:
    while rclpy.ok():  # spin() sleeps on if an interrupt comes while it wakes up
        try:
            executor.spin_once(timeout_sec=EXECUTOR_S)
        except ExternalShutdownException:
            return
        except Exception as error:  # of one callback; the others go on
            if rclpy.ok():
                node.warn("executor", f"a callback failed: {sentence(error)}")


def _thread_ended(arguments: threading.ExceptHookArgs) -> None:
    name = arguments.thread.name if arguments.thread else "unknown"
    print(f"thread {name} ended: {sentence(arguments.exc_value)}", file=sys.stderr)
