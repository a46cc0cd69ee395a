"""Messages and a scene in rerun."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from fsmde_core.rig import Rig, opencv_to_K
from fsmde_ros.answers import CONFIDENCE
from fsmde_ros.conversions import fields_from_cloud, stamp_to_ns, transform_from_msg
from fsmde_ros.decode import decode_image
from fsmde_ros.views.scene import Scene, absolute

TIMELINE = "stamp"
MILLIMETRES = {"32FC1": 1.0, "16UC1": 1000.0}  # depth encodings, units a metre
POINT_RADIUS_M = 0.02
SHOWN = (Image, CompressedImage, CameraInfo, PointCloud2)


class RerunLog:
    """Logs messages into a rerun recording, each below the entity of its frame.

    A frame's entity is the path from the root of the transform tree down to it.
    """

    def __init__(self, recording, parents: dict[str, str]):
        import rerun

        self._rerun, self._recording, self._parents = rerun, recording, dict(parents)
        self._frames: dict[str, str] = {}

    def rig(self, rig: Rig) -> None:
        """The poses of a rig file."""
        for camera in rig.cameras:
            self._pose(camera.frame_id, camera.T_ego_cam, static=True)

    def scene(self, scene: Scene, rig: Rig, *, namespace: str = "") -> None:
        """The vehicle, and the arrangement of the viewer: the cloud above, panels below."""
        if scene.vehicle is not None:
            half = [size / 2 for size in scene.vehicle.size_m]
            box = self._rerun.Boxes3D(centers=[scene.vehicle.centre_m], half_sizes=[half])
            self._log(f"{self._entity(scene.base_frame)}/vehicle", box, static=True)
        import rerun.blueprint as parts

        frames = {camera.name: self._entity(camera.frame_id) for camera in rig.cameras}
        views = []
        for panel in scene.shown:
            group = _flat(_group(absolute(panel.topic, namespace)))
            origin = f"{frames[panel.camera]}/{group}"
            views.append(parts.Spatial2DView(origin=origin, name=panel.title))
        cloud = parts.Spatial3DView(origin="/", name="cloud")
        below = parts.Grid(*views) if views else None
        arrangement = parts.Vertical(cloud, below, row_shares=[3, 2]) if below else cloud
        blueprint = parts.Blueprint(arrangement, collapse_panels=True)
        self._rerun.send_blueprint(blueprint, recording=self._recording)

    def transform(self, stamped, *, static: bool) -> None:
        """A TransformStamped; static ones hold for ever."""
        self._parents[stamped.child_frame_id] = stamped.header.frame_id
        self._set_time(stamped.header.stamp, static=static)
        T_parent_child = transform_from_msg(stamped.transform)
        self._pose(stamped.child_frame_id, T_parent_child, static=static)

    def message(self, topic: str, msg: Image | CompressedImage | CameraInfo | PointCloud2) -> None:
        """An image, its calibration or a cloud. MessageError if it cannot be shown."""
        self._set_time(msg.header.stamp, static=False)
        if isinstance(msg, PointCloud2):
            entity = f"{self._entity(msg.header.frame_id)}/{_flat(topic)}"
            self._log(entity, self._points(msg))
            return
        group = _group(topic)
        if isinstance(msg, CameraInfo):
            self._frames[group] = msg.header.frame_id
            self._log(f"{self._entity(msg.header.frame_id)}/{_flat(group)}", self._pinhole(msg))
            return
        frame = self._frames.get(group, msg.header.frame_id)
        self._log(f"{self._entity(frame)}/{_flat(group)}/image", self._picture(topic, msg))

    def _points(self, msg: PointCloud2):
        fields = fields_from_cloud(msg)
        xyz = np.stack([fields[axis] for axis in "xyz"], axis=-1)
        colours = None
        if "rgb" in fields:
            packed = np.ascontiguousarray(fields["rgb"]).view(np.uint8).reshape(-1, 4)
            colours = packed[:, 2::-1]
        return self._rerun.Points3D(xyz, colors=colours, radii=POINT_RADIUS_M)

    def _pinhole(self, msg: CameraInfo):
        K = opencv_to_K(np.reshape(msg.k, (3, 3)))
        return self._rerun.Pinhole(image_from_camera=K, width=msg.width, height=msg.height)

    def _picture(self, topic: str, msg: Image | CompressedImage):
        if isinstance(msg, CompressedImage) and msg.format in ("jpeg", "png"):
            media_type = f"image/{msg.format}"
            return self._rerun.EncodedImage(contents=msg.data.tobytes(), media_type=media_type)
        if isinstance(msg, Image) and msg.encoding in MILLIMETRES:
            kind = np.float32 if msg.encoding == "32FC1" else np.uint16
            values = np.frombuffer(msg.data, kind).reshape(msg.height, msg.width)
            if topic.endswith(CONFIDENCE):
                return self._rerun.Image(values, color_model="L")
            return self._rerun.DepthImage(values, meter=MILLIMETRES[msg.encoding])
        return self._rerun.Image(decode_image(msg, topic).pixels)

    def _pose(self, frame: str, T_parent_child: np.ndarray, *, static: bool) -> None:
        transform = self._rerun.Transform3D(
            translation=T_parent_child[:3, 3], mat3x3=T_parent_child[:3, :3]
        )
        self._log(self._entity(frame), transform, static=static)

    def _entity(self, frame: str) -> str:
        path = [frame]
        while (parent := self._parents.get(path[0])) is not None and parent not in path:
            path.insert(0, parent)
        return "/" + "/".join(path)

    def _set_time(self, stamp, *, static: bool) -> None:
        if not static:
            moment = np.datetime64(stamp_to_ns(stamp), "ns")
            self._rerun.set_time(TIMELINE, timestamp=moment, recording=self._recording)

    def _log(self, entity: str, what, *, static: bool = False) -> None:
        self._rerun.log(entity, what, static=static, recording=self._recording)


def _group(topic: str) -> str:
    """What image and CameraInfo have in common: the topic less its last part."""
    for suffix in ("/compressed", "/compressedDepth"):
        topic = topic.removesuffix(suffix)
    return topic.rpartition("/")[0]


def _flat(topic: str) -> str:
    """A topic as one part of an entity path."""
    return topic.strip("/").replace("/", "_") or "camera"
