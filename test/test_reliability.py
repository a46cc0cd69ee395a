"""What the reliability report counts, on views whose every pixel is known."""

import numpy as np
import pytest

from fsmde_core.evaluate import reliability, shapes
from fsmde_core.evaluate.reliability import Reliability
from fsmde_core.fit import fit_camera
from fsmde_core.runtime.predictor import Prediction


def prediction(rig, sample, *, factor=1.0, probability=None):
    """What a network that knows the truth would say, its depth times a factor."""
    fits = tuple(fit_camera(camera, pixels=320 * 192) for camera in rig.cameras)
    depths, surfaces = [], []
    for fit, depth_gt in zip(fits, sample.depth_gt):
        depth = reliability._at_input(fit, depth_gt)
        depths.append((factor * np.where(depth > 0, depth, 90)).astype(np.float32))
        sure = ((depth > 0) & (depth <= 200)).astype(np.float32)
        surfaces.append(sure if probability is None else np.full_like(sure, probability))
    confidences = tuple(np.full_like(depth, 0.8) for depth in depths)
    images = tuple(np.zeros((*depth.shape, 3), np.uint8) for depth in depths)
    return Prediction(tuple(depths), confidences, tuple(surfaces), images, fits, reach_m=200.0)


def test_who_knows_everything_is_right_everywhere(rig, sample):
    counts = Reliability(200.0)
    counts.add(prediction(rig, sample), sample)
    document = counts.report()
    assert document["sky"] == {"precision": 1.0, "recall": 1.0}
    assert document["calibration_error"] == 0.0
    assert document["confidence"]["within_25_percent"][0] == 1.0
    assert document["confidence"]["within_25_percent"][-1] is None  # nobody was surer than 0.8


def test_who_says_a_tenth_everywhere_finds_all_of_the_sky_and_nothing_else(rig, sample):
    counts = Reliability(200.0)
    counts.add(prediction(rig, sample, factor=1.5, probability=0.1), sample)
    document = counts.report()
    share = float(np.mean((sample.depth_gt > 0) & (sample.depth_gt <= 200)))
    assert document["sky"]["recall"] == 1.0
    assert document["sky"]["precision"] == pytest.approx(1 - share, abs=0.02)
    assert document["calibration_error"] == pytest.approx(abs(share - 0.1), abs=0.02)
    assert document["confidence"]["within_25_percent"][0] == 0.0
    assert "precision" in reliability.numbers(document)
    assert reliability.diagram(document).shape == (540, 1280, 3)


def test_what_is_beyond_reach_counts_as_sky(rig, sample):
    counts = Reliability(5.0)
    counts.add(prediction(rig, sample), sample)
    assert counts.report()["sky"]["recall"] < 0.9


def test_aspects_and_stretches_compare_the_same_things(sample):
    """One depth everywhere has the same ratio to the truth in every shape."""

    class Ten:
        def __call__(self, images, rig):
            fits = tuple(fit_camera(camera, pixels=40_000) for camera in rig.cameras)
            tens = tuple(np.full(fit.seen.shape, 10, np.float32) for fit in fits)
            return Prediction(tens, tens, tens, tens, fits)

    document = shapes.measure(Ten(), [sample])
    for kind in ("aspect", "fy / fx"):
        values = list(document[kind].values())
        assert max(values) / min(values) < 1.03
    assert "degrees" in shapes.numbers(document)


def test_a_folder_without_samples_is_one_sentence(model_card, tmp_path, capsys):
    arguments = ["--data", str(tmp_path), "--model", str(model_card)]
    assert reliability.main(arguments) == 2 and shapes.main(arguments) == 2
    assert capsys.readouterr().err.count("holds no rendered street samples") == 2
