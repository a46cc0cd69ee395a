"""From a set of messages to the messages that answer it: decode, predict, convert."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from fsmde_core.predictor import Predictor
from fsmde_core.rig import Rig
from fsmde_ros.answers import POINTS, Message, camera_messages, depth_image
from fsmde_ros.calibration import Calibration, View
from fsmde_ros.cloud import CloudBuilder
from fsmde_ros.conversions import (
    MessageError,
    SourceImage,
    cloud_msg,
    decode_image,
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
    """[h, w, 3] uint8 RGB, the network's input."""


@dataclass(frozen=True)
class SetOutput:
    """What is published for one set."""

    cameras: dict[int, dict[str, Message]]
    """Messages by the camera's number and the topic below its name."""
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
        images = [self._fitted(i, image) for i, image in zip(stamped.present, images)]
        decoded = time.monotonic()
        prediction = self._predictor.predict(
            [image.pixels for image in images], [image.view.fit for image in images]
        )
        inferred = time.monotonic()
        depths = [depth_image(prediction, k, params) for k in range(len(images))]
        cameras = {
            index: camera_messages(prediction, k, depths[k], images[k].header, params)
            for k, index in enumerate(stamped.present)
        }
        builder = self._builder(prediction.rig, params)
        for k, messages in enumerate(cameras.values()) if params.publish_camera_points else ():
            points = builder.of_camera(prediction, depths, k)
            messages[POINTS] = cloud_msg(points, images[k].header)
        T_now_ego, reason = self._moved(stamped)
        header = Header(stamp=ns_to_stamp(stamped.newest_ns), frame_id=self._calibration.base_frame)
        cloud = cloud_msg(builder(prediction, depths, T_now_ego), header)
        finished = time.monotonic()
        seconds = {
            "decode": decoded - started,
            "inference": inferred - decoded,
            "messages": finished - inferred,
        }
        return SetOutput(cameras, cloud, reason, seconds)

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
        enough = None
        with suppress(MessageError):  # a usable CameraInfo may come just after the image
            enough = self._calibration.view(index).enough
        source = decode_image(msg, topic, enough=enough)
        image = PreparedImage(topic, msg.header, source, None, None)
        with suppress(MessageError):
            return self._fitted(index, image)
        return image

    def _fitted(self, index: int, image: PreparedImage) -> PreparedImage:
        """The image as the network takes it, by the calibration that holds now."""
        view = self._calibration.view(index)
        if image.view is view:
            return image
        source, camera = image.source, view.camera
        if (source.width, source.height) != (camera.width, camera.height):
            raise MessageError(
                f"{image.topic}: image {source.width}x{source.height} contradicts its "
                f"CameraInfo {camera.width}x{camera.height}"
            )
        return replace(image, view=view, pixels=view.image(source.pixels))
