import struct
import zlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml
from blocks import blocks_rig

from fsmde_core.geometry import make_transform
from fsmde_core.rig import (
    Camera,
    K_to_opencv,
    Rig,
    RigError,
    load_rig,
    opencv_to_K,
    read_body,
    save_rig,
)


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


@pytest.mark.parametrize("aside_deg", [-1.0, 0.0, 1.0])
def test_a_camera_that_looks_where_another_does_parts_nobody(rig, aside_deg):
    """A telephoto before or behind the wide view, whose narrow image touches no other camera's."""
    turned = np.eye(4)
    turned[:3, :3] = cv2.Rodrigues(np.array([0, 0, np.deg2rad(aside_deg)]))[0]
    wide = rig.cameras[0]
    tele = replace(
        wide, name="tele", K=wide.K * [[4, 1, 1], [1, 4, 1], [1, 1, 1]],
        T_ego_cam=turned @ wide.T_ego_cam,
    )  # fmt: skip
    for cameras in ((*rig.cameras, tele), (tele, *rig.cameras)):
        more = Rig(cameras)
        names = {frozenset(more.names[i] for i in pair) for pair in more.neighbours()}
        ring = {frozenset(rig.names[i] for i in pair) for pair in rig.neighbours()}
        assert names == ring | {frozenset(("front", "tele"))}


def test_both_of_a_stereo_pair_have_the_cameras_beside_it(rig):
    twin = replace(rig.cameras[0], name="twin")
    more = Rig((*rig.cameras, twin))
    names = {(more.names[i], more.names[j]) for i, j in more.neighbours()}
    assert {("front", "front_left"), ("twin", "front_left"), ("front", "twin")} <= names
    assert len(names) == 9


def test_a_ring_of_fisheyes_pairs_only_those_side_by_side(rig):
    four = [replace(c, K=c.K * [[0.2, 1, 1], [1, 0.2, 1], [1, 1, 1]]) for c in rig.cameras]
    assert len(Rig(tuple(four)).neighbours()) == 6


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
        (first("width", "wide"), "camera front: width is not a number: 'wide'"),
        (first("height", float("inf")), "camera front: height is not a number: inf"),
        (first("height", None), "camera front: height is not a number: None"),
        (lambda d: d["cameras"].append(d["cameras"][0]), "two cameras of the rig"),
        (lambda d: d.update(cameras=[]), "at least one camera"),
        (lambda d: d.update(cameras=3), "cameras is not a list"),
    ],
)
def test_a_bad_rig_file_is_refused_by_name(tmp_path, edit, reason):
    assert reason in edited(tmp_path, edit)


def test_a_missing_rig_file_and_broken_yaml_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RigError, match=f"^rig file {tmp_path}/nothing.yaml: No such file"):
        load_rig("nothing.yaml")  # where it was looked for
    (tmp_path / "rig.yaml").write_text("cameras: [")
    with pytest.raises(RigError, match="rig.yaml is not YAML"):
        load_rig(tmp_path / "rig.yaml")
    (tmp_path / "rig.yaml").write_text("cameras:\n- width: 1600\n  width: 900")
    with pytest.raises(RigError, match="rig.yaml has key 'width' twice, in lines 2 and 3$"):
        load_rig(tmp_path / "rig.yaml")


def test_a_rotation_that_is_not_orthonormal_is_refused():
    with pytest.raises(RigError, match="front: the rotation of T_ego_cam is not orthonormal"):
        camera(T_ego_cam=make_transform(1.1 * np.eye(3), [0, 0, 0]))


def test_the_shipped_nuscenes_rig_is_a_full_ring():
    from conftest import ROOT

    shipped = load_rig(ROOT / "config" / "rig_nuscenes.yaml")
    assert len(shipped.neighbours()) == len(shipped.cameras) == 6


def with_body(name="front") -> Camera:
    """A camera that sees its vehicle in the lower quarter, and more of it on the left."""
    body = np.zeros((48, 64), bool)
    body[36:] = True
    body[20:, :16] = True
    return camera(name=name, frame_id=f"{name}_optical_frame", body=body)


def test_a_rig_file_round_trips_with_its_masks(tmp_path):
    rig = Rig((with_body(), camera(name="left", frame_id="left_optical_frame")))
    save_rig(rig, tmp_path / "sub" / "rig.yaml")
    entries = yaml.safe_load((tmp_path / "sub" / "rig.yaml").read_text())["cameras"]
    assert [entry.get("mask") for entry in entries] == ["front_mask.png", None]
    front, left = load_rig(tmp_path / "sub" / "rig.yaml").cameras
    assert np.array_equal(front.body, with_body().body) and left.body is None
    with pytest.raises(ValueError, match="read-only"):
        front.body[0, 0] = True
    assert sorted(p.name for p in (tmp_path / "sub").iterdir()) == ["front_mask.png", "rig.yaml"]


