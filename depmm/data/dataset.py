"""Store -> the signals of one session, as a model takes them.

Whatever is drawn at random (augmentation, a part of a long step, frames) depends on (seed, epoch,
session) alone: not on the order of sessions, the number of processes or a resumed run. Without an
epoch nothing is drawn at all.
"""

import copy
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from torch.utils.data import Dataset

from depmm.config import SAMPLE_RATE, DataConfig, Modality
from depmm.corpora.manifest import SESSION_KEY
from depmm.data.augment import Augmentation, draw_augmentation
from depmm.store.embeddings import EmbeddingStore
from depmm.store.sessions import SessionReader, SessionStore, StoreError


@dataclass(frozen=True)
class SessionItem:
    """Signals of one session.

    Attributes
    ----------
    index : row in the dataset's table
    audio : one float32 waveform per step, empty where the step has none; None: not asked for
    face : one uint8 array [T, 3, height, width] per step, empty likewise; None: not asked for. Of a
        modality that is read from a stream of features: one float32 array [T, F] per step
    embeddings : of the modalities that are read embedded: one float32 array per step, [1, K], or
        [0, K] where the step has none
    """

    index: int
    audio: list[np.ndarray] | None
    face: list[np.ndarray] | None
    embeddings: dict[str, list[np.ndarray]] = field(default_factory=dict)


