"""What people put out: cafes, market stalls, bicycles, planters, bins, monuments, odd shapes.

x is along the road, the side of -y faces it.
"""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.props.cafes import CAFES
from fsmde_core.street.props.cycles import CYCLES
from fsmde_core.street.props.pictures import Canvas, lettering, poster
from fsmde_core.street.props.solids import (
    BLACK,
    BLUE,
    FOOT_M,
    GREEN,
    YELLOW,
    Prop,
    any_colour,
    beams,
    concrete,
    dispatch,
    plain,
    prism,
    ring,
    rock,
    rope,
    shrub,
    slab,
    steel,
)


def make_clutter(rng: np.random.Generator, kind: str) -> Prop:
    """One of CLUTTER_KINDS; ValueError for an unknown kind."""
    return dispatch(MAKERS, rng, kind).centred()


def _wheelie_bins(mesh: MeshBuilder, rng) -> None:
    """Two to seven wheeled bins in a row, lids of other colours."""
    bodies = [
        plain(mesh, rng, c, gloss=0.1) for c in (BLACK, (0.04, 0.1, 0.05), (0.12, 0.12, 0.13))
    ]
    lids = [plain(mesh, rng, c, gloss=0.1) for c in (BLACK, YELLOW, BLUE, GREEN, (0.2, 0.1, 0.05))]
    for k in range(int(rng.integers(2, 8))):
        size, x, y = rng.choice([0.85, 1.0]), 0.68 * k, rng.normal(0, 0.05)
        body, lid, yaw = bodies[rng.integers(3)], lids[rng.integers(5)], rng.normal(0, 0.1)
        mesh.box(
            body,
            (x, y, 0.47 * size),
            (0.22 * size, 0.25 * size, 0.49 * size),
            yaw=yaw,
            taper=(-0.06, -0.06, -0.06, -0.06),
        )
        mesh.box(
            lid,
            (x, y - 0.03, 0.99 * size),
            (0.29 * size, 0.34 * size, 0.035),
            yaw=yaw,
            taper=(0.05,) * 4,
        )
        for side in (-1, 1):
            mesh.tube(
                bodies[0],
                (x + side * 0.2, y + 0.27, 0.1),
                (x + side * 0.26, y + 0.27, 0.1),
                0.1,
                0.1,
                sides=12,
            )
        mesh.tube(
            lid, (x - 0.2, y + 0.33, 0.97 * size), (x + 0.2, y + 0.33, 0.97 * size), 0.02, 0.02
        )


def _dumpster(mesh: MeshBuilder, rng) -> None:
    """Large waste containers: four wheels and a round lid, or a bell for glass."""
    for k in range(int(rng.integers(1, 4))):
        x = 1.6 * k
        row = plain(mesh, rng, (GREEN, (0.25, 0.26, 0.27), BLUE, (0.1, 0.1, 0.1))[rng.integers(4)])
        lid, dark = plain(mesh, rng, any_colour(rng, 0.6)), plain(mesh, rng, BLACK)
        if rng.random() < 0.25:
            mesh.loft(
                row,
                [
                    (x, 0, z, r, r)
                    for z, r in ((-0.1, 0.6), (0.3, 0.65), (1.0, 0.62), (1.4, 0.45), (1.62, 0.1))
                ],
                around=16,
            )
            mesh.tube(dark, (x, -0.62, 1.1), (x, -0.4, 1.15), 0.12, 0.12)
            continue
        mesh.box(row, (x, 0, 0.65), (0.6, 0.42, 0.5), taper=(-0.06, -0.06, -0.08, -0.05))
        angle = np.linspace(0, np.pi, 9)
        prism(
            mesh,
            lid,
            np.column_stack([0.5 * np.cos(angle), 1.15 + 0.25 * np.sin(angle)]),
            x - 0.68,
            x + 0.68,
        )
        for a in (-0.5, 0.5):
            for y in (-0.3, 0.3):
                mesh.tube(
                    dark, (x + a, y - 0.03, 0.08), (x + a, y + 0.03, 0.08), 0.1, 0.1, sides=12
                )
                mesh.box(dark, (x + a, y, 0.18), (0.04, 0.05, 0.05))
        canvas = Canvas(mesh, (x - 0.35, -0.49, 0.75), (1, 0, 0), (0, 0, 1))
        lettering(canvas, rng, 0.7, 0.16)


