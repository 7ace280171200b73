"""Report of one run: ``metrics.json``, a self-contained ``report.html`` and tables for papers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from depmm.config import Experiment
from depmm.corpora.corpus_facts import CorpusFacts
from depmm.evaluation.pretraining import pretraining_overlap
from depmm.evaluation.reports.content import evaluate_sessions
from depmm.evaluation.reports.figures import report_figures, training_figures
from depmm.evaluation.reports.interval_methods import describe_interval_methods
from depmm.evaluation.reports.leakage import list_leakage_checks
from depmm.evaluation.reports.rendering import flatten, render, to_json_values
from depmm.evaluation.reports.study import add_results
from depmm.evaluation.reports.tables import Table, crossed_table, metrics_table
from depmm.evaluation.stats.bootstrap import ClassCounts
from depmm.evaluation.subgroups import CROSSED
from depmm.evaluation.thresholds import Threshold
from depmm.evaluation.units import Unit
from depmm.files import checksums
from depmm.files.writing import write_text


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
    properties: pd.DataFrame | None = None,
    config: Experiment | None = None,
    flow: Mapping[str, Any] | None = None,
    facts: Mapping[str, CorpusFacts] | None = None,
    ledger: Mapping[str, Any] | None = None,
    probe: Mapping[str, Any] | None = None,
    n_bootstrap: int,
    confidence: float,
    unit: Unit = "session",
    threshold: Threshold = "validation",
    class_counts: ClassCounts = "random",
) -> dict[str, Any]:
    """Evaluate predictions and write the report.

    The files are ``metrics.json``, ``report.html``, ``tables.md`` and ``tables.tex``. Each is
    replaced atomically.

    Parameters
    ----------
    predictions : DataFrame
        See :func:`~depmm.evaluation.prediction_checks.check_predictions`.
    out : Path
        Folder of the report, created if it does not exist.
    title : str
        Title of the report, usually the name of the run.
    config_text : str, optional
        Content of the ``config.yaml`` of the run.
    history : DataFrame, optional
        Training curves: epoch, train_loss, val_loss, val_auroc or val_rmse, learning_rate and,
        optionally, fold and seed.
    environment : mapping of str to object, optional
        Content of the ``environment.json`` of the run.
    command : str, optional
        Command line that computed the predictions.
    audit : mapping of str to object, optional
        Content of the ``audit.json`` of the run.
    coverage : mapping of str to object, optional
        Sessions without a prediction and failures, see :func:`depmm.data.coverage.find_coverage`.
    tuning : DataFrame, optional
        Content of the ``tuning.csv`` of the run.
    properties : DataFrame, optional
        Content of the ``session_properties.parquet`` of the run: a covariate baseline.
    config : Config or ClassicalConfig, optional
        The experiment, from which the leakage checks are derived.
    flow : mapping of str to object, optional
        Sessions at each stage, see :class:`depmm.data.data_flow.DataFlow`.
    facts : mapping of str to CorpusFacts, optional
        Facts about the corpora of the run, see :mod:`depmm.corpora.corpus_facts`.
    ledger : mapping of str to object, optional
        Runs on the same manifest, see :func:`depmm.runs.ledger.list_runs_on_manifest`.
    probe : mapping of str to object, optional
        How well nuisance variables can be read, see :func:`depmm.interpret.probe.probe`.
    n_bootstrap : int
        Number of bootstrap draws of subjects.
    confidence : float
        Level of the intervals.
    unit : str, default "session"
        Unit of every metric, see
        :func:`~depmm.evaluation.reports.content.evaluate_predictions`.
    threshold : float or "validation", default "validation"
        Decision threshold, see
        :func:`~depmm.evaluation.reports.content.evaluate_predictions`.
    class_counts : {"fixed", "random"}, default "random"
        Whether the numbers of positive and negative test subjects were fixed by the design of the
        study.

    Returns
    -------
    dict of str to object
        The content of ``metrics.json``: that of
        :func:`~depmm.evaluation.reports.content.evaluate_predictions`, and ``coverage``, ``flow``,
        ``leakage``, ``ledger`` and ``probe``.

    Raises
    ------
    PredictionTableError
        If the predictions cannot be evaluated.
    """
    content, resampled = evaluate_sessions(
        predictions,
        n_bootstrap,
        confidence,
        0,
        unit,
        threshold,
        class_counts,
        properties,
    )
    content["coverage"] = to_json_values(coverage)
    content["flow"] = to_json_values(flow)
    corpora: dict[str, CorpusFacts] = {}
    if config is not None:  # a run; a table of another program may have no column split
        tested = predictions.loc[predictions["split"] == "test", "corpus"].unique()
        corpora = {corpus: (facts or {}).get(corpus, CorpusFacts()) for corpus in tested}
        content["warnings"] += [
            f"Pre-trained weights were trained on evaluated data, so that results may be too "
            f"optimistic: {clause}."
            for clause in pretraining_overlap(config, corpora)
        ]
    content["leakage"] = list_leakage_checks(content, audit, config, tuning is not None, corpora)
    content["ledger"] = add_results(ledger, content)
    content["probe"] = to_json_values(probe)
    page = render(
        "report.html.jinja",
        m=content,
        title=title,
        crossed=CROSSED,
        interval_methods=describe_interval_methods(content),
        figures=report_figures(content, resampled),
        training=[] if history is None else training_figures(history),
        config_text=config_text,
        environment=flatten(environment or {}),
        command=command,
        audit=audit,
        coverage=content["coverage"],
        chosen=[] if tuning is None else tuning[tuning["chosen"]].to_dict("records"),
    )
    crossed = [crossed_table(content, key, title) for key in CROSSED if content[key]]
    write_report_files(out, content, page, [metrics_table(content, title), *crossed])
    return content


def write_report_files(
    out: Path,
    content: Mapping[str, Any],
    page: str,
    tables: list[Table],
    page_name: str = "report.html",
) -> None:
    """Write the files of a report.

    Parameters
    ----------
    out : Path
        Folder of the report, created if it does not exist.
    content : mapping of str to object
        The content of ``metrics.json``.
    page : str
        The content of the page.
    tables : list of Table
        The tables of ``tables.md`` and ``tables.tex``.
    page_name : str, default "report.html"
        Name of the page.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    checksums.write_text(
        out / "metrics.json", json.dumps(content, indent=2, allow_nan=False) + "\n"
    )
    write_text(out / page_name, page)
    write_text(out / "tables.md", "\n".join(table.markdown() for table in tables))
    write_text(out / "tables.tex", "\n".join(table.latex() for table in tables))
