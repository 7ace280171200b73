"""Report of an experiment across corpora: the matrix of training and test corpora."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from depmm.evaluation.baselines import BASELINE_LABELS
from depmm.evaluation.comparison import compare_runs
from depmm.evaluation.reports.content import evaluate_predictions
from depmm.evaluation.reports.rendering import render, to_json_values
from depmm.evaluation.reports.report import write_report_files
from depmm.evaluation.reports.tables import NONE, Table
from depmm.evaluation.stats.bootstrap import ClassCounts
from depmm.evaluation.stats.metrics import HEADLINE, METRICS
from depmm.evaluation.thresholds import Threshold
from depmm.evaluation.units import Unit
from depmm.files.checksums import write_table
from depmm.files.csv_text import to_csv
from depmm.files.writing import write_text
from depmm.pages.templates import number
from depmm.schemas.comparison import CROSS_CORPUS
from depmm.schemas.manifest import SESSION_KEY

SCHEMA_VERSION = 1  # of the metrics.json of an experiment across corpora
CROSS, WITHIN = "cross", "within"


@dataclass(frozen=True)
class Cell:
    """Predictions of one training set for one test corpus.

    Attributes
    ----------
    train : tuple of str
        Training corpora.
    test : str
        Test corpus.
    predictions : DataFrame
        Training and validation rows, and the tested rows of ``test``.
    run : str
        Folder of the run, relative to the report.
    """

    train: tuple[str, ...]
    test: str
    predictions: pd.DataFrame
    run: str

    @property
    def kind(self) -> str:
        """``within`` for training and test inside one corpus, or ``cross``."""
        return WITHIN if self.train == (self.test,) else CROSS

    @property
    def name(self) -> str:
        """Training corpora, and the test corpus."""
        return f"{' + '.join(self.train)} to {self.test}"


@dataclass(frozen=True)
class Evaluation:
    """Settings of the evaluation, which all cells share.

    Attributes
    ----------
    n_bootstrap : int
        Number of bootstrap draws of subjects.
    confidence : float
        Level of the intervals.
    unit : str
        Unit of every metric.
    threshold : float or "validation"
        Decision threshold.
    class_counts : {"fixed", "random"}
        Whether the class counts were fixed by the design of the study.
    """

    n_bootstrap: int
    confidence: float
    unit: Unit
    threshold: Threshold
    class_counts: ClassCounts


def split_by_test_corpus(predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Split the tested rows of a run by corpus.

    Parameters
    ----------
    predictions : DataFrame
        Predictions of a run that tests several corpora.

    Returns
    -------
    dict of str to DataFrame
        For each test corpus, its tested rows and all training and validation rows.
    """
    is_test = predictions["split"] == "test"
    return {
        str(corpus): predictions[~is_test | (predictions["corpus"] == corpus)].reset_index(
            drop=True
        )
        for corpus in sorted(predictions.loc[is_test, "corpus"].unique())
    }


def write_cross_corpus(
    cells: Sequence[Cell],
    out: Path,
    evaluation: Evaluation,
    *,
    title: str,
    labels: Sequence[str],
    notes: Sequence[str],
    audits: Mapping[str, str],
    command: str | None = None,
) -> dict[str, Any]:
    """Evaluate every cell and write the report.

    The files are ``cross_corpus.html``, ``cross_corpus.parquet`` and ``cross_corpus.csv`` (one row
    per cell and metric), ``metrics.json``, ``tables.md`` and ``tables.tex``.

    Parameters
    ----------
    cells : sequence of Cell
        Training and test corpora with their predictions.
    out : Path
        Folder of the report.
    evaluation : Evaluation
        Settings of the evaluation.
    title : str
        Title of the page.
    labels : sequence of str
        What the classes of each corpus mean.
    notes : sequence of str
        What the corpora do not have in common.
    audits : mapping of str to str
        Verdict of the audit of each corpus.
    command : str, optional
        Command line of the experiment.

    Returns
    -------
    dict of str to object
        The content of ``metrics.json``.

    Raises
    ------
    PredictionTableError
        If the predictions of a cell cannot be evaluated.
    """
    evaluated = [_evaluate(cell, evaluation) for cell in cells]
    metrics = [name for target in evaluated[0]["targets"] for name in HEADLINE[target]]
    differences, not_compared = _compare_with_within(cells, metrics, evaluation)
    content: dict[str, Any] = to_json_values(
        {
            "schema_version": SCHEMA_VERSION,
            "kind": "cross_corpus",
            "unit": evaluation.unit,
            "headline": metrics,
            "bootstrap": evaluated[0]["bootstrap"],
            "labels": list(labels),
            "notes": [*notes, *not_compared],
            "audits": dict(audits),
            "cells": [
                {
                    "train": list(cell.train), "test": cell.test, "kind": cell.kind,
                    "run": cell.run, **_summary(result),
                }
                for cell, result in zip(cells, evaluated, strict=True)
            ],
            "differences": differences,
        }
    )  # fmt: skip
    table = cell_table(content)
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "cross_corpus.parquet", table)
    write_text(out / "cross_corpus.csv", to_csv(table))
    page = render(
        "cross_corpus.html.jinja",
        m=content,
        title=title,
        names=metrics,
        train_sets=list(dict.fromkeys(" + ".join(cell.train) for cell in cells)),
        test_corpora=list(dict.fromkeys(cell.test for cell in cells)),
        command=command,
    )
    write_report_files(
        out, content, page, [matrix_table(content, name) for name in metrics], "cross_corpus.html"
    )
    return content


