"""A look into a recording: what it writes, its exit code, what rig file counts, what is guessed."""

import re
from dataclasses import replace

import numpy as np
import pytest
import yaml
from recordings import START_NS, Recording, moments

from fsmde_core.geometry import make_transform
from fsmde_core.rig import Rig, RigError, load_rig, save_rig
from fsmde_ros.bags.frames import guessed_poses
from fsmde_ros.bags.layout import look_into
from fsmde_ros.startup import prepare
from fsmde_ros.tools.doctor import about_bag

T_FOOTPRINT_BASE = make_transform(np.eye(3), [0, 0, 0.3])


def record(path, rig, images, *, info=True, tf=True, image="/{}/image_raw", more=None):
    with Recording(path) as bag:
        make = bag.make
        poses = [
            make.transform("base_link", c.frame_id, c.T_ego_cam, START_NS) for c in rig.cameras
        ]
        if tf:
            bag.write("/tf_static", make.tf(*poses), START_NS)
        for i, camera, stamp_ns, _ in moments(rig, frames=2):
            where = stamp_ns, camera.frame_id
            topic = image.format(camera.name)
            bag.write(topic, make.raw(images[i], *where), stamp_ns)
            if info:
                name = f"{topic.rpartition('/')[0]}/camera_info"
                bag.write(name, make.info(camera, *where), stamp_ns)
            if more is not None:
                more(bag, i, camera, stamp_ns)
    return path


def azimuths_deg(names):
    """Where cameras of these names are taken to look, 0 forward, positive to the left."""
    poses = guessed_poses(names)
    return [round(float(np.rad2deg(np.arctan2(T[1, 2], T[0, 2])))) % 360 for T in poses]


def test_a_look_writes_nothing_unless_it_is_told_where(tmp_path, rig, images, capsys, monkeypatch):
    bag = record(tmp_path / "bag", rig, images)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    for _ in range(2):
        assert about_bag(bag, None, rig_file=None) == 0
    assert not list((tmp_path / "cwd").iterdir())
    assert "nothing is written; --out FOLDER writes" in capsys.readouterr().out
    assert about_bag(bag, tmp_path / "out", rig_file=None) == 0
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["params.yaml", "rig.yaml"]
    assert about_bag(bag, tmp_path / "out", rig_file=None) == 2
    assert "params.yaml is there already" in capsys.readouterr().err


def test_only_what_costs_a_camera_is_a_fault(tmp_path, rig, images, capsys):
    def overlay(bag, i, camera, stamp_ns):
        image = bag.make.raw(images[i], stamp_ns, camera.frame_id)
        bag.write(f"/yolo/debug/{camera.name}", image, stamp_ns)

    def unknown(bag, i, camera, stamp_ns):
        image = bag.make.raw(images[i], stamp_ns, "elsewhere")
        bag.write("/other/image_raw", image, stamp_ns)

    def video(bag, i, camera, stamp_ns):
        message = bag.make.jpeg(images[i], stamp_ns, camera.frame_id)
        message.data = np.zeros(99, np.uint8)
        where = camera.name if i else "second"
        bag.write(f"/{where}/image_raw/h264", message, stamp_ns)

    assert about_bag(record(tmp_path / "a", rig, images, more=overlay), None, rig_file=None) == 0
    assert "! not taken for a camera, by 'debug'" in capsys.readouterr().out
    assert about_bag(record(tmp_path / "b", rig, images, more=unknown), None, rig_file=None) == 1
    assert about_bag(record(tmp_path / "c", rig, images, more=video), None, rig_file=None) == 1
    only_front = rig.subset([rig.names.index("front")])
    save_rig(only_front, tmp_path / "front.yaml")
    assert about_bag(tmp_path / "c", None, rig_file=tmp_path / "front.yaml") == 0
    other = replace(only_front.cameras[0], name="other", frame_id="o")
    save_rig(Rig((*only_front.cameras, other)), tmp_path / "two.yaml")
    assert about_bag(tmp_path / "a", None, rig_file=tmp_path / "two.yaml") == 1


def test_guessed_places_are_said_plainly(tmp_path, rig, images, capsys):
    bag = record(tmp_path / "bag", rig, images, tf=False)
    assert about_bag(bag, None, rig_file=None) == 0
    printed = capsys.readouterr().out.strip().splitlines()
    assert printed[-1].startswith("GUESSED: where the cameras sit")
    assert "GUESSED" in next(line for line in printed if "/front/image_raw" in line)


def test_words_in_names_count_more_than_their_order():
    assert azimuths_deg(["a", "b", "c", "d"]) == [0, 270, 180, 90]  # clockwise
    assert azimuths_deg(["back", "front", "left", "right"]) == [180, 0, 90, 270]
    assert azimuths_deg(["cam1", "left", "right", "rear"]) == [0, 90, 270, 180]
    assert azimuths_deg(["front_tele", "front_wide", "left"]) == [0, 0, 90]


