"""A continuous clock for the packets of a container whose timestamps restart.

The timestamps of a file may go back: MPEG, Matroska and Ogg files that were joined byte by byte, a
camera that restarts its clock, the 33-bit counter of MPEG that overflows after 26.5 hours. From
there on, all streams are shifted by the same time, such that the packets of no stream overlap.
Sound and video therefore stay synchronous.

AVI has no timestamps: if the sound of a few seconds is missing, the later sound would move forward.
The video shows where. Its time jumps, and the sound that lies beside it in the file does not; the
later sound is shifted by the difference.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from depmm.media.containers.formats import format_of, origin_s
from depmm.media.warnings import MediaWarning

RESTART_S = 0.1  # decoding times ascend: if they go back by more, the clock restarts
REORDER_S = 2.0  # the same for packets without a decoding time, whose order is not that of display
LOOKAHEAD = 512  # packets that are searched for the restart of the other streams
AVI_HOLE_S = 1.0  # by which the video must jump and the sound stay behind; they are not in step
N_LISTED = 3  # restarts whose positions a warning lists


@dataclass
class _Track:
    """State of a stream; its times are seconds on the continuous clock."""

    is_video: bool
    tick_s: float
    segment: int = 0
    last_ticks: int | None = None  # decoding time of the last packet, without offset
    last_s: float = -math.inf  # decoding time of the last packet
    ascends: bool = True  # whether this is its decoding time, and not that of display
    end_s: float = -math.inf  # latest end of its packets
    shift_s: float = 0.0  # sum of the holes in the sound of an AVI file
    late_ticks: int | None = None  # from decoding to display of the first frame


class Timeline:
    """Shift the timestamps of the packets of a container onto a continuous clock.

    Parameters
    ----------
    container : av.container.InputContainer
        The open file.

    Attributes
    ----------
    restarts : list of tuple of float
        Second of the recording where the timestamps go back, and by how many seconds.
    end_s : float
        Latest end of the packets so far, also of subtitles, in seconds of the recording.
    """

    def __init__(self, container: Any) -> None:
        form = format_of(container)
        self.restarts: list[tuple[float, float]] = []
        self.end_s = 0.0
        self._origin_s = origin_s(container)
        self._wrap_ticks = form.wrap_ticks
        self._may_restart = not form.stores_durations
        self._is_decoding_duration = form.stores_durations
        self._offsets_s = [0.0]  # added to the times of each segment between restarts
        self._tracks = {
            stream.index: _Track(stream.type == "video", float(stream.time_base))
            for stream in container.streams
            if stream.type in ("video", "audio") and stream.time_base
        }
        self._avi = _AviSound() if form.name == "avi" else None

    def place(self, packets: Iterable[Any]) -> Iterator[Any]:
        """Shift the timestamps of packets in place.

        Parameters
        ----------
        packets : iterable of av.packet.Packet
            All packets of the container, in the order of the file.

        Yields
        ------
        av.packet.Packet
            The packets in the same order.
        """
        source, queue = iter(packets), deque[Any]()
        while (packet := queue.popleft() if queue else next(source, None)) is not None:
            track = self._tracks.get(packet.stream.index)
            if track is None:
                self._extend(packet)
            elif (ticks := self._decoding_ticks(track, packet)) is not None:
                time_s = self._time_s(track, ticks)
                if self._may_restart and time_s < track.last_s - RESTART_S:
                    time_s = self._restart(track, packet, ticks, queue, source)
                self._shift(track, packet, ticks, time_s)
            yield packet

    @property
    def media_end_s(self) -> float:
        """Latest end of the packets of sound and video so far, in seconds of the recording."""
        return max((track.end_s for track in self._tracks.values()), default=0.0)

    def restart_warning(self) -> MediaWarning | None:
        """Describe the restarts of the clock.

        Returns
        -------
        MediaWarning or None
            None if there was none.
        """
        if not self.restarts:
            return None
        listed = [f"at {at:.2f} s by {back:.2f} s" for at, back in self.restarts[:N_LISTED]]
        more = len(self.restarts) - N_LISTED
        return MediaWarning(
            "clock_restart",
            f"the timestamps go back {', '.join(listed)}"
            + (f" and {more} more times" if more > 0 else "")
            + "; each part is read as the continuation of the part before it.",
            "Check that the file is one recording, and that the times of its steps count from the "
            "start of the first part.",
            float(len(self.restarts)),
        )

    def _decoding_ticks(self, track: _Track, packet: Any) -> int | None:
        """Return the decoding time of a packet in ticks, without overflows of the counter."""
        pts, dts = packet.pts, packet.dts
        if pts is None or dts is None:
            ticks: int | None = dts if pts is None else pts
        else:
            ticks = pts if pts < dts else dts  # FFmpeg may continue an old decoding time
        if ticks is not None and self._wrap_ticks:
            near = track.last_ticks
            if near is None:
                near = round(self._origin_s / track.tick_s)
            ticks += round((near - ticks) / self._wrap_ticks) * self._wrap_ticks
        return ticks

    def _time_s(self, track: _Track, ticks: int) -> float:
        offset_s = self._offsets_s[track.segment] + track.shift_s
        return ticks * track.tick_s - self._origin_s + offset_s

    def _goes_back(self, track: _Track, ticks: int, has_dts: bool) -> bool:
        ascends = track.ascends and (has_dts or not track.is_video)
        tolerance_s = RESTART_S if ascends else REORDER_S
        return self._may_restart and self._time_s(track, ticks) < track.last_s - tolerance_s

    def _extend(self, packet: Any) -> None:
        """Note the end of a packet of subtitles or data."""
        if packet.pts is not None:
            end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self.end_s = max(self.end_s, end_s - self._origin_s)

    def _restart(
        self, track: _Track, packet: Any, ticks: int, queue: deque[Any], source: Iterator[Any]
    ) -> float:
        """Begin the next segment of a track if its times go back; return the time of the packet."""
        if self._goes_back(track, ticks, packet.dts is not None):
            if track.segment == len(self._offsets_s) - 1:
                self._add_segment(packet, queue, source)
            track.segment = len(self._offsets_s) - 1
        return self._time_s(track, ticks)

    def _add_segment(self, first: Any, queue: deque[Any], source: Iterator[Any]) -> None:
        """Determine the offset after a restart, from the start of each stream after it.

        The packets that are read ahead are appended to ``queue``.
        """
        starts: dict[int, float] = {}
        ends = {index: track.end_s for index, track in self._tracks.items()}
        active = sum(track.last_ticks is not None for track in self._tracks.values())
        read = 0
        packet = first
        while packet is not None:
            index = packet.stream.index
            track = self._tracks.get(index)
            ticks = None if track is None else self._decoding_ticks(track, packet)
            if track is not None and ticks is not None and index not in starts:
                if self._goes_back(track, ticks, packet.dts is not None):
                    starts[index] = self._time_s(track, ticks)
                    if len(starts) == active:
                        break
                else:
                    end_s = self._time_s(track, ticks) + (packet.duration or 0) * track.tick_s
                    ends[index] = max(ends[index], end_s)
            if read == len(queue):
                packet = next(source, None) if read < LOOKAHEAD else None
                if packet is not None:
                    queue.append(packet)
            else:
                packet = queue[read]
            read += 1
        back_s = max(ends[index] - start for index, start in starts.items())
        at_s = max(ends[index] for index in starts)
        self.restarts.append((at_s, back_s))
        self._offsets_s.append(self._offsets_s[-1] + back_s)

    def _shift(self, track: _Track, packet: Any, ticks: int, time_s: float) -> None:
        """Move a packet to the continuous clock, and remember its times."""
        if self._avi and (hole_s := self._avi.missing_sound_s(track.is_video, time_s)):
            track.shift_s += hole_s
            time_s += hole_s
        pts, dts = packet.pts, packet.dts
        if pts is None:
            original, late = dts, 0
        elif dts is None or pts < dts:
            original, late = pts, 0
        else:
            original, late = dts, pts - dts
        offset_s = self._offsets_s[track.segment] + track.shift_s
        if offset_s or ticks != original:
            moved = ticks - original + round(offset_s / track.tick_s)
            if pts is not None:
                packet.pts = pts + moved
            if dts is not None:
                packet.dts = original + moved if pts is not None and pts < dts else dts + moved
        if self._is_decoding_duration and track.is_video and packet.duration:
            if track.late_ticks is None:
                track.late_ticks = late
            # such that the last frame that is decoded ends when the track ends
            packet.duration = max(0, packet.duration + track.late_ticks - late)
        track.last_ticks, track.last_s = ticks, time_s
        track.ascends = dts is not None or not track.is_video
        end_s = time_s + (late + (packet.duration or 0)) * track.tick_s
        if end_s > track.end_s:
            track.end_s = end_s
            if end_s > self.end_s:
                self.end_s = end_s


class _AviSound:
    """Find holes in the sound of an AVI file, by the video that lies beside it in the file."""

    def __init__(self) -> None:
        self._video_s = self._sound_s = math.nan  # of the last packets
        self._sound_at_video_s = math.nan  # of the last sound before the last frame
        self._missing_s = 0.0

    def missing_sound_s(self, is_video: bool, time_s: float) -> float:
        """Return the seconds of sound that are missing before a packet."""
        if not is_video:
            missing_s, self._missing_s = self._missing_s, 0.0
            self._sound_s = time_s + missing_s
            return missing_s
        jump_s = time_s - self._video_s
        missing_s = jump_s - (self._sound_s - self._sound_at_video_s)
        if jump_s > AVI_HOLE_S and missing_s > AVI_HOLE_S:
            self._missing_s += missing_s
        self._video_s, self._sound_at_video_s = time_s, self._sound_s
        return 0.0
