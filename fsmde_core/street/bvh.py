"""Bounding volume hierarchy over triangles.

A node is eight floats: lower corner, upper corner, then (first triangle, count) for a leaf or
(left child, -1) for an inner node; the right child follows the left one. Indices up to 2^24 are
exact in float32.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

F = np.float32
LEAF_TRIANGLES = 6
BINS = 12
BRANCHES = 16  # parts of a hierarchy that threads build side by side
STACK_DEPTH = 96
EMPTY = np.array([1e30] * 3 + [-1e30] * 3, np.float32)


@njit(cache=True)
def _grow(box, other):
    for k in range(3):
        box[k] = min(box[k], other[k])
        box[k + 3] = max(box[k + 3], other[k + 3])


@njit(cache=True)
def _area(box):
    x, y, z = box[3] - box[0], box[4] - box[1], box[5] - box[2]
    return x * y + y * z + z * x if x >= F(0) else F(0)


@njit(cache=True)
def _bin(box, axis, start, scale):
    return min(BINS - 1, int((box[axis] + box[axis + 3] - start) * scale))


@njit(cache=True)
def _bound(boxes, order, first, last, bounds):
    """Bounds [2, 6] of the boxes and of the sums of their corners."""
    bounds[:] = EMPTY
    for i in range(first, last):
        box = boxes[order[i]]
        _grow(bounds[0], box)
        for k in range(3):
            middle = box[k] + box[k + 3]
            bounds[1, k] = min(bounds[1, k], middle)
            bounds[1, k + 3] = max(bounds[1, k + 3], middle)


@njit(cache=True)
def _best_cut(counts, bins, right):
    """Cheapest cut of one axis by the surface area heuristic: (cost, first bin of the right)."""
    box = EMPTY.copy()
    count = 0
    for b in range(BINS - 1, 0, -1):
        _grow(box, bins[b])
        count += counts[b]
        right[b] = count * _area(box)
    total = count + counts[0]
    box[:] = EMPTY
    best_cost, best_bin, count = F(1e30), -1, 0
    for b in range(1, BINS):
        _grow(box, bins[b - 1])
        count += counts[b - 1]
        cost = count * _area(box) + right[b]
        if 0 < count < total and cost < best_cost:
            best_cost, best_bin = cost, b
    return best_cost, best_bin


@njit(cache=True)
def _split(boxes, order, first, last, middles, counts, bins, right):
    """Reorder order[first:last] into two halves; returns the start of the second."""
    scales = F(BINS) / np.maximum(middles[3:] - middles[:3], F(1e-6))
    counts[:] = 0
    bins[:, :] = EMPTY
    for i in range(first, last):
        box = boxes[order[i]]
        for axis in range(3):
            b = _bin(box, axis, middles[axis], scales[axis])
            counts[axis, b] += 1
            _grow(bins[axis, b], box)
    best_cost, best_axis, best_bin = F(1e30), -1, 0
    for axis in range(3):
        cost, b = _best_cut(counts[axis], bins[axis], right)
        if cost < best_cost:
            best_cost, best_axis, best_bin = cost, axis, b
    if best_axis < 0:
        return (first + last) // 2
    i, j = first, last - 1
    while i <= j:
        box = boxes[order[i]]
        if _bin(box, best_axis, middles[best_axis], scales[best_axis]) < best_bin:
            i += 1
        else:
            order[i], order[j] = order[j], order[i]
            j -= 1
    return i


@njit(cache=True)
def _boxes(corners):
    boxes = np.empty((len(corners), 6), np.float32)
    for i in range(len(corners)):
        for k in range(3):
            a, b, c = corners[i, 0, k], corners[i, 1, k], corners[i, 2, k]
            boxes[i, k], boxes[i, k + 3] = min(a, min(b, c)), max(a, max(b, c))
    return boxes


@njit(cache=True)
def _grow_tree(boxes, order, first, last, smallest, nodes):
    """Hierarchy over order[first:last], which it reorders; returns the number of nodes.

    Ranges of at most `smallest` become leaves; children count from nodes[0], the root.
    """
    bounds, right = np.empty((2, 6), np.float32), np.empty(BINS, np.float32)
    counts, bins = np.empty((3, BINS), np.int64), np.empty((3, BINS, 6), np.float32)
    stack = np.zeros((STACK_DEPTH, 3), np.int64)
    stack[0, 1], stack[0, 2] = first, last
    depth, used = 1, 1
    while depth > 0:
        depth -= 1
        node, first, last = stack[depth]
        _bound(boxes, order, first, last, bounds)
        nodes[node, :6] = bounds[0]
        if last - first <= smallest or depth + 2 >= STACK_DEPTH:
            nodes[node, 6] = first
            nodes[node, 7] = last - first
            continue
        middle = _split(boxes, order, first, last, bounds[1], counts, bins, right)
        nodes[node, 6] = used
        nodes[node, 7] = -1
        stack[depth] = (used, first, middle)
        stack[depth + 1] = (used + 1, middle, last)
        depth += 2
        used += 2
    return used


@njit(parallel=True, cache=True)
def build_bvh(corners):
    """Build the hierarchy over triangles of corners [T, 3, 3] float32, on all threads.

    Returns nodes [M, 8] float32 and order [T] int32: leaf ranges index the reordered triangles.
    """
    count = len(corners)
    boxes, order = _boxes(corners), np.arange(count).astype(np.int32)
    top = np.zeros((2 * count, 8), np.float32)
    tops = _grow_tree(boxes, order, 0, count, max(LEAF_TRIANGLES, count // BRANCHES), top)
    leaves = np.flatnonzero(top[:tops, 7] >= 0)
    # A branch over n triangles has fewer than 2 n nodes: all fit side by side.
    below, used = np.zeros((2 * count, 8), np.float32), np.zeros(len(leaves), np.int64)
    for k in prange(len(leaves)):
        first = int(top[leaves[k], 6])
        last = first + int(top[leaves[k], 7])
        used[k] = _grow_tree(boxes, order, first, last, LEAF_TRIANGLES, below[2 * first : 2 * last])
    nodes = np.empty((tops + used.sum() - len(leaves), 8), np.float32)
    nodes[:tops] = top[:tops]
    start = tops
    for k in range(len(leaves)):
        first = 2 * int(top[leaves[k], 6])
        branch = below[first : first + used[k]]
        for i in range(used[k]):
            if branch[i, 7] < F(0):
                branch[i, 6] += start - 1  # its root takes the leaf's place, the rest follow
        nodes[leaves[k]] = branch[0]
        nodes[start : start + used[k] - 1] = branch[1:]
        start += used[k] - 1
    return nodes, order


@njit(cache=True)
def build_tops(boxes):
    """The hierarchy over boxes [B, 6] float32: nodes [M, 8] and order [B], one box a leaf."""
    order = np.arange(len(boxes)).astype(np.int32)
    nodes = np.zeros((2 * len(boxes), 8), np.float32)
    used = _grow_tree(boxes, order, 0, len(boxes), 1, nodes)
    return nodes[:used], order


@njit(cache=True)
def gather(corners, normals, uv, order, triangles, attributes):
    """Fill triangles [T, 9] and attributes [T, 15] as World has them, in the order of leaves."""
    for i in range(len(order)):
        j = order[i]
        for k in range(3):
            triangles[i, k] = corners[j, 0, k]
            triangles[i, k + 3] = corners[j, 1, k] - corners[j, 0, k]
            triangles[i, k + 6] = corners[j, 2, k] - corners[j, 0, k]
            for corner in range(3):
                attributes[i, 3 * corner + k] = normals[j, corner, k]
        for corner in range(3):
            attributes[i, 9 + 2 * corner] = uv[j, corner, 0]
            attributes[i, 10 + 2 * corner] = uv[j, corner, 1]
