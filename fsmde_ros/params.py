"""The node's parameters: one dataclass, declared with description, range and default."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterType,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from fsmde_core.runtime.predictor import LIKELY
from fsmde_core.runtime.session import AUTO, PRECISIONS, SessionConfig
from fsmde_ros.cloud import COLOURS, CloudOptions
from fsmde_ros.managed import ManagedNode

NOT_OURS = ("use_sim_time", "start_type_description_service", "qos_overrides.")


class ParameterError(ValueError):
    """A parameter that is unknown, of a wrong type or out of range; the message names it."""


def _param(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
):
    """A field; live parameters can be changed while the node runs."""
    metadata = {"description": description, "low": low, "high": high}
    metadata |= {"choices": choices, "live": live}
    if isinstance(default, (list, tuple)):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class NodeParams:
    """Every parameter of the surround depth node."""

    rig_file: str = _param(
        "",
        "Rig file, or the name of a shipped one (nuscenes, ddad): camera names, sizes, K and "
        "extrinsics. Empty: names from `cameras`, sizes and K "
        "from CameraInfo, extrinsics from TF.",
    )
    cameras: list[str] = _param([""], "Camera names in order, used when rig_file is empty.")
    base_frame: str = _param("base_link", "Frame of the cloud, used when rig_file is empty.")
    model: str = _param("", "Model card NAME.json. Empty: models/student_s.json of this package.")
    providers: list[str] = _param(
        ["CUDAExecutionProvider", "CPUExecutionProvider"],
        "ONNX Runtime execution providers in the order wanted; no other is ever used.",
    )
    precision: str = _param(
        AUTO,
        "auto: int8 on a CPU where the model card lists it, else fp32. Or fp32; fp16 (GPUs) or "
        "int8 (CPUs), files of their own that the card must list; bf16, which only OpenVINO has.",
        choices=(AUTO, *PRECISIONS),
    )
    input_pixels: int = _param(
        0,
        "About how many pixels of each image the network sees, at the image's own aspect; more is "
        "slower and sees farther. 0: as many as the model was made for.",
        low=0,
    )
    threads: int = _param(
        SessionConfig.threads,
        "CPU threads for inference; 0: one for each core.",
        low=0,
        high=1024,
    )
    cuda_graph: bool = _param(
        SessionConfig.cuda_graph,
        "CUDAExecutionProvider only: record the GPU's work once for each number of cameras and "
        "replay it.",
    )
    engine_cache: str = _param(
        SessionConfig.engine_cache,
        "Folder of TensorRT's engines. Empty: fsmde_ros/tensorrt in the user's cache folder.",
    )
    image_topic: str = _param("{camera}/image_raw", "Image topic of each {camera}.")
    camera_info_topic: str = _param("{camera}/camera_info", "CameraInfo topic of each {camera}.")
    image_topics: list[str] = _param(
        [""], "Image topics in the cameras' order, where they follow no pattern: for image_topic."
    )
    camera_info_topics: list[str] = _param([""], "The same for camera_info_topic.")
    compressed: str = _param(
        AUTO,
        "auto: Image on image_topic or CompressedImage on image_topic + '/compressed', what is "
        "offered, Image if both are. A topic that ends in compressed itself is CompressedImage.",
        choices=(AUTO, "true", "false"),
    )
    rectified: bool = _param(
        False, "Images are rectified: take K from CameraInfo's P and ignore its distortion."
    )
    auto_start: bool = _param(
        True, "Configure and activate at start; false leaves that to a lifecycle manager."
    )
    sync_policy: str = _param(
        "rig",
        "rig: sets by stamp, partial ones after a deadline; approximate_time: message_filters.",
        choices=("rig", "approximate_time"),
    )
    slop_s: float = _param(
        0.075,
        "Largest spread of the stamps of one set, seconds; nuScenes' cameras fire over 0.045 s. "
        "Never more than nine tenths of the slowest cameras' period is used.",
        low=0.0,
        high=1.0,
    )
    deadline_s: float = _param(
        0.1,
        "So long after most cameras' images the rest is waited for, seconds; then a partial set "
        "goes out. 0: only complete sets.",
        low=0.0,
        high=10.0,
    )
    rate: float = _param(
        0.0,
        "Sets a second, Hz: those of the cameras of this rate, or of the next faster ones; a "
        "slower camera is in a set when it is its turn. 0: as often as the slowest camera that is "
        "alive.",
        low=0.0,
        high=1000.0,
    )
    odometry_topic: str = _param(
        "",
        "nav_msgs/Odometry of the base frame: points of cameras that fired earlier are moved to "
        "where the newest image would see them. Empty: from TF, if fixed_frame is given.",
    )
    fixed_frame: str = _param(
        "",
        "The same from TF: a frame that the vehicle moves in, such as odom. Both empty: not done.",
    )
    depth_size: str = _param(
        "network",
        "Size of the depth images, and of the images beside them: as the network sees each camera, "
        "or as it sends.",
        choices=("network", "source"),
    )
    depth_encoding: str = _param(
        "32FC1",
        "32FC1: metres, and by REP 118 NaN where nothing is measured, +inf beyond reach, -inf too "
        "near. 16UC1: millimetres, 0 for all of these and beyond 65.5 m.",
        choices=("32FC1", "16UC1"),
    )
    depth_compressed: bool = _param(
        False, "Also publish <camera>/depth/image_rect/compressedDepth: 16UC1 as PNG."
    )
    publish_confidence: bool = _param(
        False, "Also publish <camera>/confidence/image_rect: 32FC1, 0 to 1, NaN where unseen."
    )
    publish_color: bool = _param(
        False,
        "Also publish <camera>/color/image_rect: what the network sees, pixel by pixel beside its "
        "depth image.",
    )
    publish_camera_points: bool = _param(
        False, "Also publish <camera>/points: a cloud of each camera in its optical frame."
    )
    min_depth_m: float = _param(
        0.3, "Depths below become -inf in the depth image, metres.", low=0.0, live=True
    )
    max_depth_m: float = _param(
        200.0, "Depths beyond become +inf in the depth image, metres.", low=0.0, live=True
    )
    min_surface_probability: float = _param(
        LIKELY,
        "Where a surface is less likely than this, as in the sky, the depth image is +inf.",
        low=0.0,
        high=1.0,
        live=True,
    )
    min_confidence: float = _param(
        0.0,
        "Where the network is less confident of a depth than this, the depth image is NaN.",
        low=0.0,
        high=1.0,
        live=True,
    )
    cloud_stride: int = _param(
        2, "Every which pixel row and column enters the cloud.", low=1, high=64, live=True
    )
    cloud_edge_ratio: float = _param(
        0.0,
        "Drop pixels whose 3x3 neighbourhood spans more than this share of its depth from the "
        "cloud; 0 keeps all.",
        low=0.0,
        live=True,
    )
    cloud_drop_overlap: bool = _param(
        False,
        "Keep each direction only from the camera that sees it closest to its image centre.",
        live=True,
    )
    cloud_voxel_m: float = _param(
        0.0, "Keep one point in each cube of this size, metres; 0 keeps all.", low=0.0, live=True
    )
    cloud_colour: str = _param(
        "rgb", "What the colour of the points shows.", choices=COLOURS, live=True
    )

    def topics_of(self, name: str, cameras: Sequence[str]) -> list[str]:
        """image_topic or camera_info_topic of each camera; ParameterError for too many or few."""
        topics = getattr(self, f"{name}s")
        if not any(topics):
            return [getattr(self, name).replace("{camera}", camera) for camera in cameras]
        if len(topics) != len(cameras):
            raise ParameterError(
                f"parameter {name}s has {len(topics)} topics for {len(cameras)} cameras"
            )
        return list(topics)

    def predictor_options(self) -> dict[str, Any]:
        """The parameters that say how the model runs, as the predictor takes them."""
        names = ("input_pixels", "providers", "precision", "threads", "cuda_graph", "engine_cache")
        return {name: getattr(self, name) for name in names}

    def cloud_options(self) -> CloudOptions:
        """The parameters that begin with cloud_, as the cloud takes them."""
        return CloudOptions(
            stride=self.cloud_stride,
            edge_ratio=self.cloud_edge_ratio,
            drop_overlap=self.cloud_drop_overlap,
            voxel_m=self.cloud_voxel_m,
            colour=self.cloud_colour,
        )


PARAMETER_TYPES = {
    "str": ParameterType.PARAMETER_STRING,
    "int": ParameterType.PARAMETER_INTEGER,
    "float": ParameterType.PARAMETER_DOUBLE,
    "bool": ParameterType.PARAMETER_BOOL,
    "list[str]": ParameterType.PARAMETER_STRING_ARRAY,
}


def declare_params(node: ManagedNode) -> NodeParams:
    """Declare all parameters on a node and return their values.

    ParameterError for an override of a wrong type or out of range. One that is unknown is warned
    about: a launch file may set a parameter for every node that it starts.
    """
    overrides = {name: p.value for name, p in node.get_parameters_by_prefix("").items()}
    _warn_of_unknown(node, [*overrides, *node.empty_overrides])
    if type(overrides.get("use_sim_time", False)) is not bool:
        raise ParameterError(f"parameter use_sim_time: {overrides['use_sim_time']!r} is not a bool")
    values = {}
    for f in fields(NodeParams):
        if f.name in node.empty_overrides:
            raise ParameterError(f"parameter {f.name} is an empty list")
        value = _default(f)
        if f.name in overrides:
            value = overrides[f.name]
            node.undeclare_parameter(f.name)  # declared without descriptor; declare it in full
        values[f.name] = value = _typed(f, value)
        try:
            node.declare_parameter(f.name, value, descriptor(f), ignore_override=True)
        except InvalidParameterValueException as error:
            raise ParameterError(f"parameter {f.name}: {error}") from error
    params = NodeParams(**values)
    _check(params)
    return params


def _warn_of_unknown(node: Node, names: Sequence[str]) -> None:
    known = [f.name for f in fields(NodeParams)]
    for name in names:
        if name not in known and not name.startswith(NOT_OURS):
            text = f"unknown parameter {name!r} of node {node.get_name()} is ignored"
            if near := difflib.get_close_matches(name, known, 1):
                text += f": is {near[0]} meant?"
            node.get_logger().warning(text)


def with_changes(params: NodeParams, changes: Sequence[Parameter]) -> NodeParams:
    """The parameters after a change at run time; ParameterError if one of them may not change."""
    by_name = {f.name: f for f in fields(NodeParams)}
    values = {}
    for change in changes:
        if change.name not in by_name:
            continue  # use_sim_time and the like
        f = by_name[change.name]
        if not f.metadata["live"]:
            raise ParameterError(f"parameter {f.name} is fixed while the node runs")
        values[f.name] = _typed(f, change.value)
    changed = replace(params, **values)
    _check(changed)
    return changed


def set_result(reason: str) -> SetParametersResult:
    """The answer to a change at run time: refused with a reason, or accepted where it is empty."""
    return SetParametersResult(successful=not reason, reason=reason)


def descriptor(f) -> ParameterDescriptor:
    """The ROS descriptor of one field of NodeParams."""
    low, high = f.metadata["low"], f.metadata["high"]
    choices = f.metadata["choices"]
    result = ParameterDescriptor(
        name=f.name,
        type=PARAMETER_TYPES[f.type],
        description=f.metadata["description"],
        additional_constraints=f"One of {', '.join(choices)}." if choices else "",
        read_only=not f.metadata["live"],
    )
    if low is not None and f.type == "float":
        limit = float(high) if high is not None else 1e9
        result.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=limit)]
    elif low is not None:
        limit = int(high) if high is not None else 2**31
        result.integer_range = [IntegerRange(from_value=int(low), to_value=limit, step=1)]
    return result


def _typed(f, value: Any) -> Any:
    """The value, if it has the field's type; YAML's 1 serves as 1.0."""
    if f.type == "float" and type(value) is int:
        return float(value)
    if f.type == "str" and type(value) is bool and str(value).lower() in f.metadata["choices"]:
        return str(value).lower()  # YAML's true is one of them
    if f.type == "list[str]":
        fits = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    else:
        fits = type(value).__name__ == f.type
    if not fits:
        raise ParameterError(f"parameter {f.name}: {value!r} is not of type {f.type}")
    if f.type == "float" and not math.isfinite(value):
        raise ParameterError(f"parameter {f.name}: {value} is not a finite number")
    return value


def _default(f) -> Any:
    return getattr(NodeParams(), f.name)


def _check(params: NodeParams) -> None:
    for f in fields(NodeParams):
        choices, value = f.metadata["choices"], getattr(params, f.name)
        if choices and value not in choices:
            raise ParameterError(
                f"parameter {f.name}: {value!r} is not one of {', '.join(choices)}"
            )
    for name in ("image_topic", "camera_info_topic"):
        if "{camera}" not in getattr(params, name) and not any(getattr(params, f"{name}s")):
            raise ParameterError(f"parameter {name}: {getattr(params, name)!r} lacks {{camera}}")
    if params.min_depth_m >= params.max_depth_m:
        raise ParameterError(
            f"parameter min_depth_m: {params.min_depth_m} is not below "
            f"max_depth_m {params.max_depth_m}"
        )
    if not any(params.providers):
        raise ParameterError("parameter providers names none")
    if not params.rig_file and not any(params.cameras):
        raise ParameterError("parameter rig_file is empty and so is cameras: which rig is it?")
    if not params.rig_file and not params.base_frame:
        raise ParameterError("parameter base_frame is empty, and so is rig_file")


def parameters_table() -> str:
    """All parameters as Markdown, for docs/parameters.md."""
    lines = [
        "# Parameters of the surround depth node",
        "",
        "Made by `python -m fsmde_ros.params > docs/parameters.md`; a test compares. Those marked",
        "*live* can be changed while the node runs, the others are fixed at its start.",
        "",
        "| name | type | default | |",
        "|---|---|---|---|",
    ]
    for f in fields(NodeParams):
        notes = [f.metadata["description"]]
        if f.metadata["choices"]:
            notes.append(f"One of {', '.join(f.metadata['choices'])}.")
        if f.metadata["live"]:
            notes.append("*live*")
        default = str(_default(f)) or "(empty)"
        lines.append(f"| `{f.name}` | {f.type} | {default} | {' '.join(notes)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(parameters_table())
