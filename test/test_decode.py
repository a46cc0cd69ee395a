"""Images as drivers and image_transport send them, and as they are damaged on the way."""

import array

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from fsmde_ros.conversions import MessageError
from fsmde_ros.decode import ENCODINGS, decode_image

HEADER = Header(frame_id="front_optical_frame")
RGB = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 20, 30]]], np.uint8)
ALPHA = np.full((2, 2, 1), 7, np.uint8)


def image_msg(pixels, encoding, *, padding=0):
    rows = np.pad(pixels.reshape(pixels.shape[0], -1), ((0, 0), (0, padding)))
    return Image(
        header=HEADER,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=rows.shape[1],
        data=array.array("B", rows.tobytes()),
    )


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("8UC3", RGB[..., ::-1]),
        ("rgba8", np.concatenate([RGB, ALPHA], axis=-1)),
        ("bgra8", np.concatenate([RGB[..., ::-1], ALPHA], axis=-1)),
    ],
)
def test_colour_encodings_become_rgb(encoding, pixels, padding):
    msg = image_msg(np.ascontiguousarray(pixels), encoding, padding=padding)
    assert np.array_equal(decode_image(msg, "/front").pixels, RGB)


def test_mono_becomes_grey():
    grey = np.array([[0, 100], [200, 255]], np.uint8)
    decoded = decode_image(image_msg(grey, "mono8"), "/front").pixels
    assert np.array_equal(decoded, np.repeat(grey[..., None], 3, axis=-1))


def test_an_unknown_encoding_names_topic_and_encoding():
    with pytest.raises(MessageError, match="/front: encoding '16UC1' is not supported"):
        decode_image(image_msg(RGB, "16UC1"), "/front")


def test_missing_bytes_and_short_steps_are_refused():
    msg = image_msg(RGB, "rgb8")
    msg.data = msg.data[:-1]
    with pytest.raises(MessageError, match="/front: 2x2 rgb8 with step 6 .* its 11 bytes"):
        decode_image(msg, "/front")
    msg = image_msg(RGB, "rgb8")
    msg.step = 5
    with pytest.raises(MessageError, match="step 5"):
        decode_image(msg, "/front")


def compressed(suffix, *, cut=None):
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    _, encoded = cv2.imencode(suffix, image)
    data = encoded.tobytes()[:cut]
    return image, CompressedImage(header=HEADER, format="jpeg", data=array.array("B", data))


def test_png_comes_back_exactly():
    bgr, msg = compressed(".png")
    assert np.array_equal(decode_image(msg, "/front").pixels, bgr[..., ::-1])


def test_jpeg_comes_back_nearly():
    flat = np.full((32, 32, 3), (10, 120, 240), np.uint8)
    _, encoded = cv2.imencode(".jpg", flat)
    msg = CompressedImage(format="jpeg", data=array.array("B", encoded.tobytes()))
    assert np.abs(decode_image(msg, "/front").pixels.astype(int) - [240, 120, 10]).max() < 4


@pytest.mark.parametrize("cut", [-3, -500, 300])
def test_a_truncated_jpeg_is_refused(cut):
    with pytest.raises(MessageError, match="/front: .* do not decode as an image: .*"):
        decode_image(compressed(".jpg", cut=cut)[1], "/front")


@pytest.mark.parametrize("data", [b"", b"rubbish", b"\xff\xd8\xff\xd9"])
def test_bytes_that_are_no_image_are_refused(data):
    msg = CompressedImage(format="jpeg", data=array.array("B", data))
    with pytest.raises(MessageError, match="/front: .* bytes of format 'jpeg' do not decode"):
        decode_image(msg, "/front")


@pytest.mark.parametrize("encoding", ["bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"])
def test_bayer_patterns_become_their_colour(encoding):
    colour = {"r": 200, "g": 100, "b": 50}
    pattern = np.array([colour[c] for c in encoding[6:10]], np.uint8).reshape(2, 2)
    pixels = decode_image(image_msg(np.tile(pattern, (8, 8)), encoding), "/front").pixels
    assert np.abs(pixels[4:-4, 4:-4].astype(int) - [200, 100, 50]).max() <= 1


@pytest.mark.parametrize(("encoding", "order"), [("yuv422", "uyvy"), ("yuv422_yuy2", "yuyv")])
def test_yuv422_becomes_rgb(encoding, order):
    # BT.601, a strong red: Y 81, U 90, V 240
    level = {"y": 81, "u": 90, "v": 240}
    row = np.tile(np.array([level[c] for c in order], np.uint8), 8)
    msg = image_msg(np.tile(row, (8, 1)).reshape(8, 16, 2), encoding)
    assert np.abs(decode_image(msg, "/front").pixels.astype(int) - [255, 0, 0]).max() <= 3


