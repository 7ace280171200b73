"""Metrics by subgroup of subjects, with permutation tests of their differences.

Equality of metrics is only one criterion of fairness. A difference that is not significant may
exist nevertheless: with few subjects, only large differences can be detected.
"""

from dataclasses import asdict, replace
from typing import Any

import pandas as pd

from depmm.evaluation.covariates import AGE_LABELS, assign_age_bands
from depmm.evaluation.stats.metric_intervals import estimate_metric
from depmm.evaluation.stats.metrics import HEADLINE, METRICS
from depmm.evaluation.stats.resampled_sessions import ResampledSessions
from depmm.evaluation.stats.session_counts import count_sessions
from depmm.evaluation.subgroup_gaps import UNKNOWN, adjust_gaps, measure_gaps
from depmm.schemas.manifest import SESSION_KEY, VALENCES

GROUPINGS = ("gender", "age", "task", "valence", "corpus")
CROSSED = {
    "task_by_valence": ("task", "valence"),
    "gender_by_task": ("gender", "task"),
    "gender_by_valence": ("gender", "valence"),
}
# in addition to the headline metrics; those of Lu et al., Front. Biosci. 2021, Table 5
CROSSED_METRICS: dict[str, tuple[str, ...]] = {
    "binary": ("accuracy", "precision", "recall", "f1_positive"),
}
ORDER = (*AGE_LABELS, *VALENCES)  # order of these subgroups; others are sorted by name
MIN_SUBJECTS = 5  # with fewer subjects, metrics are not computed


def measure_subgroups(tested: ResampledSessions, targets: list[str], seed: int) -> dict[str, Any]:
    """Compute the headline metrics by subgroup, on the same replicates, and test their gaps.

    Parameters
    ----------
    tested : ResampledSessions
        Tested rows of prepared predictions; the columns ``GROUPINGS`` are optional, and age is
        numeric or a band.
    targets : list of {"binary", "severity"}
        Kinds of targets.
    seed : int
        Seed of the permutations; their number is that of the bootstrap replicates.

    Returns
    -------
    dict
        ``subgroups``: for each grouping and subgroup ``sessions``, ``subjects``,
        ``positive_sessions`` and, for each metric, the fields of ``Interval`` and ``undefined``
        (why there is no value, or None).
        ``subgroup_gaps``: one entry per grouping and metric (``measure_gaps``); p values are
        adjusted over all entries (Holm).
        ``not_grouped``: for each other grouping, why there are no subgroups.
        The keys of ``CROSSED``: for each pair of subgroups, the same as for a subgroup and the
        metrics ``CROSSED_METRICS``; None unless both groupings have several subgroups.
    """
    grouped, sessions = _assign_subgroups(tested, targets)
    content: dict[str, Any] = {
        "subgroups": {}, "subgroup_gaps": [], "not_grouped": {},
    }  # fmt: skip
    for grouping in GROUPINGS:
        if reason := _not_grouped_reason(sessions, grouping):
            content["not_grouped"][grouping] = reason
            continue
        parts = {name: grouped.select(grouping, name) for name in _sorted(sessions[grouping])}
        measured = {name: _measure(part, tested, targets) for name, part in parts.items()}
        content["subgroups"][grouping] = measured
        for target in targets:
            content["subgroup_gaps"] += measure_gaps(
                grouped, parts, sessions, grouping, target, measured, seed
            )
    adjust_gaps(content["subgroup_gaps"], 1 - tested.confidence)
    for key, pair in CROSSED.items():
        content[key] = None
        if set(pair) <= set(content["subgroups"]):
            content[key] = _cross(grouped, tested, targets, content["subgroups"], *pair)
    return content


def _assign_subgroups(
    tested: ResampledSessions, targets: list[str]
) -> tuple[ResampledSessions, pd.DataFrame]:
    """Add the subgroups of each session to the rows of every seed.

    Also return one row per session (index: ``unit``) with its subgroups and measured values.
    """
    rows_of_seeds = pd.concat(tested.seeds.values())
    groupings = [name for name in GROUPINGS if name in rows_of_seeds]
    measured = [name for name in ("y_true", "score") if name in rows_of_seeds]
    columns = list(dict.fromkeys([*SESSION_KEY, *groupings, *measured]))
    sessions = rows_of_seeds.groupby("unit")[columns].first()
    if "age" in sessions:
        sessions["age"] = assign_age_bands(sessions["age"])
    for name in groupings:
        sessions[name] = sessions[name].astype(object).fillna(UNKNOWN)
    predicted = {METRICS[name].predicted for target in targets for name in HEADLINE[target]}
    needed = [
        *SESSION_KEY,
        "unit",
        *measured,
        *sorted(predicted),
    ]  # copies of other columns would be slow
    seeds = {
        seed: rows[needed].assign(**{name: rows["unit"].map(sessions[name]) for name in groupings})
        for seed, rows in tested.seeds.items()
    }
    return replace(tested, seeds=seeds), sessions


