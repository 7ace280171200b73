"""Warnings about predictions that can be evaluated but may not be what the metrics assume."""

import numpy as np
import pandas as pd

from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY

SEGMENTS = 5  # sessions per subject from which sessions of one label look like segments


def prediction_warnings(predictions: pd.DataFrame) -> list[str]:
    """List what is unusual about the tested predictions.

    Parameters
    ----------
    predictions : DataFrame
        Checked predictions.

    Returns
    -------
    list of str
        Sentences.
    """
    tested = predictions[predictions["split"] == "test"]
    return [*_hard_labels(tested), *_segments(tested)]


def _hard_labels(tested: pd.DataFrame) -> list[str]:
    if "y_prob" not in tested or not tested["y_prob"].dropna().isin([0, 1]).all():
        return []
    if tested["y_prob"].notna().sum() == 0:
        return []
    return [
        "All probabilities are 0 or 1, which are decisions and not probabilities: AUROC, AUPRC, "
        "Brier score, log-loss and calibration of decisions are not comparable with those of "
        "probabilities. Write the output of the model before the threshold."
    ]


def _segments(tested: pd.DataFrame) -> list[str]:
    sessions = tested.drop_duplicates(SESSION_KEY)
    outcomes = [name for name in ("y_true", "score") if name in sessions]
    by_subject = sessions.groupby(SUBJECT_KEY)
    n_sessions = by_subject.size()
    several = n_sessions[n_sessions > 1]
    if not len(several) or n_sessions.median() < SEGMENTS:
        return []
    lowest, highest = by_subject[outcomes].min(), by_subject[outcomes].max()
    if (lowest < highest).any(axis=None):
        return []
    return [
        f"The {len(sessions)} sessions of {len(n_sessions)} subjects (median "
        f"{np.median(n_sessions):g} each) have one label per subject, like segments of one "
        "recording. A label of a recording is predicted once: average them with unit subject, or "
        "give one row per recording."
    ]
