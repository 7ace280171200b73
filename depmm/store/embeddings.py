"""Precomputed embeddings of frozen encoders, in the folder of the store.

The embedding file of a session is in ``<store>/embeddings/<key>/`` and has the same name as the
session file. It contains ``embedding``, (L', K) float32, with one row per step that has the
modality, and ``present``, (L,) bool, which marks these steps. The key identifies everything that
the rows depend on. The file also contains the summary of the session: if the session is extracted
again, its embedding is computed again. You can delete the folder ``embeddings`` at any time.
"""

import hashlib
import json

import numpy as np

from depmm.config import DataConfig
from depmm.models.encoders.encoder import PrecomputableEncoder as PrecomputableEncoder
from depmm.models.weights import add_tensors
from depmm.store.errors import StoreError
from depmm.store.sessions import SessionStore
from depmm.store.tensor_file import TensorFile

EMBEDDING_VERSION = 1  # increase it when a code change alters the output of a frozen encoder


def embedding_key(
    encoder: PrecomputableEncoder, modality: str, data: DataConfig, store: SessionStore
) -> str:
    """Compute the key of everything that an embedding depends on.

    Parameters
    ----------
    encoder : PrecomputableEncoder
        Frozen encoder. Its tensors are hashed, so that their origin does not matter.
    modality : str
        Modality of the encoder.
    data : DataConfig
        Settings that determine the signal that the encoder reads.
    store : SessionStore
        Store of the sessions. Its extraction settings are part of the key, its location is not.

    Returns
    -------
    str
        Twelve hexadecimal digits.
    """
    signal = {name: getattr(data, name) for name in data.signal_of(modality).settings}
    encoder_class, settings = type(encoder).__name__, encoder.precompute_settings
    content = [EMBEDDING_VERSION, encoder_class, settings, modality, signal, store.settings_hash]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    add_tensors(digest, encoder.backbone.state_dict())
    return digest.hexdigest()[:12]


class EmbeddingStore:
    """The embeddings of one frozen encoder for the sessions of a store.

    Parameters
    ----------
    store : SessionStore
        The sessions.
    key : str
        From :func:`embedding_key`.

    Attributes
    ----------
    files : SessionStore
        The files of the embeddings.
    """

    def __init__(self, store: SessionStore, key: str) -> None:
        self.store = store
        self.files = SessionStore(f"{store.url.rstrip('/')}/embeddings/{key}", store.settings)

    def has(self, corpus: str, subject: str, session: str) -> bool:
        """Check whether the embedding of a session exists and is up to date.

        Parameters
        ----------
        corpus, subject, session : str
            Key of the session.

        Returns
        -------
        bool
            True if it was computed from the session that is in the store now.
        """
        try:
            with self.files.read_tensors(corpus, subject, session) as file:
                file.verify()  # a damaged embedding is computed again
                _read(file)
            stored = self.files.read_summary(corpus, subject, session)
            current = self.store.read_summary(corpus, subject, session)
        except (StoreError, KeyError, ValueError):
            return False
        return bool(stored.get("session") == current)

    def write(
        self, corpus: str, subject: str, session: str, embedding: np.ndarray, present: np.ndarray
    ) -> None:
        """Store the embedding of a session; the file is written atomically.

        Parameters
        ----------
        corpus, subject, session : str
            Key of the session.
        embedding : ndarray of float32, shape (L', K)
            One row per step that has the modality.
        present : ndarray of bool, shape (L,)
            Marks these steps.

        Raises
        ------
        StoreError
            If the session is not in the store.
        """
        assert len(embedding) == present.sum(), (embedding.shape, present)
        summary = self.store.read_summary(corpus, subject, session)
        with self.files.writer() as writer:
            writer.append("embedding", embedding)
            writer.append("present", present)
            file = writer.save({"session": summary})
            self.files.put(file, self.files.path(corpus, subject, session))

    def read(self, corpus: str, subject: str, session: str) -> tuple[np.ndarray, np.ndarray]:
        """Read the embedding of a session.

        Parameters
        ----------
        corpus, subject, session : str
            Key of the session.

        Returns
        -------
        embedding : ndarray of float32, shape (L', K)
            One row per step that has the modality.
        present : ndarray of bool, shape (L,)
            Marks these steps.

        Raises
        ------
        StoreError
            If there is no embedding, or its file is damaged.
        """
        try:
            with self.files.read_tensors(corpus, subject, session) as file:
                return _read(file)
        except (StoreError, KeyError, ValueError):
            path = self.files.path(corpus, subject, session)
            raise StoreError(
                f"{path}: the embedding is missing or damaged.",
                file=path,
                subject=subject,
                session=session,
                remedy="Start training again: it is computed again.",
            ) from None


def _read(file: TensorFile) -> tuple[np.ndarray, np.ndarray]:
    """Read embedding and marks, and compare their types and sizes."""
    embedding, present = file.read("embedding"), file.read("present")
    types = (str(embedding.dtype), embedding.ndim, str(present.dtype), present.ndim)
    if types != ("float32", 2, "bool", 1) or len(embedding) != present.sum():
        raise ValueError(types)
    return embedding, present
