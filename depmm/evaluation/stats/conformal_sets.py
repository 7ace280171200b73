"""Split-conformal prediction sets of labels and prediction intervals of severity.

The nonconformity of predictions is measured on validation subjects. The set of a new subject holds
every label (or score) whose nonconformity is at most the quantile of the validation subjects for
the coverage ``1 - alpha``.

The unit is the subject. Sessions of one subject are not exchangeable with those of another, so that
each validation subject gives *one* nonconformity: the largest of its sessions (per class, where it
has sessions of both). Exchangeable subjects, however many sessions they have, then satisfy
``P(all sessions of a new subject are covered) >= 1 - alpha``, for labels within each class
(Mondrian). The probability is over validation and test subjects together; one set of validation
subjects can be favourable by chance. Validation subjects that also select the epoch are not quite
exchangeable with new ones, so that reports show the coverage measured on tested subjects too.

If there are too few validation subjects for ``alpha``, the set is unbounded: it holds every label.

References
----------
Papadopoulos et al., "Inductive confidence machines for regression", ECML 2002. Vovk, Gammerman and
Shafer, "Algorithmic Learning in a Random World", 2005, Ch. 4 (Mondrian). Lei et al.,
"Distribution-free predictive inference for regression", JASA 113(523), 2018, Alg. 2. Introduction:
Angelopoulos and Bates, "Conformal prediction: a gentle introduction", FnT in Machine Learning
16(4), 2023.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from depmm.corpora.instruments import INSTRUMENTS
from depmm.corpora.manifest import SUBJECT_KEY
from depmm.evaluation.stats.bootstrap import ResampledSessions
from depmm.evaluation.stats.calibrators import validation_rows
from depmm.evaluation.stats.intervals import wilson_interval
from depmm.evaluation.stats.weighted_sums import ROUNDING, Array

ALPHAS = (0.1, 0.2)  # shares of subjects that may not be covered: coverages of 90 % and 80 %


@dataclass(frozen=True)
class ConformalQuantile:
    """The largest nonconformity that a prediction set covers.

    Attributes
    ----------
    value : float
        Nonconformity; infinite where everything is covered.
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
        """Whether there are too few subjects, so that everything is covered."""
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
        Checked predictions; only validation rows are read.
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
        If a (fold, seed) has no validation rows, or of one class only.
    """
    fitted: dict[tuple[int, int], dict[int, ConformalQuantile]] = {}
    for key, rows in validation_rows(predictions, "y_true", column):
        fitted[key] = {}
        for label in (0, 1):
            of_class = rows[rows["y_true"] == label]
            scores = max_per_subject(of_class, nonconformity(of_class[column], label))
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
        Boolean columns ``has_0`` and ``has_1``: whether the set holds the label.
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
        ``coverage`` by class (``0``, ``1``) and of ``all``: share of the subjects (with sessions of
        the class) whose every such session is covered, mean over seeds, with Wilson's interval.
        ``sizes``: share of the sessions whose set is ``empty``, has ``one`` label or ``both``.
        ``unbounded``: whether a class has too few validation subjects in any fold.
        ``min_subjects``: the number needed. ``fits``: the quantiles.
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
        hit = np.where(positive, sets["has_1"], sets["has_0"])
        for name, of_class in (
            ("0", ~positive),
            ("1", positive),
            ("all", np.full(len(rows), True)),
        ):
            if of_class.any():
                whole = max_per_subject(rows[of_class], ~hit[of_class]) == 0
                covered[name].append(whole.mean())
                subjects[name] = max(subjects[name], len(whole))
    quantiles = [quantile for classes in fitted.values() for quantile in classes.values()]
    return {
        "alpha": alpha,
        "coverage": {
            name: _coverage(shares, subjects[name], tested.confidence)
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


def score_range(rows: pd.DataFrame) -> tuple[float, float] | None:
    """Look up the lowest and highest score of the instrument of rows.

    Parameters
    ----------
    rows : DataFrame
        Rows with a column instrument.

    Returns
    -------
    tuple of float or None
        Lowest and highest score; None where there is no single known instrument.
    """
    if "instrument" not in rows or len(names := rows["instrument"].dropna().unique()) != 1:
        return None
    scale = INSTRUMENTS.get(str(names[0]))
    if scale is None or scale.lowest is None or scale.highest is None:
        return None
    return scale.lowest, scale.highest


def fit_severity_intervals(
    predictions: pd.DataFrame, alpha: float
) -> dict[tuple[int, int], ConformalQuantile]:
    """Fit the quantiles of the absolute residual, for each (fold, seed).

    Parameters
    ----------
    predictions : DataFrame
        Checked predictions; only validation rows are read.
    alpha : float
        Share of the subjects that may not be covered.

    Returns
    -------
    dict of (int, int) to ConformalQuantile
        Half of the width of the intervals, by fold and seed.

    Raises
    ------
    CalibrationError
        If a (fold, seed) has no validation rows.

    References
    ----------
    Lei et al., "Distribution-free predictive inference for regression", JASA 113(523), 2018, Alg.
    2.
    """
    return {
        key: conformal_quantile(
            max_per_subject(rows, np.abs(rows["score"] - rows["score_pred"])), alpha
        )
        for key, rows in validation_rows(predictions, "score", "score_pred")
    }


def predict_severity_intervals(
    rows: pd.DataFrame,
    fitted: dict[tuple[int, int], ConformalQuantile],
    bounds: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """Compute the prediction interval of each row.

    Parameters
    ----------
    rows : DataFrame
        Columns fold, seed and score_pred.
    fitted : dict of (int, int) to ConformalQuantile
        Quantiles of ``fit_severity_intervals``.
    bounds : tuple of float, optional
        Lowest and highest possible score, to which the intervals are clipped.

    Returns
    -------
    DataFrame
        Columns ``low`` and ``high``, in points.
    """
    keys = zip(rows["fold"], rows["seed"], strict=True)
    half = np.array([fitted[int(fold), int(seed)].value for fold, seed in keys])
    score = rows["score_pred"].to_numpy(float)
    lowest, highest = bounds or (-np.inf, np.inf)
    return pd.DataFrame(
        {
            "low": np.clip(score - half, lowest, highest),
            "high": np.clip(score + half, lowest, highest),
        },
        index=rows.index,
    )


def measure_severity_intervals(
    predictions: pd.DataFrame, tested: ResampledSessions, alpha: float
) -> dict[str, Any]:
    """Measure coverage and width of the prediction intervals of tested sessions.

    Parameters
    ----------
    predictions : DataFrame
        Checked predictions.
    tested : ResampledSessions
        Their tested rows.
    alpha : float
        Share of the subjects that may not be covered.

    Returns
    -------
    dict
        ``coverage`` (``all``), ``unbounded`` and ``min_subjects`` as in ``measure_label_sets``;
        ``width``: mean over sessions, in points, infinite where intervals are; ``bounds`` of the
        instrument or None; ``fits``: the quantiles.
    """
    fitted = fit_severity_intervals(predictions, alpha)
    bounds = score_range(predictions[predictions["split"] == "test"])
    shares, widths, subjects = [], [], 0
    for rows in tested.seeds.values():
        intervals = predict_severity_intervals(rows, fitted, bounds)
        low, high = intervals["low"], intervals["high"]
        # a residual of exactly the quantile is covered in spite of rounding
        inside = rows["score"].between(low - ROUNDING, high + ROUNDING)
        whole = max_per_subject(rows, ~inside) == 0
        shares.append(whole.mean())
        widths.append(float((high - low).mean()))
        subjects = max(subjects, len(whole))
    return {
        "alpha": alpha,
        "coverage": {"all": _coverage(shares, subjects, tested.confidence)},
        "width": float(np.mean(widths)),
        "bounds": bounds,
        "unbounded": any(quantile.unbounded for quantile in fitted.values()),
        "min_subjects": next(iter(fitted.values())).min_subjects,
        "fits": [
            {"fold": fold, "seed": seed, "half_width": q.value, "subjects": q.subjects}
            for (fold, seed), q in fitted.items()
        ],
    }


def _coverage(shares: list[float], subjects: int, confidence: float) -> dict[str, Any] | None:
    """Mean over seeds with Wilson's interval; a bootstrap of a share of 1 would have no width."""
    if not shares:
        return None
    interval = wilson_interval(float(np.mean(shares)) * subjects, subjects, confidence)
    return {
        "value": interval.value,
        "ci_low": interval.ci_low,
        "ci_high": interval.ci_high,
        "subjects": subjects,
    }
