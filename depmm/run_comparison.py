"""Comparison of runs with each other and with predictions of other programs."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depmm.errors import DepmmError
from depmm.files.locks import locked_folder

if TYPE_CHECKING:
    from depmm.runs.contents import RunContents


class EvaluationError(DepmmError):
    """Runs that cannot be evaluated together."""


def compare(runs: Sequence[Path | str], out: Path | str, unit: str = "session") -> dict[str, Any]:
    """Compare runs, and tables of other programs, on the same test sessions.

    The folder has ``report.html``, the tables for a paper as ``tables.md``, ``tables.tex`` and
    ``tables.html`` (to paste into a word processor), their numbers as ``runs.csv`` and
    ``differences.csv``, and ``metrics.json``.

    Parameters
    ----------
    runs : sequence of Path or str
        Two or more folders of runs, of cross-validations or of combinations, or tables of
        predictions (.csv or .parquet). Ids of a table are identified with those of the first run
        (:func:`~depmm.evaluation.alignment.align_tables`); its corpus may be missing.
    out : Path or str
        Folder of the report.
    unit : str, default "session"
        Unit of every metric: ``session``, ``subject``, or subject and further columns, for example
        ``subject,emotion``, of which the predictions are averaged first. A column that a table does
        not have is taken from the first run, and one that a run does not have from its manifest.

    Returns
    -------
    dict of str to object
        The content of ``metrics.json``.

    Raises
    ------
    EvaluationError
        If a run is given twice, or the runs have different confidence levels or class counts.
    DepmmError
        If a run is not finished, a table cannot be used, or the runs do not test the same sessions
        with the same labels.
    LockedError
        If another process evaluates into the same folder.

    Examples
    --------
    >>> import depmm
    >>> content = depmm.compare(["runs/demo", "other.csv"], "reports/comparison")
    >>> content["comparison"][0]["metric"]
    'balanced_accuracy'
    """
    from depmm.evaluation.alignment import align_tables
    from depmm.evaluation.reports.comparison_report import write_comparison
    from depmm.evaluation.units import unit_columns
    from depmm.runs.session_columns import add_unit_columns

    contents = read_runs([Path(path) for path in runs])
    columns = [name for name in unit_columns(unit) if name != "session"]
    predictions, notes = align_tables(
        {name: add_unit_columns(run, unit) for name, run in contents.items()}, columns
    )
    with locked_folder(Path(out), "evaluate"):
        return write_comparison(
            predictions,
            Path(out),
            commands={n: (run.environment or {}).get("command") for n, run in contents.items()},
            costs={name: _measure_cost(run) for name, run in contents.items()},
            notes=notes,
            n_bootstrap=max(run.n_bootstrap for run in contents.values()),
            confidence=describing_run(contents).confidence,
            unit=unit,
            thresholds={name: run.threshold for name, run in contents.items()},
            class_counts=describing_run(contents).class_counts,
        )


def read_runs(paths: Sequence[Path]) -> "dict[str, RunContents]":
    """Read several runs, by a name that identifies each.

    Parameters
    ----------
    paths : sequence of Path
        Folders of runs, or tables of predictions.

    Returns
    -------
    dict of str to RunContents
        The runs.

    Raises
    ------
    EvaluationError
        If a run is given twice, or confidence levels or class counts differ.
    DepmmError
        If a run cannot be read.
    """
    from depmm.runs.contents import read_run

    resolved = [path.resolve() for path in paths]
    for path in paths:
        if resolved.count(path.resolve()) > 1:
            raise EvaluationError(
                f"{path} is given twice.", file=path, remedy="Give each run once."
            )
    runs = [read_run(path) for path in paths]
    names = [run.name for run in runs]
    if len(set(names)) < len(names):  # equal names in different folders, or .csv and .parquet
        names = list(map(str, paths))
    described = [run for run in runs if run.config]  # tables follow the configs of the runs
    if len(levels := {run.confidence for run in described or runs}) > 1:
        raise EvaluationError(
            f"The configs of the runs have different confidence levels: {sorted(levels)}.",
            setting="evaluation.confidence",
            value=sorted(levels),
            remedy="Set the same evaluation.confidence in all of them.",
        )
    if len(designs := {run.class_counts for run in described}) > 1:
        raise EvaluationError(
            f"The configs of the runs have different class counts: {sorted(designs)}.",
            setting="evaluation.class_counts",
            value=sorted(designs),
            remedy="Set the same evaluation.class_counts in all of them.",
        )
    return dict(zip(names, runs, strict=True))


def describing_run(runs: "dict[str, RunContents]") -> "RunContents":
    """Return the first run with a config, whose settings tables of other programs follow.

    Parameters
    ----------
    runs : dict of str to RunContents
        The runs, see ``read_runs``.

    Returns
    -------
    RunContents
        The run; the first table if there are only tables.
    """
    contents = list(runs.values())
    return next((run for run in contents if run.config), contents[0])


def _measure_cost(run: "RunContents") -> dict[str, Any] | None:
    from depmm.runs.costs import measure_cost
    from depmm.runs.folder import RunFolder

    models = [RunFolder(run.path / folder) for folder in run.models]
    cost = measure_cost(models, run.history)
    return None if cost is None else asdict(cost)
