"""Split-conformal prediction sets of labels.

The nonconformity of predictions is measured on validation subjects. The prediction set of a new
subject contains every label whose nonconformity is at most the quantile of the validation subjects
for the coverage ``1 - alpha``.

The unit is the subject, because sessions of different subjects are exchangeable but sessions of one
subject are not independent. Each validation subject has *one* nonconformity score: the largest of
its sessions (for each class, if it has sessions of both). For exchangeable subjects with any
number of sessions, ``P(all sessions of a new subject are covered) >= 1 - alpha`` then holds, for
labels within each class (Mondrian). The probability is over validation and test subjects together;
the coverage for one set of validation subjects varies around it. If the epoch is chosen on the
validation subjects, they are not exactly exchangeable with new subjects; reports therefore also
contain the coverage that is measured on tested subjects.

With too few validation subjects for ``alpha``, the set is unbounded: it contains all labels.

References
----------
Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005, Ch. 4 (Mondrian). Lei et
al., "Distribution-free predictive inference for regression", JASA 113(523), 2018, Alg. 2.
Introduction: Angelopoulos and Bates, "Conformal prediction: a gentle introduction", FnT in Machine
Learning 16(4), 2023.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from depmm.evaluation.stats.calibrators import validation_rows
from depmm.evaluation.stats.intervals import wilson_interval
from depmm.evaluation.stats.resampled_sessions import ResampledSessions
from depmm.evaluation.stats.weighted_sums import ROUNDING, Array
from depmm.schemas.manifest import SUBJECT_KEY

ALPHAS = (0.1, 0.2)  # shares of subjects that may not be covered: coverages of 90 % and 80 %


@dataclass(frozen=True)
class ConformalQuantile:
    """The largest nonconformity that a prediction set covers.

    Attributes
    ----------
    value : float
        Nonconformity; infinite if there are too few subjects.
    subjects : int
        Number of validation subjects.
    min_subjects : int
        Least number of subjects with which the value can be finite.
    """

    value: float
    subjects: int
    min_subjects: int

    @property
    def unbounded(self) -> bool:
        """Whether there are too few subjects: sets then contain all labels."""
        return not np.isfinite(self.value)


def conformal_quantile(scores: ArrayLike, alpha: float) -> ConformalQuantile:
    """Take the ``ceil((n + 1)(1 - alpha))``-th smallest of ``n`` nonconformity scores.

    The finite-sample quantile: of ``n + 1`` exchangeable scores the last is among the smallest
    ``k`` with probability at least ``k / (n + 1)``.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Nonconformity of each subject.
    alpha : float
        Share of subjects that may not be covered, in (0, 1).

    Returns
    -------
    ConformalQuantile
        The quantile.

    Raises
    ------
    ValueError
        If ``alpha`` is not in (0, 1).

    References
    ----------
    Lei et al., "Distribution-free predictive inference for regression", JASA 113(523), 2018, Alg.
    2.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}. Give a value in (0, 1); 0.1 is a coverage of 90 %.")
    ordered = np.sort(np.asarray(scores, dtype=float))
    min_subjects = int(np.ceil((1 - alpha) / alpha - ROUNDING))
    rank = int(np.ceil((len(ordered) + 1) * (1 - alpha) - ROUNDING))
    value = float(ordered[rank - 1]) if rank <= len(ordered) else np.inf
    return ConformalQuantile(value, len(ordered), min_subjects)


def max_per_subject(rows: pd.DataFrame, scores: ArrayLike) -> Array:
    """Take the largest value of the sessions of each subject.

    Parameters
    ----------
    rows : DataFrame
        Columns corpus and subject.
    scores : array_like, shape (N,)
        Values of the rows.

    Returns
    -------
    ndarray, shape (subjects,)
        Largest value of each subject.
    """
    table = rows.assign(_score=np.asarray(scores, dtype=float))
    return table.groupby(SUBJECT_KEY)["_score"].max().to_numpy(float)


def nonconformity(y_prob: ArrayLike, label: int) -> Array:
    """Compute the nonconformity of a label, the probability of the other label.

    Parameters
    ----------
    y_prob : array_like, shape (N,)
        Probabilities of class 1.
    label : {0, 1}
        Label.

    Returns
    -------
    ndarray, shape (N,)
        ``1 - y_prob`` for label 1, ``y_prob`` for label 0.
    """
    prob = np.asarray(y_prob, dtype=float)
    return 1 - prob if label else prob


