"""CameraInfo messages, checked, as the geometry of the images that come with them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import CameraInfo

from fsmde_core.geometry import is_rotation
from fsmde_core.rectify import FISHEYE, Rectifier
from fsmde_core.rig import Camera, RigError, opencv_to_K
from fsmde_ros.conversions import MessageError

COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), FISHEYE: (4,)}
"""How many values D has, by the ROS name of the distortion model."""
NO_MODEL = ("", "none", "pinhole")  # names in use where there is no distortion
NARROWEST, WIDEST = 100.0, 0.05  # focal lengths in widths or heights of the image: else no pixels
Lens = tuple[str, np.ndarray, np.ndarray]
NO_LENS: Lens = ("plumb_bob", np.zeros(5), np.eye(3))
SKEW = 1e-3  # of the focal length: what is below is rounding


@dataclass(frozen=True, eq=False)
class ImageGeometry:
    """What a CameraInfo says of the images that come with it, their ROI and binning applied.

    Pixel centres lie at integer + 0.5, as everywhere in fsmde_core.
    """

    frame_id: str
    width: int
    """Of the images as they come."""
    height: int
    """Of the images as they come."""
    window: tuple[int, int, int, int]
    """left, top, width, height of what they show of the whole image, in its pixels."""
    whole: tuple[int, int]
    """Width and height of the whole image, without ROI and binning."""
    K: np.ndarray
    """[3, 3] of the images once they are rectified, or as they come where nothing is to rectify."""
    K_raw: np.ndarray | None
    """[3, 3] of the distorted images; None where there is no distortion, or it is not known."""
    rectified: bool
    """Whether the images come without distortion."""
    P_unused: np.ndarray | None
    """[3, 3] of P where it is given, and K counts."""
    D: np.ndarray
    """Of the distortion model, trailing zeros included."""
    R: np.ndarray
    """[3, 3] from the axes of the distorted image to those of the frame frame_id."""
    model: str
    """The distortion model, one of fsmde_core.rectify.MODELS."""
    described: str
    """The images in words: their size, and what it comes from."""
    source: str
    """What says all this: CameraInfo, or the rig file in its place."""

    def camera(self, name: str, T_ego_cam: np.ndarray, topic: str) -> Camera:
        """The pinhole camera of the images once they are rectified; MessageError if it is none."""
        try:
            return Camera(name, self.frame_id, self.width, self.height, self.K, T_ego_cam)
        except RigError as error:
            raise MessageError(f"{topic}: {error}") from error

    def rectifier(self, target: Camera) -> Rectifier:
        """What brings the images as they come to the camera `target`; only where K_raw is known."""
        return Rectifier(
            target,
            K_distorted=self.K_raw,
            D=self.D,
            model=self.model,
            size=(self.width, self.height),
            R=self.R,
        )

    def in_whole_image(self, K: np.ndarray) -> np.ndarray:
        """K [3, 3] of the images as that of the whole image, without ROI and binning."""
        left, top, width, height = self.window
        zoom = np.diag([width / self.width, height / self.height, 1.0])
        return zoom @ K + [[0, 0, left], [0, 0, top], [0, 0, 0]]


def read_camera_info(
    msg: CameraInfo, topic: str, *, rectified: bool, source: str = "CameraInfo"
) -> ImageGeometry:
    """The geometry of a CameraInfo's images, which are rectified already or not.

    K and D are taken for images as a camera sends them, P for rectified ones, and for those that
    the node rectifies, if it is given. As in image_geometry, the frame of the message has the axes
    of the rectified image: R turns those of the distorted one to them. MessageError names topic and
    field of what cannot be used.
    """
    what = _Reader(msg, topic)
    whole = (msg.width, msg.height)
    what.require(min(whole) > 0, f"size {msg.width}x{msg.height} is not positive")
    window, size = what.window()
    left, top, width, height = window
    zoom = np.diag([size[0] / width, size[1] / height, 1.0])

    def of_the_images(K: np.ndarray) -> np.ndarray:
        return zoom @ (K - [[0, 0, left], [0, 0, top], [0, 0, 0]])

    lens, K_raw, P_unused = NO_LENS, None, None
    if rectified:
        K = of_the_images(what.P())
        with suppress(MessageError):  # it tells where the images show nothing, no more
            lens, K_raw = what.lens(), of_the_images(what.K())
    else:
        lens, K = what.lens(), of_the_images(what.K())
        if lens is not NO_LENS:
            K_raw = K
            K = of_the_images(what.P()) if any(msg.p) else K
            skew = K_raw[0, 1] / K_raw[0, 0]
            what.require(abs(skew) < SKEW, f"K has a skew of {msg.k[1]:g}, beside a distortion")
        elif msg.p[0] > 0:
            with suppress(MessageError):  # nobody needs it
                P_unused = of_the_images(what.P())
    model, D, R = lens
    return ImageGeometry(
        frame_id=msg.header.frame_id,
        width=size[0],
        height=size[1],
        window=window,
        whole=whole,
        K=K,
        K_raw=None if lens is NO_LENS else K_raw,
        rectified=rectified or lens is NO_LENS,
        P_unused=P_unused,
        D=D,
        R=R,
        model=model,
        described=f"{source} {what.described(size)}",
        source=source,
    )


def image_size(msg: CameraInfo, topic: str) -> tuple[int, int]:
    """Width and height of the images that come with a CameraInfo; MessageError if it has none."""
    return _Reader(msg, topic).window()[1]


class _Reader:
    """The fields of one CameraInfo, each checked; MessageError for what cannot be used."""

    def __init__(self, msg: CameraInfo, topic: str):
        self._msg, self._topic = msg, topic

    def require(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise MessageError(f"{self._topic}: {otherwise}")

    def window(self) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
        """The part of the whole image that is sent, and the size at which it is."""
        msg, roi = self._msg, self._msg.roi
        window = (0, 0, msg.width, msg.height)
        if roi.width or roi.height or roi.x_offset or roi.y_offset:
            window = (roi.x_offset, roi.y_offset, roi.width, roi.height)
        left, top, width, height = window
        inside = left + width <= msg.width and top + height <= msg.height
        self.require(
            width > 0 and height > 0 and inside,
            f"roi {width}x{height} at {left}, {top} is not a part of {msg.width}x{msg.height}",
        )
        size = width // max(1, msg.binning_x), height // max(1, msg.binning_y)
        self.require(
            min(size) > 0, f"binning {msg.binning_x}x{msg.binning_y} leaves nothing of the image"
        )
        return window, size

    def described(self, size: tuple[int, int]) -> str:
        msg, roi = self._msg, self._msg.roi
        text = f"{size[0]}x{size[1]}"
        if size == (msg.width, msg.height):
            return text
        causes = []
        if roi.width and roi.height:
            causes.append(f"roi {roi.width}x{roi.height}")
        if max(msg.binning_x, msg.binning_y) > 1:
            causes.append(f"binning {max(1, msg.binning_x)}x{max(1, msg.binning_y)}")
        return f"{text} ({' and '.join(causes)} of {msg.width}x{msg.height})"

    def K(self) -> np.ndarray:
        return self._intrinsics("K", np.reshape(self._msg.k, (3, 3)))

    def P(self) -> np.ndarray:
        P = np.reshape(self._msg.p, (3, 4))
        self.require(bool(np.isfinite(P).all()), "P is not finite")
        return self._intrinsics("P", P[:, :3])

    def _intrinsics(self, field: str, K: np.ndarray) -> np.ndarray:
        """Either matrix with pixel centres at integer + 0.5."""
        self.require(bool(np.isfinite(K).all()), f"{field} is not finite")
        self.require(K.any(), f"{field} is zero: not calibrated")
        fx, fy = K[0, 0], K[1, 1]
        self.require(
            fx > 0 and fy > 0,
            f"{field} is singular or negative, focal lengths {fx:g}, {fy:g} must be positive",
        )
        form = not K[1:, 0].any() and K[2, 1] == 0 and K[2, 2] == 1
        self.require(form, f"{field} is not of the form [fx s cx; 0 fy cy; 0 0 1]")
        for focal, side in ((fx, self._msg.width), (fy, self._msg.height)):
            self.require(
                WIDEST * side < focal < NARROWEST * side,
                f"{field} has a focal length of {focal:g} for {side} pixels: is it in pixels?",
            )
        return opencv_to_K(K)

    def lens(self) -> Lens:
        """Distortion model, D and R; NO_LENS itself where they change nothing."""
        model, D, R = self.model(), self.D(), self.R()
        bends = model == FISHEYE or D.any() or not np.array_equal(R, np.eye(3))
        return (model, D, R) if bends else NO_LENS

    def model(self) -> str:
        """The distortion model; plumb_bob where there is none."""
        name = self._msg.distortion_model
        if name.lower() in NO_MODEL and not any(self._msg.d):
            return "plumb_bob"
        self.require(
            name in COEFFICIENTS,
            f"distortion model {name!r} is not one of {', '.join(COEFFICIENTS)}: "
            f"rectify the images, set rectified: true",
        )
        return name

    def D(self) -> np.ndarray:
        """As many values as the model has. More of them must be zero, none stand for zeros."""
        D = np.array(self._msg.d, np.float64)
        self.require(bool(np.isfinite(D).all()), "D is not finite")
        lengths = COEFFICIENTS[self.model()]
        if not D.any():
            return np.zeros(lengths[0])
        used = int(np.flatnonzero(D)[-1]) + 1
        enough = next((n for n in lengths if len(D) == n), None)
        if enough is None and len(D) > lengths[-1] >= used:
            enough = lengths[-1]
        known = " or ".join(map(str, lengths))
        self.require(
            enough is not None,
            f"D has {len(D)} values, {self._msg.distortion_model} has {known}",
        )
        return D[:enough]

    def R(self) -> np.ndarray:
        """Zeros, as uncalibrated drivers send them, stand for no turn."""
        R = np.reshape(self._msg.r, (3, 3))
        if not R.any():
            return np.eye(3)
        self.require(bool(np.isfinite(R).all()) and is_rotation(R), "R is not a rotation")
        return R.copy()
