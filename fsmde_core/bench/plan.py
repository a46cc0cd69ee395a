"""Which variants are measured: every network on every provider in every precision that fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fsmde_core.bench.limits import write_copy, write_gemm
from fsmde_core.bench.variant import Variant
from fsmde_core.bench.work import giga_macs
from fsmde_core.card import load_card
from fsmde_core.runtime.precision import write_fp16
from fsmde_core.runtime.session import (
    CPU,
    CUDA,
    FILE_SUFFIX,
    OPENVINO,
    TENSORRT,
    ProviderError,
    SessionConfig,
    open_session,
)

PRECISIONS = {
    CPU: ("fp32", "int8"),
    OPENVINO: ("fp32", "bf16", "int8"),
    CUDA: ("fp32", "fp16"),
    TENSORRT: ("fp32", "fp16"),
}
GEMM_SIDE = {CPU: 1024, OPENVINO: 1024, CUDA: 4096}


@dataclass(frozen=True)
class BenchConfig:
    """What is measured, and how often."""

    model: Path
    """Card of the student."""
    larger: Path | None = None
    """Card of student m; none: random weights, which are as fast."""
    teachers: tuple[str, ...] = ("vits",)
    """Sizes of Depth Anything V2; the first is what ratios refer to."""
    providers: tuple[str, ...] = tuple(PRECISIONS)
    """ONNX Runtime execution providers, as far as they work here."""
    size: tuple[int, int] | None = None
    """Width and height of teachers' input, and how many pixels of an image students see, each at
    its camera's shape; none: those of the card."""
    rounds: int = 20
    """Every variant runs once in each."""
    threads: int = 0
    """CPU threads; 0: one for each core."""
    cuda_graph: bool = False
    """Also measure students on CUDA as recorded graphs."""


def working_providers(wanted: Sequence[str], folder: Path) -> tuple[list[str], list[str]]:
    """Those of the providers that open a small model, and the reasons against the others."""
    model, working, refused = folder / "small.onnx", [], []
    write_gemm(model, 8, precision="fp32")
    for provider in wanted:
        try:
            open_session(model, SessionConfig(providers=(provider,)))
            working.append(provider)
        except ProviderError as error:
            refused.append(f"not measured: {error}")
    return working, refused


def plan(
    config: BenchConfig, cameras: int, folder: Path, *, say: Callable[[str], None]
) -> list[Variant]:
    """Export what has to be exported into a folder; returns the variants.

    ModelError if a card or its weights do not load, ImportError without torch where they or
    teachers are asked for.
    """
    card = load_card(config.model)
    size = config.size or (card.input_width, card.input_height)
    say("counting and exporting networks")
    variants = _students(config, size, cameras, folder)
    for teacher in config.teachers:
        say(f"exporting teacher {teacher}")
        variants += _teacher(config, teacher, size, cameras, folder)
    return variants + _limits(config, variants, folder)


def _students(
    config: BenchConfig, size: tuple[int, int], cameras: int, folder: Path
) -> list[Variant]:
    larger, note, pixels = config.larger, "", 0
    if config.size:
        pixels = size[0] * size[1]
    if larger is None:
        larger, note = (
            folder / "student_m.json",
            "random weights, which are as fast as trained ones",
        )
        _networks().write_random_student("m", *size, larger)
    variants = []
    for card_path, note_of in ((config.model, ""), (larger, note)):
        name = load_card(card_path).name
        work = giga_macs(card_path.with_suffix(".onnx"), cameras, size)
        variant = Variant(
            name, "student", card_path, CPU, "fp32", work, cameras, config.threads, pixels=pixels
        )
        listed = load_card(card_path).sha256
        for provider, precision in _places(config):
            if card_path.with_suffix(FILE_SUFFIX[precision]).name in listed:
                here = replace(variant, provider=provider, precision=precision, note=note_of)
                variants.append(here)
                if config.cuda_graph and provider == CUDA:
                    variants.append(replace(here, cuda_graph=True))
    return variants


def _teacher(
    config: BenchConfig, size_name: str, size: tuple[int, int], cameras: int, folder: Path
) -> list[Variant]:
    path = folder / f"teacher_{size_name}.onnx"
    width, height = _networks().write_teacher(size_name, *size, path)
    work = giga_macs(path, cameras)
    note = f"random weights, input {width}x{height}, without the bin head"
    variant = Variant(path.stem, "network", path, CPU, "fp32", work, cameras, config.threads)
    variants = []
    for provider, precision in _places(config):
        if precision == "int8":
            continue
        file = path
        if precision == "fp16":
            file = path.with_suffix(".fp16.onnx")
            write_fp16(path, file)
        here = replace(variant, file=file, provider=provider, precision=precision, note=note)
        variants.append(here)
    return variants


def _limits(config: BenchConfig, variants: Sequence[Variant], folder: Path) -> list[Variant]:
    """Matrix products for each provider and precision in use, and a copy for each device."""
    limits = []
    for provider, precision in sorted({(v.provider, v.precision) for v in variants}):
        if provider not in GEMM_SIDE or (provider, precision) == (OPENVINO, "int8"):
            continue  # TensorRT works on what CUDA was measured on
        file = folder / f"gemm_{GEMM_SIDE[provider]}_{precision}.onnx"
        work = write_gemm(file, GEMM_SIDE[provider], precision=precision)
        limit = Variant("gemm", "limit", file, provider, precision, work, 1, config.threads)
        limits.append(limit)
    copy = folder / "copy.onnx"
    gigabytes = write_copy(copy)
    for provider in (CPU, CUDA):
        if provider in config.providers:
            limits.append(
                Variant("copy", "limit", copy, provider, "fp32", gigabytes, 1, config.threads)
            )
    return limits


def _places(config: BenchConfig) -> list[tuple[str, str]]:
    return [(provider, p) for provider in config.providers for p in PRECISIONS[provider]]


def _networks():
    """The exporter, which needs torch; measuring does not."""
    from fsmde_core.bench import networks

    return networks