def fit_label_sets(
    predictions: pd.DataFrame, alpha: float, column: str = "y_prob"
) -> dict[tuple[int, int], dict[int, ConformalQuantile]]:
    """Fit the quantiles of label sets, for each (fold, seed) and class.

    Parameters
    ----------
    predictions : DataFrame
        Checked predictions; only validation rows are used.
    alpha : float
        Share of the subjects of each class that may not be covered.
    column : str, default "y_prob"
        Column of the probabilities.

    Returns
    -------
    dict of (int, int) to dict of int to ConformalQuantile
        Quantile of each class, by fold and seed.

    Raises
    ------
    CalibrationError
        If a (fold, seed) has no validation rows, or rows of one class only.
    """
    fitted: dict[tuple[int, int], dict[int, ConformalQuantile]] = {}
    for key, rows in validation_rows(predictions, "y_true", column):
        fitted[key] = {}
        for label in (0, 1):
            in_class = rows[rows["y_true"] == label]
            scores = max_per_subject(in_class, nonconformity(in_class[column], label))
            fitted[key][label] = conformal_quantile(scores, alpha)
    return fitted


def predict_label_sets(
    rows: pd.DataFrame,
    fitted: dict[tuple[int, int], dict[int, ConformalQuantile]],
    column: str = "y_prob",
) -> pd.DataFrame:
    """Compute the prediction set of each row.

    Parameters
    ----------
    rows : DataFrame
        Columns fold, seed and the probabilities.
    fitted : dict of (int, int) to dict of int to ConformalQuantile
        Quantiles of ``fit_label_sets``.
    column : str, default "y_prob"
        Column of the probabilities.

    Returns
    -------
    DataFrame
        Boolean columns ``has_0`` and ``has_1``: whether the set contains the label.
    """
    sets = pd.DataFrame(index=rows.index)
    keys = list(zip(rows["fold"], rows["seed"], strict=True))
    for label in (0, 1):
        limit = np.array([fitted[int(fold), int(seed)][label].value for fold, seed in keys])
        sets[f"has_{label}"] = nonconformity(rows[column], label) <= limit
    return sets


def measure_label_sets(
    predictions: pd.DataFrame, tested: ResampledSessions, alpha: float
) -> dict[str, Any]:
    """Measure coverage and size of the prediction sets of tested sessions.

    Parameters
    ----------
    predictions : DataFrame
        Checked predictions.
    tested : ResampledSessions
        Their tested rows.
    alpha : float
        Share of the subjects of each class that may not be covered.

    Returns
    -------
    dict
        ``coverage`` by class (``0``, ``1``) and of ``all``: share of the subjects for whom all
        sessions (of the class) are covered, mean over seeds, with Wilson's interval. ``sizes``:
        shares of the sessions with an ``empty`` set, ``one`` label or ``both``. ``unbounded``:
        whether a class has too few validation subjects in any fold. ``min_subjects``: the number
        needed. ``fits``: the quantiles.
    """
    fitted = fit_label_sets(predictions, alpha)
    sizes: list[list[float]] = []
    covered: dict[str, list[float]] = {"0": [], "1": [], "all": []}
    subjects = dict.fromkeys(covered, 0)
    for rows in tested.seeds.values():
        sets = predict_label_sets(rows, fitted)
        size = sets.sum(axis=1)
        sizes.append([(size == n).mean() for n in (0, 1, 2)])
        positive = rows["y_true"].to_numpy(int) == 1
        is_covered = np.where(positive, sets["has_1"], sets["has_0"])
        for name, in_class in (
            ("0", ~positive),
            ("1", positive),
            ("all", np.full(len(rows), True)),
        ):
            if in_class.any():
                subject_covered = max_per_subject(rows[in_class], ~is_covered[in_class]) == 0
                covered[name].append(subject_covered.mean())
                subjects[name] = max(subjects[name], len(subject_covered))
    quantiles = [quantile for classes in fitted.values() for quantile in classes.values()]
    return {
        "alpha": alpha,
        "coverage": {
            name: measured_coverage(shares, subjects[name], tested.confidence)
            for name, shares in covered.items()
        },
        "sizes": dict(zip(("empty", "one", "both"), np.mean(sizes, axis=0), strict=True)),
        "unbounded": any(quantile.unbounded for quantile in quantiles),
        "min_subjects": quantiles[0].min_subjects,
        "fits": [
            {"fold": fold, "seed": seed, "class": label, "limit": q.value, "subjects": q.subjects}
            for (fold, seed), classes in fitted.items()
            for label, q in classes.items()
        ],
    }


def measured_coverage(
    shares: list[float], subjects: int, confidence: float
) -> dict[str, Any] | None:
    """Average the coverage over seeds, with Wilson's interval.

    A bootstrap interval of a coverage of 1 would have no width.

    Parameters
    ----------
    shares : list of float
        Share of covered subjects in each seed.
    subjects : int
        Number of subjects.
    confidence : float
        Confidence level of the interval.

    Returns
    -------
    dict or None
        ``value``, ``ci_low``, ``ci_high`` and ``subjects``; None without subjects.
    """
    if not shares:
        return None
    interval = wilson_interval(float(np.mean(shares)) * subjects, subjects, confidence)
    return {
        "value": interval.value,
        "ci_low": interval.ci_low,
        "ci_high": interval.ci_high,
        "subjects": subjects,
    }
