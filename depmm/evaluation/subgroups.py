"""Is everybody served equally: metrics by group, and whether their differences may be luck.

A gap is the difference of a metric between two groups, or between the best and the worst of
several. Its null hypothesis is that, given the truth, the answers do not depend on the group
(separation; Hardt et al. 2016, "Equality of opportunity in supervised learning"), so membership is
exchanged at random among subjects of the same label, which leaves every group as many positives as
it has; for severity, among subjects of the same quarter of the scores (where women scored 6 points
more than men and were served equally, a test at .05 found a gap of RMSE in 6 % of 600 simulated
studies of 100 subjects; in 12 % with halves of the scores, in 41 % without).

What belongs to subjects (gender, age, corpus) is exchanged between subjects, with all of their
sessions. Where a subject has sessions of several groups (task, valence), membership is exchanged
between the sessions of a subject that have the same truth; subjects with one group have nothing to
exchange there.

Equal metrics are not the only idea of fairness, and a gap that is not shown is not shown to be
absent: with few subjects only large ones can be found.
"""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from depmm.corpora.manifest import SESSION_KEY, VALENCES
from depmm.evaluation.covariates import AGE_LABELS, age_bands
from depmm.evaluation.stats.bootstrap import ResampledSessions, assign_strata, count_sessions
from depmm.evaluation.stats.metrics import HEADLINE, METRICS
from depmm.evaluation.stats.weighted_sums import Array
from depmm.multiple_testing import holm

GROUPINGS = ("gender", "age", "task", "valence", "corpus")
ORDER = (*AGE_LABELS, *VALENCES)  # of groups; all others are in order of the alphabet
UNKNOWN = "(not known)"  # the group of sessions whose group nobody wrote down
MIN_SUBJECTS = 5  # a metric of fewer says more about them than about the model
ROUNDING = 1e-12  # gaps this close are the same gap


def measure_subgroups(tested: ResampledSessions, tasks: list[str], seed: int) -> dict[str, Any]:
    """Measure the headline metrics by group, on the same draws, and test their gaps.

    Parameters
    ----------
    tested : of decided predictions; any of ``GROUPINGS`` may be a column, age as numbers or bands
    tasks : ``binary``, ``severity`` or both
    seed : of the exchanges, which are as many as the draws of ``tested``

    Returns
    -------
    groups : grouping -> group -> sessions, subjects, positive_sessions, and by metric value, low,
        high, n_undefined, and ``undefined``: why there is no value, or None
    gaps : one entry a grouping and metric, see ``_gaps``; their p are adjusted together (Holm 1979)
    not_grouped : grouping -> why the report has no such groups
    task_by_valence : task -> valence -> as a group; None without several of both
    """
    grouped, members = _by_group(tested, tasks)
    found: dict[str, Any] = {
        "subgroups": {},
        "subgroup_gaps": [],
        "not_grouped": {},
        "task_by_valence": None,
    }
    for grouping in GROUPINGS:
        if why := _one_group(members, grouping):
            found["not_grouped"][grouping] = why
            continue
        parts = {name: grouped.where(grouping, name) for name in _ordered(members[grouping])}
        groups = {name: _measure(part, tested, tasks) for name, part in parts.items()}
        found["subgroups"][grouping] = groups
        for task in tasks:
            found["subgroup_gaps"] += _gaps(grouped, parts, members, grouping, task, groups, seed)
    _adjust(found["subgroup_gaps"], 1 - tested.confidence)
    if {"task", "valence"} <= set(found["subgroups"]):
        found["task_by_valence"] = _cells(grouped, tested, tasks, found["subgroups"])
    return found


# ---- groups ------------------------------------------------------------------------------------


def _by_group(
    tested: ResampledSessions, tasks: list[str]
) -> tuple[ResampledSessions, pd.DataFrame]:
    """Write each session's groups into the rows of every seed.

    Returns
    -------
    the sessions, and one row a session (index: ``unit``) with the groupings and the truths
    """
    everyone = pd.concat(tested.seeds.values())
    present = [name for name in GROUPINGS if name in everyone]
    truths = [name for name in ("y_true", "score") if name in everyone]
    members = everyone.groupby("unit")[
        list(dict.fromkeys([*SESSION_KEY, *present, *truths]))
    ].first()
    if "age" in members:
        members["age"] = age_bands(members["age"])
    for name in present:
        members[name] = members[name].astype(object).fillna(UNKNOWN)
    answers = {METRICS[name].predicted for task in tasks for name in HEADLINE[task]}
    needed = [*SESSION_KEY, "unit", *truths, *sorted(answers)]  # the rest makes every cut slow
    seeds = {
        seed: rows[needed].assign(**{name: rows["unit"].map(members[name]) for name in present})
        for seed, rows in tested.seeds.items()
    }
    return replace(tested, seeds=seeds), members


