import json

import pytest
import torch

from fsmde_core.card import ModelError
from fsmde_core.network.checkpoint import load_student, save_student
from fsmde_core.network.student import StudentConfig, StudentDepthNet

SMALL = StudentConfig(input_width=64, input_height=32, n_bins=8, decoder_channels=16)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    student = StudentDepthNet(SMALL)
    path = tmp_path / "tiny.json"
    save_student(
        student, path, config=SMALL, description="random", licence="Apache-2.0", provisional=True
    )
    return student, path


def test_weights_and_shape_come_back(saved):
    student, path = saved
    back = load_student(path)
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), back.parameters()))
    assert not back.training


def test_how_depth_is_read_is_of_the_card(saved):
    student, path = saved
    document = json.loads(path.read_text())
    rig = torch.rand(1, 2, 32, 64, 3), 50 * torch.eye(3).expand(1, 2, 3, 3)
    depths = []
    for depth_mean in (None, "arithmetic", "geometric", "harmonic"):  # older cards have none
        document["student"].pop("depth_mean")
        if depth_mean:
            document["student"]["depth_mean"] = depth_mean
        path.write_text(json.dumps(document))
        document["student"].setdefault("depth_mean", "")
        with torch.no_grad():
            depths.append(load_student(path)(*rig, torch.eye(4).expand(1, 2, 4, 4)).depth)
    assert torch.equal(depths[0], depths[1]) and (depths[2] < depths[1]).all()


@pytest.mark.parametrize(
    ("key", "value"), [("depth_mean", "median"), ("n_bins", "many"), ("input_width", 30)]
)
def test_a_card_with_a_value_that_cannot_be_is_refused(saved, key, value):
    _, path = saved
    document = json.loads(path.read_text())
    document["student"][key] = value
    path.write_text(json.dumps(document))
    with pytest.raises(ModelError, match=f"student.{key} is {value!r}"):
        load_student(path)


def test_rubbish_weights_are_refused(saved):
    _, path = saved
    path.with_suffix(".safetensors").write_bytes(b"rubbish")
    with pytest.raises(ModelError, match="tiny.safetensors has sha256"):
        load_student(path)


def test_weights_of_another_shape_are_refused(saved):
    _, path = saved
    document = json.loads(path.read_text())
    document["student"]["n_bins"] = 16
    path.write_text(json.dumps(document))
    with pytest.raises(ModelError, match="tiny.safetensors does not fit its card"):
        load_student(path)


def test_an_unknown_student_key_is_refused(saved):
    _, path = saved
    document = json.loads(path.read_text())
    document["student"]["bins"] = 16
    path.write_text(json.dumps(document))
    with pytest.raises(ModelError, match="unknown student key 'bins'"):
        load_student(path)
