"""A teacher's bins for one image, kept while the image is mirrored, cropped and resized."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from fsmde_core.rig import Camera

STRIDE = 4  # of bin logits in the image they belong to, as the networks give them
LEAST_PROBABILITY = 1e-7  # of a bin: its logarithm is finite


@dataclass(frozen=True)
class BinMap:
    """Bin logits and centres of one image of any size."""

    logits: np.ndarray
    """[Z, h, w] float32, natural logarithms up to a constant."""
    centers: np.ndarray
    """[Z] float32, increasing."""

    def mirrored(self) -> BinMap:
        """Of the mirrored image."""
        return replace(self, logits=self.logits[:, :, ::-1])

    def seen_by(self, camera: Camera, cut: Camera, *, window: tuple[int, ...]) -> BinMap:
        """Of window (left, top, width, height) of camera's image, which is all that `cut` sees.

        What is cut out of an image is as far away as before: bins stay where they are. Between
        pixels probabilities are mixed, not their logarithms: every bin keeps what it has, and the
        expected depth is the mean of the neighbours'.
        """
        left, top, width, height = window
        rows, columns = self.logits.shape[1:]
        size = cut.width // STRIDE, cut.height // STRIDE
        # pixel centres at integer + 0.5, as everywhere; warpAffine has them at integers
        sx = width / camera.width * columns / size[0]
        sy = height / camera.height * rows / size[1]
        M = np.array(
            [
                [sx, 0, left / camera.width * columns + 0.5 * sx - 0.5],
                [0, sy, top / camera.height * rows + 0.5 * sy - 0.5],
            ]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = [
            cv2.warpAffine(level, M, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
            for level in _probabilities(self.logits)
        ]
        return replace(self, logits=np.log(np.maximum(np.stack(warped), LEAST_PROBABILITY)))


def _probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the first axis, [Z, h, w] float32."""
    shares = np.exp(logits - logits.max(axis=0, keepdims=True))
    return np.ascontiguousarray(shares / shares.sum(axis=0, keepdims=True))
