"""SIGINT and SIGTERM: asked about, or at once."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT

from fsmde_core.interrupt import Interrupt, signals_wait, unless_interrupted

PIPES = {stream: subprocess.PIPE for stream in ("stdin", "stdout", "stderr")} | {"text": True}


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


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_keeps_nothing_says_that_it_stopped(number, code, capsys):
    @unless_interrupted("it: stopped")
    def main(kill):
        """What it is for."""
        if kill:
            os.kill(os.getpid(), number)
        return 3

    before = signal.getsignal(number)
    assert main(False) == 3 and main.__doc__ == "What it is for."
    assert main(kill=True) == code
    assert capsys.readouterr().err == "it: stopped\n"
    assert signal.getsignal(number) is before


def test_what_starts_while_signals_wait_leaves_them_to_this_process():
    """Ctrl-C in a terminal goes to both."""
    with signals_wait((signal.SIGINT,)):
        other = subprocess.Popen([sys.executable, "-c", "print(input())"], **PIPES)
    other.send_signal(signal.SIGINT)
    assert other.communicate("went on", timeout=60) == ("went on\n", "")
    assert other.returncode == 0 and not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_signals_wait_also_where_a_thread_of_this_process_takes_them():
    ended, went_on = threading.Event(), False
    thread = threading.Thread(target=ended.wait)
    thread.start()  # before the block, as tqdm's is: it has no mask
    try:
        with Interrupt() as interrupt, pytest.raises(KeyboardInterrupt), interrupt.at_once():
            with signals_wait((signal.SIGINT,)):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.2)  # the handler would be called in here
                went_on = True
    finally:
        ended.set()
        thread.join()
    assert went_on


def test_ctrl_c_is_one_sentence_however_many_processes_there_are(tmp_path):
    command = "fsmde_core.street.cache --split train --streets 9000 --width 64 --height 32".split()
    with subprocess.Popen(
        [sys.executable, "-m", *command, "--workers", "2", "--out", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True, **PIPES,
    ) as program:  # fmt: skip
        try:
            seen = ""
            while "rendering" not in seen and program.poll() is None:
                seen += program.stderr.read(1)
            os.killpg(program.pid, signal.SIGINT)
            said = program.communicate(timeout=200)[1]
        finally:
            program.kill()
    assert program.returncode == 130, seen + said
    assert "Traceback" not in said and "samples that are there stay" in said.splitlines()[-1]
