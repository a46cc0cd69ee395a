"""Runs of an ONNX Runtime session: where its inputs and outputs lie, and what runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime

from fsmde_core.runtime.pinned import CudaMemory, PinnedPool
from fsmde_core.runtime.session import CPU, CUDA, TENSORRT, OpenSession, SessionConfig

Run = Callable[[Sequence[dict[str, np.ndarray]]], list[list[np.ndarray]]]
"""Groups of cameras of one shape to the outputs of each group, in the session's order.

A group's inputs and outputs have its cameras as their first axis.
"""


def make_run(opened: OpenSession, config: SessionConfig) -> Run:
    """The way to run a session that is fastest on its provider."""
    if opened.provider in (CUDA, TENSORRT):
        return DeviceRun(opened.session, CudaMemory())
    if opened.provider == CPU:
        return CameraRun(opened.session, config.cameras_at_once)
    return lambda groups: [opened.session.run(None, group) for group in groups]


class CameraRun:
    """Runs a session on the CPU for each camera by itself, several at once, of whatever shape."""

    def __init__(self, session: onnxruntime.InferenceSession, at_once: int):
        self._session = session
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="camera")

    def __call__(self, groups: Sequence[dict[str, np.ndarray]]) -> list[list[np.ndarray]]:
        """Outputs of each group; see Run."""
        ones = [
            {name: value[i : i + 1] for name, value in group.items()}
            for group in groups
            for i in range(_cameras(group))
        ]
        done = self._threads.map(lambda one: self._session.run(None, one), ones)
        results = []
        for group in groups:
            views = [next(done) for _ in range(_cameras(group))]
            results.append([np.concatenate(values) for values in zip(*views)])
        return results


def _cameras(group: dict[str, np.ndarray]) -> int:
    return len(next(iter(group.values())))


class DeviceRun:
    """Runs a session with its inputs and outputs on the device, and results in pinned memory.

    Buffers on the device are kept for each shape of a group: a recorded CUDA graph needs them where
    they were. device is ONNX Runtime's name, cuda, or cpu in tests.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, memory: CudaMemory, *, device: str = "cuda"
    ):
        self._session, self._memory, self._device = session, memory, device
        self._kept: dict[tuple[int, ...], _Binding] = {}
        self.pool = PinnedPool(memory)

    def __call__(self, groups: Sequence[dict[str, np.ndarray]]) -> list[list[np.ndarray]]:
        """Outputs of each group; see Run."""
        return [self._outputs(group) for group in groups]

    def _outputs(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        binding = self._binding(inputs)
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

    def _binding(self, inputs: dict[str, np.ndarray]) -> _Binding:
        shape = next(iter(inputs.values())).shape
        if shape not in self._kept:
            graph = len(self._kept) + 1  # a recorded graph for each shape
            self._kept[shape] = _Binding(self._session, inputs, device=self._device, graph=graph)
        return self._kept[shape]


class _Binding:
    """Device buffers for one shape of a group, whose first input is its images."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        inputs: dict[str, np.ndarray],
        *,
        device: str,
        graph: int,
    ):
        make = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        cameras, height, width = next(iter(inputs.values())).shape[:3]
        self.io = session.io_binding()
        self.inputs = {n: make(list(v.shape), v.dtype.type, device) for n, v in inputs.items()}
        for name, value in self.inputs.items():
            self.io.bind_ortvalue_input(name, value)
        self.outputs = []
        for output in session.get_outputs():
            self.outputs.append(make([cameras, height, width], np.float32, device))
            self.io.bind_ortvalue_output(output.name, self.outputs[-1])
        self.options = onnxruntime.RunOptions()
        self.options.add_run_config_entry("gpu_graph_id", str(graph))
