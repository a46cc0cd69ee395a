"""ONNX Runtime sessions: which provider runs a model, and with which options.

Every option that is not ONNX Runtime's default stands here with its reason; docs/performance.md has
the measurements.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import onnxruntime

from fsmde_core.card import ModelError
from fsmde_core.runtime.pinned import cuda_major

WARNING, FATAL = 2, 4  # ONNX Runtime's log levels
CPU, OPENVINO = "CPUExecutionProvider", "OpenVINOExecutionProvider"
CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
FILE_SUFFIX = {"fp32": ".onnx", "bf16": ".onnx", "fp16": ".fp16.onnx", "int8": ".int8.onnx"}
PRECISIONS = tuple(FILE_SUFFIX)
AUTO = "auto"


class ProviderError(RuntimeError):
    """None of the execution providers asked for works here; the message says why for each."""

    def __init__(self, refused: dict[str, str]):
        reasons = "; ".join(f"{name}: {why}" for name, why in refused.items())
        super().__init__(f"no execution provider works: {reasons or 'none was asked for'}")
        self.refused = refused


@dataclass(frozen=True)
class SessionConfig:
    """How a model runs."""

    providers: Sequence[str] = (CPU,)
    """ONNX Runtime execution providers in the order wanted; no other is ever used."""
    precision: str = "fp32"
    """One of PRECISIONS: fp16 and int8 are files of their own beside the card, bf16 is how OpenVINO
    may run the fp32 file."""
    threads: int = 0
    """CPU threads; 0: one for each core."""
    cameras: int = 6
    """Of a whole set; more or fewer work as well, only not as fast."""
    spinning: bool = False
    """Whether CPU threads that wait keep their core busy: a little faster alone, but then decoding
    and publishing have no core while the network runs."""
    cuda_graph: bool = False
    """Record the GPU's work once and replay it: saves the launches, for each number of cameras."""
    engine_cache: str = ""
    """Folder of TensorRT's engines; empty: fsmde_ros/tensorrt in the user's cache folder."""

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise ValueError(f"precision {self.precision!r} is not one of {known}")

    @property
    def cameras_at_once(self) -> int:
        """How many cameras the CPU has in work: each on a thread, in as few equal rounds as can be.

        Such threads wait for each other once a set instead of at every layer, and what a layer
        hands to the next stays in the cache (docs/performance.md).
        """
        rounds = math.ceil(self.cameras / self._all_threads)
        return math.ceil(self.cameras / rounds)

    @property
    def layer_threads(self) -> int:
        """Threads of one layer: its camera's, and those that are left over, which help them all."""
        return self._all_threads - self.cameras_at_once + 1

    @property
    def _all_threads(self) -> int:
        return self.threads or len(os.sched_getaffinity(0))

    @property
    def suffix(self) -> str:
        """Of the model's file beside the card."""
        return FILE_SUFFIX[self.precision]

    @property
    def engine_folder(self) -> Path:
        """Folder of TensorRT's engines."""
        if self.engine_cache:
            return Path(self.engine_cache).expanduser()
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(cache) / "fsmde_ros" / "tensorrt"


@dataclass(frozen=True)
class OpenSession:
    """A session and how it came about."""

    session: onnxruntime.InferenceSession
    provider: str
    """What runs it."""
    refused: dict[str, str]
    """The reasons against the providers wanted before it."""


def open_session(
    model: Path, config: SessionConfig, *, engine: dict[str, str] | None = None
) -> OpenSession:
    """Open a model on the first provider of the config that works.

    engine: further options of TensorRT, see engine_options. ModelError if the file is no model,
    ProviderError if no provider works.
    """
    options = session_options(config)
    available, refused = onnxruntime.get_available_providers(), {}
    for provider in config.providers:
        refused[provider] = why_not(provider, config, available)
        if refused[provider]:
            continue
        chain = provider_chain(provider, config, engine or {})
        try:
            onnxruntime.set_default_logger_severity(FATAL)  # we report what fails, once
            session = onnxruntime.InferenceSession(
                str(model), options, providers=chain, enable_fallback=0
            )
        except Exception as error:  # ORT raises a class of its own for every status code
            if provider == CPU:
                raise ModelError(f"model file {model} does not load: {error}") from error
            refused[provider] = " ".join(str(error).split())
            continue
        finally:
            onnxruntime.set_default_logger_severity(WARNING)
        if session.get_providers()[0] == provider:
            del refused[provider]
            return OpenSession(session, provider, refused)
        refused[provider] = "its libraries or its device are missing on this machine"
    raise ProviderError(refused)


