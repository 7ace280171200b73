"""Inductive Venn-Abers predictor: an interval of the calibrated probability of a new session."""

import numpy as np
import pandas as pd
from sklearn.isotonic import IsotonicRegression

from depmm.schemas.manifest import SUBJECT_KEY


def venn_abers(rows: pd.DataFrame, y_prob: float) -> tuple[float, float]:
    """Compute the two calibrated probabilities of a new session, one for each possible label.

    Each is the value of an isotonic regression at the new session. The regression is fitted on the
    validation sessions and the new session, which is labelled 0 or 1. If sessions are exchangeable,
    one of the two probabilities is perfectly calibrated; which one depends on the unknown label.
    The interval widens as the number of validation subjects decreases. The weights of the sessions
    of a subject sum to 1.

    Parameters
    ----------
    rows : DataFrame
        Validation rows of one model, with corpus, subject, ``y_true`` and ``y_prob``.
    y_prob : float
        Probability of the new session by the same model.

    Returns
    -------
    low, high : float
        The probabilities with the labels 0 and 1.

    References
    ----------
    Vovk and Petej, "Venn-Abers predictors", UAI 2014, Sec. 4. Vovk, Petej and Fedorova,
    "Large-scale probabilistic predictors with and without guarantees of validity", NIPS 2015.
    """
    weight = 1 / rows.groupby(SUBJECT_KEY)["y_prob"].transform("size").to_numpy(float)
    prob = np.append(rows["y_prob"].to_numpy(float), y_prob)
    values = []
    for label in (0.0, 1.0):
        curve = IsotonicRegression(y_min=0.0, y_max=1.0)
        curve.fit(prob, np.append(rows["y_true"].to_numpy(float), label), np.append(weight, 1.0))
        values.append(float(curve.predict([y_prob])[0]))
    return values[0], values[1]