def _not_grouped_reason(sessions: pd.DataFrame, grouping: str) -> str | None:
    """Return why a grouping has fewer than two subgroups; None if it has two or more."""
    if grouping not in sessions:
        return f"the predictions have no column {grouping}"
    known = sessions.loc[sessions[grouping] != UNKNOWN, grouping]
    if known.empty:
        return "not known for any tested session"
    if len(known.unique()) > 1:
        return None
    n_unknown = len(sessions) - len(known)
    unknown = f" ({n_unknown} of {len(sessions)} not known)" if n_unknown else ""
    return f"all tested sessions are {known.iloc[0]}{unknown}"


def _sorted(subgroups: pd.Series) -> list[str]:
    """Sort subgroups, unknown ones last."""

    def key(name: str) -> tuple[bool, int, str]:
        return name == UNKNOWN, ORDER.index(name) if name in ORDER else -1, name

    return sorted(subgroups.unique(), key=key)


def _measure(
    part: ResampledSessions,
    tested: ResampledSessions,
    targets: list[str],
    further: dict[str, tuple[str, ...]] | None = None,
) -> dict[str, Any]:
    """Count a subgroup and compute its metrics, or the reason why that is impossible."""
    result: dict[str, Any] = {"sessions": 0, "subjects": 0, "positive_sessions": 0}
    if part.seeds:
        result = count_sessions(pd.concat(part.seeds.values()))
    for target in targets:
        reason = _undefined_reason(part, tested, target, result["subjects"])
        for name in (*HEADLINE[target], *(further or {}).get(target, ())):
            if reason:
                empty = {"value": None, "ci_low": None, "ci_high": None, "n_undefined": 0}
                result[name] = {**empty, "method": None, "reason": None, "undefined": reason}
            else:
                result[name] = {**asdict(estimate_metric(part, name)), "undefined": None}
    return result


def _undefined_reason(
    part: ResampledSessions, tested: ResampledSessions, target: str, subjects: int
) -> str | None:
    if subjects < MIN_SUBJECTS:
        return f"fewer than {MIN_SUBJECTS} subjects" if subjects else "no session"
    for seed in tested.seeds:
        where = f" in seed {seed}" if len(tested.seeds) > 1 else ""
        if seed not in part.seeds:
            return f"no session{where}"
        if target == "binary" and len(labels := part.seeds[seed]["y_true"].unique()) == 1:
            return f"no {'negative' if labels[0] else 'positive'} session{where}"
    return None


def _cross(
    grouped: ResampledSessions,
    tested: ResampledSessions,
    targets: list[str],
    subgroups: dict[str, Any],
    row_grouping: str,
    column_grouping: str,
) -> dict[str, Any]:
    """Compute the metrics of each pair of subgroups."""
    cells: dict[str, Any] = {}
    for row in subgroups[row_grouping]:
        sessions = grouped.select(row_grouping, row)
        cells[row] = {
            column: _measure(
                sessions.select(column_grouping, column), tested, targets, CROSSED_METRICS
            )
            for column in subgroups[column_grouping]
        }
    return cells


def subgroup_warnings(gaps: list[dict[str, Any]]) -> list[str]:
    """List the gaps between subgroups that are shown.

    Parameters
    ----------
    gaps : list of dict
        ``subgroup_gaps`` of ``measure_subgroups``.

    Returns
    -------
    list of str
        One warning per gap.
    """
    n_tests = sum(gap["p"] is not None for gap in gaps)
    notes = []
    for gap in gaps:
        if gap["outcome"] == "shown":
            metric, sign = METRICS[gap["metric"]], 1 if gap["value"] > 0 else -1
            larger, smaller = gap["between"][::sign]
            notes.append(
                f"{metric.label} differs between subgroups: it is {abs(gap['value']):.2f} "
                f"{'higher (worse)' if metric.lower_is_better else 'higher'} for {larger} than for "
                f"{smaller} ({gap['grouping']}; p = {gap['p_adjusted']:.2g}, adjusted for "
                f"{n_tests} tests)."
            )
    return notes
