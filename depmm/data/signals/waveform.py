"""The sound of steps, read by encoders of waveforms."""

import numpy as np
import pandas as pd

from depmm.config import SAMPLE_RATE
from depmm.data.augment import Augmentation
from depmm.data.signals.signal import ReadSession, SessionKey, StepSignal, choose_start
from depmm.data.signals.used import NOT_SELECTED, OUTSIDE, UsedSignal
from depmm.store.session_file import SessionReader
from depmm.store.step_coverage import union_s

SHORTEST_S = 0.05  # a shorter part is a rounding of step times, not a part that is left out


class WaveformSignal(StepSignal):
    """Waveforms, float32 (T,), at most ``data.max_audio_s`` of each step."""

    def is_indexed(self, index: pd.DataFrame) -> pd.Series:
        """Find the sessions with sound.

        Parameters
        ----------
        index : DataFrame
            Rows of the index; missing values for a session that is not in the store.

        Returns
        -------
        Series of bool
            With the index of the rows.
        """
        return index["audio_s"] > 0

    def present(self, reader: SessionReader) -> np.ndarray:
        """Find the steps with sound.

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
        return np.array([count_samples(reader, step) > 0 for step in steps])

    def empty(self) -> np.ndarray:
        """Return a waveform without samples.

        Returns
        -------
        ndarray, shape (0, ...)
            An array of the type of ``read``.
        """
        return np.zeros(0, np.float32)

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
        limit = round(self.settings.max_audio_s * SAMPLE_RATE)
        if self.settings.remove_silence:
            whole = reader.read_waveform(step)
            parts = [whole[start:end] for start, end in reader.read_speech(step)]
            waveform = np.concatenate(parts) if parts else whole
            first = choose_start(len(waveform), limit, rng)
            waveform = waveform[first : first + limit]
        else:
            first = choose_start(count_samples(reader, step), limit, rng)
            waveform = reader.read_waveform(step, first, limit)
        return augmentation.apply_to_audio(waveform, rng)

    def measure(self, session: ReadSession) -> UsedSignal:
        """Measure the seconds that are read; a second of several steps is counted once.

        Parameters
        ----------
        session : ReadSession
            The session.

        Returns
        -------
        UsedSignal
            The amounts.
        """
        result = UsedSignal("s of sound")
        reader, mask = session.reader, session.step_mask
        if "audio.waveform" not in reader.names:
            return result
        start_s, ranges = reader.summary["step_start_s"], reader.step_samples
        by_file: dict[str | None, list[int]] = {}
        for step in np.flatnonzero(ranges[:, 1] > ranges[:, 0]).tolist():
            by_file.setdefault(session.files[step], []).append(step)
        for steps in by_file.values():
            ends = {step: start_s[step] + np.diff(ranges[step])[0] / SAMPLE_RATE for step in steps}
            whole = [(start_s[step], ends[step]) for step in steps]
            selected = [step for step in steps if mask[step]]
            speech, read = self._parts(reader, selected)
            duration_s = session.duration_s
            end_s = duration_s if duration_s is not None else max(ends.values())
            chosen = [(start_s[step], ends[step]) for step in selected]
            covered = [union_s(intervals, end_s) for intervals in (whole, chosen, speech, read)]
            amounts = {
                OUTSIDE: end_s - covered[0],
                NOT_SELECTED: covered[0] - covered[1],
                "silence that data.remove_silence leaves out": covered[1] - covered[2],
                f"behind data.max_audio_s = {self.settings.max_audio_s:g} s per step": covered[2]
                - covered[3],
            }
            left_out = {why: amount for why, amount in amounts.items() if amount > SHORTEST_S}
            result.add(UsedSignal(result.unit, end_s, end_s - sum(left_out.values()), left_out))
        return result

    def read_parts(self, session: ReadSession, whole: bool = False) -> list[tuple[float, float]]:
        """Return the parts of the sound that are read in evaluation.

        Parameters
        ----------
        session : ReadSession
            The session.
        whole : bool, default False
            Whether the selected steps are read as a whole, as measures of the voice are.

        Returns
        -------
        list of tuple of float
            Start and end of each part, in seconds of the recording.
        """
        reader = session.reader
        has_sound = reader.step_samples[:, 1] > reader.step_samples[:, 0]
        steps = np.flatnonzero(has_sound & session.step_mask).tolist()
        if not whole:
            return self._parts(reader, steps)[1]
        starts = reader.summary["step_start_s"]
        lengths = np.diff(reader.step_samples, axis=1)[:, 0] / SAMPLE_RATE
        return [(starts[step], starts[step] + float(lengths[step])) for step in steps]

    def _parts(
        self, reader: SessionReader, steps: list[int]
    ) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """Return the parts of steps with speech, and those that are read, in seconds."""
        start_s, ranges = reader.summary["step_start_s"], reader.step_samples
        speech, read = [], []
        for step in steps:
            parts = [(0, int(np.diff(ranges[step])[0]))]
            if self.settings.remove_silence:
                parts = [(int(a), int(b)) for a, b in reader.read_speech(step)] or parts
            speech += _to_seconds(parts, start_s[step])
            limit = round(self.settings.max_audio_s * SAMPLE_RATE)
            read += _to_seconds(_middle(parts, limit), start_s[step])
        return speech, read


def count_samples(reader: SessionReader, step: int) -> int:
    """Count the samples of a step.

    Parameters
    ----------
    reader : SessionReader
        The session.
    step : int
        Index of the step.

    Returns
    -------
    int
        Number of samples; 0 without sound.
    """
    if "audio.waveform" not in reader.names:
        return 0
    start, end = reader.step_samples[step]
    return int(end - start)


def _middle(parts: list[tuple[int, int]], limit: int) -> list[tuple[int, int]]:
    """Cut the middle out of joined parts, as the dataset does in evaluation."""
    spare = max(0, sum(end - start for start, end in parts) - limit)
    begin, stop = spare // 2, spare // 2 + limit
    kept, offset = [], 0
    for start, end in parts:
        first, last = max(begin - offset, 0), min(stop - offset, end - start)
        if first < last:
            kept.append((start + first, start + last))
        offset += end - start
    return kept


def _to_seconds(parts: list[tuple[int, int]], start_s: float) -> list[tuple[float, float]]:
    return [(start_s + a / SAMPLE_RATE, start_s + b / SAMPLE_RATE) for a, b in parts]
