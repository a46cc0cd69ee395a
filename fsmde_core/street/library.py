"""Meshes that streets of style world share: made once a process, when first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from fsmde_core.street.buildings.houses import house_size, make_house
from fsmde_core.street.mesh import Mesh
from fsmde_core.street.movers.heavy import HEAVY_KINDS, make_heavy
from fsmde_core.street.movers.people import make_person
from fsmde_core.street.props.barriers import BARRIER_KINDS, make_barrier
from fsmde_core.street.props.clutter import CLUTTER_KINDS, make_clutter
from fsmde_core.street.props.posts import POST_KINDS, make_post
from fsmde_core.street.props.solids import Prop
from fsmde_core.street.props.structures import STRUCTURE_KINDS, make_structure
from fsmde_core.street.props.works import WORKS_KINDS, make_works
from fsmde_core.street.styles import COMMON_WALLS

VARIANTS, PEOPLE = 4, 24
MAKERS = {
    **dict.fromkeys(STRUCTURE_KINDS, make_structure),
    **dict.fromkeys(BARRIER_KINDS, make_barrier),
    **dict.fromkeys(CLUTTER_KINDS, make_clutter),
    **dict.fromkeys(POST_KINDS, make_post),
    **dict.fromkeys(WORKS_KINDS, make_works),
}


def _rng(*key: str | int) -> np.random.Generator:
    return np.random.default_rng([0x51B, *"/".join(map(str, key)).encode()])


@cache
def prop(kind: str, variant: int) -> Prop:
    """One of VARIANTS of a kind of MAKERS."""
    return MAKERS[kind](_rng("prop", kind, variant), kind)


@cache
def heavy(kind: str, variant: int) -> tuple[Mesh, float]:
    """A vehicle of HEAVY_KINDS and its length in metres."""
    return make_heavy(_rng("heavy", kind, variant), kind)


@cache
def person(number: int) -> Mesh:
    """One of PEOPLE."""
    return make_person(_rng("person", number))


@cache
def house(kind: str, variant: int, *, detail: bool) -> Prop:
    """A building of houses.KINDS; detail is for what is seen from near."""
    rng = _rng("house", kind, variant)
    half_x, half_y, height = house_size(rng, kind)
    mesh = make_house(rng, kind, half_x, half_y, height, walls=COMMON_WALLS, detail=detail)
    return Prop(mesh, half_x, half_y, height)


def any_prop(rng: np.random.Generator, kinds: Sequence[str]) -> Prop:
    """Any variant of any of some kinds of MAKERS."""
    return prop(str(rng.choice(kinds)), int(rng.integers(VARIANTS)))


def any_house(rng: np.random.Generator, kinds: Sequence[str], *, detail: bool) -> Prop:
    """Any variant of any of some of houses.KINDS; detail as in house."""
    return house(str(rng.choice(kinds)), int(rng.integers(VARIANTS)), detail=detail)


def any_heavy(rng: np.random.Generator) -> tuple[Mesh, float]:
    """Any of the library's heavy vehicles."""
    return heavy(str(rng.choice(HEAVY_KINDS)), int(rng.integers(VARIANTS)))
