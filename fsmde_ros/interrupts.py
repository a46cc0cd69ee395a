"""How our processes start and end: transport profile, rclpy, SIGINT and SIGTERM survived twice."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.logging import get_logger

from fsmde_ros.share import PACKAGE, SWITCH, use_transport_profile

LOOK_S = 0.5  # how soon after an interrupt its time begins to run


class StartUpError(RuntimeError):
    """The command line's ROS arguments cannot be used."""


def start_ros(args: list[str] | None) -> None:
    """Initialize rclpy, under our transport profile where the user has none; the log says so once.

    StartUpError for arguments that ROS refuses.
    """
    profile = use_transport_profile()
    try:
        rclpy.init(args=args)
    except Exception as error:  # rclpy raises a class of its own for each kind of bad argument
        raise StartUpError(" ".join(str(error).split())) from error
    for value in {*profile.values()}:
        get_logger(PACKAGE).info(f"transport profile {value} ({SWITCH}=false leaves it out)")


@contextmanager
def ros_process(args: list[str] | None, *, end_within_s: float | None = None) -> Iterator[None]:
    """start_ros for the length of a with block; an interrupt ends the block's spin without a fuss.

    Where the block has not ended so many seconds after the interrupt, the process ends anyway.

    rclpy itself ends a spin on SIGINT and SIGTERM. Python's own KeyboardInterrupt would come on
    top, and a second time during the clean-up, since a launch sends SIGINT twice.
    """
    signal.signal(signal.SIGINT, lambda *_: None)
    start_ros(args)
    ended = threading.Event()
    if end_within_s is not None:
        watch = threading.Thread(target=_end_within, args=(end_within_s, ended), daemon=True)
        watch.start()
    try:
        yield
    except ExternalShutdownException:
        pass
    except Exception:
        if rclpy.ok():  # else the interrupt came while something was being set up
            raise
    finally:
        ended.set()
        rclpy.try_shutdown()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the interpreter's own end takes a while


def end_now(code: int) -> None:
    """End the process without waiting for any thread, as Python would."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_within(seconds: float, ended: threading.Event) -> None:
    while rclpy.ok():
        if ended.wait(LOOK_S):
            return
    if not ended.wait(seconds):
        print(f"did not end in {seconds:.0f} s after the interrupt: ends now", file=sys.stderr)
        end_now(0)
