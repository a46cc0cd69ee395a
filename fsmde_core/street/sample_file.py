"""The arrays of a rendered sample's file: small, and read fast.

Images are the cameras' own JPEGs, or WebP where that is asked for. Depth is coded in logs, 16 bits,
as lossless WebP pictures, three quarters of what PNG takes. Files of earlier versions read too:
images of a second JPEG, depth as float16, returns as a list of pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from fsmde_core.street.dataset import Recorded

NEAREST_M = 0.05
STEP = 4e-3  # of the log depth: what is read is off by at most half of it
RETURN_M = 0.01  # half of the LiDAR's noise
LOSSLESS = [cv2.IMWRITE_WEBP_QUALITY, 101]


def packed(recorded: Recorded, image_quality: int | None = None) -> dict[str, np.ndarray]:
    """Arrays of a sample's file; image_quality 1 to 100 is that of WebP, None keeps the JPEGs."""
    sample, returns = recorded.sample, recorded.returns
    if image_quality is None:
        pictures = [np.frombuffer(jpeg, np.uint8) for jpeg in recorded.jpegs]
    else:
        options = [cv2.IMWRITE_WEBP_QUALITY, image_quality]
        pictures = [cv2.imencode(".webp", i[..., ::-1], options)[1] for i in sample.images]
    codes = [cv2.imencode(".webp", _picture(depth), LOSSLESS)[1] for depth in sample.depth_gt]
    centimetres = np.rint(returns[returns > 0] / RETURN_M).astype(np.int32)
    steps = np.diff(centimetres, prepend=0).astype(np.uint16)
    return {
        **_joined("image", pictures),
        **_joined("depth_code", codes),
        "mask": np.packbits(sample.mask),
        "stamps_ns": np.array(sample.stamps_ns, np.int64),
        "return_mask": np.packbits(returns > 0),
        "return_steps": steps.view(np.uint8).reshape(-1, 2).T,  # bytes of a kind side by side
    }


def has_returns(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether a file keeps what the LiDAR returned, as those of the first version do not."""
    return "return_mask" in arrays or "return_pixels" in arrays


def images(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """[N, H, W, 3] uint8 RGB."""
    parts = _parts("image" if "image" in arrays else "jpeg", arrays)
    return np.stack([cv2.imdecode(part, cv2.IMREAD_COLOR_RGB) for part in parts])


def depth(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """[N, H, W] float32 metres, 0 where there is none."""
    if "depth" in arrays:
        return arrays["depth"].astype(np.float32)
    pictures = [cv2.imdecode(code, cv2.IMREAD_COLOR) for code in _parts("depth_code", arrays)]
    return np.stack([METRES[cv2.extractChannel(p, 1), cv2.extractChannel(p, 2)] for p in pictures])


def mask(arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """[N, H, W] bool: the own vehicle."""
    return _bits(arrays["mask"], shape)


def returns(arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """[N, H, W] float32 metres of what the LiDAR returned, 0 elsewhere; see has_returns."""
    depths = np.zeros(shape, np.float32)
    if "return_pixels" in arrays:
        depths.reshape(-1)[arrays["return_pixels"]] = arrays["return_depth"]
        return depths
    steps = np.ascontiguousarray(arrays["return_steps"].T).view(np.uint16)[:, 0]
    centimetres = np.cumsum(steps, dtype=np.uint16)
    depths[_bits(arrays["return_mask"], shape)] = centimetres * np.float32(RETURN_M)
    return depths


def _picture(metres: np.ndarray) -> np.ndarray:
    """Depth [H, W] as a picture [H, W, 3] uint8: its code's low and high byte, see METRES."""
    with np.errstate(divide="ignore"):
        code = np.rint(np.log(metres / NEAREST_M) / STEP) + 1
    code = np.where(metres > 0, np.clip(code, 1, 2**16 - 1), 0).astype(np.uint16)
    return np.dstack([np.zeros_like(code), code & 255, code >> 8]).astype(np.uint8)


def _metres() -> np.ndarray:
    """Depth [256, 256] of every code, by its low and its high byte."""
    high, low = np.divmod(np.arange(2**16), 256)
    metres = np.empty((256, 256), np.float32)
    with np.errstate(over="ignore"):
        metres[low, high] = NEAREST_M * np.exp((256 * high + low - 1) * STEP)
    metres[0, 0] = 0
    return metres


METRES = _metres()


def _bits(packed_bits: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.unpackbits(packed_bits, count=int(np.prod(shape))).astype(bool).reshape(shape)


def _joined(name: str, parts: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Parts of bytes as one array, and their sizes."""
    sizes = np.array([len(part) for part in parts])
    return {name: np.concatenate(parts).reshape(-1), f"{name}_sizes": sizes}


def _parts(name: str, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return np.split(arrays[name], np.cumsum(arrays[f"{name}_sizes"])[:-1])
