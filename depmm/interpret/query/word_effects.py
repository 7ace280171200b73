"""Compare words between the labels: effect, permutation test and false discovery rate.

The unit is the subject, not the step or the session: the value of a word is the mean over the
subject's readings, sessions, folds and seeds. A cross-validation with five seeds therefore has as
many units as one with a single seed.

If more women than men have label 1, a difference between genders appears as an effect of the label.
``stratify_by`` names a column of subjects (gender, fold, corpus); subjects are then compared only
with subjects of the same value, and values with only one label are left out. With
``stratify_by="subject"``, subjects with sessions of both labels are compared with themselves.

If several models explain different subjects (folds), subjects are compared with the other subjects
of the same model, and ``label_tests`` chooses the test; ``attrs["test"]`` of a result names it. A
subject of repeated folds then has one row for each of its folds.
"""

from collections.abc import Sequence

import pandas as pd

from depmm.errors import did_you_mean
from depmm.interpret.errors import QuestionError
from depmm.interpret.query.group_effects import UNIT, compare_columns, compare_observed
from depmm.interpret.query.label_tests import LabelTest, assign_models, is_directed
from depmm.schemas.manifest import SUBJECT_KEY


def compare_words(
    attributions: pd.DataFrame,
    measure: str = "occlusion",
    stratify_by: str | None = None,
    **test: int,
) -> pd.DataFrame:
    """Rank words by how much they differ between the labels.

    Parameters
    ----------
    attributions : DataFrame
        One row per step: corpus, subject, ``label`` (0 or 1), ``word``, ``valence`` and the
        measure. The rows of several models are concatenated.
    measure : str, default "occlusion"
        Column to compare, for example ``occlusion``, ``selected`` or ``selected_face``.
    stratify_by : str, optional
        Column of the strata; subjects are compared within a stratum only.
    **test : int
        Options of ``compare_columns``: permutations, draws and seed.

    Returns
    -------
    DataFrame
        One row per word, sorted by the size of the effect and then by name, rare words last:
        ``word``, ``valence`` and the columns of ``compare_columns``. If ``attributions`` has a
        column ``selected`` that is not the measure, also ``selected_difference`` and
        ``selected_effect``, for the rate at which the attention selects the word.

    Raises
    ------
    QuestionError
        If no step has a word, a column is unknown, all subjects have the same label, the run
        predicts scores, or a subject has sessions of both labels (except with
        ``stratify_by="subject"``) or several values of ``stratify_by``.
    """
    rows = select_readings(attributions, [measure], stratify_by)
    matrix = rows.pivot_table(index=UNIT, columns="word", values=measure)
    table = compare_columns(matrix, test=choose_test(rows, measure), **test)
    table.insert(1, "valence", _get_valences(rows, table["word"]))
    if measure != "selected" and "selected" in rows:
        rates = rows.pivot_table(index=UNIT, columns="word", values="selected")
        rates = rates.reindex(index=matrix.index, columns=table["word"])
        comparison = compare_observed(rates)
        table["selected_difference"] = comparison.difference
        table["selected_effect"] = comparison.effect
    return _name_test(table, rows, measure)


def compare_valences(
    attributions: pd.DataFrame,
    measure: str = "occlusion",
    stratify_by: str | None = None,
    **test: int,
) -> pd.DataFrame:
    """Compare the mean of all negative, neutral and positive words between the labels.

    The value of a valence is the mean over the words that the subject read, with equal weights.

    Parameters
    ----------
    attributions : DataFrame
        As in ``compare_words``.
    measure : str, default "occlusion"
        Column to compare.
    stratify_by : str, optional
        Column of the strata; subjects are compared within a stratum only.
    **test : int
        Options of ``compare_columns``.

    Returns
    -------
    DataFrame
        As ``compare_words``, one row per ``valence``, with ``n_words``, the number of its words.

    Raises
    ------
    QuestionError
        If no word has a valence, or for the reasons of ``compare_words``.
    """
    rows = select_readings(attributions, [measure], stratify_by).dropna(subset=["valence"])
    if rows.empty:
        raise QuestionError(
            "No word has a valence.",
            column="valence",
            remedy="Name a word list under words: in the data spec, index the corpus and explain "
            "the run again.",
        )
    words = rows.groupby([*UNIT, "valence", "word"])[measure].mean().reset_index()
    matrix = words.pivot_table(index=UNIT, columns="valence", values=measure)
    table = compare_columns(matrix, test=choose_test(rows, measure), **test)
    count = words.groupby("valence")["word"].nunique()
    table.insert(1, "n_words", count[table["valence"]].to_numpy())
    return _name_test(table, rows, measure)


