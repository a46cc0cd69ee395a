"""Bounding volume hierarchy over triangles: build on the CPU, traverse anywhere.

A node is eight floats: lower corner, upper corner, then (first triangle, count) for a leaf or
(left child, -1) for an inner node; the right child follows the left one. Indices up to 2^24 are
exact in float32.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fsmde_core.street.compile import device

F = np.float32
LEAF_TRIANGLES = 4
BINS = 12
STACK_DEPTH = 96
MIN_HIT_M = F(1e-3)


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
def build_bvh(lower, upper):
    """Build the hierarchy over boxes lower, upper [T, 3] float32.

    Returns nodes [M, 8] float32 and order [T] int32: leaf ranges index the reordered triangles.
    """
    count = lower.shape[0]
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


def join_bvhs(nodes_a: np.ndarray, nodes_b: np.ndarray, triangles_a: int) -> np.ndarray:
    """One hierarchy over two, whose triangles are stacked a then b.

    The static street is built once and joined with the moving actors of each moment.
    nodes_a, nodes_b [M, 8]; triangles_a is the number of triangles of a; returns [Ma + Mb + 1, 8].
    """
    nodes = np.empty((len(nodes_a) + len(nodes_b) + 1, 8), np.float32)
    # Children stand side by side, so the two roots come first and all others shift behind them.
    nodes[1], nodes[2] = nodes_a[0], nodes_b[0]
    nodes[3 : len(nodes_a) + 2] = nodes_a[1:]
    nodes[len(nodes_a) + 2 :] = nodes_b[1:]
    nodes[0, :3] = np.minimum(nodes_a[0, :3], nodes_b[0, :3])
    nodes[0, 3:6] = np.maximum(nodes_a[0, 3:6], nodes_b[0, 3:6])
    of_b = np.zeros(len(nodes), bool)
    of_b[2], of_b[len(nodes_a) + 2 :] = True, True
    inner = nodes[:, 7] < 0
    inner[0] = False
    nodes[0, 6:] = 1, -1
    nodes[inner & ~of_b, 6] += 2
    nodes[inner & of_b, 6] += len(nodes_a) + 1
    nodes[~inner & of_b, 6] += triangles_a
    return nodes


@device
def _hit_triangle(triangles, i, ox, oy, oz, dx, dy, dz):
    """Moeller and Trumbore (1997): (t, u, v), t negative for a miss."""
    e1x, e1y, e1z = triangles[i, 3], triangles[i, 4], triangles[i, 5]
    e2x, e2y, e2z = triangles[i, 6], triangles[i, 7], triangles[i, 8]
    px = dy * e2z - dz * e2y
    py = dz * e2x - dx * e2z
    pz = dx * e2y - dy * e2x
    det = e1x * px + e1y * py + e1z * pz
    if abs(det) < F(1e-14):
        return F(-1), F(0), F(0)
    inv = F(1) / det
    sx = ox - triangles[i, 0]
    sy = oy - triangles[i, 1]
    sz = oz - triangles[i, 2]
    u = (sx * px + sy * py + sz * pz) * inv
    if u < F(0) or u > F(1):
        return F(-1), F(0), F(0)
    qx = sy * e1z - sz * e1y
    qy = sz * e1x - sx * e1z
    qz = sx * e1y - sy * e1x
    v = (dx * qx + dy * qy + dz * qz) * inv
    if v < F(0) or u + v > F(1):
        return F(-1), F(0), F(0)
    return (e2x * qx + e2y * qy + e2z * qz) * inv, u, v


@device
def _enter_box(nodes, k, ox, oy, oz, ix, iy, iz, t_max):
    """Distance at which the ray enters a node's box, or 1e30 for a miss."""
    x0 = (nodes[k, 0] - ox) * ix
    x1 = (nodes[k, 3] - ox) * ix
    y0 = (nodes[k, 1] - oy) * iy
    y1 = (nodes[k, 4] - oy) * iy
    z0 = (nodes[k, 2] - oz) * iz
    z1 = (nodes[k, 5] - oz) * iz
    near = max(max(min(x0, x1), min(y0, y1)), max(min(z0, z1), F(0)))
    far = min(min(max(x0, x1), max(y0, y1)), min(max(z0, z1), t_max))
    # The slack keeps rays that graze a flat box, such as the ground's, from slipping through.
    if near <= far * F(1.000001) + F(1e-6):
        return near
    return F(1e30)


@device
def _inverse(d):
    if abs(d) > F(1e-9):
        return F(1) / d
    return F(1e9)


@device
def trace(nodes, triangles, stack, ox, oy, oz, dx, dy, dz, t_max, any_hit):
    """First hit of a ray: (t, triangle, u, v), triangle -1 for none; any_hit stops at any.

    stack is scratch space [STACK_DEPTH] int32.
    """
    ix, iy, iz = _inverse(dx), _inverse(dy), _inverse(dz)
    best = F(t_max)
    hit = -1
    hit_u, hit_v = F(0), F(0)
    stack[0] = 0
    depth = 1
    while depth > 0:
        depth -= 1
        node = stack[depth]
        count = int(nodes[node, 7])
        first = int(nodes[node, 6])
        if count >= 0:
            for i in range(first, first + count):
                t, u, v = _hit_triangle(triangles, i, ox, oy, oz, dx, dy, dz)
                if t > MIN_HIT_M and t < best:
                    best, hit, hit_u, hit_v = t, i, u, v
                    if any_hit:
                        return best, hit, hit_u, hit_v
            continue
        left = _enter_box(nodes, first, ox, oy, oz, ix, iy, iz, best)
        right = _enter_box(nodes, first + 1, ox, oy, oz, ix, iy, iz, best)
        # The nearer child goes on top of the stack.
        swap = 1 if left < right else 0
        if max(left, right) < F(1e30):
            stack[depth] = first + swap
            depth += 1
        if min(left, right) < F(1e30):
            stack[depth] = first + 1 - swap
            depth += 1
    return best, hit, hit_u, hit_v
