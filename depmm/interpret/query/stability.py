"""Agreement of rankings of words between modalities, and between folds and seeds.

The measure is Spearman's rank correlation, because the order of the words matters and not the sizes
of their effects. Two rankings from the same subjects share the peculiarities of these subjects. A
high correlation between two seeds therefore shows that training is stable, not that other subjects
would have the same ranking.

References
----------
Spearman, "The proof and measurement of association between two things", American Journal of
Psychology 15(1), 1904. Kendall, "A new measure of rank correlation", Biometrika 30, 1938.
"""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from depmm.evaluation.stats.bca_interval import bootstrap_interval, leave_subjects_out
from depmm.evaluation.stats.bootstrap import bootstrap_weights
from depmm.evaluation.stats.weighted_sums import Array
from depmm.interpret.errors import QuestionError
from depmm.interpret.query.group_effects import (
    MIN_SUBJECTS,
    UNIT,
    assign_drawing_strata,
    compare_observed,
    compute_drawn_effects,
)
from depmm.interpret.query.word_effects import (
    pivot_measures,
    select_comparable,
    select_readings,
)
from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY

PREFIX = "occlusion_"  # of the column of a modality
MIN_WORDS = 3  # smallest number of words for a rank correlation


class _Correlation(NamedTuple):
    n: int
    correlation: float
    ci_low: float
    ci_high: float


class _Model(NamedTuple):
    """Effects of the words of one model, and its subjects."""

    name: str
    effects: pd.Series
    subjects: frozenset[tuple[str, ...]]


