"""From a set of messages to the messages that answer it: decode, predict, convert."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from fsmde_core.predictor import Prediction, Predictor
from fsmde_core.rig import Camera, Rig
from fsmde_ros.calibration import Calibration, View
from fsmde_ros.cloud import CloudBuilder
from fsmde_ros.conversions import (
    MessageError,
    SourceImage,
    camera_info_msg,
    cloud_msg,
    compressed_depth_msg,
    decode_image,
    depth_msg,
    depth_msg_mm,
    ns_to_stamp,
)
from fsmde_ros.ego_motion import EgoMotion
from fsmde_ros.latency import yield_to_others
from fsmde_ros.params import NodeParams
from fsmde_ros.sync import StampedSet

DECODE_THREADS = 2  # OpenCV lets go of the GIL; more threads only take cores from the inference


@dataclass(frozen=True)
class PreparedImage:
    """A decoded image, as far as possible as the network takes it."""

    topic: str
    header: Header
    source: SourceImage
    view: View | None
    """The calibration that pixels were made with; None if there was no usable one."""
    pixels: np.ndarray | None
    """[h, w, 3] uint8 RGB, rectified, at the network's size."""


@dataclass(frozen=True)
class DepthOutput:
    """What is published for one camera."""

    camera: int
    depth: Image
    info: CameraInfo
    compressed: CompressedImage | None


@dataclass(frozen=True)
class SetOutput:
    """What is published for one set."""

    depths: list[DepthOutput]
    cloud: PointCloud2
    motion_unknown: str | None
    """Why ego motion is not compensated in the cloud although it is asked for."""
    seconds: dict[str, float]
    """Time spent by stage."""


class Pipeline:
    """Turns sets into outputs with one predictor and one calibration.

    With a motion, the cloud shows everything where it is when the newest image is taken.

    Images are decoded as they arrive, on threads of their own, so that little is left to do when
    the last image of a set comes in.
    """

    def __init__(
        self, predictor: Predictor, calibration: Calibration, motion: EgoMotion | None = None
    ):
        self._predictor = predictor
        self._motion = motion
        self._calibration = calibration
        self._decoders = ThreadPoolExecutor(
            DECODE_THREADS, thread_name_prefix="decode", initializer=yield_to_others
        )
        self._cloud: CloudBuilder | None = None

    def close(self) -> None:
        """End the decoding threads."""
        self._decoders.shutdown(cancel_futures=True)

    def decode(self, index: int, msg: Image | CompressedImage, topic: str) -> Future[PreparedImage]:
        """Start to decode one camera's image; the future raises MessageError if it cannot be."""
        return self._decoders.submit(self._prepare, index, msg, topic)

    def process(self, stamped: StampedSet[Future], params: NodeParams) -> SetOutput:
        """Predict and convert one set, partial or complete; MessageError names what is wrong."""
        started = time.monotonic()
        images = [stamped.items[i].result() for i in stamped.present]
        pixels = [self._fitted(i, image).pixels for i, image in zip(stamped.present, images)]
        batch, rig = self._predictor.stack(pixels), self._calibration.rig(stamped.present)
        decoded = time.monotonic()
        prediction = self._predictor.predict(batch, rig)
        inferred = time.monotonic()
        valid = is_valid(prediction.depth, prediction.confidence, params)
        depths = [
            _depth_output(prediction, k, valid[k], (index, image, rig.cameras[k]), params)
            for k, (index, image) in enumerate(zip(stamped.present, images))
        ]
        T_now_ego, reason = self._moved(stamped)
        points = self._builder(prediction.rig, params)(prediction, valid, T_now_ego)
        header = Header(stamp=ns_to_stamp(stamped.newest_ns), frame_id=rig.base_frame)
        cloud = cloud_msg(points, header)
        finished = time.monotonic()
        seconds = {
            "decode": decoded - started,
            "inference": inferred - decoded,
            "messages": finished - inferred,
        }
        return SetOutput(depths, cloud, reason, seconds)

    def _moved(self, stamped: StampedSet) -> tuple[np.ndarray | None, str | None]:
        """T_now_ego [N, 4, 4] of the cameras in the set, or the reason why it is not known."""
        if self._motion is None:
            return None, None
        try:
            stamps_ns = [stamped.stamps_ns[i] for i in stamped.present]
            return self._motion.between(stamps_ns, stamped.newest_ns), None
        except MessageError as error:
            return None, str(error)

    def _builder(self, rig: Rig, params: NodeParams) -> CloudBuilder:
        options = params.cloud_options()
        if self._cloud is None or not self._cloud.fits(rig, options):
            self._cloud = CloudBuilder(rig, options)
        return self._cloud

    def _prepare(self, index: int, msg, topic: str) -> PreparedImage:
        source = decode_image(msg, topic, enough=self._predictor.size)
        image = PreparedImage(topic, msg.header, source, None, None)
        try:
            return self._fitted(index, image)
        except MessageError:  # a usable CameraInfo may come just after the image
            return image

    def _fitted(self, index: int, image: PreparedImage) -> PreparedImage:
        """The image rectified, at the network's size, by the calibration that holds now."""
        view = self._calibration.view(index)
        if image.view is view:
            return image
        source, camera = image.source, view.camera
        if (source.width, source.height) != (camera.width, camera.height):
            raise MessageError(
                f"{image.topic}: image {source.width}x{source.height} contradicts its "
                f"CameraInfo {camera.width}x{camera.height}"
            )
        if view.rectifier is None:
            pixels = self._predictor.resize(source.pixels)
        else:
            pixels = view.rectifier(source.pixels, scale=source.pixels.shape[1] / source.width)
        return replace(image, view=view, pixels=pixels)


def _depth_output(
    prediction: Prediction,
    k: int,
    valid: np.ndarray,
    source: tuple[int, PreparedImage, Camera],
    params: NodeParams,
) -> DepthOutput:
    """The messages of the k-th camera of a prediction; source is where its image came from."""
    index, image, source_camera = source
    depth, camera = prediction.depth[k], prediction.rig.cameras[k]
    if params.depth_size == "source":
        camera = source_camera
        size = (camera.width, camera.height)
        depth, confidence = cv2.resize(depth, size), cv2.resize(prediction.confidence[k], size)
        valid = is_valid(depth, confidence, params)
    convert = depth_msg if params.depth_encoding == "32FC1" else depth_msg_mm
    compressed = None
    if params.depth_compressed:
        compressed = compressed_depth_msg(depth, valid, image.header)
    info = camera_info_msg(camera, image.header)
    return DepthOutput(index, convert(depth, valid, image.header), info, compressed)


def is_valid(depth: np.ndarray, confidence: np.ndarray, params: NodeParams) -> np.ndarray:
    """Pixels [...] bool whose depth is in range and whose confidence suffices."""
    in_range = (depth >= params.min_depth_m) & (depth <= params.max_depth_m)
    return in_range & (confidence >= params.min_confidence) if params.min_confidence else in_range
