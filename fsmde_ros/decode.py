"""Image messages to RGB pixels: the only file that knows their encodings."""

from __future__ import annotations

import re
from dataclasses import dataclass

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from fsmde_core.jpeg import START, decode_jpeg, reduction
from fsmde_ros.conversions import MessageError

FEW_BITS = 14  # values of 16 bits that need no more are of a sensor that has no more
SENSOR_BITS = (8, 10, 12, FEW_BITS)  # that sensors have
ENDS = (1, 99)  # percentiles of such an image that become black and white
EVERY = 4  # pixels of a row and rows of which those are taken
SMALLEST_MOSAIC = 3  # OpenCV makes a smaller one black
HEAD = 4096  # bytes in which a JPEG begins that something was put in front of


@dataclass(frozen=True)
class Encoding:
    """How the pixels of an encoding lie in a message."""

    channels: int
    """Values a pixel; of planes below each other, of the first."""
    to_rgb: int | None = None
    """OpenCV's conversion; None: it is RGB."""
    bits: int = 8
    """Of each value; of 16 the upper 8 are taken, but see _upper_8."""
    even: tuple[int, int] = (1, 1)
    """Width and height are multiples of these."""
    rows: tuple[int, int] = (1, 1)
    """Rows in the message for those of the image, as a fraction."""


GREY = Encoding(1, cv2.COLOR_GRAY2RGB)
UYVY = Encoding(2, cv2.COLOR_YUV2RGB_UYVY, even=(2, 1))
YUYV = Encoding(2, cv2.COLOR_YUV2RGB_YUY2, even=(2, 1))
MOSAICS = {
    "bayer_rggb": cv2.COLOR_BayerRGGB2RGB,
    "bayer_bggr": cv2.COLOR_BayerBGGR2RGB,
    "bayer_gbrg": cv2.COLOR_BayerGBRG2RGB,
    "bayer_grbg": cv2.COLOR_BayerGRBG2RGB,
}
ENCODINGS = {
    "rgb8": Encoding(3),
    "bgr8": Encoding(3, cv2.COLOR_BGR2RGB),
    "rgba8": Encoding(4, cv2.COLOR_RGBA2RGB),
    "bgra8": Encoding(4, cv2.COLOR_BGRA2RGB),
    "8UC3": Encoding(3, cv2.COLOR_BGR2RGB),  # of OpenCV, whose colours are BGR
    "mono8": GREY,
    "rgb16": Encoding(3, bits=16),
    "bgr16": Encoding(3, cv2.COLOR_BGR2RGB, bits=16),
    "rgba16": Encoding(4, cv2.COLOR_RGBA2RGB, bits=16),
    "bgra16": Encoding(4, cv2.COLOR_BGRA2RGB, bits=16),
    "mono16": Encoding(1, cv2.COLOR_GRAY2RGB, bits=16),
    **{f"{name}8": Encoding(1, to_rgb) for name, to_rgb in MOSAICS.items()},
    **{f"{name}16": Encoding(1, to_rgb, bits=16) for name, to_rgb in MOSAICS.items()},
    "yuv422": UYVY,
    "uyvy": UYVY,
    "yuv422_yuy2": YUYV,
    "yuyv": YUYV,
    "nv21": Encoding(1, cv2.COLOR_YUV2RGB_NV21, even=(2, 2), rows=(3, 2)),
    "nv12": Encoding(1, cv2.COLOR_YUV2RGB_NV12, even=(2, 2), rows=(3, 2)),
}
COLOURED = re.compile(r"\b(rgb|bgr)a?(8|16)$")
VIDEO = re.compile(r"\b(h\.?26[45]|hevc|vp[89]|av1)\b", re.IGNORECASE)
NO_COLOUR = re.compile(r"^(16UC1|32FC1)\b|compressedDepth")


