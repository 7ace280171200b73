"""Report that compares several runs on the same subjects."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from depmm.evaluation.comparison import (
    Adjustment,
    PairingError,
    compare_runs,
    rank_all_runs,
)
from depmm.evaluation.predictions import prepare_predictions
from depmm.evaluation.reports.content import evaluate_sessions
from depmm.evaluation.reports.figures import curve_data, roc_comparison_figure
from depmm.evaluation.reports.rendering import render, to_json_values
from depmm.evaluation.reports.report import write_report_files
from depmm.evaluation.reports.tables import comparison_table, html_page, runs_table
from depmm.evaluation.stats.bootstrap import ClassCounts
from depmm.evaluation.stats.metrics import HEADLINE, METRICS
from depmm.evaluation.thresholds import Threshold
from depmm.evaluation.units import Unit
from depmm.files.csv_text import to_csv
from depmm.files.writing import write_text
from depmm.schemas.comparison import COMPARED_RUNS, DIFFERENCES

SCHEMA_VERSION = 2  # of the metrics.json of a comparison


def write_comparison(
    runs: Mapping[str, pd.DataFrame],
    out: Path,
    *,
    commands: Mapping[str, str | None],
    costs: Mapping[str, Mapping[str, Any] | None],
    notes: Mapping[str, list[str]] | None = None,
    n_bootstrap: int,
    confidence: float,
    adjustment: Adjustment = "holm",
    unit: Unit = "session",
    thresholds: Mapping[str, Threshold] | None = None,
    class_counts: ClassCounts = "random",
) -> dict[str, Any]:
    """Compare runs and write the report.

    The files are ``metrics.json``, ``report.html``, ``tables.md``, ``tables.tex``, ``tables.html``
    (to paste into a word processor), ``runs.csv`` and ``differences.csv``. Only the headline
    metrics (``HEADLINE``) are tested, because the correction for multiple tests is stricter the
    more there are.

    Parameters
    ----------
    runs : mapping of str to DataFrame
        Predictions of each run by its name (see
        :func:`~depmm.evaluation.prediction_checks.check_predictions`); all runs have the same
        sessions; their seeds may differ.
    out : Path
        Folder of the report, created if it does not exist.
    commands : mapping of str to str or None
        Command line of each run by its name; None if it is unknown.
    costs : mapping of str to mapping or None
        Parameters and seconds of training of each run by its name (``depmm.runs.costs.RunCost``);
        None if they are unknown.
    notes : mapping of str to list of str, optional
        What was taken from another run for the table of each name
        (:func:`~depmm.evaluation.alignment.align_tables`).
    n_bootstrap : int
        Number of bootstrap draws and of permutations.
    confidence : float
        Level of the intervals.
    adjustment : {"holm", "benjamini_hochberg"}, default "holm"
        Adjustment of the p values for the number of tests.
    unit : str, default "session"
        Unit of every metric: ``session``, ``subject`` or, for example, ``subject,task``, of which
        the predictions of the sessions are averaged (``depmm.evaluation.units``).
    thresholds : mapping of str to float or "validation", optional
        Decision threshold of each run by its name, see
        :func:`~depmm.evaluation.comparison.compare_runs`.
    class_counts : {"fixed", "random"}, default "random"
        Whether the class counts were fixed by the design of the study.

    Returns
    -------
    dict of str to object
        The content of ``metrics.json``: ``runs`` has the result of ``evaluate_sessions`` for each
        run, ``comparison`` the rows of :func:`~depmm.evaluation.comparison.compare_runs`, and
        ``ranks`` those of :func:`~depmm.evaluation.comparison.rank_all_runs`.

    Raises
    ------
    PairingError
        If the runs differ in sessions or labels, or have no target in common.
    PredictionTableError
        If the predictions of a run cannot be evaluated.
    """
    metrics = _common_metrics({name: prepare_predictions(t, unit)[1] for name, t in runs.items()})
    table = compare_runs(
        runs,
        metrics,
        n_bootstrap=n_bootstrap,
        confidence=confidence,
        adjustment=adjustment,
        unit=unit,
        thresholds=thresholds,
        class_counts=class_counts,
    )
    ranks = rank_all_runs(
        runs,
        metrics,
        n_bootstrap=n_bootstrap,
        confidence=confidence,
        unit=unit,
        thresholds=thresholds,
        class_counts=class_counts,
    )
    thresholds = thresholds or {}
    evaluated = {
        name: evaluate_sessions(
            predictions,
            n_bootstrap,
            confidence,
            0,
            unit,
            thresholds.get(name, "validation"),
            class_counts,
        )
        for name, predictions in runs.items()
    }
    contents = {
        name: content | {"cost": costs[name], "notes": (notes or {}).get(name, [])}
        for name, (content, _) in evaluated.items()
    }
    targets = [target for target in HEADLINE if HEADLINE[target][0] in metrics]
    content: dict[str, Any] = to_json_values(
        {
            "schema_version": SCHEMA_VERSION,
            "kind": "comparison",
            "unit": unit,
            "targets": targets,
            "adjustment": adjustment.replace("_", "-"),
            "bootstrap": next(iter(contents.values()))["bootstrap"],
            "comparison": table.to_dict("records"),
            "ranks": ranks.to_dict("records"),
            "runs": contents,
        }
    )
    roc = None
    if "binary" in targets:
        roc = roc_comparison_figure({name: curve_data(s) for name, (_, s) in evaluated.items()})
    page = render(
        "comparison.html.jinja",
        m=content,
        title=f"Comparison of {len(runs)} runs",
        names=metrics,
        roc=roc,
        commands=commands,
        differences=[row | {"outcome": _outcome(row)} for row in content["comparison"]],
    )
    tables = [runs_table(contents, metrics), comparison_table(content)]
    write_report_files(out, content, page, tables)
    write_text(out / "tables.html", html_page(tables, f"Tables of {len(runs)} runs"))
    numbers = COMPARED_RUNS.build(_run_rows(contents, metrics))
    write_text(out / COMPARED_RUNS.file, to_csv(numbers))
    differences = DIFFERENCES.build(content["comparison"])
    write_text(out / DIFFERENCES.file, to_csv(differences))
    return content


def _run_rows(
    contents: Mapping[str, Mapping[str, Any]], metrics: Sequence[str]
) -> list[dict[str, Any]]:
    """List each metric of each run with its interval, baseline and costs."""
    rows = []
    for run, content in contents.items():
        cost = content["cost"] or {}
        for name in metrics:
            entry = content["metrics"][name]
            rows.append(
                {
                    "run": run,
                    "metric": name,
                    "value": entry["value"],
                    "ci_low": entry["ci_low"],
                    "ci_high": entry["ci_high"],
                    "baseline": (entry["baseline"] or {}).get("value"),
                    "seeds": content["bootstrap"]["n_trainings"],
                    "parameters": cost.get("parameters"),
                    "training_s": cost.get("training_s"),
                }
            )
    return rows


def _common_metrics(targets_by_run: Mapping[str, list[str]]) -> list[str]:
    """Return the headline metrics of the targets that all runs have."""
    common = set(HEADLINE).intersection(*targets_by_run.values())
    if not common:
        listed = "; ".join(f"{run}: {', '.join(names)}" for run, names in targets_by_run.items())
        raise PairingError(
            f"The runs have no target in common ({listed}).",
            setting="target",
            remedy="Compare runs of one target.",
        )
    return [name for target in HEADLINE if target in common for name in HEADLINE[target]]


def _outcome(row: Mapping[str, Any]) -> str:
    """Decide which run is better: the adjusted p value and the interval must agree."""
    if row["p_adjusted"] is None or row["ci_low"] is None:
        return "undefined"
    if row["p_adjusted"] >= 0.05 or row["ci_low"] <= 0 <= row["ci_high"]:
        return "no significant difference"
    lower_is_better = METRICS[row["metric"]].lower_is_better
    better = row["run_b"] if (row["difference"] > 0) == lower_is_better else row["run_a"]
    return f"{better} is better"