def test_without_any_camera_info_a_rig_file_to_fill_in_is_written(tmp_path, rig, images, capsys):
    bag = record(tmp_path / "bag", rig, images, info=False)
    assert about_bag(bag, tmp_path / "out", rig_file=None) == 1
    file = tmp_path / "out" / "rig.yaml"
    assert f"no depth comes out: fill in each K in {file}" in capsys.readouterr().out
    with pytest.raises(RigError, match=f"{file}: camera back: K is not 9 numbers: 'MISSING: fx"):
        load_rig(file)
    document = yaml.safe_load(file.read_text())
    for entry in document["cameras"]:
        entry["K"] = [300, 0, 160, 0, 300, 90, 0, 0, 1]
    file.write_text(yaml.safe_dump(document))
    by_name = {camera.name: camera for camera in rig.cameras}
    filled = look_into(bag, rig_file=file)
    assert filled.whole and len(filled.cameras) == len(rig.names)
    for camera in filled.rig.cameras:  # places as /tf_static has them, sizes as the images
        assert np.allclose(camera.T_ego_cam, by_name[camera.name].T_ego_cam, atol=1e-6)
        assert (camera.width, camera.height) == (320, 180)


def test_which_rig_file_counts(tmp_path, rig, images):
    bag = record(tmp_path / "drive", rig, images)
    (file,) = bag.glob("*.mcap")
    (tmp_path / "files").mkdir()
    file = file.rename(tmp_path / "files" / "drive.mcap")
    (bag / "metadata.yaml").unlink()
    file.rename(bag / "drive.mcap")
    candidates = [tmp_path / "rig.yaml", tmp_path / "drive.rig.yaml", bag / "rig.yaml"]
    for candidate in candidates:  # each counts more than those before
        save_rig(rig, candidate)
        layout = look_into(bag)
        assert layout.rig_file == candidate
        assert f"rig file: {candidate}" in layout.described()
    (bag / "rig.yaml").unlink()
    for candidate in (bag / "rig.yaml", bag / "drive.rig.yaml"):
        save_rig(rig, candidate)
        assert look_into(bag / "drive.mcap").rig_file == candidate


@pytest.mark.parametrize("image", ["/{}/image_raw", "/cams/of_{}/raw"])
def test_cameras_deleted_from_the_rig_file_are_left_out(tmp_path, rig, images, image):
    bag = record(tmp_path / "bag", rig, images, image=image)
    assert about_bag(bag, tmp_path / "out", rig_file=None) == 0
    file = tmp_path / "out" / "rig.yaml"
    made = load_rig(file)
    kept = made.subset([i for i, name in enumerate(made.names) if "back" not in name])
    assert 0 < len(kept.names) < len(made.names)
    save_rig(kept, file)
    (tmp_path / "launch").mkdir()
    startup = prepare({"bag": str(bag), "rig": str(file)}, tmp_path / "launch")
    assert load_rig(startup.values["rig_file"]).names == kept.names
    assert image.format("back") in startup.layout.not_played
    assert not re.search("back", str(startup.values.get("image_topics")))


@pytest.mark.parametrize("moves", [False, True])
def test_odometry_of_the_footprint_is_used(tmp_path, rig, images, moves):
    def more(bag, i, camera, stamp_ns):
        T_odom = make_transform(np.eye(3), [i, 0, 0])
        bag.write("/odom", bag.make.odometry(T_odom, stamp_ns, child="base_footprint"), stamp_ns)
        T = T_FOOTPRINT_BASE @ (T_odom if moves else np.eye(4))
        link = bag.make.transform("base_footprint", "base_link", T, stamp_ns)
        bag.write("/tf" if moves else "/tf_static", bag.make.tf(link), stamp_ns)

    layout = look_into(record(tmp_path / "bag", rig, images, more=more))
    if moves:
        assert layout.odometry_topic is None and layout.rig.base_frame == "base_link"
        assert "odometry is not of 'base_link'" in "".join(layout.problems)
        return
    assert layout.odometry_topic == "/odom" and layout.rig.base_frame == "base_footprint"
    by_frame = {camera.frame_id: T_FOOTPRINT_BASE @ camera.T_ego_cam for camera in rig.cameras}
    for camera in layout.rig.cameras:
        assert np.allclose(camera.T_ego_cam, by_frame[camera.frame_id], atol=1e-6)
    save_rig(rig, tmp_path / "rig.yaml")  # of base_link
    (problem,) = look_into(tmp_path / "bag").problems
    assert "odometry is not of 'base_link'" in problem and "as base_frame" in problem


@pytest.mark.parametrize("leaf", ["image_rect", "image_raw"])
def test_cameras_that_see_depth_too_are_cameras(tmp_path, rig, images, leaf):
    def more(bag, i, camera, stamp_ns):
        depth = bag.make.raw(np.zeros((4, 4, 2), np.uint8), stamp_ns, "depths", "16UC1")
        bag.write(f"/{camera.name}/depth/image_rect", depth, stamp_ns)

    image = f"/{{}}/color/{leaf}"
    layout = look_into(record(tmp_path / "bag", rig, images, image=image, more=more))
    assert {c.image_topic for c in layout.cameras} == {image.format(name) for name in rig.names}
    assert {c.info_topic for c in layout.cameras} == {f"/{n}/color/camera_info" for n in rig.names}
    assert layout.whole