def test_jpegs_are_decoded_at_reduced_scale_only_where_that_is_enough():
    smooth = cv2.resize(
        np.random.default_rng(0).integers(0, 255, (9, 16, 3)).astype(np.uint8),
        (641, 361),
        interpolation=cv2.INTER_CUBIC,
    )
    _, encoded = cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_QUALITY, 95])
    msg = CompressedImage(format="jpeg", data=array.array("B", encoded.tobytes()))
    full = decode_image(msg, "/front")
    assert full.pixels.shape == (361, 641, 3)
    half = decode_image(msg, "/front", enough=(320, 180))
    assert half.pixels.shape == (180, 320, 3)
    assert (half.width, half.height) == (full.width, full.height) == (641, 361)
    assert decode_image(msg, "/front", enough=(322, 180)).pixels.shape == (361, 641, 3)
    small = [cv2.resize(i.pixels, (64, 36), interpolation=cv2.INTER_AREA) for i in (full, half)]
    assert np.abs(small[0].astype(int) - small[1]).mean() < 2


def smooth(width=320, height=180):
    """A picture without sharp edges."""
    small = np.random.default_rng(0).integers(40, 215, (9, 16, 3)).astype(np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def mosaic_of(colour, pattern, *, shape=(180, 320)):
    """[H, W] uint8 of one colour through a Bayer filter such as rggb."""
    levels = dict(zip("rgb", colour))
    tile = np.array([levels[c] for c in pattern], np.uint8).reshape(2, 2)
    return np.tile(tile, (shape[0] // 2 + 1, shape[1] // 2 + 1))[: shape[0], : shape[1]]


def file_msg(pixels, suffix, text, *options):
    _, encoded = cv2.imencode(suffix, pixels, options)
    return CompressedImage(format=text, data=array.array("B", encoded.tobytes()))


@pytest.mark.parametrize("big_endian", [0, 1])
@pytest.mark.parametrize(("encoding", "order"), [("rgb16", [0, 1, 2]), ("bgr16", [2, 1, 0])])
def test_of_16_bits_the_upper_8_are_taken(encoding, order, big_endian):
    values = (RGB[..., order].astype(np.uint16) << 8) + 77
    wide = np.ascontiguousarray(values.astype(">u2" if big_endian else "<u2")).view(np.uint8)
    msg = image_msg(wide.reshape(2, 12), encoding, padding=3)
    msg.width, msg.is_bigendian = 2, big_endian
    assert np.array_equal(decode_image(msg, "/front").pixels, RGB)
    msg.encoding, msg.width = "mono16", 6
    assert np.array_equal(decode_image(msg, "/f").pixels[..., 1], RGB[..., order].reshape(2, 6))


@pytest.mark.parametrize("big_endian", [0, 1])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("encoding", ["rgb16", "bayer_rggb16"])
def test_colours_of_a_sensor_of_fewer_bits_are_not_black(encoding, bits, big_endian):
    """10 or 12 bits in the lower ones of 16, as V4L2 and libcamera have them."""
    colour = np.array([200, 120, 30])
    values = np.tile(colour, (8, 8, 1)) if encoding == "rgb16" else mosaic_of(colour, "rggb")
    wide = (values.astype(int) << (bits - 8)).astype(">u2" if big_endian else "<u2")
    msg = image_msg(np.ascontiguousarray(wide).view(np.uint8).reshape(len(wide), -1), encoding)
    msg.width, msg.is_bigendian = wide.shape[1], big_endian
    assert np.array_equal(decode_image(msg, "/front").pixels[3, 3], colour)


@pytest.mark.parametrize("big_endian", [0, 1])
def test_grey_levels_of_few_bits_are_stretched(big_endian):
    """As of a thermal camera: 14 bits, of which a scene takes a few hundred values."""
    scene = np.linspace(7000, 7400, 320 * 180).reshape(180, 320).astype(np.uint16)
    scene[0, :3] = 0, 16000, 16000  # a dead pixel and hot ones do not take the contrast
    msg = image_msg(scene.astype(">u2" if big_endian else "<u2").view(np.uint8), "mono16")
    msg.width, msg.is_bigendian = 320, big_endian
    grey = decode_image(msg, "/front").pixels[..., 0]
    assert grey[1:].min() == 0 and grey[1:].max() == 255
    assert np.all(np.diff(grey[1:, 0].astype(int)) >= 0)
    assert np.array_equal(decode_image(file_msg(scene, ".png", "png"), "/f").pixels[..., 0], grey)
    scene[:] = 7000  # nothing to see
    assert not decode_image(file_msg(scene, ".png", "png"), "/front").pixels.any()


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".png", "bayer_{}8; png compressed "),
        (".jpg", "bayer_{}8; jpeg compressed "),
        (".png", "bayer_{}8"),
        (".jpg", "bayer_{}8; jpeg compressed bayer_{}8"),
    ],
)
def test_a_mosaic_inside_a_compressed_image_becomes_its_colour(pattern, suffix, text):
    colour = (200, 80, 30)
    grey = mosaic_of(colour, pattern)
    for pixels in (grey, np.dstack([grey] * 3)):
        msg = file_msg(pixels, suffix, text.format(pattern, pattern), cv2.IMWRITE_JPEG_QUALITY, 100)
        decoded = decode_image(msg, "/front", enough=(160, 90))
        assert (decoded.width, decoded.height) == (320, 180)
        assert decoded.pixels.shape == (90, 160, 3)
        found = np.median(decoded.pixels, axis=(0, 1))
        assert np.abs(found - colour).max() < 12


