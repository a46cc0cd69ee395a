"""How the image of a camera becomes the network's input, and its depth the camera's again.

The network takes every shape whose sides are multiples of 32. Each camera is therefore seen as it
is: with its own aspect and square pixels, at about as many pixels as it is given. What does not
come out even is a few rows: cropped at the top, where the sky is, or repeated there. Nothing is
stretched; only a model file of one fixed shape, as they were once, gets every image at that shape.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from fsmde_core.rig import Camera

CELL = 32  # the network's coarsest stride
MOST_PIXELS = 1.08  # of those asked for: time stays what it was
MOST_CROPPED = 0.08  # of the rows, whatever it costs
NEAR = (0.7, 1.3)  # of the pixels aimed at: outside only where nothing inside is possible
ROW_WEIGHT = 2.0  # a share of rows cropped or repeated costs so many shares of pixels not used
# Below this factor bilinear resizing is as near to averaging areas as halved JPEGs are, in a
# seventh of the time (docs/performance.md).
ALIAS_FREE = 2
SAME_SURFACE = 1.1  # a step by more than this factor from one depth to the next is an edge
LINES = ((1, 0), (0, 1), (1, 1), (1, -1))  # through a pixel and two of its neighbours, x and y
ROUNDING = 1e-6  # pixels by which a product of floats may miss a whole number
BODY_SHARE = 127  # of 255: from here on a pixel of the network's input is the vehicle's body


def _second_difference(x: int, y: int) -> np.ndarray:
    """Kernel [3, 3] of the bend along a line through a pixel."""
    kernel = np.zeros((3, 3), np.float32)
    kernel[1 + y, 1 + x] = kernel[1 - y, 1 - x] = 1
    kernel[1, 1] = -2
    return kernel


BENDS = tuple(_second_difference(x, y) for x, y in LINES)


@dataclass(frozen=True, eq=False)
class Fit:
    """One camera and the network's input for it; fit_camera makes it."""

    source: Camera
    """The pinhole camera whose images come in."""
    camera: Camera
    """The same as the network sees it: sides multiples of 32, fx = fy."""
    top: int = 0
    """Rows at the top of the input that repeat the image's first row."""
    hidden: np.ndarray | None = None
    """[h, w] bool, further pixels of the input that show nothing of the world; None: none do."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the network's input in pixels."""
        return self.camera.width, self.camera.height

    @property
    def enough(self) -> tuple[int, int]:
        """Width and height of the smallest whole image that loses nothing."""
        exact = self.source.height * self._scale[1]
        return self.camera.width, int(np.ceil(exact - ROUNDING))

    def image(self, pixels: np.ndarray) -> np.ndarray:
        """The network's input [h, w, 3] of an image [H, W, 3], of the source's size or reduced.

        Also of a map [H, W]. Safe to call from any thread.
        """
        width, height = self.camera.width, self.camera.height - self.top
        first = (self.top - self._shift[1]) / self._scale[1]  # row of the source
        window = pixels[round(first * pixels.shape[0] / self.source.height) :]
        shrink = max(window.shape[1] / width, window.shape[0] / height)
        smooth = cv2.INTER_AREA if shrink >= ALIAS_FREE else cv2.INTER_LINEAR
        window = cv2.resize(window, (width, height), interpolation=smooth)
        if not self.top:
            return window
        return cv2.copyMakeBorder(window, self.top, 0, 0, 0, cv2.BORDER_REPLICATE)

    @cached_property
    def seen(self) -> np.ndarray:
        """[h, w] bool: the network's pixels that are of the image and not of the vehicle's body."""
        seen = np.ones(self.size[::-1], bool)
        seen[: self.top] = False
        if self.hidden is not None:
            seen &= ~self.hidden
        if self.source.body is not None:
            seen &= self.image(np.uint8(255) * self.source.body) <= BODY_SHARE
        return seen

    @cached_property
    def unseen(self) -> np.ndarray | None:
        """[h, w] bool where the camera sees nothing of the world; None if nowhere."""
        return None if self.seen.all() else ~self.seen

    @cached_property
    def blank(self) -> np.ndarray:
        """[h, w] float32: a depth image without a surface, +inf, and NaN where nothing is seen."""
        return np.where(self.seen, np.float32(np.inf), np.float32(np.nan))

    def to_source(self, depth: np.ndarray) -> np.ndarray:
        """Depth [h, w] of the network's pixels at those of the source's image, [H, W] float32.

        Between pixels of one surface it is interpolated; across an edge, and beside pixels without
        a depth (NaN, inf), each takes the nearest. NaN where the network saw nothing.
        """
        inverse = _inverse(depth)
        nearest, mixable, smooth = (
            cv2.warpAffine(
                maps,
                self.to_input,
                (self.source.width, self.source.height),
                flags=how | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for maps, how in (
                (depth, cv2.INTER_NEAREST),
                (_mixable(inverse), cv2.INTER_NEAREST),
                (inverse, cv2.INTER_LINEAR),
            )
        )
        result = nearest
        np.divide(1, smooth, out=result, where=mixable.view(bool))
        rows = np.arange(self.source.height) + 0.5
        result[rows * self._scale[1] + self._shift[1] < 0] = np.nan
        if self.source.body is not None:  # also what is too thin for the network's pixels
            result[self.source.body] = np.nan
        return result

    @property
    def to_input(self) -> np.ndarray:
        """[2, 3], from the source's pixels to the input's; centres at integers, OpenCV's way."""
        scale, shift = self._scale, self._shift
        return np.hstack([np.diag(scale), (shift + scale / 2 - 0.5)[:, None]])

    @property
    def _scale(self) -> np.ndarray:
        """Pixels of the input for each of the source, x and y."""
        return np.diag(self.camera.K)[:2] / np.diag(self.source.K)[:2]

    @property
    def _shift(self) -> np.ndarray:
        """Where the source's top left corner lies in the input, x and y."""
        return self.camera.K[:2, 2] - self._scale * self.source.K[:2, 2]


def fit_camera(
    camera: Camera, *, pixels: int, usual: int = 0, size: tuple[int, int] | None = None
) -> Fit:
    """The input for a camera, of about that many pixels, or as many as it has if those are fewer.

    A small image is enlarged to the usual number, that of the images which the network learnt
    from: at 160x120 it reads depth at a half (docs/results.md). Its width is the whole image's.
    The height is that of the image, rounded to a multiple of 32. size (width, height) is that of a
    model which takes no other: images are stretched to it.
    """
    if size is not None:
        return Fit(camera, replace(camera.resized(*size), body=None))
    aspect = camera.width / camera.height * camera.K[1, 1] / camera.K[0, 0]
    own = camera.width * camera.width / aspect
    width, height = _best_size(aspect, pixels, aim=min(pixels, max(own, usual)))
    image_height = width / aspect
    zoom = width / camera.width, image_height / camera.height
    to_input = np.diag([*zoom, 1.0])
    to_input[1, 2] = height - image_height  # the bottom row, where the road is, stays the bottom
    seen = replace(camera, width=width, height=height, K=to_input @ camera.K, body=None)
    rows = max(1, int(image_height + ROUNDING))
    return Fit(camera, seen, max(0, height - rows))


def _best_size(aspect: float, pixels: float, *, aim: float) -> tuple[int, int]:
    """Width and height, multiples of 32, of the smallest loss for an image of that aspect.

    They have about `aim` pixels, and no more than `pixels` but for MOST_PIXELS.
    """
    widths = CELL * np.arange(1, max(2, int(np.sqrt(aim * aspect) * 1.5) // CELL + 2))
    exact = widths / aspect
    rows = np.stack([np.floor(exact / CELL), np.ceil(exact / CELL)]).clip(1)
    heights = CELL * rows
    area = widths * heights / aim
    loss = np.abs(np.log(area)) + ROW_WEIGHT * np.abs(np.log(heights / exact))
    loss = np.where((area > NEAR[0]) & (area <= NEAR[1]), loss, loss + 1)
    share = widths * heights / pixels
    loss = np.where(share <= MOST_PIXELS, loss, loss + 1e3 * (1 + np.log(share)))
    loss = np.where(heights >= (1 - MOST_CROPPED) * exact, loss, loss + 1e6)
    row, column = np.unravel_index(loss.argmin(), loss.shape)
    return int(widths[column]), int(heights[row, column])


def _inverse(depth: np.ndarray) -> np.ndarray:
    """1 / depth [h, w], which on any plane is linear in the pixels; 0 where there is no depth.

    float64, so that a depth comes back to the last bit.
    """
    known = np.isfinite(depth) & (depth > 0)
    return np.divide(1, depth, out=np.zeros(depth.shape), where=known, dtype=np.float64)


def _mixable(inverse: np.ndarray) -> np.ndarray:
    """1 where a pixel [h, w] and all eight around it are of one surface, else 0; uint8.

    However steep a surface is, the road far ahead say, its inverse depth hardly bends.
    """
    inverse = inverse.astype(np.float32)
    bend = np.zeros_like(inverse)
    for kernel in BENDS:
        along = cv2.filter2D(inverse, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        np.maximum(bend, np.abs(along), out=bend)
    nearest = cv2.erode(inverse, np.ones((3, 3), np.uint8))
    return ((nearest > 0) & (bend < (1 - 1 / SAME_SURFACE) * inverse)).astype(np.uint8)