def _one_group(members: pd.DataFrame, grouping: str) -> str | None:
    """Say why there is nothing to compare, where there is nothing."""
    if grouping not in members:
        return f"the predictions have no column {grouping}"
    known = members.loc[members[grouping] != UNKNOWN, grouping]
    if known.empty:
        return "not known of any tested session"
    if len(known.unique()) > 1:
        return None
    missing = len(members) - len(known)
    rest = f" ({missing} of {len(members)} not known)" if missing else ""
    return f"all tested sessions are {known.iloc[0]}{rest}"


def _ordered(groups: pd.Series) -> list[str]:
    """Order groups as a reader expects, those that are not known last."""

    def place(group: str) -> tuple[bool, int, str]:
        return group == UNKNOWN, ORDER.index(group) if group in ORDER else -1, group

    return sorted(groups.unique(), key=place)


def _measure(
    members: ResampledSessions, tested: ResampledSessions, tasks: list[str]
) -> dict[str, Any]:
    """Count a group and measure it, or say why that cannot be done."""
    result: dict[str, Any] = {"sessions": 0, "subjects": 0, "positive_sessions": 0}
    if members.seeds:
        result = count_sessions(pd.concat(members.seeds.values()))
    for task in tasks:
        why = _undefined(members, tested, task, result["subjects"])
        for name in HEADLINE[task]:
            if why:
                nothing = {"value": None, "ci_low": None, "ci_high": None, "n_undefined": 0}
                result[name] = {**nothing, "method": None, "reason": None, "undefined": why}
            else:
                found = members.interval(*members.values(name))
                result[name] = {**asdict(found), "undefined": None}
    return result


def _undefined(
    members: ResampledSessions, tested: ResampledSessions, task: str, subjects: int
) -> str | None:
    if subjects < MIN_SUBJECTS:
        return f"fewer than {MIN_SUBJECTS} subjects" if subjects else "no session"
    for seed in tested.seeds:
        where = f" in seed {seed}" if len(tested.seeds) > 1 else ""
        if seed not in members.seeds:
            return f"no session{where}"
        if task == "binary" and len(labels := members.seeds[seed]["y_true"].unique()) == 1:
            return f"no {'negative' if labels[0] else 'positive'} session{where}"
    return None


def _cells(
    grouped: ResampledSessions, tested: ResampledSessions, tasks: list[str], groups: dict[str, Any]
) -> dict[str, Any]:
    """Cross task and valence, as seed paper 1.2 does."""
    cells: dict[str, Any] = {}
    for task in groups["task"]:
        members = grouped.where("task", task)
        cells[task] = {
            valence: _measure(members.where("valence", valence), tested, tasks)
            for valence in groups["valence"]
        }
    return cells


# ---- gaps --------------------------------------------------------------------------------------


def _gaps(
    grouped: ResampledSessions,
    parts: dict[str, ResampledSessions],
    members: pd.DataFrame,
    grouping: str,
    task: str,
    groups: dict[str, Any],
    seed: int,
) -> list[dict[str, Any]]:
    """Test whether each headline metric differs between the groups that have a value.

    Returns
    -------
    one entry a metric: grouping, metric; ``compared`` groups; ``between``: two groups in their
    order, or the largest and the smallest of several; ``value``: their difference; low and high,
    of two groups alone (which of several differ most the data choose, and an interval of that
    difference would not hold); ``exchanged``: what; p, p_adjusted; ``undefined``: why there is no
    value or no p
    """
    compared = [
        name
        for name, entry in groups.items()
        if name != UNKNOWN and not entry[HEADLINE[task][0]]["undefined"]
    ]
    if len(compared) > 1:
        codes, exchanged = _exchanges(members, grouping, compared, task, len(grouped.weights), seed)
    gaps = []
    for metric in HEADLINE[task]:
        entry: dict[str, Any] = {"grouping": grouping, "metric": metric, "compared": compared}
        entry |= dict.fromkeys(
            ("between", "value", "ci_low", "ci_high", "exchanged", "p", "p_adjusted")
        )
        entry["undefined"] = None
        gaps.append(entry)
        if len(compared) < 2:
            entry["undefined"] = "fewer than two groups have a value"
            continue
        values = np.array([groups[name][metric]["value"] for name in compared])
        first, last = (0, 1)
        if len(compared) > 2:
            first, last = int(values.argmax()), int(values.argmin())
        entry["between"] = [compared[first], compared[last]]
        entry["value"], entry["exchanged"] = float(values[first] - values[last]), exchanged
        if len(compared) == 2:
            a, b = (parts[name].values(metric) for name in compared)
            found = grouped.interval(*(x - y for x, y in zip(a, b, strict=True)))
            entry |= {"ci_low": found.ci_low, "ci_high": found.ci_high}
        if (codes == codes[0]).all():
            entry["undefined"] = f"no {exchanged} of the same label are of different groups"
        else:
            entry["p"] = exchange_p(grouped, metric, codes)
    return gaps


