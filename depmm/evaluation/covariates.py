"""Covariates: properties of a session that are known without its recording.

Reports contain metrics by covariate (``subgroups``) and baselines that are fitted on covariates
alone (``covariate_baselines``). All of these columns are optional in a predictions table.
"""

import numpy as np
import pandas as pd

COVARIATES = ("gender", "age", "task", "valence", "interviewer", "duration_s", "n_steps")
NUMERIC_COVARIATES = ("duration_s", "n_steps")  # age may be numeric, or text such as 18-25
AGE_BANDS = (30, 45, 60)  # years at which the second and every further band begins
AGE_LABELS = ("<30", "30-44", "45-59", ">=60")


def is_numeric(values: pd.Series) -> bool:
    """Check whether all known values are numbers, or text that can be converted to numbers.

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


def assign_age_bands(age: pd.Series) -> pd.Series:
    """Assign ages to the bands of ``AGE_LABELS``.

    An age of 30 is in the band 30-44. Ages that are text ("18-25") are returned unchanged.

    Parameters
    ----------
    age : Series
        Ages in years, or bands.

    Returns
    -------
    Series of str
        Bands; missing where the age is unknown.
    """
    if not is_numeric(age):
        return age
    years = pd.to_numeric(age)
    labels = np.array(AGE_LABELS, dtype=object)[np.digitize(years, AGE_BANDS)]
    labels[years.isna()] = None
    return pd.Series(labels, age.index, dtype=object)
