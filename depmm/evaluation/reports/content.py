"""The content of ``metrics.json``: every metric of a predictions table with interval and baseline.

The predictions may come from any program (``depmm.evaluation.predictions``). The unit of every
metric is the session, or the subject if ``unit`` is ``subject``. The tested sessions of all folds
are pooled. With several seeds, or with folds that test each session several times (repeated
k-fold), a metric is the mean over these repetitions, and a bootstrap replicate contains the same
subjects in all of them.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from depmm.corpora.instruments import find_scale
from depmm.evaluation.baselines import add_baselines, compare_with_baselines
from depmm.evaluation.covariate_baselines import (
    add_covariate_baselines,
    compare_with_covariate_baselines,
)
from depmm.evaluation.prediction_checks import check_predictions, describe_defaults
from depmm.evaluation.prediction_warnings import prediction_warnings
from depmm.evaluation.predictions import get_instrument, prepare_predictions
from depmm.evaluation.reports.fold_metrics import measure_folds
from depmm.evaluation.reports.rendering import to_json_values
from depmm.evaluation.reports.report_warnings import report_warnings
from depmm.evaluation.reports.study import describe_study
from depmm.evaluation.stats.binary_metrics import confusion
from depmm.evaluation.stats.bootstrap import ClassCounts
from depmm.evaluation.stats.calibration import measure_calibration
from depmm.evaluation.stats.calibrators import CalibrationError
from depmm.evaluation.stats.conformal_intervals import measure_severity_intervals, score_range
from depmm.evaluation.stats.conformal_sets import ALPHAS, measure_label_sets
from depmm.evaluation.stats.metrics import HEADLINE
from depmm.evaluation.stats.resampled_sessions import ResampledSessions, resample_sessions
from depmm.evaluation.stats.risk_coverage import measure_gate_std, measure_risk_coverage
from depmm.evaluation.stats.session_counts import count_sessions
from depmm.evaluation.stats.weighted_sums import unit_weights
from depmm.evaluation.subgroups import measure_subgroups
from depmm.evaluation.thresholds import COLUMN, Threshold
from depmm.evaluation.units import Unit, average_properties
from depmm.schemas.manifest import SESSION_KEY, SPLITS

SCHEMA_VERSION = 2  # of metrics.json; raised when a key changes its meaning or is removed
N_THREADS = 2  # numpy releases the interpreter lock; each thread needs memory for its draws
OUTCOMES = ("worse", "undefined", "not shown to be better", "better")  # in ascending order


def evaluate_predictions(
    predictions: pd.DataFrame,
    *,
    n_bootstrap: int,
    confidence: float,
    seed: int = 0,
    unit: Unit = "session",
    threshold: Threshold = "validation",
    class_counts: ClassCounts = "random",
) -> dict[str, Any]:
    """Compute the content of ``metrics.json``.

    Parameters
    ----------
    predictions : DataFrame
        See :func:`~depmm.evaluation.prediction_checks.check_predictions`.
    n_bootstrap : int
        Number of bootstrap draws of subjects.
    confidence : float
        Level of the intervals, for example 0.95.
    seed : int, default 0
        Seed of the bootstrap.
    unit : str, default "session"
        Unit of every metric: ``session``, ``subject`` or, for example, ``subject,task``, of which
        the predictions of the sessions are averaged (``depmm.evaluation.units``).
    threshold : float or "validation", default "validation"
        Decision threshold; with ``"validation"``, it is chosen on the validation rows of each fold
        and seed.
    class_counts : {"fixed", "random"}, default "random"
        Whether the numbers of positive and negative test subjects were fixed by the design of the
        study.

    Returns
    -------
    dict of str to object
        JSON values, None where undefined, with the keys of ``depmm.schemas.metrics_json`` except
        ``coverage``.

    Raises
    ------
    PredictionTableError
        If the table contradicts itself, or a column that the evaluation needs is missing.
    """
    return evaluate_sessions(
        predictions, n_bootstrap, confidence, seed, unit, threshold, class_counts
    )[0]


def evaluate_sessions(
    predictions: pd.DataFrame,
    n_bootstrap: int,
    confidence: float,
    seed: int,
    unit: Unit,
    threshold: Threshold,
    class_counts: ClassCounts,
    properties: pd.DataFrame | None = None,
) -> tuple[dict[str, Any], ResampledSessions]:
    """Compute the content of ``metrics.json``, and return the test sessions for the figures.

    Parameters
    ----------
    predictions : DataFrame
        As in :func:`evaluate_predictions`.
    n_bootstrap : int
        Number of bootstrap draws of subjects.
    confidence : float
        Level of the intervals.
    seed : int
        Seed of the bootstrap.
    unit : str
        Unit of every metric.
    threshold : float or "validation"
        Decision threshold.
    class_counts : {"fixed", "random"}
        Whether the class counts were fixed by the design of the study.
    properties : DataFrame, optional
        Properties of the sessions, from the audit of the manifest.

    Returns
    -------
    content : dict of str to object
        See :func:`evaluate_predictions`.
    resampled : ResampledSessions
        Test sessions with their bootstrap weights.

    Raises
    ------
    PredictionTableError
        If the table contradicts itself, or a column that the evaluation needs is missing.
    """
    if properties is not None and unit != "session":
        properties = average_properties(properties, check_predictions(predictions), unit)
    table, targets = prepare_predictions(predictions, unit, threshold)
    fitted: dict[str, Any] = {}
    not_possible: dict[str, Any] = {}
    for target in targets:
        table = add_baselines(table, target)
        table, fitted[target], not_possible[target] = add_covariate_baselines(
            table, target, properties
        )
    resampled = resample_sessions(table, n_bootstrap, confidence, seed, class_counts)
    with threadpool_limits(1), ThreadPoolExecutor(N_THREADS) as pool:
        constant = [pool.submit(compare_with_baselines, resampled, target) for target in targets]
        calibration = {t: pool.submit(_calibration, table, resampled, t, seed) for t in targets}
        subgroups = pool.submit(measure_subgroups, resampled, targets, seed)
        covariate = {
            t: pool.submit(compare_with_covariate_baselines, resampled, t, fitted[t])
            for t in targets
        }
    metrics = {name: entry for future in constant for name, entry in future.result()[0].items()}
    baselines = {name: entry for future in constant for name, entry in future.result()[1].items()}
    instrument = get_instrument(table)
    test = table[table["split"] == "test"]
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "kind": "run",
        "unit": unit,
        "targets": targets,
        "corpora": sorted(test["corpus"].unique()),
        "instrument": instrument,
        "verdict": _overall_verdict(metrics, targets),
        "metrics": metrics,
        "baselines": baselines,
        "covariate_baselines": {
            t: {"baselines": covariate[t].result(), "not_possible": not_possible[t]}
            for t in targets
        },
        "confusion": _confusion(resampled) if "binary" in targets else None,
        "levels": _levels(resampled, instrument) if "severity" in targets else None,
        "out_of_range": _out_of_range(test) if "severity" in targets else None,
        "threshold_setting": _threshold_setting(table, threshold) if "binary" in targets else None,
        "thresholds": _thresholds(table) if "binary" in targets else [],
        "counts": {split: count_sessions(table[table["split"] == split]) for split in SPLITS},
        "protocol": _protocol(table, targets),
        "assumed": describe_defaults(predictions),
        "untested": _untested(table),
        "folds": sorted(int(fold) for fold in test["fold"].unique()),
        "seeds": list(resampled.seeds),
        "repeats": resampled.repeats,
        **subgroups.result(),
        "calibration": {target: future.result() for target, future in calibration.items()},
        "bootstrap": {
            "unit": "subject",
            "class_counts": class_counts,
            "n_bootstrap": n_bootstrap,
            "confidence": confidence,
            "seed": seed,
            "n_trainings": len(np.unique(resampled.training_seeds)),
            "subjects_by_stratum": resampled.subjects_by_stratum,
        },
    }
    content["fold_metrics"] = measure_folds(resampled, targets)
    content |= describe_study(table, resampled, targets, metrics, instrument)
    content["warnings"] = [*report_warnings(content), *prediction_warnings(table)]
    return to_json_values(content), resampled


def _overall_verdict(metrics: Mapping[str, Any], targets: list[str]) -> dict[str, str]:
    """Combine the verdicts of the headline metrics; the worst outcome decides."""
    verdicts = [metrics[name]["verdict"] for target in targets for name in HEADLINE[target]]
    outcome = min((verdict["outcome"] for verdict in verdicts), key=OUTCOMES.index)
    return {"outcome": outcome, "text": " ".join(verdict["text"] for verdict in verdicts)}


def _confusion(resampled: ResampledSessions) -> dict[str, Any]:
    """Count true and false decisions; with several seeds their mean and the counts of each."""
    per_seed = {}
    for seed, rows in resampled.seeds.items():
        counts = confusion(rows["y_true"], rows["y_pred"].astype(int), unit_weights(len(rows)))
        per_seed[str(seed)] = {name: int(value[0]) for name, value in vars(counts).items()}
    cells = next(iter(per_seed.values()))
    if len(per_seed) == 1:
        return dict(cells)
    mean = {cell: float(np.mean([c[cell] for c in per_seed.values()])) for cell in cells}
    return {**mean, "per_seed": per_seed}


def _levels(resampled: ResampledSessions, instrument: str | None) -> dict[str, Any] | None:
    """Count sessions by measured (row) and predicted (column) severity level, mean over seeds.

    ``by_subgroup`` contains the same counts for each gender and valence, if they are known. None
    for an instrument without levels.
    """
    names = find_scale(instrument).level_names
    if not names:
        return None
    rows = pd.concat(resampled.seeds.values())
    share = 1 / len(resampled.seeds)
    known = [name for name in ("gender", "valence") if name in rows and rows[name].notna().any()]
    subgroups = rows.dropna(subset=known).groupby(known) if known else ()
    return {
        "names": list(names),
        "counts": _count_levels(rows, len(names), share),
        "by_subgroup": [
            dict(zip(known, key, strict=True)) | {"counts": _count_levels(part, len(names), share)}
            for key, part in subgroups
        ],
    }


def _count_levels(rows: pd.DataFrame, n_levels: int, share: float) -> list[list[float]]:
    counts = np.zeros((n_levels, n_levels))
    np.add.at(counts, (rows["band"].to_numpy(int), rows["band_pred"].to_numpy(int)), share)
    table: list[list[float]] = counts.round(9).tolist()
    return table


def _out_of_range(test: pd.DataFrame) -> dict[str, Any] | None:
    """Count predicted scores, of all seeds, outside of the instrument; None without a range."""
    if (bounds := score_range(test)) is None:
        return None
    lowest, highest = bounds
    outside = ~test["score_pred"].between(lowest, highest)
    return {
        "rows": int(outside.sum()),
        "of": len(test),
        "lowest": lowest,
        "highest": highest,
    }


def _calibration(
    table: pd.DataFrame, resampled: ResampledSessions, target: str, seed: int
) -> dict[str, Any]:
    """Measure calibration, conformal sets and gate sampling; parts may be ``unavailable``."""
    measure_conformal = measure_label_sets if target == "binary" else measure_severity_intervals
    content: dict[str, Any] = {}
    if target == "binary":
        content |= measure_calibration(table, resampled, seed)
        content["risk_coverage"] = measure_risk_coverage(resampled)
    try:
        content["conformal"] = [measure_conformal(table, resampled, alpha) for alpha in ALPHAS]
    except CalibrationError as error:
        content["conformal"] = {"unavailable": str(error)}
    content["gate_std"] = measure_gate_std(resampled, target)
    return content


def _untested(table: pd.DataFrame) -> dict[str, Any]:
    """List the sessions that no fold of their design tests; empty for designs of one tested fold.

    Folds of one design have sessions in common; those of pooled runs have none.
    """
    session = table.groupby(SESSION_KEY, sort=False).ngroup().to_numpy()
    fold = pd.factorize(table["fold"])[0]
    n_nodes = session.max() + 1 + fold.max() + 1
    edges = (np.ones(len(table)), (session, session.max() + 1 + fold))
    graph = coo_matrix(edges, shape=(n_nodes, n_nodes))
    design = pd.Series(connected_components(graph, directed=False)[1][session], table.index)
    is_test = table["split"] == "test"
    n_tested = table["fold"][is_test].groupby(design[is_test]).nunique()
    is_repeated = design.map(n_tested).fillna(0) > 1
    keys = pd.MultiIndex.from_frame(table[SESSION_KEY])
    untested = keys[is_repeated & ~is_test].unique().difference(keys[is_test]).sort_values()
    return {"sessions": len(untested), "which": ["/".join(key) for key in untested]}


def _threshold_setting(table: pd.DataFrame, threshold: Threshold) -> Threshold | str:
    """Return the setting, or "column" if the thresholds are those of the table."""
    return "column" if (table["threshold_source"] == COLUMN).any() else threshold


def _thresholds(table: pd.DataFrame) -> list[dict[str, Any]]:
    thresholds = table[["fold", "seed", "threshold", "threshold_source"]].drop_duplicates()
    return [
        {"fold": row.fold, "seed": row.seed, "value": row.threshold, "source": row.threshold_source}
        for row in thresholds.sort_values(["seed", "fold"]).itertuples()
    ]


def _protocol(table: pd.DataFrame, targets: list[str]) -> list[dict[str, Any]]:
    """Count subjects and sessions of each split, in the order of ``_thresholds``."""
    return [
        {
            "fold": rows["fold"].iloc[0],
            "seed": rows["seed"].iloc[0],
            **{split: count_sessions(rows[rows["split"] == split]) for split in SPLITS},
            "baseline_source": {
                target: rows[f"{target}_baseline_source"].iloc[0] for target in targets
            },
        }
        for _, rows in table.groupby(["seed", "fold"])
    ]
