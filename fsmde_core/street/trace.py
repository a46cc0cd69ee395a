"""Packets of rays through the hierarchy.

A packet is LANES rays that run together, one row of its numbers after the other in one float32
array, so that the compiler turns every loop over the lanes into vector instructions. Indices in
a packet are exact as float32 up to 2^24.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fsmde_core.street.compile import device

F = np.float32
LANES = 16
SIDE = 4  # a packet of camera rays is a square of SIDE x SIDE pixels
STACK_DEPTH = 160  # of the hierarchy of bodies and, above it, of one body's own
MIN_HIT_M = F(1e-3)
MISS = F(-1)

# Rows that trace reads: origin, direction and its inverse in the world; T is the reach of the
# ray in metres, negative to leave a lane out. It fills T to BODY and uses LOCAL as scratch.
(
    OX, OY, OZ, DX, DY, DZ, IX, IY, IZ, T, U, V, HIT, BODY, LOCAL, *_
) = range(0, 24 * LANES, LANES)  # fmt: skip
RAY_ROWS = 23

# Columns of World.bodies, see there.
LOWER, UPPER, NORMALS, POSITION, ROOT, BODY_INSTANCE, TINT, BODY_COLUMNS = (
    0,
    3,
    6,
    15,
    18,
    19,
    20,
    23,
)


class World(NamedTuple):
    """A scene at one moment as flat arrays; T triangles, S surfaces, B bodies, L lamps.

    Two levels: a hierarchy of bodies, and one of triangles for every mesh that bodies wear.
    """

    tops: np.ndarray
    """[N, 8] float32: the hierarchy of the bodies' bounds, see bvh; leaves are rows of bodies."""
    nodes: np.ndarray
    """[M, 8] float32: the hierarchies of all meshes."""
    triangles: np.ndarray
    """[T, 9] float32: first corner and two edges, in the frame of their body."""
    attributes: np.ndarray
    """[T, 15] float32: three normals, three uv."""
    surface_of: np.ndarray
    """[T] int32: row of surfaces."""
    surfaces: np.ndarray
    """[S, 16] float32, see the module surfaces."""
    bodies: np.ndarray
    """[B, 23] float32; many may share a root. Columns: bounds in the world, the map of normals from
    the body to the world by rows (the transposed inverse of its turn and stretch A, so A itself
    where nothing is stretched), position, root node, instance (-1: the surface's), tint."""
    lamps: np.ndarray
    """[L, 10] float32: position, colour, direction, cosine of the half angle."""
    light: np.ndarray
    """[17] float32: a Light, flattened by pack_light."""


@device
def set_ray(p, lane, ox, oy, oz, dx, dy, dz, reach):
    """Put a ray of unit direction into a lane."""
    p[OX + lane], p[OY + lane], p[OZ + lane] = ox, oy, oz
    p[DX + lane], p[DY + lane], p[DZ + lane] = dx, dy, dz
    p[IX + lane], p[IY + lane], p[IZ + lane] = _inverse(dx), _inverse(dy), _inverse(dz)
    p[T + lane], p[HIT + lane] = reach, MISS


@device
def _inverse(d):
    return 1.0 / d if abs(d) > 1e-9 else F(1e9)


@device
def trace(world, p, stack, any_hit):
    """First hits of a packet: T, U, V, HIT (triangle or -1) and BODY of every lane.

    any_hit only asks whether there is a hit: T turns negative. stack is [STACK_DEPTH] int32.
    """
    stack[0] = 0
    depth = 1
    while depth > 0:
        depth -= 1
        node = world.tops[stack[depth]]
        if not _enters(p, OX, node, 0):
            continue
        first, count = int(node[6]), int(node[7])
        if count >= 0:
            for b in range(first, first + count):
                body = world.bodies[b]
                if count > 1 and not _enters(p, OX, body, LOWER):
                    continue
                _to_local(p, body)
                _trace_body(world, p, stack, depth, int(body[ROOT]), F(b), any_hit)
            continue
        swap = _order(p, OX, world.tops[first], world.tops[first + 1])
        stack[depth] = first + swap
        stack[depth + 1] = first + 1 - swap
        depth += 2


