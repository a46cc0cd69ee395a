"""Construction sites and yards: scaffolding, containers, heaps, machines.

x is along the road, the side of -y faces it.
"""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.props.containers import CONTAINERS
from fsmde_core.street.props.pictures import Canvas, poster
from fsmde_core.street.props.solids import (
    BLACK,
    BLUE,
    FOOT_M,
    GREEN,
    ORANGE,
    WHITE,
    YELLOW,
    Prop,
    any_colour,
    beams,
    concrete,
    dispatch,
    heap,
    plain,
    prism,
    ring,
    rock,
    rope,
    slab,
    steel,
    wood,
)


def make_works(rng: np.random.Generator, kind: str) -> Prop:
    """One of WORKS_KINDS; ValueError for an unknown kind."""
    return dispatch(MAKERS, rng, kind).centred()


def _scaffolding(mesh: MeshBuilder, rng) -> None:
    """Two to four storeys of tubes, boards and braces, 10 m long, perhaps with a net before it."""
    bays, floors, bay, storey = 4, int(rng.integers(2, 5)), 2.5, 2.0
    half, deep = bays * bay / 2, 0.8
    zinc, board = steel(mesh, rng, low=0.3, high=0.55), wood(mesh, rng)
    top = floors * storey + 1.0
    x = np.linspace(-half, half, bays + 1)
    for y in (-deep, 0.0):
        low = np.column_stack([x, np.full(len(x), y), np.full(len(x), -FOOT_M)])
        r = np.full(len(x), 0.025)
        mesh.tubes(zinc, low, low + (0, 0, top + FOOT_M), r, r)
        for floor in range(1, floors + 1):
            for z in (0.0, 0.5, 1.0):
                rope(
                    mesh,
                    zinc,
                    [(-half, y, floor * storey + z), (half, y, floor * storey + z)],
                    0.022,
                    sides=6,
                )
    for floor in range(1, floors + 1):
        z = floor * storey
        slab(mesh, board, (0, -deep / 2, z), (half, deep / 2 - 0.03, 0.025))
        slab(mesh, board, (0, -deep, z + 0.1), (half, 0.015, 0.09))
        k = int(rng.integers(bays))
        rope(
            mesh,
            zinc,
            [(x[k], -deep - 0.03, z - storey), (x[k + 1], -deep - 0.03, z)],
            0.022,
            sides=6,
        )
        ladder = np.array([(x[k] + 0.3, -0.3, z - storey), (x[k] + 0.9, -0.3, z)])
        rope(mesh, zinc, ladder, 0.02)
        rope(mesh, zinc, ladder + (0, 0.3, 0), 0.02)
    if rng.random() < 0.55:
        net = plain(
            mesh,
            rng,
            ((0.05, 0.16, 0.1), (0.6, 0.6, 0.58), BLUE, ORANGE)[rng.integers(4)],
            kind=sf.CLOTH,
        )
        first = storey * rng.integers(0, 2)
        for k in range(bays):
            if rng.random() < 0.85:
                slab(
                    mesh,
                    net,
                    (x[k] + bay / 2, -deep - 0.05, (first + top) / 2),
                    (bay / 2 - 0.02, 0.004, (top - first) / 2),
                )


def _heaps(mesh: MeshBuilder, rng) -> None:
    """Heaps of sand, gravel, earth or rubble with stones around."""
    tones = (
        (0.45, 0.36, 0.22),
        (0.3, 0.29, 0.28),
        (0.17, 0.11, 0.07),
        (0.36, 0.3, 0.27),
        (0.1, 0.1, 0.11),
    )
    tone = np.array(tones[rng.integers(5)])
    loose = mesh.surface(sf.GRASS, tone, colour2=tone * 0.75, seed=rng.random())
    stone = mesh.surface(sf.WALL, tone * 1.2, seed=rng.random(), params=(9, 9, 0, 1))
    for k in range(int(rng.integers(1, 4))):
        radius = rng.uniform(1.0, 2.8)
        heap(
            mesh,
            loose,
            rng,
            radius,
            radius * rng.uniform(0.45, 0.65),
            at=(2.4 * k, rng.normal(0, 0.5)),
        )
    for _ in range(int(rng.integers(6, 24))):
        size = rng.uniform(0.05, 0.3)
        rock(
            mesh, stone, rng, (rng.uniform(-3, 7), rng.normal(0, 1.8), size * 0.4), np.full(3, size)
        )


