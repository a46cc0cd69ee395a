"""Hashes and value noise, the raw material of every procedural texture."""

from __future__ import annotations

import numpy as np

from fsmde_core.street.compile import device

F = np.float32
I = np.int32  # noqa: E741
U = np.uint32
X, Y, Z = U(0x9E3779B1), U(0x85EBCA77), U(0xC2B2AE3D)
OCTAVES = 4
SCALES = np.array([2.03**k for k in range(OCTAVES)], np.float32)
WEIGHTS = np.array([0.5**k for k in range(OCTAVES)], np.float32) / (2 - 2 * 0.5**OCTAVES)


@device
def _unit(h):
    # The finalizer of MurmurHash3: every input bit reaches every output bit, so samples of
    # neighbouring pixels do not correlate.
    h = U(U(h ^ (h >> U(16))) * U(0x85EBCA6B))
    h = U(U(h ^ (h >> U(13))) * U(0xC2B2AE35))
    return F(I(U(h ^ (h >> U(16))) >> U(8))) * F(1.0 / 16777216.0)


@device
def hash3(x, y, z):
    """Uniform number in [0, 1) for three integers."""
    return _unit(U(U(x) * X + U(y) * Y + U(z) * Z))


@device
def _floor(x):
    # math.floor gives 64 bits, which few vector units convert.
    whole = I(x)
    return I(whole - 1) if F(whole) > x else whole


@device
def value_noise(x, y, seed):
    """Smooth noise in [0, 1) with one cell per unit."""
    xi, yi = _floor(x), _floor(y)
    fx, fy = x - F(xi), y - F(yi)
    fx = fx * fx * (3.0 - 2.0 * fx)
    fy = fy * fy * (3.0 - 2.0 * fy)
    corner = U(U(xi) * X + U(yi) * Y + U(seed) * Z)
    above = U(corner + Y)
    a, b, c, d = _unit(corner), _unit(U(corner + X)), _unit(above), _unit(U(above + X))
    low = a + (b - a) * fx
    high = c + (d - c) * fx
    return low + (high - low) * fy


@device
def fractal_noise(x, y, seed, footprint):
    """Octaves of value noise in [0, 1); octaves finer than the pixel footprint stay grey."""
    if footprint * 2.03 >= 1.0:
        first = value_noise(x, y, seed) if footprint < 1.0 else F(0.5)
        return 0.5 + (first - 0.5) * WEIGHTS[0]
    total = F(0)
    # No branch, so that the octaves run as one vector.
    for k in range(OCTAVES):
        noise = value_noise(x * SCALES[k], y * SCALES[k], seed + k)
        total += WEIGHTS[k] * (noise if SCALES[k] * footprint < 1.0 else F(0.5))
    return total
