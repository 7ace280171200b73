"""Association of measures with the target, over subjects and within strata."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from depmm.evaluation.stats.effect_sizes import (
    Effect,
    hedges_g,
    paired_hedges_g,
    rank_correlation,
)
from depmm.measures.measure import Measure
from depmm.multiple_testing import holm
from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY
from depmm.schemas.measures import EFFECTS

Design = Literal["groups", "paired", "score"]
STEP_STRATA = ("task", "valence")
SESSION_STRATA = ("corpus", "gender")
_TARGET = "target "  # with a blank, so that no measure has this name
MAX_VALUES = 8  # of a column; more are conditions of single steps rather than strata


@dataclass(frozen=True)
class MeasureEffects:
    """The association of each measure with the target.

    Attributes
    ----------
    table : DataFrame
        Columns of ``depmm.schemas.measures.EFFECTS``: all steps first, then the strata.
    design : {"groups", "paired", "score"}
        ``groups``: subjects of two classes; ``paired``: the same subjects with sessions of both
        classes; ``score``: subjects with a score.
    n_subjects : int
        Subjects with a target.
    n_mixed : int
        Subjects of ``groups`` with sessions of both classes, whose rarer class is left out.
    left_out : list of str
        Columns with more than `MAX_VALUES` values, which are not strata.
    """

    table: pd.DataFrame
    design: Design
    n_subjects: int
    n_mixed: int
    left_out: list[str]


def measure_effects(
    steps: pd.DataFrame,
    sessions: pd.DataFrame,
    measures: Sequence[Measure],
    targets: pd.DataFrame,
    conditions: pd.DataFrame,
    binary: bool,
) -> MeasureEffects:
    """Compare the measures of subjects with the target.

    The value of a subject is the mean over its sessions of the mean over the steps of a session.
    With classes, a subject counts for the class of most of its sessions (the positive one if both
    are equally frequent), and its other sessions are left out; if at least half of the subjects
    have sessions of both classes, the classes are compared within subjects.

    The p values are adjusted by Holm's method for all measures and strata together, so that the
    probability of any adjusted p value below .05 is at most 5 % if no measure is associated with
    the target. The rows of all steps receive one half of this probability, those of the strata the
    other half.

    Parameters
    ----------
    steps : DataFrame
        One column per measure of steps, with the index corpus, subject, session, step.
    sessions : DataFrame
        One column per measure of sessions, with the index corpus, subject, session.
    measures : sequence of Measure
        The measures of the columns.
    targets : DataFrame
        Columns ``target`` (0 or 1 if binary) and ``gender``, with the index corpus, subject,
        session; sessions without a target are left out.
    conditions : DataFrame
        Columns ``task`` and ``valence``, with the index corpus, subject, session, step.
    binary : bool
        Whether the target is a class.

    Returns
    -------
    MeasureEffects
        One row per stratum and measure.
    """
    targets = targets[targets["target"].notna()]
    design, mixed = _choose_design(targets) if binary else ("score", 0)
    if design == "groups":
        targets = _with_one_class(targets)
    strata, left_out = _list_strata(steps, targets, conditions)
    rows = []
    for name, of_steps, of_sessions, whole in strata:
        values = steps[of_steps].groupby(level=SESSION_KEY, sort=False).mean()
        kept = targets[of_sessions]
        if whole:
            values = values.reindex(kept.index).join(sessions)
        else:  # subjects without a step of the stratum do not belong to it
            kept = kept[kept.index.isin(values.index)]
            values = values.reindex(kept.index)
        subjects = _by_subject(values, kept["target"], design)
        rows += [
            _describe(name, measure, design, *_compare(subjects, measure.name, design))
            for measure in measures
            if measure.name in values
        ]
    table = EFFECTS.build([{**row, "p_adjusted": np.nan} for row in rows])
    table["p_adjusted"] = _adjust(table["stratum"] == "all", table["p"])
    return MeasureEffects(table, design, len(targets.groupby(level=SUBJECT_KEY)), mixed, left_out)


def _choose_design(targets: pd.DataFrame) -> tuple[Design, int]:
    """Return the design, and the number of subjects with both classes among independent groups."""
    classes = targets.groupby(level=SUBJECT_KEY)["target"].nunique()
    both = int((classes == 2).sum())
    return ("paired", 0) if both and 2 * both >= len(classes) else ("groups", both)


def _with_one_class(targets: pd.DataFrame) -> pd.DataFrame:
    """Keep the sessions whose class is that of most sessions of the subject."""
    of_subject = targets.groupby(level=SUBJECT_KEY)["target"].transform("mean") >= 0.5
    return targets[targets["target"] == of_subject.astype(float)]


def _list_strata(
    steps: pd.DataFrame, targets: pd.DataFrame, conditions: pd.DataFrame
) -> tuple[list[tuple[str, np.ndarray, np.ndarray, bool]], list[str]]:
    """List name, steps, sessions, and whether sessions are whole, of each stratum."""
    every_step, every_session = np.ones(len(steps), bool), np.ones(len(targets), bool)
    strata = [("all", every_step, every_session, True)]
    left_out: list[str] = []
    of_targets = targets.reset_index().set_index(SESSION_KEY, drop=False)
    for column in SESSION_STRATA:
        for value, mask in _values(column, of_targets[column], left_out):
            strata.append((f"{column} = {value}", every_step, mask, True))
    of_steps = conditions.reindex(steps.index)
    for column in STEP_STRATA:
        for value, mask in _values(column, of_steps[column], left_out):
            strata.append((f"{column} = {value}", mask, every_session, False))
    return strata, left_out


def _values(name: str, column: pd.Series, left_out: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the values of a column with at least two, and the rows of each."""
    values = sorted(column.dropna().unique())
    if len(values) > MAX_VALUES:
        left_out.append(name)
    elif len(values) > 1:
        for value in values:
            yield str(value), (column == value).to_numpy(bool)


