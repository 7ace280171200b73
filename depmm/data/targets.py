"""The target of each session: a class, a severity score or a severity level."""

from pathlib import Path

import numpy as np
import pandas as pd

from depmm.config import TargetConfig
from depmm.corpora.instruments import INSTRUMENTS, find_scale
from depmm.data.errors import DataError


def labelled_sessions(
    sessions: pd.DataFrame, target: TargetConfig, manifest: Path
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read the target of each session; exclude sessions without a target.

    Parameters
    ----------
    sessions : DataFrame
        Sessions of a manifest.
    target : TargetConfig
        Column, and values of the positive and negative class.
    manifest : Path
        Folder of the manifest, for error messages.

    Returns
    -------
    labelled : DataFrame
        The sessions with a target, with a column ``target``.
    excluded : dict of str to int
        Number of excluded sessions by reason.

    Raises
    ------
    DataError
        If the column is missing or empty, or contains values that the target does not allow.
    """
    if target.column not in sessions:
        raise DataError(
            f"target.column: {manifest / 'sessions.parquet'} has no column {target.column!r}.",
            setting="target.column",
            file=manifest / "sessions.parquet",
            value=target.column,
            remedy=f"Its columns are {', '.join(sessions.columns)}.",
        )
    column = sessions[target.column]
    values = _class_values(column, target) if target.positive else _numeric_values(sessions, target)
    labelled = sessions.assign(target=values)[values.notna()].reset_index(drop=True)
    if labelled.empty:
        raise DataError(
            f"target.column: no session of {manifest} has a value in {target.column!r}.",
            setting="target.column",
            file=manifest / "sessions.parquet",
            column=target.column,
            remedy="Choose another column, or check the label table of the corpus.",
        )
    return labelled, {no_target_reason(target): int(values.isna().sum())}


def no_target_reason(target: TargetConfig) -> str:
    """Describe why a session has no target.

    Parameters
    ----------
    target : TargetConfig
        Column, and values of the positive and negative class.

    Returns
    -------
    str
        A reason for the counts of excluded sessions.
    """
    if target.positive:
        return f"{target.column} is missing or in neither target.positive nor target.negative"
    return f"{target.column} is missing"


def _class_values(column: pd.Series, target: TargetConfig) -> pd.Series:
    """Return 1 for values of the positive class, 0 for values of the negative class, else NaN."""
    known = set(column.dropna())
    for name in ("positive", "negative"):
        if unknown := sorted(set(getattr(target, name)) - known):
            raise DataError(
                f"target.{name}: no session has {target.column} = {unknown[0]!r}.",
                setting=f"target.{name}",
                column=target.column,
                value=unknown[0],
                remedy=f"Its values are {', '.join(map(repr, sorted(known)))}.",
            )
    values = pd.Series(np.nan, column.index)
    values[column.isin(target.negative)] = 0.0
    values[column.isin(target.positive)] = 1.0
    return values


def _numeric_values(sessions: pd.DataFrame, target: TargetConfig) -> pd.Series:
    """Return the column as numbers; for classes, only 0 and 1 are allowed."""
    column = sessions[target.column]
    values = pd.to_numeric(column, errors="coerce").astype(float)
    wrong = column[values.isna() & column.notna()]
    if target.kind == "binary" and wrong.empty:
        wrong = column[values.notna() & ~values.isin([0, 1])]
    if not wrong.empty:
        expected = "0 or 1" if target.kind == "binary" else "a number"
        session = sessions.loc[wrong.index[0]]
        value = wrong.tolist()[0]
        raise DataError(
            f"target.column: {target.column} of session {session['session']} is {value!r}, not "
            f"{expected}.",
            setting="target.column",
            column=target.column,
            subject=session["subject"],
            session=session["session"],
            value=value,
            remedy="Name the classes in target.positive and target.negative, or choose another "
            "column.",
        )
    return values


def stratification_classes(sessions: pd.DataFrame, target: TargetConfig) -> pd.Series:
    """Return the classes by which folds are stratified.

    Parameters
    ----------
    sessions : DataFrame
        Sessions with a column ``target``.
    target : TargetConfig
        Kind of the target.

    Returns
    -------
    Series of float64
        The classes of a binary target; otherwise whether the score is above the median.
    """
    if target.kind == "binary":
        return sessions["target"]
    return (sessions["target"] > sessions["target"].median()).astype(float)


def scale_target(
    sessions: pd.DataFrame, target: TargetConfig
) -> tuple[pd.DataFrame, tuple[float, float]]:
    """Convert scores to the predicted quantity, and return its range.

    Parameters
    ----------
    sessions : DataFrame
        Sessions with the columns ``target`` and ``instrument``.
    target : TargetConfig
        Kind ``severity`` or ``levels``.

    Returns
    -------
    sessions : DataFrame
        The sessions with scores or levels in ``target``. For levels, ``instrument`` is the name of
        the instrument followed by "level"; for scores with ``target.range``, the name of the
        column.
    score_range : tuple of float
        Lowest and highest score or level.

    Raises
    ------
    DataError
        If the sessions do not have scores of one instrument, another column has no
        ``target.range``, or a score is out of its range.
    """
    instruments = sorted(sessions["instrument"].dropna().unique())
    scale = find_scale(instruments[0] if len(instruments) == 1 else None)
    if target.kind == "levels":
        if not scale.levels or target.column != "score":
            known = ", ".join(name for name, scale in INSTRUMENTS.items() if scale.levels)
            raise DataError(
                "target.kind: levels are those of the scores of one instrument, but target.column "
                f"is {target.column!r} and the sessions have {instruments}.",
                setting="target.kind",
                value=target.kind,
                remedy=f"Use target.column score and one of {known}.",
            )
        level = np.searchsorted(scale.levels, sessions["target"], side="right")
        # the name prevents that a level is mistaken for a score
        named = sessions.assign(target=level.astype(float), instrument=f"{instruments[0]} level")
        return named, (0.0, float(len(scale.levels)))
    if target.range:
        lowest, highest = target.range
    elif target.column != "score":  # its values would be called scores of the instrument
        raise DataError(
            f"target.column: {target.column} is not the score of an instrument, whose range is "
            "known.",
            setting="target.range",
            column=target.column,
            value=target.column,
            remedy="Use target.column score, or give the lowest and the highest value in "
            "target.range.",
        )
    elif scale.lowest is not None and scale.highest is not None:
        lowest, highest = scale.lowest, scale.highest
    else:
        raise DataError(
            "target.range: severity needs the scores of one instrument, but the sessions have "
            f"{instruments}.",
            setting="target.range",
            value=instruments,
            remedy="Choose sessions of one instrument, or give target.range.",
        )
    outside = sessions[~sessions["target"].between(lowest, highest)]
    if len(outside):
        session = outside.iloc[0]
        raise DataError(
            f"target.column: {target.column} of session {session['session']} is "
            f"{session['target']:g}, outside of {lowest:g} to {highest:g}.",
            setting="target.range",
            column=target.column,
            subject=session["subject"],
            session=session["session"],
            value=session["target"],
            remedy="Correct it, or give target.range.",
        )
    if target.range:  # not a score of the instrument: use the name of the column
        sessions = sessions.assign(instrument=target.column)
    return sessions, (lowest, highest)
