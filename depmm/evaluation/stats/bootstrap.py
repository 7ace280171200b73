"""Intervals from a bootstrap over subjects, and decisions from a threshold of validation rows.

Sessions of one subject resemble each other, so a draw takes subjects, ``(corpus, subject)``, with
replacement and each of them with all sessions. Draws are stratified by label: subjects whose
sessions are all negative, all positive, or of both labels are drawn within their own group, so
that every draw has as many of each as the data. The interval covers who happened to be tested; how
much the model itself changes from training to training is what several seeds show.

Intervals are BCa (Efron 1987): percentiles of the draws, moved by how far the draws lie to one side
of the estimate (bias correction) and by how its spread changes with its value (acceleration, from
leaving each subject out). Where one of the two is undefined the interval is the plain percentile
one and says why.

Of 1,200 simulated studies (AUROC .80, stratified by label) the 95 % interval of AUROC held the
truth in 95.1 % with 60 subjects and 94.6 % with 30; percentiles in 94.1 % and 91.2 %.
"""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from depmm.corpora.manifest import SESSION_KEY, SUBJECT_KEY
from depmm.evaluation.stats.bca_interval import Jackknife, bootstrap_interval, leave_subjects_out
from depmm.evaluation.stats.intervals import Interval
from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.stats.weighted_sums import Array, unit_weights

CHUNK = 128  # draws made at a time, to keep the memory of a draw's indices small


def bootstrap_weights(
    subject_codes: ArrayLike, strata: ArrayLike, n_bootstrap: int, seed: int
) -> NDArray[np.unsignedinteger]:
    """Draw subjects with replacement within their stratum, with all their sessions.

    Parameters
    ----------
    subject_codes : [N] whole numbers, one per session, equal for sessions of one subject
    strata : [N] the stratum of each session's subject
    n_bootstrap : number of draws, `D`
    seed : of the random generator; the same arguments give the same draws

    Returns
    -------
    [D, N] counts in the smallest unsigned integer type (10,000 subjects, 2,000 draws: 40 MB); all
    sessions of a subject have the same count in a draw

    Raises
    ------
    ValueError : lengths differ, or a subject stands in two strata
    """
    codes, strata = np.asarray(subject_codes), np.asarray(strata)
    if codes.shape != strata.shape or codes.ndim != 1:
        raise ValueError(
            f"bootstrap_weights: {codes.shape} subject codes but {strata.shape} strata: give one "
            "of each per session"
        )
    _, first, subject = np.unique(codes, return_index=True, return_inverse=True)
    stratum = strata[first]
    if (wrong := np.flatnonzero(stratum[subject] != strata)).size:
        raise ValueError(
            f"bootstrap_weights: subject {codes[wrong[0]]} stands in strata "
            f"{stratum[subject[wrong[0]]]} and {strata[wrong[0]]}: give subjects, not sessions, a "
            "stratum"
        )
    rng = np.random.default_rng(seed)
    counts = np.zeros((n_bootstrap, len(first)), dtype=np.min_scalar_type(len(first)))
    for name in np.unique(stratum):
        members = np.flatnonzero(stratum == name)
        for start in range(0, n_bootstrap, CHUNK):
            size = min(CHUNK, n_bootstrap - start)
            drawn = rng.integers(0, len(members), size=(size, len(members)))
            drawn += np.arange(size)[:, None] * len(members)  # one histogram for all draws
            table = np.bincount(drawn.ravel(), minlength=size * len(members))
            counts[start : start + size, members] = table.reshape(size, len(members))
    return counts[:, subject]


def assign_strata(sessions: pd.DataFrame) -> tuple[NDArray[Any], NDArray[Any]]:
    """Give each session its subject's number and the stratum of that subject.

    Parameters
    ----------
    sessions : columns corpus, subject and, where there are labels, y_true

    Returns
    -------
    codes [N] and strata [N]: ``negative``, ``positive``, ``both`` or ``unlabelled``
    """
    codes = sessions.groupby(SUBJECT_KEY, sort=True).ngroup().to_numpy()
    if "y_true" not in sessions or sessions["y_true"].isna().any():
        return codes, np.full(len(sessions), "unlabelled", dtype=object)
    label = sessions["y_true"].astype(float)
    mean = label.groupby(codes).transform("mean").to_numpy()
    strata = np.where(mean == 0, "negative", np.where(mean == 1, "positive", "both"))
    return codes, strata.astype(object)


def count_sessions(rows: pd.DataFrame) -> dict[str, int]:
    """Count the sessions and subjects of rows, and the positive sessions where labels are known.

    Parameters
    ----------
    rows : columns corpus, subject, session and, where there are labels, y_true; a session may have
        several rows
    """
    sessions = rows.drop_duplicates(SESSION_KEY)
    counts = {"sessions": len(sessions), "subjects": len(sessions.drop_duplicates(SUBJECT_KEY))}
    if "y_true" in sessions and sessions["y_true"].notna().any():
        counts["positive_sessions"] = int(sessions["y_true"].sum())
    return counts


