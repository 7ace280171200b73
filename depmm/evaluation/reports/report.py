"""From a predictions table to ``metrics.json`` and one self-contained ``report.html``.

Works on predictions of any program (``evaluation/predictions.py``). The unit of every number is
the session, or the subject where ``unit`` is ``subject``. Sessions that are tested in different
folds are pooled; with several seeds, or with folds that test every session several times (repeated
k-fold), every metric is the mean over these repetitions, and its bootstrap draws the same subjects
for all of them.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from depmm.corpora.instruments import INSTRUMENTS
from depmm.corpora.manifest import SESSION_KEY
from depmm.evaluation.baselines import NO_SOURCE, add_baselines, compare_with_baselines
from depmm.evaluation.covariate_baselines import (
    add_covariate_baselines,
    compare_with_covariate_baselines,
    covariate_warnings,
)
from depmm.evaluation.predictions import (
    NAMED,
    SPLITS,
    Unit,
    assumptions,
    instrument_of,
    prepare_predictions,
)
from depmm.evaluation.reports import figures
from depmm.evaluation.reports.rendering import flatten, plain, render, report_figures, write_whole
from depmm.evaluation.reports.tables import metrics_table
from depmm.evaluation.stats.binary_metrics import confusion
from depmm.evaluation.stats.bootstrap import ResampledSessions, count_sessions, resample_sessions
from depmm.evaluation.stats.calibration import CalibrationError, measure_calibration
from depmm.evaluation.stats.conformal_sets import (
    ALPHAS,
    measure_label_sets,
    measure_severity_intervals,
)
from depmm.evaluation.stats.intervals import wilson_interval
from depmm.evaluation.stats.metrics import HEADLINE, METRICS
from depmm.evaluation.stats.risk_coverage import measure_gate_std, measure_risk_coverage
from depmm.evaluation.stats.weighted_sums import unit_weights
from depmm.evaluation.subgroups import measure_subgroups, subgroup_warnings

SCHEMA_VERSION = 1  # of metrics.json; a key that changes its meaning or goes raises it
FEW_SUBJECTS = 20  # a bootstrap of fewer is visibly too narrow
THREADS = 2  # numpy computes outside of Python's lock; each thread holds blocks of draws


# ---- evaluation --------------------------------------------------------------------------------


def evaluate(
    predictions: pd.DataFrame,
    *,
    n_bootstrap: int,
    confidence: float,
    seed: int = 0,
    unit: Unit = "session",
) -> dict[str, Any]:
    """Evaluate a predictions table: the content of ``metrics.json``.

    Parameters
    ----------
    predictions : see ``check_predictions``
    n_bootstrap : number of bootstrap draws
    confidence : of the intervals, e.g. 0.95
    seed : of the bootstrap
    unit : of every number: ``session``, or ``subject`` for the mean of each subject's sessions

    Returns
    -------
    Plain values (None where undefined). ``metrics`` maps a name of ``METRICS`` to value, low, high,
    n_undefined, the baseline it is compared with, the paired gain over that baseline and a
    verdict; ``covariate_baselines`` maps a target to the baselines that see no recording and to
    those that are not possible; ``groups``, ``gaps`` and more: see ``measure_subgroups``

    Raises
    ------
    PredictionTableError : the table contradicts itself or lacks what the evaluation needs
    """
    return measure(predictions, n_bootstrap, confidence, seed, unit)[0]


def measure(
    predictions: pd.DataFrame, n_bootstrap: int, confidence: float, seed: int, unit: Unit
) -> tuple[dict[str, Any], ResampledSessions]:
    """Evaluate as ``evaluate`` does; also returns the tested sessions, for figures."""
    table, targets = prepare_predictions(predictions, unit)
    learned: dict[str, Any] = {}
    for target in targets:
        table = add_baselines(table, target)
        table, *learned[target] = add_covariate_baselines(table, target)
    tested = resample_sessions(table, n_bootstrap, confidence, seed)
    with threadpool_limits(1), ThreadPoolExecutor(THREADS) as threads:
        baselines = [threads.submit(compare_with_baselines, tested, target) for target in targets]
        calibration = {t: threads.submit(_calibration, table, tested, t, seed) for t in targets}
        fairness = threads.submit(measure_subgroups, tested, targets, seed)
        beside = {
            target: threads.submit(
                compare_with_covariate_baselines, tested, target, learned[target][0]
            )
            for target in targets
        }
    results = [found.result() for found in baselines]
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "kind": "run",
        "unit": unit,
        "targets": targets,
        "corpora": sorted(table.loc[table["split"] == "test", "corpus"].unique()),
        "instrument": instrument_of(table),
        "verdict": _overall({k: v for metrics, _ in results for k, v in metrics.items()}, targets),
        "metrics": {k: v for metrics, _ in results for k, v in metrics.items()},
        "baselines": {k: v for _, baselines in results for k, v in baselines.items()},
        "covariate_baselines": {
            target: {
                "baselines": beside[target].result(),
                "not_possible": not_possible,
            }
            for target, (_, not_possible) in learned.items()
        },
        "confusion": _confusion(tested) if "binary" in targets else None,
        "levels": _levels(tested, instrument_of(table)) if "severity" in targets else None,
        "thresholds": _thresholds(table) if "binary" in targets else [],
        "counts": {split: count_sessions(table[table["split"] == split]) for split in SPLITS},
        "protocol": _protocol(table, targets),
        "assumed": assumptions(predictions),
        "untested": _untested(table),
        "folds": sorted(int(f) for f in table.loc[table["split"] == "test", "fold"].unique()),
        "seeds": list(tested.seeds),
        "repeats": tested.repeats,
        **fairness.result(),
        "calibration": {target: found.result() for target, found in calibration.items()},
        "bootstrap": {
            "unit": "subject",
            "method": "BCa",
            "n_bootstrap": n_bootstrap,
            "confidence": confidence,
            "seed": seed,
            "subjects_by_stratum": tested.subjects_by_stratum,
        },
    }
    content["warnings"] = _warnings(content, table, tested)
    return plain(content), tested


def _overall(metrics: dict[str, Any], targets: list[str]) -> dict[str, str]:
    """One answer from the headline metrics: better only when each of them is better."""
    verdicts = [metrics[name]["verdict"] for target in targets for name in HEADLINE[target]]
    answers = {entry["outcome"] for entry in verdicts}
    worst = ("worse", "undefined", "not shown to be better", "better")
    answer = next(name for name in worst if name in answers)
    return {"outcome": answer, "text": " ".join(entry["text"] for entry in verdicts)}


def _confusion(tested: ResampledSessions) -> dict[str, Any]:
    """Mean counts over seeds, and the counts of each seed where there are several."""
    per_seed = {}
    for seed, rows in tested.seeds.items():
        counts = confusion(rows["y_true"], rows["y_pred"].astype(int), unit_weights(len(rows)))
        per_seed[str(seed)] = {name: int(value[0]) for name, value in vars(counts).items()}
    cells = next(iter(per_seed.values()))
    if len(per_seed) == 1:
        return dict(cells)
    mean = {cell: float(np.mean([c[cell] for c in per_seed.values()])) for cell in cells}
    return {**mean, "per_seed": per_seed}


def _levels(tested: ResampledSessions, instrument: str | None) -> dict[str, Any] | None:
    """Count sessions by measured (row) and predicted (column) severity level; None without levels.

    Of several seeds it is their mean.
    """
    names = INSTRUMENTS[instrument].level_names if instrument in INSTRUMENTS else ()
    if not names:
        return None
    counts = np.zeros((len(names), len(names)))
    for rows in tested.seeds.values():
        pairs = rows["band"].to_numpy(int), rows["band_pred"].to_numpy(int)
        np.add.at(counts, pairs, 1 / len(tested.seeds))
    return {"names": list(names), "counts": counts.round(9).tolist()}


def _calibration(
    table: pd.DataFrame, tested: ResampledSessions, target: str, seed: int
) -> dict[str, Any]:
    """How far answers can be trusted one by one; a part that cannot be fitted says why."""
    measure = measure_label_sets if target == "binary" else measure_severity_intervals
    content: dict[str, Any] = {}
    if target == "binary":
        content |= measure_calibration(table, tested, seed)
        content["risk_coverage"] = measure_risk_coverage(tested)
    try:
        content["conformal"] = [measure(table, tested, alpha) for alpha in ALPHAS]
    except CalibrationError as refusal:
        content["conformal"] = {"unavailable": str(refusal)}
    content["gate_std"] = measure_gate_std(tested, target)
    return content


def _untested(table: pd.DataFrame) -> dict[str, Any]:
    """Sessions that folds train or validate on and none tests; nothing is asked of one fold."""
    tested = table["split"] == "test"
    if table.loc[tested, "fold"].nunique() < 2:
        return {"sessions": 0, "which": []}
    keys = pd.MultiIndex.from_frame(table[SESSION_KEY])
    missing = keys[~tested].unique().difference(keys[tested]).sort_values()
    return {"sessions": len(missing), "which": ["/".join(key) for key in missing]}


def _thresholds(table: pd.DataFrame) -> list[dict[str, Any]]:
    chosen = table[["fold", "seed", "threshold", "threshold_source"]].drop_duplicates()
    return [
        {"fold": row.fold, "seed": row.seed, "value": row.threshold, "source": row.threshold_source}
        for row in chosen.sort_values(["seed", "fold"]).itertuples()
    ]


def _protocol(table: pd.DataFrame, targets: list[str]) -> list[dict[str, Any]]:
    """Who is in which split of each (seed, fold), in the order of ``_thresholds``."""
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


def _warnings(content: dict[str, Any], table: pd.DataFrame, tested: ResampledSessions) -> list[str]:
    """What a reader must know before trusting the numbers."""
    notes = []
    subjects, n_bootstrap = (
        content["counts"]["test"]["subjects"],
        content["bootstrap"]["n_bootstrap"],
    )
    if subjects < FEW_SUBJECTS:
        notes.append(
            f"Only {subjects} subjects are tested: bootstrap intervals of fewer than "
            f"{FEW_SUBJECTS} subjects are too narrow."
        )
    sources = {source for p in content["protocol"] for source in p["baseline_source"].values()}
    if NO_SOURCE in sources:
        notes.append(
            "The table has tested rows alone: that nobody tested was trained on cannot be "
            "checked, decisions are made at 0.5, and baselines are the answers that need no "
            "training (one class for everyone, probability 0.5)."
        )
    elif untrained := [f"{p['fold']}" for p in content["protocol"] if not p["train"]["sessions"]]:
        notes.append(
            f"The table has no train rows for fold(s) {', '.join(sorted(set(untrained)))}: that "
            "tested subjects were not trained on cannot be checked here, and baselines come from "
            "validation rows."
        )
    elif "validation" in sources:
        notes.append("Some train rows have no labels: baselines come from validation rows there.")
    for entry in content["thresholds"]:
        if entry["source"].startswith("0.5") and NO_SOURCE not in sources:
            notes.append(
                f"Threshold of fold {entry['fold']}, seed {entry['seed']} is {entry['source']}."
            )
    undefined = [
        f"{METRICS[name].label} ({entry['n_undefined']})"
        for name, entry in content["metrics"].items()
        if entry["n_undefined"]
    ]
    if undefined:
        notes.append(f"Left out of {n_bootstrap} draws as undefined: {', '.join(undefined)}.")
    if content["untested"]["sessions"]:
        notes.append(
            f"{content['untested']['sessions']} sessions stand in folds but are tested in none: "
            f"{', '.join(content['untested']['which'][:NAMED])}"
            f"{', ...' if content['untested']['sessions'] > NAMED else ''}."
        )
    plain: dict[str, list[str]] = {}
    for name, entry in content["metrics"].items():
        if entry["reason"]:
            plain.setdefault(entry["reason"], []).append(METRICS[name].label)
    for reason, labels in plain.items():
        notes.append(f"Percentile instead of BCa intervals of {', '.join(labels)}: {reason}.")
    for target, entry in content["covariate_baselines"].items():
        notes += covariate_warnings(entry["baselines"], target)
    notes += subgroup_warnings(content["subgroup_gaps"])
    accuracy = content["metrics"].get("accuracy")
    if accuracy and accuracy["ci_low"] == accuracy["ci_high"]:
        exact = wilson_interval(accuracy["value"] * subjects, subjects, tested.confidence)
        notes.append(
            f"All draws have the accuracy {exact.value:.3f}: the bootstrap shows no uncertainty. "
            f"By Wilson's interval for {subjects} subjects it is {exact.ci_low:.3f} to "
            f"{exact.ci_high:.3f}."
        )
    return notes


# ---- files -------------------------------------------------------------------------------------


def write_report(
    predictions: pd.DataFrame,
    out: Path,
    *,
    title: str,
    config_text: str | None = None,
    history: pd.DataFrame | None = None,
    environment: Mapping[str, Any] | None = None,
    command: str | None = None,
    audit: Mapping[str, Any] | None = None,
    coverage: Mapping[str, Any] | None = None,
    tuning: pd.DataFrame | None = None,
    n_bootstrap: int = 2000,
    confidence: float = 0.95,
    unit: Unit = "session",
) -> dict[str, Any]:
    """Evaluate predictions; write metrics.json, report.html, tables.md, tables.tex into a folder.

    Parameters
    ----------
    predictions : see ``check_predictions``
    out : folder, made if absent; files are replaced atomically
    title : of the report
    config_text : the run's ``config.yaml``
    history : epoch, train_loss, val_loss, val_auroc or val_rmse, learning_rate; fold, seed optional
    environment : what the run's ``environment.json`` holds
    command : the line that made the predictions
    audit : what the run's ``audit.json`` holds
    coverage : sessions left out and failures (``data.coverage.find_coverage``)
    tuning : the run's ``tuning.csv``, where each fold chose settings
    n_bootstrap, confidence, unit : see ``evaluate``

    Returns
    -------
    The content of ``metrics.json``

    Raises
    ------
    PredictionTableError : see ``evaluate``
    """
    content, tested = measure(predictions, n_bootstrap, confidence, 0, unit)
    content["coverage"] = plain(coverage)
    page = render(
        "report.html.jinja",
        m=content,
        title=title,
        figures=report_figures(content, tested),
        training=[] if history is None else figures.training_figures(history),
        config_text=config_text,
        environment=flatten(environment or {}),
        command=command,
        audit=audit,
        coverage=content["coverage"],
        chosen=[] if tuning is None else tuning[tuning["chosen"]].to_dict("records"),
    )
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "metrics.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    write_whole(out / "report.html", page)
    table = metrics_table(content, title)
    write_whole(out / "tables.md", table.markdown())
    write_whole(out / "tables.tex", table.latex())
    return content
