"""Full surround monocular depth without ROS: images and their rig in, metres out.

from fsmde_core import Predictor, load_rig

The names in __all__ are the public way in, and need no torch. The rooms hold the rest: network,
runtime, data, distill, adapt, evaluate, street, bench.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsmde_core.card import ModelError
    from fsmde_core.rig import Camera, Rig, RigError, load_rig
    from fsmde_core.runtime.predictor import Prediction, Predictor

__all__ = ["Camera", "ModelError", "Prediction", "Predictor", "Rig", "RigError", "load_rig"]
_MODULES = {
    "ModelError": "card",
    "Prediction": "runtime.predictor",
    "Predictor": "runtime.predictor",
}


def __getattr__(name: str) -> object:
    """A public name, loaded when it is asked for: a renderer's workers need no ONNX Runtime."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'rig')}"), name)
