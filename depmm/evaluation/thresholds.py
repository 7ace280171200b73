"""Decision threshold."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

DEFAULT_THRESHOLD = 0.5  # when the validation rows cannot say better


def choose_threshold(y_true: ArrayLike, y_prob: ArrayLike) -> tuple[float, str]:
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


def apply_threshold(predictions: pd.DataFrame) -> pd.DataFrame:
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
        threshold[rows], source[rows] = choose_threshold(
            own["y_true"].to_numpy(dtype=int), own["y_prob"].to_numpy(dtype=float)
        )
    decided["threshold"], decided["threshold_source"] = threshold, source
    positive = (decided["y_prob"] >= threshold).astype("Int8")
    decided["y_pred"] = positive.mask(decided["y_prob"].isna())
    return decided
