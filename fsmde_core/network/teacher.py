"""Teachers: frozen networks whose bins know depth up to the rig's scale.

One interface, the student's: teacher(images, K, T_ego_cam) -> BinOutput with bin_logits at stride 4
of the images. Depths and centres are relative: metres times a factor that differs from rig to rig.
A teacher is either a large network of our own or a bin head on a foundation model. On a metric
foundation model, with a loss that is not scale-invariant, they are metres. A foundation model's
file without a head teaches its shapes alone, at the depths of another network.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from fsmde_core.card import ModelError, load_card, sha256_of
from fsmde_core.network.bins import (
    GUESS_M,
    BinHead,
    BinOutput,
    expected_depth,
    for_rigs,
    full_precision,
    upsampled,
)
from fsmde_core.network.checkpoint import load_student, load_weights, student_config
from fsmde_core.network.depth_anything import (
    DA3_FOCAL_PX,
    DA3_SKY,
    IMAGENET_MEAN,
    IMAGENET_STD,
    PATCH_PX,
    SIZES,
    VARIANTS,
    FoundationOutput,
    load_depth_anything,
)
from fsmde_core.network.student import StudentConfig

SPREAD = 0.1
"""In logs of depth, of what a foundation model without a head says: about a bin."""
FITS, DOUBT = 5, 0.1  # rounds of fitting it; error in logs from which on a pixel counts less
FLAT = 1e-6  # variance over squared mean of what has no shape
TINY = 1e-12  # in place of 0 under a fraction
SURE_LOGIT = 15.0
"""Of the last bin, and of there being no surface, where a foundation model sees the sky."""


@dataclass(frozen=True)
class FoundationConfig:
    """A foundation model under a teacher."""

    checkpoint: str = ""
    """File of Depth Anything V2, DA3MONO-LARGE or DA3METRIC-LARGE: .pth or .safetensors, official
    names or transformers'; empty: no foundation model."""
    size: Literal["vits", "vitb", "vitl"] = "vits"
    """Small, Base or Large; of V2 only Small's licence (Apache-2.0) permits commercial use. Version
    3's are large."""
    variant: Literal["", "relative", "metric", "da3_mono", "da3_metric"] = ""
    """What the checkpoint says: relative inverse depth (V2), metres through a sigmoid (V2
    fine-tuned on Hypersim or Virtual KITTI), depth (DA3MONO-LARGE), metres (DA3METRIC-LARGE).
    Empty: relative, unless the file's name or a config.json beside it says otherwise; then it has
    to be given."""
    max_depth_m: NonNegativeFloat = 0.0
    """Of metric alone, metres: 20 for Hypersim, 80 for Virtual KITTI."""
    input_px: NonNegativeInt = 0
    """Shorter side at which the foundation model sees each image, whose aspect stays; both sides
    are rounded to patches of 14. 0: that of its training, 518, of version 3 504."""
    channels: PositiveInt = 128
    """Width of the layer between the frozen features and the bins."""
    sha256: str = ""
    """Of the checkpoint's bytes; another file is refused. Empty: any. The teacher's card has it."""

    @property
    def metric(self) -> bool:
        """Whether the foundation model's depth has a scale."""
        return VARIANTS[self.variant or "relative"].metric


