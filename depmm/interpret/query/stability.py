"""Whether rankings of words agree: those of voice and face, those of several folds and seeds.

Agreement is a rank correlation (Spearman 1904): which words stand out is asked, not by how much.
Two rankings that come from the same people share what is peculiar to these people, so a high
correlation of two seeds says that training is stable, not that other people would give the same.
"""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from depmm.corpora.manifest import SESSION_KEY, SUBJECT_KEY
from depmm.evaluation.stats.bca_interval import bootstrap_interval, leave_subjects_out
from depmm.evaluation.stats.bootstrap import bootstrap_weights
from depmm.evaluation.stats.weighted_sums import Array
from depmm.interpret.query.group_effects import (
    FEWEST,
    UNIT,
    drawing_strata,
    drawn_effects,
    observed,
)
from depmm.interpret.query.word_effects import in_groups, measured, readings

MODALITIES = ["occlusion_audio", "occlusion_face"]


def face_and_voice(
    attributions: pd.DataFrame,
    stratify_by: str | None = None,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Correlate what voice and face of the same words contribute.

    Over ``words``: do the words that separate the groups by voice separate them by face? (The ranks
    of two group effects, over all words that enough people read.) Over ``steps``: where a person's
    voice speaks for depression, does the face? (Ranks within each session, the mean of people.)

    Parameters
    ----------
    attributions : as for ``words_by_label``, with ``occlusion_audio`` and ``occlusion_face``
    stratify_by : see ``words_by_label``; for the effects over words
    draws, confidence, seed : of the bootstrap over people

    Returns
    -------
    one row an ``over`` (words, steps) and ``people`` (all, positive, negative): ``n`` (words, or
    people), ``correlation``, ``low``, ``high``; NaN where fewer than three things can be ranked

    Raises
    ------
    ValueError : a run of one modality, or as ``words_by_label``
    """
    if missing := [name for name in MODALITIES if not _known(attributions, name)]:
        raise ValueError(
            f"no step has {missing[0]}: voice and face are compared in a run on both modalities"
        )
    matrix = measured(readings(attributions, MODALITIES, stratify_by), MODALITIES)
    own = _of_sessions(in_groups(attributions, MODALITIES, stratify_by))
    tests = (draws, confidence, seed)
    rows = [("words", "all", *_over_words(matrix, *tests)), ("steps", "all", *_mean(own, *tests))]
    for name, group in (("positive", 1), ("negative", 0)):
        rows.append(("steps", name, *_mean(own[own["label"] == group], *tests)))
    names = ["over", "people", "n", "correlation", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def stability(
    attributions: pd.DataFrame, measure: str = "occlusion", stratify_by: str | None = None
) -> pd.DataFrame:
    """Correlate the words' group effects of every two models.

    A model is a fold of a seed and knows the effects of the people whom it tested. Models of one
    fold and several seeds tested the same people; those of several folds others, so that they
    differ by who was tested as well. ``seeds`` compares whole cross-validations: all people, each
    by the model that did not know them.

    Parameters
    ----------
    attributions : as for ``words_by_label``, with ``fold`` and ``seed``
    measure, stratify_by : see ``words_by_label``

    Returns
    -------
    one row a pair: ``compared`` (seeds; same people; other people), ``first``, ``second``,
    ``people`` (tested by both), ``words``, ``spearman``, ``kendall``

    Raises
    ------
    ValueError : one model only, models that test too few people, or as ``words_by_label``
    """
    rows = readings(attributions, [measure], stratify_by)
    if len(rows[["fold", "seed"]].drop_duplicates()) < 2:
        raise ValueError(
            "one model alone is neither stable nor unstable: explain a cross-validation of several "
            "folds or seeds (experiments/cross_validate.py CONFIG --seeds 0,1,2)"
        )
    models = {
        f"seed {seed}, fold {fold}": _effects(own, measure)
        for (seed, fold), own in rows.groupby(["seed", "fold"])
    }
    pairs = [
        ("same people" if of[1] == other[1] else "other people", name, another, of, other)
        for (name, of), (another, other) in combinations(models.items(), 2)
    ]
    if len(set(rows["fold"])) > 1:
        whole = [(f"seed {seed}", _effects(own, measure)) for seed, own in rows.groupby("seed")]
        pairs = [
            ("seeds", name, another, of, other)
            for (name, of), (another, other) in combinations(whole, 2)
        ] + pairs
    found = [
        (compared, name, another, len(of[1] & other[1]), *_correlations(of[0], other[0]))
        for compared, name, another, of, other in pairs
    ]
    columns = ["compared", "first", "second", "people", "words", "spearman", "kendall"]
    table = pd.DataFrame(found, columns=columns)
    table = table[table["words"] >= FEWEST].reset_index(drop=True)
    if table.empty:
        raise ValueError(
            f"no two models have {FEWEST} words in common that {FEWEST} people of each group read: "
            "test more people in a fold, or train several seeds"
        )
    return table


# ---- voice and face ----------------------------------------------------------------------------


def _known(table: pd.DataFrame, column: str) -> bool:
    return column in table and bool(table[column].notna().any())


def _over_words(
    matrix: pd.DataFrame, draws: int, confidence: float, seed: int
) -> tuple[int, float, float, float]:
    often = _often_read(matrix)
    words = [
        word
        for word in dict.fromkeys(often.get_level_values("word"))
        if all((name, word) in often for name in MODALITIES)
    ]
    if len(words) < FEWEST:
        return len(words), np.nan, np.nan, np.nan
    matrix = matrix.loc[:, [(name, word) for name in MODALITIES for word in words]]

    def correlate(effects: Array) -> Array:
        return _spearman(*np.split(effects, 2, axis=-1))

    value = float(correlate(observed(matrix).effect[None])[0])
    codes, strata = drawing_strata(matrix)
    jackknife = leave_subjects_out(codes, strata, seed)
    drawn = drawn_effects(matrix, bootstrap_weights(codes, strata, draws, seed))
    left_out = correlate(drawn_effects(matrix, jackknife.weights))
    found = bootstrap_interval(
        value, correlate(drawn), confidence, jackknife.acceleration(value, left_out)
    )
    return len(words), value, found.ci_low, found.ci_high


def _often_read(matrix: pd.DataFrame) -> pd.Index:
    """Columns that three people of each group have a value of."""
    count = matrix.notna().groupby(level="label").sum()
    return matrix.columns[(count >= FEWEST).all() & (len(count) == 2)]


def _of_sessions(rows: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation over the steps of each session, then the mean of each person and group."""
    step = [*SESSION_KEY, "label", "step"]
    both = rows.groupby(step)[MODALITIES].mean().dropna().reset_index()  # over models
    session = both.groupby([*SESSION_KEY, "label"])
    ranks = session[MODALITIES].rank()
    ranks = ranks - ranks.groupby([both[key] for key in [*SESSION_KEY, "label"]]).transform("mean")
    a, b = ranks[MODALITIES[0]], ranks[MODALITIES[1]]
    sums = both.assign(ab=a * b, aa=a**2, bb=b**2, n=1).groupby([*SESSION_KEY, "label"])
    total = sums[["ab", "aa", "bb", "n"]].sum()
    total = total[(total["aa"] > 0) & (total["bb"] > 0) & (total["n"] >= FEWEST)]
    total["correlation"] = total["ab"] / np.sqrt(total["aa"] * total["bb"])
    return total["correlation"].groupby([*SUBJECT_KEY, "label"]).mean().reset_index()


def _mean(
    people: pd.DataFrame, draws: int, confidence: float, seed: int
) -> tuple[int, float, float, float]:
    """Mean over people with its interval."""
    if (number := len(people.drop_duplicates(SUBJECT_KEY))) < FEWEST:
        return number, np.nan, np.nan, np.nan
    codes, strata = drawing_strata(people.assign(stratum="all").set_index(UNIT))
    jackknife = leave_subjects_out(codes, strata, seed)
    x = people["correlation"].to_numpy()

    def mean(weights: NDArray[Any]) -> Array:
        return weights @ x / weights.sum(axis=1)

    drawn, left_out = mean(bootstrap_weights(codes, strata, draws, seed)), mean(jackknife.weights)
    value = float(x.mean())
    found = bootstrap_interval(value, drawn, confidence, jackknife.acceleration(value, left_out))
    return number, value, found.ci_low, found.ci_high


def _spearman(first: Array, second: Array) -> Array:
    """Rank correlation of each row, ``[D, words]`` to ``[D]``; NaN leaves a word out."""
    known = ~(np.isnan(first) | np.isnan(second))
    ranks = []
    for values in (first, second):
        rank = stats.rankdata(np.where(known, values, np.nan), axis=1, nan_policy="omit")
        mean = np.nansum(rank, axis=1, keepdims=True) / np.maximum(known.sum(1), 1)[:, None]
        ranks.append(np.where(known, rank - mean, 0.0))
    a, b = ranks
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))


# ---- folds and seeds ---------------------------------------------------------------------------


def _effects(rows: pd.DataFrame, measure: str) -> tuple[pd.Series, frozenset[tuple[str, ...]]]:
    """Group effects of the words that enough people read, and who they are."""
    matrix = rows.pivot_table(index=UNIT, columns="word", values=measure)
    matrix = matrix[_often_read(matrix)]
    found = observed(matrix).effect
    people = frozenset(rows[SUBJECT_KEY].itertuples(index=False, name=None))
    return pd.Series(found, matrix.columns).dropna(), people


def _correlations(first: pd.Series, second: pd.Series) -> tuple[int, float, float]:
    words = first.index.intersection(second.index)
    if len(words) < FEWEST:
        return len(words), np.nan, np.nan
    a, b = first[words].to_numpy(), second[words].to_numpy()
    if min(np.ptp(stats.rankdata(a)), np.ptp(stats.rankdata(b))) == 0:
        return len(words), np.nan, np.nan
    return len(words), float(stats.spearmanr(a, b)[0]), float(stats.kendalltau(a, b)[0])
