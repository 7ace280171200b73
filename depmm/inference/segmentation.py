"""Divide a new recording into windows, and describe it as a manifest of one session."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from depmm.config import TRACKS
from depmm.corpora.corpus_facts import Windows
from depmm.corpora.manifest import Manifest, build_manifest
from depmm.corpora.windows import MIN_REMAINDER_S, cut_into_windows
from depmm.data.training_reference import SAME_TIME_S, TrainingReference
from depmm.inference.errors import InferenceError
from depmm.inference.step_table import STEP_COLUMNS

# constant, because the session key is the seed of sampled gates: a renamed file has equal samples
SESSION = ("recording", "recording", "recording")
MAX_WINDOWS = 100_000


def windows_of(window_s: float) -> Windows:
    """Return consecutive windows of a length.

    Parameters
    ----------
    window_s : float
        Length of a window, in seconds.

    Returns
    -------
    Windows
        The windows.

    Raises
    ------
    InferenceError
        If the length is not positive and finite.
    """
    if not window_s > 0 or not np.isfinite(window_s):
        raise InferenceError(
            f"The window has a length of {window_s:g} s.",
            setting="window_s",
            value=window_s,
            remedy="Give a length above 0 seconds.",
        )
    return Windows(length_s=float(window_s))


def trained_window_steps(duration_s: float, reference: TrainingReference) -> pd.DataFrame:
    """Divide a recording into the windows of the training.

    Parameters
    ----------
    duration_s : float
        Length of the recording, in seconds.
    reference : TrainingReference
        Statistics of the training, with windows.

    Returns
    -------
    DataFrame
        As :func:`~depmm.inference.step_table.read_steps`. The last step ends where the
        recording ends by its packets, as in an index of it.

    Raises
    ------
    InferenceError
        If there would be more than ``MAX_WINDOWS`` windows.
    """
    assert reference.windows is not None
    end_s = round(duration_s, 3) if reference.windows_of_table else duration_s
    steps = window_steps(end_s, reference.windows)
    steps["end_s"] = steps["end_s"].fillna(end_s)
    is_short = steps["end_s"] - steps["start_s"] < reference.windows.length_s - SAME_TIME_S
    if not reference.short_windows and not is_short.all():
        steps = steps[~is_short].reset_index(drop=True)
    return steps


def whole_recording() -> pd.DataFrame:
    """Take a recording as one step.

    Returns
    -------
    DataFrame
        As :func:`~depmm.inference.step_table.read_steps`, one row without an end.
    """
    whole = pd.DataFrame([{"start_s": 0.0, "end_s": np.nan}]).reindex(columns=list(STEP_COLUMNS))
    return whole.astype({"text": object, "valence": object})


def window_steps(
    duration_s: float, windows: Windows, remainder_s: float = MIN_REMAINDER_S
) -> pd.DataFrame:
    """Divide a recording into windows, in the same way as the steps of a corpus.

    The last window is shorter than the others if necessary, see
    :func:`~depmm.corpora.windows.cut_into_windows`.

    Parameters
    ----------
    duration_s : float
        Length of the recording, in seconds.
    windows : Windows
        Length and hop.
    remainder_s : float, default 0.1
        Longest remainder in seconds that is no window.

    Returns
    -------
    DataFrame
        As :func:`~depmm.inference.step_table.read_steps`. The end of the last step is missing if
        the recording is read to its end.

    Raises
    ------
    InferenceError
        If there would be more than ``MAX_WINDOWS`` windows.
    """
    return cut_steps(whole_recording(), windows, duration_s, remainder_s)


def cut_steps(
    steps: pd.DataFrame,
    windows: Windows,
    duration_s: float,
    remainder_s: float = MIN_REMAINDER_S,
) -> pd.DataFrame:
    """Cut steps into windows, in the same way as the steps of a corpus.

    Parameters
    ----------
    steps : DataFrame
        As :func:`~depmm.inference.step_table.read_steps` returns.
    windows : Windows
        Length and hop.
    duration_s : float
        Length of the recording, in seconds.
    remainder_s : float, default 0.1
        Longest remainder in seconds that is no window.

    Returns
    -------
    DataFrame
        The same columns; the text of a step is not known for its parts.

    Raises
    ------
    InferenceError
        If there would be more than ``MAX_WINDOWS`` windows.
    """
    hop_s = windows.effective_hop_s
    if (steps["end_s"].fillna(duration_s) - steps["start_s"]).sum() / hop_s > MAX_WINDOWS:
        raise InferenceError(
            f"A window every {hop_s:g} s divides {duration_s:.2f} s into more than {MAX_WINDOWS} "
            "steps.",
            setting="window_s",
            value=hop_s,
            remedy="Give a longer window.",
        )
    rows = []
    for step in steps.to_dict("records"):
        open_end = pd.isna(step["end_s"])
        end_s = duration_s if open_end else step["end_s"]
        parts = list(cut_into_windows(step["start_s"], end_s, windows, remainder_s))
        if len(parts) > 1:
            step["text"] = None
        for start, end in parts:
            # the recording may be longer or shorter than its header states
            at_end = open_end and end == duration_s
            rows.append({**step, "start_s": start, "end_s": np.nan if at_end else end})
            if "previous_end_s" in step:  # another speaker speaks before the first window only
                step["previous_end_s"] = None
    cut = pd.DataFrame(rows, columns=list(steps.columns))
    return cut.astype({"text": object, "valence": object})


def recording_manifest(
    file: str,
    steps: pd.DataFrame,
    tracks: Sequence[str],
    aligned: bool,
    audio_track: int | None = None,
    audio_channel: int | None = None,
) -> Manifest:
    """Build the manifest of one recording.

    Parameters
    ----------
    file : str
        Name of the file; its folder is the root of the manifest.
    steps : DataFrame
        As :func:`~depmm.inference.step_table.read_steps` or :func:`window_steps` returns.
    tracks : sequence of str
        Tracks to read from the file, of ``TRACKS``.
    aligned : bool
        Whether the frames are aligned faces.
    audio_track, audio_channel : int, optional
        Sound track of the file, and channel of the track.

    Returns
    -------
    Manifest
        One session with the key ``SESSION``.

    Raises
    ------
    ManifestError
        If the file name is not allowed in a manifest.
    """
    key = dict(zip(("corpus", "subject", "session"), SESSION, strict=True))
    files = {name: file if name in tracks else None for name in TRACKS}
    sound: dict[str, Any] = {"audio_track": audio_track, "audio_channel": audio_channel}
    if "audio" not in tracks:
        sound = dict.fromkeys(sound)
    rows = steps.assign(**key, **files, **sound, step=range(len(steps)), face_aligned=aligned)
    return build_manifest(pd.DataFrame([key]), rows.where(rows.notna(), None))
