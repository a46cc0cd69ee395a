"""A teacher asked once: its bins for every sample of a dataset, kept in a folder.

The teacher sees each image whole and in its own shape, at as many pixels as its input size has,
which may be more than the student's; what a student sees of it after augmentation is cut out of the
kept bins. Colours change only for the student.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from fsmde_core.card import load_card
from fsmde_core.data.augment import at_size, size_of
from fsmde_core.data.batch import RigBatch
from fsmde_core.data.sample import DatasetError, arrays_in, inside_root
from fsmde_core.distill.config import DataConfig, DistillConfig
from fsmde_core.distill.stream import by_camera_count, open_split
from fsmde_core.files import write_arrays, write_json
from fsmde_core.network.teacher import load_teacher

NOTE = "teacher.json"
FOUNDATION = ("sha256", "variant", "max_depth_m", "input_px")  # decides what comes out
SEEN = "mean_colours"
SEEN_DIFFER = 1.0  # of 255; JPEG decoders differ by less
STEPS = 16.0  # levels a unit of log probability; 255 levels reach down to exp(-15.9)


class CachedTeacher:
    """Samples to learn from with the teacher's bins, read from a folder; `fill` asks the teacher.

    A sequence of RigBatch as open_split's. DatasetError for a folder made by another teacher or at
    another size, and for a sample that is not there or does not read.
    """

    def __init__(self, config: DistillConfig, data: DataConfig):
        """config names the teacher and the folder; data, one of its sources, the samples."""
        self.samples, self.folder = open_split(data, train=True), Path(config.teacher_cache)
        card = load_card(config.teacher)
        self._size = (card.input_width, card.input_height)
        self._dense = data.kind == "street"
        origin = {"weights": card.sha256, "size": list(self._size)}
        if card.foundation:  # the weights are those of its head alone
            origin["foundation"] = {key: card.foundation.get(key) for key in FOUNDATION}
        self._claim(origin)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> RigBatch:
        item = self.samples[index]
        file = self._file(item.tokens)
        if not file.exists():
            raise DatasetError(f"teacher output {file} is missing; fsmde-teacher cache makes it")
        with arrays_in(file, what=f"teacher output {file}") as arrays:
            if not _is_of(arrays, item):
                raise DatasetError(
                    f"teacher output {file} is of another sample of that name: folders whose "
                    "samples share names need a teacher_cache each"
                )
            logits = arrays["levels"].astype(np.float32) / -STEPS
            return replace(item, teacher_logits=logits, teacher_centers=arrays["centers"])

    def fill(self, teacher: nn.Module, device: torch.device) -> None:
        """Ask the teacher for all samples that are not there yet."""
        for index in tqdm(range(len(self.samples)), desc="teacher", unit="sample"):
            item = self.samples[index]
            if not self._file(item.tokens).exists():
                write_arrays(self._file(item.tokens), **self._asked(teacher, item, device))

    def _asked(self, teacher: nn.Module, item: RigBatch, device: torch.device) -> dict:
        height, width = item.depth_gt.shape[-2:]
        aspect = width / height * float(np.mean(item.K[:, 1, 1] / item.K[:, 0, 0]))
        size = size_of(aspect, pixels=self._size[0] * self._size[1])
        (batch,) = by_camera_count([at_size(item, size=size, dense=self._dense, whole=True)])
        views = (t.to(device) for t in (batch.images, batch.K, batch.T_ego_cam))
        with torch.inference_mode():
            output = teacher(*views)
        log_probs = output.bin_logits[0].float().log_softmax(dim=-3)
        levels = (-STEPS * log_probs).round().clamp(0, 255).to(torch.uint8)
        centers = output.bin_centers[0].cpu().numpy()
        return {"levels": levels.cpu().numpy(), "centers": centers, SEEN: _seen(item)}

    def _file(self, token: str) -> Path:
        return inside_root(self.folder, f"{token}.npz")

    def _claim(self, origin: dict) -> None:
        """Note in the folder what its files come from, or compare with what is noted there."""
        note = self.folder / NOTE
        if not note.exists():
            write_json(note, origin)
            return
        kept = json.loads(note.read_text())
        if kept.get("foundation") != origin.get("foundation"):
            raise DatasetError(
                f"{note}: these outputs are of another foundation model's checkpoint"
            )
        if kept != origin:
            raise DatasetError(f"{note}: these outputs are of another teacher or input size")


def _seen(item: RigBatch) -> np.ndarray:
    """[N, 3] mean colours of the images: what tells samples of one name apart."""
    return item.images.mean(axis=(1, 2), dtype=np.float32)


def _is_of(arrays: Mapping[str, np.ndarray], item: RigBatch) -> bool:
    """Whether a file's outputs are of that sample, as far as it says; older files do not."""
    seen = _seen(item)
    kept = arrays.get(SEEN, seen)
    return kept.shape == seen.shape and np.allclose(kept, seen, atol=SEEN_DIFFER)


def fill_cache(config: DistillConfig) -> None:
    """Ask the config's teacher about all samples it learns from, on a GPU where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher = load_teacher(config.teacher).to(device)
    for data in config.sources:
        CachedTeacher(config, data).fill(teacher, device)
