"""Pictures: depth in colour, the rig's images over its depths, the cloud from above."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fsmde_core.geometry import project
from fsmde_core.rig import Rig

NEAR_M, FAR_M = 2.0, 80.0  # ends of the colour scale, logarithmic in between
BACKGROUND = 24
TOP_VIEW_HEIGHT_M = 4.0  # points above would hide the street
ERROR_SCALE = 0.5  # relative error shown as white
CHANGE_LOG = 0.3  # of a depth between two models, shown in full colour
BLUE = (31, 95, 180)
ORANGE = (255, 170, 0)
VEHICLE = ((-1.0, -0.95, 0.1), (3.7, 0.95, 1.5))  # corners of a box in the ego frame, metres
DRONE_M, DRONE_PITCH_RAD = (-12.0, 0.0, 7.0), np.deg2rad(19)
DRONE_DOT_M, DRONE_DOT_PX = 0.05, 4  # half the side of a point, at most so many pixels

_LEVELS = np.arange(256, dtype=np.uint8)[None]
TURBO = cv2.cvtColor(cv2.applyColorMap(_LEVELS, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)[0]
"""[256, 3] uint8 RGB, from blue over green to red; OpenCV makes its table anew at every call."""


def colour_depth(depth: np.ndarray) -> np.ndarray:
    """Depth [H, W] in metres as uint8 RGB: red near, blue far, black where NaN or not positive."""
    valid = np.nan_to_num(depth, nan=0.0) > 0
    share = np.log(np.where(valid, depth, NEAR_M) / NEAR_M) / np.log(FAR_M / NEAR_M)
    levels = (255 * (1 - 0.92 * np.clip(share, 0, 1))).astype(np.uint8)
    return np.where(valid[..., None], TURBO[levels], 0).astype(np.uint8)


def view_from_above(
    xyz: np.ndarray,
    rgb: np.ndarray,
    *,
    width: int,
    height: int,
    ahead_m: float = 55.0,
    behind_m: float = 35.0,
) -> np.ndarray:
    """The cloud seen from above, forward to the right, as uint8 RGB [height, width, 3].

    xyz [P, 3] in the ego frame, metres; rgb [P, 3] uint8. Higher points cover lower ones; a ring
    every 10 m and the vehicle are drawn in.
    """
    scale = width / (ahead_m + behind_m)
    picture = np.full((height, width, 3), BACKGROUND, np.uint8)
    centre = (round(behind_m * scale), height // 2)
    for radius_m in range(10, int(max(ahead_m, behind_m)) + 1, 10):
        cv2.circle(picture, centre, round(radius_m * scale), (64, 64, 64), 1, cv2.LINE_AA)
        label_at = (centre[0] + round(radius_m * scale) + 4, centre[1] - 4)
        _write(picture, f"{radius_m} m", label_at, size=0.4, colour=(120, 120, 120))
    column = np.floor(centre[0] + xyz[:, 0] * scale).astype(int)
    row = np.floor(centre[1] - xyz[:, 1] * scale).astype(int)
    shown = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    shown &= xyz[:, 2] < TOP_VIEW_HEIGHT_M
    low_first = np.argsort(xyz[shown, 2])
    row, column, rgb = row[shown][low_first], column[shown][low_first], rgb[shown][low_first]
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):  # two pixels a point, so that it is seen
        at = np.minimum(row + down, height - 1), np.minimum(column + right, width - 1)
        picture[at] = rgb
    (tail, right, _), (nose, left, _) = (np.round(np.array(c) * scale).astype(int) for c in VEHICLE)
    corners = ((centre[0] + tail, centre[1] - left), (centre[0] + nose, centre[1] - right))
    cv2.rectangle(picture, *corners, ORANGE, 2, cv2.LINE_AA)
    return picture


def view_from_behind(xyz: np.ndarray, rgb: np.ndarray, *, width: int, height: int) -> np.ndarray:
    """The cloud as a drone 12 m behind and 7 m up sees it, as uint8 RGB [height, width, 3].

    xyz [P, 3] in the ego frame, metres; rgb [P, 3] uint8. Nearer points are larger and cover
    further ones.
    """
    picture = np.full((height, width, 3), BACKGROUND, np.uint8)
    nearest = np.full((height, width), np.inf)
    pixels, depth = _chase(xyz, width, height)
    shown = (depth > 2.0) & (pixels >= 0).all(axis=1) & (pixels < (width, height)).all(axis=1)
    depth, rgb, (column, row) = depth[shown], rgb[shown], pixels[shown].astype(int).T
    half_px = np.minimum(DRONE_DOT_M * width / depth, DRONE_DOT_PX).astype(int)
    steps = range(-DRONE_DOT_PX, DRONE_DOT_PX + 1)
    for down, right in ((d, r) for d in steps for r in steps):
        large = np.flatnonzero(half_px >= max(abs(down), abs(right)))
        at = np.clip(row[large] + down, 0, height - 1), np.clip(column[large] + right, 0, width - 1)
        np.minimum.at(nearest, at, depth[large])
        first = depth[large] == nearest[at]
        picture[at[0][first], at[1][first]] = rgb[large[first]]
    _draw_vehicle(picture, width, height)
    return picture


def surround_panel(
    images: Sequence[np.ndarray],
    depths: Sequence[np.ndarray],
    rig: Rig,
    *,
    xyz: np.ndarray,
    rgb: np.ndarray,
    caption: str,
    width: int = 1920,
) -> np.ndarray:
    """One picture of one set, uint8 RGB: N images over N depths, the cloud from behind and above.

    images N x [H, W, 3] uint8 RGB and depths N x [H, W] in metres, in the rig's order; shown from
    the left rear over the front to the right rear, so that neighbours stand side by side.
    """
    from_left = sorted(range(len(rig.cameras)), key=lambda i: -rig.cameras[i].azimuth_rad)
    rear = [i for i in from_left if rig.cameras[i].azimuth_rad > np.deg2rad(150)]
    order = [i for i in from_left if i not in rear] + rear
    cell_width = width // len(order)
    columns = []
    for i in order:
        camera = rig.cameras[i]
        size = (cell_width, round(cell_width * camera.height / camera.width))
        image = cv2.resize(images[i], size, interpolation=cv2.INTER_AREA)
        _write(image, camera.name, (8, 20), size=0.5, colour=(255, 255, 255))
        depth = cv2.resize(colour_depth(depths[i]), size, interpolation=cv2.INTER_AREA)
        columns.append(np.vstack([image, depth]))
    tallest = max(column.shape[0] for column in columns)
    columns = [_padded(column, tallest, cell_width) for column in columns]
    panel = _padded(np.hstack(columns), tallest, width)
    split, below = round(width * 0.58), round(width * 0.34)
    behind = view_from_behind(xyz, rgb, width=split, height=below)
    above = view_from_above(
        xyz, rgb, width=width - split, height=below, ahead_m=40.0, behind_m=22.0
    )
    _write(behind, caption, (12, 24), size=0.55, colour=(230, 230, 230))
    _draw_scale(above)
    return np.vstack([panel, np.hstack([behind, above])])


def _chase(xyz: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [P, 2] and depth [P] of points in the ego frame, as the drone sees them."""
    sin, cos = np.sin(DRONE_PITCH_RAD), np.cos(DRONE_PITCH_RAD)
    R_cam_ego = np.array([[0, -1, 0], [-sin, 0, -cos], [cos, 0, -sin]])
    focal_px = 0.62 * width
    K = np.array([[focal_px, 0, width / 2], [0, focal_px, height * 0.42], [0, 0, 1]])
    return project((xyz - DRONE_M) @ R_cam_ego.T, K)


