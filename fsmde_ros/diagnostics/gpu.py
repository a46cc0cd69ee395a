"""What the GPU that the model runs on has left, for the diagnostics."""

from __future__ import annotations

from collections.abc import Callable

GPU_PROVIDERS = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
DEVICE = 0  # ONNX Runtime's default


def gpu_memory(provider: str) -> Callable[[], dict[str, str]]:
    """What reads the GPU's memory, by the names that stand in the diagnostics.

    It reads nothing where the provider uses no GPU, and says so where nvidia-ml-py is missing.
    """
    if provider not in GPU_PROVIDERS:
        return dict
    try:
        import pynvml

        pynvml.nvmlInit()
        device = pynvml.nvmlDeviceGetHandleByIndex(DEVICE)
    except ImportError:
        return lambda: {"GPU memory": "unknown: nvidia-ml-py is not installed"}
    except pynvml.NVMLError as error:
        reason = str(error)
        return lambda: {"GPU memory": f"unknown: {reason}"}

    def read() -> dict[str, str]:
        try:
            memory = pynvml.nvmlDeviceGetMemoryInfo(device)
        except pynvml.NVMLError as error:
            return {"GPU memory": f"unknown: {error}"}
        return {"GPU memory": f"{memory.used / 1e6:.0f} of {memory.total / 1e6:.0f} MB used"}

    return read