class FoundationTeacher(nn.Module):
    """Bins on the frozen features of Depth Anything.

    Only the head is trained; the foundation model's own depth is one of its inputs. Each image is
    seen alone. Where version 3 sees the sky, a teacher in evaluation mode says that there is no
    surface, and puts the depth into the last bin.
    """

    def __init__(self, config: FoundationConfig, bins: StudentConfig):
        """ModelError for a checkpoint that is missing or does not fit the config."""
        super().__init__()
        self.backbone = _backbone(config).requires_grad_(False)
        self.foundation = _as_found(config, self.backbone.variant)
        features = SIZES[config.size].features + 1
        self.mix = nn.Sequential(nn.Conv2d(features, config.channels, 3, padding=1), nn.ReLU())
        self.head = BinHead(
            config.channels,
            config.channels,
            n_bins=bins.n_bins,
            min_depth_m=bins.min_depth_m,
            max_depth_m=bins.max_depth_m,
            canonical_focal_px=bins.canonical_focal_px,
            depth_mean=bins.depth_mean,
        )
        self.reach_m = bins.reach_m

    def forward(self, images: Tensor, K: Tensor, T_ego_cam: Tensor) -> BinOutput:
        """Depth of B rigs of N cameras; arguments and result as StudentDepthNet's.

        surface_logits only from version 3, which knows the sky.
        """
        views, K = images.flatten(0, 1).permute(0, 3, 1, 2).float(), K.flatten(0, 1)
        with _precision(images.device.type):
            output = self._bins(views, K)
        return for_rigs(output, images.shape[1])

    def _bins(self, views: Tensor, K: Tensor) -> BinOutput:
        """Bins of views [V, 3, H, W], 0..255."""
        height, width = views.shape[-2:]
        with torch.no_grad():
            seen, scale = _look(self.backbone, views, shorter_px=self.foundation.input_px)
            cue = self._cue(seen, K, scale=scale)
            cells = (height // 4, width // 4)
            maps = torch.cat([_resized(seen.features, cells), _resized(cue, cells)], dim=1)
        maps = self.mix(maps)
        output = self.head(maps, maps.mean(dim=(2, 3)), K[:, 0, 0])
        if seen.sky is None or self.training:
            return upsampled(output, (height, width))
        sky = _resized((seen.sky >= DA3_SKY)[:, None], (height, width))
        output = upsampled(_far_in_the_sky(output, sky), (height, width))
        return replace(output, surface_logits=SURE_LOGIT * (1 - 2 * sky[:, 0]))

    def _cue(self, seen: FoundationOutput, K: Tensor, *, scale: tuple[float, float]) -> Tensor:
        """The model's own depth as it is best learnt from, [V, 1, h, w].

        scale: of the pixels that the model sees to those that K [V, 3, 3] is of. Relative depth:
        its inverse over the mean. Metres: the logarithm, as a camera of the canonical focal length
        would have it, since that is what bins are at.
        """
        inverse = seen.inverse_depth
        if seen.sky is not None:
            inverse = torch.where(seen.sky >= DA3_SKY, torch.zeros_like(inverse), inverse)
        inverse = F.interpolate(inverse[:, None], seen.features.shape[-2:], mode="area")
        if self.foundation.metric:
            fx, fy = K[:, 0, 0], K[:, 1, 1]
            inverse = inverse * (fx / self.head.canonical_focal_px)[:, None, None, None]
            if self.backbone.variant == "da3_metric":
                focal_px = (scale[0] * fx + scale[1] * fy) / 2
                inverse = inverse * (DA3_FOCAL_PX / focal_px)[:, None, None, None]
            return -(GUESS_M * inverse.clamp_min(1 / self.reach_m)).log()
        return inverse / inverse.mean(dim=(2, 3), keepdim=True).clamp_min(1e-6)


class AnchoredTeacher(nn.Module):
    """Depth Anything without bins of its own, at the scale of a student, the anchor.

    What it sees of an image has no scale, and of version 2 no offset of the inverse depth either:
    both are fitted to the anchor's depth, image by image. What it says lies in the anchor's bins,
    SPREAD around its depth. Of surfaces and sky the anchor speaks.
    """

    def __init__(self, backbone: nn.Module, anchor: nn.Module, *, input_px: int):
        super().__init__()
        self.backbone, self.anchor, self.input_px = backbone, anchor, input_px

    def forward(self, images: Tensor, K: Tensor, T_ego_cam: Tensor) -> BinOutput:
        """Depth of B rigs of N cameras; arguments and result as StudentDepthNet's."""
        told = self.anchor(images, K, T_ego_cam)
        views = images.flatten(0, 1).permute(0, 3, 1, 2).float()
        with _precision(images.device.type):
            seen, _ = _look(self.backbone, views, shorter_px=self.input_px)
        logits, centers = (
            maps.flatten(0, 1).float() for maps in (told.bin_logits, told.bin_centers)
        )
        with full_precision(images.device.type):
            guess, _ = expected_depth(logits, centers, told.depth_mean)
            inverse = _resized(seen.inverse_depth[:, None], guess.shape[-2:])[:, 0]
            surface = _resized(told.surface_logits.flatten(0, 1)[:, None], guess.shape[-2:])[:, 0]
            inverse = _fitted(inverse, 1 / guess, surface > 0)
            apart = centers.log()[:, :, None, None] + inverse.log()[:, None]
            logits = -(apart / SPREAD).square() / 2
            depth, confidence = expected_depth(logits, centers, told.depth_mean)
        output = BinOutput(logits, centers, depth, confidence, depth_mean=told.depth_mean)
        output = for_rigs(upsampled(output, images.shape[2:4]), images.shape[1])
        return replace(output, surface_logits=told.surface_logits)


def _fitted(inverse: Tensor, expected: Tensor, counts: Tensor) -> Tensor:
    """a * inverse + b, as near to the expected inverse depth as can be; [V, h, w] each.

    a and b are of each view, over the pixels that count [V, h, w] bool. What is made small is the
    error's share of the depth, and what stands out counts less. Where a is not positive, the model
    sees nothing of what is expected there: the expected takes its place.
    """
    x, y, kept = (maps.flatten(1).float() for maps in (inverse, expected, counts))
    w = kept / y
    for _ in range(FITS):
        total = w.sum(dim=1).clamp_min(TINY)
        mean_x, mean_y = ((w * values).sum(dim=1) / total for values in (x, y))
        from_x, from_y = x - mean_x[:, None], y - mean_y[:, None]
        along = (w * from_x.square()).sum(dim=1)
        a = (w * from_x * from_y).sum(dim=1) / along.clamp_min(TINY)
        fitted = mean_y[:, None] + a[:, None] * from_x
        inside = fitted.maximum(y.amin(dim=1, keepdim=True))
        w = kept / inside.square() / (DOUBT + (inside / y).log().abs())
    sees = (a > 0) & (along > FLAT * total * mean_x.square())
    fitted = torch.where(sees[:, None], fitted, y)
    nearest, farthest = y.amax(dim=1, keepdim=True), y.amin(dim=1, keepdim=True)
    return torch.minimum(fitted.maximum(farthest), 2 * nearest).view_as(inverse)


def _look(
    backbone: nn.Module, views: Tensor, *, shorter_px: int
) -> tuple[FoundationOutput, tuple[float, float]]:
    """What a foundation model sees in views [V, 3, H, W], 0..255, at the size it is made for.

    Also by how much x and y of its own pixels are scaled from those of the views.
    """
    height, width = views.shape[-2:]
    size = patch_size_of((height, width), shorter_px=shorter_px)
    resized = F.interpolate(views, size, mode="bicubic", antialias=True)
    mean, std = (
        255 * torch.tensor(values, device=views.device)[:, None, None]
        for values in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return backbone((resized - mean) / std), (size[1] / width, size[0] / height)


def patch_size_of(size: tuple[int, int], *, shorter_px: int) -> tuple[int, int]:
    """Height and width in whole patches, of about the aspect of size (height, width).

    The shorter one is the multiple of 14 next to shorter_px.
    """
    scale = shorter_px / min(size)
    height, width = (max(1, round(scale * side / PATCH_PX)) * PATCH_PX for side in size)
    return height, width


def _precision(device_type: str) -> AbstractContextManager:
    """Autocast stays as it is on a GPU. On a CPU always float32: dense layers as these are three to
    six times slower there in bf16, unless it has instructions for that."""
    return full_precision(device_type) if device_type == "cpu" else nullcontext()


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps at another size, averaged where it is smaller; in float32: a CPU has no bf16 for it."""
    return F.interpolate(maps.float(), size, mode="bilinear", antialias=True)


def _far_in_the_sky(output: BinOutput, sky: Tensor) -> BinOutput:
    """The output of V views, all in the last bin where more than half of sky [V, 1, H, W] is."""
    with full_precision(sky.device.type):
        logits = output.bin_logits.float()
        last = torch.zeros_like(logits[:, :, :1, :1])
        last[:, -1] = SURE_LOGIT
        logits = torch.where(_resized(sky, logits.shape[-2:]) > 0.5, last, logits)
        depth, confidence = expected_depth(logits, output.bin_centers, output.depth_mean)
    return replace(output, bin_logits=logits, depth=depth, confidence=confidence)


def _backbone(config: FoundationConfig) -> nn.Module:
    if config.input_px < 0:
        raise ModelError(f"foundation.input_px is {config.input_px}, not a number of pixels")
    return load_depth_anything(
        config.checkpoint, config.size, variant=config.variant, max_depth_m=config.max_depth_m
    )


def _as_found(config: FoundationConfig, variant: str) -> FoundationConfig:
    """The config with all that the checkpoint decides; ModelError if it is not the one meant."""
    sha256 = sha256_of(config.checkpoint)
    if config.sha256 not in ("", sha256):
        raise ModelError(
            f"checkpoint {config.checkpoint} has sha256 {sha256}, not {config.sha256} of the file "
            "that the teacher's head was trained on"
        )
    input_px = config.input_px or VARIANTS[variant].input_px
    return replace(config, variant=variant, input_px=input_px, sha256=sha256)


def load_teacher(
    path: Path | str, *, anchor: Path | str = "", foundation: FoundationConfig | None = None
) -> nn.Module:
    """The teacher that a card describes, frozen, in evaluation mode, on the CPU.

    Or that of a foundation model's file, see AnchoredTeacher: anchor is a student's card, and
    foundation says what the file does not tell (variant, max_depth_m, input_px). ModelError as
    load_student, and for a foundation model's checkpoint that is missing or is not the file whose
    sha256 the card has.
    """
    if not is_card(path):
        return _anchored(path, anchor, foundation or FoundationConfig())
    card = load_card(path)
    if not card.foundation:
        return load_student(path).requires_grad_(False)
    unknown = set(card.foundation) - set(asdict(FoundationConfig()))
    if unknown or card.foundation.get("size") not in SIZES:
        raise ModelError(f"model card {path}: its foundation is no FoundationConfig")
    config = FoundationConfig(**card.foundation)
    teacher = FoundationTeacher(config, student_config(card))
    return load_weights(teacher, path).eval().requires_grad_(False)


def is_card(path: Path | str) -> bool:
    """Whether a teacher is named by its card, not by a foundation model's file."""
    return Path(path).suffix == ".json"


def _anchored(path: Path | str, anchor: Path | str, config: FoundationConfig) -> AnchoredTeacher:
    backbone = load_depth_anything(path, variant=config.variant, max_depth_m=config.max_depth_m)
    input_px = config.input_px or VARIANTS[backbone.variant].input_px
    teacher = AnchoredTeacher(backbone, load_student(anchor), input_px=input_px)
    return teacher.eval().requires_grad_(False)
