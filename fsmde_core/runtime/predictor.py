"""Images of a rig in, metres out: ONNX Runtime, without torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fsmde_core.card import ModelError, load_card, verified_file
from fsmde_core.fit import Fit, fit_camera
from fsmde_core.rig import Camera, Rig
from fsmde_core.runtime.runs import DeviceRun, Run, make_run
from fsmde_core.runtime.session import (
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

# Probability of a surface from which on a depth is given, unless told otherwise: below a half, for
# to miss an obstacle costs more than a point too many in the sky (docs/results.md).
LIKELY = 0.15
LIMITS = ("min_surface_probability", "min_depth_m", "max_depth_m", "min_confidence")


@dataclass(frozen=True)
class Prediction:
    """Depth of N cameras, each at its own size: that of the network's input for it."""

    depth: tuple[np.ndarray, ...]
    """N x [h, w] float32, metres along the optical axis, as if there were a surface everywhere."""
    confidence: tuple[np.ndarray, ...]
    """N x [h, w] float32 in (0, 1]: exp(-s), s the standard deviation of log depth."""
    surface: tuple[np.ndarray, ...]
    """N x [h, w] float32, the probability of a surface within reach; small in the sky."""
    images: tuple[np.ndarray, ...]
    """N x [h, w, 3] uint8 RGB, what the network saw."""
    fits: tuple[Fit, ...]
    """How each camera's image became the network's input."""
    reach_m: float = np.inf
    """Beyond there is no surface, metres."""

    @cached_property
    def rig(self) -> Rig:
        """The cameras as the network sees them."""
        return Rig(tuple(fit.camera for fit in self.fits))

    def depth_image(
        self,
        i: int,
        *,
        min_surface_probability: float = LIKELY,
        min_depth_m: float = 0.0,
        max_depth_m: float = np.inf,
        min_confidence: float = 0.0,
    ) -> np.ndarray:
        """Depth of camera i, [h, w] float32 metres, by REP 118.

        +inf where there is no surface within reach or max_depth_m, -inf nearer than min_depth_m,
        NaN where the camera sees nothing of the world (its own vehicle, a lens's blind corner, rows
        that only fill the input) or the network is less sure of a depth than min_confidence.
        ValueError names a limit that is NaN, beside which nothing is more or less.
        """
        limits = (min_surface_probability, min_depth_m, max_depth_m, min_confidence)
        for name, value in zip(LIMITS, limits):
            if np.isnan(value):
                raise ValueError(f"{name} is {value}")
        raw, fit = self.depth[i], self.fits[i]
        hidden = raw > min(self.reach_m, max_depth_m)
        hidden |= self.surface[i] < min_surface_probability
        if fit.unseen is not None:
            hidden |= fit.unseen
        depth = raw.copy()
        if hidden.any():  # few passes over the pixels: each waits for the memory
            cv2.copyTo(fit.blank, hidden.view(np.uint8), depth)
        if min_confidence > 0:
            unsure = self.confidence[i] < min_confidence
            _put(depth, np.nan, ~hidden & unsure)
        if min_depth_m > 0 and (near := raw < min_depth_m).any():
            _put(depth, -np.inf, ~hidden & near)
        return depth

    def at_source(self, i: int, *, min_surface_probability: float = LIKELY) -> np.ndarray:
        """The same for each pixel of the source's image, [H, W]; NaN also in rows cropped off."""
        depth = self.depth_image(i, min_surface_probability=min_surface_probability)
        return self.fits[i].to_source(depth)


