"""What a recording has to learn from: sets of images with stamps and poses, not yet read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fsmde_core.data.drive import DriveWriter, unknown_licence
from fsmde_core.geometry import invert_transform, motion_between
from fsmde_core.rig import Rig

STEP_M = 0.1  # from one moment to the next, at least
MOST_MOMENTS = 300
FEWEST_MOMENTS = 12  # with fewer there is nothing to leave out for judging
RUN = 12  # moments in a row where not all are taken: neighbours in time are what is compared
IN_MOTION_M_S = 0.3
GAP_NS = 2_000_000_000  # moments further apart are not in a row


class AdaptError(ValueError):
    """Sources, or a model, that cannot be used; the message is a sentence for the user."""


@dataclass(frozen=True)
class Source:
    """A recording: S sets of an image of each of the rig's N cameras, in time order."""

    name: str
    rig: Rig
    """The cameras of the images that come, undistorted."""
    stamps_ns: Sequence[tuple[int, ...]]
    """S x N, each camera's own."""
    T_world_ego: np.ndarray
    """[S, N, 4, 4], metres: the vehicle's pose at each of them."""
    images: Callable[[Sequence[int]], Iterator[list[np.ndarray] | None]]
    """Numbers of sets, ascending -> N images [H, W, 3] uint8 RGB of each, None where one of them is
    broken."""
    motion: str
    """What says how the vehicle moves, in words."""
    rates_hz: tuple[float, ...]
    """N, of each camera's images."""
    notes: tuple[str, ...] = ()
    """What should be known of it, a sentence each."""
    licence: str = ""


@dataclass(frozen=True)
class Movement:
    """How the vehicle of a recording moves."""

    seconds: float
    metres: float
    moving: float
    """Share of the time at more than IN_MOTION_M_S."""


def movement(source: Source) -> Movement:
    """How its vehicle moves, by the poses of its first camera."""
    if len(source.stamps_ns) < 2:
        return Movement(0.0, 0.0, 0.0)
    stamps_ns = [stamps[0] for stamps in source.stamps_ns]
    seconds = np.array([(b - a) / 1e9 for a, b in zip(stamps_ns, stamps_ns[1:])])
    metres = np.linalg.norm(np.diff(source.T_world_ego[:, 0, :3, 3], axis=0), axis=1)
    known = (seconds > 0) & (seconds < GAP_NS / 1e9)  # between runs, nobody knows
    moves = metres > IN_MOTION_M_S * seconds
    total = float(seconds[known].sum())
    moving = float(seconds[known & moves].sum() / total) if total else 0.0
    return Movement(total, float(metres[known & moves].sum()), moving)


def choose(source: Source, *, step_m: float = STEP_M, most: int = MOST_MOMENTS) -> list[int]:
    """The sets that are learnt from: at least step_m apart; where there are more than `most`, so
    many of them, in two or more runs of about RUN that are spread over the drive, to its end."""
    chosen: list[int] = []
    places = source.T_world_ego[:, 0, :3, 3]
    for i, place in enumerate(places):
        if not chosen or np.linalg.norm(place - places[chosen[-1]]) >= step_m:
            chosen.append(i)
    if len(chosen) <= most:
        return chosen
    runs = max(2, round(most / RUN))
    passed_over = np.linspace(0, len(chosen) - most, runs).astype(int)  # before each run, in all
    taken = np.array_split(np.arange(most), runs)
    return [chosen[k] for run, before in zip(taken, passed_over) for k in run + before]


def check_moving(source: Source, chosen: Sequence[int]) -> None:
    """AdaptError where the vehicle stands still, or nearly so."""
    if len(chosen) >= FEWEST_MOMENTS:
        return
    notes = "".join(f"; {note}" for note in source.notes)
    if (count := len(source.stamps_ns)) < FEWEST_MOMENTS:
        raise AdaptError(
            f"{source.name} has an image of every camera at {count} moments, {FEWEST_MOMENTS} are "
            f"needed: record a drive, ten images a second{notes}"
        )
    how = movement(source)
    why = "drive longer, or take a smaller --step"
    if how.moving < 0.5:
        why = (
            "a vehicle that stands still shows every camera one picture, which teaches nothing (or "
            "is odometry in kilometres?)"
        )
    raise AdaptError(
        f"{source.name}: the vehicle moves {how.metres:.1f} m in {how.seconds:.0f} s by "
        f"{source.motion}, which gives {len(chosen)} moments, {FEWEST_MOMENTS} are needed: "
        f"{why}{notes}"
    )


def write_drive(
    sources: Sequence[Source], chosen: Sequence[Sequence[int]], path: Path
) -> list[int]:
    """The chosen sets of all sources as one drive folder, whole or not at all; how many of each
    source are in it, as those with a broken image are left out.

    AdaptError if their rigs differ; DatasetError or the source's own for an image that is broken.
    """
    first = sources[0]
    for source in sources[1:]:
        if not _same(source.rig, first.rig):
            raise AdaptError(f"{source.name} has another rig than {first.name}: adapt to one rig")
    licences = sorted({source.licence or unknown_licence(source.name) for source in sources})
    about = {
        "source": ", ".join(source.name for source in sources),
        "licence": " and ".join(licences),
    }
    total, written = sum(len(sets) for sets in chosen), [0] * len(sources)
    path.parent.mkdir(parents=True, exist_ok=True)
    bar = tqdm(total=total, desc="images", unit="moment", disable=None)
    with bar, DriveWriter(path, first.rig, **about) as writer:
        for k, (source, sets) in enumerate(zip(sources, chosen)):
            for i, images in zip(sets, source.images(sets), strict=True):
                if images is not None:
                    writer.add(images, source.stamps_ns[i], source.T_world_ego[i])
                    written[k] += 1
                bar.update()
    return written


