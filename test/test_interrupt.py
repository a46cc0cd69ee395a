"""SIGINT and SIGTERM: asked about, or at once."""

import os
import signal

import pytest

from fsmde_core.interrupt import Interrupt


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_is_noted_and_the_block_goes_on(number, code):
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        assert not interrupt
        os.kill(os.getpid(), number)
        assert interrupt and interrupt.exit_code == code
    assert signal.getsignal(number) is before


def test_the_first_signal_gives_the_exit_code():
    with Interrupt() as interrupt:
        for number in (signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
    assert interrupt.exit_code == 143


def test_nobody_has_to_wait_for_what_hangs():
    with Interrupt(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_at_once_breaks_off_also_for_a_signal_that_came_before():
    with Interrupt() as interrupt, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
        with interrupt.at_once():
            raise AssertionError("went on")
    with Interrupt() as interrupt, pytest.raises(KeyboardInterrupt), interrupt.at_once():
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("went on")
