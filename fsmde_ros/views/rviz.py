"""A scene as a configuration of RViz 2."""

from __future__ import annotations

from pathlib import Path

import yaml

from fsmde_core.files import write_bytes
from fsmde_ros.views.scene import Panel, Scene, absolute, vehicle_urdf

CONFIG, VEHICLE = "surround_depth.rviz", "vehicle.urdf"
PLUGINS = "rviz_default_plugins"


def write_rviz(scene: Scene, folder: Path, *, namespace: str = "") -> Path:
    """Write the configuration, and the vehicle that it shows, into a folder; returns its file.

    Topics are those of a node in the namespace; without one they are relative, so that the
    namespace of rviz2 applies. Confidence panels are switched off
    where the node does not publish confidence.
    """
    displays = [_grid(), _tf(), _axes(scene.base_frame)]
    if scene.vehicle is not None:
        urdf = folder.resolve() / VEHICLE
        write_bytes(urdf, vehicle_urdf(scene.vehicle, scene.base_frame).encode())
        displays.append(_vehicle(urdf))

    def topic(name: str) -> str:
        return absolute(name, namespace) if namespace else name

    displays.append(_cloud(topic(scene.cloud_topic)))
    displays += [
        _image(panel, topic(panel.topic), enabled=panel in scene.shown) for panel in scene.panels
    ]
    file = folder / CONFIG
    write_bytes(file, yaml.safe_dump(_config(scene, displays), sort_keys=False).encode())
    return file


def _config(scene: Scene, displays: list[dict]) -> dict:
    orbit = {
        "Class": f"{PLUGINS}/Orbit",
        "Name": "Current View",
        "Distance": 35.0,
        "Focal Point": {"X": 5.0, "Y": 0.0, "Z": 0.0},
        "Pitch": 0.9,
        "Yaw": 3.14,
        "Target Frame": scene.base_frame,
        "Value": f"Orbit ({PLUGINS})",
    }
    tools = [{"Class": f"{PLUGINS}/{name}"} for name in ("MoveCamera", "Select", "Measure")]
    manager = {
        "Class": "",
        "Displays": displays,
        "Enabled": True,
        "Global Options": {
            "Background Color": "24; 24; 24",
            "Fixed Frame": scene.base_frame,
            "Frame Rate": 30,
        },
        "Name": "root",
        "Tools": tools,
        "Value": True,
        "Views": {"Current": orbit},
    }
    panels = [{"Class": f"rviz_common/{name}", "Name": name} for name in ("Displays", "Views")]
    window = {"Width": 1600, "Height": 1000}
    return {"Panels": panels, "Visualization Manager": manager, "Window Geometry": window}


def _display(kind: str, name: str, *, enabled: bool = True, **properties) -> dict:
    return {
        "Class": f"{PLUGINS}/{kind}",
        "Name": name,
        "Enabled": enabled,
        **properties,
        "Value": enabled,
    }


def _topic(name: str) -> dict:
    return {
        "Depth": 1,
        "Durability Policy": "Volatile",
        "History Policy": "Keep Last",
        "Reliability Policy": "Best Effort",
        "Value": name,
    }


def _grid() -> dict:
    size = {"Cell Size": 10, "Plane Cell Count": 20}
    return _display("Grid", "Grid", Color="80; 80; 80", **size)


def _tf() -> dict:
    return _display("TF", "TF", **{"Marker Scale": 1, "Show Names": True})


def _axes(frame: str) -> dict:
    return _display("Axes", frame, Length=2, Radius=0.15, **{"Reference Frame": frame})


def _vehicle(urdf: Path) -> dict:
    source = {"Description Source": "File", "Description File": str(urdf)}
    return _display("RobotModel", "Vehicle", **source, **{"Visual Enabled": True})


def _cloud(topic: str) -> dict:
    look = {
        "Color Transformer": "RGB8",
        "Position Transformer": "XYZ",
        "Size (Pixels)": 2,
        "Style": "Points",
        "Decay Time": 0,
    }
    return _display("PointCloud2", "Surround cloud", **look, Topic=_topic(topic))


def _image(panel: Panel, topic: str, *, enabled: bool) -> dict:
    scale = {"Max Value": panel.top, "Min Value": 0, "Normalize Range": False}
    return _display("Image", panel.title, enabled=enabled, **scale, Topic=_topic(topic))
