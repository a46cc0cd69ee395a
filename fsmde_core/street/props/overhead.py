"""What hangs over a road on posts: sign gantries, wires, banners."""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.props.pictures import Canvas, poster
from fsmde_core.street.props.solids import (
    BLACK,
    BLUE,
    FOOT_M,
    GREEN,
    WHITE,
    YELLOW,
    any_colour,
    beams,
    concrete,
    plain,
    rope,
    slab,
    steel,
)


def _sign_panels(mesh: MeshBuilder, rng, y: float, last: float, low: float, *, x: float) -> None:
    """Direction signs side by side from y to last, seen by who drives towards +x."""
    while y > last + 1.5:
        wide, tall = min(rng.uniform(1.5, 4.0), y - last), rng.uniform(1.2, 2.6)
        field, letters = ((GREEN, WHITE), (BLUE, WHITE), (WHITE, BLACK), (YELLOW, BLACK))[
            rng.integers(4)
        ]
        ground, ink = plain(mesh, rng, field, gloss=0.2), plain(mesh, rng, letters)
        slab(mesh, ground, (x, y - wide / 2, low + tall / 2), (0.04, wide / 2, tall / 2))
        # Who drives towards +x has +y to the left.
        canvas = Canvas(mesh, (x - 0.045, y, low), (0, -1, 0), (0, 0, 1))
        for k in range(int(rng.integers(1, 4))):
            size = min(0.4, tall * 0.2)
            canvas.text(
                ink, rng, 0.15, tall * (0.7 - 0.28 * k), size, max(2, int((wide - 0.5) / size))
            )
        canvas.rectangle(ink, wide / 2, 0.12, 0.14, tall * 0.22)
        y -= wide + rng.uniform(0.1, 5.0)


def _gantry(mesh: MeshBuilder, rng, half_m: float) -> None:
    """A sign gantry 5.2 to 6.5 m up: a lattice or a box beam on two posts, or on one."""
    low, zinc = rng.uniform(5.2, 6.5), steel(mesh, rng, low=0.15, high=0.5)
    reach, one = half_m + 0.8, rng.random() < 0.3
    for side in (1,) if one else (-1, 1):
        y = side * -reach
        mesh.tube(zinc, (0, y, -FOOT_M), (0, y, low + 1.2), 0.24, 0.18, sides=12)
        mesh.box(concrete(mesh, rng), (0, y, 0.1), (0.5, 0.5, 0.4))
    far = 0.0 if one else reach
    if rng.random() < 0.6:
        count = int((reach + far) / 1.0)
        y = np.linspace(-reach, far, count + 1)
        corners = [(x, z) for x in (-0.35, 0.35) for z in (low + 0.3, low + 1.1)]
        lines = [np.column_stack([np.full(len(y), x), y, np.full(len(y), z)]) for x, z in corners]
        for line in lines:
            beams(mesh, zinc, line[0], line[-1], 0.09, 0.09)
        for a, b in ((0, 1), (2, 3), (0, 2), (1, 3)):
            beams(mesh, zinc, lines[a], lines[b], 0.05, 0.05)
            beams(mesh, zinc, lines[a][:-1], lines[b][1:], 0.05, 0.05)
    else:
        beams(mesh, zinc, (0, -reach, low + 0.7), (0, far, low + 0.7), 0.4, 0.5)
    if rng.random() < 0.75:
        _sign_panels(mesh, rng, far - 0.9, 0.5 - half_m, low, x=-0.45)
    else:
        dark = plain(mesh, rng, (0.02, 0.02, 0.02))
        glow = mesh.surface(sf.LAMP, (0.8, 0.8, 0.7), emission=1.5)
        for y in np.arange(-half_m + 1.7, far - 1.0, 3.4):
            slab(mesh, dark, (-0.5, y, low + 0.7), (0.12, 0.7, 0.7))
            Canvas(mesh, (-0.625, y + 0.4, low + 0.35), (0, -1, 0), (0, 0, 1)).text(
                glow, rng, 0, 0, 0.6, 2
            )