@device
def _to_local(p, body):
    """Express the packet's rays in the frame of a body; distances stay the world's."""
    x, y, z = body[POSITION], body[POSITION + 1], body[POSITION + 2]
    a, b, c = body[NORMALS], body[NORMALS + 1], body[NORMALS + 2]
    d, e, f = body[NORMALS + 3], body[NORMALS + 4], body[NORMALS + 5]
    g, h, k = body[NORMALS + 6], body[NORMALS + 7], body[NORMALS + 8]
    for i in range(LANES):
        ox, oy, oz = p[OX + i] - x, p[OY + i] - y, p[OZ + i] - z
        dx, dy, dz = p[DX + i], p[DY + i], p[DZ + i]
        p[LOCAL + OX + i] = a * ox + d * oy + g * oz
        p[LOCAL + OY + i] = b * ox + e * oy + h * oz
        p[LOCAL + OZ + i] = c * ox + f * oy + k * oz
        lx, ly, lz = a * dx + d * dy + g * dz, b * dx + e * dy + h * dz, c * dx + f * dy + k * dz
        p[LOCAL + DX + i], p[LOCAL + DY + i], p[LOCAL + DZ + i] = lx, ly, lz
        p[LOCAL + IX + i], p[LOCAL + IY + i] = _inverse(lx), _inverse(ly)
        p[LOCAL + IZ + i] = _inverse(lz)


@device
def _trace_body(world, p, stack, bottom, root, body, any_hit):
    """First hits of a packet with one body; the stack is free from bottom on."""
    stack[bottom] = root
    depth = bottom + 1
    while depth > bottom:
        depth -= 1
        node = world.nodes[stack[depth]]
        if not _enters(p, LOCAL, node, 0):
            continue
        first, count = int(node[6]), int(node[7])
        if count >= 0:
            for k in range(first, first + count):
                _meet(p, world.triangles[k], F(k), body, any_hit)
            continue
        swap = _order(p, LOCAL, world.nodes[first], world.nodes[first + 1])
        stack[depth] = first + swap
        stack[depth + 1] = first + 1 - swap
        depth += 2


@device
def _order(p, frame, left, right):
    """1 where the left one of two boxes lies nearer along the first ray, else 0."""
    x = left[0] + left[3] - right[0] - right[3]
    y = left[1] + left[4] - right[1] - right[4]
    z = left[2] + left[5] - right[2] - right[5]
    along = x * p[frame + DX] + y * p[frame + DY] + z * p[frame + DZ]
    return 1 if along < 0.0 else 0


@device
def _enters(p, frame, box, k):
    """Whether any ray enters the box whose corners start at column k; frame is OX or LOCAL."""
    ax, ay, az = box[k], box[k + 1], box[k + 2]
    bx, by, bz = box[k + 3], box[k + 4], box[k + 5]
    entering = F(0)
    for i in range(LANES):
        x0 = (ax - p[frame + OX + i]) * p[frame + IX + i]
        x1 = (bx - p[frame + OX + i]) * p[frame + IX + i]
        y0 = (ay - p[frame + OY + i]) * p[frame + IY + i]
        y1 = (by - p[frame + OY + i]) * p[frame + IY + i]
        z0 = (az - p[frame + OZ + i]) * p[frame + IZ + i]
        z1 = (bz - p[frame + OZ + i]) * p[frame + IZ + i]
        near = max(max(min(x0, x1), min(y0, y1)), max(min(z0, z1), F(0)))
        far = min(min(max(x0, x1), max(y0, y1)), min(max(z0, z1), p[T + i]))
        # The slack keeps rays that graze a flat box, such as the ground's, from slipping through.
        entering += F(1) if near <= far * 1.000001 + 1e-6 else F(0)
    return entering > 0.0


@device
def _meet(p, triangle, k, body, any_hit):
    """Moeller and Trumbore (1997) on all lanes; k and body are written where it is hit."""
    ax, ay, az = triangle[0], triangle[1], triangle[2]
    e1x, e1y, e1z = triangle[3], triangle[4], triangle[5]
    e2x, e2y, e2z = triangle[6], triangle[7], triangle[8]
    for i in range(LANES):
        dx, dy, dz = p[LOCAL + DX + i], p[LOCAL + DY + i], p[LOCAL + DZ + i]
        px = dy * e2z - dz * e2y
        py = dz * e2x - dx * e2z
        pz = dx * e2y - dy * e2x
        det = e1x * px + e1y * py + e1z * pz
        # An inverse of zero makes t zero, which is no hit.
        inv = 1.0 / det if abs(det) > 1e-14 else F(0)
        sx = p[LOCAL + OX + i] - ax
        sy = p[LOCAL + OY + i] - ay
        sz = p[LOCAL + OZ + i] - az
        qx = sy * e1z - sz * e1y
        qy = sz * e1x - sx * e1z
        qz = sx * e1y - sy * e1x
        u = (sx * px + sy * py + sz * pz) * inv
        v = (dx * qx + dy * qy + dz * qz) * inv
        t = (e2x * qx + e2y * qy + e2z * qz) * inv
        hit = (min(min(u, v), 1.0 - u - v) >= 0.0) & (t > MIN_HIT_M) & (t < p[T + i])
        p[T + i] = (MISS if any_hit else t) if hit else p[T + i]
        p[U + i] = u if hit else p[U + i]
        p[V + i] = v if hit else p[V + i]
        p[HIT + i] = k if hit else p[HIT + i]
        p[BODY + i] = body if hit else p[BODY + i]
