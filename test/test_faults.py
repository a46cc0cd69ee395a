"""What goes wrong on a vehicle, on a live graph: one node process, six cameras at 12 Hz over DDS.

The model is a stub: an ONNX file made here that answers 10 m everywhere. After each fault the node
must run on, say what was wrong in ~/status, and publish a full set out of the next twelve frames,
which is one second of the rig's time (bounded in frames, not in the seconds of a loaded machine).
"""

import array
import signal
import subprocess
import sys
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import ROOT
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from graph import START_NS, Graph, node_command, stamp_of
from lifecycle_msgs.msg import Transition

from fsmde_core.data.sample import Sample
from fsmde_ros.bags.writer import write_bag

PERIOD_NS = 1_000_000_000 // 12
SECOND = 12  # frames


class Drive:
    """Sends frames at 12 Hz, each through a fault, and looks at what comes back."""

    def __init__(self, graph, images):
        self.graph, self.images = graph, images
        graph.period_ns = PERIOD_NS
        graph.listen(DiagnosticArray, "/diagnostics")

    def send(self, frames, fault=lambda frame, shots: shots):
        """Returns the stamps of the frames, as they were before the fault."""
        sent, due = [], time.monotonic()
        for frame in range(frames):
            shots = self.graph.shots(self.images)
            sent.append([shot.stamp_ns for shot in shots])
            self.graph.send(fault(frame, shots))
            due = max(due + PERIOD_NS / 1e9, time.monotonic())
            self.graph.spin_until(lambda due=due: time.monotonic() >= due, "the next frame")
        return sent

    def full(self, frames) -> list:
        """Those of the frames (lists of stamps) whose depth images all came."""
        names = self.graph.rig.names
        stamps = [set(map(stamp_of, self.received(f"{n}/depth/image_rect"))) for n in names]
        return [frame for frame in frames if all(s in seen for s, seen in zip(frame, stamps))]

    def received(self, topic):
        return self.graph.received[topic]

    def recovers(self):
        """The next second of clean frames holds a full set."""
        sent = self.send(SECOND)
        self.graph.spin_until(lambda: self.full(sent), "a full set of the last second")
        assert "Traceback" not in self.graph.text()

    def status(self, text="", **values):
        """Wait for a status whose message holds the text and whose values are at least these."""

        def fits(msg):
            found = {v.key: v.value for v in msg.values}
            return text in msg.message and all(
                float(found.get(key, 0)) >= least for key, least in values.items()
            )

        statuses = self.received("surround_depth/status")
        name = f"{self.graph.namespace.strip('/')}/surround_depth"
        self.graph.spin_until(lambda: any(map(fits, statuses)), f"a status with {text} {values}")
        msg = next(filter(fits, statuses))

        def in_diagnostics():
            arrays = self.received("/diagnostics")
            return any(s.name == name and fits(s) for array in arrays for s in array.status)

        self.graph.spin_until(in_diagnostics, "the same in /diagnostics")
        return msg