def _same(a: Rig, b: Rig) -> bool:
    """Whether two rigs are one, but for what calibrations differ by."""
    sizes = [[(c.width, c.height) for c in rig.cameras] for rig in (a, b)]
    if a.names != b.names or sizes[0] != sizes[1]:
        return False
    return np.allclose(a.K, b.K, rtol=1e-3) and np.allclose(a.T_ego_cam, b.T_ego_cam, atol=1e-3)


def sets_of(stamps_ns: Sequence[np.ndarray]) -> np.ndarray:
    """[S, N] which images of N cameras belong together: nearest to those of the slowest one.

    stamps_ns: N x [images] int64, ascending. An image of the slowest camera to which another has
    none within half a period is in no set.
    """
    if min(len(stamps) for stamps in stamps_ns) < 2:
        return np.zeros((0, len(stamps_ns)), int)
    slowest = min(stamps_ns, key=len)
    columns = []
    for stamps in stamps_ns:
        after = np.clip(np.searchsorted(stamps, slowest), 1, len(stamps) - 1)
        before_is_nearer = slowest - stamps[after - 1] < stamps[after] - slowest
        columns.append(after - before_is_nearer)
    sets = np.stack(columns, axis=1)
    off = np.stack([np.abs(s[i] - slowest) for s, i in zip(stamps_ns, sets.T)], axis=1)
    period = np.median(np.diff(slowest))
    return sets[(off <= 0.55 * period).all(axis=1)]


class Track:
    """Where the vehicle was at any time between its poses.

    Where poses jump, as at a loop closure or a lost fix, the vehicle is taken to have gone on as it
    did before, and the poses behind the jump follow from there.
    stamps_ns [P] int64 in any order, T_world_ego [P, 4, 4]. ValueError for fewer than two.
    """

    LONGEST_NS = 500_000_000  # between poses further apart nobody knows how the vehicle moved
    JUMP_M = 1.0  # and twice what is gone in any other step around: no vehicle moves so
    OUTLIERS = 2  # steps around that may be jumps as well, as to a wrong pose and back

    def __init__(self, stamps_ns: Sequence[int], T_world_ego: Sequence[np.ndarray]):
        self._stamps, first = np.unique(np.array(stamps_ns, np.int64), return_index=True)
        if len(self._stamps) < 2:
            raise ValueError("fewer than two poses")
        self._poses = np.array(T_world_ego, np.float64)[first]
        self.jumps = self._bridged()
        """By how many metres poses jumped, of each time."""

    @property
    def stamps_ns(self) -> np.ndarray:
        """[P] int64, ascending."""
        return self._stamps

    def _bridged(self) -> list[float]:
        """Undo the jumps of the poses; returns their lengths, metres."""
        given, poses = self._poses.copy(), self._poses
        metres = np.linalg.norm(np.diff(given[:, :3, 3], axis=0), axis=1)
        seconds, jumps = np.diff(self._stamps) / 1e9, []
        T_new_old, step = np.eye(4), np.eye(4)
        for i in range(len(metres)):
            if self._is_jump(i, metres, seconds):
                jumps.append(float(metres[i]))
                T_new_old = poses[i] @ step @ invert_transform(given[i + 1])
            poses[i + 1] = T_new_old @ given[i + 1] if jumps else given[i + 1]
            step = invert_transform(poses[i]) @ poses[i + 1]
        return jumps

    def _is_jump(self, i: int, metres: np.ndarray, seconds: np.ndarray) -> bool:
        if metres[i] < self.JUMP_M or seconds[i] > self.LONGEST_NS / 1e9:
            return False
        window = self._stamps[i] - self.LONGEST_NS, self._stamps[i + 1] + self.LONGEST_NS
        first, last = np.searchsorted(self._stamps, window)
        around = np.delete(np.arange(first, min(last, len(metres))), i - first)
        usual = np.maximum(metres[around], metres[around] / seconds[around] * seconds[i])
        usual = np.sort(usual)[: -self.OUTLIERS]
        return len(usual) > 0 and bool(metres[i] > self.JUMP_M + 2 * usual[-1])

    def at(self, stamp_ns: int) -> np.ndarray | None:
        """T_world_ego [4, 4]; None before the first pose, after the last, and in a gap."""
        after = int(np.searchsorted(self._stamps, stamp_ns))
        if after < len(self._stamps) and self._stamps[after] == stamp_ns:
            return self._poses[after]
        if after in (0, len(self._stamps)):
            return None
        start_ns, end_ns = self._stamps[after - 1 : after + 1]
        if end_ns - start_ns > self.LONGEST_NS:
            return None
        share = float(stamp_ns - start_ns) / float(end_ns - start_ns)
        return motion_between(*self._poses[after - 1 : after + 1], share)
