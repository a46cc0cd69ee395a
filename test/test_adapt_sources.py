"""Recordings and datasets as something to adapt to: what is read of them, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import recordings
from conftest import SHARED
from drives import standing, write_foreign_bag
from recordings import Recording
from rosbags.rosbag2 import StoragePlugin

from fsmde_core.adapt.datasets import is_dataset, open_dataset, open_drive
from fsmde_core.adapt.look import summary
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
from fsmde_core.rig import Rig, save_rig
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
    assert not any("CameraInfo counts" in note for note in source.notes)
    (image,) = next(source.images([0]))
    body = source.rig.cameras[0].body
    sent = read_image(driven[0].image_files[0])
    assert np.abs(image.astype(int) - sent).mean() > 3
    assert body is None or (image[body] == 0).all()
    (camera,) = rig.cameras
    save_rig(Rig((replace(camera, K=camera.K * [[2], [2], [1]]),)), tmp_path / "rig.yaml")
    other = open_bag_drive(tmp_path / "bag", tmp_path / "rig.yaml")
    assert any(note.endswith("in the rig file; CameraInfo counts") for note in other.notes)
    assert np.allclose(other.rig.K, source.rig.K)


def test_a_bag_without_motion_says_what_it_lacks(driven, tmp_path):
    bag, rig = write_bag_of(driven, tmp_path / "bag", period_ns=None)
    with pytest.raises(AdaptError, match="does not say how the vehicle moves.*--odometry"):
        open_bag_drive(bag, rig)
    with pytest.raises(AdaptError, match="0 poses on /wheels, .*; topics: none"):
        open_bag_drive(bag, rig, odometry="wheels")
    with pytest.raises(DatasetError, match="nowhere does not exist"):
        open_bag_drive(tmp_path / "nowhere", rig)


def test_a_vehicle_that_stands_in_tf_is_said_to_stand(driven, tmp_path):
    save_rig(driven[0].rig, tmp_path / "rig.yaml")
    write_bag(standing(driven), tmp_path / "bag")
    source = open_bag_drive(tmp_path / "bag", tmp_path / "rig.yaml")
    assert source.motion == "/tf, map <- base_link"
    with pytest.raises(AdaptError, match="a vehicle that stands still"):
        check_moving(source, choose(source, step_m=2.0))


def write_bag_of(
    driven, bag, *, child="base_link", mount=None, period_ns=20_000_000, stamp=None, also=None
):
    """A bag with odometry of another frame, pace or clock, or images of one: stamp(ns, camera).

    also: topics of more odometry -> their child frames; period_ns None: without any.
    """
    track = Track(
        [ns for s in driven for ns in s.stamps_ns], np.concatenate([s.T_world_ego for s in driven])
    )
    first_ns, last_ns = track.stamps_ns[[0, -1]].tolist()
    save_rig(driven[0].rig.subset([0, 2]), bag.with_suffix(".yaml"))
    with Recording(bag) as recording:
        make = recording.make
        if mount is not None:
            step = make.transform("base_link", child, mount, first_ns)
            recording.write("/tf_static", make.tf(step), first_ns)
        for ns in range(first_ns, last_ns, period_ns) if period_ns else ():
            T = track.at(ns) @ (np.eye(4) if mount is None else mount)
            for topic, frame in {"/odom": child, **(also or {})}.items():
                recording.write(topic, make.odometry(T, ns, child=frame), ns)
        for sample in driven:
            for i in (0, 2):
                name, ns = sample.rig.names[i], sample.stamps_ns[i]
                image = make.jpeg(
                    read_image(sample.image_files[i]), stamp(ns, i) if stamp else ns, name
                )
                recording.write(f"/{name}/image/compressed", image, ns)
    return bag, bag.with_suffix(".yaml")


def test_odometry_of_another_frame_is_carried_to_the_vehicle_or_said(driven, tmp_path):
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    mount = make_transform(turn, [0.5, -1.0, 2.0])
    wanted = np.array([s.T_world_ego[[0, 2]] for s in driven])
    for name, where in (("known", mount), ("unknown", None)):
        source = open_bag_drive(*write_bag_of(driven, tmp_path / name, child="imu", mount=where))
        assert len(source.stamps_ns) >= 16 and source.motion == "/odom"
        first = [s.stamps_ns[0] for s in driven].index(source.stamps_ns[0][0])
        off = source.T_world_ego - wanted[first : first + len(source.stamps_ns)]
        assert np.abs(off).max() < 0.05
    assert any("/odom is of imu, taken for base_link" in note for note in source.notes)
    assert not any("not used" in note for note in source.notes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"period_ns": 700_000_000}, r"no images at a time at which /odom has poses: images \(18 "
         r"from 16.*, poses \(3 from 16.*none may be more than 0.5 s from the next"),
        ({"stamp": lambda ns, i: ns - 10**18}, r"images \(18 from 6.*poses \(\d+ from 16"),
        ({"stamp": lambda ns, i: ns - i * 10**17},
         r"no images belong together by their stamps: CAM_FRONT \(18 from 16.*BACK \(18 from 14"),
        ({"stamp": lambda ns, i: 0}, r"no images at a time.*images \(18 from 0.0 to"),
    ],
)  # fmt: skip
def test_clocks_that_do_not_agree_are_named(driven, tmp_path, changes, sentence):
    with pytest.raises(AdaptError, match=sentence):
        open_bag_drive(*write_bag_of(driven, tmp_path / "bag", **changes))


def test_a_choice_of_odometry_is_told(driven, tmp_path):
    bag, rig_file = write_bag_of(driven, tmp_path / "bag", also={"/wheels": "base_link"})
    notes = open_bag_drive(bag, rig_file).notes
    assert "/odom is taken, not /wheels: --odometry names another" in notes
    assert not any("is taken" in n for n in open_bag_drive(bag, rig_file, odometry="wheels").notes)
    bag, rig_file = write_bag_of(driven, tmp_path / "other", also={"/lidar": "lidar"})
    assert not any("is taken" in note for note in open_bag_drive(bag, rig_file).notes)


def test_a_broken_image_is_passed_over_and_many_are_named(driven, tmp_path, monkeypatch):
    whole, sent, broken = recordings.as_jpeg, [], {7}

    def cut(pixels):
        sent.append(pixels)
        return whole(pixels)[: 900 if len(sent) in broken else None]

    monkeypatch.setattr(recordings, "as_jpeg", cut)
    source = open_bag_drive(*write_bag_of(driven, tmp_path / "few"))
    chosen = choose(source)
    (written,) = write_drive([source], [chosen], tmp_path / "drive")
    assert written == len(load_drive(tmp_path / "drive")) == len(chosen) - 1
    notes = summary(source, len(chosen), written)["notes"]
    assert f"1 of {len(chosen)} moments are left out: an image is broken" in notes
    broken |= set(range(len(sent), len(sent) + 20))
    source = open_bag_drive(*write_bag_of(driven, tmp_path / "many"))
    with pytest.raises(DatasetError, match=r"many: /CAM_\w+/image/compressed.*do not decode"):
        write_drive([source], [choose(source)], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_long_drives_are_taken_in_runs(driven_bag):
    source = open_bag_drive(driven_bag, None)
    chosen = choose(source, step_m=0.1, most=13)
    runs = np.split(np.array(chosen), np.flatnonzero(np.diff(chosen) > 1) + 1)
    assert [len(run) for run in runs] == [7, 6] and (chosen[0], chosen[-1]) == (0, 17)
    for most in (16, 17, 18, 30):
        assert len(choose(source, step_m=0.1, most=most)) == min(most, 18)
    with pytest.raises(AdaptError, match=r"moves \d+\.\d m in 2 s by /tf.*take a smaller --step"):
        check_moving(source, choose(source, step_m=50.0))
    one = replace(source, stamps_ns=source.stamps_ns[:1], T_world_ego=source.T_world_ego[:1])
    with pytest.raises(AdaptError, match="an image of every camera at 1 moments, 12 are needed"):
        check_moving(one, [0])


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


def straight(count, step_ns, jumps=(), step_m=0.2):
    """A track along x at an even pace; jumps: index -> metres aside from there on."""
    aside = np.zeros(count)
    for index, metres in jumps:
        aside[index:] += metres
    poses = [make_transform(np.eye(3), [step_m * i, y, 0]) for i, y in enumerate(aside)]
    return Track(np.arange(count) * step_ns, poses)


@pytest.mark.parametrize("step_m", [0.2, 0.2 / 0.3048, 200.0])  # metres, feet, millimetres
@pytest.mark.parametrize(
    "jumps", [[(50, 600.0)], [(50, 600.0), (51, -600.0)], [(9, 900), (80, 700)]]
)
def test_a_jump_of_poses_is_no_motion(jumps, step_m):
    track = straight(100, 20_000_000, jumps, step_m)
    assert track.jumps == pytest.approx([np.hypot(m, step_m) for _, m in jumps])
    places = np.array([track.at(int(ns))[:3, 3] for ns in track.stamps_ns])
    assert np.diff(places, axis=0) == pytest.approx(np.tile([step_m, 0, 0], (99, 1)))


def test_what_moves_oddly_does_not_jump():
    stairs = np.repeat(np.arange(40), 10) * 1.2  # 10 Hz, sent at 100
    poses = [make_transform(np.eye(3), [x, 0, 0]) for x in stairs]
    assert Track(np.arange(400) * 10_000_000, poses).jumps == []
    assert straight(30, 1_000_000_000, step_m=30).jumps == []  # a pose a second
    starts = [make_transform(np.eye(3), [0.02 * i**2, 0, 0]) for i in range(60)]
    assert Track(np.arange(60) * 100_000_000, starts).jumps == []
    lost = np.delete(np.arange(100), range(40, 55))
    assert (
        Track(lost * 20_000_000, [make_transform(np.eye(3), [i, 0, 0]) for i in lost]).jumps == []
    )


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
