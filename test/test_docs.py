"""docs/interface.md says what the node offers; the node is asked."""

import re

import pytest
from conftest import ROOT
from graph import Graph

from fsmde_core.rig import Rig
from fsmde_ros.params import NodeParams
from fsmde_ros.sync import RigSync
from fsmde_ros.sync.simulation import comparison

DOCUMENT = (ROOT / "docs" / "interface.md").read_text()


def rows(title):
    """Cells of the table under a heading, without its head."""
    section = DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") or "|---" in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def documented(title, *, always):
    """(topic, type) of a table, those without TF; only those of the default parameters or all."""
    return {
        (topic, kind)
        for topics, kind, when, _ in rows(title)
        for topic in re.findall(r"`([^`]+)`", topics)
        if "tf2_msgs" not in kind
        and (not always or when == "always" or "`compressed: false`" in when)
    }


@pytest.fixture(scope="module", params=["default", "everything"])
def node(request, ros, rig, stub_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    compressed = request.param == "everything"
    wanted = ("depth_compressed", "publish_confidence", "publish_color", "publish_camera_points")
    more = ["odometry_topic:=odom", *(f"{p}:=true" for p in wanted)] if compressed else []
    part = Rig(rig.cameras[:1])
    graph = Graph(part, folder, f"model:={stub_model}", *more, compressed=compressed)
    yield graph, compressed
    graph.close()


def offered(graph, query) -> set:
    """(topic, type) as the document writes them, less what every rclpy node has."""
    found = query("surround_depth", graph.namespace)
    return {
        (topic.replace(f"{graph.namespace}/", "").replace("front/", "{camera}/"), kind)
        for topic, (kind,) in found
        if topic not in ("/rosout", "/parameter_events") and "transition_event" not in topic
    }


def test_the_topics_are_those_of_the_tables(node):
    graph, everything = node
    outputs = offered(graph, graph.node.get_publisher_names_and_types_by_node)
    inputs = offered(graph, graph.node.get_subscriber_names_and_types_by_node)
    wanted_in = documented("Inputs", always=not everything)
    if everything:
        wanted_in -= {("{camera}/image_raw", "sensor_msgs/msg/Image")}
    assert inputs == wanted_in
    assert outputs == documented("Outputs", always=not everything)


def test_the_keys_of_the_status_are_those_of_the_table(node):
    graph, _ = node
    keys = {name for cells in rows("Status") for name in re.findall(r"`([^`]+)`", cells[0])}
    for key in graph.status(lambda values: "provider" in values):
        plain = re.sub(r" (p50|p95)| \[.*\]", "", key)
        assert plain in keys or plain.split(":")[0] + ": CAUSE" in keys, key


def test_the_parameters_named_in_the_documents_exist():
    for name in ("interface.md", "own_rig.md"):
        text = (ROOT / "docs" / name).read_text()
        values = re.findall(r"`([a-z]+_[a-z_]+|compressed|rectified|cameras): [^`]+`", text)
        assert values
        assert set(values) <= set(NodeParams.__dataclass_fields__)


def test_the_table_of_the_synchronization_is_the_one_that_the_simulation_prints():
    assert comparison() in (ROOT / "docs" / "synchronization.md").read_text()


def test_the_learned_phases_stand_under_the_key_of_the_table():
    sync = RigSync(("a",), slop_ns=0)
    for k in range(1, 30):
        sync.add(0, k * 50_000_000, None, now_ns=k * 50_000_000)
    assert "camera phases [ms]" in sync.summary(30 * 50_000_000)
