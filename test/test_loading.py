"""Rig and model by the node's parameters, without a node."""

import logging

import pytest
from stub_model import FREE_HEIGHT, FREE_WIDTH

from fsmde_core.rig import RigError, save_rig
from fsmde_core.runtime.predictor import Predictor
from fsmde_ros.loading import expected_fits, load_model, load_rig_file
from fsmde_ros.params import NodeParams


def test_a_rig_is_a_file_or_the_name_of_a_shipped_one_or_none(rig, tmp_path):
    save_rig(rig, tmp_path / "rig.yaml")
    assert load_rig_file(NodeParams(rig_file=str(tmp_path / "rig.yaml"))).names == rig.names
    assert len(load_rig_file(NodeParams(rig_file="nuscenes")).names) == 6
    assert load_rig_file(NodeParams(cameras=["front"])) is None
    with pytest.raises(RigError, match="none.yaml: No such file"):
        load_rig_file(NodeParams(rig_file=str(tmp_path / "none.yaml")))


class Seen(Predictor):
    """Remembers the shapes that it ran with."""

    def predict(self, images, fits):
        self.shapes = [image.shape[1::-1] for image in images]
        prediction = super().predict(images, fits)
        assert prediction.rig.names  # cameras that can be a rig
        return prediction


@pytest.mark.parametrize("cameras", [1, 6])
def test_warming_up_runs_what_is_expected(rig, free_model, cameras):
    params = NodeParams(model=str(free_model), providers=["CPUExecutionProvider"])
    logger = logging.getLogger("test")
    predictor = load_model(params, cameras=cameras, make_predictor=Seen, logger=logger)
    predictor.warm_up(expected_fits(predictor, None, cameras=cameras))
    assert predictor.shapes == cameras * [(FREE_WIDTH, FREE_HEIGHT)]
    predictor.warm_up(expected_fits(predictor, rig, cameras=6))
    assert predictor.shapes == [predictor.fit(camera).size for camera in rig.cameras]


def test_more_pixels_reach_the_model(rig, free_model):
    params = NodeParams(model=str(free_model), input_pixels=320 * 180)
    logger = logging.getLogger("test")
    predictor = load_model(params, cameras=6, make_predictor=Predictor, logger=logger)
    assert predictor.fit(rig.cameras[0]).size == (320, 192)
    assert predictor.card.name == "stub"
