"""Pairwise comparison of runs on the same sessions, with corrected paired tests.

The unit of every test is the subject, ``(corpus, subject)``: sessions of a subject are exchanged
together and left out together. Between runs of one training each, the test asks whether *these
trained models* differ on other subjects of the population. With several seeds of a run, its
training variance is part of the test, which then compares the *training procedures* on the given
training data. A run with one seed beside it is treated as deterministic.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from depmm.errors import DepmmError, did_you_mean
from depmm.evaluation.prediction_checks import MAX_NAMED, session_names
from depmm.evaluation.predictions import prepare_predictions
from depmm.evaluation.stats.bootstrap import ClassCounts
from depmm.evaluation.stats.metric_intervals import estimate_metric
from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.stats.paired_difference import compare_pair
from depmm.evaluation.stats.ranks import rank_runs
from depmm.evaluation.stats.resampled_sessions import ResampledSessions, resample_sessions
from depmm.evaluation.stats.undefined import explain_undefined
from depmm.evaluation.thresholds import Threshold
from depmm.evaluation.units import Unit
from depmm.multiple_testing import benjamini_hochberg, holm
from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY

Adjustment = Literal["holm", "benjamini_hochberg"]


class PairingError(DepmmError):
    """Runs that cannot be compared, for example because they tested other sessions."""


def compare_runs(
    runs: Mapping[str, pd.DataFrame],
    metrics: Sequence[str],
    *,
    n_bootstrap: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    adjustment: Adjustment = "holm",
    unit: Unit = "session",
    thresholds: Mapping[str, Threshold] | None = None,
    class_counts: ClassCounts = "random",
) -> pd.DataFrame:
    """Compare every pair of runs in every metric, on the same subjects.

    Parameters
    ----------
    runs : dict of str to DataFrame
        Predictions of each run by its name (see ``check_predictions``); all runs have the same
        sessions; their seeds may differ.
    metrics : sequence of str
        Metrics, keys of ``METRICS``.
    n_bootstrap : int, default 2000
        Number of bootstrap replicates and of permutations.
    confidence : float, default 0.95
        Confidence level of the intervals.
    seed : int, default 0
        Seed of bootstrap and permutations.
    adjustment : {"holm", "benjamini_hochberg"}, default "holm"
        Correction of the p values over all rows of the table.
    unit : str, default "session"
        ``session``, ``subject`` or, for example, ``subject,task``: the sessions of each unit are
        averaged first. Subjects are resampled and exchanged, whatever the unit is.
    thresholds : mapping of str to float or "validation", optional
        Decision threshold of each run by its name (``apply_threshold``); that of a run without an
        entry is chosen on its validation rows.
    class_counts : {"fixed", "random"}, default "random"
        Whether the class counts were fixed by the design of the study.

    Returns
    -------
    DataFrame
        One row per metric and pair: metric, run_a, run_b, value_a, value_b, difference (a - b, also
        where lower is better), ci_low, ci_high, method and reason (of the paired interval),
        undefined (why there is no difference, or None), p, p_adjusted, smallest (true difference
        that is shown with a power of .8 at the level of the interval), seeds_a, seeds_b (numbers of
        trainings), unit, sessions, subjects.

    Raises
    ------
    PairingError
        If the runs differ in sessions or labels, a column that a metric needs is missing,
        there are fewer than two runs, or a metric is unknown.
    """
    if len(runs) < 2:
        raise PairingError(
            f"Only {', '.join(runs) or 'nothing'} is given. Give two or more runs or tables.",
            value=list(runs),
        )
    for name in metrics:
        if name not in METRICS:
            raise PairingError(
                f"Metric {name!r} is unknown.", value=name, remedy=did_you_mean(name, METRICS)
            )
    tested = resample_runs(
        runs,
        metrics,
        n_bootstrap=n_bootstrap,
        confidence=confidence,
        seed=seed,
        unit=unit,
        thresholds=thresholds,
        class_counts=class_counts,
    )
    sessions = next(iter(next(iter(tested.values())).seeds.values()))
    subjects = sessions.groupby(SUBJECT_KEY).ngroup().to_numpy()
    rows: list[dict[str, Any]] = []
    for metric in metrics:
        terms = {name: estimate_metric(run, metric) for name, run in tested.items()}
        for a, b in combinations(tested, 2):
            pair = compare_pair(
                (tested[a], tested[b]),
                metric,
                (terms[a], terms[b]),
                n_permutations=n_bootstrap,
                seed=seed,
            )
            rows.append(
                {
                    "metric": metric,
                    "run_a": a,
                    "run_b": b,
                    "value_a": terms[a].value,
                    "value_b": terms[b].value,
                    "difference": pair.interval.value,
                    "ci_low": pair.interval.ci_low,
                    "ci_high": pair.interval.ci_high,
                    "method": pair.interval.method,
                    "reason": pair.interval.reason,
                    "undefined": explain_undefined(tested[a], metric)
                    or explain_undefined(tested[b], metric),
                    "p": pair.p,
                    "smallest": pair.smallest,
                    "seeds_a": len(np.unique(tested[a].training_seeds)),
                    "seeds_b": len(np.unique(tested[b].training_seeds)),
                    "unit": unit,
                    "sessions": len(sessions),
                    "subjects": len(np.unique(subjects)),
                }
            )
    table = pd.DataFrame(rows)
    adjust = {"holm": holm, "benjamini_hochberg": benjamini_hochberg}[adjustment]
    table.insert(list(table).index("p") + 1, "p_adjusted", adjust(table["p"]))
    return table


def rank_all_runs(
    runs: Mapping[str, pd.DataFrame],
    metrics: Sequence[str],
    *,
    n_bootstrap: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    unit: Unit = "session",
    thresholds: Mapping[str, Threshold] | None = None,
    class_counts: ClassCounts = "random",
) -> pd.DataFrame:
    """Compute how often each run is first in each metric, over bootstrap draws of subjects.

    Parameters
    ----------
    runs : dict of str to DataFrame
        Predictions of each run by its name, as in ``compare_runs``.
    metrics : sequence of str
        Metrics, keys of ``METRICS``.
    n_bootstrap : int, default 2000
        Number of draws.
    confidence : float, default 0.95
        Confidence level; not used by the ranks.
    seed : int, default 0
        Seed of the draws.
    unit : str, default "session"
        Unit of every metric.
    thresholds : mapping of str to float or "validation", optional
        Decision threshold of each run by its name.
    class_counts : {"fixed", "random"}, default "random"
        Whether all draws have the class counts of the data.

    Returns
    -------
    DataFrame
        One row per metric and run: metric, run, first_share, mean_rank (``RankUncertainty``).

    Raises
    ------
    PairingError
        If the runs differ in sessions or labels.
    """
    tested = resample_runs(
        runs,
        metrics,
        n_bootstrap=n_bootstrap,
        confidence=confidence,
        seed=seed,
        unit=unit,
        thresholds=thresholds,
        class_counts=class_counts,
    )
    return pd.DataFrame(
        [
            {"metric": metric, "run": run, **asdict(rank)}
            for metric in metrics
            for run, rank in rank_runs(tested, metric, seed).items()
        ]
    )


def resample_runs(
    runs: Mapping[str, pd.DataFrame],
    metrics: Sequence[str],
    *,
    n_bootstrap: int,
    confidence: float,
    seed: int,
    unit: Unit,
    thresholds: Mapping[str, Threshold] | None,
    class_counts: ClassCounts,
) -> dict[str, ResampledSessions]:
    """Prepare runs and check that they test the same sessions.

    Parameters
    ----------
    runs : dict of str to DataFrame
        Predictions of each run by its name.
    metrics : sequence of str
        Metrics, keys of ``METRICS``.
    n_bootstrap : int
        Number of bootstrap replicates.
    confidence : float
        Confidence level of the intervals.
    seed : int
        Seed of the bootstrap.
    unit : str
        Unit of every metric.
    thresholds : mapping of str to float or "validation", optional
        Decision threshold of each run.
    class_counts : {"fixed", "random"}
        Whether the class counts were fixed by the design of the study.

    Returns
    -------
    dict of str to ResampledSessions
        The tested rows of each run, with the same replicates.

    Raises
    ------
    PairingError
        If the runs differ in sessions or labels, or a column that a metric needs is missing.
    """
    tested: dict[str, ResampledSessions] = {}
    sessions = {}
    for name, predictions in runs.items():
        threshold = (thresholds or {}).get(name, "validation")
        prepared = prepare_predictions(predictions, unit, threshold)[0]
        tested[name] = resample_sessions(prepared, n_bootstrap, confidence, seed, class_counts)
        sessions[name] = pd.MultiIndex.from_frame(prepared[SESSION_KEY])
    for a, b in combinations(tested, 2):
        for first, other in ((a, b), (b, a)):
            _check_same_sessions(first, tested[first], other, tested[other], sessions[other])
        _check_pair(a, tested[a], b, tested[b], metrics)
    return tested


def _check_pair(
    a: str, tested_a: ResampledSessions, b: str, tested_b: ResampledSessions, metrics: Sequence[str]
) -> None:
    """Check that two runs on the same sessions have the same labels."""
    reference = next(iter(tested_a.seeds.values())).set_index(SESSION_KEY)
    for name, tested in ((a, tested_a), (b, tested_b)):
        for seed, table in tested.seeds.items():
            rows, label = table.set_index(SESSION_KEY), f"{name}, seed {seed}"
            for metric in metrics:
                _check_values(metric, reference, a, rows, label)
    if not np.array_equal(tested_a.weights, tested_b.weights):
        raise PairingError(
            f"y_true differs between {a} and {b}, or one of them has no y_true; subjects cannot be "
            "resampled in pairs. Use the same y_true in both, or drop it from both.",
            column="y_true",
        )


def _check_same_sessions(
    a: str,
    tested_a: ResampledSessions,
    b: str,
    tested_b: ResampledSessions,
    sessions_b: pd.MultiIndex,
) -> None:
    """Check that run b tests the sessions of run a."""
    keys_a, keys_b = (
        pd.MultiIndex.from_frame(next(iter(run.seeds.values()))[SESSION_KEY])
        for run in (tested_a, tested_b)
    )
    missing = keys_a.difference(keys_b)
    if not len(missing):
        return
    n_other = len(missing.intersection(sessions_b))
    other = (
        f" {n_other} of them are train or validation sessions of {b}: leave them out of {a}, or "
        "give the column split."
        if n_other
        else ""
    )
    known = "/".join(map(str, keys_b[0]))
    unlike = "" if len(missing) < len(keys_a) or n_other else f" Ids of {b} are like {known}."
    raise PairingError(
        f"{len(missing)} of {len(keys_a)} sessions are tested in {a} but not in {b}: "
        f"{session_names(missing)}.{unlike}{other}",
        column="session",
        session=str(missing[0][2]),
        value=len(missing),
        remedy="Compare runs on the same sessions.",
    )


def _check_values(
    metric: str, reference: pd.DataFrame, reference_label: str, rows: pd.DataFrame, label: str
) -> None:
    predicted, measured = METRICS[metric].predicted, METRICS[metric].measured
    if predicted not in rows or rows[predicted].isna().any():
        raise PairingError(
            f"{label}: {metric} needs a value of {predicted!r} for every tested session. Leave the "
            "metric out, or fill the column.",
            column=predicted,
        )
    differs = rows[measured] != reference[measured]
    if differs.any():
        session = rows.index[differs][0]
        pairs = zip(reference[measured][differs], rows[measured][differs], strict=True)
        counts = Counter(f"{old:g} in {reference_label}, {new:g} in {label}" for old, new in pairs)
        opposite = " All labels are opposite: is 1 the same class in both?" * bool(
            differs.all() and measured == "y_true"
        )
        listed = "; ".join(f"{n} sessions: {text}" for text, n in counts.most_common(MAX_NAMED))
        raise PairingError(
            f"{measured} of {int(differs.sum())} of {len(rows)} sessions differs ({listed}): "
            f"{session_names(rows.index[differs])}.{opposite}",
            column=measured,
            session=str(session[2]),
            value=int(differs.sum()),
            remedy="Use the same labels.",
        )
