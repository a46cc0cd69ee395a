"""fsmde-mask on a short rendered drive through the real bag writer, and on drives that fail."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from recordings import foxglove_nuscenes, scepter_nuscenes

from fsmde_core.body_mask import working_grey
from fsmde_core.data.sample import Sample
from fsmde_core.geometry import make_transform
from fsmde_core.rig import Camera, Rig, load_rig, read_body, save_rig
from fsmde_ros.bags.cameras import COMPRESSED_TYPE, IMAGE_TYPE
from fsmde_ros.bags.source import Topic
from fsmde_ros.bags.writer import RIG_FILE, write_bag
from fsmde_ros.tools.mask import MaskError, _image_topic, main

SIZE = 240, 136
FRAMES = 20
SEED = 0  # a drive of 12 m/s, without trees over the road
VIEWS = {"front": (0.9, -12), "ahead": (3.4, 0)}  # m ahead, degrees up: over the bonnet, beyond it


def street_rig():
    cameras = []
    for name, (x, up_deg) in VIEWS.items():
        c, s = np.cos(np.radians(up_deg)), np.sin(np.radians(up_deg))
        R_ego_cam = np.array([[0, s, c], [-1, 0, 0], [0, -c, s]])
        focal = SIZE[0] / 2
        K = [[focal, 0, SIZE[0] / 2], [0, focal, SIZE[1] / 2], [0, 0, 1]]
        pose = make_transform(R_ego_cam, [x, 0, 1.52])
        cameras.append(Camera(name, f"{name}_optical_frame", *SIZE, K, pose))
    return Rig(tuple(cameras))


def as_samples(frame_sets, rig, folder):
    """Samples of lists of (JPEG, stamp in ns), one a camera, as files in a folder."""
    samples = []
    for k, shots in enumerate(frame_sets):
        files = [folder / f"{name}_{k}.jpg" for name in rig.names]
        for file, (jpeg, _) in zip(files, shots):
            file.write_bytes(jpeg)
        poses = np.repeat(np.eye(4)[None], len(files), axis=0)
        stamps = tuple(stamp for _, stamp in shots)
        samples.append(Sample("drive", str(k), rig, tuple(files), stamps, poses, lidar=None))
    return samples


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """Samples of a rendered drive, and where each camera truly sees the vehicle."""
    pytest.importorskip("numba")
    from fsmde_core.street.camera_view import RenderConfig
    from fsmde_core.street.drive import DriveConfig, render_drive

    render = RenderConfig(samples=1, reflections=False)
    config = DriveConfig(frames=FRAMES, rate_hz=10.0, render=render)
    rig, folder = street_rig(), tmp_path_factory.mktemp("street")
    sets = [frames.cameras for frames in render_drive(SEED, rig, config)]
    shots = [[(f.jpeg, f.stamp_ns) for f in cameras] for cameras in sets]
    return as_samples(shots, rig, folder), {f.camera.name: f.ego_mask for f in sets[0]}


@pytest.fixture(scope="module")
def drive(street, tmp_path_factory):
    bag = tmp_path_factory.mktemp("drive") / "bag"
    write_bag(street[0], bag)
    return bag


def test_the_bonnet_is_found_and_accepted(drive, street, tmp_path, capsys):
    truth, rig_file = street[1], tmp_path / "rig.yaml"
    assert truth["front"].mean() > 0.1 and not truth["ahead"].any()
    save_rig(street_rig(), rig_file)
    before = rig_file.read_text()
    assert main([str(drive), "--rig", str(rig_file)]) == 0
    said = capsys.readouterr().out
    assert f"fsmde-mask --rig {rig_file} --accept" in said
    found = read_body(tmp_path / "masks" / "front_mask.png")
    cells = ["front", f"{found.mean():.1%}"]
    assert (found & truth["front"]).sum() > 0.8 * (found | truth["front"]).sum()
    assert not read_body(tmp_path / "masks" / "ahead_mask.png").any()
    assert any(line.split("|")[1:4:2] == cells for line in said.replace(" ", "").splitlines())
    picture = cv2.imread(str(tmp_path / "masks" / "mask_overview.png"))
    outline = (picture == (0, 220, 255)).all(axis=2)
    assert outline[:, :640].sum() > 640 and not outline[:, 640:].any()
    assert rig_file.read_text() == before  # looking changes nothing

    assert main(["--rig", str(rig_file), "--accept"]) == 0
    front, ahead = load_rig(rig_file).cameras
    assert np.array_equal(front.body, found) and ahead.body is None
    assert (tmp_path / "front_mask.png").is_file() and "front_mask.png" in rig_file.read_text()
    assert (tmp_path / "rig.yaml.bak").read_text() == before

    drawn = cv2.imread(str(tmp_path / "front_mask.png"), cv2.IMREAD_GRAYSCALE)
    drawn[:40] = 0
    cv2.imwrite(str(tmp_path / "front_mask.png"), drawn)
    assert main(["--rig", str(rig_file), "--accept"]) == 0
    assert (tmp_path / "rig.yaml.bak").read_text() == before  # and the second one beside it
    assert "front_mask.png" in (tmp_path / "rig.yaml.bak2").read_text()
    assert read_body(tmp_path / "front_mask.png.bak")[:40].all()

    assert main([str(drive), "--rig", str(rig_file), "--out", str(tmp_path)]) == 1
    assert "front that" in capsys.readouterr().err
    assert np.array_equal(read_body(tmp_path / "front_mask.png"), found)


class Film:
    """The frames of a drive as recordings ask for them: each camera's next one."""

    def __init__(self, samples):
        self._files = [iter([sample.image_files[i] for sample in samples]) for i in range(2)]

    def __getitem__(self, camera):
        return cv2.imread(str(next(self._files[camera])), cv2.IMREAD_COLOR_RGB)


