"""What Depth Anything's files call their tensors, and what tells their variants apart.

Three namings: the official one of V2, transformers' (DepthAnythingForDepthEstimation), and that of
version 3. The names are facts of the files; the tensors of V2's relative and metric files do not
differ in any, so that only the file's name, its folder's, or a config.json beside it can tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fsmde_core.card import ModelError

CLASS_TOKEN = re.compile(r"(|.*?\.)(?:backbone\.)?(?:pretrained|embeddings)\.cls_token$")
"""A tensor that every network has once, in whatever naming; what stands before is the file's."""
METRIC = re.compile(r"(?<![A-Za-z])metric(?!s)|Metric(?!s)|(?<![A-Z])METRIC(?!S)")
SKY = "depth_head.scratch.sky_output_conv2.0.weight"
ANY_VIEW = re.compile(r"^(da3|da3_metric|cam_enc|cam_dec|gs_head|gs_adapter)\.|camera_token|_aux\b")
"""Names in the files of version 3's networks for several views."""
VERSION_1 = re.compile(r"depth_anything_vit[sbl]14")
HYPERSIM, VIRTUAL_KITTI = re.compile(r"hypersim|indoor"), re.compile(r"vkitti|outdoor")
TRAINED_METRIC = re.compile(r"hypersim|vkitti")  # there is no relative model of these data
HYPERSIM_M, VIRTUAL_KITTI_M = 20.0, 80.0

