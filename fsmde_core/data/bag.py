"""Images of a rosbag2 as sets, read without ROS: of a drive of which nothing else is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.rosbag2 import ReaderError
from rosbags.typesys import Stores, get_typestore

from fsmde_core.data.sample import DatasetError
from fsmde_core.jpeg import START, decode_jpeg
from fsmde_core.rig import Rig

TO_RGB = {
    "rgb8": None, "bgr8": cv2.COLOR_BGR2RGB, "mono8": cv2.COLOR_GRAY2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB, "bgra8": cv2.COLOR_BGRA2RGB,
}  # fmt: skip
CHANNELS = {"rgb8": 3, "bgr8": 3, "mono8": 1, "rgba8": 4, "bgra8": 4}


class BagImages(Sequence):
    """Sets of N images [H, W, 3] uint8 RGB of the rig's cameras, spread over a bag.

    Of each camera the first image from a moment on: what fires together may be a period apart, and
    a distorted image stays so. image_topic has {camera} in the place of each camera's name; its
    images may be compressed. DatasetError names the bag, and a topic that is missing, or an image
    that does not decode or is not as large as the rig says.
    """

    def __init__(self, bag: Path, rig: Rig, *, limit: int, image_topic: str = "{camera}/image_raw"):
        self._bag, self._rig, self._topic = bag, rig, image_topic
        with self._open() as reader:
            connections = [self._connection(reader, name) for name in rig.names]
            count = min([limit, *(connection.msgcount for connection in connections)])
            if not count:
                raise DatasetError(f"bag {bag} has no image of one of {', '.join(rig.names)}")
            start, end = reader.start_time, reader.end_time
        self._moments_ns = [start + i * (end - start) // count for i in range(count)]

    def __len__(self) -> int:
        return len(self._moments_ns)

    def __getitem__(self, i: int) -> list[np.ndarray]:
        moment_ns = self._moments_ns[i]  # IndexError ends an iteration
        with self._open() as reader:
            return [self._image(reader, camera, moment_ns) for camera in self._rig.cameras]

    @contextmanager
    def _open(self) -> Iterator[AnyReader]:
        try:
            reader = AnyReader([self._bag], default_typestore=get_typestore(Stores.ROS2_JAZZY))
            reader.open()
        except (AnyReaderError, ReaderError, OSError, ValueError) as error:
            raise DatasetError(f"bag {self._bag}: {error}") from error
        try:
            yield reader
        finally:
            reader.close()

    def _connection(self, reader: AnyReader, name: str):
        plain = f"/{self._topic.format(camera=name).lstrip('/')}"
        for topic in (f"{plain}/compressed", plain):
            for connection in reader.connections:
                if connection.topic == topic:
                    return connection
        raise DatasetError(f"bag {self._bag} has no topic {plain}, nor {plain}/compressed")

    def _image(self, reader: AnyReader, camera, moment_ns: int) -> np.ndarray:
        connection = self._connection(reader, camera.name)
        for start_ns in (moment_ns, reader.start_time):  # after its last image: the first again
            for _, _, data in reader.messages([connection], start=start_ns):
                image = self._decoded(reader.deserialize(data, connection.msgtype), connection)
                if image.shape[:2] != (camera.height, camera.width):
                    raise DatasetError(
                        f"bag {self._bag}, topic {connection.topic}: an image of "
                        f"{image.shape[1]}x{image.shape[0]}, the rig says "
                        f"{camera.width}x{camera.height}"
                    )
                return image
        raise DatasetError(f"bag {self._bag} has no message on {connection.topic}")

    def _decoded(self, message, connection) -> np.ndarray:
        where = f"bag {self._bag}, topic {connection.topic}"
        if connection.msgtype.endswith("CompressedImage"):
            return _decompressed(message.data, where)
        if message.encoding not in TO_RGB:
            known = ", ".join(TO_RGB)
            raise DatasetError(f"{where}: encoding {message.encoding!r} is not one of {known}")
        size, channels = (message.height, message.width), CHANNELS[message.encoding]
        try:
            rows = np.asarray(message.data).reshape(message.height, message.step)
            pixels = rows[:, : message.width * channels].reshape(*size, channels)
        except ValueError as error:
            raise DatasetError(f"{where}: an image that does not fit its size") from error
        code = TO_RGB[message.encoding]
        return pixels.copy() if code is None else cv2.cvtColor(np.ascontiguousarray(pixels), code)


def _decompressed(data: np.ndarray, where: str) -> np.ndarray:
    if bytes(data[:2]) == START:
        try:
            return decode_jpeg(data)[0]
        except ValueError as error:
            raise DatasetError(f"{where}: a damaged JPEG: {error}") from error
    image = cv2.imdecode(np.asarray(data), cv2.IMREAD_COLOR_RGB) if len(data) else None
    if image is None:
        raise DatasetError(f"{where}: an image that does not decode")
    return image
