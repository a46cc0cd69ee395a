"""Other images that show what a camera sees, and where they were taken from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

MIRROR_CAM = np.diag([-1.0, 1.0, 1.0, 1.0])  # x right becomes left
TIME = slice(0, 2)
"""The camera's own images of before and after."""
SPACE = slice(2, 4)
"""Of the cameras to its right and left, of the same moment."""
BOTH = slice(4, 8)
"""Of these, of before and after."""
COUNT = 8


@dataclass(frozen=True)
class Sources:
    """S images of one size for one view; they are whole, whatever is cut out of the view."""

    images: np.ndarray
    """[S, h, w, 3] uint8 RGB."""
    seen: np.ndarray
    """[S, h, w] bool: False on the own vehicle, and all over where there is no such image."""
    K: np.ndarray
    """[S, 3, 3] float64 in pixels, pixel centres at integer + 0.5."""
    T: np.ndarray
    """[S, 4, 4] float64: p_source = T @ p_view, both camera frames, metres."""

    @classmethod
    def none(cls, count: int, size: tuple[int, int]) -> Sources:
        """Places for so many images of size (width, height), all of them empty."""
        width, height = size
        images = np.zeros((count, height, width, 3), np.uint8)
        K, T = np.tile(np.eye(3), (count, 1, 1)), np.tile(np.eye(4), (count, 1, 1))
        return cls(images, images[..., 0] > 0, K, T)

    def mirrored(self) -> Sources:
        """In the mirror world, see augment.mirrored."""
        K = self.K.copy()
        K[:, 0, 1:] = np.stack([-K[:, 0, 1], self.images.shape[2] - K[:, 0, 2]], axis=-1)
        T = MIRROR_CAM @ self.T @ MIRROR_CAM
        return replace(self, images=self.images[:, :, ::-1], seen=self.seen[:, :, ::-1], K=K, T=T)

    @staticmethod
    def stacked(views: Sequence[Sources]) -> dict[str, np.ndarray]:
        """Those of N views as the fields of a RigBatch."""
        return {
            "sources": np.stack([view.images for view in views]),
            "source_seen": np.stack([view.seen for view in views]),
            "source_K": np.stack([view.K for view in views]),
            "T_source_cam": np.stack([view.T for view in views]),
        }

    @classmethod
    def of(cls, item, index: int) -> Sources:
        """Those of one camera of a RigBatch without axis B that has them."""
        arrays = item.sources, item.source_seen, item.source_K, item.T_source_cam
        return cls(*(array[index] for array in arrays))
