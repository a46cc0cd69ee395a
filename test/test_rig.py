import numpy as np
import pytest
import yaml
from blocks import blocks_rig

from fsmde_core.geometry import make_transform
from fsmde_core.rig import Camera, K_to_opencv, Rig, RigError, load_rig, opencv_to_K, save_rig


def camera(**changes) -> Camera:
    fields = {
        "name": "front",
        "frame_id": "front_optical_frame",
        "width": 64,
        "height": 48,
        "K": [[100, 0, 32], [0, 100, 24], [0, 0, 1]],
        "T_ego_cam": np.eye(4),
    }
    return Camera(**{**fields, **changes})


def test_resizing_scales_K_and_cropping_shifts_it():
    half = camera().resized(32, 12)
    assert half.K.tolist() == [[50, 0, 16], [0, 25, 6], [0, 0, 1]]
    window = camera().cropped(10, 4, 20, 20)
    assert window.K[:2, 2].tolist() == [22, 20]
    assert (window.width, window.height) == (20, 20)


def test_a_crop_outside_the_image_is_refused():
    with pytest.raises(RigError, match="camera front: crop 60x48 at .10, 0. leaves"):
        camera().cropped(10, 0, 60, 48)


def test_neighbours_of_a_full_ring_go_around(rig):
    names = [(rig.cameras[i].name, rig.cameras[j].name) for i, j in rig.neighbours()]
    assert sorted(names) == sorted(
        [
            ("front", "front_left"),
            ("front_left", "back_left"),
            ("back_left", "back"),
            ("back", "back_right"),
            ("back_right", "front_right"),
            ("front_right", "front"),
        ]
    )


@pytest.mark.parametrize(("names", "pairs"), [(("front",), 0), (("front", "front_left"), 1)])
def test_small_rigs_have_few_neighbours(rig, names, pairs):
    part = Rig(tuple(c for c in rig.cameras if c.name in names))
    assert len(part.neighbours()) == pairs


def test_cameras_back_to_back_are_no_neighbours(rig):
    part = Rig(tuple(c for c in rig.cameras if c.name in ("front", "back")))
    assert part.neighbours() == ()


def test_four_cameras_that_leave_the_rear_open_are_a_chain(rig):
    part = Rig(tuple(c for c in rig.cameras if c.name not in ("back", "back_left")))
    assert len(part.neighbours()) == 3


def test_a_rig_file_round_trips(tmp_path, rig):
    save_rig(rig, tmp_path / "rig.yaml")
    back = load_rig(tmp_path / "rig.yaml")
    assert back.names == rig.names
    assert np.allclose(back.K, rig.K)
    assert np.allclose(back.T_ego_cam, rig.T_ego_cam)


def test_files_follow_opencv_and_memory_does_not(tmp_path, rig):
    save_rig(rig, tmp_path / "rig.yaml")
    stored = yaml.safe_load((tmp_path / "rig.yaml").read_text())["cameras"][0]["K"]
    assert stored[2] == pytest.approx(rig.cameras[0].K[0, 2] - 0.5)
    assert np.array_equal(opencv_to_K(K_to_opencv(rig.cameras[0].K)), rig.cameras[0].K)


def edited(tmp_path, edit) -> str:
    """The error that a rig file gives after `edit` changed its document."""
    path = tmp_path / "rig.yaml"
    save_rig(blocks_rig(), path)
    document = yaml.safe_load(path.read_text())
    edit(document)
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(RigError) as error:
        load_rig(path)
    assert str(path) in str(error.value)
    return str(error.value)


def first(key, value):
    return lambda document: document["cameras"][0].update({key: value})


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda d: d.update(colour="red"), "unknown key 'colour'"),
        (first("exposure", 1), "unknown key 'exposure'"),
        (lambda d: d["cameras"][0].pop("K"), "lacks the key 'K'"),
        (first("K", [0, 0, 0, 0, 0, 0, 0, 0, 1]), "camera front: K is singular"),
        (first("K", [1, 2]), "camera front"),
        (first("quaternion_xyzw", [1, 1, 0, 0]), "camera front: quaternion"),
        (first("width", 0), "camera front: size 0x450"),
        (first("width", "wide"), "camera front"),
        (lambda d: d["cameras"].append(d["cameras"][0]), "two cameras of the rig"),
        (lambda d: d.update(cameras=[]), "at least one camera"),
        (lambda d: d.update(cameras=3), "cameras is not a list"),
    ],
)
def test_a_bad_rig_file_is_refused_by_name(tmp_path, edit, reason):
    assert reason in edited(tmp_path, edit)


def test_a_missing_rig_file_and_broken_yaml_are_named(tmp_path):
    with pytest.raises(RigError, match="nothing.yaml: No such file"):
        load_rig(tmp_path / "nothing.yaml")
    (tmp_path / "rig.yaml").write_text("cameras: [")
    with pytest.raises(RigError, match="rig.yaml is not YAML"):
        load_rig(tmp_path / "rig.yaml")


def test_a_rotation_that_is_not_orthonormal_is_refused():
    with pytest.raises(RigError, match="front: the rotation of T_ego_cam is not orthonormal"):
        camera(T_ego_cam=make_transform(1.1 * np.eye(3), [0, 0, 0]))


def test_the_shipped_nuscenes_rig_is_a_full_ring():
    from conftest import ROOT

    shipped = load_rig(ROOT / "config" / "rig_nuscenes.yaml")
    assert len(shipped.neighbours()) == len(shipped.cameras) == 6
