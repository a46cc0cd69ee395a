"""A process that holds one variant ready and runs it when told: its peak memory is its own."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fsmde_core.bench.variant import Laps, Surround, Variant
from fsmde_core.interrupt import signals_wait
from fsmde_core.jpeg import decode_jpeg
from fsmde_core.rig import load_rig
from fsmde_core.runtime.pinned import CudaMemory
from fsmde_core.runtime.predictor import Predictor
from fsmde_core.runtime.runs import make_run
from fsmde_core.runtime.session import CUDA, TENSORRT, ProviderError, load_libraries, open_session

SPAWN = multiprocessing.get_context("spawn")  # forked processes would share the parent's memory


class VariantError(RuntimeError):
    """A variant that does not run here; the message says which and why."""


@dataclass(frozen=True)
class Memory:
    """Peak use of a process in MB."""

    host: float
    device: float
    """Of the GPU, beside what CUDA itself takes in each process; 0 without a GPU."""


class Worker:
    """A running process with one variant; VariantError if the variant does not run here."""

    def __init__(self, variant: Variant, surround: Surround):
        self.variant = variant
        self._pipe, theirs = SPAWN.Pipe()
        arguments = (theirs, variant, surround)
        self._process = SPAWN.Process(target=_serve, args=arguments, daemon=True)
        with signals_wait((signal.SIGINT,)):  # the benchmark answers Ctrl-C, and ends us
            self._process.start()
        theirs.close()
        self._answer()

    def run(self) -> Laps:
        """One run."""
        self._pipe.send("run")
        return self._answer()

    def close(self) -> Memory:
        """End the process; returns what it used."""
        self._pipe.send("end")
        memory = self._answer()
        self._process.join()
        return memory

    def _answer(self):
        try:
            answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            raise VariantError(f"{self.variant.name}: its process ended with {code}") from None
        if isinstance(answer, str):
            raise VariantError(f"{self.variant.name}: {answer}")
        return answer


def _serve(pipe, variant: Variant, surround: Surround) -> None:
    on_gpu = variant.provider in (CUDA, TENSORRT)
    try:
        before = _gpu_memory(variant.provider) if on_gpu else 0
        start = _student if variant.kind == "student" else _network
        run = start(variant, surround)
        run(Laps())  # allocates, and compiles on some providers
        used = _gpu_memory(variant.provider) - before if on_gpu else 0
    except (ProviderError, ValueError, OSError, RuntimeError) as error:
        pipe.send(" ".join(str(error).split()))
        return
    try:
        pipe.send(Laps())
        while pipe.recv() == "run":
            laps = Laps()
            run(laps)
            pipe.send(laps)
        pipe.send(Memory(peak_memory_mb(), used / 1e6))
    except (EOFError, BrokenPipeError):
        return  # the benchmark has ended before us


def _gpu_memory(provider: str) -> int:
    """Bytes in use; variants start one after the other, so a difference is one variant's."""
    load_libraries(provider)
    return CudaMemory().used()


def peak_memory_mb() -> float:
    """Of this process; getrusage's figure starts at what the parent had in use."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / 1e6


def _student(variant: Variant, surround: Surround) -> Callable[[Laps], None]:
    """All stages from JPEG to messages, one after the other."""
    options = {"input_pixels": variant.pixels, **vars(variant.session)}
    predictor = Predictor(variant.file, say=lambda text: None, **options)
    rig, follow_up = load_rig(surround.rig_file), surround.make_follow_up()
    fits = [predictor.fit(camera) for camera in rig.cameras]
    predictor.warm_up(fits)

    def run(laps: Laps) -> None:
        laps.start()
        decoded = [decode_jpeg(j, fit.enough)[0] for j, fit in zip(surround.jpegs, fits)]
        laps("decode")
        images = [fit.image(image) for fit, image in zip(fits, decoded)]
        laps("preprocess")
        prediction = predictor.predict(images, fits)
        laps("inference")
        follow_up(prediction, laps)

    return run


def _network(variant: Variant, surround: Surround) -> Callable[[Laps], None]:
    """The inference alone, on random inputs."""
    config = variant.session
    opened = open_session(variant.file, config)
    rng, asked = np.random.default_rng(0), opened.session.get_inputs()
    inputs = {i.name: _random(rng, i.shape, i.type, config.cameras) for i in asked}
    run_session = make_run(opened, config)

    def run(laps: Laps) -> None:
        laps.start()
        run_session([inputs])
        laps("inference")

    return run


def _random(rng: np.random.Generator, shape: list, kind: str, cameras: int) -> np.ndarray:
    shape = [side if isinstance(side, int) else cameras for side in shape]
    if kind == "tensor(uint8)":
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return rng.random(shape, dtype=np.float32)
