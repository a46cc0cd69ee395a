"""Augmentations that keep geometry true: whatever happens to the pixels happens to K and poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field, NonNegativeInt

from fsmde_core.data.batch import RigBatch
from fsmde_core.data.bin_map import BinMap
from fsmde_core.data.sample import scatter_depth
from fsmde_core.data.sources import MIRROR_CAM, Sources
from fsmde_core.fit import CELL
from fsmde_core.geometry import pixel_rays, transform_points, unproject
from fsmde_core.rig import Camera

GROUND_M = 0.3  # above the ego frame's origin: kerbs and slopes are ground too
Ratio = Annotated[float, Field(ge=0, le=100)]
MIRROR_EGO = np.diag([1.0, -1.0, 1.0, 1.0])  # y left becomes right


@dataclass(frozen=True)
class AugmentConfig:
    """What may happen to a sample, and at which sizes it is learnt from."""

    mirror_probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of the mirror world, left and right cameras exchanged; streets have no preferred side."""
    smallest_crop: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the sides of the largest window that fits; every camera is cropped for itself, so
    focal lengths vary. 1: the largest, centred."""
    aspects: tuple[Ratio, Ratio] = (0.0, 0.0)
    """Smallest and largest width over height of the network's input, one draw a step, even in logs;
    (0, 0): that of the student's input size."""
    pixels: tuple[Ratio, Ratio] = (1.0, 1.0)
    """Fewest and most pixels of the network's input, as shares of the student's input size, drawn
    likewise."""
    colour_strength: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Largest relative change of gain, balance, contrast and gamma."""
    colour_per_camera: bool = False
    """True: each camera its own colours. False: one draw a rig, as cameras of one make agree."""
    camera_strength: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Of what a real camera adds and a renderer leaves out, 0 to 1: mixed colours, uneven light,
    blur, noise and JPEG; each camera its own."""
    keep_cameras: NonNegativeInt = 0
    """Cameras left after others are dropped; 0 keeps all. A number, not a chance: samples of one
    batch need equally many."""
    ground_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of the pixels on the ground, those that are learnt from. Rays alone tell where flat ground
    is, and it fills half of the images: with less of it more is learnt of what stands on it."""


def augmented(
    item: RigBatch,
    config: AugmentConfig,
    *,
    size: tuple[int, int],
    rng: np.random.Generator,
    dense: bool = False,
) -> RigBatch:
    """One sample (without axis B), mirrored, dropped, cropped, coloured, at size (width, height).

    K, T_ego_cam, depth_gt and mask follow the pixels; a depth that is no longer in view is gone.
    Where depth_gt is sparse its pixels move as points, and of two on one pixel the nearer stays;
    where it is dense it is resampled as the mask is, each pixel from the nearest. A teacher's bins
    follow the pixels too, see BinMap.
    """
    views = [_View.of(item, i) for i in range(len(item.names))]
    if rng.random() < config.mirror_probability:
        views = _mirrored_rig(views)
    if config.keep_cameras:
        kept = np.sort(rng.permutation(len(views))[: config.keep_cameras])
        views = [views[i] for i in kept]
    rig_seed = rng.integers(2**32)
    for i, view in enumerate(views):
        window = random_window(view.camera, size, smallest=config.smallest_crop, rng=rng)
        views[i] = view.cropped(window, size, dense=dense)
        colours = rng if config.colour_per_camera else np.random.default_rng(rig_seed)
        image = colour_jitter(views[i].image, colours, strength=config.colour_strength)
        if config.camera_strength:
            image = as_camera_sees(image, rng, strength=config.camera_strength)
        views[i] = replace(views[i], image=image, plain=views[i].image)
    return _stacked(item, views)


def with_less_ground(item: RigBatch, share: float, rng: np.random.Generator) -> RigBatch:
    """The sample, but of the truth lower than GROUND_M only a share of the pixels is valid."""
    if share == 1:
        return item
    valid = item.valid.copy()
    for depth, K, T_ego_cam, known in zip(item.depth_gt, item.K, item.T_ego_cam, valid):
        heights = transform_points(T_ego_cam, unproject(depth, K))[..., 2]
        known &= (heights >= GROUND_M) | (rng.random(depth.shape) < share)
    return replace(item, valid=valid)


def at_size(item: RigBatch, *, size: tuple[int, int], dense: bool, whole: bool = False) -> RigBatch:
    """One sample (without axis B) at size (width, height), nothing else changed.

    Of each image the largest window that is not stretched, from its middle; or, if `whole`, all of
    it, stretched. dense as for augmented.
    """
    views = [_View.of(item, i) for i in range(len(item.names))]
    for i, view in enumerate(views):
        camera = view.camera
        window = (0, 0, camera.width, camera.height) if whole else largest_window(camera, size)
        views[i] = view.cropped(window, size, dense=dense)
    return _stacked(item, views)


@dataclass(frozen=True)
class _View:
    """What one camera of a sample sees."""

    camera: Camera
    image: np.ndarray
    depth_gt: np.ndarray
    mask: np.ndarray
    stamp_ns: int
    bins: BinMap | None = None
    sources: Sources | None = None
    plain: np.ndarray | None = None

    @classmethod
    def of(cls, item: RigBatch, index: int) -> _View:
        height, width = item.depth_gt.shape[1:]
        name, K, T_ego_cam = item.names[index], item.K[index], item.T_ego_cam[index]
        camera = Camera(name, name, width, height, K, T_ego_cam)
        depth_gt = np.where(item.valid[index], item.depth_gt[index], np.float32(0))
        bins = None
        if item.teacher_logits is not None:
            bins = BinMap(item.teacher_logits[index], item.teacher_centers[index])
        sources = None if item.sources is None else Sources.of(item, index)
        image, mask, stamp_ns = item.images[index], item.mask[index], item.stamps_ns[index]
        return cls(camera, image, depth_gt, mask, stamp_ns, bins, sources)

    def mirrored(self) -> _View:
        camera, image = mirrored(self.camera, self.image)
        depth_gt, mask = self.depth_gt[:, ::-1], self.mask[:, ::-1]
        bins, sources = self.bins and self.bins.mirrored(), self.sources and self.sources.mirrored()
        return replace(
            self, camera=camera, image=image, depth_gt=depth_gt, mask=mask, bins=bins,
            sources=sources,
        )  # fmt: skip

    def cropped(self, window: tuple[int, ...], size: tuple[int, int], *, dense: bool) -> _View:
        camera, image = crop_and_resize(self.camera, self.image, window=window, size=size)
        left, top, width, height = window
        inside = np.s_[top : top + height, left : left + width]
        depth_gt, mask = self.depth_gt[inside], self.mask[inside].astype(np.uint8)
        if dense:
            depth_gt = cv2.resize(depth_gt, size, interpolation=cv2.INTER_NEAREST_EXACT)
        else:
            seen = self.camera.cropped(*window)
            depth_gt = scatter_depth(_points(depth_gt, seen.K), camera)
        mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT).astype(bool)
        bins = self.bins and self.bins.seen_by(self.camera, camera, window=window)
        return replace(self, camera=camera, image=image, depth_gt=depth_gt, mask=mask, bins=bins)


def _points(depth: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Points [P, 3] in the camera frame of the pixels [H, W] that have a depth."""
    rows, columns = np.nonzero(depth)
    rays = pixel_rays(K, np.stack([columns + 0.5, rows + 0.5], axis=-1))
    return rays * depth[rows, columns, None]


