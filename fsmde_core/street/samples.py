"""Rendered samples as the evaluation reads them: exact dense depth, poses, calibration."""

from __future__ import annotations

from pathlib import Path

from fsmde_core.data.batch import RigBatch
from fsmde_core.data.sample import DatasetError, Sample, Samples
from fsmde_core.street.cache import open_cache


class StreetTruth:
    """The samples of a folder that fsmde_core.street.cache has filled, read by their token.

    Takes RigDataset's place: the ground truth is the rendered depth of every pixel but the sky and
    the ego's own body. DatasetError if the folder holds none, or those of another split.
    """

    size = None  # the images' own

    def __init__(self, folder: Path | str, split: str):
        self._cache, indices = open_cache(folder)
        street = self._cache.street
        if street.split != split:
            raise DatasetError(f"folder {folder} holds split {street.split}, not {split}")
        self._index = {street.tokens[i]: i for i in indices}
        entries = [(token.rpartition("-")[0], token) for token in self._index]
        self.samples = Samples(entries, self._sample)

    def load(self, sample: Sample) -> RigBatch:
        """The arrays of one sample, without axis B."""
        return self._cache[self._index[sample.token]]

    def _sample(self, scene: str, token: str) -> Sample:
        index = self._index[token]
        stamps_ns, T_world_ego = self._cache.street.poses(index)
        return Sample(
            scene=scene,
            token=token,
            rig=self._cache.street.rig(index),
            image_files=(),
            stamps_ns=stamps_ns,
            T_world_ego=T_world_ego,
            lidar=None,
        )
