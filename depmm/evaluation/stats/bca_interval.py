"""BCa intervals."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from depmm.evaluation.stats.intervals import Interval
from depmm.evaluation.stats.weighted_sums import Array

JACKKNIFE_SUBJECTS = 1000  # left out one by one at most; more hardly change an acceleration
FLAT = 1e-12  # influences below this share of the estimate are rounding


def bootstrap_interval(
    value: float, draws: Array, confidence: float, acceleration: float | None = None
) -> Interval:
    """Interval of a bootstrap; undefined (NaN) draws are left out and counted.

    Parameters
    ----------
    value : point estimate
    draws : [D], the metric in each draw
    confidence : e.g. 0.95
    acceleration : of BCa (``Jackknife.acceleration``); None asks for the percentile
        interval, NaN says that it is undefined
    """
    defined = draws[np.isfinite(draws)]
    undefined = int(len(draws) - len(defined))
    if not len(defined):
        return Interval(float(value), np.nan, np.nan, undefined)
    tail = (1 - confidence) / 2
    levels, reason = np.array([tail, 1 - tail]), None
    if acceleration is not None:
        levels, reason = _bca_levels(value, defined, levels, acceleration)
    low, high = (float(bound) for bound in np.quantile(defined, levels))
    method = "percentile" if acceleration is None or reason else "BCa"
    return Interval(float(value), low, high, undefined, method, reason)


def _bca_levels(
    value: float, draws: Array, levels: Array, acceleration: float
) -> tuple[Array, str | None]:
    """Move the levels of an interval (Efron and Tibshirani 1993, eq. 14.10), or say why not."""
    # draws equal to the value count half: metrics of few subjects take few values
    below = float(np.mean(draws < value) + np.mean(draws <= value)) / 2
    if not 0 < below < 1:
        return levels, "all draws lie on one side of the value: the bias correction is undefined"
    if not np.isfinite(acceleration):
        return levels, "leaving a subject out says nothing: the acceleration is undefined"
    normal = NormalDist()
    bias = normal.inv_cdf(below)
    moved = []
    for level in levels:
        shifted = bias + normal.inv_cdf(level)
        if acceleration * shifted >= 1:
            return levels, f"the acceleration {acceleration:.2f} is too large for this confidence"
        moved.append(normal.cdf(bias + shifted / (1 - acceleration * shifted)))
    return np.array(moved), None


@dataclass(frozen=True)
class Jackknife:
    """Weights that leave one subject out, the rest of the stratum standing in for the subject.

    Subjects are drawn within strata of fixed size, so leaving one of ``n`` out gives the others of
    the stratum the weight n / (n - 1) (Davison and Hinkley 1997, ch. 3, several samples). A subject
    alone in a stratum is in every draw and is never left out. Of more than ``JACKKNIFE_SUBJECTS``
    subjects a random sample is left out.

    Parameters
    ----------
    weights : [J, distinct sessions]
    size : [J], subjects in the stratum of the one who is left out
    share : of all subjects that could be left out
    """

    weights: Array
    size: Array
    share: float

    def acceleration(self, value: float, left_out: Array) -> float:
        """Acceleration of BCa from influence values; NaN where it is undefined.

        Efron and Tibshirani 1993, eq. 14.15. With strata the influence of a subject,
        (n - 1)(value - left out), enters divided by the subjects n of the stratum (Davison and
        Hinkley 1997, ch. 5, several samples).

        Parameters
        ----------
        value : point estimate
        left_out : [J], the metric without each subject
        """
        influence = (1 - 1 / self.size) * (value - left_out)
        if not len(influence) or not np.isfinite(influence).all():
            return np.nan
        if np.abs(influence).max() <= FLAT * max(1.0, abs(value)):
            return np.nan
        # sums over a sample of subjects stand for the sums over all: /share and /share^1.5
        skew = (influence**3).sum() / (influence**2).sum() ** 1.5
        return float(skew * np.sqrt(self.share) / 6)


def leave_subjects_out(subject_codes: ArrayLike, strata: ArrayLike, seed: int) -> Jackknife:
    """Build the jackknife that belongs to ``bootstrap_weights`` of the same subjects and strata.

    Parameters
    ----------
    subject_codes, strata : [N], see ``bootstrap_weights``
    seed : of the sample of subjects, where there are more than ``JACKKNIFE_SUBJECTS``
    """
    _, first, subject = np.unique(subject_codes, return_index=True, return_inverse=True)
    _, stratum = np.unique(np.asarray(strata)[first], return_inverse=True)
    size = np.bincount(stratum)[stratum]
    able = np.flatnonzero(size > 1)
    chosen = able
    if len(able) > JACKKNIFE_SUBJECTS:
        chosen = np.random.default_rng(seed).choice(able, JACKKNIFE_SUBJECTS, replace=False)
    mates = stratum[chosen][:, None] == stratum[None, subject]
    weights = np.where(mates, (size / np.maximum(size - 1, 1))[chosen][:, None], 1.0)
    weights[chosen[:, None] == subject] = 0
    return Jackknife(weights, size[chosen].astype(float), len(chosen) / max(1, len(able)))
