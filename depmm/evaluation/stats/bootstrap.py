"""Bootstrap weights of subjects, within strata or not.

Sessions of one subject are correlated. A replicate therefore resamples subjects, ``(corpus,
subject)``, with replacement, each with all of its sessions. With fixed class counts, subjects are
resampled within strata: subjects with negative sessions only, with positive sessions only, and with
both; every replicate has as many subjects of each stratum as the data (Davison and Hinkley 1997,
Ch. 3). With random class counts there is one stratum.
"""

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from depmm.schemas.manifest import SUBJECT_KEY

ClassCounts = Literal["fixed", "random"]
CHUNK = 128  # replicates computed at a time, which limits the memory of their indices


def bootstrap_weights(
    subject_codes: ArrayLike, strata: ArrayLike, n_bootstrap: int, seed: int
) -> NDArray[np.unsignedinteger]:
    """Resample subjects, each with all of its sessions, with replacement within strata.

    Parameters
    ----------
    subject_codes : array_like of int, shape (N,)
        Code of the subject of each session.
    strata : array_like, shape (N,)
        Stratum of the subject of each session.
    n_bootstrap : int
        Number of replicates, D.
    seed : int
        Seed of the random generator.

    Returns
    -------
    ndarray of unsigned int, shape (D, N)
        Multiplicity of each session in each replicate, in the smallest sufficient type (10,000
        subjects and 2,000 replicates: 40 MB). Sessions of a subject have the same multiplicity.

    Raises
    ------
    ValueError
        If the lengths differ, or a subject is in two strata.
    """
    codes, strata = np.asarray(subject_codes), np.asarray(strata)
    if codes.shape != strata.shape or codes.ndim != 1:
        shapes = f"{codes.shape} subject codes but {strata.shape} strata"
        raise ValueError(f"bootstrap_weights: {shapes}. Give one of each per session.")
    _, first, subject = np.unique(codes, return_index=True, return_inverse=True)
    stratum = strata[first]
    if (wrong := np.flatnonzero(stratum[subject] != strata)).size:
        raise ValueError(
            f"bootstrap_weights: subject {codes[wrong[0]]} is in the strata "
            f"{stratum[subject[wrong[0]]]} and {strata[wrong[0]]}. Assign strata to subjects, not "
            "to sessions."
        )
    rng = np.random.default_rng(seed)
    # one byte per subject nearly always: every metric copies the weights in an order of its own
    counts = np.zeros((n_bootstrap, len(first)), dtype=np.uint8)
    for name in np.unique(stratum):
        members = np.flatnonzero(stratum == name)
        for start in range(0, n_bootstrap, CHUNK):
            size = min(CHUNK, n_bootstrap - start)
            drawn = rng.integers(0, len(members), size=(size, len(members)))
            drawn += np.arange(size)[:, None] * len(members)  # one histogram for all replicates
            table = np.bincount(drawn.ravel(), minlength=size * len(members))
            if table.max() > np.iinfo(counts.dtype).max:
                counts = counts.astype(np.min_scalar_type(len(first)))
            counts[start : start + size, members] = table.reshape(size, len(members))
    return counts if np.array_equal(subject, np.arange(len(first))) else counts[:, subject]


def assign_strata(sessions: pd.DataFrame) -> tuple[NDArray[Any], NDArray[Any]]:
    """Assign each session the code and the stratum of its subject.

    Parameters
    ----------
    sessions : DataFrame
        Columns corpus, subject and, if labels are known, y_true.

    Returns
    -------
    codes : ndarray of int, shape (N,)
        Code of the subject, ``(corpus, subject)``.
    strata : ndarray of str, shape (N,)
        ``negative``, ``positive``, ``both`` or ``unlabelled``, by the labels of all sessions of the
        subject.
    """
    codes = sessions.groupby(SUBJECT_KEY, sort=True).ngroup().to_numpy()
    if "y_true" not in sessions or sessions["y_true"].isna().any():
        return codes, np.full(len(sessions), "unlabelled", dtype=object)
    label = sessions["y_true"].astype(float)
    mean = label.groupby(codes).transform("mean").to_numpy()
    strata = np.where(mean == 0, "negative", np.where(mean == 1, "positive", "both"))
    return codes, strata.astype(object)