def _by_subject(values: pd.DataFrame, target: pd.Series, design: Design) -> list[pd.DataFrame]:
    """Average the sessions of subjects: those of each class, positive first, or all of them."""
    if design == "score":
        return [values.assign(**{_TARGET: target}).groupby(level=SUBJECT_KEY).mean()]
    positive, negative = (
        values[(target == label).to_numpy()].groupby(level=SUBJECT_KEY).mean() for label in (1, 0)
    )
    if design == "paired":
        subjects = positive.index.union(negative.index)
        return [positive.reindex(subjects), negative.reindex(subjects)]
    return [positive, negative]


def _compare(
    subjects: list[pd.DataFrame], name: str, design: Design
) -> tuple[Effect, dict[str, float | int | None]]:
    """Compare a measure of subjects; return the effect, and counts and means."""
    first, known = subjects[0][name], subjects[0][name].notna()
    if design == "score":
        effect = rank_correlation(first, subjects[0][_TARGET])
        return effect, {"n": int(known.sum()), "missing": int((~known).sum())}
    second = subjects[1][name]
    n_positive, n_negative = int(known.sum()), int(second.notna().sum())
    if design == "groups":
        effect, n, total = (
            hedges_g(first, second),
            n_positive + n_negative,
            len(first) + len(second),
        )
    else:
        effect, n, total = (
            paired_hedges_g(first, second), int((known & second.notna()).sum()), len(first),
        )  # fmt: skip
    return effect, {
        "n": n,
        "missing": total - n,
        "n_positive": n_positive,
        "n_negative": n_negative,
        "mean_positive": float(first.mean()),
        "mean_negative": float(second.mean()),
    }


def _describe(
    stratum: str,
    measure: Measure,
    design: Design,
    effect: Effect,
    counts: dict[str, float | int | None],
) -> dict[str, object]:
    names = {"groups": "hedges_g", "paired": "paired_hedges_g", "score": "spearman"}
    return {
        "stratum": stratum,
        "modality": measure.modality,
        "group": measure.group,
        "measure": measure.name,
        "unit": measure.unit,
        "effect": names[design],
        "estimate": effect.estimate,
        "ci_low": effect.ci_low,
        "ci_high": effect.ci_high,
        "p": effect.p,
        **counts,
    }


def _adjust(whole: pd.Series, p: pd.Series) -> np.ndarray:
    """Adjust by Holm's method with one half of the error rate for the rows of all steps."""
    weights = np.ones(len(p))
    n_whole, n_strata = (int((mask & p.notna()).sum()) for mask in (whole, ~whole))
    if n_strata:
        weights[~whole.to_numpy()] = n_whole / n_strata if n_whole else 1.0
    return holm(p, weights)