def _evaluate(cell: Cell, evaluation: Evaluation) -> dict[str, Any]:
    return evaluate_predictions(
        cell.predictions,
        n_bootstrap=evaluation.n_bootstrap,
        confidence=evaluation.confidence,
        unit=evaluation.unit,
        threshold=evaluation.threshold,
        class_counts=evaluation.class_counts,
    )


def _summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """Select what the report of the matrix shows of a cell."""
    covariates = {
        name: {"columns": entry["columns"], "metrics": entry["metrics"]}
        for target in result["targets"]
        for name, entry in result["covariate_baselines"][target]["baselines"].items()
    }
    keys = (
        "counts", "folds", "seeds", "metrics", "verdict", "thresholds", "warnings", "instrument",
    )  # fmt: skip
    return {
        **{key: result[key] for key in keys},
        "n_trainings": result["bootstrap"]["n_trainings"],
        "covariate_baselines": covariates,
    }


def _compare_with_within(
    cells: Sequence[Cell], metrics: Sequence[str], evaluation: Evaluation
) -> tuple[list[dict[str, Any]], list[str]]:
    """Compare the training on other corpora with that within the test corpus.

    An official split tests a part of the corpus, the other training all of it: the comparison is
    on the sessions that both test. Cells that have none in common are returned as notes.
    """
    within = {cell.test: cell for cell in cells if cell.kind == WITHIN}
    rows: list[dict[str, Any]] = []
    not_compared = []
    for cell in cells:
        reference = within.get(cell.test)
        if reference is None or cell.kind == WITHIN:
            continue
        tables = _select_common_tests(cell.predictions, reference.predictions)
        if not (tables[0]["split"] == "test").any():
            names = f"{cell.name} and {reference.name}"
            not_compared.append(f"{names} test no session in common and are not compared.")
            continue
        runs = dict(zip((cell.name, reference.name), tables, strict=True))
        table = compare_runs(
            runs,
            metrics,
            n_bootstrap=evaluation.n_bootstrap,
            confidence=evaluation.confidence,
            unit=evaluation.unit,
            thresholds=dict.fromkeys(runs, evaluation.threshold),
            class_counts=evaluation.class_counts,
        )
        table = table.assign(train=" + ".join(cell.train), test=cell.test)
        columns = [str(name) for name in table]
        rows += [dict(zip(columns, row, strict=True)) for row in table.itertuples(index=False)]
    return rows, not_compared


def _select_common_tests(*tables: pd.DataFrame) -> list[pd.DataFrame]:
    """Remove the tested rows of sessions that another table does not test."""
    keys = [pd.MultiIndex.from_frame(table[SESSION_KEY].astype(str)) for table in tables]
    tests = [table["split"].to_numpy() == "test" for table in tables]
    common = [key[is_test] for key, is_test in zip(keys, tests, strict=True)]
    return [
        table[~is_test | np.all([key.isin(other) for other in common], axis=0)]
        for table, key, is_test in zip(tables, keys, tests, strict=True)
    ]


