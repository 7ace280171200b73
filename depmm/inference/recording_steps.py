"""Divide a new recording as the recordings of the training were divided."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from depmm.config import Config, StepsConfig
from depmm.corpora.corpus_facts import Windows
from depmm.inference.errors import InferenceError
from depmm.inference.quality import QualityWarning
from depmm.inference.segmentation import (
    cut_steps,
    trained_window_steps,
    whole_recording,
    window_steps,
    windows_of,
)
from depmm.inference.step_table import read_steps
from depmm.inference.trained_run import TrainedRun

MAX_LENGTHS = 3.0  # of the median training file; a longer recording is divided into several steps


@dataclass(frozen=True)
class RecordingSteps:
    """The steps of a recording.

    Attributes
    ----------
    table : DataFrame
        As :func:`~depmm.inference.step_table.read_steps` returns: all steps, which are stored, as
        those of the training were. Measures of a session depend on all of them.
    first : int or None
        How many steps the model reads (``data.steps.first``); None for all of them.
    origin : str
        Where the steps come from, in words.
    warnings : list of QualityWarning
        Differences from the steps of the training.
    """

    table: pd.DataFrame
    first: int | None
    origin: str
    warnings: list[QualityWarning]

    @property
    def read(self) -> pd.DataFrame:
        """The steps that the model reads."""
        return self.table.iloc[: self.first]

    def selected(self, settings: StepsConfig) -> np.ndarray | None:
        """Return which steps ``data.steps`` selects.

        Parameters
        ----------
        settings : StepsConfig
            The settings ``data.steps``.

        Returns
        -------
        ndarray of bool, shape (L,), or None
            None if every step is selected.
        """
        selected = np.arange(len(self.table)) < len(self.read)
        if settings.valence:
            selected &= self.table["valence"].isin(settings.valence).to_numpy()
        return None if selected.all() else selected


def divide_recording(
    run: TrainedRun,
    file: Path,
    duration_s: float,
    steps: Path | None = None,
    window_s: float | None = None,
) -> RecordingSteps:
    """Divide a recording into steps.

    If the steps of the training are windows, a recording is cut into windows of the same length
    and hop, and so are the steps of a table. If the steps of the training are whole files, so is
    that of a recording of up to ``MAX_LENGTHS`` times their median length. Otherwise, the windows
    of a recording without a table have the median length of the training steps.

    Parameters
    ----------
    run : TrainedRun
        The run that is applied.
    file : Path
        The recording.
    duration_s : float
        Its length, in seconds.
    steps : Path, optional
        Table of the steps.
    window_s : float, optional
        Length of the windows in seconds, one after the other, instead of those of the training.

    Returns
    -------
    RecordingSteps
        The steps that the model can take.

    Raises
    ------
    InferenceError
        If the table is invalid, the length of the windows is unknown or not possible, or the model
        cannot take the number of steps or their valences.
    """
    trained = run.reference.windows
    warnings = []
    if steps is not None:
        table, origin = read_steps(steps, duration_s, file), steps.name
        if trained is not None and not run.reference.windows_of_table:
            n_rows, table = len(table), cut_steps(table, trained, duration_s)
            if len(table) > n_rows:
                origin = f"{origin}, cut into {_describe(trained)} as in training"
    elif window_s is None and _is_like_a_file_of_the_training(run, duration_s):
        table, origin = whole_recording(), "the whole recording as one step as in training"
    else:
        windows, note = _choose_windows(run, file, window_s, duration_s)
        if windows == trained:
            table = trained_window_steps(duration_s, run.reference)
        elif window_s is None:  # a remainder of some milliseconds would be an unusual step
            table = window_steps(duration_s, windows, windows.length_s / 2)
        else:
            table = window_steps(duration_s, windows)
        origin = _describe(windows) + note
        if (warning := _compare_windows(run, windows)) is not None:
            warnings.append(warning)
    first = run.config.data.steps.first
    if first is not None and len(table) > first:
        origin = f"{origin}, the first {first} of {len(table)}"
    divided = RecordingSteps(table, first, origin, warnings)
    _check_steps(run, file, divided.read)
    return divided


def _is_like_a_file_of_the_training(run: TrainedRun, duration_s: float) -> bool:
    """Tell whether the training steps are whole files, and not much shorter than a recording."""
    step_s = run.reference.step_s
    return run.reference.whole_files and (step_s is None or duration_s <= MAX_LENGTHS * step_s)


def _choose_windows(
    run: TrainedRun, file: Path, window_s: float | None, duration_s: float
) -> tuple[Windows, str]:
    """Return the windows of a recording without a table, and a note about their origin."""
    trained = run.reference.windows
    if window_s is not None:
        if window_s > duration_s:
            raise InferenceError(
                f"{file}: the window of {window_s:g} s is longer than the recording "
                f"({duration_s:.2f} s).",
                file=file,
                setting="window_s",
                value=window_s,
                remedy="Give a shorter window.",
            )
        if trained is not None and trained.length_s == window_s:
            return trained, " as in training"
        return windows_of(window_s), ""
    if trained is not None:
        return trained, " as in training"
    if run.reference.step_s is None:
        raise InferenceError(
            f"The length of the training steps is unknown to the run {run.description['name']}: "
            "the manifest has no times, and no session has sound.",
            setting="window_s",
            remedy="Give --window SECONDS or --steps TABLE.",
        )
    return Windows(length_s=run.reference.step_s), ", the median length of the training steps"


def _compare_windows(run: TrainedRun, windows: Windows) -> QualityWarning | None:
    """Warn if the model was trained on other steps than windows of this length and hop."""
    trained = run.reference.windows
    if trained is not None:
        if (
            trained.effective_hop_s == windows.effective_hop_s
            and trained.length_s == windows.length_s
        ):
            if not run.reference.windows_in_steps:
                return None
            return QualityWarning(
                "other_steps",
                "In the training, windows were cut inside the rows of a table, such as turns; this "
                f"recording is divided into {_describe(windows)} from its start to its end. Give "
                "the times of its turns with --steps.",
            )
        used = f"{_describe(trained)}; this recording is divided into {_describe(windows)}"
        return QualityWarning(
            "other_windows",
            f"The model was trained on {used}. Leave out --window to use those of the training.",
        )
    return QualityWarning(
        "other_steps",
        "The steps of the training are not windows of one length and hop (they are files, rows of "
        f"a table, or different in each corpus); this recording is divided into "
        f"{_describe(windows)}. Give the times of its steps with --steps.",
    )


def _describe(windows: Windows) -> str:
    hop = (
        ""
        if windows.effective_hop_s == windows.length_s
        else f", one every {windows.effective_hop_s:.3g} s"
    )
    return f"windows of {windows.length_s:.3g} s{hop}"


def _check_steps(run: TrainedRun, file: Path, table: pd.DataFrame) -> None:
    """Check that the model can take the number of steps and their valences."""
    max_steps = run.config.data.max_steps
    needed = [
        config.model.num_steps
        for config in run.configs.values()
        if isinstance(config, Config) and config.model.num_steps not in (None, len(table))
    ]
    if len(table) > max_steps:
        raise InferenceError(
            f"{file}: the recording has {len(table)} steps and the model takes at most "
            f"{max_steps} (data.max_steps).",
            file=file,
            setting="data.max_steps",
            value=len(table),
            remedy=f"Give longer steps (--window, --steps), divide the recording, or train with "
            f"data.max_steps={len(table)} or more: other steps than those of the training change "
            "the prediction.",
        )
    if needed:
        raise InferenceError(
            f"{file}: the recording has {len(table)} steps and the model needs exactly "
            f"{needed[0]}, always in the same order (model.fusion.num_steps).",
            file=file,
            setting="model.fusion.num_steps",
            value=len(table),
            remedy="Give the times of these steps with --steps.",
        )
    valences = run.config.data.steps.valence
    if valences and not table["valence"].isin(valences).any():
        raise InferenceError(
            f"{file}: the model was trained on {' and '.join(valences)} steps only (data.steps), "
            "and no step has such a valence.",
            file=file,
            setting="data.steps",
            remedy="Give times and valences of the steps with --steps.",
        )