def _draw_vehicle(picture: np.ndarray, width: int, height: int) -> None:
    """The vehicle's box, as the drone sees it."""
    corners = np.array(np.meshgrid(*zip(*VEHICLE), indexing="ij")).reshape(3, 8).T
    pixels, _ = _chase(corners, width, height)
    for a in range(8):
        for axis in (1, 2, 4):
            if not a & axis:
                ends = (tuple(int(v) for v in pixels[i]) for i in (a, a | axis))
                cv2.line(picture, *ends, ORANGE, 2, cv2.LINE_AA)


def _padded(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    padded = np.full((height, width, 3), BACKGROUND, np.uint8)
    padded[: picture.shape[0], : picture.shape[1]] = picture
    return padded


def _draw_scale(picture: np.ndarray) -> None:
    """The depth colours with their metres, in the lower right corner."""
    metres = np.geomspace(NEAR_M, FAR_M, 240)
    bar = np.repeat(colour_depth(metres[None]), 14, axis=0)
    bottom, right = picture.shape[0] - 30, picture.shape[1] - 20
    picture[bottom - 14 : bottom, right - 240 : right] = bar
    for label in (2, 5, 10, 20, 40, 80):
        at = right - 240 + int(np.searchsorted(metres, label * 0.999))
        _write(picture, f"{label}", (at - 6, bottom + 16), size=0.4, colour=(230, 230, 230))


def _write(picture, text: str, at: tuple[int, int], *, size: float, colour: tuple) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(picture, text, at, font, size, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(picture, text, at, font, size, colour, 1, cv2.LINE_AA)


def evaluation_panel(
    images: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    depths_gt: Sequence[np.ndarray],
    names: Sequence[str],
    *,
    caption: str,
    cell_width: int = 400,
) -> np.ndarray:
    """Image, predicted depth, ground truth and error of N cameras, as uint8 RGB; a row a camera.

    images N x [H, W, 3] uint8 RGB, predictions and depths_gt N x [H, W] in metres; depths_gt is 0
    where nothing is known or counts. Error: |p - d| / d, from black (0) to white (0.5 and more).
    """
    rows = []
    for image, prediction, depth_gt, name in zip(images, predictions, depths_gt, names):
        size = (cell_width, round(cell_width * image.shape[0] / image.shape[1]))
        truth = _grown(depth_gt, size)
        predicted = cv2.resize(prediction, size, interpolation=cv2.INTER_LINEAR)
        relative = np.abs(predicted - truth) / np.where(truth > 0, truth, 1)
        levels = (255 * np.clip(relative / ERROR_SCALE, 0, 1)).astype(np.uint8)
        error = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
        error[truth <= 0] = BACKGROUND
        picture = _named(image, name, size)
        rows.append(np.hstack([picture, colour_depth(predicted), colour_depth(truth), error]))
    titles = "image", "predicted", "ground truth", "relative error"
    return _headed(rows, caption, titles, cell_width)


def before_and_after(
    images: Sequence[np.ndarray],
    before: Sequence[np.ndarray],
    after: Sequence[np.ndarray],
    names: Sequence[str],
    *,
    caption: str,
    cell_width: int = 480,
) -> np.ndarray:
    """Image, the depths of two models, and what changed, of N cameras, as uint8 RGB; a row a
    camera, and the colours' metres below.

    images N x [H, W, 3] uint8 RGB, before and after N x [H, W] in metres.
    """
    rows = []
    for image, *depths, name in zip(images, before, after, names):
        size = (cell_width, round(cell_width * image.shape[0] / image.shape[1]))
        pictures = [*(colour_depth(d) for d in depths), _colour_change(*depths)]
        pictures = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pictures]
        rows.append(np.hstack([_named(image, name, size), *pictures]))
    foot = np.full((60, 4 * cell_width, 3), BACKGROUND, np.uint8)
    _draw_scale(foot)
    _write(foot, "depth in metres", (foot.shape[1] - 400, 28), size=0.45, colour=(170, 170, 170))
    share = f"{np.expm1(CHANGE_LOG):.0%}"
    titles = ("image", "before", "after", f"change: orange nearer, blue farther, full at {share}")
    return _headed([*rows, foot], caption, titles, cell_width)


def _colour_change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The logarithm of after / before [H, W] as uint8 RGB; dark where a depth is not known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.log(after / before)
    known = np.isfinite(change)
    share = np.clip(np.where(known, change, 0) / CHANGE_LOG, -1, 1)[..., None]
    colours = np.where(share < 0, ORANGE, BLUE)
    mixed = 255 + np.abs(share) * (colours - 255.0)
    return np.where(known[..., None], mixed, BACKGROUND).astype(np.uint8)


def _named(image: np.ndarray, name: str, size: tuple[int, int]) -> np.ndarray:
    """An image at that (width, height), with its camera's name in the corner."""
    picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _write(picture, name, (8, 20), size=0.5, colour=(255, 255, 255))
    return picture


def _headed(
    rows: Sequence[np.ndarray], caption: str, titles: Sequence[str], cell_width: int
) -> np.ndarray:
    """Rows of cells below a caption and a title for each column."""
    head = np.full((64, len(titles) * cell_width, 3), BACKGROUND, np.uint8)
    _write(head, caption, (12, 24), size=0.5, colour=(230, 230, 230))
    for column, title in enumerate(titles):
        _write(head, title, (column * cell_width + 12, 52), size=0.45, colour=(170, 170, 170))
    return np.vstack([head, *rows])


def _grown(depth_gt: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Sparse depth at another size, every point some pixels wide so that it is seen."""
    rows, columns = np.nonzero(depth_gt > 0)
    height, width = depth_gt.shape
    small = np.full((size[1], size[0]), np.inf, np.float32)
    at = rows * size[1] // height, columns * size[0] // width
    np.minimum.at(small, at, depth_gt[rows, columns])
    # the nearest covers what is around it
    small = cv2.erode(small, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return np.where(np.isfinite(small), small, 0)


def line_chart(
    x: np.ndarray, y: np.ndarray, *, title: str, x_label: str, width: int = 960, height: int = 540
) -> np.ndarray:
    """y over x as uint8 RGB [height, width, 3]; x ascending from 0, y >= 0, gaps where y is NaN."""
    chart = np.full((height, width, 3), 255, np.uint8)
    left, top, right, bottom = 70, 50, width - 30, height - 60
    known = y[np.isfinite(y)]
    x_top, y_top = _round_up(float(x.max())), _round_up(float(known.max()) if len(known) else 1.0)
    for i in range(6):
        at_x, at_y = left + (right - left) * i // 5, bottom - (bottom - top) * i // 5
        cv2.line(chart, (left, at_y), (right, at_y), (225, 225, 225), 1)
        cv2.line(chart, (at_x, top), (at_x, bottom), (225, 225, 225), 1)
        _label(chart, f"{x_top * i / 5:g}", (at_x - 10, bottom + 22))
        _label(chart, f"{y_top * i / 5:.3g}", (left - 56, at_y + 5))
    points = np.stack([left + (right - left) * x / x_top, bottom - (bottom - top) * y / y_top], -1)
    for a, b in zip(points, points[1:]):
        if np.isfinite([a, b]).all():
            cv2.line(chart, *(tuple(int(v) for v in p) for p in (a, b)), BLUE, 2, cv2.LINE_AA)
    for point in points[np.isfinite(points).all(axis=-1)]:
        cv2.circle(chart, tuple(int(v) for v in point), 4, BLUE, -1, cv2.LINE_AA)
    _label(chart, title, (left, 30))
    _label(chart, x_label, ((left + right) // 2 - 60, height - 15))
    return chart


def _label(chart: np.ndarray, text: str, at: tuple[int, int]) -> None:
    cv2.putText(chart, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten, so that fifths are round numbers."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-6)))
    return float(next(step * power for step in (1, 2, 2.5, 5, 10) if value <= step * power * 1.001))
