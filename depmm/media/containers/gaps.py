"""Gaps: time of a recording without sound or without frames."""

import math
from collections import deque
from pathlib import Path

from depmm.media.errors import MediaError
from depmm.media.warnings import MediaWarning

MAX_GAP_SHARE = 0.1  # of the time of a recording; a recording with larger gaps is not used
SOUND_GAP_S = 0.04  # smaller deviations of timestamps are jitter: no samples are cut or inserted
LATE_START_S = 1.0  # sound that begins later than this after the video is reported
MAX_LATE_SHARE = 0.5  # of the time of a recording; sound that begins later is not used
FRAME_GAP_S = 0.5  # a longer time without a frame is a gap, unless the frame rate is as low
FRAME_GAP_INTERVALS = 5  # the same, in intervals between the frames before it


class Gaps:
    """Accumulate the gaps of a track.

    Parameters
    ----------
    path : Path
        The file.
    kind : {"audio", "video"}
        Kind of the track.

    Attributes
    ----------
    total_s : float
        Sum of the gaps, in seconds.
    pauses_s : float
        Time in which the recorder transmitted no sound because of a pause, in seconds.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.total_s = 0.0
        self.pauses_s = 0.0
        self._path = path
        self._kind = kind
        self._number = 0
        self._longest_s = self._longest_at_s = 0.0

    def add(self, at_s: float, length_s: float) -> None:
        """Add a gap.

        Parameters
        ----------
        at_s : float
            Its start, in seconds of the recording.
        length_s : float
            Its length, in seconds.
        """
        self.total_s += length_s
        self._number += 1
        if length_s > self._longest_s:
            self._longest_s, self._longest_at_s = length_s, at_s

    def check(self, recording_s: float) -> None:
        """Check that the gaps are not too large a share of the recording.

        Parameters
        ----------
        recording_s : float
            Length of the recording in seconds, with the gaps.

        Raises
        ------
        MediaError
            If the share is above ``MAX_GAP_SHARE``.
        """
        if self.total_s > MAX_GAP_SHARE * recording_s:
            raise MediaError(
                self._path,
                f"{self._describe(recording_s)}; at most {MAX_GAP_SHARE:.0%} are accepted. Its "
                "timestamps jump, or data are missing.",
                "Compare it with the original, or correct its timestamps (remux it)."
                if self._kind == "audio"
                else "Compare it with the original, or correct its timestamps (remux it). If the "
                "picture does not change, export it with a constant frame rate.",
                value=self.total_s,
            )

    def warning(self, recording_s: float) -> MediaWarning | None:
        """Describe the gaps.

        Parameters
        ----------
        recording_s : float
            Length of the recording in seconds, with the gaps.

        Returns
        -------
        MediaWarning or None
            None without gaps.
        """
        if not self._number:
            return self._pauses_warning(recording_s) if self.pauses_s else None
        filled = "filled with zeros" if self._kind == "audio" else "without a frame"
        return MediaWarning(
            "gap",
            f"{self._describe(recording_s)}; they are {filled}.",
            "Compare it with the original: its timestamps jump, or data are missing."
            if self._kind == "audio"
            else "Compare it with the original: the picture does not change (some recorders then "
            "store no frames), its timestamps jump, or data are missing.",
            self.total_s,
        )

    def _pauses_warning(self, recording_s: float) -> MediaWarning:
        return MediaWarning(
            "gap",
            f"{self.pauses_s:.2f} s of {recording_s:.2f} s ({self.pauses_s / recording_s:.1%}) "
            "were not transmitted because of pauses (DTX of Opus); they are filled with zeros.",
            "Record without discontinuous transmission (DTX) if the pauses are to be used.",
            self.pauses_s,
        )

    def _describe(self, recording_s: float) -> str:
        signal = "sound" if self._kind == "audio" else "video frames"
        share = self.total_s / recording_s if recording_s else 1.0
        gaps = "1 gap" if self._number == 1 else f"{self._number} gaps"
        return (
            f"{self.total_s:.2f} s of {recording_s:.2f} s ({share:.1%}) have no {signal}: {gaps}, "
            f"the longest from {self._longest_at_s:.2f} s to "
            f"{self._longest_at_s + self._longest_s:.2f} s"
        )


class FrameGaps:
    """Find the gaps in the times of frames.

    An interval is a gap if it is long and the interval before or after it is much shorter, so that
    a low frame rate is not a gap.

    Parameters
    ----------
    gaps : Gaps
        Receives the gaps.
    """

    def __init__(self, gaps: Gaps) -> None:
        self._gaps = gaps
        self._last_s = math.nan
        self._intervals: deque[float] = deque([math.inf, math.inf], maxlen=2)  # the last two

    def update(self, time_s: float) -> bool:
        """Add a frame.

        Parameters
        ----------
        time_s : float
            Its time in seconds, ascending.

        Returns
        -------
        bool
            Whether there is a gap before the frame before it.
        """
        interval_s = time_s - self._last_s
        found = self._is_gap(interval_s)
        self._last_s = time_s
        if math.isfinite(interval_s):
            self._intervals.append(interval_s)
        return found

    def finish(self) -> None:
        """Add the gap before the last frame, if there is one."""
        self._is_gap(math.inf)

    def _is_gap(self, next_s: float) -> bool:
        """Add the last interval if it is a gap; the interval after it is ``next_s``."""
        before_s, interval_s = self._intervals
        usual_s = min(before_s, next_s)
        if not FRAME_GAP_S < interval_s < math.inf or interval_s <= FRAME_GAP_INTERVALS * usual_s:
            return False
        end_s = self._last_s
        self._gaps.add(end_s - interval_s + usual_s, interval_s - usual_s)
        return True
