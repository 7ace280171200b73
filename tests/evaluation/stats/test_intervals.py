"""Wilson's interval against SciPy."""

import pytest
import scipy.stats

from depmm.evaluation.stats.intervals import wilson_interval


@pytest.mark.parametrize(("k", "n"), [(0, 10), (8, 10), (10, 10), (41, 47)])
def test_wilson_equals_scipy(k, n):
    reference = scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    result = wilson_interval(k, n, 0.95)
    assert (result.ci_low, result.ci_high) == pytest.approx((reference.low, reference.high))


def test_wilson_raises_for_impossible_counts():
    with pytest.raises(ValueError, match="11 successes"):
        wilson_interval(11, 10, 0.95)
