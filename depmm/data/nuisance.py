"""Classes of the nuisance variables that a model unlearns."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from depmm.config import ConceptErasureConfig
from depmm.data.errors import DataError

MISSING = -100  # label that the cross-entropy ignores


def encode_nuisance(
    sessions: pd.DataFrame, nuisance: Sequence[str], setting: str
) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Convert the values of each nuisance to classes.

    Parameters
    ----------
    sessions : DataFrame
        All sessions, with ``split``.
    nuisance : sequence of str
        Columns of the nuisance.
    setting : str
        Section that lists them, for example ``training.adversarial``, for errors.

    Returns
    -------
    labels : dict of str to ndarray of int64, shape (N,)
        Class of each session; ``MISSING`` where the value is missing or no training session has it.
    classes : dict of str to list of str
        Values in the training sessions, in order.

    Raises
    ------
    DataError
        If a column does not exist, or has one value in the training sessions.
    """
    labels, classes = {}, {}
    for name in nuisance:
        if name not in sessions:
            raise DataError(
                f"{setting}.nuisance: the sessions have no column {name!r}.",
                setting=f"{setting}.nuisance",
                column=name,
                value=name,
                remedy=f"Their columns are {', '.join(map(str, sessions.columns))}.",
            )
        column = sessions[name]
        values = sorted(column[sessions["split"] == "train"].dropna().astype(str).unique())
        if len(values) < 2:
            raise DataError(
                f"{setting}.nuisance: {name} has {len(values)} value(s) in the training "
                "sessions, so that there is nothing to unlearn.",
                setting=f"{setting}.nuisance",
                column=name,
                value=values,
                remedy="Remove it from the list.",
            )
        numbers = {value: index for index, value in enumerate(values)}
        known = [
            MISSING if pd.isna(value) else numbers.get(str(value), MISSING) for value in column
        ]
        labels[name] = np.array(known, np.int64)
        classes[name] = values
    return labels, classes


def encode_erased(
    sessions: pd.DataFrame, settings: ConceptErasureConfig
) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Encode the nuisance variables that a concept erasure removes.

    Parameters
    ----------
    sessions : DataFrame
        All sessions, with ``split`` and ``target``.
    settings : ConceptErasureConfig
        Columns of the nuisance.

    Returns
    -------
    labels : list of ndarray of int64, shape (N,)
        Class of each session for each nuisance.
    given : ndarray of float64, shape (N,), or None
        The target, with ``given_target``.

    Raises
    ------
    DataError
        As ``encode_nuisance``.
    """
    labels, _ = encode_nuisance(sessions, settings.nuisance, "training.concept_erasure")
    given = sessions["target"].to_numpy(np.float64) if settings.given_target else None
    return list(labels.values()), given
