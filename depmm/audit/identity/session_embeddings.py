"""Voices of sessions as embeddings.

Embeddings are biometric data. They are kept in memory while the audit runs and are never written.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

Key = tuple[str, str, str]  # corpus, subject, session


@dataclass(frozen=True)
class SessionEmbeddings:
    """Voices of sessions.

    Attributes
    ----------
    sessions : DataFrame
        Columns corpus, subject and session of the sessions with enough speech, and ``speech_s``.
    halves : ndarray of float32, shape (n, 2, 256)
        Embedding of the first and the second half of the speech of each session, of length 1.
    without_voice : tuple of tuple of str
        Sessions whose sound is missing, cannot be decoded, or has less than 5 s of speech.
    """

    sessions: pd.DataFrame
    halves: np.ndarray
    without_voice: tuple[Key, ...] = ()


def unit(vectors: np.ndarray) -> np.ndarray:
    """Divide vectors by their length.

    Parameters
    ----------
    vectors : ndarray, shape (..., D)
        The vectors.

    Returns
    -------
    ndarray, shape (..., D)
        Vectors of length 1; a zero vector stays 0.
    """
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: np.ndarray = vectors / np.where(length > 0, length, 1)
    return scaled