def _pipes(mesh: MeshBuilder, rng) -> None:
    """Stacked pipes: concrete rings, or plastic pipes in a bundle."""
    big = rng.random() < 0.5
    radius, half = (rng.uniform(0.4, 0.8), 1.2) if big else (rng.uniform(0.08, 0.2), 3.0)
    row = (
        concrete(mesh, rng)
        if big
        else plain(mesh, rng, (ORANGE, BLUE, BLACK, (0.4, 0.2, 0.1))[rng.integers(4)])
    )
    dark, beam = plain(mesh, rng, BLACK), wood(mesh, rng)
    count = int(rng.integers(2, 4)) if big else int(rng.integers(4, 8))
    for x in (-half * 0.6, half * 0.6):
        mesh.box(beam, (x, 0, -0.1), (0.06, count * radius, 0.2))
    for level in range(count if not big else 2):
        for k in range(count - level):
            y, z = (2 * k - count + 1 + level) * radius, 0.1 + radius + level * radius * 1.73
            shift = rng.normal(0, 0.04)
            mesh.tube(row, (shift - half, y, z), (shift + half, y, z), radius, radius, sides=16)
            for end in (-1, 1):
                x = shift + end * half
                mesh.tube(
                    dark, (x, y, z), (x + end * 0.003, y, z), radius * 0.86, radius * 0.86, sides=16
                )


def _pallets(mesh: MeshBuilder, rng) -> None:
    """Pallets, bare in a stack or with bags, bricks or boxes, in a row."""
    timber = wood(mesh, rng)
    for k in range(int(rng.integers(1, 4))):
        x, yaw = 1.5 * k, 0.0
        stack = int(rng.integers(1, 9)) if rng.random() < 0.4 else 1
        for level in range(stack):
            z = 0.15 * level - 0.02
            for y in (-0.35, 0, 0.35):
                slab(mesh, timber, (x, y, z + 0.06), (0.6, 0.05, 0.055), yaw=yaw)
            for a in np.linspace(-0.54, 0.54, 7):
                slab(mesh, timber, (x + a, 0, z + 0.13), (0.05, 0.4, 0.012), yaw=yaw)
        if stack > 1:
            continue
        row = plain(
            mesh,
            rng,
            ((0.36, 0.16, 0.1), (0.5, 0.48, 0.42), (0.38, 0.26, 0.14), WHITE)[rng.integers(4)],
        )
        for level in range(int(rng.integers(2, 7))):
            for a in (-0.3, 0.3):
                for y in (-0.2, 0.2):
                    at = (x + a + rng.normal(0, 0.01), y + rng.normal(0, 0.01), 0.25 + 0.18 * level)
                    slab(mesh, row, at, (0.29, 0.19, 0.085))
    mesh.box(timber, (0, 0, -0.12), (0.5, 0.3, 0.1))


def _tracks(mesh: MeshBuilder, rng, dark: int, half: float, gauge: float, radius: float) -> None:
    """Crawler tracks with rollers."""
    angle = np.concatenate(
        [np.linspace(-np.pi / 2, np.pi / 2, 8), np.linspace(np.pi / 2, 1.5 * np.pi, 8)]
    )
    shift = np.repeat([half - radius, radius - half], 8)
    outline = np.column_stack(
        [shift + radius * np.cos(angle), radius + radius * np.sin(angle) - 0.02]
    )
    zinc = steel(mesh, rng, low=0.05, high=0.15)
    for side in (-1, 1):
        y = side * gauge
        prism(mesh, dark, outline, y - 0.28, y + 0.28, axis=1)
        for x in np.linspace(-half + radius, half - radius, 5):
            mesh.tube(
                zinc,
                (x, y - 0.3, radius * 0.8),
                (x, y + 0.3, radius * 0.8),
                radius * 0.5,
                radius * 0.5,
                sides=12,
            )
        x = np.linspace(-half + radius, half - radius, 16)
        for z in (0.0, 2 * radius):
            low = np.column_stack([x, np.full(16, y - 0.29), np.full(16, z)])
            beams(mesh, dark, low, low + (0, 0.58, 0), 0.1, 0.05)


