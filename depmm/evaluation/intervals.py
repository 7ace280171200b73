"""Intervals from a bootstrap over persons, and decisions from a threshold of validation rows.

Sessions of one person resemble each other, so a draw takes persons, ``(corpus, subject)``, with
replacement and each of them with all sessions. Draws are stratified by label: persons whose
sessions are all negative, all positive, or of both labels are drawn within their own group, so
that every draw has as many of each as the data. The interval covers who happened to be tested; how
much the model itself changes from training to training is what several seeds show.
"""

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from depmm.evaluation.metrics import METRICS, Array, unit_weights

CHUNK = 128  # draws made at a time, to keep the memory of a draw's indices small
DEFAULT_THRESHOLD = 0.5  # when the validation rows cannot say better
PERSON = ["corpus", "subject"]
SESSION = ["corpus", "subject", "session"]


@dataclass(frozen=True)
class Interval:
    """A point estimate with its interval; NaN where undefined."""

    value: float
    low: float
    high: float
    undefined_draws: int = 0


def interval(value: float, draws: Array, confidence: float) -> Interval:
    """Percentile interval of a bootstrap; undefined (NaN) draws are left out and counted.

    Parameters
    ----------
    value : point estimate
    draws : [D], the metric in each draw
    confidence : e.g. 0.95
    """
    defined = draws[np.isfinite(draws)]
    low, high = np.nan, np.nan
    if len(defined):
        tail = (1 - confidence) / 2
        low, high = (float(bound) for bound in np.quantile(defined, [tail, 1 - tail]))
    return Interval(float(value), low, high, int(len(draws) - len(defined)))


def wilson(successes: float, n: float, confidence: float) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927), sound where a bootstrap is not.

    A bootstrap of 20 right answers out of 20 has no width; this interval has.

    Raises
    ------
    ValueError : ``n`` is not positive or ``successes`` lies outside [0, n]
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(
            f"wilson: {successes} successes out of {n}: need 0 <= successes <= n, n > 0"
        )
    share, z = successes / n, NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # at 0 and n the bound is exact in theory; rounding must not put the value outside
    low, high = min(max(0.0, centre - half), share), max(min(1.0, centre + half), share)
    return Interval(share, float(low), float(high))


# ---- bootstrap over persons --------------------------------------------------------------------


def bootstrap_weights(
    subject_codes: ArrayLike, strata: ArrayLike, draws: int, seed: int
) -> NDArray[np.unsignedinteger]:
    """Draw persons with replacement within their stratum, with all their sessions.

    Parameters
    ----------
    subject_codes : [N] whole numbers, one per session, equal for sessions of one person
    strata : [N] the stratum of each session's person
    draws : number of draws, `D`
    seed : of the random generator; the same arguments give the same draws

    Returns
    -------
    [D, N] counts in the smallest unsigned integer type (10,000 persons, 2,000 draws: 40 MB); all
    sessions of a person have the same count in a draw

    Raises
    ------
    ValueError : lengths differ, or a person stands in two strata
    """
    codes, strata = np.asarray(subject_codes), np.asarray(strata)
    if codes.shape != strata.shape or codes.ndim != 1:
        raise ValueError(
            f"bootstrap_weights: {codes.shape} subject codes but {strata.shape} strata: give one "
            "of each per session"
        )
    _, first, person = np.unique(codes, return_index=True, return_inverse=True)
    stratum = strata[first]
    if (wrong := np.flatnonzero(stratum[person] != strata)).size:
        raise ValueError(
            f"bootstrap_weights: person {codes[wrong[0]]} stands in strata "
            f"{stratum[person[wrong[0]]]} and {strata[wrong[0]]}: give persons, not sessions, a "
            "stratum"
        )
    rng = np.random.default_rng(seed)
    counts = np.zeros((draws, len(first)), dtype=np.min_scalar_type(len(first)))
    for name in np.unique(stratum):
        members = np.flatnonzero(stratum == name)
        for start in range(0, draws, CHUNK):
            size = min(CHUNK, draws - start)
            drawn = rng.integers(0, len(members), size=(size, len(members)))
            drawn += np.arange(size)[:, None] * len(members)  # one histogram for all draws
            table = np.bincount(drawn.ravel(), minlength=size * len(members))
            counts[start : start + size, members] = table.reshape(size, len(members))
    return counts[:, person]


