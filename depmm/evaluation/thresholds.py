"""Decision thresholds, chosen on validation sessions or set, and the decisions by them."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

Threshold = float | Literal["validation"]

DEFAULT_THRESHOLD = 0.5  # where validation rows do not determine a better one
SETTING = "setting evaluation.threshold"  # sources of a threshold that is not chosen
COLUMN = "column threshold of the table"


def choose_threshold(y_true: ArrayLike, y_prob: ArrayLike) -> tuple[float, str]:
    """Choose the threshold with the best balanced accuracy on validation sessions.

    A session is decided positive if its probability is at least the threshold. The threshold is the
    midpoint between two neighbouring probabilities. Of equally good midpoints, that of the widest
    gap is chosen, then that closest to 0.5. The threshold is 0.5 if a class is missing or no
    threshold is better than a constant decision.

    Parameters
    ----------
    y_true : array_like, shape (N,)
        Labels, 0 or 1.
    y_prob : array_like, shape (N,)
        Probabilities of class 1.

    Returns
    -------
    threshold : float
        Threshold in [0, 1].
    source : str
        How it was chosen, for reports.
    """
    y, prob = np.asarray(y_true, dtype=int), np.asarray(y_prob, dtype=float)
    n_positive, n_negative = int(y.sum()), int(len(y) - y.sum())
    if not len(y):
        return DEFAULT_THRESHOLD, "0.5: no validation rows"
    if not n_positive or not n_negative:
        return DEFAULT_THRESHOLD, "0.5: validation rows have one class only"
    values, value_index = np.unique(prob, return_inverse=True)
    # true negatives and positives of a threshold between values[k] and values[k + 1]
    tn = np.cumsum(np.bincount(value_index, weights=1 - y))[:-1]
    tp = n_positive - np.cumsum(np.bincount(value_index, weights=y))[:-1]
    quality = tp * n_negative + tn * n_positive  # balanced accuracy in integers: ties are exact
    if not len(quality) or quality.max() <= n_positive * n_negative:
        return DEFAULT_THRESHOLD, "0.5: no threshold is better than a constant on validation rows"
    gaps = np.flatnonzero(quality == quality.max())
    middles = (values[gaps] + values[gaps + 1]) / 2
    widths = values[gaps + 1] - values[gaps]
    best = np.lexsort((np.abs(middles - 0.5), -np.round(widths, 12)))[0]
    # adjacent floats have no midpoint between them; the upper one gives the same decisions
    threshold = max(middles[best], np.nextafter(values[gaps[best]], 1))
    return float(threshold), f"best balanced accuracy on {len(y)} validation sessions"


def apply_threshold(predictions: pd.DataFrame, threshold: Threshold = "validation") -> pd.DataFrame:
    """Decide by the threshold of each (fold, seed), or by one threshold.

    Parameters
    ----------
    predictions : DataFrame
        Columns split, fold, seed, y_true and y_prob.
    threshold : float or "validation", default "validation"
        Lowest probability of a positive decision; with ``"validation"``, that of each (fold, seed)
        is its value of the column ``threshold``, by which the program that predicted has decided,
        or without this column it is chosen on the validation rows (``choose_threshold``).

    Returns
    -------
    DataFrame
        A copy with ``y_pred`` (Int8, missing where ``y_prob`` is), ``threshold`` and
        ``threshold_source``.
    """
    decided = predictions.copy()
    if threshold == "validation" and "threshold" in decided:
        decided["threshold_source"] = COLUMN
    elif threshold == "validation":
        decided["threshold"], decided["threshold_source"] = _thresholds_of_rows(decided)
    else:
        decided["threshold"], decided["threshold_source"] = threshold, SETTING
    positive = (decided["y_prob"] >= decided["threshold"]).astype("Int8")
    decided["y_pred"] = positive.mask(decided["y_prob"].isna())
    return decided


def _thresholds_of_rows(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Choose the threshold of each (fold, seed); return threshold and source of every row."""
    is_usable = (
        (predictions["split"] == "validation")
        & predictions["y_true"].notna()
        & predictions["y_prob"].notna()
    ).to_numpy()
    threshold = np.full(len(predictions), DEFAULT_THRESHOLD)
    source = np.full(len(predictions), "", dtype=object)
    for rows in predictions.groupby(["fold", "seed"]).indices.values():
        validation = predictions.iloc[rows[is_usable[rows]]]
        threshold[rows], source[rows] = choose_threshold(
            validation["y_true"].to_numpy(dtype=int), validation["y_prob"].to_numpy(dtype=float)
        )
    return threshold, source
