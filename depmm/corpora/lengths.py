"""The length of a group of files that were recorded at the same time."""

from collections.abc import Sequence
from dataclasses import dataclass

from depmm.corpora.corpus_facts import Windows
from depmm.corpora.windows import MIN_REMAINDER_S

SAME_END_S = 0.5  # by which the ends of files of one recording usually differ
SAME_END_SHARE = 0.05  # likewise for feature files without a recording, share of the longest
SAME_END_ROWS = 2  # likewise, rows of the slowest stream


@dataclass(frozen=True)
class FileLength:
    """The length of a file of a group.

    Attributes
    ----------
    path : str
        The file.
    seconds : float
        Its length.
    period_s : float or None
        Seconds of one row of a feature file; None for sound and video.
    """

    path: str
    seconds: float
    period_s: float | None


@dataclass(frozen=True)
class GroupLength:
    """The length of a group of files.

    Attributes
    ----------
    end_s : float
        End of its last window.
    remainder_s : float
        Longest remainder that is no window of its own, so that no window starts where a file has
        just ended.
    excluded : list of tuple of (str, str)
        File, and the part that is masked or not used.
    """

    end_s: float
    remainder_s: float
    excluded: list[tuple[str, str]]


def combine_lengths(lengths: Sequence[FileLength], windows: Windows) -> GroupLength:
    """Determine where the windows of a group of files end.

    The longest sound or video defines the end; features never shorten it. Feature files without a
    recording end together if their lengths hardly differ, and with the longest otherwise.

    Parameters
    ----------
    lengths : sequence of FileLength
        The files, at least one.
    windows : Windows
        Length of the windows.

    Returns
    -------
    GroupLength
        The end.
    """
    recordings = [file.seconds for file in lengths if file.period_s is None]
    all_lengths = [file.seconds for file in lengths]
    end_s = max(recordings or all_lengths)
    remainder_s = MIN_REMAINDER_S
    if recordings:
        for file in lengths:
            short_s = end_s - file.seconds
            if 0 < short_s <= min(max(SAME_END_S, file.period_s or 0.0), windows.length_s):
                remainder_s = max(remainder_s, short_s + MIN_REMAINDER_S)
    else:
        tolerance_s = max(
            SAME_END_SHARE * end_s,
            SAME_END_ROWS * max(file.period_s or 0.0 for file in lengths),
        )
        similar = [seconds for seconds in all_lengths if end_s - seconds <= tolerance_s]
        end_s = min(similar)
    excluded = []
    for file in lengths:
        difference_s = file.seconds - end_s
        if difference_s > MIN_REMAINDER_S:
            reason = f"the end from {end_s:.3f} s on, after the end of another file of the step"
            excluded.append((file.path, reason))
        elif -difference_s > remainder_s:
            reason = (
                f"ends at {file.seconds:.3f} s; the other {-difference_s:.3f} s "
                f"({-difference_s / end_s:.0%}) of the step are masked"
            )
            excluded.append((file.path, reason))
    return GroupLength(end_s, remainder_s, excluded)
