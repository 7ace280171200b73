"""Timing of the turns of a session: number, length, share of time, response latency."""

import numpy as np

from depmm.corpora.step_durations import covered_s
from depmm.measures.measure import Measure
from depmm.store.session_durations import (
    speech_duration_s,
    speech_segments,
    step_files,
    step_sound,
)
from depmm.store.session_file import SessionReader

_LATENCY = (
    "Latency is the start of a step minus the end of the interviewer's turn before it "
    "(previous_end_s of the manifest; negative in overlapping speech), for steps that follow a "
    "turn of the interviewer: the gaps and overlaps between speakers of Heldner & Edlund 2010."
)
_ONE_RECORDING = "Missing unless all steps are parts of one recording."
_ONCE = "What is in several windows counts once."
_PAUSE = (
    "Silence between two segments of speech of the recording, in a step or between steps, except "
    "after a turn of the interviewer that the manifest has (previous_end_s). "
    f"{_ONE_RECORDING}"
)


def _measures(group: str, *entries: tuple[str, str, str]) -> list[Measure]:
    return [Measure(name, "audio", group, unit, text) for name, unit, text in entries]


TIMING_MEASURES: tuple[Measure, ...] = (
    *_measures(
        "turns",
        ("n_turns", "1", "Number of steps with speech; of windows where steps are windows."),
        ("turn_length", "s", "Mean length of the steps with speech."),
        ("turn_length_std", "s", "Standard deviation of the length of the steps with speech."),
        ("speech_time", "s", f"Length of all segments of speech. {_ONCE}"),
        (
            "speech_share",
            "1",
            f"Length of all segments of speech divided by that of all steps. {_ONCE}",
        ),
        (
            "turn_share",
            "1",
            "Length of all steps divided by the time from the start of the first to the end of the "
            f"last: the speaking time of the participant in an interview. {_ONCE} {_ONE_RECORDING}",
        ),
        (
            "turns_per_minute",
            "1/min",
            f"n_turns per minute of the time of turn_share. {_ONE_RECORDING}",
        ),
    ),
    *_measures(
        "recording pauses",
        ("recording_pause_rate", "1/min", f"Pauses per minute of the time of turn_share. {_PAUSE}"),
        ("recording_pause_mean", "s", f"Mean length of pauses. {_PAUSE}"),
        ("recording_pause_std", "s", f"Standard deviation of the length of pauses. {_PAUSE}"),
        ("recording_pause_share", "1", f"Pauses divided by the time of turn_share. {_PAUSE}"),
    ),
    *_measures(
        "latency",
        ("n_responses", "1", f"Number of latencies; missing where none is known. {_LATENCY}"),
        ("latency_mean", "s", f"Mean latency. {_LATENCY}"),
        ("latency_median", "s", f"Median latency. {_LATENCY}"),
        ("latency_std", "s", f"Standard deviation of the latency. {_LATENCY}"),
        ("overlap_share", "1", f"Share of negative latencies. {_LATENCY}"),
    ),
)


def measure_timing(reader: SessionReader) -> np.ndarray:
    """Measure the timing of the turns of a session.

    Parameters
    ----------
    reader : SessionReader
        The open session.

    Returns
    -------
    ndarray of float64, shape (K,)
        One value per entry of ``TIMING_MEASURES``; NaN where a measure is undefined, all of them
        for a session without sound.

    References
    ----------
    M. Heldner and J. Edlund, "Pauses, gaps and overlaps in conversations", Journal of Phonetics
    38(4), 2010, 555-568.
    """
    if "audio.step_samples" not in reader.names:
        return np.full(len(TIMING_MEASURES), np.nan)
    files = step_files(reader)
    start_s, end_s = step_sound(reader)
    segments = speech_segments(reader)
    length_s = end_s - start_s
    has_speech = np.array([len(reader.read_speech(step)) > 0 for step in range(len(length_s))])
    turns = length_s[has_speech]
    has_sound = length_s > 0
    total_s = float(covered_s(files, start_s, end_s).sum())
    speech_s = speech_duration_s(reader)
    span_s = _span_s(files[has_sound], start_s[has_sound], end_s[has_sound])
    previous_s = np.array(
        reader.summary.get("step_previous_end_s", [None] * len(length_s)), np.float64
    )
    latency_s = (start_s - previous_s)[np.isfinite(previous_s)]
    return np.array(
        [
            len(turns),
            turns.mean() if len(turns) else np.nan,
            turns.std() if len(turns) else np.nan,
            speech_s,
            speech_s / total_s if total_s > 0 else np.nan,
            total_s / span_s,
            60 * len(turns) / span_s,
            *_describe_pauses(segments[:, 1:], previous_s[np.isfinite(previous_s)], span_s),
            *_describe(latency_s),
        ],
        np.float64,
    )


def _span_s(files: np.ndarray, start_s: np.ndarray, end_s: np.ndarray) -> float:
    """Return the time from the first to the last step; NaN if they are not one recording."""
    if len(np.unique(files)) != 1:
        return np.nan
    return float(end_s.max() - start_s.min())


def _describe_pauses(
    segments: np.ndarray, previous_ends_s: np.ndarray, span_s: float
) -> list[float]:
    """Return rate per minute, mean, standard deviation and share of the pauses."""
    if not np.isfinite(span_s) or not len(segments):
        return [np.nan] * 4
    ordered = segments[segments[:, 0].argsort(kind="stable")]
    reached = np.maximum.accumulate(ordered[:, 1])[:-1]
    starts = ordered[1:, 0]
    # the end of a turn of the interviewer inside of a gap: the gap is no pause
    others = np.sort(previous_ends_s)
    is_own = np.searchsorted(others, reached) == np.searchsorted(others, starts)
    gaps_s = (starts - reached)[(starts > reached) & is_own]
    if not len(gaps_s):
        return [0.0, np.nan, np.nan, 0.0]
    return [
        60 * len(gaps_s) / span_s,
        float(gaps_s.mean()),
        float(gaps_s.std()),
        float(gaps_s.sum()) / span_s,
    ]


def _describe(latency_s: np.ndarray) -> list[float]:
    if not len(latency_s):
        return [np.nan] * 5
    return [
        len(latency_s),
        float(latency_s.mean()),
        float(np.median(latency_s)),
        float(latency_s.std()),
        float((latency_s < 0).mean()),
    ]
