"""Rows of a feature stream, read by encoders of rows."""

from typing import Literal

import numpy as np
import pandas as pd

from depmm.corpora.step_durations import count_restarts
from depmm.data.augment import Augmentation
from depmm.data.errors import DataError
from depmm.data.signals.signal import ReadSession, SessionKey, StepSignal, choose_start
from depmm.data.signals.used import NOT_SELECTED, UsedSignal, count_distinct, count_used
from depmm.store.derived_streams import FACE_STREAMS, track_of
from depmm.store.session_file import SessionReader


class RowsSignal(StepSignal):
    """Rows, float32 (T, F), at most ``data.max_rows`` of each step; NaN where invalid."""

    @property
    def stream(self) -> str:
        """Name of the stream."""
        return self.settings.features[self.modality]

    @property
    def content(self) -> str:
        """What a step with the signal has, in words."""
        return f"rows of {self.stream}"

    @property
    def track(self) -> Literal["audio", "face"] | None:
        """Track that depmm computes the stream from; None if only a corpus can provide it."""
        return track_of(self.stream)

    def is_indexed(self, index: pd.DataFrame) -> pd.Series:
        """Find the sessions with the stream.

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
            If no session has it.
        """
        # missing for a session that is not in the store
        streams = [set() if isinstance(v, float) else set(v) for v in index["streams"]]
        found = pd.Series([self.stream in names for names in streams], index.index, dtype=bool)
        if not found.any():
            store, known = self.settings.store, sorted(set().union(*streams))
            why = ""
            if self.stream in FACE_STREAMS:
                why = (
                    "This stream is computed from tracked faces; aligned faces (faces: aligned in "
                    "the data spec) have no landmarks. "
                )
            raise DataError(
                f"data.features.{self.modality}: no session in {store} has the stream "
                f"{self.stream!r}.",
                setting=f"data.features.{self.modality}",
                file=store,
                value=self.stream,
                remedy=f"{why}Streams of the store: {', '.join(known) or 'none'}.",
            )
        return found

    def present(self, reader: SessionReader) -> np.ndarray:
        """Find the steps with a row.

        Parameters
        ----------
        reader : SessionReader
            The session.

        Returns
        -------
        ndarray of bool, shape (L,)
            Marks these steps.
        """
        rows = reader.step_rows(self.stream)
        present: np.ndarray = rows[:, 1] > rows[:, 0]
        return present

    def empty(self) -> np.ndarray:
        """Return no rows; padding uses the number of features of other steps.

        Returns
        -------
        ndarray, shape (0, ...)
            An array of the type of ``read``.
        """
        return np.zeros((0, 0), np.float32)

    def read(
        self,
        reader: SessionReader,
        key: SessionKey,
        step: int,
        augmentation: Augmentation,
        rng: np.random.Generator | None,
    ) -> np.ndarray:
        """Read the middle of the step, or a random part in training.

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
        first, end = reader.step_rows(self.stream)[step]
        if first == end:
            return self.empty()
        limit = self.settings.max_rows
        first += choose_start(end - first, limit, rng)
        return reader.read_features(self.stream, first, min(end, first + limit))

    def measure(self, session: ReadSession) -> UsedSignal:
        """Count the rows that are read; a row of several steps is counted once.

        Parameters
        ----------
        session : ReadSession
            The session.

        Returns
        -------
        UsedSignal
            The amounts.
        """
        limit = self.settings.max_rows
        every = _row_indices(session.reader, self.stream)
        selected = [rows for rows, read in zip(every, session.step_mask, strict=True) if read]
        starts = [choose_start(len(rows), limit, None) for rows in selected]
        used = [rows[first : first + limit] for first, rows in zip(starts, selected, strict=True)]
        n_selected = count_distinct(selected)
        return count_used(
            f"rows of {self.stream}",
            count_distinct(every),
            {
                NOT_SELECTED: count_distinct(every) - n_selected,
                f"behind data.max_rows = {limit} per step": n_selected - count_distinct(used),
            },
        )


def _row_indices(reader: SessionReader, stream: str) -> list[np.ndarray]:
    """Index the rows of each step in the files, which are stored again in overlapping steps."""
    ranges = reader.step_rows(stream)
    indices = np.arange(ranges.max(initial=0))
    if (name := f"feature.{stream}.time_s") in reader.names:
        start_s, files = reader.summary["step_start_s"], reader.summary.get("step_file")
        file = count_restarts(start_s) if files is None else np.array(files)
        rows = pd.DataFrame({"time": reader.read_tensor(name), "file": -1, "step": -1})
        for step, (first, end) in enumerate(ranges):
            rows.iloc[first:end, 1:] = file[step], step
        rows["repeat"] = rows.groupby(["step", "time"]).cumcount()  # rows of one time
        indices = rows.groupby(["file", "time", "repeat"]).ngroup().to_numpy()
    return [indices[first:end] for first, end in ranges]
