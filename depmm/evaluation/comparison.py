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
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from depmm.corpora.manifest import SESSION_KEY, SUBJECT_KEY
from depmm.errors import DepmmError
from depmm.evaluation.predictions import Unit, prepare_predictions, session_names
from depmm.evaluation.stats.bootstrap import ResampledSessions, resample_sessions
from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.stats.paired_tests import paired_permutation_test
from depmm.evaluation.stats.weighted_sums import Array
from depmm.multiple_testing import benjamini_hochberg, holm

Adjustment = Literal["holm", "benjamini_hochberg"]


class PairingError(DepmmError):
    """Runs that were not tested on the same sessions; names them."""


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
    is better), low, high, method (of the paired interval), p (``paired_permutation_test``),
    p_adjusted, unit, sessions, subjects

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
            mine, other = (_answers(tested[name], METRICS[metric].predicted) for name in (a, b))
            truth = one[METRICS[metric].measured].to_numpy(float)
            test = paired_permutation_test(
                metric, truth, mine, other, subjects, n_permutations=n_bootstrap, seed=seed
            )
            rows.append(
                {
                    "metric": metric,
                    "run_a": a,
                    "run_b": b,
                    "value_a": values[a].per_seed.mean(),
                    "value_b": values[b].per_seed.mean(),
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
                reads = METRICS[metric].predicted
                if reads not in here or here[reads].isna().any():
                    raise ValueError(
                        f"compare_runs: {metric} reads {reads!r}, which {where} has not for every "
                        "tested session; leave the metric out, or add the column"
                    )
                truth = METRICS[metric].measured
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
