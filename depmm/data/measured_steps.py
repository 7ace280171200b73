"""Measures of the steps of sessions, and their pooling, as inputs of classical models.

The measures are those of the whole step in the store, except for ``mfcc`` and ``stream``, which are
computed from the part that a network reads in evaluation (``data.max_audio_s``,
``data.remove_silence``, ``data.max_rows``).
"""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from depmm.config.classical import ClassicalSettings
from depmm.data.dataset import SessionDataset
from depmm.data.errors import DataError
from depmm.measures.measure import Measure
from depmm.measures.sets import SESSION_SETS, SetName, measures_of, parse_sets
from depmm.measures.store import aggregate_steps, read_session_measures, read_step_measures
from depmm.progress import track
from depmm.schemas.manifest import SESSION_KEY

FrontEnd = Callable[[np.ndarray], np.ndarray]
STATISTICS = ("mean", "std")


@dataclass(frozen=True)
class InputColumn:
    """One input of a classical model.

    Attributes
    ----------
    name : str
        Name of the measure, and of its statistic over steps if there is one.
    set_name : str
        Set of the measure: ``mfcc``, ``stream``, or a set of ``depmm.measures``.
    measure : Measure
        What is measured.
    statistic : str
        ``mean`` or ``std`` over the steps of a session; ``step`` for the value of one step;
        ``session`` for a measure of the whole session.
    """

    name: str
    set_name: str
    measure: Measure
    statistic: str


@dataclass(frozen=True)
class ClassicalInputs:
    """Rows of measures: sessions, or the steps of sessions.

    Attributes
    ----------
    session : ndarray of int, shape (R,)
        Row of the dataset that each row belongs to, ascending; every session has a row.
    step : ndarray of int, shape (R,)
        Index of the step; -1 for a whole session.
    columns : dict of str to list of InputColumn
        Columns by modality.
    measures : dict of str to ndarray of float64, shape (R, K)
        Measures by modality; NaN where they are missing.
    """

    session: np.ndarray
    step: np.ndarray
    columns: dict[str, list[InputColumn]]
    measures: dict[str, np.ndarray]