@pytest.fixture(scope="module")
def graph(ros, rig, stub_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    graph = Graph(rig, folder, f"model:={stub_model}", "deadline_s:=0.2", compressed=True)
    yield graph
    graph.close()
    assert graph.process.returncode == 0


@pytest.fixture(scope="module")
def shared_drive(graph, images):
    drive = Drive(graph, images)
    drive.recovers()
    return drive


@pytest.fixture
def drive(shared_drive):
    """The drive, with nothing left of the case before."""
    for messages in shared_drive.graph.received.values():
        messages.clear()
    return shared_drive


def test_a_camera_that_stops_is_named_and_comes_back(drive):
    sent = drive.send(2 * SECOND, lambda _, shots: [s for s in shots if s.camera != 1])
    warning = drive.status("camera front_right silent for")
    assert warning.level == DiagnosticStatus.WARN  # the other five go on
    clouds = set(map(stamp_of, drive.received("points")))
    assert clouds & {frame[5] for frame in sent}
    drive.recovers()


def test_lost_images_make_partial_sets_of_one_frame_each(drive):
    rng = np.random.default_rng(5)
    sent = drive.send(30, lambda _, shots: [s for s in shots if rng.random() >= 0.05])
    drive.status("sets lack a camera", **{"partial sets [Hz]": 0.2})
    assert drive.full(sent)
    spread = drive.status(**{"set spread [ms]": 1})
    values = {v.key: v.value for v in spread.values}
    assert float(values["set spread [ms]"]) <= 35.0  # of one frame; the next is 83 ms off
    drive.recovers()


def test_reordered_messages(drive):
    held = {}

    def shuffled(frame, shots):
        """Cameras in any order; every third image of camera 2 comes three frames late.

        (In place of the next that is held: the node keeps only the newest of two at once.)
        """
        late = held.pop(frame - 3, [])
        held[frame] = [s for s in shots if frame % 3 == 0 and s.camera == 2]
        on_time = [s for s in shots if s not in held[frame]]
        return late + list(np.random.default_rng(frame).permutation(on_time))

    sent = drive.send(24, shuffled)
    drive.status(**{"image dropped: late or duplicate": 1})
    assert drive.full(sent)
    drive.recovers()


def test_duplicated_messages_answer_once(drive):
    sent = drive.send(12, lambda _, shots: [s for shot in shots for s in (shot, shot)])
    drive.recovers()
    assert drive.full(sent)
    stamps = [stamp_of(msg) for msg in drive.received("points")]
    assert len(stamps) == len(set(stamps))


@pytest.mark.parametrize(("jump_s", "resets"), [(-10, 1), (3600, 0)])
def test_time_that_jumps(drive, jump_s, resets):
    drive.send(6)
    before = int(drive_value(drive, "time resets"))
    drive.graph.next_ns += jump_s * 1_000_000_000
    drive.recovers()
    drive.received("surround_depth/status").clear()
    assert int(drive_value(drive, "time resets")) == before + resets
    assert ("time went back on" in drive.graph.text()) == (resets > 0 or before > 0)


def drive_value(drive, key) -> str:
    """A value of the next status."""
    return drive.graph.status(lambda values: key in values)[key]


def test_a_truncated_jpeg_every_tenth(drive):
    def truncate(frame, shots):
        if frame % 10 == 0:
            shots[3].image.data = shots[3].image.data[: len(shots[3].image.data) // 2]
        return shots

    sent = drive.send(20, truncate)
    drive.status("Premature end of JPEG file", **{"images left out of sets": 2})
    assert drive.full(sent)
    drive.recovers()


def test_an_image_of_another_size(drive):
    def half_size(_, shots):
        _, encoded = cv2.imencode(".jpg", np.zeros((90, 160, 3), np.uint8))
        shots[4].image.data = array.array("B", encoded.tobytes())
        return shots

    drive.send(3, half_size)
    drive.status("back_left/image_raw/compressed: image 160x90 contradicts its CameraInfo 320x180")
    drive.recovers()


def test_a_camera_info_of_zeros(drive):
    def zeros(_, shots):
        shots[0].info.k = [0.0] * 9
        return shots

    drive.send(3, zeros)
    drive.status("front/camera_info: K is zero: not calibrated")
    drive.recovers()


def test_two_nodes_in_one_namespace(drive, stub_model):
    rig_file = f"rig_file:={drive.graph.folder / 'rig.yaml'}"
    command = node_command(rig_file, f"model:={stub_model}", "compressed:=true")
    second = subprocess.Popen(
        [*command, "-r", f"__ns:={drive.graph.namespace}"],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        drive.status("/points has 1 other publisher(s): is the node running twice?")
    finally:
        second.send_signal(signal.SIGINT)
        second.wait(timeout=20)
    drive.recovers()


def test_a_camera_info_that_never_came(drive):
    """After cleanup and configure the node knows no calibration any more."""
    graph = drive.graph
    assert graph.transition(Transition.TRANSITION_DEACTIVATE)
    assert graph.transition(Transition.TRANSITION_CLEANUP)
    graph.start()
    drive.send(3, lambda _, shots: [replace(s, info=s.camera and s.info or None) for s in shots])
    drive.status("no CameraInfo yet from front")
    drive.recovers()


def write_drive(rig, images, folder, first_ns, *, frames):
    """A bag of the rig at 12 Hz; returns it and the stamps of its frames."""
    files = []
    for name, image in zip(rig.names, images):
        files.append(folder / f"{name}.jpg")
        cv2.imwrite(str(files[-1]), image[..., ::-1])
    poses = np.tile(np.eye(4), (len(files), 1, 1))
    samples = []
    for frame in range(frames):
        stamps = tuple(first_ns + frame * PERIOD_NS + i * 7_000_000 for i in range(len(files)))
        samples.append(Sample("drive", str(frame), rig, tuple(files), stamps, poses, lidar=None))
    write_bag(samples, folder / "bag")
    return folder / "bag", [sample.stamps_ns for sample in samples]


def player_command(graph, bag):
    player = [sys.executable, "-m", "fsmde_ros.bags.player", str(bag), "--wait", "60"]
    return [*player, "--ros-args", "-r", f"__ns:={graph.namespace}", "--"]


@pytest.fixture
def player(drive, rig, images, tmp_path):
    """A bag player with ten seconds of the rig, in the graph's namespace."""
    bag, stamps = write_drive(rig, images, tmp_path, drive.graph.next_ns, frames=10 * SECOND)
    drive.graph.next_ns += 11 * SECOND * PERIOD_NS
    process = subprocess.Popen(player_command(drive.graph, bag), cwd=ROOT)
    yield process, stamps
    process.send_signal(signal.SIGCONT)
    process.terminate()
    process.wait(timeout=20)


def test_a_player_that_is_stopped_for_five_seconds(drive, player):
    process, sent = player
    drive.graph.spin_until(lambda: drive.full(sent), "the first set of the player")
    process.send_signal(signal.SIGSTOP)
    drive.status("no new images from any camera")
    drive.graph.spin_for(5.0)
    before = drive.full(sent)
    process.send_signal(signal.SIGCONT)
    drive.graph.spin_until(lambda: drive.full(sent) != before, "a set after the stop")
    process.wait(timeout=60)
    assert process.returncode == 0
    drive.recovers()


def test_a_slow_replay_makes_no_partial_sets(ros, rig, images, stub_model, tmp_path):
    """At a fifteenth of the pace the cameras of a set come half a second apart by the wall."""
    graph = Graph(
        rig, tmp_path, f"model:={stub_model}", "use_sim_time:=true", "deadline_s:=0.2",
        compressed=True,
    )  # fmt: skip
    bag = write_drive(rig, images, tmp_path, START_NS, frames=4)
    player = subprocess.Popen(
        [*player_command(graph, bag[0]), "--rate", "0.067", "--clock"], cwd=ROOT
    )
    try:
        points = graph.received["points"]
        graph.spin_until(lambda: len(points) >= 4 or player.poll() is not None, "the sets")
        assert [stamp_of(msg) for msg in points] == [stamps[-1] for stamps in bag[1]]
        status = graph.status(lambda values: "partial sets [Hz]" in values)
        assert float(status["partial sets [Hz]"]) == 0
    finally:
        player.terminate()
        player.wait(timeout=20)
        graph.close()
