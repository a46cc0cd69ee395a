"""The node: N synchronized cameras in, N metric depth images and one fused cloud out."""

from __future__ import annotations

import sys
import threading
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from fsmde_core.card import ModelError
from fsmde_core.predictor import Prediction, Predictor, ProviderError
from fsmde_core.rig import Rig, RigError, load_rig
from fsmde_ros.calibration import Calibration, extrinsics_from_rig, extrinsics_from_tf
from fsmde_ros.cloud import fused_cloud
from fsmde_ros.conversions import (
    MessageError,
    camera_info_msg,
    cloud_msg,
    decode_image,
    depth_msg,
    ns_to_stamp,
    stamp_to_ns,
)
from fsmde_ros.interrupts import StartUpError, ros_process
from fsmde_ros.params import NodeParams, ParameterError, declare_params
from fsmde_ros.share import share_dir
from fsmde_ros.sync import RigSync, StampedSet

START_UP_ERRORS = (
    StartUpError, ParameterError, RigError, ModelError, ProviderError, FileNotFoundError,
    ImportError,
)  # fmt: skip
WARNING_PERIOD_S = 5.0  # one warning a topic in this time
SILENCE_S = 2.0  # without a set for longer, the node says why

# Best effort matches either offer; depth 1, since only the newest image is of use.
INPUT_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# Reliable matches either request: RViz, recorders and depth_image_proc all connect.
OUTPUT_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)


