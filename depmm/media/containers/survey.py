"""Length and gaps of a recording, from its packets; nothing is decoded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depmm.media.containers.container import open_container
from depmm.media.containers.decoders import (
    check_no_late_track,
    packet_errors,
    read_packets,
    video_streams,
)
from depmm.media.containers.decoding import LENGTH_TOLERANCE_S
from depmm.media.containers.formats import format_of, origin_s
from depmm.media.containers.gaps import (
    LATE_START_S,
    MAX_GAP_SHARE,
    MAX_LATE_SHARE,
    SOUND_GAP_S,
    FrameGaps,
    Gaps,
)
from depmm.media.containers.limits import MAX_RESTARTS
from depmm.media.containers.timeline import Timeline
from depmm.media.errors import MediaError, media_errors
from depmm.media.warnings import MediaWarning, Warn

_WITH_PAUSES = ("opus", "libopus")
# a packet of Opus that is not larger announces a pause (discontinuous transmission): the encoder
# and many recorders then leave out the next packets; documentation of opus_encode() of libopus
PAUSE_BYTES = 2


@dataclass(frozen=True)
class Survey:
    """What the packets of a recording tell about it.

    Attributes
    ----------
    length_s : float
        Latest end of its sound and video tracks, in seconds.
    gaps : dict of int to Gaps
        Index of each track -> its gaps.
    pauses : dict of int to set of int
        Index of each track -> ends of the pauses in which the recorder transmitted no sound, in
        milliseconds. They are not among the gaps.
    has_running_sound : bool
        Whether a sound track covers the recording up to ``MAX_GAP_SHARE``. Time without a frame is
        then no jump of the clock: the picture does not change, or frames are missing.
    """

    length_s: float
    gaps: dict[int, Gaps]
    pauses: dict[int, set[int]]
    has_running_sound: bool


def survey_packets(path: Path, container: Any) -> Survey:
    """Read all packets of an open recording.

    Parameters
    ----------
    path : Path
        The file, for error messages.
    container : av.container.InputContainer
        The open file, at its beginning.

    Returns
    -------
    Survey
        Its length and gaps.

    Raises
    ------
    MediaError
        If the file is damaged.
    """
    timeline = Timeline(container)
    streams = [*video_streams(container), *container.streams.audio]
    tracks = {
        stream.index: _TrackSurvey(Gaps(path, stream.type), stream, origin_s(container))
        for stream in streams
        if stream.codec_context is not None
    }
    with media_errors(path):
        with packet_errors(path, timeline, "cannot be read"):
            for packet in timeline.place(read_packets(container)):
                track = tracks.get(packet.stream.index)
                if track is not None:
                    track.update(packet)
                if len(timeline.restarts) > MAX_RESTARTS:
                    break
        if not format_of(container).lists_tracks:
            check_no_late_track(path, container)
    for track in tracks.values():
        track.frame_gaps.finish()
    length_s = max((track.end_s for track in tracks.values()), default=0.0)
    return Survey(
        length_s,
        {index: track.gaps for index, track in tracks.items()},
        {index: track.pauses for index, track in tracks.items()},
        any(
            length_s - track.sound_s <= MAX_GAP_SHARE * length_s
            for track in tracks.values()
            if not track.is_video
        ),
    )


class GapMonitor:
    """Report the gaps of a track while it is decoded.

    At the first gap, the packets of the whole file are read, so that the share of the gaps in the
    recording is known before a long gap is filled, and although only a part is decoded.

    Parameters
    ----------
    path : Path
        The recording.
    stream : av.stream.Stream
        The track that is decoded.
    warn : callable
        Receives ``gap``, and ``missing_sound`` if the sound begins late.

    Attributes
    ----------
    gaps : Gaps
        The gaps in what was decoded so far.
    """

    def __init__(self, path: Path, stream: Any, warn: Warn) -> None:
        self.gaps = Gaps(path, stream.type)
        self._path = path
        self._index = stream.index
        self._is_video = stream.type == "video"
        self._warn = warn
        self._survey: Survey | None = None
        self._cut_s = 0.0

    def add(self, start_s: float, end_s: float, is_late_start: bool = False) -> None:
        """Add a gap, before it is filled.

        Parameters
        ----------
        start_s, end_s : float
            Start and end of the gap, in seconds of the recording.
        is_late_start : bool, default False
            Whether it lies before the beginning of the track. It then is no gap, but reported.

        Raises
        ------
        MediaError
            If the gaps are too large a share of the recording, or the track begins too late.
        """
        if is_late_start:
            if end_s - start_s > LATE_START_S:
                self._report_late_start(end_s)
            return
        end_ms = round(end_s * 1000)
        if (
            not self._surveyed()
            .pauses.get(self._index, set())
            .isdisjoint(range(end_ms - 1, end_ms + 2))
        ):
            self.gaps.pauses_s += end_s - start_s
            return
        self.gaps.add(start_s, end_s - start_s)
        self.check(end_s)

    def check(self, end_s: float) -> None:
        """Check the gaps after one was added to ``gaps``.

        Parameters
        ----------
        end_s : float
            End of the gap, in seconds of the recording.

        Raises
        ------
        MediaError
            If the gaps are too large a share of the recording.
        """
        survey = self._surveyed()
        if self._index in survey.gaps:
            self._report(survey.gaps[self._index], survey.length_s)
        self._check(self.gaps, max(end_s, survey.length_s))

    def cut(self, length_s: float) -> None:
        """Note that data are left out because their timestamps are those of the data before them.

        Parameters
        ----------
        length_s : float
            Their length, in seconds.
        """
        self._cut_s += length_s

    def stop(self, end_s: float) -> None:
        """Report the gaps of a track that is not decoded to its end.

        Parameters
        ----------
        end_s : float
            Where decoding stops, in seconds of the recording.
        """
        length_s = 0.0 if self._survey is None else self._survey.length_s
        if (warning := self.gaps.warning(max(end_s, length_s))) is not None:
            self._warn(warning)

    def finish(self, end_s: float) -> None:
        """Report the gaps of a track that was decoded to its end.

        Parameters
        ----------
        end_s : float
            Its end, in seconds of the recording.

        Raises
        ------
        MediaError
            If the gaps are too large a share of the recording.
        """
        length_s = 0.0 if self._survey is None else self._survey.length_s
        self._report(self.gaps, max(end_s, length_s))
        if self._cut_s > LENGTH_TOLERANCE_S:
            self._report_cut(max(end_s, length_s))

    def _check(self, gaps: Gaps, length_s: float) -> None:
        is_still = self._is_video and gaps.total_s > 0 and self._surveyed().has_running_sound
        if not is_still:
            gaps.check(length_s)

    def _surveyed(self) -> Survey:
        if self._survey is None:
            with open_container(self._path, skip_estimate_duration_from_pts="1") as container:
                self._survey = survey_packets(self._path, container)
        return self._survey

    def _report_late_start(self, start_s: float) -> None:
        length_s = self._surveyed().length_s
        text = f"the sound begins {start_s:.2f} s after the start of {length_s:.2f} s"
        remedy = "Compare it with the original."
        if not start_s <= MAX_LATE_SHARE * length_s:
            problem = f"{text}; at most {MAX_LATE_SHARE:.0%} are accepted."
            raise MediaError(self._path, problem, remedy, value=start_s)
        self._warn(MediaWarning("missing_sound", f"{text}; zeros precede it.", remedy, start_s))

    def _report_cut(self, length_s: float) -> None:
        problem = (
            f"{self._cut_s:.2f} s of sound have the timestamps of the sound before them and are "
            f"left out of {length_s:.2f} s"
        )
        remedy = "Compare it with the original, or correct its timestamps (remux it)."
        if self._cut_s > MAX_GAP_SHARE * length_s:
            problem = f"{problem}; at most {MAX_GAP_SHARE:.0%} are accepted."
            raise MediaError(self._path, problem, remedy, value=self._cut_s)
        self._warn(MediaWarning("length_differs", f"{problem}.", remedy, self._cut_s))

    def _report(self, gaps: Gaps, length_s: float) -> None:
        self._check(gaps, length_s)
        if (warning := gaps.warning(length_s)) is not None:
            self._warn(warning)


class _TrackSurvey:
    """Accumulate end and gaps of a track."""

    def __init__(self, gaps: Gaps, stream: Any, origin: float) -> None:
        self.gaps = gaps
        self.frame_gaps = FrameGaps(gaps)
        self.end_s = 0.0
        self.is_video = stream.type == "video"
        self.pauses: set[int] = set()
        self._has_pauses = stream.codec_context.name in _WITH_PAUSES
        self._last_bytes = PAUSE_BYTES + 1  # size of the last packet
        self._tick_s = float(stream.time_base)
        self._origin_s = origin
        self._start_s: float | None = None  # of the last packet of sound, of the latest frame
        self._first_s: float | None = None  # start of the sound
        self._usual_s: float | None = None  # length of a packet

    def update(self, packet: Any) -> None:
        """Add a packet."""
        ticks = packet.dts if packet.pts is None else packet.pts
        if ticks is None:
            return
        start_s = ticks * self._tick_s - self._origin_s
        last_s = self._start_s
        if packet.duration:
            self._usual_s = packet.duration * self._tick_s
        if self.is_video:
            # packets are in the order of decoding: those that are displayed earlier are left out
            if last_s is None or start_s > last_s:
                self.frame_gaps.update(start_s)
                self._start_s = start_s
        else:
            if last_s is not None and self._usual_s is not None:
                if start_s - self.end_s > SOUND_GAP_S:
                    self._add_gap(start_s)
            elif last_s is not None:
                self._usual_s = start_s - last_s
            self._start_s = start_s
            self._first_s = start_s if self._first_s is None else self._first_s
            self._last_bytes = packet.size
        self.end_s = max(self.end_s, start_s + (self._usual_s or 0.0))

    @property
    def sound_s(self) -> float:
        """Seconds of sound and of its pauses."""
        return 0.0 if self._first_s is None else self.end_s - self._first_s - self.gaps.total_s

    def _add_gap(self, end_s: float) -> None:
        if self._has_pauses and self._last_bytes <= PAUSE_BYTES:
            self.gaps.pauses_s += end_s - self.end_s
            self.pauses.add(round(end_s * 1000))
        else:
            self.gaps.add(self.end_s, end_s - self.end_s)
