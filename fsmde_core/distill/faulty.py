"""Samples that do not read: passed over, counted and named, if data.skip_faulty asks for that."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from fsmde_core.data.batch import RigBatch
from fsmde_core.data.sample import DatasetError


class PassedOver(Sequence[RigBatch]):
    """Samples, each that does not read replaced by the next that does.

    Which one that is does not depend on who reads, or on how often. DatasetError if none reads.
    """

    def __init__(self, samples: Sequence[RigBatch]):
        self.samples = samples
        # seen by all processes that read for this one
        self._faulty = torch.zeros(len(samples), dtype=torch.bool).share_memory_()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> RigBatch:
        last = None
        for place in (*range(index, len(self)), *range(index)):
            if self._faulty[place]:
                continue
            try:
                return self.samples[place]
            except DatasetError as error:
                self._faulty[place], last = True, error
                print(f"passed over: {error}", file=sys.stderr)
        raise DatasetError(f"none of {len(self)} samples reads; {last or 'all are passed over'}")

    @property
    def faulty(self) -> int:
        """Samples found so far that do not read."""
        return int(self._faulty.sum())