class MetricValues(NamedTuple):
    """A metric of several seeds, and its mean over them in each draw and without each subject."""

    per_seed: Array  # [S]
    replicates: Array  # [D]
    jackknife: Array  # [J]


@dataclass(frozen=True)
class ResampledSessions:
    """The tested rows of each seed, with one set of draws for all of them.

    Parameters
    ----------
    seeds : seed -> its tested rows; their column ``unit`` is the session's column in ``weights``.
        Where folds test a session several times, each time has an entry of its own, as if it were
        another seed: ``0, repeat 1``
    weights : [D, distinct sessions]
    jackknife : leaves subjects out, for the acceleration of intervals
    confidence : of intervals
    subjects_by_stratum : how many subjects are drawn in each stratum
    repeats : how often the folds of a seed test each session
    """

    seeds: dict[int | str, pd.DataFrame]
    weights: NDArray[np.unsignedinteger]
    jackknife: Jackknife
    confidence: float
    subjects_by_stratum: dict[str, int]
    repeats: int = 1
    # baselines, gains, groups and gaps ask for the same metrics
    _known: dict[tuple[str, str], MetricValues] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def weights_of(self, seed: int | str) -> NDArray[np.unsignedinteger]:
        """Counts of the rows of a seed in each draw, ``[D, N]``."""
        return self._columns(seed, self.weights)

    def _columns(self, seed: int | str, weights: NDArray[Any]) -> NDArray[Any]:
        units = self.seeds[seed]["unit"].to_numpy()
        if np.array_equal(units, np.arange(weights.shape[1])):
            return weights  # without a copy
        return weights[:, units]

    def values(self, name: str, answer: str | None = None) -> MetricValues:
        """Compute a metric per seed, and its mean over seeds in each draw and without each subject.

        ``answer`` is another column than the metric's own: a constant answer, say.
        """
        metric = METRICS[name]
        truth, answer = metric.measured, answer or metric.predicted
        if (name, answer) in self._known:
            return self._known[name, answer]
        points, draws, left_out = [], [], []
        for seed, rows in self.seeds.items():
            given = rows[truth].to_numpy(float), rows[answer].to_numpy(float)
            points.append(metric.function(*given, unit_weights(len(rows)))[0])
            draws.append(metric.function(*given, self.weights_of(seed)))
            left_out.append(metric.function(*given, self._columns(seed, self.jackknife.weights)))
        found = MetricValues(np.array(points), np.mean(draws, axis=0), np.mean(left_out, axis=0))
        self._known[name, answer] = found
        return found

    def interval(self, points: Array, draws: Array, left_out: Array | None = None) -> Interval:
        """Join what ``values`` returns: the mean over seeds and its interval.

        Without ``left_out`` it is the percentile interval.
        """
        value = float(np.mean(points))
        if left_out is None:
            return bootstrap_interval(value, draws, self.confidence)
        acceleration = self.jackknife.acceleration(value, left_out)
        return bootstrap_interval(value, draws, self.confidence, acceleration)

    def where(self, column: str, group: str) -> "ResampledSessions":
        """Keep the sessions of one group, on the same draws."""
        kept = {seed: rows[rows[column] == group] for seed, rows in self.seeds.items()}
        return replace(self, seeds={seed: rows for seed, rows in kept.items() if len(rows)})


def resample_sessions(
    predictions: pd.DataFrame, n_bootstrap: int, confidence: float, seed: int
) -> ResampledSessions:
    """Draw the tested subjects, the same ones for all seeds of the predictions.

    Parameters
    ----------
    predictions : checked and decided table; rows of split ``test`` are used
    n_bootstrap, seed : of the bootstrap
    confidence : of intervals
    """
    rows = predictions[predictions["split"] == "test"].sort_values(SESSION_KEY)
    sessions = rows.drop_duplicates(SESSION_KEY)
    codes, strata = assign_strata(sessions)
    rows = rows.assign(unit=rows.groupby(SESSION_KEY).ngroup())
    subjects = pd.Series(strata).groupby(codes).first().value_counts().sort_index()
    # a session is tested for the n-th time in the n-th of its folds
    repeat = rows.groupby([*SESSION_KEY, "seed"])["fold"].rank("dense").astype(int) - 1
    repeats = int(repeat.max()) + 1
    seeds: dict[int | str, pd.DataFrame] = {}
    for own in sorted(map(int, rows["seed"].unique())):
        for number in sorted(repeat[rows["seed"] == own].unique()):
            name = own if repeats == 1 else f"{own}, repeat {number}"
            seeds[name] = rows[(rows["seed"] == own) & (repeat == number)]
    return ResampledSessions(
        seeds,
        bootstrap_weights(codes, strata, n_bootstrap, seed),
        leave_subjects_out(codes, strata, seed),
        confidence,
        {str(name): int(count) for name, count in subjects.items()},
        repeats,
    )
