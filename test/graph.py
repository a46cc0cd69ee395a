"""A node in a process of its own and this process as its rig and its listener, over DDS."""

import array
import signal
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass

import cv2
import rclpy
from conftest import ROOT
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from fsmde_core.rig import Rig, save_rig
from fsmde_ros.conversions import camera_info_msg, ns_to_stamp, stamp_to_ns

START_NS = 1_700_000_000_000_000_000
TIMEOUT_S = 60.0
NODE = (sys.executable, "-m", "fsmde_ros.depth_node")


def stamp_of(msg) -> int:
    return stamp_to_ns(msg.header.stamp)


@dataclass
class Shot:
    """What one camera sends at one moment."""

    camera: int
    stamp_ns: int
    image: Image | CompressedImage
    info: CameraInfo | None


class Graph:
    """A node process, publishers for its inputs and everything that it published, by topic.

    Each graph has a namespace of its own, so that two of them do not hear each other.
    """

    def __init__(
        self, rig: Rig, folder, *parameters: str, compressed=False, wait=True, program=NODE
    ):
        self.folder = folder
        self.rig, self.compressed = rig, compressed
        self.next_ns, self.period_ns = START_NS, 500_000_000
        self.namespace = f"/{folder.name}"
        save_rig(rig, folder / "rig.yaml")
        self.log = open(folder / "log.txt", "w+")
        if not any(parameter.startswith("compressed:=") for parameter in parameters):
            parameters = (f"compressed:={compressed}", *parameters)
        parameters = (f"rig_file:={folder / 'rig.yaml'}", *parameters)
        self.process = subprocess.Popen(
            [*node_command(*parameters, program=program), "-r", f"__ns:={self.namespace}"],
            cwd=ROOT,
            stderr=self.log,
            stdout=self.log,
        )
        self.node = rclpy.create_node("test_rig", namespace=self.namespace)
        self.received, self.outputs = defaultdict(list), []
        suffix, kind = ("/compressed", CompressedImage) if compressed else ("", Image)
        qos = QoSProfile(depth=10)
        self.images, self.infos = [], []
        for name in rig.names:
            topic = f"{name}/image_raw{suffix}"
            self.images.append(self.node.create_publisher(kind, topic, qos))
            self.infos.append(self.node.create_publisher(CameraInfo, f"{name}/camera_info", qos))
            self.listen(Image, f"{name}/depth/image_rect")
            self.listen(CameraInfo, f"{name}/depth/camera_info")
        self.listen(PointCloud2, "points")
        self.listen(DiagnosticStatus, "surround_depth/status")
        if wait:
            self.wait()

    def wait(self):
        """Until the node listens to everything and we to it."""
        inputs = self.images + self.infos
        self.spin_until(
            lambda: (
                all(p.get_subscription_count() for p in inputs)
                and all(self.node.count_publishers(topic) for topic in self.outputs)
            ),
            "the node to subscribe and publish",
        )
        time.sleep(0.5)  # its readers have to find our writers too, which nothing here can see

    def call(self, kind, name, request):
        client = self.node.create_client(kind, f"surround_depth/{name}")
        assert client.wait_for_service(timeout_sec=TIMEOUT_S), self.text()
        future = client.call_async(request)
        self.spin_until(future.done, name)
        self.node.destroy_client(client)
        return future.result()

    def transition(self, number) -> bool:
        """Ask for a lifecycle transition; whether it succeeded."""
        request = ChangeState.Request(transition=Transition(id=number))
        return self.call(ChangeState, "change_state", request).success

    def state(self) -> int:
        """The life cycle's state, as lifecycle_msgs/State numbers it."""
        return self.call(GetState, "get_state", GetState.Request()).current_state.id

    def start(self):
        """Configure and activate."""
        assert self.transition(Transition.TRANSITION_CONFIGURE), self.text()
        assert self.transition(Transition.TRANSITION_ACTIVATE), self.text()
        self.wait()

    def set_parameter(self, name, value) -> str:
        """Set a parameter; the reason why it was refused, empty if it was not."""
        message = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[message])
        (result,) = self.call(SetParameters, "set_parameters", request).results
        return "" if result.successful else result.reason

    def status(self, condition) -> dict:
        """The first status, as a dictionary, that meets a condition."""
        statuses = self.received["surround_depth/status"]

        def matching():
            found = ({v.key: v.value for v in msg.values} for msg in statuses)
            return next(filter(condition, found), None)

        self.spin_until(matching, "the status")
        return matching()

    def listen(self, kind, topic):
        self.outputs.append(topic)
        self.node.create_subscription(kind, topic, self.received[topic].append, 10)

    def spin_until(self, condition, what):
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, f"waited in vain for {what}\n{self.text()}"
            rclpy.spin_once(self.node, timeout_sec=0.05)

    def spin_for(self, seconds):
        end = time.monotonic() + seconds
        self.spin_until(lambda: time.monotonic() > end, "the time to pass")

    def text(self) -> str:
        self.log.flush()
        return (self.log.seek(0), self.log.read())[1]

    def publish(self, images, *, edit=lambda i, image, info: None):
        """Send one set; returns its stamps. edit may change each camera's messages."""
        shots = self.shots(images)
        for shot in shots:
            edit(shot.camera, shot.image, shot.info)
        self.send(shots)
        return [shot.stamp_ns for shot in shots]

    def shots(self, images) -> list[Shot]:
        """The messages of the next set, cameras 7 ms apart, not sent yet."""
        shots = []
        for i, (camera, pixels) in enumerate(zip(self.rig.cameras, images)):
            stamp_ns = self.next_ns + i * 7_000_000
            header = Header(stamp=ns_to_stamp(stamp_ns), frame_id=camera.frame_id)
            info = camera_info_msg(camera, header)
            shots.append(Shot(i, stamp_ns, self.image_msg(pixels, header), info))
        self.next_ns += self.period_ns
        return shots

    def send(self, shots):
        for shot in shots:
            if shot.info is not None:
                self.infos[shot.camera].publish(shot.info)
            self.images[shot.camera].publish(shot.image)

    def image_msg(self, pixels, header):
        if self.compressed:
            _, encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])
            data = array.array("B", encoded.tobytes())
            return CompressedImage(header=header, format="jpeg", data=data)
        height, width, _ = pixels.shape
        return Image(
            header=header, height=height, width=width, encoding="rgb8", step=3 * width,
            data=array.array("B", pixels.tobytes()),
        )  # fmt: skip

    def answer(self, stamps, *, without=()):
        """Depth messages, depth CameraInfos and cloud of the set with these stamps.

        without are the numbers of the cameras that have none.
        """
        kept = [i for i in range(len(self.rig.names)) if i not in without]
        names, newest = [self.rig.names[i] for i in kept], max(stamps)
        stamps = [stamps[i] for i in kept]

        def found(topic, stamp_ns):
            return [m for m in self.received[topic] if stamp_to_ns(m.header.stamp) == stamp_ns]

        self.spin_until(lambda: found("points", newest), f"the cloud of {stamps}")
        outputs = []
        for kind in ("image_rect", "camera_info"):
            topics = [f"{name}/depth/{kind}" for name in names]
            self.spin_until(lambda t=topics: all(map(found, t, stamps)), f"{kind} of {stamps}")
            outputs.append([found(topic, stamp)[0] for topic, stamp in zip(topics, stamps)])
        return *outputs, found("points", newest)[0]

    def warned(self, text):
        """Wait for a warning; {ns} in it stands for the namespace."""
        text = text.replace("{ns}", self.namespace)
        self.spin_until(lambda: text in self.text(), f"the warning {text!r}")

    def close(self):
        self.node.destroy_node()
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=20)
        finally:
            self.process.kill()
            self.log.close()


def node_command(*parameters, program=NODE):
    arguments = [a for parameter in parameters for a in ("-p", parameter)]
    return [*program, "--ros-args", *arguments]