def _litter(mesh: MeshBuilder, rng) -> None:
    """Rubbish bags, boxes and an old mattress by the kerb."""
    bags = [
        plain(mesh, rng, c, gloss=0.35) for c in (BLACK, (0.6, 0.6, 0.6), BLUE, (0.5, 0.4, 0.02))
    ]
    card = plain(mesh, rng, (0.36, 0.25, 0.14))
    for _ in range(int(rng.integers(3, 11))):
        at = np.array([rng.normal(0, 0.8), rng.normal(0, 0.35), 0.0])
        if rng.random() < 0.6:
            r = rng.uniform(0.2, 0.36)
            mesh.ellipsoid(
                bags[rng.integers(4)],
                at + (0, 0, r * 0.6),
                (r, r * rng.uniform(0.8, 1.1), r * 0.9),
                around=9,
            )
            mesh.tube(bags[0], at + (0, 0, r * 1.4), at + (0.02, 0, r * 1.75), 0.05, 0.09, sides=6)
        else:
            half = rng.uniform(0.12, 0.3, 3)
            mesh.box(card, at + (0, 0, half[2] - 0.05), half, yaw=rng.uniform(0, 1.5))
    cloth = plain(mesh, rng, any_colour(rng, 0.2), kind=sf.CLOTH)
    mesh.box(cloth, (rng.normal(0, 0.5), 0.3, 0.05), (0.95, 0.45, 0.15), yaw=rng.normal(0, 0.2))


def _fountain(mesh: MeshBuilder, rng) -> None:
    """A round fountain of 3 to 5 m with one or two bowls."""
    r, stone = rng.uniform(1.5, 2.5), concrete(mesh, rng, tone=rng.uniform(0.3, 0.5))
    water = mesh.surface(sf.GLASS, (0.04, 0.07, 0.07), gloss=0.8)
    rings = (
        (-FOOT_M, r),
        (0.4, r),
        (0.45, r + 0.12),
        (0.55, r + 0.12),
        (0.55, r - 0.2),
        (0.35, r - 0.2),
    )
    mesh.loft(stone, [(0, 0, z, q, q) for z, q in rings], around=28)
    mesh.tube(water, (0, 0, 0.3), (0, 0, 0.42), r - 0.2, r - 0.2, sides=28)
    mesh.tube(stone, (0, 0, 0), (0, 0, 2.0), 0.28, 0.16, sides=14)
    for z, size in ((1.2, 0.95), (1.95, 0.5))[: int(rng.integers(1, 3))]:
        mesh.tube(stone, (0, 0, z - 0.25), (0, 0, z), 0.15, size, sides=22)
        mesh.tube(water, (0, 0, z), (0, 0, z + 0.01), size * 0.9, size * 0.9, sides=22)
    mesh.ellipsoid(stone, (0, 0, 2.2), (0.2, 0.2, 0.3))


def _monument(mesh: MeshBuilder, rng) -> None:
    """A statue or an obelisk on a base with steps."""
    stone = concrete(mesh, rng, tone=rng.uniform(0.25, 0.55))
    base, high = rng.uniform(0.6, 1.2), rng.uniform(1.2, 3.0)
    for k in range(3):
        size = base + 0.35 * (3 - k)
        mesh.box(stone, (0, 0, 0.18 * k - 0.06), (size, size, 0.24))
    z = 0.5 + high
    mesh.box(stone, (0, 0, 0.5 + high / 2), (base, base, high / 2), taper=(base * 0.2,) * 4)
    slab(mesh, stone, (0, 0, z), (base * 0.95, base * 0.95, 0.1))
    canvas = Canvas(mesh, (-base * 0.6, -base * 0.95, 0.6 + high * 0.4), (1, 0, 0), (0, 0, 1))
    lettering(canvas, rng, base * 1.2, 0.25)
    if rng.random() < 0.35:
        mesh.box(stone, (0, 0, z + 2.6), (base * 0.5, base * 0.5, 2.6), taper=(base * 0.25,) * 4)
        tip = base * 0.25
        mesh.box(stone, (0, 0, z + 5.4), (tip, tip, 0.25), taper=(tip * 0.95,) * 4)
    else:
        _statue(mesh, rng, z)


def _statue(mesh: MeshBuilder, rng, z: float) -> None:
    """A standing figure of 2.4 m, one arm raised, its feet at z."""
    metals = ((0.08, 0.14, 0.11), (0.09, 0.06, 0.03), (0.5, 0.5, 0.47))
    bronze = plain(mesh, rng, metals[rng.integers(3)], gloss=0.25)
    k = 1.3
    for y in (-0.12, 0.12):
        mesh.tube(bronze, (0.05 * np.sign(y), y * k, z), (0, y * k * 0.8, z + 0.95 * k), 0.1, 0.12)
    body = np.array([(0.5, 0.22, 0.3), (0.9, 0.16, 0.22), (1.3, 0.16, 0.27), (1.5, 0.1, 0.18)]) * k
    rings = np.column_stack([np.zeros((4, 2)), z + body[:, 0], body[:, 1:]])
    mesh.loft(bronze, rings, around=12)
    mesh.ellipsoid(bronze, (0, 0, z + 1.68 * k), (0.12 * k, 0.11 * k, 0.15 * k))
    hand = (-0.3, -0.4 * k, z + rng.uniform(0.4, 2.0) * k)
    rope(mesh, bronze, [(0, -0.3 * k, z + 1.42 * k), (-0.15, -0.45 * k, z + 1.1 * k), hand], 0.08)
    hand = (-0.2, 0.3 * k, z + 0.9 * k)
    rope(mesh, bronze, [(0, 0.3 * k, z + 1.42 * k), (0, 0.42 * k, z + 1.05 * k), hand], 0.08)


