"""The tested rows with one set of bootstrap replicates, which all metrics share.

The weights are those of :mod:`depmm.evaluation.stats.bootstrap`. The intervals cover the sampling
of the tested subjects and, with several seeds, the variation between trainings
(``training_variance``).
"""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from depmm.evaluation.stats.bca_interval import Jackknife, leave_subjects_out
from depmm.evaluation.stats.bootstrap import ClassCounts, assign_strata, bootstrap_weights
from depmm.evaluation.stats.intervals import LIMITS, Interval, Scale, t_interval
from depmm.evaluation.stats.metrics import METRICS, Metric
from depmm.evaluation.stats.training_variance import add_training_variance, average_repeats
from depmm.evaluation.stats.weighted_sums import Array, blocks, unit_weights
from depmm.schemas.manifest import SESSION_KEY


class MetricValues(NamedTuple):
    """A metric per seed, and its mean over seeds under resampling.

    Attributes
    ----------
    per_seed : ndarray, shape (S,)
        Point estimate of each seed.
    replicates : ndarray, shape (D,)
        Mean over seeds in each bootstrap replicate.
    jackknife : ndarray, shape (J,)
        Mean over seeds without each subject.
    """

    per_seed: Array
    replicates: Array
    jackknife: Array


@dataclass(frozen=True)
class ResampledSessions:
    """The tested rows of each seed, with one set of bootstrap replicates for all of them.

    Attributes
    ----------
    seeds : dict of int or str to DataFrame
        Tested rows of each seed; their ``unit`` is the column of the session in ``weights``. If
        folds test a session several times, each repetition is an entry, as ``0, repeat 1``.
    weights : ndarray of unsigned int, shape (D, sessions)
        Multiplicity of each distinct session in each replicate.
    jackknife : Jackknife
        Weights without each subject, from which variances are estimated.
    confidence : float
        Confidence level of the intervals.
    subjects_by_stratum : dict of str to int
        Number of subjects with negative, positive or both kinds of sessions.
    subjects : ndarray of int, shape (sessions,)
        Code of the subject of each distinct session.
    class_counts : {"fixed", "random"}, default "random"
        Whether all replicates have the class counts of the data.
    repeats : int, default 1
        How often the folds of a seed test each session.
    """

    seeds: dict[int | str, pd.DataFrame]
    weights: NDArray[np.unsignedinteger]
    jackknife: Jackknife
    confidence: float
    subjects_by_stratum: dict[str, int]
    subjects: NDArray[np.integer]
    class_counts: ClassCounts = "random"
    repeats: int = 1
    NOT_RESAMPLED: ClassVar[str] = (
        "there is one subject in each class, an interval needs two or more of one class"
    )
    _cache: dict[tuple[str, str], MetricValues] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def training_seeds(self) -> NDArray[np.int64]:
        """Seed of the training of each entry of ``seeds``."""
        # keys are a seed, or "seed, repeat n"
        return np.array([int(str(key).split(",")[0]) for key in self.seeds])

    @property
    def can_resample(self) -> bool:
        """Whether a class has two or more subjects."""
        return max(self.subjects_by_stratum.values(), default=0) > 1

    def get_weights(self, seed: int | str) -> NDArray[np.unsignedinteger]:
        """Select the bootstrap weights of the rows of a seed.

        Parameters
        ----------
        seed : int or str
            Key of ``seeds``.

        Returns
        -------
        ndarray of unsigned int, shape (D, N)
            Weights of its rows.
        """
        return self.select_columns(seed, self.weights)

    def select_columns(self, seed: int | str, weights: NDArray[Any]) -> NDArray[Any]:
        """Select the columns of weights that belong to the rows of a seed.

        Parameters
        ----------
        seed : int or str
            Key of ``seeds``.
        weights : ndarray, shape (D, sessions)
            Weights of the distinct sessions.

        Returns
        -------
        ndarray, shape (D, N)
            Weights of its rows.
        """
        units = self.seeds[seed]["unit"].to_numpy()
        if np.array_equal(units, np.arange(weights.shape[1])):
            return weights  # without a copy
        return weights[:, units]

    def values(self, name: str, column: str | None = None) -> MetricValues:
        """Compute a metric per seed, in each replicate and without each subject.

        Parameters
        ----------
        name : str
            Metric, a key of ``METRICS``.
        column : str, optional
            Column to evaluate instead of ``Metric.predicted``, for example that of a baseline.

        Returns
        -------
        MetricValues
            The values, which are cached.
        """
        metric = METRICS[name]
        column = column or metric.predicted
        if (name, column) in self._cache:
            return self._cache[name, column]
        per_seed, replicates, left_out = [], [], []
        for seed, rows in self.seeds.items():
            columns = rows[metric.measured].to_numpy(float), rows[column].to_numpy(float)
            per_seed.append(metric.function(*columns, unit_weights(len(rows)))[0])
            replicates.append(self._replicate(metric, seed, columns, self.weights))
            left_out.append(self._replicate(metric, seed, columns, self.jackknife.weights))
        averages = (np.mean(replicates, axis=0), np.mean(left_out, axis=0))
        self._cache[name, column] = MetricValues(np.array(per_seed), *averages)
        return self._cache[name, column]

    def _replicate(
        self, metric: Metric, seed: int | str, columns: tuple[Array, Array], weights: NDArray[Any]
    ) -> Array:
        """Compute a metric in each replicate; the weights of a subgroup are copied by parts."""
        # whole blocks of the metric: the order of its additions is that of all replicates at once
        parts = blocks(len(weights), len(columns[0]), together=8)
        values = [metric.function(*columns, self.select_columns(seed, weights[p])) for p in parts]
        return np.concatenate(values) if values else np.empty(0)

    def variance(self, values: MetricValues) -> tuple[float, float]:
        """Estimate the variance of a mean over seeds under the sampling of subjects.

        It is that of the jackknife; of the replicates where the only subject of a class is left
        out, or only a sample of the subjects is.

        Parameters
        ----------
        values : MetricValues
            The mean under resampling.

        Returns
        -------
        variance : float
            The variance; NaN without two defined replicates.
        df : float
            Degrees of freedom of the variance.
        """
        variance, df = self.jackknife.variance(float(np.mean(values.per_seed)), values.jackknife)
        if np.isfinite(variance) and self.jackknife.share == 1:
            return variance, df
        defined = values.replicates[np.isfinite(values.replicates)]
        if len(defined) < 2:
            return np.nan, df
        return float(np.var(defined, ddof=1)), df

    def interval(
        self,
        per_seed: Array,
        replicates: Array,
        jackknife: Array | None = None,
        *,
        scale: Scale = "natural",
    ) -> Interval:
        """Compute the mean over seeds and its t interval.

        Parameters
        ----------
        per_seed : ndarray, shape (S,)
            Point estimate of each seed.
        replicates : ndarray, shape (D,)
            Mean over seeds in each replicate.
        jackknife : ndarray, shape (J,), optional
            Mean over seeds without each subject; else the variance is that of the replicates.
        scale : {"natural", "share", "log", "fisher_z"}, default "natural"
            Scale of the interval, see ``t_interval``.

        Returns
        -------
        Interval
            Estimate with its interval; without bounds if no class has two subjects.
        """
        value = float(np.mean(per_seed))
        n_undefined = int(np.isnan(replicates).sum())
        if not self.can_resample:
            return Interval(value, np.nan, np.nan, n_undefined, reason=self.NOT_RESAMPLED)
        if jackknife is None:
            jackknife = np.full(len(self.jackknife.weights), np.nan)
        spread = self.variance(MetricValues(per_seed, replicates, jackknife))
        interval = t_interval(value, *spread, self.confidence, scale)
        interval = replace(interval, n_undefined=n_undefined)
        return self.cover_training(interval, per_seed, LIMITS[scale])

    def cover_training(
        self, interval: Interval, per_seed: Array, limits: tuple[float, float]
    ) -> Interval:
        """Widen an interval over subjects by the variance between seeds, within limits.

        Parameters
        ----------
        interval : Interval
            Interval of the mean over seeds.
        per_seed : ndarray, shape (S,)
            Point estimate of each seed.
        limits : tuple of float
            Lowest and highest possible value.

        Returns
        -------
        Interval
            The wider interval; the same one with one seed.
        """
        trainings = average_repeats(per_seed, self.training_seeds)
        wider = add_training_variance(interval, trainings, self.confidence)
        low, high = np.clip([wider.ci_low, wider.ci_high], *limits)
        return replace(wider, ci_low=float(low), ci_high=float(high))

    def select(self, column: str, value: str) -> "ResampledSessions":
        """Select the sessions of a subgroup, with the same replicates.

        Parameters
        ----------
        column : str
            Column of the rows.
        value : str
            Value of the column in the selected rows.

        Returns
        -------
        ResampledSessions
            The subgroup; seeds without any of its sessions are left out.
        """
        selected = {seed: rows[rows[column] == value] for seed, rows in self.seeds.items()}
        return replace(self, seeds={seed: rows for seed, rows in selected.items() if len(rows)})