def _span_wires(mesh: MeshBuilder, rng, half_m: float) -> None:
    """Wires across the road between two masts, with a lamp, signals, flags or a tram's lines."""
    high, reach = rng.uniform(6.0, 8.5), half_m + 0.6
    post, dark = steel(mesh, rng), plain(mesh, rng, BLACK)
    for side in (-1, 1):
        y = side * reach
        mesh.tube(post, (0, y, -FOOT_M), (0, y, high + 0.8), 0.14, 0.09, sides=10)
    share = np.linspace(-1, 1, 17)
    wire = np.column_stack([0 * share, reach * share, high - 0.5 * (1 - share**2)])
    rope(mesh, dark, wire, 0.012, sides=4)
    style = int(rng.integers(4))
    if style == 0:
        glow = mesh.surface(sf.LAMP, (0.9, 0.8, 0.6), emission=0.3)
        mesh.tube(dark, (0, 0, high - 0.5), (0, 0, high - 0.75), 0.03, 0.03)
        mesh.ellipsoid(dark, (0, 0, high - 0.8), (0.3, 0.3, 0.14))
        mesh.ellipsoid(glow, (0, 0, high - 0.86), (0.2, 0.2, 0.12))
    elif style == 1:
        _signals(mesh, rng, wire[4:-3:4])
    elif style == 2:
        for x, y, z in wire[1:-1]:
            cloth = plain(mesh, rng, any_colour(rng, 0.9), kind=sf.CLOTH)
            flag = [(x, y - 0.16, z), (x, y + 0.16, z), (x + rng.normal(0, 0.06), y, z - 0.42)]
            mesh.triangles(cloth, np.array([flag]))
    else:
        rope(mesh, dark, wire - (0, 0, 0.7), 0.01, sides=4)
        for _, y, z in wire[5:-4:6] - (0, 0, 0.9):
            rope(mesh, dark, [(-15, y, z - 0.2), (0, y, z), (15, y, z - 0.2)], 0.012, sides=4)


def _signals(mesh: MeshBuilder, rng, places) -> None:
    """Traffic signals hung at places [n, 3], the red light on."""
    box = plain(mesh, rng, (BLACK, YELLOW)[rng.integers(2)])
    colours = ((0.9, 0.04, 0.02), (0.8, 0.4, 0.02), (0.03, 0.7, 0.3))
    lamps = [mesh.surface(sf.LAMP, c, emission=e) for c, e in zip(colours, (3.0, 0.02, 0.02))]
    for place in places:
        slab(mesh, box, place - (0, 0, 0.6), (0.12, 0.18, 0.5))
        for k, lamp in enumerate(lamps):
            at = place - (0.12, 0, 0.3 + 0.3 * k)
            mesh.tube(lamp, at, at - (0.03, 0, 0), 0.1, 0.1, sides=12)


def _banner(mesh: MeshBuilder, rng, half_m: float) -> None:
    """A cloth banner across the road between two poles, 5 to 6 m up."""
    low, tall, reach = rng.uniform(4.8, 5.8), rng.uniform(0.8, 1.4), half_m + 0.5
    pole, dark = steel(mesh, rng), plain(mesh, rng, (0.02, 0.02, 0.02))
    for side in (-1, 1):
        mesh.tube(pole, (0, side * reach, -FOOT_M), (0, side * reach, low + tall + 0.5), 0.1, 0.08)
    for z in (low, low + tall):
        rope(mesh, dark, [(0, -reach, z), (0, reach, z)], 0.012, sides=4)
    cloth = plain(mesh, rng, any_colour(rng, 0.8), kind=sf.CLOTH)
    wide = half_m * 0.75
    slab(mesh, cloth, (0, 0, low + tall / 2), (0.01, wide, tall / 2))
    for end in (-1, 1):
        poster(
            Canvas(mesh, (end * 0.012, -end * wide, low), (0, end, 0), (0, 0, 1)),
            rng,
            2 * wide,
            tall,
        )


OVERHEAD = {
    "gantry": _gantry,
    "span wires": _span_wires,
    "banner": _banner,
}