class Predictor:
    """A verified model in an ONNX Runtime session.

    card_path names models/NAME.json. The file of the precision beside it (NAME.onnx for fp32,
    NAME.fp16.onnx, NAME.int8.onnx) must match the card's sha256: ModelError if it does not, or the
    card lists none. options are the fields of SessionConfig. Of its providers the first that works
    is used and stands in `provider`, the reasons against those before it in `refused`;
    ProviderError if none works. A provider that is not in the list is never used instead of one
    that is; what TensorRT does not know of a graph runs on the same GPU through CUDA. With
    precision="auto" a CPU takes int8 where the card lists it, about 1 % worse in Abs Rel and
    almost twice as fast, all else fp32; `config` says what came of it.
    input_pixels is about how many pixels of an image the network sees, 0 for as many as the model
    was made for; see fit_camera. say is told, in a sentence, of work that takes minutes and of what
    has no effect.
    """

    def __init__(
        self,
        card_path: Path | str,
        *,
        input_pixels: int = 0,
        say: Callable[[str], None] = print,
        **options,
    ):
        self.card = load_card(card_path)
        if not (isinstance(input_pixels, Real) and input_pixels >= 0):
            raise ModelError(f"input_pixels is {input_pixels!r}, not a number of pixels, nor 0")
        self._usual = self.card.input_width * self.card.input_height
        self.input_pixels = input_pixels or self._usual
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
        _, height, width, _ = opened.session.get_inputs()[0].shape
        fixed = isinstance(height, int) and isinstance(width, int)
        self._only_size = (width, height) if fixed else None
        if fixed and input_pixels:
            say(
                f"model file {self._model.name} takes images of {width}x{height} only: "
                f"input_pixels {input_pixels} changes nothing"
            )
        self._engines: dict[tuple[int, int], tuple[int, Run]] = {}
        self._session, self._run = opened.session, make_run(opened, self.config)
        self._outputs = [output.name for output in opened.session.get_outputs()]

    def __call__(self, images: Sequence[np.ndarray], rig: Rig) -> Prediction:
        """Depth of every camera of a rig.

        images: N arrays [H, W, 3] uint8 RGB in the rig's order, each of its camera's size
        (ValueError names the camera otherwise).
        """
        if len(images) != len(rig.cameras):
            raise ValueError(f"{len(images)} images for a rig of {len(rig.cameras)} cameras")
        images = [np.asarray(image) for image in images]
        for image, camera in zip(images, rig.cameras):
            if image.shape != (camera.height, camera.width, 3) or image.dtype != np.uint8:
                raise ValueError(
                    f"camera {camera.name}: image {image.shape} {image.dtype} is not "
                    f"({camera.height}, {camera.width}, 3) uint8"
                )
        fits = [self.fit(camera) for camera in rig.cameras]
        return self.predict([fit.image(image) for fit, image in zip(fits, images)], fits)

    def fit(self, camera: Camera) -> Fit:
        """The network's input for a camera; choose it once."""
        pixels, usual = self.input_pixels, self._usual
        return fit_camera(camera, pixels=pixels, usual=usual, size=self._only_size)

    def predict(self, images: Sequence[np.ndarray], fits: Sequence[Fit]) -> Prediction:
        """Depth from images [h, w, 3] uint8 RGB as their fits made them."""
        found: list[dict[str, np.ndarray]] = [{}] * len(fits)
        outputs_of = self._outputs_of(self.inputs(images, fits))
        for group, outputs in zip(_by_shape(fits), outputs_of):
            for k, i in enumerate(group):
                found[i] = {name: values[k] for name, values in zip(self._outputs, outputs)}
        return Prediction(
            depth=tuple(maps["depth"] for maps in found),
            confidence=tuple(maps["confidence"] for maps in found),
            surface=tuple(maps.get("surface", np.ones_like(maps["depth"])) for maps in found),
            images=tuple(images),
            fits=tuple(fits),
            reach_m=self.card.max_depth_m,
        )

    def warm_up(self, fits: Sequence[Fit]) -> None:
        """Run once on black images: the first run allocates, and compiles on some providers."""
        self.predict([np.zeros((*fit.size[::-1], 3), np.uint8) for fit in fits], fits)

    def inputs(
        self, images: Sequence[np.ndarray], fits: Sequence[Fit]
    ) -> list[dict[str, np.ndarray]]:
        """The graph's inputs, a group for each shape, where the device reads them fastest."""
        groups = []
        for group in _by_shape(fits):
            shape, out = (len(group), *images[group[0]].shape), None
            if isinstance(self._run, DeviceRun):
                out = self._run.pool.empty(shape, np.uint8)
            rig = Rig(tuple(fits[i].camera for i in group))
            groups.append(
                {
                    "images": np.stack([images[i] for i in group], out=out),
                    "K": rig.K.astype(np.float32),
                    "T_ego_cam": rig.T_ego_cam.astype(np.float32),
                }
            )
        return groups

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

    def _outputs_of(self, groups: list[dict[str, np.ndarray]]) -> list[list[np.ndarray]]:
        if self.provider != TENSORRT:
            return self._run(groups)
        return [self._engine(*group["images"].shape[:3])([group])[0] for group in groups]

    def _engine(self, cameras: int, height: int, width: int) -> Run:
        """A session with an engine for 1 to that many cameras of a shape, from disk if there."""
        most, run = self._engines.get((width, height), (0, None))
        if cameras <= most:
            return run
        digest, shape = self.card.sha256[self._model.name][:16], f"{cameras}x{width}x{height}"
        folder = self.config.engine_folder / f"{self._model.stem}-{digest}-{shape}"
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            self._say(
                f"building the TensorRT engine of {self._model.name} for {cameras} cameras of "
                f"{width}x{height}, which takes minutes; it is kept in {folder}"
            )
        started = time.monotonic()
        engine = engine_options(self._session, (cameras, height, width), folder)
        run = make_run(open_session(self._model, self.config, engine=engine), self.config)
        self._engines[width, height] = cameras, run
        self._say(f"TensorRT engine ready after {time.monotonic() - started:.0f} s")
        return run


def _put(image: np.ndarray, value: float, where: np.ndarray) -> None:
    """Into an image [h, w] float32: three times as fast as numpy, which branches at every pixel."""
    if where.any():
        cv2.copyTo(np.full_like(image, value), where.view(np.uint8), image)


def _by_shape(fits: Sequence[Fit]) -> list[list[int]]:
    """The cameras of each shape, in the order of the shapes' first cameras."""
    sizes = [fit.size for fit in fits]
    return [[i for i, s in enumerate(sizes) if s == size] for size in dict.fromkeys(sizes)]