def compare_measures(
    attributions: pd.DataFrame,
    measures: Sequence[str],
    stratify_by: str | None = None,
    **test: int,
) -> pd.DataFrame:
    """Compare words by each of several measures, for example the selection of each encoder.

    Parameters
    ----------
    attributions : DataFrame
        As in ``compare_words``.
    measures : sequence of str
        Columns to compare; ``q`` adjusts for all of their words together.
    stratify_by : str, optional
        Column of the strata; subjects are compared within a stratum only.
    **test : int
        Options of ``compare_columns``.

    Returns
    -------
    DataFrame
        As ``compare_words``, one row per ``measure`` and ``word``.
    """
    rows = select_readings(attributions, measures, stratify_by)
    chosen = choose_test(rows, *measures)
    table = compare_columns(pivot_measures(rows, measures), test=chosen, **test)
    table.insert(2, "valence", _get_valences(attributions, table["word"]))
    return _name_test(table, rows, *measures)


def choose_test(rows: pd.DataFrame, *measures: str) -> LabelTest:
    """Choose the test of some measures.

    Parameters
    ----------
    rows : DataFrame
        From ``select_comparable``.
    *measures : str
        Columns that are compared together.

    Returns
    -------
    LabelTest
        The test; if any measure has no direction, two-sided, or none if only models could be
        compared with each other.
    """
    test = LabelTest[str(rows["test"].iloc[0])]
    if all(map(is_directed, measures)):
        return test
    undirected = {
        LabelTest.CONCORDANCE: LabelTest.WITHIN_MODELS,
        LabelTest.BETWEEN_MODELS: LabelTest.SINGLE_SUBJECTS,
    }
    return undirected.get(test, test)


def _name_test(table: pd.DataFrame, rows: pd.DataFrame, *measures: str) -> pd.DataFrame:
    table.attrs["test"] = choose_test(rows, *measures)
    return table


