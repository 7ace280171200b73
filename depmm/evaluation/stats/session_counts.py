"""Numbers of sessions, subjects and positive sessions of a table."""

import pandas as pd

from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY


def count_sessions(rows: pd.DataFrame) -> dict[str, int]:
    """Count sessions, subjects and, where labels are known, positive sessions.

    Parameters
    ----------
    rows : DataFrame
        Columns corpus, subject, session and, if labels are known, y_true. A session may have
        several rows.

    Returns
    -------
    dict of str to int
        ``sessions``, ``subjects`` and ``positive_sessions``.
    """
    sessions = rows.drop_duplicates(SESSION_KEY)
    counts = {"sessions": len(sessions), "subjects": len(sessions.drop_duplicates(SUBJECT_KEY))}
    if "y_true" in sessions and sessions["y_true"].notna().any():
        counts["positive_sessions"] = int(sessions["y_true"].sum())
    return counts
