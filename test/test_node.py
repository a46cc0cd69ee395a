"""The node in a process of its own, fed over DDS by publishers in this one."""

import json
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from conftest import ROOT
from graph import Graph, node_command, stamp_of
from lifecycle_msgs.msg import State, Transition
from sensor_msgs.msg import CompressedImage

from fsmde_core.rig import K_to_opencv, Rig, save_rig
from fsmde_core.runtime.predictor import Predictor
from fsmde_ros.cloud import rgb_of, xyz_of
from fsmde_ros.conversions import cloud_from_msg, depth_from_msg, ns_to_stamp


@pytest.fixture(scope="module")
def six(ros, rig, tmp_path_factory):
    graph = Graph(rig, tmp_path_factory.mktemp("six"))
    yield graph
    graph.close()


@pytest.fixture(scope="module")
def predictor(model_card):
    """The shipped model as the node runs it."""
    return Predictor(model_card, precision="auto")


def test_six_images_become_six_depths_and_a_cloud(six, rig, images, predictor):
    depths, infos, cloud = six.answer(six.publish(images))
    expected = predictor(images, rig)
    in_cloud = 0
    for i, (msg, info, camera) in enumerate(zip(depths, infos, rig.cameras)):
        seen_as = expected.fits[i].camera
        size = seen_as.width, seen_as.height
        assert msg.header.frame_id == info.header.frame_id == camera.frame_id
        assert msg.header.stamp == info.header.stamp
        assert (msg.encoding, msg.width, msg.height, msg.step) == ("32FC1", *size, 4 * size[0])
        assert (info.width, info.height) == size
        assert np.allclose(np.reshape(info.k, (3, 3)), K_to_opencv(seen_as.K))
        assert info.k[0] == pytest.approx(size[0] / 320 * camera.K[0, 0])
        depth, wanted = depth_from_msg(msg), expected.depth_image(i)
        same = np.isclose(depth, wanted, rtol=1e-4, equal_nan=True) | (wanted < 0.3)
        assert (~same).sum() <= 5  # rounding where there is just a surface
        in_cloud += np.isfinite(wanted[1::2, 1::2]).sum()  # every second row and column
    assert cloud.header.frame_id == "base_link"
    xyz = xyz_of(cloud_from_msg(cloud))
    assert abs(len(xyz) - in_cloud) <= 5
    assert len(xyz) > 30_000
    assert np.isfinite(xyz).all()


def test_the_cloud_is_the_depth_images_seen_from_base_link(six, rig, images, predictor):
    depths, _, cloud = six.answer(six.publish(images))
    points = cloud_from_msg(cloud)
    xyz, rgb = xyz_of(points), rgb_of(points)
    front = predictor.fit(rig.cameras[0])
    depth = depth_from_msg(depths[0])[1::2, 1::2]
    near = depth[np.isfinite(depth)]
    # the first points of the cloud are those of the first camera, which looks along x
    assert np.allclose(xyz[: len(near), 0], near + front.camera.T_ego_cam[0, 3], rtol=1e-4)
    row, column = np.argwhere(np.isfinite(depth))[0]
    assert np.array_equal(rgb[0], front.image(images[0])[1 + 2 * row, 1 + 2 * column])


def test_the_inputs_have_a_wait_set_of_their_own(six):
    assert "the executor serves the inputs" not in six.text()


def spoil(index, change):
    return lambda i, image, info: change(image, info) if i == index else None


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (
            lambda image, info: setattr(image, "encoding", "yuv9"),
            "left out of the set: {ns}/front_right/image_raw: encoding 'yuv9' is not supported",
        ),
        (
            lambda image, info: setattr(image, "data", image.data[:-1]),
            "left out of the set: {ns}/back/image_raw: 320x180 rgb8 with step 960 does not fit its",
        ),
        (
            lambda image, info: (
                setattr(image, "height", 90), setattr(image, "data", image.data[: 90 * 960])
            ),
            "left out of the set: {ns}/back_left/image_raw: image 320x90 contradicts its",
        ),
        (
            lambda image, info: setattr(info, "k", [0.0] * 9),
            "left out of the set: {ns}/front/camera_info: K is zero: not calibrated",
        ),
        (
            lambda image, info: setattr(info, "k", [1.0, 0, 0, 0, 0, 0, 0, 0, 1]),
            "left out of the set: {ns}/back_right/camera_info: K is singular",
        ),
        (
            lambda image, info: (
                setattr(info, "d", [0.1]), setattr(info, "distortion_model", "barrel")
            ),
            "left out of the set: {ns}/front_left/camera_info: distortion model 'barrel' is",
        ),
    ],
)  # fmt: skip
def test_a_camera_that_cannot_be_used_is_left_out_and_named(six, images, change, warning):
    index = six.rig.names.index(warning.split("/")[1])
    stamps = six.publish(images, edit=spoil(index, change))
    six.warned(warning)
    depths, _, cloud = six.answer(stamps, without=[index])
    assert len(depths) == 5 and cloud.width
    six.publish(images)  # its images may be read before its CameraInfos
    six.answer(six.publish(images))