def test_a_mosaic_of_16_bits_too_and_one_that_has_its_colours_already():
    wide = mosaic_of((200, 80, 30), "grbg").astype(np.uint16) << 8
    decoded = decode_image(file_msg(wide, ".png", "bayer_grbg16; png compressed "), "/front")
    assert np.abs(decoded.pixels[9, 9].astype(int) - (200, 80, 30)).max() <= 1
    for text in ("bayer_rggb8; jpeg compressed bgr8", "bayer_rggb8; png compressed rgb8"):
        decoded = decode_image(file_msg(smooth(), ".png", text), "/front")
        assert np.array_equal(decoded.pixels, smooth()[..., ::-1])
        grey = np.full((20, 20, 3), 99, np.uint8)
        assert (decode_image(file_msg(grey, ".png", text), "/front").pixels == 99).all()


def test_a_mosaic_that_nobody_knows_and_depth_are_refused():
    grey = mosaic_of((200, 80, 30), "rggb")
    with pytest.raises(MessageError, match="/front: format 'bayer_rggb12; .* mosaic bayer_rggb12"):
        decode_image(file_msg(grey, ".png", "bayer_rggb12; png compressed "), "/front")
    for text in ("16UC1; png compressed ", "16UC1; compressedDepth png", "32FC1; jpeg compressed"):
        with pytest.raises(MessageError, match="/front: .* are no picture"):
            decode_image(file_msg(grey.astype(np.uint16), ".png", text), "/front")


@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv21", "nv12"])
def test_odd_sides_of_yuv_are_refused_by_name(encoding):
    msg = image_msg(np.zeros((6, 30), np.uint8), encoding)
    msg.width, msg.height = 5, 4
    with pytest.raises(MessageError, match=f"/front: 5x4 {encoding}: {encoding} has .*even"):
        decode_image(msg, "/front")