class SessionDataset(Dataset[SessionItem]):
    """Sessions of a store.

    Parameters
    ----------
    sessions : columns corpus, subject, session; one row each
    store : where their media lie
    settings : how much of a step a model sees
    seed : of everything random
    step_masks : one [L] bool per session, which steps are shown; None: all
    """

    def __init__(
        self,
        sessions: pd.DataFrame,
        store: SessionStore,
        settings: DataConfig,
        seed: int = 0,
        step_masks: list[np.ndarray] | None = None,
    ):
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
        """The same sessions, read embedded where there is a store for the modality."""
        other = copy.copy(self)
        other.embeddings = embeddings
        return other

    def __getitem__(self, place: tuple[int | None, int]) -> SessionItem:
        """Read session ``place[1]``, with the draws of epoch ``place[0]`` (None: no draws).

        Raises
        ------
        StoreError : the session or its embedding is not in the store or damaged, or has other
            steps than its mask
        """
        epoch, index = place
        key = self.session_keys[index]
        rng = None if epoch is None else np.random.default_rng((self.seed, epoch, index))
        kept = {name: store.read(*key) for name, store in self.embeddings.items()}
        signals = [name for name in self.settings.modalities if name not in kept]
        media: AbstractContextManager[SessionReader | None] = nullcontext()
        if signals:
            media = self.store.read(*key)
        audio = face = None
        with media as reader:
            present = {name: there for name, (_, there) in kept.items()}
            if reader is not None:
                present |= {name: self._present(reader, name) for name in signals}
            present = self._apply_step_mask(index, present)
            change = draw_augmentation(self.settings.augment, present, rng)
            if self.step_masks is not None:
                change = replace(change, kept=change.kept & self.step_masks[index])
            steps = range(len(change.kept))
            if reader is not None and "audio" in signals:
                audio = self._signal("audio", reader, steps, change, rng)
            if reader is not None and "face" in signals:
                face = self._signal("face", reader, steps, change, rng)
        rows = {name: _shown_rows(*kept[name], name, change) for name in kept}
        return SessionItem(index, audio, face, rows)

    def has_signal(self, index: int) -> bool:
        """Whether a step that takes part has a signal, of one modality at least.

        Raises
        ------
        StoreError : the session is not in the store or damaged, or has other steps than its mask
        """
        with self.store.read(*self.session_keys[index]) as reader:
            there = {str(name): self._present(reader, name) for name in self.settings.modalities}
        return any(steps.any() for steps in self._apply_step_mask(index, there).values())

    def landmarks(self, index: int) -> list[np.ndarray] | None:
        """Read where the face lies in the crops that a session shows without draws.

        Returns
        -------
        one float32 array [T, 478, 2] per step, in pixels of a 224 x 224 crop, empty where the step
        shows no face; None where the recording came aligned (spec: face_aligned), so that where
        eyes or mouth lie is not known

        Raises
        ------
        StoreError : the session is not in the store
        """
        with self.store.read(*self.session_keys[index]) as reader:
            if "face.landmarks" not in reader.names:
                return None
            shown = [
                _spread(reader.frames(step), self.settings.frames_per_step)
                for step in range(reader.summary["n_steps"])
            ]
            empty = np.zeros((0, 478, 2), np.float32)
            return [
                np.stack([reader.landmarks(frame) for frame in frames]) if len(frames) else empty
                for frames in shown
            ]

    def _apply_step_mask(self, index: int, present: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Which of the steps that take part have a signal, modality -> [L] bool."""
        if self.step_masks is None:
            return present
        shown = self.step_masks[index]
        if other := [len(there) for there in present.values() if len(there) != len(shown)]:
            corpus, subject, session = self.session_keys[index]
            raise StoreError(
                f"session {corpus}/{subject}/{session} has {other[0]} steps in the store, "
                f"{len(shown)} in the manifest.",
                subject=subject,
                session=session,
                value=other[0],
                remedy="Run depmm extract again.",
            )
        return {name: there & shown for name, there in present.items()}

    def _present(self, reader: SessionReader, modality: Modality) -> np.ndarray:
        """Which steps have a signal, [L] bool."""
        if modality in self.settings.features:
            rows = reader.rows(self.settings.features[modality])
            return rows[:, 1] > rows[:, 0]
        return _present(reader, modality)

    def _signal(
        self,
        modality: Modality,
        reader: SessionReader,
        steps: range,
        change: Augmentation,
        rng: np.random.Generator | None,
    ) -> list[np.ndarray]:
        """What the encoder of a modality takes of every step."""
        if modality in self.settings.features:
            stream = self.settings.features[modality]
            shown = change.kept & (modality not in change.hidden)
            return [
                self._rows(reader, stream, first, end if there else first, rng)
                for (first, end), there in zip(reader.rows(stream), shown, strict=True)
            ]
        read = self._audio if modality == "audio" else self._face
        return [read(reader, step, change, rng) for step in steps]

    def _rows(
        self,
        reader: SessionReader,
        stream: str,
        first: int,
        end: int,
        rng: np.random.Generator | None,
    ) -> np.ndarray:
        """Rows of a step, at most ``max_rows``: the middle, or in training a random part."""
        if first == end:
            return np.zeros((0, 0), np.float32)  # how wide it would be, only other steps know
        limit = self.settings.max_rows
        first += _first(end - first, limit, rng)
        return reader.features(stream, first, min(end, first + limit))

    def _audio(
        self,
        reader: SessionReader,
        step: int,
        change: Augmentation,
        rng: np.random.Generator | None,
    ) -> np.ndarray:
        """Sound of a step, at most ``max_audio_s``: the middle, or in training a random part."""
        if "audio" in change.hidden or not change.kept[step]:
            return np.zeros(0, np.float32)
        limit = round(self.settings.max_audio_s * SAMPLE_RATE)
        if self.settings.remove_silence:
            whole = reader.waveform(step)
            parts = [whole[start:end] for start, end in reader.speech(step)]
            waveform = np.concatenate(parts) if parts else whole
            first = _first(len(waveform), limit, rng)
            waveform = waveform[first : first + limit]
        else:
            first = _first(_samples(reader, step), limit, rng)
            waveform = reader.waveform(step, first, limit)
        return change.sound(waveform, rng)

    def _face(
        self,
        reader: SessionReader,
        step: int,
        change: Augmentation,
        rng: np.random.Generator | None,
    ) -> np.ndarray:
        """Crops of a step, evenly spread, or in training a random choice in order."""
        size, wanted = self.settings.face_size, self.settings.frames_per_step
        frames = reader.frames(step)
        if "face" in change.hidden or not change.kept[step] or len(frames) == 0:
            return np.zeros((0, 3, size, size), np.uint8)
        if len(frames) > wanted:
            if rng is None:
                frames = _spread(frames, wanted)
            else:
                frames = frames[np.sort(rng.choice(len(frames), wanted, replace=False))]
        crops = np.stack([reader.crop(frame, size) for frame in frames])
        return change.picture(crops.transpose(0, 3, 1, 2))


def _present(reader: SessionReader, modality: str) -> np.ndarray:
    """Which steps have a signal, [L] bool."""
    steps = range(reader.summary["n_steps"])
    if modality == "audio":
        return np.array([_samples(reader, step) > 0 for step in steps])
    return np.array([len(reader.frames(step)) > 0 for step in steps])


def _shown_rows(
    embedding: np.ndarray, present: np.ndarray, modality: str, change: Augmentation
) -> list[np.ndarray]:
    """Rows of the steps as an augmentation leaves them: [1, K] each, or [0, K]."""
    shown = present & change.kept & (modality not in change.hidden)
    first = present.cumsum() - present
    return [embedding[row : row + there] for row, there in zip(first, shown, strict=True)]


def _spread(frames: np.ndarray, wanted: int) -> np.ndarray:
    """At most ``wanted`` frames, evenly spread."""
    if len(frames) <= wanted:
        return frames
    return frames[np.round((np.arange(wanted) + 0.5) * len(frames) / wanted - 0.5).astype(int)]


def _samples(reader: SessionReader, step: int) -> int:
    if "audio.waveform" not in reader.names:
        return 0
    start, end = reader.step_samples[step]
    return int(end - start)


def _first(length: int, limit: int, rng: np.random.Generator | None) -> int:
    spare = max(0, length - limit)
    return spare // 2 if rng is None else int(rng.integers(spare + 1))
