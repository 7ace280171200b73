"""Split-conformal prediction intervals of severity.

The half-width of an interval is the conformal quantile of the absolute residuals of the validation
subjects. Each subject has one residual, the largest of its sessions; ``conformal_sets`` describes
the guarantee.

References
----------
Papadopoulos et al., "Inductive confidence machines for regression", ECML 2002. Lei et al.,
"Distribution-free predictive inference for regression", JASA 113(523), 2018, Alg. 2.
"""

from typing import Any

import numpy as np
import pandas as pd

from depmm.corpora.instruments import find_scale
from depmm.evaluation.stats.calibrators import validation_rows
from depmm.evaluation.stats.conformal_sets import (
    ConformalQuantile,
    conformal_quantile,
    max_per_subject,
    measured_coverage,
)
from depmm.evaluation.stats.resampled_sessions import ResampledSessions
from depmm.evaluation.stats.weighted_sums import ROUNDING


def score_range(rows: pd.DataFrame) -> tuple[float, float] | None:
    """Look up the lowest and highest score of the instrument of rows.

    Parameters
    ----------
    rows : DataFrame
        Rows with a column instrument.

    Returns
    -------
    tuple of float or None
        Lowest and highest score; None if the instrument is unknown or not unique.
    """
    if "instrument" not in rows or len(names := rows["instrument"].dropna().unique()) != 1:
        return None
    scale = find_scale(str(names[0]))
    if scale.lowest is None or scale.highest is None:
        return None
    return scale.lowest, scale.highest


def fit_severity_intervals(
    predictions: pd.DataFrame, alpha: float
) -> dict[tuple[int, int], ConformalQuantile]:
    """Fit the quantiles of the absolute residual, for each (fold, seed).

    Parameters
    ----------
    predictions : DataFrame
        Checked predictions; only validation rows are used.
    alpha : float
        Share of the subjects that may not be covered.

    Returns
    -------
    dict of (int, int) to ConformalQuantile
        Half-width of the intervals, by fold and seed.

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
        Lowest and highest possible score, to which the intervals are clipped; an interval outside
        of them becomes the nearer one.

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
        ``width``: mean over sessions, in points, infinite if an interval is; ``bounds``: lowest
        and highest score of the instrument, or None; ``fits``: the quantiles.
    """
    fitted = fit_severity_intervals(predictions, alpha)
    bounds = score_range(predictions[predictions["split"] == "test"])
    shares, widths, subjects = [], [], 0
    for rows in tested.seeds.values():
        intervals = predict_severity_intervals(rows, fitted, bounds)
        low, high = intervals["low"], intervals["high"]
        # a residual of exactly the quantile is covered in spite of rounding
        inside = rows["score"].between(low - ROUNDING, high + ROUNDING)
        subject_covered = max_per_subject(rows, ~inside) == 0
        shares.append(subject_covered.mean())
        widths.append(float((high - low).mean()))
        subjects = max(subjects, len(subject_covered))
    return {
        "alpha": alpha,
        "coverage": {"all": measured_coverage(shares, subjects, tested.confidence)},
        "width": float(np.mean(widths)),
        "bounds": bounds,
        "unbounded": any(quantile.unbounded for quantile in fitted.values()),
        "min_subjects": next(iter(fitted.values())).min_subjects,
        "fits": [
            {"fold": fold, "seed": seed, "half_width": q.value, "subjects": q.subjects}
            for (fold, seed), q in fitted.items()
        ],
    }
