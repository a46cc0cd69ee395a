"""Images of a rig in, metres out: ONNX Runtime, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from fsmde_core.card import ModelError, load_card, verified_file
from fsmde_core.rig import Rig

WARNING, FATAL = 2, 4  # ONNX Runtime's log levels


class ProviderError(RuntimeError):
    """None of the execution providers asked for works here; the message says why for each."""


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

    card_path names models/NAME.json; NAME.onnx beside it must match the card's sha256 (ModelError).
    providers are ONNX Runtime execution provider names in the order wanted: the first that works is
    used and stands in `provider`, the reasons against those before it in `refused`; ProviderError
    if none works. A provider that is not in the list is never used instead of one that is.
    """

    def __init__(
        self,
        card_path: Path | str,
        *,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        threads: int = 0,
    ):
        self.card = load_card(card_path)
        model = verified_file(card_path, ".onnx")
        self.refused: dict[str, str] = {}
        self._session = self._open(model, providers, threads)
        self.provider = self._session.get_providers()[0]
        expected = ["images", "K", "T_ego_cam"]
        found = [i.name for i in self._session.get_inputs()]
        if found != expected:
            raise ModelError(f"model file {model} has the inputs {found}, not {expected}")

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
        return self.predict(np.stack([self.resize(image) for image in images]), rig)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the network's input in pixels."""
        return self.card.input_width, self.card.input_height

    def resize(self, image: np.ndarray) -> np.ndarray:
        """An image [H, W, 3] at the network's size; safe to call from any thread."""
        return cv2.resize(image, self.size, interpolation=cv2.INTER_AREA)

    def predict(self, images: np.ndarray, rig: Rig) -> Prediction:
        """Depth from images [N, h, w, 3] uint8 RGB that resize() made; rig as for a call."""
        rig = rig.resized(*self.size)
        depth, confidence = self._run(images, rig.K, rig.T_ego_cam)
        return Prediction(depth, confidence, images, rig)

    def warm_up(self, cameras: int) -> None:
        """Run once on black images: the first run allocates, and compiles on some providers."""
        width, height = self.size
        black = np.zeros((cameras, height, width, 3), np.uint8)
        K = np.array([[500.0, 0, 320], [0, 500, 176], [0, 0, 1]], np.float32)
        eye = np.eye(4, dtype=np.float32)
        self._run(black, np.tile(K, (cameras, 1, 1)), np.tile(eye, (cameras, 1, 1)))

    def _run(self, images: np.ndarray, K: np.ndarray, T_ego_cam: np.ndarray):
        inputs = {"images": images, "K": K.astype(np.float32)}
        inputs["T_ego_cam"] = T_ego_cam.astype(np.float32)
        return self._session.run(["depth", "confidence"], inputs)

    def _open(self, model: Path, providers: Sequence[str], threads: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = FATAL
        available = onnxruntime.get_available_providers()
        for provider in providers:
            if provider not in available:
                self.refused[provider] = "not in this build of ONNX Runtime"
                continue
            try:
                onnxruntime.set_default_logger_severity(FATAL)  # we report what fails, once
                session = onnxruntime.InferenceSession(str(model), options, providers=[provider])
            except Exception as error:  # ORT raises a class of its own for every status code
                if provider == "CPUExecutionProvider":
                    raise ModelError(f"model file {model} does not load: {error}") from error
                self.refused[provider] = " ".join(str(error).split())
                continue
            finally:
                onnxruntime.set_default_logger_severity(WARNING)
            if session.get_providers()[0] == provider:
                session.disable_fallback()
                return session
            self.refused[provider] = "its libraries or its device are missing on this machine"
        reasons = "; ".join(f"{name}: {why}" for name, why in self.refused.items())
        raise ProviderError(f"no execution provider works: {reasons or 'none was asked for'}")