@pytest.mark.parametrize("kind", ["foxglove's MCAP", "ROS 1"])
def test_a_drive_may_be_any_recording(kind, street, tmp_path):
    samples, truth = street
    recorded = foxglove_nuscenes if kind != "ROS 1" else partial(scepter_nuscenes, ros1=True)
    file = recorded(tmp_path / "drive", street_rig(), Film(samples), frames=FRAMES)
    save_rig(street_rig(), tmp_path / "rig.yaml")
    assert main([str(file), "--rig", str(tmp_path / "rig.yaml")]) == 0
    found = read_body(tmp_path / "masks" / "front_mask.png")
    assert (found & truth["front"]).sum() > 0.8 * (found | truth["front"]).sum()
    assert not read_body(tmp_path / "masks" / "ahead_mask.png").any()


def recording(*names):
    """What of a recording tells the topics."""
    kinds = [COMPRESSED_TYPE if name.endswith("/compressed") else IMAGE_TYPE for name in names]
    topics = [Topic(name, kind, count=20) for name, kind in zip(names, kinds)]
    return SimpleNamespace(path="bag", topics=topics)


RAW, RECT = "/front/image_raw/compressed", "/front/image_rect_color"
OURS = [f"/front/{kind}/image_rect" for kind in ("depth", "color", "confidence")]


@pytest.mark.parametrize(
    ("topics", "template", "chosen"),
    [
        (["/front/image_raw", RAW], "", RAW),
        ([RAW, f"{RECT}/compressed"], "", RAW),
        ([RECT, *OURS], "", RECT),
        (["/oak_depth/front/image_raw"], "", "/oak_depth/front/image_raw"),
        (["/front/left", "/front/right"], "{camera}/right", "/front/right"),
    ],
)
def test_the_topic_straight_from_the_camera_is_taken(topics, template, chosen):
    assert _image_topic(recording(*topics), "front", template).name == chosen


def test_of_two_topics_alike_one_has_to_be_named():
    with pytest.raises(MaskError, match="/front/left, /front/right; choose by --image-topic"):
        _image_topic(recording("/front/left", "/front/right"), "front", "")


