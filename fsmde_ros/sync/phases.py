"""How often each camera of a rig fires, and when in a set. Knows no ROS type."""

from __future__ import annotations

import cmath
import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

RECENT = 33  # stamps kept a camera
TWIN_NS = 1_000_000  # no camera fires as fast: nearer stamps are of one image, sent twice, rounded
LEARN, LEARN_JITTERING = 5, 12  # stamps that tell a period
AGREE = 3  # so many are enough where all cameras agree
CLEAN, SURE = 0.02, 0.06  # of the period: how wrong it may be with so many stamps
SETTLED = 4  # beats of a rhythm that is known for long after which its period is measured again
PHASE = 12  # latest stamps that tell a phase
SAME = 0.75  # what a period must fit a camera for it to be its own
PARTED = 0.25  # an agreement no better than that of chance
SIGMAS = 3
NEAR = 0.25  # periods further apart cannot be the same
LONGEST = 8  # lost images in a row that are still counted
GAIN, DRIFT_GAIN = 1 / 8, 1 / 128  # of the filter that follows a phase: critically damped
FAR = 4  # periods; beyond, a drift says nothing
EVEN = 1 / 16  # of a period: pauses that differ by less are as long as each other
HOME = 24  # images that make the usual place of a camera: two seconds at 12 Hz


