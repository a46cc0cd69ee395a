"""Runs of an ONNX Runtime session: where its inputs and outputs lie, and what runs side by side."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import onnxruntime

from fsmde_core.pinned import CudaMemory, PinnedPool
from fsmde_core.session import CPU, CUDA, TENSORRT, OpenSession, SessionConfig

Run = Callable[[dict[str, np.ndarray]], list[np.ndarray]]
"""Inputs by name, whose first axis is the cameras, to the outputs in the session's order."""


def make_run(opened: OpenSession, config: SessionConfig) -> Run:
    """The way to run a session that is fastest on its provider."""
    if opened.provider in (CUDA, TENSORRT):
        return DeviceRun(opened.session, CudaMemory())
    if opened.provider == CPU:
        return CameraRun(opened.session, config.cameras_at_once)
    return partial(opened.session.run, None)


class CameraRun:
    """Runs a session on the CPU for each camera by itself, several at once."""

    def __init__(self, session: onnxruntime.InferenceSession, at_once: int):
        self._session = session
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="camera")

    def __call__(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Outputs in the session's order; inputs have their first axis in common."""
        cameras = len(next(iter(inputs.values())))
        outputs = self._session.get_outputs()
        results = [np.empty((cameras, *output.shape[1:]), np.float32) for output in outputs]

        def run(i: int) -> None:
            one = {name: value[i : i + 1] for name, value in inputs.items()}
            for result, value in zip(results, self._session.run(None, one)):
                result[i] = value[0]

        for _ in self._threads.map(run, range(cameras)):
            pass  # asking for the results raises what went wrong
        return results


class DeviceRun:
    """Runs a session with its inputs and outputs on the device, and results in pinned memory.

    Buffers on the device are kept for each number of cameras: a recorded CUDA graph needs them
    where they were. device is ONNX Runtime's name, cuda, or cpu in tests.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, memory: CudaMemory, *, device: str = "cuda"
    ):
        self._session, self._memory, self._device = session, memory, device
        self._kept: dict[int, _Binding] = {}
        self.pool = PinnedPool(memory)

    def __call__(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Outputs in the session's order; inputs have their first axis in common."""
        cameras = len(next(iter(inputs.values())))
        if cameras not in self._kept:
            self._kept[cameras] = _Binding(self._session, inputs, device=self._device)
        binding = self._kept[cameras]
        for name, value in inputs.items():
            binding.inputs[name].update_inplace(np.ascontiguousarray(value))
        self._session.run_with_iobinding(binding.io, binding.options)
        binding.io.synchronize_outputs()
        results = []
        for value in binding.outputs:
            result = self.pool.empty(tuple(value.shape()), np.float32)
            self._memory.download(value.data_ptr(), result)
            results.append(result)
        return results


class _Binding:
    """Device buffers for one number of cameras."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        inputs: dict[str, np.ndarray],
        *,
        device: str,
    ):
        make = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        cameras = len(next(iter(inputs.values())))
        self.io = session.io_binding()
        self.inputs = {n: make(list(v.shape), v.dtype.type, device) for n, v in inputs.items()}
        for name, value in self.inputs.items():
            self.io.bind_ortvalue_input(name, value)
        self.outputs = []
        for output in session.get_outputs():
            shape = [side if isinstance(side, int) else cameras for side in output.shape]
            self.outputs.append(make(shape, np.float32, device))
            self.io.bind_ortvalue_output(output.name, self.outputs[-1])
        self.options = onnxruntime.RunOptions()
        self.options.add_run_config_entry("gpu_graph_id", str(cameras))
