"""Covariates: what is known of a session without its recording.

Reports are cut by them (``fairness``), and baselines are fitted on them alone
(``covariate_baselines``). A predictions table may have any of these columns; none is needed.
"""

import numpy as np
import pandas as pd

COVARIATES = ("gender", "age", "task", "valence", "interviewer", "duration_s", "n_steps")
NUMBERS = ("duration_s", "n_steps")  # never anything else; age may also be given in words
AGE_BANDS = (30, 45, 60)  # years, where the second and every further band begins
AGE_LABELS = ("<30", "30-44", "45-59", ">=60")


def is_number(values: pd.Series) -> bool:
    """Whether all known values of a column are numbers, or text that reads as numbers."""
    return bool((pd.to_numeric(values, errors="coerce").notna() | values.isna()).all())


def age_bands(age: pd.Series) -> pd.Series:
    """Cut ages in years to ``AGE_LABELS``; an age of 30 is in 30-44, an unknown one stays null.

    Ages in words ("18-25") are bands already and stay as they are.
    """
    if not is_number(age):
        return age
    years = pd.to_numeric(age)
    labels = np.array(AGE_LABELS, dtype=object)[np.digitize(years, AGE_BANDS)]
    labels[years.isna()] = None
    return pd.Series(labels, age.index, dtype=object)
