"""fsmde-evaluate on rendered samples."""

import json

import numpy as np
import pytest

from fsmde_core.evaluate.main import main
from fsmde_core.street.cache import CachedStreet
from fsmde_core.street.dataset import StreetDataset, StreetDatasetConfig

SKY_M = 1000.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two rendered samples of one street."""
    folder = tmp_path_factory.mktemp("street")
    config = StreetDatasetConfig(size=(320, 180), poses=2)
    samples = CachedStreet(StreetDataset("val", 1, config), folder)
    for i in range(2):
        samples[i]
    return folder, samples


def test_exact_depth_has_no_error_and_the_views_agree(folder, tmp_path):
    folder, samples = folder
    for i in range(2):
        batch = samples[i]
        (tmp_path / "depth" / batch.tokens).mkdir(parents=True)
        for name, depth in zip(batch.names, batch.depth_gt):
            file = tmp_path / "depth" / batch.tokens / f"{name}.npy"
            np.save(file, np.where(depth > 0, depth, SKY_M))
    arguments = ["--data", str(folder), "--dataset", "street", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--predictions", str(tmp_path / "depth")]) == 0
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert document["samples"] == 2 and not document["faults"]
    assert document["metric"]["mean"]["abs_rel"] < 1e-6
    # What one camera sees lies where its neighbour sees it: the poses fit the depths. Edges differ.
    assert document["overlap"]["mean"]["delta_1"] > 0.97


def test_another_split_is_refused(folder, capsys):
    arguments = ["--data", str(folder[0]), "--dataset", "street", "--split", "stress"]
    assert main([*arguments, "--model", "models/student_s.json"]) == 2
    assert "holds split val, not stress" in capsys.readouterr().err
