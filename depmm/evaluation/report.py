"""From a predictions table to ``metrics.json`` and one self-contained ``report.html``.

Works on predictions of any program: one row a session, split, fold and seed (columns in
``check_predictions``); segments of a session are refused as duplicates. The unit of every number is
the session, or the person where ``unit`` is ``subject``. Sessions that are tested in different
folds are pooled; with several seeds, or with folds that test every session several times (repeated
k-fold), every metric is the mean over these repetitions, and its bootstrap draws the same persons
for all of them.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined

from depmm.corpora.manifest import INSTRUMENTS
from depmm.evaluation import figures
from depmm.evaluation.calibration import CalibrationError, measure_calibration
from depmm.evaluation.conformal import ALPHAS, measure_intervals, measure_sets
from depmm.evaluation.floors import LABELS, add_floors, compare_with_floors
from depmm.evaluation.intervals import (
    PERSON,
    SESSION,
    TestedSessions,
    decide,
    draw_sessions,
    wilson,
)
from depmm.evaluation.metrics import (
    HEADLINE,
    METRICS,
    confusion,
    severity_bands,
    unit_weights,
)
from depmm.evaluation.selective import measure_risk, measure_spread

SCHEMA_VERSION = 1
Unit = Literal["session", "subject"]
SPLITS = ("train", "validation", "test")
FEW_PERSONS = 20  # a bootstrap of fewer is visibly too narrow
GROUP_COLUMNS = ("gender",)

_KEYS = [*SESSION, "split", "fold", "seed"]
_PAIRS = {"binary": ("y_true", "y_prob"), "severity": ("score_true", "score")}


class PredictionsError(ValueError):
    """A predictions table that cannot be evaluated; names the value, the row and the remedy."""


# ---- the table ---------------------------------------------------------------------------------


def check_predictions(predictions: pd.DataFrame) -> pd.DataFrame:
    """Check a predictions table and return it in a fixed order and fixed types.

    Parameters
    ----------
    predictions : corpus, subject, session, split (train | validation | test), fold, seed, and
        y_true, y_prob (probability of the positive class) or score_true, score (measured and
        predicted severity) or both pairs; a column may be null outside the tested rows

    Raises
    ------
    PredictionsError : a missing column, an impossible value, sessions of a seed that are not all
        tested equally often, a person on two sides of a split, labels that contradict each other
    """
    columns = set(predictions.columns)
    if missing := [name for name in _KEYS if name not in columns]:
        raise PredictionsError(f"predictions: column(s) {missing} missing; add them")
    if not any(columns >= set(pair) for pair in _PAIRS.values()):
        raise PredictionsError(
            "predictions: neither y_true and y_prob nor score_true and score are present; add the "
            f"columns of the task (present: {sorted(columns)})"
        )
    table = predictions.reset_index(drop=True)
    for name in _KEYS:
        _refuse(table, table[name].isna(), name, "every row needs one")
    for name in [*SESSION, "split"]:
        table[name] = table[name].astype(str)
    _refuse(table, ~table["split"].isin(SPLITS), "split", f"use one of {', '.join(SPLITS)}")
    for name in ("fold", "seed"):
        number = pd.to_numeric(table[name], errors="coerce")
        _refuse(table, number.isna() | (number % 1 != 0), name, "use whole numbers")
        table[name] = number.astype("int64")
    for name in {name for pair in _PAIRS.values() for name in pair} & columns:
        number = pd.to_numeric(table[name], errors="coerce").astype("float64")
        wrong = (number.isna() & table[name].notna()) | np.isinf(number)
        _refuse(table, wrong, name, "use finite numbers, null where unknown")
        if name == "y_true":
            _refuse(table, number.notna() & ~number.isin([0, 1]), name, "labels are 0 or 1")
        if name == "y_prob":
            remedy = "a probability lies in [0, 1]; apply the sigmoid or softmax first"
            _refuse(table, (number < 0) | (number > 1), name, remedy)
        table[name] = number
    _check_rows(table)
    return table.sort_values(["seed", "fold", "split", *SESSION]).reset_index(drop=True)


def _check_rows(table: pd.DataFrame) -> None:
    """Refuse rows that contradict each other."""
    remedy = (
        "keep one row a session, split, fold and seed; average the answers to its segments first, "
        "or was it evaluated twice?"
    )
    _refuse(table, table.duplicated(_KEYS), "session", f"this row is a duplicate: {remedy}")
    tested = table[table["split"] == "test"]
    if tested.empty:
        raise PredictionsError("predictions: no rows with split 'test'; nothing to evaluate")
    times = tested.groupby([*SESSION, "seed"])["fold"].transform("size")
    uneven = times > times.groupby(tested["seed"]).transform("min")
    again = uneven & tested.duplicated([*SESSION, "seed"])
    remedy = (
        "this session is tested in several folds of one seed, more often than others; test all "
        "equally often, or average first"
    )
    _refuse(table, again.reindex(table.index, fill_value=False), "session", remedy)
    home = table.groupby([*PERSON, "fold", "seed"])["split"].transform("first")
    remedy = "this person is also in another split of the fold; split by person (corpus, subject)"
    _refuse(table, table["split"] != home, "split", remedy)
    for name in ("y_true", "score_true"):
        if name in table:
            first = table.groupby(SESSION)[name].transform("first")
            differs = table[name].notna() & (table[name] != first)
            _refuse(table, differs, name, "another row of this session says otherwise; correct it")


def _refuse(table: pd.DataFrame, wrong: pd.Series, column: str, remedy: str) -> None:
    """Raise for the first row that is ``wrong``."""
    if not wrong.any():
        return
    row = int(np.flatnonzero(wrong.to_numpy(dtype=bool))[0])
    where = ", ".join(f"{name} {table[name].iloc[row]!s}" for name in _KEYS)
    raise PredictionsError(
        f"predictions: {column} is {table[column].iloc[row]!s} in row {row} ({where}); {remedy} "
        f"({int(wrong.sum())} of {len(table)} rows)"
    )


def _tasks(table: pd.DataFrame) -> list[str]:
    """Which tasks the tested rows can be evaluated for."""
    tested = table[table["split"] == "test"]
    tasks = []
    for task, pair in _PAIRS.items():
        if set(pair) <= set(table) and all(tested[name].notna().any() for name in pair):
            for name in pair:
                absent = (table["split"] == "test") & table[name].isna()
                _refuse(table, absent, name, "tested rows need it; fill it or drop the row")
            tasks.append(task)
    if not tasks:
        raise PredictionsError(
            "predictions: no tested row has both truth and answer; fill y_true and y_prob, or "
            "score_true and score"
        )
    if (
        "severity" in tasks
        and "instrument" in tested
        and len(tested["instrument"].dropna().unique()) > 1
    ):
        names = sorted(tested["instrument"].dropna().astype(str).unique())
        raise PredictionsError(
            f"predictions: instrument is one of {names} in the tested rows; an error in points "
            "cannot be pooled over instruments: evaluate them one by one"
        )
    return tasks


def mean_of_sessions(table: pd.DataFrame) -> pd.DataFrame:
    """Make one row of each person's sessions in a split, fold and seed, named ``mean``.

    Probabilities, measured and predicted scores are averaged; other columns are those of the first
    session.

    Raises
    ------
    PredictionsError : a person whose sessions have different labels
    """
    keys = [*PERSON, "split", "fold", "seed"]
    persons = table.groupby(keys, sort=False)
    if "y_true" in table:
        first = persons["y_true"].transform("first")
        differs = table["y_true"].notna() & (table["y_true"] != first)
        remedy = "another session of this person says otherwise; use the unit session"
        _refuse(table, differs, "y_true", remedy)
    averaged = {"y_prob", "score_true", "score"}
    how: dict[str, Any] = {
        str(name): "mean" if name in averaged else "first"
        for name in table
        if name not in {*keys, "session", "spread"}  # no spread of a mean follows from its parts
    }
    one = persons.agg(how).reset_index().assign(session="mean")
    _check_rows(one)
    return one


def decided_predictions(
    predictions: pd.DataFrame, unit: Unit = "session"
) -> tuple[pd.DataFrame, list[str]]:
    """Check a predictions table and add what metrics read: decisions and severity bands.

    Parameters
    ----------
    predictions : see ``check_predictions``
    unit : ``subject`` takes the mean of each person's sessions first (``mean_of_sessions``), so
        that thresholds, decisions and bands are those of persons

    Returns
    -------
    table : with ``y_pred`` and its threshold (``decide``) where there are probabilities, with
        ``band_true`` and ``band`` of the tested rows where the instrument has agreed bands
    tasks : ``binary``, ``severity`` or both

    Raises
    ------
    PredictionsError : see ``check_predictions``
    """
    table = check_predictions(predictions)
    tasks = _tasks(table)
    if unit == "subject":
        table = mean_of_sessions(table)
    if "binary" in tasks:
        table = decide(table)
    instrument = _instrument(table)
    if "severity" in tasks and instrument in INSTRUMENTS and INSTRUMENTS[instrument].levels:
        tested = table.index[table["split"] == "test"]
        for band, score in (("band_true", "score_true"), ("band", "score")):
            bands = severity_bands(table.loc[tested, score], instrument)
            table[band] = pd.Series(bands, index=tested)
    return table, tasks


# ---- evaluation --------------------------------------------------------------------------------


def evaluate(
    predictions: pd.DataFrame,
    *,
    draws: int,
    confidence: float,
    seed: int = 0,
    unit: Unit = "session",
) -> dict[str, Any]:
    """Evaluate a predictions table: the content of ``metrics.json``.

    Parameters
    ----------
    predictions : see ``check_predictions``; a column ``gender`` adds metrics by group
    draws : bootstrap draws of persons
    confidence : of the intervals, e.g. 0.95
    seed : of the bootstrap
    unit : of every number: ``session``, or ``subject`` for the mean of each person's sessions

    Returns
    -------
    Plain values (None where undefined). ``metrics`` maps a name of ``METRICS`` to value, low, high,
    undefined_draws, the floor it is compared with, the paired gain over that floor and a verdict

    Raises
    ------
    PredictionsError : the table contradicts itself or lacks what the evaluation needs
    """
    return _evaluate(predictions, draws, confidence, seed, unit)[0]


def _evaluate(
    predictions: pd.DataFrame, draws: int, confidence: float, seed: int, unit: Unit
) -> tuple[dict[str, Any], TestedSessions]:
    table, tasks = decided_predictions(predictions, unit)
    for task in tasks:
        table = add_floors(table, task)
    tested = draw_sessions(table, draws, confidence, seed)
    results = [compare_with_floors(tested, task) for task in tasks]
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "unit": unit,
        "tasks": tasks,
        "instrument": _instrument(table),
        "verdict": _overall({k: v for metrics, _ in results for k, v in metrics.items()}, tasks),
        "metrics": {k: v for metrics, _ in results for k, v in metrics.items()},
        "floors": {k: v for _, floors in results for k, v in floors.items()},
        "confusion": _confusion(tested) if "binary" in tasks else None,
        "thresholds": _thresholds(table) if "binary" in tasks else [],
        "counts": {split: _count(table[table["split"] == split]) for split in SPLITS},
        "protocol": _protocol(table, tasks),
        "folds": sorted(int(f) for f in table.loc[table["split"] == "test", "fold"].unique()),
        "seeds": list(tested.seeds),
        "repeats": tested.repeats,
        "groups": _groups(tested, tasks),
        "calibration": {task: _calibration(table, tested, task, seed) for task in tasks},
        "bootstrap": {
            "unit": "person (corpus, subject)",
            "method": "BCa",
            "draws": draws,
            "confidence": confidence,
            "seed": seed,
            "persons_by_stratum": tested.persons_by_stratum,
        },
    }
    content["warnings"] = _warnings(content, table, tested)
    return _plain(content), tested


def _overall(metrics: dict[str, Any], tasks: list[str]) -> dict[str, str]:
    """One answer from the headline metrics: better only when each of them is better."""
    verdicts = [metrics[name]["verdict"] for task in tasks for name in HEADLINE[task]]
    answers = {entry["answer"] for entry in verdicts}
    worst = ("worse", "undefined", "not shown to be better", "better")
    answer = next(name for name in worst if name in answers)
    return {"answer": answer, "words": " ".join(entry["words"] for entry in verdicts)}


def _confusion(tested: TestedSessions) -> dict[str, Any]:
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


def _groups(tested: TestedSessions, tasks: list[str]) -> dict[str, Any]:
    """Headline metrics within each group, on the same draws."""
    everyone = pd.concat(tested.seeds.values()).drop_duplicates("unit")
    found: dict[str, Any] = {}
    for column in GROUP_COLUMNS:
        if column not in everyone or len(everyone[column].dropna().unique()) < 2:
            continue
        found[column] = {}
        for group in sorted(everyone[column].dropna().unique()):
            members = tested.where(column, group)
            entry: dict[str, Any] = _count(everyone[everyone[column] == group])
            for task in tasks:
                for name in HEADLINE[task]:
                    entry[name] = asdict(members.interval(*members.values(name)))
            found[column][str(group)] = entry
    return found


def _calibration(
    table: pd.DataFrame, tested: TestedSessions, task: str, seed: int
) -> dict[str, Any]:
    """How far answers can be trusted one by one; a part that cannot be fitted says why."""
    measure = measure_sets if task == "binary" else measure_intervals
    content: dict[str, Any] = {}
    if task == "binary":
        content |= measure_calibration(table, tested, seed)
        content["risk_coverage"] = measure_risk(tested)
    try:
        content["conformal"] = [measure(table, tested, alpha) for alpha in ALPHAS]
    except CalibrationError as refusal:
        content["conformal"] = {"refused": str(refusal)}
    content["gates"] = measure_spread(tested, task)
    return content


def _count(rows: pd.DataFrame) -> dict[str, Any]:
    sessions = rows.drop_duplicates(SESSION)
    counts: dict[str, Any] = {
        "sessions": len(sessions),
        "persons": len(sessions.drop_duplicates(PERSON)),
    }
    if "y_true" in sessions and sessions["y_true"].notna().any():
        counts["positive_sessions"] = int(sessions["y_true"].sum())
    return counts


def _thresholds(table: pd.DataFrame) -> list[dict[str, Any]]:
    chosen = table[["fold", "seed", "threshold", "threshold_source"]].drop_duplicates()
    return [
        {"fold": row.fold, "seed": row.seed, "value": row.threshold, "source": row.threshold_source}
        for row in chosen.sort_values(["seed", "fold"]).itertuples()
    ]


def _protocol(table: pd.DataFrame, tasks: list[str]) -> list[dict[str, Any]]:
    """Who is in which split of each (seed, fold), in the order of ``_thresholds``."""
    return [
        {
            "fold": rows["fold"].iloc[0],
            "seed": rows["seed"].iloc[0],
            **{split: _count(rows[rows["split"] == split]) for split in SPLITS},
            "floor_source": {task: rows[f"{task}_floor_source"].iloc[0] for task in tasks},
        }
        for _, rows in table.groupby(["seed", "fold"])
    ]


def _instrument(table: pd.DataFrame) -> str | None:
    if "instrument" not in table:
        return None
    names = table.loc[table["split"] == "test", "instrument"].dropna().unique()
    return str(names[0]) if len(names) == 1 else None


def _warnings(content: dict[str, Any], table: pd.DataFrame, tested: TestedSessions) -> list[str]:
    """What a reader must know before trusting the numbers."""
    notes = []
    persons, draws = content["counts"]["test"]["persons"], content["bootstrap"]["draws"]
    if persons < FEW_PERSONS:
        notes.append(
            f"Only {persons} persons are tested: bootstrap intervals of fewer than {FEW_PERSONS} "
            "persons are too narrow."
        )
    if untrained := [f"{p['fold']}" for p in content["protocol"] if not p["train"]["sessions"]]:
        notes.append(
            f"The table has no train rows for fold(s) {', '.join(sorted(set(untrained)))}: that "
            "tested persons were not trained on cannot be checked here, and floors come from "
            "validation rows."
        )
    elif any("validation" in p["floor_source"].values() for p in content["protocol"]):
        notes.append("Some train rows have no labels: floors come from validation rows there.")
    for entry in content["thresholds"]:
        if entry["source"].startswith("0.5"):
            notes.append(
                f"Threshold of fold {entry['fold']}, seed {entry['seed']} is {entry['source']}."
            )
    undefined = [
        f"{METRICS[name].label} ({entry['undefined_draws']})"
        for name, entry in content["metrics"].items()
        if entry["undefined_draws"]
    ]
    if undefined:
        notes.append(f"Left out of {draws} draws as undefined: {', '.join(undefined)}.")
    if len({tuple(rows["unit"]) for rows in tested.seeds.values()}) > 1:
        notes.append(
            "The seeds test different sessions: differences between them are not only luck."
        )
    plain: dict[str, list[str]] = {}
    for name, entry in content["metrics"].items():
        if entry["reason"]:
            plain.setdefault(entry["reason"], []).append(METRICS[name].label)
    for reason, labels in plain.items():
        notes.append(f"Percentile instead of BCa intervals of {', '.join(labels)}: {reason}.")
    accuracy = content["metrics"].get("accuracy")
    if accuracy and accuracy["low"] == accuracy["high"]:
        exact = wilson(accuracy["value"] * persons, persons, tested.confidence)
        notes.append(
            f"All draws have the accuracy {exact.value:.3f}: the bootstrap shows no uncertainty. "
            f"By Wilson's interval for {persons} persons it is {exact.low:.3f} to {exact.high:.3f}."
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
    selection: pd.DataFrame | None = None,
    draws: int = 2000,
    confidence: float = 0.95,
    unit: Unit = "session",
) -> dict[str, Any]:
    """Evaluate predictions and write ``metrics.json`` and ``report.html`` into a folder.

    Parameters
    ----------
    predictions : see ``check_predictions``
    out : folder, made if absent; both files are replaced atomically
    title : of the report
    config_text : the run's ``config.yaml``
    history : epoch, train_loss, val_loss, val_auroc or val_rmse, learning_rate; fold, seed optional
    environment : what the run's ``environment.json`` holds
    command : the line that made the predictions
    audit : what the run's ``audit.json`` holds
    selection : the run's ``selection.csv``, where each fold chose settings
    draws, confidence, unit : see ``evaluate``

    Returns
    -------
    The content of ``metrics.json``

    Raises
    ------
    PredictionsError : see ``evaluate``
    """
    content, tested = _evaluate(predictions, draws, confidence, 0, unit)
    page = _render(
        m=content,
        title=title,
        figures=_figures(content, tested),
        training=[] if history is None else figures.training_figures(history),
        config_text=config_text,
        environment=_flatten(environment or {}),
        command=command,
        audit=audit,
        chosen=[] if selection is None else selection[selection["chosen"]].to_dict("records"),
    )
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    _replace(out / "metrics.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    _replace(out / "report.html", page)
    return content


def _figures(content: dict[str, Any], tested: TestedSessions) -> dict[str, str | None]:
    roc = severity = reliability = risk = None
    if "binary" in content["tasks"]:
        seeds = []
        for seed, rows in tested.seeds.items():
            weights = tested.weights_of(seed)
            seeds.append((rows["y_true"].to_numpy(float), rows["y_prob"].to_numpy(float), weights))
        roc = figures.roc_figure(seeds, tested.confidence)
        calibration = content["calibration"]["binary"]
        reliability = figures.reliability_figure(
            calibration["before"]["reliability"], calibration["temperature"].get("reliability")
        )
        curve = calibration["risk_coverage"]["curve"]
        risk = figures.risk_figure(np.array(curve["coverage"]), np.array(curve["risk"]))
    if "severity" in content["tasks"]:
        rows = pd.concat(tested.seeds.values())
        severity = figures.severity_figure(
            rows["score_true"].to_numpy(float), rows["score"].to_numpy(float), content["instrument"]
        )
    return {"roc": roc, "severity": severity, "reliability": reliability, "risk": risk}


def _render(**values: Any) -> str:
    """Fill the template; everything but the figures is escaped."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    source = files("depmm.evaluation").joinpath("report.html.jinja").read_text(encoding="utf-8")
    template = environment.from_string(source)
    return template.render(metrics=METRICS, headline=HEADLINE, floor_labels=LABELS, **values)


def _number(value: float | None, digits: int = 3) -> str:
    """Format a number for a reader: a true minus, a dash where undefined."""
    if value is None:
        return "\N{EN DASH}"
    if float(value).is_integer() and digits == 0:
        return str(int(value))
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows.extend(_flatten(value, f"{prefix}{key}."))
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            rows.append((f"{prefix}{key}", text))
    return rows


def _plain(value: Any) -> Any:
    """Turn numpy values into JSON values, NaN into None."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _replace(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)  # mkstemp makes it private
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
