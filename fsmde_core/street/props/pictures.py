"""Posters, lettering and graffiti: flat shapes a few millimetres before what they stick to."""

from __future__ import annotations

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import MeshBuilder
from fsmde_core.street.props.solids import UNIT_UV, any_colour

LAYER_M = 0.004


class Canvas:
    """A rectangle in space; shapes are given in its metres from the lower left corner."""

    def __init__(self, mesh: MeshBuilder, corner, across, up):
        """across and up [3] are unit vectors; across x up is the side that is looked at."""
        self.mesh, self.layer = mesh, 0
        self.corner, self.across, self.up = (np.asarray(v, float) for v in (corner, across, up))

    def shape(self, surface: int, outline, uv=None) -> None:
        """Quadrangles [n, 4, 2] or triangles [n, 3, 2] on a new layer."""
        outline = np.asarray(outline, float)
        self.layer += 1
        out = np.cross(self.across, self.up) * (LAYER_M * self.layer)
        points = outline[..., :1] * self.across + outline[..., 1:] * self.up
        self.mesh.triangles(surface, self.corner + out + points, uv=outline if uv is None else uv)

    def rectangle(self, surface: int, x: float, y: float, width: float, height: float) -> None:
        """A rectangle from its lower left corner."""
        self.shape(surface, (UNIT_UV * (width, height) + (x, y))[None])

    def disc(self, surface: int, x, y, rx, ry, *, rough=None) -> None:
        """An ellipse, or with rough [n] a blot with n corners."""
        rough = np.ones(16) if rough is None else rough
        angle = np.linspace(0, 2 * np.pi, len(rough), endpoint=False)
        rim = np.stack([x + rx * rough * np.cos(angle), y + ry * rough * np.sin(angle)], axis=1)
        hub = np.broadcast_to((x, y), rim.shape)
        self.shape(surface, np.stack([hub, rim, np.roll(rim, -1, axis=0)], axis=1))

    def text(self, surface: int, rng, x: float, y: float, height: float, letters: int) -> None:
        """A line of made-up letters."""
        stroke, wide = 0.19 * height, 0.56 * height
        bars = (
            (0, 0, stroke, height),
            (wide - stroke, 0, stroke, height),
            (0, height - stroke, wide, stroke),
            (0, (height - stroke) / 2, wide, stroke),
            (0, 0, wide, stroke),
        )
        quads = []
        for k in range(letters):
            chosen = rng.random(5) < (0.9, 0.6, 0.6, 0.5, 0.5)
            if rng.random() < 0.12:
                continue
            for left, low, w, h in (bar for bar, kept in zip(bars, chosen) if kept):
                quads.append(UNIT_UV * (w, h) + (x + k * 0.74 * height + left, y + low))
        if quads:
            self.shape(surface, np.array(quads))


def _colour(mesh: MeshBuilder, rng, *, emission: float = 0.0) -> int:
    return mesh.surface(sf.PLAIN, any_colour(rng, 0.75), seed=rng.random(), emission=emission)


def poster(canvas: Canvas, rng, width: float, height: float) -> None:
    """An advertisement: a ground, a few shapes or a figure, and lettering."""
    mesh = canvas.mesh
    colours = [_colour(mesh, rng) for _ in range(4)]
    canvas.rectangle(colours[0], 0, 0, width, height)
    if rng.random() < 0.6:
        split = rng.uniform(0.2, 0.6)
        canvas.rectangle(colours[1], 0, 0, width, split * height)
    for k in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0.25, 0.75) * width, rng.uniform(0.3, 0.7) * height
        size = rng.uniform(0.1, 0.24) * min(width, height)
        if rng.random() < 0.4:
            _figure(canvas, rng, x, min(width, height) * 0.45, height)
        else:
            canvas.disc(colours[2 + k % 2], x, y, size * rng.uniform(0.7, 1), size)
    tall = height * rng.uniform(0.08, 0.2)
    for k in range(int(rng.integers(1, 4))):
        size = tall if k == 0 else tall * 0.4
        room = int(width * 0.8 / (0.74 * size))
        if room > 1:
            y = height * (0.72, 0.12, 0.06)[k]
            canvas.text(colours[3], rng, 0.1 * width, y, size, int(rng.integers(2, room + 1)))


def _figure(canvas: Canvas, rng, x: float, size: float, height: float) -> None:
    mesh = canvas.mesh
    skin = mesh.surface(sf.PLAIN, np.array([0.5, 0.32, 0.23]) * rng.uniform(0.3, 1.2))
    shirt = _colour(mesh, rng)
    size = min(size, 0.7 * height)
    body = [
        (x - 0.3 * size, 0),
        (x + 0.3 * size, 0),
        (x + 0.2 * size, size),
        (x - 0.2 * size, size),
    ]
    canvas.shape(shirt, [body])
    canvas.disc(skin, x, min(size * 1.2, height * 0.86), 0.15 * size, 0.2 * size)


def lettering(canvas: Canvas, rng, width: float, height: float) -> None:
    """A name in large letters with no ground of its own."""
    letters = max(2, min(int(rng.integers(4, 11)), int(width / (0.74 * height))))
    canvas.text(_colour(canvas.mesh, rng), rng, 0, 0, min(height, width / letters / 0.74), letters)


def graffiti(canvas: Canvas, rng, width: float, height: float) -> None:
    """Blots, painted-over patches and tags on a wall."""
    mesh = canvas.mesh
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(0.1, 0.7) * width, rng.uniform(0.1, 0.5) * height
        w = min(rng.uniform(0.5, 2.2), width * 0.28)
        if rng.random() < 0.45:
            grey = mesh.surface(sf.WALL, np.ones(3) * rng.uniform(0.15, 0.5), params=(9, 9, 0, 1))
            canvas.rectangle(grey, x, y, w, min(rng.uniform(0.4, 1.2), height * 0.4))
            continue
        tall = min(rng.uniform(0.25, 0.8), 0.4 * height)
        rough = rng.uniform(0.75, 1.1, 14)
        canvas.disc(_colour(mesh, rng), x + w / 2, y + tall / 2, w / 1.7, tall, rough=rough)
        canvas.text(_colour(mesh, rng), rng, x, y, tall, max(2, int(w / tall)))
