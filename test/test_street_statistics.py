"""The statistics of many streets beside real frames."""

import numpy as np
import pytest

from fsmde_core.street import image_statistics
from fsmde_core.street.depth_statistics import COLUMNS, main, sky_by_rule, street_row
from fsmde_core.street.image_statistics import look_of, spreads


def test_sky_is_what_is_bright_and_smooth_up_to_the_top():
    image = np.full((90, 160, 3), 40, np.uint8)
    image[:30] = 220
    image[60:70] = 220  # bright, but below something dark
    assert sky_by_rule(image) == pytest.approx(1 / 3, abs=0.02)
    assert sky_by_rule(image[::-1]) < 0.01


def test_a_row_of_a_street():
    row, least = street_row(2)
    assert len(row) == len(COLUMNS)
    assert 2 < row[0] < 40 and 2 < row[3] < 40
    assert all(0 <= share <= 1 for share in (row[1], row[2], row[4], row[5]))
    assert least >= 0.5


def test_a_missing_root_is_named(tmp_path, capsys):
    assert main(["--seeds", "1", "--nuscenes", str(tmp_path / "none")]) == 2
    complaint = capsys.readouterr().err
    assert "none" in complaint and complaint.count("\n") == 1


def test_looks_tell_a_dark_image_from_a_bright_one_and_near_rows_from_far_ones():
    image = np.full((180, 320, 3), (40, 120, 40), np.uint8)
    image[:60] = 250
    depth = np.full((180, 320), 5.0)
    depth[:72] = 60.0
    look = look_of(image, depth)
    assert look["share of green"] == pytest.approx(2 / 3, abs=0.02)
    assert look["nearly white"] == pytest.approx(1 / 3, abs=0.02)
    assert look["share of sky, by the rule"] == pytest.approx(1 / 3, abs=0.02)
    assert look["LiDAR beyond 40 m"] == pytest.approx(0.4, abs=0.01)
    assert look["median depth, rows 1/5, m"] == 60 and look["median depth, rows 5/5, m"] == 5
    lines = spreads({"dark": [look], "without depth": [look_of(image // 2, None)]}).splitlines()
    assert "dark (1)" in lines[0] and len(lines) == 2 + len(look)


def test_looks_of_folders_that_are_not_there(tmp_path, capsys):
    assert image_statistics.main(["--seeds", "1", "--images", str(tmp_path)]) == 2
    assert "holds no .jpg or .png" in capsys.readouterr().err
