"""Compare the time of the rows of a feature file with that of the recording and its steps."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from depmm.media.warnings import MediaWarning, Warn
from depmm.store.step_coverage import Window, union_s

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


def warn_about_length(
    span: FileSpan,
    windows: Sequence[Window],
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
    if not ends:  # whole files without a recording, which ends during the last row of a file
        ends = [other.end_s - other.period_s for other in others if steps & set(other.steps)]
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
    is_whole = union_s(windows[step] for step in steps) > MIN_COVERAGE * (end_s - start_s)
    if decoded and is_whole and excess_s > max(tolerance, MIN_LONG_SHARE * (end_s - start_s)):
        problem = (
            f"has rows until {span.end_s:.3f} s, {excess_s:.3f} s after the end of the recording "
            f"({end_s:.3f} s)."
        )
        remedy = "Check rate_hz: and time: of the stream, and that both are of one recording."
        warn(MediaWarning("long_features", problem, remedy, excess_s))
