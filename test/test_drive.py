"""Drive folders: what is written comes back, and what is wrong with one is said."""

import json
import resource
import shutil
from dataclasses import replace

import numpy as np
import pytest
from blocks import blocks_rig, render_blocks

from fsmde_core.data.drive import DriveWriter, load_drive
from fsmde_core.data.sample import DatasetError
from fsmde_core.geometry import make_transform
from fsmde_core.rig import Rig


def poses(cameras, travelled_m):
    """Straight on; each camera 0.1 m further than the one before, as it fires later."""
    steps = travelled_m + 0.1 * np.arange(cameras)
    return np.stack([make_transform(np.eye(3), [x, 0, 0]) for x in steps])


def write_drive(path, rig, moments=3, **options):
    with DriveWriter(path, rig, **options) as writer:
        for i in range(moments):
            images = [render_blocks(camera, travelled_m=i)[0] for camera in rig.cameras]
            stamps_ns = [10**18 + 10**8 * i + k for k in range(len(images))]
            writer.add(images, stamps_ns, poses(len(images), i))
    return path


@pytest.fixture(scope="module")
def drive_folder(rig, tmp_path_factory):
    path = tmp_path_factory.mktemp("drives") / "drive"
    return write_drive(path, rig, source="blocks", licence="CC-BY-4.0")


def test_what_is_written_comes_back(drive_folder, rig):
    drive = load_drive(drive_folder)
    assert (len(drive), drive.rig.names) == (3, rig.names)
    assert (drive.source, drive.licence) == ("blocks", "CC-BY-4.0")
    assert np.array_equal(drive.rig.K, rig.K)
    assert np.array_equal(drive.rig.T_ego_cam, rig.T_ego_cam)
    assert drive.moments[2].stamps_ns[5] == 10**18 + 2 * 10**8 + 5  # more than a float can hold
    assert np.array_equal(drive.moments[2].T_world_ego, poses(6, 2))
    seen, _ = render_blocks(rig.cameras[4], travelled_m=1)
    assert np.abs(drive.image(1, 4).astype(int) - seen).mean() < 2
    at = drive.T_world_cam(1)[4, :3, 3] - rig.cameras[4].T_ego_cam[:3, 3]
    assert at == pytest.approx([1.4, 0, 0])


def test_large_images_become_smaller_and_their_pixels_square(rig, tmp_path):
    stretched = Rig(tuple(camera.resized(640, 300) for camera in rig.cameras))
    with DriveWriter(tmp_path / "drive", stretched, pixels=320 * 180) as writer:
        writer.add([np.zeros((300, 640, 3), np.uint8)] * 6, [0] * 6, poses(6, 0))
    drive = load_drive(tmp_path / "drive")
    assert drive.image(0, 0).shape == (180, 320, 3)
    assert np.allclose(drive.rig.K, rig.K)


