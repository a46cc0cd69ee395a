"""Topic names of converted datasets, from the parameter file of the node."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from fsmde_core.data.sample import DatasetError
from fsmde_ros.params import NodeParams

SECTION = "dataset_to_bag"  # beside /**, so that the depth node does not see what is not its own
NODE = NodeParams()


@dataclass(frozen=True)
class BagTopics:
    """Where a converted dataset publishes; {camera} stands for each camera's name."""

    image_topic: str = NODE.image_topic
    """As the node's parameter; images lie on image_topic + '/compressed'."""
    camera_info_topic: str = NODE.camera_info_topic
    """As the node's parameter."""
    lidar_topic: str = "lidar/points"
    """PointCloud2, in the frame lidar_frame."""
    lidar_frame: str = "lidar"
    """Frame of the LiDAR in tf_static."""
    depth_gt_topic: str = "{camera}/depth_gt/image_rect"
    """32FC1 images of projected LiDAR, where they are asked for."""
    world_frame: str = "map"
    """Parent of the vehicle's frame in tf."""


def load_topics(path: Path | str) -> BagTopics:
    """Names from a ROS parameter file: image_topic and camera_info_topic as the node gets them,
    the rest under dataset_to_bag.

    DatasetError names the file and the key for anything unknown under dataset_to_bag.
    """
    path = Path(path)
    try:
        document = yaml.safe_load(path.read_text()) or {}
        shared = (document.get("/**") or {}).get("ros__parameters") or {}
        own = (document.get(SECTION) or {}).get("ros__parameters") or {}
    except OSError as error:
        raise DatasetError(f"parameter file {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, yaml.YAMLError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"parameter file {path} is no ROS parameter file: {reason}") from error
    known = {f.name for f in fields(BagTopics)}
    for key, value in own.items():
        if key not in known or not isinstance(value, str):
            raise DatasetError(f"parameter file {path}: {SECTION} has no text parameter {key!r}")
    names = ("image_topic", "camera_info_topic")
    return BagTopics(**{name: shared[name] for name in names if name in shared} | own)
