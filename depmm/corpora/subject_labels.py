"""The label of a subject whose sessions have several labels."""

import pandas as pd

from depmm.schemas.manifest import SUBJECT_KEY


def subject_labels(sessions: pd.DataFrame, column: str = "label") -> pd.Series:
    """Assign each subject the label of most of its sessions; if both are equally frequent, 1.

    The rule is the same wherever a subject needs one label: for the strata of a split, in the audit
    and in reports.

    Parameters
    ----------
    sessions : DataFrame
        Columns corpus, subject and the label, 0 or 1; it may be missing.
    column : str, default "label"
        Column of the label.

    Returns
    -------
    Series of float
        0 or 1, NaN if no session of the subject has a label; the index is (corpus, subject).
    """
    label = sessions[column].astype("Float64").astype(float)
    share = label.groupby([sessions[name] for name in SUBJECT_KEY]).mean()
    return (share >= 0.5).astype(float).where(share.notna())