def test_an_image_with_a_zero_stamp_is_named(six, images):
    def zero(image, info):
        image.header.stamp = ns_to_stamp(0)

    six.publish(images, edit=spoil(2, zero))
    six.warned("stamps of back_right are zero")
    six.answer(six.publish(images))


@pytest.mark.parametrize("cameras", [1, 4])
def test_rigs_of_other_sizes(ros, rig, images, tmp_path, cameras):
    part = Rig(rig.cameras[:cameras])
    graph = Graph(part, tmp_path, "depth_size:=source", "max_depth_m:=12.0", "cloud_stride:=4")
    try:
        depths, infos, cloud = graph.answer(graph.publish(images[:cameras]))
        assert len(depths) == cameras
        for msg, info, camera in zip(depths, infos, part.cameras):
            assert (msg.width, msg.height) == (info.width, info.height) == (320, 180)
            assert info.k[0] == pytest.approx(camera.K[0, 0])
            depth = depth_from_msg(msg)
            assert depth[np.isfinite(depth)].max() <= 12.0 and np.isinf(depth).any()
        assert 0 < cloud.width <= cameras * 160 * 88
    finally:
        graph.close()
    assert graph.process.returncode == 0


@pytest.mark.parametrize(
    ("wait_set", "parameters"),
    [("None", ()), ("lambda *counts: None", ("use_sim_time:=true",))],
)
def test_without_the_private_parts_of_rclpy_the_executor_serves_the_inputs(
    ros, rig, images, tmp_path, wait_set, parameters
):
    """With a stand-in for an rclpy that does not exist yet; the executor keeps its own."""
    code = (
        "import fsmde_ros.depth_node as node\n"
        "from rclpy.impl import implementation_singleton as singleton\n"
        "class Changed:\n"
        f"    WaitSet = {wait_set}\n"
        "    def __getattr__(self, name, theirs=singleton.rclpy_implementation):\n"
        "        return getattr(theirs, name)\n"
        "singleton.rclpy_implementation = Changed()\n"
        "raise SystemExit(node.main())"
    )
    part = Rig(rig.cameras[:2])
    graph = Graph(part, tmp_path, *parameters, program=(sys.executable, "-c", code))
    try:
        graph.warned("the executor serves the inputs, slower: ")
        for _ in range(2):
            graph.answer(graph.publish(images[:2]))
        assert graph.transition(Transition.TRANSITION_DEACTIVATE)
        assert graph.transition(Transition.TRANSITION_ACTIVATE)
        graph.wait()
        graph.answer(graph.publish(images[:2]))
    finally:
        graph.close()
    assert graph.process.returncode == 0


