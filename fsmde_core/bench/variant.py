"""What is measured: a model with its provider and precision, or one of the machine's limits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from fsmde_core.runtime.session import CUDA, TENSORRT, SessionConfig

PROVIDER_NAMES = {"CPUExecutionProvider": "CPU", "OpenVINOExecutionProvider": "OpenVINO"}
PROVIDER_NAMES |= {CUDA: "CUDA", TENSORRT: "TensorRT"}


@dataclass(frozen=True)
class Variant:
    """One row of the benchmark; runs in a process of its own."""

    network: str
    """student_s, teacher_vits, ...; gemm and copy are the machine's limits."""
    kind: Literal["student", "network", "limit"]
    """A student runs with the stages around it, from its card; the others alone, from ONNX."""
    file: Path
    """Model card of a student, ONNX file of the others."""
    provider: str
    """ONNX Runtime execution provider."""
    precision: str
    """One of session.PRECISIONS."""
    work: float
    """10^9 multiply-adds of one run of all cameras, or 10^9 bytes of a copy."""
    cameras: int
    """In one run; 1 of what knows no cameras."""
    threads: int = 0
    """CPU threads; 0: one for each core."""
    cuda_graph: bool = False
    """Whether the GPU's work is recorded and replayed."""
    pixels: int = 0
    """Of an image that a student sees; 0: as many as its card says."""
    note: str = ""
    """What a reader must know of the weights or the input."""

    @property
    def name(self) -> str:
        """As it stands in the tables."""
        provider = PROVIDER_NAMES.get(self.provider, self.provider)
        graph = " graph" if self.cuda_graph else ""
        return f"{self.network} {provider} {self.precision}{graph}"

    @property
    def session(self) -> SessionConfig:
        """How its model runs; a precision other than bf16 is already in its file."""
        return SessionConfig(
            providers=(self.provider,),
            precision=self.precision,
            cameras=self.cameras,
            threads=self.threads,
            cuda_graph=self.cuda_graph,
        )


@dataclass
class Laps:
    """Wall and processor seconds by stage of one run."""

    wall: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    """Of all threads of the process: less disturbed by other jobs than the wall clock."""
    _last: tuple[float, float] = (0.0, 0.0)

    def start(self) -> None:
        """The next stage begins now."""
        self._last = time.perf_counter(), time.process_time()

    def __call__(self, stage: str) -> None:
        """The stage ends now, and the next begins."""
        now = time.perf_counter(), time.process_time()
        self.wall[stage], self.cpu[stage] = (b - a for a, b in zip(self._last, now))
        self._last = now


# What follows the inference: (prediction, laps) after being built from the rig's N jpegs and rig.
FollowUp = Callable[[object, Laps], None]


@dataclass(frozen=True)
class Surround:
    """What goes into every student: one set of camera images as it arrives."""

    jpegs: tuple[np.ndarray, ...]
    """N encoded images, [bytes] uint8."""
    rig_file: Path
    """The rig of the images."""
    make_follow_up: Callable[[], FollowUp]
    """Makes what follows the inference; called in the process that measures."""
