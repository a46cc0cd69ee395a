"""What is to be seen of a rig, whatever viewer shows it: panels, the cloud, the vehicle."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fsmde_core.rig import Rig
from fsmde_ros.params import NodeParams

REAR_RAD = np.deg2rad(150)  # a camera that looks farther round to the left stands at the end
FARTHEST_M = 60.0  # the end of the colour scale of depth panels
VEHICLE_MARGIN_M = 0.3  # from the outermost cameras to the vehicle's ends

URDF = """<?xml version="1.0"?>
<!-- A box around the cameras, from the ground up: it stands for the vehicle. -->
<robot name="vehicle">
  <link name="{frame}">
    <visual>
      <origin xyz="{x} {y} {z}"/>
      <geometry><box size="{length} {width} {height}"/></geometry>
      <material name="grey"><color rgba="0.5 0.5 0.55 0.35"/></material>
    </visual>
  </link>
</robot>
"""


@dataclass(frozen=True)
class Panel:
    """One topic of images, shown as a picture."""

    camera: str
    kind: str
    """depth or confidence."""
    topic: str
    """As the node has it: relative, unless a parameter makes it absolute."""
    info_topic: str
    """The CameraInfo beside it."""
    top: float
    """The end of the scale, which begins at 0: metres of depth, 1 of confidence."""

    @property
    def title(self) -> str:
        """What stands above the picture."""
        return f"{self.camera} {self.kind}"


@dataclass(frozen=True)
class Vehicle:
    """A box that stands for the vehicle, in the base frame, metres."""

    centre_m: tuple[float, float, float]
    size_m: tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """All that is to be seen."""

    base_frame: str
    cloud_topic: str
    panels: tuple[Panel, ...]
    """Depth of every camera from the left rear over the front to the right, then confidence."""
    vehicle: Vehicle | None
    """None where it is not known where the cameras sit."""
    with_confidence: bool
    """Whether the node publishes what the confidence panels show."""

    @property
    def depth_panels(self) -> tuple[Panel, ...]:
        """Those that always have something to show."""
        return tuple(panel for panel in self.panels if panel.kind == "depth")

    @property
    def shown(self) -> tuple[Panel, ...]:
        """The panels that the node publishes something for."""
        return self.panels if self.with_confidence else self.depth_panels


def scene_of(params: NodeParams, rig: Rig | None) -> Scene:
    """The scene of a node with these parameters, and of its rig where that is known."""
    names = _from_left(rig) if rig is not None else [name for name in params.cameras if name]
    panels = [*_panels(names, "depth", FARTHEST_M), *_panels(names, "confidence", 1.0)]
    return Scene(
        base_frame=rig.base_frame if rig is not None else params.base_frame,
        cloud_topic="points",
        panels=tuple(panels),
        vehicle=_vehicle(rig) if rig is not None else None,
        with_confidence=params.publish_confidence,
    )


def vehicle_urdf(vehicle: Vehicle, frame: str) -> str:
    """The box as a robot model, which RViz and Foxglove show, whose only link is the base frame."""
    (x, y, z), (length, width, height) = vehicle.centre_m, vehicle.size_m
    return URDF.format(frame=frame, x=x, y=y, z=z, length=length, width=width, height=height)


def absolute(topic: str, namespace: str) -> str:
    """The whole name of a topic of a node in a namespace."""
    if topic.startswith("/"):
        return topic
    return "/".join(["", *filter(None, namespace.split("/")), topic])


def _panels(names: Iterable[str], kind: str, top: float) -> list[Panel]:
    return [
        Panel(name, kind, f"{name}/{kind}/image_rect", f"{name}/depth/camera_info", top)
        for name in names
    ]


def _from_left(rig: Rig) -> list[str]:
    """Names from the left rear over the front to the right rear, so that neighbours are so."""
    cameras = sorted(rig.cameras, key=lambda camera: -camera.azimuth_rad)
    rear = [camera for camera in cameras if camera.azimuth_rad > REAR_RAD]
    return [camera.name for camera in cameras if camera not in rear] + [c.name for c in rear]


def _vehicle(rig: Rig) -> Vehicle:
    """A box from the ground to the highest camera, around all of them."""
    positions = rig.T_ego_cam[:, :3, 3].astype(float)
    low = positions.min(axis=0) - VEHICLE_MARGIN_M
    high = positions.max(axis=0) + [VEHICLE_MARGIN_M, VEHICLE_MARGIN_M, 0]
    low[2] = min(0.0, low[2])
    high[2] = max(high[2], low[2] + VEHICLE_MARGIN_M)
    centre, size = (low + high) / 2, high - low
    return Vehicle(_rounded(centre), _rounded(size))


def _rounded(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 3) for value in values)
    return x, y, z