TRANSFORMERS = (
    (r"^backbone\.embeddings\.position_embeddings$", "pretrained.pos_embed"),
    (r"^backbone\.embeddings\.patch_embeddings\.projection\.", "pretrained.patch_embed.proj."),
    (r"^backbone\.embeddings\.", "pretrained."),
    (r"^backbone\.layernorm\.", "pretrained.norm."),
    (r"^backbone\.encoder\.layer\.", "pretrained.blocks."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.attention\.attention\.", ".attn."),
    (r"\.layer_scale(\d)\.lambda1$", r".ls\1.gamma"),
    (r"^neck\.reassemble_stage\.layers\.(\d)\.projection\.", r"depth_head.projects.\1."),
    (r"^neck\.reassemble_stage\.layers\.(\d)\.resize\.", r"depth_head.resize_layers.\1."),
    (r"\.residual_layer(\d)\.convolution(\d)\.", r".resConfUnit\1.conv\2."),
    (r"^head\.conv1\.", "depth_head.scratch.output_conv1."),
    (r"^head\.conv2\.", "depth_head.scratch.output_conv2.0."),
    (r"^head\.conv3\.", "depth_head.scratch.output_conv2.2."),
)
NECK_CONV = re.compile(r"^neck\.convs\.(\d)\.")
NECK_FUSION = re.compile(r"^neck\.fusion_stage\.layers\.(\d)\.(projection\.)?")


def as_official(weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors of a file's network under V2's official names; names that are not known stay.

    What stands before the network's own names (`model.`) is taken off, and what is none of it left
    out. ModelError for a file of several networks.
    """
    before = dict.fromkeys(found[1] for found in map(CLASS_TOKEN.match, weights) if found)
    if len(before) > 1:
        names = ", ".join(repr(text.rstrip(".")) for text in before)
        raise ModelError(
            f"checkpoint {path} holds several networks, {names}: save one of them alone"
        )
    for text in before:
        weights = {n[len(text) :]: t for n, t in weights.items() if n.startswith(text)}
    if any(name.startswith("neck.") for name in weights):
        return _with_fused_qkv({_from_transformers(n): tensor for n, tensor in weights.items()})
    if any(name.startswith("backbone.pretrained.") for name in weights):
        return {_from_version_3(name): tensor for name, tensor in weights.items()}
    return dict(weights)


def _from_version_3(name: str) -> str:
    name = re.sub(r"^backbone\.pretrained\.", "pretrained.", name)
    return re.sub(r"^head\.", "depth_head.", name)


def _from_transformers(name: str) -> str:
    """Their fusion layers count from coarse to fine, the official ones from fine to coarse."""
    for pattern, ours in TRANSFORMERS:
        name = re.sub(pattern, ours, name)
    name = NECK_CONV.sub(lambda m: f"depth_head.scratch.layer{int(m[1]) + 1}_rn.", name)
    return NECK_FUSION.sub(
        lambda m: f"depth_head.scratch.refinenet{4 - int(m[1])}.{'out_conv.' if m[2] else ''}", name
    )


def _with_fused_qkv(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """query, key and value of each block as one tensor, in that order."""
    fused = {}
    for name, tensor in weights.items():
        parts = [
            name.replace(".attn.query.", f".attn.{part}.") for part in ("query", "key", "value")
        ]
        if ".attn.query." in name and all(part in weights for part in parts):
            whole = torch.cat([weights[part] for part in parts])
            fused[name.replace(".attn.query.", ".attn.qkv.")] = whole
        elif not re.search(r"\.attn\.(key|value)\.", name):
            fused[name] = tensor
    return fused


@dataclass(frozen=True)
class _Told:
    """What stands outside the tensors: the variants that it may be, and where that is said."""

    variants: tuple[str, ...] = ()
    max_depth_m: float = 0.0
    where: str = ""

    @property
    def advice(self) -> str:
        """What to give on the command line."""
        reach = f"{self.max_depth_m:g}" if self.max_depth_m else "METRES (20 indoors, 80 outdoors)"
        metric = f" foundation.max_depth_m={reach}" if self.variants == ("metric",) else ""
        return " or ".join(f"foundation.variant={v}" for v in self.variants) + metric


def check_evidence(
    path: Path, names: Mapping[str, Tensor], taps: Sequence[int], variant: str, max_depth_m: float
) -> str:
    """The variant of a checkpoint whose tensors have these official names.

    taps: the blocks whose tokens the decoder takes. variant empty: relative, where nothing says
    otherwise. ModelError where a variant has to be given, or another one than was.
    """
    if any(ANY_VIEW.search(name) for name in names):
        raise ModelError(
            f"checkpoint {path} is a Depth Anything 3 for several views; of version 3 "
            "DA3MONO-LARGE and DA3METRIC-LARGE make teachers"
        )
    config = _config_beside(path)
    told = _told_version_3(path, config) if SKY in names else _told_version_2(path, config, taps)
    if not (variant in told.variants or (not variant and "relative" in told.variants)):
        raise ModelError(f"checkpoint {path} {told.where}: give {told.advice}")
    if variant == "metric" and (
        max_depth_m <= 0 or (told.max_depth_m and told.max_depth_m != max_depth_m)
    ):
        where = told.where or "is said to be metric"
        told = _Told(("metric",), told.max_depth_m)
        raise ModelError(f"checkpoint {path} {where}: give {told.advice}")
    if variant != "metric" and max_depth_m:
        raise ModelError("foundation.max_depth_m is of foundation.variant=metric alone")
    return variant or "relative"


def _told_version_3(path: Path, config: dict) -> _Told:
    text = re.sub("[-_]", "", f"{config.get('model_name', '')} {_names_around(path)}".lower())
    named = [v for v in ("da3_mono", "da3_metric") if v.replace("_", "") in text]
    if len(named) == 1:
        return _Told((named[0],), where=f"is {named[0].replace('_', '').upper()} by its name")
    where = "is of Depth Anything 3, and nothing about it says which"
    return _Told(("da3_mono", "da3_metric"), where=where)


def _told_version_2(path: Path, config: dict, taps: Sequence[int]) -> _Told:
    backbone = config.get("backbone_config")
    blocks = backbone.get("out_indices") if isinstance(backbone, dict) else None
    if VERSION_1.search(path.name.lower()) or (blocks and blocks != [tap + 1 for tap in taps]):
        raise ModelError(f"checkpoint {path} is of Depth Anything V1; V2 and V3 make teachers")
    if str(config.get("depth_estimation_type")).lower() == "metric":
        reach = config.get("max_depth")
        reach = float(reach) if isinstance(reach, int | float) else 0.0
        to = f" to {reach:g} m" if reach else ""
        return _Told(("metric",), reach, f"is metric{to}, the config.json beside it says")
    names, text = _names_around(path), _names_around(path).lower()
    if not config and (METRIC.search(names) or TRAINED_METRIC.search(text)):
        reach = HYPERSIM_M if HYPERSIM.search(text) else 0.0
        reach = VIRTUAL_KITTI_M if VIRTUAL_KITTI.search(text) else reach
        return _Told(("metric",), reach, "is metric by its name")
    if config:
        return _Told(("relative",), where="is relative, the config.json beside it says")
    return _Told(("relative", "metric"), where="is of Depth Anything V2")


def _names_around(path: Path) -> str:
    """Of the file, its folder, and the model's folder in Hugging Face's cache; where it is a link,
    of what it leads to as well."""
    places = dict.fromkeys([path.absolute(), path.resolve()])
    cached = [part for part in path.parts if part.startswith("models--")]
    return " ".join([*(f"{place.name} {place.parent.name}" for place in places), *cached])


def _config_beside(path: Path) -> dict:
    """The config.json that transformers or version 3 wrote beside a file; {} if there is none.

    ModelError for one that does not read: it might have said which variant this is.
    """
    file = path.with_name("config.json")
    if path.is_symlink() and not file.exists():
        file = path.resolve().with_name("config.json")
    try:
        config = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}, which may say what {path.name} is, does not read") from error
    known = isinstance(config, dict) and (
        config.get("model_type") == "depth_anything" or "model_name" in config
    )
    return config if known else {}
