import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from blocks import blocks_rig, render_blocks

from fsmde_core.card import ModelError, add_file, load_card, verified_file
from fsmde_core.fit import fit_camera
from fsmde_core.rig import Rig
from fsmde_core.runtime.predictor import Prediction, Predictor
from fsmde_core.runtime.session import ProviderError


@pytest.fixture(scope="module")
def predictor(model_card):
    return Predictor(model_card)


@pytest.mark.parametrize("cameras", [1, 4, 6])
def test_any_number_of_cameras(predictor, rig, views, cameras):
    part = Rig(rig.cameras[:cameras])
    prediction = predictor([image for image, _ in views[:cameras]], part)
    assert len(prediction.depth) == len(prediction.rig.cameras) == cameras
    for i, camera in enumerate(prediction.rig.cameras):
        size = (camera.height, camera.width)
        depth, confidence = prediction.depth[i], prediction.confidence[i]
        assert depth.shape == confidence.shape == prediction.surface[i].shape == size
        assert depth.dtype == np.float32
        assert np.isfinite(depth).all() and (depth > 0).all()
        assert (0 < confidence).all() and (confidence <= 1).all()
        assert prediction.images[i].shape == (*size, 3)


@pytest.mark.parametrize(
    ("source", "size"),
    [((1600, 900), (448, 256)), ((1656, 500), (640, 192)), ((832, 704), (384, 320))],
)
def test_one_file_serves_every_shape(predictor, source, size):
    rig = blocks_rig(width=source[0], height=source[1]).subset([0])
    image = render_blocks(rig.cameras[0].resized(source[0] // 8, source[1] // 8))[0]
    image = cv2.resize(image, source)
    prediction = predictor([image], rig)
    assert prediction.depth[0].shape == size[::-1]
    assert prediction.at_source(0).shape == source[::-1]


def test_more_pixels_are_seen_where_more_are_asked_for(model_card, rig, views):
    predictor = Predictor(model_card, input_pixels=2 * 448 * 256)
    wide = blocks_rig(width=1664, height=512).subset([0, 1])
    sizes = {predictor.fit(camera).size for camera in wide.cameras}
    assert sizes == {(832, 256)}


def test_a_small_image_shows_the_same_distances(predictor):
    """Not a half of them, as where the network saw no more pixels than the image has."""
    large = blocks_rig(width=640, height=360).subset([0])
    image = render_blocks(large.cameras[0])[0]
    expected = cv2.resize(predictor([image], large).at_source(0), (160, 90))
    small = cv2.resize(image, (160, 90), interpolation=cv2.INTER_AREA)
    found = predictor([small], large.resized(160, 90)).at_source(0)
    both = np.isfinite(expected) & np.isfinite(found)
    assert both.mean() > 0.5
    assert abs(np.log(found[both] / expected[both])).mean() < 0.2


def test_cameras_of_different_shapes_share_a_set(predictor, rig, views):
    """Each comes out as if it were alone."""
    shapes = [(320, 180), (320, 96), (160, 160), (320, 180)]
    cameras, images = [], []
    for i, (width, height) in enumerate(shapes):
        cameras.append(blocks_rig(width=width, height=height).cameras[i])
        images.append(render_blocks(cameras[-1])[0])
    together = predictor(images, Rig(tuple(cameras)))
    for i, camera in enumerate(cameras):
        alone = predictor([images[i]], Rig((camera,)))
        assert together.depth[i].shape == alone.depth[0].shape
        np.testing.assert_allclose(together.depth[i], alone.depth[0], rtol=1e-4)


def test_what_is_no_surface_has_no_depth(rig):
    fit = fit_camera(replace(rig.cameras[0], body=np.zeros((180, 320), bool)), pixels=40_000)
    height, width = fit.seen.shape
    depth = np.full((height, width), 12.0, np.float32)
    depth[:, :20] = 250.0  # beyond reach
    surface = np.ones((height, width), np.float32)
    surface[: height // 2] = 0.1
    maps = ((depth,), (np.ones_like(depth),), (surface,), (None,), (fit,))
    prediction = Prediction(*maps, reach_m=200.0)
    image = prediction.depth_image(0)
    assert np.isinf(image[fit.top : height // 2]).all() and (image[-20:, 20:] == 12).all()
    assert np.isinf(image[-20:, :20]).all()
    assert np.isnan(image[: fit.top]).all()
    assert (prediction.depth_image(0, min_surface_probability=0.05)[fit.top :, 20:] == 12).all()
    source = prediction.at_source(0)
    assert source.shape == (180, 320)
    assert set(np.unique(source[np.isfinite(source)])) == {12.0}


def test_an_image_that_contradicts_its_camera_is_named(predictor, rig, views):
    images = [image for image, _ in views]
    images[2] = images[2][:-1]
    with pytest.raises(ValueError, match="camera back_right: image .179, 320, 3."):
        predictor(images, rig)
    with pytest.raises(ValueError, match="5 images for a rig of 6 cameras"):
        predictor(images[:5], rig)
    for wrong in (None, views[2][0].tolist(), views[2][0] / 255):
        images[2] = wrong
        with pytest.raises(ValueError, match="camera back_right: image .* is not .180, 320, 3. u"):
            predictor(images, rig)


def test_an_image_may_lie_in_memory_as_it_likes(predictor, rig, views):
    part, image = rig.subset([0]), views[0][0]
    expected = predictor([image], part).depth[0]
    locked = image.copy()
    locked.setflags(write=False)
    for same in (image[..., ::-1].copy()[..., ::-1], np.asfortranarray(image), locked):
        assert np.array_equal(predictor([same], part).depth[0], expected)


@pytest.mark.parametrize(
    "limit", ["min_surface_probability", "min_depth_m", "max_depth_m", "min_confidence"]
)
def test_a_limit_that_is_nan_is_refused(predictor, rig, views, limit):
    """It would let the sky through as a wall, without a word."""
    prediction = predictor([views[0][0]], rig.subset([0]))
    with pytest.raises(ValueError, match=f"{limit} is nan"):
        prediction.depth_image(0, **{limit: float("nan")})


def test_the_first_provider_that_works_is_used_and_the_others_are_reported(model_card):
    predictor = Predictor(model_card, providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
    if predictor.provider == "CUDAExecutionProvider":
        assert predictor.refused == {}
    else:
        assert predictor.provider == "CPUExecutionProvider"
        assert list(predictor.refused) == ["CUDAExecutionProvider"]


def test_a_provider_that_is_not_there_is_never_replaced(model_card):
    with pytest.raises(ProviderError, match="QNNExecutionProvider: not in this build"):
        Predictor(model_card, providers=["QNNExecutionProvider"])
    with pytest.raises(ProviderError, match="none was asked for"):
        Predictor(model_card, providers=[])


@pytest.fixture
def copy(model_card, tmp_path):
    for suffix in (".json", ".onnx"):
        shutil.copy(model_card.with_suffix(suffix), tmp_path)
    return tmp_path / model_card.name


def test_a_model_with_another_sha256_is_refused(copy):
    with open(copy.with_suffix(".onnx"), "r+b") as file:
        file.seek(1000)
        file.write(b"\x00\x01\x02\x03")
    with pytest.raises(ModelError, match="student_s.onnx has sha256"):
        Predictor(copy)


def test_a_missing_model_is_named(copy):
    copy.with_suffix(".onnx").unlink()
    with pytest.raises(ModelError, match="student_s.onnx is missing"):
        Predictor(copy)


def test_a_file_that_is_no_model_is_refused(copy):
    copy.with_suffix(".onnx").write_bytes(b"rubbish")
    add_file(copy, copy.with_suffix(".onnx"))
    with pytest.raises(ModelError, match="student_s.onnx does not load"):
        Predictor(copy)


def test_the_shipped_card_says_what_the_model_is(model_card):
    card = load_card(model_card)
    assert card.licence == "Apache-2.0"
    assert card.description
    suffixes = (".safetensors", ".onnx", ".int8.onnx", ".fp16.onnx")
    assert set(card.sha256) == {model_card.with_suffix(suffix).name for suffix in suffixes}
    for suffix in suffixes:
        assert verified_file(model_card, suffix).stat().st_size < 20e6


def test_a_model_of_one_shape_says_that_it_cannot_take_more_pixels(stub_model):
    said = []
    Predictor(stub_model, input_pixels=200_000, say=said.append)
    (sentence,) = said
    assert "stub.onnx takes images of" in sentence and "input_pixels 200000" in sentence
    Predictor(stub_model, say=said.append)
    assert len(said) == 1


@pytest.mark.parametrize("pixels", [-5, float("nan"), "many", None])
def test_pixels_are_a_number_and_not_negative(stub_model, pixels):
    with pytest.raises(ModelError, match=f"input_pixels is {pixels!r}, not a number"):
        Predictor(stub_model, input_pixels=pixels)
