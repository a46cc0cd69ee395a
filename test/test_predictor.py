import shutil

import numpy as np
import pytest
from blocks import blocks_rig

from fsmde_core.card import ModelError, add_file, load_card, verified_file
from fsmde_core.predictor import Predictor
from fsmde_core.rig import Rig
from fsmde_core.session import ProviderError


@pytest.fixture(scope="module")
def predictor(model_card):
    return Predictor(model_card)


@pytest.mark.parametrize("cameras", [1, 4, 6])
def test_any_number_of_cameras(predictor, rig, views, cameras):
    part = Rig(rig.cameras[:cameras])
    prediction = predictor([image for image, _ in views[:cameras]], part)
    size = (cameras, predictor.card.input_height, predictor.card.input_width)
    assert prediction.depth.shape == prediction.confidence.shape == size
    assert prediction.depth.dtype == np.float32
    assert np.isfinite(prediction.depth).all() and (prediction.depth > 0).all()
    assert (0 < prediction.confidence).all() and (prediction.confidence <= 1).all()
    assert prediction.images.shape == (*size, 3)
    assert prediction.rig.cameras[0].width == predictor.card.input_width


def test_shrinking_does_not_alias(predictor):
    width, height = predictor.size
    lines = np.zeros((2 * height, 2 * width, 3), np.uint8)
    lines[:, ::2] = 200  # finer than the network sees: grey, and no pattern of its own
    np.testing.assert_array_equal(predictor.resize(lines), 100)
    ramp = np.tile(np.linspace(0, 250, width * 5 // 4, dtype=np.uint8), (height * 5 // 4, 1))
    small = predictor.resize(np.stack([ramp] * 3, axis=-1))
    assert small.shape == (height, width, 3)
    assert np.abs(np.diff(small[height // 2, :, 0].astype(int))).max() <= 1


def test_cameras_of_different_sizes_share_a_set(predictor, rig, views):
    wide = blocks_rig(width=160, height=120)
    mixed = Rig((rig.cameras[0], wide.cameras[1]))
    images = [views[0][0], np.zeros((120, 160, 3), np.uint8)]
    assert predictor(images, mixed).depth.shape[0] == 2


def test_an_image_that_contradicts_its_camera_is_named(predictor, rig, views):
    images = [image for image, _ in views]
    images[2] = images[2][:-1]
    with pytest.raises(ValueError, match="camera back_right: image .179, 320, 3."):
        predictor(images, rig)
    with pytest.raises(ValueError, match="5 images for a rig of 6 cameras"):
        predictor(images[:5], rig)


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
