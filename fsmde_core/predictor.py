"""Images of a rig in, metres out: ONNX Runtime, without torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fsmde_core.card import ModelError, load_card, verified_file
from fsmde_core.rig import Rig
from fsmde_core.runs import DeviceRun, make_run
from fsmde_core.session import (
    AUTO,
    CPU,
    FILE_SUFFIX,
    TENSORRT,
    OpenSession,
    ProviderError,
    SessionConfig,
    engine_options,
    open_session,
)

# Below this factor bilinear resizing is as near to averaging areas as halved JPEGs are, in a
# seventh of the time (docs/performance.md).
ALIAS_FREE = 2


@dataclass(frozen=True)
class Prediction:
    """Depth of N cameras at the network's size."""

    depth: np.ndarray
    """[N, h, w] float32, metres along the optical axis."""
    confidence: np.ndarray
    """[N, h, w] float32 in (0, 1]: exp(-s), s the standard deviation of log depth."""
    images: np.ndarray
    """[N, h, w, 3] uint8 RGB, what the network saw."""
    rig: Rig
    """The rig with K at the network's size."""


class Predictor:
    """A verified model in an ONNX Runtime session.

    card_path names models/NAME.json. The file of the precision beside it (NAME.onnx for fp32,
    NAME.fp16.onnx, NAME.int8.onnx) must match the card's sha256: ModelError if it does not, or the
    card lists none. options are the fields of SessionConfig. Of its providers the first that works
    is used and stands in `provider`, the reasons against those before it in `refused`;
    ProviderError if none works. A provider that is not in the list is never used instead of one
    that is; what TensorRT does not know of a graph runs on the same GPU through CUDA. With
    precision="auto" a CPU takes int8 where the card lists it, less than 2 % worse in Abs Rel and
    almost twice as fast, all else fp32; `config` says what came of it.
    say is told, in a sentence, of work that takes minutes.
    """

    def __init__(self, card_path: Path | str, *, say: Callable[[str], None] = print, **options):
        self.card = load_card(card_path)
        self._say = say
        if options.get("precision") == AUTO:
            opened = self._open_fastest(card_path, options)
        else:
            opened = self._open(card_path, options)
        self.provider, self.refused = opened.provider, opened.refused
        expected = ["images", "K", "T_ego_cam"]
        found = [i.name for i in opened.session.get_inputs()]
        if found != expected:
            raise ModelError(f"model file {self._model} has the inputs {found}, not {expected}")
        self._engine_cameras = 0
        self._use(opened)

    def __call__(self, images: Sequence[np.ndarray], rig: Rig) -> Prediction:
        """Depth of every camera of a rig.

        images: N arrays [H, W, 3] uint8 RGB in the rig's order, each of its camera's size
        (ValueError names the camera otherwise).
        """
        if len(images) != len(rig.cameras):
            raise ValueError(f"{len(images)} images for a rig of {len(rig.cameras)} cameras")
        for image, camera in zip(images, rig.cameras):
            if image.shape != (camera.height, camera.width, 3) or image.dtype != np.uint8:
                raise ValueError(
                    f"camera {camera.name}: image {image.shape} {image.dtype} is not "
                    f"({camera.height}, {camera.width}, 3) uint8"
                )
        return self.predict(self.stack([self.resize(image) for image in images]), rig)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the network's input in pixels."""
        return self.card.input_width, self.card.input_height

    def resize(self, image: np.ndarray) -> np.ndarray:
        """An image [H, W, 3] at the network's size; safe to call from any thread."""
        return image_of_size(image, self.size)

    def stack(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """N images [h, w, 3] uint8 as [N, h, w, 3], where the device reads them fastest."""
        if not isinstance(self._run, DeviceRun):
            return np.stack(images)
        return np.stack(images, out=self._run.pool.empty((len(images), *images[0].shape), "u1"))

    def predict(self, images: np.ndarray, rig: Rig) -> Prediction:
        """Depth from images [N, h, w, 3] uint8 RGB that resize() made; rig as for a call.

        Images that stack() put together spare a copy.
        """
        rig = rig.resized(*self.size)
        depth, confidence = self._depth(images, rig.K, rig.T_ego_cam)
        return Prediction(depth, confidence, images, rig)

    def warm_up(self, cameras: int) -> None:
        """Run once on black images: the first run allocates, and compiles on some providers."""
        width, height = self.size
        black = np.zeros((cameras, height, width, 3), np.uint8)
        K = np.array([[500.0, 0, 320], [0, 500, 176], [0, 0, 1]], np.float32)
        eye = np.eye(4, dtype=np.float32)
        self._depth(black, np.tile(K, (cameras, 1, 1)), np.tile(eye, (cameras, 1, 1)))

    def _open(self, card_path: Path | str, options: dict[str, Any]) -> OpenSession:
        self.config = SessionConfig(**options)
        self._model = verified_file(card_path, self.config.suffix)
        return open_session(self._model, self.config)

    def _open_fastest(self, card_path: Path | str, options: dict[str, Any]) -> OpenSession:
        """int8 if the CPU's turn comes and the card's file is there, else fp32."""
        exact = {**options, "precision": "fp32"}
        wanted = SessionConfig(**exact).providers
        integers = Path(card_path).with_suffix(FILE_SUFFIX["int8"])
        if CPU not in wanted or integers.name not in self.card.sha256 or not integers.exists():
            return self._open(card_path, exact)
        try:
            return self._open(card_path, {**exact, "providers": wanted[: wanted.index(CPU)]})
        except ProviderError as error:
            opened = self._open(card_path, {**options, "precision": "int8", "providers": (CPU,)})
            return replace(opened, refused=error.refused)

    def _depth(self, images: np.ndarray, K: np.ndarray, T_ego_cam: np.ndarray):
        if self.provider == TENSORRT and len(images) > self._engine_cameras:
            self._build_engine(len(images))
        inputs = {"images": images, "K": K.astype(np.float32)}
        inputs["T_ego_cam"] = T_ego_cam.astype(np.float32)
        return self._run(inputs)

    def _use(self, opened: OpenSession) -> None:
        self._session, self._run = opened.session, make_run(opened, self.config)

    def _build_engine(self, cameras: int) -> None:
        """Open the session anew with an engine for 1 to that many cameras, from disk if there."""
        digest = self.card.sha256[self._model.name]
        folder = self.config.engine_folder / f"{self._model.stem}-{digest[:16]}-{cameras}"
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            self._say(
                f"building the TensorRT engine of {self._model.name} for {cameras} cameras, which "
                f"takes minutes; it is kept in {folder}"
            )
        started = time.monotonic()
        engine = engine_options(self._session, cameras, folder)
        self._use(open_session(self._model, self.config, engine=engine))
        self._engine_cameras = cameras
        self._say(f"TensorRT engine ready after {time.monotonic() - started:.0f} s")


def image_of_size(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image [H, W, 3] at size (width, height), averaged where bilinear weights would alias."""
    height, width = image.shape[:2]
    shrink = max(width / size[0], height / size[1])
    smooth = cv2.INTER_AREA if shrink >= ALIAS_FREE else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=smooth)
