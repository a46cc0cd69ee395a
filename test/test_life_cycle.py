"""The life cycle on a live graph: requests that do not fit, failures, networks that hang.

What happens to one node must be heard, must leave nothing behind, and a second attempt works.
"""

import signal
import subprocess
import sys

import pytest
from conftest import ROOT
from diagnostic_msgs.msg import DiagnosticStatus
from graph import Graph, node_command, stamp_of
from lifecycle_msgs.msg import State, Transition
from rclpy._rclpy_pybind11 import NodeNameNonExistentError  # it has no public name

from fsmde_core.rig import Rig, save_rig

UNCONFIGURED = State.PRIMARY_STATE_UNCONFIGURED
INACTIVE, ACTIVE = State.PRIMARY_STATE_INACTIVE, State.PRIMARY_STATE_ACTIVE
CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE
SHUTDOWN = {
    UNCONFIGURED: Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    INACTIVE: Transition.TRANSITION_INACTIVE_SHUTDOWN,
    ACTIVE: Transition.TRANSITION_ACTIVE_SHUTDOWN,
}
NETWORK = """
import sys, time
from dataclasses import replace
from pathlib import Path
import numpy as np
from fsmde_core.runtime.predictor import Predictor
from fsmde_ros.depth_node import main

class Network(Predictor):
    made = 0

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        Network.made += 1
        self.made, self.runs = Network.made, 0

    def predict(self, *args, **options):
        prediction = super().predict(*args, **options)
        self.runs += 1
        {body}
        return prediction

sys.exit(main(sys.argv[1:], make_predictor=Network))
"""


def network(body):
    """The node with a network of which one more line is known."""
    return sys.executable, "-c", NETWORK.format(body=body)


@pytest.fixture
def start(ros, rig, stub_model, tmp_path):
    """Makes the graph of one camera and a node; all are closed, and must have ended as asked."""
    graphs = []

    def make(*parameters, body=None, wait=True, cameras=1):
        options = {} if body is None else {"program": network(body)}
        part = Rig(rig.cameras[:cameras])
        graphs.append(
            Graph(part, tmp_path, f"model:={stub_model}", *parameters, wait=wait, **options)
        )
        return graphs[-1]

    yield make
    for graph in graphs:
        graph.close()
        log = (graph.folder / "log.txt").read_text()
        assert graph.process.returncode == 0 and "Traceback" not in log, log


def answers(graph, images):
    graph.answer(graph.publish(images[: len(graph.rig.cameras)]))


def endpoints(graph) -> set:
    """Topics on which the node publishes or listens, less what every node has."""
    node, where = graph.node, ("surround_depth", graph.namespace)
    try:
        found = node.get_publisher_names_and_types_by_node(*where)
        found += node.get_subscriber_names_and_types_by_node(*where)
    except NodeNameNonExistentError:  # after a shutdown the process ends
        return set()
    ours = {topic for topic, _ in found if not topic.endswith("transition_event")}
    return ours - {"/rosout", "/parameter_events"}


def gone(graph):
    graph.spin_until(lambda: not endpoints(graph), "the node's topics to go")


def test_requests_that_do_not_fit_are_refused_and_change_nothing(start, images):
    graph = start()
    for number, name in ((CONFIGURE, "configure"), (ACTIVATE, "activate"), (CLEANUP, "cleanup")):
        assert not graph.transition(number)
        graph.warned("change_state is refused: transition ")
        assert graph.state() == ACTIVE, name
        answers(graph, images)
    graph.warned("does not fit the state active")
    assert not graph.transition(SHUTDOWN[INACTIVE]) and not graph.transition(99)
    answers(graph, images)
    assert graph.transition(DEACTIVATE) and not graph.transition(DEACTIVATE)
    assert not graph.transition(CONFIGURE) and graph.state() == INACTIVE
    assert graph.transition(ACTIVATE) and not graph.transition(ACTIVATE)
    graph.wait()
    answers(graph, images)
    assert graph.transition(DEACTIVATE) and graph.transition(CLEANUP)
    for number in (CLEANUP, ACTIVATE, DEACTIVATE):
        assert not graph.transition(number) and graph.state() == UNCONFIGURED
    gone(graph)
    graph.start()
    answers(graph, images)


