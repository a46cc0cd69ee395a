"""Page-locked host memory, which a GPU reads and writes without a copy by the driver."""

from __future__ import annotations

import ctypes
from collections import defaultdict

import numpy as np
import onnxruntime

DEVICE_TO_HOST = 2  # cudaMemcpyKind


class CudaError(RuntimeError):
    """A call into the CUDA runtime failed; the message names the call and its status."""


class CudaMemory:
    """The three calls into the CUDA runtime that ONNX Runtime has no Python name for.

    OSError if the runtime library is not there. runtime stands in for the library in tests.
    """

    def __init__(self, runtime=None):
        self._runtime = ctypes.CDLL(f"libcudart.so.{cuda_major()}") if runtime is None else runtime

    def allocate(self, size: int) -> int:
        """Address of that many page-locked bytes; they stay until the process ends."""
        address = ctypes.c_void_p()
        self._call("cudaHostAlloc", ctypes.byref(address), ctypes.c_size_t(size), 0)
        return address.value

    def download(self, device_address: int, target: np.ndarray) -> None:
        """Fill a contiguous array from device memory."""
        source, address = ctypes.c_void_p(device_address), ctypes.c_void_p(target.ctypes.data)
        self._call("cudaMemcpy", address, source, ctypes.c_size_t(target.nbytes), DEVICE_TO_HOST)

    def used(self) -> int:
        """Bytes of device memory in use, by all processes."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._call("cudaMemGetInfo", ctypes.byref(free), ctypes.byref(total))
        return total.value - free.value

    def _call(self, name: str, *arguments) -> None:
        status = getattr(self._runtime, name)(*arguments)
        if status:
            raise CudaError(f"{name} failed with CUDA status {status}")


def cuda_major() -> int:
    """CUDA's version that this build of ONNX Runtime is for, 12 or later; 12 if it is for none."""
    return int(getattr(onnxruntime, "cuda_version", "").partition(".")[0] or 12)


class PinnedPool:
    """Arrays in page-locked memory, which is slow to allocate: used again once nobody holds them.

    An array is free when it and all its views are gone, so that a result that somebody keeps is
    never written over.
    """

    def __init__(self, memory: CudaMemory):
        self._memory = memory
        self._free: dict[int, list[int]] = defaultdict(list)

    def empty(self, shape: tuple[int, ...], dtype) -> np.ndarray:
        """An array with arbitrary content."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        blocks = self._free[size]
        address = blocks.pop() if blocks else self._memory.allocate(size)
        return np.asarray(_Block(address, size, blocks)).view(dtype).reshape(shape)


class _Block:
    """Owner of one piece of memory; every view of its array keeps it alive."""

    def __init__(self, address: int, size: int, free: list[int]):
        self.__array_interface__ = {
            "version": 3,
            "shape": (size,),
            "typestr": "|u1",
            "data": (address, False),
        }
        self._address, self._free = address, free

    def __del__(self):
        self._free.append(self._address)
