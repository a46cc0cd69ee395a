"""People on foot and on two wheels, from lofted limbs.

x forward, y left, z up, origin on the ground below the hips; heights for a person of 1.75 m.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fsmde_core.street import surfaces as sf
from fsmde_core.street.mesh import Mesh, MeshBuilder

TROUSERS = np.array(
    [[0.03, 0.045, 0.1], [0.025, 0.025, 0.028], [0.2, 0.16, 0.11], [0.12, 0.12, 0.13]]
)


def make_person(rng: np.random.Generator) -> Mesh:
    """A person standing or walking, with clothes, hair and sometimes a bag or a coat."""
    mesh = MeshBuilder()
    cloth = _wardrobe(mesh, rng)
    stride = rng.uniform(0.0, 0.34)
    for side in (-1, 1):
        swing = side * stride
        _leg(mesh, cloth, side, knee=(0.55 * swing + 0.06 * stride, 0.49), foot=(swing, 0.08))
        _arm(mesh, cloth, side, elbow=(-0.45 * swing, 1.12), hand=(-0.6 * swing + 0.1, 0.87))
    _torso_and_head(mesh, rng, cloth, lean=0.0)
    if rng.random() < 0.25:
        mesh.ellipsoid(cloth["bag"], (-0.18, 0, 1.25), (0.1, 0.14, 0.2))
    elif rng.random() < 0.2:
        mesh.box(cloth["bag"], (0.02, 0.3, 0.72), (0.15, 0.05, 0.14))
    person = mesh.finish()
    return replace(person, corners=person.corners * np.float32(rng.uniform(0.88, 1.08)))


def make_cyclist(rng: np.random.Generator, *, motor: bool) -> Mesh:
    """A rider on a bicycle, or on a motorbike."""
    mesh = MeshBuilder()
    cloth = _wardrobe(mesh, rng)
    seat = 0.08 if not motor else -0.1
    for side in (-1, 1):
        knee = (0.33, 0.75 + seat + 0.1 * side) if not motor else (0.4, 0.72)
        foot = (0.16 + 0.12 * side, 0.32 + 0.12 * side) if not motor else (0.1, 0.36)
        _leg(mesh, cloth, side, knee=knee, foot=foot, hip=0.95 + seat)
        _arm(mesh, cloth, side, elbow=(0.34, 1.2 + seat), hand=(0.52, 1.06), lift=seat + 0.05)
    _torso_and_head(
        mesh, rng, cloth, lean=0.2, lift=seat + 0.05, helmet=motor or rng.random() < 0.5
    )
    frame = mesh.surface(sf.PLAIN, rng.uniform(0.02, 0.45, 3), gloss=0.35)
    tyre = mesh.surface(sf.PLAIN, (0.02, 0.02, 0.02))
    _wheel(mesh, tyre, frame, -0.55, 0.34, 0.06 if motor else 0.022)
    _wheel(mesh, tyre, frame, 0.62, 0.34, 0.06 if motor else 0.022)
    bars = [
        ((-0.55, 0, 0.34), (-0.12, 0, 0.9)),
        ((-0.12, 0, 0.88), (0.44, 0, 0.86)),
        ((0.62, 0, 0.34), (0.42, 0, 1.05)),
        ((-0.06, 0, 0.34), (0.44, 0, 0.82)),
        ((-0.06, 0, 0.34), (-0.14, 0, 0.92)),
        ((-0.55, 0, 0.34), (-0.06, 0, 0.34)),
        ((0.44, -0.28, 1.06), (0.44, 0.28, 1.06)),
    ]
    for start, end in bars:
        mesh.tube(frame, start, end, 0.019, 0.019, sides=6)
    mesh.ellipsoid(tyre, (-0.14, 0, 0.94), (0.14, 0.07, 0.03), around=8, up=4)
    if motor:
        mesh.ellipsoid(frame, (0.2, 0, 0.72), (0.36, 0.15, 0.19))
        mesh.ellipsoid(tyre, (0.05, 0, 0.45), (0.3, 0.17, 0.17))
        mesh.ellipsoid(frame, (-0.45, 0, 0.8), (0.34, 0.14, 0.1))
    return mesh.finish()


def _wardrobe(mesh: MeshBuilder, rng: np.random.Generator) -> dict[str, int]:
    tone = np.array([0.62, 0.42, 0.32]) * rng.uniform(0.25, 1.05)

    def cloth(colour):
        return mesh.surface(sf.CLOTH, colour, seed=rng.random())

    top = rng.uniform(0.02, 0.6, 3) * rng.uniform(0.25, 1)
    return {
        "top": cloth(top),
        "legs": cloth(TROUSERS[rng.integers(len(TROUSERS))]),
        "skin": mesh.surface(sf.CLOTH, tone, seed=0.2),
        "sleeve": cloth(top) if rng.random() < 0.65 else mesh.surface(sf.CLOTH, tone),
        "hair": cloth(np.array([0.1, 0.06, 0.035]) * rng.uniform(0.2, 2.5)),
        "shoes": cloth(np.ones(3) * rng.choice([0.02, 0.05, 0.5])),
        "bag": cloth(rng.uniform(0.02, 0.3, 3)),
    }


def _leg(mesh, cloth, side, *, knee, foot, hip=0.93):
    y = side * 0.095
    a, b, c = (0, y, hip), (knee[0], y * 1.1, knee[1]), (foot[0] - 0.02, y, foot[1])
    mesh.tube(cloth["legs"], a, b, 0.092, 0.064, sides=9)
    mesh.ellipsoid(cloth["legs"], b, (0.066, 0.064, 0.07), around=8, up=5)
    mesh.tube(cloth["legs"], b, c, 0.064, 0.046, sides=9)
    mesh.ellipsoid(
        cloth["shoes"], (foot[0] + 0.05, y, foot[1] - 0.03), (0.135, 0.05, 0.052), around=8, up=5
    )


def _arm(mesh, cloth, side, *, elbow, hand, lift=0.0):
    a, b = (0.0 + lift, side * 0.195, 1.41 + lift), (elbow[0], side * 0.25, elbow[1])
    c = (hand[0], side * 0.24, hand[1])
    mesh.ellipsoid(cloth["top"], a, (0.062, 0.062, 0.066), around=8, up=5)
    mesh.tube(cloth["top"], a, b, 0.056, 0.044, sides=8)
    mesh.ellipsoid(cloth["sleeve"], b, (0.046, 0.046, 0.046), around=7, up=4)
    mesh.tube(cloth["sleeve"], b, c, 0.044, 0.032, sides=8)
    mesh.ellipsoid(cloth["skin"], c, (0.035, 0.03, 0.055), around=7, up=5)


def _torso_and_head(mesh, rng, cloth, *, lean, lift=0.0, helmet=False):
    heights = np.array([0.86, 0.95, 1.08, 1.22, 1.36, 1.44, 1.49])
    deep = np.array([0.11, 0.125, 0.105, 0.125, 0.118, 0.08, 0.05])
    wide = np.array([0.15, 0.165, 0.15, 0.18, 0.195, 0.15, 0.055])
    coat = rng.random() < 0.3 and not helmet
    if coat:
        heights[0], deep[0], wide[0] = 0.55, 0.16, 0.2
    bulk = rng.uniform(0.92, 1.25)
    x = lean * np.clip((heights - 0.9) / 0.6, 0, 1)
    rings = np.stack([x, 0 * x, heights + lift, deep * bulk, wide * bulk], axis=1)
    mesh.loft(cloth["top"], rings, around=14)
    x, z = lean * 1.15 + 0.02, lift
    mesh.tube(cloth["skin"], (x - 0.02, 0, 1.45 + z), (x, 0, 1.56 + z), 0.055, 0.05, sides=8)
    mesh.ellipsoid(cloth["skin"], (x, 0, 1.625 + z), (0.092, 0.074, 0.118), around=12, up=9)
    mesh.ellipsoid(cloth["skin"], (x + 0.09, 0, 1.61 + z), (0.018, 0.014, 0.022), around=6, up=4)
    size = (0.125, 0.105, 0.12) if helmet else (0.093, 0.084, 0.1)
    mesh.ellipsoid(
        cloth["bag"] if helmet else cloth["hair"], (x - 0.022, 0, 1.67 + z), size, around=12, up=8
    )
    if not helmet and rng.random() < 0.4:
        mesh.ellipsoid(cloth["hair"], (x - 0.06, 0, 1.58 + z), (0.055, 0.08, 0.13), around=10, up=6)


def _wheel(mesh, tyre, frame, x, radius, thick):
    angle = np.linspace(0, 2 * np.pi, 19)
    rim = np.stack([x + radius * np.cos(angle), 0 * angle, 0.34 + radius * np.sin(angle)], axis=1)
    mesh.tubes(tyre, rim[:-1], rim[1:], np.full(18, thick), np.full(18, thick), sides=5)
    spokes = rim[:-1:3]
    hub = np.broadcast_to((x, 0, 0.34), spokes.shape)
    mesh.tubes(frame, hub, spokes, np.full(6, 0.005), np.full(6, 0.005), sides=3)
