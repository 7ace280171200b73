"""From the finished runs of an experiment across corpora to the report of its matrix."""

from typing import Any

from depmm.evaluation.reports.cross_corpus_report import (
    Cell,
    Evaluation,
    split_by_test_corpus,
    write_cross_corpus,
)
from depmm.evaluation.units import Unit
from depmm.files.locks import locked_folder
from depmm.runs.environment import describe_environment
from depmm.training.cross_corpus import CrossCorpusRuns


def report_cross_corpus(runs: CrossCorpusRuns, unit: Unit = "session") -> dict[str, Any]:
    """Evaluate every training set on every test corpus, and write the report.

    Parameters
    ----------
    runs : CrossCorpusRuns
        Finished runs.
    unit : str, default "session"
        Unit of every metric.

    Returns
    -------
    dict of str to object
        The content of ``metrics.json``.

    Raises
    ------
    PredictionTableError
        If the predictions of a cell cannot be evaluated.
    LockedError
        If another process writes the report.
    """
    settings = runs.config.evaluation
    cells = [
        Cell(row.train, corpus, predictions, row.name)
        for row in runs.rows
        for corpus, predictions in split_by_test_corpus(runs.predictions(row)).items()
    ]
    evaluation = Evaluation(
        settings.n_bootstrap, settings.confidence, unit, settings.threshold, settings.class_counts
    )
    with locked_folder(runs.path, "evaluate"):
        return write_cross_corpus(
            cells,
            runs.path,
            evaluation,
            title=f"Across corpora: {runs.config.name}",
            labels=[label.text for label in runs.labels],
            notes=runs.notes,
            audits=runs.audits,
            command=describe_environment().get("command"),
        )
