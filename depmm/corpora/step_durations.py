"""Durations of sessions in which steps may overlap: every second of a recording counts once."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from depmm.schemas.manifest import SESSION_KEY


def covered_s(groups: ArrayLike, start_s: ArrayLike, end_s: ArrayLike) -> pd.Series:
    """Measure the time that intervals cover together, per recording.

    Parameters
    ----------
    groups : array_like, shape (N,)
        Recording of each interval.
    start_s, end_s : array_like of float, shape (N,)
        Start and end in seconds; the intervals may overlap and be in any order.

    Returns
    -------
    Series of float64
        Seconds, with the groups as index.

    Examples
    --------
    >>> covered_s(["a", "a", "b"], [0.0, 1.0, 1.0], [2.0, 3.0, 2.0]).to_dict()
    {'a': 3.0, 'b': 1.0}
    """
    table = pd.DataFrame({"group": groups, "start": start_s, "end": end_s})
    table = table.sort_values(["group", "start"], kind="stable")
    reached = table.groupby("group")["end"].cummax().groupby(table["group"]).shift()
    new = table["end"] - table["start"].where(reached.isna(), np.fmax(table["start"], reached))
    seconds: pd.Series = new.clip(lower=0).groupby(table["group"]).sum()
    return seconds


def count_restarts(start_s: ArrayLike) -> np.ndarray:
    """Count the recordings of steps whose files are not known.

    Parameters
    ----------
    start_s : array_like of float, shape (L,)
        Start of each step, in the order of the steps.

    Returns
    -------
    ndarray of int64, shape (L,)
        0 for the first steps; one more from each step on that does not start after the step before,
        because it is part of another file.
    """
    starts = np.asarray(start_s, np.float64)
    restarts: np.ndarray = np.cumsum(np.r_[0, starts[1:] <= starts[:-1]][: len(starts)])
    return restarts


def session_durations(steps: pd.DataFrame, ends_s: pd.Series | None = None) -> pd.Series:
    """Measure the duration of the steps of each session; the overlap of windows counts once.

    Parameters
    ----------
    steps : DataFrame
        Steps of a manifest, in their order.
    ends_s : Series, optional
        End of each step in seconds, with the index of ``steps``; by default ``end_s``.

    Returns
    -------
    Series of float64
        Seconds with the index corpus, subject, session; NaN for a session of which the end of a
        step is not known.
    """
    ends_s = steps["end_s"] if ends_s is None else ends_s
    files = steps["audio"].where(steps["audio"].notna(), steps["face"])
    # steps of features alone name no file here
    sessions = steps.groupby(SESSION_KEY, sort=False).ngroup()
    # as count_restarts for every session
    is_restart = steps["start_s"] <= steps["start_s"].groupby(sessions).shift()
    restarts = is_restart.astype("int64").groupby(sessions).cumsum()
    table = steps[SESSION_KEY].assign(file=files.fillna(""), part=restarts.where(files.isna(), 0))
    groups = table.groupby([*SESSION_KEY, "file", "part"], sort=False).ngroup()
    seconds = covered_s(groups, steps["start_s"].astype(float), ends_s.astype(float))
    of_group = table.assign(group=groups).drop_duplicates("group").set_index("group")
    total = seconds.groupby([of_group.loc[seconds.index, name] for name in SESSION_KEY]).sum()
    is_known = ends_s.notna().groupby([steps[name] for name in SESSION_KEY]).all()
    known: pd.Series = total.where(is_known.reindex(total.index))
    return known
