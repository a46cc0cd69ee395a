"""The main job, as make demo runs it."""

import re
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
from conftest import ROOT
from recordings import Recording, ddad, moments

from fsmde_core.data.nuscenes import read_keyframes
from fsmde_core.rig import save_rig
from fsmde_ros.diagnostics.reporter import PATIENCE_S
from fsmde_ros.params import NodeParams
from fsmde_ros.tools.demo import read_output, slop_s
from fsmde_ros.tools.replay import QUIET_S


def demo(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fsmde_ros.tools.demo", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_a_real_keyframe_comes_out_as_depth_and_cloud(nuscenes_root, tmp_path):
    result = demo("--data", nuscenes_root, "--version", "v1.0-mini", "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    (sample,) = read_keyframes(nuscenes_root, "v1.0-mini")
    (recorded,) = read_output(tmp_path / "out" / "output", sample.rig.names)
    assert recorded.stamps_ns == sample.stamps_ns
    assert recorded.frame_ids == tuple(camera.frame_id for camera in sample.rig.cameras)
    assert len(recorded.depths) == 6
    assert np.isfinite(recorded.xyz).all() and len(recorded.xyz) > 50_000
    picture = cv2.imread(str(tmp_path / "out" / "surround.png"))
    assert picture.shape[1] == 1920
    assert str(tmp_path / "out" / "surround.png") in result.stdout


def test_without_data_a_street_is_rendered_and_replayed(tmp_path):
    result = demo("--out", tmp_path)
    assert result.returncode == 0, result.stderr
    received = re.search(r"depth sets received (\d) of 4 played", result.stdout)
    # a machine that other tests keep busy may lose one, as a real one does
    assert received and int(received[1]) >= 3, result.stdout + result.stderr
    no_alarm(result)
    assert (tmp_path / "surround.png").is_file()


def test_any_recording_is_replayed_and_drawn(rig, images, tmp_path):
    bag = ddad(tmp_path / "drive", rig, images)
    result = demo("--bag", bag, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "/ddad/CAMERA_06/image_raw" in result.stdout
    assert (tmp_path / "out" / "surround.png").is_file()
    film = cv2.VideoCapture(str(tmp_path / "out" / "surround.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) >= 2
    assert f"{tmp_path / 'out' / 'surround.mp4'}" in result.stdout
    assert "recorded; one of them" in result.stdout
    no_alarm(result)


def no_alarm(result):
    """Nothing is said of a replay that has not begun yet, or is over."""
    for text in ("no image yet", "no new images", "come together", "/clock", "not replayed"):
        assert text not in result.stderr, result.stderr


def test_the_node_waits_longer_than_the_demo_does_before_it_warns_of_silence():
    assert PATIENCE_S >= 2 * QUIET_S  # a slow machine needs seconds from the last image to its set


def test_a_camera_whose_images_cannot_be_used_is_left_out_and_named(rig, images, tmp_path):
    part = rig.subset([0, 1, 2])
    save_rig(part, tmp_path / "rig.yaml")
    with Recording(tmp_path / "drive") as bag:
        for n, (i, camera, stamp_ns, _) in enumerate(moments(part, frames=6)):
            msg = bag.make.jpeg(images[i], stamp_ns, camera.frame_id)
            if i == 2 and n > 3:
                msg.data = msg.data[: len(msg.data) // 3]  # cut off, but for the first one
            bag.write(f"/{camera.name}/image_raw/compressed", msg, stamp_ns)
    given = ("--bag", tmp_path / "drive", "--rig", tmp_path / "rig.yaml")
    result = demo(*given, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert f"camera {part.names[2]} is missing" in result.stdout
    received = result.stdout.split("one of them:")[1]
    assert f"| {part.names[0]}" in received and f"| {part.names[2]}" not in received
    assert (tmp_path / "out" / "surround.png").is_file()


def test_a_recording_that_is_none_is_one_sentence(tmp_path):
    result = demo("--bag", tmp_path / "none", "--out", tmp_path / "out")
    assert result.returncode == 1
    sentence = f"fsmde-demo: bag {tmp_path / 'none'} does not exist"
    assert result.stderr.strip().splitlines()[-1] == sentence


def test_data_that_is_not_there_is_one_sentence(tmp_path):
    result = demo("--data", tmp_path, "--out", tmp_path / "out")
    assert result.returncode == 1
    sentence = f"fsmde-demo: nuScenes root {tmp_path} has no folder v1.0-trainval"
    assert result.stderr.strip().splitlines()[-1] == sentence
    result = demo("--model", tmp_path / "none.json", "--out", tmp_path / "out")
    assert result.returncode == 1 and "none.json: No such file" in result.stderr


def test_samples_whose_stamps_spread_more_than_the_default_slop_are_replayed(nuscenes_root):
    sample = read_keyframes(nuscenes_root, "v1.0-mini")[0]
    spread = [0, *(60_000_000 for _ in sample.stamps_ns[1:-1]), 83_000_000]
    assert slop_s([sample]) == NodeParams.slop_s
    assert 0.083 < slop_s([sample, replace(sample, stamps_ns=tuple(spread))]) < 0.09
