"""Hashes and value noise, the raw material of every procedural texture."""

from __future__ import annotations

import math

import numpy as np

from fsmde_core.street.compile import device

U = np.uint32
F = np.float32


@device
def _mix(h):
    # The finalizer of MurmurHash3: every input bit reaches every output bit, so samples of
    # neighbouring pixels do not correlate.
    h = U(h ^ (h >> U(16))) * U(0x85EBCA6B)
    h = U(h)
    h = U(h ^ (h >> U(13))) * U(0xC2B2AE35)
    h = U(h)
    return U(h ^ (h >> U(16)))


@device
def hash3(x, y, z):
    """Uniform number in [0, 1) for three integers."""
    h = _mix(U(U(x) * U(0x9E3779B1) + U(y) * U(0x85EBCA77) + U(z) * U(0xC2B2AE3D)))
    return F(h & U(0xFFFFFF)) * F(1.0 / 16777216.0)


@device
def value_noise(x, y, seed):
    """Smooth noise in [0, 1) with one cell per unit."""
    xi = math.floor(x)
    yi = math.floor(y)
    fx = x - F(xi)
    fy = y - F(yi)
    fx = fx * fx * (3.0 - 2.0 * fx)
    fy = fy * fy * (3.0 - 2.0 * fy)
    low = hash3(xi, yi, seed) * (1.0 - fx) + hash3(xi + 1, yi, seed) * fx
    high = hash3(xi, yi + 1, seed) * (1.0 - fx) + hash3(xi + 1, yi + 1, seed) * fx
    return low * (1.0 - fy) + high * fy


@device
def fractal_noise(x, y, seed, footprint):
    """Four octaves of value noise in [0, 1); octaves finer than the pixel footprint stay grey."""
    total, weight, scale = F(0), F(0.5), F(1)
    for octave in range(4):
        if scale * footprint < 1.0:
            total += weight * value_noise(x * scale, y * scale, seed + octave)
        else:
            total += weight * 0.5
        weight *= 0.5
        scale *= 2.03
    return total / 0.9375
