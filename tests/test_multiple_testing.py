"""Adjusted p values by hand."""

import numpy as np
import pytest

from depmm.multiple_testing import benjamini_hochberg, holm


def test_adjusted_p_values_by_hand():
    p = [0.01, 0.04, np.nan, 0.03, 0.005]
    # 4 * .005, 3 * .01, 2 * .03, then at least the previous value
    assert holm(p) == pytest.approx([0.03, 0.06, np.nan, 0.06, 0.02], nan_ok=True)
    # .04 * 4 / 4, .03 * 4 / 3, .01 * 4 / 2, .005 * 4, at most the next value
    assert benjamini_hochberg(p) == pytest.approx([0.02, 0.04, np.nan, 0.04, 0.02], nan_ok=True)
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert np.isnan(holm([np.nan])).all()
