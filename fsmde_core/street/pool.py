"""Rendering on all cores: one process a scene, each with its share of the threads."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from tqdm import tqdm

from fsmde_core.interrupt import signals_wait
from fsmde_core.street.compile import announce_compiling


def for_all(job: Callable, items: Iterable, *, workers: int, unit: str) -> None:
    """Call job(item) for every item on `workers` processes, with a progress bar.

    The first error ends the run: what has not begun is not begun, and the error is raised here.
    """
    announce_compiling()
    items = list(items)
    workers = max(1, min(workers, len(items)))
    with tqdm(total=len(items), unit=unit, desc="rendering") as bar:
        if workers == 1:
            for item in items:
                job(item)
                bar.update()
            return
        # Fresh processes: numba's threads do not survive a fork.
        context = get_context("spawn")
        with ProcessPoolExecutor(workers, context, _share_threads, (workers,)) as pool:
            try:
                with signals_wait((signal.SIGINT,)):  # its processes leave Ctrl-C to this one
                    jobs = [pool.submit(job, item) for item in items]
                for done in as_completed(jobs):
                    done.result()
                    bar.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _share_threads(workers: int) -> None:
    import numba

    numba.set_num_threads(max(1, numba.config.NUMBA_NUM_THREADS // workers))
