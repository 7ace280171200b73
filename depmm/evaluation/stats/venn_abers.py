"""Inductive Venn-Abers predictor: an interval of the calibrated probability of a new session."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

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
    sessions = ValidationSessions.from_rows(rows)
    return sessions.bound(y_prob, 0), sessions.bound(y_prob, 1)


@dataclass(frozen=True)
class ValidationSessions:
    """Validation sessions of one model, to which a new session is added.

    Attributes
    ----------
    y_true, y_prob : ndarray, shape (sessions,)
        Label, and the probability by the model.
    weight : ndarray, shape (sessions,)
        The weights of the sessions of a subject sum to 1.
    """

    y_true: np.ndarray
    y_prob: np.ndarray
    weight: np.ndarray

    @classmethod
    def from_rows(cls, rows: pd.DataFrame) -> Self:
        """Weight the rows of a table.

        Parameters
        ----------
        rows : DataFrame
            As for ``venn_abers``.

        Returns
        -------
        ValidationSessions
            The sessions.
        """
        weight = 1 / rows.groupby(SUBJECT_KEY)["y_prob"].transform("size").to_numpy(float)
        return cls(rows["y_true"].to_numpy(float), rows["y_prob"].to_numpy(float), weight)

    def bound(self, y_prob: float, label: int) -> float:
        """Compute the calibrated probability of a new session that is given a label.

        Parameters
        ----------
        y_prob : float
            Probability of the new session by the model.
        label : {0, 1}
            Its label; 0 for the lower and 1 for the upper bound.

        Returns
        -------
        float
            Value of the isotonic regression at the new session.
        """
        from sklearn.isotonic import IsotonicRegression

        curve = IsotonicRegression(y_min=0.0, y_max=1.0)
        curve.fit(
            np.append(self.y_prob, y_prob),
            np.append(self.y_true, float(label)),
            np.append(self.weight, 1.0),
        )
        return float(curve.predict([y_prob])[0])
