"""Store -> the signals of one session, as a model takes them.

Whatever is drawn at random (augmentation, a part of a long step, frames) depends on (seed, epoch,
session) alone: not on the order of sessions, the number of processes or a resumed run. Without an
epoch nothing is drawn at all.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch.utils.data import Dataset

from depmm.config import SAMPLE_RATE, DataConfig
from depmm.corpora.manifest import SESSION_KEY
from depmm.data.augment import Augmentation, draw_augmentation
from depmm.store.sessions import SessionReader, SessionStore


@dataclass(frozen=True)
class SessionItem:
    """Signals of one session.

    Attributes
    ----------
    number : row in the dataset's table
    audio : one float32 waveform per step, empty where the step has none; None: not asked for
    face : one uint8 array [T, 3, height, width] per step, empty likewise; None: not asked for
    """

    number: int
    audio: list[np.ndarray] | None
    face: list[np.ndarray] | None


class SessionDataset(Dataset[SessionItem]):
    """Sessions of a store.

    Parameters
    ----------
    sessions : columns corpus, subject, session; one row each
    store : where their media lie
    settings : how much of a step a model sees
    seed : of everything random
    """

    def __init__(
        self, sessions: pd.DataFrame, store: SessionStore, settings: DataConfig, seed: int = 0
    ):
        self.keys = list(sessions[SESSION_KEY].itertuples(index=False, name=None))
        self.store = store
        self.settings = settings
        self.seed = seed

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, place: tuple[int | None, int]) -> SessionItem:
        """Read session ``place[1]``, with the draws of epoch ``place[0]`` (None: no draws).

        Raises
        ------
        StoreError : the session is not in the store or damaged
        """
        epoch, number = place
        key = self.keys[number]
        rng = None if epoch is None else np.random.default_rng((self.seed, epoch, number))
        with self.store.read(*key) as reader:
            count = reader.summary["steps"]
            present = {
                "audio": np.array([_samples(reader, step) > 0 for step in range(count)]),
                "face": np.array([len(reader.frames(step)) > 0 for step in range(count)]),
            }
            wanted: dict[str, np.ndarray] = {n: present[n] for n in self.settings.modalities}
            change = draw_augmentation(self.settings.augment, wanted, rng)
            audio = face = None
            if "audio" in wanted:
                audio = [self._audio(reader, step, change, rng) for step in range(count)]
            if "face" in wanted:
                face = [self._face(reader, step, change, rng) for step in range(count)]
        return SessionItem(number, audio, face)

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
        if self.settings.cut_silence:
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
                chosen = np.round((np.arange(wanted) + 0.5) * len(frames) / wanted - 0.5)
            else:
                chosen = np.sort(rng.choice(len(frames), wanted, replace=False))
            frames = frames[chosen.astype(int)]
        crops = np.stack([reader.crop(frame, size) for frame in frames])
        return change.picture(crops.transpose(0, 3, 1, 2))


def _samples(reader: SessionReader, step: int) -> int:
    if "audio.waveform" not in reader.names:
        return 0
    start, end = reader.step_samples[step]
    return int(end - start)


def _first(length: int, limit: int, rng: np.random.Generator | None) -> int:
    spare = max(0, length - limit)
    return spare // 2 if rng is None else int(rng.integers(spare + 1))
