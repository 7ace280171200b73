"""Evaluation of a run, or of predictions of any program, with a report."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depmm.files.locks import locked_folder
from depmm.run_comparison import EvaluationError, describing_run, read_runs

if TYPE_CHECKING:
    import pandas as pd

    from depmm.runs.contents import RunContents

SUMMARY_METRICS = ("balanced_accuracy", "auroc", "f1_macro", "rmse", "mae")


def evaluate(
    run: "Path | str | pd.DataFrame | Sequence[Path | str]",
    out: Path | str | None = None,
    unit: str = "session",
    pool: bool = False,
    checklists: Sequence[str] = (),
) -> dict[str, Any]:
    """Evaluate a run, or several as one, and write the report.

    The report consists of ``metrics.json``, ``report.html``, ``tables.md`` and ``tables.tex``. A
    single run with a trained network also gets a model card, ``README.md``.

    Parameters
    ----------
    run : Path, str, DataFrame or sequence of Path
        Folder of a run or of a cross-validation, file of a predictions table (.parquet or .csv),
        the table itself, or with ``pool`` several folders and files.
    out : Path or str, optional
        Folder of the report; default: the folder of the run. It is required for several runs. For a
        DataFrame, no file is written if it is None.
    unit : str, default "session"
        Unit of every metric: ``session``, ``subject``, or subject and further columns, for example
        ``subject,emotion``, of which the predictions are averaged first. A column that the
        predictions of a run do not have is taken from its manifest.
    pool : bool, default False
        Whether several runs are evaluated as one: each predicts other tasks or valences
        (``data.steps``), and the report contains the metrics by task and valence. Runs are compared
        by :func:`depmm.compare`.
    checklists : sequence of {"tripod-ai", "reforms"}, default ()
        Reporting checklists that are filled in from what is recorded, and written beside the report
        as ``checklist_<name>.html`` and ``.md``. Only for a single run or table.

    Returns
    -------
    dict of str to object
        The content of ``metrics.json``.

    Raises
    ------
    EvaluationError
        If no run or an unknown checklist is given, or if several runs are given without ``pool``,
        have no ``out``, are given twice or have different confidence levels or decision thresholds.
    DepmmError
        If a run is not finished or a predictions table cannot be used.
    LockedError
        If another process evaluates into the same folder.

    Examples
    --------
    >>> import depmm
    >>> metrics = depmm.evaluate("runs/demo")
    >>> 0 <= metrics["metrics"]["auroc"]["value"] <= 1
    True
    """
    import pandas as pd

    from depmm.evaluation.reports.checklists.pages import CHECKLISTS
    from depmm.runs.contents import naming_file, read_run

    # a text instead of a sequence is a sequence of letters
    if unknown := [name for name in checklists if name not in CHECKLISTS]:
        known = ", ".join(CHECKLISTS)
        raise _no_checklist("checklists", f"{unknown[0]!r} is unknown. Known: {known}")
    folder = None if out is None else Path(out)
    if isinstance(run, pd.DataFrame):
        if checklists and folder is None:
            raise _no_checklist("out", "a table needs a folder for them. Give out")
        with _writing(folder):
            return _evaluate_table(run, folder, unit, checklists)
    paths = [Path(run)] if isinstance(run, str | Path) else [Path(path) for path in run]
    if not paths:
        raise EvaluationError("No run is given.", setting="run", remedy="Give its folder.")
    if len(paths) == 1:
        contents = read_run(paths[0])
        with _writing(folder or contents.path), naming_file(paths[0]):
            return _evaluate_run(contents, folder, unit, checklists)
    if checklists:
        raise _no_checklist("checklists", "they describe a single run. Give one run")
    if not pool:
        raise EvaluationError(
            f"{len(paths)} runs are given, and a report is of one run.",
            setting="run",
            value=list(map(str, paths)),
            remedy="Compare them: depmm compare RUN... --out FOLDER; or evaluate runs of different "
            "tasks or valences as one: --pool.",
        )
    if folder is None:
        raise EvaluationError(
            "The report of several runs needs a folder.",
            setting="out",
            remedy="Give it with --out FOLDER.",
        )
    runs = read_runs(paths)
    with _writing(folder):
        return _pool_runs(runs, folder, unit)


def _no_checklist(setting: str, reason: str) -> EvaluationError:
    return EvaluationError(f"Checklists cannot be written: {reason}.", setting=setting)


def _writing(folder: Path | None) -> AbstractContextManager[None]:
    """Hold a lock while the files of a report are written, so that they are of one evaluation."""
    return nullcontext() if folder is None else locked_folder(folder, "evaluate")


def _evaluate_table(
    table: "pd.DataFrame",
    out: Path | None,
    unit: str,
    checklists: Sequence[str],
) -> dict[str, Any]:
    from depmm.config import EvaluationConfig
    from depmm.evaluation.reports.content import evaluate_predictions
    from depmm.evaluation.reports.report import write_report

    settings = EvaluationConfig()
    n_bootstrap, confidence = settings.n_bootstrap, settings.confidence
    if out is None:
        return evaluate_predictions(
            table, n_bootstrap=n_bootstrap, confidence=confidence, unit=unit
        )
    metrics = write_report(
        table, out, title=out.name, n_bootstrap=n_bootstrap, confidence=confidence, unit=unit
    )
    _write_checklists(checklists, metrics, out, None)
    return metrics


def _evaluate_run(
    contents: "RunContents",
    out: Path | None,
    unit: str,
    checklists: Sequence[str],
) -> dict[str, Any]:
    from depmm.evaluation.reports.model_card import write_model_card
    from depmm.evaluation.reports.report import write_report
    from depmm.runs.session_columns import add_unit_columns

    folder = out or contents.path
    metrics = write_report(
        add_unit_columns(contents, unit),
        folder,
        title=contents.name,
        config_text=contents.config_text,
        history=contents.history,
        environment=contents.environment,
        command=(contents.environment or {}).get("command"),
        audit=contents.audit,
        coverage=contents.coverage,
        tuning=contents.tuning,
        properties=contents.properties,
        config=contents.config,
        flow=contents.flow,
        facts=contents.facts,
        ledger=contents.ledger,
        probe=contents.probe,
        n_bootstrap=contents.n_bootstrap,
        confidence=contents.confidence,
        unit=unit,
        threshold=contents.threshold,
        class_counts=contents.class_counts,
    )
    models = contents.models or contents.classical_models
    if models and contents.config is not None:
        write_model_card(folder, metrics, contents.config, models)
    _write_checklists(checklists, metrics, folder, contents)
    return metrics


def _write_checklists(
    names: Sequence[str], metrics: dict[str, Any], out: Path, contents: "RunContents | None"
) -> None:
    """Fill checklists from what the report and the run record."""
    if not names:
        return
    from depmm.evaluation.reports.checklists.items import Evidence
    from depmm.evaluation.reports.checklists.pages import find_anchors, write_checklists

    anchors = find_anchors(out / "report.html")
    if contents is None or contents.config is None:
        write_checklists(names, Evidence(metrics, anchors=anchors), out, out, out.name)
        return
    evidence = Evidence(
        metrics,
        contents.config,
        contents.environment or {},
        contents.audit,
        0 if contents.tuning is None else contents.tuning["candidate"].nunique(),
        anchors,
        frozenset(file.name for file in contents.path.iterdir() if file.is_file()),
    )
    write_checklists(names, evidence, out, contents.path, contents.name)


def _pool_runs(runs: "dict[str, RunContents]", out: Path, unit: str) -> dict[str, Any]:
    from depmm.evaluation.pooling import pool_runs
    from depmm.evaluation.reports.report import write_report
    from depmm.runs.session_columns import add_unit_columns

    thresholds = {name: run.threshold for name, run in runs.items()}
    if len(set(thresholds.values())) > 1:
        listed = "; ".join(f"{name}: {value}" for name, value in thresholds.items())
        raise EvaluationError(
            f"The configs of the runs have different decision thresholds ({listed}).",
            setting="evaluation.threshold",
            value=thresholds,
            remedy="Set the same evaluation.threshold in all of them.",
        )
    return write_report(
        pool_runs({name: add_unit_columns(run, unit) for name, run in runs.items()}),
        out,
        title=out.name,
        n_bootstrap=max(run.n_bootstrap for run in runs.values()),
        confidence=describing_run(runs).confidence,
        unit=unit,
        threshold=next(iter(thresholds.values())),
        class_counts=describing_run(runs).class_counts,
    )


def summary_lines(content: dict[str, Any]) -> list[str]:
    """Summarise a report for the terminal.

    Parameters
    ----------
    content : dict of str to object
        What :func:`evaluate` or :func:`depmm.compare` returns.

    Returns
    -------
    list of str
        One line per main metric with interval and baseline; in a comparison, one per run and
        metric, per note about a table, and per paired difference.
    """
    if content["kind"] == "comparison":
        return [*_run_lines(content), *map(_difference_line, content["comparison"])]
    lines = []
    for name in SUMMARY_METRICS:
        if entry := content["metrics"].get(name):
            if entry["undefined"]:
                lines.append(f"{name:18s} undefined: {entry['undefined']}")
                continue
            line = f"{name:18s} {_estimate(entry, 'value')}"
            if entry["baseline"]:
                line += f"   baseline {_number(entry['baseline']['value'])}"
            lines.append(line)
    return lines


def _run_lines(content: dict[str, Any]) -> list[str]:
    metrics = dict.fromkeys(row["metric"] for row in content["comparison"])
    lines = []
    for name, run in content["runs"].items():
        lines += [f"{name}: {note}" for note in run["notes"]]
        for metric in metrics:
            entry = run["metrics"][metric]
            text = f"undefined: {entry['undefined']}" if entry["undefined"] else None
            lines.append(f"{metric:18s} {name}: {text or _estimate(entry, 'value')}")
    return lines


def _difference_line(row: dict[str, Any]) -> str:
    if row["undefined"]:
        names = f"{row['run_a']} minus {row['run_b']}"
        return f"{row['metric']:18s} {names}: undefined: {row['undefined']}"
    return (
        f"{row['metric']:18s} {row['run_a']} minus {row['run_b']}: {_estimate(row, 'difference')}"
        f"   p {_number(row['p'])}, adjusted {_number(row['p_adjusted'])}"
    )


def _estimate(entry: dict[str, Any], key: str) -> str:
    if entry["ci_low"] is None:
        return f"{_number(entry[key])} [no interval: {entry['reason']}]"
    return f"{_number(entry[key])} [{_number(entry['ci_low'])}, {_number(entry['ci_high'])}]"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
