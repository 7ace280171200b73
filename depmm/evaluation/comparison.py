"""Is one run better than another: paired tests, their corrections, and a table of several runs.

Runs are compared on the same sessions. The unit of every test is the subject,
``(corpus, subject)``: sessions of one subject are exchanged together, drawn together and summed
together.

``compare_runs`` uses the permutation test and the paired bootstrap, which hold for every metric.
McNemar's and DeLong's tests are here for readers who expect them. All of these ask whether *these
trained models* differ on other subjects. Whether the *way of training* differs is a question to
several trainings, and what ``corrected_resampled_t`` is for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from depmm.corpora.manifest import SESSION_KEY, SUBJECT_KEY
from depmm.errors import DepmmError
from depmm.evaluation.predictions import Unit, prepare_predictions, session_names
from depmm.evaluation.stats.bootstrap import ResampledSessions, resample_sessions
from depmm.evaluation.stats.metrics import METRICS, TRUTH, Array
from depmm.multiple_testing import benjamini_hochberg, holm

Adjustment = Literal["holm", "benjamini_hochberg"]
ROUNDING = 1e-12  # differences this close are the same difference


class PairingError(DepmmError):
    """Runs that were not tested on the same sessions; names them."""


# ---- tests of one pair -------------------------------------------------------------------------


@dataclass(frozen=True)
class Permutation:
    """A difference between two runs and how rarely chance makes one as large."""

    difference: float
    p: float
    exact: bool  # all exchanges were tried, not a random sample of them


def paired_permutation(
    name: str,
    truth: ArrayLike,
    answers_a: ArrayLike,
    answers_b: ArrayLike,
    subjects: ArrayLike,
    *,
    n_permutations: int = 10_000,
    seed: int = 0,
) -> Permutation:
    """Test a metric's difference by exchanging the two runs' answers within subjects.

    If the runs are alike, whose answer is whose is a toss of a coin for each subject. Two-sided.
    Where there are no more exchanges than ``n_permutations``, all are tried; otherwise
    ``p = (1 + as large) / (1 + n_permutations)`` (Phipson and Smyth 2010, eq. 2), which is never 0.
    Exchanges that leave the metric undefined count as large.

    Parameters
    ----------
    name : one of ``METRICS``
    truth : [N]
    answers_a, answers_b : [N], or [S, N] of several seeds: the metric is then their mean, and a
        subject is exchanged in all seeds at once
    subjects : [N] whole numbers, equal for sessions of one subject
    n_permutations, seed : of the random exchanges

    Returns
    -------
    The difference (a - b) with its p; NaN where the metric is undefined
    """
    a, b = np.atleast_2d(np.asarray(answers_a, float)), np.atleast_2d(np.asarray(answers_b, float))
    y = np.asarray(truth, dtype=float)
    _, subject = np.unique(np.asarray(subjects), return_inverse=True)
    if a.shape != b.shape or a.shape[1:] != y.shape or y.shape != subject.shape:
        raise ValueError(
            f"paired_permutation: {y.shape} truths, {a.shape} and {b.shape} answers, "
            f"{subject.shape} subjects: give one of each per session, in the same order"
        )
    # exchanging equal answers does nothing
    active = np.unique(subject[(a != b).any(axis=0)])
    exact = 2 ** len(active) <= n_permutations
    swapped = np.zeros(
        (2 ** len(active) if exact else n_permutations, subject.max() + 1), dtype=np.uint8
    )
    if exact:
        swapped[:, active] = np.arange(len(swapped))[:, None] >> np.arange(len(active)) & 1
    else:
        rng = np.random.default_rng(seed)
        swapped[:, active] = rng.integers(0, 2, (n_permutations, len(active)), dtype=np.uint8)
    swapped = swapped[:, subject]
    metric = METRICS[name].function

    def difference(swap: NDArray[np.uint8]) -> Array:
        # both runs' answers stand in one table; weights pick whose counts as whose
        first, second = np.hstack([1 - swap, swap]), np.hstack([swap, 1 - swap])
        twice = np.tile(y, 2)
        each = [
            metric(twice, both, first) - metric(twice, both, second) for both in np.hstack([a, b])
        ]
        return np.mean(each, axis=0)

    observed = difference(np.zeros((1, len(y)), dtype=np.uint8))[0]
    if not np.isfinite(observed):
        return Permutation(float(observed), np.nan, exact)
    by_chance = np.nan_to_num(np.abs(difference(swapped)), nan=np.inf)
    large = int((by_chance >= abs(observed) - ROUNDING).sum())
    p = large / len(swapped) if exact else (1 + large) / (1 + n_permutations)
    return Permutation(float(observed), float(p), exact)


# ---- many tests --------------------------------------------------------------------------------


# ---- several runs ------------------------------------------------------------------------------


def compare_runs(
    runs: Mapping[str, pd.DataFrame],
    metrics: Sequence[str],
    *,
    n_bootstrap: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    adjustment: Adjustment = "holm",
    unit: Unit = "session",
) -> pd.DataFrame:
    """Compare every pair of runs in every metric, on the same subjects.

    Parameters
    ----------
    runs : name -> predictions (see ``check_predictions``) of the same sessions and seeds
    metrics : names of ``METRICS``
    n_bootstrap, confidence, seed : of the bootstrap and of the permutation test
    adjustment : of the p values over all rows of the table
    unit : ``session``, or ``subject`` for the mean of each subject's sessions

    Returns
    -------
    One row a metric and pair: metric, run_a, run_b, value_a, value_b, difference (a - b, whichever
    is better), low, high, method (of the paired interval), p (``paired_permutation``), p_adjusted,
    unit, sessions, subjects

    Raises
    ------
    PairingError : other sessions, another truth, other seeds
    ValueError : fewer than two runs, an unknown metric or one the predictions have no column for
    """
    if len(runs) < 2:
        raise ValueError(f"compare_runs: {len(runs)} run(s) {list(runs)}: give two or more")
    if unknown := [name for name in metrics if name not in METRICS]:
        raise ValueError(f"compare_runs: metric {unknown[0]!r} is none of {', '.join(METRICS)}")
    tested = {
        name: resample_sessions(prepare_predictions(table, unit)[0], n_bootstrap, confidence, seed)
        for name, table in runs.items()
    }
    for a, b in combinations(tested, 2):
        _check_pair(a, tested[a], b, tested[b], metrics)
    one = next(iter(next(iter(tested.values())).seeds.values()))
    subjects = one.groupby(SUBJECT_KEY).ngroup().to_numpy()
    rows: list[dict[str, Any]] = []
    for metric in metrics:
        values = {name: of_run.values(metric) for name, of_run in tested.items()}
        for a, b in combinations(tested, 2):
            pairs = zip(values[a], values[b], strict=True)
            found = tested[a].interval(*(x - y for x, y in pairs))
            mine, other = (_answers(tested[name], METRICS[metric].reads) for name in (a, b))
            truth = one[TRUTH[METRICS[metric].reads]].to_numpy(float)
            test = paired_permutation(
                metric, truth, mine, other, subjects, n_permutations=n_bootstrap, seed=seed
            )
            rows.append(
                {
                    "metric": metric,
                    "run_a": a,
                    "run_b": b,
                    "value_a": values[a].points.mean(),
                    "value_b": values[b].points.mean(),
                    "difference": found.value,
                    "ci_low": found.ci_low,
                    "ci_high": found.ci_high,
                    "method": found.method,
                    "p": test.p,
                    "unit": unit,
                    "sessions": len(one),
                    "subjects": len(np.unique(subjects)),
                }
            )
    table = pd.DataFrame(rows)
    adjust = {"holm": holm, "benjamini_hochberg": benjamini_hochberg}[adjustment]
    table.insert(list(table).index("p") + 1, "p_adjusted", adjust(table["p"]))
    return table


def _answers(tested: ResampledSessions, column: str) -> Array:
    return np.stack([rows[column].to_numpy(float) for rows in tested.seeds.values()])


def _check_pair(
    a: str, tested_a: ResampledSessions, b: str, tested_b: ResampledSessions, metrics: Sequence[str]
) -> None:
    """Refuse two runs that did not answer the same questions."""
    if list(tested_a.seeds) != list(tested_b.seeds):
        raise PairingError(
            f"compare_runs: {a} has seeds {list(tested_a.seeds)}, {b} has {list(tested_b.seeds)}; "
            "compare runs of the same seeds and repetitions"
        )
    first = next(iter(tested_a.seeds.values())).set_index(SESSION_KEY)
    for name, tested in ((a, tested_a), (b, tested_b)):
        for seed, rows in tested.seeds.items():
            here, where = rows.set_index(SESSION_KEY), f"{name}, seed {seed}"
            for missing, has, lacks in (
                (first.index.difference(here.index), a, where),
                (here.index.difference(first.index), where, a),
            ):
                if len(missing):
                    raise PairingError(
                        f"compare_runs: {session_names(missing)} tested in {has} but not in "
                        f"{lacks}; compare runs on the same sessions"
                    )
            for metric in metrics:
                reads = METRICS[metric].reads
                if reads not in here or here[reads].isna().any():
                    raise ValueError(
                        f"compare_runs: {metric} reads {reads!r}, which {where} has not for every "
                        "tested session; leave the metric out, or add the column"
                    )
                truth = TRUTH[reads]
                differs = here[truth] != first[truth]
                if differs.any():
                    session = here.index[differs][0]
                    raise PairingError(
                        f"compare_runs: {truth} of {session_names(here.index[differs])} differs: "
                        f"{first.loc[session, truth]} in {a}, {here.loc[session, truth]} in "
                        f"{where}; use the same labels"
                    )
    if not np.array_equal(tested_a.weights, tested_b.weights):
        raise PairingError(
            f"compare_runs: y_true of {a} and {b} differ (or one has none), so that subjects "
            "cannot be drawn in pairs; give both the same y_true, or drop it from both"
        )