def test_a_full_disk_is_named_with_the_file(rig, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError) as refused:
            write_drive(tmp_path / "drive", rig, moments=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(refused.value.filename).endswith("front/000000.jpg")
    assert not list(tmp_path.iterdir())


def test_the_own_vehicle_comes_back(rig, tmp_path):
    body = np.zeros((180, 320), bool)
    body[150:] = True
    rig = replace(rig, cameras=(replace(rig.cameras[0], body=body), *rig.cameras[1:]))
    drive = load_drive(write_drive(tmp_path / "drive", rig, moments=1))
    assert np.array_equal(drive.rig.cameras[0].body, body)
    assert drive.rig.cameras[1].body is None


def test_a_drive_appears_whole_or_not_at_all(rig, tmp_path):
    with pytest.raises(RuntimeError, match="unplugged"), DriveWriter(tmp_path / "d", rig) as writer:
        writer.add([render_blocks(c)[0] for c in rig.cameras], [0] * 6, poses(6, 0))
        raise RuntimeError("unplugged")
    with pytest.raises(DatasetError, match="no moment"), DriveWriter(tmp_path / "d", rig):
        pass
    assert not list(tmp_path.iterdir())
    write_drive(tmp_path / "d", blocks_rig(width=64, height=36), moments=1)
    with pytest.raises(DatasetError, match="d is there already"):
        write_drive(tmp_path / "d", rig)
    assert load_drive(tmp_path / "d").rig.cameras[0].width == 64


def test_what_cannot_be_a_moment_is_refused(rig, tmp_path):
    images, stamps_ns = [render_blocks(c)[0] for c in rig.cameras], [0] * 6
    cut = [*images[:5], images[5][:90]]
    for arguments, sentence in (
        ((cut, stamps_ns, poses(6, 0)), "the image of front_left is 320x90"),
        ((images, stamps_ns, 2 * poses(6, 0)), "T_world_ego is not a rotation and a translation"),
        ((images, stamps_ns, poses(5, 0)), "T_world_ego is not 6 finite 4x4 matrices"),
    ):
        with pytest.raises(DatasetError, match=sentence):
            with DriveWriter(tmp_path / "d", rig) as writer:
                writer.add(*arguments)


@pytest.mark.parametrize("name", ["../other", "a/b", "..", ""])
def test_no_camera_leaves_the_folder(rig, tmp_path, drive_folder, name):
    named = replace(rig, cameras=(replace(rig.cameras[0], name=name), *rig.cameras[1:]))
    with pytest.raises(DatasetError, match="no name for a folder"):
        write_drive(tmp_path / "d", named)
    changed = changed_copy(drive_folder, tmp_path, lambda d: d["cameras"][0].update(name=name))
    with pytest.raises(DatasetError, match="no name for a folder"):
        load_drive(changed)


def changed_copy(folder, tmp_path, change):
    copy = shutil.copytree(folder, tmp_path / "changed")
    document = json.loads((copy / "drive.json").read_text())
    change(document)
    (copy / "drive.json").write_text(json.dumps(document))
    return copy


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda d: d.update(version=2), "version is 2, this program reads 1"),
        (lambda d: d.pop("moments"), "the key 'moments' is missing"),
        (lambda d: d.update(moments=[]), "moments is empty"),
        (lambda d: d["cameras"][2].pop("K"), "cameras[2] lacks the key 'K'"),
        (lambda d: d["cameras"][2]["K"].pop(), "cameras[2]: camera back_right: K is not"),
        (lambda d: d["cameras"][2].update(width="wide"), "cameras[2]: invalid literal"),
        (lambda d: d["moments"][1].pop("stamps_ns"), "moments[1] lacks the key 'stamps_ns'"),
        (lambda d: d["moments"][1]["stamps_ns"].pop(), "moments[1].stamps_ns is not 6 whole"),
        (lambda d: d["moments"][1]["T_world_ego"].pop(), "moments[1].T_world_ego is not 6 finite"),
        (lambda d: d["moments"].append(3), "is not of the form of a drive"),
        (lambda d: d.update(cameras=[]), "a rig needs at least one camera"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(drive_folder, tmp_path, change, sentence):
    copy = changed_copy(drive_folder, tmp_path, change)
    with pytest.raises(DatasetError) as error:
        load_drive(copy)
    assert sentence in str(error.value) and str(copy / "drive.json") in str(error.value)


def test_missing_files_are_named(drive_folder, tmp_path):
    copy = shutil.copytree(drive_folder, tmp_path / "copy")
    (copy / "back" / "000001.jpg").unlink()
    (copy / "back" / "000002.jpg").write_bytes((copy / "back" / "000000.jpg").read_bytes()[:2000])
    drive = load_drive(copy)
    for moment in (1, 2):
        with pytest.raises(DatasetError, match=f"00000{moment}.jpg"):
            drive.image(moment, drive.rig.names.index("back"))
    with pytest.raises(DatasetError, match="nowhere/drive.json"):
        load_drive(tmp_path / "nowhere")
