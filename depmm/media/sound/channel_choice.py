"""Decide for a whole file which channels of its sound are used, at little cost.

The first 10 s are kept in memory until the decision, so that a short recording is decoded once.
The rest of a longer recording is sampled: blocks of half a second, at most 1 % of its length. If a
channel seems to be inverted or dead, the file is decoded once more from its beginning to its end,
and the levels of the whole sound decide. The decision does not depend on the window that is read.
"""

from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import av
import numpy as np
import soundfile

from depmm.media.containers.container import open_container
from depmm.media.containers.formats import header_length_s, origin_s
from depmm.media.containers.tracks import choose_audio_track
from depmm.media.errors import MediaError
from depmm.media.sound.channels import ChannelChoice, ChannelMeter, Mix
from depmm.media.sound.sound_files import choose_reader, open_sound_file
from depmm.media.warnings import PendingWarnings, Warn, ignore_warnings

HEAD_S = 10
SAMPLE_S = 0.5
SAMPLED_SHARE = 0.01
MAX_SAMPLES = 12  # reached by a recording of 10 minutes

Blocks = Generator[tuple[int, np.ndarray]]
"""Sample rate and mono float32 blocks."""


class ReadBlocks(Protocol):
    """A reader of one file."""

    def __call__(self, begin_s: int, mix: Mix, warn: Warn) -> Blocks:
        """Read the sound from ``begin_s`` on; ``mix`` reduces its channels to one."""


def unobserved(mix: Mix) -> Mix:
    """Return a mix as it is, for callers that do not measure it.

    Parameters
    ----------
    mix : callable
        The function that mixes the channels.

    Returns
    -------
    callable
        The same function.
    """
    return mix


def read_mono(
    path: Path,
    track: int | None,
    read: ReadBlocks,
    begin_s: int,
    warn: Warn,
    observe: Callable[[Mix], Mix] = unobserved,
) -> Blocks:
    """Read a sound without its inverted and dead channels.

    Parameters
    ----------
    path : Path
        The recording.
    track : int, optional
        Index of the sound track.
    read : callable
        Reader of the file.
    begin_s : int
        Start in seconds.
    warn : callable
        Receives the warnings about the file.
    observe : callable, optional
        Wraps the function that mixes the channels, see
        :func:`depmm.media.sound.audio.decode_audio`.

    Yields
    ------
    rate : int
        Sample rate in Hz.
    block : ndarray of float32, shape (T,)
        The mean of the used channels.
    """
    meter, pending = ChannelMeter(), PendingWarnings(warn)
    blocks = read(0, observe(meter.mean), pending)
    head: list[tuple[int, np.ndarray]] = []
    complete = False
    try:
        for rate, block in blocks:
            head.append((rate, block))
            if meter.n_channels == 1 or meter.n_samples >= HEAD_S * rate:
                break
        else:
            complete = True
    except MediaError:
        if not begin_s:  # otherwise the part that is wanted may be sound
            pending.release()
            yield from head
            raise
    choice = _choose(path, track, read, meter, complete)
    for warning in choice.warnings():
        warn(warning)
    if choice.is_everything and not begin_s:
        meter.stop()
        pending.release()
        yield from head
        yield from blocks
        return
    blocks.close()  # its warnings are those of the next reader
    yield from read(begin_s, observe(choice.mix), warn)


def _choose(
    path: Path, track: int | None, read: ReadBlocks, meter: ChannelMeter, complete: bool
) -> ChannelChoice:
    if complete or meter.n_channels == 1:
        return meter.choose()
    _sample_rest(path, track, meter)
    if meter.choose().is_everything and not meter.is_silent():
        return meter.choose()
    whole = ChannelMeter()
    try:
        for _ in read(0, whole.mean, ignore_warnings):
            pass
    except MediaError:
        pass  # the caller meets it again if it is in the part that is wanted
    return whole.choose()


def _sample_rest(path: Path, track: int | None, meter: ChannelMeter) -> None:
    """Measure short blocks that are spread evenly over the sound behind its head."""
    reader = choose_reader(path)
    if reader.is_sndfile:
        with suppress(soundfile.LibsndfileError), open_sound_file(path) as file:
            if file is not None:
                n_samples = round(SAMPLE_S * file.samplerate)
                for position_s in _positions(file.frames / file.samplerate):
                    file.seek(int(position_s * file.samplerate))
                    meter.update(file.read(n_samples, dtype="float32", always_2d=True).T)
                return
    try:
        with open_container(path, **reader.options) as container:
            stream = choose_audio_track(path, container, track)
            to_float = av.AudioResampler(format="fltp")
            for position_s in _positions(header_length_s(container) or 0.0):
                container.seek(
                    int((origin_s(container) + position_s) / stream.time_base), stream=stream
                )
                measured = 0
                for frame in container.decode(stream):
                    for part in to_float.resample(frame):
                        meter.update(part.to_ndarray())
                    measured += frame.samples
                    if measured >= SAMPLE_S * frame.rate:
                        break
    except (av.FFmpegError, MediaError, ValueError):
        return  # a format without seeking, or damaged: decided without the rest


def _positions(duration_s: float) -> np.ndarray:
    rest_s = max(0.0, duration_s - HEAD_S - SAMPLE_S)
    count = min(MAX_SAMPLES, int(rest_s * SAMPLED_SHARE / SAMPLE_S))
    positions: np.ndarray = HEAD_S + rest_s * (np.arange(count) + 0.5) / max(count, 1)
    return positions
