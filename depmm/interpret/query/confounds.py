"""What else may lie behind a difference between two groups of people."""

import pandas as pd
from scipy.stats import fisher_exact

from depmm.corpora.manifest import SUBJECT_KEY

UNEVEN = 0.05  # p of gender between the groups, below which it is said


def uneven_gender(people: pd.DataFrame) -> str | None:
    """Say so where one group has more women: what tells women from men then looks like a word.

    Parameters
    ----------
    people : corpus, subject, ``group`` (0, 1 or null) and ``gender``; rows may repeat

    Returns
    -------
    a sentence, or None where gender and group are independent for all that can be seen (Fisher's
    exact test of two genders by two groups)
    """
    known = people.dropna(subset=["label", "gender"]).drop_duplicates([*SUBJECT_KEY, "label"])
    counts = pd.crosstab(known["label"], known["gender"])
    if counts.shape != (2, 2) or (p := fisher_exact(counts.to_numpy()).pvalue) >= UNEVEN:
        return None
    (first, rest), (own, others) = counts.to_numpy().tolist()
    return (
        f"{own} of {own + others} people of group 1 and {first} of {first + rest} of group 0 are "
        f"{counts.columns[0]} (Fisher's exact p = {p:.2g}): a difference may only tell women from "
        "men; compare with stratify_by=gender"
    )
