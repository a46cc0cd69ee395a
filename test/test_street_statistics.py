"""The statistics of many streets beside real frames."""

import numpy as np
import pytest

from fsmde_core.street.depth_statistics import COLUMNS, main, sky_by_rule, street_row


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
