"""Interface of the signals: one class per kind, in a separate file each."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from depmm.config import DataConfig
from depmm.data.augment import Augmentation
from depmm.data.signals.used import UsedSignal
from depmm.store.session_file import SessionReader

SessionKey = tuple[str, str, str]


@dataclass(frozen=True)
class ReadSession:
    """What is known of a stored session whose amount of signal is measured.

    Attributes
    ----------
    reader : SessionReader
        The session.
    files : sequence of str or None, length L
        File with the sound of each step.
    step_mask : ndarray of bool, shape (L,)
        Steps that are read.
    duration_s : float, optional
        Length of the recording in seconds, if all steps are parts of it; by default, a recording
        ends with its last step.
    max_crops : int, optional
        Largest number of crops of a step that the encoder reads; by default all of them.
    """

    reader: SessionReader
    files: Sequence[str | None]
    step_mask: np.ndarray
    duration_s: float | None = None
    max_crops: int | None = None


class StepSignal(ABC):
    """The signal of one modality in the steps of stored sessions.

    Parameters
    ----------
    modality : str
        Name of the modality.
    settings : DataConfig
        Part of a step that is read.

    Attributes
    ----------
    on_host : bool
        Whether the signal of a batch stays on the CPU, because its encoder reads it there.
    """

    on_host = False

    def __init__(self, modality: str, settings: DataConfig) -> None:
        self.modality, self.settings = modality, settings

    @property
    def content(self) -> str:
        """What a step with the signal has, in words."""
        return self.settings.signal_of(self.modality).content

    @property
    def track(self) -> Literal["audio", "face"] | None:
        """Track of a recording that the signal is computed from; None for another file."""
        return self.settings.signal_of(self.modality).track

    @abstractmethod
    def is_indexed(self, index: pd.DataFrame) -> pd.Series:
        """Find the sessions that have the signal, in the index of the store.

        Parameters
        ----------
        index : DataFrame
            Rows of the index; missing values for a session that is not in the store.

        Returns
        -------
        Series of bool
            With the index of the rows.
        """

    @abstractmethod
    def present(self, reader: SessionReader) -> np.ndarray:
        """Find the steps that have the signal.

        Parameters
        ----------
        reader : SessionReader
            The session.

        Returns
        -------
        ndarray of bool, shape (L,)
            Marks these steps.
        """

    @abstractmethod
    def empty(self) -> np.ndarray:
        """Return the signal of a step without it.

        Returns
        -------
        ndarray, shape (0, ...)
            An array of the same type and further axes as ``read`` returns.
        """

    @abstractmethod
    def read(
        self,
        reader: SessionReader,
        key: SessionKey,
        step: int,
        augmentation: Augmentation,
        rng: np.random.Generator | None,
    ) -> np.ndarray:
        """Read the part of a step that the encoder receives.

        Parameters
        ----------
        reader : SessionReader
            The session.
        key : tuple of str
            Corpus, subject and session.
        step : int
            Index of the step.
        augmentation : Augmentation
            Changes of the signal.
        rng : Generator or None
            Draws the part in training. None, as for evaluation: nothing is random.

        Returns
        -------
        ndarray, shape (T, ...)
            Samples, crops, bytes or rows; empty if the step does not have the signal.
        """

    @abstractmethod
    def measure(self, session: ReadSession) -> UsedSignal:
        """Measure how much of a session is read in evaluation, and what is left out and why.

        Parameters
        ----------
        session : ReadSession
            The session.

        Returns
        -------
        UsedSignal
            The amounts.
        """


def choose_start(length: int, limit: int, rng: np.random.Generator | None) -> int:
    """Choose the start of a part of a step.

    Parameters
    ----------
    length : int
        Length of the step.
    limit : int
        Largest length of the part.
    rng : Generator or None
        Draws the start; None: the part is the middle of the step.

    Returns
    -------
    int
        First position of the part.
    """
    spare = max(0, length - limit)
    return spare // 2 if rng is None else int(rng.integers(spare + 1))
