"""Timing of the turns of a session: number, length, share of time, response latency."""

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.measures.measure import Measure
from depmm.store.session_file import SessionReader

_LATENCY = (
    "Latency is the start of a step minus the end of the interviewer's turn before it "
    "(previous_end_s of the manifest; negative in overlapping speech), for steps that follow a "
    "turn of the interviewer: the gaps and overlaps between speakers of Heldner & Edlund 2010."
)
_ONE_RECORDING = "Missing unless the steps follow each other in one recording."


def _measures(group: str, *entries: tuple[str, str, str]) -> list[Measure]:
    return [Measure(name, "audio", group, unit, text) for name, unit, text in entries]


TIMING_MEASURES: tuple[Measure, ...] = (
    *_measures(
        "turns",
        ("n_turns", "1", "Number of steps with speech; of windows where steps are windows."),
        ("turn_length", "s", "Mean length of the steps with speech."),
        ("turn_length_std", "s", "Standard deviation of the length of the steps with speech."),
        ("speech_time", "s", "Length of all segments of speech."),
        ("speech_share", "1", "Length of all segments of speech divided by that of all steps."),
        (
            "turn_share",
            "1",
            "Length of all steps divided by the time from the start of the first to the end of the "
            f"last: the speaking time of the participant in an interview. {_ONE_RECORDING}",
        ),
        (
            "turns_per_minute",
            "1/min",
            f"n_turns per minute of the time of turn_share. {_ONE_RECORDING}",
        ),
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
    length_s = np.diff(reader.step_samples, axis=1)[:, 0] / SAMPLE_RATE
    start_s = np.array(reader.summary["step_start_s"], np.float64)
    speech_s = np.array(
        [np.diff(reader.read_speech(step)).sum() / SAMPLE_RATE for step in range(len(length_s))]
    )
    turns = length_s[speech_s > 0]
    has_sound = length_s > 0
    total_s, span_s = length_s.sum(), _span_s(start_s[has_sound], length_s[has_sound])
    previous_s = np.array(
        reader.summary.get("step_previous_end_s", [None] * len(length_s)), np.float64
    )
    latency_s = (start_s - previous_s)[np.isfinite(previous_s)]
    return np.array(
        [
            len(turns),
            turns.mean() if len(turns) else np.nan,
            turns.std() if len(turns) else np.nan,
            speech_s.sum(),
            speech_s.sum() / total_s if total_s > 0 else np.nan,
            total_s / span_s,
            60 * len(turns) / span_s,
            *_describe(latency_s),
        ],
        np.float64,
    )


def _span_s(start_s: np.ndarray, length_s: np.ndarray) -> float:
    """Return the time from the first to the last step; NaN if they are not one recording."""
    end_s = start_s + length_s
    # files start at 0 and overlap; a hundredth of a second is the rounding of transcripts
    if not len(start_s) or (start_s[1:] < end_s[:-1] - 0.01).any():
        return np.nan
    return float(end_s[-1] - start_s[0])


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