def _tree_guard(mesh: MeshBuilder, rng) -> None:
    """A young tree in a guard: a trunk, a small crown, bars and a grate."""
    bark = mesh.surface(sf.BARK, (0.16, 0.11, 0.08), seed=rng.random())
    iron, high = steel(mesh, rng, low=0.03, high=0.2), rng.uniform(2.2, 3.2)
    mesh.tube(bark, (0, 0, -FOOT_M), (0, 0, high), 0.06, 0.04)
    for _ in range(3):
        at = rng.normal(0, 0.25, 3) + (0, 0, high + 0.5)
        shrub(mesh, rng, at, rng.uniform(0.5, 0.9, 3), leaves=260)
    angle = np.linspace(0, 2 * np.pi, 13)[:-1]
    foot = np.column_stack([0.28 * np.cos(angle), 0.28 * np.sin(angle), np.full(12, -0.1)])
    r = np.full(12, 0.012)
    mesh.tubes(iron, foot, foot * (1.1, 1.1, 1) + (0, 0, 1.6), r, r, sides=5)
    for z in (0.15, 0.8, 1.4):
        rope(mesh, iron, ring((0, 0, z), 0.29, axis=2), 0.014)
    slab(mesh, iron, (0, 0, -0.02), (0.6, 0.6, 0.04))


def make_primitives(rng: np.random.Generator) -> Prop:
    """A heap of boxes, balls, tubes and prisms of any size whose surfaces are strongly textured."""
    return make_clutter(rng, "primitives")


def _primitives(mesh: MeshBuilder, rng) -> None:
    """A heap of random shapes with random textures: domain randomisation."""
    rows = [_random_surface(mesh, rng) for _ in range(16)]
    spread = rng.uniform(0.8, 3.0)
    for _ in range(int(rng.integers(6, 28))):
        size = rng.lognormal(-0.7, 0.6, 3).clip(0.08, 1.4)
        at = np.array([rng.normal(0, spread), rng.normal(0, spread * 0.5), size[2] * 0.7])
        form = FORMS[rng.integers(len(FORMS))]
        form(mesh, rows[rng.integers(16)], rng, at, size)
    if rng.random() < 0.5:
        canvas = Canvas(mesh, (-spread, -spread, 0.05), (1, 0, 0), (0, 0, 1))
        poster(canvas, rng, 2 * spread, rng.uniform(0.5, 2.5))


def _random_surface(mesh: MeshBuilder, rng) -> int:
    kinds = (sf.PLAIN, sf.WALL, sf.PAVING, sf.SIGN, sf.ROOF, sf.BARK, sf.CLOTH, sf.GRASS, sf.FACADE)
    params = (*rng.uniform(0.15, 1.5, 2), rng.uniform(0.2, 0.9), int(rng.integers(0, 3)))
    colour, colour2 = rng.uniform(0.02, 0.75, (2, 3))
    looks = {"seed": rng.random(), "gloss": rng.choice([0, 0, 0.3, 0.8])}
    return mesh.surface(int(rng.choice(kinds)), colour, colour2=colour2, params=params, **looks)


def _random_box(mesh: MeshBuilder, row: int, rng, at, size) -> None:
    slab(mesh, row, at, size, yaw=rng.uniform(0, 3.14))


def _random_ball(mesh: MeshBuilder, row: int, rng, at, size) -> None:
    mesh.ellipsoid(row, at, size, around=16, up=10, yaw=rng.uniform(0, 3.14))


def _random_cone(mesh: MeshBuilder, row: int, rng, at, size) -> None:
    foot, top = at * (1, 1, 0) - (0, 0, 0.1), at + (*rng.normal(0, 0.12 * size[2], 2), size[2])
    mesh.tube(row, foot, top, size[0], rng.uniform(0.05, 1) * size[0], sides=16)


def _random_bar(mesh: MeshBuilder, row: int, rng, at, size) -> None:
    far = at + (*rng.normal(0, 1, 2), rng.uniform(0, 1.5))
    beams(mesh, row, at * (1, 1, 0), far, *np.minimum(size[:2], 0.4))


def _random_prism(mesh: MeshBuilder, row: int, rng, at, size) -> None:
    sides = int(rng.integers(3, 8))
    angle = np.sort(rng.uniform(0, 2 * np.pi, sides)) + np.arange(sides) * 1e-3
    outline = at[:2] + size[:2] * np.column_stack([np.cos(angle), np.sin(angle)])
    prism(mesh, row, outline, -FOOT_M, 2 * size[2], axis=2)


FORMS = (_random_box, _random_ball, _random_cone, _random_bar, _random_prism, rock)


MAKERS = {
    "wheelie bins": _wheelie_bins,
    "dumpster": _dumpster,
    "litter": _litter,
    "fountain": _fountain,
    "monument": _monument,
    "tree guard": _tree_guard,
    "primitives": _primitives,
    **CAFES,
    **CYCLES,
}
CLUTTER_KINDS = tuple(MAKERS)