def exchange_p(tested: ResampledSessions, metric: str, codes: NDArray[np.integer]) -> float:
    """Say how rarely exchanged groups differ as much as the true ones do.

    ``p = (1 + as large) / (1 + draws)`` (Phipson and Smyth 2010, eq. 2), two-sided; exchanges that
    leave the metric of a group undefined count as large.

    Parameters
    ----------
    tested : the sessions
    metric : name of ``METRICS``
    codes : [1 + D, U], group of each ``unit``: the true one, then after each exchange; below 0: not
        compared
    """
    rule = METRICS[metric]
    values = []
    for group in range(codes.max() + 1):
        member = (codes == group).astype(np.uint8)
        of_seeds = [
            rule.function(
                rows[rule.measured].to_numpy(float),
                rows[rule.predicted].to_numpy(float),
                member[:, rows["unit"].to_numpy()],
            )
            for rows in tested.seeds.values()
        ]
        values.append(np.mean(of_seeds, axis=0))
    gap: Array = np.max(values, axis=0) - np.min(values, axis=0)
    large = (np.nan_to_num(gap[1:], nan=np.inf) >= gap[0] - ROUNDING).sum()
    return float((1 + large) / len(gap))


def _exchanges(
    members: pd.DataFrame, grouping: str, compared: list[str], task: str, draws: int, seed: int
) -> tuple[NDArray[np.integer], str]:
    """Exchange the membership of subjects, or of the sessions of each subject, within strata.

    Returns
    -------
    [1 + draws, U] places in ``compared`` (-1: in none), the true ones first; what was exchanged
    """
    place = {name: number for number, name in enumerate(compared)}
    codes = members[grouping].map(place).fillna(-1).to_numpy(np.int16)
    taking_part = codes >= 0
    members, own = members[taking_part], codes[taking_part]
    subject, stratum = assign_strata(members)
    if len(set(zip(subject, own, strict=True))) == len(set(subject)):
        if task == "severity":
            stratum = _quarters(members["score"].to_numpy(float), subject)
        _, first, number = np.unique(subject, return_index=True, return_inverse=True)
        changed = _permuted(own[first], stratum[first], draws, seed)[:, number]
        exchanged = "subjects"
    else:
        truth = members["y_true" if task == "binary" else "score"].to_numpy(float)
        blocks = pd.DataFrame({"subject": subject, "truth": truth})
        within = blocks.groupby(["subject", "truth"]).ngroup().to_numpy()
        changed = _permuted(own, within, draws, seed)
        exchanged = "sessions of a subject"
    result = np.repeat(codes[None], 1 + draws, axis=0)
    result[:, taking_part] = changed
    return result, exchanged


def _quarters(score: Array, subject: NDArray[Any]) -> NDArray[np.integer]:
    """Say in which quarter of the subjects, by their mean score, each session's subject is."""
    means = pd.Series(score).groupby(subject).mean()
    return np.searchsorted(means.quantile([0.25, 0.5, 0.75]), means.loc[subject], side="right")


def _permuted(
    codes: NDArray[np.integer], strata: NDArray[Any], draws: int, seed: int
) -> NDArray[np.integer]:
    """Permute codes within strata: [1 + draws, N], the first row as given."""
    rng = np.random.default_rng(seed)
    result = np.repeat(codes[None], 1 + draws, axis=0)
    for _, places in sorted(pd.Series(strata).groupby(strata).indices.items()):
        if len(np.unique(codes[places])) > 1:
            own = np.broadcast_to(codes[places], (draws, len(places)))
            result[1:, places] = rng.permuted(own, axis=1)
    return result


def _adjust(gaps: list[dict[str, Any]], level: float) -> None:
    """Correct the tests for their number and say which gaps are shown."""
    tested = [entry for entry in gaps if entry["p"] is not None]
    for entry, p in zip(tested, holm([entry["p"] for entry in tested]).tolist(), strict=True):
        entry["p_adjusted"] = p
    for entry in gaps:
        if entry["p"] is None:
            entry["outcome"] = "undefined"
        else:
            entry["outcome"] = "shown" if entry["p_adjusted"] < level else "not shown"


def subgroup_warnings(gaps: list[dict[str, Any]]) -> list[str]:
    """Name the gaps that are shown."""
    notes = []
    for entry in gaps:
        if entry["outcome"] == "shown":
            rule, sign = METRICS[entry["metric"]], 1 if entry["value"] > 0 else -1
            larger, smaller = entry["between"][::sign]
            notes.append(
                f"Groups are not served equally: {rule.label} is {abs(entry['value']):.2f} "
                f"{'higher (worse)' if rule.lower_is_better else 'higher'} for {larger} than for "
                f"{smaller} ({entry['grouping']}; p = {entry['p_adjusted']:.2g}, adjusted for "
                f"{sum(gap['p'] is not None for gap in gaps)} tests)."
            )
    return notes
