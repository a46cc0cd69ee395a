"""From a set of messages to the messages that answer it: decode, predict, convert."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from fsmde_core.fit import Fit
from fsmde_core.runtime.predictor import Prediction, Predictor
from fsmde_ros.answers import (
    POINTS,
    Message,
    camera_messages,
    depth_image,
    obstacle_topics,
)
from fsmde_ros.calibration import Calibration, View
from fsmde_ros.cloud import CloudBuilder
from fsmde_ros.conversions import (
    MessageError,
    cloud_msg,
    ns_to_stamp,
)
from fsmde_ros.decode import SourceImage, decode_image
from fsmde_ros.doubts import Watch
from fsmde_ros.ego_motion import EgoMotion
from fsmde_ros.latency import yield_to_others
from fsmde_ros.obstacles import ObstacleFinder
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

    @property
    def framed_header(self) -> Header:
        """The header, with the frame that the calibration knows where the image has none."""
        if self.header.frame_id or self.view is None:
            return self.header
        return Header(stamp=self.header.stamp, frame_id=self.view.camera.frame_id)


@dataclass(frozen=True)
class SetOutput:
    """What is published for one set."""

    cameras: dict[int, dict[str, Message]]
    """Messages by the camera's number and the topic below its name."""
    cloud: PointCloud2
    obstacles: dict[str, Message]
    """Messages by topic; empty where none is wanted."""
    left_out: tuple[str, ...]
    """Why cameras of the set are not in it, a sentence each."""
    doubts: list[str]
    """What is odd about the calibrations, of all cameras seen so far."""
    news: list[str]
    """What of it, and of changes in the calibrations, was not there in the set before."""
    motion_unknown: str | None
    """Why ego motion is not compensated in the cloud although it is asked for."""
    seconds: dict[str, float]
    """Time spent by stage."""