def cell_table(content: Mapping[str, Any]) -> pd.DataFrame:
    """Build one row per cell and metric.

    Parameters
    ----------
    content : mapping of str to object
        Content of ``metrics.json``.

    Returns
    -------
    DataFrame
        The columns of ``CROSS_CORPUS``.
    """
    rows = []
    for cell in content["cells"]:
        counts = cell["counts"]
        for name, entry in cell["metrics"].items():
            baseline, gain = entry["baseline"] or {}, entry["gain"] or {}
            covariate, value = best_covariate_baseline(cell, name)
            rows.append(
                {
                    "train": " + ".join(cell["train"]), "test": cell["test"], "kind": cell["kind"],
                    "metric": name, "value": entry["value"], "ci_low": entry["ci_low"],
                    "ci_high": entry["ci_high"], "method": entry["method"],
                    "undefined": entry["undefined"], "baseline": baseline.get("name"),
                    "baseline_value": baseline.get("value"), "gain": gain.get("value"),
                    "gain_low": gain.get("ci_low"), "gain_high": gain.get("ci_high"),
                    "outcome": (entry["verdict"] or {}).get("outcome"),
                    "covariate_baseline": covariate, "covariate_value": value,
                    "sessions": counts["test"]["sessions"],
                    "subjects": counts["test"]["subjects"],
                    "positive_sessions": counts["test"].get("positive_sessions"),
                    "train_subjects": counts["train"]["subjects"],
                    "validation_subjects": counts["validation"]["subjects"],
                    "seeds": cell["n_trainings"],
                }
            )  # fmt: skip
    return CROSS_CORPUS.build(rows)


def best_covariate_baseline(
    cell: Mapping[str, Any], metric: str
) -> tuple[str | None, float | None]:
    """Find the best baseline that uses covariates but no recording.

    Parameters
    ----------
    cell : mapping of str to object
        Entry of ``cells``.
    metric : str
        Name of a metric.

    Returns
    -------
    name : str or None
        Its covariates; None if there is no such baseline.
    value : float or None
        Its value on the tested sessions.
    """
    known = [
        (", ".join(entry["columns"]), entry["metrics"][metric]["value"])
        for entry in cell["covariate_baselines"].values()
        if entry["metrics"].get(metric, {}).get("value") is not None
    ]
    if not known:
        return None, None
    choose = min if METRICS[metric].lower_is_better else max
    return choose(known, key=lambda item: item[1])


def matrix_table(content: Mapping[str, Any], metric: str) -> Table:
    """Build the matrix of one metric: a row per training set, a column per test corpus.

    Parameters
    ----------
    content : mapping of str to object
        Content of ``metrics.json``.
    metric : str
        Name of a metric.

    Returns
    -------
    Table
        Value, interval and baseline of each cell.
    """
    cells = {(" + ".join(cell["train"]), cell["test"]): cell for cell in content["cells"]}
    columns = list(dict.fromkeys(test for _, test in cells))
    rows = [
        [train, *(_format(cells.get((train, test)), metric) for test in columns)]
        for train in dict.fromkeys(train for train, _ in cells)
    ]
    percent = f"{100 * content['bootstrap']['confidence']:g} %"
    baselines = {
        entry["metrics"][metric]["baseline"]["name"]
        for entry in content["cells"]
        if entry["metrics"][metric]["baseline"]
    }
    named = ", ".join(BASELINE_LABELS[name] for name in sorted(baselines))
    caption = (
        f"{METRICS[metric].label} by training corpus (rows) and test corpus (columns), with "
        f"{percent} confidence intervals over subjects (unit: {content['unit']}) and in brackets "
        f"the best constant prediction ({named}). Where both are the same corpus: "
        "cross-validation, or the official test set."
    )
    return Table(f"cross-corpus-{metric}", caption, ["Trained on", *columns], rows)


def _format(cell: Mapping[str, Any] | None, metric: str) -> str:
    if cell is None:
        return NONE
    entry = cell["metrics"][metric]
    if entry["undefined"]:
        return "undefined"
    baseline = f" [{number(entry['baseline']['value'])}]" if entry["baseline"] else ""
    interval = f"({number(entry['ci_low'])} to {number(entry['ci_high'])})"
    return f"{number(entry['value'])} {interval}{baseline}"
