"""Windows of steps: those that are not completely in their file, and the time that they cover."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from depmm.media.errors import MediaError
from depmm.media.warnings import MediaWarning

MAX_MISSING_S = 0.5  # at the end of a step: sound and video of a recording end at different times
_N_EXAMPLES = 3

Window = tuple[float, float]
"""Start and end in seconds from the start of the recording."""


def masked_steps(
    file: str,
    steps: Sequence[int],
    windows: Sequence[Window],
    empty: Sequence[int],
    signal: str,
    end_s: float | None,
    start_s: float = 0.0,
) -> MediaError | None:
    """Build the error about the steps of a file that have no sample, frame or row.

    Parameters
    ----------
    file : str
        The file.
    steps : sequence of int
        Indices of its steps.
    windows : sequence of tuple of float
        Start and end of each of ``steps``, seconds.
    empty : sequence of int
        Those of ``steps`` without a sample, frame or row.
    signal : str
        What the file contains, for example ``sound``.
    end_s : float or None
        End of the signal, seconds; None if it ends before the first step.
    start_s : float, default 0.0
        Start of the signal, seconds.

    Returns
    -------
    MediaError or None
        One error, with the number of these steps; None if no step is empty.
    """
    if not empty:
        return None
    window_of = dict(zip(steps, windows, strict=True))
    after = [step for step in empty if end_s is None or window_of[step][0] >= end_s]
    before = [step for step in empty if window_of[step][1] <= start_s]
    inside = [step for step in empty if step not in {*after, *before}]
    end = "" if end_s is None else f" ({end_s:.1f} s)"
    kinds = (
        (after, ("starts", "start"), f"after the end of the {signal}{end}"),
        (before, ("ends", "end"), f"before the start of the {signal} ({start_s:.1f} s)"),
        (inside, ("is", "are"), f"in a gap of the {signal}"),
    )
    problems = [
        f"{len(found)} of {len(steps)} steps {verbs[len(found) > 1]} {where}: {name_steps(found)} "
        f"(from {min(window_of[step][0] for step in found):.1f} s on)"
        for found, verbs, where in kinds
        if found
    ]
    pronoun = "it is" if len(empty) == 1 else "they are"
    return MediaError(
        file,
        f"{'; '.join(problems)}; {pronoun} masked.",
        "Check the step times or the file.",
        value=len(empty),
    )


def shortened_steps(
    steps: Sequence[int], windows: Sequence[Window], end_s: float
) -> MediaWarning | None:
    """Build the warning about the steps that the end of the sound cuts.

    Parameters
    ----------
    steps : sequence of int
        Indices of the steps of a file.
    windows : sequence of tuple of float
        Start and end of each of ``steps``, seconds; infinity for the end of the recording.
    end_s : float
        End of the sound, seconds.

    Returns
    -------
    MediaWarning or None
        ``missing_sound``; None if no step misses more than 0.5 s.
    """
    cut = [
        (step, window_end)
        for step, (start, window_end) in zip(steps, windows, strict=True)
        if start < end_s < window_end - MAX_MISSING_S and window_end != np.inf
    ]
    if not cut:
        return None
    known = [(start, end) for start, end in windows if end != np.inf]
    missing_s = max(window_end for _, window_end in cut) - end_s
    total_s = union_s(known)
    examples = [
        f"step {step} ends at {window_end:.1f} s, {window_end - end_s:.1f} s after the end of the "
        "sound"
        for step, window_end in cut[:_N_EXAMPLES]
    ]
    more = f", and {len(cut) - _N_EXAMPLES} more" if len(cut) > _N_EXAMPLES else ""
    verb = "is" if len(cut) == 1 else "are"
    return MediaWarning(
        "missing_sound",
        f"the sound ends at {end_s:.1f} s, and {len(cut)} of {len(steps)} steps {verb} cut there: "
        f"{'; '.join(examples)}{more}. {missing_s:.1f} s ({100 * missing_s / total_s:.1f} %) of "
        "the steps are missing.",
        "Check the step times or the file.",
        missing_s,
    )


def name_steps(steps: Sequence[int]) -> str:
    """Name steps, with ranges for successive ones.

    Parameters
    ----------
    steps : sequence of int
        Indices, at least one.

    Returns
    -------
    str
        For example ``steps 3, 7 and 49 to 51``.
    """
    ordered = np.unique(steps)
    runs = np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1)
    names = [f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    if len(names) > 2 * _N_EXAMPLES:
        names = [*names[: 2 * _N_EXAMPLES - 1], f"{len(names) - 2 * _N_EXAMPLES + 1} more"]
    noun = "step" if len(ordered) == 1 else "steps"
    return f"{noun} {', '.join(names[:-1])}{' and ' if names[1:] else ''}{names[-1]}"


def rows_end_s(windows: Sequence[Window], ranges: np.ndarray, rate_hz: float) -> np.ndarray:
    """Compute where the samples or frames of each step end.

    Parameters
    ----------
    windows : sequence of tuple of float, length L
        Start and end of each step, seconds.
    ranges : ndarray of int, shape (L, 2)
        First and end row of each step.
    rate_hz : float
        Rows per second.

    Returns
    -------
    ndarray, shape (L,)
        Seconds of the recording; NaN for a step without rows.
    """
    seconds = (ranges[:, 1] - ranges[:, 0]) / rate_hz
    starts = np.array([start for start, _ in windows])
    ends: np.ndarray = np.where(seconds > 0, starts + seconds, np.nan)
    return ends


def union_s(windows: Iterable[Window], limit_s: float = math.inf) -> float:
    """Measure the time that windows cover together.

    Parameters
    ----------
    windows : iterable of tuple of float
        Start and end of each in seconds, in any order; they may overlap.
    limit_s : float, optional
        End of the recording in seconds; what lies after it is not counted.

    Returns
    -------
    float
        Seconds.
    """
    covered_s, reached_s = 0.0, 0.0
    for start_s, end_s in sorted(windows):
        end_s = min(end_s, limit_s)
        covered_s += max(0.0, end_s - max(start_s, reached_s))
        reached_s = max(reached_s, end_s)
    return covered_s
