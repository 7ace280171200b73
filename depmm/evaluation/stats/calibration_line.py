r"""Calibration intercept and slope of probabilities.

The model is :math:`\operatorname{logit} P(y = 1) = a + b \operatorname{logit}(p)`. Probabilities
:math:`p` are calibrated on average if :math:`a = 0` given :math:`b = 1` (the *calibration
intercept*), and not too extreme if :math:`b = 1` (the *calibration slope*; below 1: too extreme)
[1]_. The intervals use the variance between subjects, with all of their sessions [2]_.

References
----------
.. [1] Van Calster et al., "Calibration: the Achilles heel of predictive analytics", BMC Medicine
   17:230, 2019.
.. [2] Liang and Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 73,
   1986, Eq. 8.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import expit

from depmm.evaluation.stats.intervals import Interval
from depmm.evaluation.stats.reliability import clipped_logit
from depmm.evaluation.stats.weighted_sums import Array

N_STEPS = 50  # Newton steps; five are usual
MAX_LOGIT = 30.0  # of a parameter; larger ones mean that there is no maximum
ESTIMATE = "robust Wald"


def calibration_line(
    y_true: ArrayLike, y_prob: ArrayLike, subjects: ArrayLike, confidence: float
) -> dict[str, Interval]:
    """Estimate the calibration intercept and the calibration slope.

    Parameters
    ----------
    y_true : array_like, shape (N,)
        Labels, 0 or 1.
    y_prob : array_like, shape (N,)
        Probabilities of class 1.
    subjects : array_like, shape (N,)
        Code of the subject of each session.
    confidence : float
        Confidence level, for example 0.95.

    Returns
    -------
    dict of str to Interval
        ``intercept`` (slope fixed at 1) and ``slope``; NaN with a reason where the likelihood has
        no maximum, for example if the classes are separated without error.
    """
    y, logits = np.asarray(y_true, dtype=float), clipped_logit(y_prob)
    codes = np.unique(np.asarray(subjects), return_inverse=True)[1]
    ones = np.ones((len(y), 1))
    both = np.column_stack([ones, logits])
    return {
        "intercept": _estimate(y, ones, logits, codes, 0, confidence),
        "slope": _estimate(y, both, np.zeros(len(y)), codes, 1, confidence),
    }


def _estimate(
    y: Array, design: Array, offset: Array, subject: NDArray[Any], index: int, confidence: float
) -> Interval:
    """Estimate one coefficient of a logistic regression, with the variance between subjects."""
    none = Interval(np.nan, np.nan, np.nan, method=ESTIMATE, reason="the likelihood has no maximum")
    if design.shape[1] > 1 and not np.ptp(design[:, index]):
        return none
    parameters = np.zeros(design.shape[1])
    for _ in range(N_STEPS):
        prob = expit(design @ parameters + offset)
        information = (design * (prob * (1 - prob))[:, None]).T @ design
        if not np.linalg.cond(information) < 1e12:
            return none
        step = np.linalg.solve(information, design.T @ (y - prob))
        parameters = parameters + step
        if np.abs(parameters).max() > MAX_LOGIT:
            return none
        if np.abs(step).max() < 1e-9:
            break
    else:  # the steps towards infinity do not become smaller
        return none
    n_subjects = int(subject.max()) + 1
    scores = np.zeros((n_subjects, design.shape[1]))
    np.add.at(scores, subject, design * (y - prob)[:, None])
    inverse = np.linalg.inv(information)
    freedom = n_subjects - design.shape[1]
    if freedom < 1:
        return none
    variance = inverse @ (scores.T @ scores) @ inverse * n_subjects / freedom
    half = stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(variance[index, index])
    value = float(parameters[index])
    return Interval(value, value - float(half), value + float(half), method=ESTIMATE)
