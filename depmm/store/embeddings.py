"""Kept output of frozen encoders: each session once, beside the store it was computed from.

A file lies under ``<store>/embeddings/<key>/``, named like the session's own, and holds
``embedding`` [L', K] float32, one row for each step that has the modality, and ``present`` [L]
bool, which steps those are. The key stands for everything that the rows depend on; what the store
said of the session then is kept with them, so that a session extracted anew is embedded anew. All
of ``embeddings`` may be deleted at any time: what is needed is made again.
"""

import hashlib
import json

import numpy as np
import torch

from depmm.config import DataConfig
from depmm.models.encoders.encoder import PrecomputableEncoder as PrecomputableEncoder
from depmm.store.sessions import SessionStore, SessionWriter, StoreError

EMBEDDING_VERSION = 1  # raise it when code changes what a frozen encoder computes
# settings of DataConfig that a modality's signal depends on at evaluation
SIGNAL_SETTINGS = {
    "audio": ("max_audio_s", "remove_silence"),
    "face": ("frames_per_step", "face_size"),
}


def embedding_key(
    encoder: PrecomputableEncoder, modality: str, data: DataConfig, store: SessionStore
) -> str:
    """Name everything that an embedding depends on in twelve characters.

    Parameters
    ----------
    encoder : its frozen tensors count byte by byte, so their origin does not matter
    modality : audio or face
    data : how much of a step the encoder sees
    store : its extraction settings count, its place does not
    """
    signal = {name: getattr(data, name) for name in SIGNAL_SETTINGS[modality]}
    kind = type(encoder).__name__
    content = [
        EMBEDDING_VERSION,
        kind,
        encoder.precompute_settings,
        modality,
        signal,
        store.settings_hash,
    ]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name, tensor in sorted(encoder.backbone.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:12]


class EmbeddingStore:
    """The embeddings of one frozen encoder for the sessions of a store.

    Parameters
    ----------
    store : where the sessions lie
    key : from ``embedding_key``
    """

    def __init__(self, store: SessionStore, key: str):
        self.store = store
        self.kept = SessionStore(f"{store.url.rstrip('/')}/embeddings/{key}", store.settings)

    def has(self, corpus: str, subject: str, session: str) -> bool:
        """Whether the session was embedded as the store has it now, into a whole file."""
        try:
            kept = self.kept.summary(corpus, subject, session)
            return bool(kept.get("session") == self.store.summary(corpus, subject, session))
        except StoreError:
            return False

    def write(
        self, corpus: str, subject: str, session: str, embedding: np.ndarray, present: np.ndarray
    ) -> None:
        """Keep the embedding of a session; its file appears whole or not at all.

        Parameters
        ----------
        corpus, subject, session : which one
        embedding : [L', K] float32
        present : [L] bool with L' times True

        Raises
        ------
        StoreError : the store does not hold the session
        """
        assert len(embedding) == present.sum(), (embedding.shape, present)
        summary = self.store.summary(corpus, subject, session)
        with SessionWriter() as writer:
            writer.append("embedding", embedding)
            writer.append("present", present)
            file = writer.save({"session": summary})
            self.kept.put(file, self.kept.path(corpus, subject, session))

    def read(self, corpus: str, subject: str, session: str) -> tuple[np.ndarray, np.ndarray]:
        """Read what ``write`` was given.

        Raises
        ------
        StoreError : it is not there, or the file is damaged
        """
        try:
            with self.kept.read(corpus, subject, session) as reader:
                return reader.tensor("embedding"), reader.tensor("present")
        except StoreError:
            path = self.kept.path(corpus, subject, session)
            raise StoreError(
                f"{path}: no embedding, or a damaged one. Start training again: it is made anew."
            ) from None
