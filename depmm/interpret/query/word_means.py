"""Means of words in two groups, with intervals from a bootstrap of subjects."""

from typing import Any

import numpy as np
import pandas as pd

from depmm.evaluation.stats.bca_interval import bootstrap_interval
from depmm.evaluation.stats.bootstrap import bootstrap_weights
from depmm.evaluation.stats.weighted_sums import Array
from depmm.interpret.query.group_effects import MIN_SUBJECTS
from depmm.interpret.query.word_effects import compare_words
from depmm.schemas.manifest import SUBJECT_KEY

CONFIDENCE = 0.95


def find_common_words(readings: pd.DataFrame) -> pd.Index:
    """Find the words that enough subjects of each label read; for scores, enough subjects.

    Parameters
    ----------
    readings : DataFrame
        Rows of attributions with a word.

    Returns
    -------
    Index
        The words.
    """
    subjects = readings.assign(label=readings["label"].fillna(-1)).drop_duplicates(
        [*SUBJECT_KEY, "label", "word"]
    )
    counts = pd.crosstab(subjects["word"], subjects["label"])
    return counts.index[(counts >= MIN_SUBJECTS).all(axis=1)]


def compute_word_means(
    readings: pd.DataFrame, measure: str, draws: int, permutations: int
) -> list[dict[str, Any]]:
    """Compute the mean of each word by label; the unit is the subject's mean over all readings.

    Words that fewer than ``MIN_SUBJECTS`` subjects of a label read are left out. Intervals are BCa,
    from a bootstrap of the subjects of a label; p and q are those of ``compare_words``.

    Parameters
    ----------
    readings : DataFrame
        Rows of attributions with a word.
    measure : str
        One of their columns.
    draws : int
        Bootstrap draws.
    permutations : int
        Permutations of the labels.

    Returns
    -------
    list of dict
        One entry per word, sorted by the size of the effect (without two labels: of the mean):
        ``word``, ``effect``, ``p``, ``q`` (NaN without two labels) and ``groups``, for label 1 and
        then 0 (or one entry with ``label`` None for scores): ``label``, ``n_subjects``, ``mean``,
        ``ci_low``, ``ci_high``.
    """
    readings = readings.dropna(subset=[measure])
    readings = readings[readings["word"].isin(find_common_words(readings))]
    if readings.empty:
        return []
    # without labels, all subjects form one group
    labels = readings["label"].astype("Float64").fillna(-1).astype(int)
    table = readings.assign(label=labels).pivot_table(
        index=["label", *SUBJECT_KEY], columns="word", values=measure
    )
    groups = sorted(table.index.unique("label"), reverse=True)
    means = {label: _compute_group_means(table.loc[label], draws) for label in groups}
    if len(groups) == 2:
        words = compare_words(readings, measure, permutations=permutations, draws=0)
        effects = words.set_index("word")[["effect", "p", "q"]]
    else:
        order = table.mean().abs().sort_values(ascending=False, kind="stable").index
        effects = pd.DataFrame(np.nan, index=order, columns=["effect", "p", "q"])
    column: dict[Any, int] = {word: index for index, word in enumerate(table.columns)}
    return [
        {
            "word": row.Index,
            "effect": row.effect,
            "p": row.p,
            "q": row.q,
            "groups": [
                {"label": label if label >= 0 else None, **means[label][column[row.Index]]}
                for label in groups
            ],
        }
        for row in effects.itertuples()
    ]


def _compute_group_means(table: pd.DataFrame, draws: int) -> list[dict[str, float]]:
    """Average each word over the subjects that read it, with a BCa interval."""
    values = table.to_numpy(dtype=float)
    is_read = np.isfinite(values)
    subjects = np.arange(len(values))
    weights = bootstrap_weights(subjects, np.zeros(len(values)), draws, seed=0).astype(float)
    filled = np.where(is_read, values, 0.0)
    with np.errstate(invalid="ignore"):
        drawn = (weights @ filled) / (
            weights @ is_read
        )  # NaN if no subject that read the word was drawn
    result = []
    for word in range(values.shape[1]):
        x = values[is_read[:, word], word]
        bounded = bootstrap_interval(x.mean(), drawn[:, word], CONFIDENCE, _accelerate(x))
        result.append(
            {
                "n_subjects": len(x),
                "mean": bounded.value,
                "ci_low": bounded.ci_low,
                "ci_high": bounded.ci_high,
            }
        )
    return result


def _accelerate(values: Array) -> float:
    """Compute the acceleration of the BCa interval of a mean.

    Efron and Tibshirani, "An introduction to the bootstrap", 1993, Eq. 14.15.
    """
    centred = values - values.mean()
    squares = (centred**2).sum()
    return float((centred**3).sum() / (6 * squares**1.5)) if squares > 0 else np.nan
