"""The node's parameters: one dataclass with description, range and default of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from fsmde_core.runtime.predictor import LIKELY
from fsmde_core.runtime.session import AUTO, PRECISIONS, SessionConfig
from fsmde_ros.cloud import COLOURS, CloudOptions
from fsmde_ros.obstacles import ObstacleOptions

MOST_STEPS = 500  # cells of the obstacle grid from the vehicle to its edge
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
        "slower and sees farther. 0: as many as the model was made for. A smaller image is "
        "enlarged to that many, no further.",
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
        "auto: Image on image_topic or CompressedImage on image_topic + '/compressed', what "
        "comes, Image if both do. A topic that ends in compressed itself is CompressedImage.",
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
    max_rate_hz: float = _param(
        0.0,
        "Depth at most so often, Hz, evenly by the stamps: sets between are passed over before "
        "their images are decoded. 0: every set.",
        low=0.0,
        high=1000.0,
        live=True,
    )
    active_cameras: list[str] = _param(
        [""],
        "Only these cameras are listened to; the others are not waited for and get no depth. "
        "[''] or empty: all.",
        live=True,
    )
    publish_tf: bool = _param(
        False,
        "Publish base_frame -> optical frame of each camera of the rig file on /tf_static, where "
        "no robot description does. Needs tf2_msgs, which no wheel has.",
    )
    camera_info_from_rig: bool = _param(
        False,
        "Of a camera whose driver sends no CameraInfo, or one of zeros, take size and K from the "
        "rig file, for images without distortion.",
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

    cloud_layout: str = _param(
        "xyzrgb",
        "Fields of all clouds: x, y, z, rgb; or x, y, z, intensity, return_type, channel, as "
        "Autoware's filters want them.",
        choices=("xyzrgb", "xyzirc"),
    )
    publish_scan: bool = _param(
        False,
        "Also publish obstacles/scan, a LaserScan all around in the cloud's frame, at its rate: "
        "the first obstacle in each direction.",
    )
    publish_grid: bool = _param(
        False,
        "Also publish obstacles/grid, an OccupancyGrid around the vehicle in the cloud's frame, at "
        "its rate.",
    )
    obstacle_min_height_m: float = _param(
        ObstacleOptions.min_height_m,
        "What lies lower above z = 0 of the base frame is ground, metres.",
        live=True,
    )
    obstacle_max_height_m: float = _param(
        ObstacleOptions.max_height_m, "What lies higher is driven under, metres.", live=True
    )
    obstacle_range_m: float = _param(
        ObstacleOptions.range_m,
        "How far obstacles are told; half the side of the grid, metres.",
        low=1.0,
        high=500.0,
        live=True,
    )
    obstacle_resolution_m: float = _param(
        ObstacleOptions.resolution_m,
        "Side of the grid's cells and step of the scan's ranges, metres; at least a 500th of "
        "obstacle_range_m.",
        low=0.02,
        high=10.0,
        live=True,
    )
    obstacle_beams: int = _param(
        ObstacleOptions.beams, "Beams of the scan, all around.", low=8, high=3600, live=True
    )
    obstacle_min_points: int = _param(
        ObstacleOptions.min_points,
        "So many points of the cloud in one cell are an obstacle.",
        low=1,
        high=1000,
        live=True,
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

    def active(self, names: Sequence[str]) -> tuple[int, ...]:
        """The numbers of those of these cameras that are listened to; ParameterError for others."""
        wanted = [name for name in self.active_cameras if name] or list(names)
        if stranger := next((name for name in wanted if name not in names), None):
            raise ParameterError(
                f"parameter active_cameras: {stranger!r} is not one of {', '.join(names)}"
            )
        return tuple(i for i, name in enumerate(names) if name in wanted)

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

    def obstacle_options(self) -> ObstacleOptions:
        """The parameters that begin with obstacle_, as obstacles takes them."""
        names = (f.name for f in fields(ObstacleOptions))
        return ObstacleOptions(**{name: getattr(self, f"obstacle_{name}") for name in names})


def default(f) -> Any:
    """The default of one field of NodeParams."""
    return getattr(NodeParams(), f.name)


def check(params: NodeParams) -> None:
    """ParameterError for values that contradict each other, or are none of the choices."""
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
    if params.obstacle_min_height_m >= params.obstacle_max_height_m:
        raise ParameterError(
            f"parameter obstacle_min_height_m: {params.obstacle_min_height_m} is not below "
            f"obstacle_max_height_m {params.obstacle_max_height_m}"
        )
    if params.obstacle_range_m > MOST_STEPS * params.obstacle_resolution_m:
        raise ParameterError(
            f"parameter obstacle_resolution_m: {params.obstacle_resolution_m} is too fine for "
            f"obstacle_range_m {params.obstacle_range_m}"
        )
    if not any(params.providers):
        raise ParameterError("parameter providers names none")
    if not params.rig_file and not any(params.cameras):
        raise ParameterError("parameter rig_file is empty and so is cameras: which rig is it?")
    for name in ("publish_tf", "camera_info_from_rig"):
        if getattr(params, name) and not params.rig_file:
            raise ParameterError(f"parameter {name} needs rig_file, which is empty")
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
        value = str(default(f)) or "(empty)"
        lines.append(f"| `{f.name}` | {f.type} | {value} | {' '.join(notes)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(parameters_table())
