"""Depth judged by other images: it is right if it takes each pixel to where they show the same.

Known from Monodepth2 (Godard et al. 2019): the weighted SSIM and L1, the minimum over the sources,
which forgives what one of them does not see, and the automatic mask of what does not move in the
picture. Known from FSM and VFDepth: neighbouring cameras as sources, in space and in space and time
at once, which with extrinsics and odometry make the depth metric. The code is this project's own.

Leading axes [B, N] are rigs of N cameras, S the sources of each, in the order of data.sources; P
are the pairs of a view and a source that there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fsmde_core.data.sources import SPACE, TIME
from fsmde_core.network.bins import full_precision

COARSE = 2  # sides of a cell that is compared: at every pixel a step would take three times as long
SSIM_SHARE = 0.85
C1, C2 = 0.01**2, 0.03**2  # keep SSIM finite where an image is black, or flat
NEAREST_M = 0.1  # what comes nearer to a source's camera, or behind it, is not in its image
WHOLE = 0.999  # of a pixel's surroundings that a source must show
GAINS = (0.5, 2.0)  # between cameras, whose exposures differ
# Of what another camera says: a tenth of a degree between two that are 0.3 m apart is 12 % of 20 m,
# so where the camera's own images tell anything, they tell it better. It still gives metres.
ACROSS_WEIGHT = 0.1


@dataclass(frozen=True)
class Comparison:
    """What the views of a batch are compared with; as in RigBatch."""

    plain: Tensor
    """[B, N, H, W, 3] uint8, the views themselves."""
    K: Tensor
    """[B, N, 3, 3]"""
    images: Tensor
    """[B, N, S, h, w, 3] uint8"""
    seen: Tensor
    """[B, N, S, h, w] bool"""
    source_K: Tensor
    """[B, N, S, 3, 3]"""
    T: Tensor
    """[B, N, S, 4, 4]"""


def photometric_loss(depth: Tensor, sources: Comparison, kept: Tensor) -> Tensor:
    """Error of the source that agrees best, mean over the pixels of a rig that any source shows.

    depth [B, N, H, W] in metres; kept [B, N, H, W], the weight of each pixel: 0 on the own vehicle
    and in the sky.
    """
    with full_precision(depth.device.type):
        error, weight = best_errors(depth, sources)
        weight = (_least_around(kept.float()) * weight).flatten(1)
        return ((weight * error.flatten(1)).sum(dim=1) / weight.sum(dim=1).clamp_min(1)).mean()


def best_errors(depth: Tensor, sources: Comparison) -> tuple[Tensor, Tensor]:
    """The error of the source that agrees best, and how much it counts; both [B, N, h, w].

    It counts 1, less if it is of another camera, and 0 where there is none.

    h and w are H and W over COARSE: images are averaged over cells, and so is inverse depth. Images
    of another moment count only where they agree better than if nothing were moved: else the
    vehicle stands, or something goes with it.
    """
    rigs, seen = depth.shape[:2], sources.seen.flatten(0, 1)
    pairs = view, place = seen.flatten(2).any(dim=2).nonzero(as_tuple=True)
    target = F.avg_pool2d(_levels(sources.plain.flatten(0, 1)), COARSE)[view]
    layers = torch.cat(
        [_levels(sources.images.flatten(0, 1)[pairs]), seen[pairs][:, None].float()], dim=1
    )
    maps = 1 / F.avg_pool2d(1 / depth.float().flatten(0, 1), COARSE)
    nothing = torch.full((*seen.shape[:2], *maps.shape[1:]), torch.inf, device=depth.device)
    cells = torch.diag(torch.tensor([1 / COARSE, 1 / COARSE, 1.0], device=depth.device))
    K, source_K, T = (t.flatten(0, 1) for t in (cells @ sources.K, sources.source_K, sources.T))
    K, source_K, T = K[view], source_K[pairs], T[pairs]

    found = _errors(target, layers, _places(maps[view], K, source_K, T), other=place >= TIME.stop)
    errors = nothing.index_put(pairs, found)
    with torch.no_grad():
        own = place < TIME.stop
        unmoved = _places(torch.ones_like(maps[view[own]]), K[own], source_K[own], _unmoved(T[own]))
        still = _errors(target[own], layers[own], unmoved, other=place[own] < 0)
        still = nothing.index_put((view[own], place[own]), still)[:, TIME].amin(dim=1)
        later = torch.ones(errors.shape[1], dtype=torch.bool, device=depth.device)
        later[SPACE] = False
        still = still <= errors[:, later].amin(dim=1)
        left_out = still[:, None] & later[:, None, None]
    best, place = errors.masked_fill(left_out, torch.inf).min(dim=1)
    weight = torch.where(place < TIME.stop, 1.0, ACROSS_WEIGHT) * best.isfinite()
    best = best.masked_fill(weight == 0, 0.0)
    return best.unflatten(0, rigs), weight.unflatten(0, rigs)


def _least_around(maps: Tensor) -> Tensor:
    """The least of [B, N, H, W] in each cell and those around it, which SSIM sees; [B, N, h, w]."""
    least = -F.max_pool2d(-maps.flatten(0, 1), 3 * COARSE, stride=COARSE, padding=COARSE)
    return least.unflatten(0, maps.shape[:2])


def _unmoved(T: Tensor) -> Tensor:
    return torch.eye(4, device=T.device).expand_as(T)


def _places(depth: Tensor, K: Tensor, source_K: Tensor, T: Tensor) -> Tensor:
    """Where each pixel lies in a source's image, in pixels; out of it where it is behind.

    depth [P, H, W]; K, source_K [P, 3, 3]; T [P, 4, 4], p_source = T @ p_view; [P, 2, H, W].
    """
    height, width = depth.shape[1:]
    v, u = (torch.arange(n, device=depth.device) + 0.5 for n in (height, width))
    pixels = torch.stack([u.expand(height, -1), v[:, None].expand(-1, width)]).flatten(1)
    pixels = torch.cat([pixels, torch.ones_like(pixels[:1])])
    rays = source_K @ T[:, :3, :3] @ torch.linalg.inv(K) @ pixels
    points = rays * depth.flatten(1)[:, None] + source_K @ T[:, :3, 3:]
    z = points[:, 2:]
    ahead = z > NEAREST_M
    uv = torch.where(ahead, points[:, :2] / z.clamp_min(NEAREST_M), -1.0e4)
    return uv.unflatten(2, (height, width))


def _errors(target: Tensor, layers: Tensor, uv: Tensor, *, other: Tensor) -> Tensor:
    """How the targets [P, 3, H, W] differ from the sources at uv [P, 2, H, W]; [P, H, W].

    layers [P, 4, h, w]: colours, and 1 where anything but the own vehicle is seen. Infinite where a
    source does not show all that SSIM looks at. other [P] bool: of another camera.
    """
    height, width = layers.shape[-2:]
    size = torch.tensor([width, height], device=uv.device).view(1, 2, 1, 1)
    grid = (2 * uv / size - 1).movedim(1, -1)
    sampled = F.grid_sample(layers, grid, align_corners=False)  # zeros outside: not seen
    image, seen = sampled[:, :3], sampled[:, 3:]
    whole = _blurred(seen) > WHOLE
    image = image * torch.where(other[:, None, None, None], _gain(target, image, whole), 1.0)
    error = SSIM_SHARE * _dissimilarity(target, image)
    error = error + (1 - SSIM_SHARE) * (target - image).abs()
    return error.mean(dim=1).masked_fill(~whole[:, 0], torch.inf)


@torch.no_grad()
def _gain(target: Tensor, image: Tensor, whole: Tensor) -> Tensor:
    """Of the exposures of two cameras, from what both see; [P, 1, 1, 1]."""
    ours, theirs = ((whole * maps).sum(dim=(1, 2, 3), keepdim=True) for maps in (target, image))
    return (ours / theirs.clamp_min(1e-6)).clamp(*GAINS)


def _dissimilarity(a: Tensor, b: Tensor) -> Tensor:
    """(1 - SSIM) / 2 of images [P, C, H, W] in windows of 3 x 3 pixels, 0 to 1."""
    mean_a, mean_b = _blurred(a), _blurred(b)
    var_a = _blurred(a * a) - mean_a * mean_a
    var_b = _blurred(b * b) - mean_b * mean_b
    both = _blurred(a * b) - mean_a * mean_b
    alike = (2 * mean_a * mean_b + C1) * (2 * both + C2)
    alike = alike / ((mean_a * mean_a + mean_b * mean_b + C1) * (var_a + var_b + C2))
    return ((1 - alike) / 2).clamp(0, 1)


def _blurred(maps: Tensor) -> Tensor:
    return F.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)


def _levels(images: Tensor) -> Tensor:
    """Images [..., H, W, 3] of 0 to 255 as [..., 3, H, W] of 0 to 1."""
    return images.movedim(-1, -3).float() / 255


def smoothness_loss(depth: Tensor, plain: Tensor, mask: Tensor) -> Tensor:
    """How much inverse depth, over its mean in the view, varies where the image does not.

    depth [B, N, H, W]; plain [B, N, H, W, 3] uint8; mask [B, N, H, W] bool, the own vehicle.
    """
    with full_precision(depth.device.type):
        inverse = 1 / depth.float()
        inverse = inverse / inverse.mean(dim=(-2, -1), keepdim=True)
        image, seen = plain.float().mean(dim=-1) / 255, ~mask
        across = _steps(inverse, image, seen, dim=-1)
        return (across + _steps(inverse, image, seen, dim=-2)).mean()


def _steps(inverse: Tensor, image: Tensor, seen: Tensor, *, dim: int) -> Tensor:
    """Mean step of a rig to the next pixel along dim, small where the image has an edge."""
    weight = torch.exp(-10 * image.diff(dim=dim).abs())
    seen = seen.narrow(dim, 1, seen.shape[dim] - 1) & seen.narrow(dim, 0, seen.shape[dim] - 1)
    weight = (weight * seen).flatten(1)
    return (weight * inverse.diff(dim=dim).abs().flatten(1)).mean(dim=1)
