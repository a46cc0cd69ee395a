"""The tracer's functions as a kernel for an NVIDIA GPU; needs the package numba-cuda."""

from __future__ import annotations

import numpy as np
from numba import cuda, float32, int32

from fsmde_core.street.trace import SIDE, STACK_DEPTH
from fsmde_core.street.tracer import PACKET, render_tile

THREADS = 64  # in a block; each thread traces one packet after the other


@cuda.jit(fastmath=True)
def render_kernel(world, lens, config, radiance, depth, instance):
    """As tracer.render, one packet of pixels for each thread."""
    height, width = depth.shape
    across, down = (width + SIDE - 1) // SIDE, (height + SIDE - 1) // SIDE
    k = cuda.grid(1)
    if k < across * down:
        p = cuda.local.array(PACKET, float32)
        stack = cuda.local.array(STACK_DEPTH, int32)
        corner = ((k % across) * SIDE, (k // across) * SIDE)
        render_tile(world, p, stack, lens, corner, config, radiance, depth, instance)


def render_on_gpu(world, lens, config, radiance, depth, instance) -> None:
    """As tracer.render; RuntimeError where there is no GPU."""
    if not cuda.is_available():
        raise RuntimeError("device 'cuda' needs an NVIDIA GPU with its driver; none was found")
    height, width = depth.shape
    packets = -(-width // SIDE) * -(-height // SIDE)
    blocks = -(-packets // THREADS)
    lens = (*lens[:5], *(cuda.to_device(np.ascontiguousarray(a)) for a in lens[5:]))
    world = type(world)(*map(cuda.to_device, world))
    render_kernel[blocks, THREADS](world, lens, config, radiance, depth, instance)
