"""Where predicted depths come from: an ONNX model, a torch checkpoint, or a folder of files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from fsmde_core.card import load_card
from fsmde_core.data.sample import Sample, inside_root
from fsmde_core.predictor import Predictor, image_of_size
from fsmde_core.rig import Rig

PNG_STEPS_PER_M = 256.0  # KITTI's: a 16-bit PNG reaches 255.99 m in steps of 3.9 mm

# (images [N, H, W, 3] uint8 RGB, their rig, the sample) -> N depths [h, w] in metres
Predict = Callable[[np.ndarray, Rig, Sample], Sequence[np.ndarray]]


class PredictionError(ValueError):
    """A prediction that is missing or unusable; the message names the file or the camera."""


def onnx_source(card_path: Path, providers: Sequence[str]) -> Predict:
    """A model in ONNX Runtime, as the node runs it."""
    predictor = Predictor(card_path, providers=providers)
    return lambda images, rig, sample: predictor(list(images), rig).depth


def torch_source(card_path: Path, device: str) -> Predict:
    """A checkpoint in torch, whose weights stand beside the card as .safetensors."""
    import torch  # heavy, and needed by no other source

    from fsmde_core.checkpoint import load_student

    card, student = load_card(card_path), load_student(card_path).to(device)

    @torch.inference_mode()
    def predict(images, rig, sample):
        size = card.input_width, card.input_height
        resized = np.stack([image_of_size(image, size) for image in images])
        rig = rig.resized(*size)
        arrays = (resized, rig.K.astype(np.float32), rig.T_ego_cam.astype(np.float32))
        output = student(*(torch.from_numpy(array[None]).to(device) for array in arrays))
        return output.depth[0].cpu().numpy()

    return predict


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
