"""A scene as a layout of Foxglove (and Lichtblick): Layouts, Import from file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from fsmde_core.files import write_bytes
from fsmde_ros.views.scene import Panel, Scene, absolute, vehicle_urdf

LAYOUT = "foxglove.json"
COLUMNS = 3
CLOUD_SHARE = 55.0  # of the window's height, percent
CAMERA = {
    "perspective": True,
    "distance": 35.0,
    "phi": 55.0,
    "thetaOffset": 90.0,
    "target": [0, 0, 0],
    "targetOffset": [0, 0, 0],
    "targetOrientation": [0, 0, 0, 1],
    "fovy": 45.0,
    "near": 0.5,
    "far": 5000.0,
}
GRID = {
    "layerId": "foxglove.Grid",
    "instanceId": "grid",
    "label": "Grid",
    "visible": True,
    "size": 200,
    "divisions": 20,
    "lineWidth": 1,
    "color": "#505050ff",
    "position": [0, 0, 0],
    "rotation": [0, 0, 0],
}


def write_foxglove(scene: Scene, folder: Path, *, namespace: str = "") -> Path:
    """Write the layout of what the node publishes in a namespace; returns its file."""
    file = folder / LAYOUT
    write_bytes(file, json.dumps(layout(scene, namespace=namespace), indent=1).encode())
    return file


def layout(scene: Scene, *, namespace: str = "") -> dict:
    """The layout: the cloud above, below it the panels in rows from left to right."""
    cloud = "3D!cloud"
    panels = {cloud: _three_d(scene, namespace)}
    panels |= {_name(panel): _image(panel, namespace) for panel in scene.shown}
    arrangement: dict | str = cloud
    if scene.shown:
        names = [_name(panel) for panel in scene.shown]
        rows = [names[i : i + COLUMNS] for i in range(0, len(names), COLUMNS)]
        below = _split("column", [_split("row", row) for row in rows])
        arrangement = {
            "direction": "column",
            "first": cloud,
            "second": below,
            "splitPercentage": CLOUD_SHARE,
        }
    return {
        "configById": panels,
        "globalVariables": {},
        "userNodes": {},
        "playbackConfig": {"speed": 1},
        "layout": arrangement,
    }


def _three_d(scene: Scene, namespace: str) -> dict:
    points = {"visible": True, "colorMode": "rgb", "colorField": "rgb", "pointSize": 3}
    return {
        "cameraState": CAMERA,
        "followMode": "follow-pose",
        "followTf": scene.base_frame,
        "scene": {"backgroundColor": "#181818"},
        "transforms": {},
        "topics": {absolute(scene.cloud_topic, namespace): points},
        "layers": {"grid": GRID} | _vehicle(scene),
        "imageMode": {},
    }


def _vehicle(scene: Scene) -> dict:
    """The box of the vehicle, as a robot model that stands in the layout itself."""
    if scene.vehicle is None:
        return {}
    url = "data:text/xml;utf8," + quote(vehicle_urdf(scene.vehicle, scene.base_frame))
    model = {"layerId": "foxglove.Urdf", "instanceId": "vehicle", "label": "Vehicle"}
    return {"vehicle": {**model, "visible": True, "sourceType": "url", "url": url}}


def _image(panel: Panel, namespace: str) -> dict:
    return {
        "foxglovePanelTitle": panel.title,
        "cameraState": CAMERA,
        "followMode": "follow-pose",
        "scene": {},
        "transforms": {},
        "topics": {},
        "layers": {},
        "imageMode": {
            "imageTopic": absolute(panel.topic, namespace),
            "calibrationTopic": absolute(panel.info_topic, namespace),
            "colorMode": "colormap",
            "colorMap": "turbo",
            "minValue": 0.0,
            "maxValue": panel.top,
        },
    }


def _name(panel: Panel) -> str:
    """A panel's key: the kind of panel, and what tells it from others."""
    return f"Image!{panel.camera}_{panel.kind}"


def _split(direction: str, parts: Sequence) -> dict | str:
    """Parts side by side, of equal size: a tree of halves, as the layout wants it."""
    if len(parts) == 1:
        return parts[0]
    return {
        "direction": direction,
        "first": parts[0],
        "second": _split(direction, parts[1:]),
        "splitPercentage": 100.0 / len(parts),
    }
