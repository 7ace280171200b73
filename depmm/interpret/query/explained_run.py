"""Reading of the tables of an explained run for questions, and checks of their options."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from depmm.errors import did_you_mean
from depmm.interpret.attribution.methods import ON_REQUEST, SELECTED, SHAPLEY
from depmm.interpret.errors import QuestionError
from depmm.interpret.query.confounds import describe_uneven_gender
from depmm.interpret.query.explained_by import describe_models
from depmm.interpret.query.label_tests import LabelTest
from depmm.interpret.query.sql import list_columns, read_table
from depmm.schemas.manifest import SESSION_KEY

MODEL_KEY = ["split", "fold", "seed"]  # a model and the split of its explained sessions
EFFECT = "effect: Hedges' g, label 1 minus label 0, with its 95 % confidence interval over subjects"
_REQUESTED = {method.name for method in ON_REQUEST}


def format_title(text: str, stratify_by: str | None, test: LabelTest | None) -> str:
    """Add the stratification and the meaning of the statistics to the title of a result.

    Parameters
    ----------
    text : str
        Title.
    stratify_by : str, optional
        Column by which the question is stratified.
    test : LabelTest, optional
        The test of the result; None if the labels are not compared.

    Returns
    -------
    str
        The whole title.
    """
    stratified = f", stratified by {stratify_by}" if stratify_by else ""
    if test is None:
        return f"{text}{stratified}"
    if not test.is_calculated:
        return f"{text}{stratified} ({EFFECT.split(', with')[0]}; {test.value})"
    return f"{text}{stratified} ({EFFECT}; {test.value}; q: Benjamini-Hochberg)"


def list_measures(run: Path) -> list[str]:
    """List the columns of the attributions by which words can be ranked.

    Parameters
    ----------
    run : Path
        Folder of an explained run.

    Returns
    -------
    list of str
        Names of the columns.
    """
    return [
        name
        for name in list_columns(run, "attributions")
        if name in _REQUESTED or name.startswith(("occlusion", SELECTED))
    ]


def choose_default_measure(run: Path) -> str:
    """Choose the default measure: Shapley values, if they were computed, or occlusion.

    Parameters
    ----------
    run : Path
        Folder of an explained run.

    Returns
    -------
    str
        ``shapley`` or ``occlusion``.
    """
    return SHAPLEY.name if SHAPLEY.name in list_columns(run, "attributions") else "occlusion"


def read_attributions(run: Path, measures: Sequence[str], stratify_by: str | None) -> pd.DataFrame:
    """Read the attributions of steps: some measures, ``selected``, and a column of subjects.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    measures : sequence of str
        Columns of the attributions.
    stratify_by : str, optional
        Column of the attributions or predictions.

    Returns
    -------
    DataFrame
        One row per step.

    Raises
    ------
    QuestionError
        If a measure or column is unknown.
    """
    known = list_measures(run)
    for name in measures:
        if name not in known:
            raise QuestionError(
                f"rank_by={name}: the attributions of the run have no such measure.",
                setting="rank_by",
                value=name,
                remedy=did_you_mean(name, known),
            )
    keys = [*SESSION_KEY, *MODEL_KEY, "label", "step", "word", "valence"]
    selected = {SELECTED}.intersection(known).difference(measures)
    names = ", ".join(f'"{name}"' for name in [*keys, *measures, *selected])
    table = read_table(run, "attributions", f"SELECT {names} FROM attributions")
    return add_subject_column(run, table, stratify_by)


def add_subject_column(run: Path, table: pd.DataFrame, column: str | None) -> pd.DataFrame:
    """Add a column of subjects, such as gender, from the predictions.

    Parameters
    ----------
    run : Path
        Folder of a run.
    table : DataFrame
        Rows with the session key.
    column : str, optional
        Name of the column.

    Returns
    -------
    DataFrame
        The table with the column, unless it is None or exists already.

    Raises
    ------
    QuestionError
        If the predictions have no such column.
    """
    if column is None or column in table:
        return table
    known = list_columns(run, "predictions")
    if column not in known:
        raise QuestionError(
            f"stratify_by={column}: the predictions have no such column.",
            setting="stratify_by",
            value=column,
            remedy=did_you_mean(column, known),
        )
    names = ", ".join(f'"{name}"' for name in [*SESSION_KEY, column])
    sessions = read_table(run, "predictions", f"SELECT DISTINCT {names} FROM predictions")
    return table.merge(sessions, on=SESSION_KEY, how="left")


def list_confounds(run: Path, stratify_by: str | None) -> list[str]:
    """List confounds of a difference between the labels, as notes for the reader.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    stratify_by : str, optional
        Column by which the question is stratified; there are no notes if it is given.

    Returns
    -------
    list of str
        Sentences.
    """
    if stratify_by is not None or not (run / "predictions.parquet").is_file():
        return []
    if "gender" not in list_columns(run, "predictions"):
        return []
    sessions = read_table(
        run,
        "attributions",
        "SELECT DISTINCT corpus, subject, session, label FROM attributions WHERE label IS NOT NULL",
    )
    note = describe_uneven_gender(add_subject_column(run, sessions, "gender"))
    return [] if note is None else [note]


def list_test_notes(
    run: Path, rows: pd.DataFrame, stratify_by: str | None, test: LabelTest | None
) -> list[str]:
    """List the models of a comparison of the labels, and its confounds, as notes.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    rows : DataFrame
        The explained rows.
    stratify_by : str, optional
        Column by which the question is stratified.
    test : LabelTest, optional
        The test of the result; None if the labels are not compared.

    Returns
    -------
    list of str
        Sentences.
    """
    models = [] if test is None else describe_models(run, rows, test)
    return [*models, *list_confounds(run, stratify_by)]


def check_value(run: Path, column: str, value: str, subject: str | None) -> None:
    """Check that a value occurs in a column; the error names similar values.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    column : str
        Column of the attributions.
    value : str
        Value of the column.
    subject : str, optional
        Subject whose rows are searched; None for all subjects.

    Raises
    ------
    QuestionError
        If no row has the value.
    """
    where = "WHERE subject = ?" if subject else ""
    known = read_table(
        run,
        "attributions",
        f"SELECT DISTINCT {column} AS name FROM attributions {where} ORDER BY name",
        [subject] if subject else [],
    )["name"].tolist()
    if value not in known:
        similar = difflib.get_close_matches(value, known, n=3, cutoff=0.5) or known[:3]
        of = f" of {subject}" if subject else ""
        raise QuestionError(
            f"{column} {value!r}{of} was not explained.",
            column=column,
            value=value,
            subject=subject,
            remedy=f"Explained: {len(known)}, for example {', '.join(similar)}.",
        )
