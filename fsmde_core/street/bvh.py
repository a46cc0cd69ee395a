"""Bounding volume hierarchy over triangles.

A node is eight floats: lower corner, upper corner, then (first triangle, count) for a leaf or
(left child, -1) for an inner node; the right child follows the left one. Indices up to 2^24 are
exact in float32.
"""

from __future__ import annotations

import numpy as np
from numba import njit

F = np.float32
LEAF_TRIANGLES = 4
BINS = 12
STACK_DEPTH = 96


@njit(cache=True)
def _box_area(lower, upper):
    x = max(upper[0] - lower[0], F(0))
    y = max(upper[1] - lower[1], F(0))
    z = max(upper[2] - lower[2], F(0))
    return x * y + y * z + z * x


@njit(cache=True)
def _grow(lower, upper, other_lower, other_upper):
    for k in range(3):
        lower[k] = min(lower[k], other_lower[k])
        upper[k] = max(upper[k], other_upper[k])


@njit(cache=True)
def _bin_axis(lower, upper, centre, order, first, last, axis, start, scale):
    """Best split of one axis by the surface area heuristic: (cost, bin)."""
    counts = np.zeros(BINS, np.int64)
    bin_lower = np.full((BINS, 3), F(1e30), np.float32)
    bin_upper = np.full((BINS, 3), F(-1e30), np.float32)
    for i in range(first, last):
        t = order[i]
        b = min(BINS - 1, int((centre[t, axis] - start) * scale))
        counts[b] += 1
        _grow(bin_lower[b], bin_upper[b], lower[t], upper[t])
    right_area = np.zeros(BINS)
    right_count = np.zeros(BINS, np.int64)
    box_lower = np.full(3, F(1e30), np.float32)
    box_upper = np.full(3, F(-1e30), np.float32)
    for b in range(BINS - 1, 0, -1):
        _grow(box_lower, box_upper, bin_lower[b], bin_upper[b])
        right_count[b] = counts[b] + (right_count[b + 1] if b + 1 < BINS else 0)
        right_area[b] = _box_area(box_lower, box_upper)
    box_lower[:] = F(1e30)
    box_upper[:] = F(-1e30)
    best_cost, best_bin, left_count = 1e30, -1, 0
    for b in range(1, BINS):
        _grow(box_lower, box_upper, bin_lower[b - 1], bin_upper[b - 1])
        left_count += counts[b - 1]
        if left_count and right_count[b]:
            cost = left_count * _box_area(box_lower, box_upper) + right_count[b] * right_area[b]
            if cost < best_cost:
                best_cost, best_bin = cost, b
    return best_cost, best_bin


@njit(cache=True)
def _split(lower, upper, centre, order, first, last):
    """Reorder order[first:last] into two halves; returns the start of the second."""
    c_lower = np.full(3, F(1e30), np.float32)
    c_upper = np.full(3, F(-1e30), np.float32)
    for i in range(first, last):
        _grow(c_lower, c_upper, centre[order[i]], centre[order[i]])
    best_cost, best_axis, best_bin = 1e30, -1, 0
    for axis in range(3):
        extent = c_upper[axis] - c_lower[axis]
        if extent > 1e-6:
            scale = BINS / extent
            cost, b = _bin_axis(
                lower, upper, centre, order, first, last, axis, c_lower[axis], scale
            )
            if cost < best_cost:
                best_cost, best_axis, best_bin = cost, axis, b
    if best_axis < 0:
        return (first + last) // 2
    start = c_lower[best_axis]
    scale = BINS / (c_upper[best_axis] - start)
    i, j = first, last - 1
    while i <= j:
        if min(BINS - 1, int((centre[order[i], best_axis] - start) * scale)) < best_bin:
            i += 1
        else:
            order[i], order[j] = order[j], order[i]
            j -= 1
    return i


@njit(cache=True)
def build_bvh(corners):
    """Build the hierarchy over triangles of corners [T, 3, 3] float32.

    Returns nodes [M, 8] float32 and order [T] int32: leaf ranges index the reordered triangles.
    """
    count = corners.shape[0]
    lower, upper = np.empty((count, 3), np.float32), np.empty((count, 3), np.float32)
    for i in range(count):
        for k in range(3):
            a, b, c = corners[i, 0, k], corners[i, 1, k], corners[i, 2, k]
            lower[i, k], upper[i, k] = min(a, min(b, c)), max(a, max(b, c))
    centre = (lower + upper) * F(0.5)
    order = np.arange(count).astype(np.int32)
    nodes = np.zeros((2 * count, 8), np.float32)
    stack = np.zeros((STACK_DEPTH, 3), np.int64)
    stack[0, 2] = count
    depth, used = 1, 1
    while depth > 0:
        depth -= 1
        node, first, last = stack[depth]
        nodes[node, :3] = F(1e30)
        nodes[node, 3:6] = F(-1e30)
        for i in range(first, last):
            _grow(nodes[node, :3], nodes[node, 3:6], lower[order[i]], upper[order[i]])
        if last - first <= LEAF_TRIANGLES or depth + 2 >= STACK_DEPTH:
            nodes[node, 6] = first
            nodes[node, 7] = last - first
            continue
        middle = _split(lower, upper, centre, order, first, last)
        nodes[node, 6] = used
        nodes[node, 7] = -1
        stack[depth] = (used, first, middle)
        stack[depth + 1] = (used + 1, middle, last)
        depth += 2
        used += 2
    return nodes[:used].copy(), order