@pytest.mark.parametrize("state", SHUTDOWN)
def test_shutdown_from_every_state(start, images, state):
    graph = start("auto_start:=false", wait=False)
    if state != UNCONFIGURED:
        assert graph.transition(CONFIGURE)
    if state == ACTIVE:
        assert graph.transition(ACTIVATE)
        graph.wait()
        answers(graph, images)
    assert graph.transition(SHUTDOWN[state])
    assert graph.state() == State.PRIMARY_STATE_FINALIZED
    gone(graph)
    for number in (CONFIGURE, ACTIVATE, DEACTIVATE, CLEANUP, *SHUTDOWN.values()):
        assert not graph.transition(number)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("if self.made == 1: raise ValueError('shapes\\ndiffer')", "ValueError: shapes differ"),
        ("if self.made == 1: [][0]", "IndexError: list index out of range"),
        ("if self.made == 1: Path('/dev/null/x').mkdir()", "Not a directory: '/dev/null/x'"),
    ],
    ids=["two lines", "any exception", "a file"],
)
def test_a_network_that_fails_while_it_is_set_up(start, images, body, sentence):
    graph = start("auto_start:=false", wait=False, body=body)
    assert not graph.transition(CONFIGURE)
    graph.warned("cannot be configured: ")
    graph.warned(sentence)
    assert graph.state() == UNCONFIGURED
    gone(graph)
    graph.start()
    answers(graph, images)


def test_an_activation_that_fails_leaves_nothing(start):
    graph = start("auto_start:=false", "sync_policy:=approximate_time", wait=False)
    assert graph.transition(CONFIGURE)
    before = len(endpoints(graph))
    if graph.transition(ACTIVATE):
        pytest.skip("message_filters is installed here")
    assert not graph.transition(ACTIVATE)
    graph.warned("cannot be activated: parameter sync_policy: approximate_time needs")
    assert graph.state() == INACTIVE
    graph.spin_until(lambda: len(endpoints(graph)) == before, "the inputs to go")
    assert graph.transition(CLEANUP)
    gone(graph)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("if self.runs > 1: raise RuntimeError('no memory')", "RuntimeError: no memory"),
        (
            "prediction.depth[0][0, 0] = np.nan if self.runs > 1 else 1",
            "set skipped: the network's depth of camera front is not finite",
        ),
        (
            "prediction.confidence[0][:] = np.inf if self.runs > 1 else 1",
            "set skipped: the network's confidence of camera front is not finite",
        ),
        ("time.sleep(60 * (self.runs == 2))", "no set "),
    ],
    ids=["raises", "NaN", "inf", "hangs"],
)
def test_a_network_without_answers_is_an_error(start, images, body, sentence):
    graph = start(body=body)
    statuses = graph.received["surround_depth/status"]
    graph.period_ns = 100_000_000

    def said():
        return any(sentence in msg.message for msg in statuses)

    statuses.clear()
    while not said() or len(statuses) < 4:
        graph.publish(images[:1])
        graph.spin_for(0.1)
    assert all(msg.level == DiagnosticStatus.ERROR for msg in statuses)
    assert not graph.received["points"]


def test_a_network_that_hangs_is_left_behind(start, images):
    """Deactivate fails, the node is unconfigured; the next attempt works without the old set."""
    graph = start(body="time.sleep(12 * (self.made == 1 and self.runs == 2))")
    lost = graph.publish(images[:1])
    graph.spin_for(1.0)
    assert not graph.transition(DEACTIVATE)
    graph.warned("inference has not ended in 4 s: it is left behind")
    assert graph.state() == UNCONFIGURED
    gone(graph)
    graph.start()
    answers(graph, images)
    graph.spin_for(8)  # until the old one is done
    answers(graph, images)
    assert lost[0] not in map(stamp_of, graph.received["points"])


def test_an_interrupt_ends_a_network_that_hangs_while_it_is_set_up(rig, stub_model, tmp_path):
    save_rig(Rig(rig.cameras[:1]), tmp_path / "rig.yaml")
    parameters = (f"rig_file:={tmp_path / 'rig.yaml'}", f"model:={stub_model}")
    process = subprocess.Popen(
        node_command(*parameters, program=network("time.sleep(600)")),
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for line in process.stderr:
            if "ego motion" in line:
                break
        process.send_signal(signal.SIGINT)
        _, text = process.communicate(timeout=40)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "did not end in 9 s after the interrupt: ends now" in text
