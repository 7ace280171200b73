"""Covariates: what is known about a session without its recording.

Reports show metrics by covariate (``subgroups``), and baselines are fitted on covariates alone
(``covariate_baselines``). A predictions table may have any of these columns; none is required.
"""

import numpy as np
import pandas as pd

COVARIATES = ("gender", "age", "task", "valence", "interviewer", "duration_s", "n_steps")
NUMBERS = ("duration_s", "n_steps")  # always numeric; age may also be given in words
AGE_BANDS = (30, 45, 60)  # years at which the second and every further band begins
AGE_LABELS = ("<30", "30-44", "45-59", ">=60")


def is_number(values: pd.Series) -> bool:
    """Check whether all known values are numbers, or text that can be read as numbers.

    Parameters
    ----------
    values : Series
        A column.

    Returns
    -------
    bool
        Whether the column is numeric.
    """
    return bool((pd.to_numeric(values, errors="coerce").notna() | values.isna()).all())


def age_bands(age: pd.Series) -> pd.Series:
    """Assign ages to the bands of ``AGE_LABELS``.

    An age of 30 is in 30-44. Ages in words ("18-25") are bands already and are kept.

    Parameters
    ----------
    age : Series
        Ages in years, or bands.

    Returns
    -------
    Series of str
        Bands; missing where the age is unknown.
    """
    if not is_number(age):
        return age
    years = pd.to_numeric(age)
    labels = np.array(AGE_LABELS, dtype=object)[np.digitize(years, AGE_BANDS)]
    labels[years.isna()] = None
    return pd.Series(labels, age.index, dtype=object)
