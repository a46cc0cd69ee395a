"""Five cameras of two sizes, three encodings and two rates, through the node over DDS.

A rig as people put one together: some colour, some grey, lenses that distort, one camera at half
the rate of the others. The model says 10 m everywhere, and no surface where the image is blue.
"""

import array
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from blocks import blocks_rig
from conftest import ROOT
from graph import Graph, stamp_of

from fsmde_core.rig import Rig
from fsmde_ros.cloud import xyz_of
from fsmde_ros.conversions import cloud_from_msg, depth_from_msg

ENCODINGS = {
    "front": "bgr8", "front_right": "uyvy", "back_left": "mono8", "front_left": "yuv422_yuy2",
    "back": "mono8",
}  # fmt: skip
SLOW = "back"  # half the rate
WIDE, SMALL = (320, 180), (160, 120)
MOST_SETS = 40  # the node learns the periods first


@pytest.fixture(scope="module")
def rig():
    cameras = []
    for name in ENCODINGS:
        camera = next(camera for camera in blocks_rig().cameras if camera.name == name)
        width, height = SMALL if ENCODINGS[name] == "mono8" else WIDE
        K = np.array([[width / 1.4, 0, width / 2], [0, width / 1.4, height / 2], [0, 0, 1]])
        cameras.append(replace(camera, width=width, height=height, K=K))
    return Rig(tuple(cameras))


COLOURS = {  # of the sky, whose blue is full, and of the rest
    "bgr8": [(255, 0, 153), (100, 100, 153)],
    "mono8": [(90,), (110,)],
    "uyvy": [(255, 100), (128, 120)],  # U = V: columns are alike
    "yuv422_yuy2": [(100, 255), (120, 128)],
}


def shots_of(graph, rig):
    """The next set as the rig's drivers send it; the upper third of each image is sky."""
    shots = graph.shots([np.zeros((c.height, c.width, 3), np.uint8) for c in rig.cameras])
    for shot in shots:
        encoding, image = ENCODINGS[rig.names[shot.camera]], shot.image
        sky, rest = np.array(COLOURS[encoding], np.uint8)
        pixels = np.where(np.arange(image.height)[:, None, None] < image.height // 3, sky, rest)
        data = np.repeat(pixels, image.width, axis=1).astype(np.uint8).tobytes()
        image.encoding, image.data = encoding, array.array("B", data)
        image.step = len(data) // image.height
        shot.info.distortion_model, shot.info.d = "plumb_bob", [-0.05, 0.0, 0.0, 0.0, 0.0]
    return shots


def test_depth_comes_from_a_rig_of_ones_own(ros, rig, free_model, tmp_path):
    graph = Graph(rig, tmp_path, f"model:={free_model}", "deadline_s:=0", "depth_size:=source")
    try:
        newest, clouds = [], graph.received["points"]
        for k in range(MOST_SETS):
            shots = shots_of(graph, rig)
            if k % 2:
                shots = [shot for shot in shots if rig.names[shot.camera] != SLOW]
            else:
                newest.append(max(shot.stamp_ns for shot in shots))
            graph.send(shots)
            graph.spin_for(0.3)
            if len(clouds) >= 3:
                break
        assert len(clouds) >= 3, graph.text()
        assert {stamp_of(cloud) for cloud in clouds} <= set(newest)  # the slow camera is in each
        assert np.isfinite(xyz_of(cloud_from_msg(clouds[-1]))).all()
        for camera in rig.cameras:
            topic = f"{camera.name}/depth/image_rect"
            graph.spin_until(lambda t=topic: graph.received[t], f"depth of {camera.name}")
            depth = depth_from_msg(graph.received[topic][-1])
            assert depth.shape == (camera.height, camera.width)
            sky = 0 if ENCODINGS[camera.name] == "mono8" else 1 / 3  # grey has no blue
            assert np.isinf(depth).mean() == pytest.approx(sky, abs=0.03), camera.name
            assert (depth == 10).mean() == pytest.approx(1 - sky, abs=0.03), camera.name
        said = told_by_the_doctor(graph)
        assert f"{SLOW} 1" in said and "front 2" in said  # Hz
    finally:
        graph.close()


def told_by_the_doctor(graph):
    """What `fsmde-doctor --status` prints of the node."""
    command = [sys.executable, "-m", "fsmde_ros.tools.doctor", "--status", "--ros-args", "-r"]
    result = subprocess.run(
        [*command, f"__ns:={graph.namespace}"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.returncode in (0, 1), result.stderr
    return result.stdout


def test_without_a_node_the_doctor_says_that_there_is_no_status(tmp_path):
    command = [sys.executable, "-m", "fsmde_ros.tools.doctor", "--status", "--ros-args", "-r"]
    result = subprocess.run([*command, "__ns:=/nobody"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    assert "nothing on /nobody/surround_depth/status in 10 s" in result.stderr