def _excavator(mesh: MeshBuilder, rng) -> None:
    """A crawler excavator of 8 to 9 m with its boom at work."""
    paint = plain(mesh, rng, (YELLOW, ORANGE, (0.6, 0.5, 0.4), GREEN)[rng.integers(4)], gloss=0.3)
    dark, glass = plain(mesh, rng, BLACK), mesh.surface(sf.GLASS, (0.02, 0.022, 0.025), gloss=0.9)
    zinc = steel(mesh, rng, low=0.3)
    _tracks(mesh, rng, dark, 1.9, 0.95, 0.42)
    mesh.tube(dark, (0, 0, 0.5), (0, 0, 1.0), 0.6, 0.6, sides=16)
    slab(mesh, paint, (-0.5, 0, 1.15), (1.9, 1.25, 0.18))
    mesh.box(paint, (-1.5, 0, 1.75), (0.85, 1.25, 0.5), taper=(0, 0.15, 0.1, 0.1))
    mesh.box(dark, (-2.2, 0, 1.5), (0.3, 1.2, 0.4))
    mesh.box(paint, (0.55, 0.75, 2.05), (0.8, 0.48, 0.78), taper=(0.25, 0, 0.04, 0.04))
    for at, half in (
        ((0.5, 1.22, 2.2), (0.55, 0.03, 0.5)),
        ((0.5, 0.28, 2.2), (0.55, 0.03, 0.5)),
        ((1.3, 0.75, 2.1), (0.04, 0.4, 0.55)),
    ):
        slab(mesh, glass, at, half)
    lift, dip = rng.uniform(1.6, 3.4), rng.uniform(-0.2, 1.2)
    joints = np.array(
        [
            (0.9, -0.3, 1.4),
            (2.6, -0.3, 1.4 + lift),
            (4.4, -0.3, 1.2 + lift * 0.8),
            (5.0, -0.3, dip + 0.5),
        ]
    )
    for a, b, size in zip(joints[:-1], joints[1:], (0.5, 0.42, 0.34)):
        beams(mesh, paint, a, b, 0.34, size)
    for a, b in (
        ((1.4, -0.3, 1.4), joints[1] * 0.75 + joints[2] * 0.25),
        (joints[1] + (0.2, 0, 0.35), joints[2] + (0, 0, 0.4)),
    ):
        rope(mesh, zinc, [a, b], 0.07, sides=8)
    x, z = joints[3][[0, 2]]
    bucket = [
        (x - 0.1, z + 0.3),
        (x + 0.5, z + 0.25),
        (x + 0.45, z - 0.4),
        (x - 0.2, z - 0.6),
        (x - 0.7, z - 0.35),
    ]
    prism(mesh, dark, bucket[::-1], -0.9, 0.3, axis=1)


