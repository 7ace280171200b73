"""Means of words in two groups, with intervals from a bootstrap of persons."""

from typing import Any

import numpy as np
import pandas as pd

from depmm.corpora.manifest import SUBJECT_KEY
from depmm.evaluation.stats.bca_interval import bootstrap_interval
from depmm.evaluation.stats.bootstrap import bootstrap_weights
from depmm.evaluation.stats.weighted_sums import Array
from depmm.interpret.query.group_effects import FEWEST
from depmm.interpret.query.word_effects import words_by_label

CONFIDENCE = 0.95
READERS = FEWEST  # persons of a group: fewer are not tested


def compared_words(spoken: pd.DataFrame) -> pd.Index:
    """Words that enough persons read: of each group, or of all where there are scores."""
    persons = spoken.assign(label=spoken["label"].fillna(-1)).drop_duplicates(
        [*SUBJECT_KEY, "label", "word"]
    )
    readers = pd.crosstab(persons["word"], persons["label"])
    return readers.index[(readers >= READERS).all(axis=1)]


def word_means(
    spoken: pd.DataFrame, measure: str, draws: int, permutations: int
) -> list[dict[str, Any]]:
    """Compare the words of two groups; a person counts once, with the mean over all readings.

    Words that fewer than ``READERS`` persons of a group read are left out. Intervals are BCa, from
    a bootstrap of the persons of a group; p and q are those of ``words_by_label``.

    Parameters
    ----------
    spoken : rows of attributions with a word
    measure : one of their columns
    draws : of the bootstrap
    permutations : of the labels

    Returns
    -------
    one dict a word, strongest effect first (without two groups: largest mean): ``word``,
    ``effect``, ``p``, ``q`` (None without two groups) and ``groups``, for 1 and then 0 (or one
    entry with ``group`` None for scores) ``group``, ``persons``, ``mean``, ``low``, ``high``
    """
    spoken = spoken.dropna(subset=[measure])
    spoken = spoken[spoken["word"].isin(compared_words(spoken))]
    if spoken.empty:
        return []
    # without labels everybody is of one group
    labels = spoken["label"].astype("Float64").fillna(-1).astype(int)
    table = spoken.assign(label=labels).pivot_table(
        index=["label", *SUBJECT_KEY], columns="word", values=measure
    )
    groups = sorted(table.index.unique("label"), reverse=True)
    means = {group: _group_means(table.loc[group], draws) for group in groups}
    if len(groups) == 2:
        found = words_by_label(spoken, measure, permutations=permutations, draws=0)
        effects = found.set_index("word")
        effects = effects[["effect", "p", "q"]]
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
                {"label": group if group >= 0 else None, **means[group][column[row.Index]]}
                for group in groups
            ],
        }
        for row in effects.itertuples()
    ]


def _group_means(table: pd.DataFrame, draws: int) -> list[dict[str, float]]:
    """Mean of each word over the persons of a group, with its BCa interval.

    Parameters
    ----------
    table : [persons, words], nan where a person did not read a word
    """
    values = table.to_numpy(dtype=float)
    read = np.isfinite(values)
    persons = np.arange(len(values))
    weights = bootstrap_weights(persons, np.zeros(len(values)), draws, seed=0).astype(float)
    filled = np.where(read, values, 0.0)
    with np.errstate(invalid="ignore"):
        drawn = (weights @ filled) / (weights @ read)  # [draws, words]; nan: no reader drawn
    result = []
    for word in range(values.shape[1]):
        own = values[read[:, word], word]
        bounds = bootstrap_interval(own.mean(), drawn[:, word], CONFIDENCE, _acceleration(own))
        result.append(
            {
                "persons": len(own),
                "mean": bounds.value,
                "low": bounds.ci_low,
                "high": bounds.ci_high,
            }
        )
    return result


def _acceleration(values: Array) -> float:
    """Acceleration of the BCa interval of a mean (Efron and Tibshirani 1993, eq. 14.15)."""
    centred = values - values.mean()
    spread = (centred**2).sum()
    return float((centred**3).sum() / (6 * spread**1.5)) if spread > 0 else np.nan