def pivot_measures(rows: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """Average the readings of each subject, measure and word.

    Parameters
    ----------
    rows : DataFrame
        From ``select_readings``.
    measures : sequence of str
        Columns to average.

    Returns
    -------
    DataFrame, shape (subjects, measures x words)
        Means with the index ``UNIT`` and the columns (measure, word).
    """
    long = rows.melt([*UNIT, "word"], list(measures), var_name="measure", value_name="value")
    return long.pivot_table(index=UNIT, columns=["measure", "word"], values="value")


def select_readings(
    attributions: pd.DataFrame, measures: Sequence[str], stratify_by: str | None = None
) -> pd.DataFrame:
    """Select the rows with a word, of subjects that can be compared; see ``select_comparable``.

    Parameters
    ----------
    attributions : DataFrame
        As in ``compare_words``.
    measures : sequence of str
        Columns that must have values.
    stratify_by : str, optional
        Column of the strata; subjects are compared within a stratum only.

    Returns
    -------
    DataFrame
        The rows, with the columns ``stratum``, ``models`` (code of the models that explain the
        subject) and ``test`` (name of a ``LabelTest``).

    Raises
    ------
    QuestionError
        As ``compare_words``.
    """
    if not attributions["word"].notna().any():
        raise QuestionError(
            "No step has a word.",
            column="word",
            remedy="This question needs a corpus whose steps have a text (steps.parquet).",
        )
    return select_comparable(attributions.dropna(subset=["word"]), measures, stratify_by)


def select_comparable(
    table: pd.DataFrame, measures: Sequence[str], stratify_by: str | None = None
) -> pd.DataFrame:
    """Select the rows of subjects that can be compared, and add strata, models and test.

    Parameters
    ----------
    table : DataFrame
        Columns corpus, subject, ``label``, the measures and ``stratify_by``; ``split``, ``fold``
        and ``seed``, if the models differ.
    measures : sequence of str
        Columns that must have values.
    stratify_by : str, optional
        Column of the strata; subjects are compared within a stratum only.

    Returns
    -------
    DataFrame
        The rows, with the columns ``stratum``, ``models`` (code of the models that explain the
        subject) and ``test`` (name of a ``LabelTest``).

    Raises
    ------
    QuestionError
        As ``compare_words``.
    """
    for column in (*measures, *([stratify_by] if stratify_by else [])):
        _check_column(table, column)
    rows = table.dropna(subset=["label"])
    if rows.empty or not rows["label"].isin([0, 1]).all():
        raise QuestionError(
            "The run predicts scores and has no labels 0 and 1.",
            column="label",
            remedy="Ask this question of a run with target.kind binary.",
        )
    stratum = _build_stratum(rows, stratify_by)
    rows = rows.assign(label=rows["label"].astype(int), stratum=stratum)
    subjects = rows[[*SUBJECT_KEY, "label", "stratum"]].drop_duplicates()
    if (labels := subjects["label"].unique()).size < 2:
        raise QuestionError(
            f"All {len(subjects)} subjects have label {labels[0]}; labels cannot be compared.",
            column="label",
            value=int(labels[0]),
            remedy="Explain sessions of both labels.",
        )
    if stratify_by != "subject":
        _check_one_row_each(subjects, stratify_by)
    both = subjects.groupby("stratum")["label"].nunique() == 2
    if not both.any() and stratify_by == "subject":
        raise QuestionError(
            "No subject has sessions of both labels.",
            setting="stratify_by",
            value=stratify_by,
            remedy="Leave stratify_by out.",
        )
    if not both.any():
        raise QuestionError(
            f"No two subjects with different labels have the same {stratify_by}.",
            setting="stratify_by",
            value=stratify_by,
            remedy=f"Leave stratify_by out; effects of the label and of {stratify_by} then cannot "
            "be separated.",
        )
    return _add_models(rows[rows["stratum"].map(both)])


def _add_models(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the code of the models and the test; leave out models without both labels."""
    models = assign_models(rows)
    pooled = rows.assign(models=0, test=LabelTest.PERMUTATION.name)
    if "split" in rows and (rows["split"] == "train").any():
        return pooled.assign(test=LabelTest.TRAINING_SUBJECTS.name)
    if models.max() == 0:
        return pooled
    rows = rows.assign(models=models, test=LabelTest.CONCORDANCE.name)
    both = rows.groupby(["stratum", "models"])["label"].transform("nunique") == 2
    return rows[both] if both.any() else pooled.assign(test=LabelTest.BETWEEN_MODELS.name)


def _check_column(table: pd.DataFrame, column: str) -> None:
    if column not in table:
        raise QuestionError(
            f"{column!r} is not a column.",
            column=column,
            remedy=did_you_mean(column, table.columns),
        )
    if not table[column].notna().any():
        raise QuestionError(f"No row has a value in the column {column}.", column=column)


def _build_stratum(rows: pd.DataFrame, stratify_by: str | None) -> pd.Series:
    if stratify_by is None:
        return pd.Series("all", rows.index)
    if stratify_by == "subject":
        return rows["corpus"].astype(str) + "/" + rows["subject"].astype(str)
    return rows[stratify_by].astype(object).fillna("unknown").astype(str)


def _check_one_row_each(subjects: pd.DataFrame, stratify_by: str | None) -> None:
    repeated = subjects[subjects.duplicated(SUBJECT_KEY)]
    if repeated.empty:
        return
    corpus, subject = repeated[SUBJECT_KEY].iloc[0]
    rows = subjects[(subjects["corpus"] == corpus) & (subjects["subject"] == subject)]
    if len(set(rows["label"])) > 1:
        raise QuestionError(
            f"{subject} has sessions of both labels.",
            subject=subject,
            setting="stratify_by",
            value=stratify_by,
            remedy="Compare subjects with themselves: stratify_by=subject.",
        )
    raise QuestionError(
        f"{subject} has several values of {stratify_by} ({', '.join(rows['stratum'])}).",
        subject=subject,
        setting="stratify_by",
        value=stratify_by,
        remedy="Choose a column with one value per subject.",
    )


def _get_valences(rows: pd.DataFrame, words: pd.Series) -> pd.Series:
    """Return the first valence of each word; missing if it has none."""
    return words.map(rows.groupby("word")["valence"].first())
