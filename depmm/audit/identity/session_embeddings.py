"""Voices and faces of sessions as embeddings.

Embeddings are biometric data. They are kept in memory while the audit runs and are never written.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from depmm.schemas.manifest import SESSION_KEY

Key = tuple[str, str, str]  # corpus, subject, session


@dataclass(frozen=True)
class Modality:
    """By what sessions are compared.

    Attributes
    ----------
    name : str
        Word for messages, ``voice`` or ``face``.
    unit : str
        Of the amounts, for messages.
    per_session : float
        Amount that a session needs to be compared with others; less is used only to describe the
        subject.
    per_subject : float
        Amount that a subject needs in all sessions together.
    circumstances : str
        What else can explain a similarity, for messages.
    """

    name: str
    unit: str
    per_session: float
    per_subject: float
    circumstances: str


VOICE = Modality("voice", "s of speech", 5, 10, "room and microphone")
FACE = Modality("face", "frames with a face", 4, 4, "camera and light")


@dataclass(frozen=True)
class SessionEmbeddings:
    """Voices or faces of sessions.

    Attributes
    ----------
    modality : Modality
        What is embedded.
    sessions : DataFrame
        Columns corpus, subject and session, and ``amount`` in the unit of the modality.
    halves : ndarray of float32, shape (n, 2, D)
        Embedding of the first and the second half of each session, of length 1. They are equal if
        the session has a single window or frame.
    missing : tuple of tuple of str
        Sessions without an embedding: the recording is missing, cannot be decoded, or has no speech
        or face.
    """

    modality: Modality
    sessions: pd.DataFrame
    halves: np.ndarray
    missing: tuple[Key, ...] = ()

    def long_sessions(self) -> "SessionEmbeddings":
        """Select the sessions that can be compared one by one.

        Returns
        -------
        SessionEmbeddings
            The sessions with the amount of ``per_session``; the others are listed in ``missing``.
        """
        is_long = self.sessions["amount"].to_numpy() >= self.modality.per_session
        short = self.sessions.loc[~is_long, SESSION_KEY].itertuples(index=False, name=None)
        return SessionEmbeddings(
            self.modality,
            self.sessions[is_long].reset_index(drop=True),
            self.halves[is_long],
            tuple(sorted([*self.missing, *short])),
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