class Rhythm:
    """The period of one camera, from its recent stamps; drops and order do not matter."""

    def __init__(self):
        self.period_ns = 0
        """0 before the second stamp."""
        self.known = False
        """Whether the period can be believed."""
        self._stamps: list[int] = []
        self._run: list[int] = []
        self._uncertain = 1.0
        self._hint_ns = 0.0
        self._beats = 0

    def __contains__(self, stamp_ns: int) -> bool:
        i = bisect_left(self._stamps, stamp_ns)
        return any(abs(near - stamp_ns) < TWIN_NS for near in self._stamps[max(0, i - 1) : i + 1])

    def __len__(self) -> int:
        return len(self._run)

    def stands(self, stamp_ns: int) -> bool:
        """Whether a stamp is the latest one again, or nearly."""
        return bool(self._stamps) and abs(stamp_ns - self._stamps[-1]) < TWIN_NS

    @property
    def newest_ns(self) -> int:
        """The latest stamp; an error before the first."""
        return self._run[-1]

    @property
    def shortest_ns(self) -> float:
        """The shortest time between two stamps; infinite before the second."""
        gaps = (b - a for a, b in zip(self._stamps, self._stamps[1:]))
        return min(gaps, default=math.inf)

    def agreement(self, period_ns: float) -> float:
        """How much the stamps agree on a phase if this was the period, 0 to 1.

        The more stamps the sharper: with a period 4 % off they are out of step after a dozen.
        """
        run = self._run
        usual_ns, least, most = self.period_ns, 1 - NEAR, 1 + NEAR
        if not self.clean:
            usual_ns, least, most = (run[-1] - run[0]) / (len(run) - 1), 0.5, 1.1
        if not run or not period_ns:
            return 1.0
        if not least * usual_ns <= period_ns <= most * usual_ns:
            return 0.0
        return self._agreement(period_ns)

    def _agreement(self, period_ns: float) -> float:
        return abs(_turns(self._run, period_ns, self._run[0])) / len(self._run)

    def fits(self, period_ns: float) -> float:
        """The agreement on a period, as a share of that on its own."""
        own = self.agreement(self.period_ns)
        return self.agreement(period_ns) / own if own else 0.0

    def contradicts(self, period_ns: float) -> bool:
        """Whether another period clearly fits better than one that hardly fits."""
        agreement = self.agreement(period_ns)
        if len(self._run) <= RECENT // 2 or agreement > PARTED:
            return False
        return max(map(self._agreement, self._possible_ns())) > 2 * agreement

    def candidates_ns(self) -> list[float]:
        """The periods that it may have; jitter may have miscounted those of few stamps."""
        if self.clean:
            return [self.period_ns]
        return self._possible_ns()

    def _possible_ns(self) -> list[float]:
        gaps, total = len(self._run) - 1, self._run[-1] - self._run[0]
        return [total / n for n in range(gaps, 2 * gaps + 1)]

    @property
    def clean(self) -> bool:
        """Whether the stamps hardly jitter."""
        return bool(self._hint_ns) or self._uncertain < CLEAN or len(self._run) < 2

    def adopt(self, period_ns: float) -> None:
        """Count periods by one that several cameras agree on; 0: by its own again."""
        self._hint_ns = period_ns
        if len(self._run) > 1:
            self.period_ns, self._uncertain = self._estimate()

    def beat(self, stamp_ns: int) -> bool:
        """Take a stamp that is not in here yet; returns whether the period was measured again."""
        insort(self._stamps, stamp_ns)
        del self._stamps[:-RECENT]
        self._run = self._longest_run()
        self._beats += 1
        settled = self.known and len(self._run) > RECENT // 2
        if len(self._run) < (LEARN if self.known else 2) or settled and self._beats % SETTLED:
            return False
        period_ns, uncertain = self._estimate()
        if not self.known or uncertain <= self._uncertain or len(self._run) > RECENT // 2:
            self.period_ns, self._uncertain = period_ns, uncertain
        enough = LEARN if uncertain < CLEAN else LEARN_JITTERING
        self.known |= len(self._run) >= enough and uncertain < SURE
        return True

    def believe(self) -> None:
        """Take the period for known: others say the same."""
        self.known = True

    def _longest_run(self) -> list[int]:
        """The stamps without a long pause between them: of one clock, of one start."""
        gaps = [b - a for a, b in zip(self._stamps, self._stamps[1:])]
        longest = LONGEST * (sorted(gaps)[(len(gaps) - 1) // 2] if gaps else 0)
        if not gaps or max(gaps) <= longest:
            return self._stamps.copy()
        cuts = [0, *(i + 1 for i, gap in enumerate(gaps) if gap > longest), len(self._stamps)]
        start, end = max(zip(cuts, cuts[1:]), key=lambda cut: (cut[1] - cut[0], cut[1]))
        return self._stamps[start:end]

    def _estimate(self) -> tuple[int, float]:
        """The period, and by what share of it it may be wrong."""
        gaps = [b - a for a, b in zip(self._run, self._run[1:])]
        total = self._run[-1] - self._run[0]
        usual = sorted(gaps)[(len(gaps) - 1) // 2]
        hinted = abs(self._hint_ns / usual - 1) < NEAR
        if hinted:
            count = max(1, round(total / self._hint_ns))
        else:  # a gap n times as long has lost n - 1 images
            count = sum(_beats(gaps, usual))
        period = total / count
        # Of the total only the first and the last stamp are uncertain, each by less than a gap.
        off = [gap - beats * period for gap, beats in zip(gaps, _beats(gaps, period))]
        variance = sum([ns * ns for ns in off])
        uncertain = SIGMAS * math.sqrt(variance / len(gaps)) / total
        if uncertain > CLEAN and not hinted:  # jitter may have miscounted: no less than the mean
            period = total / len(gaps)
        return round(period), uncertain

    def restart(self) -> None:
        """Forget the stamps, not the period: time was set anew."""
        self._stamps.clear()
        self._run = []

    def phase_ns(self, period_ns: float, origin_ns: int) -> float:
        """When after the origin it fires, modulo a period; from the latest stamps."""
        return mean_phase_ns(self._run[-PHASE:], period_ns, origin_ns)


class Phase:
    """How long after its group's trigger one camera fires: followed, with its drift."""

    def __init__(self, ns: float, stamp_ns: int):
        self.ns = ns
        self.home_ns: float | None = None
        """The usual place: the median of the first HOME images."""
        self._places: deque[float] = deque(maxlen=HOME)
        self._stamp_ns: int | None = stamp_ns
        self._drift_ns = 0.0

    @property
    def left_home_ns(self) -> float:
        """How far the latest images are from the usual place."""
        return median(list(self._places)[-HOME // 2 :]) - self.home_ns

    def expected_ns(self, stamp_ns: int, period_ns: float) -> float:
        """The phase at the time of a stamp."""
        if self._stamp_ns is None:
            return self.ns
        steps = (stamp_ns - self._stamp_ns) / period_ns if period_ns else 0.0
        return self.ns + self._drift_ns * max(-FAR, min(FAR, steps))

    def follow(self, stamp_ns: int, off_ns: float, period_ns: float) -> None:
        """An image came off_ns after it was expected."""
        if self._stamp_ns is not None and stamp_ns <= self._stamp_ns:
            return
        expected_ns = self.expected_ns(stamp_ns, period_ns)
        self.ns = expected_ns + GAIN * off_ns
        self._drift_ns += DRIFT_GAIN * off_ns
        self._stamp_ns = stamp_ns
        self._places.append(expected_ns + off_ns)
        if self.home_ns is None and len(self._places) == HOME:
            self.home_ns = median(self._places)

    def shift(self, ns: float) -> None:
        """Count from another trigger, or from another place in it."""
        self.ns += ns
        self._places = deque((place + ns for place in self._places), maxlen=HOME)
        if self.home_ns is not None:
            self.home_ns += ns

    def restart(self) -> None:
        """Time was set anew: the phase holds."""
        self._stamp_ns = None

    def leave_home(self) -> None:
        """The camera was started anew: learn its usual place again."""
        self.home_ns = None
        self._places.clear()


def _beats(gaps_ns: Sequence[int], period_ns: float) -> list[int]:
    """How many periods each gap is long, at least one."""
    two_ns = 1.5 * period_ns  # from here on a gap is nearer to two; most are one, and need no more
    return [1 if gap < two_ns else round(gap / period_ns) for gap in gaps_ns]


def mean_phase_ns(stamps_ns: Iterable[int], period_ns: float, origin_ns: int) -> float:
    """The mean of stamps after an origin, modulo a period: within half a period of the origin."""
    total = _turns(stamps_ns, period_ns, origin_ns)
    return cmath.phase(total) / (2 * math.pi) * period_ns


def _turns(stamps_ns: Iterable[int], period_ns: float, origin_ns: int) -> complex:
    """The sum of the stamps' places on the circle of a period: the longer the more they agree."""
    rate = 2j * math.pi / period_ns
    return sum(cmath.exp(rate * (stamp_ns - origin_ns)) for stamp_ns in stamps_ns)


def tightest(phases_ns: Sequence[float], period_ns: float, *, clearly_ns: float) -> list[float]:
    """The same phases, each by whole periods away, with the least spread.

    Cameras that fire one after another, round and round, belong together from the end of their
    longest pause on; where no pause is clearly the longest, from the first listed on. As they are,
    unless the spread becomes smaller by over clearly_ns.
    """

    def spread(phases: Sequence[float]) -> float:
        return max(phases) - min(phases)

    turned = [[start + (p - start) % period_ns for p in phases_ns] for start in phases_ns]
    least = min(map(spread, turned))
    best = next(phases for phases in turned if spread(phases) <= least + EVEN * period_ns)
    if clearly_ns and spread(best) >= spread(phases_ns) - clearly_ns:
        return list(phases_ns)
    return best


def agree(rhythms: Sequence[Rhythm]) -> bool:
    """Whether AGREE stamps or more of every camera tell the same period."""
    if any(len(rhythm) < AGREE or not rhythm.clean for rhythm in rhythms):
        return False
    periods = [rhythm.period_ns for rhythm in rhythms]
    return max(periods) - min(periods) < CLEAN * min(periods)


def groups_of_one_period(rhythms: Mapping[int, Rhythm]) -> list[tuple[float, list[int]]]:
    """Periods and the keys of those that share them, the slowest first."""
    groups, rest = [], dict(rhythms)
    while rest:
        candidates = [ns for rhythm in rest.values() for ns in rhythm.candidates_ns()]
        period_ns = max(candidates, key=lambda ns: sum(r.agreement(ns) for r in rest.values()))
        best = max(rest.values(), key=lambda r: r.agreement(period_ns))
        keys = [k for k, r in rest.items() if r is best or r.fits(period_ns) >= SAME]
        groups.append((period_ns, keys))
        rest = {k: r for k, r in rest.items() if k not in keys}
    return sorted(groups, reverse=True)