def _mirrored_rig(views: Sequence[_View]) -> list[_View]:
    """All views mirrored, each under the name of the camera whose place it takes.

    What the left camera saw is now on the right, in the right camera's slot. In a rig that is not
    alike on both sides, where two views would take one place, all keep their slots.
    """
    seen = [view.mirrored() for view in views]
    here = np.array([view.camera.azimuth_rad for view in views])
    there = np.array([view.camera.azimuth_rad for view in seen])
    off = np.abs((there[None] - here[:, None] + np.pi) % (2 * np.pi) - np.pi)
    order = off.argmin(axis=1)
    if len(set(order)) < len(views):
        order = np.arange(len(views))
    names = [view.camera.name for view in views]
    return [
        replace(seen[i], camera=replace(seen[i].camera, name=name, frame_id=name))
        for i, name in zip(order, names)
    ]


def _stacked(item: RigBatch, views: Sequence[_View]) -> RigBatch:
    depth_gt = np.stack([view.depth_gt for view in views])
    more = {}
    if item.teacher_logits is not None:
        more["teacher_logits"] = np.stack([view.bins.logits for view in views])
        more["teacher_centers"] = np.stack([view.bins.centers for view in views])
    if item.sources is not None:
        more = {**more, **Sources.stacked([view.sources for view in views])}
        plain = [view.image if view.plain is None else view.plain for view in views]
        more["plain"] = np.stack(plain)
    return replace(
        item,
        images=np.stack([view.image for view in views]),
        K=np.stack([view.camera.K for view in views]),
        T_ego_cam=np.stack([view.camera.T_ego_cam for view in views]),
        depth_gt=depth_gt,
        valid=depth_gt > 0,
        mask=np.stack([view.mask for view in views]),
        stamps_ns=tuple(view.stamp_ns for view in views),
        names=tuple(view.camera.name for view in views),
        **more,
    )


def mirrored(camera: Camera, image: np.ndarray) -> tuple[Camera, np.ndarray]:
    """The camera and image [H, W, 3] of the mirror world, where left and right change places.

    Mirror every camera of a rig or none, or neighbours no longer agree.
    """
    K = camera.K.copy()
    K[0, 1:] = -K[0, 1], camera.width - K[0, 2]  # a skew leans the other way
    T_ego_cam = MIRROR_EGO @ camera.T_ego_cam @ MIRROR_CAM
    return replace(camera, K=K, T_ego_cam=T_ego_cam), image[:, ::-1]