@dataclass(frozen=True)
class SourceImage:
    """A decoded image; pixels may be smaller than the source where that is enough."""

    pixels: np.ndarray
    """[h, w, 3] uint8 RGB."""
    width: int
    """Of the source."""
    height: int
    """Of the source."""


def decode_image(
    msg: Image | CompressedImage, topic: str, *, enough: tuple[int, int] | None = None
) -> SourceImage:
    """RGB pixels of an Image or CompressedImage.

    enough (width, height) allows a reduction to 1/2, 1/4 or 1/8 as long as both sides stay at least
    that long; JPEGs are then decoded at that size. MessageError names the topic for an encoding
    that neither we nor cv_bridge know, a size that it does not have, a row step that contradicts
    the width, missing bytes, or compressed data that is truncated or does not decode.
    """
    compressed = isinstance(msg, CompressedImage)
    try:
        return _decompress(msg, topic, enough) if compressed else _raw(msg, topic, enough)
    except cv2.error as error:  # its own words are of its source files
        what = (
            f"format {msg.format!r}" if compressed else f"{msg.width}x{msg.height} {msg.encoding}"
        )
        raise MessageError(f"{topic}: an image of {what} does not become RGB") from error


def _raw(msg: Image, topic: str, enough: tuple[int, int] | None) -> SourceImage:
    if msg.encoding not in ENCODINGS:
        return SourceImage(_through_cv_bridge(msg, topic), msg.width, msg.height)
    encoding, size = ENCODINGS[msg.encoding], f"{msg.width}x{msg.height} {msg.encoding}"
    if msg.width % encoding.even[0] or msg.height % encoding.even[1]:
        sides = "an even width" if encoding.even[1] == 1 else "even sides"
        raise MessageError(f"{topic}: {size}: {msg.encoding} has {sides}")
    row_bytes = msg.width * encoding.channels * encoding.bits // 8
    height = msg.height * encoding.rows[0] // encoding.rows[1]
    if msg.step < row_bytes or len(msg.data) < msg.step * height or not msg.height * msg.width:
        raise MessageError(
            f"{topic}: {size} with step {msg.step} does not fit its {len(msg.data)} bytes"
        )
    rows = np.frombuffer(msg.data, np.uint8)[: msg.step * height].reshape(height, msg.step)
    values = rows[:, :row_bytes]
    if encoding.bits == 16:
        wide = np.ascontiguousarray(values).view(">u2" if msg.is_bigendian else "<u2")
        values = _upper_8(wide, grey=encoding.to_rgb == GREY.to_rgb)
    pixels = _to_rgb(values.reshape(height, msg.width, encoding.channels), encoding, topic)
    return SourceImage(_reduced(pixels, enough), msg.width, msg.height)


def _upper_8(values: np.ndarray, *, grey: bool) -> np.ndarray:
    """uint8 of uint16 [H, W...]: the upper 8 bits, of a sensor of fewer bits the upper 8 of those.

    Many do not shift their 10 or 12 bits up. Grey levels are stretched to those in use: thermal
    cameras have 14 bits, of which a scene takes few.
    """
    most = int(values.max(initial=0))
    if not grey or most >= 1 << FEW_BITS:
        bits = next((bits for bits in SENSOR_BITS if most < 1 << bits), 16)
        return (values >> (bits - 8)).astype(np.uint8)
    dark, bright = np.percentile(values[::EVERY, ::EVERY], ENDS)
    levels = (values - dark) * (255 / max(bright - dark, 1))
    return np.clip(levels, 0, 255).astype(np.uint8)


def _to_rgb(pixels: np.ndarray, encoding: Encoding, topic: str) -> np.ndarray:
    if encoding.to_rgb is None:
        return np.ascontiguousarray(pixels)
    if encoding.to_rgb in MOSAICS.values() and min(pixels.shape[:2]) < SMALLEST_MOSAIC:
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise MessageError(f"{topic}: a Bayer mosaic of {size} pixels has no colours")
    return cv2.cvtColor(np.ascontiguousarray(pixels), encoding.to_rgb)


