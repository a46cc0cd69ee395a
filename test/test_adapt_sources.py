"""Recordings and datasets as something to adapt to: what is read of them, and what is refused."""

import numpy as np
import pytest
from conftest import SHARED
from drives import standing, write_foreign_bag
from rosbags.rosbag2 import StoragePlugin

from fsmde_core.adapt.datasets import is_dataset, open_dataset, open_drive
from fsmde_core.adapt.source import (
    AdaptError,
    Track,
    check_moving,
    choose,
    movement,
    sets_of,
    write_drive,
)
from fsmde_core.data.drive import load_drive
from fsmde_core.data.sample import DatasetError, read_image
from fsmde_core.geometry import make_transform
from fsmde_core.rig import save_rig
from fsmde_ros.bags.drive import open_bag_drive
from fsmde_ros.bags.writer import RIG_FILE, write_bag


def test_our_own_bag_is_read_as_it_was_written(driven_bag, driven, tmp_path):
    source = open_bag_drive(driven_bag, driven_bag / RIG_FILE)
    assert source.rig.names == driven[0].rig.names and source.motion == "/tf, map <- base_link"
    assert source.stamps_ns == [sample.stamps_ns for sample in driven]
    assert np.allclose(source.T_world_ego, [s.T_world_ego for s in driven], atol=1e-6)
    assert source.rates_hz == pytest.approx([10] * 4, rel=0.01)
    how = movement(source)
    assert how.moving == 1 and 10 < how.metres / how.seconds < 15
    chosen = choose(source, step_m=2.0)
    write_drive([source], [chosen], tmp_path / "drive")
    drive = load_drive(tmp_path / "drive")
    assert len(drive) == len(chosen) == len(driven) // 2
    assert drive.moments[1].stamps_ns == driven[2].stamps_ns
    for i in range(4):
        sent = read_image(driven[2].image_files[i]).astype(int)
        assert np.abs(drive.image(1, i) - sent).mean() < 2
    again = open_drive(tmp_path / "drive")
    assert again.name == "drive" and again.stamps_ns[1] == driven[2].stamps_ns


@pytest.mark.parametrize(
    ("raw", "storage", "moves", "motion"),
    [
        (False, StoragePlugin.MCAP, "odometry", "/odom"),
        (True, StoragePlugin.SQLITE3, "tf", "/tf, odom <- base_link"),
        (False, StoragePlugin.SQLITE3, "pose", "/pose"),
    ],
)
def test_other_recorders_bags_need_a_rig_file_only(driven, tmp_path, raw, storage, moves, motion):
    save_rig(driven[0].rig, tmp_path / "rig.yaml")
    write_foreign_bag(driven, tmp_path / "bag", raw=raw, storage=storage, moves=moves)
    source = open_bag_drive(tmp_path / "bag", tmp_path / "rig.yaml")
    assert source.motion == motion and source.stamps_ns == [s.stamps_ns for s in driven]
    ways = source.T_world_ego[:, :, :3, 3] - [s.T_world_ego[:, :3, 3] for s in driven]
    assert np.abs(ways).max() < 0.05  # each camera's own stamp: they fire over 0.5 m of way
    (images,) = source.images([7])
    sent = [read_image(file).astype(int) for file in driven[7].image_files]
    assert all(np.abs(a - b).mean() < 3 for a, b in zip(images, sent))


def test_a_distorted_camera_is_rectified_by_its_camera_info(driven, tmp_path):
    from recordings import Recording

    rig = driven[0].rig.subset([0])
    save_rig(rig, tmp_path / "rig.yaml")
    with Recording(tmp_path / "bag") as recording:
        for sample in driven:
            stamp_ns, make = sample.stamps_ns[0], recording.make
            info = make.info(rig.cameras[0], stamp_ns, "front", d=(-0.2, 0.03, 0.0, 0.0, 0.0))
            recording.write("/odom", make.odometry(sample.T_world_ego[0], stamp_ns), stamp_ns)
            recording.write("/CAM_FRONT/camera_info", info, stamp_ns)
            image = make.jpeg(read_image(sample.image_files[0]), stamp_ns, "front")
            recording.write("/CAM_FRONT/image_raw/compressed", image, stamp_ns)
    source = open_bag_drive(tmp_path / "bag", tmp_path / "rig.yaml")
    (image,) = next(source.images([0]))
    body = source.rig.cameras[0].body
    sent = read_image(driven[0].image_files[0])
    assert np.abs(image.astype(int) - sent).mean() > 3
    assert body is None or (image[body] == 0).all()


def test_a_bag_without_motion_says_what_it_lacks(driven, tmp_path):
    save_rig(driven[0].rig, tmp_path / "rig.yaml")
    write_bag(standing(driven), tmp_path / "bag")
    with pytest.raises(AdaptError, match="does not say how the vehicle moves.*--odometry"):
        open_bag_drive(tmp_path / "bag", tmp_path / "rig.yaml")
    with pytest.raises(AdaptError, match="0 poses on /wheels; topics: none"):
        open_bag_drive(tmp_path / "bag", tmp_path / "rig.yaml", odometry="wheels")
    with pytest.raises(DatasetError, match="nowhere does not exist"):
        open_bag_drive(tmp_path / "nowhere", tmp_path / "rig.yaml")


def test_long_drives_are_taken_in_runs(driven_bag):
    source = open_bag_drive(driven_bag, None)
    chosen = choose(source, step_m=0.1, most=13)
    assert len(chosen) == 12 and (np.diff(chosen) == 1).all()
    with pytest.raises(AdaptError, match=r"moves \d+\.\d m in 2 s by /tf.*which teaches nothing"):
        check_moving(source, choose(source, step_m=50.0))


def test_images_that_fire_together_are_a_set():
    period = 100_000_000
    first = np.arange(10) * period
    second = np.delete(first + 40_000_000, 4)  # one is lost
    fast = np.arange(40) * period // 4 + 5_000_000
    sets = sets_of([first, second, fast])
    assert len(sets) == 9 and len(np.unique(sets[:, 1])) == 9
    assert np.abs(first[sets[:, 0]] - second[sets[:, 1]]).max() <= 60_000_000
    assert (sets_of([first[:1], second]).shape) == (0, 2)


def test_poses_between_poses():
    stamps = [0, 100_000_000, 200_000_000, 1_200_000_000]
    poses = [make_transform(np.eye(3), [x, 0, 0]) for x in (0, 1, 2, 12)]
    track = Track(stamps[::-1], poses[::-1])
    assert track.at(150_000_000)[0, 3] == pytest.approx(1.5)
    assert track.at(1_200_000_000)[0, 3] == 12
    assert [track.at(ns) for ns in (-1, 700_000_000, 1_300_000_000)] == [None] * 3
    with pytest.raises(ValueError, match="fewer than two"):
        Track([5], poses[:1])


def test_real_datasets_are_sources_without_their_lidar(tmp_path):
    root = SHARED / "pandaset_drive"
    if not root.is_dir():
        pytest.skip("../shared/data/pandaset_drive is not here")
    bare = tmp_path / "panda"
    bare.mkdir()
    for name in ("v1.0-mini", "samples", "sweeps"):
        (bare / name).symlink_to(root / name)
    assert is_dataset(bare)
    source = open_dataset(bare)
    how = movement(source)
    assert len(source.stamps_ns) == 44 and len(source.rig.cameras) == 6
    assert how.metres == pytest.approx(17, abs=0.5) and how.moving == 1
    (images,) = source.images([3])
    assert images[0].shape == (540, 960, 3)