def random_size(
    config: AugmentConfig, default: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int]:
    """Width and height of the network's input, multiples of 32; default is the student's own."""
    width, height = default
    aspect, share = width / height, np.exp(rng.uniform(*np.log(config.pixels)))
    if config.aspects[0]:
        aspect = np.exp(rng.uniform(*np.log(config.aspects)))
    return size_of(aspect, pixels=width * height * share)


def size_of(aspect: float, *, pixels: float) -> tuple[int, int]:
    """Width and height, multiples of 32, of an input of about that aspect and so many pixels."""
    sides = np.sqrt([pixels * aspect, pixels / aspect])
    width, height = (max(CELL, CELL * round(side / CELL)) for side in sides)
    return width, height


def largest_window(camera: Camera, size: tuple[int, int], *, share: float = 1.0) -> tuple[int, ...]:
    """The largest window (left, top, width, height) of an image that size (width, height) shows.

    It lies in the middle. Its aspect is such that pixels are square at that size, also where those
    of the image are not. share: of its sides, for a smaller one.
    """
    aspect = size[0] / size[1] * camera.K[0, 0] / camera.K[1, 1]
    whole = min(camera.width, camera.height * aspect)
    width = min(max(1, round(share * whole)), camera.width)
    height = min(max(1, round(share * whole / aspect)), camera.height)
    return (camera.width - width) // 2, (camera.height - height) // 2, width, height


def random_window(
    camera: Camera, size: tuple[int, int], *, smallest: float, rng: np.random.Generator
) -> tuple[int, ...]:
    """A random window (left, top, width, height) to be shown at size (width, height), unstretched.

    Its sides are at least `smallest` of those of the largest one; of 1 it is that one itself.
    """
    if smallest >= 1:
        return largest_window(camera, size)
    share = rng.uniform(smallest, 1.0)
    _, _, width, height = largest_window(camera, size, share=share)
    left = int(rng.integers(0, camera.width - width + 1))
    top = int(rng.integers(0, camera.height - height + 1))
    return left, top, width, height


def crop_and_resize(
    camera: Camera, image: np.ndarray, *, window: tuple[int, ...], size: tuple[int, int]
) -> tuple[Camera, np.ndarray]:
    """Cut window (left, top, width, height) out and stretch it to size (width, height)."""
    left, top, width, height = window
    cut = np.ascontiguousarray(image[top : top + height, left : left + width])
    shrinks = width >= size[0] and height >= size[1]
    # INTER_AREA enlarges to blocks
    smooth = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(cut, size, interpolation=smooth)
    return camera.cropped(left, top, width, height).resized(*size), resized


def colour_jitter(image: np.ndarray, rng: np.random.Generator, *, strength: float) -> np.ndarray:
    """Gain, channel balance, contrast and gamma, each changed by up to `strength`; uint8 RGB."""
    gains = 1 + rng.uniform(-strength, strength) + rng.uniform(-strength, strength, 3) / 2
    gamma = np.exp(rng.uniform(-strength, strength))
    contrast = 1 + rng.uniform(-strength, strength)
    levels = np.arange(256)[:, None] / 255.0
    curve = (levels**gamma * gains - 0.5) * contrast + 0.5
    table = np.clip(255 * curve + 0.5, 0, 255).astype(np.uint8)
    return cv2.LUT(np.ascontiguousarray(image), table.reshape(256, 1, 3))


def as_camera_sees(image: np.ndarray, rng: np.random.Generator, *, strength: float) -> np.ndarray:
    """The image [H, W, 3] uint8 RGB through a poorer camera, each fault by a random share.

    Colours mixed, greyed, now and then negative (a white car turns black); light that varies over
    the image; blur, noise, and JPEG's blocks.
    """
    colour, light, blur, noise, blocks = strength * rng.random(5)
    mixed = np.eye(3) * (1 - colour) + colour * rng.dirichlet(np.ones(3), size=3)
    pixels = cv2.transform(image.astype(np.float32), mixed)
    if rng.random() < strength / 5:
        pixels = 255 - pixels
    field = light * (rng.normal(0, 0.5, (3, 5, 1)) + rng.normal(0, 0.15, (3, 5, 3)))
    pixels *= cv2.resize(np.exp(field), image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    pixels = cv2.GaussianBlur(pixels, (0, 0), 0.2 + 1.3 * blur)
    pixels += rng.normal(0, 12 * noise, pixels.shape)
    pixels = np.clip(pixels + 0.5, 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(95 - 70 * blocks)]
    _, encoded = cv2.imencode(
        ".jpg", pixels[..., ::-1], quality
    )  # JPEG keeps green, red, then blue
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
