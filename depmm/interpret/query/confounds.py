"""Confounds of a difference between the labels."""

import pandas as pd
from scipy.stats import fisher_exact

from depmm.schemas.manifest import SUBJECT_KEY

ALPHA = 0.05  # p value of gender by label below which a note is added


def describe_uneven_gender(subjects: pd.DataFrame) -> str | None:
    """Describe a dependence of gender and label, which confounds the effects of words.

    Parameters
    ----------
    subjects : DataFrame
        Columns corpus, subject, ``label`` (0, 1 or missing) and ``gender``; rows may repeat.

    Returns
    -------
    str or None
        A sentence; None if gender and label are not significantly dependent (Fisher's exact test of
        two genders by two labels).
    """
    known = subjects.dropna(subset=["label", "gender"]).drop_duplicates([*SUBJECT_KEY, "label"])
    counts = pd.crosstab(known["label"], known["gender"])
    if counts.shape != (2, 2) or (p := fisher_exact(counts.to_numpy()).pvalue) >= ALPHA:
        return None
    (first0, second0), (first1, second1) = counts.to_numpy().tolist()
    return (
        f"{first1} of {first1 + second1} subjects with label 1 and {first0} of {first0 + second0} "
        f"with label 0 are {counts.columns[0]} (Fisher's exact test, p = {p:.2g}). Differences "
        "between the labels may be differences between the genders; use stratify_by=gender."
    )
