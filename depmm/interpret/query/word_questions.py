"""Questions about words, one function each.

``depmm ask`` shows the first line of each docstring; keyword arguments are the options.
"""

from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import PositiveInt

from depmm.interpret.errors import QuestionError
from depmm.interpret.query.explained_by import describe_order
from depmm.interpret.query.explained_run import (
    choose_default_measure,
    format_title,
    list_measures,
    list_test_notes,
    read_attributions,
)
from depmm.interpret.query.references import (
    compare_all_steps,
    describe_measure,
    list_reference_notes,
)
from depmm.interpret.query.stability import PREFIX, correlate_modalities, correlate_models
from depmm.interpret.query.word_effects import compare_measures, compare_valences, compare_words


def words_by_label(
    run: Path,
    *,
    rank_by: str | None = None,
    valence: Literal["negative", "neutral", "positive"] | None = None,
    stratify_by: str | None = None,
    top: PositiveInt = 10,
    permutations: PositiveInt = 5000,
    seed: int = 0,
) -> pd.DataFrame:
    """Rank the words by how much they separate the labels.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    rank_by : str, optional
        Measure, for example shapley, occlusion, occlusion_audio, selected or selected_face.
        Default: shapley if it was computed; else occlusion.
    valence : {"negative", "neutral", "positive"}, optional
        Show only words of this valence; ``q`` is adjusted for all tested words.
    stratify_by : str, optional
        Column, for example gender, fold or corpus: compare only subjects with the same value. With
        ``subject``, compare subjects with themselves.
    top : int, default 10
        Number of rows.
    permutations : int, default 5000
        Permutations of the labels.
    seed : int, default 0
        Seed of permutations and bootstrap.

    Returns
    -------
    DataFrame
        As ``word_effects.compare_words``. The last row, ``all steps removed``, compares the
        attribution of all steps together, in a test of its own (its q is its p).
    """
    rank_by = rank_by or choose_default_measure(run)
    table = read_attributions(run, [rank_by], stratify_by)
    result = compare_words(table, rank_by, stratify_by, permutations=permutations, seed=seed)
    test = result.attrs["test"]
    rare = int(result["rare"].sum())
    if valence:
        result = result[result["valence"] == valence].reset_index(drop=True)
    result = result.head(top)
    whole = compare_all_steps(run, rank_by, stratify_by, permutations, seed)
    if whole is not None:
        columns = [name for name in whole if name in result]
        result = pd.concat([result.astype({"valence": object}), whole[columns]], ignore_index=True)
    result.attrs["title"] = format_title(
        f"Words that separate the labels most, by {describe_measure(run, rank_by)}",
        stratify_by,
        test,
    )
    result.attrs["notes"] = [
        *list_reference_notes(run, rank_by),
        *list_test_notes(run, table, stratify_by, test),
        *describe_order(table),
    ]
    if rare:
        result.attrs["notes"].append(
            f"{rare} {'words were' if rare > 1 else 'word was'} read by fewer than 3 subjects of a "
            "label and not tested."
        )
    return result


def words_by_valence(
    run: Path,
    *,
    rank_by: str | None = None,
    stratify_by: str | None = None,
    permutations: PositiveInt = 5000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare the mean of all negative, neutral and positive words between the labels.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    rank_by : str, optional
        Measure, as in words-by-label.
    stratify_by : str, optional
        As in words-by-label.
    permutations : int, default 5000
        Permutations of the labels.
    seed : int, default 0
        Seed of permutations and bootstrap.

    Returns
    -------
    DataFrame
        As ``word_effects.compare_valences``.
    """
    rank_by = rank_by or choose_default_measure(run)
    table = read_attributions(run, [rank_by], stratify_by)
    result = compare_valences(table, rank_by, stratify_by, permutations=permutations, seed=seed)
    test = result.attrs["test"]
    result.attrs["title"] = format_title(
        f"Words of each valence, by {describe_measure(run, rank_by)}",
        stratify_by,
        test,
    )
    result.attrs["notes"] = [
        *list_reference_notes(run, rank_by),
        *list_test_notes(run, table, stratify_by, test),
        *describe_order(table),
    ]
    return result


def words_by_encoder(
    run: Path,
    *,
    stratify_by: str | None = None,
    top: PositiveInt = 10,
    permutations: PositiveInt = 5000,
    seed: int = 0,
) -> pd.DataFrame:
    """Rank the words by how much their selection by each encoder's attention differs by label.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    stratify_by : str, optional
        As in words-by-label.
    top : int, default 10
        Number of rows.
    permutations : int, default 5000
        Permutations of the labels.
    seed : int, default 0
        Seed of permutations and bootstrap.

    Returns
    -------
    DataFrame
        As ``word_effects.compare_measures``, with the column ``encoder``.
    """
    measures = [name for name in list_measures(run) if name.startswith("selected_")]
    if not measures:
        raise QuestionError(
            f"{run}: the encoders of this run do not select steps. The question needs sparse "
            "attention.",
            file=run,
            setting="model.fusion",
        )
    table = read_attributions(run, measures, stratify_by)
    result = compare_measures(table, measures, stratify_by, permutations=permutations, seed=seed)
    test = result.attrs["test"]
    result.insert(0, "encoder", result.pop("measure").str.removeprefix("selected_"))
    result = result.head(top)
    result.attrs["title"] = format_title(
        "Words whose selection by an encoder differs by label", stratify_by, test
    )
    result.attrs["notes"] = [
        *list_test_notes(run, table, stratify_by, test),
        *describe_order(table),
    ]
    return result


def agreement(run: Path, *, stratify_by: str | None = None, seed: int = 0) -> pd.DataFrame:
    """Correlate every two modalities over words, and over the steps of each subject.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    stratify_by : str, optional
        As in words-by-label.
    seed : int, default 0
        Seed of the bootstrap.

    Returns
    -------
    DataFrame
        As ``stability.correlate_modalities``.
    """
    measures = [name for name in list_measures(run) if name.startswith(PREFIX)]
    table = read_attributions(run, measures, stratify_by)
    result = correlate_modalities(table, stratify_by, seed=seed)
    result.attrs["title"] = (
        f"Rank correlation of every two modalities, by {describe_measure(run, 'occlusion')}, with "
        "its 95 % confidence interval over subjects (words: of their effects; steps: of the steps "
        "of each subject, mean of subjects)"
    )
    return result


def stability(
    run: Path, *, rank_by: str | None = None, stratify_by: str | None = None, pairs: bool = False
) -> pd.DataFrame:
    """Correlate the rankings of words between folds and seeds.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    rank_by : str, optional
        Measure, as in words-by-label.
    stratify_by : str, optional
        As in words-by-label.
    pairs : bool, default False
        Show each pair of models instead of means over pairs.

    Returns
    -------
    DataFrame
        As ``stability.correlate_models``, or its means by ``compared``.
    """
    rank_by = rank_by or choose_default_measure(run)
    result = correlate_models(read_attributions(run, [rank_by], stratify_by), rank_by, stratify_by)
    if not pairs:
        grouped = result.groupby("compared", sort=False)
        result = grouped.agg(
            n_pairs=("n_words", "size"),
            n_words=("n_words", "mean"),
            spearman=("spearman", "mean"),
            spearman_min=("spearman", "min"),
            spearman_max=("spearman", "max"),
            kendall=("kendall", "mean"),
        ).reset_index()
    result.attrs["title"] = (
        "Rank correlation between models of the words' effects, by "
        f"{describe_measure(run, rank_by)}"
    )
    return result