def why_not(provider: str, config: SessionConfig, available: Sequence[str]) -> str:
    """Why a provider cannot do what the config asks for; empty if it can."""
    if provider not in available:
        return "not in this build of ONNX Runtime"
    if config.precision == "int8" and provider in (CUDA, TENSORRT):
        return "int8 files are made for CPUs; choose fp16"
    if config.precision == "bf16" and provider != OPENVINO:
        return "bf16 is OpenVINO's"
    if config.cuda_graph and provider != CUDA:
        return "cuda_graph is CUDAExecutionProvider's"
    return ""


def session_options(config: SessionConfig) -> onnxruntime.SessionOptions:
    """What does not depend on the provider."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = config.layer_threads
    options.log_severity_level = FATAL
    spinning = "1" if config.spinning else "0"
    options.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    # Arena and memory pattern stay on: without them every run faults its pages in anew.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = True
    return options


def provider_chain(provider: str, config: SessionConfig, engine: dict[str, str]) -> list:
    """ONNX Runtime's `providers`; TensorRT leaves what it does not know to CUDA, as it must."""
    if provider in (CUDA, TENSORRT):
        load_libraries(provider)
    if provider == TENSORRT:
        return [(TENSORRT, tensorrt_options(config) | engine), (CUDA, cuda_options(config))]
    if provider == CUDA:
        return [(CUDA, cuda_options(config))]
    if provider == OPENVINO:
        return [(OPENVINO, openvino_options(config))]
    return [provider]


def cuda_options(config: SessionConfig) -> dict[str, str]:
    """Options of the CUDA provider."""
    return {
        "cudnn_conv_algo_search": "EXHAUSTIVE",  # shapes are few and stay: search once for each
        "use_tf32": "0",  # fp32 means fp32; who wants speed takes fp16
        "enable_cuda_graph": "1" if config.cuda_graph else "0",
    }


def tensorrt_options(config: SessionConfig) -> dict[str, str]:
    """Options of the TensorRT provider."""
    return {
        "trt_fp16_enable": "True" if config.precision == "fp16" else "False",
        "trt_timing_cache_enable": "True",  # makes the next build on this GPU shorter
        "trt_timing_cache_path": str(config.engine_folder),
    }


def engine_options(
    session: onnxruntime.InferenceSession, shape: tuple[int, int, int], folder: Path
) -> dict[str, str]:
    """TensorRT's options for an engine of 1 to N cameras, tuned for all of them.

    shape is (N, height, width). Partial sets then need no new engine. folder is this model's and
    this shape's own: the names that ONNX Runtime gives to engines depend on neither.
    """

    def shapes(count: int) -> str:
        sizes = {"images": (count, *shape[1:], 3)}
        sizes |= {i.name: (count, *i.shape[1:]) for i in session.get_inputs()[1:]}
        return ",".join(f"{name}:{'x'.join(map(str, size))}" for name, size in sizes.items())

    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_profile_min_shapes": shapes(1),
        "trt_profile_opt_shapes": shapes(shape[0]),
        "trt_profile_max_shapes": shapes(shape[0]),
    }


def openvino_options(config: SessionConfig) -> dict[str, str]:
    """Options of the OpenVINO provider on the CPU, which left alone takes bf16 where it can."""
    hint = "bf16" if config.precision == "bf16" else "f32"
    properties = {"INFERENCE_PRECISION_HINT": hint}
    if config.threads:
        properties["INFERENCE_NUM_THREADS"] = str(config.threads)
    return {"device_type": "CPU", "load_config": json.dumps({"CPU": properties})}


def load_libraries(provider: str) -> None:
    """Load CUDA and TensorRT from their wheels where those are installed, without a word if not."""
    for wheel in cuda_wheels():
        try:
            import_module(wheel)
        except ImportError:
            break  # then they come from the system, or the provider says what is missing
    else:
        onnxruntime.preload_dlls()
    if provider == TENSORRT:
        try:
            import_module("tensorrt_libs")
        except ImportError:
            pass


def cuda_wheels() -> tuple[str, str]:
    """Packages of NVIDIA's wheels that hold cuDNN and CUDA's runtime, which moved in CUDA 13."""
    major = cuda_major()
    return "nvidia.cudnn", "nvidia.cuda_runtime" if major == 12 else f"nvidia.cu{major}"