def person_strata(sessions: pd.DataFrame) -> tuple[NDArray[Any], NDArray[Any]]:
    """Give each session its person's number and the stratum of that person.

    Parameters
    ----------
    sessions : columns corpus, subject and, where there are labels, y_true

    Returns
    -------
    codes [N] and strata [N]: ``negative``, ``positive``, ``both`` or ``unlabelled``
    """
    codes = sessions.groupby(PERSON, sort=True).ngroup().to_numpy()
    if "y_true" not in sessions or sessions["y_true"].isna().any():
        return codes, np.full(len(sessions), "unlabelled", dtype=object)
    label = sessions["y_true"].astype(float)
    mean = label.groupby(codes).transform("mean").to_numpy()
    strata = np.where(mean == 0, "negative", np.where(mean == 1, "positive", "both"))
    return codes, strata.astype(object)


@dataclass(frozen=True)
class TestedSessions:
    """The tested rows of each seed, with one set of draws for all of them.

    Parameters
    ----------
    seeds : seed -> its tested rows; their column ``unit`` is the session's column in ``weights``.
        Where folds test a session several times, each time has an entry of its own, as if it were
        another seed: ``0, repeat 1``
    weights : [D, distinct sessions]
    confidence : of intervals
    persons_by_stratum : how many persons are drawn in each stratum
    repeats : how often the folds of a seed test each session
    """

    seeds: dict[int | str, pd.DataFrame]
    weights: NDArray[np.unsignedinteger]
    confidence: float
    persons_by_stratum: dict[str, int]
    repeats: int = 1

    def weights_of(self, seed: int | str) -> NDArray[np.unsignedinteger]:
        """Counts of the rows of a seed in each draw, ``[D, N]``."""
        return self.weights[:, self.seeds[seed]["unit"].to_numpy()]

    def values(self, name: str, answer: str | None = None) -> tuple[Array, Array]:
        """Compute a metric per seed [S] and, averaged over seeds, in each draw [D].

        ``answer`` is another column than the metric's own: a constant answer, say.
        """
        metric = METRICS[name]
        truth = "score_true" if metric.reads == "score" else "y_true"
        points, draws = [], []
        for seed, rows in self.seeds.items():
            given = rows[truth].to_numpy(float), rows[answer or metric.reads].to_numpy(float)
            points.append(metric.function(*given, unit_weights(len(rows)))[0])
            draws.append(metric.function(*given, self.weights_of(seed)))
        return np.array(points), np.mean(draws, axis=0)

    def interval(self, points: Array, draws: Array) -> Interval:
        """Join what ``values`` returns: the mean over seeds and its interval."""
        return interval(float(np.mean(points)), draws, self.confidence)

    def where(self, column: str, group: str) -> "TestedSessions":
        """Keep the sessions of one group, on the same draws."""
        kept = {seed: rows[rows[column] == group] for seed, rows in self.seeds.items()}
        return replace(self, seeds={seed: rows for seed, rows in kept.items() if len(rows)})


def draw_sessions(
    predictions: pd.DataFrame, draws: int, confidence: float, seed: int
) -> TestedSessions:
    """Draw the tested persons, the same ones for all seeds of the predictions.

    Parameters
    ----------
    predictions : checked and decided table; rows of split ``test`` are used
    draws, seed : of the bootstrap
    confidence : of intervals
    """
    rows = predictions[predictions["split"] == "test"].sort_values(SESSION)
    sessions = rows.drop_duplicates(SESSION)
    codes, strata = person_strata(sessions)
    rows = rows.assign(unit=rows.groupby(SESSION).ngroup())
    persons = pd.Series(strata).groupby(codes).first().value_counts().sort_index()
    # a session is tested for the n-th time in the n-th of its folds
    repeat = rows.groupby([*SESSION, "seed"])["fold"].rank("dense").astype(int) - 1
    repeats = int(repeat.max()) + 1
    seeds: dict[int | str, pd.DataFrame] = {}
    for own in sorted(map(int, rows["seed"].unique())):
        for number in sorted(repeat[rows["seed"] == own].unique()):
            name = own if repeats == 1 else f"{own}, repeat {number}"
            seeds[name] = rows[(rows["seed"] == own) & (repeat == number)]
    return TestedSessions(
        seeds,
        bootstrap_weights(codes, strata, draws, seed),
        confidence,
        {str(name): int(count) for name, count in persons.items()},
        repeats,
    )