class MeasuredSteps:
    """Measures of all steps of a dataset.

    Parameters
    ----------
    dataset : SessionDataset
        N sessions.
    settings : ClassicalSettings
        Sets of measures by modality, and how they are pooled.
    front_end : callable
        Maps a waveform, (T,) float32, to its MFCC, (F, frames).
    fitted : mapping of str to sequence of str, optional
        Names of the inputs of a fitted model by modality: how many columns ``mfcc`` or ``stream``
        has if no session has the modality. By default, none.

    Raises
    ------
    DataError
        If a set has no such group, or two inputs of a modality have the same name.
    MeasureError
        If a set is unknown or cannot be measured.
    StoreError
        If a session is missing or damaged.
    """

    def __init__(
        self,
        dataset: SessionDataset,
        settings: ClassicalSettings,
        front_end: FrontEnd,
        fitted: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.settings = settings
        self._fitted = fitted or {}
        present = [dataset.present_steps(index) for index in range(len(dataset))]
        first = dataset.settings.steps.first
        rows = [
            (index, step)
            for index, steps in enumerate(present)
            for step in _read_steps(steps, first)
        ]
        self.rows = np.array(rows, int).reshape(-1, 2)
        self.columns: dict[str, list[InputColumn]] = {}
        self.values: dict[str, np.ndarray] = {}
        for modality, names in settings.measures.items():
            parts = [
                self._read_set(dataset, modality, str(name), present, front_end) for name in names
            ]
            columns = [column for part, _ in parts for column in part]
            _check_distinct(modality, columns)
            self.columns[modality] = columns
            self.values[modality] = np.concatenate([values for _, values in parts], axis=1)

    def _read_set(
        self,
        dataset: SessionDataset,
        modality: str,
        name: str,
        present: Sequence[dict[str, np.ndarray]],
        front_end: FrontEnd,
    ) -> tuple[list[InputColumn], np.ndarray]:
        """Return the columns of a set and their values, (R, K)."""
        set_name, _, group = name.partition(".")
        if set_name in ("mfcc", "stream"):
            return self._pool_frames(dataset, modality, set_name, front_end)
        (known,) = parse_sets([set_name])
        table = self._read_table(dataset, known)
        has = np.array([bool(present[index][modality][step]) for index, step in self.rows], bool)
        per_session = known in SESSION_SETS
        values = table.to_numpy(float)
        if not per_session:  # data.steps can leave out a step that the store has
            values = np.where(has[:, None], values, np.nan)
        measures = measures_of(known)
        kept = [i for i, measure in enumerate(measures) if not group or measure.group == group]
        if not kept:
            groups = sorted({measure.group for measure in measures})
            raise DataError(
                f"classical.measures.{modality}: the set {set_name} has no group {group!r}.",
                setting=f"classical.measures.{modality}",
                value=name,
                remedy=f"Its groups are {', '.join(groups)}.",
            )
        statistic = "session" if per_session else "step"
        columns = [InputColumn(measures[i].name, set_name, measures[i], statistic) for i in kept]
        return columns, values[:, kept]

    def _read_table(self, dataset: SessionDataset, name: SetName) -> pd.DataFrame:
        """Read a set from the store, with the rows of ``self.rows``."""
        keys = dataset.session_keys
        if name in SESSION_SETS:
            table = read_session_measures(dataset.store, keys, [name])
            index = [keys[row] for row, _ in self.rows]
        else:
            table = read_step_measures(dataset.store, keys, [name])
            index = [(*keys[row], int(step)) for row, step in self.rows]
        return table.reindex(pd.MultiIndex.from_tuples(index, names=table.index.names))

    def _pool_frames(
        self, dataset: SessionDataset, modality: str, set_name: str, front_end: FrontEnd
    ) -> tuple[list[InputColumn], np.ndarray]:
        """Compute mean and standard deviation over the frames of each step."""
        reader = dataset.restricted_to([modality])
        pooled: list[np.ndarray | None] = []
        for index in track(range(len(dataset)), f"measure {set_name}", "sessions"):
            signals = reader[None, index].signals[modality]
            for step in self.rows[self.rows[:, 0] == index, 1]:
                frames = signals[step]
                if len(frames) and set_name == "mfcc":
                    frames = front_end(frames).T
                pooled.append(_mean_and_std(frames) if len(frames) else None)
        stream = dataset.settings.features.get(modality, set_name)
        width = next((len(row) for row in pooled if row is not None), None)
        if width is None:  # no step has the modality
            prefix = "pooled_mfcc" if set_name == "mfcc" else stream
            width = 2 * _count_numbers(self._fitted.get(modality, ()), prefix)
        missing = np.full(width, np.nan)
        if other := [row for row in pooled if row is not None and len(row) != width]:
            raise DataError(
                f"data.features.{modality}: the stream has {width // 2} columns in one session and "
                f"{len(other[0]) // 2} in another.",
                setting=f"data.features.{modality}",
                value=len(other[0]) // 2,
                remedy="Use sessions of corpora with the same columns.",
            )
        values = np.array([missing if row is None else row for row in pooled])
        unit = "dB" if set_name == "mfcc" else ""
        columns = [
            _frame_column(modality, set_name, stream, unit, i, statistic)
            for statistic in STATISTICS
            for i in range(width // 2)
        ]
        return columns, values.reshape(len(pooled), width)

    def inputs(self) -> ClassicalInputs:
        """Return the rows that a model is fitted to and predicts from.

        Returns
        -------
        ClassicalInputs
            One row per session, or one per step with a modality (of a session without any measure,
            one row of missing values).
        """
        kept = self.measured()
        values = {name: table[kept] for name, table in self.values.items()}
        return self.pool(self.rows[kept, 1], self.rows[kept, 0], values)

    def measured(self) -> np.ndarray:
        """Find the steps that a model reads.

        Returns
        -------
        ndarray of bool, shape (R,)
            Marks the steps with a measure; in a session without any, its first step.
        """
        measured = np.zeros(len(self.rows), bool)
        for modality in self.values:
            measured |= self.have_modality(modality)
        _, first, index = np.unique(self.rows[:, 0], return_index=True, return_inverse=True)
        without = np.bincount(index, measured) == 0
        measured[first[without]] = True
        return measured

    def have_modality(self, modality: str) -> np.ndarray:
        """Find the steps with a measure of a modality.

        Parameters
        ----------
        modality : str
            One of the modalities.

        Returns
        -------
        ndarray of bool, shape (R,)
            Marks these steps; measures of whole sessions count only if there are no others.
        """
        values = self.values[modality]
        of_steps = [column.statistic == "step" for column in self.columns[modality]]
        used = values[:, of_steps] if any(of_steps) else values
        found: np.ndarray = np.isfinite(used).any(axis=1)
        return found

    def pool(
        self, rows: np.ndarray, session: np.ndarray, values: dict[str, np.ndarray]
    ) -> ClassicalInputs:
        """Make the inputs of a model from the measures of steps.

        Parameters
        ----------
        rows : ndarray of int, shape (R,)
            Index of each step in its session.
        session : ndarray of int, shape (R,)
            Session of each step, ascending.
        values : dict of str to ndarray of float64, shape (R, K)
            Measures of the steps by modality, with the columns of this object.

        Returns
        -------
        ClassicalInputs
            The steps themselves, or one row per session.
        """
        if self.settings.unit == "step":
            return ClassicalInputs(session, rows, self.columns, values)
        sessions = np.unique(session)
        pooled = {
            name: _pool_steps(table, session, self.columns[name], self.settings.pooling)
            for name, table in values.items()
        }
        return ClassicalInputs(
            sessions,
            np.full(len(sessions), -1),
            {name: columns for name, (columns, _) in pooled.items()},
            {name: table for name, (_, table) in pooled.items()},
        )


def _read_steps(present: dict[str, np.ndarray], first: int | None) -> list[int]:
    """Return the steps with any modality; the first step if there is none."""
    steps = np.flatnonzero(np.any(list(present.values()), axis=0)[:first])
    return steps.tolist() or [0]


def _mean_and_std(frames: np.ndarray) -> np.ndarray:
    """Pool (T, F) rows to (2 F,); the deviation of a single frame is 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without a valid value is NaN
        values = frames.astype(np.float64)
        return np.concatenate([np.nanmean(values, axis=0), np.nanstd(values, axis=0)])


def _count_numbers(names: Sequence[str], prefix: str) -> int:
    """Count the MFCC, or the columns of a stream, among the names of inputs."""
    pattern = re.compile(rf"{re.escape(prefix)}_([0-9]+)_(?:mean|std)(?:_mean|_std)?")
    return len({found[1] for name in names if (found := pattern.fullmatch(name))})


def _frame_column(
    modality: str, set_name: str, stream: str, unit: str, index: int, statistic: str
) -> InputColumn:
    what, prefix, number = f"column {index} of the stream {stream}", stream, index
    if set_name == "mfcc":  # the set voice has MFCC, too: of the frames of speech
        what, prefix, number = f"MFCC {index + 1}", "pooled_mfcc", index + 1
    words = {"mean": "Mean", "std": "Standard deviation"}[statistic]
    name = f"{prefix}_{number}_{statistic}"
    measure = Measure(name, modality, set_name, unit, f"{words} of {what} over frames.")
    return InputColumn(measure.name, set_name, measure, "step")


def _pool_steps(
    values: np.ndarray, session: np.ndarray, columns: list[InputColumn], statistics: Sequence[str]
) -> tuple[list[InputColumn], np.ndarray]:
    """Pool (R, K) values of steps to (N, K') values of sessions, in the order of sessions."""
    index = pd.MultiIndex.from_arrays(
        [np.zeros(len(session)), np.zeros(len(session)), session], names=SESSION_KEY
    )
    names = [str(i) for i in range(len(columns))]
    pooled = aggregate_steps(pd.DataFrame(values, index=index, columns=names))
    inputs, selected = [], []
    for statistic in statistics:
        for name, column in zip(names, columns, strict=True):
            if column.statistic == "step":
                inputs.append(
                    InputColumn(
                        f"{column.name}_{statistic}", column.set_name, column.measure, statistic
                    )
                )
                selected.append(f"{name}_{statistic}")
    for name, column in zip(names, columns, strict=True):
        if column.statistic == "session":
            inputs.append(column)
            selected.append(f"{name}_mean")  # the same value in every step
    return inputs, pooled[selected].to_numpy(float)


def _check_distinct(modality: str, columns: list[InputColumn]) -> None:
    names = [column.name for column in columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            f"classical.measures.{modality}: two inputs have the name {twice[0]}.",
            setting=f"classical.measures.{modality}",
            value=twice[0],
            remedy="Use one of the sets, or a group of one of them.",
        )
