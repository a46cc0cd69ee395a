"""The views of a rig: RViz and Foxglove show the topics that the node publishes, for any rig."""

import json
from xml.etree import ElementTree

import pytest
import yaml
from conftest import ROOT

from fsmde_core.rig import Rig, load_rig
from fsmde_ros.params import NodeParams
from fsmde_ros.views.foxglove import write_foxglove
from fsmde_ros.views.rviz import write_rviz
from fsmde_ros.views.scene import scene_of

NUSCENES = load_rig(ROOT / "config" / "rig_nuscenes.yaml")
RIGS = [NUSCENES, load_rig(ROOT / "config" / "rig_ddad.yaml"), Rig(NUSCENES.cameras[2:5])]


def displays(file, kind):
    document = yaml.safe_load(file.read_text())
    found = document["Visualization Manager"]["Displays"]
    return [d for d in found if d["Class"] == f"rviz_default_plugins/{kind}"]


@pytest.mark.parametrize("rig", RIGS, ids=lambda rig: rig.names[0])
@pytest.mark.parametrize("confidence", [False, True])
def test_rviz_shows_what_the_node_publishes(rig, confidence, tmp_path):
    params = NodeParams(rig_file="rig.yaml", publish_confidence=confidence)
    file = write_rviz(scene_of(params, rig), tmp_path)
    images = displays(file, "Image")
    on = {d["Topic"]["Value"] for d in images if d["Enabled"]}
    off = {d["Topic"]["Value"] for d in images if not d["Enabled"]}
    depth = {f"{name}/depth/image_rect" for name in rig.names}
    certain = {f"{name}/confidence/image_rect" for name in rig.names}
    assert (on, off) == ((depth | certain, set()) if confidence else (depth, certain))
    assert [d["Topic"]["Value"] for d in displays(file, "PointCloud2")] == ["points"]
    manager = yaml.safe_load(file.read_text())["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == rig.base_frame
    assert all(d["Topic"]["Reliability Policy"] == "Best Effort" for d in images)


def test_rviz_shows_a_node_in_a_namespace(rig, tmp_path):
    file = write_rviz(scene_of(NodeParams(), rig), tmp_path, namespace="fleet/car")
    assert [d["Topic"]["Value"] for d in displays(file, "PointCloud2")] == ["/fleet/car/points"]
    topics = {d["Topic"]["Value"] for d in displays(file, "Image")}
    assert f"/fleet/car/{rig.names[0]}/depth/image_rect" in topics
    assert all(topic.startswith("/fleet/car/") for topic in topics)


def test_the_vehicle_is_a_box_around_the_cameras_that_stands_on_the_ground(tmp_path):
    (vehicle,) = displays(write_rviz(scene_of(NodeParams(), NUSCENES), tmp_path), "RobotModel")
    robot = ElementTree.parse(vehicle["Description File"]).getroot()
    (link,) = robot.iter("link")
    assert link.get("name") == NUSCENES.base_frame
    centre = [float(v) for v in robot.find("link/visual/origin").get("xyz").split()]
    size = [float(v) for v in robot.find("link/visual/geometry/box").get("size").split()]
    for camera in NUSCENES.cameras:
        distance = abs(camera.T_ego_cam[:3, 3] - centre)
        assert all(distance <= [s / 2 + 1e-3 for s in size]), camera.name
    assert centre[2] - size[2] / 2 == pytest.approx(0, abs=1e-3)


def test_panels_stand_from_left_to_right():
    scene = scene_of(NodeParams(), NUSCENES)
    assert [p.camera for p in scene.depth_panels] == [
        "CAM_BACK_LEFT", "CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT",
        "CAM_BACK",
    ]  # fmt: skip


def test_without_a_rig_file_the_cameras_of_the_parameters_are_shown(tmp_path):
    params = NodeParams(cameras=["left", "right"], base_frame="body")
    file = write_rviz(scene_of(params, None), tmp_path)
    topics = [d["Topic"]["Value"] for d in displays(file, "Image") if d["Enabled"]]
    assert topics == ["left/depth/image_rect", "right/depth/image_rect"]
    assert displays(file, "RobotModel") == []  # where the cameras sit is not known
    assert displays(file, "Axes")[0]["Reference Frame"] == "body"


def leaves(layout):
    if isinstance(layout, str):
        return [layout]
    return leaves(layout["first"]) + leaves(layout["second"])


@pytest.mark.parametrize("rig", RIGS, ids=lambda rig: rig.names[0])
@pytest.mark.parametrize("namespace", ["", "/car", "fleet/car/"])
def test_foxglove_shows_the_same_in_a_namespace(rig, namespace, tmp_path):
    file = write_foxglove(scene_of(NodeParams(), rig), tmp_path, namespace=namespace)
    document = json.loads(file.read_text())
    prefix = f"/{namespace.strip('/')}/".replace("//", "/")
    panels = document["configById"]
    assert sorted(leaves(document["layout"])) == sorted(panels)  # each has its place, once
    modes = [p["imageMode"] for key, p in panels.items() if key.startswith("Image!")]
    assert {m["imageTopic"] for m in modes} == {f"{prefix}{n}/depth/image_rect" for n in rig.names}
    assert all(m["calibrationTopic"].endswith("/depth/camera_info") for m in modes)
    (three_d,) = [panel for key, panel in panels.items() if key.startswith("3D!")]
    assert list(three_d["topics"]) == [f"{prefix}points"]
    assert three_d["followTf"] == rig.base_frame
