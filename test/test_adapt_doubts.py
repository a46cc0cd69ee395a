"""What does not fit is told apart: cameras at the places of others, axes, units."""

import numpy as np
import pytest

from fsmde_core.adapt.doubts import Fit

RIGHT = np.array([[3, 170, 90, 90], [170, 2, 90, 90], [90, 90, 4, 60], [90, 90, 60, 3.0]])
NAMES = ("front", "back", "left", "right")
FITS = {90: 90.0, 180: 170.0, 270: 90.0}


@pytest.mark.parametrize(
    ("order", "sentences"),
    [
        ([0, 1, 2, 3], []),
        ([1, 0, 2, 3], ["front and back seem to be swapped"]),
        ([0, 2, 3, 1], [f"the images of {a} seem to be those of {b}" for a, b in
                        (("back", "left"), ("left", "right"), ("right", "back"))]),
    ],
)  # fmt: skip
def test_cameras_at_places_of_others_are_told_apart(order, sentences):
    fit = Fit(1.0, 0.1, RIGHT[order], FITS, NAMES)
    assert len(fit.of_rig) == len(sentences) and not fit.of_odometry
    assert all(found.startswith(wanted) for found, wanted in zip(fit.of_rig, sentences))


def test_every_one_of_many_cameras_is_told():
    around = np.linspace(0, 330, 12)
    apart = np.abs((around[:, None] - around + 180) % 360 - 180)
    order, names = np.roll(np.arange(12), 2), [f"camera{i}" for i in range(12)]
    fit = Fit(1.0, 0.1, (apart + 3)[order], dict.fromkeys(FITS, 60.0), names)
    assert fit.of_rig == [
        f"the images of {names[i]} seem to be those of {names[order[i]]} (points move 63 degrees "
        "off as it is, 3 there)"
        for i in range(12)
    ]


def test_axes_frames_and_units_are_told_apart():
    all_wrong = RIGHT + 50 * np.eye(4)
    backwards = Fit(1.0, 0.1, all_wrong, {**FITS, 180: 4.0}, NAMES)
    assert "axes seem to be backwards" in backwards.of_odometry[0] and not backwards.of_rig
    nothing_fits = Fit(1.0, 0.1, all_wrong, FITS, NAMES)
    assert len(nothing_fits.of_rig) == 4 and "its frame, axes and stamps" in nothing_fits.of_rig[0]
    too_dark = Fit(np.nan, np.nan, np.full((4, 4), np.nan), FITS, NAMES)
    assert not too_dark.of_odometry and not too_dark.of_rig
    said = [Fit(scale, 0.1, RIGHT, FITS, NAMES).of_odometry for scale in (0.7, 3.6, 0.0011, 7.0)]
    assert said[0] == [] and "made of m/s taken for km/h (times 3.6)" in said[1][0]
    assert "in millimetres (times 0.001)" in said[2][0]
    assert said[3][0].startswith(
        "odometry seems not to be in metres: translations fit best times 7"
    )
    other_way = Fit(1.0, 0.1, all_wrong, FITS, NAMES, mirrored_deg=3.0)
    assert "seems to turn the other way: y has to be left" in other_way.of_odometry[0]
    assert len(other_way.of_odometry) == 1 and not other_way.of_rig
    in_feet = Fit(0.3, 0.1, RIGHT + np.diag([50, 0, 0, 0]), FITS, NAMES)
    assert "in feet" in in_feet.of_odometry[0] and in_feet.of_rig[0].startswith("front: points")
