"""Where predicted depths come from: an ONNX model, a torch checkpoint, or a folder of files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from fsmde_core.card import load_card
from fsmde_core.data.sample import Sample, inside_root
from fsmde_core.fit import fit_camera
from fsmde_core.predictor import Prediction, Predictor
from fsmde_core.rig import Camera, Rig

PNG_STEPS_PER_M = 256.0  # KITTI's: a 16-bit PNG reaches 255.99 m in steps of 3.9 mm

# (images [N, H, W, 3] uint8 RGB, their rig, the sample) -> N depths [h, w] in metres
Predict = Callable[[np.ndarray, Rig, Sample], Sequence[np.ndarray]]


class PredictionError(ValueError):
    """A prediction that is missing or unusable; the message names the file or the camera."""


def onnx_source(card_path: Path, providers: Sequence[str], *, input_pixels: int = 0) -> Predict:
    """A model in ONNX Runtime, as the node runs it: each camera at its own shape.

    input_pixels as for Predictor. No surface within reach is +inf, which protocols clip to their
    range.
    """
    predictor = Predictor(card_path, providers=providers, input_pixels=input_pixels)
    return lambda images, rig, sample: _answers(predictor(list(images), rig))


def torch_source(card_path: Path, device: str, *, input_pixels: int = 0) -> Predict:
    """The same of a checkpoint in torch, whose weights stand beside the card as .safetensors."""
    import torch  # heavy, and needed by no other source

    from fsmde_core.checkpoint import load_student

    card, student = load_card(card_path), load_student(card_path).to(device)
    pixels = input_pixels or card.input_width * card.input_height

    @torch.inference_mode()
    def run(image: np.ndarray, camera: Camera) -> list[np.ndarray]:
        arrays = (image, camera.K.astype(np.float32), camera.T_ego_cam.astype(np.float32))
        output = student(*(torch.from_numpy(array)[None, None].to(device) for array in arrays))
        maps = (output.depth, output.confidence, output.surface_logits.sigmoid())
        return [values[0, 0].cpu().numpy() for values in maps]

    def predict(images, rig, sample):
        fits = [fit_camera(camera, pixels=pixels) for camera in rig.cameras]
        seen = [fit.image(image) for fit, image in zip(fits, images)]
        found = [run(image, fit.camera) for image, fit in zip(seen, fits)]
        return _answers(Prediction(*zip(*found), tuple(seen), tuple(fits), card.max_depth_m))

    return predict


def _answers(prediction: Prediction) -> list[np.ndarray]:
    """Depth of each camera at its images' size, all rows filled.

    Protocols count every pixel that has a truth: rows at the top that the network did not get
    repeat the first that it did.
    """
    depths = [prediction.at_source(i) for i in range(len(prediction.fits))]
    for depth in depths:
        first = (~np.isnan(depth).all(axis=1)).argmax()
        depth[:first] = depth[first]
    return depths


def folder_source(folder: Path) -> Predict:
    """Somebody's files: TOKEN/CAMERA.npy (metres) or TOKEN/CAMERA.png (16 bit, metres * 256).

    Any resolution, floating point in npy. TOKEN is nuScenes' sample token, DDAD's timestamp of the
    sample. PredictionError names a file that is missing or of another kind.
    """
    if not folder.is_dir():
        raise PredictionError(f"predictions folder {folder} is not a folder")

    def predict(images, rig, sample):
        place = inside_root(folder, sample.token)
        return [read_depth(place, name) for name in rig.names]

    return predict


def read_depth(folder: Path, camera: str) -> np.ndarray:
    """Depth [h, w] float32 in metres of CAMERA.npy or CAMERA.png in a folder."""
    npy, png = folder / f"{camera}.npy", folder / f"{camera}.png"
    if npy.is_file():
        try:
            depth = np.load(npy, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise PredictionError(f"prediction {npy}: {error}") from error
        if depth.ndim != 2 or not np.issubdtype(depth.dtype, np.floating):
            raise PredictionError(f"prediction {npy} is {depth.dtype} {depth.shape}, not float 2-D")
        return depth.astype(np.float32)
    if not png.is_file():
        raise PredictionError(f"prediction {npy} is missing, and so is {png.name}")
    depth = cv2.imread(str(png), cv2.IMREAD_UNCHANGED)
    if depth is None or depth.ndim != 2 or depth.dtype != np.uint16:
        raise PredictionError(f"prediction {png} is no 16-bit grey PNG")
    return depth.astype(np.float32) / PNG_STEPS_PER_M
