"""A rig without cameras: publishes images of a rig's size and pace, for measuring.

python -m fsmde_ros.tools.rig_source --raw --seconds 10
"""

from __future__ import annotations

import argparse
import array
import sys
import time

import cv2
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from fsmde_core.rig import Camera, Rig, load_rig
from fsmde_ros.conversions import camera_info_msg, ns_to_stamp
from fsmde_ros.interrupts import StartUpError, ros_process
from fsmde_ros.share import share_dir

SPREAD_S = 0.043  # from the first to the last camera of a set, as in nuScenes
GRAIN_PX = 24  # of the random texture: its JPEGs are as large as those of streets, about 150 kB
JPEG_QUALITY = 65
SETTLE_S = 1.0  # after the last subscriber was seen, for its side of the match
QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)  # matches either request


class RigSource(Node):
    """Publishes the images and CameraInfo of a rig, its cameras one after another."""

    def __init__(self, rig: Rig, *, raw: bool, rate_hz: float):
        super().__init__("rig_source")
        self._rig, self._raw, self._period_s = rig, raw, 1 / rate_hz
        kind, suffix = (Image, "") if raw else (CompressedImage, "/compressed")
        self._images, self._infos, self._messages = [], [], []
        for i, camera in enumerate(rig.cameras):
            topic = f"{camera.name}/image_raw{suffix}"
            self._images.append(self.create_publisher(kind, topic, QOS))
            info = self.create_publisher(CameraInfo, f"{camera.name}/camera_info", QOS)
            self._infos.append(info)
            self._messages.append(_message(camera, texture(camera, seed=i), raw=raw))

    def wait_for_subscribers(self, timeout_s: float) -> bool:
        """Until every image topic has one; whether that happened in timeout_s seconds."""
        deadline = time.monotonic() + timeout_s
        while not all(publisher.get_subscription_count() for publisher in self._images):
            if time.monotonic() > deadline or not rclpy.ok():
                return False
            time.sleep(0.05)
        time.sleep(SETTLE_S)
        return True

    def run(self, seconds: float) -> int:
        """Publish for some time; returns the number of sets sent."""
        count = len(self._images)
        offsets_s = np.linspace(0, SPREAD_S, count) if count > 1 else np.zeros(1)
        started, started_ns = time.monotonic(), time.time_ns()
        sets = round(seconds / self._period_s)
        for k in range(sets):
            for i, offset_s in enumerate(offsets_s):
                due_s = k * self._period_s + offset_s
                time.sleep(max(0.0, started + due_s - time.monotonic()))
                if not rclpy.ok():
                    return k
                self._send(i, started_ns + round(due_s * 1e9))
        return sets

    def _send(self, i: int, stamp_ns: int) -> None:
        camera, message = self._rig.cameras[i], self._messages[i]
        message.header = Header(stamp=ns_to_stamp(stamp_ns), frame_id=camera.frame_id)
        self._infos[i].publish(camera_info_msg(camera, message.header))
        self._images[i].publish(message)


def texture(camera: Camera, *, seed: int) -> np.ndarray:
    """Random soft blotches with some grain, [H, W, 3] uint8, of the camera's size."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (camera.height // GRAIN_PX, camera.width // GRAIN_PX, 3))
    size = (camera.width, camera.height)
    soft = cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 3, (camera.height, camera.width, 1))
    return np.clip(soft + grain, 0, 255).astype(np.uint8)


def _message(camera: Camera, pixels: np.ndarray, *, raw: bool) -> Image | CompressedImage:
    if raw:
        data = array.array("B", pixels.tobytes())
        return Image(
            height=camera.height, width=camera.width, encoding="rgb8", step=3 * camera.width,
            data=data,
        )  # fmt: skip
    _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return CompressedImage(format="jpeg", data=array.array("B", jpeg.tobytes()))


def main(argv: list[str] | None = None) -> int:
    """Command line; prints the number of sets sent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--rig", default=str(share_dir() / "config" / "rig_nuscenes.yaml"), help="rig file")
    add("--raw", action="store_true", help="Image instead of CompressedImage")
    add("--rate", type=float, default=12.0, help="sets a second")
    add("--seconds", type=float, default=60.0, help="for how long")
    add("--wait", type=float, default=60.0, help="seconds to wait for subscribers")
    arguments = parser.parse_args(rclpy.utilities.remove_ros_args(argv or sys.argv)[1:])
    try:
        with ros_process(argv):
            source = RigSource(load_rig(arguments.rig), raw=arguments.raw, rate_hz=arguments.rate)
            if not source.wait_for_subscribers(arguments.wait):
                raise StartUpError(f"nobody subscribed in {arguments.wait:.0f} s")
            print(source.run(arguments.seconds), flush=True)
    except StartUpError as error:
        print(f"rig_source: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