@dataclass(frozen=True)
class _Answer:
    """The messages that a prediction becomes; as in SetOutput."""

    cameras: list[dict[str, Message]]
    cloud: PointCloud2
    obstacles: dict[str, Message]


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
        self._finder: ObstacleFinder | None = None
        self._watch = Watch()

    def close(self) -> None:
        """End the decoding threads."""
        self._decoders.shutdown(cancel_futures=True)

    def decode(self, index: int, msg: Image | CompressedImage, topic: str) -> Future[PreparedImage]:
        """Start to decode one camera's image; the future raises MessageError if it cannot be."""
        return self._decoders.submit(self._prepare, index, msg, topic)

    def process(self, stamped: StampedSet[Future], params: NodeParams) -> SetOutput:
        """Predict and convert one set, partial or complete.

        A camera whose image or calibration cannot be used is left out. MessageError says why, where
        none is left, or where sets are to be complete (deadline_s is 0).
        """
        started = time.monotonic()
        images, left_out = self._usable(stamped)
        if not images or left_out and not params.deadline_s:
            raise next(iter(left_out.values()))
        present = list(images)
        images = list(images.values())
        news = [
            text
            for i, image in zip(present, images)
            for text in self._watch.look(i, image.view, image.header.frame_id, image.topic)
        ]
        decoded = time.monotonic()
        prediction = self._predictor.predict(
            [image.pixels for image in images], [image.view.fit for image in images]
        )
        inferred = time.monotonic()
        headers = [image.framed_header for image in images]
        T_now_ego, unknown = self._moved([stamped.stamps_ns[i] for i in present], stamped.newest_ns)
        answer = self._answer(prediction, headers, stamped.newest_ns, T_now_ego, params)
        finished = time.monotonic()
        seconds = {
            "decode": decoded - started,
            "inference": inferred - decoded,
            "messages": finished - inferred,
        }
        return SetOutput(
            cameras=dict(zip(present, answer.cameras)),
            cloud=answer.cloud,
            obstacles=answer.obstacles,
            left_out=tuple(map(str, left_out.values())),
            doubts=self._watch.doubts,
            news=news,
            motion_unknown=unknown,
            seconds=seconds,
        )

    def warm_up(self, fits: Sequence[Fit], params: NodeParams) -> None:
        """Make messages once that nobody gets: the first of all take three times as long."""
        near = tuple(np.ones(fit.size[::-1], np.float32) for fit in fits)
        grey = tuple(np.zeros((*fit.size[::-1], 3), np.uint8) for fit in fits)
        prediction = Prediction(near, near, near, images=grey, fits=tuple(fits))
        self._answer(prediction, [Header() for _ in fits], 0, None, params)

    def _answer(
        self,
        prediction: Prediction,
        headers: Sequence[Header],
        newest_ns: int,
        T_now_ego: np.ndarray | None,
        params: NodeParams,
    ) -> _Answer:
        depths = [depth_image(prediction, k, params) for k in range(len(headers))]
        cameras = [
            camera_messages(prediction, k, depths[k], header, params)
            for k, header in enumerate(headers)
        ]
        builder = self._builder(prediction, params)
        for k, messages in enumerate(cameras) if params.publish_camera_points else ():
            points = builder.of_camera(prediction, depths, k)
            messages[POINTS] = cloud_msg(points, headers[k], layout=params.cloud_layout)
        header = Header(stamp=ns_to_stamp(newest_ns), frame_id=self._calibration.base_frame)
        points = builder(prediction, depths, T_now_ego)
        cloud = cloud_msg(points, header, layout=params.cloud_layout)
        obstacles = self._find_obstacles(points, header, params)
        return _Answer(cameras, cloud, obstacles)

    def _usable(
        self, stamped: StampedSet[Future]
    ) -> tuple[dict[int, PreparedImage], dict[int, MessageError]]:
        """The images as the network takes them, by camera, and why one is not among them."""
        for i in stamped.present:
            stamped.items[i].exception()  # waits
        views = self._calibration.views(stamped.present)  # after: CameraInfos may come meanwhile
        images, left_out = {}, {}
        for i, view in zip(stamped.present, views):
            try:
                if isinstance(view, MessageError):
                    raise view
                images[i] = _fitted(stamped.items[i].result(), view)
            except MessageError as error:
                left_out[i] = error
        return images, left_out

    def _moved(self, stamps_ns: Sequence[int], now_ns: int) -> tuple[np.ndarray | None, str | None]:
        """T_now_ego [N, 4, 4] of the cameras in the set, or the reason why it is not known."""
        if self._motion is None:
            return None, None
        try:
            return self._motion.between(stamps_ns, now_ns), None
        except MessageError as error:
            return None, str(error)

    def _builder(self, prediction: Prediction, params: NodeParams) -> CloudBuilder:
        options = params.cloud_options()
        rig, seen = prediction.rig, [fit.seen for fit in prediction.fits]
        if self._cloud is None or not self._cloud.fits(rig, options, seen):
            self._cloud = CloudBuilder(rig, options, seen)
        return self._cloud

    def _find_obstacles(
        self, points: np.ndarray, header: Header, params: NodeParams
    ) -> dict[str, Message]:
        wanted = obstacle_topics(params)
        if not wanted:
            return {}
        options = params.obstacle_options()
        if self._finder is None or self._finder.options != options:
            self._finder = ObstacleFinder(options)
        return self._finder.messages(points, header, wanted)

    def _prepare(self, index: int, msg, topic: str) -> PreparedImage:
        view = None
        with suppress(MessageError):  # a usable CameraInfo may come just after the image
            view = self._calibration.view(index)
        source = decode_image(msg, topic, enough=view.enough if view is not None else None)
        image = PreparedImage(topic, msg.header, source, None, None)
        if view is not None:
            with suppress(MessageError):
                return _fitted(image, view)
        return image


def _fitted(image: PreparedImage, view: View) -> PreparedImage:
    """The image as the network takes it, by a calibration."""
    if image.view is view:
        return image
    source, geometry = image.source, view.geometry
    if (source.width, source.height) != (geometry.width, geometry.height):
        raise MessageError(
            f"{image.topic}: image {source.width}x{source.height} contradicts its "
            f"{geometry.described}"
        )
    return replace(image, view=view, pixels=view.image(source.pixels))
