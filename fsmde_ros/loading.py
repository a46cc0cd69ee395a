"""Rig and model as the parameters name them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fsmde_core.fit import Fit
from fsmde_core.rig import Camera, Rig, load_rig
from fsmde_core.runtime.predictor import Prediction, Predictor
from fsmde_core.runtime.session import TENSORRT
from fsmde_ros.params import NodeParams, ParameterError
from fsmde_ros.share import share_dir


def load_rig_file(params: NodeParams) -> Rig | None:
    """The rig of rig_file, a path or the name of a shipped one; None where there is none.

    RigError names the file and what is wrong with it.
    """
    return load_rig(rig_path(params.rig_file)) if params.rig_file else None


def rig_path(rig_file: str) -> Path:
    """The file of a rig: that of a shipped one by its name, else the path as it stands."""
    shipped = share_dir() / "config" / f"rig_{rig_file}.yaml"
    is_name = re.fullmatch(r"\w+", rig_file) and shipped.is_file()
    return shipped if is_name else Path(rig_file)


def load_model(params: NodeParams, *, cameras: int, make_predictor, logger) -> Predictor:
    """The model in a session for so many cameras; the logger is told what it is and what runs it.

    ModelError, ProviderError, ParameterError or OSError if it cannot be had.
    """
    if TENSORRT in params.providers and params.engine_cache:
        _check_writable(Path(params.engine_cache).expanduser())
    card = Path(params.model) if params.model else share_dir() / "models" / "student_s.json"
    options = {**params.predictor_options(), "cameras": cameras}
    predictor = make_predictor(card, say=logger.info, **options)
    for provider, reason in predictor.refused.items():
        logger.warning(f"provider {provider} is not used: {reason}")
    precision = predictor.config.precision
    logger.info(f"model {card} in {precision} on {predictor.provider}")
    if predictor.card.provisional:
        logger.warning(f"model {card} is provisional, see its description")
    return predictor


def _check_writable(folder: Path) -> None:
    """TensorRT itself builds for minutes and then says nothing where it cannot store the engine."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ParameterError(f"parameter engine_cache: {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ParameterError(f"parameter engine_cache: {folder} cannot be written to")


class NotFiniteError(ValueError):
    """A network answered with numbers that are none."""


class FinitePredictor:
    """A predictor whose answers are of finite numbers."""

    def __init__(self, predictor: Predictor):
        self._predictor = predictor

    def predict(self, images: Sequence[np.ndarray], fits: Sequence[Fit]) -> Prediction:
        """As Predictor.predict; NotFiniteError names the camera, NaN would pass for unseen."""
        prediction = self._predictor.predict(images, fits)
        maps = zip(fits, prediction.depth, prediction.confidence, prediction.surface)
        for fit, *answers in maps:
            for name, values in zip(("depth", "confidence", "surface"), answers):
                # min and max hand a NaN on, and make no array as isfinite does
                if not np.isfinite(values.min()) or not np.isfinite(values.max()):
                    camera = fit.camera.name
                    raise NotFiniteError(f"the network's {name} of camera {camera} is not finite")
        return prediction


def expected_fits(predictor: Predictor, rig: Rig | None, *, cameras: int) -> list[Fit]:
    """Of the cameras of the rig, or of so many of the shape that the model was made for.

    What CameraInfo says of the cameras is not known yet; a shape that is new then is slow once.
    """
    if rig is not None:
        expected = rig.cameras
    else:
        width, height = predictor.card.input_width, predictor.card.input_height
        K = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]])
        names = [f"camera {i}" for i in range(cameras)]  # no two of a rig may have the same
        expected = [Camera(name, name, width, height, K, np.eye(4)) for name in names]
    return [predictor.fit(camera) for camera in expected]
