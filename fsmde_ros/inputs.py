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

ODOMETRY_DEPTH = 10  # of images and CameraInfos only the newest is of use


class Inputs:
    """Images, CameraInfos and odometry as the parameters name their topics.

    on_image and on_info are called with the camera's number and the message, on_odometry, None
    where nobody wants it, with the message. Nothing of a camera comes before listen_to names it.
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
        self._node, self._on_image, self._on_info = node, on_image, on_info
        self._kind = CompressedImage if params.compressed else Image
        suffix = "/compressed" if params.compressed else ""
        self._images = [params.image_topic.replace("{camera}", name) + suffix for name in names]
        self._infos = [params.camera_info_topic.replace("{camera}", name) for name in names]
        self.image_topics = [node.resolve_topic_name(topic) for topic in self._images]
        """The whole name of each camera's topic."""
        self.info_topics = [node.resolve_topic_name(topic) for topic in self._infos]
        """The whole name of each camera's topic."""
        self._of_camera: dict[int, tuple[Subscription, Subscription]] = {}
        self._rest: list[Subscription] = []
        if on_odometry is not None:
            self._rest.append(
                self._listen(Odometry, params.odometry_topic, on_odometry, depth=ODOMETRY_DEPTH)
            )

    @property
    def subscriptions(self) -> list[Subscription]:
        """CameraInfos first: of what is ready, the intake takes first what comes first here."""
        cameras = [self._of_camera[i] for i in sorted(self._of_camera)]
        return [info for info, _ in cameras] + [image for _, image in cameras] + self._rest

    def infos_of(self, cameras: Collection[int]) -> list[Subscription]:
        """The subscriptions to the CameraInfos of those cameras that are listened to."""
        return [self._of_camera[i][0] for i in cameras if i in self._of_camera]

    def listen_to(self, cameras: Collection[int]) -> None:
        """Subscribe to these cameras and to no others; while no Intake serves the group."""
        for i in self._of_camera.keys() - set(cameras):
            for subscription in self._of_camera.pop(i):
                self._node.destroy_subscription(subscription)
        for i in sorted(set(cameras) - self._of_camera.keys()):
            self._of_camera[i] = (
                self._listen(CameraInfo, self._infos[i], partial(self._on_info, i)),
                self._listen(self._kind, self._images[i], partial(self._on_image, i)),
            )

    def _listen(self, kind: type, topic: str, callback: Callable, **options) -> Subscription:
        return subscribe(self._node, kind, topic, callback, group=self.group, **options)
