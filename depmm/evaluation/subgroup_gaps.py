"""Permutation tests of the differences (gaps) of a metric between subgroups.

A gap is the difference of a metric between two subgroups, or between the subgroups with the highest
and the lowest value. Under the null hypothesis the predictions do not depend on the subgroup given
the measured value (separation, "equalised odds"; Hardt et al. 2016). Membership is therefore
permuted among subjects with the same label, and every subgroup keeps its number of positives; for
severity, it is permuted among subjects in the same quarter of the scores. In 600 simulated studies
of 100 subjects in which women scored 6 points more than men without any gap, the test at .05
detected a gap of RMSE in 6 %; with halves of the scores in 12 %, and without strata in 41 %.

A property of subjects (gender, age, corpus) is permuted between subjects, with all of their
sessions. If subjects have sessions of several subgroups (task, valence), membership is permuted
between the sessions of a subject with the same measured value; subjects with one subgroup then have
no effect.

References
----------
Hardt, Price and Srebro, "Equality of opportunity in supervised learning", NIPS 2016.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from depmm.evaluation.stats.bootstrap import assign_strata
from depmm.evaluation.stats.metric_intervals import estimate_difference, estimate_metric
from depmm.evaluation.stats.metrics import HEADLINE, METRICS
from depmm.evaluation.stats.resampled_sessions import ResampledSessions
from depmm.evaluation.stats.weighted_sums import ROUNDING, Array
from depmm.multiple_testing import holm

UNKNOWN = "(not known)"  # subgroup of the sessions without a value


def measure_gaps(
    grouped: ResampledSessions,
    parts: dict[str, ResampledSessions],
    sessions: pd.DataFrame,
    grouping: str,
    target: str,
    measured: dict[str, Any],
    seed: int,
) -> list[dict[str, Any]]:
    """Test whether each headline metric differs between the subgroups that have a value.

    Parameters
    ----------
    grouped : ResampledSessions
        Tested rows.
    parts : dict of str to ResampledSessions
        Rows of each subgroup.
    sessions : DataFrame
        One row per session (index: ``unit``) with its subgroups and measured values.
    grouping : str
        Column of the subgroups.
    target : {"binary", "severity"}
        Kind of target.
    measured : dict of str to dict
        Metrics of each subgroup.
    seed : int
        Seed of the permutations.

    Returns
    -------
    list of dict
        Per metric: ``grouping``, ``metric``, ``compared`` (subgroups), ``between`` (the two
        subgroups of the difference; of several, those with the highest and the lowest value),
        ``value`` (the difference), ``ci_low`` and ``ci_high`` (for exactly two subgroups; with
        more, the pair is selected by the data and an interval would be invalid), ``exchanged``
        (what is permuted), ``p``, ``p_adjusted`` and ``undefined`` (why there is no value or no
        p value).
    """
    compared = [
        name
        for name, entry in measured.items()
        if name != UNKNOWN and not entry[HEADLINE[target][0]]["undefined"]
    ]
    if len(compared) > 1:
        n_permutations = len(grouped.weights)
        codes, exchanged = permute_subgroups(
            sessions, grouping, compared, target, n_permutations, seed
        )
    gaps = []
    for metric in HEADLINE[target]:
        gap: dict[str, Any] = {"grouping": grouping, "metric": metric, "compared": compared}
        gap |= dict.fromkeys(
            ("between", "value", "ci_low", "ci_high", "exchanged", "p", "p_adjusted")
        )
        gap["undefined"] = None
        gaps.append(gap)
        if len(compared) < 2:
            gap["undefined"] = "fewer than two subgroups have a value"
            continue
        values = np.array([measured[name][metric]["value"] for name in compared])
        first, last = 0, 1
        if len(compared) > 2:
            first, last = int(values.argmax()), int(values.argmin())
        gap["between"] = [compared[first], compared[last]]
        gap["value"], gap["exchanged"] = float(values[first] - values[last]), exchanged
        if len(compared) == 2:
            a, b = (
                (parts[name].values(metric), estimate_metric(parts[name], metric))
                for name in compared
            )
            interval = estimate_difference(grouped, a, b)
            gap |= {"ci_low": interval.ci_low, "ci_high": interval.ci_high}
        if (codes == codes[0]).all():
            gap["undefined"] = f"no {exchanged} of the same label are in different subgroups"
        else:
            gap["p"] = permutation_p(grouped, metric, codes)
    return gaps


def permutation_p(tested: ResampledSessions, metric: str, codes: NDArray[np.integer]) -> float:
    """Compute the p value of a gap from permuted subgroups.

    ``p = (1 + as extreme) / (1 + permutations)``, two-sided; permutations that leave the metric of
    a subgroup undefined count as extreme.

    Parameters
    ----------
    tested : ResampledSessions
        The tested rows.
    metric : str
        Metric, a key of ``METRICS``.
    codes : ndarray of int, shape (1 + permutations, units)
        Subgroup of each ``unit``, first the observed one; -1 if the unit is not compared.

    Returns
    -------
    float
        The p value.

    References
    ----------
    Phipson and Smyth, "Permutation p-values should never be zero", Statistical Applications in
    Genetics and Molecular Biology 9(1), 2010, Eq. 2.
    """
    definition = METRICS[metric]
    values = []
    for subgroup in range(codes.max() + 1):
        in_subgroup = (codes == subgroup).view(np.uint8)
        per_seed = [
            definition.function(
                rows[definition.measured].to_numpy(float),
                rows[definition.predicted].to_numpy(float),
                tested.select_columns(seed, in_subgroup),
            )
            for seed, rows in tested.seeds.items()
        ]
        values.append(np.mean(per_seed, axis=0))
    gap: Array = np.max(values, axis=0) - np.min(values, axis=0)
    extreme = (np.nan_to_num(gap[1:], nan=np.inf) >= gap[0] - ROUNDING).sum()
    return float((1 + extreme) / len(gap))


def permute_subgroups(
    sessions: pd.DataFrame,
    grouping: str,
    compared: list[str],
    target: str,
    n_permutations: int,
    seed: int,
) -> tuple[NDArray[np.integer], str]:
    """Permute the subgroups of subjects, or of the sessions of each subject, within strata.

    Parameters
    ----------
    sessions : DataFrame
        One row per session with subgroups and measured values.
    grouping : str
        Column of the subgroups.
    compared : list of str
        Subgroups that are compared.
    target : {"binary", "severity"}
        Kind of target.
    n_permutations : int
        Number of permutations.
    seed : int
        Seed of the permutations.

    Returns
    -------
    codes : ndarray of int, shape (1 + n_permutations, units)
        Index of the subgroup in ``compared``, or -1; the first row is the observed one.
    exchanged : str
        What is permuted, for reports.
    """
    code_of_subgroup = {name: code for code, name in enumerate(compared)}
    # all permutations together take megabytes: one byte for each code nearly always
    smallest = np.min_scalar_type(-max(1, len(compared)))
    codes = sessions[grouping].map(code_of_subgroup).fillna(-1).to_numpy(smallest)
    included = codes >= 0
    sessions, observed = sessions[included], codes[included]
    subject, stratum = assign_strata(sessions)
    if len(set(zip(subject, observed, strict=True))) == len(set(subject)):
        if target == "severity":
            stratum = _score_quarters(sessions["score"].to_numpy(float), subject)
        _, first, position = np.unique(subject, return_index=True, return_inverse=True)
        permuted = _permute(observed[first], stratum[first], n_permutations, seed)[:, position]
        exchanged = "subjects"
    else:
        measured = sessions["y_true" if target == "binary" else "score"].to_numpy(float)
        blocks = pd.DataFrame({"subject": subject, "measured": measured})
        within = blocks.groupby(["subject", "measured"]).ngroup().to_numpy()
        permuted = _permute(observed, within, n_permutations, seed)
        exchanged = "sessions of a subject"
    if included.all():
        return permuted, exchanged
    result = np.repeat(codes[None], 1 + n_permutations, axis=0)
    result[:, included] = permuted
    return result, exchanged


def _score_quarters(score: Array, subject: NDArray[Any]) -> NDArray[np.integer]:
    """Assign each session to the quarter of its subject by mean score, 0 to 3."""
    means = pd.Series(score).groupby(subject).mean()
    return np.searchsorted(means.quantile([0.25, 0.5, 0.75]), means.loc[subject], side="right")


def _permute(
    codes: NDArray[np.integer], strata: NDArray[Any], n_permutations: int, seed: int
) -> NDArray[np.integer]:
    """Permute codes within strata: (1 + n_permutations, N), the first row is not permuted."""
    rng = np.random.default_rng(seed)
    result = np.repeat(codes[None], 1 + n_permutations, axis=0)
    for _, members in sorted(pd.Series(strata).groupby(strata).indices.items()):
        if len(np.unique(codes[members])) > 1:
            repeated = np.broadcast_to(codes[members], (n_permutations, len(members)))
            result[1:, members] = rng.permuted(repeated, axis=1)
    return result


def adjust_gaps(gaps: list[dict[str, Any]], level: float) -> None:
    """Adjust the p values of all gaps and set their outcomes, in place.

    Parameters
    ----------
    gaps : list of dict
        Entries of ``measure_gaps``; ``p_adjusted`` and ``outcome`` (``shown``, ``not shown`` or
        ``undefined``) are set.
    level : float
        Family-wise error rate.
    """
    tested = [gap for gap in gaps if gap["p"] is not None]
    for gap, p in zip(tested, holm([gap["p"] for gap in tested]).tolist(), strict=True):
        gap["p_adjusted"] = p
    for gap in gaps:
        if gap["p"] is None:
            gap["outcome"] = "undefined"
        else:
            gap["outcome"] = "shown" if gap["p_adjusted"] < level else "not shown"