def test_resizing_and_cropping_carry_the_body_along():
    half = with_body().resized(32, 24)
    assert half.body.shape == (24, 32)
    assert half.body[18:].all() and half.body[10:, :8].all() and not half.body[:18, 8:].any()
    window = with_body().cropped(10, 30, 20, 10)
    assert np.array_equal(window.body, with_body().body[30:40, 10:30])
    assert Rig((with_body(),)).resized(128, 96).cameras[0].body[80:].all()


def test_a_body_of_another_size_is_refused():
    with pytest.raises(RigError, match="camera front: the mask .* is 48x64, its images are 64x48"):
        camera(body=np.zeros((64, 48), bool))


BODY = np.where(with_body().body, 20, 220).astype(np.uint8)


@pytest.mark.parametrize(
    "image",
    [
        BODY,
        np.dstack([BODY] * 3),
        np.dstack([BODY] * 3 + [np.full_like(BODY, 255)]),
        BODY.astype(np.uint16) * 257,
    ],
    ids=["grey", "colour", "alpha", "16 bits"],
)
def test_any_kind_of_mask_image_is_read(tmp_path, image):
    save_rig(Rig((camera(),)), tmp_path / "rig.yaml")
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "own.png"), image)
    name_mask(tmp_path, "masks/own.png")
    assert np.array_equal(load_rig(tmp_path / "rig.yaml").cameras[0].body, with_body().body)


PAINTED = np.dstack([np.zeros_like(BODY)] * 3 + [255 - BODY])


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (PAINTED, "has transparent pixels"),
        (np.dstack([np.full_like(BODY, 255)] * 3 + [BODY]), "has transparent pixels"),
        (BODY // 128, "has no bright pixel: 0 is the vehicle, 255 the world"),
        (BODY.astype(np.uint16), "has no bright pixel: 0 is the vehicle, 65535 the world"),
        (np.float32(BODY) / 255, "has pixels of float32"),
    ],
    ids=["on a transparent layer", "cut out", "0 and 1", "8 bits as 16", "floats"],
)
def test_a_mask_that_can_be_misread_is_refused(tmp_path, image, reason):
    file = tmp_path / "own.tiff"
    assert cv2.imwrite(str(file), image)
    with pytest.raises(RigError, match=f"own.tiff {reason}"):
        read_body(file)


def name_mask(folder, name):
    document = yaml.safe_load((folder / "rig.yaml").read_text())
    document["cameras"][0]["mask"] = name
    (folder / "rig.yaml").write_text(yaml.safe_dump(document))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.png", "none.png is missing"),
        ("rig.yaml", "rig.yaml does not decode as an image"),
        ("cut.png", "cut.png does not decode as an image"),
        ("small.png", "small.png is 32x24, its images are 64x48"),
        ("../small.png", "'../small.png' leaves the folder of the rig file"),
        ("a/../../small.png", "leaves the folder of the rig file"),
        ("/tmp/small.png", "leaves the folder of the rig file"),
        ("C:\\small.png", "leaves the folder of the rig file"),
        ("..\\small.png", "leaves the folder of the rig file"),
        ("", "mask '' is not the name of a file"),
        (None, "mask None is not the name of a file"),
        (3, "mask 3 is not the name of a file"),
        (".", "is missing"),
        (f"{'a' * 300}.png", ".png is missing"),
        ("vast.png", "vast.png does not decode as an image"),
    ],
)
def test_a_bad_mask_is_refused_by_name(tmp_path, name, reason):
    folder = tmp_path / "rig"
    save_rig(Rig((with_body(),)), folder / "rig.yaml")
    cv2.imwrite(str(folder / "small.png"), np.full((24, 32), 255, np.uint8))
    noise = np.random.default_rng(0).integers(0, 255, (48, 64), np.uint8)
    cut = cv2.imencode(".png", noise)[1].tobytes()
    (folder / "cut.png").write_bytes(cut[: len(cut) // 2])
    vast = bytearray(cut)
    vast[16:24] = struct.pack(">II", 60_000, 60_000)  # more pixels than OpenCV takes
    vast[29:33] = struct.pack(">I", zlib.crc32(vast[12:29]))
    (folder / "vast.png").write_bytes(vast)
    (tmp_path / "small.png").write_bytes((folder / "front_mask.png").read_bytes())
    name_mask(folder, name)
    with pytest.raises(RigError) as error:
        load_rig(folder / "rig.yaml")
    assert str(error.value).startswith(f"rig file {folder / 'rig.yaml'}: camera front: ")
    assert reason in str(error.value)


def test_a_mask_may_be_a_link(tmp_path):
    folder = tmp_path / "rig"
    save_rig(Rig((with_body(),)), folder / "rig.yaml")
    (folder / "front_mask.png").rename(tmp_path / "elsewhere.png")
    (folder / "front_mask.png").symlink_to(tmp_path / "elsewhere.png")
    assert load_rig(folder / "rig.yaml").cameras[0].body.any()


def test_a_rig_that_cannot_name_its_mask_writes_nothing(tmp_path):
    with pytest.raises(RigError, match="camera '../front': a name with a slash"):
        save_rig(Rig((with_body(name="../front"),)), tmp_path / "a" / "rig.yaml")
    assert not list(tmp_path.rglob("*.*"))
