"""Length and gaps of a recording, from its packets; nothing is decoded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depmm.media.container import open_container, origin_s
from depmm.media.decoders import can_decode, video_streams
from depmm.media.errors import as_media_error
from depmm.media.gaps import SOUND_GAP_S, FrameGaps, Gaps
from depmm.media.limits import MAX_RESTARTS
from depmm.media.timeline import Timeline
from depmm.media.warnings import MediaWarning


@dataclass(frozen=True)
class Survey:
    """What the packets of a recording tell about it.

    Attributes
    ----------
    length_s : float
        Latest end of its sound and video tracks, in seconds.
    gaps : dict of int to Gaps
        Index of each track -> its gaps.
    restart : MediaWarning or None
        The restarts of its timestamps.
    """

    length_s: float
    gaps: dict[int, Gaps]
    restart: MediaWarning | None


def survey_recording(path: Path) -> Survey:
    """Read all packets of a recording.

    Parameters
    ----------
    path : Path
        The recording.

    Returns
    -------
    Survey
        Its length, gaps and restarts.

    Raises
    ------
    MediaError
        If the file is missing, empty, in an unknown format or damaged.
    """
    with open_container(path, skip_estimate_duration_from_pts="1") as container:
        return survey_packets(path, container)


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
        Its length, gaps and restarts.

    Raises
    ------
    MediaError
        If the file is damaged.
    """
    timeline = Timeline(container, origin_s(container))
    streams = [*video_streams(container), *container.streams.audio]
    tracks = {
        stream.index: _TrackSurvey(Gaps(path, stream.type), stream, origin_s(container))
        for stream in streams
        if can_decode(stream)
    }
    try:
        for packet in timeline.place(container.demux()):
            track = tracks.get(packet.stream.index)
            if track is not None:
                track.update(packet)
            if len(timeline.restarts) > MAX_RESTARTS:
                break
    except Exception as error:
        raise as_media_error(path, error) from error
    for track in tracks.values():
        track.frame_gaps.finish()
    gaps = {index: track.gaps for index, track in tracks.items()}
    length_s = max((track.end_s for track in tracks.values()), default=0.0)
    return Survey(length_s, gaps, timeline.restart_warning())


class _TrackSurvey:
    """Accumulate end and gaps of a track."""

    def __init__(self, gaps: Gaps, stream: Any, origin: float) -> None:
        self.gaps = gaps
        self.frame_gaps = FrameGaps(gaps)
        self.end_s = 0.0
        self._is_video = stream.type == "video"
        self._tick_s = float(stream.time_base)
        self._origin_s = origin
        self._start_s: float | None = None  # of the last packet of sound, of the latest frame
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
        if self._is_video:
            # packets are in the order of decoding: those that are displayed earlier are left out
            if last_s is None or start_s > last_s:
                self.frame_gaps.update(start_s)
                self._start_s = start_s
        else:
            if last_s is not None and self._usual_s is not None:
                if start_s - self.end_s > SOUND_GAP_S:
                    self.gaps.add(self.end_s, start_s - self.end_s)
            elif last_s is not None:
                self._usual_s = start_s - last_s
            self._start_s = start_s
        self.end_s = max(self.end_s, start_s + (self._usual_s or 0.0))
