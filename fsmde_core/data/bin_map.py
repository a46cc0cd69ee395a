"""A teacher's bins for one image, kept while the image is mirrored, cropped and resized."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from fsmde_core.rig import Camera

STRIDE = 4  # of bin logits in the image they belong to, as the networks give them


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

        A longer lens makes the same depth a lower bin, as centres scale with the focal length in
        pixels: the logits move down the bins by the logarithm of the zoom, and centres are
        multiplied by it. Between bins and between pixels logits are interpolated linearly.
        """
        zoom = cut.K[0, 0] / camera.K[0, 0] * self._share(camera)
        logits = self._shifted(float(np.log(zoom)))
        left, top, width, height = window
        rows, columns = logits.shape[1:]
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
            for level in np.ascontiguousarray(logits)
        ]
        return BinMap(np.stack(warped), (self.centers * zoom).astype(np.float32))

    def _share(self, camera: Camera) -> float:
        """Width of camera's image over that of the image which the teacher saw."""
        return camera.width / (STRIDE * self.logits.shape[2])

    def _shifted(self, log_zoom: float) -> np.ndarray:
        """Logits at bin k from where the depth of bin k, zoomed, was before."""
        logs = np.log(self.centers)
        place = np.interp(logs + log_zoom, logs, np.arange(len(logs)))
        below = np.minimum(place.astype(int), len(logs) - 2)
        share = (place - below).astype(np.float32)[:, None, None]
        return self.logits[below] * (1 - share) + self.logits[below + 1] * share