def test_jpegs_are_decoded_and_truncated_ones_skipped(ros, rig, images, tmp_path):
    part = Rig(rig.cameras[:2])
    graph = Graph(part, tmp_path, compressed=True)
    try:
        graph.answer(graph.publish(images[:2]))

        def truncate(image, info):
            image.data = image.data[: len(image.data) // 2]

        graph.publish(images[:2], edit=spoil(1, truncate))
        graph.warned("do not decode as an image: Premature end of JPEG file")
        graph.answer(graph.publish(images[:2]))
    finally:
        graph.close()


def test_a_rig_that_lost_a_camera_says_which(ros, rig, images, tmp_path):
    part = Rig(rig.cameras[:2])
    graph = Graph(part, tmp_path)
    try:
        stamps = graph.publish(images[:2])
        graph.answer(stamps)
        while "camera front_right silent for" not in graph.text():  # the first one goes on
            graph.publish(images[:1])
            graph.spin_for(0.2)
        graph.answer(graph.publish(images[:2]))
    finally:
        graph.close()


def test_a_set_without_one_camera_goes_out_and_the_status_says_so(ros, rig, images, tmp_path):
    graph = Graph(rig, tmp_path, "deadline_s:=0.3")
    try:
        graph.answer(graph.publish(images))

        def lose_front_left(i, image, info):
            if i == 5:
                image.header.stamp = ns_to_stamp(0)

        stamps = graph.publish(images, edit=lose_front_left)
        graph.spin_until(
            lambda: stamps[4] in map(stamp_of, graph.received["points"]), "the partial cloud"
        )
        assert stamps[0] in map(stamp_of, graph.received["front/depth/image_rect"])
        assert stamps[5] not in map(stamp_of, graph.received["front_left/depth/image_rect"])
        status = graph.status(lambda s: float(s["partial sets [Hz]"]) > 0)
        assert status["provider"] == "CPUExecutionProvider"
        assert status["image dropped: zero stamp"] == "1"
    finally:
        graph.close()


def test_parameters_change_while_the_node_runs(ros, rig, images, tmp_path):
    part = Rig(rig.cameras[:1])
    graph = Graph(part, tmp_path)
    try:
        before = graph.answer(graph.publish(images[:1]))[2].width
        assert graph.set_parameter("cloud_stride", 8) == ""
        assert graph.answer(graph.publish(images[:1]))[2].width < before / 10
        assert "cloud_stride" in graph.set_parameter("cloud_stride", 0)
        assert "'pink' is not one of rgb" in graph.set_parameter("cloud_colour", "pink")
        assert "read-only" in graph.set_parameter("slop_s", 0.5)
        graph.answer(graph.publish(images[:1]))
    finally:
        graph.close()


def test_a_managed_node_waits_for_its_manager_and_survives_a_bad_model(
    ros, rig, images, tmp_path, model_card
):
    for suffix in (".json", ".onnx"):
        shutil.copy(model_card.with_suffix(suffix), tmp_path)
    model = tmp_path / model_card.name
    part = Rig(rig.cameras[:1])
    graph = Graph(part, tmp_path, "auto_start:=false", f"model:={model}", wait=False)
    try:
        graph.start()
        graph.answer(graph.publish(images[:1]))
        assert graph.transition(Transition.TRANSITION_DEACTIVATE)
        assert graph.transition(Transition.TRANSITION_CLEANUP)
        model.with_suffix(".onnx").write_bytes(b"rubbish")
        assert not graph.transition(Transition.TRANSITION_CONFIGURE)
        graph.warned("cannot be configured: model file")
        assert graph.state() == State.PRIMARY_STATE_UNCONFIGURED
        shutil.copy(model_card.with_suffix(".onnx"), tmp_path)
        graph.start()
        graph.answer(graph.publish(images[:1]))
    finally:
        graph.close()
    assert graph.process.returncode == 0


def test_millimetres_and_compressed_depth(ros, rig, images, predictor, tmp_path):
    part = Rig(rig.cameras[:1])
    graph = Graph(part, tmp_path, "depth_encoding:=16UC1", "depth_compressed:=true")
    graph.listen(CompressedImage, "front/depth/image_rect/compressedDepth")
    try:
        depths, _, _ = graph.answer(graph.publish(images[:1]))
        assert (depths[0].encoding, depths[0].step) == (
            "16UC1",
            2 * predictor.fit(rig.cameras[0]).size[0],
        )
        packed = graph.received["front/depth/image_rect/compressedDepth"]
        graph.spin_until(lambda: packed, "the compressed depth")
        millimetres = cv2.imdecode(np.frombuffer(packed[0].data, np.uint8)[12:], -1)
        assert np.array_equal(millimetres.ravel(), np.frombuffer(depths[0].data, "<u2"))
    finally:
        graph.close()


def failed_start(*parameters) -> str:
    """What the node says on stderr when it refuses to start."""
    result = subprocess.run(
        node_command(*parameters), cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture
def rig_file(rig, tmp_path):
    save_rig(rig, tmp_path / "rig.yaml")
    return tmp_path / "rig.yaml"


def test_bad_start_parameters_are_one_sentence_and_exit_code_1(rig_file, tmp_path):
    rig = f"rig_file:={rig_file}"
    assert "none.json: No such file" in failed_start(rig, f"model:={tmp_path / 'none.json'}")
    assert "none.yaml: No such file" in failed_start(f"rig_file:={tmp_path / 'none.yaml'}")
    assert "QNNExecutionProvider: not in this build" in failed_start(
        rig, "providers:=[QNNExecutionProvider]"
    )


def test_a_model_that_is_not_the_one_of_its_card_is_refused(rig_file, tmp_path, model_card):
    shutil.copy(model_card, tmp_path)
    (tmp_path / "student_s.onnx").write_bytes(b"rubbish")
    sentence = failed_start(f"rig_file:={rig_file}", f"model:={tmp_path / 'student_s.json'}")
    assert "student_s.onnx has sha256" in sentence
    digest = json.loads(model_card.read_text())["sha256"]["student_s.onnx"]
    assert digest in sentence


def test_tf_without_tf2_ros_is_refused():
    try:
        import tf2_ros  # noqa: F401
    except ImportError:
        assert "tf2_ros, which is not installed" in failed_start("cameras:=[front]")
    else:
        pytest.skip("tf2_ros is installed here")


@pytest.mark.parametrize(
    "signals", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)], ids=["SIGINT twice", "SIGTERM"]
)
def test_signals_end_the_node_cleanly(rig_file, signals):
    process = subprocess.Popen(
        node_command(f"rig_file:={rig_file}"), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if "ready" in line:
            break
    for number in signals:
        process.send_signal(number)
        time.sleep(0.05)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in rest, f"{process.returncode}: {rest}"
