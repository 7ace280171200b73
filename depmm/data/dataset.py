"""Signals of sessions, as inputs of a model.

All random choices (augmentation, the part of a long step, the frames) depend only on (seed, epoch,
session), not on the order of sessions, the number of processes or whether a run is resumed. Without
an epoch, nothing is random, except frames that ``data.frame_choice`` draws once.
"""

import copy
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
import pandas as pd
from torch.utils.data import Dataset

from depmm.config import AugmentConfig, DataConfig
from depmm.data.augment import draw_augmentation
from depmm.data.session_item import SessionItem
from depmm.data.signals.build import build_signals
from depmm.data.signals.crops import CropsSignal
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.embeddings import EmbeddingStore
from depmm.store.errors import StoreError
from depmm.store.session_file import SessionReader
from depmm.store.sessions import SessionStore


class SessionDataset(Dataset[SessionItem]):
    """Sessions of a store.

    Parameters
    ----------
    sessions : DataFrame
        Columns corpus, subject and session, one row per session.
    store : SessionStore
        Store of the signals.
    settings : DataConfig
        Modalities, and the part of a step that is read. With ``steps.first``, items contain the
        first steps only.
    seed : int, default 0
        Seed of all random choices.
    step_masks : list of ndarray of bool, shape (L,), optional
        Steps of each session that are read, of all steps in the store; by default all of them.

    Attributes
    ----------
    session_keys : list of tuple of str
        Corpus, subject and session id of each row.
    embeddings : dict of str to EmbeddingStore
        Stores of the modalities that are read as embeddings.
    """

    def __init__(
        self,
        sessions: pd.DataFrame,
        store: SessionStore,
        settings: DataConfig,
        seed: int = 0,
        step_masks: list[np.ndarray] | None = None,
    ) -> None:
        self.session_keys: list[tuple[str, str, str]] = list(
            sessions[SESSION_KEY].itertuples(index=False, name=None)
        )
        self.store = store
        self.settings = settings
        self.seed = seed
        self.step_masks = step_masks
        self.embeddings: dict[str, EmbeddingStore] = {}

    def __len__(self) -> int:
        return len(self.session_keys)

    def with_embeddings(self, embeddings: dict[str, EmbeddingStore]) -> "SessionDataset":
        """Copy the dataset such that embeddings replace some signals.

        Parameters
        ----------
        embeddings : dict of str to EmbeddingStore
            Stores of the embeddings by modality.

        Returns
        -------
        SessionDataset
            Dataset of the same sessions.
        """
        other = copy.copy(self)
        other.embeddings = embeddings
        return other

    def restricted_to(self, modalities: list[str]) -> "SessionDataset":
        """Copy the dataset such that items have some modalities only.

        Parameters
        ----------
        modalities : list of str
            Modalities of the dataset.

        Returns
        -------
        SessionDataset
            Dataset of the same sessions, without augmentation.
        """
        features = {name: self.settings.features[name] for name in modalities
                    if name in self.settings.features}  # fmt: skip
        other = copy.copy(self)
        other.settings = self.settings.model_copy(
            update={
                "modalities": modalities,
                "features": features,
                "augment": AugmentConfig(),
            }
        )
        return other

    def __getitem__(self, epoch_and_index: tuple[int | None, int]) -> SessionItem:
        """Read a session.

        Parameters
        ----------
        epoch_and_index : tuple of (int or None, int)
            Epoch for which augmentation is drawn (None: no augmentation), and row of the dataset.

        Returns
        -------
        SessionItem
            Its signals.

        Raises
        ------
        StoreError
            If the session or its embedding is missing or damaged, or has another number of steps
            than its mask.
        """
        epoch, index = epoch_and_index
        rng = None if epoch is None else np.random.default_rng((self.seed, epoch, index))
        step_mask = None if self.step_masks is None else self.step_masks[index]
        return self._read(index, step_mask, rng)

    def read_step(self, epoch: int | None, index: int, step: int, n_steps: int) -> SessionItem:
        """Read one step of a session, as a training sample.

        Parameters
        ----------
        epoch : int or None
            Epoch for which augmentation is drawn, independently of the other steps; None for no
            augmentation.
        index : int
            Row of the dataset.
        step : int
            Index of the step in the session.
        n_steps : int
            Number of steps of the session.

        Returns
        -------
        SessionItem
            The session as if it had this step only.

        Raises
        ------
        StoreError
            As for ``__getitem__``.
        """
        rng = None if epoch is None else np.random.default_rng((self.seed, epoch, index, step))
        step_mask = np.arange(n_steps) == step
        return self._read(index, step_mask, rng).select_step(step)

    def _read(
        self, index: int, step_mask: np.ndarray | None, rng: np.random.Generator | None
    ) -> SessionItem:
        """Read the steps of a mask; the others are empty."""
        key = self.session_keys[index]
        embedded = {name: store.read(*key) for name, store in self.embeddings.items()}
        read = {n: s for n, s in build_signals(self.settings).items() if n not in embedded}
        media: AbstractContextManager[SessionReader | None] = nullcontext()
        if read:
            media = self.store.read(*key)
        items: dict[str, list[np.ndarray]] = {}
        with media as reader:
            present = {name: steps for name, (_, steps) in embedded.items()}
            if reader is not None:
                present |= {name: signal.present(reader) for name, signal in read.items()}
            present = self._apply_step_mask(index, present, step_mask)
            augmentation = draw_augmentation(self.settings.augment, present, rng)
            if step_mask is not None:
                augmentation = replace(augmentation, step_mask=augmentation.step_mask & step_mask)
            if reader is not None:
                for name, signal in read.items():
                    items[name] = [
                        signal.read(reader, key, step, augmentation, rng)
                        if is_read
                        else signal.empty()
                        for step, is_read in enumerate(augmentation.keeps(name))
                    ]
        for name, (rows, steps) in embedded.items():
            items[name] = _select_embeddings(rows, steps, augmentation.keeps(name))
        first = self.settings.steps.first
        return SessionItem(
            index,
            {name: steps[:first] for name, steps in sorted(items.items())},
            embedded=frozenset(embedded),
            on_host=frozenset(name for name, signal in read.items() if signal.on_host),
        )

    def present_steps(self, index: int) -> dict[str, np.ndarray]:
        """Find the steps of a session that have a signal, after the step mask.

        Parameters
        ----------
        index : int
            Row of the dataset.

        Returns
        -------
        dict of str to ndarray of bool, shape (L,)
            Steps that have each modality.

        Raises
        ------
        StoreError
            If the session is missing or damaged, or has another number of steps than its mask.
        """
        step_mask = None if self.step_masks is None else self.step_masks[index]
        with self.store.read(*self.session_keys[index]) as reader:
            signals = build_signals(self.settings)
            present = {name: signal.present(reader) for name, signal in signals.items()}
        return self._apply_step_mask(index, present, step_mask)

    def landmarks(self, index: int) -> list[np.ndarray] | None:
        """Read the landmarks of the crops that are read without augmentation.

        Parameters
        ----------
        index : int
            Row of the dataset.

        Returns
        -------
        list of ndarray of float32, shape (T, 478, 2), or None
            Pixels of the 224 x 224 crops of each step, empty without a face. None if no modality
            reads crops, or if the recording shows aligned faces (``faces: aligned`` in the data
            spec), for which landmarks are not known.

        Raises
        ------
        StoreError
            If the session is not in the store.
        """
        key = self.session_keys[index]
        for signal in build_signals(self.settings).values():
            if isinstance(signal, CropsSignal):
                with self.store.read(*key) as reader:
                    return signal.landmarks(reader, key)
        return None

    def _apply_step_mask(
        self, index: int, present: dict[str, np.ndarray], mask: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Restrict the steps of each modality, (L,) bool, to those of the mask."""
        if mask is None:
            return present
        if other := [len(steps) for steps in present.values() if len(steps) != len(mask)]:
            corpus, subject, session = self.session_keys[index]
            raise StoreError(
                f"session {corpus}/{subject}/{session} has {other[0]} steps in the store and "
                f"{len(mask)} in the manifest.",
                subject=subject,
                session=session,
                value=other[0],
                remedy="Run depmm extract again.",
            )
        return {name: steps & mask for name, steps in present.items()}


def _select_embeddings(
    embedding: np.ndarray, present: np.ndarray, is_read: np.ndarray
) -> list[np.ndarray]:
    """Return the embedding of each step: (1, K), or (0, K) if the step is masked."""
    is_read = is_read & present
    first = present.cumsum() - present
    return [embedding[row : row + read] for row, read in zip(first, is_read, strict=True)]
