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

from depmm.config import SAMPLE_RATE, DataConfig, Modality
from depmm.data.augment import Augmentation, draw_augmentation
from depmm.data.session_item import SessionItem
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
        signals = [name for name in self.settings.modalities if name not in embedded]
        media: AbstractContextManager[SessionReader | None] = nullcontext()
        if signals:
            media = self.store.read(*key)
        audio = face = None
        with media as reader:
            present = {name: steps for name, (_, steps) in embedded.items()}
            if reader is not None:
                present |= {name: self._present(reader, name) for name in signals}
            present = self._apply_step_mask(index, present, step_mask)
            augmentation = draw_augmentation(self.settings.augment, present, rng)
            if step_mask is not None:
                augmentation = replace(augmentation, step_mask=augmentation.step_mask & step_mask)
            if reader is not None and "audio" in signals:
                audio = self._signal("audio", reader, index, augmentation, rng)
            if reader is not None and "face" in signals:
                face = self._signal("face", reader, index, augmentation, rng)
        rows = {name: _select_embeddings(*embedded[name], name, augmentation) for name in embedded}
        first = self.settings.steps.first
        return SessionItem(
            index,
            None if audio is None else audio[:first],
            None if face is None else face[:first],
            {name: steps[:first] for name, steps in rows.items()},
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
            present = {str(name): self._present(reader, name) for name in self.settings.modalities}
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
            Pixels of the 224 x 224 crops of each step, empty without a face. None if the recording
            shows aligned faces (``faces: aligned`` in the data spec), for which landmarks are not
            known.

        Raises
        ------
        StoreError
            If the session is not in the store.
        """
        with self.store.read(*self.session_keys[index]) as reader:
            if "face.landmarks" not in reader.names:
                return None
            landmarks = []
            for step in range(reader.summary["n_steps"])[: self.settings.steps.first]:
                frames = self._choose_frames(reader, index, step, None)
                points = [reader.read_landmarks(frame) for frame in frames]
                landmarks.append(np.stack(points) if points else np.zeros((0, 478, 2), np.float32))
            return landmarks

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

    def _present(self, reader: SessionReader, modality: Modality) -> np.ndarray:
        """Return which steps have a signal, (L,) bool."""
        if modality in self.settings.features:
            rows = reader.step_rows(self.settings.features[modality])
            present: np.ndarray = rows[:, 1] > rows[:, 0]
            return present
        steps = range(reader.summary["n_steps"])
        if modality == "audio":
            return np.array([_count_samples(reader, step) > 0 for step in steps])
        return np.array([len(reader.face_frames(step)) > 0 for step in steps])

    def _signal(
        self,
        modality: Modality,
        reader: SessionReader,
        index: int,
        augmentation: Augmentation,
        rng: np.random.Generator | None,
    ) -> list[np.ndarray]:
        """Read the input of the encoder of a modality for every step."""
        is_read = augmentation.step_mask & (modality not in augmentation.dropped_modalities)
        if modality in self.settings.features:
            stream = self.settings.features[modality]
            return [
                self._rows(reader, stream, first, end if read else first, rng)
                for (first, end), read in zip(reader.step_rows(stream), is_read, strict=True)
            ]
        if modality == "audio":
            return [
                self._audio(reader, step, augmentation, rng) if read else np.zeros(0, np.float32)
                for step, read in enumerate(is_read)
            ]
        size = self.settings.face_size
        return [
            self._face(reader, index, step, augmentation, rng)
            if read
            else np.zeros((0, 3, size, size), np.uint8)
            for step, read in enumerate(is_read)
        ]

    def _rows(
        self,
        reader: SessionReader,
        stream: str,
        first: int,
        end: int,
        rng: np.random.Generator | None,
    ) -> np.ndarray:
        """Read at most ``max_rows`` rows: the middle of the step, or a random part in training."""
        if first == end:
            return np.zeros(
                (0, 0), np.float32
            )  # padding uses the number of features of other steps
        limit = self.settings.max_rows
        first += _choose_start(end - first, limit, rng)
        return reader.read_features(stream, first, min(end, first + limit))

    def _audio(
        self,
        reader: SessionReader,
        step: int,
        augmentation: Augmentation,
        rng: np.random.Generator | None,
    ) -> np.ndarray:
        """Read at most ``max_audio_s``: the middle of the step, or a random part in training."""
        limit = round(self.settings.max_audio_s * SAMPLE_RATE)
        if self.settings.remove_silence:
            whole = reader.read_waveform(step)
            parts = [whole[start:end] for start, end in reader.read_speech(step)]
            waveform = np.concatenate(parts) if parts else whole
            first = _choose_start(len(waveform), limit, rng)
            waveform = waveform[first : first + limit]
        else:
            first = _choose_start(_count_samples(reader, step), limit, rng)
            waveform = reader.read_waveform(step, first, limit)
        return augmentation.apply_to_audio(waveform, rng)

    def _face(
        self,
        reader: SessionReader,
        index: int,
        step: int,
        augmentation: Augmentation,
        rng: np.random.Generator | None,
    ) -> np.ndarray:
        """Read the chosen crops of a step, in order."""
        size = self.settings.face_size
        frames = self._choose_frames(reader, index, step, rng)
        if len(frames) == 0:
            return np.zeros((0, 3, size, size), np.uint8)
        crops = np.stack([reader.read_crop(frame, size) for frame in frames])
        return augmentation.apply_to_crops(crops.transpose(0, 3, 1, 2))

    def _choose_frames(
        self, reader: SessionReader, index: int, step: int, rng: np.random.Generator | None
    ) -> np.ndarray:
        """Choose frames of a step, in order: evenly spaced, or random with a generator."""
        frames, count = reader.face_frames(step), self.settings.frames_per_step
        if self.settings.frame_choice == "once":
            key = "\x1f".join(self.session_keys[index])  # ids contain no control characters
            rng = np.random.default_rng([*key.encode(), step])
        if rng is None:
            return select_evenly(frames, count)
        if len(frames) > count:
            frames = frames[np.sort(rng.choice(len(frames), count, replace=False))]
        return frames


def _select_embeddings(
    embedding: np.ndarray, present: np.ndarray, modality: str, augmentation: Augmentation
) -> list[np.ndarray]:
    """Return the embedding of each step: (1, K), or (0, K) if the step is masked."""
    is_read = augmentation.step_mask & (modality not in augmentation.dropped_modalities)
    is_read &= present
    first = present.cumsum() - present
    return [embedding[row : row + read] for row, read in zip(first, is_read, strict=True)]


def select_evenly(frames: np.ndarray, count: int) -> np.ndarray:
    """Select evenly spaced frames.

    Parameters
    ----------
    frames : ndarray of int64, shape (T,)
        Indices of frames, in order.
    count : int
        Largest number of frames.

    Returns
    -------
    ndarray of int64, shape (min(T, count),)
        The selected indices.
    """
    if len(frames) <= count:
        return frames
    selected: np.ndarray = frames[
        np.round((np.arange(count) + 0.5) * len(frames) / count - 0.5).astype(int)
    ]
    return selected


def _count_samples(reader: SessionReader, step: int) -> int:
    if "audio.waveform" not in reader.names:
        return 0
    start, end = reader.step_samples[step]
    return int(end - start)


def _choose_start(length: int, limit: int, rng: np.random.Generator | None) -> int:
    """Choose the start of a part of length ``limit``: centred, or random in training."""
    spare = max(0, length - limit)
    return spare // 2 if rng is None else int(rng.integers(spare + 1))
