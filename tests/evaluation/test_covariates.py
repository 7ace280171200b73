"""Age bands."""

import numpy as np
import pandas as pd

from depmm.evaluation.covariates import assign_age_bands


def test_age_bands():
    age = pd.Series([29.9, 30, 44, 45, 59.5, 60, 101, np.nan])
    bands = ["<30", "30-44", "30-44", "45-59", "45-59", ">=60", ">=60", None]
    assert assign_age_bands(age).tolist() == bands
    assert assign_age_bands(pd.Series(["31", None])).tolist() == ["30-44", None]
    words = pd.Series(["18-25", "young", None])
    pd.testing.assert_series_equal(assign_age_bands(words), words)