class LatestSlot:
    """Holds the newest item for one worker; what was not taken in time is replaced."""

    def __init__(self):
        self._condition = threading.Condition()
        self._item = None
        self._closed = False
        self.replaced = 0

    def put(self, item) -> None:
        with self._condition:
            self.replaced += self._item is not None
            self._item = item
            self._condition.notify()

    def take(self):
        """Wait for an item; None once the slot is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._item is not None)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify()


class SurroundDepthNode(Node):
    """Wires synchronization, predictor and publishers.

    Callbacks only file messages; one worker thread decodes, predicts and publishes the newest
    complete set. A set that cannot be used is skipped with a throttled warning.
    """

    def __init__(self):
        super().__init__("surround_depth", automatically_declare_parameters_from_overrides=True)
        self._params = declare_params(self)
        self._predictor = self._load_predictor()
        names = self._set_up_calibration()
        self._predictor.warm_up(len(names))
        self._sync: RigSync = RigSync(names, slop_ns=round(self._params.slop_s * 1e9))
        self._image_topics = [self._subscribe(i, name) for i, name in enumerate(names)]
        self._depth_publishers = [
            (
                self.create_publisher(Image, f"{name}/depth/image_rect", OUTPUT_QOS),
                self.create_publisher(CameraInfo, f"{name}/depth/camera_info", OUTPUT_QOS),
            )
            for name in names
        ]
        self._cloud_publisher = self.create_publisher(PointCloud2, "points", OUTPUT_QOS)
        self._warned_at: dict[str, float] = {}
        self._last_set_at = time.monotonic()
        self.create_timer(1.0, self._report_silence, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._slot = LatestSlot()
        self._worker = threading.Thread(target=self._work, name="surround_depth_worker")
        self._worker.start()
        self.get_logger().info(f"ready: waiting for {', '.join(self._image_topics)}")

    def close(self) -> None:
        """Stop the worker; the set in work is finished first."""
        self._slot.close()
        self._worker.join()

    def _load_predictor(self) -> Predictor:
        p = self._params
        card = Path(p.model) if p.model else share_dir() / "models" / "student_s.json"
        predictor = Predictor(card, providers=p.providers, threads=p.threads)
        for provider, reason in predictor.refused.items():
            self.get_logger().warning(f"provider {provider} is not used: {reason}")
        self.get_logger().info(f"model {card} on {predictor.provider}")
        if predictor.card.provisional:
            self.get_logger().warning(f"model {card} is provisional, see its description")
        return predictor

    def _set_up_calibration(self) -> tuple[str, ...]:
        p: NodeParams = self._params
        if p.rig_file:
            rig = load_rig(p.rig_file)
            names, base_frame = rig.names, rig.base_frame
            extrinsics = extrinsics_from_rig(rig)
        else:
            names, base_frame = tuple(p.cameras), p.base_frame
            extrinsics = extrinsics_from_tf(self, base_frame)
        self._calibration = Calibration(
            names, extrinsics=extrinsics, base_frame=base_frame, rectified=p.rectified
        )
        return names

    def _subscribe(self, index: int, name: str) -> str:
        """Subscribe to one camera; returns its resolved image topic."""
        p = self._params
        image_topic = p.image_topic.replace("{camera}", name)
        info_topic = p.camera_info_topic.replace("{camera}", name)
        if p.compressed:
            image_topic += "/compressed"
        msg_type = CompressedImage if p.compressed else Image
        image = self.create_subscription(
            msg_type, image_topic, partial(self._on_image, index), INPUT_QOS
        )
        info = self.create_subscription(
            CameraInfo,
            info_topic,
            lambda msg: self._on_info(index, msg, info.topic_name),
            INPUT_QOS,
        )
        return image.topic_name

    def _on_info(self, index: int, msg: CameraInfo, topic: str) -> None:
        self._calibration.update(index, msg, topic)

    def _on_image(self, index: int, msg: Image | CompressedImage) -> None:
        resets = self._sync.resets
        complete = self._sync.add(index, stamp_to_ns(msg.header.stamp), msg)
        if self._sync.resets > resets:
            self._warn("time", f"time went back on {self._image_topics[index]}: starting afresh")
        if complete is not None:
            self._last_set_at = time.monotonic()
            self._slot.put(complete)

    def _report_silence(self) -> None:
        silence_s = time.monotonic() - self._last_set_at
        if silence_s > SILENCE_S:
            self._warn("silence", f"no set for {silence_s:.0f} s: {self._sync.why_no_set()}")

    def _warn(self, about: str, text: str) -> None:
        now = time.monotonic()
        if now - self._warned_at.get(about, -WARNING_PERIOD_S) >= WARNING_PERIOD_S:
            self._warned_at[about] = now
            self.get_logger().warning(text)

    def _work(self) -> None:
        while (stamped := self._slot.take()) is not None:
            try:
                self._process(stamped)
            except MessageError as error:
                self._warn(str(error).split(":")[0], f"set skipped: {error}")
            except Exception as error:  # whatever it is, the next set may work
                if not rclpy.ok():
                    return
                self._warn("failure", f"set skipped: {type(error).__name__}: {error}")

    def _process(self, stamped: StampedSet) -> None:
        rig = self._calibration.rig()
        images = []
        for msg, camera, topic in zip(stamped.items, rig.cameras, self._image_topics):
            image = decode_image(msg, topic)
            if image.shape[:2] != (camera.height, camera.width):
                raise MessageError(
                    f"{topic}: image {image.shape[1]}x{image.shape[0]} contradicts its "
                    f"CameraInfo {camera.width}x{camera.height}"
                )
            images.append(image)
        prediction = self._predictor(images, rig)
        self._publish_depth(prediction, rig, [msg.header for msg in stamped.items])
        valid = self._valid(prediction.depth, prediction.confidence)
        xyz, rgb = fused_cloud(prediction, valid, stride=self._params.cloud_stride)
        newest = ns_to_stamp(max(stamped.stamps_ns))
        header = Header(stamp=newest, frame_id=rig.base_frame)
        self._cloud_publisher.publish(cloud_msg(xyz, rgb, header))

    def _publish_depth(
        self, prediction: Prediction, source_rig: Rig, headers: list[Header]
    ) -> None:
        as_source = self._params.depth_size == "source"
        rig = source_rig if as_source else prediction.rig
        for i, (camera, header) in enumerate(zip(rig.cameras, headers)):
            depth, confidence = prediction.depth[i], prediction.confidence[i]
            if as_source:
                size = camera.width, camera.height
                depth, confidence = cv2.resize(depth, size), cv2.resize(confidence, size)
            image_publisher, info_publisher = self._depth_publishers[i]
            image_publisher.publish(depth_msg(depth, self._valid(depth, confidence), header))
            info_publisher.publish(camera_info_msg(camera, header))

    def _valid(self, depth: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        p = self._params
        in_range = (depth >= p.min_depth_m) & (depth <= p.max_depth_m)
        return in_range & (confidence >= p.min_confidence)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop; exit code 1 with one sentence if it cannot start."""
    try:
        with ros_process(args):
            node = SurroundDepthNode()
            try:
                rclpy.spin(node)
            finally:
                node.close()
    except START_UP_ERRORS as error:
        print(f"surround_depth: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
