"""Where a camera sees its own vehicle, found from a drive: what stands still while the world moves.

Three signs, at a width of WORKING_WIDTH_PX. Change: how much a pixel's surroundings differ from one
frame to the next; bodywork changes less than any road. Persistent edges: the outline of the
vehicle stands at the same place in every frame. A lane line does too, but only where it points
along the drive, so such edges count for less. Place: the vehicle comes in from the bottom, or from
the lower half of a side, and stays below the horizon; a still sky does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fsmde_core.rig import Camera

WORKING_WIDTH_PX = 480
LEVELS = 8.0  # tone = LEVELS * sqrt(grey): the noise of a sensor is then the same, dark or bright
BANDS_PX = ((1.0, 5.0), (2.0, 10.0))  # differences of Gaussians: details, without the exposure
MOVED = 0.3  # change, in tones, that noise does not reach
STILL = 0.12  # change that hardly a road stays below
THRESHOLDS = (0.15, 0.5)  # change between body and world lies in here, whatever the histogram says
CAUTION = 0.7  # of the histogram's threshold: dull asphalt lies just below it
PERSISTENCE = (0.5, 1.5)  # mean gradient over its spread in time: no edge, surely an edge
FAINT = 0.3  # mean gradient, tones a pixel, up to which an edge counts for less
SHADING_PX = 8.0  # gradients wider than this are no edges
ALONG_SINE = 0.3  # edges nearer than this to the direction of travel stand still on any road
NEAR_HORIZON_DEG = 8.0  # a body so little below the horizon would be far away
MIN_STILL, MIN_EDGE, MIN_MOVED = 0.04, 0.5, 0.5  # shares: of the body, its outline, the world
MIN_AREA = 0.002  # smaller parts, as a share of the image, are specks
GROWN_PX = 3  # at working size: the outline is blurred, and a missed rim costs more than some road
WORLD = 0.3  # cost of a pixel that changes; less than 1, as shadows pass over the vehicle too
SIDE_CAUTION = 17.0  # times that, for what comes in from a side: it does not lie behind the road
UNSEEN = 50.0  # cost of a pixel that cannot be body
AREA = 6.0  # weight of what an outline has below it, a column of the image's height
OUTLINE = 0.8  # weight of the outline, a column
STEP = 0.8  # cost of a pixel up or down from one column to the next, where no edge is


@dataclass(frozen=True, eq=False)
class FoundBody:
    """What a drive says about one camera."""

    body: np.ndarray
    """[height, width] bool at the camera's size, True where it sees its own vehicle."""
    world_moved: float
    """Share of the rest below the horizon that changed."""

    @property
    def sure(self) -> bool:
        """Whether enough of the world moved; if not, body is all False."""
        return self.world_moved >= MIN_MOVED


def working_size(width: int, height: int) -> tuple[int, int]:
    """Width and height at which an image of these is looked at."""
    scale = min(1.0, WORKING_WIDTH_PX / width)
    return round(width * scale), max(1, round(height * scale))


def working_grey(image: np.ndarray) -> np.ndarray:
    """An image [H, W, 3] uint8 RGB as grey [h, w] uint8 at working size."""
    small = cv2.resize(image, working_size(*image.shape[1::-1]), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)


def moved_share(pairs: np.ndarray) -> np.ndarray:
    """Share [P] of each pair's pixels that changed; pairs [P, 2, h, w] uint8, see find_body."""
    shares = [np.mean(np.abs(_band_change(a, b, BANDS_PX[0])) > MOVED) for a, b in pairs]
    return np.array(shares)


def find_body(pairs: np.ndarray, camera: Camera) -> FoundBody:
    """The vehicle in one camera's view.

    pairs [P, 2, h, w] uint8: working_grey of two frames shortly after each other, P moments spread
    over a drive in which the vehicle moved at all of them (see moved_share). The camera's K and
    pose say where the horizon is and which way the drive goes.
    """
    height, width = pairs.shape[2:]
    small = camera.resized(width, height)
    direction, below_deg = _geometry(small)
    change, edge = _change(pairs), _persistent_edges(pairs[:, 0], direction)
    blind = np.mean((pairs[:, 0] >= 250) | (pairs[:, 0] <= 4), axis=0) > 0.5
    region = _region_cost(change, below_deg, blind)
    mask = np.zeros((height, width), bool)
    for turns in (0, 1, -1):  # from the bottom, from the left, from the right
        cost = region.copy()
        if turns:
            cost = np.where(cost > 0, SIDE_CAUTION * cost, cost)
            cost[: height // 2] = UNSEEN
        outline = _cheapest_outline(np.rot90(cost, turns), np.rot90(edge, turns))
        mask |= np.rot90(outline, -turns)
    mask = _likely_parts(mask, change, edge, blind)
    rest = (below_deg > 0) & ~mask
    world_moved = float(np.mean(change[rest] > MOVED)) if rest.any() else 0.0
    if world_moved < MIN_MOVED:
        mask[:] = False
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((2 * GROWN_PX + 1,) * 2, np.uint8))
    size = (camera.width, camera.height)
    body = cv2.resize(grown, size, interpolation=cv2.INTER_NEAREST).astype(bool)
    return FoundBody(body, world_moved)