def _skip(mesh: MeshBuilder, rng) -> None:
    """A skip of 3.5 m with rubble."""
    paint = plain(mesh, rng, any_colour(rng, 0.6))
    half, wide, high = 1.75, 0.9, 1.25
    side = [(-half + 0.6, -0.02), (half - 0.6, -0.02), (half, high), (-half, high)]
    prism(mesh, paint, side, -wide, wide, axis=1)
    for y in (-wide, wide):
        beams(mesh, paint, (-half, y, high), (half, y, high), 0.08, 0.1)
        for x in (-0.9, 0.0, 0.9):
            slab(mesh, paint, (x, y, high / 2), (0.05, 0.05, high / 2))
    grey = concrete(mesh, rng)
    stuff = [grey, wood(mesh, rng), plain(mesh, rng, any_colour(rng, 0.6))]
    for _ in range(24):
        at = (
            rng.uniform(-half + 0.3, half - 0.3),
            rng.uniform(-0.7, 0.7),
            high + rng.uniform(-0.05, 0.2),
        )
        rock(mesh, stuff[rng.integers(3)], rng, at, rng.uniform(0.08, 0.3, 3))
    for _ in range(4):
        ends = np.column_stack([(-1.2, 1.2), rng.uniform(-0.8, 0.8, 2), rng.uniform(1.2, 1.7, 2)])
        beams(mesh, stuff[1], ends[0], ends[1], 0.12, 0.05)


def _cable_drums(mesh: MeshBuilder, rng) -> None:
    """Wooden cable drums of 1 to 2 m."""
    timber, dark = wood(mesh, rng), plain(mesh, rng, BLACK)
    for k in range(int(rng.integers(1, 4))):
        r, x = rng.uniform(0.5, 1.0), 1.9 * k
        for y in (-0.4, 0.4):
            mesh.tube(timber, (x, y - 0.04, r - 0.03), (x, y + 0.04, r - 0.03), r, r, sides=24)
        mesh.tube(dark, (x, -0.4, r - 0.03), (x, 0.4, r - 0.03), r * 0.75, r * 0.75, sides=24)
        rope(mesh, dark, ring((x, -0.46, r), r * 0.55, axis=1), 0.02)


def _toilet(mesh: MeshBuilder, rng) -> None:
    """Portable toilets in a row."""
    for k in range(int(rng.integers(1, 4))):
        row = plain(mesh, rng, (BLUE, GREEN, ORANGE, (0.3, 0.3, 0.3))[rng.integers(4)], gloss=0.0)
        white, x = plain(mesh, rng, WHITE), 1.3 * k
        mesh.box(row, (x, 0, 1.0), (0.55, 0.55, 1.2), taper=(0.03,) * 4)
        for side in (-1, 1):
            slab(mesh, white, (x + side * 0.5, -0.54, 1.0), (0.06, 0.06, 1.02))
        mesh.box(white, (x, 0, 2.25), (0.6, 0.6, 0.08), taper=(0.25,) * 4)
        slab(mesh, white, (x, -0.55, 1.75), (0.3, 0.02, 0.12))
        slab(mesh, white, (x + 0.35, -0.55, 1.05), (0.03, 0.03, 0.1))


def _site_sign(mesh: MeshBuilder, rng) -> None:
    """A site board of 3 to 5 m on timber legs."""
    half, tall, low = rng.uniform(1.2, 2.5), rng.uniform(1.2, 2.6), rng.uniform(0.8, 1.6)
    timber, board = wood(mesh, rng), plain(mesh, rng, WHITE)
    for x in np.linspace(-half * 0.8, half * 0.8, 3):
        mesh.box(timber, (x, 0.08, (low + tall) / 2 - 0.15), (0.06, 0.05, (low + tall) / 2 + 0.15))
        beams(mesh, timber, (x, 1.2, -0.2), (x, 0.1, low + tall * 0.6), 0.08, 0.08)
    slab(mesh, board, (0, 0, low + tall / 2), (half, 0.02, tall / 2))
    poster(Canvas(mesh, (-half, -0.022, low), (1, 0, 0), (0, 0, 1)), rng, 2 * half, tall)


MAKERS = {
    "scaffolding": _scaffolding,
    "heaps": _heaps,
    "pipes": _pipes,
    "pallets": _pallets,
    "excavator": _excavator,
    "skip": _skip,
    "cable drums": _cable_drums,
    "toilet": _toilet,
    "site sign": _site_sign,
    **CONTAINERS,
}
WORKS_KINDS = tuple(MAKERS)
