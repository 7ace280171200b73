"""How much of the recordings a model reads, and what is left out for which reason.

The parts are those of evaluation, without augmentation; training reads parts of the same length at
random positions. A second of a recording that several steps contain is counted once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from depmm.config import SAMPLE_RATE, DataConfig
from depmm.data.dataset import SessionDataset, select_evenly
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.session_file import SessionReader
from depmm.store.step_coverage import union_s

OUTSIDE = "outside of the steps"
NOT_SELECTED = "in steps that data.steps leaves out"
SHORTEST_S = 0.05  # a shorter part is a rounding of step times, not a part that is left out


@dataclass
class UsedSignal:
    """Amount of a signal that is read.

    Attributes
    ----------
    unit : str
        ``s of sound``, ``video frames`` or ``rows of <stream>``.
    total : float
        Amount in the recordings; of sound, the seconds up to the end of the last step unless the
        length of the recording is known.
    used : float
        Amount that the model reads.
    left_out : dict of str to float
        Amount by reason; the amounts and ``used`` add up to ``total``.
    """

    unit: str
    total: float = 0.0
    used: float = 0.0
    left_out: dict[str, float] = field(default_factory=dict)

    def add(self, other: "UsedSignal") -> None:
        """Add the amounts of another session.

        Parameters
        ----------
        other : UsedSignal
            Amounts in the same unit.
        """
        self.total += other.total
        self.used += other.used
        for reason, amount in other.left_out.items():
            self.left_out[reason] = self.left_out.get(reason, 0.0) + amount

    def describe(self) -> str:
        """Describe the amounts in a sentence without a full stop.

        Returns
        -------
        str
            For example ``the model reads 41.2 of 60.0 s of sound (69 %): 18.8 s are behind
            data.max_audio_s = 4 s per step``.
        """
        digits, unit = (1, " s") if self.unit.startswith("s ") else (0, "")
        share = f" ({100 * self.used / self.total:.0f} %)" if self.total else ""
        text = f"the model reads {self.used:.{digits}f} of {self.total:.{digits}f} {self.unit}"
        parts = [f"{amount:.{digits}f}{unit} are {why}" for why, amount in self.left_out.items()]
        return f"{text}{share}" + (f": {', '.join(parts)}" if parts else "")


def measure_used_signal(dataset: SessionDataset, steps: pd.DataFrame) -> dict[str, UsedSignal]:
    """Measure how much of all sessions of a dataset is read.

    Parameters
    ----------
    dataset : SessionDataset
        The sessions.
    steps : DataFrame
        Steps of the manifest, of at least these sessions.

    Returns
    -------
    dict of str to UsedSignal
        Amounts by modality.

    Raises
    ------
    StoreError
        If a stored session is missing or damaged.
    """
    files = steps.groupby(SESSION_KEY)["audio"].agg(list)
    total: dict[str, UsedSignal] = {}
    for index, key in enumerate(dataset.session_keys):
        mask = None if dataset.step_masks is None else dataset.step_masks[index]
        with dataset.store.read(*key) as reader:
            for name, used in measure_session(reader, dataset.settings, files[key], mask).items():
                total.setdefault(name, UsedSignal(used.unit)).add(used)
    return total


def measure_session(
    reader: SessionReader,
    data: DataConfig,
    files: Sequence[str | None],
    step_mask: np.ndarray | None = None,
    duration_s: float | None = None,
    unread: Sequence[tuple[float, float]] = (),
) -> dict[str, UsedSignal]:
    """Measure how much of a stored session is read.

    Parameters
    ----------
    reader : SessionReader
        The session.
    data : DataConfig
        Modalities, and the part of a step that is read.
    files : sequence of str or None, length L
        File with the sound of each step.
    step_mask : ndarray of bool, shape (L,), optional
        Steps that are read; by default all of them.
    duration_s : float, optional
        Length of the recording in seconds, if all steps are parts of it; by default, a recording
        ends with its last step.
    unread : sequence of tuple of float, optional
        Start and end, in seconds, of steps that are not stored because ``data.steps.first`` leaves
        them out.

    Returns
    -------
    dict of str to UsedSignal
        Amounts by modality.
    """
    n_steps = reader.summary["n_steps"]
    mask = np.ones(n_steps, bool) if step_mask is None else step_mask
    measured = {}
    for name in data.modalities:
        if name in data.features:
            measured[str(name)] = _measure_rows(reader, data, data.features[name], mask)
        elif name == "audio":
            measured[name] = _measure_sound(reader, data, files, mask, duration_s, unread)
        else:
            measured[name] = _measure_frames(reader, data, mask)
    return measured


def _measure_sound(
    reader: SessionReader,
    data: DataConfig,
    files: Sequence[str | None],
    mask: np.ndarray,
    duration_s: float | None,
    unread: Sequence[tuple[float, float]],
) -> UsedSignal:
    result = UsedSignal("s of sound")
    if "audio.waveform" not in reader.names:
        return result
    start_s, ranges = reader.summary["step_start_s"], reader.step_samples
    by_file: dict[str | None, list[int]] = {}
    for step in np.flatnonzero(ranges[:, 1] > ranges[:, 0]).tolist():
        by_file.setdefault(files[step], []).append(step)
    max_audio = f"behind data.max_audio_s = {data.max_audio_s:g} s per step"
    silence = "silence that data.remove_silence leaves out"
    for steps in by_file.values():
        ends = {step: start_s[step] + np.diff(ranges[step])[0] / SAMPLE_RATE for step in steps}
        whole = [(start_s[step], ends[step]) for step in steps]
        selected = [(start_s[step], ends[step]) for step in steps if mask[step]]
        speech, read = [], []
        for step in (step for step in steps if mask[step]):
            parts = [(0, int(np.diff(ranges[step])[0]))]
            if data.remove_silence:
                parts = [(int(a), int(b)) for a, b in reader.read_speech(step)] or parts
            speech += _to_seconds(parts, start_s[step])
            read += _to_seconds(
                _middle(parts, round(data.max_audio_s * SAMPLE_RATE)), start_s[step]
            )
        end_s = duration_s if duration_s is not None else max(ends.values())
        covered = [
            union_s(intervals, end_s) for intervals in ([*whole, *unread], selected, speech, read)
        ]
        amounts = {
            OUTSIDE: end_s - covered[0],
            NOT_SELECTED: covered[0] - covered[1],
            silence: covered[1] - covered[2],
            max_audio: covered[2] - covered[3],
        }
        left_out = {why: amount for why, amount in amounts.items() if amount > SHORTEST_S}
        result.add(UsedSignal(result.unit, end_s, end_s - sum(left_out.values()), left_out))
    return result


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


def _measure_frames(reader: SessionReader, data: DataConfig, mask: np.ndarray) -> UsedSignal:
    steps = range(reader.summary["n_steps"])
    frames = [reader.face_frames(step) for step in steps]
    selected = [frames[step] for step in steps if mask[step]]
    used = [select_evenly(indices, data.frames_per_step) for indices in selected]
    total, with_face = reader.summary["n_frames"], reader.summary["n_frames_with_face"]
    return _count_used(
        "video frames",
        total,
        {
            "without a face": total - with_face,
            NOT_SELECTED: with_face - _count(selected),
            f"behind data.frames_per_step = {data.frames_per_step}": _count(selected)
            - _count(used),
        },
    )


def _measure_rows(
    reader: SessionReader, data: DataConfig, stream: str, mask: np.ndarray
) -> UsedSignal:
    ranges = reader.step_rows(stream)
    every = [np.arange(first, end) for first, end in ranges]
    selected = [rows for rows, read in zip(every, mask, strict=True) if read]
    spare = [max(0, len(rows) - data.max_rows) // 2 for rows in selected]
    used = [
        rows[first : first + data.max_rows] for first, rows in zip(spare, selected, strict=True)
    ]
    return _count_used(
        f"rows of {stream}",
        _count(every),
        {
            NOT_SELECTED: _count(every) - _count(selected),
            f"behind data.max_rows = {data.max_rows} per step": _count(selected) - _count(used),
        },
    )


def _count(parts: list[np.ndarray]) -> int:
    """Count distinct indices."""
    return len(np.unique(np.concatenate(parts))) if parts else 0


def _count_used(unit: str, total: int, amounts: dict[str, int]) -> UsedSignal:
    left_out = {why: float(amount) for why, amount in amounts.items() if amount}
    return UsedSignal(unit, float(total), total - sum(left_out.values()), left_out)
