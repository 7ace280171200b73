"""Compare the rows of a feature file with the steps and the recording that they belong to."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from depmm.media.errors import MediaError
from depmm.media.warnings import MediaWarning, Warn

MIN_DIFFERENCE_S = 0.5  # between the ends of features and recording that is reported
MIN_SHORT_SHARE, MIN_SHORT_S = 0.02, 5.0  # of a missing part that is reported, either of them
MIN_LONG_SHARE = 0.05  # of rows after the end of a recording
MIN_COVERAGE = 0.95  # of a recording by its steps, for which rows after them are unexpected


@dataclass
class FileSpan:
    """The time that the rows of a file cover.

    Attributes
    ----------
    name : str
        Name of the stream.
    steps : list of int
        The steps that the file belongs to.
    period_s : float
        Seconds of one row.
    start_s, end_s : float
        Time of the first row, and of the last row plus one period.
    n_features : int
        Values of a row.
    """

    name: str
    steps: list[int]
    period_s: float
    start_s: float = math.nan
    end_s: float = math.nan
    n_features: int = 0

    def observe(
        self, blocks: Iterator[tuple[np.ndarray, np.ndarray]]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Measure the span while the blocks of the file pass.

        Parameters
        ----------
        blocks : iterator of tuple of ndarray, shapes (T,) and (T, F)
            Times in seconds, and rows.

        Yields
        ------
        tuple of ndarray
            The blocks, unchanged.
        """
        for times, values in blocks:
            if math.isnan(self.start_s):
                self.start_s, self.n_features = float(times[0]), values.shape[1]
            self.end_s = float(times[-1]) + self.period_s
            yield times, values


def steps_without_rows(
    path: str, span: FileSpan, windows: Sequence[tuple[float, float]], ranges: np.ndarray
) -> MediaError | None:
    """Build one error about all steps of a file that have no row.

    Parameters
    ----------
    path : str
        The file.
    span : FileSpan
        Time of its rows.
    windows : sequence of tuple of float
        Start and end of each step, seconds.
    ranges : ndarray of int, shape (L, 2)
        First and end row of each step.

    Returns
    -------
    MediaError or None
        The error, with the first of these steps as ``value``; None if every step has rows.
    """
    empty = [step for step in span.steps if ranges[step, 0] == ranges[step, 1]]
    if not empty:
        return None
    after = [step for step in empty if windows[step][0] >= span.end_s - span.period_s]
    before = [step for step in empty if windows[step][1] <= span.start_s]
    inside = [step for step in empty if step not in {*after, *before}]
    places = (
        (after, "start", f"after the end of the {span.name} features ({span.end_s:.3f} s)"),
        (before, "end", f"before the first row of the {span.name} features ({span.start_s:.3f} s)"),
        (inside, "lie", f"in a hole of the {span.name} features"),
    )
    parts = [
        f"{len(steps)} of {len(span.steps)} steps {verb}{'s' if len(steps) == 1 else ''} {place}: "
        f"{_list_steps(steps)}"
        for steps, verb, place in places
        if steps
    ]
    return MediaError(
        path,
        f"{'; '.join(parts)}. They are masked.",
        "Check the step times or the file.",
        value=empty[0],
    )


def _list_steps(steps: list[int], most: int = 6) -> str:
    """Write indices of steps in ascending order as ranges, for example "steps 3, 7 and 9 to 12"."""
    runs: list[list[int]] = []
    for step in sorted(steps):
        if runs and step == runs[-1][1] + 1:
            runs[-1][1] = step
        else:
            runs.append([step, step])
    texts = [str(a) if a == b else f"{a} to {b}" for a, b in runs]
    if len(texts) > most:
        texts = [*texts[: most - 1], f"{len(texts) - most + 1} more ranges"]
    text = " and ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))
    return f"step{'s' if len(steps) > 1 else ''} {text}"


def warn_about_length(
    span: FileSpan,
    windows: Sequence[tuple[float, float]],
    recorded_until: np.ndarray,
    others: Sequence[FileSpan],
    warn: Warn,
) -> None:
    """Warn if a file covers a much shorter or longer time than the recording and its steps.

    Parameters
    ----------
    span : FileSpan
        Time of its rows.
    windows : sequence of tuple of float
        Start and end of each step in seconds; infinity for the end of the recording.
    recorded_until : ndarray, shape (L,)
        End of the decoded sound or video of each step in seconds; NaN without any.
    others : sequence of FileSpan
        The feature files of the session, which define the end of a recording that is not present.
    warn : callable
        Receives the warning.
    """
    steps = set(span.steps)
    start_s = min(windows[step][0] for step in steps)
    decoded = [recorded_until[step] for step in steps if not math.isnan(recorded_until[step])]
    stated = [windows[step][1] for step in steps if math.isfinite(windows[step][1])]
    ends = decoded or stated
    if not ends:  # whole files without a recording
        ends = [other.end_s for other in others if steps & set(other.steps)]
    end_s = max(ends)
    tolerance = max(MIN_DIFFERENCE_S, 2 * span.period_s)
    missing_s = max(0.0, span.start_s - start_s) + max(0.0, end_s - max(span.end_s, start_s))
    share = missing_s / max(end_s - start_s, missing_s, span.period_s)
    if missing_s > tolerance and (share > MIN_SHORT_SHARE or missing_s > MIN_SHORT_S):
        problem = (
            f"has rows from {span.start_s:.3f} to {span.end_s:.3f} s, but its steps last from "
            f"{start_s:.3f} to {end_s:.3f} s: {missing_s:.3f} s ({share:.0%}) are masked."
        )
        remedy = "Extract the features of the whole recording again, or check rate_hz: and time:."
        warn(MediaWarning("short_features", problem, remedy, share))
    excess_s = span.end_s - end_s
    is_whole = _covered_s([windows[step] for step in steps]) > MIN_COVERAGE * (end_s - start_s)
    if decoded and is_whole and excess_s > max(tolerance, MIN_LONG_SHARE * (end_s - start_s)):
        problem = (
            f"has rows until {span.end_s:.3f} s, {excess_s:.3f} s after the end of the recording "
            f"({end_s:.3f} s)."
        )
        remedy = "Check rate_hz: and time: of the stream, and that both are of one recording."
        warn(MediaWarning("long_features", problem, remedy, excess_s))


def _covered_s(windows: Sequence[tuple[float, float]]) -> float:
    """Compute the seconds that windows cover together."""
    covered_s, reached_s = 0.0, 0.0
    for start_s, end_s in sorted(windows):
        covered_s += max(0.0, end_s - max(start_s, reached_s))
        reached_s = max(reached_s, end_s)
    return covered_s