# ---- threshold ---------------------------------------------------------------------------------


def choose_threshold(y_true: ArrayLike, y_prob: ArrayLike) -> float:
    """Choose the threshold with the best balanced accuracy on VALIDATION sessions.

    A session is positive when its probability is at least the threshold. The threshold is the
    middle of the best gap between neighbouring probabilities; of equally good gaps the widest, then
    the one nearest to 0.5. It is 0.5 when one class is missing or no gap beats a constant answer.

    Parameters
    ----------
    y_true : [N] of 0 and 1
    y_prob : [N] in [0, 1]
    """
    return explain_threshold(y_true, y_prob)[0]


def explain_threshold(y_true: ArrayLike, y_prob: ArrayLike) -> tuple[float, str]:
    """Choose a threshold as ``choose_threshold`` does and say in words where it comes from."""
    y, prob = np.asarray(y_true, dtype=int), np.asarray(y_prob, dtype=float)
    positives, negatives = int(y.sum()), int(len(y) - y.sum())
    if not len(y):
        return DEFAULT_THRESHOLD, "0.5: no validation rows"
    if not positives or not negatives:
        return DEFAULT_THRESHOLD, "0.5: validation rows have one class only"
    values, value_of = np.unique(prob, return_inverse=True)
    # decided positive when the threshold lies between values[k] and values[k + 1]
    tn = np.cumsum(np.bincount(value_of, weights=1 - y))[:-1]
    tp = positives - np.cumsum(np.bincount(value_of, weights=y))[:-1]
    quality = tp * negatives + tn * positives  # whole numbers: ties are exact
    if not len(quality) or quality.max() <= positives * negatives:
        return DEFAULT_THRESHOLD, "0.5: no threshold beats a constant answer on validation rows"
    gaps = np.flatnonzero(quality == quality.max())
    middles = (values[gaps] + values[gaps + 1]) / 2
    widths = values[gaps + 1] - values[gaps]
    best = np.lexsort((np.abs(middles - 0.5), -np.round(widths, 12)))[0]
    # neighbouring floats have no middle: the upper one keeps the decision
    threshold = max(middles[best], np.nextafter(values[gaps[best]], 1))
    return float(threshold), f"best balanced accuracy on {len(y)} validation sessions"


def decide(predictions: pd.DataFrame) -> pd.DataFrame:
    """Turn probabilities into decisions, each (fold, seed) by its own validation rows only.

    Parameters
    ----------
    predictions : table with split, fold, seed, y_true, y_prob

    Returns
    -------
    A copy with ``y_pred`` (Int8, null where ``y_prob`` is), ``threshold`` and
    ``threshold_source``
    """
    decided = predictions.copy()
    usable = (
        (decided["split"] == "validation") & decided["y_true"].notna() & decided["y_prob"].notna()
    ).to_numpy()
    threshold = np.full(len(decided), DEFAULT_THRESHOLD)
    source = np.full(len(decided), "", dtype=object)
    for rows in decided.groupby(["fold", "seed"]).indices.values():
        own = decided.iloc[rows[usable[rows]]]
        threshold[rows], source[rows] = explain_threshold(
            own["y_true"].to_numpy(dtype=int), own["y_prob"].to_numpy(dtype=float)
        )
    decided["threshold"], decided["threshold_source"] = threshold, source
    positive = (decided["y_prob"] >= threshold).astype("Int8")
    decided["y_pred"] = positive.mask(decided["y_prob"].isna())
    return decided