def _reduced(pixels: np.ndarray, enough: tuple[int, int] | None) -> np.ndarray:
    """The mean of 2x2, 4x4 or 8x8 pixels, as JPEG decoding at reduced scale gives it."""
    height, width, _ = pixels.shape
    factor = reduction((width, height), enough)
    if factor == 1:
        return pixels
    return cv2.resize(pixels, (width // factor, height // factor), interpolation=cv2.INTER_AREA)


def _through_cv_bridge(msg: Image, topic: str) -> np.ndarray:
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError:
        raise MessageError(
            f"{topic}: encoding {msg.encoding!r} is not supported without cv_bridge; "
            f"known: {', '.join(ENCODINGS)}"
        ) from None
    try:
        return CvBridge().imgmsg_to_cv2(msg, "rgb8")
    except CvBridgeError as error:
        raise MessageError(f"{topic}: encoding {msg.encoding!r}: {error}") from error


def _decompress(msg: CompressedImage, topic: str, enough: tuple[int, int] | None) -> SourceImage:
    data = np.frombuffer(msg.data, np.uint8)
    what = f"{topic}: {data.size} bytes of format {msg.format!r}"
    if NO_COLOUR.search(msg.format):
        raise MessageError(f"{what} are no picture")
    if VIDEO.search(msg.format):
        raise MessageError(
            f"{topic}: format {msg.format!r} is a video, which has to be turned into images"
        )
    mosaic = _mosaic(msg.format, topic)
    image = None
    if data[:2].tobytes() != START:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if image is None:
        start = data[:HEAD].tobytes().find(START)
        if start < 0:
            raise MessageError(f"{what} do not decode as an image")
        try:
            image, size = decode_jpeg(
                data[start:], enough if mosaic is None else None, keep_grey=mosaic is not None
            )
        except ValueError as error:
            raise MessageError(f"{what} do not decode as an image: {error}") from error
        colours = ENCODINGS["rgb8"]
    else:
        image, size = _eight_bits(image, what, mosaic), image.shape[1::-1]
        colours = {1: GREY, 3: ENCODINGS["bgr8"], 4: ENCODINGS["bgra8"]}[image.shape[2]]
    if mosaic is not None and _is_mosaic(image, msg.format):
        image, colours = image[..., :1], mosaic
    pixels = _to_rgb(image, colours, topic)
    return SourceImage(pixels if mosaic is None else _reduced(pixels, enough), *size)


def _eight_bits(image: np.ndarray, what: str, mosaic: Encoding | None) -> np.ndarray:
    """An image of OpenCV [H, W] or [H, W, C] as [H, W, C] uint8."""
    if image.dtype == np.uint16:
        image = _upper_8(image, grey=image.ndim == 2 and mosaic is None)
    if image.dtype != np.uint8:
        raise MessageError(f"{what} hold values of {image.dtype}, not of 8 or 16 bits")
    return image.reshape(*image.shape[:2], -1)


def _mosaic(text: str, topic: str) -> Encoding | None:
    """The Bayer pattern that a format says was compressed as it is; None where it was not."""
    name = re.split(r"[;\s]", text.strip(), maxsplit=1)[0].lower()
    if not name.startswith("bayer"):
        return None
    if name not in ENCODINGS:
        raise MessageError(f"{topic}: format {text!r}: the mosaic {name} is not known")
    return ENCODINGS[name]


def _is_mosaic(image: np.ndarray, text: str) -> bool:
    """Whether a picture [H, W, C] of a mosaic still is one, of one channel or in grey.

    image_transport names the colours that it was turned to before.
    """
    if image.shape[2] == 1 or COLOURED.search(text.strip()):
        return image.shape[2] == 1
    return all(np.array_equal(image[..., 0], image[..., k]) for k in (1, 2))
