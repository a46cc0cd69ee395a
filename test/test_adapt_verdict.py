"""Whether a model got better is said only where moments enough agree."""

import numpy as np

from fsmde_core.adapt.score import Score
from fsmde_core.adapt.verdict import judged as verdict_on


def test_a_verdict_needs_moments_that_agree():
    before = [Score(0.1, 0.2, np.nan, 0.1)] * 12
    after = [Score(0.1 * f, 0.2 * f, np.nan, 0.1 * f) for f in np.linspace(0.85, 0.95, 12)]
    surely = verdict_on(before, after)
    assert surely.better and str(surely).startswith("better by 10.0% (95%: -1")
    assert not verdict_on(after, before).better and verdict_on(after, before).certain
    few = verdict_on(before[:2], after[:2])
    assert few.better and not few.certain
    assert str(few).startswith("better by ") and "not certain: of 2 moments, 8" in str(few)
    one_way_and_the_other = after[:6] + [Score(0.1 * f, 0.2, np.nan, 0.1) for f in (1.1, 1.3) * 3]
    mixed = verdict_on(before, one_way_and_the_other)
    assert not mixed.certain and "not certain (95%: -" in str(mixed)
    nothing = verdict_on([Score(*[np.nan] * 4)], [Score(*[np.nan] * 4)])
    assert not nothing.better and "nothing that the moments left out" in str(nothing)
