"""The node's subscriptions, of which those of a camera can come and go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from nav_msgs.msg import Odometry
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fsmde_ros.endpoints import subscribe
from fsmde_ros.intake import IntakeGroup
from fsmde_ros.managed import ManagedNode
from fsmde_ros.params import NodeParams
from fsmde_ros.transport import Transports, kind_of, transports

ODOMETRY_DEPTH = 10  # of images and CameraInfos only the newest is of use


class Inputs:
    """Images, CameraInfos and odometry as the parameters name their topics.

    on_image and on_info are called with the camera's number and the message, on_odometry, None
    where nobody wants it, with the message. Nothing of a camera comes before listen_to names it.
    Where images may come by two transports, the first one decides which is listened to.
    """

    def __init__(
        self,
        node: ManagedNode,
        params: NodeParams,
        names: Sequence[str],
        *,
        on_image: Callable[[int, Image | CompressedImage], None],
        on_info: Callable[[int, CameraInfo], None],
        on_odometry: Callable[[Odometry], None] | None,
    ):
        self.group = IntakeGroup()
        """The callback group of all of them."""
        self._node, self._names = node, names
        self._on_image, self._on_info = on_image, on_info
        self._ways = [
            transports(topic, params.compressed) for topic in params.topics_of("image_topic", names)
        ]
        self._transports = Transports(node, self._decided)
        self._infos = params.topics_of("camera_info_topic", names)
        self.image_topics = [node.resolve_topic_name(ways[0][1]) for ways in self._ways]
        """The whole name of each camera's topic."""
        self.info_topics = [node.resolve_topic_name(topic) for topic in self._infos]
        """The whole name of each camera's topic."""
        self._of_camera: dict[int, tuple[Subscription, list[Subscription]]] = {}
        self._rest: list[Subscription] = []
        if on_odometry is not None:
            self._rest.append(
                self._listen(Odometry, params.odometry_topic, on_odometry, depth=ODOMETRY_DEPTH)
            )

    @property
    def subscriptions(self) -> list[Subscription]:
        """CameraInfos first: of what is ready, the intake takes first what comes first here."""
        cameras = [self._of_camera[i] for i in sorted(self._of_camera)]
        infos = [info for info, _ in cameras]
        return infos + [image for _, images in cameras for image in images] + self._rest

    @property
    def images(self) -> dict[int, list[Subscription]]:
        """The subscriptions to images, by the number of the camera; those that are listened to."""
        return {i: images for i, (_, images) in sorted(self._of_camera.items())}

    @property
    def odometry(self) -> list[Subscription]:
        """The subscription to odometry, if there is one."""
        return self._rest

    def infos_of(self, cameras: Collection[int]) -> list[Subscription]:
        """The subscriptions to the CameraInfos of those cameras that are listened to."""
        return [self._of_camera[i][0] for i in cameras if i in self._of_camera]

    def listen_to(self, cameras: Collection[int]) -> None:
        """Subscribe to these cameras and to no others; while no Intake serves the group."""
        for i in self._of_camera.keys() - set(cameras):
            info, images = self._of_camera.pop(i)
            for subscription in (info, *images):
                self._node.destroy_subscription(subscription)
        for i in sorted(set(cameras) - self._of_camera.keys()):
            info = self._listen(CameraInfo, self._infos[i], partial(self._on_info, i))
            self._of_camera[i] = info, []
            for kind, topic in self._ways[i]:
                take = partial(self._take, i, self._node.resolve_topic_name(topic))
                self._of_camera[i][1].append(self._listen(kind, topic, take))
            self._transports.add(i, self._of_camera[i][1])

    def _take(self, index: int, topic: str, msg: Image | CompressedImage) -> None:
        if self._transports.takes(index, topic):
            self._on_image(index, msg)

    def _decided(self, index: int, chosen: Subscription, others: list[Subscription]) -> None:
        """A camera's images come by one of two ways: the other one is given up."""
        info, _ = self._of_camera[index]
        self._of_camera[index] = info, [chosen]
        self._ways[index] = [(chosen.msg_type, chosen.topic_name)]
        self.image_topics[index] = chosen.topic_name
        self.group.unwanted += others
        what = f"{kind_of(chosen)} images on {chosen.topic_name}"
        self._node.get_logger().info(f"camera {self._names[index]}: {what}")

    def _listen(self, kind: type, topic: str, callback: Callable, **options) -> Subscription:
        return subscribe(self._node, kind, topic, callback, group=self.group, **options)