def resample_sessions(
    predictions: pd.DataFrame,
    n_bootstrap: int,
    confidence: float,
    seed: int,
    class_counts: ClassCounts = "random",
) -> ResampledSessions:
    """Resample the tested subjects; a replicate has the same subjects in all seeds.

    Parameters
    ----------
    predictions : DataFrame
        Prepared predictions (``prepare_predictions``); only rows of the split ``test`` are used.
    n_bootstrap : int
        Number of bootstrap replicates.
    confidence : float
        Confidence level of the intervals.
    seed : int
        Seed of the bootstrap.
    class_counts : {"fixed", "random"}, default "random"
        Whether the class counts were fixed by the design of the study.

    Returns
    -------
    ResampledSessions
        The rows.
    """
    rows = predictions[predictions["split"] == "test"].sort_values(SESSION_KEY)
    sessions = rows.drop_duplicates(SESSION_KEY)
    codes, strata = assign_strata(sessions)
    rows = rows.assign(unit=rows.groupby(SESSION_KEY).ngroup())
    counts = pd.Series(strata).groupby(codes).first().value_counts().sort_index()
    if class_counts == "random":
        strata = np.zeros(len(codes), dtype=int)
    # repetition n of a session is its n-th fold
    repeat = rows.groupby([*SESSION_KEY, "seed"])["fold"].rank("dense").astype(int) - 1
    repeats = int(repeat.max()) + 1
    seeds: dict[int | str, pd.DataFrame] = {}
    for training_seed in sorted(map(int, rows["seed"].unique())):
        in_seed = rows["seed"] == training_seed
        for index in sorted(repeat[in_seed].unique()):
            name = training_seed if repeats == 1 else f"{training_seed}, repeat {index}"
            seeds[name] = rows[in_seed & (repeat == index)]
    return ResampledSessions(
        seeds,
        bootstrap_weights(codes, strata, n_bootstrap, seed),
        leave_subjects_out(codes, strata, seed),
        confidence,
        {str(name): int(count) for name, count in counts.items()},
        codes,
        class_counts,
        repeats,
    )