@pytest.mark.parametrize(("encoding", "order"), [("nv21", "vu"), ("nv12", "uv")])
def test_planes_below_each_other_become_rgb(encoding, order):
    level = {"u": 90, "v": 240}  # BT.601, a strong red, as above
    chroma = np.tile(np.array([level[c] for c in order], np.uint8), (4, 8))
    msg = image_msg(np.vstack([np.full((8, 16), 81, np.uint8), chroma]), encoding, padding=4)
    msg.height = 8
    decoded = decode_image(msg, "/front")
    assert np.abs(decoded.pixels.astype(int) - [255, 0, 0]).max() <= 3
    assert decoded.pixels.shape == (8, 16, 3)
    msg.data = msg.data[:-8]
    with pytest.raises(MessageError, match="/front: 16x8 .* does not fit its"):
        decode_image(msg, "/front")


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
@pytest.mark.parametrize("width", [0, 1, 2, 3, 5, 17])
@pytest.mark.parametrize("height", [0, 1, 2, 3, 7])
def test_any_size_of_any_encoding_is_decoded_or_refused(encoding, width, height):
    what = ENCODINGS[encoding]
    rows = height * what.rows[0] // what.rows[1]
    pixels = np.full((rows, width * what.channels * what.bits // 8), 120, np.uint8)
    msg = Image(
        width=width, height=height, encoding=encoding, step=pixels.shape[1],
        data=array.array("B", pixels.tobytes()),
    )  # fmt: skip
    try:
        decoded = decode_image(msg, "/front")
    except MessageError as error:
        assert str(error).startswith("/front: ") and "OpenCV" not in str(error)
        small, odd = min(width, height) < 3, width % 2 or height % 2
        assert min(width, height) == 0 or (small and "bayer" in encoding) or odd
    else:
        assert decoded.pixels.shape == (height, width, 3) and decoded.pixels.min() > 60


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_kind_of_png_is_its_colours(channels, dtype):
    picture = np.dstack([smooth(), np.full((180, 320), 5, np.uint8)])[..., :channels]
    values = picture.astype(dtype) << (8 if dtype is np.uint16 else 0)
    decoded = decode_image(file_msg(values, ".png", "png"), "/front").pixels
    expected = picture[..., [2, 1, 0]] if channels > 1 else np.repeat(picture, 3, axis=2)
    assert np.array_equal(decoded, expected)


JUNK = b"\x00\x12\x34" * 5


def jpeg(*options):
    return cv2.imencode(".jpg", smooth(), [cv2.IMWRITE_JPEG_QUALITY, 95, *options])[1].tobytes()


def decoded_jpeg(data, text="jpeg"):
    return decode_image(CompressedImage(format=text, data=array.array("B", data)), "/f").pixels


@pytest.mark.parametrize(
    "marker", [b"\xff\xdb", b"\xff\xc0", b"\xff\xc4", b"\xff\xda", b"\xff\xd9"]
)
def test_bytes_too_many_before_a_marker_of_a_jpeg_cost_nothing(marker):
    data = jpeg()
    at = data.rindex(marker)
    for junk in (JUNK, b"\x00", b"\xff\x00\xff" + JUNK, bytes(3000)):
        found = decoded_jpeg(data[:at] + junk + data[at:])
        assert np.array_equal(found, decoded_jpeg(data))


def test_bytes_too_many_between_restart_intervals_and_around_a_jpeg_cost_nothing():
    data = jpeg(cv2.IMWRITE_JPEG_RST_INTERVAL, 4)
    at = data.index(b"\xff\xd3")
    for damaged in (data[:at] + JUNK + data[at:], JUNK + data, data + JUNK, b"\n\xff" + data):
        assert np.array_equal(decoded_jpeg(damaged), decoded_jpeg(data))


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_RST_INTERVAL, 4)])
def test_a_jpeg_without_its_end_marker_is_whole(options):
    data = jpeg(*options)
    for damaged in (data[:-2], data[:-1], data[:-2] + bytes(4)):
        assert np.array_equal(decoded_jpeg(damaged), decoded_jpeg(data))


@pytest.mark.parametrize("cut", [3, 10, 100, 1000])
@pytest.mark.parametrize(
    "options", [(), (cv2.IMWRITE_JPEG_RST_INTERVAL, 4), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)]
)
def test_a_jpeg_that_lacks_more_than_its_end_marker_is_refused(options, cut):
    with pytest.raises(MessageError, match="/f: .* image: Premature end of JPEG file"):
        decoded_jpeg(jpeg(*options)[:-cut])


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9])
def test_a_jpeg_with_bytes_too_many_that_is_cut_off_is_refused(cut):
    data = jpeg()
    at = data.index(b"\xff\xdb")
    damaged = data[:at] + JUNK + data[at:]
    for end in (b"", b"\xff\xd9", JUNK + b"\xff\xd9"):
        with pytest.raises(MessageError, match="/f: .* do not decode as an image"):
            decoded_jpeg(damaged[: int(len(damaged) * cut)] + end)


def test_a_jpeg_that_lost_a_part_is_refused():
    data = jpeg(cv2.IMWRITE_JPEG_RST_INTERVAL, 4)
    at = data.index(b"\xff\xd3")
    middle = len(data) // 2
    for damaged in (data[:at] + data[at + 2 :], data[:middle] + bytes(400) + data[middle + 400 :]):
        with pytest.raises(MessageError, match="/f: .* do not decode as an image"):
            decoded_jpeg(damaged)


@pytest.mark.parametrize("cut", [40, 0.5, -4])
def test_a_truncated_png_is_refused(cut):
    data = cv2.imencode(".png", smooth())[1].tobytes()
    end = int(len(data) * cut) if isinstance(cut, float) else cut
    with pytest.raises(MessageError, match="/f: .* of format 'png' do not decode as an image"):
        decoded_jpeg(data[:end], "png")