def test_a_mask_painted_by_hand_is_what_is_accepted(drive, street, tmp_path):
    rig_file, folder = tmp_path / "rig.yaml", tmp_path / "elsewhere"
    save_rig(street_rig(), rig_file)
    assert main([str(drive), "--rig", str(rig_file), "--out", str(folder), "--accept"]) == 0
    assert load_rig(rig_file).cameras[0].body.any()
    painted = {"front": np.full(SIZE[::-1], 255, np.uint8), "ahead": np.zeros(SIZE[::-1], np.uint8)}
    painted["ahead"][:60] = 255
    for name, image in painted.items():
        cv2.imwrite(str(folder / f"{name}_mask.png"), image)
    assert main(["--rig", str(rig_file), "--out", str(folder), "--accept"]) == 0
    front, ahead = load_rig(rig_file).cameras
    assert front.body is None and ahead.body[60:].all() and not ahead.body[:60].any()


def refused(capsys, *arguments):
    """The one sentence with which the command ends."""
    assert main([str(argument) for argument in arguments]) == 1
    (sentence,) = capsys.readouterr().err.strip().splitlines()[-1:]
    return sentence.removeprefix("fsmde-mask: ")


def test_a_vehicle_that_stands_is_refused(street, tmp_path, capsys):
    """Twenty times the same view, as JPEGs of a little noise."""
    rig, rng = street_rig(), np.random.default_rng(0)
    images = [cv2.imread(str(file)) for file in street[0][0].image_files]
    shots = []
    for k in range(FRAMES):
        noisy = [np.clip(i + rng.normal(0, 2, i.shape), 0, 255).astype(np.uint8) for i in images]
        shots.append([(cv2.imencode(".jpg", n)[1].tobytes(), 10**9 + k * 10**8) for n in noisy])
    write_bag(as_samples(shots, rig, tmp_path), tmp_path / "bag")
    sentence = refused(capsys, tmp_path / "bag", "--rig", tmp_path / "bag" / RIG_FILE)
    assert "the vehicle moves at 0 of 19 moments only, 16 are needed" in sentence
    assert not (tmp_path / "bag" / "masks").exists()


def test_a_drive_of_few_frames_is_refused(street, tmp_path, capsys):
    write_bag(street[0][:9], tmp_path / "bag")
    sentence = refused(capsys, tmp_path / "bag", "--rig", tmp_path / "bag" / RIG_FILE)
    assert "16 are needed" in sentence and "camera front has the fewest frames, 9" in sentence


def test_a_bag_that_does_not_fit_the_rig_is_refused(drive, tmp_path, capsys):
    rig, rig_file = street_rig(), tmp_path / "rig.yaml"
    front, ahead = rig.cameras
    save_rig(Rig((front, replace(ahead, name="left"))), rig_file)
    sentence = refused(capsys, drive, "--rig", rig_file)
    assert "no images of camera 'left'" in sentence and "/ahead/image_raw/compressed" in sentence
    save_rig(Rig((front, ahead.resized(320, 180))), rig_file)
    sentence = refused(capsys, drive, "--rig", rig_file)
    assert "240x136, the rig file says 320x180 for camera ahead" in sentence
    assert "none does not exist" in refused(capsys, tmp_path / "none", "--rig", rig_file)
    assert "none.yaml: No such file" in refused(capsys, drive, "--rig", tmp_path / "none.yaml")


def test_nothing_is_accepted_where_a_mask_is_missing_or_of_another_size(tmp_path, capsys):
    rig_file = tmp_path / "rig.yaml"
    save_rig(street_rig(), rig_file)
    before = rig_file.read_text()
    assert "front_mask.png is missing" in refused(capsys, "--rig", rig_file, "--accept")
    (tmp_path / "masks").mkdir()
    for name in VIEWS:
        cv2.imwrite(str(tmp_path / "masks" / f"{name}_mask.png"), np.full((4, 4), 255, np.uint8))
    sentence = refused(capsys, "--rig", rig_file, "--accept")
    assert "camera front: the mask of its vehicle is 4x4, its images are 240x136" in sentence
    assert rig_file.read_text() == before and not (tmp_path / "front_mask.png").exists()


def test_without_a_bag_there_is_nothing_to_do_but_accept(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--rig", str(tmp_path / "rig.yaml")])
    assert "give a bag" in capsys.readouterr().err


@pytest.mark.parametrize("size", [(2000, 1), (480, 2), (1, 300)])
def test_a_camera_of_few_rows_is_no_fault(size):
    """A line camera's rows are not shrunk to none."""
    assert working_grey(np.zeros((size[1], size[0], 3), np.uint8)).size > 0
