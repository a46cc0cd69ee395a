"""How our processes start and end: rclpy initialized, SIGINT and SIGTERM survived twice."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.executors import ExternalShutdownException


class StartUpError(RuntimeError):
    """The command line's ROS arguments cannot be used."""


@contextmanager
def ros_process(args: list[str] | None) -> Iterator[None]:
    """rclpy for the length of a with block; an interrupt ends the block's spin without a fuss.

    rclpy itself ends a spin on SIGINT and SIGTERM. Python's own KeyboardInterrupt would come on
    top, and a second time during the clean-up, since a launch sends SIGINT twice.
    """
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        rclpy.init(args=args)
    except Exception as error:  # rclpy raises a class of its own for each kind of bad argument
        raise StartUpError(" ".join(str(error).split())) from error
    try:
        yield
    except ExternalShutdownException:
        pass
    except Exception:
        if rclpy.ok():  # else the interrupt came while something was being set up
            raise
    finally:
        rclpy.try_shutdown()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the interpreter's own end takes a while