def _tones(grey: np.ndarray) -> np.ndarray:
    return LEVELS * np.sqrt(grey.astype(np.float32))


def _band_change(before: np.ndarray, after: np.ndarray, band_px: tuple) -> np.ndarray:
    """Difference [h, w] of two grey images within a band of sizes, in tones."""
    change = _tones(after) - _tones(before)
    fine, coarse = (cv2.GaussianBlur(change, (0, 0), sigma) for sigma in band_px)
    return fine - coarse


def _change(pairs: np.ndarray) -> np.ndarray:
    """Median change [h, w] from the first to the second frames, over the pairs and both bands.

    The median, so that a shadow or a reflection may pass over the vehicle now and then.
    """
    product = 1.0
    for band_px in BANDS_PX:
        changes = np.stack([np.abs(_band_change(a, b, band_px)) for a, b in pairs])
        product = product * np.median(changes, axis=0)
    return np.maximum(cv2.GaussianBlur(np.sqrt(product), (0, 0), 1.0), 1e-3)


def _geometry(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Direction [2, h, w] in which a vehicle that goes straight on moves the image, of length 1,
    and the angle [h, w] of each pixel's ray below the horizon, in degrees."""
    columns, rows = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    ahead, up = camera.T_ego_cam[0, :3], camera.T_ego_cam[2, :3]
    x, y, w = camera.K @ ahead  # the point that all of the world comes from, at x / w, y / w
    flow = np.stack([x - columns * w, y - rows * w])
    pixels = np.stack([columns, rows, np.ones_like(rows)])
    rays = np.tensordot(np.linalg.inv(camera.K), pixels, axes=1)
    sine = -np.tensordot(up, rays / np.linalg.norm(rays, axis=0), axes=1)
    return flow / (np.linalg.norm(flow, axis=0) + 1e-9), np.degrees(np.arcsin(sine))


def _persistent_edges(grey: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """How surely an edge stands still [h, w], 0 to 1; at most 0.5 along the direction of travel.

    grey [P, h, w] uint8; direction as _geometry gives it.
    """
    sums = np.zeros((5, *grey.shape[1:]), np.float32)
    for frame in grey:
        tones = cv2.GaussianBlur(_tones(frame), (0, 0), 1.0)
        gx = cv2.Sobel(tones, cv2.CV_32F, 1, 0, scale=1 / 8)
        gy = cv2.Sobel(tones, cv2.CV_32F, 0, 1, scale=1 / 8)
        sums += np.stack([gx, gy, gx * gx, gy * gy, gx * gy])
    gx, gy, xx, yy, xy = sums / len(grey)
    xx, yy, xy = xx - gx * gx, yy - gy * gy, xy - gx * gy
    gx, gy = (g - cv2.GaussianBlur(g, (0, 0), SHADING_PX) for g in (gx, gy))
    strongest, persistence, sine = (np.zeros(grey.shape[1:], np.float32) for _ in range(3))
    for angle in np.arange(12) * np.pi / 12:
        nx, ny = -np.sin(angle), np.cos(angle)
        kernel = _line_kernel(angle)
        mean = np.abs(cv2.filter2D(nx * gx + ny * gy, -1, kernel))
        spread = np.maximum(nx * nx * xx + ny * ny * yy + 2 * nx * ny * xy, 0)
        ratio = mean / np.sqrt(cv2.filter2D(spread, -1, kernel) + 0.04**2)
        better = mean > strongest
        strongest = np.where(better, mean, strongest)
        persistence = np.where(better, ratio, persistence)
        sine = np.where(better, np.abs(nx * direction[0] + ny * direction[1]), sine)
    low, high = PERSISTENCE
    edge = np.clip((persistence - low) / (high - low), 0, 1) * np.clip(strongest / FAINT, 0, 1)
    edge = np.where(sine < ALONG_SINE, np.minimum(edge, 0.5), edge)
    return cv2.dilate(edge.astype(np.float32), np.ones((3, 3), np.uint8))


def _line_kernel(angle: float) -> np.ndarray:
    """Weights [15, 15] along a line through the middle; they sum to 1."""
    columns, rows = np.meshgrid(np.arange(-7, 8), np.arange(-7, 8))
    along = columns * np.cos(angle) + rows * np.sin(angle)
    across = rows * np.cos(angle) - columns * np.sin(angle)
    kernel = np.exp(-0.5 * (across / 0.7) ** 2 - 0.5 * (along / 3.75) ** 2)
    return (kernel / kernel.sum()).astype(np.float32)


def _region_cost(change: np.ndarray, below_deg: np.ndarray, blind: np.ndarray) -> np.ndarray:
    """What it costs [h, w] to call a pixel body: -1 where it surely is, WORLD where it seems not.

    blind: pixels that are mostly black or white and would not show a change.
    """
    known = (below_deg > 0) & ~blind
    threshold = THRESHOLDS[0]
    if known.any():
        threshold = float(np.clip(np.exp(_otsu(np.log(change[known]))), *THRESHOLDS))
    cost = np.clip(np.log(change / (CAUTION * threshold)), -1, WORLD)
    near_horizon = np.clip(below_deg / NEAR_HORIZON_DEG, 0, 1)
    cost = np.where(cost < 0, cost * near_horizon, cost)
    cost = np.where(blind, np.maximum(cost, 0), cost)
    return np.where(below_deg > 0, cost, np.maximum(cost, WORLD))


def _otsu(values: np.ndarray) -> float:
    """The value that parts a histogram in two with the least spread within the parts."""
    counts, borders = np.histogram(values, 64)
    centres = (borders[1:] + borders[:-1]) / 2
    weight = np.cumsum(counts / counts.sum())
    moment = np.cumsum(counts / counts.sum() * centres)
    between = (moment[-1] * weight - moment) ** 2 / np.maximum(weight * (1 - weight), 1e-9)
    return float(centres[np.argmax(between)])


def _cheapest_outline(cost: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """The region [h, w] bool below one outline, a row a column, that costs least.

    A row costs what is below it, and something (or less than nothing) as there is little (or much)
    of a persistent edge; stepping up or down from one column to the next costs where no edge is.
    An outline below the last row, for no body, costs nothing. Dynamic programming over columns.
    """
    height, width = cost.shape
    inside = np.cumsum(cost[::-1] * (AREA / height), axis=0)[::-1] + OUTLINE * (1 - 2 * edge)
    inside = np.vstack([inside, np.zeros((1, width))])
    steps = np.cumsum(STEP * (1 - edge) + 0.002, axis=0)
    steps = np.vstack([np.zeros((1, width)), steps])
    rows = np.arange(height + 1)
    total, came_from = inside[:, 0], []
    for column in range(1, width):
        down, up = total - steps[:, column], (total + steps[:, column])[::-1]
        best_down, best_up = np.minimum.accumulate(down), np.minimum.accumulate(up)
        row_down = np.maximum.accumulate(np.where(down <= best_down, rows, 0))
        row_up = height - np.maximum.accumulate(np.where(up <= best_up, rows, 0))[::-1]
        cost_down = best_down + steps[:, column]
        cost_up = best_up[::-1] - steps[:, column]
        came_from.append(np.where(cost_down <= cost_up, row_down, row_up))
        total = np.minimum(cost_down, cost_up) + inside[:, column]
    outline = [int(np.argmin(total))]
    for sources in reversed(came_from):
        outline.append(int(sources[outline[-1]]))
    return rows[:-1, None] >= np.array(outline[::-1])


def _likely_parts(
    mask: np.ndarray, change: np.ndarray, edge: np.ndarray, blind: np.ndarray
) -> np.ndarray:
    """The parts of a mask that are large, still enough, and have an edge around them; no holes."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    kept = np.zeros(mask.shape, np.uint8)
    height, width = mask.shape
    for contour in contours:
        part = np.zeros(mask.shape, np.uint8)
        cv2.drawContours(part, [contour], -1, 1, cv2.FILLED)
        columns, rows = contour[:, 0].T
        inner = (columns > 0) & (columns < width - 1) & (rows > 0) & (rows < height - 1)
        seen = (part > 0) & ~blind
        still = seen.any() and np.mean(change[seen] < STILL) >= MIN_STILL
        edged = inner.any() and edge[rows[inner], columns[inner]].mean() >= MIN_EDGE
        if part.mean() >= MIN_AREA and still and edged:
            kept |= part
    return kept > 0


def overview(
    images: Sequence[np.ndarray], bodies: Sequence[np.ndarray], captions: Sequence[str]
) -> np.ndarray:
    """One picture to judge N masks by, uint8 RGB, three cameras a row.

    images N x [H, W, 3] uint8 RGB, each the mean of a drive; bodies N x [H, W] bool, drawn red with
    a yellow outline.
    """
    cell = (640, 400)
    cells = [_judged(*camera, cell) for camera in zip(images, bodies, captions)]
    across = min(3, len(cells))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % across)
    return np.vstack([np.hstack(cells[i : i + across]) for i in range(0, len(cells), across)])


def _judged(image: np.ndarray, body: np.ndarray, caption: str, cell: tuple) -> np.ndarray:
    """One camera's cell, the caption below the image."""
    width, height = cell[0], cell[1] - 30
    scale = min(width / body.shape[1], height / body.shape[0])
    size = (round(body.shape[1] * scale), round(body.shape[0] * scale))
    picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    shown = cv2.resize(body.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    picture = np.where(shown[..., None] > 0, picture // 2 + np.uint8([112, 0, 0]), picture)
    contours, _ = cv2.findContours(shown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, (255, 220, 0), 2)
    judged = np.zeros((cell[1], width, 3), np.uint8)
    judged[: size[1], : size[0]] = picture
    at, white = (8, cell[1] - 10), (255, 255, 255)
    cv2.putText(judged, caption, at, cv2.FONT_HERSHEY_SIMPLEX, 0.55, white, 1, cv2.LINE_AA)
    return judged
