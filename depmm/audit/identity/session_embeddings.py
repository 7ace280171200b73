"""Voices of sessions as embeddings.

Embeddings are biometric data. They are kept in memory while the audit runs and are never written.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from depmm.schemas.manifest import SESSION_KEY

Key = tuple[str, str, str]  # corpus, subject, session
MIN_SPEECH_S = 5.0  # less speech of a session is used only to describe the subject


@dataclass(frozen=True)
class SessionEmbeddings:
    """Voices of sessions.

    Attributes
    ----------
    sessions : DataFrame
        Columns corpus, subject and session of the sessions with speech, and ``speech_s``.
    halves : ndarray of float32, shape (n, 2, 256)
        Embedding of the first and the second half of the speech of each session, of length 1. They
        are equal if the session has a single window.
    without_voice : tuple of tuple of str
        Sessions whose sound is missing, cannot be decoded, or has no speech.
    """

    sessions: pd.DataFrame
    halves: np.ndarray
    without_voice: tuple[Key, ...] = ()

    def long_sessions(self) -> "SessionEmbeddings":
        """Select the sessions that can be compared one by one.

        Returns
        -------
        SessionEmbeddings
            The sessions with at least 5 s of speech; the others are listed in ``without_voice``.
        """
        is_long = self.sessions["speech_s"].to_numpy() >= MIN_SPEECH_S
        short = self.sessions.loc[~is_long, SESSION_KEY].itertuples(index=False, name=None)
        return SessionEmbeddings(
            self.sessions[is_long].reset_index(drop=True),
            self.halves[is_long],
            tuple(sorted([*self.without_voice, *short])),
        )


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