def correlate_modalities(
    attributions: pd.DataFrame,
    stratify_by: str | None = None,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Correlate the occlusion of every two modalities.

    Over ``words``: correlation of the effects of the words by one modality with those by the other,
    for the words that enough subjects read. Over ``steps``: correlation of the occlusion of both
    within each session, averaged over subjects.

    Parameters
    ----------
    attributions : DataFrame
        As in ``compare_words``, with ``occlusion_<modality>`` of each modality.
    stratify_by : str, optional
        As in ``compare_words``; for the effects over words.
    draws : int, default 2000
        Bootstrap draws of subjects.
    confidence : float, default 0.95
        Confidence level of the intervals.
    seed : int, default 0
        Seed of the draws.

    Returns
    -------
    DataFrame
        One row per ``modalities`` (two names), ``over`` (words, steps) and ``subjects`` (all,
        positive, negative): ``n`` (words or subjects), ``correlation``, ``ci_low`` and ``ci_high``;
        NaN if fewer than three words, steps or subjects can be ranked.

    Raises
    ------
    QuestionError
        If the run has one modality, or for the reasons of ``compare_words``.
    """
    names = list_modalities(attributions)
    if len(names) < 2:
        raise QuestionError(
            f"The steps have the occlusion of {' and '.join(names) or 'no modality'}. The question "
            "needs a run with two modalities or more.",
            column=PREFIX + "<modality>",
            value=names,
        )
    test = (draws, confidence, seed)
    rows = []
    for pair in combinations(names, 2):
        columns = [PREFIX + name for name in pair]
        readings = select_readings(attributions, columns, stratify_by)
        by_subject = _correlate_steps(
            select_comparable(attributions, columns, stratify_by), columns
        )
        matrix = pivot_measures(readings, columns)
        both = " and ".join(pair)
        rows.append((both, "words", "all", *_correlate_words(matrix, columns, *test)))
        rows.append((both, "steps", "all", *_average(by_subject, *test)))
        for name, label in (("positive", 1), ("negative", 0)):
            subset = by_subject[by_subject["label"] == label]
            rows.append((both, "steps", name, *_average(subset, *test)))
    return pd.DataFrame(rows, columns=["modalities", "over", "subjects", *_Correlation._fields])


def list_modalities(attributions: pd.DataFrame) -> list[str]:
    """List the modalities of which a table of attributions has the occlusion.

    Parameters
    ----------
    attributions : DataFrame
        Rows of ``attributions.parquet``.

    Returns
    -------
    list of str
        Names, sorted.
    """
    return sorted(
        name.removeprefix(PREFIX)
        for name in map(str, attributions)
        if name.startswith(PREFIX) and attributions[name].notna().any()
    )


def correlate_models(
    attributions: pd.DataFrame, measure: str = "occlusion", stratify_by: str | None = None
) -> pd.DataFrame:
    """Correlate the effects of words between every two models.

    There is one model per fold and seed, and its effects are those of its tested subjects. Models
    of one fold and several seeds test the same subjects. Models of several folds test different
    subjects, which adds to the differences between their effects. ``seeds`` compares whole
    cross-validations: the effects of all subjects, each explained by the model that was not trained
    on the subject.

    Parameters
    ----------
    attributions : DataFrame
        As in ``compare_words``, with ``fold`` and ``seed``.
    measure : str, default "occlusion"
        Column of the effects.
    stratify_by : str, optional
        As in ``compare_words``.

    Returns
    -------
    DataFrame
        One row per pair: ``compared`` (seeds, same subjects, other subjects), ``first``,
        ``second``, ``n_subjects`` (tested by both), ``n_words``, ``spearman`` and ``kendall``.

    Raises
    ------
    QuestionError
        If there is only one model, models test too few subjects, or for the reasons of
        ``compare_words``.
    """
    rows = select_readings(attributions, [measure], stratify_by)
    if len(rows[["fold", "seed"]].drop_duplicates()) < 2:
        raise QuestionError(
            "The question compares several models, but the run has one.",
            value=1,
            remedy="Explain a cross-validation of several folds or seeds "
            "(depmm cross-validate CONFIG --seeds 0,1,2).",
        )
    models = {
        (seed, fold): _build_model(f"seed {seed}, fold {fold}", group, measure)
        for (seed, fold), group in rows.groupby(["seed", "fold"])
    }
    pairs = [
        ("same subjects" if a.subjects == b.subjects else "other subjects", a, b)
        for a, b in combinations(models.values(), 2)
    ]
    if len(set(rows["fold"])) > 1:
        seeds = [
            _build_model(f"seed {seed}", group, measure) for seed, group in rows.groupby("seed")
        ]
        pairs = [("seeds", a, b) for a, b in combinations(seeds, 2)] + pairs
    correlations = [
        (compared, a.name, b.name, len(a.subjects & b.subjects), *_correlate(a.effects, b.effects))
        for compared, a, b in pairs
    ]
    columns = ["compared", "first", "second", "n_subjects", "n_words", "spearman", "kendall"]
    table = pd.DataFrame(correlations, columns=columns)
    table = table[table["n_words"] >= MIN_WORDS].reset_index(drop=True)
    if table.empty:
        raise QuestionError(
            f"No two models have {MIN_WORDS} common words that at least {MIN_SUBJECTS} subjects of "
            "each label read.",
            value=len(models),
            remedy="Test more subjects per fold, or train several seeds.",
        )
    return table


def _correlate_words(
    matrix: pd.DataFrame, columns: list[str], draws: int, confidence: float, seed: int
) -> _Correlation:
    """Correlate the effects of the words by one modality with those by the other."""
    common = _find_common_columns(matrix)
    words = [
        word
        for word in dict.fromkeys(common.get_level_values("word"))
        if all((name, word) in common for name in columns)
    ]
    if len(words) < MIN_WORDS:
        return _Correlation(len(words), np.nan, np.nan, np.nan)
    matrix = matrix.loc[:, [(name, word) for name in columns for word in words]]

    def correlate(effects: Array) -> Array:
        return _correlate_rows(*np.split(effects, 2, axis=-1))

    value = float(correlate(compare_observed(matrix).effect[None])[0])
    codes, strata = assign_drawing_strata(matrix)
    jackknife = leave_subjects_out(codes, strata, seed)
    drawn = compute_drawn_effects(matrix, bootstrap_weights(codes, strata, draws, seed))
    left_out = correlate(compute_drawn_effects(matrix, jackknife.weights))
    acceleration = jackknife.acceleration(value, left_out)
    bounded = bootstrap_interval(value, correlate(drawn), confidence, acceleration)
    return _Correlation(len(words), value, bounded.ci_low, bounded.ci_high)


def _find_common_columns(matrix: pd.DataFrame) -> pd.Index:
    """Find the columns with values of enough subjects of each label."""
    count = matrix.notna().groupby(level="label").sum()
    return matrix.columns[(count >= MIN_SUBJECTS).all() & (len(count) == 2)]


def _correlate_steps(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Rank-correlate the steps of each session, and average by subject and label."""
    keys = [*SESSION_KEY, "label"]
    steps = rows.groupby([*keys, "step"])[columns].mean().dropna().reset_index()  # over models
    ranks = steps.groupby(keys)[columns].rank()
    ranks = ranks - ranks.groupby([steps[key] for key in keys]).transform("mean")
    a, b = ranks[columns[0]], ranks[columns[1]]
    products = steps.assign(ab=a * b, aa=a**2, bb=b**2, n=1)
    sums = products.groupby(keys)[["ab", "aa", "bb", "n"]].sum()
    sums = sums[(sums["aa"] > 0) & (sums["bb"] > 0) & (sums["n"] >= MIN_WORDS)]
    sums["correlation"] = sums["ab"] / np.sqrt(sums["aa"] * sums["bb"])
    return sums["correlation"].groupby([*SUBJECT_KEY, "label"]).mean().reset_index()


def _average(by_subject: pd.DataFrame, draws: int, confidence: float, seed: int) -> _Correlation:
    """Average the correlations of subjects, with an interval."""
    if (n := len(by_subject.drop_duplicates(SUBJECT_KEY))) < MIN_SUBJECTS:
        return _Correlation(n, np.nan, np.nan, np.nan)
    codes, strata = assign_drawing_strata(
        by_subject.assign(stratum="all", models=0).set_index(UNIT)
    )
    jackknife = leave_subjects_out(codes, strata, seed)
    x = by_subject["correlation"].to_numpy()

    def mean(weights: NDArray[Any]) -> Array:
        return np.asarray(weights @ x / weights.sum(axis=1))

    drawn, left_out = mean(bootstrap_weights(codes, strata, draws, seed)), mean(jackknife.weights)
    value = float(x.mean())
    bounded = bootstrap_interval(value, drawn, confidence, jackknife.acceleration(value, left_out))
    return _Correlation(n, value, bounded.ci_low, bounded.ci_high)


def _correlate_rows(first: Array, second: Array) -> Array:
    """Compute Spearman's correlation of each row, (D, words) to (D,); NaN values are left out."""
    defined = ~(np.isnan(first) | np.isnan(second))
    ranks = []
    for values in (first, second):
        rank = stats.rankdata(np.where(defined, values, np.nan), axis=1, nan_policy="omit")
        mean = np.nansum(rank, axis=1, keepdims=True) / np.maximum(defined.sum(1), 1)[:, None]
        ranks.append(np.where(defined, rank - mean, 0.0))
    a, b = ranks
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1)))


def _build_model(name: str, rows: pd.DataFrame, measure: str) -> _Model:
    """Compute the effects of the words that enough subjects of a model read."""
    matrix = rows.pivot_table(index=UNIT, columns="word", values=measure)
    matrix = matrix[_find_common_columns(matrix)]
    effects = pd.Series(compare_observed(matrix).effect, matrix.columns).dropna()
    subjects = frozenset(rows[SUBJECT_KEY].itertuples(index=False, name=None))
    return _Model(name, effects, subjects)


def _correlate(first: pd.Series, second: pd.Series) -> tuple[int, float, float]:
    """Return the number of common words, Spearman's rho and Kendall's tau of their effects."""
    words = first.index.intersection(second.index)
    if len(words) < MIN_WORDS:
        return len(words), np.nan, np.nan
    a, b = first[words].to_numpy(), second[words].to_numpy()
    if min(np.ptp(stats.rankdata(a)), np.ptp(stats.rankdata(b))) == 0:
        return len(words), np.nan, np.nan
    return len(words), float(stats.spearmanr(a, b)[0]), float(stats.kendalltau(a, b)[0])
