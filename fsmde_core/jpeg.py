"""JPEG files as RGB pixels, at a reduced scale where that is enough.

simplejpeg gives what OpenCV gives from the same libjpeg-turbo, pixel by pixel, in two thirds of the
time, and refuses the damaged files that OpenCV fills up with grey without a word. What only has
bytes too many between its parts, or no end marker, as webcams send it, is whole: it is decoded.
"""

from __future__ import annotations

import re

import numpy as np
import simplejpeg

START = b"\xff\xd8"
END, SCAN, PROGRESSIVE = b"\xff\xd9", b"\xff\xda", b"\xff\xc2"
SCALES = (2, 4, 8)  # what libjpeg can leave out while it decodes, at a third of the time for a half
EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x(\w\w)")
NO_END = "Premature end of JPEG file"
RESTARTS = range(0xD0, 0xD8)
LOST_BYTES = 64  # more before a restart marker are a piece of the image that was not decoded


def decode_jpeg(
    data, enough: tuple[int, int] | None = None, *, keep_grey: bool = False
) -> tuple[np.ndarray, tuple[int, int]]:
    """Pixels [h, w, 3] uint8 RGB, and the (width, height) that the file has.

    data: bytes, or any buffer of them. enough (width, height) allows to decode at 1/2, 1/4 or 1/8,
    see reduction(); sides are rounded. keep_grey leaves a file of one channel at [h, w, 1].
    ValueError says what is wrong with the data.
    """
    try:
        return _decode(data, enough, keep_grey=keep_grey, strict=True)
    except ValueError as error:
        warning = error
    data = bytes(data)
    if EXTRANEOUS.search(str(warning)):
        data = _mended(data)
    elif NO_END in str(warning) and PROGRESSIVE not in data:  # whose last scans nobody misses
        data += END  # all that is missing may be the marker, which webcams forget
    else:
        raise warning
    try:
        return _decode(data, enough, keep_grey=keep_grey, strict=True)
    except ValueError as error:
        if NO_END in str(warning):  # more is missing than that
            raise warning from error
        found = EXTRANEOUS.search(str(error))
        lost = found is not None and int(found[2], 16) in RESTARTS and int(found[1]) > LOST_BYTES
        if found is None or lost or data.rfind(END) < data.rfind(SCAN):
            raise error from warning
    return _decode(data, enough, keep_grey=keep_grey, strict=False)


def _decode(data, enough: tuple[int, int] | None, *, keep_grey: bool, strict: bool):
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=strict)
    factor = reduction((width, height), enough)
    pixels = simplejpeg.decode_jpeg(
        data,
        "GRAY" if keep_grey and colours == "Gray" else "RGB",
        fastdct=False,
        fastupsample=False,
        min_height=height // factor,
        min_width=width // factor,
        min_factor=factor,
        strict=strict,
    )
    # the last column and row may be of less than half a cell: they would stretch all the others
    rows, columns = (max(1, round(side / factor)) for side in (height, width))
    return pixels[:rows, :columns], (width, height)


def _mended(data: bytes) -> bytes:
    """The file without what stands between the segments before its first scan."""
    parts, at = [START], len(START)
    while True:
        at = data.find(b"\xff", at)
        while 0 <= at < len(data) - 1 and data[at + 1] == 0xFF:  # fill bytes
            at += 1
        if at < 0 or at + 4 > len(data) or data[at : at + 2] == SCAN:
            return b"".join([*parts, data[max(at, 0) :]])
        if data[at + 1] == 0:  # no marker
            at += 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        parts.append(data[at:end])
        at = end


def reduction(size: tuple[int, int], enough: tuple[int, int] | None) -> int:
    """By how much an image may be reduced so that both sides stay at least `enough`."""
    if enough is None:
        return 1
    return max((s for s in SCALES if all(a // s >= e for a, e in zip(size, enough))), default=1)
