"""The text of steps, read by encoders of text."""

import numpy as np
import pandas as pd

from depmm.data.augment import Augmentation
from depmm.data.errors import DataError
from depmm.data.signals.signal import ReadSession, SessionKey, StepSignal
from depmm.data.signals.used import NOT_SELECTED, UsedSignal, count_used
from depmm.store.session_file import SessionReader


class TextSignal(StepSignal):
    """UTF-8 bytes of the text of each step, uint8 (T,); an encoder limits the number of tokens."""

    on_host = True

    def is_indexed(self, index: pd.DataFrame) -> pd.Series:
        """Find the sessions with text.

        Parameters
        ----------
        index : DataFrame
            Rows of the index; missing values for a session that is not in the store.

        Returns
        -------
        Series of bool
            With the index of the rows.

        Raises
        ------
        DataError
            If no session has text.
        """
        found = index["n_steps_with_text"] > 0
        if not found.any():
            store = self.settings.store
            raise DataError(
                f"data.modalities contains text, but no session in {store} has text.",
                setting="data.modalities",
                file=store,
                value="text",
                remedy="The manifest has no transcript, its steps are windows, or its data spec "
                "states that the speaker is unknown (steps.text_speaker). Remove text from "
                "data.modalities.",
            )
        return found

    def present(self, reader: SessionReader) -> np.ndarray:
        """Find the steps with text.

        Parameters
        ----------
        reader : SessionReader
            The session.

        Returns
        -------
        ndarray of bool, shape (L,)
            Marks these steps.
        """
        steps = range(reader.summary["n_steps"])
        return np.array([reader.read_text(step) != "" for step in steps])

    def empty(self) -> np.ndarray:
        """Return no bytes.

        Returns
        -------
        ndarray, shape (0, ...)
            An array of the type of ``read``.
        """
        return np.zeros(0, np.uint8)

    def read(
        self,
        reader: SessionReader,
        key: SessionKey,
        step: int,
        augmentation: Augmentation,
        rng: np.random.Generator | None,
    ) -> np.ndarray:
        """Read the whole text of a step.

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
            Draws the part in training.

        Returns
        -------
        ndarray, shape (T, ...)
            The signal, as described for the class.
        """
        # a copy, because a tensor must not share the read-only memory of bytes
        return np.frombuffer(reader.read_text(step).encode(), np.uint8).copy()

    def measure(self, session: ReadSession) -> UsedSignal:
        """Count the words that are read.

        Parameters
        ----------
        session : ReadSession
            The session.

        Returns
        -------
        UsedSignal
            The amounts.
        """
        steps = range(session.reader.summary["n_steps"])
        words = np.array([len(session.reader.read_text(step).split()) for step in steps], int)
        total = int(words.sum())
        left_out = int(words[~session.step_mask].sum())
        return count_used("words", total, {NOT_SELECTED: left_out})
