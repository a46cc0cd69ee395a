"""Where predicted depths come from: an ONNX model, a torch checkpoint, or a folder of files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from fsmde_core.card import load_card
from fsmde_core.data.sample import DatasetError, Sample, Samples, arrays_in, inside_root
from fsmde_core.fit import fit_camera
from fsmde_core.rig import Camera, Rig
from fsmde_core.runtime.predictor import Prediction, Predictor

STEPS_PER_M = {".npy": 1.0, ".npz": 1.0, ".png": 256.0}  # a PNG's are KITTI's: up to 255.99 m
NAMED = "depth"  # which array of an .npz, where it has several
UNITS = {"metres": 1, "centimetres": 100, "1/256 m": 256, "millimetres": 1000}  # people's
UNIT_TOLERANCE = 1.4  # how far off an otherwise fair prediction's median may be
SAME_ASPECT = 0.05  # in logs; networks' inputs differ more from their images, but not all of them
SUSPICIOUS = 2.0  # a median so many times too large or small is no error of a metric network

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

    from fsmde_core.network.checkpoint import load_student

    card, student = load_card(card_path), load_student(card_path)
    try:
        student = student.to(device)
    except (RuntimeError, AssertionError) as error:
        raise PredictionError(f"--device {device}: torch has no such device here") from error
    usual = card.input_width * card.input_height
    pixels = input_pixels or usual

    @torch.inference_mode()
    def run(image: np.ndarray, camera: Camera) -> list[np.ndarray]:
        arrays = (image, camera.K.astype(np.float32), camera.T_ego_cam.astype(np.float32))
        output = student(*(torch.from_numpy(array)[None, None].to(device) for array in arrays))
        maps = (output.depth, output.confidence, output.surface_logits.sigmoid())
        return [values[0, 0].cpu().numpy() for values in maps]

    def predict(images, rig, sample):
        fits = [fit_camera(camera, pixels=pixels, usual=usual) for camera in rig.cameras]
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


def folder_source(folder: Path, *, steps_per_m: float | None = None) -> Predict:
    """Somebody's files: TOKEN/CAMERA.npy or .npz (metres) or .png (16 bit, metres * 256).

    Any resolution, floating point in npy and npz. TOKEN is nuScenes' sample token, DDAD's timestamp
    of the sample. steps_per_m: what a metre is in the files, if not that. PredictionError names a
    file that is missing or of another kind.
    """
    if not folder.is_dir():
        raise PredictionError(f"predictions folder {folder} is not a folder")
    if steps_per_m is not None and not steps_per_m > 0:
        raise PredictionError(f"--steps-per-m {steps_per_m:g} is not above 0")

    def predict(images, rig, sample):
        place = inside_root(folder, sample.token)
        files = [depth_file(place, name) for name in rig.names]
        steps = [steps_per_m or STEPS_PER_M[file.suffix] for file in files]
        depths = [read_depth(file) / np.float32(step) for file, step in zip(files, steps)]
        for file, depth, camera in zip(files, depths, rig.cameras):
            if _lies_on_its_side(depth.shape, camera):
                raise PredictionError(
                    f"prediction {file} has {depth.shape[0]} rows of {depth.shape[1]} pixels, its "
                    f"image is {camera.width}x{camera.height}: rows and columns changed places"
                )
        return depths

    return predict


def _lies_on_its_side(shape: tuple[int, int], camera: Camera) -> bool:
    """Whether depth [h, w] has the shape of the camera's image, but for width being height."""
    aspect, upright = np.log(shape[1] / shape[0]), np.log(camera.width / camera.height)
    return abs(aspect + upright) < SAME_ASPECT < abs(aspect - upright) / 2


def unit_doubt(
    folder: Path, ratios: Mapping[tuple[str, str], float], *, steps_per_m: float | None = None
) -> str | None:
    """A sentence if the files of a folder_source seem to be in another unit, else None.

    ratios: (token, camera) -> median of a prediction over that of the truth.
    """
    if not ratios:
        return None
    middle = sorted(ratios, key=ratios.get)[len(ratios) // 2]
    ratio = ratios[middle]
    if 1 / SUSPICIOUS < ratio < SUSPICIOUS:
        return None
    file = depth_file(folder / middle[0], middle[1])
    read = steps_per_m or STEPS_PER_M[file.suffix]
    off = {unit: abs(np.log(read * ratio / steps)) for unit, steps in UNITS.items()}
    unit = min(off, key=off.get)
    said = f"{file}: its median is {ratio:.3g} times that of the truth"
    if off[unit] > np.log(UNIT_TOLERANCE):
        return f"{said}; --steps-per-m, {read:g} now, says what one metre is in the files"
    return (
        f"{said}, about {UNITS[unit]}/{read:g}: it seems to be in {unit}, "
        f"which --steps-per-m {UNITS[unit]} reads"
    )


def depth_file(folder: Path, camera: str) -> Path:
    """CAMERA.npy, .npz or .png in a folder; PredictionError if none is there."""
    first, *others = (inside_root(folder, f"{camera}{s}") for s in STEPS_PER_M)
    for file in (first, *others):
        if file.is_file():
            return file
    names = " and ".join(file.name for file in others)
    raise PredictionError(f"prediction {first} is missing, and so are {names}")


def check_folder(folder: Path, samples: Samples) -> None:
    """PredictionError if no sample has a folder of predictions, before all are read in vain."""
    asked = []
    for index in range(len(samples)):
        try:
            asked.append(samples[index].token)
        except DatasetError:
            continue  # a fault of the data, said when its turn comes
        if inside_root(folder, asked[-1]).is_dir():
            return
    if asked:
        there = min((path.name for path in folder.iterdir()), default="nothing")
        raise PredictionError(
            f"predictions folder {folder} has no folder {asked[0]}, nor that of any other sample; "
            f"it has {there}"
        )


def read_depth(file: Path) -> np.ndarray:
    """What an .npy, .npz or 16-bit .png holds, [h, w] float32 in its own unit."""
    if file.suffix != ".png":
        depth = _array(file)
        if depth.ndim != 2 or not depth.size or not np.issubdtype(depth.dtype, np.floating):
            raise PredictionError(
                f"prediction {file} is {depth.dtype} {depth.shape}, not float 2-D"
            )
        with np.errstate(over="ignore"):  # beyond float32 is beyond any range
            return np.array(depth, np.float32)
    depth = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if depth is None or depth.ndim != 2 or depth.dtype != np.uint16:
        raise PredictionError(f"prediction {file} is no 16-bit grey PNG")
    return depth.astype(np.float32)


def _array(file: Path) -> np.ndarray:
    """The array of an .npy; of an .npz its only one, or the one that is named depth."""
    if file.suffix == ".npz":
        return _named_array(file)
    try:
        return np.lib.format.open_memmap(file, mode="r")  # no header makes it take memory
    except Exception as error:  # whatever broken bytes lead to
        text = " ".join(str(error).split())
        raise PredictionError(f"prediction {file} is no array of numbers: {text}") from error


def _named_array(file: Path) -> np.ndarray:
    try:
        with arrays_in(file, what=f"prediction {file}") as arrays:
            names = list(arrays)
            if len(names) == 1 or NAMED in names:
                return arrays[NAMED if NAMED in names else names[0]]
    except DatasetError as error:
        raise PredictionError(str(error)) from error
    has = ", ".join(names) or "no array"
    raise PredictionError(f"prediction {file} holds {has}, not one array or one named {NAMED}")
