import json

import pytest

from fsmde_core.card import ModelCard, ModelError, load_card, save_card, sha256_of, verified_file


@pytest.fixture
def card_path(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"abc")
    card = ModelCard(
        name="net",
        provisional=True,
        description="",
        licence="Apache-2.0",
        input_width=64,
        input_height=32,
        max_depth_m=200.0,
        student={},
        sha256={"net.onnx": sha256_of(tmp_path / "net.onnx")},
    )
    save_card(card, tmp_path / "net.json")
    return tmp_path / "net.json"


def test_sha256_is_the_published_one_of_abc(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "abc") == digest


def test_a_file_that_matches_its_card_is_given_out(card_path):
    assert verified_file(card_path, ".onnx") == card_path.with_suffix(".onnx")


def test_a_changed_byte_is_found(card_path):
    card_path.with_suffix(".onnx").write_bytes(b"abd")
    with pytest.raises(ModelError, match="net.onnx has sha256 .* its card says ba7816bf"):
        verified_file(card_path, ".onnx")


def test_missing_files_are_named(card_path, tmp_path):
    with pytest.raises(ModelError, match="lists no sha256 for net.safetensors"):
        verified_file(card_path, ".safetensors")
    card_path.with_suffix(".onnx").unlink()
    with pytest.raises(ModelError, match="net.onnx is missing"):
        verified_file(card_path, ".onnx")
    with pytest.raises(ModelError, match="other.json: No such file"):
        load_card(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"colour": 1}, "unknown key 'colour'"),
        ({"sha256": []}, "sha256 is not an object"),
        ({"student": None}, "student is not an object"),
        ({"made_from": "a bag"}, "made_from is not an object"),
    ],
)
def test_a_bad_card_is_refused(card_path, change, reason):
    document = json.loads(card_path.read_text())
    card_path.write_text(json.dumps({**document, **change}))
    with pytest.raises(ModelError, match=reason):
        load_card(card_path)


@pytest.mark.parametrize(("text", "reason"), [("[]", "not a JSON object"), ("{", "not JSON")])
def test_a_card_that_is_no_json_object_is_refused(card_path, text, reason):
    card_path.write_text(text)
    with pytest.raises(ModelError, match=reason):
        load_card(card_path)


def test_a_card_without_its_fields_is_refused(card_path):
    card_path.write_text('{"name": "net"}')
    with pytest.raises(ModelError, match="missing"):
        load_card(card_path)
