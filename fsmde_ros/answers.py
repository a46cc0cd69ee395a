"""What the node says of one camera: its depth image by REP 118, and the messages beside it."""

from __future__ import annotations

import cv2
import numpy as np
from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan, PointCloud2
from std_msgs.msg import Header

from fsmde_core.fit import Fit
from fsmde_core.runtime.predictor import Prediction
from fsmde_ros.conversions import (
    camera_info_msg,
    compressed_depth_msg,
    depth_msg_mm,
    float_msg,
    rgb_msg,
)
from fsmde_ros.obstacles import GRID, SCAN
from fsmde_ros.params import NodeParams

DEPTH, DEPTH_INFO = "depth/image_rect", "depth/camera_info"
COMPRESSED_DEPTH = f"{DEPTH}/compressedDepth"
CONFIDENCE = "confidence/image_rect"
COLOR, COLOR_INFO = "color/image_rect", "color/camera_info"
POINTS = "points"

Message = Image | CameraInfo | CompressedImage | PointCloud2 | LaserScan | OccupancyGrid


def camera_topics(params: NodeParams) -> dict[str, type]:
    """What is published for each camera: topic below the camera's name -> message type."""
    topics: dict[str, type] = {DEPTH: Image, DEPTH_INFO: CameraInfo}
    if params.depth_compressed:
        topics[COMPRESSED_DEPTH] = CompressedImage
    if params.publish_confidence:
        topics[CONFIDENCE] = Image
    if params.publish_color:
        topics |= {COLOR: Image, COLOR_INFO: CameraInfo}
    if params.publish_camera_points:
        topics[POINTS] = PointCloud2
    return topics


def obstacle_topics(params: NodeParams) -> dict[str, type]:
    """What is published of obstacles: topic -> message type."""
    offered = {SCAN: (params.publish_scan, LaserScan), GRID: (params.publish_grid, OccupancyGrid)}
    return {topic: kind for topic, (wanted, kind) in offered.items() if wanted}


def depth_image(prediction: Prediction, i: int, params: NodeParams) -> np.ndarray:
    """Depth of camera i as it is published by REP 118, [h, w] float32 metres."""
    return prediction.depth_image(
        i,
        min_surface_probability=params.min_surface_probability,
        min_depth_m=params.min_depth_m,
        max_depth_m=params.max_depth_m,
        min_confidence=params.min_confidence,
    )


def camera_messages(
    prediction: Prediction, i: int, depth: np.ndarray, header: Header, params: NodeParams
) -> dict[str, Message]:
    """The images of camera i of a prediction and their calibration, by camera_topics' names.

    depth is its depth_image.
    """
    fit, at_source = prediction.fits[i], params.depth_size == "source"
    depth = fit.to_source(depth) if at_source else depth
    info = camera_info_msg(fit.source if at_source else fit.camera, header)
    convert = float_msg if params.depth_encoding == "32FC1" else depth_msg_mm
    messages: dict[str, Message] = {DEPTH: convert(depth, header), DEPTH_INFO: info}
    if params.depth_compressed:
        messages[COMPRESSED_DEPTH] = compressed_depth_msg(depth, header)
    if params.publish_confidence:
        confidence = np.where(fit.seen, prediction.confidence[i], np.float32(np.nan))
        confidence = fit.to_source(confidence) if at_source else confidence
        messages[CONFIDENCE] = float_msg(confidence, header)
    if params.publish_color:
        colour = prediction.images[i]
        colour = _colour_to_source(fit, colour) if at_source else colour
        messages |= {COLOR: rgb_msg(colour, header), COLOR_INFO: info}
    return messages


def _colour_to_source(fit: Fit, image: np.ndarray) -> np.ndarray:
    """The network's input [h, w, 3] at the pixels of the source's image, [H, W, 3]."""
    return cv2.warpAffine(
        image,
        fit.to_input,
        (fit.source.width, fit.source.height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
